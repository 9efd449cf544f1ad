"""Two Bernoulli rates with Beta posteriors: the probability that one exceeds the other, and the expected losses.

All integrals are taken over the logit u of the rate. There the density, the distribution function and the
survival function of every Beta law are log-concave, so each integrand has one mode and falls off on both
sides; all its values are positive, so that a loss keeps its relative accuracy however small it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betainc, betaincc, expit, gammaln, log_expit, polygamma

from tollens.stats.domain import between, counts
from tollens.stats.registry import Known, statistic

Array: TypeAlias = NDArray[np.float64]

_PANEL_NODES = 16
_REACH = 2.0 * np.arange(-20.0, 21.0)  # standard deviations; beyond 38 on both sides a product underflows
_NEGLIGIBLE = 1e-20
_LARGEST = 1e10
_TABLE_REACH = 9.0  # standard deviations; a Beta law leaves less than 1e-12 outside
_TABLE_PANEL = 13.0  # standard deviations of a panel
_TABLE_NODES = 32
_STIRLING = (1.0 / 12.0, -1.0 / 360.0, 1.0 / 1260.0, -1.0 / 1680.0, 1.0 / 1188.0)


@dataclass(frozen=True, slots=True)
class Beta:
    """A Beta(alpha, beta) law of a rate in (0, 1).

    Raises: TollensError `stats_input` unless both parameters are positive and below 1e10, to which the precision
    of the functions here was checked.
    """

    alpha: float
    beta: float

    def __post_init__(self) -> None:
        for name in ("alpha", "beta"):
            object.__setattr__(self, name, between(name, getattr(self, name), 0.0, _LARGEST))

    @property
    def mean(self) -> float:
        return self.alpha / (self.alpha + self.beta)

    def updated(self, successes: int, trials: int) -> Beta:
        """The posterior after `successes` among `trials`. Raises TollensError `stats_input` outside 0 to trials."""
        counts("successes", successes, trials)
        return Beta(self.alpha + successes, self.beta + (trials - successes))

    def below(self, u: Array) -> Array:
        """P(rate <= x), x = 1/(1 + exp(-u)); above one half by the complement, which 1 - x does not round."""
        up = betainc(self.alpha, self.beta, expit(u))
        return np.asarray(np.where(u < 0.0, up, betaincc(self.beta, self.alpha, expit(-u))))

    def above(self, u: Array) -> Array:
        """P(rate > x)."""
        return Beta(self.beta, self.alpha).below(-u)

    def density(self, u: Array) -> Array:
        """Density of the logit, relative error about 1e-12 up to alpha + beta = 1e7.

        The deviance form with Stirling's remainder: alpha*ln x + beta*ln(1 - x) - ln B cancels badly when
        the parameters are large.
        """
        a, b = self.alpha, self.beta
        share, w = self.mean, u - math.log(a / b)
        near = np.abs(w) < 1.0
        v = np.where(near, w, 0.0)
        log_x = np.where(near, -np.log1p(b / (a + b) * np.expm1(-v)), log_expit(u) - math.log(share))
        log_y = np.where(near, -np.log1p(share * np.expm1(v)), log_expit(-u) - math.log(b / (a + b)))
        constant = 0.5 * (math.log(a) - math.log1p(a / b) - math.log(2.0 * math.pi))
        constant += _remainder(a + b) - _remainder(a) - _remainder(b)
        return np.asarray(np.exp(a * log_x + b * log_y + constant))

    def scale(self) -> tuple[float, float]:
        """Mode and standard deviation of the logit."""
        return math.log(self.alpha / self.beta), math.sqrt(polygamma(1, self.alpha) + polygamma(1, self.beta))


@dataclass(frozen=True, slots=True)
class Losses:
    """Expected losses in rate units: `a` of shipping A, E(B - A)+, and `b` of shipping B, E(A - B)+."""

    a: float
    b: float


def _remainder(x: float) -> float:
    """ln Gamma(x) - (x - 1/2) ln x + x - ln(2 pi)/2, by its asymptotic series from 16 on."""
    if x < 16.0:
        return float(gammaln(x)) - (x - 0.5) * math.log(x) + x - 0.5 * math.log(2.0 * math.pi)
    return math.fsum(c * x ** (-1.0 - 2.0 * i) for i, c in enumerate(_STIRLING))


@lru_cache(maxsize=32)
def _legendre(nodes: int) -> tuple[Array, Array]:
    return np.polynomial.legendre.leggauss(nodes)


def _integral(integrand: Callable[[Array], Array], first: Beta, second: Beta) -> float:
    """The integral over all logits of a log-concave function that varies on the scales of two Beta laws.

    Gauss-Legendre on panels no wider than 2 and than two standard deviations of either law, where it matters; a
    panel with both ends far below the largest value is left out, which log-concavity allows.
    """
    points = [np.arange(-80.0, 81.0, 2.0)]
    points += [mode + _REACH * sd for mode, sd in (first.scale(), second.scale())]
    edges = np.unique(np.concatenate(points))
    values = integrand(edges)
    high = np.maximum(values[:-1], values[1:])
    if high.max() == 0.0:
        return 0.0
    kept = high > _NEGLIGIBLE * high.max()
    half = np.diff(edges)[kept] / 2.0
    centre = edges[:-1][kept] + half
    nodes, weights = _legendre(_PANEL_NODES)
    inside = integrand((centre[:, None] + half[:, None] * nodes).ravel()).reshape(-1, _PANEL_NODES)
    return float(half @ (inside @ weights))


def _loss(shipped: Beta, other: Beta) -> float:
    """E(other - shipped)+ = int F_shipped (1 - F_other) dx, at least 0; relative error about 1e-12."""

    def integrand(u: Array) -> Array:
        return np.asarray(shipped.below(u) * other.above(u) * expit(u) * expit(-u))

    return _integral(integrand, shipped, other)


@statistic(
    guarantee="exact under the prior; an expected loss is not an error rate",
    references=(
        "Stucchio 2015, Bayesian A/B testing at VWO",
        "Raiffa & Schlaifer 1961, Applied Statistical Decision Theory",
    ),
    known=(
        Known(
            "two uniform arms",
            lambda f: _pair(f(Beta(1, 1), Beta(1, 1))),
            (1 / 6, 1 / 6),
            "int x(1 - x) dx = 1/6",
            1e-12,
        ),
        Known(
            "Beta(1,1) v Beta(2,1)",
            lambda f: _pair(f(Beta(1, 1), Beta(2, 1))),
            (1 / 4, 1 / 12),
            "int x(1 - x^2) = 1/4 and int x^2(1 - x) = 1/12",
            1e-12,
        ),
        Known(
            "Beta(2,2) v Beta(3,1)",
            lambda f: _pair(f(Beta(2, 2), Beta(3, 1))),
            (2 / 7, 1 / 28),
            "polynomial integrals, exact fractions",
            1e-12,
        ),
        Known(
            "Beta(3,8) v Beta(6,5)",
            lambda f: _pair(f(Beta(3, 8), Beta(6, 5))),
            (0.2807486631, 0.0080213904),
            "exact fractions 105/374 and 3/374",
            1e-9,
        ),
        Known(
            "Beta(101,901) v Beta(121,881)",
            lambda f: _pair(f(Beta(101, 901), Beta(121, 881))),
            (0.0204447, 0.00048461),
            "the finite sum over the first parameter in exact fractions",
            1e-7,
        ),
        Known(
            "a million trials an arm",
            lambda f: _pair(f(Beta(100_001, 900_001), Beta(100_101, 899_901))),
            (2.239734754391532e-4, 1.239736754387532e-4),
            "the finite sum over the first parameter, by its recurrence in 50 decimal digits",
            1e-15,
        ),
    ),
)
def expected_losses(a: Beta, b: Beta) -> Losses:
    """The expected losses of shipping either arm, in rate units; never negative.

    The loss of the arm with the larger mean is integrated, with its relative accuracy; the other follows from
    E(B - A)+ - E(A - B)+ = E B - E A. Below 10 ms at a million trials an arm.
    """
    gap = b.mean - a.mean
    if gap >= 0.0:
        small = _loss(b, a)
        return Losses(small + gap, small)
    small = _loss(a, b)
    return Losses(small, small - gap)


@statistic(
    guarantee="exact under the prior; calibrated under its prior, does not control the type-I error",
    references=("Cook 2003, Numerical computation of stochastic inequality probabilities",),
    known=(
        Known("two uniform arms", lambda f: f(Beta(1, 1), Beta(1, 1)), 1 / 2, "symmetry", 1e-12),
        Known("Beta(1,1) v Beta(2,1)", lambda f: f(Beta(1, 1), Beta(2, 1)), 2 / 3, "int (1 - x^2) dx", 1e-12),
        Known("Beta(2,2) v Beta(3,1)", lambda f: f(Beta(2, 2), Beta(3, 1)), 4 / 5, "1 - int 6x(1-x)x^3 dx", 1e-12),
        Known(
            "Beta(3,8) v Beta(6,5)",
            lambda f: f(Beta(3, 8), Beta(6, 5)),
            7685 / 8398,
            "the finite sum over the first parameter in exact fractions",
            1e-12,
        ),
        Known(
            "Beta(101,901) v Beta(121,881)",
            lambda f: f(Beta(101, 901), Beta(121, 881)),
            0.9231834,
            "the finite sum over the first parameter in exact fractions",
            1e-7,
        ),
    ),
)
def probability_greater(a: Beta, b: Beta) -> float:
    """P(B > A) for independent rates; the smaller of P(B > A) and P(A > B) has a relative error below 1e-10."""
    return 1.0 - _exceeds(a, b) if b.mean > a.mean else _exceeds(b, a)


def _exceeds(x: Beta, y: Beta) -> float:
    """P(X > Y) = int f_Y (1 - F_X) du."""
    return _integral(lambda u: np.asarray(y.density(u) * x.above(u)), x, y)


@statistic(
    guarantee="exact under the prior to 1e-9; an expected loss is not an error rate",
    references=("Stucchio 2015, Bayesian A/B testing at VWO",),
    known=(
        Known(
            "Beta(1,1) and Beta(2,1)",
            lambda f: f([1, 2], [1, 1]).ravel().tolist(),
            (1 / 6, 1 / 4, 1 / 12, 2 / 15),
            "int x(1-x), int x(1-x^2), int x^2(1-x), int x^2(1-x^2)",
            1e-12,
        ),
    ),
)
def loss_table(alpha: ArrayLike, beta: ArrayLike) -> Array:
    """(K, K) losses of K posteriors Beta(alpha[i], beta[i]): entry [i, j] is the loss of shipping i in place of j.

    All pairs at once, for simulation: the distribution functions at common Gauss-Legendre panels over
    arcsin(sqrt(rate)), where a posterior of n trials has standard deviation 1/(2 sqrt n) whatever its mean, and
    one product of matrices. Absolute error below 1e-9 for parameters of at least 1/2 and sums alpha + beta
    that are equal; `expected_losses` is the exact form. In rate units. Raises: TollensError `stats_input` for
    parameters that are not positive and finite.
    """
    a, b = np.atleast_1d(np.asarray(alpha, dtype=np.float64)), np.atleast_1d(np.asarray(beta, dtype=np.float64))
    for name, values in (("alpha", a), ("beta", b)):
        between(f"the smallest {name}", float(values.min()), 0.0, math.inf)
        between(f"the largest {name}", float(values.max()), 0.0, _LARGEST)
    centre, sd = np.arcsin(np.sqrt(a / (a + b))), 0.5 / np.sqrt(a + b)
    low = max(0.0, float((centre - _TABLE_REACH * sd).min()))
    high = min(math.pi / 2.0, float((centre + _TABLE_REACH * sd).max()))
    panels = max(1, math.ceil((high - low) / (_TABLE_PANEL * float(sd.min()))))
    nodes, weights = _legendre(_TABLE_NODES)
    half = (high - low) / (2.0 * panels)
    phi = (low + half * (2.0 * np.arange(panels)[:, None] + 1.0 + nodes)).ravel()
    below = betainc(a[:, None], b[:, None], np.sin(phi) ** 2)
    return np.asarray((below * (np.tile(half * weights, panels) * np.sin(2.0 * phi))) @ (1.0 - below).T)


def _pair(losses: Losses) -> tuple[float, float]:
    return losses.a, losses.b
