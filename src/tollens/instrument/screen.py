"""Moments of a matrix, and the rule that clears it of traps without shuffling it.

A uniformly permuted matrix shows an outlier only through a mean, through large elements, or through
sparsity; all three show in four moments. A matrix whose moments are close enough to those of noise needs no
shuffle.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tollens.instrument.part import Moments
from tollens.stats.tracy_widom import centre, scale

CHUNK = 1 << 14  # elements; the float64 working copies of one chunk fit the second-level cache


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


def moments_of(matrix: NDArray[np.floating[Any]]) -> Moments:
    """Moments of all elements of a finite, non-empty array of any shape, accumulated in float64.

    Two passes over chunks after the extremes; the elements are scaled by a power of two first, so that
    fourth powers of subnormal or huge elements stay in range. A constant array has std exactly 0, and its
    kurtosis, which does not exist, is given as 0 (below the least possible value 1).

    Raises: ValueError for an empty or a non-finite array.
    """
    if matrix.size == 0:
        raise ValueError("an empty array has no moments")
    low, high = float(matrix.min()), float(matrix.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError("moments need finite elements")
    count, nonzero = matrix.size, int(np.count_nonzero(matrix))
    if low == high:
        return Moments(count, low, 0.0, 0.0, 0.0, nonzero)
    exponent = math.frexp(max(abs(low), abs(high)))[1]
    first = math.fsum(float(_scaled(c, -exponent).sum()) for c in chunks(matrix))
    middle = first / count
    spread = max(math.ldexp(high, -exponent) - middle, middle - math.ldexp(low, -exponent))
    shift = math.frexp(spread)[1]
    sums = np.zeros(3)
    for chunk in chunks(matrix):
        d = _scaled(chunk, -exponent)
        d -= middle
        if shift < -8:
            d = _scaled(d, -shift)
        else:
            shift = 0
        square = d * d
        total = square.sum()
        square *= square  # no dot product: threads of a BLAS cost more than they save on one chunk
        sums += (d.sum(), total, square.sum())
    residue, second, fourth = (float(s) / count for s in sums)
    variance = second - residue * residue
    if variance <= 0.0:
        return Moments(count, math.ldexp(middle, exponent), 0.0, 0.0, 0.0, nonzero)
    back = exponent + shift
    return Moments(
        count=count,
        mean=math.ldexp(middle, exponent),
        std=math.ldexp(math.sqrt(variance), back),
        max_abs_deviation=math.ldexp(spread, exponent),
        kurtosis=fourth / (variance * variance),
        nonzero=nonzero,
    )


def chunks(matrix: NDArray[np.floating[Any]]) -> Iterator[NDArray[np.float64]]:
    """The elements in storage order as float64 copies of at most CHUNK elements."""
    flat = matrix.reshape(-1)
    for start in range(0, flat.size, CHUNK):
        yield flat[start : start + CHUNK].astype(np.float64)


def _scaled(values: NDArray[np.float64], exponent: int) -> NDArray[np.float64]:
    """`values * 2**exponent` in place; in two factors where one would leave the range of float64."""
    for part in (exponent // 2, exponent - exponent // 2) if abs(exponent) > 1000 else (exponent,):
        values *= 2.0**part
    return values
