"""One child process, measured: wall and CPU seconds, peak memory, and what others used of the machine."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
FOREIGN_LIMIT = 0.08  # share of the machine that others may use before a run counts as contended
SPIN_LIMIT = 1.20  # a fixed loop may take this much longer than at its best so far
ADOPT = 36  # PR_SET_CHILD_SUBREAPER: what a measured process leaves behind becomes a child of this one
_best_spin = float("inf")


@dataclass(frozen=True, slots=True)
class Measured:
    """`foreign`: share of all cores that others used or stole; `spin`: slowdown of a fixed loop."""

    wall: float
    cpu: float
    peak_mb: float
    foreign: float
    spin: float
    status: int

    @property
    def contended(self) -> bool:
        return self.foreign > FOREIGN_LIMIT or self.spin > SPIN_LIMIT


def measure(command: Sequence[str], threads: int, output: Path | None = None) -> Measured:
    """Run `command` with `threads` BLAS threads; stdout goes to `output` or nowhere, stderr nowhere.

    CPU seconds are those of the child, of what it waited for and of the workers it left behind, which are waited
    for here once the clock has stopped. The peak is ru_maxrss of the child and of what it waited for, whichever
    is larger, without the workers left behind. Linux starts it at the size of the
    parent, so that a benchmark must not hold large arrays itself; the parents here do not even import numpy.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(ADOPT, 1, 0, 0, 0)
    environment = dict(os.environ) | dict.fromkeys(THREAD_VARIABLES, str(threads))
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installation caches bytecode; without, each run compiles
    spin = _spin()
    before, start = _machine_busy(), time.perf_counter()
    with open(output or os.devnull, "wb") as sink:
        child = subprocess.Popen(
            list(command), stdout=sink, stderr=subprocess.DEVNULL, env=environment, process_group=0
        )
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - start
    cpu = usage.ru_utime + usage.ru_stime + _left_behind(child.pid)
    busy, span = _machine_busy() - before, time.perf_counter() - start
    spin = max(spin, _spin())
    cores = os.cpu_count() or 1
    foreign = max(busy - cpu, 0.0) / (span * cores)
    return Measured(wall, cpu, usage.ru_maxrss / 1024.0, foreign, spin, child.returncode)


def _left_behind(group: int) -> float:
    """CPU seconds of the adopted processes of a process group, and of all that they waited for."""
    cpu = 0.0
    while True:
        try:
            _, _, usage = os.wait4(-group, 0)
        except ChildProcessError:
            return cpu
        cpu += usage.ru_utime + usage.ru_stime


def tollens(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "tollens.cli.main", *arguments]


def peer_python() -> str:
    """The interpreter that has the `bench` extra: this one, or what TOLLENS_BENCH_PYTHON names."""
    return os.environ.get("TOLLENS_BENCH_PYTHON", sys.executable)


def load_average() -> str:
    return " ".join(f"{value:.2f}" for value in os.getloadavg())


def _machine_busy() -> float:
    """Seconds all cores have been busy since boot, stolen time included; 0 without such a /proc file."""
    try:
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    except OSError:
        return 0.0
    user, nice, system, _, _, irq, soft, steal = (int(f) for f in fields[:8])
    return (user + nice + system + irq + soft + steal) / os.sysconf("SC_CLK_TCK")


def _spin() -> float:
    """How much longer a fixed loop takes than the fastest seen in this run; above 1 on a slowed-down core."""
    global _best_spin
    start = time.perf_counter()
    total = 0
    for i in range(2_000_000):
        total += i & 3
    seconds = time.perf_counter() - start
    _best_spin = min(_best_spin, seconds)
    return seconds / _best_spin
