"""Adjusted p-values of a family of claims whose size was fixed before any was tested."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from tollens.core.errors import TollensError
from tollens.stats.domain import Array, level, refused, sample, whole
from tollens.stats.published import MYOCARDIAL
from tollens.stats.registry import Known, statistic

_FOUR = (0.01, 0.04, 0.03, 0.005)


def _rejected(adjust: Callable[..., Array]) -> int:
    return int(np.count_nonzero(adjust(MYOCARDIAL, sealed=15) <= 0.05))


@statistic(
    guarantee="family-wise error at most alpha under any dependence",
    references=("Bonferroni (1936)", "Dunn (1961), JASA 56, 52"),
    known=(
        Known("fifteen p-values", _rejected, 3, "three lie below 0.05/15 = 0.00333"),
        Known("four", lambda f: f(_FOUR, sealed=4), (0.04, 0.16, 0.12, 0.02), "4 p", 1e-12),
        Known("capped", lambda f: f((0.4, 0.9, 0.6), sealed=3), (1.0, 1.0, 1.0), "3 p above 1", 0.0),
    ),
)
def bonferroni(p: ArrayLike, *, sealed: int) -> Array:
    """m p, at most 1, in the order given; see `holm` for the arguments, the unit and what is refused."""
    x = _family(p, sealed)
    return np.minimum(1.0, x.size * x)


@statistic(
    guarantee="family-wise error at most alpha under any dependence",
    references=("Holm (1979), Scand. J. Stat. 6, 65",),
    known=(
        Known("fifteen p-values", _rejected, 3, "12 x 0.0095 = 0.114 stops at the fourth"),
        Known("four", lambda f: f(_FOUR, sealed=4), (0.03, 0.06, 0.06, 0.02), "4 x .005, 3 x .01, 2 x .03", 1e-12),
    ),
)
def holm(p: ArrayLike, *, sealed: int) -> Array:
    """The running maximum of (m - i + 1) p_(i), at most 1, in the order given (m,).

    `sealed` is the number of claims in the family as registered: a claim without a result enters with p = 1.
    Raises: TollensError `stats_input` for a p-value outside [0, 1], `stats_family_changed` unless there are
    `sealed` of them.
    """
    x = _family(p, sealed)
    order = np.argsort(x, kind="stable")
    factors = np.arange(x.size, 0, -1)
    return _restored(np.maximum.accumulate(factors * x[order]), order)


@statistic(
    guarantee="false discovery rate at most alpha for independent or positively dependent p-values",
    references=(
        "Benjamini, Hochberg (1995), JRSS B 57, 289",
        "Benjamini, Yekutieli (2001), Ann. Stat. 29, 1165",
    ),
    known=(
        Known("fifteen p-values", _rejected, 4, "Benjamini and Hochberg (1995), section 3.2"),
        Known(
            "their first four",
            lambda f: f(MYOCARDIAL, sealed=15)[:4],
            (0.0015, 0.003, 0.0095, 0.035625),
            "15 p_(i)/i for i = 1 ... 4",
            1e-12,
        ),
        Known("four", lambda f: f(_FOUR, sealed=4), (0.02, 0.04, 0.04, 0.02), "4 p/i, minima from the right", 1e-12),
    ),
)
def benjamini_hochberg(p: ArrayLike, *, sealed: int) -> Array:
    """The running minimum from the right of m p_(i)/i, at most 1; see `holm` for the arguments."""
    return _step_up(_family(p, sealed), 1.0)


@statistic(
    guarantee="false discovery rate at most alpha under any dependence",
    references=("Benjamini, Yekutieli (2001), Ann. Stat. 29, 1165, theorem 1.3",),
    known=(
        Known("fifteen p-values", _rejected, 3, "the sum of 1/i to 15 is 3.318"),
        Known("four", lambda f: f(_FOUR, sealed=4), (1 / 24, 1 / 12, 1 / 12, 1 / 24), "BH x 25/12", 1e-12),
    ),
)
def benjamini_yekutieli(p: ArrayLike, *, sealed: int) -> Array:
    """`benjamini_hochberg` times the sum of 1/i to m, at most 1; see `holm` for the arguments."""
    x = _family(p, sealed)
    return _step_up(x, math.fsum(1.0 / i for i in range(1, x.size + 1)))


@statistic(
    guarantee="exact for independent tests of level alpha",
    references=("Sidak (1967), JASA 62, 626",),
    known=(Known("five tests", lambda f: f(0.05, 5), 0.22622, "1 - 0.95^5", 1e-5),),
)
def familywise_error(alpha: float, m: int) -> float:
    """1 - (1 - alpha)^m: the chance that one of m independent tests of true nulls rejects without correction.

    Raises: TollensError `stats_input`.
    """
    return -math.expm1(whole("m", m, 1) * math.log1p(-level(alpha)))


def _family(p: ArrayLike, sealed: int) -> Array:
    x = sample("p", p)
    outside = np.flatnonzero((x < 0.0) | (x > 1.0))
    if outside.size:
        raise refused("p", "p-values in [0, 1]", repr(float(x[outside[0]])), "Correct that p-value.")
    if x.size != whole("sealed", sealed, 1):
        raise TollensError(
            "stats_family_changed",
            f"a family of {sealed} claims",
            expected=f"{sealed} p-values, as registered",
            found=str(x.size),
            fix="Give every registered claim; one without a result enters with p = 1.",
        )
    return x


def _step_up(x: Array, factor: float) -> Array:
    order = np.argsort(x, kind="stable")
    scaled = factor * x.size / np.arange(1, x.size + 1) * x[order]
    return _restored(np.minimum.accumulate(scaled[::-1])[::-1], order)


def _restored(ascending: Array, order: np.ndarray[tuple[int, ...], np.dtype[np.intp]]) -> Array:
    out = np.empty_like(ascending)
    out[order] = np.minimum(1.0, ascending)
    return out
