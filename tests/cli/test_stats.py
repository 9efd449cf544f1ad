from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tollens.core.seeding import generator

SCHEMA = Path(__file__).resolve().parents[2] / "docs" / "reference" / "schema"
AB = ("--rate", "0.1", "--better", "0.3", "--epsilon", "0.005", "--cap", "400", "--runs", "100")


@pytest.fixture
def observations(tmp_path: Path) -> Path:
    rng = generator(0, "cli", "ab")
    rows = [f"{'AB'[k % 2]},{int(rng.random() < (0.1, 0.3)[k % 2])}" for k in range(800)]
    path = tmp_path / "o.csv"
    path.write_text("arm,outcome\n" + "\n".join(rows))
    return path


@pytest.fixture
def results(tmp_path: Path) -> tuple[Path, Path]:
    rng = generator(0, "cli", "compare")
    paths = (tmp_path / "a.csv", tmp_path / "b.csv")
    base = rng.random(300)
    for path, rate in zip(paths, (0.6, 0.75), strict=True):
        rows = [f"q{k},d{k // 10},{int(x < rate)}" for k, x in enumerate(base)]
        path.write_text("id,doc,score\n" + "\n".join(rows))
    return paths


def checked(done: Any, contract: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.stdout)
    jsonschema.validate(found, json.loads((SCHEMA / f"{contract}.json").read_text()))
    return found


def test_ab_shows_the_rule_before_the_data_and_then_the_decision(inside: Any, observations: Path) -> None:
    done = inside("stats", "ab", observations, *AB, env={"COLUMNS": "80"})
    assert done.returncode == 0
    before, after = done.stdout.index("(A/A)"), done.stdout.index("shipped B at n =")
    assert before < after
    assert "does not control the type-I error" in done.stdout
    assert "valid at any stopping time" in done.stdout
    assert "significant" not in done.stdout
    assert max(map(len, done.stdout.split("\n"))) <= 80


def test_ab_shows_the_rule_even_where_the_data_cannot_be_read(inside: Any, tmp_path: Path) -> None:
    done = inside("stats", "ab", tmp_path / "none.csv", *AB)
    assert done.returncode == 2
    assert "(A/A)" in done.stdout
    assert "path_missing" in done.stderr


def test_ab_as_json(inside: Any, observations: Path) -> None:
    found = checked(inside("stats", "ab", observations, *AB, "--json"), "tollens.stats.ab-1")
    assert found["decision"] == "shipped B"


def test_ab_goes_on_with_exit_11(inside: Any, observations: Path) -> None:
    done = inside("stats", "ab", observations, "--rate", "0.1", "--better", "0.3", "--epsilon", "1e-9", "--runs", "100")
    assert done.returncode == 11
    assert "continue at n =" in done.stdout


def test_compare(inside: Any, results: tuple[Path, Path]) -> None:
    done = inside("stats", "compare", *results, "--cluster", "doc", "--margin", "0.02", env={"COLUMNS": "80"})
    assert done.returncode == 0
    assert done.stdout.startswith("DIFFERENT  the second differs from the first: +0.1")
    for word in ("difference", "test", "equivalence", "errors", "clustered"):
        assert word in done.stdout
    assert max(map(len, done.stdout.split("\n"))) <= 80
    found = checked(inside("stats", "compare", *results, "--json"), "tollens.stats.compare-1")
    assert found["outcome"] == "different"
    assert found["only_first"] == 0


def test_compare_without_a_difference_is_undetermined(inside: Any, results: tuple[Path, Path]) -> None:
    done = inside("stats", "compare", results[0], results[0])
    assert done.returncode == 11
    assert done.stdout.startswith("UNDETERMINED")


def test_power(inside: Any) -> None:
    asked = ("stats", "power", "proportions", "--p1", "0.1", "--p2", "0.12", "--formula", "pooled")
    done = inside(*asked, "--power", "0.8", env={"COLUMNS": "80"})
    assert done.returncode == 0
    assert done.stdout.startswith("3,841 an arm give power 0.8")
    assert max(map(len, done.stdout.split("\n"))) <= 80
    found = checked(inside(*asked, "--n", "1000", "--json"), "tollens.stats.power-1")
    assert found["power"] == pytest.approx(0.2977, abs=1e-4)
    assert inside(*asked, "--n", "1000", "--quiet").stdout == "power 0.2977 with 1,000 an arm\n"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("power", "proportions", "--p1", "0.1", "--p2", "0.12", "--power", "0.8"), "stats_unnamed"),
        (("power", "paired", "--effect", "0.5"), "bad_option"),
        (("power", "paired", "--effect", "0", "--n", "10"), "stats_input"),
        (("power", "nothing", "--n", "10"), "bad_option"),
        (("compare", "none.csv", "none.csv"), "path_missing"),
        (("ab", "none.csv"), "bad_option"),
        (("ab", "none.csv", "--rate", "0.1", "--better", "0.1"), "stats_input"),
    ],
)
def test_bad_questions_are_named(inside: Any, arguments: tuple[str, ...], code: str) -> None:
    done = inside("stats", *arguments)
    assert done.returncode == 2
    assert code in done.stderr


def test_the_group_lists_its_questions(inside: Any) -> None:
    done = inside("stats", "--help")
    assert [name for name in ("ab", "compare", "power") if name not in done.stdout] == []


@pytest.mark.parametrize("columns", [40, 64, 65, 120])
def test_no_line_is_wider_than_the_terminal(
    inside: Any, observations: Path, results: tuple[Path, Path], columns: int
) -> None:
    asked = (
        ("ab", observations, *AB),
        ("compare", *results, "--margin", "0.02"),
        ("power", "paired", "--effect", "0.5", "--power", "0.8"),
    )
    for one in asked:
        done = inside("stats", *one, env={"COLUMNS": str(columns)})
        assert max(map(len, done.stdout.split("\n"))) <= columns
        assert ("(A/A)" in done.stdout) == (one[0] == "ab")


def test_a_level_is_printed_as_it_was_asked_for(inside: Any, results: tuple[Path, Path]) -> None:
    done = inside("stats", "compare", *results, "--alpha", "0.001", env={"COLUMNS": "200"})
    assert "] at 99.9%" in done.stdout
    assert "share of discordant pairs 1" in done.stdout  # a share, not a difference with a sign
