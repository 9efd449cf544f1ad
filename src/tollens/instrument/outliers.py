"""How many eigenvalues of a Gram matrix lie above an edge, without an eigensolver.

By factorisation: the number of eigenvalues of G above t is the number of negative pivots of t*I - G
(Sylvester's law of inertia). A Cholesky factorisation that succeeds certifies that there are none, at a
quarter of the price of an eigensolver that finds values only.

From the top end, for large matrices: Ritz values of a Krylov space, and a bound on what it can have missed.
G is then never formed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from tollens.core.native import _native
from tollens.instrument.krylov import Krylov, Rows, products_with, start_angle, steps_needed

Array = NDArray[np.floating[Any]]
UNIT_MARGIN = 64.0  # roundings by which a decision must clear the edge; eigenvalue errors measured: below 8
RANDOM = 6  # Gaussian start vectors; with the two of an offset they are eight, which one product takes together
STEPS = 48  # products after which forming the Gram matrix is no dearer
EPS_F64 = float(np.finfo(np.float64).eps)
SEPARATE = 1e-4  # residual against the edge below which a Ritz vector beyond it is taken for one eigenvector
CROWD = 2e-3  # RANDOM Ritz values beyond the edge that lie this close together against it may stand for more
CONVERGED = 1e-3  # residual against the edge below which a Ritz vector is taken for an eigenvector


@dataclass(frozen=True, slots=True)
class Offset:
    """A constant `mean` that was taken off every element of an M x N matrix B before its Gram matrix was
    formed.

    `sums` (M,): the sums of B along its long side, of length `length` = N.
    """

    mean: float
    length: int
    sums: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Above:
    """Eigenvalues above the edge: of the Gram matrix itself, and of the one with the offset put back."""

    centred: int
    uncentred: int


def count_above(gram: Array, edge: float, offset: Offset | None = None) -> Above | None:
    """Count eigenvalues above `edge` > 0, or None if rounding leaves the count open.

    `gram`: (M, M), Fortran order, float32 or float64; its lower triangle is read and kept, its strict
    upper triangle is working space. Both sides of the edge are tried at a relative margin of some roundings;
    where the counts differ, an eigenvalue lies too close to the edge for this precision. In float64 the
    count just above the edge is given.
    """
    diagonal = gram.diagonal().astype(np.float64)
    eps = float(np.finfo(gram.dtype).eps)
    margin = eps * (UNIT_MARGIN + math.sqrt(diagonal.size) + float(diagonal.max(initial=0.0)) / edge)
    low = _count_at(gram, diagonal, edge * (1.0 - min(margin, 0.5)), offset, hopeful=True)
    high = low
    if low != Above(0, 0):
        high = _count_at(gram, diagonal, edge * (1.0 + margin), offset, hopeful=low.centred == 0)
    np.fill_diagonal(gram, diagonal)
    return high if low == high or gram.dtype == np.float64 else None


def count_from_top(
    matrix: Array, edge: float, offset: Offset | None, doubt: float, rng: np.random.Generator, threads: int = 1
) -> Above | None:
    """The same counts from the rows x cols matrix itself, or None if its top end leaves them open.

    Ritz values above the edge are never too many. An eigenvalue beyond it is missing with probability at most
    `doubt`, over the start that `rng` draws: every Ritz vector from the top on that has converged is set aside, and
    the first that has not lies so far below the edge that its space would have shown another eigenvalue beyond
    (`steps_needed`). If nothing is set aside that is a theorem. Otherwise it takes converged Ritz vectors for
    eigenvectors, which decouple; an eigenvalue of higher multiplicity than the start has vectors breaks that, and
    where so many Ritz values crowd together the count is left open. `offset.sums` (cols,) are the sums of the columns
    and `offset.length` the number of rows, whichever side is longer.

    Rounding is that of the type of the matrix, whatever the offset; values within its margin of the edge are left
    open.
    """
    start = rng.standard_normal((RANDOM, matrix.shape[1]))
    if offset is not None and offset.mean != 0.0:  # the offset then acts within the first block, whatever its size
        start = np.concatenate([start, np.ones((1, matrix.shape[1])), offset.sums[None]])
    space = Krylov(products_with(matrix, threads), start, STEPS)
    tangent = start_angle(RANDOM, matrix.shape[1], doubt)
    wanted = STEPS // 2
    while True:
        space.grow(wanted - space.steps)
        spectra = [space.ritz()]
        if offset is not None and offset.mean != 0.0:
            spectra.append(space.ritz(_projected_offset(space.basis, offset)))
        top = float(spectra[0][0][0]) / edge
        margin = float(np.finfo(matrix.dtype).eps) * (UNIT_MARGIN + math.sqrt(matrix.shape[1]) + top)
        found = [_decide(values, residuals, space.steps, edge, tangent, margin) for values, _, residuals in spectra]
        if all(count is not None for count, _ in found):
            return Above(int(found[0][0] or 0), int(found[-1][0] or 0))
        if space.closed or space.steps == STEPS or any(needed is None for _, needed in found):
            return None
        # What is needed falls as more Ritz vectors converge, so it is looked at again on the way.
        wanted = space.steps + min(max(4, max(needed or 0 for _, needed in found) - space.steps), 8)


def _decide(
    values: Rows, residuals: Rows, steps: int, edge: float, tangent: float, margin: float
) -> tuple[int | None, int | None]:
    """Eigenvalues above the edge if that is decided by Ritz values (m,), descending, with their residuals after so many
    steps; and the products after which it may be, None if never.
    """
    above = values[values > edge]
    if (above[: max(0, above.size - RANDOM + 1)] - above[RANDOM - 1 :] <= CROWD * edge).any():
        return None, None
    # Below the edge a Ritz vector must also be so sharp that no eigenvector beyond it has a part in it.
    sharp = np.where(values > edge, SEPARATE * edge, np.minimum(CONVERGED * edge, 0.1 * (edge - values)))
    loose = residuals > sharp
    converged = int(np.argmax(loose)) if loose.any() else values.size
    if converged == values.size:
        needed = 0
    elif values[converged] >= edge:
        return None, 0
    else:
        needed = math.ceil(steps_needed(max(float(values[converged]), 1e-3 * edge), edge, tangent))
    near = (np.abs(values / edge - 1.0) <= margin + EPS_F64 * float(values[0]) / edge).any()
    return (above.size if needed <= steps and not near else None), needed


def _projected_offset(basis: Rows, offset: Offset) -> Rows:
    """(B + m)'(B + m) - B'B on the basis: m (r e' + e r') + m^2 N e e', r the sums and e = (1, ..., 1)."""
    ones, sums = basis.sum(axis=1), basis @ offset.sums
    across = offset.mean * np.outer(sums, ones)
    return across + across.T + offset.mean**2 * offset.length * np.outer(ones, ones)


