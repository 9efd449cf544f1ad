"""The verb `diff`: verdicts, exit codes, and what a person reads at two widths."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from safetensors.numpy import save_file

from tollens.demo import path
from tollens.publish.schema import schema_text

Tollens = Callable[..., Any]
GOOD, TRAPPED = path("good.safetensors"), path("trapped.safetensors")


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("strangers")
    made = []
    for seed in (1, 2):
        rng = np.random.default_rng(seed)
        tensors = {f"layers.{i}.weight": rng.standard_normal((48, 64)).astype(np.float32) for i in range(3)}
        made.append(folder / f"{seed}.safetensors")
        save_file(tensors | {f"own.{seed}": np.ones(3, np.float32)}, made[-1])
    return made[0], made[1]


@pytest.mark.parametrize("columns", ["80", "120"])
def test_what_a_person_reads(inside: Tollens, columns: str) -> None:
    done = inside("diff", GOOD, TRAPPED, env={"COLUMNS": columns})
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0].startswith("MOVED  1 of 4 matrices moved, 3 identical; DERIVED is kin to BASE")
    assert max(map(len, lines)) <= int(columns)
    table = next(line for line in lines if line.startswith("layer "))
    assert [
        word for word in ("shape", "state", "change", "rank", "above", "left*", "right*") if word not in table
    ] == []
    assert ("shuffled" in table) == (columns == "120")
    row = next(line for line in lines if line.startswith("layers.1"))
    assert row.split()[1:3] == ["192x192", "moved"]
    assert "…" not in done.stdout
    assert "limit     what both have by construction counts as kinship" in done.stdout


def test_json_fits_its_schema(inside: Tollens) -> None:
    done = inside("diff", GOOD, TRAPPED, "--json")
    report = json.loads(done.stdout)
    jsonschema.validate(report, json.loads(schema_text("tollens.diff-1")))
    assert report["schema"] == "tollens.diff/1"
    assert report["witness"] == "layers.1.weight"


def test_csv_has_a_row_a_matrix(inside: Tollens) -> None:
    rows = list(csv.DictReader(io.StringIO(inside("diff", GOOD, TRAPPED, "--csv").stdout)))
    assert rows[0]["name"] == "layers.1.weight"
    assert len(rows) == 4
    assert rows[0]["floor_above"] == "1"
    assert float(rows[0]["overlap_left_high"]) > 0.0


def test_quiet_is_one_line(inside: Tollens) -> None:
    done = inside("diff", GOOD, GOOD, "--quiet")
    assert done.stdout.count("\n") == 1
    assert done.stdout.startswith("IDENTICAL  0 of 4 matrices moved, 4 identical")


@pytest.mark.parametrize(
    ("expect", "derived", "code", "word"),
    [
        ("identical", GOOD, 0, "SURVIVED"),
        ("rounded", GOOD, 0, "SURVIVED"),
        ("related", TRAPPED, 0, "SURVIVED"),
        ("identical", TRAPPED, 10, "KILLED"),
        ("rounded", TRAPPED, 10, "KILLED"),
    ],
)
def test_the_exit_code_is_the_verdict(inside: Tollens, expect: str, derived: Path, code: int, word: str) -> None:
    done = inside("diff", GOOD, derived, "--expect", expect)
    assert done.returncode == code
    assert done.stdout.startswith(word)
    if code:
        assert "witness   layers.1.weight" in done.stdout


def test_strangers(inside: Tollens, strangers: tuple[Path, Path]) -> None:
    plain = inside("diff", *strangers)
    assert plain.returncode == 0  # movement is no failure
    assert "no trace that DERIVED is kin to BASE" in " ".join(plain.stdout.split())
    assert "only_in_base  own.1" in plain.stdout
    assert "only_in_derived  own.2" in plain.stdout
    assert inside("diff", *strangers, "--expect", "related").returncode == 10


def test_nothing_in_common_is_undetermined(inside: Tollens, strangers: tuple[Path, Path], tmp_path: Path) -> None:
    lone = tmp_path / "lone.safetensors"
    save_file({"x": np.ones((9, 9), np.float32)}, lone)
    done = inside("diff", strangers[0], lone)
    assert done.returncode == 11
    assert done.stdout.startswith("UNDETERMINED")
    assert "tollens explain only_in_base" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [("--json", "--csv"), ("--rank", "0"), ("--expect", "equal"), ("--layers", "none*"), ("--roundings", "3")],
)
def test_bad_usage(inside: Tollens, arguments: tuple[str, ...]) -> None:
    done = inside("diff", GOOD, TRAPPED, *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "more" in done.stderr


def test_a_missing_side_is_named(inside: Tollens, tmp_path: Path) -> None:
    for pair in ((GOOD, tmp_path / "absent"), (tmp_path / "absent", GOOD)):
        done = inside("diff", *pair)
        assert done.returncode == 2
        assert done.stderr.startswith("path_missing")


def test_a_name_in_brackets_is_no_markup(inside: Tollens, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 2)):
        w = np.random.default_rng(seed).standard_normal((40, 40)).astype(np.float32)
        save_file({"[red]x[/red]": w, f"[bold]{name}": w[0]}, tmp_path / f"{name}.safetensors")
    done = inside("diff", tmp_path / "a.safetensors", tmp_path / "b.safetensors")
    assert "[red]x[/red]" in done.stdout
    assert "only_in_base  [bold]a" in done.stdout


def test_two_jobs_say_the_same(tollens: Tollens) -> None:
    one, two = (tollens("diff", GOOD, TRAPPED, "--json", "--jobs", jobs, "--threads", "1") for jobs in "12")
    assert one.stdout == two.stdout
