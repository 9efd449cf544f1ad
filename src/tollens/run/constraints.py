"""The constraints of a laboratory, asked about one study: what is proposed, what speaks for it, who waived what."""

from __future__ import annotations

import datetime
import os
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path, PurePosixPath

import msgspec

from tollens.core.canonical import digest
from tollens.core.errors import TollensError
from tollens.core.shell import quoted
from tollens.core.units import parse_unit
from tollens.lint.check import Outcome
from tollens.lint.registry import INVARIANTS
from tollens.protocol.constraint import Constraint
from tollens.protocol.decision import Decision
from tollens.protocol.requirement import Exhibit, requirement
from tollens.protocol.ruling import Proposal, Ruling, Waiver, rule_on
from tollens.protocol.study import Evidence, Study, refused
from tollens.record.bodies import ImportBody, WaiverBody
from tollens.record.ledger import Ledger
from tollens.run.laboratory import Found, laboratory_of
from tollens.run.lint import lint_files
from tollens.run.plugins import installed
from tollens.run.study import Sealed, sealed

_GONE = "now no tollens.toml has it"


def today() -> datetime.date:
    """The day in UTC."""
    return datetime.datetime.now(datetime.UTC).date()


def rulings_of(
    folder: Path, study: Study, ledger: Ledger, before: Sequence[Ruling] = (), day: datetime.date | None = None
) -> list[Ruling] | None:
    """What every constraint above a study says of it on a day, today by default; None where there is none.

    `before` are the rulings of its seal: evidence that was another record then counts for nothing. Raises TollensError
    `laboratory_syntax`, `constraint_malformed`, exit 2.
    """
    found = laboratory_of(folder)
    constraints = constraints_of(found)
    if not constraints:
        return None
    assert found.root is not None
    pins = {pin.evidence: pin.record for ruling in before for pin in ruling.evidence}
    asked = any(text.startswith("numbers:") for constraint in constraints for text in constraint.require)
    proposal = Proposal(
        attributes=study.proposal,
        exhibits=[_exhibit(folder, found.root, row, ledger, pins) for row in study.evidence],
        numbers=_kinds(folder, study) if asked else frozenset(),
        waivers=[_waiver(r.body) for r in ledger.of("waiver") if r.body["claim"] == study.claim.id],
        day=today() if day is None else day,
        sealed=pins,
    )
    return [rule_on(constraint, proposal) for constraint in constraints]


def constraints_of(found: Found) -> list[Constraint]:
    """All that hold, the nearest file first. Raises TollensError `constraint_malformed`, exit 2."""
    installed()  # a plugin may bring the kind that a requirement names
    for path, _, laboratory in found.files:
        for constraint in laboratory.constraint:
            for text in constraint.require:
                asked = requirement(text)
                if asked.form == "numbers" and asked.name not in INVARIANTS:
                    near = get_close_matches(asked.name, INVARIANTS, n=1, cutoff=0.5)
                    raise TollensError(
                        "constraint_malformed", f"{path}: constraint {constraint.id!r}",
                        expected="a kind of `tollens lint --list`", found=repr(asked.name[:80]),
                        fix=f"Did you mean {near[0]}?" if near else "Name one.",
                    )  # fmt: skip
    return [constraint for _, _, laboratory in found.files for constraint in laboratory.constraint]


def check_evidence(folder: Path, study: Study) -> None:
    """Return if every [[evidence]] names a constraint that holds here, and one thing that may lift it.

    Raises TollensError `constraint_unknown` or `study_field`, exit 3.
    """
    if not study.evidence:
        return
    ids = [constraint.id for constraint in constraints_of(laboratory_of(folder))]
    for place, row in enumerate(study.evidence):
        if row.constraint not in ids:
            raise unknown(f"evidence[{place}].constraint", row.constraint, ids)
        if (row.study is None) == (row.imported is None):
            raise refused(
                "study_field", f"evidence[{place}]", "a study or an import", "both" if row.study else "neither",
                'Write study = "PATH" or imported = "SHA256".',
            )  # fmt: skip


def unknown(subject: str, name: str, ids: Sequence[str]) -> TollensError:
    """Exit 3: no such constraint."""
    near = get_close_matches(name, ids, n=1, cutoff=0.5)
    known = f"Known: {', '.join(ids)}." if ids else "No tollens.toml above the study has a [[constraint]]."
    return refused(
        "constraint_unknown", subject, "the id of a constraint of tollens.toml", repr(name[:64]),
        f"Did you mean {near[0]}?" if near else known,
    )  # fmt: skip


def unmet(path: str, rulings: Sequence[Ruling]) -> TollensError | None:
    """The refusal of a proposal that a constraint blocks, exit 3; None where none does."""
    blocked = [ruling for ruling in rulings if ruling.state == "blocked"]
    if not blocked:
        return None
    first = blocked[0]
    others = f". Blocked by {len(blocked) - 1} more: {', '.join(r.id for r in blocked[1:])}" if blocked[1:] else ""
    return refused(
        "constraint_unmet",
        path,
        f"{first.missing[0]}, or a waiver",
        f"{first.sentence}{others}",
        settles(path, first),
    )


def settles(path: str, ruling: Ruling) -> str:
    """The smallest change that lifts a ruling, and the way on for who has no evidence and takes the risk."""
    return (
        f'{ruling.lifts} At your own risk: tollens record waive {quoted(path)} {ruling.id} --reason "..." --until DAY'
    )


