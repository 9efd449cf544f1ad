"""Confidence sequences and e-values for one rate, valid at any stopping time."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaln, xlog1py, xlogy

from tollens.core.reading import Interval
from tollens.stats.domain import between, binary, counts, positive
from tollens.stats.evalue import capped_exp
from tollens.stats.mixture_sequence import HOWARD, approximate_rho
from tollens.stats.registry import Known, statistic
from tollens.stats.result import ANY_TIME, Result
from tollens.stats.running_intersection import running_intersection

ROBBINS_1970 = "Robbins, Statistical methods related to the law of the iterated logarithm (1970), eq. 8"
_HALVINGS = 60
_BELOW_ONE = float(np.nextafter(1.0, 0.0))

Vector = NDArray[np.float64]


@statistic(
    guarantee="exp of it is an e-process for the rate p0: " + ANY_TIME,
    references=(ROBBINS_1970, HOWARD),
    known=(
        Known("one of one against 1/2", lambda f: f(1, 1, 0.5), 0.0, "B(2, 1)/(1/2) = 1", 1e-12),
        Known("none of none", lambda f: f(0, 0, 0.3), 0.0, "an e-process starts at 1", 1e-12),
    ),
)
def bernoulli_log_e(k: int, n: int, p0: float) -> float:
    """ln [B(k + 1, n - k + 1)/(p0^k (1 - p0)^(n - k))], k ones among n. Raises as `bernoulli_e`."""
    counts("k", k, n)
    rate = between("p0", p0, 0.0, 1.0)
    return float(betaln(k + 1, n - k + 1)) - k * math.log(rate) - (n - k) * math.log1p(-rate)


@statistic(
    guarantee="an e-process for the rate p0: " + ANY_TIME,
    references=(ROBBINS_1970, HOWARD),
    known=(
        Known("10 of 10 against 1/2", lambda f: f(10, 10, 0.5), 93.0909, "2^10/11"),
        Known("60 of 100 against 1/2", lambda f: f(60, 100, 0.5), 0.913050, "2^100/(101 C(100, 60))", 1e-6),
    ),
)
def bernoulli_e(k: int, n: int, p0: float) -> float:
    """The likelihood ratio of the uniform mixture of rates to `p0`, at most exp(709).

    Raises: TollensError `stats_input` unless 0 <= k <= n and 0 < p0 < 1.
    """
    return capped_exp(bernoulli_log_e(k, n, p0))


@statistic(
    guarantee=ANY_TIME + ": all intervals cover together with probability 1 - alpha",
    references=(ROBBINS_1970, HOWARD),
    known=(
        Known(
            "700 of 1000",
            lambda f: f(700, 1000, 0.05),
            (0.646985, 0.749662),
            "roots of ln B(701, 301) - 700 ln p - 300 ln(1 - p) = ln 20",
            1e-6,
        ),
        Known("5 of 10", lambda f: f(5, 10, 0.05), (0.129219, 0.870781), "symmetric about 1/2", 1e-6),
        Known("10 of 10", lambda f: f(10, 10, 0.05), (0.583120, 1.0), "(.05/11)^(1/10) and 1", 1e-6),
    ),
)
def bernoulli_bounds(k: int, n: int, alpha: float) -> tuple[float, float]:
    """The rates that `bernoulli_e` puts below 1/alpha, an interval. (0, 1) for n = 0.

    Raises: TollensError `stats_input` unless 0 <= k <= n and 0 < alpha < 1.
    """
    counts("k", k, n)
    level = between("alpha", alpha, 0.0, 1.0)
    lower, upper = _interval(np.array([float(k)]), np.array([float(n)]), _uniform, level)
    return float(lower[0]), float(upper[0])


@statistic(
    guarantee=ANY_TIME + ": all intervals cover together with probability 1 - alpha",
    references=(HOWARD,),
    known=(
        Known(
            "700 of 1000, tuned at 100",
            lambda f: f(700, 1000, 0.05, 100.0),
            (0.6516298, 0.7459495),
            "roots of the mixture over Beta(r/(1 - p), r/p), r = p(1 - p)(100/(2 ln 20 + ln(1 + 2 ln 20)) - 1)",
            1e-6,
        ),
    ),
)
def tuned_bernoulli_bounds(k: int, n: int, alpha: float, n_opt: float) -> tuple[float, float]:
    """The same with a mixture whose mean is the rate under test, narrowest near `n_opt` units.

    For a rate p the mixture is Beta(r/(1 - p), r/p), the two-sided beta-binomial mixture of Howard et al. (2021,
    proposition 7) with g = p, h = 1 - p; r is the approximate rho at intrinsic time p(1 - p) n_opt, less p(1 -
    p). Narrower than `bernoulli_bounds` around n_opt, wider far from it. Raises: TollensError `stats_input`
    unless 0 <= k <= n, 0 < alpha < 1 and n_opt is so large that r is positive (at alpha .05 above 8).
    """
    counts("k", k, n)
    level = between("alpha", alpha, 0.0, 1.0)
    unit = approximate_rho(positive("n_opt", n_opt), level) - 1.0
    positive(f"the tuning at n_opt = {n_opt:g} less one", unit)

    def log_mixture(ones: Vector, size: Vector, p: Vector) -> Vector:
        a, b = unit * p, unit * (1.0 - p)
        value: Vector = betaln(a + ones, b + size - ones) - betaln(a, b)
        return value

    lower, upper = _interval(np.array([float(k)]), np.array([float(n)]), log_mixture, level)
    return float(lower[0]), float(upper[0])


def _uniform(ones: Vector, size: Vector, p: Vector) -> Vector:
    value: Vector = betaln(ones + 1.0, size - ones + 1.0)
    return value


def _interval(
    ones: Vector, size: Vector, log_mixture: Callable[[Vector, Vector, Vector], Vector], alpha: float
) -> tuple[Vector, Vector]:
    """Where ln mixture - ln likelihood stays below ln(1/alpha), by bisection on both sides of the observed rate."""
    rate = np.divide(ones, size, out=np.full_like(size, 0.5), where=size > 0.0)

    def inside(p: Vector) -> NDArray[np.bool_]:
        p = np.clip(p, np.finfo(np.float64).tiny, _BELOW_ONE)
        likelihood = xlogy(ones, p) + xlog1py(size - ones, -p)
        within: NDArray[np.bool_] = log_mixture(ones, size, p) - likelihood < -math.log(alpha)
        return within

    ends = []
    for outer in (np.zeros_like(rate), np.ones_like(rate)):
        inner, end = rate, outer
        for _ in range(_HALVINGS):
            middle = (inner + end) / 2.0
            within = inside(middle)
            inner, end = np.where(within, middle, inner), np.where(within, end, middle)
        ends.append(end)
    return np.where(ones == 0.0, 0.0, ends[0]), np.where(ones == size, 1.0, ends[1])


def bernoulli_path(x: ArrayLike, alpha: float, intersect: bool = True) -> tuple[Vector, Vector]:
    """Lower and upper end of `bernoulli_bounds` after each unit, shape (n,); intersected unless told otherwise.

    Raises: TollensError `stats_input` for values other than 0 and 1; `stats_assumption_violated` if the
    intersection is empty.
    """
    values, level = binary("x", x), between("alpha", alpha, 0.0, 1.0)
    lower, upper = _interval(np.cumsum(values), np.arange(1.0, values.size + 1.0), _uniform, level)
    return running_intersection(lower, upper) if intersect else (lower, upper)


@statistic(
    guarantee=ANY_TIME + ": all intervals cover together with probability 1 - alpha",
    references=(ROBBINS_1970, HOWARD),
    known=(
        Known(
            "ten ones",
            lambda f: f([1.0] * 10, 0.05).interval.low,
            0.583120,
            "(.05/11)^(1/10): the last interval is the narrowest",
            1e-6,
        ),
    ),
)
def bernoulli_interval(x: ArrayLike, alpha: float, intersect: bool = True) -> Result:
    """The interval for a rate after the last of the zeros and ones `x`, in the order in which they came.

    Raises as `bernoulli_path`.
    """
    lower, upper = bernoulli_path(x, alpha, intersect)
    values = binary("x", x)
    return Result(
        rule="uniform mixture of rates" + (", intersected" if intersect else ""),
        guarantee=ANY_TIME,
        estimate=float(values.mean()),
        interval=Interval(float(lower[-1]), float(upper[-1]), 1.0 - alpha, "Bernoulli confidence sequence"),
        n=values.size,
        assumptions=("units are independent with one rate",),
    )
