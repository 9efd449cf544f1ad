"""`tollens stats compare`: two systems on the same items, from the result files of both."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from tollens.core.errors import TollensError
from tollens.core.reading import Interval
from tollens.core.seeding import generator
from tollens.stats.clustered import MIN_CLUSTERS
from tollens.stats.domain import between, level, positive, whole
from tollens.stats.equivalence import Outcome, paired_equivalence
from tollens.stats.paired import discordance, errors_of, paired_difference, paired_test
from tollens.stats.power import n_eval_items
from tollens.stats.result import Result, answered
from tollens.subject.table import Table, read_table

_BINS = 41


POWER = 0.8
"""That of the sample size which would settle an undetermined comparison."""


class CompareQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """How two files are compared: the columns, the level, the margin of equivalence (in the unit of the score).

    `common` compares the items that both files have, where they do not have the same ones.
    """

    id: str = "id"
    score: str = "score"
    cluster: str | None = None
    alpha: float = 0.05
    margin: float | None = None
    common: bool = False
    min_clusters: int = MIN_CLUSTERS
    seed: int = 0


class System(msgspec.Struct, frozen=True):
    """One result file: rows, mean score, digest."""

    path: str
    digest: str
    rows: int
    mean: float


class CompareReport(msgspec.Struct, frozen=True, kw_only=True):
    """What `tollens stats compare --json` prints; every difference is the second file minus the first.

    `outcome` is equivalent where the interval of `equivalence` lies within the margin, else different where the
    exact test rejects at the level asked for, else undetermined: a difference that is not found is not called
    equality.
    `b` and `c` count the items that only the second, or only the first, system solved (0/1 scores).
    `differences` counts the items by their difference of scores, to ten digits of the largest. `settle_n`, of an
    undetermined outcome, is about how many independent units (items, or clusters where they are given) would find a
    true difference of the size of the margin, or without one of the size seen, with power 0.8 at the level asked for.
    """

    schema: str = "tollens.stats.compare/1"
    outcome: str
    headline: str
    question: CompareQuestion
    first: System
    second: System
    n: int
    left_out: int
    difference: Result
    test: Result
    equivalence: Result | None
    margin_interval: Interval | None
    se_clustered: float | None
    se_naive: float | None
    only_second: int | None
    only_first: int | None
    settle_n: int | None
    differences: list[tuple[float, int]]


@dataclass(frozen=True, slots=True)
class _Paired:
    """Scores (n,) of both systems on the same items, cluster labels if any, and how many items were left out."""

    first: NDArray[np.float64]
    second: NDArray[np.float64]
    cluster: list[str] | None
    left_out: int


def compare(
    first: str | os.PathLike[str], second: str | os.PathLike[str], question: CompareQuestion | None = None
) -> CompareReport:
    """The paired difference of two systems, its interval, its test and, with a margin, equivalence.

    Raises: TollensError `stats_input` for a level, a margin or a number of clusters that is none, and for files
    that cannot be read or paired; a statistical question that cannot be
    answered is answered by a refused result.
    """
    asked = question if question is not None else CompareQuestion()
    level(asked.alpha)
    if asked.margin is not None:
        between("alpha of two one-sided tests", asked.alpha, 0.0, 0.5)
        positive("the margin", asked.margin)
    whole("the least number of clusters", asked.min_clusters, 2)
    one, two = read_table(os.fspath(first)), read_table(os.fspath(second))
    paired = _paired(one, two, asked)
    x, y, cluster = paired.second, paired.first, paired.cluster
    difference = answered(
        "paired difference",
        lambda: paired_difference(x, y, cluster=cluster, alpha=asked.alpha, min_clusters=asked.min_clusters),
    )
    test = answered(
        "paired test",
        lambda: paired_test(x, y, cluster=cluster, alpha=asked.alpha, rng=generator(asked.seed, "compare")),
    )
    equal, equivalence, margin_interval = _equivalence(x, y, cluster, asked)
    different = test.p is not None and test.p <= asked.alpha  # the exact test decides, not the approximate interval
    outcome = "equivalent" if equal else "different" if different else "undetermined"
    errors = None
    if cluster is not None and not difference.refused:
        errors = errors_of(x, y, cluster, min_clusters=asked.min_clusters)
    counts = discordance(x, y)
    return CompareReport(
        outcome=outcome,
        headline=_headline(outcome, difference, test, asked),
        question=asked,
        first=System(one.path, f"sha256:{one.digest}", len(one), float(paired.first.mean())),
        second=System(two.path, f"sha256:{two.digest}", len(two), float(paired.second.mean())),
        n=len(x),
        left_out=paired.left_out,
        difference=difference,
        test=test,
        equivalence=equivalence,
        margin_interval=margin_interval,
        se_clustered=errors.clustered if errors else None,
        se_naive=errors.naive if errors else None,
        only_second=counts.b if counts else None,
        only_first=counts.c if counts else None,
        settle_n=_settling(difference, asked) if outcome == "undetermined" else None,
        differences=_counted(x - y),
    )


def _equivalence(
    x: NDArray[np.float64], y: NDArray[np.float64], cluster: list[str] | None, asked: CompareQuestion
) -> tuple[bool, Result | None, Interval | None]:
    margin = asked.margin
    if margin is None:
        return False, None, None
    try:
        found = paired_equivalence(x, y, margin, cluster=cluster, alpha=asked.alpha, min_clusters=asked.min_clusters)
    except TollensError as error:
        refused = Result(rule="TOST", guarantee="none: refused", refused=True, reason=str(error))
        return False, refused, None
    return found.outcome is Outcome.EQUIVALENT, found.result, found.result.interval


def _settling(difference: Result, asked: CompareQuestion) -> int | None:
    """Units for the power `POWER`, from the variance of a unit in these results; None where there is none."""
    if difference.estimate is None or not difference.se or difference.n is None:
        return None
    effect = asked.margin if asked.margin is not None else abs(difference.estimate)
    spread = (difference.se / effect) ** 2 * difference.n if effect else math.inf
    return math.ceil(n_eval_items(spread, 1.0, POWER, asked.alpha)) if 1e-9 < spread < 1e18 else None


def _headline(outcome: str, difference: Result, test: Result, asked: CompareQuestion) -> str:
    if difference.refused or difference.estimate is None or difference.interval is None:
        return "no interval for the difference: " + (difference.reason or "")
    low, high = difference.interval.low, difference.interval.high
    said = {
        "different": "the second differs from the first",
        "equivalent": f"equivalent within {asked.margin:g}" if asked.margin is not None else "",
        "undetermined": "neither a difference nor equality is shown",
    }[outcome]
    p = f", p = {test.p:.3g}" if test.p is not None else ""
    return f"{said}: {difference.estimate:+.4g} [{low:.4g}, {high:.4g}]{p}"


def _counted(d: NDArray[np.float64]) -> list[tuple[float, int]]:
    """The distinct item differences with their counts; binned to 41 values where there are more.

    0.3 - 0.1 and 0.2 - 0 count as one value: they are rounded to ten digits of the largest.
    """
    largest = float(np.abs(d).max())
    digits = 9 - math.floor(math.log10(largest)) if largest > 0.0 else 0
    values = Counter(round(value, digits) + 0.0 for value in d.tolist())  # + 0.0: no -0
    if len(values) <= _BINS:
        return sorted(values.items())
    low, high = min(values), max(values)
    bins: Counter[int] = Counter()
    for value, count in values.items():
        bins[min(_BINS - 1, int((value - low) / (high - low) * _BINS))] += count
    return [(low + (high - low) * (k + 0.5) / _BINS, bins[k]) for k in range(_BINS)]


def _paired(one: Table, two: Table, asked: CompareQuestion) -> _Paired:
    scores = [_by_item(table, asked) for table in (one, two)]
    shared = [item for item in scores[0] if item in scores[1]]
    left_out = len(scores[0]) + len(scores[1]) - 2 * len(shared)
    if left_out and not asked.common:
        lost = next(item for a, b in (scores, scores[::-1]) for item in a if item not in b)
        raise TollensError(
            "table_items_differ", f"{one.path} and {two.path}", expected="the same items in both files",
            found=f"{left_out:,} in one only, such as {lost[:40]!r}", fix="Use --common to compare the shared ones.",
        )  # fmt: skip
    if not shared:
        raise TollensError(
            "table_items_differ", f"{one.path} and {two.path}", expected="items with the same id",
            found="none", fix="Name the column of ids with --id.",
        )  # fmt: skip
    first, second = (np.array([s[item] for item in shared]) for s in scores)
    cluster = _clusters(one, two, shared, asked) if asked.cluster is not None else None
    return _Paired(first, second, cluster, left_out)


def _by_item(table: Table, asked: CompareQuestion) -> dict[str, float]:
    items, scores = table.labels(asked.id, "--id"), table.numbers(asked.score, "--score")
    found = dict(zip(items, scores.tolist(), strict=True))
    if len(found) < len(items):
        twice = next(item for item, count in Counter(items).items() if count > 1)
        raise TollensError(
            "table_items_differ", table.path, expected="each item once", found=f"{twice[:40]!r} twice",
            fix="Average the attempts at one item, or give each an id of its own and --cluster.",
        )  # fmt: skip
    return found


def _clusters(one: Table, two: Table, shared: Sequence[str], asked: CompareQuestion) -> list[str]:
    """The label of each shared item: from the first file, and the second must not say otherwise."""
    assert asked.cluster is not None
    labels: dict[str, Any] = dict(
        zip(one.labels(asked.id, "--id"), one.labels(asked.cluster, "--cluster"), strict=True)
    )
    if asked.cluster in two.columns:
        other = zip(two.labels(asked.id, "--id"), two.labels(asked.cluster, "--cluster"), strict=True)
        for item, label in other:
            if item in labels and labels[item] != label:
                raise TollensError(
                    "table_items_differ", f"{one.path} and {two.path}", expected="one cluster for each item",
                    found=f"{item[:40]!r} in {labels[item][:40]!r} and {label[:40]!r}", fix="Correct the labels.",
                )  # fmt: skip
    return [labels[item] for item in shared]
