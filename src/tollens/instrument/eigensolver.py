"""Eigenvalues of a symmetric matrix: reduced to a tridiagonal one by LAPACK or, where large, in two stages."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh_tridiagonal, lapack

from tollens.core.errors import TollensError
from tollens.core.native import _native

Array: TypeAlias = NDArray[Any]  # float32 or float64

# From this side on the two-stage reduction wins: its first stage runs on matrix products, where the one-stage
# reduction of LAPACK reads the whole matrix from memory for each of its columns.
TWO_STAGE_SIDE = 1024
BANDWIDTH = 96


@dataclass(frozen=True, slots=True)
class Reduction:
    """G = Q T Q' with T symmetric tridiagonal: `diagonal` (M,) and `below` (M-1,), float64.

    `reflectors` (M, M) and `tau` (M-1,) are Q as LAPACK's ?sytrd leaves it below the diagonal; None where only T was
    kept, as in two stages.
    """

    diagonal: NDArray[np.float64]
    below: NDArray[np.float64]
    reflectors: Array | None = None
    tau: Array | None = None

    def eigenvalues(self) -> NDArray[np.float64]:
        """All eigenvalues (M,), ascending.

        Raises: TollensError `eigensolver_failed`.
        """
        values = self.diagonal[None].copy()
        if not _native.tridiagonal_eigenvalues(values, np.square(self.below)[None]):
            raise TollensError(
                "eigensolver_failed",
                "spectrum",
                expected="a converged eigensolver",
                found="no convergence",
                fix="Report this matrix; --precision f64 takes another path.",
            )
        return np.asarray(values[0])

    def top_vectors(self, count: int) -> NDArray[np.float64]:
        """Eigenvectors (count, M), as rows, of the `count` largest eigenvalues, largest first.

        LAPACK's ?stemr on T, then the reflectors. Raises: ValueError where those were not kept; TollensError
        `did_not_converge`.
        """
        if self.reflectors is None or self.tau is None:
            raise ValueError("a reduction without reflectors has no vectors")
        side = self.diagonal.size
        if side == 1:
            return np.ones((1, 1))
        chosen = {"select": "i", "select_range": (side - count, side - 1), "lapack_driver": "stemr"}
        try:
            _, inner = eigh_tridiagonal(self.diagonal, self.below, **chosen, check_finite=False)
        except np.linalg.LinAlgError as error:
            raise not_converged(count, error) from error
        turned = np.asfortranarray(inner[1:], dtype=self.reflectors.dtype)
        apply = lapack.sormqr if turned.dtype == np.float32 else lapack.dormqr
        turned, _, info = apply("L", "N", self.reflectors[1:, : side - 1], self.tau, turned, 64 * count)
        assert info == 0  # only a malformed argument sets it
        rows = np.concatenate([inner[:1], turned]).T
        return np.ascontiguousarray(rows[::-1], dtype=np.float64)


def not_converged(count: int, error: Exception) -> TollensError:
    """The failure of one layer whose `count` singular vectors were not found."""
    return TollensError(
        "did_not_converge",
        "localisation",
        expected=f"{count} singular vectors",
        found=str(error),
        fix="Repeat with --precision f64 and report the layer if it persists.",
    )


def reduce(lower: Array, threads: int = 1) -> Reduction:
    """The tridiagonal form of the symmetric matrix given by its lower triangle, which is overwritten.

    `lower`: (M, M), float32 or float64, Fortran order. Backward stable in that type. `threads` work on the second of
    two stages; the result does not depend on their number.

    Reference: Bischof, Lang, Sun (2000), ACM Transactions on Mathematical Software 26:581.
    """
    return two_stage(lower, threads) if lower.shape[0] >= TWO_STAGE_SIDE else one_stage(lower)


def one_stage(lower: Array) -> Reduction:
    """The reduction of LAPACK's ?sytrd."""
    side, single = lower.shape[0], lower.dtype == np.float32
    work = (lapack.ssytrd_lwork if single else lapack.dsytrd_lwork)(side, lower=1)[0]
    tridiagonalise = lapack.ssytrd if single else lapack.dsytrd
    reflectors, diagonal, below, tau, info = tridiagonalise(lower, lower=1, lwork=int(work), overwrite_a=1)
    assert info == 0  # only a malformed argument sets it
    return Reduction(diagonal.astype(np.float64), below.astype(np.float64), reflectors, tau)


def two_stage(lower: Array, threads: int = 1) -> Reduction:
    """The reduction from dense to band and from band to tridiagonal."""
    side = lower.shape[0]
    single = lower.dtype == np.float32
    tridiagonalise = _native.tridiagonalise_f32 if single else _native.tridiagonalise_f64
    diagonal, below = np.empty(side, lower.dtype), np.empty(side - 1, lower.dtype)
    tridiagonalise(lower, diagonal, below, min(BANDWIDTH, side - 1), threads, _routines("s" if single else "d"))
    return Reduction(diagonal.astype(np.float64), below.astype(np.float64))


@cache
def _routines(kind: str) -> list[Any]:
    """Pointers to the BLAS and LAPACK that scipy carries, so that both stages run on the same library as the rest.

    Raises: ImportError if scipy was built with 64-bit integers, which the compiled side does not expect.
    """
    from scipy.linalg import cython_blas, cython_lapack

    products = [cython_blas.__pyx_capi__[kind + name] for name in ("symm", "gemm")]
    reflectors = [cython_lapack.__pyx_capi__[kind + name] for name in ("geqrf", "larft")]
    if "int *" not in repr(products[0]) or "int64" in repr(products[0]):
        raise ImportError(f"the BLAS of scipy has an unexpected interface: {products[0]!r}")
    return [*products, *reflectors]
