"""The verbs of a claim's life at the command line: what they print, and the codes they leave with."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tollens.cli.main import run

SMALL = {"seeds = [1, 2, 3]": "seeds = [1]", "axes = { seed = 3 }": "axes = { seed = 1 }"}


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("studies") / "claim"
    assert run(["new", str(folder)]) == 0
    edit(folder, SMALL)
    assert run(["lock", str(folder)]) == 0
    return folder


@pytest.fixture
def study(sealed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A sealed study in the working directory, by its name."""
    shutil.copytree(sealed, tmp_path / "claim")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return "claim"


def edit(folder: Path, changes: dict[str, str], name: str = "claim.toml") -> None:
    text = (folder / name).read_text()
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    (folder / name).write_text(text)


def test_from_new_to_a_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["new", "My Claim"]) == 0
    assert 'id = "my-claim"' in (tmp_path / "My Claim" / "claim.toml").read_text()
    edit(tmp_path / "My Claim", SMALL)
    assert run(["status", "My Claim"]) == 21
    assert run(["climb", "My Claim"]) == 21
    assert run(["lock", "My Claim"]) == 0
    assert run(["status", "My Claim"]) == 0
    capfd.readouterr()
    assert run(["climb", "My Claim"]) == 0
    shown = capfd.readouterr().out
    assert shown.startswith("SURVIVED  my-claim  unanchored\n")
    assert "never proved" in shown
    assert run(["climb", "My Claim"]) == 2
    assert "already_decided" in capfd.readouterr().err
    assert run(["status", "My Claim", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["decision"]["verdict"] == "SURVIVED"


def test_a_false_claim_dies_and_what_it_did_not_cost_is_said(study: str, capfd: pytest.CaptureFixture[str]) -> None:
    edit(Path(study), {'ratio = { value = "3.8"': 'ratio = { value = "8"'}, "numbers.toml")
    assert run(["amend", study, "--reason", "a bolder claim", "--access", "nothing run"]) == 0
    assert run(["climb", study]) == 10
    shown = capfd.readouterr().out
    assert "KILLED  claim  unanchored" in shown
    assert "not spent because it died here" in shown
    assert "accuracy: 22 requests" in shown


def test_an_edit_is_named_and_an_amendment_is_not(study: str, capfd: pytest.CaptureFixture[str]) -> None:
    edit(Path(study), {'value = "-0.5"': 'value = "-0.25"', ">= -0.5 pp": ">= -0.25 pp"})
    for verb in ("climb", "status"):
        assert run([verb, study]) == 20
        told = capfd.readouterr().err
        assert "TAMPERED claim claim.toml expected" in told
        assert "claim.value sealed '-0.5' found '-0.25'" in told
    assert run(["amend", study, "--reason", "stricter", "--access", "nothing run"]) == 0
    assert run(["climb", study, "--quiet"]) == 0


def test_after_results_an_amendment_says_so_for_ever(study: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["climb", study]) == 0
    edit(Path(study), {'value = "-0.5"': 'value = "-0.25"', ">= -0.5 pp": ">= -0.25 pp"})
    assert run(["amend", study, "--reason", "stricter", "--access", "nothing run"]) == 3
    assert "declared nothing run; ledger shows results seen" in capfd.readouterr().err
    assert run(["amend", study, "--reason", "stricter", "--access", "results seen"]) == 0
    assert run(["climb", study]) == 0
    assert "EXPLORATORY (amended after results)" in capfd.readouterr().out
    assert json.loads((Path(study) / "decision.json").read_text())["exploratory"] is True


def test_sealing_twice_is_refused(study: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["lock", study]) == 3
    assert "already sealed; use amend" in capfd.readouterr().err


def test_an_anchor_that_is_required_and_not_there(study: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["climb", study, "--require-anchor"]) == 23
    assert "unanchored" in capfd.readouterr().err
    assert not any(r["type"] == "run.started" for r in ledger(study))


def ledger(study: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in (Path(study) / "ledger.jsonl").read_text().splitlines()]


def test_a_dry_run_prices_every_rung_and_runs_nothing(study: str, capfd: pytest.CaptureFixture[str]) -> None:
    before = (Path(study) / "ledger.jsonl").read_bytes()
    assert run(["climb", study, "--dry-run", "--json"]) == 0
    plan = json.loads(capfd.readouterr().out)
    assert [rung["id"] for rung in plan["rungs"]] == ["numbers", "accuracy"]
    assert plan["requests"] == 3 + 22  # three controls and claims; 1 subject, 2 traps and 19 draws on one cell
    assert plan["seconds"] == pytest.approx(3 * 0.05 + 22 * 0.02)
    assert (Path(study) / "ledger.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("make", "code", "said"),
    [
        (lambda p: None, 2, "study_not_found"),
        (lambda p: p.write_text("not a folder"), 2, "study_not_found"),
        (lambda p: p.mkdir(), 2, "study_not_found"),
        (lambda p: (p.mkdir(), (p / "claim.toml").write_text("")), 3, "study_missing"),
        (lambda p: (p.mkdir(), (p / "claim.toml").write_bytes(b"\xff\xfe\x00")), 3, "study_syntax"),
        (lambda p: (p.mkdir(), (p / "claim.toml").write_text("x = [" * 5000)), 3, "study_syntax"),
        (lambda p: (p.mkdir(), (p / "claim.toml").mkdir()), 2, "study_not_found"),
    ],
    ids=["nothing", "a file", "an empty folder", "an empty claim", "no text", "deep", "a folder in its place"],
)
@pytest.mark.parametrize("verb", ["lock", "climb", "status"])
def test_what_is_no_study_is_named(
    make: object, code: int, said: str, verb: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    make(tmp_path / "study")  # type: ignore[operator]
    if verb == "status" and said == "study_not_found" and (tmp_path / "study").is_dir():
        code, said = 21, "no_study"  # a folder may hold studies
    assert run([verb, str(tmp_path / "study")]) in ({code, 21} if verb == "climb" else {code})
    assert said in capfd.readouterr().err or verb == "climb"


def test_a_blank_study_cannot_be_sealed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["new", str(tmp_path / "blank"), "--blank"]) == 0
    assert run(["lock", str(tmp_path / "blank")]) == 3
    assert "study_placeholder: claim.text" in capfd.readouterr().err


def test_nothing_that_exists_is_written_over(study: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["new", study]) == 2
    assert "study_exists" in capfd.readouterr().err


@pytest.mark.parametrize("width", ["80", "120", "40"])
def test_no_line_is_wider_than_the_screen(
    study: str, width: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    for words in (["climb", study, "--dry-run"], ["climb", study], ["status", study]):
        run(words)
        wide = [line for line in capfd.readouterr().out.splitlines() if len(line) > int(width)]
        assert wide == []


def test_a_name_from_a_stranger_does_not_reach_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    run(["new", "a\x1b[2Jb"])
    run(["status", "a\x1b[2Jb"])
    run(["lock", "\x1b[2J"])
    shown = capfd.readouterr()
    assert "\x1b[2J" not in shown.out + shown.err
