"""One rung: readings asked for one at a time, in the fixed order, until nothing unrun could change the answer.

Trivial pass, kill cells, traps, null, threshold. What a request is, and what it costs, is the business of `ask`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import msgspec

from tollens.core.errors import TollensError
from tollens.core.expression.answer import Answer
from tollens.core.expression.syntax import Rule
from tollens.core.verdict import Verdict
from tollens.protocol.decision import Look, NullResult, RungResult, RungVerdict, TrapResult
from tollens.protocol.interim import interim
from tollens.protocol.null import NullSpec, null_answer
from tollens.protocol.readings import awaited, holds, judged
from tollens.protocol.registration import Cell, Registration, aggregate_of, cell_keys, interval_of, statistic
from tollens.protocol.rung import VIOLATIONS, Arm, Measured, RungKind, traps_of
from tollens.protocol.settle import Undecided, settling, settling_null
from tollens.protocol.stopping import Stopping, may_look
from tollens.protocol.study import ALL, Rung, Trap

Ask: TypeAlias = Callable[[Arm, Cell], Measured]
SAME = 1e-6
"""Relative difference of readings below which a control that changes nothing changed nothing."""


@dataclass(frozen=True, slots=True)
class Chance:
    """What the registration says of chance, parsed once: the null, and when to stop."""

    null: NullSpec
    stopping: Stopping


@dataclass(frozen=True, slots=True)
class RungTask:
    """One rung of a registration, with its kind."""

    registration: Registration
    index: int
    kind: RungKind
    chance: Chance

    @property
    def rung(self) -> Rung:
        return self.registration.study.rung[self.index]

    @property
    def cells(self) -> tuple[Cell, ...]:
        return rung_cells(self.registration, self.index, self.kind)

    @property
    def traps(self) -> tuple[Trap, ...]:
        return traps_of(self.kind, self.rung, self.registration.study.trap)

    @property
    def confirms(self) -> bool:
        """Whether survival here says anything: every cell is measured and the rule is the claim's."""
        return self.kind.judges == "claim" and self.rung.cells == ALL

    @property
    def sequential(self) -> bool:
        """Whether the readings may end before every cell is read."""
        return self.kind.judges == "claim" and self.chance.stopping.rule != "fixed_n"

    @property
    def requests(self) -> int:
        """How many measurements the whole rung asks for, if nothing ends it early."""
        cells = len(self.cells)
        controls = sum(1 if trap.arm in self.kind.same else cells for trap in self.traps)
        draws = self.chance.null.draws * cells if self.confirms else 0
        return cells + controls + draws


def rung_cells(registration: Registration, index: int, kind: RungKind) -> tuple[Cell, ...]:
    """The cells of a rung, hardest first. An attack that judges by itself has one: the claim."""
    if kind.judges == "itself":
        return (Cell("claim", (), registration.study.metric.seeds[0]),)
    return cell_keys(registration.study, index, registration.cells)


@dataclass(slots=True)
class _Run:
    """What has been asked so far."""

    task: RungTask
    ask: Ask
    requests: int = 0
    subject: dict[str, Measured] = field(default_factory=dict)
    traps: list[TrapResult] = field(default_factory=list)
    null: NullResult | None = None
    look: Look | None = None

    def asked(self, arm: Arm, cell: Cell) -> Measured:
        self.requests += 1
        return self.ask(arm, cell)

    def ended(
        self, verdict: RungVerdict, *, reason: str | None = None, answer: Answer | None = None, found: str = "",
        settles: str | None = None,
    ) -> RungResult:  # fmt: skip
        task = self.task
        done = {(trap.arm, trap.must) for trap in self.traps}
        return RungResult(
            id=task.rung.id,
            kind=task.kind.name,
            verdict=verdict,
            confirms=task.confirms,
            reason=reason,
            rule=answer.expected if answer else "",
            found=answer.found if answer else found,
            cell=answer.witness.label if answer and answer.witness else None,
            readings={label: measured.readings for label, measured in self.subject.items()},
            cells=len(self.subject),
            cells_of=len(task.cells),
            requests=self.requests,
            requests_of=task.requests,
            traps=self.traps,
            traps_not_run=[
                f"{trap.arm} (must {trap.must})" for trap in task.traps if (trap.arm, trap.must) not in done
            ],
            null=self.null,
            look=self.look,
            settles=settles,
        )


