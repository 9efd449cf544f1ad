"""Other laws for the same tail: exponential, lognormal, power law with a cut-off."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from tollens.core.reading import Cost, Reading, Undefined, reading
from tollens.instrument.exponential_integral import Tilted, tilted
from tollens.instrument.part import Part
from tollens.instrument.registry import KnownAnswer, instrument
from tollens.instrument.spectrum import diagonal_part
from tollens.instrument.tail import TailFit, tail_of

POWER_LAW = "power_law"


class AlternativesParams(msgspec.Struct, frozen=True):
    """`level`: a law is preferred if the ratio's p is below it."""

    level: float = 0.05
    min_tail: int = 20
    min_side: int = 8


@dataclass(frozen=True, slots=True)
class Alternative:
    """One law against the power law on the same tail.

    `log_ratio`: log-likelihood of the power law minus that of `name`, in nats. `preferred` is the law with
    the higher likelihood if p is below the level, else "undecided". `parameters` are those of `name`, for
    x/xmin.
    """

    name: str
    log_ratio: float
    p: float
    preferred: str
    parameters: dict[str, float]


def compare(x: NDArray[np.float64], fit: TailFit, level: float = 0.05) -> tuple[Alternative, ...]:
    """All alternatives on the tail of the ascending sample x that `fit` was made from.

    Everything is computed for y = x/xmin >= 1, so the unit of x cancels.
    Reference: Clauset, Shalizi, Newman (2009), SIAM Review 51, section 5; Vuong (1989), Econometrica 57, 307.
    """
    y = x[fit.index :] / fit.xmin
    t = np.log(y)
    plain = math.log(fit.alpha - 1.0) - fit.alpha * t
    return (
        _exponential(y, plain, level),
        _lognormal(t, plain, level),
        _truncated(y, t, plain, fit.alpha, level),
    )


def vuong(difference: NDArray[np.float64]) -> tuple[float, float]:
    """(R, p) of pointwise log-likelihood differences d of two non-nested laws.

    R = sum(d), p = erfc(|R|/sqrt(2 m v)) with m points and v the variance of d.
    Laws that agree at every point give (0, 1). Reference: Vuong (1989), Econometrica 57, eq. 5.6.
    """
    total, variance = float(difference.sum()), float(difference.var())
    if variance <= (1e-12 * (1.0 + float(np.abs(difference).max()))) ** 2:
        return (0.0, 1.0) if abs(total) <= 1e-9 else (total, 0.0)
    return total, math.erfc(abs(total) / math.sqrt(2.0 * difference.size * variance))


def nested_on_boundary(gain: float) -> float:
    """p of twice the log-likelihood gain of one extra parameter whose null value lies on the boundary.

    The null law is half a point mass at 0 and half chi-squared with one degree of freedom.
    Reference: Chernoff (1954), Annals of Mathematical Statistics 25, 573.
    """
    return 0.5 * math.erfc(math.sqrt(gain)) if gain > 0.0 else 1.0


def _exponential(y: NDArray[np.float64], plain: NDArray[np.float64], level: float) -> Alternative:
    """kappa exp(-kappa (y - 1)); kappa = 1/(mean(y) - 1)."""
    kappa = 1.0 / float(np.mean(y - 1.0))
    return _non_nested("exponential", plain - (math.log(kappa) - kappa * (y - 1.0)), {"kappa": kappa}, level)


def half_normal_moments(z: float) -> tuple[float, float]:
    """Mean and mean square of the law proportional to exp(-2 z t - t^2) on t >= 0, any real z.

    For z > 4 the closed form 1/(sqrt(pi) erfcx(z)) - z cancels, and Gauss-Laguerre quadrature in 2 z t
    takes over.
    """
    if z > 4.0:
        v, w = _LAGUERRE
        weight = w * np.exp(-((v / (2.0 * z)) ** 2))
        tau = v / (2.0 * z)
        total = float(weight.sum())
        return float(weight @ tau) / total, float(weight @ tau**2) / total
    mean = 1.0 / (math.sqrt(math.pi) * _erfcx(z)) - z
    return mean, 0.5 * (1.0 - 2.0 * z * mean)


