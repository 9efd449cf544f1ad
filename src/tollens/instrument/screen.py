"""Moments of a matrix, and the rule that clears it of traps without shuffling it.

A uniformly permuted matrix shows an outlier only through a mean, through large elements, or through
sparsity; all three show in four moments. A matrix whose moments are close enough to those of noise needs no
shuffle.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tollens.core.native import _native
from tollens.instrument.part import Moments
from tollens.stats.tracy_widom import centre, scale

LEAST = 500  # powers of two taken out of tiny elements; 2^1074, of the least subnormal, would not be a number


@dataclass(frozen=True, slots=True)
class ScreenConstants:
    """Dimensionless constants of `clear`, calibrated by benchmarks/calibrate_screen.py."""

    mean: float = 0.5
    element: float = 1.5
    shift: float = 0.2


def clear(moments: Moments, M: int, N: int, constants: ScreenConstants = ScreenConstants()) -> bool:
    """True if no shuffle of an M x N matrix (M <= N) with these moments is expected to show an outlier.

    A mean offset makes an outlier beyond sigma*(NM)^(-1/4) and one element beyond sigma*(NM)^(1/4)
    (Benaych-Georges and Nadakuditi 2012). Sparsity moves the edge by (kurtosis - 3)/sqrt(NM) of itself, which
    counts in units of the Tracy-Widom scale (Hwang, Lee and Schnelli 2019; measured at 200 x 200, 128 x 512
    and 64 x 1024). The rule stays inside these bounds:

        |mean| < mean * sigma * (NM)^(-1/4)
        max|w - mean| < element * sigma * sqrt(M / (2 ln N))
        (kurtosis - 3) / sqrt(NM) < shift * scale / centre

    It is calibrated, not proved. At the limit of the shift false outliers are about 1.5 times as frequent as
    nominal by the slope of the Tracy-Widom tail (at 0.3 measured as 1.9 times, sign matrices at 256 x 256,
    level 0.002 a shuffle). False for a matrix without variance.
    """
    if moments.std <= 0.0 or M < 2:
        return False
    return (
        abs(moments.mean) < constants.mean * moments.std * (N * M) ** -0.25
        and moments.max_abs_deviation < constants.element * moments.std * math.sqrt(M / (2.0 * math.log(N)))
        and (moments.kurtosis - 3.0) / math.sqrt(N * M) < constants.shift * scale(M, N) / centre(M, N)
    )


@dataclass(frozen=True, slots=True)
class Extremes:
    """What one pass over a non-empty matrix sees: its smallest and largest element and the sum of all, in the
    unit of the matrix, and how many are not zero. `low` and `high` are NaN if any element is NaN or infinite.
    """

    low: float
    high: float
    total: float
    nonzero: int

    @property
    def finite(self) -> bool:
        """No element is NaN or infinite."""
        return math.isfinite(self.low)


def extremes_of(matrix: NDArray[np.floating[Any]]) -> Extremes:
    """Extremes of an array of any shape; the sum is accumulated in float64 and not finite where it leaves its
    range.

    Raises: ValueError for an empty array.
    """
    if matrix.size == 0:
        raise ValueError("an empty array has no moments")
    return Extremes(*_native.element_extremes(flat(matrix)))


def moments_of(matrix: NDArray[np.floating[Any]], seen: Extremes | None = None) -> Moments:
    """Moments of all elements of a finite, non-empty array of any shape, accumulated in float64.

    One pass for the extremes, unless they were `seen` before, and one for the central moments, with powers of
    two taken out, so that fourth powers of subnormal or huge elements stay in range. A constant array has std
    exactly 0, and its kurtosis, which does not exist, is given as 0 (below the least possible value 1).

    Raises: ValueError for an empty or a non-finite array.
    """
    seen = seen or extremes_of(matrix)
    if not seen.finite:
        raise ValueError("moments need finite elements")
    count, low, high = matrix.size, seen.low, seen.high
    if low == high:
        return Moments(count, low, 0.0, 0.0, 0.0, seen.nonzero)
    exponent = max(math.frexp(max(abs(low), abs(high)))[1], -LEAST)
    unit, elements = 2.0**-exponent, flat(matrix)
    first = (
        seen.total * unit if math.isfinite(seen.total) else _native.element_central_sums(elements, unit, 0.0, 1.0)[0]
    )
    middle = first / count
    spread = max(high * unit - middle, middle - low * unit)
    shift = math.frexp(spread)[1]
    sums = _native.element_central_sums(elements, unit, middle, 2.0**-shift)
    residue, second, fourth = (s / count for s in sums)
    variance = second - residue * residue
    if variance <= 0.0:
        return Moments(count, math.ldexp(middle, exponent), 0.0, 0.0, 0.0, seen.nonzero)
    return Moments(
        count=count,
        mean=math.ldexp(middle, exponent),
        std=math.ldexp(math.sqrt(variance), exponent + shift),
        max_abs_deviation=math.ldexp(spread, exponent),
        kurtosis=fourth / (variance * variance),
        nonzero=seen.nonzero,
    )


def flat(matrix: NDArray[np.floating[Any]]) -> NDArray[np.float32] | NDArray[np.float64]:
    """The elements row by row as the kernels take them: without a copy if they lie so in memory."""
    if np.can_cast(matrix.dtype, np.float32):
        return np.ascontiguousarray(matrix, dtype=np.float32).reshape(-1)
    return np.ascontiguousarray(matrix, dtype=np.float64).reshape(-1)
