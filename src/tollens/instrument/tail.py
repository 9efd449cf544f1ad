"""The power-law tail of a spectrum: exponent, where it starts, and how far both can be trusted."""

from __future__ import annotations

import math
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from tollens.core.native import _native
from tollens.core.reading import Cost, Interval, Reading, Undefined, reading
from tollens.instrument.part import Part
from tollens.instrument.registry import KnownAnswer, instrument
from tollens.instrument.spectrum import STORED_EPS, Spectrum, diagonal_part, rank_tolerance

CHUNK = 1 << 20  # sample points held at once by a bootstrap, 8 MB


@dataclass(frozen=True, slots=True)
class TailFit:
    """Maximum-likelihood power law p(x) ~ x^-alpha on x >= xmin; xmin gives the smallest distance D.

    `sigma` = (alpha - 1)/sqrt(n_tail); `index` is the position of the tail's first point in the sorted
    sample and `n_tail` the number of points from there on; `D` in [0, 1]; `xmin` in the unit of the sample.
    """

    alpha: float
    sigma: float
    xmin: float
    index: int
    n_tail: int
    D: float


class TailParams(msgspec.Struct, frozen=True):
    """`draws` bootstrap samples for the interval at `level` (0 leaves it out); a tail below `min_tail`
    points is refused and below `short_tail` flagged; below `min_side` no tail is sought. Alpha
    is flagged if it varies by more than `unstable` among the starts with D <= near * D_min.
    """

    draws: int = 200
    level: float = 0.9
    min_tail: int = 20
    short_tail: int = 50
    min_side: int = 8
    near: float = 1.1
    unstable: float = 0.5


def fit_tail(x: NDArray[np.float64], two_sided: bool = True) -> TailFit | Undefined:
    """Fit a power-law tail to the ascending, positive, finite sample x (n,), by the exactly pruned scan.

    Candidates are the distinct values of x but the largest, so every tail holds at least two distinct
    points. For x_i with m points from there on, alpha = 1 + m / sum ln(x_j/x_i), and D is the largest
    distance between the model's distribution function F and j/m or (j+1)/m, j = 0..m-1. The smallest D
    wins, on ties the longest tail.

    `two_sided=False` is the variant of the weightwatcher package: only |F - j/m|, and every index below the
    largest value is a candidate, so that a tail may start inside a run of equal values.

    Returns Undefined `no_tail` below two points, `no_spread` if all are equal.
    Raises: ValueError unless x is ascending, positive and finite.
    Reference: Clauset, Shalizi, Newman (2009), SIAM Review 51, eq. 3.1 and 3.9, with xmin from section 3.3.
    """
    if x.size < 2:
        return Undefined("no_tail")
    found = _native.tail_scan(np.ascontiguousarray(x, dtype=np.float64), two_sided, False)
    if found is None:
        return Undefined("no_spread")
    index, alpha, D = found
    return _tail_fit(x, index, alpha, D)


def fit_tail_reference(x: NDArray[np.float64], two_sided: bool = True) -> TailFit | Undefined:
    """The exhaustive scan over every candidate, O(n^2): the path the pruned scan is compared with."""
    n = x.size
    if n < 2:
        return Undefined("no_tail")
    logs = log_ratio(x)
    best: TailFit | None = None
    for i in range(n):
        if x[i] == x[-1]:
            break
        if two_sided and i and x[i] == x[i - 1]:
            continue
        m = n - i
        gaps = logs[i:] - logs[i]
        alpha = 1.0 + m / math.fsum(gaps)
        model = -np.expm1((1.0 - alpha) * gaps)
        steps = np.arange(m) / m
        D = float(np.max(np.abs(model - steps)))
        if two_sided:
            D = max(D, float(np.max(np.abs(model - steps - 1.0 / m))))
        if best is None or D < best.D:
            best = _tail_fit(x, i, alpha, D)
    return best if best is not None else Undefined("no_spread")


