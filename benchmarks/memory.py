"""Peak resident memory of a scan: bounded by the largest tensor, whatever the size of the checkpoint.

    python -m benchmarks.memory [--quick]

The limit is the peak of scanning one 8x8 tensor plus six times the largest tensor in float32.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

from benchmarks.inputs import checkpoint, single
from benchmarks.process import Measured, measure, tollens
from benchmarks.table import Line, show

MIB = 1024.0 * 1024.0


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="smaller tensors, --only tail")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--keep", action="store_true", help="keep the large synthetic checkpoints")
    given = parser.parse_args(arguments)
    rows, cols, few = (256, 1024, 4) if given.quick else (1024, 4096, 8)
    options = ("--only", "tail") if given.quick else ()

    def peak(path: Path, *more: str) -> Measured:
        run = measure(tollens("scan", str(path), "--json", "--quiet", *options, *more), given.threads)
        if run.status not in (0, 1, 11):
            raise RuntimeError(f"exit status {run.status}: {path}")
        return run

    base = peak(single(8, 8))
    limit = base.peak_mb + 6 * 4 * rows * cols / MIB
    lines = [Line("one 8x8 tensor", "-", f"{base.peak_mb:.0f} MB", None, f"{base.wall:.2f} s")]
    for count, shards in ((few, 2), (10 * few, 8)):
        folder = checkpoint(count, rows, cols, shards=shards)
        size = sum(f.stat().st_size for f in folder.iterdir()) / MIB
        run = peak(folder)
        lines.append(
            Line(
                f"{count} tensors {rows}x{cols}, {size:.0f} MB in {shards} shards",
                f"<= {limit:.0f} MB",
                f"{run.peak_mb:.0f} MB",
                run.peak_mb <= limit,
                f"{run.wall:.1f} s, {run.cpu:.1f} s cpu",
            )
        )
        if not given.keep:
            shutil.rmtree(folder)
    if not given.quick:
        for label, more in (("--only tail", ("--only", "tail")), ("--shuffles 1", ("--shuffles", "1"))):
            run = peak(single(4096, 11008), *more)
            lines.append(
                Line(
                    f"4096x11008 {label}",
                    "< 400 MB",
                    f"{run.peak_mb:.0f} MB",
                    run.peak_mb < 400,
                    f"{run.wall:.1f} s",
                )
            )
    command = "tollens scan PATH --json " + " ".join(options)
    show("memory: peak RSS of the whole process", lines, [f"{given.threads} threads; {command}"])


if __name__ == "__main__":
    main()