_LAGUERRE = np.polynomial.laguerre.laggauss(48)


def _lognormal(t: NDArray[np.float64], plain: NDArray[np.float64], level: float) -> Alternative:
    """Lognormal conditioned on y >= 1, for which t = ln y >= 0 has density proportional to exp(-a t - b t^2).

    That is an exponential family with b >= 0, so its log-likelihood is concave and the maximum matches the
    means of t and t^2; b = 0 is the power law itself, and the maximum lies there exactly if mean(t^2) >= 2
    mean(t)^2. Inside, z = a/(2 sqrt b) solves one equation in the ratio of the moments.
    """
    first, second = float(t.mean()), float(np.mean(t * t))
    ratio = second / first**2

    def excess(z: float) -> float:
        mean, square = half_normal_moments(z)
        return square / mean**2 - ratio

    if ratio >= 2.0 or excess(_WIDEST) <= 0.0:  # beyond, the law differs from the power law by less than 1e-6
        return Alternative("lognormal", 0.0, 1.0, "undecided", {})
    narrow = -1.0
    while excess(narrow) > 0.0:
        narrow *= 2.0
        if narrow < -1e7:  # all points nearly equal: the ratio is 1 within rounding
            return Alternative("lognormal", 0.0, 1.0, "undecided", {})
    z = _root(excess, narrow, _WIDEST)
    root = half_normal_moments(z)[0] / first  # sqrt(b)
    deviation = 1.0 / (math.sqrt(2.0) * root)
    log_norm = _log_half_normal(z) - math.log(root)
    law = -2.0 * z * root * t - (root * t) ** 2 - log_norm - t
    return _non_nested("lognormal", plain - law, {"mu": -z / root, "sigma": deviation}, level)


_WIDEST = 1e3


def _erfcx(z: float) -> float:
    from scipy.special import erfcx  # costs 0.05 s to import and few callers come here

    return float(erfcx(z))


def _log_half_normal(z: float) -> float:
    """ln of the integral of exp(-2 z t - t^2) over t >= 0, that is ln(sqrt(pi)/2 erfcx(z))."""
    if z > -25.0:
        return math.log(0.5 * math.sqrt(math.pi) * _erfcx(z))
    return z * z + math.log(math.sqrt(math.pi)) + math.log1p(-0.5 * math.erfc(-z))  # erfc(z) = 2 - erfc(-z)


def _truncated(
    y: NDArray[np.float64], t: NDArray[np.float64], plain: NDArray[np.float64], alpha: float, level: float
) -> Alternative:
    """y^-a e^{-b y}/E_a(b) with a real and b >= 0; b = 0 is the power law.

    The family is exponential in (a, b), hence the likelihood concave. The maximum lies at b = 0 exactly if
    the power law there has a finite mean (alpha - 1)/(alpha - 2) not above the mean of y.
    """
    mean_y, mean_t = float(y.mean()), float(t.mean())
    if alpha > 2.0 and mean_y >= (alpha - 1.0) / (alpha - 2.0):
        return Alternative("truncated_power_law", 0.0, 1.0, "undecided", {"alpha": alpha, "kappa": 0.0})

    def score(log_b: float) -> float:
        b = math.exp(log_b)
        return tilted(_order(b, mean_t, alpha), b).mean - mean_y

    low = high = -math.log(mean_y)
    while score(low) < 0.0 and low > -60.0:
        low -= 2.0
    while score(high) > 0.0 and high < 40.0:
        high += 2.0
    if not score(low) >= 0.0 >= score(high):
        return Alternative("truncated_power_law", 0.0, 1.0, "undecided", {})
    b = math.exp(_root(score, low, high))
    a = _order(b, mean_t, alpha)
    law = -a * t - b * y - tilted(a, b).log_norm
    gain = max(0.0, float(np.sum(law - plain)))
    p = nested_on_boundary(gain)
    preferred = "truncated_power_law" if p < level else "undecided"
    return Alternative("truncated_power_law", -gain, p, preferred, {"alpha": a, "kappa": b})


