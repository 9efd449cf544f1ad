"""The constraints of a laboratory at the command line: what is printed, and the codes it leaves with."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tollens.cli.main import run

SMALL = {"seeds = [1, 2, 3]": "seeds = [1]", "axes = { seed = 3 }": "axes = { seed = 1 }"}
LABORATORY = """
[[constraint]]
id = "kv-needle"
trigger = "touches in {kv} and not metrics in {needle_retention}"
mechanism = "mean perplexity dilutes a single-position loss by 1/L"
citation = "somebody"
require = ["reading:needle_retention >= 0.95"]
kind = "theorem"
"""
SOON = (datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days=20)).isoformat()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("laboratory")
    assert run(["new", str(root / "claim")]) == 0
    text = (root / "claim" / "claim.toml").read_text()
    for old, new in SMALL.items():
        assert old in text
        text = text.replace(old, new)
    (root / "claim" / "claim.toml").write_text(text)
    (root / "tollens.toml").write_text(LABORATORY)
    return root


@pytest.fixture
def lab(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A draft named claim in the working directory, under a tollens.toml."""
    shutil.copytree(made, tmp_path / "lab")
    monkeypatch.chdir(tmp_path / "lab")
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path / "lab"


def propose(lab: Path, table: str) -> None:
    path = lab / "claim" / "claim.toml"
    path.write_text(path.read_text().split("\n[proposal]")[0] + f"\n[proposal]\n{table}\n")


def test_a_triggered_constraint_refuses_the_seal_and_says_everything(
    lab: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    propose(lab, 'touches = ["kv"]\nmetrics = ["perplexity"]')
    assert run(["lock", "claim"]) == 3
    told = capfd.readouterr().err
    for part in ("constraint_unmet", "kv-needle (theorem)", "touches is [kv]", "metrics is [perplexity]", "by 1/L",
                 "somebody", "reading:needle_retention >= 0.95", "[[evidence]]",
                 "tollens record waive claim kv-needle"):  # fmt: skip
        assert part in told
    assert not (lab / "claim" / "seal.json").exists()


@pytest.mark.parametrize(
    ("table", "code", "says"),
    [
        ("", 3, "touches is not declared"),
        ('touchs = ["weights"]\nmetrics = []', 3, "where 'touchs' is declared"),
        ('touches = ["kvv"]', 3, "Did you mean kv?"),
        ('touches = "weight"', 3, "Did you mean weights?"),
        ("touches = 3", 3, "expected  words"),
        ('base = ["frozen"]', 3, "expected  one word"),
        ('batch = "8"', 3, "expected  a number"),
        ("touches = []", 0, ""),
        ('touches = ["kv"]\nmetrics = ["Needle-Retention"]', 0, ""),
    ],
)
def test_what_is_declared_decides(
    lab: Path, capfd: pytest.CaptureFixture[str], table: str, code: int, says: str
) -> None:
    propose(lab, table)
    assert run(["lock", "claim"]) == code
    shown = capfd.readouterr()
    assert says in (shown.err if code else shown.out)
    if code == 0:
        assert "clear not triggered: " in " ".join(shown.out.split())


def test_a_draft_shows_what_binds_it_and_a_dry_run_does_too(lab: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["status", "claim"]) == 21
    assert "constraint kv-needle (theorem) is triggered" in capfd.readouterr().out
    assert run(["climb", "claim", "--dry-run"]) == 13
    shown = capfd.readouterr().out
    assert shown.startswith("BLOCKED  claim\n")
    assert shown.rstrip().endswith("tollens lock claim")
    propose(lab, "touches = []")
    assert run(["climb", "claim", "--dry-run"]) == 0


def test_a_waiver_is_kept_and_shown_everywhere_until_the_text_changes(
    lab: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    waive = ["record", "waive", "claim", "kv-needle", "--reason", "a toy network", "--until", SOON]
    assert run([*waive, "--json"]) == 0
    report = json.loads(capfd.readouterr().out)
    assert (report["schema"], report["until"], report["seal"]) == ("tollens.record.waive/1", SOON, None)
    assert run(["lock", "claim"]) == 0
    sentence = f"constraint kv-needle (theorem) waived until {SOON}: a toy network"
    assert sentence in " ".join(capfd.readouterr().out.split())
    assert run(["status", "claim"]) == 0
    assert sentence in " ".join(capfd.readouterr().out.split())

    (lab / "tollens.toml").write_text(LABORATORY.replace("dilutes", "hides"))
    before = (lab / "claim" / "ledger.jsonl").read_bytes()
    for command in (["climb", "claim"], ["climb", "claim", "--dry-run"], ["status", "claim"]):
        assert run(command) == 13
        shown = capfd.readouterr().out
        assert shown.startswith("BLOCKED  claim")
        assert "mean perplexity hides a single-position loss" in " ".join(shown.split())
        assert shown.rstrip().endswith('tollens amend claim --reason "..." --access "nothing run"')
        assert max(map(len, shown.splitlines())) <= 80
    assert run(["climb", "claim", "--quiet"]) == 13
    assert len(capfd.readouterr().out.splitlines()) == 1
    assert run(["climb", "claim", "--json"]) == 13
    decision = json.loads(capfd.readouterr().out)
    assert (decision["verdict"], decision["reason"], decision["rungs"]) == ("BLOCKED", "constraint_unmet", [])
    assert (lab / "claim" / "ledger.jsonl").read_bytes() == before
    assert not (lab / "claim" / "decision.json").exists()

    assert run(waive) == 0
    assert run(["climb", "claim"]) == 0
    assert sentence in " ".join(capfd.readouterr().out.split())
    (lab / "tollens.toml").write_text(LABORATORY.replace("dilutes", "swallows"))
    assert run(["status", "claim"]) == 0  # a decided study keeps its verdict
    assert sentence in " ".join(capfd.readouterr().out.split())


def day(ahead: int) -> str:
    return (datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days=ahead)).isoformat()


@pytest.mark.parametrize(
    ("constraint", "reason", "until", "says"),
    [
        ("kv-nedle", "a toy", SOON, "Did you mean kv-needle?"),
        ("\x1b[31mx", "a toy", SOON, "constraint_unknown"),
        ("kv-needle", " ", SOON, "says why the risk is taken"),
        ("kv-needle", "TODO", SOON, "says why the risk is taken"),
        ("kv-needle", "<reason>", SOON, "says why the risk is taken"),
        ("kv-needle", "a toy", day(-1), "past"),
        ("kv-needle", "a toy", day(367), "367 days away"),
        ("kv-needle", "a toy", "soon", "YYYY-MM-DD"),
    ],
)
def test_no_waiver(
    lab: Path, capfd: pytest.CaptureFixture[str], constraint: str, reason: str, until: str, says: str
) -> None:
    assert run(["record", "waive", "claim", constraint, "--reason", reason, "--until", until]) == 3
    told = capfd.readouterr().err
    assert says in told
    assert "\x1b" not in told
    assert not (lab / "claim" / "ledger.jsonl").exists()


def test_what_does_not_bind_is_not_waived(lab: Path, capfd: pytest.CaptureFixture[str]) -> None:
    propose(lab, "touches = []")
    assert run(["record", "waive", "claim", "kv-needle", "--reason", "a toy", "--until", SOON]) == 3
    assert "is not triggered" in capfd.readouterr().err
    (lab / "tollens.toml").unlink()
    assert run(["record", "waive", "claim", "kv-needle", "--reason", "a toy", "--until", SOON]) == 3
    assert "No tollens.toml above the study has a [[constraint]]" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ('constraint = "kv-nedle"\nstudy = "../x"', "Did you mean kv-needle?"),
        ('constraint = "kv-needle"', "found     neither"),
        ('constraint = "kv-needle"\nstudy = "../x"\nimported = "00"', "found     both"),
    ],
)
def test_evidence_of_nothing(lab: Path, capfd: pytest.CaptureFixture[str], rows: str, says: str) -> None:
    propose(lab, f"touches = []\n\n[[evidence]]\n{rows}")
    assert run(["lock", "claim"]) == 3
    assert says in capfd.readouterr().err


