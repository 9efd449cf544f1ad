"""Eigenvalues of a symmetric matrix, values only, by the fastest LAPACK route within reach."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack
from threadpoolctl import threadpool_info

from tollens.core.errors import TollensError

Solver: TypeAlias = Callable[[NDArray[Any]], tuple[NDArray[Any], int]]

# From this side on the two-stage reduction wins: its first stage runs on matrix products, where the one-stage
# reduction reads the whole matrix from memory for each of its columns.
TWO_STAGE_SIDE = 1024


def symmetric_eigenvalues(lower: NDArray[Any]) -> NDArray[np.float64]:
    """Eigenvalues, ascending, of the symmetric matrix given by its lower triangle, which is overwritten.

    `lower`: (M, M), float32 or float64, Fortran order. From M = 1024 on the reduction to tridiagonal form
    goes through a band matrix if the OpenBLAS of scipy offers that routine, else in one stage; both are
    backward stable.

    Raises: TollensError `eigensolver_failed`.
    References: Haidar, Ltaief, Dongarra (2011), SC '11, for the two-stage reduction.
    """
    solver = two_stage(lower.dtype.char) if lower.shape[0] >= TWO_STAGE_SIDE else None
    values, info = (solver or one_stage)(lower)
    if info != 0:
        raise TollensError(
            "eigensolver_failed", "spectrum", expected="a converged eigensolver", found=f"LAPACK info {info}",
            fix="Report this matrix; --precision f64 takes another path.",
        )
    return np.asarray(values, dtype=np.float64)


def solver_name(M: int, precision: str) -> str:
    """The LAPACK routine that `symmetric_eigenvalues` takes for a side M on this machine."""
    kind = "s" if precision == "f32" else "d"
    found = M >= TWO_STAGE_SIDE and two_stage("f" if kind == "s" else "d") is not None
    return f"{kind}syevd_2stage" if found else f"{kind}syevd"


def one_stage(lower: NDArray[Any]) -> tuple[NDArray[Any], int]:
    """Values and info of ?SYEVD."""
    solve = lapack.ssyevd if lower.dtype == np.float32 else lapack.dsyevd
    values, _, info = solve(lower, compute_v=0, lower=1, overwrite_a=1)
    return values, int(info)


@cache
def two_stage(char: str) -> Solver | None:
    """?SYEVD_2STAGE of the OpenBLAS that scipy has loaded, for the numpy type code "f" or "d", or None.

    scipy does not wrap the routine. A symbol with 32-bit integers is taken from the library itself and must
    solve a matrix of known spectrum before it is used.
    """
    symbol = f"{'s' if char == 'f' else 'd'}syevd_2stage_"
    for path in _openblas_of_scipy():
        try:
            library = ctypes.CDLL(path)
        except OSError:
            continue
        for name in (f"scipy_{symbol}", symbol):
            routine = getattr(library, name, None)
            if routine is not None:
                solver = _bound(routine)
                return solver if _solves_known_matrix(solver, char) else None
    return None


def _openblas_of_scipy() -> list[str]:
    """Paths of loaded OpenBLAS libraries with 32-bit integers; numpy's own, with 64-bit ones, is left out."""
    infos = (i for i in threadpool_info() if i.get("internal_api") == "openblas")
    return [str(i["filepath"]) for i in infos if "64_" not in Path(str(i["filepath"])).name]


def _bound(routine: Any) -> Solver:
    integer, pointer, length = ctypes.c_int32, ctypes.c_void_p, ctypes.c_size_t
    by_reference = ctypes.POINTER(integer)
    routine.restype = None
    routine.argtypes = [
        ctypes.c_char_p, ctypes.c_char_p, by_reference, pointer, by_reference, pointer, pointer, by_reference,
        pointer, by_reference, by_reference, length, length,
    ]

    def solve(lower: NDArray[Any]) -> tuple[NDArray[Any], int]:
        if not lower.flags.f_contiguous or lower.ndim != 2 or lower.shape[0] != lower.shape[1]:
            raise ValueError("a square matrix in Fortran order is needed")
        side, info = integer(lower.shape[0]), integer(0)
        values = np.empty(lower.shape[0], dtype=lower.dtype)
        work, indices = np.zeros(1, lower.dtype), np.zeros(1, np.int32)
        for ask in (True, False):  # the first call asks for the size of the work space
            if not ask:
                work, indices = np.empty(int(work[0]), lower.dtype), np.empty(int(indices[0]), np.int32)
            routine(
                b"N", b"L", side, lower.ctypes.data, side, values.ctypes.data,
                work.ctypes.data, integer(-1 if ask else work.size),
                indices.ctypes.data, integer(-1 if ask else indices.size), info, 1, 1,
            )
            if info.value:
                break
        return values, info.value

    return solve


def _solves_known_matrix(solver: Solver, char: str) -> bool:
    """The second-difference matrix of side n has eigenvalues 4 sin^2(k pi/(2(n+1)))."""
    n = 100
    matrix = np.asfortranarray(2.0 * np.eye(n) - np.eye(n, k=-1), dtype=char)
    values, info = solver(matrix)
    expected = 4.0 * np.sin(np.arange(1, n + 1) * np.pi / (2 * (n + 1))) ** 2
    return info == 0 and bool(np.allclose(values, expected, rtol=0, atol=1e-4 if char == "f" else 1e-12))
