"""The pre-commit hook of the how-to page, as git runs it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.attacks.seal.study import git
from tests.run.drift.planted import edit

PAGE = Path(__file__).resolve().parents[3] / "docs" / "how-to" / "check-a-repository.md"


@pytest.fixture
def hooked(clean: Path, tmp_path: Path) -> Path:
    """The clean repository with one commit and the hook, and a `tollens` for the hook to find."""
    git(clean, "init", "--quiet")
    git(clean, "add", "-A")
    git(clean, "commit", "--quiet", "-m", "all")
    (hook,) = [text for text in re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.M | re.S) if "#!/bin/sh" in text]
    place = clean / ".git" / "hooks" / "pre-commit"
    place.parent.mkdir(exist_ok=True)
    place.write_text(hook)
    place.chmod(0o755)
    command = tmp_path / "bin" / "tollens"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tollens.cli.main "$@"\n')
    command.chmod(0o755)
    return clean


def commit(root: Path, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    git(root, "add", "-A")
    who = ["-c", "user.name=owner", "-c", "user.email=owner@example.org"]
    return subprocess.run(
        ["git", *who, "commit", "-m", "change"], cwd=root, capture_output=True, text=True, check=False, timeout=60,
        env={**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"},
    )  # fmt: skip


def test_a_commit_with_a_defect_is_refused_and_its_repair_is_not(hooked: Path, tmp_path: Path) -> None:
    before = git(hooked, "rev-parse", "HEAD")
    edit(hooked / "studies" / "included" / "scale.py", "100", "99")
    refused = commit(hooked, tmp_path)
    assert refused.returncode != 0
    assert "studies/included/scale.py:1 D01" in refused.stdout + refused.stderr
    assert git(hooked, "rev-parse", "HEAD") == before
    edit(hooked / "studies" / "included" / "scale.py", "99", "100")
    (hooked / "notes.md").write_text("nothing tagged\n")
    assert commit(hooked, tmp_path).returncode == 0
    assert git(hooked, "rev-parse", "HEAD") != before


def test_a_paper_with_a_number_that_nobody_measured_is_refused(hooked: Path, tmp_path: Path) -> None:
    (hooked / "papers" / "new.md").write_text("It costs -9.9<!--t:cited.accuracy_diff unit=pp-->.\n")
    refused = commit(hooked, tmp_path)
    assert refused.returncode != 0
    assert "papers/new.md:1 D08" in refused.stdout + refused.stderr
