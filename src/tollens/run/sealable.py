"""What can be sealed: rules, null, stopping rule, controls and ladder that can keep what they promise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from tollens.core.expression.check import atoms
from tollens.core.expression.examine import Examination, examine
from tollens.core.expression.ranges import Support
from tollens.core.expression.syntax import Aggregate, Fold, Quantified, Rule, show
from tollens.protocol.attack import Chance
from tollens.protocol.null import NullSpec, check_null
from tollens.protocol.order import Priced, check_ladder
from tollens.protocol.readings import holds, judged
from tollens.protocol.registration import Registration, aggregate_of, cell_keys, interval_of
from tollens.protocol.rung import Measured, traps_of
from tollens.protocol.stopping import check as check_stopping
from tollens.protocol.stopping import read_stopping
from tollens.protocol.study import ALL, Rung, Study, Trap, refused
from tollens.run.rungs import rung_named


def sealable(registration: Registration) -> tuple[Chance, Examination, list[str]]:
    """The chance and the examination of a registration, and "rung: arm must fate" of each of its controls.

    Raises TollensError, exit 3, for the first thing that cannot be sealed.
    """
    check_direction(registration.study)
    chance = chance_of(registration)
    traps = check_rungs(registration, chance)
    examination = examine(registration.finding, registration.kill, registration.claim, registration.domains)
    check_partial(registration, examination)
    return chance, examination, traps


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


def check_direction(study: Study) -> None:
    """A claim that is met by getting worse is the commonest slip, and the cheapest to see."""
    claim = study.claim
    better = {"higher_is_better": (">", ">="), "lower_is_better": ("<", "<="), "target": ("within",)}[claim.direction]
    if claim.relation not in better and claim.relation != "within":
        raise refused(
            "sign_reversed", "claim.relation", f"{' or '.join(better)} where {claim.direction.replace('_', ' ')}",
            f"SIGN REVERSED  {claim.quantity} {claim.relation} {claim.value}", "Correct the relation or the direction.",
        )  # fmt: skip


def check_rungs(registration: Registration, chance: Chance) -> list[str]:
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
    idle = _never_run(study)
    if idle is not None:
        raise refused(
            "study_field", f"trap {idle.arm}", "a rung that runs it", "none", "Bind it to another rung, or remove it."
        )
    check_ladder([_unpriced(rung) for rung in study.rung])
    if chance.stopping.rule != "fixed_n":
        check_sequential(registration)
    return said


def _never_run(study: Study) -> Trap | None:
    """A declared control that no rung would run: nobody would notice it missing."""
    run = {trap for rung in study.rung for trap in traps_of(rung_named(rung.kind), rung, study.trap)}
    return next((trap for trap in study.trap if trap not in run), None)


def check_sequential(registration: Registration) -> None:
    """A rule that may end early bounds the error of one mean over cells in one order, and of nothing else.

    Raises TollensError `stopping_field`, exit 3: for a finding or a kill of anything but that mean, for cells that go
    first, and for a rung of some cells.
    """
    study = registration.study
    for role, rule in (("finding", registration.finding), ("kill", registration.kill)):
        if not _of_the_mean(rule, registration.quantity):
            raise refused(
                "stopping_field", f"rules.{role}", f"mean({registration.quantity}) alone, where reading may end early",
                show(rule), 'Write rule = "fixed_n", or compare the mean alone.',
            )  # fmt: skip
    for rung in study.rung:
        if rung_named(rung.kind).judges == "claim" and (rung.hardest or rung.cells != ALL):
            raise refused(
                "stopping_field", f"rung {rung.id}", "every cell in the sealed order where reading may end early",
                "cells that are chosen or go first", 'Write rule = "fixed_n", or leave out hardest and cells.',
            )  # fmt: skip


def _of_the_mean(rule: Rule, quantity: str) -> bool:
    for atom in atoms(rule):
        if isinstance(atom, Quantified):
            return False
        for term in (*atom.left.terms, *atom.right.terms):
            if term.atom is None:
                continue
            if not isinstance(term.atom, Aggregate) or (term.atom.fold, term.atom.name) != (Fold.MEAN, quantity):
                return False
    return True


def check_partial(registration: Registration, examination: Examination) -> None:
    """A rung of some cells must be able to kill with them, whatever the others would read.

    Its cells are given the readings of a kill, then either end of the support. Raises TollensError
    `rung_cannot_kill`, exit 3, where none of these decides.
    """
    study = registration.study
    for index, rung in enumerate(study.rung):
        if rung_named(rung.kind).judges != "claim" or rung.cells == ALL:
            continue
        places = {cell.label: place for place, cell in enumerate(registration.cells)}
        cells = cell_keys(study, index, registration.cells)
        trials: list[Mapping[str, Sequence[float]]] = [
            {name: [float(v) for v in values] for name, values in examination.kill.items()}
        ]
        ends = {name: _ends(domain.support) for name, domain in registration.domains.items()}
        trials += [{name: [pair[side]] * len(places) for name, pair in ends.items()} for side in (0, 1)]
        tried = [
            {cell.label: Measured({n: _at(trial, n, places[cell.label], ends) for n in ends}) for cell in cells}
            for trial in trials
        ]
        if not any(holds(judged(registration.kill, registration, registration.cells, found)) for found in tried):
            raise refused(
                "rung_cannot_kill", f"rung {rung.id}", "cells with which kill can be certain",
                f"{len(cells)} of {len(places)}, and the others could always undo it",
                'Write kill = "any(...)", or cells = "all".',
            )  # fmt: skip


def _at(trial: Mapping[str, Sequence[float]], name: str, place: int, ends: Mapping[str, tuple[float, float]]) -> float:
    """The tried reading; a name that the kill does not speak of may be anything."""
    return trial[name][place] if name in trial else ends[name][0]


def _ends(support: Support) -> tuple[float, float]:
    """Two values far apart inside the support."""
    if support.values is not None:
        numbers = [v for v in support.values if not isinstance(v, str)]
        return float(min(numbers)), float(max(numbers))
    return max(support.low, -1e12), min(support.high, 1e12)


def _unpriced(rung: Rung) -> Priced:
    q = rung.kill_probability
    return Priced(id=rung.id, requires=tuple(rung.requires), cost=1.0, probability=q.value, source=q.source)
