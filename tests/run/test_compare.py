from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tollens.core.errors import TollensError
from tollens.core.seeding import generator
from tollens.run.compare import CompareQuestion, compare
from tollens.stats.paired import paired_difference, paired_test


def results(path: Path, scores: Any, **columns: Any) -> Path:
    rows = [
        {"id": f"q{k}", "score": float(score)} | {name: values[k] for name, values in columns.items()}
        for k, score in enumerate(scores)
    ]
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


def pair(folder: Path, n: int = 200, gain: float = 0.1, **columns: Any) -> tuple[Path, Path]:
    rng = generator(4, "compare")
    base = rng.random(n)
    first, second = (base < 0.6).astype(int), (base + 0.05 * rng.standard_normal(n) < 0.6 + gain).astype(int)
    return results(folder / "a.jsonl", first, **columns), results(folder / "b.jsonl", second, **columns)


def scores(path: Path) -> np.ndarray:
    return np.array([json.loads(line)["score"] for line in path.read_text().split("\n")])


def test_the_numbers_are_those_of_the_kit(tmp_path: Path) -> None:
    first, second = pair(tmp_path)
    report = compare(first, second)
    x, y = scores(second), scores(first)
    assert report.difference == paired_difference(x, y)
    assert report.test == paired_test(x, y)
    assert report.outcome == "different"
    assert (report.n, report.left_out) == (200, 0)
    assert (report.only_second, report.only_first) == (int((x > y).sum()), int((x < y).sum()))
    assert sum(count for _, count in report.differences) == 200


def test_exchanged_files_exchange_the_sign(tmp_path: Path) -> None:
    first, second = pair(tmp_path)
    one, two = compare(first, second), compare(second, first)
    assert two.difference.estimate == pytest.approx(-(one.difference.estimate or 0))
    assert two.test.p == one.test.p


def test_the_order_of_rows_does_not_matter(tmp_path: Path) -> None:
    first, second = pair(tmp_path)
    lines = second.read_text().split("\n")
    (tmp_path / "c.jsonl").write_text("\n".join(reversed(lines)))
    assert compare(first, tmp_path / "c.jsonl").difference == compare(first, second).difference


def test_a_margin_asks_for_equivalence_and_no_margin_never_says_equal(tmp_path: Path) -> None:
    first, second = pair(tmp_path, n=2000, gain=0.0)
    assert compare(first, second).outcome == "undetermined"
    report = compare(first, second, CompareQuestion(margin=0.05))
    assert report.outcome == "equivalent"
    assert report.margin_interval is not None
    assert -0.05 < report.margin_interval.low < report.margin_interval.high < 0.05


def test_clusters_widen_the_error_and_too_few_are_refused(tmp_path: Path) -> None:
    labels = [f"d{k // 10}" for k in range(200)]
    rng = generator(5, "clusters")
    shift = np.repeat(rng.standard_normal(20), 10)
    first = results(tmp_path / "a.jsonl", rng.random(200), doc=labels)
    second = results(tmp_path / "b.jsonl", rng.random(200) + shift, doc=labels)
    report = compare(first, second, CompareQuestion(cluster="doc"))
    assert report.se_clustered is not None
    assert report.se_naive is not None
    assert report.se_clustered > 2 * report.se_naive
    few = compare(first, second, CompareQuestion(cluster="doc", min_clusters=50))
    assert few.difference.refused
    assert "stats_too_few_units" in (few.difference.reason or "")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda lines: lines[:-1], "table_items_differ"),
        (lambda lines: [*lines, lines[0]], "table_items_differ"),
        (lambda lines: [line.replace('"q', '"r') for line in lines], "table_items_differ"),
        (lambda lines: [line.replace("score", "acc") for line in lines], "table_column"),
        (lambda lines: [line.replace('"q1"', '""') for line in lines], "table_column"),
        (lambda lines: [line.replace("d1", "d2") for line in lines], "table_items_differ"),
    ],
)
def test_files_that_cannot_be_paired_are_named(tmp_path: Path, change: Any, code: str) -> None:
    first, second = pair(tmp_path, doc=[f"d{k // 10}" for k in range(200)])
    second.write_text("\n".join(change(second.read_text().split("\n"))))
    with pytest.raises(TollensError) as caught:
        compare(first, second, CompareQuestion(cluster="doc"))
    assert caught.value.code == code


