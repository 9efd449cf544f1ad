"""Plain tables: what, target, measured, verdict."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.process import load_average

OUT = Path(__file__).resolve().parents[1] / "out" / "bench"


@dataclass(frozen=True, slots=True)
class Line:
    """`met` is None where a figure has no target."""

    what: str
    target: str
    measured: str
    met: bool | None
    detail: str = ""

    @property
    def verdict(self) -> str:
        return "-" if self.met is None else "met" if self.met else "MISSED"


def show(title: str, lines: Sequence[Line], notes: Sequence[str] = ()) -> None:
    """Print the table and keep it as JSON in out/bench."""
    rows = [("what", "target", "measured", "verdict")]
    rows += [(line.what, line.target, line.measured, line.verdict) for line in lines]
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    print(f"\n{title}")
    print(f"  {machine()}")
    for row, line in zip(rows, (None, *lines), strict=True):
        text = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        print(f"  {text}")
        if line is not None and line.detail:
            print(f"      {line.detail}")
    for note in notes:
        print(f"  {note}")
    sys.stdout.flush()
    OUT.mkdir(parents=True, exist_ok=True)
    record = {
        "title": title,
        "machine": machine(),
        "lines": [asdict(line) for line in lines],
        "notes": list(notes),
    }
    name = title.split(":")[0].strip().replace(" ", "_")
    (OUT / f"{name}.json").write_text(json.dumps(record, indent=1, allow_nan=False) + "\n")


def machine() -> str:
    cores = os.cpu_count()
    return f"{cores} cores, Python {platform.python_version()}, {platform.machine()}, load {load_average()}"
