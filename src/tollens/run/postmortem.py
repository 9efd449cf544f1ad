"""The post-mortem of a killed claim: opened with its verdict, filled in by a person, checked and recorded."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from tollens.core.canonical import file_digest, unix_text
from tollens.core.errors import TollensError
from tollens.core.expression.answer import as_float
from tollens.core.shell import quoted
from tollens.protocol.decision import Decision, RungResult
from tollens.protocol.obstacle import Obstacle, ObstacleKind, classes
from tollens.protocol.postmortem import (
    FILE,
    RENDERED,
    STATEMENTS,
    CellReadings,
    Cost,
    Facts,
    Postmortem,
    Told,
    Violation,
    check_answer,
    check_facts,
    distance_text,
    facts_in,
    opened_text,
    read_postmortem,
    rendered,
    skeleton,
)
from tollens.protocol.readings import judged
from tollens.protocol.registration import Registration
from tollens.protocol.rung import VIOLATIONS, Measured
from tollens.record.bodies import PostmortemBody
from tollens.record.envelope import Envelope
from tollens.run.laboratory import Found, laboratory_of
from tollens.run.study import Sealed, alone, registered, restored, sealed, study_folder, write_new, write_whole, writer
from tollens.subject import file

MOST_BYTES = 1 << 26
State: TypeAlias = Literal["incomplete", "not recorded", "recorded", "edited", "unreadable"]


class PostmortemState(msgspec.Struct, frozen=True, kw_only=True):
    """What `status` says of the post-mortem of a killed claim.

    incomplete    no obstacle is set in postmortem.toml
    not recorded  it is filled in, and the ledger does not have it
    recorded      the ledger has it; `obstacle`, `kind` and `lesson` are those of the record
    edited        postmortem.toml is another file than the one that was recorded
    unreadable    it cannot be read, and nothing was recorded
    """

    state: State
    says: str
    obstacle: str = ""
    kind: ObstacleKind | None = None
    lesson: str = ""


class PostmortemReport(msgspec.Struct, frozen=True, kw_only=True):
    """What `tollens record postmortem --json` prints. `recorded` is false where the ledger had this very file.

    `constraint` is a table to paste into tollens.toml, where one was named that is in none.
    """

    schema: str = "tollens.record.postmortem/1"
    verdict: str
    recorded: bool
    claim: str
    seal: str
    rung: str
    obstacle: str
    kind: ObstacleKind
    says: str
    violation: Violation
    distance: str
    lesson: str
    cost: Cost
    constraint_id: str | None
    constraint: str | None
    file: str
    notes: list[str]
    next: str


@dataclass(frozen=True, slots=True)
class Written:
    """A postmortem.toml that was read: its fields and its SHA-256 as text."""

    made: Postmortem
    digest: str


def facts_of(found: Sealed) -> Facts:
    """What the ledger says of the death of a study. Raises TollensError `postmortem_not_killed`, exit 2."""
    verdict, decision = _killed(found)
    result = next(r for r in decision.rungs if r.id == decision.rung)
    return Facts(
        claim=decision.claim,
        seal=found.hash,
        rung=result.id,
        cell=decision.cell or "",
        rule=decision.rule,
        readings=[CellReadings(cell=label, values=dict(values)) for label, values in result.readings.items()],
        violation=violation_of(registered(found.folder, found.study), result),
        cost=Cost(seconds=decision.spent.seconds, micro=_paid(found, verdict)),
    )


def _killed(found: Sealed) -> tuple[Envelope, Decision]:
    verdict = found.verdict
    if verdict is None or verdict.body["verdict"] != "KILLED":
        said = "no verdict" if verdict is None else f"the verdict {verdict.body['verdict']}"
        raise TollensError(
            "postmortem_not_killed", str(found.folder), expected="a study with the verdict KILLED", found=said,
            fix="A post-mortem is of a killed claim; tollens status says what this one is.",
        )  # fmt: skip
    return verdict, msgspec.convert(verdict.body["decision"], Decision)


def violation_of(registration: Registration, result: RungResult) -> Violation:
    """How far inside the kill rule the recorded readings are: the rule is put through them once more, exactly.

    A rung that judges by itself has no threshold but none: its violation is the number of refuted statements.
    """
    if set(result.readings) == {"claim"}:  # the one cell of an attack that measures nothing
        many = result.readings["claim"][VIOLATIONS]
        return Violation(of=VIOLATIONS, unit=STATEMENTS, distance=many, value=many, threshold=0)
    cells = registration.cells
    if result.look is not None:  # a sequential rule judges the cells that were read, and no others
        cells = tuple(cell for cell in cells if cell.label in result.readings)
    read = {label: Measured(values) for label, values in result.readings.items()}
    witness = judged(registration.kill, registration, cells, read).witness
    if witness is None:
        return Violation(of=result.rule, unit="1")
    if isinstance(witness.value, str) or isinstance(witness.threshold, str) or witness.margin is None:
        return Violation(of=witness.quantity, unit="1", value=str(witness.value), threshold=str(witness.threshold))
    return Violation(
        of=witness.quantity, unit=str(witness.unit), distance=as_float(witness.margin),
        value=as_float(witness.value), threshold=as_float(witness.threshold), open=not witness.certain,
    )  # fmt: skip


def _paid(found: Sealed, verdict: Envelope) -> dict[str, int]:
    """Actual rows and refunds that stood in the ledger before the verdict; an estimate is no spend."""
    paid: dict[str, int] = {}
    for record in found.of("spend"):
        row = record.body
        if record.seq < verdict.seq and row["kind"] in ("actual", "refund"):
            paid[row["currency"]] = paid.get(row["currency"], 0) + int(row["amount_micro"])
    return dict(sorted(paid.items()))


def open_postmortem(found: Sealed) -> bool:
    """Write postmortem.toml where a killed claim has none; True where that was done. One that is there stays.

    One of an earlier seal of this ledger is set aside under the seal's name first. Raises TollensError
    `ledger_unwritable`, and what reading the registration raises.
    """
    verdict = found.verdict
    if verdict is None or verdict.body["verdict"] != "KILLED":
        return False
    path = found.folder / FILE
    if os.path.lexists(path) and not _set_aside(path, found.before):
        return False
    _, decision = _killed(found)
    known = classes_of(_laboratory(found.folder)).values()
    text = opened_text(facts_of(found), decision.text, decision.found, list(known))
    return write_new(path, text.encode())


def _laboratory(folder: Path) -> Found:
    """As `laboratory_of`; a file that cannot be read adds no class to the comments of a new post-mortem."""
    try:
        return laboratory_of(folder)
    except TollensError:
        return Found(())


def _set_aside(path: Path, before: tuple[str, ...]) -> bool:
    """Whether the file was of an earlier seal, and now lies beside under its name."""
    try:
        seal = read_file(path).made.seal
    except TollensError:
        return False
    aside = path.with_name(f"postmortem.{seal[:12]}.toml")
    if seal not in before or os.path.lexists(aside):
        return False
    os.rename(path, aside)
    return True


def classes_of(found: Found) -> dict[str, Obstacle]:
    """Every class that may be named in a study; of two of one name that of the outer tollens.toml."""
    return classes(row for _, _, laboratory in found.files for row in laboratory.obstacle)


def read_file(path: Path) -> Written:
    """Raises TollensError, exit 2: `postmortem_syntax`, for anything but a plain file of text among it."""
    try:
        mode = os.lstat(path).st_mode
    except OSError as error:
        raise _unreadable("a file", error.strerror or "an error") from None
    if not stat.S_ISREG(mode):
        what = "a folder" if stat.S_ISDIR(mode) else "a link" if stat.S_ISLNK(mode) else "no plain file"
        raise _unreadable("a plain file", what)
    try:
        data = file.read(path, MOST_BYTES)
    except TollensError as error:
        raise _unreadable(f"a file of at most {MOST_BYTES >> 20} MiB that can be read", error.found) from None
    try:
        text = unix_text(data).decode("utf-8-sig")
    except ValueError as error:
        raise _unreadable("text in UTF-8", str(error)[:120]) from None
    return Written(read_postmortem(text), file_digest(data, "text"))


def _unreadable(expected: str, found: str) -> TollensError:
    return TollensError(
        "postmortem_syntax", FILE, expected=expected, found=found,
        fix="Move it away, and have the file opened again: tollens status.",
    )  # fmt: skip


def last_recorded(found: Sealed) -> PostmortemBody | None:
    """The post-mortem of this seal that counts: the last one."""
    records = found.of("postmortem")
    return msgspec.convert(records[-1].body, PostmortemBody) if records else None


def state_of(found: Sealed) -> PostmortemState:
    """Where the post-mortem of a killed study stands; nothing is written."""
    body = last_recorded(found)
    try:
        written = read_file(found.folder / FILE)
    except TollensError as error:
        if body is None:
            return PostmortemState(state="unreadable", says=f"{FILE} cannot be read: {error.found}")
        return _recorded(body, "edited", f"{FILE} cannot be read, and was recorded: {error.found}")
    if body is None:
        if not written.made.obstacle.strip():
            return PostmortemState(state="incomplete", says=f"incomplete: set obstacle in {FILE}")
        return PostmortemState(state="not recorded", says="filled in and not recorded")
    if written.digest != body.file:
        return _recorded(body, "edited", f"{FILE} was edited after it was recorded: record it again")
    return _recorded(body, "recorded", f"{body.obstacle} ({_kind(body.kind)}): {body.says}")


def _recorded(body: PostmortemBody, state: State, says: str) -> PostmortemState:
    return PostmortemState(state=state, says=says, obstacle=body.obstacle, kind=body.kind, lesson=body.lesson)


def _kind(kind: ObstacleKind) -> str:
    return "one case, no law" if kind == "none" else kind


def record_postmortem(path: str | os.PathLike[str]) -> PostmortemReport:
    """Check postmortem.toml against the ledger, append it as a record, and write postmortem.md.

    A correction is a new record; the file that was recorded last appends nothing. Raises TollensError:
    `postmortem_not_killed`, `postmortem_syntax`, `postmortem_differs`, `postmortem_incomplete`, `obstacle_unknown`,
    `laboratory_syntax` (2); what reading a sealed study raises (20, 21).
    """
    folder = study_folder(path)
    with alone(folder):
        found = restored(sealed(folder))
        verdict, decision = _killed(found)
        open_postmortem(found)
        written = read_file(folder / FILE)
        made, facts = written.made, facts_of(found)
        check_facts(made, facts)
        laboratory = laboratory_of(folder)
        obstacle = check_answer(made, classes_of(laboratory))
        _check_place(folder / RENDERED)
        body = PostmortemBody(
            seal=found.hash, claim=facts.claim, verdict=verdict.id, rung=facts.rung, violation=facts.violation,
            obstacle=obstacle.id, kind=obstacle.kind, says=obstacle.says, lesson=made.lesson,
            constraint=made.constraint.strip() or None, file=written.digest,
        )  # fmt: skip
        last = last_recorded(found)
        fresh = last is None or last.file != written.digest
        if fresh:
            writer(folder).append("postmortem", msgspec.to_builtins(body))
        told = Told(
            text=decision.text, found=decision.found, anchor=decision.anchor, exploratory=decision.exploratory,
            unspent=decision.unspent, kind=obstacle.kind, says=obstacle.says,
        )  # fmt: skip
        write_whole(folder / RENDERED, rendered(made, told).encode())
    return _report(os.fspath(path), made, body, fresh, laboratory)


def _check_place(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        raise _unreadable(f"a place for {RENDERED}", "a folder of that name")


def _report(path: str, made: Postmortem, body: PostmortemBody, fresh: bool, laboratory: Found) -> PostmortemReport:
    known = {row.id for _, _, tables in laboratory.files for row in tables.constraint}
    missing = body.constraint is not None and body.constraint not in known
    notes = [] if fresh else ["the ledger has this very file: nothing was appended"]
    if missing:
        notes.append(f"no tollens.toml has a constraint {body.constraint}: paste this one and fill it in")
    return PostmortemReport(
        verdict="RECORDED" if fresh else "ALREADY RECORDED", recorded=fresh, claim=body.claim, seal=body.seal,
        rung=body.rung, obstacle=body.obstacle, kind=body.kind, says=body.says, violation=body.violation,
        distance=distance_text(body.violation), lesson=body.lesson, cost=facts_in(made).cost,
        constraint_id=body.constraint, constraint=skeleton(made, path) if missing else None, file=body.file,
        notes=notes, next=f"tollens status {quoted(path)}",
    )  # fmt: skip
