"""A death at the command line: the file that is opened, what is recorded of it, and the screens."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import msgspec
import pytest

from tollens.cli.main import run
from tollens.run.obstacles import ObstacleReport
from tollens.run.postmortem import PostmortemReport
from tollens.run.status import StatusReport


@pytest.fixture(scope="module")
def dead(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example, with a factor that arithmetic refutes, killed."""
    folder = tmp_path_factory.mktemp("studies") / "claim"
    assert run(["new", str(folder)]) == 0
    edit(folder / "claim.toml", "seeds = [1, 2, 3]", "seeds = [1]")
    edit(folder / "claim.toml", "axes = { seed = 3 }", "axes = { seed = 1 }")
    edit(folder / "numbers.toml", 'ratio = { value = "3.8"', 'ratio = { value = "8"')
    assert run(["lock", str(folder)]) == 0
    assert run(["climb", str(folder)]) == 10
    return folder


@pytest.fixture
def study(dead: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    shutil.copytree(dead, tmp_path / "claim")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return "claim"


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def fill(study: str, obstacle: str, lesson: str) -> None:
    path = Path(study, "postmortem.toml")
    edit(path, 'obstacle = ""', f"obstacle = {json.dumps(obstacle)}")
    edit(path, 'lesson = ""', f"lesson = {json.dumps(lesson)}")


def test_the_life_of_a_postmortem(study: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["status", study]) == 10
    shown = capfd.readouterr().out
    assert "postmortem" in shown
    assert "incomplete: set obstacle in postmortem.toml" in shown
    assert "kill: violations > 0" in shown
    assert f"edit {study}/postmortem.toml, then tollens record postmortem {study}" in " ".join(shown.split())
    assert run(["record", "postmortem", study]) == 2
    assert "postmortem_incomplete: postmortem.toml obstacle" in capfd.readouterr().err
    fill(study, "BUDGET", "Count the bytes first.")
    assert run(["record", "postmortem", study]) == 0
    shown = capfd.readouterr().out
    assert shown.startswith("RECORDED  claim  seal ")
    assert shown.endswith(f"next  tollens status {study}\n")
    assert run(["record", "postmortem", study, "--quiet"]) == 0
    assert capfd.readouterr().out == "ALREADY RECORDED  claim  BUDGET\n"
    assert run(["status", study]) == 10
    shown = " ".join(capfd.readouterr().out.split())
    assert "postmortem BUDGET (arithmetic): The bytes or the quality do not fit, by counting alone." in shown
    assert "lesson Count the bytes first." in shown


def test_the_objects_have_the_form_of_their_contracts(study: str, capfd: pytest.CaptureFixture[str]) -> None:
    fill(study, "DEPTH", "x")
    capfd.readouterr()
    assert run(["record", "postmortem", study, "--json"]) == 0
    report = msgspec.json.decode(capfd.readouterr().out, type=PostmortemReport)
    assert (report.schema, report.kind) == ("tollens.record.postmortem/1", "model-based")
    assert run(["record", "obstacles", ".", "--json"]) == 0
    counts = msgspec.json.decode(capfd.readouterr().out, type=ObstacleReport)
    assert (counts.schema, counts.classes[0].count) == ("tollens.record.obstacles/1", 1)
    assert run(["status", study, "--json"]) == 10
    found = msgspec.json.decode(capfd.readouterr().out, type=StatusReport)
    assert found.postmortem is not None
    assert found.postmortem.obstacle == "DEPTH"


@pytest.mark.parametrize("width", [80, 120])
def test_the_screens_keep_to_the_terminal_and_escape_what_it_would_obey(
    study: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    lesson = "\x1b[2J\x07 a lesson of many words " + "that goes on and on " * 12 + "\u202e"
    fill(study, "DEPTH", lesson)
    edit(Path(study, "postmortem.toml"), 'constraint = ""', 'constraint = "LATER"')
    shutil.copytree(study, "open")
    assert run(["record", "postmortem", study]) == 0
    shutil.copytree(study, "evil\x1b[2J")
    Path("broken").mkdir()
    Path("broken", "ledger.jsonl").write_text("{}\n")
    for arguments, code in (
        (["record", "postmortem", study], 0),
        (["status", study], 10),
        (["record", "obstacles", "."], 2),
        (["record", "obstacles", ".", "--quiet"], 2),
    ):
        capfd.readouterr()
        assert run(arguments) == code
        lines = capfd.readouterr().out.split("\n")
        assert all(line.isprintable() for line in lines)
        if "--quiet" not in arguments:
            pasted = {line for line in lines if line.startswith("  mechanism = ")}  # a table to paste is not wrapped
            assert [line for line in lines if len(line) > width and line not in pasted] == []
    assert lines[0] == "3 killed claims in 4 studies, 1 obstacle, 1 without a post-mortem, 1 ledger not read"


def test_a_depth_is_always_shown_as_model_based(study: str, capfd: pytest.CaptureFixture[str]) -> None:
    fill(study, "DEPTH", "x")
    for arguments in (["record", "postmortem", study], ["status", study], ["record", "obstacles", "."]):
        capfd.readouterr()
        run(arguments)
        assert "DEPTH (model-based)" in capfd.readouterr().out
    assert "**DEPTH** (model-based)" in Path(study, "postmortem.md").read_text()


def test_a_resemblance_is_shown_before_anything_is_spent(study: str, capfd: pytest.CaptureFixture[str]) -> None:
    fill(study, "BUDGET", "Count the bytes first.")
    assert run(["record", "postmortem", study]) == 0
    assert run(["new", "next"]) == 0
    capfd.readouterr()
    assert run(["status", "next"]) == 21
    shown = " ".join(capfd.readouterr().out.split())
    assert "resembles BUDGET, which killed 1 claim here: claim (claim) shares 1.00 of the features" in shown
    assert "A resemblance, not evidence." in shown


def test_a_folder_that_is_not_there(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["record", "obstacles", "nowhere"]) == 2
    assert "path_missing" in capfd.readouterr().err
