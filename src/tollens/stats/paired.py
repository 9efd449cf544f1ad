"""Two systems on the same items: their difference, its error, and whether it may be chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from tollens.stats.clustered import MIN_CLUSTERS, clustered_mean, naive_se
from tollens.stats.domain import Array, differences, pairs
from tollens.stats.permutation import sign_flip
from tollens.stats.published import GROUPS, MAIZE, SCORES_A, SCORES_B
from tollens.stats.registry import Known, statistic
from tollens.stats.result import Result
from tollens.stats.student import paired_t
from tollens.stats.tables import mcnemar_exact


@dataclass(frozen=True, slots=True)
class Discordance:
    """Pairs of 0/1 outcomes: `b` where only the first succeeds, `c` where only the second, among `n`."""

    b: int
    c: int
    n: int


def discordance(x: ArrayLike, y: ArrayLike) -> Discordance | None:
    """The counts of paired outcomes (n,), or None unless all are 0 or 1. Raises TollensError `stats_input`."""
    a, b = pairs(x, y)
    if not (_binary(a) and _binary(b)):
        return None
    return Discordance(int(np.count_nonzero(a > b)), int(np.count_nonzero(a < b)), a.size)


@statistic(
    guarantee="approximate: for many independent units, valid only at n = N",
    references=("Miller (2024), arXiv:2411.00640, section 4", "Student (1908), Biometrika 6, 1"),
    known=(
        Known("ten items", lambda f: f(SCORES_A, SCORES_B).se, 2 / 15, "sqrt(1.6/9/10)", 1e-12),
        Known(
            "the same in four groups",
            lambda f: f(SCORES_A, SCORES_B, cluster=GROUPS, min_clusters=4).se,
            0.08,
            "group sums of d - .2: .4, -.4, .4, -.4; sqrt(.64)/10",
            1e-12,
        ),
    ),
)
def paired_difference(
    x: ArrayLike,
    y: ArrayLike,
    *,
    cluster: ArrayLike | None = None,
    alpha: float = 0.05,
    min_clusters: int = MIN_CLUSTERS,
) -> Result:
    """mean(x - y) of n paired items, its error and interval: paired t, or clustered where labels are given.

    Raises what `paired_t` and `clustered_mean` raise.
    """
    if cluster is None:
        return paired_t(x, y, alpha=alpha)
    return clustered_mean(differences(x, y), cluster, alpha=alpha, min_clusters=min_clusters)


@statistic(
    guarantee="exact at any n if the two systems are exchangeable within each unit under the null",
    references=("McNemar (1947), Psychometrika 12, 153", "Fisher (1935), The Design of Experiments, section 21"),
    known=(
        Known("maize", lambda f: f(MAIZE, (0,) * 15).p, 1726 / 32768, "flipping of signs", 0.0),
        Known("10 against 2", lambda f: f((1,) * 10 + (0,) * 2, (0,) * 10 + (1,) * 2).p, 158 / 4096, "McNemar", 1e-15),
    ),
)
def paired_test(
    x: ArrayLike,
    y: ArrayLike,
    *,
    cluster: ArrayLike | None = None,
    alpha: float = 0.05,
    rng: np.random.Generator | None = None,
) -> Result:
    """Two-sided test of no difference on n paired items: exact McNemar for 0/1 outcomes, sign flip otherwise.

    With cluster labels (n,) whole clusters are flipped, for 0/1 outcomes too. `rng` is needed beyond 20 units.
    Raises what `sign_flip` raises.
    """
    counts = discordance(x, y)
    if counts is not None and cluster is None:
        return mcnemar_exact(counts.b, counts.c, alpha=alpha)
    return sign_flip(differences(x, y), cluster=cluster, alpha=alpha, rng=rng)


@dataclass(frozen=True, slots=True)
class Errors:
    """The standard error of mean(x - y) with clusters and without, both with divisor n, and their ratio."""

    clustered: float
    naive: float

    @property
    def ratio(self) -> float:
        return self.clustered / self.naive


def errors_of(x: ArrayLike, y: ArrayLike, cluster: ArrayLike, *, min_clusters: int = MIN_CLUSTERS) -> Errors:
    """Both errors beside each other. Raises what `clustered_mean` raises."""
    d = differences(x, y)
    found = clustered_mean(d, cluster, min_clusters=min_clusters)
    assert found.se is not None  # it is refused without
    return Errors(found.se, naive_se(d))


def _binary(x: Array) -> bool:
    return bool(np.all((x == 0.0) | (x == 1.0)))
