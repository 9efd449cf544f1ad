"""Means of rows that share a document, a seed or an item group."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from tollens.core.errors import TollensError
from tollens.core.reading import Interval
from tollens.stats.domain import Array, labels, level, replication, sample, totals, whole
from tollens.stats.published import GROUPS, SCORES_A
from tollens.stats.registry import Known, statistic
from tollens.stats.result import Result, at_n

MIN_CLUSTERS = 8


@statistic(
    guarantee="none: a number; consistent as the number of independent clusters grows",
    references=("Liang, Zeger (1986), Biometrika 73, 13", "Miller (2024), arXiv:2411.00640, eq. 4"),
    known=(
        Known(
            "ten items in four groups",
            lambda f: f(SCORES_A, GROUPS),
            math.sqrt(0.54) / 10,
            "group sums of residuals -.1, -.4, -.1, .6: squares .01 + .16 + .01 + .36",
            1e-12,
        ),
        Known(
            "each row a cluster",
            lambda f: f(SCORES_A, range(10)),
            math.sqrt(0.021),
            "the independent error with divisor n",
            1e-12,
        ),
    ),
)
def clustered_se(x: ArrayLike, cluster: ArrayLike) -> float:
    """sqrt(sum over clusters of (sum of residuals)^2)/n, x (n,), labels (n,); no small-sample factor.

    Raises: TollensError `stats_input`.
    """
    rows = sample("x", x)
    index, _ = labels(cluster, rows.size)
    residuals = _residuals(rows)
    return math.sqrt(float(np.sum(totals(index, residuals) ** 2))) / rows.size


@statistic(
    guarantee="none: a number; right only for independent rows",
    references=("Miller (2024), arXiv:2411.00640, eq. 2",),
    known=(Known("ten items", lambda f: f(SCORES_A), 0.1449138, "sqrt(0.7 x 0.3/10)", 1e-7),),
)
def naive_se(x: ArrayLike) -> float:
    """sqrt(sum of squared residuals)/n, x (n,): the error that ignores clusters. Raises TollensError `stats_input`."""
    rows = sample("x", x)
    return math.sqrt(float(np.sum(_residuals(rows) ** 2))) / rows.size


@statistic(
    guarantee="approximate: for many independent clusters, valid only at n = N clusters",
    references=(
        "Liang, Zeger (1986), Biometrika 73, 13",
        "Cameron, Gelbach, Miller (2008), Rev. Econ. Stat. 90, 414",
    ),
    known=(
        Known(
            "ten items in four groups",
            lambda f: f(SCORES_A, GROUPS, min_clusters=4).n_eff,
            10 * 0.021 / 0.0054,
            "10 rows x (naive/clustered)^2",
            1e-9,
        ),
        Known(
            "its interval",
            lambda f: f(SCORES_A, GROUPS, min_clusters=4).interval.high,
            0.7 + 3.182446 * math.sqrt(0.54) / 10 * math.sqrt(4 / 3),
            "t quantile 3.182446 of 3 degrees of freedom, four groups",
            1e-6,
        ),
    ),
)
def clustered_mean(
    x: ArrayLike, cluster: ArrayLike, *, alpha: float = 0.05, min_clusters: int = MIN_CLUSTERS
) -> Result:
    """The mean of x (n,) over rows, with the error of `clustered_se`.

    n counts clusters; `n_eff` is the number of independent rows of the same precision. The interval is
    mean +- t `spread`(se, clusters) with clusters - 1 degrees of freedom: for clusters of one size that of
    Student for their means, which is exact where these are normal. Raises: TollensError `stats_input`,
    `stats_too_few_units` below `min_clusters` (at least 2), `stats_no_scale`.
    """
    rows = sample("x", x)
    _, clusters = labels(cluster, rows.size)
    least = whole("min_clusters", min_clusters, 2)
    if clusters < least:
        raise TollensError(
            "stats_too_few_units",
            "clusters",
            expected=f"at least {least}",
            found=str(clusters),
            fix="Collect more clusters, or flip the signs of whole clusters, which is exact.",
        )
    se = clustered_se(rows, cluster)
    naive = naive_se(rows)
    if se <= 1e-14 * naive:  # sums that cancel leave their rounding
        raise TollensError(
            "stats_no_scale",
            "x",
            expected="clusters that differ",
            found="no variance between clusters",
            fix="Check whether the data were copied.",
        )
    half = -float(stdtrit(clusters - 1, level(alpha) / 2.0)) * spread(se, clusters)
    mean = float(rows.mean())
    method = f"clustered error, t with df {clusters - 1}"
    return Result(
        rule=f"mean, {method}",
        guarantee=f"approximate; {at_n(clusters)} clusters",
        estimate=mean,
        se=se,
        interval=Interval(mean - half, mean + half, 1.0 - alpha, method),
        n=clusters,
        n_eff=rows.size * (naive / se) ** 2,
        assumptions=(replication(clusters, rows.size),),
    )


def spread(se: float, clusters: int) -> float:
    """sqrt(G/(G - 1)) se: what t quantiles multiply. With 8 normal clusters se alone would cover 0.939, not 0.95."""
    return se * math.sqrt(clusters / (clusters - 1.0))


def _residuals(rows: Array) -> Array:
    """Deviations from the mean; exactly zero for equal rows, whose mean may round."""
    return np.zeros_like(rows) if float(np.ptp(rows)) == 0.0 else rows - rows.mean()
