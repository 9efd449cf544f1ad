"""Interleaved pairs: ours and theirs in turn, the ratio of each pair, contended pairs counted apart."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.process import Measured, measure


@dataclass(frozen=True, slots=True)
class Pairs:
    """`kept` pairs (ours, theirs) in the order they were run, and the number of those left out."""

    kept: list[tuple[Measured, Measured]]
    contended: list[tuple[Measured, Measured]]

    def ratios(self, contended: bool = False) -> list[float]:
        return [theirs.wall / ours.wall for ours, theirs in (self.contended if contended else self.kept)]

    def cpu_ratio(self) -> float:
        return statistics.median(theirs.cpu / ours.cpu for ours, theirs in self.kept or self.contended)

    def describe(self) -> str:
        used = self.kept or self.contended
        ours, theirs = ([pair[i] for pair in used] for i in (0, 1))
        text = (
            f"ours {_middle(ours, 'wall'):.2f} s wall {_middle(ours, 'cpu'):.2f} s cpu"
            f" {_middle(ours, 'peak_mb'):.0f} MB, peer {_middle(theirs, 'wall'):.2f} s wall"
            f" {_middle(theirs, 'cpu'):.2f} s cpu {_middle(theirs, 'peak_mb'):.0f} MB"
        )
        counts = f"{len(self.kept)} pairs kept, {len(self.contended)} contended"
        return f"{text}; cpu ratio {self.cpu_ratio():.1f}; {counts}"


def run_pairs(
    ours: Sequence[str],
    theirs: Sequence[str],
    threads: int,
    pairs: int,
    attempts: int,
    outputs: tuple[Path | None, Path | None] = (None, None),
) -> Pairs:
    """Up to `attempts` pairs until `pairs` are uncontended; who goes first alternates.

    Raises RuntimeError if a process fails: ours may leave with 0, 1 (findings) or 11 (undetermined).
    """
    kept: list[tuple[Measured, Measured]] = []
    contended: list[tuple[Measured, Measured]] = []
    for attempt in range(attempts):
        found: dict[str, Measured] = {}
        for side in ("ours", "theirs") if attempt % 2 == 0 else ("theirs", "ours"):
            command = ours if side == "ours" else theirs
            found[side] = measure(command, threads, outputs[0 if side == "ours" else 1])
            if found[side].status not in ((0, 1, 11) if side == "ours" else (0,)):
                raise RuntimeError(f"exit status {found[side].status}: {' '.join(command)}")
            time.sleep(0.5)
        pair = (found["ours"], found["theirs"])
        (contended if pair[0].contended or pair[1].contended else kept).append(pair)
        if len(kept) == pairs:
            break
    return Pairs(kept, contended)


def spread(values: Sequence[float]) -> str:
    """Median with the range: `7.9x (7.5 to 8.4)`."""
    return f"{statistics.median(values):.1f}x ({min(values):.1f} to {max(values):.1f})"


def _middle(runs: Sequence[Measured], field: str) -> float:
    return statistics.median(getattr(run, field) for run in runs)
