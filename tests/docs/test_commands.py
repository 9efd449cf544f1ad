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
from tollens.protocol.rung import RUNGS
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


def sessions() -> list[tuple[str, list[tuple[str, str]]]]:
    """(page:line, commands with their output) of every block: they are run one after the other in one folder."""
    found = []
    for where, text in blocks("console"):
        parts = (part.partition("\n") for part in re.split(r"^\$ ", text, flags=re.M)[1:])
        found.append((where, [(command, output) for command, _, output in parts]))
    return found


def differs(expected: str, got: str) -> bool:
    return not doctest.OutputChecker().check_output(expected.strip() + "\n", got.strip() + "\n", LENIENT)


@pytest.mark.parametrize(("where", "session"), sessions(), ids=[s[0] for s in sessions()])
def test_commands_print_what_the_page_says(where: str, session: list[tuple[str, str]], tmp_path: Path) -> None:
    for name in ("src", "docs"):
        (tmp_path / name).symlink_to(ROOT / name)
    for command, expected in session:
        words = shlex.split(command, comments=True)
        assert words[0] == "tollens"
        done = subprocess.run(
            [sys.executable, "-m", "tollens.cli.main", *words[1:]],
            cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
            env={**os.environ, "COLUMNS": "80", "NO_COLOR": "1"},
        )  # fmt: skip
        assert done.returncode != 70, done.stderr
        assert not differs(expected, done.stdout), f"{where}\n--- the page\n{expected}\n--- got\n{done.stdout}"


@pytest.mark.parametrize(("where", "code"), blocks("python"), ids=[b[0] for b in blocks("python")])
def test_python_runs(where: str, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    try:
        exec(compile(code, where, "exec"), {"__name__": "docs"})
    finally:  # what a page registers is gone after it
        for registry in (INSTRUMENTS, INVARIANTS, STATISTICS):
            for name in [name for name, made in registry.items() if made.function.__module__ == "docs"]:
                del registry[name]
        for name in [name for name, kind in RUNGS.items() if kind.open.__module__ == "docs"]:
            del RUNGS[name]


def test_there_is_something_to_run_and_a_difference_is_seen() -> None:
    assert sum(len(session) for _, session in sessions()) >= 4
    assert blocks("python")
    assert differs("KILLED ...", "SURVIVED  4 layers judged")


def test_every_link_between_pages_leads_somewhere() -> None:
    broken = []
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            if not (page.parent / target).exists():
                broken.append(f"{page.name}: {target}")
    assert broken == []
