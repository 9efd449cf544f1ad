"""`tollens stats power`: how many units a design needs, or what power it has with those it gets."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import msgspec

from tollens.core.errors import TollensError
from tollens.stats.domain import whole
from tollens.stats.equivalence import tost_power, tost_sample_size
from tollens.stats.power import (
    FORMULAS,
    MOST,
    Formula,
    n_eval_items,
    n_paired_t,
    n_two_proportions,
    n_two_sample_t,
    power_eval_items,
    power_paired_t,
    power_two_proportions,
    power_two_sample_t,
)
from tollens.stats.registry import STATISTICS

Design: TypeAlias = Literal["two-sample", "paired", "proportions", "eval", "equivalence"]
GRID = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.99)
NEEDS: dict[Design, tuple[str, ...]] = {
    "two-sample": ("effect",),
    "paired": ("effect",),
    "proportions": ("p1", "p2", "formula"),
    "eval": ("variance", "difference"),
    "equivalence": ("psi", "margin"),
}
UNIT: dict[Design, str] = {
    "two-sample": "a group",
    "paired": "pairs",
    "proportions": "an arm",
    "eval": "items",
    "equivalence": "pairs",
}


class PowerQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked: a design, its effect, and either `n` or `power`, with the level `alpha` and one or two sides.

    `effect` is the standardised difference of a t test; `p1`, `p2` are rates in [0, 1] and `formula` one of
    null-variance, pooled, unpooled, arcsine; `variance` and `difference` are those of paired item scores; `psi`
    is the share of discordant pairs, `margin` that of equivalence, in rate units.
    """

    design: Design
    effect: float | None = None
    p1: float | None = None
    p2: float | None = None
    formula: Formula | None = None
    variance: float | None = None
    difference: float | None = None
    psi: float | None = None
    margin: float | None = None
    n: int | None = None
    power: float | None = None
    alpha: float = 0.05
    sides: int = 2


class Point(msgspec.Struct, frozen=True):
    """`power` with `n` units."""

    n: float
    power: float


class PowerReport(msgspec.Struct, frozen=True, kw_only=True):
    """What `tollens stats power --json` prints. `n_exact` is the real number that `n` rounds up, None where the
    formula gives whole units or the power was asked for."""

    schema: str = "tollens.stats.power/1"
    headline: str
    question: PowerQuestion
    n: int
    n_exact: float | None
    power: float
    unit: str
    guarantee: str
    references: list[str]
    curve: list[Point]


@dataclass(frozen=True, slots=True)
class _Pair:
    """The two inverse functions of a design, and the name under which its guarantee is registered."""

    n: Callable[[float], float]
    power: Callable[[int], float]
    name: str


def power(question: PowerQuestion) -> PowerReport:
    """Answer the question. Raises: TollensError `stats_unnamed` for what is not stated, `stats_input` for values
    that are none, `bad_option` for both or neither of n and power and for what the design does not use.
    """
    if (question.n is None) == (question.power is None):
        raise TollensError(
            "bad_option", "--n and --power", expected="one of the two",
            found="both" if question.n is not None else "neither",
            fix="Give --power for the number of units, or --n for the power.",
        )  # fmt: skip
    missing = [name for name in NEEDS[question.design] if getattr(question, name) is None]
    if missing:
        raise TollensError(
            "stats_unnamed", f"the {question.design} design", expected=", ".join(NEEDS[question.design]),
            found=f"nothing for {', '.join(missing)}", fix=f"Give {' '.join(f'--{name}' for name in missing)}."
            + (f" The formulas: {', '.join(FORMULAS)}." if "formula" in missing else ""),
        )  # fmt: skip
    meant = {name for names in NEEDS.values() for name in names} - set(NEEDS[question.design])
    idle = [name for name in sorted(meant) if getattr(question, name) is not None]
    if question.design == "equivalence" and question.sides != 2:
        idle.append("sides")  # the two tests are one-sided each
    if idle:
        raise TollensError(
            "bad_option", f"the {question.design} design", expected=", ".join(NEEDS[question.design]),
            found=", ".join(idle), fix=f"Leave out {' '.join(f'--{name}' for name in idle)}: nothing depends on it.",
        )  # fmt: skip
    pair = _pair(question)
    if question.power is not None:
        real = pair.n(question.power)
        n = max(1, math.ceil(real - 1e-9 * real))
        exact = None if isinstance(real, int) else real
    else:
        assert question.n is not None
        exact, n = None, whole("n", question.n, 1, MOST)
    found = pair.power(n)
    made = STATISTICS[pair.name]
    unit = UNIT[question.design]
    headline = f"{n:,} {unit} give power {found:.4g}" if question.n is None else f"power {found:.4g} with {n:,} {unit}"
    return PowerReport(
        headline=headline, question=question, n=n, n_exact=exact, power=found, unit=unit, guarantee=made.guarantee,
        references=list(made.references), curve=_curve(pair, question.alpha, n),
    )  # fmt: skip


def _curve(pair: _Pair, alpha: float, n: int) -> list[Point]:
    """The design over the powers of `GRID`, and at `n`."""
    points = {}
    for wanted in GRID:
        if wanted > alpha:
            size = max(1, math.ceil(pair.n(wanted)))
            points[size] = Point(size, pair.power(size))
    points[n] = Point(n, pair.power(n))
    return [points[size] for size in sorted(points)]


def _pair(q: PowerQuestion) -> _Pair:
    a, sides = q.alpha, q.sides
    if q.design == "two-sample":
        d = q.effect or 0.0
        return _Pair(
            lambda w: n_two_sample_t(d, w, a, sides=sides), lambda n: power_two_sample_t(d, n, a, sides=sides),
            "power_two_sample_t",
        )  # fmt: skip
    if q.design == "paired":
        d = q.effect or 0.0
        return _Pair(
            lambda w: n_paired_t(d, w, a, sides=sides), lambda n: power_paired_t(d, n, a, sides=sides), "power_paired_t"
        )
    if q.design == "proportions":
        p1, p2, formula = q.p1 or 0.0, q.p2 or 0.0, q.formula
        return _Pair(
            lambda w: n_two_proportions(p1, p2, w, a, formula=formula, sides=sides),
            lambda n: power_two_proportions(p1, p2, n, a, formula=formula, sides=sides),
            "power_two_proportions",
        )
    if q.design == "eval":
        v, d = q.variance or 0.0, q.difference or 0.0
        return _Pair(
            lambda w: n_eval_items(v, d, w, a, sides=sides), lambda n: power_eval_items(v, d, n, a, sides=sides),
            "n_eval_items",
        )  # fmt: skip
    psi, margin = q.psi or 0.0, q.margin or 0.0
    return _Pair(
        lambda w: tost_sample_size(psi, margin, w, alpha=a), lambda n: tost_power(psi, margin, n, alpha=a), "tost_power"
    )
