"""`tollens record waive`: somebody takes the risk of a constraint, for a while, and the ledger keeps who and why."""

from __future__ import annotations

import datetime
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tollens.core.errors import TollensError
from tollens.core.shell import quoted
from tollens.protocol.ruling import MOST_DAYS, Ruling
from tollens.protocol.seal import Manifest
from tollens.protocol.study import Study, placeholder, plain, read_study, refused
from tollens.record import ledger as ledgers
from tollens.record.ledger import Ledger, read_ledger
from tollens.run.constraints import pinned, rulings_of, today, unknown
from tollens.run.lock import amendment
from tollens.run.study import alone, claim_text, restored, sealed, study_folder, writer


class WaiveReport(msgspec.Struct, frozen=True, kw_only=True):
    """What `tollens record waive --json` prints. `digests` are of the tables that are waived, one of each id."""

    schema: str = "tollens.record.waive/1"
    verdict: str = "WAIVED"
    claim: str
    constraint: str
    digests: list[str]
    reason: str
    until: str
    mechanism: str
    seal: str | None
    next: str


def waive(path: str | os.PathLike[str], constraint: str, reason: str, until: str) -> WaiveReport:
    """Append a `waiver` record for a constraint that is triggered; the object that `--json` prints.

    Raises TollensError, exit 3: `constraint_unknown`, `waiver_refused` (a reason that says nothing, a day that is past
    or more than 366 days away, a constraint that is not triggered); what reading the study raises, `tampered` (20).
    """
    folder = study_folder(path)
    if placeholder(reason):
        raise _refused("--reason", "a sentence that says why the risk is taken", repr(reason[:60]), "Say why.")
    day, last = today(), today() + datetime.timedelta(days=MOST_DAYS)
    try:
        end = datetime.date.fromisoformat(until)
    except ValueError:
        raise _refused("--until", "a day as YYYY-MM-DD", repr(until[:40]), f"Write for instance {last}.") from None
    if not day <= end <= last:
        found = f"{end}, which is {'past' if end < day else f'{(end - day).days} days away'}"
        raise _refused("--until", f"a day from {day} to {last}", found, "A waiver is for a while; it can be renewed.")
    with alone(folder):
        ledger = read_ledger(folder / ledgers.FILE)
        study, before, amended = _proposed(folder, ledger)
        seal = next((record.body["seal"] for record in reversed(ledger.of("seal", "amend"))), None)
        rulings = rulings_of(folder, study, ledger, before) or []
        named = [ruling for ruling in rulings if ruling.id == constraint]
        if not named:
            raise unknown("CONSTRAINT", constraint, [ruling.id for ruling in rulings])
        bound = [ruling for ruling in named if ruling.state in ("blocked", "waived")]
        if not bound:
            raise _refused(constraint, "a constraint that blocks", named[0].sentence, "Nothing needs to be waived.")
        body = {
            "claim": study.claim.id,
            "constraint": constraint,
            "reason": reason.strip(),
            "until": end.isoformat(),
            "seal": seal,
        }
        writer(folder).append_all([("waiver", {**body, "digest": ruling.digest}) for ruling in bound])
    return WaiveReport(
        claim=study.claim.id, constraint=constraint, digests=[ruling.digest for ruling in bound],
        reason=reason.strip(), until=end.isoformat(), mechanism=bound[0].mechanism, seal=seal,
        next=amendment(os.fspath(path), ledger, study) if amended else f"tollens {'climb' if seal else 'lock'} "
        f"{quoted(path)}",
    )  # fmt: skip


def _proposed(folder: Path, ledger: Ledger) -> tuple[Study, Sequence[Ruling], bool]:
    """What the waiver is for: the study, the rulings of its seal, and whether an amendment has to come next.

    A sealed claim that was edited is what somebody is about to amend, and `amend` refuses it without the waiver.
    """
    seals = ledger.of("seal", "amend")
    if not seals:
        return read_study(claim_text(folder)), [], False
    try:
        found = restored(sealed(folder))
    except TollensError as error:
        study = read_study(claim_text(folder))
        if error.code != "tampered" or plain(study) == msgspec.convert(seals[-1].body["manifest"], Manifest).study:
            raise
        return study, [], True
    return found.study, pinned(found.manifest.constraints), found.verdict is not None


def _refused(subject: str, expected: str, found: str, fix: str) -> TollensError:
    return refused("waiver_refused", subject, expected, found, fix)