def notes_of(rulings: Sequence[Ruling], before: Sequence[Ruling] = ()) -> list[str]:
    """What the decision repeats: every waiver with its reason, and what bound at the seal (`before`) and now does not.

    A waiver that a seal rests on stays said when the constraint is taken out of its file.
    """
    return [*(ruling.sentence for ruling in rulings if ruling.state == "waived"), *unbound(rulings, before)]


def unbound(rulings: Sequence[Ruling], before: Sequence[Ruling]) -> list[str]:
    """A note for each constraint that was triggered when the study was sealed and that nothing asks any more."""
    now = {ruling.id: ruling.state for ruling in rulings}
    return [
        f"when it was sealed, {ruling.sentence}; {'as it is now it is not triggered' if known else _GONE}"
        for ruling in before
        if ruling.state != "clear" and (known := now.get(ruling.id)) in (None, "clear")
    ]


def _waiver(body: dict[str, object]) -> Waiver:
    made = msgspec.convert(body, WaiverBody)
    return Waiver(made.constraint, made.digest, made.reason, made.until)


def _exhibit(folder: Path, root: Path, row: Evidence, ledger: Ledger, pins: Mapping[str, str]) -> Exhibit:
    if row.study is not None:
        return _study(folder, root, row.constraint, row.study)
    return _import(row.constraint, row.imported or "", ledger, pins)


def _study(folder: Path, root: Path, constraint: str, path: str) -> Exhibit:
    """What a decided study of the laboratory says: nothing where it is not decided, or not as it was sealed."""
    name = f"study {path}"

    def useless(why: str) -> Exhibit:
        return Exhibit(constraint, name, unusable=why)

    if PurePosixPath(path).is_absolute() or "\\" in path or "\0" in path:
        return useless("is no path relative to the study")
    place = Path(os.path.realpath(folder / path))
    if not place.is_relative_to(os.path.realpath(root)):
        return useless("leads out of the laboratory")
    if place == Path(os.path.realpath(folder)):
        return useless("is the study itself")
    try:
        found = sealed(place)
    except TollensError as error:
        return useless(f"{error.code}: {error.found}" if place.is_dir() else "is no folder")
    except OSError as error:
        return useless(f"cannot be read: {error.strerror}")
    if found.verdict is None:
        return useless("has no verdict yet")
    if found.exploratory:
        return useless("is exploratory: it was amended after results had been seen")
    decision = msgspec.convert(found.verdict.body["decision"], Decision)
    if decision.verdict == "VOID":
        return useless("is VOID: a control did not behave")
    return _decided(found, decision, constraint, name)


def _decided(found: Sealed, decision: Decision, constraint: str, name: str) -> Exhibit:
    assert found.verdict is not None
    claim = found.study.claim
    units = {claim.quantity: claim.unit} | {reading: of.unit for reading, of in found.study.readings.items()}
    rows = {
        f"{rung.id} {cell}": readings
        for rung in decision.rungs if rung.verdict not in ("VOID", "BLOCKED")
        for cell, readings in rung.readings.items()
    }  # fmt: skip
    return Exhibit(
        constraint, name, found.verdict.hash, rows, {reading: parse_unit(unit) for reading, unit in units.items()},
        survived=claim.id if decision.verdict == "SURVIVED" else "", says=f"claim {claim.id}, {decision.verdict}",
    )  # fmt: skip


def _import(constraint: str, sha256: str, ledger: Ledger, pins: Mapping[str, str]) -> Exhibit:
    """What a result file says that was imported into this ledger: a row for each record of it.

    Where a seal pinned it, the rows that stood there then: a ledger only grows, so another reading of the same file
    that was imported since is behind them, and changes nothing of what was sealed.
    """
    name = f"imported {sha256}"
    read = [(record.seq, msgspec.convert(record.body, ImportBody)) for record in ledger.of("import")]
    made = [(seq, body) for seq, body in read if body.sha256 == sha256]
    if not made:
        return Exhibit(constraint, name, unusable="no import record of this ledger has this SHA-256")
    whole = _rows(constraint, name, made)
    first = (_rows(constraint, name, made[:many]) for many in range(1, len(made)))
    return next((exhibit for exhibit in first if exhibit.pin == pins.get(name)), whole)


def _rows(constraint: str, name: str, made: Sequence[tuple[int, ImportBody]]) -> Exhibit:
    rows = {f"import {seq}": {body.name: body.value, **body.readings} for seq, body in made}
    says = "; ".join(_of(body) for _, body in made)
    return Exhibit(constraint, name, digest(sorted(rows.values(), key=digest)), rows, says=says)


def _of(body: ImportBody) -> str:
    """Which number of which tool the reading is: its name says only what somebody called it."""
    metric = ",".join(filter(None, (body.metric, body.filter)))
    return f"{body.name} = {body.value:.6g}, task {body.task[:80]!r}, metric {metric[:80]!r}, n = {body.n}"


def _kinds(folder: Path, study: Study) -> frozenset[str]:
    """The kinds of lint that the numbers of a study were checked by; a table that cannot be read has none."""
    kinds: set[str] = set()
    for rung in study.rung:
        if rung.kind != "arithmetic" or rung.numbers is None:
            continue
        try:
            report = lint_files([folder / rung.numbers])
        except TollensError:
            continue
        kinds |= {f.invariant for f in report.findings if f.invariant and f.outcome != Outcome.UNCHECKED}
    return frozenset(kinds)


def pinned(manifest_constraints: list[Ruling] | msgspec.UnsetType) -> list[Ruling]:
    """The rulings of a seal; none of one that was made without a laboratory."""
    return [] if isinstance(manifest_constraints, msgspec.UnsetType) else manifest_constraints
