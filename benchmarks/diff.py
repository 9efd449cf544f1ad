"""A diff of two checkpoints beside a scan of one of them, in interleaved pairs.

    python -m benchmarks.diff [--quick] [--pairs N] [--threads N]

Two synthetic bf16 checkpoints in the shapes of a decoder of a billion parameters, 2 GB each, made in a temporary
folder by a child process: DERIVED is BASE plus a step of rank 8 and a little noise in every matrix, rounded once. The
scan is `--only tail`: one spectrum a matrix, which a diff needs of the difference too.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.pairs import Pairs, run_pairs
from benchmarks.process import tollens
from benchmarks.table import Line, show

LIMIT = 1.2
WIDTH, KEYS, INNER, LAYERS = 2048, 512, 8192, 16
QUICK = (512, 128, 2048, 4)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="a hundredth of the parameters")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args(arguments)
    sides = QUICK if given.quick else (WIDTH, KEYS, INNER, LAYERS)
    with tempfile.TemporaryDirectory(prefix="tollens-diff-") as folder:
        sizes = [str(n) for n in sides]
        subprocess.run([sys.executable, "-m", "benchmarks.diff", "--write", folder, *sizes], check=True)
        base, derived = (str(Path(folder) / side) for side in ("base", "derived"))
        threads = ("--threads", str(given.threads))
        scan = tollens("scan", base, "--json", "--quiet", "--only", "tail", *threads)
        diff = tollens("diff", base, derived, "--json", "--quiet", *threads)
        found = run_pairs(scan, diff, given.threads, given.pairs, 2 * given.pairs)
        size = sum(f.stat().st_size for f in Path(base).iterdir()) / 1e9
    show("diff: two checkpoints beside a scan of one", _lines(found, size), _notes(found, given.threads))


def _lines(found: Pairs, size: float) -> list[Line]:
    ratios = found.ratios() or found.ratios(contended=True)
    ratio = statistics.median(ratios)
    peak = max(theirs.peak_mb for _, theirs in found.kept or found.contended)
    spread = f"{ratio:.2f}x ({min(ratios):.2f} to {max(ratios):.2f})"
    what = f"wall seconds of a diff over those of a scan, {size:.1f} GB each"
    detail = found.describe().replace("ours", "scan").replace("peer", "diff")
    return [
        Line(what, f"<= {LIMIT}x", spread, ratio <= LIMIT, detail),
        Line("peak memory of the diff", "-", f"{peak:.0f} MB", None),
    ]


def _notes(found: Pairs, threads: int) -> list[str]:
    notes = [f"{threads} threads; tollens diff BASE DERIVED against tollens scan BASE --only tail"]
    return notes if found.kept else [*notes, "every pair was contended: the ratio is of those"]


def _shapes(width: int, keys: int, inner: int, layers: int) -> Iterator[tuple[str, tuple[int, int]]]:
    for i in range(layers):
        prefix = f"model.layers.{i}."
        for name, rows in (("q", width), ("k", keys), ("v", keys), ("o", width)):
            yield f"{prefix}self_attn.{name}_proj.weight", (rows, width)
        yield f"{prefix}mlp.gate_proj.weight", (inner, width)
        yield f"{prefix}mlp.up_proj.weight", (inner, width)
        yield f"{prefix}mlp.down_proj.weight", (width, inner)


def _write(folder: Path, sides: Sequence[int]) -> None:
    """Both checkpoints, a shard for every layer, so that this process holds two layers at a time."""
    import ml_dtypes
    import numpy as np
    from safetensors.numpy import save_file

    def bf16(w: np.ndarray) -> np.ndarray:
        return w.astype(ml_dtypes.bfloat16)

    shards: dict[str, list[tuple[str, tuple[int, int]]]] = {}
    for name, shape in _shapes(*sides):
        shards.setdefault(name.split(".")[2], []).append((name, shape))
    for side in ("base", "derived"):
        (folder / side).mkdir()
    for layer, tensors in shards.items():
        base, derived = {}, {}
        for place, (name, (rows, cols)) in enumerate(tensors):
            rng = np.random.default_rng([int(layer), place])
            w = rng.standard_normal((rows, cols), dtype=np.float32) * np.float32(0.02)
            strong = np.geomspace(1.0, 0.05, 64, dtype=np.float32)  # leading directions, as training leaves them
            left, right = (rng.standard_normal((n, 64), dtype=np.float32) for n in (rows, cols))
            w += (left * strong) @ right.T * np.float32(0.01)
            base[name] = bf16(w)
            left, right = (rng.standard_normal((n, 8), dtype=np.float32) for n in (rows, cols))
            step = left @ right.T * np.float32(3e-4)
            step += rng.standard_normal((rows, cols), dtype=np.float32) * np.float32(2e-4)
            derived[name] = bf16(base[name].astype(np.float32) + step)
        for side, made in (("base", base), ("derived", derived)):
            save_file(made, folder / side / f"model-{int(layer) + 1:05d}-of-{len(shards):05d}.safetensors")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--write"]:
        _write(Path(sys.argv[2]), [int(n) for n in sys.argv[3:]])
    else:
        main()
