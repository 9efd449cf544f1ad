"""What a study costs beside what it measures: checking it, sealing it, and one request of its metric.

    python -m benchmarks.protocol [--rounds 30] [--quick]

In one process after the imports. The floors: reading and hashing the same bytes, one append that is on the disk,
and the same metric as a bare process. The example study is sealed and climbed first.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.process import load_average
from benchmarks.seal_cell import publish
from benchmarks.table import Line, show
from tollens import status
from tollens.core.canonical import canonical, digest
from tollens.record.ledger import Ledger
from tollens.run import lock as locks
from tollens.run.climb import climb
from tollens.run.metric_process import Limits, MetricProcess
from tollens.run.new import new
from tollens.run.study import sealed

TARGET = 0.1  # s
CELLS, DRAWS = 100, 20  # of the large ledger: two records a request, and the draws are of every cell's null
BARE = """
import sys
import numpy as np
import metric
print(metric.metric(metric.produce("int8", {"seed": 1}, np.random.default_rng(1))))
"""
FIRST = """
import sys, time
from pathlib import Path
import tollens.cli.study_screen
from tollens.record.ledger import Ledger
from tollens.run import climb, closure, lock, plugins, status, study
folder, inside = Path(sys.argv[1]), [0.0]
checked = lock.sign_checked
def measured(*given):
    start = time.perf_counter()
    try:
        return checked(*given)
    finally:
        inside[0] = time.perf_counter() - start
lock.sign_checked = measured
start = time.perf_counter()
lock.manifest_of(folder, Ledger(())) if sys.argv[2] == "seal" else status.status(folder)
print(time.perf_counter() - start - inside[0])
"""


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of one thing, over and over."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def said(self, digits: int = 1) -> str:
        low, high = 1000 * min(self.seconds), 1000 * max(self.seconds)
        return f"min {low:.{digits}f}, max {high:.{digits}f} ms of {len(self.seconds)}"


def timed(what: Callable[[], object], rounds: int) -> Times:
    found = []
    for _ in range(rounds):
        start = time.perf_counter()
        what()
        found.append(time.perf_counter() - start)
    return Times(tuple(found))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args(arguments)
    rounds = 3 if given.quick else given.rounds
    with tempfile.TemporaryDirectory() as folder:
        study = Path(folder) / "study"
        new(str(study))
        locks.lock(study)
        climb(study)
        large = Path(folder) / "large"
        enlarge(study, large, CELLS * DRAWS)
        lines = [
            *checking("the example", study, rounds, TARGET, not given.quick),
            *sealing(study, rounds, not given.quick),
            first("status", study, max(3, rounds // 3), not given.quick),
            first("seal", study, max(3, rounds // 3), not given.quick),
            published(study, rounds, not given.quick),
            *checking(f"{CELLS} cells x {DRAWS} draws", large, max(3, rounds // 3), None, False),
            *requests(study, rounds),
        ]
    notes = [
        f"medians, in one process after imports; load {load_average()} at the end; threads: "
        + os.environ.get("OPENBLAS_NUM_THREADS", "as the libraries choose"),
    ]
    show("protocol: beside imports and beside the metric", lines, notes)


def checking(what: str, folder: Path, rounds: int, target: float | None, judged: bool) -> list[Line]:
    records = len((folder / "ledger.jsonl").read_bytes().splitlines())
    size = sum(path.stat().st_size for path in folder.iterdir())
    return [
        _line(f"{what}: sealed()", timed(lambda: sealed(folder), rounds), target, judged, f"{records} records"),
        _line(f"{what}: status()", timed(lambda: status(folder), rounds), target, judged, ""),
        _line("  floor: read and hash", timed(lambda: _hashed(folder), rounds), None, False, f"{size / 1e6:.2f} MB"),
    ]


def sealing(folder: Path, rounds: int, judged: bool) -> list[Line]:
    """`manifest_of` without the time of the sign-check, which is the study's own code in a process of its own."""
    inside: list[float] = []
    checked = locks.sign_checked

    def measured(*given: object) -> object:
        start = time.perf_counter()
        try:
            return checked(*given)  # type: ignore[arg-type]
        finally:
            inside.append(time.perf_counter() - start)

    locks.sign_checked = measured  # type: ignore[assignment]
    try:
        whole = timed(lambda: locks.manifest_of(folder, Ledger(())), rounds)
    finally:
        locks.sign_checked = checked
    beside = Times(tuple(a - b for a, b in zip(whole.seconds, inside, strict=True)))
    return [
        _line("the example: sealing", beside, TARGET, judged, "manifest_of, less the sign-check"),
        _line("  sign-check", Times(tuple(inside)), None, False, ""),
        _line(
            "  floor: one append, fsync'd", timed(lambda: _appended(folder.parent / "line"), rounds), None, False, ""
        ),
    ]


