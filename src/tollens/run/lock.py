"""`lock` and `amend`: everything that decides a verdict is checked, hashed and written down before it is run."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec

from tollens.core.canonical import digest
from tollens.core.errors import Exit, TollensError
from tollens.core.expression.examine import Examination, show_witness
from tollens.core.expression.syntax import show
from tollens.core.shell import quoted
from tollens.protocol import seal
from tollens.protocol.attributes import check_proposal
from tollens.protocol.null import tau_line
from tollens.protocol.registration import Registration
from tollens.protocol.resemblance import resemblance_text
from tollens.protocol.ruling import Ruling
from tollens.protocol.seal import Manifest, keys_of, seal_bytes, seal_hash
from tollens.protocol.stopping import guarantee
from tollens.protocol.study import FILE, Study, from_plain, placeholder, plain, read_study, refused, refusing
from tollens.record import ledger as ledgers
from tollens.record.bearing import bears
from tollens.record.bodies import Access
from tollens.record.ledger import Ledger, read_ledger
from tollens.record.spend import unpaid
from tollens.run.anchor import Anchor, anchor_of
from tollens.run.constraints import check_evidence, pinned, rulings_of, unmet
from tollens.run.laboratory import unbound_note
from tollens.run.machine import machine_lines
from tollens.run.neighbours import resemblances
from tollens.run.rungs.arithmetic import linted
from tollens.run.sealable import sealable
from tollens.run.sign import sign_checked
from tollens.run.snapshot import rehashed, snapshot
from tollens.run.study import (
    DECISION,
    TRAPS,
    alone,
    claim_text,
    entries_of,
    registered,
    study_folder,
    write_whole,
    writer,
)

LEVELS: tuple[Access, ...] = get_args(Access)
GIT_ATTRIBUTES = ".gitattributes"
PLAIN = b"* -text"


class SealReport(msgspec.Struct, frozen=True, kw_only=True):
    """What `tollens lock --json` and `tollens amend --json` print.

    `witnesses` shows for each rule and side readings that make it so; `declared` and `floor` are the access states of
    an amendment: what was said, and the least that the ledger shows.
    """

    schema: str = "tollens.lock/1"
    verdict: str
    claim: str
    seal: str
    anchor: str
    files: int
    finding: str
    kill: str
    witnesses: dict[str, str]
    sign_check: str
    null: str
    guarantee: str
    traps: list[str]
    notes: list[str]
    constraints: list[Ruling] = []
    amends: str | None = None
    declared: str | None = None
    floor: str | None = None
    exploratory: bool = False
    next: str


def lock(path: str | os.PathLike[str]) -> SealReport:
    """Seal a study; the object that `tollens lock --json` prints.

    Raises TollensError: exit 3 for everything that a seal refuses, `already_sealed` among it; 20 where version
    control holds another seal of this study.
    """
    folder = study_folder(path)
    with alone(folder):
        ledger = read_ledger(folder / ledgers.FILE)
        seals = ledger.of("seal", "amend")
        if seals or (folder / seal.FILE).exists():
            floor = floor_of(ledger, from_plain(seals[-1].body["manifest"]["study"])) if seals else LEVELS[0]
            raise refused(
                "already_sealed", str(folder), "a study without a seal", "already sealed; use amend",
                f'tollens amend {quoted(path)} --reason "..." --access "{floor}"',
            )  # fmt: skip
        with refusing():
            made, warnings = manifest_of(folder, ledger)
        anchor = anchor_of(folder, seal_hash(made), frozenset({seal_hash(made)}))
        body = {"seal": seal_hash(made), "manifest": msgspec.to_builtins(made)}
        _write(folder, made, "seal", body)
        near, notes = resemblances(folder, from_plain(made.study))
        notes = [*warnings, *unbound_note(folder), *(f"resembles {resemblance_text(one)}" for one in near), *notes]
        report = _report(os.fspath(path), made, anchor, notes)
        data = {entry.sha256 for entry in made.entries}
        seen = [record.body["name"] for record in ledger.of("import") if bears(record, made.study, data)]
        if seen:  # a claim that was written after its result cannot be surprised by it
            notes = [*report.notes, f"imported before the seal: {', '.join(seen)}"]
            report = msgspec.structs.replace(report, exploratory=True, notes=notes)
        return report


def amend(path: str | os.PathLike[str], reason: str, access: Access) -> SealReport:
    """Seal a changed study under the old seal's hash, a reason, and what was known when it was changed.

    Raises TollensError, exit 3: what `lock` refuses; `access_understated` where the ledger shows more than is
    declared; `nothing_amended`. Exit 21 without a seal.
    """
    folder = study_folder(path)
    if placeholder(reason):  # the command that is printed has "..." there
        raise refused("amend_reason", "--reason", "a sentence", repr(reason[:60]), "Say why the study is changed.")
    with alone(folder):
        ledger = read_ledger(folder / ledgers.FILE)
        seals = ledger.of("seal", "amend")
        if not seals:
            raise TollensError(
                "not_sealed", str(folder), expected="a sealed study", found="none in its ledger",
                fix=f"Seal it: tollens lock {quoted(path)}", exit_code=Exit.NOT_SEALED,
            )  # fmt: skip
        old, floor = seals[-1].body["seal"], floor_of(ledger, read_study(claim_text(folder)))
        if LEVELS.index(access) < LEVELS.index(floor):
            raise refused(
                "access_understated", str(folder), f"at least {floor!r}", f"declared {access}; ledger shows {floor}",
                f'Declare it: --access "{floor}"',
            )  # fmt: skip
        with refusing():
            made, warnings = manifest_of(folder, ledger, amends=old)
        before = msgspec.convert(seals[-1].body["manifest"], Manifest)
        if msgspec.structs.replace(made, amends=before.amends, environment=before.environment) == before:
            raise refused("nothing_amended", str(folder), "a study that differs from its seal", "the same", "Edit it.")
        body = {
            "seal": seal_hash(made), "manifest": msgspec.to_builtins(made), "amends": old, "reason": reason.strip(),
            "access": access, "floor": floor,
        }  # fmt: skip
        known = frozenset({*(r.body["seal"] for r in seals), seal_hash(made)})
        anchor = anchor_of(folder, seal_hash(made), known)
        for stale in (DECISION, TRAPS):  # they speak of the old seal, and the ledger keeps what they say
            (folder / stale).unlink(missing_ok=True)
        _write(folder, made, "amend", body, unpaid(ledger.records, seals[-1]))
        seen = access == "results seen" or any(r.body["access"] == "results seen" for r in ledger.of("amend"))
        report = _report(os.fspath(path), made, anchor, warnings)
        return msgspec.structs.replace(
            report, schema="tollens.amend/1", amends=old, declared=access, floor=floor, exploratory=seen
        )


def floor_of(ledger: Ledger, study: Study) -> Access:
    """The least that the owner of this ledger can have seen of the claim of `study`.

    A reading counts from the moment it is in the ledger: it lies there in plain text. What an earlier amendment
    declared cannot be unseen.
    """
    seen = [
        *ledger.of("verdict", "cell.finished", "trap"),
        *(r for r in ledger.of("import") if bears(r, plain(study), ())),
        *(r for r in ledger.of("run.finished") if r.body.get("failed") == "not_scorable"),  # it names the value
        *(r for r in ledger.of("amend") if r.body["access"] == "results seen"),
    ]
    if seen:
        return "results seen"
    return "no results seen" if ledger.of("run.started", "cell.started") else "nothing run"


def amendment(path: str, ledger: Ledger, study: Study) -> str:
    """The command that seals what was changed, with the least access that the ledger allows to be declared."""
    return f'tollens amend {quoted(path)} --reason "..." --access "{floor_of(ledger, study)}"'


def manifest_of(folder: Path, ledger: Ledger, amends: str | None = None) -> tuple[Manifest, list[str]]:
    """The manifest of a study as it lies there, and warnings. Raises TollensError, exit 3.

    `constraint_unmet` where a constraint of the laboratory is triggered and neither evidence nor a waiver lifts it.
    """
    text = claim_text(folder)
    study = read_study(text)
    check_proposal(study)
    check_evidence(folder, study)
    entries, outside = entries_of(folder, study)
    rulings = rulings_of(folder, study, ledger)
    refusal = unmet(os.fspath(folder), rulings or [])
    if refusal is not None:
        raise refusal
    with snapshot(folder, entries, digest([msgspec.to_builtins(entry) for entry in entries])) as private:
        changed = rehashed(private, entries)
        if changed or claim_text(private) != text:
            raise refused(
                "seal_changed", FILE, "files that stay as they are while they are sealed",
                "; ".join(changed) or "another text", "Seal again when nothing writes to the folder.",
            )  # fmt: skip
        registration = registered(private, study)
        chance, examination, traps = sealable(registration)
        for rung in study.rung:
            if rung.numbers is not None:
                linted(private / rung.numbers)  # a table that cannot be read must not wait for the climb
        report, sentence = sign_checked(private, study)
    made = Manifest(
        study=plain(study),
        keys=[*keys_of(tomllib.loads(text))],
        claim=show(registration.claim),
        finding=show(registration.finding),
        kill=show(registration.kill),
        cells=[cell.label for cell in registration.cells],
        traps=traps,
        guarantee=guarantee(chance.stopping),
        null=tau_line(chance.null),
        witnesses=_shown(examination, registration),
        entries=entries,
        outside=dict(outside),
        sign_check=digest(report),
        sign_sentence=sentence,
        environment=machine_lines(),
        amends=amends,
        constraints=msgspec.UNSET if rulings is None else rulings,
    )
    return made, list(examination.warnings)


def _shown(examination: Examination, registration: Registration) -> dict[str, str]:
    sides = {
        "finding": examination.finding,
        "not finding": examination.not_finding,
        "kill": examination.kill,
        "not kill": examination.not_kill,
    }
    return {side: show_witness(witness, registration.domains) for side, witness in sides.items()}


def _write(
    folder: Path, made: Manifest, kind: Literal["seal", "amend"], body: Mapping[str, Any],
    due: Sequence[Mapping[str, Any]] = (),
) -> None:  # fmt: skip
    """`due` are rows of money that only now are known to be nobody else's to write."""
    attributes = folder / GIT_ATTRIBUTES
    held = attributes.read_bytes() if attributes.is_file() else b""
    if PLAIN not in held.splitlines():  # a checkout must not change line ends of what is sealed as binary
        write_whole(attributes, held + (b"" if held.endswith(b"\n") or not held else b"\n") + PLAIN + b"\n")
    writer(folder).append_all([*(("spend", row) for row in due), (kind, body)])
    write_whole(folder / seal.FILE, seal_bytes(made))


def _report(path: str, made: Manifest, anchor: Anchor, warnings: list[str]) -> SealReport:
    return SealReport(
        verdict="SEALED",
        claim=made.study["claim"]["id"],
        seal=seal_hash(made),
        anchor=anchor.text,
        files=len(made.entries),
        finding=made.finding,
        kill=made.kill,
        witnesses=made.witnesses,
        sign_check=made.sign_sentence,
        null=made.null,
        guarantee=made.guarantee,
        traps=made.traps,
        notes=[*warnings, *([anchor.why] if anchor.why else [])],
        constraints=pinned(made.constraints),
        next=f"tollens climb {quoted(path)}",
    )