def test_an_undetermined_comparison_says_how_many_items_would_settle_it(tmp_path: Path) -> None:
    first, second = pair(tmp_path, n=60, gain=0.02)
    report = compare(first, second)
    assert report.outcome == "undetermined"
    se, estimate = report.difference.se, report.difference.estimate
    assert se is not None
    assert estimate
    assert report.settle_n == math.ceil((1.959964 + 0.841621) ** 2 * se**2 * 60 / estimate**2)
    assert compare(first, second, CompareQuestion(margin=abs(estimate) / 2)).settle_n == pytest.approx(
        4 * report.settle_n, abs=4
    )
    assert compare(*pair(tmp_path)).settle_n is None


def test_items_that_only_one_file_has_are_counted_where_common_is_asked(tmp_path: Path) -> None:
    first, second = pair(tmp_path)
    second.write_text("\n".join(second.read_text().split("\n")[:150]))
    report = compare(first, second, CompareQuestion(common=True))
    assert (report.n, report.left_out) == (150, 50)


def test_equal_systems_are_refused_by_name_and_never_called_equal(tmp_path: Path) -> None:
    first, _ = pair(tmp_path)
    report = compare(first, first, CompareQuestion(margin=0.05))
    assert report.outcome == "undetermined"
    assert report.difference.refused
    assert "stats_no_scale" in (report.difference.reason or "")


def test_what_the_exact_test_does_not_reject_is_never_called_different(tmp_path: Path) -> None:
    """Seven items lost and one won in fifty clusters: the t interval excludes zero, the sign flip has p .07."""
    labels = [f"d{k // 6}" for k in range(300)]
    first, second = np.zeros(300), np.zeros(300)
    first[[6 * k for k in range(7)]] = 1.0
    second[6 * 7] = 1.0
    one = results(tmp_path / "a.jsonl", first, doc=labels)
    two = results(tmp_path / "b.jsonl", second, doc=labels)
    report = compare(one, two, CompareQuestion(cluster="doc", margin=0.01))
    assert report.difference.interval is not None
    assert report.difference.interval.high < 0
    assert report.test.p is not None
    assert report.test.p > 0.05
    assert report.outcome == "undetermined"


@pytest.mark.parametrize(
    "wrong",
    [
        {"alpha": 2.0},
        {"alpha": float("nan")},
        {"margin": -1.0},
        {"margin": float("nan")},
        {"margin": 0.1, "alpha": 0.6},
        {"min_clusters": 1},
    ],
    ids=str,
)
def test_an_option_that_is_none_is_no_undetermined_answer(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(TollensError) as caught:
        compare(*pair(tmp_path), CompareQuestion(**wrong))
    assert caught.value.code == "stats_input"


def test_differences_that_only_round_apart_are_one_value(tmp_path: Path) -> None:
    """0.3 - 0.1 is not the double 0.2 - 0: a picture of bars as wide as that gap would be empty."""
    first = results(tmp_path / "a.jsonl", [0.1, 0.0, 0.7, 0.5])
    second = results(tmp_path / "b.jsonl", [0.3, 0.2, 0.7, 0.4])
    assert 0.3 - 0.1 != 0.2
    assert compare(first, second).differences == [(-0.1, 1), (0.0, 1), (0.2, 2)]


@pytest.mark.parametrize("scale", [1e-300, 1.0, 1e99])
def test_many_differences_are_counted_in_bins(tmp_path: Path, scale: float) -> None:
    first, second = ((scale * generator(k, "bins").random(300)).tolist() for k in (1, 2))
    found = compare(results(tmp_path / "a.jsonl", first), results(tmp_path / "b.jsonl", second)).differences
    assert len(found) == 41
    assert sum(count for _, count in found) == 300
    steps = np.diff([value for value, _ in found])
    assert steps == pytest.approx(steps[0], rel=1e-6)
    assert steps[0] > 0