def first(what: str, folder: Path, rounds: int, judged: bool) -> Line:
    """The first call of a process, which fills what later ones find filled: what a command waits for."""
    command = [sys.executable, "-c", FIRST, str(folder), what]
    done = [subprocess.run(command, check=True, capture_output=True, text=True).stdout for _ in range(rounds)]
    name = {"status": "status()", "seal": "sealing"}[what]
    return _line(f"{name}, first of its process", Times(tuple(map(float, done))), TARGET, judged, "")


def published(study: Path, rounds: int, judged: bool) -> Line:
    """`status` where a git repository holds the seal: what git is asked counts."""
    with tempfile.TemporaryDirectory() as folder:
        inside = Path(folder) / "repository"
        shutil.copytree(study, inside / "study")
        subprocess.run(["git", "init", "-q", "-b", "main", str(inside)], check=True)
        for key, value in (("user.name", "author"), ("user.email", "author@example.org")):
            subprocess.run(["git", "-C", str(inside), "config", key, value], check=True)
        publish(inside)
        found = timed(lambda: status(inside / "study"), rounds)
    return _line("status(), pushed with git", found, TARGET, judged, "with what git is asked for the anchor")


def requests(folder: Path, rounds: int) -> list[Line]:
    """One request of the metric: a fork of a process that has imported it, and a new process each time."""
    with MetricProcess(folder, "metric.py", limits=Limits(60.0, 2048)) as process:
        ours = timed(lambda: process.measure("int8", {"seed": 1}, 1, names=("accuracy_diff",)), rounds)
    bare = timed(lambda: _bare(folder), max(3, rounds // 3))
    times = f"{bare.median / ours.median:.0f} times the request"
    return [
        _line("one request of the metric", ours, None, False, ""),
        _line("  beside: python metric.py", bare, None, False, times),
    ]


def enlarge(study: Path, target: Path, count: int) -> None:
    """The study with `count` requests more in its ledger, hashes and chain valid: what a large study leaves."""
    target.mkdir()
    for path in study.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    records = [json.loads(text) for text in (study / "ledger.jsonl").read_text().splitlines()]
    first = next(k for k, record in enumerate(records) if record["type"] == "cell.started")
    pair = [next(r for r in records if r["type"] == kind) for kind in ("cell.started", "cell.finished")]
    made = records[:first] + [r for _ in range(count) for r in pair] + records[first:]
    prev, lines = "0" * 64, []
    for place, record in enumerate(made):
        fields = {key: value for key, value in record.items() if key != "hash"} | {"seq": place, "prev": prev}
        prev = digest(fields)
        lines.append(canonical(fields | {"hash": prev}) + b"\n")
    (target / "ledger.jsonl").write_bytes(b"".join(lines))


def _hashed(folder: Path) -> str:
    found = hashlib.sha256()
    for path in folder.iterdir():
        found.update(path.read_bytes())
    return found.hexdigest()


def _appended(path: Path) -> None:
    with open(path, "ab") as handle:
        handle.write(b"x" * 500 + b"\n")
        handle.flush()
        os.fsync(handle.fileno())


def _bare(folder: Path) -> None:
    subprocess.run([sys.executable, "-c", BARE], cwd=folder, check=True, stdout=subprocess.DEVNULL)


def _line(what: str, times: Times, target: float | None, judged: bool, detail: str) -> Line:
    said = f"{times.said()}{'; ' + detail if detail else ''}"
    met = times.median < target if judged and target is not None else None
    wanted = "-" if target is None else f"< {1000 * target:.0f} ms"
    return Line(what, wanted, f"{1000 * times.median:.1f} ms", met, said)


if __name__ == "__main__":
    main()
