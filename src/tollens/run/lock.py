"""`lock` and `amend`: everything that decides a verdict is checked, hashed and written down before it is run."""

from __future__ import annotations

import math
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import msgspec

from tollens.core.canonical import digest
from tollens.core.errors import Exit, TollensError
from tollens.core.expression.examine import Examination, examine, show_witness
from tollens.core.expression.syntax import show
from tollens.protocol import seal
from tollens.protocol.attack import Chance
from tollens.protocol.null import NullSpec, check_null, tau_line
from tollens.protocol.order import Priced, check_ladder
from tollens.protocol.registration import Registration, aggregate_of, interval_of
from tollens.protocol.rung import traps_of
from tollens.protocol.seal import Manifest, keys_of, seal_bytes, seal_hash
from tollens.protocol.stopping import check as check_stopping
from tollens.protocol.stopping import guarantee, read_stopping
from tollens.protocol.study import ALL, Rung, Study, plain, read_study, refused, refusing
from tollens.record import ledger as ledgers
from tollens.record.ledger import Ledger, read_ledger
from tollens.run.anchor import Anchor, anchor_of
from tollens.run.machine import machine_lines
from tollens.run.rungs import rung_named
from tollens.run.sign import sign_checked
from tollens.run.snapshot import snapshot
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

Access: TypeAlias = Literal["nothing run", "no results seen", "results seen"]
LEVELS: tuple[Access, ...] = get_args(Access)
GIT_ATTRIBUTES = ".gitattributes"
PLAIN = "* -text\n"


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
        if ledger.of("seal", "amend") or (folder / seal.FILE).exists():
            raise refused(
                "already_sealed", str(folder), "a study without a seal", "already sealed; use amend",
                f'tollens amend {folder} --reason "..." --access "nothing run"',
            )  # fmt: skip
        with refusing():
            made, warnings = manifest_of(folder)
        anchor = anchor_of(folder, seal_hash(made), frozenset({seal_hash(made)}))
        body = {"seal": seal_hash(made), "manifest": msgspec.to_builtins(made)}
        _write(folder, made, "seal", body)
        return _report(os.fspath(path), made, anchor, warnings)


def amend(path: str | os.PathLike[str], reason: str, access: Access) -> SealReport:
    """Seal a changed study under the old seal's hash, a reason, and what was known when it was changed.

    Raises TollensError, exit 3: what `lock` refuses; `access_understated` where the ledger shows more than is
    declared; `nothing_amended`. Exit 21 without a seal.
    """
    folder = study_folder(path)
    if not reason.strip():
        raise refused("amend_reason", "--reason", "a sentence", "nothing", "Say why the study is changed.")
    with alone(folder):
        ledger = read_ledger(folder / ledgers.FILE)
        seals = ledger.of("seal", "amend")
        if not seals:
            raise TollensError(
                "not_sealed", str(folder), expected="a sealed study", found="none in its ledger",
                fix=f"Seal it: tollens lock {folder}", exit_code=Exit.NOT_SEALED,
            )  # fmt: skip
        old, floor = seals[-1].body["seal"], floor_of(ledger)
        if LEVELS.index(access) < LEVELS.index(floor):
            raise refused(
                "access_understated", str(folder), f"at least {floor!r}", f"declared {access}; ledger shows {floor}",
                f'Declare it: --access "{floor}"',
            )  # fmt: skip
        with refusing():
            made, warnings = manifest_of(folder, amends=old)
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
        _write(folder, made, "amend", body)
        seen = access == "results seen" or any(r.body["access"] == "results seen" for r in ledger.of("amend"))
        report = _report(os.fspath(path), made, anchor, warnings)
        return msgspec.structs.replace(
            report, schema="tollens.amend/1", amends=old, declared=access, floor=floor, exploratory=seen
        )


def floor_of(ledger: Ledger) -> Access:
    """The least that the owner of this ledger can have seen.

    A reading counts from the moment it is in the ledger: it lies there in plain text.
    """
    if ledger.of("verdict", "cell.finished", "trap", "run.finished"):
        return "results seen"
    return "no results seen" if ledger.of("run.started", "cell.started") else "nothing run"


def manifest_of(folder: Path, amends: str | None = None) -> tuple[Manifest, list[str]]:
    """The manifest of a study as it lies there, and warnings. Raises TollensError, exit 3."""
    text = claim_text(folder)
    study = read_study(text)
    entries, outside = entries_of(folder, study)
    registration = registered(folder, study)
    _check_direction(study)
    chance = chance_of(registration)
    traps = _check_rungs(registration)
    check_ladder([_unpriced(rung) for rung in study.rung])
    examination = examined(registration)
    with snapshot(folder, entries, digest([msgspec.to_builtins(entry) for entry in entries])) as private:
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
    )
    return made, list(examination.warnings)


