"""Bayes factors with default priors: the JZS t test and the binomial test against a point."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, logsumexp

from tollens.core.errors import TollensError
from tollens.stats.domain import LARGEST, between, counts, positive, whole
from tollens.stats.registry import Known, statistic
from tollens.stats.result import Result

SCALES = (0.5, 1.0 / math.sqrt(2.0), 1.0)
GUARANTEE = "calibrated under its prior, does not control the type-I error"
_ROUDER = "Rouder et al. 2009, Bayesian t tests for accepting and rejecting the null hypothesis, eq. 1, with a scale"
_JEFFREYS = "Jeffreys 1961, Theory of Probability, section 5.1"
_TOLERANCE = 1e-6
_CONVERGED = 1e-10
_MOST_NODES = 2**14


def _log_integral(
    log_integrand: Callable[[NDArray[np.float64]], NDArray[np.float64]], low: float, high: float
) -> float:
    """ln of the integral of exp(log_integrand) over [low, high], by the trapezoidal rule with halved steps.

    For a smooth integrand that is negligible at both ends the rule converges faster than any power of the step.
    Halving stops at a relative change of 1e-10. Raises: TollensError `stats_imprecise` if the change is still above
    1e-6 at 16,384 steps, or if an end holds more than that part of the integral.
    """
    steps, last = 64, -math.inf
    while True:
        values = log_integrand(np.linspace(low, high, steps + 1))
        total = float(logsumexp(values)) + math.log((high - low) / steps)
        change = abs(math.expm1(last - total)) if math.isfinite(last) else math.inf
        if change <= _CONVERGED or steps >= _MOST_NODES:
            break
        steps, last = 2 * steps, total
    error = change + math.exp(max(float(values[0]), float(values[-1])) - total)
    if not error <= _TOLERANCE:
        raise TollensError(
            "stats_imprecise",
            "the integral of a Bayes factor",
            expected=f"a relative error below {_TOLERANCE:g}",
            found=f"{error:.1e}",
            fix="Report the input as a bug.",
        )
    return total


@statistic(
    guarantee=GUARANTEE,
    references=(_ROUDER,),
    known=(
        Known("t 3.5, 20 and 20", lambda f: f(3.5, 20, 20), math.log(26.7435), "quadrature over g", 1e-5),
        Known(
            "t 0 in one sample of 100, r 1/10",
            lambda f: math.exp(f(0.0, 100, r=0.1)),
            0.5231565837,
            "t = 0 and N r^2 = 1: with v = sqrt(1 + 1/g) the integral is 2 sqrt(e) Phi(-1)",
            1e-9,
        ),
    ),
)
def jzs_log_bf10(t: float, n1: int, n2: int | None = None, *, r: float = SCALES[1]) -> float:
    """ln of the JZS Bayes factor for a t statistic, Cauchy prior of scale `r` on the standardised effect.

    Two samples of `n1` and `n2` (N = n1*n2/(n1 + n2), nu = n1 + n2 - 2), or one of `n1` (N = n1, nu = n1 - 1).
    The integral over g is taken over ln g. Raises: TollensError `stats_input` for nu < 1, r <= 0 or a t
    beyond +-1e100, `stats_imprecise` for a quadrature error above 1e-6.
    """
    value, scale = between("t", t, -LARGEST, LARGEST), positive("the prior scale r", r)
    first = whole("n1", n1, 1)
    size, nu = (float(first), first - 1)
    if n2 is not None:
        second = whole("n2", n2, 1)
        size, nu = first * second / (first + second), first + second - 2
    whole("nu, the degrees of freedom", nu, 1)
    weight, square = size * scale**2, value**2

    def log_integrand(u: NDArray[np.float64]) -> NDArray[np.float64]:
        spread = np.log1p(weight * np.exp(u))
        fit = -0.5 * (nu + 1.0) * np.log1p(square / nu * np.exp(-spread))
        return np.asarray(fit - 0.5 * (spread + u + np.exp(-u) + math.log(2.0 * math.pi)))

    # beyond t^2/(N r^2) and 1/(N r^2) the integrand falls as 1/g
    high = 40.0 + math.log1p(square) + max(0.0, -math.log(weight))
    return _log_integral(log_integrand, -6.0, high) + 0.5 * (nu + 1.0) * math.log1p(square / nu)


@statistic(
    guarantee=GUARANTEE,
    references=(_ROUDER,),
    known=(
        Known("t 3.5, 20 and 20", lambda f: f(3.5, 20, 20).bf10, 26.7435, "quadrature over g", 0.0267),
        Known("t 3.5, one sample of 20", lambda f: f(3.5, 20).bf10, 17.18462, "quadrature over g", 0.0172),
        Known("t 0, 20 and 20", lambda f: f(0.0, 20, 20).bf10, 0.308794, "quadrature over g", 1e-6),
    ),
)
def jzs_bayes_factor(t: float, n1: int, n2: int | None = None, *, r: float = SCALES[1]) -> Result:
    """The JZS Bayes factor with its prior scale and the scan over r = 1/2, 1/sqrt 2 and 1.

    The estimate is ln BF10 in nats; `bf10` is None where it exceeds what a double holds. Raises as
    `jzs_log_bf10` does.
    """
    value = jzs_log_bf10(t, n1, n2, r=r)
    scan = ", ".join(f"r = {s:.4g}: ln BF10 = {jzs_log_bf10(t, n1, n2, r=s):.6g}" for s in SCALES)
    return Result(
        rule=f"JZS Bayes factor, Cauchy prior of scale r = {r:.4g}",
        guarantee=GUARANTEE,
        estimate=value,
        unit="nat",
        bf10=_exp(value),
        n=n1 + (n2 or 0),
        assumptions=("independent Gaussian observations of equal variance", f"prior scale scan: {scan}"),
    )


@statistic(
    guarantee=GUARANTEE,
    references=(_JEFFREYS,),
    known=(
        Known("1 of 1", lambda f: f(1, 1), 0.0, "B(2, 1)/(1/2) = 1", 1e-12),
        Known("10 of 10", lambda f: math.exp(f(10, 10)), 1024 / 11, "2^10/11", 1e-9),
    ),
)
def binomial_log_bf10(k: int, n: int, p0: float = 0.5) -> float:
    """ln of the Bayes factor of a uniform prior of the rate against the point `p0`, for `k` successes of `n`.

    Raises: TollensError `stats_input` for counts outside 0 to n or p0 outside (0, 1).
    """
    counts("k", k, n)
    point = between("p0", p0, 0.0, 1.0)
    return float(betaln(k + 1, n - k + 1)) - k * math.log(point) - (n - k) * math.log1p(-point)


@statistic(
    guarantee=GUARANTEE,
    references=(_JEFFREYS,),
    known=(
        Known(
            "115 of 200",
            lambda f: f(115, 200).bf10,
            1.0 / (201 * math.comb(200, 115) / 2**200),
            "B(k+1, n-k+1) = 1/((n+1) C(n, k)), so BF10 = 1/(201 C(200, 115) 2^-200) = .8353281",
            1e-10,
        ),
    ),
)
def binomial_bayes_factor(k: int, n: int, p0: float = 0.5) -> Result:
    """`binomial_log_bf10` as an answer: the estimate is ln BF10 in nats. Raises as it does."""
    value = binomial_log_bf10(k, n, p0)
    return Result(
        rule=f"binomial Bayes factor, uniform prior against {p0:g}",
        guarantee=GUARANTEE,
        estimate=value,
        unit="nat",
        bf10=_exp(value),
        n=n,
        assumptions=("independent trials of one rate",),
    )


def _exp(value: float) -> float | None:
    return math.exp(value) if value < 709.0 else None