def _order(b: float, mean_log: float, start: float) -> float:
    """The order a at which E[ln y] = mean_log under y^-a e^{-b y}: Newton's method, safeguarded by bisection.

    E[ln y] falls in a with slope -Var(ln y).
    """

    def error(a: float) -> tuple[float, Tilted]:
        law = tilted(a, b)
        return law.mean_log - mean_log, law

    a = float(start)
    low, high = -math.inf, math.inf
    for _ in range(200):
        off, law = error(a)
        if off > 0.0:
            low = a
        else:
            high = a
        step = off / law.variance_log
        if abs(step) <= 1e-13 * (1.0 + abs(a)):
            return a
        limit = 4.0 + 2.0 * abs(a)
        a += max(-limit, min(limit, step))
        if not low < a < high:
            a = 0.5 * (low + high) if math.isfinite(low) and math.isfinite(high) else a
    return a


def _root(f: Callable[[float], float], low: float, high: float) -> float:
    from scipy.optimize import brentq  # costs 0.1 s to import and few callers come here

    return float(brentq(f, low, high, xtol=1e-12, rtol=1e-12))


def _non_nested(name: str, difference: NDArray[np.float64], parameters: dict[str, float], level: float) -> Alternative:
    total, p = vuong(difference)
    preferred = "undecided" if p >= level else POWER_LAW if total > 0.0 else name
    return Alternative(name, total, p, preferred, parameters)


def _cost(shape: tuple[int, int]) -> Cost:
    M = min(shape)
    return Cost(bytes=8 * M, flops=5_000_000 + 100 * M)


def _two_values() -> Part:
    """Twenty eigenvalues 1 and twenty e: a tail whose sums are plain."""
    return diagonal_part("two values", np.repeat([1.0, math.e], 20))


@instrument(
    name="alternatives",
    version="1",
    quantities={"alternatives": "nat"},
    cost=_cost,
    needs=("spectrum",),
    references=(
        "Clauset, Shalizi, Newman (2009), SIAM Review 51, 661",
        "Vuong (1989), Econometrica 57, 307",
        "Chernoff (1954), Annals of Mathematical Statistics 25, 573",
    ),
    invariances=("scale", "transpose", "permutation", "rotation"),
    scale_invariant=("alternatives",),
    known_answers=(
        KnownAnswer(
            "1 and e, twenty times each, against the exponential",
            _two_values,
            "alternatives",
            40.0 * (math.log(math.e - 1.0) - 0.5),
            1e-9,
            "sum of ln y = 20, so alpha = 3; mean of y - 1 = (e-1)/2, so kappa = 2/(e-1); per point ln 2 - 3/2 - "
            "(ln kappa - 1) = ln(e-1) - 1/2",
            pick=lambda laws: laws[0]["log_ratio"],
        ),
    ),
    default_params=AlternativesParams(),
)
def alternatives(part: Part, params: AlternativesParams, rng: np.random.Generator) -> list[Reading]:
    """Log-likelihood ratio in nats, p and preferred law for each alternative, as a list of objects."""
    fit = tail_of(part, params.min_side)
    if isinstance(fit, TailFit) and fit.n_tail < params.min_tail:
        fit = Undefined("tail_too_short")
    if isinstance(fit, Undefined):
        return [reading("alternatives", fit)]
    assert part.spectrum is not None  # needs=("spectrum",)
    found = compare(part.spectrum.visible, fit, params.level)
    return [reading("alternatives", [msgspec.to_builtins(a) for a in found], n=fit.n_tail)]
