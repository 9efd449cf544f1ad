"""Power of a planned test, and the number of units that reaches a wanted power."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from scipy.special import gammaincc, nctdtr, ndtr, ndtri, stdtrit

from tollens.core.errors import TollensError
from tollens.stats.domain import LARGEST, between, level, positive, refuse
from tollens.stats.registry import Known, statistic
from tollens.stats.root import bracketed_root

Formula: TypeAlias = Literal["null-variance", "pooled", "unpooled", "arcsine"]
FORMULAS: tuple[Formula, ...] = ("null-variance", "pooled", "unpooled", "arcsine")
_COHEN = "Cohen 1988, Statistical Power Analysis for the Behavioral Sciences"
_FLEISS = "Fleiss, Levin & Paik 2003, Statistical Methods for Rates and Proportions, ch. 4"
MOST = 1e12  # units
_NOTHING = 1e-12


def _power_of_t(shift: float, df: float, tail: float, sides: int) -> float:
    """P(reject) of a t test with noncentrality `shift` >= 0. A tail that underflows to NaN is zero."""
    critical = -float(stdtrit(df, tail))
    reached = 1.0 - float(nctdtr(df, shift, critical))
    if math.isnan(reached):
        if _missed_at_most(shift, df, critical) > _NOTHING:
            raise TollensError(
                "stats_imprecise",
                "noncentral t",
                expected="a distribution function",
                found=f"none at {critical:g} with {df:g} degrees of freedom and noncentrality {shift:g}",
                fix="Report the input as a bug.",
            )
        reached = 1.0
    opposite = float(nctdtr(df, shift, -critical)) if sides == 2 else 0.0
    return min(1.0, reached + (0.0 if math.isnan(opposite) else opposite))


def _missed_at_most(shift: float, df: float, critical: float) -> float:
    """A bound of P(T <= critical): the numerator falls below shift/2, or the denominator exceeds shift/(2 critical)."""
    ratio = shift / (2.0 * max(critical, 1e-6))
    return float(ndtr(-shift / 2.0) + gammaincc(df / 2.0, df / 2.0 * ratio**2))


@statistic(
    guarantee="exact for independent Gaussian units of equal variance; valid only at the planned n",
    references=(_COHEN,),
    known=(
        Known("d .5, 64 a group", lambda f: f(0.5, 64), 0.8014596, "noncentral t, df 126, shift .5 sqrt 32", 1e-6),
        Known("large n is a z test", lambda f: f(0.001, 2e7), 0.8853791, "Phi(sqrt 10 - 1.959964)", 1e-6),
    ),
)
def power_two_sample_t(d: float, n: float, alpha: float = 0.05, *, sides: int = 2) -> float:
    """Power of the two-sample t test with `n` units in each group and standardised difference `d`.

    Noncentral t with shift |d| sqrt(n/2) and 2n - 2 degrees of freedom; a one-sided test looks in the direction
    of d. n need not be whole. Raises: TollensError `stats_input` for d = 0, n < 2 or a level outside (0, 1).
    """
    tail, size = _tail(alpha, sides), _size("n a group", n)
    return _power_of_t(_effect("d", d) * math.sqrt(size / 2.0), 2.0 * size - 2.0, tail, sides)


@statistic(
    guarantee="exact for independent Gaussian differences; valid only at the planned n",
    references=(_COHEN,),
    known=(
        Known("d .5, 33.3671", lambda f: f(0.5, 33.3671), 0.8, "inverse of the published n", 1e-5),
        Known("d .8, 14.3028", lambda f: f(0.8, 14.3028), 0.8, "inverse of the published n", 1e-5),
    ),
)
def power_paired_t(d: float, n: float, alpha: float = 0.05, *, sides: int = 2) -> float:
    """Power of the paired or one-sample t test with `n` differences of standardised mean `d`.

    Noncentral t with shift |d| sqrt n and n - 1 degrees of freedom. Raises as `power_two_sample_t`.
    """
    tail, size = _tail(alpha, sides), _size("n pairs", n)
    return _power_of_t(_effect("d", d) * math.sqrt(size), size - 1.0, tail, sides)


@statistic(
    guarantee="exact for independent Gaussian units of equal variance; valid only at the planned n",
    references=(_COHEN,),
    known=(
        Known("d .5", lambda f: f(0.5, 0.8), 63.7656, "noncentral t, Cohen's tables give 64"),
        Known("d .8", lambda f: f(0.8, 0.8), 25.5246, "noncentral t, Cohen's tables give 26"),
        Known(
            "d 1, 1.5, 2, 3 in whole units",
            lambda f: [math.ceil(f(d, 0.8)) for d in (1.0, 1.5, 2.0, 3.0)],
            (17, 9, 6, 4),
            "noncentral t",
            0.0,
        ),
    ),
)
def n_two_sample_t(d: float, power: float, alpha: float = 0.05, *, sides: int = 2) -> float:
    """The n a group (real; round up) at which `power_two_sample_t` is `power`; 2 where 2 are more than enough.

    Raises: TollensError `stats_input` for d = 0 or a power that is not above alpha.
    """
    return _solve(lambda n: power_two_sample_t(d, n, alpha, sides=sides), power, alpha)


@statistic(
    guarantee="exact for independent Gaussian differences; valid only at the planned n",
    references=(_COHEN,),
    known=(
        Known("d .5", lambda f: f(0.5, 0.8), 33.3671, "noncentral t"),
        Known("d .8", lambda f: f(0.8, 0.8), 14.3028, "noncentral t"),
    ),
)
def n_paired_t(d: float, power: float, alpha: float = 0.05, *, sides: int = 2) -> float:
    """The number of differences (real; round up) at which `power_paired_t` is `power`. Raises as `n_two_sample_t`."""
    return _solve(lambda n: power_paired_t(d, n, alpha, sides=sides), power, alpha)


@statistic(
    guarantee="large-sample approximation; valid only at the planned n",
    references=(_FLEISS, _COHEN),
    known=(
        Known(
            ".10 v .12, 1000 an arm, pooled", lambda f: f(0.1, 0.12, 1000, formula="pooled"), 0.29774, "Phi(-.53092)"
        ),
        Known("unpooled", lambda f: f(0.1, 0.12, 1000, formula="unpooled"), 0.29808, "Phi(1.43003 - 1.95996)"),
    ),
)
def power_two_proportions(
    p1: float, p2: float, n: float, alpha: float = 0.05, *, formula: Formula | None = None, sides: int = 2
) -> float:
    """Power with `n` units an arm, by the named formula; the inverse of `n_two_proportions`.

    It counts rejections in the direction of the effect, as the formulas do: the other tail of a two-sided test is
    left out. Increases in n. Raises: TollensError `stats_input` for equal rates, rates outside [0, 1], a level
    outside (0, 1) or n <= 0; `stats_unnamed` without a formula; `stats_no_scale` for the rates 0 and 1, where only
    the arcsine formula has a variance.
    """
    z = -float(ndtri(_tail(alpha, sides)))
    null, alternative, effect = _standard(p1, p2, formula)
    return float(ndtr((effect * math.sqrt(positive("n an arm", n)) - z * null) / alternative))


@statistic(
    guarantee="large-sample approximation; valid only at the planned n",
    references=(_FLEISS, _COHEN),
    known=(
        Known(
            ".20 v .25, null-variance",
            lambda f: f(0.2, 0.25, 0.8, formula="null-variance"),
            1030.219,
            "(1.959964 sqrt .32 + .841621 sqrt .3475)^2/.0025",
            1e-2,
        ),
        Known(
            ".20 v .25, pooled", lambda f: f(0.2, 0.25, 0.8, formula="pooled"), 1093.739, "2 pbar qbar = .34875", 1e-2
        ),
        Known(
            ".10 v .12, pooled and unpooled in whole units",
            lambda f: [math.ceil(f(0.1, 0.12, 0.8, formula=name)) for name in ("pooled", "unpooled")],
            (3841, 3839),
            "the formulas, rounded up",
            0.0,
        ),
        Known("0 v 1, arcsine", lambda f: f(0.0, 1.0, 0.8, formula="arcsine"), 1.5905156, "2 (2.8015852/pi)^2", 1e-6),
    ),
)
def n_two_proportions(
    p1: float, p2: float, power: float, alpha: float = 0.05, *, formula: Formula | None = None, sides: int = 2
) -> float:
    """The n an arm (real; round up) that gives `power`, by the named formula; 0 where any n does. D = |p2 - p1|.

    null-variance  [z_a sqrt(2 p1 q1) + z_b sqrt(p1 q1 + p2 q2)]^2 / D^2, p1 being the rate under the null
    pooled         the same with 2 pbar qbar in place of 2 p1 q1, pbar = (p1 + p2)/2
    unpooled       (z_a + z_b)^2 (p1 q1 + p2 q2) / D^2
    arcsine        2 ((z_a + z_b)/h)^2, h = 2 asin sqrt p2 - 2 asin sqrt p1 (Cohen 1988)

    Raises as `power_two_proportions`, and `stats_input` for a power that is not above alpha.
    """
    tail = _tail(alpha, sides)
    null, alternative, effect = _standard(p1, p2, formula)
    sum_ = -float(ndtri(tail)) * null + float(ndtri(_wanted(power, alpha))) * alternative
    return _squared(max(0.0, sum_) / effect)


@dataclass(frozen=True, slots=True)
class DesignPower:
    """Power of one design by the two common formulas, which differ in the third decimal."""

    pooled: float
    unpooled: float


@statistic(
    guarantee="large-sample approximation; valid only at the planned n",
    references=(_FLEISS,),
    known=(
        Known(
            ".10 v .12, 1000 an arm",
            lambda f: (lambda d: (d.pooled, d.unpooled))(f(0.1, 0.12, 1000, 0.05)),
            (0.2977, 0.2981),
            "Phi(-.53092) and Phi(-.52993)",
            1e-3,
        ),
    ),
)
def power_of_design(p1: float, p2: float, n: float, alpha: float, *, sides: int = 2) -> DesignPower:
    """The power that a design with `n` units an arm has, pooled and unpooled. Raises as `power_two_proportions`."""
    return DesignPower(
        power_two_proportions(p1, p2, n, alpha, formula="pooled", sides=sides),
        power_two_proportions(p1, p2, n, alpha, formula="unpooled", sides=sides),
    )


@statistic(
    guarantee="large-sample approximation; valid only at the planned n",
    references=("Miller 2024, Adding error bars to evals, sample-size formula",),
    known=(
        Known("variance 1/9, difference .03", lambda f: f(1 / 9, 0.03, 0.8), 968.997, "2.801585^2/9/.0009", 1e-3),
        Known("in whole items", lambda f: math.ceil(f(1 / 9, 0.03, 0.8)), 969, "rounded up", 0.0),
    ),
)
def n_eval_items(variance: float, difference: float, power: float, alpha: float = 0.05, *, sides: int = 2) -> float:
    """Items (real; round up) that tell two systems apart: (z_a + z_b)^2 variance / difference^2.

    `variance` of the paired item differences, in the squared unit of `difference`. Raises: TollensError
    `stats_no_scale` for no variance, `stats_input` for no difference or a power that is not above alpha.
    """
    if variance == 0.0:
        raise TollensError(
            "stats_no_scale",
            "paired item differences",
            expected="a variance above 0",
            found="0",
            fix="Check whether both systems gave the same answers.",
        )
    spread = positive("the variance", variance)
    sum_ = -float(ndtri(_tail(alpha, sides))) + float(ndtri(_wanted(power, alpha)))
    return _squared(math.sqrt(spread) * max(0.0, sum_) / _effect("the difference", difference))


@statistic(
    guarantee="large-sample approximation; valid only at the planned n",
    references=("Miller 2024, Adding error bars to evals, sample-size formula",),
    known=(
        Known("variance 1/9, difference .03, 969 items", lambda f: f(1 / 9, 0.03, 968.997), 0.8, "its inverse", 1e-6),
        Known("no items to speak of", lambda f: f(1.0, 1e-9, 1.0), 0.025, "Phi(-1.959964)", 1e-6),
    ),
)
def power_eval_items(variance: float, difference: float, n: float, alpha: float = 0.05, *, sides: int = 2) -> float:
    """Power with `n` items, the inverse of `n_eval_items`: Phi(|difference| sqrt(n/variance) - z_a).

    Raises: TollensError `stats_input` for n <= 0, no difference or a variance that is not positive.
    """
    shift = _effect("the difference", difference) * math.sqrt(
        positive("n items", n) / positive("the variance", variance)
    )
    return float(ndtr(shift + ndtri(_tail(alpha, sides))))


def _tail(alpha: float, sides: int) -> float:
    """The part of the level in one rejection region."""
    if sides not in (1, 2):
        refuse("sides", "1 or 2", sides)
    return level(alpha) / sides


def _size(name: str, n: float) -> float:
    if not 2.0 <= n <= MOST:
        refuse(name, f"a number from 2 to {MOST:g}", n)
    return n


def _effect(name: str, value: float) -> float:
    size = abs(between(name, value, -LARGEST, LARGEST))
    if size == 0.0:
        raise TollensError(
            "stats_input",
            name,
            expected="an effect other than 0",
            found="0",
            fix="State the smallest effect that matters; no sample finds one of size 0.",
        )
    return size


def _wanted(power: float, alpha: float) -> float:
    if not power > alpha:
        raise TollensError(
            "stats_input",
            "power",
            expected=f"above the level {alpha:g}",
            found=repr(power),
            fix="A test that ignores the data has power alpha; ask for more.",
        )
    return between("power", power, 0.0, 1.0)


def _standard(p1: float, p2: float, formula: Formula | None) -> tuple[float, float, float]:
    """Standard deviation of the scaled difference under the null and the alternative, and the effect."""
    if formula not in FORMULAS:
        raise TollensError(
            "stats_unnamed",
            "power of two proportions",
            expected=f"a formula: {', '.join(FORMULAS)}",
            found=repr(formula),
            fix="Name the formula; they differ in the first decimals.",
        )
    for name, p in (("p1", p1), ("p2", p2)):
        if not 0.0 <= p <= 1.0:
            refuse(name, "a rate in [0, 1]", p)
    effect = _effect("p2 - p1", p2 - p1)
    if formula == "arcsine":
        root = math.sqrt(2.0)
        return root, root, abs(2.0 * math.asin(math.sqrt(p2)) - 2.0 * math.asin(math.sqrt(p1)))
    first, both = p1 * (1.0 - p1), p1 * (1.0 - p1) + p2 * (1.0 - p2)
    if both == 0.0:
        raise TollensError(
            "stats_no_scale",
            "rates 0 and 1",
            expected="a rate inside (0, 1)",
            found="no variance in either arm",
            fix="Use the arcsine formula.",
        )
    mean = 0.5 * (p1 + p2)
    null = {"null-variance": 2.0 * first, "pooled": 2.0 * mean * (1.0 - mean), "unpooled": both}[formula]
    return math.sqrt(null), math.sqrt(both), effect


def _squared(root: float) -> float:
    """root^2 units, if there are so many."""
    if root > math.sqrt(MOST):
        raise too_small()
    return root * root


def too_small() -> TollensError:
    """The error for an effect that `MOST` units do not find."""
    return TollensError(
        "stats_input",
        "the effect",
        expected=f"one that {MOST:g} units can find",
        found="a smaller one",
        fix="State the smallest effect that matters.",
    )


def _solve(power_at: Callable[[float], float], power: float, alpha: float) -> float:
    wanted, high = _wanted(power, alpha), 2.0
    while power_at(high) < wanted:
        high *= 2.0
        if high > MOST:
            raise too_small()
    return 2.0 if high == 2.0 else bracketed_root(lambda n: power_at(n) - wanted, high / 2.0, high, 1e-9 * high)