def attack(task: RungTask, ask: Ask) -> RungResult:
    """Run one rung to its end. Raises what `ask` raises."""
    run = _Run(task, ask)
    for trap in task.traps:
        if trap.must == "survive" and not _fired(run, trap, task.cells):
            return _void(run, trap)
    used, killed = _subject(run)
    if killed is not None:
        return run.ended("KILLED", answer=killed)
    for trap in task.traps:
        if trap.must == "die" and not _fired(run, trap, used):
            return _void(run, trap)
    if task.kind.judges == "itself":
        return run.ended("PASSED", found=next(iter(run.subject.values())).note)
    if not task.confirms:
        return run.ended("PASSED", found=f"{len(used)} of {len(task.registration.cells)} cells measured; none kills")
    return _threshold(run, used)


def _void(run: _Run, trap: Trap) -> RungResult:
    result = run.traps[-1]
    return run.ended(
        "VOID",
        reason="trap_not_fired",
        found=f"{trap.arm} must {trap.must} and came out {result.observed}: {result.found}",
    )


def _subject(run: _Run) -> tuple[Sequence[Cell], Answer | None]:
    """Measure the subject, hardest cell first; the cells measured, and the kill that nothing unrun could undo.

    Under a sequential rule a kill too needs the boundary: looking after every cell would kill a true claim sooner or
    later.
    """
    task = run.task
    subject, cells = Arm(task.registration.study.claim.subject), task.cells
    due: int | None = 1
    for done, cell in enumerate(cells, 1):
        run.subject[cell.label] = run.asked(subject, cell)
        if task.sequential:
            if may_look(task.chance.stopping, done, len(cells)) and _looked(run, cells[:done]):
                assert run.look is not None
                kill = judged(task.registration.kill, task.registration, cells[:done], run.subject)
                return cells[:done], kill if run.look.crossed == "against" and holds(kill) else None
        elif done == due:
            killed = _killed(task, run.subject)
            if killed is not None:
                return cells[:done], killed
            due = _due(task.registration.kill, task, task.registration.cells, run.subject)
    return cells, None


def _looked(run: _Run, used: Sequence[Cell]) -> bool:
    """Whether the stopping rule ends the readings here."""
    task, claim, stopping = run.task, run.task.registration.study.claim, run.task.chance.stopping
    values = [float(run.subject[cell.label].readings[claim.quantity]) for cell in used]
    total = len(task.cells)
    seen = interim(stopping, values, float(claim.value), claim.relation, interval_of(task.registration), total)
    run.look = Look(stopping.rule, seen.crossed, len(used), total, seen.sentence)
    return seen.stop


def _killed(task: RungTask, found: dict[str, Measured]) -> Answer | None:
    if task.kind.judges == "itself":
        measured = next(iter(found.values()))
        return _violations(measured) if measured.readings[VIOLATIONS] > 0 else None
    answer = judged(task.registration.kill, task.registration, task.registration.cells, found)
    return answer if holds(answer) else None


def _due(rule: Rule, task: RungTask, cells: Sequence[Cell], found: dict[str, Measured]) -> int | None:
    """At how many cells the rule is looked at next: sooner, it could not say anything else."""
    more = None if task.kind.judges == "itself" else awaited(rule, task.registration, cells, found)
    return None if more is None else len(found) + more


def _violations(measured: Measured) -> Answer:
    return Answer(Verdict.KILLED, None, f"{VIOLATIONS} > 0", measured.note)


def _fired(run: _Run, trap: Trap, cells: Sequence[Cell]) -> bool:
    """Whether the control came out as it must, by the same code and the same rule as the subject."""
    task = run.task
    observed, found = _same(run, trap, cells[0]) if trap.arm in task.kind.same else _observed(run, trap, cells)
    fired = observed == ("KILLED" if trap.must == "die" else "SURVIVED")
    run.traps.append(TrapResult(task.rung.id, trap.arm, trap.must, observed, fired, found))
    return fired


