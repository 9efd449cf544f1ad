"""The Tracy-Widom law of the largest eigenvalue of a real ensemble (beta = 1), to the far upper tail."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tollens.stats import wishart_edge
from tollens.stats.root import bracketed_root

NODES = 60
SMALL_SIDE = 50  # below it the finite law replaces the asymptotic one
TABLE_LOW, TABLE_HIGH = 1e-12, 0.05  # levels a scan asks for, by benchmarks/tracy_widom_table.py
SERIES = (
    5.9906434982,
    4.92148446329,
    -0.0651013460818,
    0.0173987705071,
    -0.0050821272937,
    0.00155453838823,
    -0.000485544219373,
    0.000152229774624,
    -4.73911625673e-05,
    1.45884544814e-05,
    -4.45540286969e-06,
    1.36405212468e-06,
    -4.24338341497e-07,
    1.35414130956e-07,
    -4.43185588513e-08,
    1.47172012326e-08,
    -4.88968371803e-09,
    1.62648015074e-09,
    -5.40333974622e-10,
    1.69788226849e-10,
)
_LOWEST = -12.0  # cdf(-12) < 1e-30
_SUPPORT = 20.0  # beyond s + 20 the kernel is below Ai(20 + s) and adds nothing to the determinant


@lru_cache(maxsize=4096)
def _log_cdf(s: float) -> float:
    """ln F(s) by Gauss-Legendre quadrature of the determinant of I - Ai(x + y + s) on (0, inf).

    The determinant is Ferrari and Spohn (2005, eq. 32); the quadrature is Bornemann (2010, section 6). ln
    det is summed over eigenvalues with log1p, which keeps the relative accuracy of 1 - F however small it
    is.
    """
    from scipy.special import airy

    nodes, weights = _legendre()
    length = max(8.0, _SUPPORT - s) / 2.0
    x = length * (nodes + 1.0) / 2.0
    root = np.sqrt(length * weights / 2.0)
    kernel = airy(x[:, None] + x[None, :] + s)[0]
    values = np.linalg.eigvalsh(root[:, None] * kernel * root[None, :])
    return float(np.log1p(-np.minimum(values, 1.0 - 1e-16)).sum())


@lru_cache(maxsize=1)
def _legendre() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return np.polynomial.legendre.leggauss(NODES)


def cdf(s: float) -> float:
    """F_1(s), absolute error below 1e-13."""
    return math.exp(min(0.0, _log_cdf(float(s)))) if s > _LOWEST else 0.0


def sf(s: float) -> float:
    """1 - F_1(s); the relative error stays below 1e-9 down to 1e-30."""
    return -math.expm1(_log_cdf(float(s))) if s > _LOWEST else 1.0


def quantile(p: float) -> float:
    """The s with F_1(s) = p, for 0 < p < 1. Close to 1 `upper_quantile(1 - p)` keeps more digits."""
    if not 0.0 < p < 1.0:
        raise ValueError(f"a probability strictly between 0 and 1 is needed; found {p!r}")
    return upper_quantile(1.0 - p) if p > 0.5 else bracketed_root(lambda s: cdf(s) - p, _LOWEST, 0.0, 1e-9)


@lru_cache(maxsize=1024)
def upper_quantile(level: float) -> float:
    """The s with 1 - F_1(s) = level, for 1e-30 <= level <= 0.999; absolute error below 1e-6.

    Between TABLE_LOW and TABLE_HIGH a Chebyshev series in (-ln level)^(2/3), in which s is nearly linear, stands
    for the exact law.
    """
    if not TABLE_LOW <= level <= TABLE_HIGH:
        return exact_upper_quantile(level)
    low, high = (math.pow(-math.log(end), 2.0 / 3.0) for end in (TABLE_HIGH, TABLE_LOW))
    x = 2.0 * (math.pow(-math.log(level), 2.0 / 3.0) - low) / (high - low) - 1.0
    one = two = 0.0
    for c in reversed(SERIES[1:]):  # Clenshaw's recurrence
        one, two = 2.0 * x * one - two + c, one
    return x * one - two + SERIES[0]


@lru_cache(maxsize=1024)
def exact_upper_quantile(level: float) -> float:
    """`upper_quantile` from the law itself; absolute error below 1e-8."""
    if not 1e-30 <= level <= 0.999:
        raise ValueError(f"a level between 1e-30 and 0.999 is needed; found {level!r}")
    return bracketed_root(lambda s: math.log(sf(s) / level), -5.0, 30.0, 1e-9)


def centre(M: int, N: int) -> float:
    """Where the top eigenvalue of an M x N unit-variance Wishart matrix sits, (a + b)^2 (Ma 2012, eq. 5).

    a = sqrt(N - 1/2), b = sqrt(M - 1/2). In units of the element variance; not divided by N.
    """
    return (math.sqrt(N - 0.5) + math.sqrt(M - 0.5)) ** 2


def scale(M: int, N: int) -> float:
    """The width of its law, (a + b)(1/a + 1/b)^(1/3), in the same unit (Ma 2012, eq. 5)."""
    a, b = math.sqrt(N - 0.5), math.sqrt(M - 0.5)
    return (a + b) * math.cbrt(1.0 / a + 1.0 / b)


@lru_cache(maxsize=1024)
def upper_quantile_small(level: float, M: int, N: int, known_variance: bool = False) -> float:
    """The q with P(lambda_max/variance > centre + q*scale) = level for a Gaussian matrix of this size.

    By default the variance is the one found in the same matrix, which makes the law narrower: at 20 x 300
    the asymptotic quantile for 0.01 is exceeded with probability 0.005 only. With `known_variance`, and for
    fewer than 60 elements or a single row, it is the true variance. For M <= N and 1e-11 <= level <= 0.5; a
    few tenths of a second at M = 50.
    """
    if not 1e-11 <= level <= 0.5:
        raise ValueError(f"a level between 1e-11 and 0.5 is needed; found {level!r}")
    mu, tau = centre(M, N), scale(M, N)
    known = known_variance or M == 1 or M * N < 60
    law = wishart_edge.largest_root_sf if known else wishart_edge.largest_share_sf

    def excess(q: float) -> float:
        return math.log(max(law(mu + q * tau, M, N), 1e-300) / level)

    high = 60.0 if known else upper_quantile(level) + 1.0  # a variance from the same matrix narrows the law
    return bracketed_root(excess, max(-2.5, -mu / tau), high, 1e-6)


def edge_quantile(level: float, M: int, N: int) -> float:
    """The number of scales above the centre that the top noise eigenvalue exceeds with probability `level`.

    The law of the very size below M = 50, Tracy-Widom from there on.
    """
    return upper_quantile_small(level, M, N) if M < SMALL_SIDE else upper_quantile(level)
