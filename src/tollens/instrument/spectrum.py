"""The spectrum of one weight matrix: eigenvalues of its small Gram matrix, and how far down they hold."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import blas

from tollens.core.errors import TollensError
from tollens.core.reading import Cost, Reading, Undefined, reading
from tollens.instrument.eigensolver import Reduction, reduce
from tollens.instrument.part import Moments, Part
from tollens.instrument.registry import KnownAnswer, instrument

Precision: TypeAlias = Literal["f32", "f64"]

PANEL_BYTES = 16 << 20  # one float64 panel; large enough for the matrix product to run at its full rate
SAFE_EXPONENT = 20  # weights up to 2^20 and a largest one down to 2^-20: squares and their sums stay in range
RELATIVE_FLOOR: dict[Precision, float] = {"f32": 1e-6, "f64": 1e-15}

# Distance from 1 to the next number of the stored type: 2^-(stored mantissa bits).
STORED_EPS: dict[str, float] = {
    "f64": 2.0**-52,
    "f32": 2.0**-23,
    "f16": 2.0**-10,
    "bf16": 2.0**-7,
    "f8_e4m3": 2.0**-3,
    "f8_e5m2": 2.0**-2,
}
EPS_F64 = STORED_EPS["f64"]


@dataclass(frozen=True, slots=True)
class Spectrum:
    """Eigenvalues of the M x M Gram matrix of a weight matrix with sides N >= M; no 1/N, no centring.

    `eigenvalues`: float64 (M,), ascending, >= 0, in weight^2. Those at or below `blind_floor` (same unit)
    are rounding noise of the path taken and must not be interpreted. `precision` is the working precision
    of the Gram matrix and the solver. Invariants: they do not change under transposition or permutation of
    rows or columns. `reduction` is the tridiagonal form of the Gram matrix times a power of two, kept where it knows
    its vectors, so for small sides only.
    """

    eigenvalues: NDArray[np.float64]
    M: int
    N: int
    blind_floor: float
    precision: Precision
    flags: tuple[str, ...] = ()
    reduction: Reduction | None = None

    @property
    def visible(self) -> NDArray[np.float64]:
        """The eigenvalues above the blind floor, ascending; empty for a zero matrix."""
        return self.eigenvalues[np.searchsorted(self.eigenvalues, self.blind_floor, side="right") :]

    @property
    def lambda_max(self) -> float:
        return float(self.eigenvalues[-1])


def blind_floor(lambda_max: float, M: int, precision: Precision) -> float:
    """The eigenvalue below which a Gram path of this precision sees rounding only; unit of `lambda_max`.

    1e-6 (f32) and 1e-15 (f64) of the largest eigenvalue, or eps*sqrt(M)/4 of it where that is more (from M
    of 1,126 and 325): the spurious eigenvalues of matrices of deficient rank grow like eps*sqrt(M),
    measured up to 0.22 times that for sides up to 2,048 and both solvers.
    """
    eps = float(np.finfo(np.float32 if precision == "f32" else np.float64).eps)
    return lambda_max * max(RELATIVE_FLOOR[precision], eps * math.sqrt(M) / 4.0)


def gram(matrix: NDArray[Any], precision: Precision = "f32") -> NDArray[Any]:
    """Lower triangle of the M x M Gram matrix of a C-contiguous (rows, cols) float32 or float64 matrix.

    Of the two Gram matrices it is the one on the smaller side; the strict upper triangle is zero. The
    result is in Fortran order. The matrix is never copied as a whole: at equal precision BLAS reads it in
    place through its transposed view, and in float64 a float32 matrix is cast panel by panel.
    """
    rows, cols = matrix.shape
    wide = rows < cols
    if precision == "f32":
        if matrix.dtype != np.float32:
            raise ValueError(f"the f32 path takes a float32 matrix, found {matrix.dtype}")
        return _as_array(blas.ssyrk(1.0, matrix.T, trans=int(wide), lower=1))
    if matrix.dtype == np.float64:
        return _as_array(blas.dsyrk(1.0, matrix.T, trans=int(wide), lower=1))
    side, length = min(rows, cols), max(rows, cols)
    step = max(1, PANEL_BYTES // (8 * side))
    total = np.zeros((side, side), dtype=np.float64, order="F")
    for start in range(0, length, step):
        block = matrix[:, start : start + step] if wide else matrix[start : start + step]
        panel = np.ascontiguousarray(block, dtype=np.float64)
        total = blas.dsyrk(1.0, panel.T, beta=1.0, c=total, trans=int(wide), lower=1, overwrite_c=1)
    return total


def spectrum_of(
    matrix: NDArray[np.floating[Any]],
    precision: Precision = "f32",
    flags: tuple[str, ...] = (),
    threads: int = 1,
) -> Spectrum:
    """The spectrum of a finite, C-contiguous matrix (rows, cols), which is left alone.

    Elements that a square could take out of range are multiplied by the power of two that brings the largest to
    [1/2, 1), in a copy; that is exact, and the eigenvalues are returned in the unit of the input squared.

    Raises: TollensError `scale_out_of_range` if lambda_max is no normal float64 (only float64 weights beyond
    about 1e+-154 can do that); `eigensolver_failed`.
    """
    M, N = min(matrix.shape), max(matrix.shape)
    exponent = _exponent(matrix)
    if exponent is None:
        return Spectrum(np.zeros(M), M, N, 0.0, precision, flags)
    if abs(exponent) <= SAFE_EXPONENT:
        exponent = 0
    else:
        matrix = _scaled(matrix, exponent)
    if precision == "f32" and matrix.dtype != np.float32:
        matrix = matrix.astype(np.float32)
    lower = gram(matrix, precision)
    reduction = reduce(lower, threads)
    scaled = np.maximum(reduction.eigenvalues(), 0.0)
    with np.errstate(over="ignore", under="ignore"):
        eigenvalues = np.ldexp(scaled, 2 * exponent)
    top = float(eigenvalues[-1])
    if not math.isfinite(top) or top < np.finfo(np.float64).tiny:
        raise TollensError(
            "scale_out_of_range",
            "spectrum",
            expected="squared singular values within the range of float64",
            found=f"weights of magnitude 2^{exponent}",
            fix="Rescale the tensor by a power of two.",
        )
    kept = reduction if reduction.reflectors is not None else None
    return Spectrum(eigenvalues, M, N, blind_floor(top, M, precision), precision, flags, kept)


def singular_values(matrix: NDArray[Any]) -> NDArray[np.float64]:
    """Singular values in float64, descending, by a full SVD: the reference for rank and s_min.

    Squaring doubles the condition exponent, so a rank is read off these and never off a Gram matrix.
    Returns (M,).
    """
    values = np.asarray(matrix, dtype=np.float64)
    exponent = _exponent(values)
    if exponent is None:
        return np.zeros(min(values.shape))
    s = np.linalg.svd(_scaled(values, exponent), compute_uv=False)
    return np.asarray(np.ldexp(s, exponent), dtype=np.float64)


def rank_tolerance(s_max: float, N: int, M: int, rms: float, source_dtype: str) -> float:
    """Singular values at or below this are rounding, in weight units.

    The larger of the backward error of the float64 solver, s_max*N*eps, and the top singular value of the
    rounding noise of the stored type: errors uniform in +-u*|w| (u half the eps of the type) have variance
    (u*rms)^2/3, and an iid matrix of deviation s has norm s*(sqrt(N)+sqrt(M)). `source_dtype` in either
    spelling ("BF16", "bf16").

    Raises: KeyError for a type whose eps is not known.
    """
    u = STORED_EPS[source_dtype.lower()] / 2.0
    return max(s_max * N * EPS_F64, u / math.sqrt(3.0) * rms * (math.sqrt(N) + math.sqrt(M)))


def needs_f64(spectrum: Spectrum, xmin: float | Undefined | None = None) -> bool:
    """True if an f32 spectrum cannot carry the statement made from it and has to be measured again in f64.

    That is so when the fitted tail starts at `xmin < 10 * blind_floor`, or when fewer than M/2 eigenvalues
    are visible, so that a rank collapse has to be told from blindness.
    """
    if spectrum.precision == "f64" or spectrum.lambda_max == 0.0:
        return False
    if isinstance(xmin, float) and xmin < 10.0 * spectrum.blind_floor:
        return True
    return 2 * spectrum.visible.size < spectrum.M


def _exponent(matrix: NDArray[Any]) -> int | None:
    """The power of two by which max|w| exceeds [1/2, 1), or None for a zero matrix."""
    largest = max(abs(float(matrix.max())), abs(float(matrix.min()))) if matrix.size else 0.0
    return math.frexp(largest)[1] if largest > 0.0 else None


def _scaled(matrix: NDArray[Any], exponent: int) -> NDArray[Any]:
    """2^-exponent times the matrix; what then is too small to be told from zero becomes zero."""
    with np.errstate(under="ignore"):
        return np.asarray(np.ldexp(matrix, -exponent))


def _as_array(lower: Any) -> NDArray[Any]:
    return np.asarray(lower)


def _cost(shape: tuple[int, int]) -> Cost:
    M, N = min(shape), max(shape)
    return Cost(bytes=4 * M * N, flops=N * M * M + 4 * M**3 // 3)


def diagonal_part(name: str, eigenvalues: NDArray[np.float64]) -> Part:
    """The diagonal float64 matrix with the given ascending, positive eigenvalues (M,)."""
    d, n = np.sqrt(eigenvalues), eigenvalues.size
    mean = float(d.sum()) / n**2
    second = float(((d - mean) ** 2).sum()) + (n**2 - n) * mean**2
    fourth = float(((d - mean) ** 4).sum()) + (n**2 - n) * mean**4
    moments = Moments(n**2, mean, math.sqrt(second) / n, max(float(d[-1]) - mean, mean), n**2 * fourth / second**2, n)
    floor = blind_floor(float(eigenvalues[-1]), n, "f64")
    return Part(name, (n, n), "F64", lambda: np.diag(d), moments, Spectrum(eigenvalues, n, n, floor, "f64"))


def _known(quantity: str, value: float) -> KnownAnswer:
    squares = np.arange(1.0, 11.0) ** 2
    return KnownAnswer(
        "squares of 1 to 10",
        lambda: diagonal_part("squares", squares),
        quantity,
        value,
        1e-12,
        "the eigenvalues are the squares of the diagonal entries 1 to 10",
    )


@instrument(
    name="spectrum",
    version="1",
    quantities={"lambda_max": "weight^2", "lambda_min_visible": "weight^2", "blind_floor": "weight^2"},
    cost=_cost,
    needs=("spectrum",),
    references=("Marchenko, Pastur (1967), Matematicheskii Sbornik 72, 507",),
    invariances=("transpose", "permutation", "rotation"),
    known_answers=(_known("lambda_max", 100.0), _known("lambda_min_visible", 1.0)),
)
def spectrum(part: Part, params: None, rng: np.random.Generator) -> list[Reading]:
    """The ends of the visible spectrum and the floor below which nothing was seen."""
    if part.spectrum is None:
        raise ValueError(f"the spectrum of {part.name!r} has to be measured first")
    seen, flags = part.spectrum.visible, part.spectrum.flags
    return [
        reading("lambda_max", part.spectrum.lambda_max, flags=flags),
        reading("lambda_min_visible", float(seen[0]) if seen.size else Undefined("zero_matrix"), flags=flags),
        reading("blind_floor", part.spectrum.blind_floor, flags=flags),
    ]
