"""The generalised exponential integral of real order and the moments of the law it normalises."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

NODES, WEIGHTS = np.polynomial.legendre.leggauss(20)
PANELS = 24
DEPTH = 46.0  # the integrand is followed down to exp(-46) = 1e-20 of its maximum


@dataclass(frozen=True, slots=True)
class Tilted:
    """The law with density proportional to y^-a e^{-b y} on y >= 1: ln of its integral, and moments.

    `log_norm` = ln E_a(b); `mean_log` = E[ln y], `variance_log` its variance, `mean` = E[y].
    """

    log_norm: float
    mean_log: float
    variance_log: float
    mean: float


def tilted(a: float, b: float) -> Tilted:
    """E_a(b) = integral of y^-a e^{-b y} over y >= 1, for any real order a and b > 0, and the moments.

    With y = e^s the integrand exp((1-a) s - b e^s) is log-concave with one maximum, so its support above
    1e-20 of the maximum is one interval, found by bisection, on which composite Gauss-Legendre quadrature
    of a positive, entire function converges to rounding. No recurrence, hence no cancellation near integer
    orders. Reference: NIST DLMF 8.19.2.
    """
    if not b > 0.0:
        raise ValueError(f"the second argument is positive, found {b}")

    def exponent(s: float) -> float:
        return (1.0 - a) * s - b * math.exp(min(s, 700.0))

    top = max(0.0, math.log((1.0 - a) / b)) if a < 1.0 else 0.0
    floor = exponent(top) - DEPTH
    low = 0.0 if exponent(0.0) >= floor else _crossing(exponent, 0.0, top, floor)
    reach = 1.0
    while exponent(top + reach) > floor:
        reach *= 2.0
    high = _crossing(exponent, top + reach, top, floor)
    edges = np.linspace(low, high, PANELS + 1)
    half = 0.5 * (edges[1] - edges[0])
    s = ((edges[:-1] + half)[:, None] + half * NODES).ravel()
    growth = np.exp(s)
    density = np.exp((1.0 - a) * s - b * growth - exponent(top)) * np.tile(half * WEIGHTS, PANELS)
    total = float(density.sum())
    weight = density / total
    mean_log = float(weight @ s)
    return Tilted(
        log_norm=exponent(top) + math.log(total),
        mean_log=mean_log,
        variance_log=float(weight @ (s - mean_log) ** 2),
        mean=float(weight @ growth),
    )


def _crossing(exponent: Callable[[float], float], outside: float, inside: float, floor: float) -> float:
    """A point just outside the set {exponent > floor}, between `outside` (in the complement) and `inside`."""
    for _ in range(40):
        middle = 0.5 * (outside + inside)
        if exponent(middle) > floor:
            inside = middle
        else:
            outside = middle
    return outside
