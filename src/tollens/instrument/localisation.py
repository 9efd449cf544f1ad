"""Localisation: whether the singular vectors of an outlier live on a few rows and columns or on all."""

from __future__ import annotations

import math
from functools import cache
from typing import Any, Literal, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from tollens.core.reading import Cost, Reading, Undefined, reading
from tollens.instrument.edge import EdgeParams, edge_of, outliers
from tollens.instrument.eigensolver import Reduction, not_converged
from tollens.instrument.krylov import Krylov, Product, products_with
from tollens.instrument.part import Moments, Part
from tollens.instrument.registry import KnownAnswer, instrument
from tollens.instrument.spectrum import Spectrum

Label: TypeAlias = Literal["localised", "delocalised", "mixed"]

SUPPORT_SHARE = 0.1  # a localised vector lives on less than this share of its sites
TOLERANCE = 1e-4  # relative residual of an eigenpair; labels and masses need two digits
AIM = 1e-6  # what is tried for within STEPS, so that the order of rows changes no digit that is shown
BLOCK = 4  # start vectors
STEPS = 32  # products made at most; outliers, which is what is asked for, take 10 to 30
MASS_SHARES = (0.01, 0.05, 0.10)

# (n, z): the 99.9 % quantile of sum(v^4) over random unit vectors is mean + z*deviation. Simulated by
# benchmarks/porter_thomas_quantile.py, standard error about 0.03; beyond it z falls towards 3.09.
_QUANTILE_999 = (
    (3, 2.283),
    (4, 3.078),
    (6, 4.274),
    (8, 5.000),
    (12, 5.672),
    (16, 5.932),
    (24, 6.011),
    (32, 5.997),
    (64, 5.688),
    (128, 5.198),
    (256, 4.721),
    (512, 4.215),
    (1024, 3.871),
    (4096, 3.430),
    (16384, 3.277),
    (65536, 3.190),
)


class LocalisationParams(msgspec.Struct, frozen=True):
    """Which outliers are looked at: those above `edge`, at most `most`, from the top. `threads` of the products."""

    edge: EdgeParams = EdgeParams()
    most: int = 5
    threads: int = 1


def ipr(v: NDArray[np.floating[Any]]) -> float:
    """Inverse participation ratio sum(v^4) of a unit vector (n,), in [1/n, 1]."""
    squares = np.square(v, dtype=np.float64)
    return float(np.dot(squares, squares))


def effective_support(v: NDArray[np.floating[Any]]) -> float:
    """1/IPR, the number of sites that carry a unit vector (n,), in [1, n]."""
    return 1.0 / ipr(v)


def flatness(v: NDArray[np.floating[Any]]) -> float | Undefined:
    """q = (n*IPR - 1)/(n - 1) in [0, 1]: 0 for a flat vector, 1 for a single site; UNDEFINED at n = 1."""
    n = v.size
    return (n * ipr(v) - 1.0) / (n - 1.0) if n > 1 else Undefined("too_small")


def porter_thomas(v: NDArray[np.floating[Any]]) -> float | Undefined:
    """q_PT = (IPR - 3/(n+2))/(1 - 3/(n+2)), 0 on average over directions; UNDEFINED at n = 1."""
    n = v.size
    if n == 1:
        return Undefined("too_small")
    expected = 3.0 / (n + 2.0)
    return (ipr(v) - expected) / (1.0 - expected)


@cache
def porter_thomas_quantile(n: int) -> float:
    """The 99.9 % quantile of q_PT over random unit vectors of length n >= 2.

    The squares of the elements are Dirichlet(1/2, ..., 1/2), so E v^4 = 3/(n(n+2)) and
    E (sum v^4)^2 = (9n + 96)/((n+2)(n+4)(n+6)) are exact; the standardised quantile is simulated. For n = 2,
    sum v^4 = (3 + cos 4t)/4 with t uniform.
    """
    expected = 3.0 / (n + 2.0)
    if n == 2:
        return ((3.0 + math.cos(math.pi * 0.001)) / 4.0 - expected) / (1.0 - expected)
    second = (9.0 * n + 96.0) / ((n + 2.0) * (n + 4.0) * (n + 6.0))
    lengths, z = zip(*_QUANTILE_999, strict=True)
    standard = float(np.interp(math.log(n), np.log(lengths), z))
    return standard * math.sqrt(second - expected * expected) / (1.0 - expected)


