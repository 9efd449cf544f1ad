"""`tollens explain`: every code, by name, as text and as JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tollens.core.codes import CODES


@pytest.mark.parametrize("code", sorted(CODES))
def test_every_code_is_explained(inside, code: str) -> None:
    run = inside("explain", code)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.startswith(f"{code}: {CODES[code].title}\n\n{CODES[code].meaning}\n\nWhat to do: ")
    plain = json.loads(inside("explain", code, "--json").stdout)
    assert plain == {
        "schema": "tollens.explain/1", "code": code, "title": CODES[code].title, "meaning": CODES[code].meaning,
        "remedy": CODES[code].remedy,
    }  # fmt: skip


def test_without_a_code_all_are_listed(inside) -> None:
    lines = inside("explain").stdout.splitlines()
    assert [line.split()[0] for line in lines] == sorted(CODES)


def test_an_unknown_code_names_its_neighbours(tollens) -> None:
    run = tollens("explain", "trapp\x1b[2J")
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith("unknown_code: ")
    assert "trap" in run.stderr.splitlines()[3]
    assert "\x1b" not in run.stderr


def test_a_reader_that_leaves(checkpoint) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    run = subprocess.run(
        [sys.executable, "-m", "tollens.cli.main", "explain"], stdout=writer, stderr=subprocess.PIPE, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    os.close(writer)
    assert (run.returncode, run.stderr) == (0, "")
