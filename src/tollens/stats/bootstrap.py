"""The paired bootstrap: items, or clusters of items, are drawn again for both systems together."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri

from tollens.core.errors import TollensError
from tollens.core.reading import Interval
from tollens.core.seeding import generator
from tollens.stats.binomial_interval import ends
from tollens.stats.domain import Array, differences, labels, level, one_of, replication, totals, whole
from tollens.stats.registry import Known, statistic
from tollens.stats.result import Result, at_n

MIN_DRAWS = 10_000
_CHUNK = 2**20  # indices of a block of resamples


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """How to resample. Fewer than `min_units` items or clusters are refused.

    With ten normal differences each side of either interval misses with probability 0.05 instead of 0.025.
    """

    method: Literal["percentile", "bca"] = "percentile"
    draws: int = MIN_DRAWS
    alpha: float = 0.05
    min_units: int = 20


PERCENTILE = Bootstrap()


def _ones(k: int, params: Bootstrap) -> tuple[tuple[int, ...], tuple[int, ...], np.random.Generator, Bootstrap]:
    """Twenty pairs that differ by 1 in k and by 0 in the others: the resampled mean is Binomial(20, k/20)/20."""
    return (1,) * k + (0,) * (20 - k), (0,) * 20, generator(1, "paired_bootstrap"), params


@statistic(
    guarantee="approximate: for many units, valid only at n = N",
    references=(
        "Efron, Tibshirani (1993), An Introduction to the Bootstrap, chapters 13 and 14",
        "Efron (1987), JASA 82, 171, eq. 2.3 and 6.6",
    ),
    known=(
        Known(
            "ten of twenty",
            lambda f: ends(f(*_ones(10, Bootstrap(alpha=0.026)))),
            (0.25, 0.75),
            "Bin(20, 1/2): P(<= 4) = .0059 < .013 < P(<= 5) = .0207",
            1e-12,
        ),
        Known(
            "four of twenty, BCa",
            lambda f: ends(f(*_ones(4, Bootstrap("bca", draws=40_000, alpha=0.07)))),
            (0.05, 0.4),
            "Bin(20, 1/5): z0 = .0515 from P(< 4) + P(4)/2 = .5205, a = 1.5/(6 sqrt 20) = .0559, levels .0604 and "
            ".9835; P(0) = .0115, P(<= 1) = .0692, P(<= 7) = .9679, P(<= 8) = .9900",
            1e-12,
        ),
    ),
)
def paired_bootstrap(
    x: ArrayLike,
    y: ArrayLike,
    rng: np.random.Generator,
    params: Bootstrap = PERCENTILE,
    *,
    cluster: ArrayLike | None = None,
) -> Result:
    """An interval for mean(x - y) of n paired items; with labels (n,) whole clusters are resampled.

    Percentile, or bias-corrected and accelerated (Efron 1987) with the jackknife over units. Raises:
    TollensError `stats_input` (also for fewer than 10,000 draws), `stats_no_scale` for units that are all alike,
    `stats_level_unreachable` where a tail holds less than one draw, `stats_too_few_units`.
    """
    d = differences(x, y)
    one_of("method", params.method, ("percentile", "bca"))
    tail = level(params.alpha) / 2.0
    draws = whole("draws", params.draws, MIN_DRAWS)
    index, units = (np.arange(d.size), d.size) if cluster is None else labels(cluster, d.size)
    _enough(units, params)
    sums, sizes = totals(index, d), totals(index, np.ones(d.size))
    observed = float(sums.sum() / sizes.sum())
    if float(np.ptp(sums / sizes)) <= 1e-12 * float(np.abs(sums / sizes).max()):
        raise TollensError(
            "stats_no_scale",
            "paired differences",
            expected="units that differ",
            found="all alike",
            fix="Check whether the data were copied.",
        )
    if tail * draws < 1.0:
        raise TollensError(
            "stats_level_unreachable",
            f"alpha {params.alpha:g}",
            expected=f"at least {math.ceil(1.0 / tail)} draws",
            found=str(draws),
            fix="Draw more resamples.",
        )
    means = _resampled(sums, sizes, draws, rng)
    levels = (tail, 1.0 - tail)
    if params.method == "bca":
        levels = bca_levels(means, observed, _leave_one_out(sums, sizes), params.alpha)
    low, high = np.quantile(means, levels)
    method = f"paired bootstrap, {'BCa' if params.method == 'bca' else 'percentile'}, {draws:,} draws"
    return Result(
        rule=method,
        guarantee=f"approximate; {at_n(units)}",
        estimate=observed,
        se=float(means.std()),
        interval=Interval(float(low), float(high), 1.0 - params.alpha, method),
        n=units,
        assumptions=(replication(None if cluster is None else units, d.size),),
    )


def bca_levels(means: Array, observed: float, left_out: Array, alpha: float) -> tuple[float, float]:
    """The two levels of the resampled distribution between which the BCa interval lies (Efron 1987, eq. 2.3).

    z0 is the normal quantile of the share of `means` below `observed`, ties counted by half; the acceleration
    is that of the jackknife values `left_out` (6.6). Raises: TollensError `stats_too_few_units` where the
    correction has no finite value.
    """
    slack = 1e-12 * float(np.abs(means).max())
    below = np.count_nonzero(means < observed - slack)
    z0 = float(ndtri((below + np.count_nonzero(means <= observed + slack)) / 2.0 / means.size))
    gap = left_out.mean() - left_out
    square = float(gap @ gap)
    a = float(np.sum(gap**3)) / (6.0 * square**1.5) if square > 0.0 else 0.0
    shifted = [z0 + float(ndtri(q)) for q in (alpha / 2.0, 1.0 - alpha / 2.0)]
    if not math.isfinite(z0) or any(a * z >= 1.0 for z in shifted):
        raise TollensError(
            "stats_too_few_units",
            "BCa interval",
            expected="a finite correction for bias and acceleration",
            found=f"z0 = {z0:.3g}, a = {a:.3g}",
            fix="Collect more units, or use an exact test.",
        )
    low, high = (float(ndtr(z0 + z / (1.0 - a * z))) for z in shifted)
    return low, high


def _enough(units: int, params: Bootstrap) -> None:
    if units < params.min_units:
        raise TollensError(
            "stats_too_few_units",
            "bootstrap interval",
            expected=f"at least {params.min_units} units",
            found=str(units),
            fix="Collect more units, or use sign_flip, which is exact.",
        )


def _resampled(sums: Array, sizes: Array, draws: int, rng: np.random.Generator) -> Array:
    """Means over rows (draws,) of as many units as there are, drawn with replacement."""
    units = sums.size
    means = np.empty(draws)
    step = max(1, _CHUNK // units)
    for start in range(0, draws, step):
        stop = min(start + step, draws)
        picked = rng.integers(0, units, size=(stop - start, units))
        means[start:stop] = sums[picked].sum(axis=1) / sizes[picked].sum(axis=1)
    return means


def _leave_one_out(sums: Array, sizes: Array) -> Array:
    rest = sizes.sum() - sizes
    return np.asarray((sums.sum() - sums) / rest)
