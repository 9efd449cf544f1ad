"""A Dask cluster of real processes on this machine, for the tests that need one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

ROOT = Path(__file__).resolve().parent.parent


class DaskCluster:
    """A scheduler and what was started for it; their output goes to files in `folder`.

    After `idle` seconds without a task they end by themselves, so that none outlives tests that were killed.
    """

    def __init__(self, folder: Path, idle: int = 180) -> None:
        self.folder = folder
        self.file = folder / "scheduler.json"
        self._children: list[subprocess.Popen[bytes]] = []
        self.scheduler = self._start(
            "dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", self.file, "--no-dashboard",
            "--idle-timeout", f"{idle} s",
        )  # fmt: skip
        happens(self.file.exists)
        happens(lambda: self.file.stat().st_size > 0)
        self.address: str = msgspec.json.decode(self.file.read_bytes())["address"]

    def worker(self, *options: str) -> subprocess.Popen[bytes]:
        """Workers stand in another folder than the client, and find the tests' own functions."""
        where = ("--local-directory", self.folder / "scratch")
        return self._start("dask_worker", self.address, "--no-dashboard", "--death-timeout", "20", *where, *options)

    def _start(self, what: str, *options: str | Path) -> subprocess.Popen[bytes]:
        with (self.folder / f"{len(self._children)}-{what}.log").open("wb") as log:
            child = subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.{what}", *map(str, options)],
                cwd=self.folder,
                env={**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._children.append(child)
        return child

    def end(self) -> None:
        for child in self._children:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()


@contextmanager
def dask_cluster(folder: Path, *workers: str) -> Iterator[DaskCluster]:
    """A scheduler, and workers with these options if there are any."""
    made = DaskCluster(folder)
    try:
        if workers:
            made.worker(*workers)
        yield made
    finally:
        made.end()


def happens(what: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait until it comes true. Raises: AssertionError if it does not in time."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, what
        time.sleep(0.02)
