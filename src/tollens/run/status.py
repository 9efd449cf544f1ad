"""`status`: what a study is now, from its files and its ledger, without running anything."""

from __future__ import annotations

import os

import msgspec

from tollens.core.errors import Exit, TollensError
from tollens.core.shell import quoted
from tollens.protocol.decision import Decision
from tollens.protocol.ladder import next_command
from tollens.protocol.postmortem import FILE as POSTMORTEM
from tollens.protocol.resemblance import Resemblance
from tollens.protocol.ruling import Ruling
from tollens.protocol.study import FILE as CLAIM
from tollens.protocol.study import read_study
from tollens.record import ledger as ledgers
from tollens.record.ledger import read_ledger
from tollens.run.constraints import pinned, rulings_of, unbound
from tollens.run.evidence import evidence_of
from tollens.run.imports import sealed_imports
from tollens.run.lock import amendment, floor_of
from tollens.run.neighbours import resemblances
from tollens.run.postmortem import PostmortemState, open_postmortem, state_of
from tollens.run.study import Sealed, alone, behind, claim_text, restored, sealed, study_folder


class StatusReport(msgspec.Struct, frozen=True, kw_only=True):
    """What `tollens status --json` prints.

    `state` is DRAFT, SEALED, RUNNING (started and not ended), BLOCKED (a constraint of the laboratory is not met as it
    is now) or the recorded verdict. No reading is shown before a
    verdict: under a sealed stopping rule, looking is part of the rule. `floor` is the access state that an amendment
    must declare at least. `postmortem` is of a killed claim; `resemblances` are of one without a verdict: deaths in
    this laboratory that it looks like, which is no evidence.
    """

    schema: str = "tollens.status/1"
    state: str
    claim: str
    text: str
    seal: str | None
    anchor: str
    floor: str
    amendments: int
    exploratory: bool
    cells_finished: int
    records: int
    torn: bool
    notes: list[str]
    constraints: list[Ruling] = []
    decision: Decision | None
    exit_code: int
    next: str
    postmortem: PostmortemState | None = None
    resemblances: list[Resemblance] = []


def status(path: str | os.PathLike[str], *, check_remote: bool = False) -> StatusReport:
    """The state of a study; the object that `tollens status --json` prints.

    Raises TollensError: `tampered` and `ledger_broken` (20); for a draft, what reading claim.toml raises (3).
    """
    folder = study_folder(path)
    try:
        found = _with_seal(sealed(folder))
    except TollensError as error:
        if error.exit_code is not Exit.NOT_SEALED:
            raise
        study = read_study(claim_text(folder))
        ledger = read_ledger(folder / ledgers.FILE)
        near, notes = resemblances(folder, study)
        rulings = rulings_of(folder, study, ledger) or []
        following = f"tollens lock {quoted(path)}"
        if any(ruling.state == "blocked" for ruling in rulings):  # what would be refused is no command to run next
            following = f"edit {quoted(folder / CLAIM)}, then {following}"
        return StatusReport(
            state="DRAFT", claim=study.claim.id, text=study.claim.text, seal=None, anchor="unanchored",
            floor=floor_of(ledger, study), amendments=0, exploratory=False, cells_finished=0,
            records=len(ledger.records), torn=bool(ledger.torn), notes=notes, decision=None,
            constraints=rulings, exit_code=int(Exit.NOT_SEALED),
            next=following, resemblances=near,
        )  # fmt: skip
    report = _sealed(os.fspath(path), found, evidence_of(found, check_remote=check_remote).text)
    if report.decision is None:
        near, notes = resemblances(folder, found.study)
        return msgspec.structs.replace(report, resemblances=near, notes=[*report.notes, *notes])
    return _explained(report, found, os.fspath(path)) if report.state == "KILLED" else report


def _with_seal(found: Sealed) -> Sealed:
    """With its `seal.json` in place; without where another process is at work there or nobody may write."""
    if behind(found):
        try:
            with alone(found.folder):
                return restored(sealed(found.folder))
        except TollensError as error:
            if error.code not in ("study_busy", "ledger_unwritable"):
                raise
    return found


def _explained(report: StatusReport, found: Sealed, path: str) -> StatusReport:
    """With the state of its post-mortem, which is opened where a climb was killed before it could be."""
    notes = [*report.notes]
    try:
        open_postmortem(found)
    except TollensError as error:
        notes.append(f"postmortem.toml was not opened: {error.found}")
    state = state_of(found)
    following = report.next
    if state.state == "incomplete":
        following = f"edit {quoted(os.path.join(path, POSTMORTEM))}, then tollens record postmortem {quoted(path)}"
    elif state.state != "recorded":
        following = f"tollens record postmortem {quoted(path)}"
    return msgspec.structs.replace(report, postmortem=state, notes=notes, next=following)


def _sealed(path: str, found: Sealed, anchor: str) -> StatusReport:
    decision = None if found.verdict is None else msgspec.convert(found.verdict.body["decision"], Decision)
    runs = found.of("run.started", "run.finished")
    running = bool(runs) and runs[-1].type == "run.started"
    state = decision.verdict if decision else "RUNNING" if running else "SEALED"
    before = pinned(found.manifest.constraints)
    rulings = (rulings_of(found.folder, found.study, found.ledger, before) or []) if decision is None else before
    blocked = [ruling for ruling in rulings if ruling.state == "blocked" and decision is None]
    if blocked:
        state = "BLOCKED"
    notes = [*unbound(rulings, before), *_import_notes(found)]
    if found.ledger.torn:
        notes.append(
            f"the last line of the ledger was never finished ({len(found.ledger.torn)} bytes): it is set aside in "
            f"{ledgers.TORN} with the next record"
        )
    claim = found.manifest.study["claim"]
    return StatusReport(
        state=state,
        claim=claim["id"],
        text=claim["text"],
        seal=found.hash,
        anchor=anchor,
        floor=floor_of(found.ledger, found.study),
        amendments=len(found.before),
        exploratory=found.exploratory,
        cells_finished=len(found.of("cell.finished")),
        records=len(found.ledger.records),
        torn=bool(found.ledger.torn),
        notes=notes,
        constraints=rulings,
        decision=decision,
        exit_code=int(Exit[decision.verdict]) if decision else int(Exit.BLOCKED) if blocked else 0,
        next=amendment(path, found.ledger, found.study) if blocked else _next(decision, anchor, path),
    )


def _import_notes(found: Sealed) -> list[str]:
    """What a climb will say of imported values, or why it will refuse them: status only tells."""
    try:
        return sealed_imports(found)
    except TollensError as error:
        if error.exit_code is not Exit.BLOCKED:
            raise
        return [f"climb will refuse: {error}"]


def _next(decision: Decision | None, anchor: str, path: str) -> str:
    """What is left to do: climb; where that is done, to have the seal held by somebody else."""
    if decision is None:
        return f"tollens climb {quoted(path)}"
    if decision.verdict in ("SURVIVED", "KILLED"):
        if anchor == "unanchored":
            return f"git add {quoted(path)} && git commit -m sealed && git push"
        return f"tollens status {quoted(path)} --check-remote"
    return next_command(decision.verdict, path)