def log_ratio(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """ln(x / x_n) for an ascending positive sample, to full relative accuracy near the largest value x_n."""
    top = x[-1]
    with np.errstate(under="ignore"):
        near = np.log1p(np.maximum((x - top) / top, -0.5))
        ratio = np.maximum(x / top, 5e-324)
        subnormal = ratio < np.finfo(np.float64).tiny  # the quotient has lost digits, the logarithms have not
        far = np.where(subnormal, np.log(x) - np.log(top), np.log(ratio))
    logs: NDArray[np.float64] = np.where(x > 0.5 * top, near, far)
    return logs


def bootstrap_fits(x: NDArray[np.float64], draws: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Tails of `draws` resamples of x with replacement, the search for xmin included.

    Returns rows (alpha, xmin, D, n_tail); resamples without two distinct values are left out.
    """
    x = np.ascontiguousarray(x, dtype=np.float64)
    n = x.size
    step = max(1, CHUNK // n)
    rows = []
    for start in range(0, draws, step):
        picks = rng.integers(0, n, (min(step, draws - start), n), dtype=np.uint32)
        rows.append(_native.tail_scan_resamples(x, picks, True))
    fits = np.concatenate(rows) if rows else np.zeros((0, 4))
    return fits[fits[:, 3] > 0.0]


def bootstrap_interval(
    x: NDArray[np.float64], draws: int, level: float, rng: np.random.Generator
) -> Interval | Undefined:
    """Percentile bootstrap interval of alpha at `level`, each resample with its own search for xmin.

    Eigenvalues repel each other and resampled points do not, so the interval is rather too wide than too
    narrow. Returns Undefined `no_tail` if fewer than half of the resamples have a tail. Reference: Efron
    and Tibshirani (1993), An Introduction to the Bootstrap, chapter 13.
    """
    alphas = bootstrap_fits(x, draws, rng)[:, 0]
    if alphas.size == 0 or 2 * alphas.size < draws:
        return Undefined("no_tail")
    low, high = np.quantile(alphas, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return Interval(float(low), float(high), level, f"percentile bootstrap, {draws} draws, xmin refitted")


def near_best_range(x: NDArray[np.float64], near: float = 1.1) -> tuple[float, float] | Undefined:
    """Smallest and largest alpha among all candidate tails with D <= near * D_min."""
    if x.size < 2:
        return Undefined("no_tail")
    rows = _native.tail_near_best(np.ascontiguousarray(x, dtype=np.float64), True, near)
    if rows.shape[0] == 0:
        return Undefined("no_spread")
    return float(rows[:, 1].min()), float(rows[:, 1].max())


def tail_of(part: Part, min_side: int = 8) -> TailFit | Undefined:
    """The tail of a part's visible spectrum, or why there is none; its length is not judged.

    `no_spread` covers eigenvalues that are equal within the rounding of the stored type: an orthogonal matrix
    rounded to float32 has a spread, but it is the rounding's.
    """
    spectrum = _spectrum(part)
    if spectrum.lambda_max == 0.0:
        return Undefined("zero_matrix")
    if min(part.shape) < min_side:
        return Undefined("too_small")
    x = spectrum.visible
    if x.size < 2:
        return Undefined("rank_one")
    s_max = math.sqrt(spectrum.lambda_max)
    rms = math.sqrt(float(spectrum.eigenvalues.sum()) / (spectrum.M * spectrum.N))
    known = part.source_dtype.lower() in STORED_EPS  # what is expanded from blocks is rounded to float32 at least
    rounding = rank_tolerance(s_max, spectrum.N, spectrum.M, rms, part.source_dtype if known else "f32")
    # A singular value moves by at most `rounding`, its square by twice s_max times that, and so do both ends.
    if x[-1] - x[0] <= max(10.0 * spectrum.blind_floor, 4.0 * s_max * rounding):
        return Undefined("no_spread")
    return part.tail if part.tail is not None else fit_tail(x)


def _tail_fit(x: NDArray[np.float64], index: int, alpha: float, D: float) -> TailFit:
    m = x.size - index
    return TailFit(alpha, (alpha - 1.0) / math.sqrt(m), float(x[index]), index, m, D)


def _spectrum(part: Part) -> Spectrum:
    if part.spectrum is None:
        raise ValueError(f"the spectrum of {part.name!r} has to be measured first")
    return part.spectrum


def _cost(shape: tuple[int, int]) -> Cost:
    M = min(shape)
    return Cost(bytes=8 * M, flops=200 * 16 * 40 * M)  # one coarse bound of every candidate in every resample


def pareto_part(alpha: float, n: int = 512) -> Part:
    """A diagonal matrix whose eigenvalues are the n mid-quantiles of the Pareto law with exponent alpha."""
    u = (np.arange(n) + 0.5) / n
    return diagonal_part("pareto", (1.0 - u) ** (-1.0 / (alpha - 1.0)))


# For mid-quantiles the sum of ln x_j is (n - ln(2)/2)/(alpha-1) up to O(1/n), because the product of (k +
# 1/2) is Gamma(n + 1/2)/Gamma(1/2); taking n ln x_0 = 1/(2 (alpha-1)) away, alpha^ - 1 = (alpha-1)/(1 - (1
# + ln 2)/(2n)).
_DERIVATION = "alpha^ - 1 = (alpha-1)/(1 - (1 + ln 2)/(2n)) for exact mid-quantiles, n = 512"


def _known(alpha: float, value: float) -> KnownAnswer:
    return KnownAnswer(
        f"Pareto mid-quantiles, alpha {alpha:g}", lambda: pareto_part(alpha), "alpha", value, 1e-4, _DERIVATION
    )


@instrument(
    name="tail",
    version="1",
    quantities={"alpha": "1", "sigma": "1", "xmin": "weight^2", "n_tail": "count", "D": "1"},
    cost=_cost,
    needs=("spectrum",),
    references=("Clauset, Shalizi, Newman (2009), SIAM Review 51, 661",),
    invariances=("scale", "transpose", "permutation", "rotation"),
    scale_invariant=("alpha", "sigma", "n_tail", "D"),
    known_answers=(
        _known(1.5, 1.5008),
        _known(2.5, 2.5025),
        _known(4.0, 4.0050),
        KnownAnswer(
            "Pareto mid-quantiles, alpha 2.5", lambda: pareto_part(2.5), "n_tail", 512.0, 0.0, "every point fits"
        ),
        KnownAnswer(
            "Pareto mid-quantiles, alpha 2.5", lambda: pareto_part(2.5), "sigma", 0.066401, 1e-5, "1.5025/sqrt(512)"
        ),
    ),
    default_params=TailParams(),
)
def tail(part: Part, params: TailParams, rng: np.random.Generator) -> list[Reading]:
    """Exponent, its standard error, start, length and distance of the best power-law tail.

    Below `min_tail` points alpha and sigma are UNDEFINED `tail_too_short`; xmin, n_tail and D are still
    given, as the evidence for that.
    """
    fit = tail_of(part, params.min_side)
    if isinstance(fit, Undefined):
        return [reading(q, fit) for q in ("alpha", "sigma", "xmin", "n_tail", "D")]
    spectrum = _spectrum(part)
    x = spectrum.visible
    flags = []
    if params.min_tail <= fit.n_tail < params.short_tail:
        flags.append("short_tail")
    if fit.xmin < 10.0 * spectrum.blind_floor:
        flags.append("floor_in_tail")
    where = [
        reading("xmin", fit.xmin, flags=tuple(flags)),
        reading("n_tail", fit.n_tail, flags=tuple(flags)),
        reading("D", fit.D, n=fit.n_tail, flags=tuple(flags)),
    ]
    if fit.n_tail < params.min_tail:
        return [reading(q, Undefined("tail_too_short"), n=fit.n_tail) for q in ("alpha", "sigma")] + where
    span = near_best_range(x, params.near)
    if not isinstance(span, Undefined) and span[1] - span[0] > params.unstable:
        flags.append("xmin_unstable")
    interval = bootstrap_interval(x, params.draws, params.level, rng) if params.draws else None
    return [
        reading(
            "alpha",
            fit.alpha,
            n=fit.n_tail,
            flags=tuple(flags),
            interval=None if isinstance(interval, Undefined) else interval,
        ),
        reading("sigma", fit.sigma, n=fit.n_tail, flags=tuple(flags)),
        *where,
    ]
