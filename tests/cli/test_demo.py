"""`tollens demo`: offline, in seconds, ending in the scoreboard."""

from __future__ import annotations

import json
import resource
from pathlib import Path

import pytest

from tollens.cli import demo as verb

VERDICTS = [*["KILLED"] * 5, "SURVIVED", "KILLED", "KILLED", "SURVIVED"]


def spent() -> float:
    """Processor seconds of the children so far: the wall clock also counts what others do on the machine."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_with_a_seed_as_json_it_passes_in_seconds(tollens, tmp_path: Path) -> None:
    begin = spent()
    run = tollens("demo", "--json", "--seed", "1", cwd=tmp_path)
    took = spent() - begin
    assert (run.returncode, run.stderr) == (0, "")
    shown = json.loads(run.stdout)
    assert shown["schema"] == "tollens.demo/1"
    assert shown["seed"] == 1
    assert all(step["passed"] for step in shown["steps"])
    assert [score["verdict"] for score in shown["scoreboard"]] == VERDICTS
    assert took < 20, f"{took:.1f} s"
    assert list(tmp_path.iterdir()) == []  # JSON alone writes no report


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory):
    from tollens.standard.demonstration import demonstrate

    return demonstrate(None, tmp_path_factory.mktemp("demo"))


@pytest.fixture
def known(shown, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tollens.standard.demonstration.demonstrate", lambda seed, folder, progress: shown)
    return shown


def test_on_the_screen_it_ends_in_the_scoreboard(inside, known, tmp_path: Path) -> None:
    report = tmp_path / "demo.html"
    run = inside("demo", "--html", report, env={"COLUMNS": "80"})
    assert run.returncode == 0
    assert max(len(line) for line in run.stdout.splitlines() if str(tmp_path) not in line) <= 80
    board = run.stdout[run.stdout.index("Scoreboard") :]
    assert [line[:8].strip() for line in board.splitlines() if line[:4] in ("KILL", "SURV")] == VERDICTS
    for word in ("rung: arithmetic", "witness: ", "price: ", "not spent because it died here"):
        assert word in board
    assert report.read_text().startswith("<!doctype html>")


def test_quiet_is_a_verdict_a_line(inside, known) -> None:
    assert [line.split()[0] for line in inside("demo", "--quiet").stdout.splitlines()] == VERDICTS


@pytest.mark.parametrize("columns", ["80", "120"])
def test_every_climb_shows_its_rungs_and_what_was_not_spent(inside, known, monkeypatch, columns: str) -> None:
    monkeypatch.setattr(verb, "missing_extra", lambda: "altair")  # no page is drawn
    run = inside("demo", env={"COLUMNS": columns})
    steps = run.stdout[: run.stdout.index("Scoreboard")]
    rows = [line.split() for line in steps.splitlines() if line.endswith(" USD")]
    assert [row[:3] for row in rows if row[0] != "all"] == [
        ["numbers", "arithmetic", "KILLED"], ["accuracy", "cpu", "not"],
        ["numbers", "arithmetic", "PASSED"], ["largest", "weights", "KILLED"], ["layers", "weights", "not"],
        ["numbers", "arithmetic", "PASSED"], ["accuracy", "cpu", "SURVIVED"],
    ]  # fmt: skip
    assert [row[1:4] for row in rows if row[0] == "all"] == [
        ["2", "of", "69"], ["5", "of", "74"], ["68", "of", "69"],
    ]  # fmt: skip
    assert "not spent   0 of 66  est. 1.32 s  0.00 USD" in steps
    assert all(len(line) <= int(columns) for line in steps.splitlines())
    assert not [line for line in steps.splitlines() if line.startswith("ok") and not line.endswith(" s")]


def test_a_climb_that_was_refused_is_shown_as_such(inside, known, monkeypatch) -> None:
    import msgspec

    monkeypatch.setattr(verb, "missing_extra", lambda: "altair")
    refused = msgspec.structs.replace(known.climbs["true"], decision=None, refused="not_sealed: no seal.json")
    worse = msgspec.structs.replace(known, climbs={**known.climbs, "true": refused})
    monkeypatch.setattr("tollens.standard.demonstration.demonstrate", lambda seed, folder, progress: worse)
    run = inside("demo", env={"COLUMNS": "80"})
    assert "accuracy  cpu         not spent   0 of 66" in run.stdout


def test_without_the_report_extra_it_says_how_to_get_it(inside, known, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(verb, "missing_extra", lambda: "altair")
    run = inside("demo", "--html", tmp_path / "r.html")
    assert run.returncode == 0
    assert "pip install 'tollens[report]'" in run.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_report_that_cannot_be_written_does_not_hide_the_result(inside, known, tmp_path: Path) -> None:
    run = inside("demo", "--html", tmp_path)
    assert run.returncode == 0
    assert "Scoreboard" in run.stdout
    assert f"report  not written to {tmp_path}" in run.stdout


def test_a_step_that_fails_is_void(inside, known, monkeypatch) -> None:
    import msgspec

    failed = msgspec.structs.replace(known.steps[0], passed=False)
    worse = msgspec.structs.replace(known, steps=[failed, *known.steps[1:]])
    monkeypatch.setattr("tollens.standard.demonstration.demonstrate", lambda seed, folder, progress: worse)
    run = inside("demo", "--quiet")
    assert run.returncode == 12
    assert inside("demo", "--seed", "-1").returncode == 2