def _count_at(gram: Array, diagonal: NDArray[np.float64], t: float, offset: Offset | None, *, hopeful: bool) -> Above:
    """Both counts at exactly `t`; `hopeful` tries the cheaper definite factorisation first."""
    solve = None
    centred = 0
    if hopeful:
        solve = _definite(gram, diagonal, t)
    if solve is None:
        centred, solve = _indefinite(gram, diagonal, t)
    return Above(centred, centred + _added(solve, offset) if offset is not None else centred)


def _definite(gram: Array, diagonal: NDArray[np.float64], t: float) -> Callable[[Array], Array] | None:
    """Solver of (t*I - G) x = b if that matrix is positive definite, else None."""
    single = gram.dtype == np.float32
    _native.shifted(gram, diagonal, t)
    factorise, back = (lapack.spotrf, lapack.spotrs) if single else (lapack.dpotrf, lapack.dpotrs)
    factor, info = factorise(gram, lower=0, clean=0, overwrite_a=1)
    return None if info != 0 else lambda b: back(factor, b, lower=0)[0]


def _indefinite(gram: Array, diagonal: NDArray[np.float64], t: float) -> tuple[int, Callable[[Array], Array]]:
    """The number of negative eigenvalues of t*I - G, and its solver."""
    single = gram.dtype == np.float32
    _native.shifted(gram, diagonal, t)
    work = (lapack.ssytrf_lwork if single else lapack.dsytrf_lwork)(diagonal.size, lower=0)[0]
    factorise, back = (lapack.ssytrf, lapack.ssytrs) if single else (lapack.dsytrf, lapack.dsytrs)
    factor, pivots, _ = factorise(gram, lower=0, lwork=int(work), overwrite_a=1)
    # A 2 x 2 pivot of the Bunch-Kaufman method has a negative determinant by its choice: one negative
    # eigenvalue.
    ones = pivots > 0
    negative = int((factor.diagonal()[ones] < 0.0).sum()) + int((~ones).sum()) // 2
    return negative, lambda b: back(factor, pivots, b, lower=0)[0]


def _added(solve: Callable[[Array], Array], offset: Offset) -> int:
    """How many eigenvalues above the edge the offset adds: -1, 0 or 1.

    With r the sums, e = (1, ..., 1) and B centred, (B + m)(B + m)' = G + U C U', U = [r, e], C = [[0, m],
    [m, m^2 N]]. The inertia of t*I - G - U C U' is that of t*I - G plus that of S = inv(C) - U' inv(t*I - G)
    U minus that of inv(C) = [[-N, 1/m], [1/m, 0]], which has one negative eigenvalue (Haynsworth 1968).
    Scaling the columns of U leaves signs alone. Nothing here cancels however large m is, as it would in the
    uncentred Gram matrix.
    """
    if offset.mean == 0.0:
        return 0
    M = offset.sums.size
    norm = float(np.linalg.norm(offset.sums))
    a, b = 1.0 / norm if norm > 0.0 else 1.0, 1.0 / math.sqrt(M)
    U = np.stack([a * offset.sums, np.full(M, b)], axis=1)
    K = U.T @ np.asarray(solve(np.asfortranarray(U)), dtype=np.float64)
    off = a * b / offset.mean - 0.5 * (K[0, 1] + K[1, 0])
    S = np.array([[-offset.length * a * a - K[0, 0], off], [off, -K[1, 1]]])
    return int((np.linalg.eigvalsh(S) < 0.0).sum()) - 1
