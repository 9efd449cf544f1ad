"""The installed command, run as a person runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from tollens.cli.main import run

Tollens = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def tollens() -> Tollens:
    """Runs `tollens` with the given arguments in a child process; `env` adds to its environment."""

    def run(
        *arguments: str | Path, env: dict[str, str] | None = None, code: str | None = None, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        start: Sequence[str] = ["-m", "tollens.cli.main"] if code is None else ["-c", code]
        one_thread = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        return subprocess.run(
            [sys.executable, *start, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False,
            env={**os.environ, **one_thread, **(env or {})}, cwd=cwd,
        )  # fmt: skip

    return run


@pytest.fixture
def inside(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Tollens:
    """As `tollens`, in this process: a tenth of the time, for what does not need a process of its own."""

    def run_inside(*arguments: str | Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        with monkeypatch.context() as patched:
            for name, value in (env or {}).items():
                patched.setenv(name, value)
            capsys.readouterr()
            code = run([str(a) for a in arguments])
        return subprocess.CompletedProcess(arguments, code, *capsys.readouterr())

    return run_inside


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clean matrix, one with a mean offset, one that is too small, and a bias."""
    rng = np.random.default_rng(11)
    path = tmp_path_factory.mktemp("checkpoint") / "m.safetensors"
    tensors = {
        "a.weight": rng.standard_normal((16, 32)), "a.bias": rng.standard_normal(16),
        "b.weight": rng.standard_normal((24, 32)) + 2.0, "c.weight": rng.standard_normal((4, 5)),
    }  # fmt: skip
    save_file({name: w.astype(np.float32) for name, w in tensors.items()}, path)
    return path


@pytest.fixture(scope="session")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clean") / "m.safetensors"
    save_file({"w": np.random.default_rng(1).standard_normal((16, 32)).astype(np.float32)}, path)
    return path


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("small") / "m.safetensors"
    save_file({"w": np.random.default_rng(1).standard_normal((4, 5)).astype(np.float32)}, path)
    return path
