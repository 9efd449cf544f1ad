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
