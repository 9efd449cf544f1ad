"""One sealed study, and the processes that climb it, are killed, and climb it again."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import driver as driver_file
from .reading import Record, check_ended, parts, records

KILLED = -9
GONE = 20.0
"""Seconds in which the processes of a killed climb must be gone; the guard looks twice a second, once it has loaded."""


@dataclass(slots=True)
class Driver:
    """The process of driver.py."""

    process: subprocess.Popen[str]
    busy: bool = False

    def begin(self, order: dict[str, Any]) -> int:
        """The process id of the fork."""
        if self.busy:  # a test has failed between the two
            self.status()
        self.busy = True
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return self.said("pid")

    def status(self) -> int:
        """How the fork ended."""
        self.busy = False
        return self.said("status")

    def said(self, name: str) -> int:
        """The next answer, which has this name."""
        assert self.process.stdout is not None
        return int(json.loads(self.process.stdout.readline())[name])


@contextmanager
def driving(*before: str) -> Iterator[Driver]:
    """A driver; `before` are the words of a command that starts it."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    command = [*before, sys.executable, driver_file.__file__]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        made = Driver(process)
        made.said("ready")
        yield made
        assert process.stdin is not None
        process.stdin.close()


@dataclass(slots=True)
class Trial:
    """A study in a folder of its own, with its own place for temporary files and a mark on all its processes."""

    driver: Driver
    root: Path
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)
    torn: list[bytes] = field(default_factory=list)
    kept: bytes = b""
    held: int = 0

    @property
    def folder(self) -> Path:
        return self.root / "study"

    @property
    def ledger(self) -> bytes:
        path = self.folder / "ledger.jsonl"
        return path.read_bytes() if path.exists() else b""

    @property
    def temporary(self) -> Path:
        return self.root / "temporary"

    @property
    def said(self) -> str:
        """What the last attempt printed."""
        return (self.root / "output").read_text()

    def hold(self, number: int) -> dict[str, str]:
        """The environment in which the metric does not answer its request of that number until `release`."""
        (self.root / "hold").touch()
        self.held = number
        return {"FAULTS_HOLD": str(self.root / "hold"), "FAULTS_FROM": str(number)}

    def release(self) -> None:
        (self.root / "hold").unlink()

    def begin(self, verb: str, *more: str, **fault: Any) -> int:
        environment = {
            "TMPDIR": str(self.temporary), "FAULTS_LOG": str(self.root / "log"), "FAULTS_MARK": self.mark,
            **fault.pop("environment", {}),
        }  # fmt: skip
        arguments = [verb, str(self.folder), *more]
        order = {"arguments": arguments, "environment": environment, "output": str(self.root / "output"), **fault}
        return self.driver.begin(order)

    def shell(self, command: str) -> int:
        """Run it where the driver lives."""
        self.begin("", shell=command)
        return self.driver.status()

    def end(self) -> int:
        """Wait for the attempt; what was recorded before is still there, byte for byte, and nothing of it runs."""
        status = self.driver.status()
        self.check_kept()
        self.check_gone()
        return status

    def run(self, verb: str, *more: str, **fault: Any) -> int:
        self.begin(verb, *more, **fault)
        return self.end()

    def check_kept(self) -> None:
        """A record that was whole is never changed; what was torn is set aside, not dropped."""
        whole, torn = parts(self.ledger)
        assert whole.startswith(self.kept), "a record was changed or lost"
        records(whole)
        self.kept = whole
        if torn:
            self.torn.append(torn)
        path = self.folder / "ledger.torn"
        aside = path.read_bytes().split(b"\n") if path.exists() else []
        for piece in self.torn:
            assert piece == torn or piece in aside, "a torn line was dropped"

    def check_gone(self) -> None:
        deadline = time.monotonic() + GONE
        while found := marked(self.mark):
            assert time.monotonic() < deadline, f"left running: {found}"
            time.sleep(0.02)

    def lines(self) -> int:
        """How many lines the metric has left in its log."""
        path = self.root / "log"
        return path.read_bytes().count(b"\n") if path.exists() else 0

    def calls(self) -> int:
        """How often the metric was asked for a cell."""
        path = self.root / "log"
        return sum(json.loads(line)[0] != "metric" for line in path.read_text().splitlines()) if path.exists() else 0

    def metric(self) -> list[int]:
        """The processes of the last request: its own, the one that loaded the metric, the guard of both."""
        last = (self.root / "log").read_text().splitlines()[-1]
        _, own, loaded = json.loads(last)
        stat = Path(f"/proc/{loaded}/stat").read_text().rpartition(")")[2].split()
        return [own, loaded, int(stat[1])]

    def finish(self, undisturbed: list[Record]) -> list[Record]:
        """Climb again in a fresh process until it ends, and check all of it."""
        status = self.run("climb")
        assert status == 0 or (status == 2 and "already_decided" in self.said), self.said
        found = check_ended(self.folder, undisturbed)
        cpu = [r for r in found if r["type"] == "cell.started" and r["body"]["key"]["rung"] == "accuracy"]
        assert self.calls() <= len(cpu), "the metric was asked without a record of it"
        left = [p.name for p in self.temporary.iterdir()]
        left += [p.name for p in self.folder.iterdir() if p.name.startswith(".") and p.name != ".gitattributes"]
        assert not left, f"left behind: {left}"
        return found


@contextmanager
def room() -> Iterator[Path]:
    """A folder in memory where the system has one: kills do not ask for a disk, and thousands of fsync are slow."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as made:
        yield Path(made)


def trial(driver: Driver, root: Path, study: Path) -> Trial:
    """A trial on a copy of a study."""
    root.mkdir()
    made = Trial(driver, root)
    made.temporary.mkdir()
    shutil.copytree(study, made.folder)
    made.check_kept()
    return made


def marked(mark: str) -> list[str]:
    """The living processes that have the mark in their environment, as the kernel knows it."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if mark.encode() in (entry / "environ").read_bytes():
                found.append(f"{entry.name} {(entry / 'cmdline').read_bytes()[:60]!r}")
        except OSError:
            continue
    return found


def happens(what: Callable[[], bool], seconds: float = 60.0) -> bool:
    """Whether it comes true in time."""
    deadline = time.monotonic() + seconds
    while not what():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.004)
    return True
