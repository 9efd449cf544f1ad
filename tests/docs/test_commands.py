"""Every command in the README and the docs is run, and prints what the page says it prints.

In a ```console block a line "$ tollens ..." is a command and what follows is its output; "..." stands for anything
(times differ from run to run). A ```python block is executed.
"""

from __future__ import annotations

import doctest
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tollens.instrument.registry import INSTRUMENTS
from tollens.lint.registry import INVARIANTS
from tollens.stats.registry import STATISTICS

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(console|python)\n(.*?)^```$", re.M | re.S)
LENIENT = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def blocks(kind: str) -> list[tuple[str, str]]:
    """(page:line, text) of every fenced block of one kind."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in FENCE.finditer(text):
            if match[1] == kind:
                found.append((f"{page.relative_to(ROOT)}:{text[: match.start()].count(chr(10)) + 1}", match[2]))
    return found


def commands() -> list[tuple[str, str, str]]:
    found = []
    for where, text in blocks("console"):
        for part in re.split(r"^\$ ", text, flags=re.M)[1:]:
            command, _, output = part.partition("\n")
            found.append((where, command, output))
    return found


def differs(expected: str, got: str) -> bool:
    return not doctest.OutputChecker().check_output(expected.strip() + "\n", got.strip() + "\n", LENIENT)


@pytest.mark.parametrize(("where", "command", "expected"), commands(), ids=[c[0] for c in commands()])
def test_command_prints_what_the_page_says(where: str, command: str, expected: str, tmp_path: Path) -> None:
    words = shlex.split(command)
    assert words[0] == "tollens"
    for name in ("src", "docs"):
        (tmp_path / name).symlink_to(ROOT / name)
    done = subprocess.run(
        [sys.executable, "-m", "tollens.cli.main", *words[1:]],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60,
        env={**os.environ, "COLUMNS": "80", "NO_COLOR": "1"},
    )  # fmt: skip
    assert done.returncode != 70, done.stderr
    assert not differs(expected, done.stdout), f"{where}\n--- the page\n{expected}\n--- the command\n{done.stdout}"


@pytest.mark.parametrize(("where", "code"), blocks("python"), ids=[b[0] for b in blocks("python")])
def test_python_runs(where: str, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    try:
        exec(compile(code, where, "exec"), {"__name__": "docs"})
    finally:  # what a page registers is gone after it
        for registry in (INSTRUMENTS, INVARIANTS, STATISTICS):
            for name in [name for name, made in registry.items() if made.function.__module__ == "docs"]:
                del registry[name]


def test_there_is_something_to_run_and_a_difference_is_seen() -> None:
    assert len(commands()) >= 4
    assert blocks("python")
    assert differs("KILLED ...", "SURVIVED  4 layers judged")


def test_every_link_between_pages_leads_somewhere() -> None:
    broken = []
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            if not (page.parent / target).exists():
                broken.append(f"{page.name}: {target}")
    assert broken == []
