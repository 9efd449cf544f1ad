"""Eigenvalues of a symmetric matrix, values only: LAPACK for small ones, a two-stage reduction for large ones."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from tollens.core.errors import TollensError
from tollens.core.native import _native

# From this side on the two-stage reduction wins: its first stage runs on matrix products, where the one-stage
# reduction of LAPACK reads the whole matrix from memory for each of its columns.
TWO_STAGE_SIDE = 1024
BANDWIDTH = 96


def symmetric_eigenvalues(lower: NDArray[Any], threads: int = 1) -> NDArray[np.float64]:
    """Eigenvalues, ascending, of the symmetric matrix given by its lower triangle, which is overwritten.

    `lower`: (M, M), float32 or float64, Fortran order. `threads` work on the second stage; the result does not
    depend on their number. Backward stable; the tridiagonal problem is solved in float64 for both dtypes.

    Raises: TollensError `eigensolver_failed`.
    Reference: Bischof, Lang, Sun (2000), ACM Transactions on Mathematical Software 26:581.
    """
    route = two_stage if lower.shape[0] >= TWO_STAGE_SIDE else one_stage
    values, info = route(lower, threads)
    if info != 0:
        raise TollensError(
            "eigensolver_failed",
            "spectrum",
            expected="a converged eigensolver",
            found=f"LAPACK info {info}",
            fix="Report this matrix; --precision f64 takes another path.",
        )
    return np.asarray(values, dtype=np.float64)


def one_stage(lower: NDArray[Any], threads: int = 1) -> tuple[NDArray[Any], int]:
    """Values and info of ?SYEVD."""
    solve = lapack.ssyevd if lower.dtype == np.float32 else lapack.dsyevd
    values, _, info = solve(lower, compute_v=0, lower=1, overwrite_a=1)
    return values, int(info)


def two_stage(lower: NDArray[Any], threads: int = 1) -> tuple[NDArray[np.float64], int]:
    """Values and info: dense to band, band to tridiagonal, then the root-free QR of LAPACK in float64."""
    side = lower.shape[0]
    single = lower.dtype == np.float32
    reduce = _native.tridiagonalise_f32 if single else _native.tridiagonalise_f64
    diagonal, below = np.empty(side, lower.dtype), np.empty(side - 1, lower.dtype)
    reduce(lower, diagonal, below, min(BANDWIDTH, side - 1), threads, _routines("s" if single else "d"))
    values, info = lapack.dsterf(diagonal.astype(np.float64), below.astype(np.float64))
    return np.asarray(values, dtype=np.float64), int(info)


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
