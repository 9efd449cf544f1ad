"""Large elements of a matrix: which they are, at a fixed point of the noise level, and whether they
cluster."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tollens.core.native import _native
from tollens.core.reading import Undefined
from tollens.instrument.screen import flat

Array = NDArray[np.floating[Any]]
PER_LINE = 8  # elements a line up to which their places are cheaper to draw than the counts of the lines
HELD = 1 << 18  # places held at once, 2 MB


@dataclass(frozen=True, slots=True)
class Clip:
    """Elements outside [low, high] are large; setting them to `mean`, the mean of the others, removes them.

    `variance`: of all elements after that. `removed`: how many there are. Units of the matrix it was made
    for.
    """

    low: float
    high: float
    mean: float
    variance: float
    removed: int


def clip_of(matrix: Array, kappa: float = 1.0 / 3.0) -> Clip:
    """The fixed point of: keep what lies within sigma*max(kappa*(NM)^(1/4), 3) of the mean of the kept
    elements.

    One element makes an outlier of a random matrix from sigma*(NM)^(1/4) on (Benaych-Georges and Nadakuditi
    2012); heavy tails make one by several smaller ones together, hence kappa < 1. The interval only shrinks,
    so the iteration ends. `matrix` should be near mean 0 in scale, since squares are accumulated as they
    are.
    """
    reach = max(kappa * matrix.size**0.25, 3.0)
    low, high = -math.inf, math.inf
    kept, mean, variance = _kept(matrix, low, high)
    while True:
        if variance == 0.0:  # rounding of the mean would leave none of the equal elements that remain
            return Clip(low, high, mean, 0.0, matrix.size - kept)
        cut = reach * math.sqrt(variance)
        # rounded to the dtype of the matrix, so that every later comparison with its elements agrees with
        # this one
        low = max(low, float(matrix.dtype.type(mean - cut)))
        high = min(high, float(matrix.dtype.type(mean + cut)))
        count, mean, variance = _kept(matrix, low, high)
        if count == kept:
            return Clip(low, high, mean, variance * count / matrix.size, matrix.size - count)
        kept = count


def remove_large(matrix: Array, clip: Clip) -> None:
    """Set the large elements to the mean of the others and take that mean off all, in place.

    `matrix`: C-contiguous, float32 or float64.
    """
    _native.element_remove_outside(matrix.reshape(-1), clip.low, clip.high, clip.mean)


def clustering(matrix: Array, clip: Clip, rng: np.random.Generator, draws: int = 199) -> float | Undefined:
    """Permutation p-value for large elements sharing rows or columns of `matrix` (not shuffled), in (0, 1].

    Statistic: sum of squared counts a line, for rows and for columns; p is twice the smaller one, at most 1
    (Bonferroni), each (1 + exceedances)/(1 + draws) over uniformly drawn places. Undefined below two large
    elements. This, not a count of outliers, is what their arrangement shows.
    """
    rows, cols = matrix.shape
    down, across = np.zeros(rows, dtype=np.int64), np.zeros(cols, dtype=np.int64)
    _native.element_count_outside(flat(matrix).reshape(rows, cols), clip.low, clip.high, down, across)
    removed = int(down.sum())
    if removed < 2:
        return Undefined("too_few_large")
    few = removed <= PER_LINE * (rows + cols) and 20 * removed < rows * cols
    drawn = (_by_places if few else _by_lines)(rows, cols, removed, draws, rng)
    p = (1.0 + (drawn >= (down @ down, across @ across)).sum(axis=0)) / (1.0 + draws)
    return float(min(1.0, 2.0 * p.min()))


def _by_places(rows: int, cols: int, removed: int, draws: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Both statistics, (draws, 2), for `removed` different places drawn uniformly.

    Of independent places the first different ones are kept. A draw without enough of them is made anew, which
    favours no place, since how many are different does not depend on which they are.
    """
    given = removed + removed // 20 + 8  # every fortieth is a repetition at the most that is drawn so
    drawn = np.full((draws, 2), -1, dtype=np.int64)
    missing = np.arange(draws)
    while missing.size:
        batch = missing[: max(1, HELD // given)]
        places = rng.integers(0, rows * cols, (batch.size, given))
        squares = np.empty((batch.size, 2), dtype=np.int64)
        _native.line_squares(places, removed, rows, cols, squares)
        drawn[batch] = squares
        missing = np.flatnonzero(drawn[:, 0] < 0)
    return drawn


def _by_lines(rows: int, cols: int, removed: int, draws: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """The same from the counts of the lines; the two margins are drawn apart, as their joint law is not used."""
    lines = (np.full(rows, cols), np.full(cols, rows))
    return np.array(
        [
            [k @ k for k in (rng.multivariate_hypergeometric(n, removed, method="marginals") for n in lines)]
            for _ in range(draws)
        ]
    )


def _kept(matrix: Array, low: float, high: float) -> tuple[int, float, float]:
    """Count, mean and variance of the elements in [low, high]."""
    count, total, squares = _native.element_kept_sums(flat(matrix), low, high)
    mean = total / count
    return count, mean, max(0.0, squares / count - mean * mean)
