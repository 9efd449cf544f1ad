"""Wald's sequential probability ratio test of one simple hypothesis against another."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from tollens.core.errors import TollensError
from tollens.stats.domain import LARGEST, between, binary, positive, refuse, sample
from tollens.stats.registry import Known, statistic

WALD = "Wald, Sequential tests of statistical hypotheses, Ann. Math. Statist. 16 (1945)"
ERRORS = (
    "P(accept H1 | H0) <= alpha/(1 - beta) and P(accept H0 | H1) <= beta/(1 - alpha), their sum at most alpha + "
    "beta, whenever one stops"
)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Accept H1 once the log-likelihood ratio is at or above `upper`, H0 at or below `lower`."""

    upper: float
    lower: float


@dataclass(frozen=True, slots=True)
class Decision:
    """`accepted` is None while the test goes on; `n` units were used, `log_ratio` is ln(L1/L0) after them.

    `guarantee` bounds both errors; alpha and beta themselves hold up to overshoot.
    """

    accepted: Literal["H0", "H1"] | None
    n: int
    log_ratio: float
    guarantee: str = ERRORS


@dataclass(frozen=True, slots=True)
class ExpectedSize:
    """Mean number of units under each hypothesis, overshoot ignored: `approximate` is always true."""

    under_h0: float
    under_h1: float
    approximate: bool = True


@statistic(
    guarantee=ERRORS,
    references=(WALD,),
    known=(
        Known(
            "alpha .05, beta .2",
            lambda f: _pair(f(0.05, 0.2)),
            (2.772589, -1.558145),
            "ln(.8/.05) = ln 16 and ln(.2/.95)",
            1e-6,
        ),
        Known("alpha .05, beta .05", lambda f: _pair(f(0.05, 0.05)), (2.944439, -2.944439), "ln 19, by symmetry", 1e-6),
    ),
)
def sprt_thresholds(alpha: float, beta: float) -> Thresholds:
    """ln((1 - beta)/alpha) and ln(beta/(1 - alpha)) (Wald 1945).

    Raises: TollensError `stats_input` unless both are in (0, 1) and alpha + beta < 1.
    """
    a, b = between("alpha", alpha, 0.0, 1.0), between("beta", beta, 0.0, 1.0)
    if a + b >= 1.0:
        refuse("alpha + beta", "a sum below 1: a coin decides as well", a + b)
    return Thresholds(math.log((1.0 - b) / a), math.log(b / (1.0 - a)))


def _pair(thresholds: Thresholds) -> tuple[float, float]:
    return thresholds.upper, thresholds.lower


@statistic(
    guarantee=ERRORS,
    references=(WALD,),
    known=(
        Known(
            "a step on the boundary decides",
            lambda f: f([1.0, 1.0, -5.0], Thresholds(2.0, -2.0)).n,
            2,
            "1 + 1 = 2 reaches the upper threshold before the third step",
        ),
    ),
)
def sprt(steps: ArrayLike, thresholds: Thresholds) -> Decision:
    """The first crossing of the running sum of `steps`, the log-likelihood ratios ln(f1/f0) of each unit.

    Raises: TollensError `stats_input` if a step is not finite or there is none.
    """
    path = np.cumsum(sample("the steps", steps))
    crossed = np.flatnonzero((path >= thresholds.upper) | (path <= thresholds.lower))
    if crossed.size == 0:
        return Decision(None, path.size, float(path[-1]))
    at = int(crossed[0])
    return Decision("H1" if path[at] >= thresholds.upper else "H0", at + 1, float(path[at]))


@statistic(
    guarantee="exact: the log-likelihood ratio of one unit",
    references=(WALD,),
    known=(Known(".5 v .6", lambda f: f(0.5, 0.6), (0.182322, -0.223144), "ln 1.2 and ln .8", 1e-6),),
)
def bernoulli_steps(p0: float, p1: float) -> tuple[float, float]:
    """What a one and what a zero add: ln(p1/p0) and ln((1 - p1)/(1 - p0)).

    Raises: TollensError `stats_input` if p0 = p1 or one is outside (0, 1); `stats_unnamed` for a composite
    hypothesis, which needs a mixture.
    """
    a, b = _simple("p0", p0), _simple("p1", p1)
    if a == b:
        refuse("p0 and p1", "two different rates", (p0, p1))
    return math.log(b / a), math.log1p(-b) - math.log1p(-a)


def _simple(name: str, p: float) -> float:
    if not isinstance(p, (int, float, np.floating)):
        raise TollensError(
            "stats_unnamed",
            f"the hypothesis {name}",
            expected="one rate",
            found=repr(p)[:80],
            fix="Name one rate, or use the mixture e-value of a composite alternative.",
        )
    return between(name, p, 0.0, 1.0)


