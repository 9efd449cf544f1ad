"""The environment of a measured process."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

process = pytest.importorskip("benchmarks.process", reason="the benchmarks are not part of the installed package")


def test_a_measured_process_may_cache_bytecode_and_has_its_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    code = f"import os, sys; print(sys.dont_write_bytecode, *(os.environ[name] for name in {process.THREAD_VARIABLES}))"
    run = process.measure([sys.executable, "-c", code], threads=3, output=tmp_path / "seen")
    assert run.status == 0
    assert (tmp_path / "seen").read_text().split() == ["False", "3", "3", "3"]
    assert os.environ["PYTHONDONTWRITEBYTECODE"] == "1"


def test_what_a_process_leaves_behind_counts_as_its_own() -> None:
    """A worker that outlives its parent, itself with a child it waited for: 0.4 s of CPU, none of the parent's."""
    spin = "t = time.process_time()\nwhile time.process_time() < t + 0.2: pass"
    code = (
        "import os, time\nif os.fork() == 0:\n if os.fork() == 0:\n  exec(spin)\n  os._exit(0)\n os.wait()\n"
        " exec(spin)\n os._exit(0)"
    )
    run = process.measure([sys.executable, "-c", f"spin = {spin!r}\n{code}"], threads=1)
    assert run.cpu > 0.39
    assert run.cpu > run.wall  # they went on after it
