"""The Marchenko-Pastur bulk: the law, three estimates of the element variance, the distance from the law."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from tollens.core.native import _native
from tollens.core.reading import Cost, Reading, Status, Undefined, reading
from tollens.instrument.density import kde_sigma
from tollens.instrument.part import Moments, Part
from tollens.instrument.registry import KnownAnswer, instrument
from tollens.instrument.spectrum import Spectrum

Array = NDArray[np.float64]


class BulkParams(msgspec.Struct, frozen=True):
    """`low`, `high`: quantile range of the CDF fit; `disagreement`: relative spread that raises a flag."""

    low: float = 0.1
    high: float = 0.8
    disagreement: float = 0.05
    min_side: int = 8
    rounds: int = 50


@dataclass(frozen=True, slots=True)
class CdfFit:
    """`sigma2`: element variance, weight^2; `outliers`: eigenvalues left out, above the last edge."""

    sigma2: float
    outliers: int


def mp_support(c: float) -> tuple[float, float]:
    """Edges (1 -+ sqrt(c))^2 of the unit law of aspect ratio 0 < c = M/N <= 1."""
    root = math.sqrt(c)
    return (1.0 - root) ** 2, (1.0 + root) ** 2


def mp_density(x: ArrayLike, c: float) -> Array:
    """Density at x = lambda/(N sigma^2), shape kept; 0 outside the support (Marchenko, Pastur, 1967)."""
    low, high = mp_support(c)
    x = np.asarray(x, dtype=np.float64)
    inside = (x > low) & (x < high)
    at = np.where(inside, x, 1.0)
    density: Array = np.sqrt(np.maximum((high - at) * (at - low), 0.0)) / (2.0 * np.pi * c * at)
    return np.where(inside, density, 0.0)


def mp_cdf(x: ArrayLike, c: float) -> Array:
    """Share of the unit law at or below x = lambda/(N sigma^2); shape kept, in [0, 1].

    Closed form. With R = sqrt((b-x)(x-a)), a b = (1-c)^2 and (a+b)/2 = 1+c, the integral of R/x is R +
    2(1+c) atan2(sqrt(x-a), sqrt(b-x)) - 2(1-c) atan2(sqrt(b(x-a)), sqrt(a(b-x))), zero at a and 2 pi c at
    b. Angles by atan2 keep full accuracy at both edges, where the usual arcsine form loses half the digits.
    """
    a, b = mp_support(c)
    x = np.asarray(x, dtype=np.float64)
    up, down = np.sqrt(np.maximum(x - a, 0.0)), np.sqrt(np.maximum(b - x, 0.0))
    total = up * down + 2.0 * (1.0 + c) * np.arctan2(up, down)
    if c < 1.0:
        total = total - 2.0 * (1.0 - c) * np.arctan2(math.sqrt(b) * up, math.sqrt(a) * down)
    value: Array = np.minimum(np.maximum(total / (2.0 * np.pi * c), 0.0), 1.0)
    return value


@lru_cache(maxsize=256)
def mp_median(c: float) -> float:
    """Median of the unit law; 0.652776 at c = 1, 0.830466 at 1/2, 0.916004 at 1/4."""
    return float(mp_quantile(0.5, c))


def mp_quantile(share: ArrayLike, c: float) -> Array:
    """Inverse of `mp_cdf` by bisection, shape kept: `share` in [0, 1] to x on the support."""
    wanted = np.asarray(share, dtype=np.float64)
    low, high = (np.full(wanted.shape, edge) for edge in mp_support(c))
    for _ in range(60):
        middle = 0.5 * (low + high)
        below = mp_cdf(middle, c) < wanted
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    value: Array = 0.5 * (low + high)
    return value


def mp_edge(sigma2: float, M: int, N: int) -> float:
    """Upper edge sigma^2 (sqrt(N) + sqrt(M))^2 of the bulk, weight^2."""
    return sigma2 * (math.sqrt(N) + math.sqrt(M)) ** 2


def sigma2_median(eigenvalues: Array, M: int, N: int, floor: float = 0.0) -> float | Undefined:
    """Element variance from the median eigenvalue; `eigenvalues` ascending (M,), weight^2."""
    middle = 0.5 * (float(eigenvalues[(M - 1) // 2]) + float(eigenvalues[M // 2]))
    if not middle > floor:
        return Undefined("bulk_below_floor")
    return middle / (N * mp_median(M / N))


def fit_cdf(
    eigenvalues: Array, M: int, N: int, floor: float = 0.0, params: BulkParams | None = None
) -> CdfFit | Undefined:
    """Element variance by least squares between the empirical and the Marchenko-Pastur CDF.

    `eigenvalues` ascending (M,), weight^2. Eigenvalues above the edge are taken as spikes, the rest is
    fitted between its `low` and `high` quantile, and both steps are repeated until the number of spikes
    stands still; if it comes to alternate, the fit with more spikes left out is kept. Each spike takes one
    direction from either side, so with k of them the rest is fitted as the bulk of an (M-k) x (N-k) matrix;
    without that sigma^2 comes out 8 % low with 5 spikes at 64 x 64. At N = M the same fit is the one of
    singular values to the quarter circle with its radius free, since a CDF does not change when the axis is
    bent. The minimum over log sigma^2 is found by Gauss-Newton with halved steps. Undefined
    `bulk_below_floor` if half of the range cannot be seen above `floor`.
    """
    params = params or BulkParams()
    start = sigma2_median(eigenvalues, M, N, floor)
    if isinstance(start, Undefined):
        return start
    sigma2, seen = start, dict[int, float]()
    outliers = _above(eigenvalues, mp_edge(sigma2, M, N))
    hidden = int(np.searchsorted(eigenvalues, floor, side="right"))
    for _ in range(params.rounds):
        n, longer = M - outliers, N - outliers
        first, last = math.floor(params.low * n), max(math.ceil(params.high * n), 2)
        visible = max(first, hidden)
        if 2 * (last - visible) < last - first:
            return Undefined("bulk_below_floor")
        seen[outliers] = sigma2 = _native.mp_fit(eigenvalues[visible:last], visible, n, longer, sigma2)
        outliers = _above(eigenvalues, mp_edge(sigma2, M, N))
        if outliers in seen:
            break
    most = max(outliers, *seen) if outliers in seen and seen[outliers] != sigma2 else outliers
    return CdfFit(seen.get(most, sigma2), most)


def _above(eigenvalues: Array, edge: float) -> int:
    """At most half of the spectrum is called spikes: the median is then still inside the bulk."""
    found = int(eigenvalues.size - np.searchsorted(eigenvalues, edge, side="right"))
    return min(found, eigenvalues.size // 2)


def mp_distance(eigenvalues: Array, M: int, N: int, sigma2: float) -> float:
    """Kolmogorov distance between the bulk and the Marchenko-Pastur law of variance `sigma2`, in [0, 1].

    The bulk are the eigenvalues at or below the edge, taken as those of a matrix smaller by one row and
    column for each eigenvalue beyond it; `eigenvalues` ascending (M,), weight^2. One pass, no fit: compare
    it with draws of a Gaussian matrix of the same shape, since eigenvalues repel each other and the
    distance of an ideal bulk is far below the 1/sqrt(n) of independent points.
    """
    n = int(np.searchsorted(eigenvalues, mp_edge(sigma2, M, N), side="right"))
    if n == 0:
        return 1.0
    longer = N - (M - n)
    return _native.mp_distance(eigenvalues[:n], longer, sigma2)


def fitted_distance(eigenvalues: Array, M: int, N: int) -> float | Undefined:
    """`mp_distance` at the variance of `fit_cdf`: what a null draw must go through to match the reading.

    With the true variance in place of the fitted one the distances of Gaussian draws come out larger, since a
    fit takes up part of every deviation.
    """
    fit = fit_cdf(eigenvalues, M, N)
    return fit if isinstance(fit, Undefined) else mp_distance(eigenvalues, M, N, fit.sigma2)


@dataclass(frozen=True, slots=True)
class Bulk:
    """`sigma2` is the CDF fit; `estimates` holds all three methods, those that exist, in weight^2."""

    sigma2: float
    edge: float
    distance: float
    outliers: int
    estimates: dict[str, float]
    flags: tuple[str, ...]


def bulk_of(spectrum: Spectrum, params: BulkParams | None = None) -> Bulk | Undefined:
    """Fit the bulk of one spectrum. Undefined `zero_matrix`, `too_small` or `bulk_below_floor`."""
    params = params or BulkParams()
    M, N, values = spectrum.M, spectrum.N, spectrum.eigenvalues
    if spectrum.lambda_max == 0.0:
        return Undefined("zero_matrix")
    if params.min_side > M:
        return Undefined("too_small")
    fit = fit_cdf(values, M, N, spectrum.blind_floor, params)
    if isinstance(fit, Undefined):
        return fit
    candidates = {
        "cdf": fit.sigma2,
        "median": sigma2_median(values, M, N, spectrum.blind_floor),
        "kde": sigma2_kde(values, M, N),
    }
    estimates = {name: value for name, value in candidates.items() if isinstance(value, float)}
    spread = max(estimates.values()) / min(estimates.values()) - 1.0
    flags = ("estimators_disagree",) if spread > params.disagreement else ()
    distance = mp_distance(values, M, N, fit.sigma2)
    return Bulk(fit.sigma2, mp_edge(fit.sigma2, M, N), distance, fit.outliers, estimates, flags)


def sigma2_kde(eigenvalues: Array, M: int, N: int) -> float | Undefined:
    """Element variance from the kernel-density fit, the quarter circle's radius free at N = M; weight^2."""
    fit = kde_sigma(eigenvalues, N / M, free_radius=True)
    if isinstance(fit, Undefined):
        return fit
    return fit.sigma**2 * float(eigenvalues.mean()) / N


