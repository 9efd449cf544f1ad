"""Normal-mixture confidence sequences and tests for a mean, valid at any stopping time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import lambertw, log_ndtr

from tollens.core.errors import TollensError
from tollens.core.reading import Interval
from tollens.stats.domain import LARGEST, between, positive, refuse, sample
from tollens.stats.evalue import capped_exp, p_from_e
from tollens.stats.registry import Known, statistic
from tollens.stats.result import ANY_TIME, Result
from tollens.stats.root import bracketed_root
from tollens.stats.running_intersection import running_intersection

HOWARD = "Howard, Ramdas, McAuliffe & Sekhon, Time-uniform, nonparametric, nonasymptotic confidence sequences (2021)"
ROBBINS = "Robbins, Statistical methods related to the law of the iterated logarithm, Ann. Math. Statist. 41 (1970)"
JOHARI = "Johari, Koomen, Pekelis & Walsh, Always valid inference, Oper. Res. 70 (2022)"
SUB_GAUSSIAN = ("units are independent", "each unit is sub-Gaussian with the stated scale", "one unit a cluster")
_EIGHT = (0.5, 1.2, 0.8, 1.5, 1.1, -0.2, 0.9, 1.4)

Vector = NDArray[np.float64]


@statistic(
    guarantee=ANY_TIME + "; the bound is tightest at v_opt",
    references=(HOWARD,),
    known=(Known("v 100, alpha .05", lambda f: f(100.0, 0.05), 12.177349, "-100/(1 + W_{-1}(-.0025/e))", 1e-6),),
)
def exact_rho(v_opt: float, alpha: float) -> float:
    """-v_opt/(1 + W_{-1}(-alpha^2/e)): the rho that makes the two-sided bound smallest at intrinsic time v_opt.

    Howard et al. (2021, proposition 3). For a one-sided bound ask at 2 alpha. Raises: TollensError `stats_input`
    for v_opt <= 0 or alpha outside (0, 1).
    """
    v, level = positive("v_opt", v_opt), between("alpha", alpha, 0.0, 1.0)
    return -v / (1.0 + float(lambertw(-level * level / math.e, -1).real))


@statistic(
    guarantee=ANY_TIME + "; the bound is within a thousandth of the tightest at v_opt for alpha up to .1",
    references=(HOWARD,),
    known=(
        Known("v 100, alpha .05", lambda f: f(100.0, 0.05), 12.60056, "100/(2 ln 20 + ln(1 + 2 ln 20))", 1e-5),
        Known("v 100, alpha .1", lambda f: f(100.0, 0.1), 15.80063, "100/(2 ln 10 + ln(1 + 2 ln 10))", 1e-5),
    ),
)
def approximate_rho(v_opt: float, alpha: float) -> float:
    """v_opt/(2 ln(1/alpha) + ln(1 + 2 ln(1/alpha))), close to `exact_rho`. Raises as `exact_rho`."""
    twice = -2.0 * math.log(between("alpha", alpha, 0.0, 1.0))
    return positive("v_opt", v_opt) / (twice + math.log1p(twice))


@statistic(
    guarantee="exp of it is an e-process for mean zero: " + ANY_TIME,
    references=(ROBBINS, HOWARD),
    known=(
        Known(
            "s 10, v 100",
            lambda f: f(10.0, 100.0, 12.60056),
            -0.6510052,
            "ln(rho/(v + rho))/2 + s^2/(2(v + rho))",
            1e-6,
        ),
    ),
)
def log_mixture(s: float, v: float, rho: float) -> float:
    """ln of the mean of exp(l s - l^2 v/2) over l ~ N(0, 1/rho), at sum s and intrinsic time v.

    Raises: TollensError `stats_input` for v < 0, rho <= 0 or s not finite.
    """
    _check_time(s, v)
    return 0.5 * math.log(positive("rho", rho) / (v + rho)) + s * s / (2.0 * (v + rho))


@statistic(
    guarantee="exp of it is an e-process for a mean of at most zero: " + ANY_TIME,
    references=(ROBBINS, HOWARD),
    known=(
        Known(
            "nothing seen",
            lambda f: f(0.0, 0.0, 3.0),
            0.0,
            "ln 2 + ln Phi(0) = 0: an e-process starts at 1",
            1e-12,
        ),
    ),
)
def one_sided_log_mixture(s: float, v: float, rho: float) -> float:
    """The same mean over the half-normal, l > 0: `log_mixture` + ln(2 Phi(s/sqrt(v + rho))). Raises as it does."""
    return log_mixture(s, v, rho) + math.log(2.0) + float(log_ndtr(s / math.sqrt(v + rho)))


def _check_time(s: float, v: float) -> None:
    between("the sum", s, -LARGEST, LARGEST)
    if v != 0.0:
        between("intrinsic time", v, 0.0, LARGEST)


@statistic(
    guarantee=ANY_TIME + ": P(|S| exceeds it at some time) <= alpha",
    references=(ROBBINS, HOWARD),
    known=(
        Known("v 100, approximate rho", lambda f: f(100.0, 0.05, 12.60056), 30.35209, "closed form", 1e-5),
        Known("v 100, exact rho", lambda f: f(100.0, 0.05, 12.177349), 30.351224, "closed form", 1e-6),
    ),
)
def normal_mixture_bound(v: float, alpha: float, rho: float) -> float:
    """sqrt((v + rho)(ln((v + rho)/rho) + 2 ln(1/alpha))): |S| stays below it at all times v (Robbins 1970).

    Raises: TollensError `stats_input` for v < 0, rho <= 0 or alpha outside (0, 1).
    """
    _check_time(0.0, v)
    between("alpha", alpha, 0.0, 1.0)
    return float(_bound(np.asarray(v), alpha, positive("rho", rho)))


def _bound(v: Vector, alpha: float, rho: float) -> Vector:
    bound: Vector = np.sqrt((v + rho) * (np.log((v + rho) / rho) - 2.0 * math.log(alpha)))
    return bound


@statistic(
    guarantee=ANY_TIME + ": P(S exceeds it at some time) <= alpha",
    references=(ROBBINS, HOWARD),
    known=(
        Known(
            "v 100, rho for 2 alpha",
            lambda f: f(100.0, 0.05, 15.80063),
            27.66071,
            "the root in s of the one-sided log mixture = ln 20",
            1e-5,
        ),
    ),
)
def one_sided_bound(v: float, alpha: float, rho: float) -> float:
    """The s at which `one_sided_log_mixture` is ln(1/alpha). Raises as `normal_mixture_bound`."""
    high = normal_mixture_bound(v, alpha, rho)  # there the half-normal adds ln(2 Phi) >= 0
    return bracketed_root(lambda s: one_sided_log_mixture(s, v, rho) + math.log(alpha), 0.0, high, 1e-12 * (1.0 + high))


@dataclass(frozen=True, slots=True)
class MeanSequence:
    """How a mean is followed: level, scale of one unit, and where the interval is to be narrowest.

    `sigma` is a known standard deviation of Gaussian units or a sub-Gaussian scale; instead of it `bounds` (a, b)
    of every unit give (b - a)/2 (Hoeffding). `n_opt` units is where the interval is tightest, with the exact or
    the approximate rho. `intersect` keeps only what all intervals so far contain.
    """

    alpha: float = 0.05
    sigma: float | None = None
    bounds: tuple[float, float] | None = None
    n_opt: int = 500
    rho: Literal["exact", "approximate"] = "exact"
    intersect: bool = True

    @property
    def scale(self) -> float:
        """The sub-Gaussian scale of one unit. Raises `stats_unnamed` if none is declared."""
        if self.sigma is not None:
            return positive("sigma", self.sigma)
        if self.bounds is None:
            raise TollensError(
                "stats_unnamed",
                "the scale of one unit",
                expected="a known sigma, or bounds that every unit respects",
                found="neither; the spread of the data does not bound it",
                fix="Declare sigma or the bounds.",
            )
        low, high = self.bounds
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            refuse("the bounds", "two finite numbers, the lower first", self.bounds)
        return (high - low) / 2.0

    def tuning(self, level: float) -> float:
        """rho at `level`, which is 2 alpha for a one-sided bound."""
        chosen = {"exact": exact_rho, "approximate": approximate_rho}.get(self.rho)
        if chosen is None:
            refuse("rho", "'exact' or 'approximate'", self.rho)
        return chosen(self.scale**2 * positive("n_opt", self.n_opt), level)


def _values(x: ArrayLike, how: MeanSequence) -> Vector:
    values = sample("x", x)
    if how.bounds is not None and not ((values >= how.bounds[0]) & (values <= how.bounds[1])).all():
        raise TollensError(
            "stats_assumption_violated",
            "x",
            expected=f"values within the declared bounds {how.bounds}",
            found=f"values from {values.min():.6g} to {values.max():.6g}",
            fix="Declare bounds that every unit respects.",
        )
    return values


def mean_bounds(x: ArrayLike, how: MeanSequence) -> tuple[Vector, Vector]:
    """Lower and upper end after each unit, shape (n,): S_n/n -+ bound(n sigma^2)/n.

    Raises: TollensError `stats_unnamed` without a scale; `stats_assumption_violated` for a value outside declared
    bounds or an empty intersection; `stats_input` for data or parameters that cannot be used.
    """
    values, alpha = _values(x, how), between("alpha", how.alpha, 0.0, 1.0)
    n = np.arange(1.0, values.size + 1.0)
    mean, half = np.cumsum(values) / n, _bound(n * how.scale**2, alpha, how.tuning(alpha)) / n
    return running_intersection(mean - half, mean + half) if how.intersect else (mean - half, mean + half)


def mean_lower_bound(x: ArrayLike, how: MeanSequence) -> float:
    """The one-sided lower confidence bound after the last unit; with `intersect`, the largest so far.

    alpha must be below 1/2. Raises as `mean_bounds`.
    """
    values, alpha = _values(x, how), between("alpha", how.alpha, 0.0, 0.5)
    n = np.arange(1, values.size + 1)
    rho, sums = how.tuning(2.0 * alpha), np.cumsum(values)
    asked = n if how.intersect else n[-1:]
    return max(float(sums[k - 1] - one_sided_bound(k * how.scale**2, alpha, rho)) / int(k) for k in asked)


@statistic(
    guarantee=ANY_TIME + ": all intervals cover together with probability 1 - alpha",
    references=(ROBBINS, HOWARD),
    known=(
        Known(
            "eight values, sigma 1, tuned at 500",
            lambda f: _ends(f(_EIGHT, MeanSequence(sigma=1.0, intersect=False))),
            (-1.66551, 3.46551),
            "mean .9 -+ bound(8)/8 with exact rho 60.8867",
            1e-5,
        ),
    ),
)
def mean_interval(x: ArrayLike, how: MeanSequence) -> Result:
    """The interval for the mean after the last unit of `x`, in the order in which the units came.

    Raises as `mean_bounds`.
    """
    lower, upper = mean_bounds(x, how)
    values = sample("x", x)
    return Result(
        rule=f"normal mixture, {how.rho} rho, tuned at n = {how.n_opt:,}" + (", intersected" if how.intersect else ""),
        guarantee=ANY_TIME,
        estimate=float(values.mean()),
        interval=Interval(float(lower[-1]), float(upper[-1]), 1.0 - how.alpha, "normal-mixture confidence sequence"),
        n=values.size,
        assumptions=SUB_GAUSSIAN,
    )


def _ends(result: Result) -> tuple[float, float]:
    assert result.interval is not None
    return result.interval.low, result.interval.high


@statistic(
    guarantee="P(p <= alpha at some time) <= alpha under the null: " + ANY_TIME,
    references=(ROBBINS, JOHARI),
    known=(
        Known(
            "eight values, sigma 1, tau 1",
            lambda f: _evidence(f(_EIGHT, 0.0, 1.0, 1.0)),
            (5.938091, 0.1684043),
            "S = 7.2: exp(7.2^2/18)/3, largest after the last value",
            1e-6,
        ),
    ),
)
def msprt(x: ArrayLike, mu0: float, sigma: float, tau: float) -> Result:
    """Mixture SPRT of mean `mu0`, alternative N(mu0, tau^2), standard deviation `sigma` of one unit known.

    e = (1 + n tau^2/sigma^2)^(-1/2) exp(tau^2 S^2/(2 sigma^2 (sigma^2 + n tau^2))), S the sum of x - mu0; p = 1
    over the largest so far (Johari et al. 2022). Raises: TollensError `stats_input`.
    """
    values, spread, width = sample("x", x), positive("sigma", sigma), positive("tau", tau)
    between("mu0", mu0, -LARGEST, LARGEST)
    n, sums = np.arange(1.0, values.size + 1.0), np.cumsum(values - mu0)
    v, rho = n * spread**2, spread**4 / width**2
    log_e = 0.5 * np.log(rho / (v + rho)) + sums**2 / (2.0 * (v + rho))
    return Result(
        rule=f"mixture SPRT, tau = {tau:g}",
        guarantee=ANY_TIME,
        estimate=float(values.mean()),
        e=capped_exp(float(log_e[-1])),
        p=p_from_e(capped_exp(float(log_e.max()))),
        n=values.size,
        assumptions=SUB_GAUSSIAN,
    )


def _evidence(result: Result) -> tuple[float | None, float | None]:
    return result.e, result.p
