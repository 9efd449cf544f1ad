"""A product of two thin factors, measured from the factors: an r x r problem, whatever the sides of the product.

With B = Q_B R_B and A' = Q_A R_A (Q with orthonormal columns) the singular values of gamma * B @ A are those of
|gamma| * R_B R_A' (Golub, Van Loan 2013, section 5.4.2, twice). They do not change under B -> B M, A -> inv(M) A.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tollens.core.errors import TollensError
from tollens.core.reading import Cost, NullBand, Reading, Undefined, reading
from tollens.instrument import norms
from tollens.instrument.part import FactorPart
from tollens.instrument.registry import KnownAnswer, instrument
from tollens.instrument.spectrum import EPS_F64, STORED_EPS

Matrix = NDArray[np.float64]

LAW = "Gaussian factors"
SCALE_FREE = ("stable_rank", "entropy_rank", "participation_rank")
FULL_DRAWS, LEAST_DRAWS = 512, 10  # side of a core up to which all draws are made, and the fewest beyond it
PRICED_AT = 16  # the rank that a price is given for: the shape of a product does not tell it
NORMAL = np.finfo(np.float64).tiny


@dataclass(frozen=True, slots=True)
class Product:
    """The singular values of B @ A, `values` * 2^`exponent`, with `values` (min(out, r, in),) descending.

    `floor` is the rounding of this path and `rounding` the most that the rounding of the stored factors moves a
    singular value by, None where it is not known; both in the unit of `values`. `rcond` are smallest over largest
    singular value of B and of A.
    """

    values: Matrix
    exponent: int
    floor: float
    rounding: float | None
    rcond: tuple[float | Undefined, float | Undefined]

    @property
    def relative(self) -> Matrix:
        """Eigenvalues over the largest one, ascending; zeros for a zero product."""
        top = float(self.values[0])
        return np.square(self.values[::-1] / top) if top > 0.0 else np.zeros_like(self.values)


def product_of(b: Matrix, a: Matrix, dtypes: tuple[str, str] = ("F64", "F64")) -> Product:
    """The spectrum of B @ A for finite B (out, r) and A (r, in), all sides >= 1.

    Each stored element is off by up to u of its size, u half the eps of its type; if uniformly, the error E of the
    product has E|E|_F^2 = (u_B^2 + u_A^2)/3 * sum_k |b_k|^2 |a_k|^2, and no singular value moves by more than |E|
    (Weyl 1912). A type without a known eps leaves that bound out. Raises: `eigensolver_failed`.
    """
    b, shift_b = _scaled(b)
    a, shift_a = _scaled(a)
    upper_b, upper_a = _triangle(b), _triangle(a.T)
    values = _svd(upper_b @ upper_a.T)
    own = _svd(upper_b), _svd(upper_a)
    norms_b, norms_a = np.square(b).sum(axis=0), np.square(a).sum(axis=1)
    units = [STORED_EPS.get(dtype.lower()) for dtype in dtypes]
    known = [eps / 2.0 for eps in units if eps is not None]
    weight = float(np.dot(norms_b, norms_a))
    return Product(
        values,
        shift_b + shift_a,
        a.shape[0] * EPS_F64 * float(own[0][0]) * float(own[1][0]),
        math.sqrt((known[0] ** 2 + known[1] ** 2) / 3.0 * weight) if len(known) == 2 else None,
        (_rcond(own[0], a.shape[0]), _rcond(own[1], a.shape[0])),
    )


def left_right_spaces(b: Matrix, a: Matrix, gamma: float = 1.0) -> tuple[Matrix, Matrix, Matrix]:
    """The singular triples of gamma * B @ A: U (out, k) and V (in, k) with orthonormal columns, s (k,) descending,
    k = min(out, r, in); the product is U @ diag(s) @ V.T.

    B (out, r) and A (r, in) are finite. Where the product has rank below k, the columns beyond it are any that
    complete the others. Raises: `eigensolver_failed`.
    """
    b, shift_b = _scaled(b)
    a, shift_a = _scaled(a)
    q_b, upper_b = np.linalg.qr(b)
    q_a, upper_a = np.linalg.qr(a.T)
    try:
        left, s, right = np.linalg.svd(upper_b @ upper_a.T, full_matrices=False)
    except np.linalg.LinAlgError:
        raise _failed() from None
    sign = -1.0 if gamma < 0.0 else 1.0
    return q_b @ left * sign, np.ldexp(s, shift_b + shift_a) * abs(gamma), q_a @ right.T


@dataclass(frozen=True, slots=True)
class FactorNull:
    """The scale-free ranks of `draws` products of Gaussian factors: (draws,) by quantity."""

    draws: int
    values: dict[str, Matrix]

    def band(self, quantity: str) -> NullBand | None:
        """Median and 5-95 % band; None where nothing was drawn."""
        sample = self.values.get(quantity)
        if sample is None or sample.size == 0:
            return None
        low, median, high = np.quantile(sample, [0.05, 0.5, 0.95]).tolist()
        return NullBand(median=median, low=low, high=high, draws=self.draws, law=LAW)


def factor_null(out: int, width: int, rank: int, draws: int, rng: np.random.Generator) -> FactorNull:
    """Ranks of gamma * B @ A for independent Gaussian B (out, rank) and A (rank, width).

    Only the triangular factors are drawn: that of an n x r Gaussian matrix has chi_{n-i} on its diagonal,
    i = 0 ... r-1, and standard Gaussians above (Bartlett 1933). The scale of either factor plays no part.
    A draw costs the cube of k = min(out, width, rank), and the ranks of large products hardly vary: beyond FULL_DRAWS
    there are as many draws as cost no more than all of them at that k, but LEAST_DRAWS where so many were asked for.
    """
    side = min(out, width, rank)
    if side > FULL_DRAWS:
        draws = min(draws, max(LEAST_DRAWS, int(draws * (FULL_DRAWS / side) ** 3)))
    values: dict[str, list[float]] = {quantity: [] for quantity in SCALE_FREE}
    for _ in range(draws):
        core = _bartlett(out, rank, rng) @ _bartlett(width, rank, rng).T
        relative = np.square(_svd(core)[::-1])
        for quantity, value in _ranks(relative / relative[-1]).items():
            assert isinstance(value, float)  # a Gaussian product is not zero
            values[quantity].append(value)
    return FactorNull(draws, {quantity: np.array(found) for quantity, found in values.items()})


def _bartlett(n: int, r: int, rng: np.random.Generator) -> Matrix:
    """The triangular factor of an n x r standard Gaussian matrix, (min(n, r), r)."""
    k = min(n, r)
    upper = np.triu(rng.standard_normal((k, r)), 1)
    upper[np.arange(k), np.arange(k)] = np.sqrt(rng.chisquare(np.arange(n, n - k, -1)))
    return upper


def _ranks(relative: Matrix) -> dict[str, float | Undefined]:
    return {
        "stable_rank": norms.stable_rank(relative),
        "entropy_rank": norms.entropy_rank(relative),
        "participation_rank": norms.participation_rank(relative),
    }


def _triangle(matrix: Matrix) -> Matrix:
    """R of the QR decomposition of a matrix (n, r), (min(n, r), r)."""
    return np.asarray(np.linalg.qr(matrix, mode="r"), dtype=np.float64)


def _svd(matrix: Matrix) -> Matrix:
    """Singular values, descending."""
    try:
        return np.asarray(np.linalg.svd(matrix, compute_uv=False), dtype=np.float64)
    except np.linalg.LinAlgError:
        raise _failed() from None


def _failed() -> TollensError:
    return TollensError(
        "eigensolver_failed", "singular values", expected="a converged solver", found="no convergence",
        fix="Report the matrix.",
    )  # fmt: skip


def _scaled(matrix: Matrix) -> tuple[Matrix, int]:
    """The matrix times the power of two that brings its largest element to [1/2, 1), and the exponent taken out."""
    largest = max(abs(float(matrix.max())), abs(float(matrix.min())))
    exponent = math.frexp(largest)[1]
    with np.errstate(under="ignore"):
        return np.ldexp(matrix, -exponent), exponent


def _rcond(values: Matrix, rank: int) -> float | Undefined:
    if not values[0] > 0.0:
        return Undefined("zero_matrix")
    return float(values[-1] / values[0]) if values.size == rank else 0.0


def _cost(shape: tuple[int, int]) -> Cost:
    return Cost(bytes=8 * PRICED_AT * sum(shape), flops=4 * PRICED_AT**2 * sum(shape) + 30 * PRICED_AT**3)


def _known(diagonal: list[float], gamma: float) -> FactorPart:
    """diag(`diagonal`) as a product whose factors are skewed by a triangular matrix and its inverse."""
    n = len(diagonal)
    skew, back = np.tril(np.ones((n, n))), np.eye(n) - np.eye(n, k=-1)  # inverses of each other
    return FactorPart("known", (np.diag(diagonal) @ skew, back), gamma, ("F64", "F64"))


@instrument(
    name="factored",
    version="1",
    quantities={
        "lambda_max": "weight^2",
        "lambda_min_visible": "weight^2",
        "blind_floor": "weight^2",
        "fro2": "weight^2",
        "spectral2": "weight^2",
        "log10_fro2": "decade",
        "log10_spectral2": "decade",
        "stable_rank": "count",
        "entropy_rank": "count",
        "participation_rank": "count",
        "numerical_rank": "count",
        "rank_tolerance": "weight",
        "singular_values": "weight",
        "rcond_b": "1",
        "rcond_a": "1",
    },
    cost=_cost,
    needs=("factors",),
    references=("Golub, Van Loan 2013, section 5.4.2", "Hu et al. 2021", "Bartlett 1933"),
    invariances=("scale", "transpose", "permutation", "rotation"),
    scale_invariant=(*SCALE_FREE, "numerical_rank", "rcond_b", "rcond_a"),
    known_answers=tuple(
        KnownAnswer(
            "diag(1, 2, 3) times 2, by factors", lambda: _known([1.0, 2.0, 3.0], 2.0), quantity, value, 1e-12, why
        )
        for quantity, value, why in (
            ("fro2", 56.0, "4*(1+4+9)"),
            ("spectral2", 36.0, "(2*3)^2"),
            ("stable_rank", 14.0 / 9.0, "(1+4+9)/9"),
            ("participation_rank", 2.0, "(1+4+9)^2/(1+16+81) = 196/98"),
            ("numerical_rank", 3.0, "none of them is zero"),
        )
    ),
)  # fmt: skip
def factored(part: FactorPart, params: None, rng: np.random.Generator) -> list[Reading]:
    """Norms and ranks of a product of two factors.

    `singular_values` are the r largest, in descending order. `rcond_b` and `rcond_a` are those of the factors as they
    are stored. Where the scaling is not known, norms are UNDEFINED and ranks are given.
    """
    found = product_of(*part.factors, part.source_dtypes)
    if part.gamma == 0.0:
        found = replace(found, values=np.zeros_like(found.values), floor=0.0, rounding=0.0)
    relative = found.relative
    unknown = Undefined("no_rounding_step")
    tolerance = None if found.rounding is None else max(found.floor, found.rounding)
    scale = _Scale(found, part.gamma)
    seen = found.values[found.values > found.floor]
    top = float(found.values[0])
    share = float(relative.sum())
    return [
        reading("lambda_max", scale.power(top, 2)),
        reading("lambda_min_visible", scale.power(float(seen[-1]), 2) if seen.size else Undefined("zero_matrix")),
        reading("blind_floor", scale.power(found.floor, 2)),
        reading("fro2", scale.power(top * math.sqrt(share), 2)),
        reading("spectral2", scale.power(top, 2)),
        reading("log10_fro2", scale.log10_squared(top, share)),
        reading("log10_spectral2", scale.log10_squared(top)),
        *(reading(quantity, value) for quantity, value in _ranks(relative).items()),
        reading("numerical_rank", unknown if tolerance is None else int(np.count_nonzero(found.values > tolerance))),
        reading("rank_tolerance", unknown if tolerance is None else scale.power(tolerance, 1)),
        reading("singular_values", _listed([scale.power(float(s), 1) for s in found.values])),
        reading("rcond_b", found.rcond[0]),
        reading("rcond_a", found.rcond[1]),
    ]


@dataclass(frozen=True, slots=True)
class _Scale:
    """From the unit of `Product.values` to weights; what float64 cannot hold does not exist."""

    product: Product
    gamma: float | None

    def power(self, value: float, power: int) -> float | Undefined:
        """`value` in weights, to the power of 1 or 2."""
        if value == 0.0:
            return 0.0
        if self.gamma is None:
            return Undefined("scaling_unknown")
        made, top = self._made(value, power), self._made(float(self.product.values[0]), power)
        lost = made == math.inf or 0.0 < top < NORMAL or (top == 0.0 and self.product.values[0] > 0.0)
        return Undefined("scale_out_of_range") if lost else made

    def log10_squared(self, value: float, times: float = 1.0) -> float | Undefined:
        if value == 0.0:
            return Undefined("zero_matrix")
        if self.gamma is None:
            return Undefined("scaling_unknown")
        parts = math.log10(value), math.log10(abs(self.gamma)), self.product.exponent * math.log10(2.0)
        return 2.0 * sum(parts) + math.log10(times)

    def _made(self, value: float, power: int) -> float:
        assert self.gamma is not None
        fraction, exponent = math.frexp(abs(self.gamma))
        try:
            return math.ldexp((value * fraction) ** power, power * (exponent + self.product.exponent))
        except OverflowError:
            return math.inf


def _listed(values: list[float | Undefined]) -> list[float] | Undefined:
    lost = next((v for v in values if isinstance(v, Undefined)), None)
    return lost if lost is not None else [v for v in values if not isinstance(v, Undefined)]