def _cost(shape: tuple[int, int]) -> Cost:
    return Cost(bytes=8 * min(shape), flops=2000 * min(shape))


def _uniform_bulk(M: int, N: int) -> Part:
    """Eigenvalues at the mid-quantiles of the law with sigma = 1: every estimate must return 1."""
    values = N * mp_quantile((np.arange(M) + 0.5) / M, M / N)
    matrix = np.zeros((M, N))
    np.fill_diagonal(matrix, np.sqrt(values))
    scaled = (matrix - matrix.mean()) / matrix.std()
    moments = Moments(
        matrix.size,
        float(matrix.mean()),
        float(matrix.std()),
        float(np.abs(matrix - matrix.mean()).max()),
        float(np.mean(scaled**4)),
        M,
    )
    return Part("ideal_bulk", (M, N), "F64", matrix.copy, moments, Spectrum(values, M, N, 0.0, "f64"))


@instrument(
    name="bulk",
    version="1",
    quantities={
        "mp_sigma2": "weight^2",
        "mp_sigma2_estimates": "weight^2",
        "mp_edge": "weight^2",
        "mp_distance": "1",
    },
    cost=_cost,
    needs=("spectrum",),
    invariances=("scale", "transpose", "permutation"),
    scale_invariant=("mp_distance",),
    known_answers=(
        KnownAnswer(
            "ideal bulk at c = 1/2",
            lambda: _uniform_bulk(256, 512),
            "mp_sigma2",
            1.0,
            1e-6,
            "F(x_i) = (i - 1/2)/M is solved by the law of unit variance",
        ),
        KnownAnswer(
            "ideal bulk at c = 1/2",
            lambda: _uniform_bulk(256, 512),
            "mp_distance",
            0.5 / 256,
            1e-9,
            "mid-quantiles are half a step away from both sides of the staircase",
        ),
    ),
    references=(
        "Marchenko, Pastur, Math. USSR Sb. 1, 457 (1967)",
        "Gavish, Donoho, IEEE Trans. Inf. Theory 60, 5040 (2014): the median estimate",
    ),
    default_params=BulkParams(),
)
def bulk(part: Part, params: BulkParams, rng: np.random.Generator) -> Sequence[Reading]:
    """Bulk variance, edge and distance of one matrix; UNDEFINED where there is no bulk to fit."""
    assert part.spectrum is not None
    names = ("mp_sigma2", "mp_sigma2_estimates", "mp_edge", "mp_distance")
    constant = part.moments.std <= 1e-12 * abs(part.moments.mean)
    judged = part.spectrum.lambda_max > 0.0 and params.min_side <= part.M
    found = Undefined("no_variance") if constant and judged else bulk_of(part.spectrum, params)
    if isinstance(found, Undefined):
        return [reading(name, found, status=Status.UNDEFINED) for name in names]
    n = part.M - found.outliers
    return [
        reading("mp_sigma2", found.sigma2, n=n, flags=found.flags),
        reading("mp_sigma2_estimates", dict(found.estimates), n=n, flags=found.flags),
        reading("mp_edge", found.edge, n=n),
        reading("mp_distance", found.distance, n=n),
    ]
