"""What a boundary of twenty looks costs.

python -m benchmarks.group_sequential [--rounds 15] [--quick]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial

from benchmarks.table import Line, show
from tollens.stats.group_sequential import Design, equal_looks, lan_demets, obrien_fleming, pocock
from tollens.stats.spending import SPENDING

LOOKS = 20
TARGET = 0.5  # seconds for all two-sided designs together


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args(arguments)
    rounds = 3 if given.quick else given.rounds
    times = equal_looks(LOOKS)
    designs: dict[str, Callable[[int], Design]] = {
        "O'Brien-Fleming": partial(obrien_fleming, times, 0.05),
        "Pocock": partial(pocock, times, 0.05),
    }
    for name in SPENDING:
        designs[f"Lan-DeMets, {name}"] = partial(lan_demets, times, 0.05, name)
    lines, total = [], {1: 0.0, 2: 0.0}
    for sides in (2, 1):
        for name, design in designs.items():
            seconds = _median(partial(design, sides), rounds)
            total[sides] += seconds
            lines.append(Line(f"{name}, {sides} sides", "-", f"{1e3 * seconds:.1f} ms", None))
    for sides in (2, 1):
        what = f"all {len(designs)}, {sides} sides"
        lines.append(Line(what, f"< {TARGET} s", f"{total[sides]:.3f} s", total[sides] < TARGET))
    show("group_sequential: boundaries of 20 looks", lines, [f"median of {rounds}, in one process"])


def _median(task: Callable[[], object], rounds: int) -> float:
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        task()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


if __name__ == "__main__":
    main()
