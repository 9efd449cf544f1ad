"""What a user waits for before anything happens.

python -m benchmarks.startup [--rounds 15] [--quick]
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence

from benchmarks.process import measure, peer_python, tollens
from benchmarks.table import Line, show


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args(arguments)
    rounds = 3 if given.quick else given.rounds
    lines = [
        _timed("python -c pass", [sys.executable, "-c", "pass"], None, rounds),
        _timed("import tollens", [sys.executable, "-c", "import tollens"], 0.3, rounds),
        _timed("tollens --help", tollens("--help"), 0.4, rounds),
        _timed("tollens scan --help", tollens("scan", "--help"), None, rounds),
        _timed("import tollens.run.scan", [sys.executable, "-c", "import tollens.run.scan"], None, rounds),
        _timed("import weightwatcher", [peer_python(), "-c", "import weightwatcher"], None, min(rounds, 3)),
    ]
    show("startup: whole processes", lines, [f"median of {rounds} (peer: {min(rounds, 3)}), one thread"])


def _timed(what: str, command: Sequence[str], target: float | None, rounds: int) -> Line:
    runs = [measure(command, 1) for _ in range(rounds)]
    if any(run.status for run in runs):
        return Line(what, "-" if target is None else f"< {target} s", "failed", None, " ".join(command))
    seconds = statistics.median(run.wall for run in runs)
    peak = max(run.peak_mb for run in runs)
    contended = sum(run.contended for run in runs)
    return Line(
        what,
        "-" if target is None else f"< {target} s",
        f"{seconds:.3f} s",
        None if target is None else seconds < target,
        f"{peak:.0f} MB; {contended} of {rounds} runs contended",
    )


if __name__ == "__main__":
    main()
