"""Large elements of a matrix: which they are, at a fixed point of the noise level, and whether they
cluster."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tollens.core.reading import Undefined
from tollens.instrument.screen import chunks

Array = NDArray[np.floating[Any]]
FEW = 2_000  # removed elements up to which positions are drawn, beyond it line counts


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
    """Set the large elements to the mean of the others and take that mean off all, in place."""
    flat = matrix.reshape(-1)
    for start in range(0, flat.size, 1 << 18):
        part = flat[start : start + (1 << 18)]
        part[(part < clip.low) | (part > clip.high)] = clip.mean
        part -= part.dtype.type(clip.mean)


def clustering(matrix: Array, clip: Clip, rng: np.random.Generator, draws: int = 199) -> float | Undefined:
    """Permutation p-value for large elements sharing rows or columns of `matrix` (not shuffled), in (0, 1].

    Statistic: sum of squared counts a line, for rows and for columns; p is twice the smaller one, at most 1
    (Bonferroni), each (1 + exceedances)/(1 + draws) over uniformly drawn places. Undefined below two large
    elements. This, not a count of outliers, is what their arrangement shows.
    """
    large = (matrix < clip.low) | (matrix > clip.high)
    observed = [np.square(large.sum(axis=axis, dtype=np.float64)).sum() for axis in (1, 0)]
    removed = int(large.sum())
    if removed < 2:
        return Undefined("too_few_large")
    rows, cols = matrix.shape
    drawn = np.array([_line_counts(rows, cols, removed, rng) for _ in range(draws)])
    p = (1.0 + (drawn >= np.array(observed)).sum(axis=0)) / (1.0 + draws)
    return float(min(1.0, 2.0 * p.min()))


def _line_counts(rows: int, cols: int, removed: int, rng: np.random.Generator) -> tuple[float, float]:
    """Both statistics for `removed` different places drawn uniformly."""
    if removed <= FEW and 20 * removed < rows * cols:
        places = _distinct(rng.integers(0, rows * cols, removed))
        while places.size < removed:
            places = _distinct(np.append(places, rng.integers(0, rows * cols, removed - places.size)))
        down = places // cols
        counts = np.bincount(down), np.bincount(places - cols * down)
    else:  # the two margins are drawn apart: their joint law is not used
        counts = (
            rng.multivariate_hypergeometric(np.full(rows, cols), removed, method="marginals"),
            rng.multivariate_hypergeometric(np.full(cols, rows), removed, method="marginals"),
        )
    return float(counts[0] @ counts[0]), float(counts[1] @ counts[1])


def _distinct(places: NDArray[np.int64]) -> NDArray[np.int64]:
    """Each value once, ascending; in place, a quarter of the price of the general routine."""
    places.sort()
    repeated = places[1:] == places[:-1]
    return np.delete(places, np.flatnonzero(repeated)) if repeated.any() else places


def _kept(matrix: Array, low: float, high: float) -> tuple[int, float, float]:
    """Count, mean and variance of the elements in [low, high]."""
    sums = np.zeros(3)
    for chunk in chunks(matrix):
        inside = chunk[(chunk >= low) & (chunk <= high)] if math.isfinite(low) else chunk
        sums += (inside.size, inside.sum(), np.square(inside).sum())
    count = int(sums[0])
    mean = float(sums[1]) / count
    return count, mean, max(0.0, float(sums[2]) / count - mean * mean)