def chance_of(registration: Registration) -> Chance:
    """The null and the stopping rule, parsed. Raises TollensError, exit 3, where they promise what they cannot keep."""
    study = registration.study
    claim, null = study.claim, study.null
    support = registration.domains[null.statistic].support
    spec = NullSpec(
        draws=null.draws,
        order=null.order,
        level=null.level,
        direction=claim.direction,
        value=float(claim.value) if claim.direction == "target" else None,
        margin=null.margin,
        true_zero=null.true_zero,
        lowest=None if math.isinf(support.low) else support.low,
    )
    check_null(spec)
    stopping = read_stopping(study.stopping)
    check_stopping(
        stopping,
        len(registration.cells),
        interval_of(registration),
        value=float(claim.value),
        aggregate=aggregate_of(study)[0],
        relation=claim.relation,
    )
    return Chance(spec, stopping)


def _shown(examination: Examination, registration: Registration) -> dict[str, str]:
    sides = {
        "finding": examination.finding,
        "not finding": examination.not_finding,
        "kill": examination.kill,
        "not kill": examination.not_kill,
    }
    return {side: show_witness(witness, registration.domains) for side, witness in sides.items()}


def examined(registration: Registration) -> Examination:
    """Finding and kill can fire, can fail, exclude each other, and the finding says what the claim says."""
    return examine(registration.finding, registration.kill, registration.claim, registration.domains)


def _check_direction(study: Study) -> None:
    """A claim that is met by getting worse is the commonest slip, and the cheapest to see."""
    claim = study.claim
    better = {"higher_is_better": (">", ">="), "lower_is_better": ("<", "<="), "target": ("within",)}[claim.direction]
    if claim.relation not in better and claim.relation != "within":
        raise refused(
            "sign_reversed", "claim.relation", f"{' or '.join(better)} where {claim.direction.replace('_', ' ')}",
            f"SIGN REVERSED  {claim.quantity} {claim.relation} {claim.value}", "Correct the relation or the direction.",
        )  # fmt: skip


def _check_rungs(registration: Registration) -> list[str]:
    """Every rung has a kind, an order and both traps; "rung: arm must fate" of each trap."""
    study, said = registration.study, []
    for rung in study.rung:
        kind = rung_named(rung.kind)
        needs = {"cpu": study.metric.file, "weights": study.metric.instrument}.get(rung.kind, "")
        if needs is None:
            raise refused(
                "study_field", f"rung {rung.id}", f"a metric that a rung of kind {rung.kind} can measure", "another",
                "Give metric.file for cpu, metric.instrument for weights.",
            )  # fmt: skip
        traps = traps_of(kind, rung, study.trap)
        absent = [fate for fate in ("die", "survive") if fate not in {trap.must for trap in traps}]
        if absent:
            raise refused(
                "trap_missing", f"rung {rung.id}", "a trap that must die and one that must survive",
                f"none that must {absent[0]}", f'Add [[trap]] arm = "...", must = "{absent[0]}".',
            )  # fmt: skip
        known = kind.arms
        if kind.judges == "claim" and known is not None:
            for where, name in [*((f"trap {t.arm}", t.arm) for t in traps), ("null.generator", study.null.generator)]:
                if name not in known:
                    raise refused("study_field", where, f"one of {', '.join(sorted(known))}", name, "Correct the name.")
        if rung.kind == "arithmetic" and rung.numbers is None:
            raise refused("study_missing", f"rung {rung.id}.numbers", "a table", "nothing", 'numbers = "numbers.toml"')
        said += [f"{rung.id}: {trap.arm} must {trap.must}" for trap in traps]
    if not any(rung_named(rung.kind).judges == "claim" and rung.cells == ALL for rung in study.rung):
        raise refused(
            "study_missing", "[[rung]]", "a rung that measures every cell", "none: the finding can never be reached",
            'Add a rung of kind cpu or weights with cells = "all".',
        )  # fmt: skip
    return said


def _unpriced(rung: Rung) -> Priced:
    q = rung.kill_probability
    return Priced(id=rung.id, requires=tuple(rung.requires), cost=1.0, probability=q.value, source=q.source)


def _write(folder: Path, made: Manifest, kind: Literal["seal", "amend"], body: Mapping[str, Any]) -> None:
    attributes = folder / GIT_ATTRIBUTES
    held = attributes.read_text(encoding="utf-8") if attributes.is_file() else ""
    if PLAIN not in held:  # a checkout must not change line ends of what is sealed as binary
        write_whole(attributes, (held + PLAIN).encode())
    writer(folder).append(kind, body)
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
        next=f"tollens climb {path}",
    )
