"""The top end of a spectrum: block Krylov spaces of a Gram matrix that need not be formed.

From b start vectors X, k products with a symmetric positive semidefinite G span all p(G)X with polynomials p of degree
below k. The Ritz values of that space approach the largest eigenvalues of G from below, and how far below one can be
is known from the angle of the start to its eigenvector.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import qr

from tollens.core.native import _native

Rows: TypeAlias = NDArray[np.float64]
Product: TypeAlias = Callable[[Rows], Rows]

TAKEN = 0.1  # less than this share of G left in a new direction means that digits were lost on the way to it
CLOSED = 1e-13  # a new direction this small against the largest entry of G is rounding


def products_with(matrix: NDArray[Any], threads: int = 1) -> Product:
    """x -> x W'W for rows x (b, cols), W (rows, cols) float32 or float64, read once and never squared.

    The arithmetic is that of the type of W; the bits do not depend on `threads`.
    """

    def product(x: Rows) -> Rows:
        typed = np.ascontiguousarray(x, dtype=matrix.dtype)
        out = np.empty_like(typed)
        _native.gram_product(matrix, typed, out, threads)
        return out.astype(np.float64)

    return product


class Krylov:
    """A block Krylov space that grows by products with G.

    `basis` (m, n) has orthonormal rows; `projected` (m, m) is G on them; `steps` counts the products. At most
    `most` products are made.
    """

    def __init__(self, product: Product, start: Rows, most: int) -> None:
        """`start` (b, n): rows that span the first block, dependent ones are dropped."""
        rows = _orthonormal(start, 1e-12 * float(np.abs(start).max(initial=0.0)))[0]
        self._product = product
        self._kept = np.empty(((most + 1) * rows.shape[0], start.shape[1]))
        self._kept[: rows.shape[0]] = rows
        self._along = np.zeros((self._kept.shape[0], self._kept.shape[0]))
        self._ends: list[int] = [0, rows.shape[0]]
        self._coupling = np.zeros((0, 0))
        self.most = most

    @property
    def steps(self) -> int:
        return len(self._ends) - 2

    @property
    def closed(self) -> bool:
        """True if the space holds all that its start can reach: its Ritz values are eigenvalues."""
        return self._ends[-1] == self._ends[-2]

    @property
    def basis(self) -> Rows:
        return self._kept[: self._ends[-2]]

    @property
    def projected(self) -> Rows:
        size = self._ends[-2]
        return self._along[:size, :size]

    def grow(self, steps: int) -> None:
        """Make up to `steps` more products, fewer once the space is closed or has made `most`.

        Each new block is made orthogonal to all before it, and again where little of it was left, which keeps the
        basis orthogonal to rounding (Parlett 1998, section 13.8).
        """
        for _ in range(min(steps, self.most - self.steps)):
            if self.closed:
                return
            begin, end = self._ends[-2:]
            known = self._kept[:end]
            image = self._product(known[begin:])
            along = known @ image.T
            image -= along.T @ known
            self._along[:end, begin:end] = along
            self._along[begin:end, :end] = along.T
            size = float(np.abs(along).max(initial=0.0))
            fresh, self._coupling = _orthonormal(image, CLOSED * size)
            if np.abs(self._coupling.diagonal()).min(initial=size) < TAKEN * size:
                fresh, rest = _orthonormal(fresh - (known @ fresh.T).T @ known, 0.5)  # less is no direction of its own
                self._coupling = rest @ self._coupling
            self._kept[end : end + fresh.shape[0]] = fresh
            self._ends.append(end + fresh.shape[0])

    def ritz(self, added: Rows | None = None) -> tuple[Rows, Rows, Rows]:
        """Ritz values (m,) descending, their vectors (m, m) as columns over the basis, and residual norms (m,).

        `added` (m, m) is a symmetric matrix whose row space lies in the first block: the values are then those of G
        plus it, for which the same space is a Krylov space.
        """
        values, vectors = np.linalg.eigh(self.projected if added is None else self.projected + added)
        values, vectors = values[::-1], vectors[:, ::-1]
        block = self._ends[-2] - self._ends[-3]
        residuals = np.linalg.norm(self._coupling @ vectors[-block:], axis=0)
        return values, vectors, residuals


def start_angle(b: int, n: int, doubt: float) -> float:
    """Tangent of the angle that a direction makes with the span of b Gaussian vectors of length n >= b + 2.

    It is exceeded with probability `doubt`. The squared cosine is Beta(b/2, (n-b)/2), whose distribution function is
    at most x^(b/2) / (b/2 B(b/2, (n-b)/2)); the quantile of that bound is returned, which errs on the safe side.
    """
    half, rest = b / 2.0, (n - b) / 2.0
    beta = math.lgamma(half) + math.lgamma(rest) - math.lgamma(half + rest)
    squared = math.exp(min(0.0, (math.log(doubt * half) + beta) / half))
    return math.sqrt(max(0.0, 1.0 - squared) / squared)


def steps_needed(below: float, edge: float, tangent: float) -> float:
    """Products after which a Ritz value `below` excludes that an eigenvalue at `edge` > `below` > 0 or beyond was
    missed, if its eigenvector makes an angle of at most that tangent with the start.

    Let L be such an eigenvalue, y = sqrt(1 - x/below) and p(x) y = T_{2k-1}(y), the odd Chebyshev polynomial, so that
    p has degree k - 1. The Rayleigh quotient of p(G)v is at most `below`, for v in the start closest to the
    eigenvector. On [0, below] p(x)^2 (below - x) is at most `below`, and at L it is -below sinh((2k-1) asinh
    sqrt(L/below - 1))^2. Hence sinh(...) <= tan(angle); a larger k excludes L. The sharp form of the bound of
    Kuczynski and Wozniakowski (1992, SIAM Journal on Matrix Analysis 13:1094).
    """
    return 0.5 * (1.0 + math.asinh(tangent) / math.asinh(math.sqrt(edge / below - 1.0)))


def _orthonormal(rows: Rows, floor: float) -> tuple[Rows, Rows]:
    """Orthonormal rows Q (c, n) of the span of `rows` (b, n), c <= b, and R (c, b) with rows = R'Q.

    Directions whose new part has a norm of at most `floor` are left out.
    """
    q, r = np.linalg.qr(rows.T)
    if (np.abs(r.diagonal()) > floor).all():
        return np.ascontiguousarray(q.T), r
    q, r, order = qr(rows.T, mode="economic", pivoting=True)  # what is left out then comes last
    rank = int((np.abs(r.diagonal()) > floor).sum())
    unpivoted = np.empty((rank, order.size))
    unpivoted[:, order] = r[:rank]
    return np.ascontiguousarray(q.T[:rank]), unpivoted
