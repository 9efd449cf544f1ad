"""Content decides: what git and the clock do to a repository is no defect."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from tests.attacks.seal.study import git
from tests.run.drift.planted import Twins, edit

from tollens.core.errors import TollensError
from tollens.run.drift.check import drift


def committed(root: Path) -> str:
    git(root, "init", "--quiet")
    git(root, "add", "-A")
    git(root, "commit", "--quiet", "-m", "all")
    return git(root, "rev-parse", "HEAD")


def test_touched_files_are_clean(clean: Path) -> None:
    for path in clean.rglob("*"):
        os.utime(path, (0, 0))
    assert drift(clean).findings == []


def test_a_checkout_with_other_line_ends_is_clean(clean: Path, tmp_path: Path) -> None:
    for name in ("gate", "open", "cited"):
        (clean / "studies" / name / ".gitattributes").unlink()  # or git would leave these alone
    committed(clean)
    clone = tmp_path / "clone"
    subprocess.run(
        ["git", "clone", "--quiet", "-c", "core.autocrlf=true", str(clean), str(clone)], check=True, timeout=60
    )
    assert b"\r\n" in (clone / "papers" / "loss.csv").read_bytes()
    assert b"\r\n" in (clone / "studies" / "gate" / "ledger.jsonl").read_bytes()
    report = drift(clone)
    assert (report.findings, report.unread, report.exit_code) == ([], [], 0)
    edit(clone / "studies" / "included" / "scale.py", "100", "99")
    assert [(f.path, f.code) for f in drift(clone).findings] == [("studies/included/scale.py", "D01")]


def test_a_clone_has_the_same_defects(planted: Path, tmp_path: Path, twins: Twins) -> None:
    committed(planted)
    clone = tmp_path / "clone"
    subprocess.run(
        ["git", "clone", "--quiet", "-c", "core.autocrlf=true", str(planted), str(clone)], check=True, timeout=60
    )
    assert [(f.path, f.line, f.code) for f in drift(clone).findings] == [*twins.expected]


def test_since_limits_what_is_shown_and_never_what_is_checked(planted: Path, twins: Twins) -> None:
    first = committed(planted)
    report = drift(planted, since=first)
    assert (report.findings, report.not_shown, report.exit_code) == ([], len(twins.expected), 0)
    (planted / "papers" / "new.md").write_text("2<!--t:cited.cells unit=count-->\n")
    edit(planted / "studies" / "gate" / "items.csv", "1,1", "1,0")
    report = drift(planted, since="HEAD")
    assert [(f.path, f.code) for f in report.findings] == [("papers/new.md", "D09"), ("studies/gate/items.csv", "D01")]
    assert (report.not_shown, report.exit_code) == (len(twins.expected), 1)
    inner = drift(planted / "papers", since="HEAD")
    assert inner.since == "HEAD"


def test_since_sees_a_file_that_was_taken_away(clean: Path) -> None:
    committed(clean)
    (clean / "studies" / "gate" / "metric.py").unlink()
    assert [f.code for f in drift(clean, since="HEAD").findings] == ["D01"]


@pytest.mark.parametrize("revision", ["nothing", "--output=x", "HEAD~99", "", "a\0b", "HEAD:papers"])
def test_a_revision_that_git_does_not_know(clean: Path, revision: str) -> None:
    committed(clean)
    with pytest.raises(TollensError) as caught:
        drift(clean, since=revision)
    assert caught.value.code == "drift_revision"
    assert not (clean / "x").exists()


def test_without_git(clean: Path) -> None:
    with pytest.raises(TollensError) as caught:
        drift(clean, since="HEAD")
    assert caught.value.code == "drift_revision"


def test_since_shows_what_lies_in_a_submodule_that_changed(clean: Path, tmp_path: Path) -> None:
    committed(clean)
    over = tmp_path / "over"
    over.mkdir()
    git(over, "init", "--quiet")
    git(over, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(clean), "lab")
    git(over, "commit", "--quiet", "-m", "all")
    assert drift(over, since="HEAD").exit_code == 0
    edit(over / "lab" / "studies" / "gate" / "items.csv", "1,1", "1,0")
    report = drift(over, since="HEAD")
    assert [(f.path, f.code) for f in report.findings] == [("lab/studies/gate/items.csv", "D01")]
    git(over / "lab", "checkout", "--quiet", ".")
    (over / "lab" / "papers" / "new.md").write_text("2<!--t:cited.cells unit=count-->\n")
    assert [(f.path, f.code) for f in drift(over, since="HEAD").findings] == [("lab/papers/new.md", "D09")]


def test_since_shows_what_lies_in_a_repository_that_git_does_not_know(clean: Path, tmp_path: Path) -> None:
    over = tmp_path / "over"
    over.mkdir()
    (over / "a.md").write_text("a\n")
    committed(over)
    clean.rename(over / "lab")
    committed(over / "lab")
    edit(over / "lab" / "studies" / "gate" / "items.csv", "1,1", "1,0")
    assert [f.path for f in drift(over, since="HEAD").findings] == ["lab/studies/gate/items.csv"]
