"""Correlation traps: outliers of the shuffled matrix, counted by what causes them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from tollens.core.reading import Cost, NullBand, Reading, Undefined, reading
from tollens.instrument.clipping import Clip, clip_of, clustering, remove_large
from tollens.instrument.edge import family_level, tw_edge
from tollens.instrument.outliers import Above, Offset, count_above, count_from_top
from tollens.instrument.part import Moments, Part
from tollens.instrument.permutation import PermutationKey, draw_key, shuffle
from tollens.instrument.registry import KnownAnswer, instrument
from tollens.instrument.screen import clear, moments_of
from tollens.instrument.spectrum import SAFE_EXPONENT, gram

Array = NDArray[np.floating[Any]]


class TrapParams(msgspec.Struct, frozen=True):
    """How traps are counted.

    shuffles  permutations, each a replicate of one key
    matrices  matrices judged together; the level of one shuffle is alpha_fam/(matrices*shuffles)
    alpha_fam chance of any false outlier over all of them
    kappa     large elements exceed sigma*max(kappa*(NM)^(1/4), 3)
    force     shuffle also what the screen clears
    min_side  smaller side below which no count is made
    threads   of the products with large matrices; no count depends on it
    """

    shuffles: int = 5
    matrices: int = 1
    alpha_fam: float = 0.01
    kappa: float = 1.0 / 3.0
    force: bool = False
    min_side: int = 8
    threads: int = 1


class Cause(StrEnum):
    """What the outliers of a shuffled matrix come from."""

    RESIDUAL = "residual"
    ENTRY = "entry"
    MEAN = "mean"


@dataclass(frozen=True, slots=True)
class TrapCounts:
    """Outliers of one permuted matrix at the Tracy-Widom edge.

    `all`: as published, nothing subtracted. `mean`: those that vanish on subtracting the mean. `entry`:
    those that then vanish on removing large elements. `residual`: those that remain. `mean` and `entry` are
    differences of counts on the same permutation, floored at 0.
    """

    all: int
    mean: int
    entry: int
    residual: int


NONE = TrapCounts(0, 0, 0, 0)
TOP_SIDE = 2048  # from this smaller side on the top end is found for less than a Gram matrix and its factorisation
TOP_ASPECT = 4  # and up to this many columns a row, since the vectors of the top end are as long as a row
DOUBT = 1e-3  # chance of missing an outlier there, as a share of the level at which noise shows one


def is_sparse(moments: Moments, M: int, N: int) -> bool:
    """True where the degrees of a permuted matrix fluctuate enough to make outliers of their own.

    The number d of non-zeros in a line of length M is binomial with variance d*(1 - density), and the rule is
    d/(1 - density) < 10 ln N. For a square matrix of low density that is 10 ln N non-zeros a row. In a long
    matrix it is the short lines that matter: a spread sqrt(2 N p ln M) of the long ones reaches the edge
    term p*sqrt(NM) only if M*p < 2 ln M. A dense matrix is never sparse.
    """
    density = moments.nonzero / moments.count
    return M * density < 10.0 * math.log(N) * (1.0 - density)


def prepare(matrix: Array, moments: Moments) -> tuple[float, float]:
    """Centre in place, and scale to a standard deviation near 1; returns (mean, std) in the new unit.

    The scale is a power of two, and 1 where squares are in range without it. The mean goes in two steps where one
    rounding of it would leave an offset of its own.
    """
    kind = matrix.dtype.type
    exponent = math.frexp(moments.std)[1]
    if max(abs(exponent), math.frexp(moments.max_abs_deviation + abs(moments.mean))[1]) <= SAFE_EXPONENT:
        exponent = 0
    if exponent != 0:  # first, since a difference of the largest numbers of a type leaves its range
        for part in (-exponent // 2, -exponent - (-exponent // 2)) if abs(exponent) > 100 else (-exponent,):
            matrix *= kind(2.0**part)
    mean, std = math.ldexp(moments.mean, -exponent), math.ldexp(moments.std, -exponent)
    first = float(kind(mean))
    if first != 0.0:
        matrix -= kind(first)
        rest = mean - first
        if abs(rest) > 1e-4 * std * matrix.size**-0.25:
            matrix -= kind(rest)
    return mean, std


@dataclass(frozen=True, slots=True)
class Counting:
    """How the outliers of one permuted matrix are counted: the level of a false one, and what the top end draws."""

    level: float
    rng: np.random.Generator
    threads: int = 1


def count_shuffled(matrix: Array, offset: float, variance: float, clip: Clip | None, how: Counting) -> TrapCounts:
    """Counts of one permuted, centred matrix, which is overwritten.

    `offset`: the mean that was subtracted. `clip`: the large elements, None if there are none. The matrix
    without them is counted only where the centred one has outliers, as only those can be explained by them.
    """
    above = _decided(matrix, variance, offset, how)
    remaining = above.centred
    if remaining > 0 and clip is not None:
        remaining = 0
        if clip.variance > 0.0:
            remove_large(matrix, clip)
            remaining = _decided(matrix, clip.variance, 0.0, how).centred
    return TrapCounts(
        all=above.uncentred,
        mean=max(0, above.uncentred - above.centred),
        entry=max(0, above.centred - remaining),
        residual=remaining,
    )


def _decided(matrix: Array, variance: float, offset: float, how: Counting) -> Above:
    """The counts from the top end of a large matrix, else by factorisation in the precision of the matrix, and in
    float64 where that leaves them open."""
    M, N = min(matrix.shape), max(matrix.shape)
    edge = tw_edge(M, N, variance, how.level)
    if M >= TOP_SIDE and matrix.shape[1] <= TOP_ASPECT * matrix.shape[0]:
        above = count_from_top(matrix, edge, _offset(matrix, offset, 0), DOUBT * how.level, how.rng, how.threads)
        if above is not None:
            return above
    along = int(matrix.shape[0] < matrix.shape[1])
    if matrix.dtype == np.float32:
        above = count_above(gram(matrix, "f32"), edge, _offset(matrix, offset, along))
        if above is not None:
            return above
    above = count_above(gram(matrix, "f64"), edge, _offset(matrix, offset, along, exact=True))
    assert above is not None  # float64 always decides
    return above


def _offset(matrix: Array, mean: float, along: int, exact: bool = False) -> Offset | None:
    """What `mean` added to every element changes, with the sums along one axis; None if it is 0.

    The sums are rounded as the type of the matrix rounds, or `exact` to float64, which takes four times as long.
    """
    if mean == 0.0:
        return None
    if exact:
        return Offset(mean, matrix.shape[along], matrix.sum(axis=along, dtype=np.float64))
    ones = np.ones(matrix.shape[along], matrix.dtype)
    sums = ones @ matrix if along == 0 else matrix @ ones
    return Offset(mean, ones.size, sums.astype(np.float64))


@dataclass(frozen=True, slots=True)
class Traps:
    """Counts by shuffle, and what was removed to find their cause.

    `removed_share`: share of elements that are large. `clustering`: p-value for their sharing rows or
    columns.
    """

    counts: tuple[TrapCounts, ...]
    screened: bool
    sparse: bool
    removed_share: float
    clustering: float | Undefined


def count_traps(
    load: Callable[[], Array],
    moments: Moments,
    params: TrapParams,
    key: PermutationKey,
    rng: np.random.Generator,
) -> Traps | Undefined:
    """Shuffle `params.shuffles` times and count outliers by cause; each shuffle loads the matrix anew.

    Replicate r is the permutation (key, r). One matrix and at most one Gram matrix live at a time. Undefined for a
    constant matrix and for one whose smaller side is below `min_side`.
    """
    if params.shuffles < 1:
        return Undefined("not_requested")
    matrix = load()
    M, N = min(matrix.shape), max(matrix.shape)
    if params.min_side > M:
        return Undefined("too_small")
    if moments.std <= 0.0:
        return Undefined("no_variance" if moments.mean != 0.0 else "zero_matrix")
    sparse = is_sparse(moments, M, N)
    offset, sigma = prepare(matrix, moments)
    clip, share, p = None, 0.0, Undefined("too_few_large")
    clustered: float | Undefined = p
    if moments.max_abs_deviation > moments.std * max(params.kappa * matrix.size**0.25, 3.0):
        clip = clip_of(matrix, params.kappa)
        share = clip.removed / matrix.size
        clustered = clustering(matrix, clip, rng)
    if clear(moments, M, N) and not params.force:
        return Traps((NONE,) * params.shuffles, True, sparse, share, clustered)
    level = family_level(params.alpha_fam, params.matrices, params.shuffles)
    how = Counting(level, rng, params.threads)
    counts = []
    for replicate in range(params.shuffles):
        if replicate > 0:
            matrix = load()
            prepare(matrix, moments)
        shuffle(matrix, key, replicate)
        counts.append(count_shuffled(matrix, offset, sigma * sigma, clip, how))
        del matrix
    return Traps(tuple(counts), False, sparse, share, clustered)


def _planted(factor: float, cause: Cause) -> Part:
    """512 x 512 Gaussian noise of variance 1 with one planted cause, in units of its threshold."""
    matrix = np.random.default_rng(7).standard_normal((512, 512))
    if cause is Cause.ENTRY:
        matrix[100, 200] = factor * matrix.size**0.25
    else:
        matrix += factor * matrix.size**-0.25 - matrix.mean()
    return Part("planted", matrix.shape, "F64", matrix.copy, moments_of(matrix))


def _cost(shape: tuple[int, int]) -> Cost:
    M, N = min(shape), max(shape)
    return Cost(bytes=5 * 4 * M * N, flops=5 * (N * M * M + M**3 // 3))


_KNOWN = tuple(
    KnownAnswer(
        f"{cause} at {factor} of its threshold",
        partial(_planted, factor, cause),
        f"traps_{cause}",
        value,
        0.0,
        "Gaussian 512 x 512: an element makes an outlier from sigma*(NM)^(1/4) on, a mean offset from "
        "sigma*(NM)^(-1/4) on",
        quick=factor > 1.0,
    )
    for cause in (Cause.ENTRY, Cause.MEAN)
    for factor, value in ((0.8, 0.0), (1.5, 1.0))
)


@instrument(
    name="traps",
    version="1",
    quantities={
        "traps_all": "count",
        "traps_mean": "count",
        "traps_entry": "count",
        "traps_residual": "count",
        "trap_removed_share": "1",
        "trap_clustering_p": "1",
        "permutation_id": "1",
    },
    cost=_cost,
    needs=("moments",),
    references=(
        "Prakash and Martin 2026, arXiv 2605.12394",
        "Prakash and Martin 2026, arXiv 2602.02859",
        "Prakash and Martin 2025, arXiv 2506.04434",
        "Benaych-Georges and Nadakuditi 2012, J. Multivariate Analysis 111",
        "Ma 2012, Bernoulli 18",
    ),
    invariances=("scale",),  # transposition and order of rows hold in law only: they change what is permuted
    scale_invariant=(
        "traps_all",
        "traps_mean",
        "traps_entry",
        "traps_residual",
        "trap_removed_share",
        "trap_clustering_p",
        "permutation_id",
    ),
    known_answers=_KNOWN,
    default_params=TrapParams(),
)
def traps(part: Part, params: TrapParams, rng: np.random.Generator) -> list[Reading]:
    """Counts a shuffle by cause (lists of length `shuffles`); a layer that the screen clears reads 0,
    `screened`.

    `traps_residual` is UNDEFINED `sparse` where sparsity alone makes outliers. `traps_all` above 0 is by
    itself no evidence of learning or of harm.
    """
    key = draw_key(rng)
    found = count_traps(part.load, part.moments, params, key, rng)
    names = ("all", "mean", "entry", "residual")
    if isinstance(found, Undefined):
        quantities = [f"traps_{n}" for n in names] + [
            "trap_removed_share",
            "trap_clustering_p",
            "permutation_id",
        ]
        return [reading(q, found) for q in quantities]
    chance = NullBand(0.0, 0.0, 0.0, 0, "Gaussian of the same shape, Tracy-Widom")
    flags = tuple(f for f, on in (("screened", found.screened), ("sparse", found.sparse)) if on)
    reason = "screened" if found.screened else None
    readings = []
    for n in names:
        value: Any = [getattr(c, n) for c in found.counts]
        if n == "residual" and found.sparse:
            readings.append(reading("traps_residual", Undefined("sparse"), flags=flags))
        else:
            readings.append(reading(f"traps_{n}", value, flags=flags, reason=reason, null=chance, n=params.shuffles))
    return [
        *readings,
        reading("trap_removed_share", found.removed_share, flags=flags),
        reading("trap_clustering_p", found.clustering, flags=flags),
        reading("permutation_id", key.id, flags=flags),
    ]