def _observed(run: _Run, trap: Trap, cells: Sequence[Cell]) -> tuple[str, str]:
    """The verdict of the two rules on a control; it ends early where the rest could not change it.

    On a rung of some cells the others are open, as they are for the subject. Such a rung confirms nothing: a control
    survives it by not being killed.
    """
    task, found = run.task, dict[str, Measured]()
    whole = cells if task.confirms else task.registration.cells
    rules = {"KILLED": task.registration.kill, "SURVIVED": task.registration.finding}
    due: dict[str, int | None] = dict.fromkeys(rules, 1)
    for done, cell in enumerate(cells, 1):
        found[cell.label] = run.asked(Arm(trap.arm), cell)
        if task.kind.judges == "itself":
            measured = found[cell.label]
            return ("KILLED" if measured.readings[VIOLATIONS] > 0 else "SURVIVED"), measured.note
        for verdict, rule in rules.items():
            if done == due[verdict]:
                answer = judged(rule, task.registration, whole, found)
                if holds(answer):
                    return verdict, answer.found
                due[verdict] = _due(rule, task, whole, found)
    if not task.confirms:
        return "SURVIVED", f"{len(cells)} of {len(whole)} cells measured; no kill that the others could not undo"
    return "UNDETERMINED", judged(task.registration.finding, task.registration, whole, found).found


def _same(run: _Run, trap: Trap, cell: Cell) -> tuple[str, str]:
    before = run.ask(Arm(run.task.registration.study.claim.subject), cell).readings
    after = run.asked(Arm(trap.arm), cell).readings
    for name, value in before.items():
        if not math.isclose(value, after[name], rel_tol=SAME, abs_tol=SAME * 1e-3):
            return (
                "KILLED",
                f"{name} at {cell.label} reads {value:.6g}, and {after[name]:.6g} where nothing was changed",
            )
    return "SURVIVED", f"{cell.label} reads the same where nothing was changed"


def _threshold(run: _Run, used: Sequence[Cell]) -> RungResult:
    """The null, then the finding. Neither a null that reaches the claim nor an open rule is a survival."""
    task = run.task
    study, registration = task.registration.study, task.registration
    observed = statistic(study, [run.subject[cell.label].readings[study.null.statistic] for cell in used])
    draws = []
    for number in range(task.chance.null.draws):
        arm = Arm(study.null.generator, number)
        draws.append(statistic(study, [run.asked(arm, cell).readings[study.null.statistic] for cell in used]))
    answer = null_answer(observed, draws, task.chance.null)
    run.null = NullResult(
        task.rung.id, observed, answer.tau, answer.p, answer.level, answer.exceeded, answer.sentence, draws
    )
    finding = judged(registration.finding, registration, used, run.subject)
    if not answer.exceeded:
        settles = settling_null(task.chance.null, answer)
        return run.ended("UNDETERMINED", reason="null_not_exceeded", found=answer.sentence, settles=settles)
    if run.look is not None and run.look.crossed != "for":
        found = run.look.sentence
        return run.ended("UNDETERMINED", reason="boundary_not_crossed", found=found, settles=_settles(run, used))
    if holds(finding):
        return run.ended("SURVIVED", answer=finding)
    return run.ended("UNDETERMINED", reason="neither_rule", answer=finding, settles=_settles(run, used))


def _settles(run: _Run, used: Sequence[Cell]) -> str:
    study = run.task.registration.study
    claim = study.claim
    values = [float(run.subject[cell.label].readings[claim.quantity]) for cell in used]
    fold = aggregate_of(study)[0]
    asked = Undecided(
        values,
        float(claim.value),
        claim.relation,
        float(study.null.level),
        aggregate=fold,
        observed=None if fold == "mean" else statistic(study, values),
        tolerance=None if claim.tolerance is None else float(claim.tolerance),
        unit=claim.unit,
    )
    try:
        return settling(asked)
    except TollensError as error:  # numbers too large to be squared must not cost a verdict that was paid for
        return f"n cannot be computed: {error.found}"


def priced(result: RungResult, seconds: float, usd_micro: int) -> RungResult:
    """The result with what it cost."""
    return msgspec.structs.replace(result, seconds=seconds, usd_micro=usd_micro)
