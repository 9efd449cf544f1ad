"""How far a matrix has come since the first checkpoint, how far since the last one, and in how many directions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tollens.core.reading import Undefined
from tollens.instrument.krylov import Krylov, products_with
from tollens.instrument.spectrum import PANEL_BYTES, Precision, spectrum_of

Array = NDArray[np.floating[Any]]

DENSE_SIDE = 512  # up to this smaller side a whole spectrum costs less than a search for its top
BLOCK, STEPS = 4, 40  # of the search; a step reads the matrix once
CLOSE = 1e-3  # relative residual of the top eigenvalue; its error is below that, and mostly below its square


def distance(one: Array, other: Array) -> float:
    """||A - B||_F of two matrices of one shape, in weight, in float64 and panel by panel.

    Where squares of finite differences overflow it is infinite.
    """
    first, second = one.reshape(-1), other.reshape(-1)
    total = 0.0
    with np.errstate(over="ignore", under="ignore"):
        for start in range(0, first.size, PANEL_BYTES // 8):
            part = slice(start, start + PANEL_BYTES // 8)
            panel = np.subtract(first[part], second[part], dtype=np.float64)
            total += float(panel @ panel)
    return math.sqrt(total)


def stable_rank_of(matrix: Array, rng: np.random.Generator, threads: int = 1) -> float | Undefined:
    """||W||_F^2/||W||_2^2 of a finite (rows, cols) float32 or float64 matrix, between 1 and its smaller side.

    The norm comes from the whole spectrum of a small matrix and from a block Krylov space of a large one, to a
    relative error of 1e-3 at most; then and there the start vectors are drawn from `rng`. The matrix is scaled in
    place. UNDEFINED `no_movement` for a zero matrix, as this is asked of differences; `scale_out_of_range`.
    """
    largest = max(abs(float(matrix.max())), abs(float(matrix.min()))) if matrix.size else 0.0
    if largest == 0.0:
        return Undefined("no_movement")
    if not math.isfinite(largest):
        return Undefined("scale_out_of_range")
    with np.errstate(under="ignore"):
        np.ldexp(matrix, -math.frexp(largest)[1], out=matrix)  # exact, and squares stay in range
    total = distance(matrix, np.broadcast_to(matrix.dtype.type(0), matrix.shape)) ** 2
    top = None
    if min(matrix.shape) > DENSE_SIDE:
        top = _top(matrix, rng, threads)
    if top is None:
        precision: Precision = "f64" if matrix.dtype == np.float64 else "f32"
        top = spectrum_of(matrix, precision, threads=threads).lambda_max
    return min(max(1.0, total / top), float(min(matrix.shape)))


def _top(matrix: Array, rng: np.random.Generator, threads: int) -> float | None:
    """The largest eigenvalue of W'W from below, None if it is not known to `CLOSE` after `STEPS` products."""
    space = Krylov(products_with(matrix, threads), rng.standard_normal((BLOCK, matrix.shape[1])), STEPS)
    while space.steps < STEPS and not space.closed:
        space.grow(4)
        values, _, residuals = space.ritz()
        if residuals[0] <= CLOSE * values[0]:
            return float(values[0])
    return None
