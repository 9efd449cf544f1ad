"""E-values for the mean of bounded values, by betting: valid for any law on the interval, at any stopping time."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tollens.core.errors import TollensError
from tollens.stats.domain import between, refuse, sample

REFERENCE = "Waudby-Smith & Ramdas, Estimating means of bounded random variables by betting, JRSS B 86 (2024)"
SHARES = (1.0, 0.5, 0.25, 0.125, 0.0625, 0.03125)
"""The bets that are mixed, as shares of the largest that cannot ruin: fixed beforehand, equal weights."""

Vector = NDArray[np.float64]


def log_capitals(x: ArrayLike, mean: float, support: tuple[float, float]) -> tuple[Vector, Vector]:
    """ln of the e-values against "the mean is at most `mean`" and against "at least", after each value, (n,) both.

    Against "at most" the capital is the average over c in `SHARES` of prod (1 + c (x - mean)/(mean - low)). No factor
    is negative, and under the null none has a conditional mean above 1, so the capital exceeds 1/alpha at some time
    with probability at most alpha (Ville 1939). The scale of the bets is the distance to the end of the support and
    not, as in Hoeffding's bound, its width, so that values that keep far from one end still tell something. Raises:
    TollensError `stats_input` unless low < mean < high, all finite; `stats_assumption_violated` for a value outside.
    """
    low, high = support
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        refuse("the support", "two finite numbers, the lower first", support)
    centre, values = between("the mean under test", mean, low, high), sample("x", x)
    if not ((values >= low) & (values <= high)).all():
        raise TollensError(
            "stats_assumption_violated",
            "x",
            expected=f"values within the support [{low:g}, {high:g}]",
            found=f"values from {values.min():.6g} to {values.max():.6g}",
            fix="Declare a support that every value respects.",
        )
    above = (values - centre) / (centre - low)
    below = (centre - values) / (high - centre)
    return _log_capital(above), _log_capital(below)


def _log_capital(gain: Vector) -> Vector:
    """`gain` (n,) of a full bet, at least -1."""
    with np.errstate(divide="ignore"):  # a full bet that loses all leaves ln 0; smaller bets go on
        each = np.cumsum(np.log1p(np.multiply.outer(np.asarray(SHARES), gain)), axis=1)
    mixed: Vector = np.logaddexp.reduce(each, axis=0) - math.log(len(SHARES))
    return mixed
