"""What would settle a claim that is undetermined: how many cells, how many draws of the null, or something else."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from tollens.core.errors import TollensError
from tollens.protocol.null import NullAnswer, NullSpec, minimum_draws, rank
from tollens.stats.domain import between, sample
from tollens.stats.power import MOST, n_paired_t

POWER = 0.8
_NAMED = 5
_CLEAR = 1e6  # standard deviations; farther apart, two cells suffice at any level in use


@dataclass(frozen=True, slots=True)
class Undecided:
    """A claim `aggregate relation value` that neither rule decided.

    values      (n,) of the cells that were measured, in `unit`
    value       of the claim; `tolerance` where the relation is within
    level       sealed, one side, in (0, 0.8)
    aggregate   mean, min, max, quantile, all or any
    observed    the aggregate of the values, None where it is their mean
    unmeasured  labels of cells whose value is undefined or was not run
    noun        what one value belongs to, such as cell or seed
    """

    values: Sequence[float]
    value: float
    relation: str
    level: float
    aggregate: str = "mean"
    observed: float | None = None
    tolerance: float | None = None
    unit: str = "1"
    unmeasured: tuple[str, ...] = ()
    noun: str = "cell"


def settling(asked: Undecided) -> str:
    """One sentence: what to collect, how much of it, and under which assumptions; or that no number can be given.

    The number has 80 % power at the sealed level, by the one-sample t test (Cohen 1988), if the truth is what was
    observed. Raises: TollensError `stats_input` for values that are not finite or a level outside (0, 0.8).
    """
    noun, level = asked.noun, between("the level", asked.level, 0.0, POWER)
    if asked.unmeasured:
        return (
            f"Measure {_listed(asked.unmeasured)}: the unmeasured {noun}s decide, and more of the others cannot "
            "stand in for them."
        )
    x = sample("the values", asked.values, 0)
    if x.size < 2:
        return (
            f"n cannot be computed: {x.size} {noun}{'s' if x.size != 1 else ''} show no spread; measure at least 2, "
            "better 5."
        )
    observed = float(x.mean()) if asked.observed is None else between("the aggregate", asked.observed, -1e100, 1e100)
    distance, threshold = _distance(observed, asked)
    top = float(np.abs(x).max())  # squares of values of 1e-160 are zero
    spread = 0.0 if float(np.ptp(x)) == 0.0 else top * float((x / top).std(ddof=1))
    at, near = f"{observed:.4g}{_unit(asked)}", f"{threshold:.4g}{_unit(asked)}"
    if distance == 0.0:
        return (
            f"n cannot be computed: the {asked.aggregate} is {at}, at the threshold itself, and no number of {noun}s "
            "tells two equal values apart; state the smallest difference that matters and claim that."
        )
    if spread == 0.0:
        return (
            f"n cannot be computed: all {x.size:,} {noun}s read {float(x[0]):.4g}{_unit(asked)}, so that nothing shows "
            f"how far another would lie; vary what a {noun} samples, or narrow the gap between finding and kill."
        )
    try:
        n = math.ceil(n_paired_t(min(distance / spread, _CLEAR), POWER, level, sides=1))
    except TollensError as error:
        if error.subject not in ("d", "the effect"):
            raise
        return (
            f"n cannot be computed: {at} lies so near to {near} that over {MOST:.0e} {noun}s would be needed; state "
            "the smallest difference that matters and claim that."
        )
    return _sentence(asked, n, x.size, spread, (at, near))


def settling_null(spec: NullSpec, answer: NullAnswer) -> str:
    """What would settle a claim whose value does not lie beyond the null: draws, where they are too few for the level.

    Raises: TollensError `null_field` for an order that means nothing.
    """
    k = rank(spec)
    least = minimum_draws(k, Fraction(spec.level))
    if spec.draws < least:
        return (
            f"Draw the null {least:,} times ({least - spec.draws:,} more): of {spec.draws:,} draws the {spec.order} "
            f"has level {answer.level:.3g}, and level {spec.level} needs {least:,}."
        )
    return (
        f"More draws of the null cannot settle it: {spec.draws:,} are enough for level {spec.level}, and chance alone "
        f"reaches the observed value (p = {answer.p:.3g}); measure the effect more exactly, or claim a larger one."
    )


def _sentence(asked: Undecided, n: int, read: int, spread: float, shown: tuple[str, str]) -> str:
    noun, (at, near) = asked.noun, shown
    terms = (
        f"80 % power at level {asked.level:g}, one-sided t test, if the {{}} is {at}, the {{}} are independent and "
        f"normal, and their standard deviation is {spread:.4g}{_unit(asked)}"
    )
    if asked.aggregate != "mean":
        why = (
            f"No number of {noun}s follows from their spread for a quantile"
            if asked.aggregate == "quantile"
            else f"More {noun}s move {asked.aggregate} one way or not at all, so that no number of them settles it"
        )
        return (
            f"{why}; repeat the {noun} that decides about {n:,} times to tell {at} from {near} "
            f"({terms.format('truth there', 'repeats')}, as among the {noun}s)."
        )
    conditions = terms.format("true mean", f"{noun}s")
    if n <= read:
        return (
            f"More {noun}s will not settle it: {n:,} suffice to tell {at} from {near} and {read:,} were read "
            f"({conditions}); the mean lies between what finding asks and what kill asks."
        )
    return f"About {n:,} {noun}s, {n - read:,} more than were read, would tell {at} from {near} ({conditions})."


def _distance(observed: float, asked: Undecided) -> tuple[float, float]:
    """How far the aggregate lies from the nearest threshold, and that threshold."""
    width = asked.tolerance or 0.0
    ends = (asked.value - width, asked.value + width)
    threshold = min(ends, key=lambda end: abs(observed - end))
    return abs(observed - threshold), threshold


def _unit(asked: Undecided) -> str:
    return "" if asked.unit == "1" else f" {asked.unit}"


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more:,} more" if more > 0 else "")