def test_a_constraint_that_cannot_bind_stops_every_verb(lab: Path, capfd: pytest.CaptureFixture[str]) -> None:
    propose(lab, "touches = []")
    assert run(["lock", "claim"]) == 0
    for old, new, says in (
        ("touches in {kv}", "touches in {kvv}", "Did you mean kv?"),
        ("reading:needle_retention >= 0.95", "numbers:ceiling.byte", "Did you mean ceiling.bytes?"),
    ):
        (lab / "tollens.toml").write_text(LABORATORY.replace(old, new))
        for command in (["climb", "claim"], ["climb", "claim", "--dry-run"], ["status", "claim"]):
            assert run(command) == 2
            told = capfd.readouterr().err
            assert "constraint_malformed" in told
            assert "tollens.toml: constraint 'kv-needle'" in told
            assert says in told


def test_a_trigger_that_does_not_read_is_shown_with_a_mark_under_the_place(
    lab: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (lab / "tollens.toml").write_text(
        LABORATORY.replace("touches in {kv} and not", "touches in [kv] \\u001b[2J and not")
    )
    assert run(["status", "claim"]) == 2
    lines = capfd.readouterr().err.splitlines()
    (place,) = [place for place, line in enumerate(lines) if "touches in [kv]" in line]
    assert lines[place + 1].index("^") == lines[place].index("[kv]")
    assert "\x1b" not in "".join(lines)


@pytest.mark.parametrize("width", [80, 120])
def test_a_refusal_fits_the_terminal_and_a_file_gets_whole_lines(lab: Path, width: int) -> None:
    propose(lab, 'touches = ["kv"]\nmetrics = ["perplexity"]')
    command = [sys.executable, "-m", "tollens.cli.main", "lock", "claim"]
    environment = {**os.environ, "COLUMNS": str(width)}
    whole = subprocess.run(command, capture_output=True, text=True, env=environment, check=False).stderr
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as screen:
        try:
            assert subprocess.run(command, stderr=theirs, env=environment, check=False).returncode == 3
        finally:
            os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # EIO: everything was read and nobody holds the other end
            while part := screen.read(1 << 16):
                shown += part
    lines = shown.decode().replace("\r\n", "\n").splitlines()
    assert [line.split()[0] for line in whole.splitlines()] == ["constraint_unmet:", "expected", "found", "do", "more"]
    assert max(map(len, lines)) <= width
    assert " ".join(" ".join(lines).split()) == " ".join(whole.split())
    starts = ("constraint_unmet: ", "  expected  ", "  found     ", "  do        ", "  more      ", " " * 12)
    assert all(line.startswith(starts) for line in lines)