def mass_of_top(v: NDArray[np.floating[Any]], *shares: float) -> list[float]:
    """Per share, how much of the squared norm of a unit vector (n,) is on its ceil(share*n) largest elements."""
    squares = np.sort(np.square(v, dtype=np.float64))
    return [float(squares[-math.ceil(share * v.size) :].sum()) for share in shares]


def is_concentrated(v: NDArray[np.floating[Any]]) -> bool:
    """True if q_PT is beyond its 99.9 % quantile for random unit vectors of this length."""
    q = porter_thomas(v)
    return not isinstance(q, Undefined) and q > porter_thomas_quantile(v.size)


def label(u: NDArray[np.floating[Any]], v: NDArray[np.floating[Any]]) -> Label:
    """The label of a pair of singular vectors.

    `localised` if both are concentrated, and on under a tenth of their sites; `delocalised` if neither is
    concentrated; else `mixed`.
    """
    concentrated = [is_concentrated(w) for w in (u, v)]
    if not any(concentrated):
        return "delocalised"
    narrow = all(effective_support(w) < SUPPORT_SHARE * w.size for w in (u, v))
    return "localised" if all(concentrated) and narrow else "mixed"


def top_pairs(
    matrix: NDArray[np.floating[Any]],
    count: int,
    rng: np.random.Generator,
    reduction: Reduction | None = None,
    threads: int = 1,
) -> list[tuple[float, NDArray[np.float64], NDArray[np.float64]]]:
    """The `count` largest singular triples (s, left (rows,), right (cols,)) of a C-contiguous matrix, descending.

    From the reduction of its small Gram matrix, at any scale, where that is known. Otherwise an SVD where the smaller
    side is below 64, and from there on a Krylov space for which the matrix is read once a step: memory is then the
    matrix and some 130 vectors as long as a row. The start comes from `rng`; signs make the largest element of the
    left vector positive.
    """
    rows, cols = matrix.shape
    exponent = math.frexp(float(max(matrix.max(), -matrix.min())))[1]
    if abs(exponent) > 60:  # squares, and a vector times the inverse of the scale, would leave the range of float32
        unit = top_pairs(np.ldexp(matrix, -exponent), count, rng, reduction, threads)
        return [(math.ldexp(s, exponent), u, v) for s, u, v in unit]
    if reduction is not None:
        pairs = _images(matrix if rows >= cols else matrix.T, reduction.top_vectors(count), exponent)
        if rows < cols:
            pairs = [(s, v, u) for s, u, v in pairs]
    elif min(rows, cols) < 64 or 4 * count > min(rows, cols):
        left, s, right = np.linalg.svd(np.ldexp(matrix.astype(np.float64), -exponent), full_matrices=False)
        pairs = [(float(s[i]), left[:, i], right[i]) for i in range(count)]
    else:
        product, scale = products_with(matrix, threads), math.ldexp(1.0, -2 * exponent)
        start = rng.standard_normal((BLOCK, cols))
        vectors = krylov_top(lambda x: product(x * scale), start, count)
        if vectors is None:
            vectors = arpack_top(lambda x: product(x * scale), start[0], count)
        pairs = _images(matrix, vectors, exponent)
    return [_signed(math.ldexp(s, exponent), u, v) for s, u, v in pairs]


def _images(
    tall: NDArray[np.floating[Any]], vectors: NDArray[np.float64], exponent: int
) -> list[tuple[float, NDArray[np.float64], NDArray[np.float64]]]:
    """Triples (s, left, right) of 2^-exponent times the matrix for right vectors as rows (count, cols)."""
    scaled = np.ldexp(vectors, -exponent).astype(tall.dtype)
    lefts = (tall @ scaled.T).T.astype(np.float64)
    pairs = [(float(np.linalg.norm(left)), left, right) for left, right in zip(lefts, vectors, strict=True)]
    return sorted(((s, left / s, right) for s, left, right in pairs), key=lambda p: -p[0])


