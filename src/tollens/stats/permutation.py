"""Permutation of labels and flipping of signs: exact to 2^20 arrangements, Monte Carlo beyond."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tollens.core.errors import TollensError
from tollens.stats.domain import (
    ALTERNATIVES,
    Alternative,
    Array,
    Labels,
    labels,
    level,
    one_of,
    refused,
    replication,
    sample,
    totals,
    whole,
)
from tollens.stats.published import MAIZE, SLEEP_1, SLEEP_2, SLEEP_DIFFERENCES
from tollens.stats.registry import Known, statistic
from tollens.stats.result import Result, at_n

Complex: TypeAlias = NDArray[np.complex128]

EXACT_LIMIT = 2**20
DRAWS = 9999
_CHUNK = 2**21  # elements of a block of random arrangements: 16 MB
_EIGHT = (0.5, 1.2, 0.8, 1.5, 1.1, -0.2, 0.9, 1.4)


@statistic(
    guarantee="exact at any n if the signs of the differences are exchangeable under the null",
    references=(
        "Fisher (1935), The Design of Experiments, section 21",
        "Phipson, Smyth (2010), Stat. Appl. Genet. Mol. Biol. 9, 39",
    ),
    known=(
        Known("sleep", lambda f: f(SLEEP_DIFFERENCES).p, 4 / 1024, "9 differences of one sign, one zero: 2 x 2", 0.0),
        Known("maize", lambda f: f(MAIZE).p, 1726 / 32768, "Fisher (1935): 863 of 32,768 on each side", 0.0),
        Known("eight values", lambda f: f(_EIGHT).p, 4 / 256, "all positive, or -0.2 alone negative: 2 x 2", 0.0),
    ),
)
def sign_flip(
    differences: ArrayLike,
    *,
    cluster: ArrayLike | None = None,
    alternative: Alternative = "two-sided",
    alpha: float = 0.05,
    rng: np.random.Generator | None = None,
    draws: int = DRAWS,
) -> Result:
    """The test of paired differences (n,) that flips the sign of each unit; the estimate is their mean.

    With cluster labels (n,) whole clusters are flipped. p = #{T* >= T}/2^units, the identity included, up to
    2^20 arrangements; beyond, (1 + #)/(draws + 1) over random ones. Raises: TollensError `stats_input`;
    `stats_unnamed` without `rng` where it is needed; `stats_level_unreachable` if no outcome of so many units
    has p <= alpha.
    """
    d = sample("differences", differences)
    level(alpha)
    one_of("alternative", alternative, ALTERNATIVES)
    groups = None if cluster is None else labels(cluster, d.size)
    units = d if groups is None else totals(groups[0], d)
    sides = 2 if alternative == "two-sided" else 1
    _reachable(sides * 2.0**-units.size, alpha, math.ceil(math.log2(sides / alpha) - 1e-9))
    observed = float(units.sum())
    slack = max(1e-12 * abs(observed), _rounding(d))
    exact = units.size <= math.log2(EXACT_LIMIT)
    if exact:
        p = _extreme(_signed_sums(units), observed, slack, alternative) / 2.0**units.size
    else:
        generator, draws = _monte_carlo(rng, draws, alpha, f"2^{units.size}")
        hits, step = 0, max(1, _CHUNK // units.size)
        for start in range(0, draws, step):
            rows = min(step, draws - start)
            packed = generator.integers(0, 256, size=(rows, -(-units.size // 8)), dtype=np.uint8)
            positive = np.unpackbits(packed, axis=1, count=units.size).astype(np.float64)
            hits += _extreme(2.0 * (positive @ units) - observed, observed, slack, alternative)
        p = (1 + hits) / (draws + 1)
    return Result(
        rule=_rule("sign flip", exact, f"2^{units.size}", draws, alternative),
        guarantee=at_n(units.size),
        estimate=float(d.mean()),
        p=p,
        n=int(units.size),
        assumptions=(
            "under the null each difference is symmetric about zero",
            replication(groups and groups[1], d.size),
        ),
    )


@statistic(
    guarantee="exact at any n if the labels of the units are exchangeable under the null",
    references=(
        "Fisher (1935), The Design of Experiments",
        "Pitman (1937), Suppl. JRSS 4, 119",
        "Phipson, Smyth (2010), Stat. Appl. Genet. Mol. Biol. 9, 39",
    ),
    known=(
        Known("three against three", lambda f: f((1, 2, 3), (4, 5, 6), alpha=0.1).p, 2 / 20, "C(6, 3), both ends", 0.0),
        Known(
            "all ties",
            lambda f: f((0, 0, 1, 1), (0, 0, 1, 1)).p,
            1.0,
            "every arrangement is at least as far from zero as zero",
            0.0,
        ),
        Known(
            "tea",
            lambda f: f((1, 1, 1, 0), (0, 0, 0, 1), alternative="greater").p,
            17 / 70,
            "on 0/1 data the test is Fisher's: (1 + 16)/C(8, 4)",
            0.0,
        ),
        Known(
            "sleep as two samples",
            lambda f: f(SLEEP_1, SLEEP_2).p,
            15048 / 184756,
            "count over all C(20, 10) by itertools in integer tenths of an hour",
            0.0,
        ),
    ),
)
def two_sample_permutation(
    x: ArrayLike,
    y: ArrayLike,
    *,
    cluster: tuple[ArrayLike, ArrayLike] | None = None,
    alternative: Alternative = "two-sided",
    alpha: float = 0.05,
    rng: np.random.Generator | None = None,
    draws: int = DRAWS,
) -> Result:
    """The test of mean(x) - mean(y), x (n1,) and y (n2,), that permutes the labels of the units.

    `cluster`: the labels of the rows of x and of y; whole clusters are permuted, and none may have rows in
    both samples. p = #{T* >= T}/arrangements, the identity included, up to 2^20 of them; beyond,
    (1 + #)/(draws + 1). Raises: TollensError `stats_input`; `stats_not_exchangeable` for a cluster in both
    samples; `stats_unnamed` without `rng` where it is needed; `stats_level_unreachable` if no outcome of so
    many units has p <= alpha.
    """
    a, b = sample("x", x), sample("y", y)
    level(alpha)
    one_of("alternative", alternative, ALTERNATIVES)
    rows = np.concatenate([a, b])
    first, index, units = _arms(a.size, b.size, cluster)
    centred = rows - rows.mean()
    # The sum of a unit and its number of rows, in one complex number: every arrangement needs both.
    unit = np.bincount(index, centred, units) + 1j * np.bincount(index, minlength=units)
    arrangements = _combinations(units, first)
    sides = 2 if alternative == "two-sided" and 2 * first == units else 1
    _reachable(sides / arrangements, alpha, None)
    observed = float(_difference(unit[None, :first].sum(axis=1), rows.size)[0])
    slack = max(1e-12 * abs(observed), _rounding(rows) * (1.0 / a.size + 1.0 / b.size))
    exact = arrangements <= EXACT_LIMIT
    if exact:
        small = min(first, units - first)
        picked = _subset_sums(unit, small)[small]
        differences = _difference(picked, rows.size) * (1.0 if small == first else -1.0)
        p = _extreme(differences, observed, slack, alternative) / arrangements
    else:
        generator, draws = _monte_carlo(rng, draws, alpha, f"C({units}, {first})")
        hits, step = 0, max(1, _CHUNK // units)
        mask = np.arange(units) < first
        for start in range(0, draws, step):
            masks = generator.permuted(np.tile(mask, (min(step, draws - start), 1)), axis=1)
            differences = _difference(masks @ unit, rows.size)
            hits += _extreme(differences, observed, slack, alternative)
        p = (1 + hits) / (draws + 1)
    return Result(
        rule=_rule("permutation", exact, f"C({units}, {first})", draws, alternative),
        guarantee=at_n(units),
        estimate=float(a.mean() - b.mean()),
        p=p,
        n=units,
        assumptions=(
            "under the null the units of both samples have one law",
            replication(None if cluster is None else units, rows.size),
        ),
    )


def _arms(n1: int, n2: int, cluster: tuple[ArrayLike, ArrayLike] | None) -> tuple[int, Labels, int]:
    """How many units the first sample has, the unit of each row (those of the first come first), how many in all."""
    if cluster is None:
        return n1, np.arange(n1 + n2), n1 + n2
    if len(cluster) != 2 or np.shape(cluster[0]) != (n1,) or np.shape(cluster[1]) != (n2,):
        raise refused("cluster", f"{n1} labels of x and {n2} of y", "others", "Label every row of x and of y once.")
    together = np.concatenate([np.asarray(c, dtype=object) for c in cluster])
    index, units = labels(together, n1 + n2)
    first = int(index[:n1].max()) + 1  # labels are numbered as they appear
    both = np.unique(index[n1:][index[n1:] < first])
    if both.size:
        row = int(np.flatnonzero(index == both[0])[0])
        raise TollensError(
            "stats_not_exchangeable",
            f"cluster {together[row]!r}",
            expected="each cluster in one of the two samples",
            found=f"{both.size} of {units} clusters in both",
            fix="Take the differences within clusters and flip their signs, or randomise whole clusters.",
        )
    return first, index, units


def _combinations(n: int, k: int) -> float:
    """C(n, k): exact as far as arrangements are enumerated, a sufficient 2^60 where it is far beyond."""
    log = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    return math.comb(n, k) if log < 60.0 * math.log(2.0) else 2.0**60


def _difference(first: Complex, rows: int) -> Array:
    """mean(first) - mean(rest), from sum + 1j*rows of the first sample; the sum over all rows is zero."""
    return np.asarray(first.real * (1.0 / first.imag + 1.0 / (rows - first.imag)))


def _signed_sums(d: Array) -> Array:
    """All 2^n sums of +-d."""
    sums = np.zeros(1)
    for value in d:
        sums = np.concatenate([sums - value, sums + value])
    return sums


def _subset_sums(values: Complex, most: int) -> list[Complex]:
    """For j = 0 ... `most` the sums of all subsets of size j; those of the halves are combined."""
    if most == 1 or values.size <= 1:
        return [np.zeros(1, values.dtype), values, *[values[:0]] * (most - 1)][: most + 1]
    half = values.size // 2
    left, right = _subset_sums(values[:half], most), _subset_sums(values[half:], most)
    return [
        np.concatenate([np.add.outer(left[i], right[j - i]).ravel() for i in range(j + 1)]) for j in range(most + 1)
    ]


def _extreme(sums: Array, observed: float, slack: float, alternative: Alternative) -> int:
    """How many arrangements are at least as far out as the observed one."""
    if alternative == "two-sided":
        return int(np.count_nonzero(np.abs(sums) >= abs(observed) - slack))
    sign = 1.0 if alternative == "greater" else -1.0
    return int(np.count_nonzero(sign * sums >= sign * observed - slack))


def _rounding(rows: Array) -> float:
    """What adding up may round (Higham 2002, eq. 4.4): sums closer than this count as equal.

    A tolerance relative to the observed sum misses ties where that sum is nearly zero by cancellation.
    """
    return rows.size * float(np.finfo(np.float64).eps) * float(np.abs(rows).sum())


def _reachable(smallest: float, alpha: float, needed: int | None) -> None:
    if smallest > alpha * (1.0 + 1e-12):
        raise TollensError(
            "stats_level_unreachable",
            f"alpha {alpha:g}",
            expected="a level that the most extreme outcome reaches",
            found=f"a smallest p-value of {smallest:.6g}",
            fix=f"Collect at least {needed} units." if needed else "Collect more units.",
        )


def _monte_carlo(
    rng: np.random.Generator | None, draws: int, alpha: float, arrangements: str
) -> tuple[np.random.Generator, int]:
    if rng is None:
        raise TollensError(
            "stats_unnamed",
            f"{arrangements} arrangements",
            expected="a generator with a stated seed, because there are too many to enumerate",
            found="none",
            fix="Give rng.",
        )
    if whole("draws", draws, 1) and 1.0 / (draws + 1.0) > alpha * (1.0 + 1e-12):
        raise TollensError(
            "stats_level_unreachable",
            f"alpha {alpha:g}",
            expected=f"at least {math.ceil(1.0 / alpha - 1e-9) - 1} draws",
            found=str(draws),
            fix="Draw more arrangements.",
        )
    return rng, draws


def _rule(name: str, exact: bool, arrangements: str, draws: int, alternative: str) -> str:
    how = f"all {arrangements} arrangements" if exact else f"{draws:,} random arrangements of {arrangements}"
    return f"{name}, {how}, {alternative}"
