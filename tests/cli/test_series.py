"""`tollens scan --series`: exit codes, answers in every form, and errors that name themselves."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from rich.cells import cell_len
from safetensors.numpy import load_file, save_file

from tollens.cli.series_screen import series_text
from tollens.publish.series_table import COLUMNS
from tollens.run.series import series
from tollens.run.series_result import SeriesReport
from tollens.run.settings import ScanSettings

FAST = ScanSettings(bootstrap=20, null_draws=20)
STEPS = (0, 100, 200, 300, 400, 500)
Tensors = dict[str, np.ndarray]


def written(folder: Path, make: Callable[[int], Tensors]) -> Path:
    for step in STEPS:
        path = folder / f"checkpoint-{step}"
        path.mkdir(parents=True)
        save_file(make(step), path / "model.safetensors")
        (path / "trainer_state.json").write_text(json.dumps({"global_step": step}))
    return folder


def start(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((16, 32)).astype(np.float32)


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One matrix that moves along a line, in a run without events."""
    return written(
        tmp_path_factory.mktemp("calm") / "run", lambda step: {"w": start(1) + np.float32(1e-6 * step) * start(2)}
    )


@pytest.fixture(scope="module")
def trapped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mean that appears, a NaN in the middle, a name that fills any line, a matrix that is not in all."""

    def make(step: int) -> Tensors:
        broken = start(3)
        if step == 200:
            broken[0, 0] = np.nan
        made = {
            "offset": start(1) + np.float32(2.0 * (step >= 300)), "broken": broken, "层" * 70: start(4),
            "model.layers.0.self_attn.some_very_long_projection_name.q_proj.weight": start(5) * np.float32(1 + step),
        }  # fmt: skip
        return made | ({"late": start(6)} if step else {})

    return written(tmp_path_factory.mktemp("trapped") / "run", make)


@pytest.mark.parametrize(("which", "code", "verdict"), [("calm", 0, "CLEAN"), ("trapped", 1, "FINDINGS")])
def test_the_verdict_is_the_exit_code(inside, request, which: str, code: int, verdict: str) -> None:
    folder = request.getfixturevalue(which)
    run = inside("scan", "--series", folder, "--quiet")
    assert run.returncode == code
    assert run.stdout.startswith(f"{verdict}  ")
    assert run.stdout.count("\n") == 1
    assert run.stderr == ""


def test_paths_one_by_one_in_any_order_are_the_folder(inside, calm: Path) -> None:
    paths = [calm / f"checkpoint-{step}" for step in (300, 0, 500, 100, 400, 200)]
    one, other = inside("scan", "--series", calm, "--json"), inside("scan", *paths, "--series", "--json")
    assert json.loads(one.stdout) | {"paths": []} == json.loads(other.stdout) | {"paths": []}


def test_the_json_is_what_the_function_gives(inside, trapped: Path) -> None:
    run = inside("scan", "--series", trapped, "--json", "--seed", "3", "--shuffles", "2")
    expected = series(
        [trapped], ScanSettings(seed=3, shuffles=2, threads=json.loads(run.stdout)["settings"]["threads"])
    )
    assert run.stdout.encode() == msgspec.json.encode(expected) + b"\n"


def test_workers_do_not_change_the_answer(tollens, trapped: Path) -> None:
    one = tollens("scan", "--series", trapped, "--json", "--threads", "1")
    two = tollens("scan", "--series", trapped, "--json", "--threads", "1", "--jobs", "2")
    assert one.returncode == two.returncode == 1
    assert one.stdout == two.stdout


def test_the_csv_has_one_row_for_each_matrix_and_step(inside, trapped: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(inside("scan", "--series", trapped, "--csv").stdout)))
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == 4 * len(STEPS)
    assert [row["step"] for row in rows[:6]] == [str(step) for step in STEPS]
    lost = next(row for row in rows if row["matrix"] == "broken" and row["step"] == "200")
    assert lost["status"] == "FAILED"
    assert lost["alpha"] == ""
    assert "alpha=nonfinite" in lost["undefined"]
    kept = next(row for row in rows if row["matrix"] == "offset" and row["step"] == "300")
    assert float(kept["distance"]) == pytest.approx(2.0 * 512**0.5, rel=1e-3)  # 2 in each of 512 elements
    assert kept["traps_mean"] == "1.0"


def test_a_forecast_is_written_and_told(inside, calm: Path, tmp_path: Path) -> None:
    out = tmp_path / "predicted.safetensors"
    run = inside("scan", "--series", calm, "--extrapolate", "700", "--out", out, env={"COLUMNS": "400"})
    assert run.returncode == 0
    assert f"step 700, written to {out}; extrapolated, not trained" in run.stdout
    assert "one direction explains 100.0 % of the movement" in run.stdout
    assert "standing still 20.0 %; mean of the last three 40.0 %" in run.stdout
    assert "What would settle it" in run.stdout
    assert "Closest was" not in run.stdout  # the forecast was
    assert run.stdout.endswith(f"next  tollens scan --series {calm} --html series.html\n")
    np.testing.assert_allclose(load_file(out)["w"], start(1) + 7e-4 * start(2), atol=2e-6)
    again = inside("scan", "--series", calm, "--extrapolate", "700", "--out", out)
    assert again.returncode == 2
    assert again.stderr.startswith("output_exists: ")


def test_a_forecast_that_was_beaten_says_by_what(inside, tmp_path: Path) -> None:
    """Two steps along one direction, then still: the way to the left-out checkpoint was over before it."""
    paths = []
    for step in range(0, 600, 100):
        paths.append(tmp_path / f"step-{step}.safetensors")
        save_file({"w": start(1) + np.float32(1e-6 * min(step, 300)) * start(2)}, paths[-1])
    out = tmp_path / "predicted.safetensors"
    run = inside("scan", "--series", *paths, "--extrapolate", "700", "--out", out, env={"COLUMNS": "400"})
    assert run.returncode in (0, 1), run.stderr
    assert "standing still 0.0 %" in run.stdout
    assert "Closest was standing still." in run.stdout


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["a", "b"], "--series"),
        (["a", "--extrapolate", "5", "--out", "o.safetensors"], "--series"),
        (["a", "--out", "o.safetensors"], "--series"),
        (["--series", "a", "--extrapolate", "5"], "--out"),
        (["--series", "a", "--out", "o.safetensors"], "--extrapolate"),
        (["--series", "a", "--extrapolate", "-5", "--out", "o.safetensors"], "--extrapolate"),
        (["--series", "a", "--extrapolate", str(2**63), "--out", "o.safetensors"], "--extrapolate"),
        (["--series", "a", "--claim", "all(alpha > 1)"], "--claim"),
        (["--series", "a", "--gof", "5"], "--gof"),
        (["--series", "a", "--columns", "weightwatcher"], "--columns"),
        (["--series", "a", "--json", "--csv"], "--csv"),
        (["--series"], "PATH"),
    ],
)
def test_options_that_do_not_go_together_are_refused_by_name(inside, options: list[str], words: str) -> None:
    run = inside("scan", *options)
    assert run.returncode == 2
    assert run.stderr.startswith("bad_option: ")
    assert words in run.stderr
    assert run.stdout == ""


def test_errors_name_themselves(inside, calm: Path, tmp_path: Path) -> None:
    one = calm / "checkpoint-0"
    cases = {
        "series_too_short": [one], "step_duplicate": [one, one], "path_missing": [calm / "none", one],
    }  # fmt: skip
    for code, paths in cases.items():
        run = inside("scan", "--series", *paths)
        assert (run.returncode, run.stdout) == (2, "")
        assert run.stderr.startswith(f"{code}: ")
    page = inside("scan", "--series", calm, "--html", tmp_path / "no" / "page.html")
    assert page.stderr.startswith("path_missing: ")


def test_the_page_is_written_beside_the_answer(inside, calm: Path, tmp_path: Path) -> None:
    run = inside("scan", "--series", calm, "--html", tmp_path / "page.html", "--quiet")
    assert run.returncode == 0
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")


@pytest.fixture(scope="module")
def report(trapped: Path) -> SeriesReport:
    return series([trapped], FAST)


@pytest.mark.parametrize("width", [60, 80, 120, 200])
@pytest.mark.parametrize("show_all", [False, True])
def test_no_line_is_wider_than_the_terminal(monkeypatch, report: SeriesReport, width: int, show_all: bool) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    lines = series_text(report, html=None, show_all=show_all).splitlines()
    assert lines[0].startswith("FINDINGS  ")
    assert [line for line in lines if cell_len(line) > width] == []


def test_the_screen_says_what_changed_and_what_to_do_next(monkeypatch, report: SeriesReport) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    text = series_text(report, html=None, show_all=False)
    assert re.search(r"! offset +traps_mean +200 +300 +0 +1\n", text)
    assert re.search(r"! broken +nonfinite +100 +200 +- +-\n", text)
    assert re.search(r"\n +200 .* 1\n", text)  # one matrix failed
    assert "note  1 matrices are not in every checkpoint in one shape." in text
    assert "next  tollens scan " in text
    places = [text.index(word) for word in ("FINDINGS", "changed", "step ", "note", "next")]
    assert places == sorted(places)


def test_the_steps_of_the_best_are_marked(monkeypatch, report: SeriesReport) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    best = msgspec.structs.replace(report.best, low=100, guess=200, high=300, sure="likely", reason="made up here")
    text = series_text(msgspec.structs.replace(report, best=best), html=None, show_all=False)
    assert re.findall(r"\n *> (\d+) ", text) == ["100", "200", "300"]
    assert "made up here" in text
    assert ">" not in series_text(report, html=None, show_all=False)


def test_a_hostile_name_does_not_reach_the_terminal(monkeypatch, report: SeriesReport) -> None:
    changes = [msgspec.structs.replace(change, matrix="\x1b[2J") for change in report.changes]
    text = series_text(msgspec.structs.replace(report, changes=changes), html=None, show_all=True)
    assert "\x1b[2J" not in text


def test_many_steps_are_thinned_and_said_to_be(monkeypatch, report: SeriesReport) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    steps = [msgspec.structs.replace(report.steps[0], step=1_000 + i) for i in range(100)]
    many = msgspec.structs.replace(report, steps=steps)
    shown = re.findall(r"\n *(1\d{3}) ", series_text(many, html=None, show_all=False))
    assert (len(shown), shown[0], shown[-1]) == (24, "1000", "1099")
    assert shown == sorted(set(shown))
    assert "76 more steps; --all prints them." in series_text(many, html=None, show_all=False)
    best = msgspec.structs.replace(report.best, low=1_001, guess=1_002, high=1_003, sure="likely")
    text = series_text(msgspec.structs.replace(many, best=best), html=None, show_all=False)
    assert re.findall(r"\n *> (\d+) ", text) == ["1001", "1002", "1003"]
    assert len(re.findall(r"\n *(1\d{3}) ", series_text(many, html=None, show_all=True))) == 100
