from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tollens.core.errors import TollensError
from tollens.core.seeding import generator
from tollens.run.ab import AbQuestion, Characteristics, ab
from tollens.stats.two_sample_sequence import blocks_between, two_sample_log_e

QUICK = AbQuestion(rate=0.1, better=0.3, epsilon=0.005, cap=400, runs=100)


def observations(path: Path, rates: tuple[float, float], n: int, seed: int = 0) -> Path:
    rng = generator(seed, "observations")
    lines = ["arm,outcome"]
    for _ in range(n):
        arm = int(rng.integers(2))
        lines.append(f"{'AB'[arm]},{int(rng.random() < rates[arm])}")
    path.write_text("\n".join(lines))
    return path


def test_a_clear_difference_is_shipped_and_every_look_is_told(tmp_path: Path) -> None:
    report = ab(observations(tmp_path / "o.csv", (0.1, 0.3), 800), QUICK)
    assert report.decision == "shipped B"
    assert report.looks[0].n == 50
    assert report.stopped_at in [look.n for look in report.looks]
    stop = next(look for look in report.looks if look.n == report.stopped_at)
    assert min(stop.loss_a, stop.loss_b) < 0.005
    assert all(min(look.loss_a, look.loss_b) >= 0.005 for look in report.looks if look.n < (report.stopped_at or 0))
    assert report.posterior_b == (1 + stop.b, 1 + stop.n - stop.b)
    assert report.estimate > 0
    assert "does not control the type-I error" in report.guarantee


def test_the_e_values_are_those_of_the_looks(tmp_path: Path) -> None:
    path = observations(tmp_path / "o.csv", (0.1, 0.12), 800)
    report = ab(path, QUICK)
    rows = [line.split(",") for line in path.read_text().split("\n")[1:]]
    arms = [np.array([float(o) for arm, o in rows if arm == name]) for name in "AB"]
    looks = [look.n for look in report.looks]
    expected = np.exp(two_sample_log_e(blocks_between(arms[0], arms[1], looks)))
    assert [look.e for look in report.looks] == pytest.approx(expected.tolist())


def test_the_rule_is_simulated_and_told_before_the_data_are_opened(tmp_path: Path) -> None:
    seen: list[Characteristics] = []
    with pytest.raises(TollensError) as caught:
        ab(tmp_path / "none.csv", QUICK, told=seen.extend)
    assert caught.value.code == "path_missing"
    assert [row.rate_a == row.rate_b for row in seen[0].rows] == [True, False]  # the A/A row stands first
    assert seen[0].rows[0].ships_a + seen[0].rows[0].ships_b + seen[0].rows[0].third == pytest.approx(1)
    assert seen[1].guarantee == "valid at any stopping time"


def test_the_same_seed_gives_the_same_report_and_what_comes_after_the_stop_changes_nothing(tmp_path: Path) -> None:
    path = observations(tmp_path / "o.csv", (0.1, 0.3), 800)
    first = ab(path, QUICK)
    assert ab(path, QUICK) == first
    longer = tmp_path / "longer.csv"
    longer.write_text(path.read_text() + "\nA,1" * 300 + "\nB,0" * 300)
    more = ab(longer, QUICK)
    assert (more.decision, more.stopped_at, more.looks[: len(first.looks)]) == (
        first.decision, first.stopped_at, first.looks,
    )  # fmt: skip


def test_labels_swapped_swap_the_decision(tmp_path: Path) -> None:
    path = observations(tmp_path / "o.csv", (0.1, 0.3), 800)
    swapped = ab(path, QUICK_B)
    assert swapped.labels == ("B", "A")
    assert swapped.decision == "shipped A"
    assert swapped.estimate == pytest.approx(-ab(path, QUICK).estimate)


QUICK_B = AbQuestion(rate=0.1, better=0.3, epsilon=0.005, cap=400, runs=100, control="B")


def test_without_enough_data_the_rule_goes_on_and_at_the_cap_it_takes_the_third_action(tmp_path: Path) -> None:
    path = observations(tmp_path / "o.csv", (0.2, 0.2), 260)
    strict = AbQuestion(rate=0.2, better=0.3, epsilon=1e-5, cap=1000, runs=100)
    assert ab(path, strict).decision == "continue"
    capped = AbQuestion(rate=0.2, better=0.3, epsilon=1e-5, cap=100, runs=100, third="keep control")
    assert ab(path, capped).decision == "keep control"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("arm,outcome\n" + "A,1\nB,0\n" * 10, "stats_too_few_units"),
        ("arm,outcome\n" + "A,1\n" * 100, "table_column"),
        ("arm,outcome\n" + "A,1\nB,0\nC,0\n" * 60, "table_column"),
        ("arm,outcome\n" + "A,1\nB,2\n" * 60, "table_column"),
        ("arm,outcome\n" + "x,1\ny,0\n" * 60, "table_column"),
        ("group,outcome\nA,1\n", "table_column"),
    ],
)
def test_data_that_cannot_be_used_are_named(tmp_path: Path, text: str, code: str) -> None:
    (tmp_path / "o.csv").write_text(text)
    with pytest.raises(TollensError) as caught:
        ab(tmp_path / "o.csv", QUICK)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "change",
    [
        {"epsilon": 0.0},
        {"rate": 1.5},
        {"every": 0},
        {"cap": 10},
        {"prior": (0.0, 1.0)},
        {"alpha": 1.0},
        {"minimum": 9999},
    ],
)
def test_a_rule_that_is_none_is_refused_before_the_data(tmp_path: Path, change: dict[str, object]) -> None:
    asked = AbQuestion(**({"rate": 0.1, "better": 0.3, "cap": 400, "runs": 100} | change))  # type: ignore[arg-type]
    with pytest.raises(TollensError) as caught:
        ab(tmp_path / "none.csv", asked)
    assert caught.value.code.startswith("stats_")


def test_json_lines_are_read_as_well(tmp_path: Path) -> None:
    path = tmp_path / "o.jsonl"
    rows = [{"arm": "AB"[k % 2], "outcome": bool(k % 3 == 0), "note": [1]} for k in range(200)]
    path.write_text("\n".join(json.dumps(row) for row in rows))
    assert len(ab(path, QUICK).looks) >= 1


@pytest.mark.parametrize(
    "change",
    [
        {"better": 0.1},
        {"better": 0.05},
        {"rate": 0.0},
        {"alpha": 2.0},
        {"epsilon": 1e-320},
        {"every": 1, "cap": 10**9},
        {"every": 10**6, "cap": 10**6},
        {"cap": 10},
        {"runs": 10**10},
    ],
    ids=str,
)
def test_a_question_that_cannot_be_simulated_is_refused_at_once(tmp_path: Path, change: dict[str, float]) -> None:
    seen: list[Characteristics] = []
    asked = AbQuestion(**({"rate": 0.1, "better": 0.3} | change))  # type: ignore[arg-type]
    with pytest.raises(TollensError) as caught:
        ab(tmp_path / "none.csv", asked, told=seen.extend)
    assert caught.value.code == "stats_input"
    assert seen == []


def test_one_long_label_does_not_widen_the_others(tmp_path: Path) -> None:
    """As text of one width 30,000 labels beside one of 100,000 letters would take 12 GB."""
    path = tmp_path / "o.csv"
    path.write_text("arm,outcome\n" + "A,1\nB,0\n" * 15_000 + "C" * 100_000 + ",1\n")
    with pytest.raises(TollensError) as caught:
        ab(path, QUICK)
    assert caught.value.code == "table_column"
