"""Leading singular subspaces of a matrix, and how far two of them overlap against what chance gives."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from tollens.instrument.krylov import Krylov, products_with
from tollens.instrument.spectrum import SAFE_EXPONENT

Rows = NDArray[np.float64]
EXTRA = 4  # start vectors beyond the wanted ones: what is wanted then converges at the gap to the ones after them
STEPS = 12  # products at most
EQUAL = 1e-6  # of the largest eigenvalue: closer ones are one in float32
ROUNDING = 1e-4  # of itself: what two ways to the same eigenvalue in float32 may differ by, with room
SETTLED = 0.02  # sine of the angle below which a subspace is taken as found


@dataclass(frozen=True, slots=True)
class Subspaces:
    """The `rank` leading singular directions of a (rows, cols) matrix.

    `left` (rank, rows) and `right` (rank, cols) have orthonormal rows, `values` (rank,) are the singular values,
    descending. `doubt` bounds the sine of the largest angle between the subspace found and the true one: residual over
    gap (Davis, Kahan 1970, SIAM Journal on Numerical Analysis 7:1), at most 1. Where the values after the last one
    crowd against it there is no such subspace, and the doubt stays large.
    """

    left: Rows
    right: Rows
    values: Rows
    doubt: float

    @property
    def rank(self) -> int:
        return int(self.values.size)

    def first(self, rank: int) -> Subspaces:
        """The first `rank` directions; the doubt of all of them is kept, which is that of the hardest."""
        return Subspaces(self.left[:rank], self.right[:rank], self.values[:rank], self.doubt)


def leading(matrix: NDArray[np.floating[Any]], rank: int, rng: np.random.Generator, threads: int = 1) -> Subspaces:
    """The `rank` leading singular directions of a C-contiguous, non-zero float32 or float64 matrix, scale near 1.

    Block Krylov iteration from Gaussian vectors (Musco, Musco 2015, NeurIPS 28) that ends when the residual of the
    subspace is below SETTLED of its gap, after STEPS products, or when the space is closed.
    `rank` <= the smaller side. The arithmetic of the products is that of the matrix.
    """
    cols = matrix.shape[1]
    width = min(rank + EXTRA, cols)
    space = Krylov(products_with(matrix, threads), rng.standard_normal((width, cols)), STEPS)
    doubt = 1.0
    while True:
        space.grow(2)
        values, vectors, residuals = space.ritz()
        doubt = _doubt(values, residuals, rank, space.closed)
        if doubt <= SETTLED or space.closed or space.steps >= STEPS:
            break
    right = vectors[:, :rank].T @ space.basis
    images = right.astype(matrix.dtype) @ matrix.T
    left, triangle = np.linalg.qr(images.astype(np.float64).T)
    turn, singular, back = np.linalg.svd(triangle)
    return Subspaces(
        np.ascontiguousarray((left @ turn).T), np.ascontiguousarray(back @ right), singular, doubt
    )  # fmt: skip


def _doubt(values: Rows, residuals: Rows, rank: int, closed: bool) -> float:
    """Residual of the first `rank` Ritz pairs over the gap to the next Ritz value, in [0, 1]."""
    if values.size <= rank:
        return 0.0 if closed else 1.0
    gap = float(values[rank - 1] - values[rank])
    if gap <= EQUAL * float(values[0]):  # a closed space may hold some of the directions of one value and not others
        return 1.0
    return min(1.0, float(np.linalg.norm(residuals[:rank])) / gap)


def overlap(first: Rows, second: Rows) -> float:
    """||A B'||_F^2 / min(k, k') in [0, 1] of two sets of orthonormal rows A (k, d) and B (k', d)."""
    cosines = first @ second.T
    return float(min(1.0, float(np.vdot(cosines, cosines)) / min(cosines.shape)))


@dataclass(frozen=True, slots=True)
class HaarOverlap:
    """The law of `overlap` for independent, uniformly distributed subspaces of dimensions k and k' in R^d."""

    k: int
    other: int
    d: int

    @property
    def mean(self) -> float:
        """tr(PQ) of two projectors has mean k k'/d: Q averages to (k'/d) times the identity."""
        return self.k * self.other / (self.d * min(self.k, self.other))

    @property
    def variance(self) -> float:
        """Variance of tr(PQ)/min(k, k').

        With P and Q centred to A = P - (k/d) I and B = Q - (k'/d) I, tr(PQ) - k k'/d = tr(AB). Q is uniformly
        distributed, so B spreads evenly over the traceless symmetric matrices, a space of dimension
        (d - 1)(d + 2)/2 that no rotation splits: Var tr(AB) = ||A||_F^2 ||B||_F^2 / ((d - 1)(d + 2)/2), with
        ||A||_F^2 = k(d - k)/d and ||B||_F^2 = k'(d - k')/d.
        """
        k, other, d = self.k, self.other, self.d
        if d == 1:
            return 0.0
        total = 2.0 * k * other * (d - k) * (d - other) / (d * d * (d - 1.0) * (d + 2.0))
        return total / min(k, other) ** 2

    def quantile(self, level: float) -> float:
        """Of the beta law with this mean and variance: exact for k = k' = 1, elsewhere within 1 % of the median."""
        mean, variance = self.mean, self.variance
        if not variance > 0.0:
            return mean
        size = mean * (1.0 - mean) / variance - 1.0
        return float(special.betaincinv(mean * size, (1.0 - mean) * size, level))


def usable_rank(rank: int, M: int) -> int:
    """At most a quarter of the smaller side: subspaces that fill their room overlap whatever they are."""
    return min(rank, M // 4)


def largest_eigenvalue(matrix: NDArray[np.floating[Any]], rng: np.random.Generator, threads: int = 1) -> float:
    """A value that the largest eigenvalue of W'W does not reach, or hardly exceeds, scale near 1.

    The top Ritz value, which lies below it, plus its residual, within which an eigenvalue lies (Parlett 1998,
    theorem 4.5.1), and a margin for the rounding of either.
    """
    space = Krylov(products_with(matrix, threads), rng.standard_normal((1 + EXTRA, matrix.shape[1])), STEPS)
    while True:
        space.grow(2)
        values, _, residuals = space.ritz()
        if residuals[0] <= SETTLED * values[0] or space.closed or space.steps >= STEPS:
            return (1.0 + ROUNDING) * (float(values[0]) + float(residuals[0]))


def into_range(matrix: NDArray[np.floating[Any]]) -> float:
    """Multiply a non-zero matrix in place so that squares stay in range; returns the factor that undoes it.

    A power of two, and 1 where the largest element is within 2^20 of 1.
    """
    exponent = math.frexp(float(max(matrix.max(), -matrix.min())))[1]
    if abs(exponent) <= SAFE_EXPONENT:
        return 1.0
    np.ldexp(matrix, -exponent, out=matrix)
    return math.ldexp(1.0, exponent)