@statistic(
    guarantee=ERRORS,
    references=(WALD,),
    known=(
        Known(
            "16 straight ones accept H1",
            lambda f: _told(f([1] * 20, 0.5, 0.6)),
            "H1 at 16",
            "16 ln 1.2 = 2.917 > 2.7726 > 15 ln 1.2 = 2.735",
        ),
        Known(
            "7 straight zeros accept H0",
            lambda f: _told(f([0] * 20, 0.5, 0.6)),
            "H0 at 7",
            "7 ln .8 = -1.562 < -1.5581 < 6 ln .8 = -1.339",
        ),
    ),
)
def bernoulli_sprt(x: ArrayLike, p0: float, p1: float, alpha: float = 0.05, beta: float = 0.2) -> Decision:
    """Wald's test of rate p0 against rate p1 on zeros and ones in the order in which they came.

    Raises as `bernoulli_steps` and `sprt_thresholds`; `stats_input` for other values than 0 and 1.
    """
    one, zero = bernoulli_steps(p0, p1)
    return sprt(np.where(binary("x", x) == 1.0, one, zero), sprt_thresholds(alpha, beta))


def _told(decision: Decision) -> str:
    return f"{decision.accepted} at {decision.n}"


@statistic(
    guarantee=ERRORS,
    references=(WALD,),
    known=(
        Known(
            "a mean half-way between decides nothing",
            lambda f: f([0.5] * 9, 0.0, 1.0, 1.0).log_ratio,
            0.0,
            "the step (mu1 - mu0)(x - (mu0 + mu1)/2)/sigma^2 is zero at the midpoint",
            1e-12,
        ),
    ),
)
def gaussian_sprt(
    x: ArrayLike, mu0: float, mu1: float, sigma: float, alpha: float = 0.05, beta: float = 0.2
) -> Decision:
    """Wald's test of mean mu0 against mu1, the standard deviation `sigma` of one unit known.

    Raises: TollensError `stats_input` if mu0 = mu1, sigma <= 0 or x is not finite.
    """
    positive("sigma", sigma)
    if between("mu0", mu0, -LARGEST, LARGEST) == between("mu1", mu1, -LARGEST, LARGEST):
        refuse("mu0 and mu1", "two different finite means", (mu0, mu1))
    values = sample("x", x)
    return sprt((mu1 - mu0) * (values - (mu0 + mu1) / 2.0) / sigma**2, sprt_thresholds(alpha, beta))


@statistic(
    guarantee="approximate: overshoot is ignored",
    references=(WALD,),
    known=(
        Known(
            ".5 v .6, alpha .05, beta .2",
            lambda f: _sizes(f(0.5, 0.6, 0.05, 0.2)),
            (65.73, 94.68),
            "(.05 ln A + .95 ln B)/E0[step] = -1.34161/-.020411; (.8 ln A + .2 ln B)/E1[step] = 1.90644/.020136",
            1e-2,
        ),
    ),
)
def sprt_expected_size(p0: float, p1: float, alpha: float, beta: float) -> ExpectedSize:
    """Mean number of units of `bernoulli_sprt` under each hypothesis (Wald 1945), overshoot ignored.

    Raises as `bernoulli_sprt`.
    """
    one, zero = bernoulli_steps(p0, p1)
    limits = sprt_thresholds(alpha, beta)
    under_h0 = (alpha * limits.upper + (1.0 - alpha) * limits.lower) / (p0 * one + (1.0 - p0) * zero)
    under_h1 = ((1.0 - beta) * limits.upper + beta * limits.lower) / (p1 * one + (1.0 - p1) * zero)
    return ExpectedSize(under_h0, under_h1)


def _sizes(sizes: ExpectedSize) -> tuple[float, float]:
    return sizes.under_h0, sizes.under_h1


@statistic(
    guarantee="the sample size of the one-sided test of fixed size with the same errors, normal approximation",
    references=("Fleiss, Levin & Paik, Statistical Methods for Rates and Proportions (2003), section 2.3",),
    known=(
        Known(
            ".5 v .6, alpha .05, beta .2",
            lambda f: f(0.5, 0.6, 0.05, 0.2),
            153,
            "((1.64485*.5 + .84162*.48990)/.1)^2 = 152.5",
        ),
    ),
)
def fixed_size_beside(p0: float, p1: float, alpha: float, beta: float) -> int:
    """Units that a one-sided test of one rate needs: ceil((z_a sqrt(p0 q0) + z_b sqrt(p1 q1))^2/(p1 - p0)^2).

    Raises as `bernoulli_sprt`.
    """
    bernoulli_steps(p0, p1)
    sprt_thresholds(alpha, beta)
    root = -float(ndtri(alpha)) * math.sqrt(p0 * (1.0 - p0)) - float(ndtri(beta)) * math.sqrt(p1 * (1.0 - p1))
    return math.ceil((root / (p1 - p0)) ** 2)