def krylov_top(product: Product, start: NDArray[np.float64], count: int) -> NDArray[np.float64] | None:
    """Eigenvectors (count, n), as rows, of the largest eigenvalues of a symmetric operator, largest first; None if
    STEPS products do not suffice.

    `start` (b, n). Stops once the residual of each wanted pair is below AIM of its value; at the last step TOLERANCE
    will do.
    """
    space = Krylov(product, start, min(STEPS, start.shape[1] // start.shape[0]))
    while True:
        space.grow(2 if space.steps else 10)
        values, vectors, residuals = space.ritz()
        last = space.closed or space.steps == space.most
        if values.size >= count and np.all(residuals[:count] < (TOLERANCE if last else AIM) * values[:count]):
            return np.asarray(vectors[:, :count].T @ space.basis)
        if last:
            return None


def arpack_top(product: Product, start: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """The same from one start vector (n,) by ARPACK, which restarts and so ends where `krylov_top` does not.

    Raises: TollensError `did_not_converge`.
    """
    from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh  # 0.1 s, and few callers come here

    n = start.size
    operator = LinearOperator((n, n), matvec=lambda x: product(x.reshape(1, n))[0], dtype=np.float64)
    try:
        found = eigsh(operator, k=count, which="LA", tol=TOLERANCE, ncv=min(n, 2 * count + 12), v0=start)
    except ArpackNoConvergence as error:
        raise not_converged(count, error) from error
    return np.ascontiguousarray(found[1].T[::-1])


def _signed(
    s: float, u: NDArray[np.float64], v: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    sign = 1.0 if u[int(np.argmax(np.abs(u)))] >= 0.0 else -1.0
    return s, sign * u, sign * v


def _side(v: NDArray[np.float64]) -> dict[str, Any]:
    q, q_pt = flatness(v), porter_thomas(v)
    out: dict[str, Any] = {"n": v.size, "ipr": ipr(v), "effective_support": effective_support(v)}
    if not isinstance(q, Undefined) and not isinstance(q_pt, Undefined):
        out |= {"q": q, "q_PT": q_pt, "q_PT_999": porter_thomas_quantile(v.size)}
    masses = zip(MASS_SHARES, mass_of_top(v, *MASS_SHARES), strict=True)
    return out | {f"mass_top_{round(100 * share)}": mass for share, mass in masses}


def _cost(shape: tuple[int, int]) -> Cost:
    return Cost(bytes=4 * shape[0] * shape[1], flops=4 * shape[0] * shape[1] * 100)


def _one_element() -> Part:
    """A single element 5 in an otherwise empty 64 x 96 matrix: both vectors are a single site."""
    w = np.zeros((64, 96))
    w[3, 7] = 5.0
    values = np.zeros(64)
    values[-1] = 25.0
    n = w.size
    moments = Moments(n, 5.0 / n, 5.0 * math.sqrt(1 / n - 1 / n**2), 5.0, float(n), 1)
    return Part("known", w.shape, "F64", w.copy, moments, Spectrum(values, 64, 96, 0.0, "f64"))


@instrument(
    name="localisation",
    version="1",
    quantities={"localisation": "1", "n_localised": "count"},
    cost=_cost,
    needs=("spectrum",),
    references=("Porter, Thomas 1956", "Kramer, MacKinnon 1993 (inverse participation ratio)"),
    invariances=("scale", "permutation"),
    scale_invariant=("n_localised",),
    known_answers=(
        KnownAnswer(
            "one element",
            _one_element,
            "n_localised",
            1.0,
            0.0,
            "both vectors are one site: IPR 1",
        ),
    ),
    default_params=LocalisationParams(),
)
def localisation(part: Part, params: LocalisationParams, rng: np.random.Generator) -> list[Reading]:
    """Per outlier: singular value `s`, `label`, and the measures of `rows` (left) and `columns` (right)."""
    assert part.spectrum is not None
    threshold = edge_of(part, params.edge)
    if isinstance(threshold, Undefined):
        return [reading("localisation", threshold), reading("n_localised", threshold)]
    count = min(params.most, int(outliers(part.spectrum.eigenvalues, threshold).size))
    rows: list[dict[str, Any]] = []
    if count:
        for s, u, v in top_pairs(part.look(), count, rng, part.spectrum.reduction, params.threads):
            rows.append({"s": s, "label": label(u, v), "rows": _side(u), "columns": _side(v)})
    localised = sum(row["label"] == "localised" for row in rows)
    return [reading("localisation", rows), reading("n_localised", localised)]
