"""One 4096x4096 layer beside the floor: its Gram matrix and its eigenvalues alone, in a bare process.

    python -m benchmarks.floor [--rounds 5] [--threads 2] [--quick]

The floor is what no method that needs all eigenvalues through a dense solver can go below on this machine
with this BLAS. The second table says how near the floor itself is to the measured rate of the matrix
product, at N M^2 flops for the Gram matrix and (4/3) M^3 for the reduction to tridiagonal form.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.inputs import single
from benchmarks.process import measure, tollens
from benchmarks.table import OUT, Line, show

TARGET = 2.0


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="512x512 and one round")
    given = parser.parse_args(arguments)
    side, rounds = (512, 1) if given.quick else (4096, given.rounds)
    path, lines, blas = single(side, side), [], ""
    for precision in ("f32", "f64"):
        kept, discarded, parts = [], 0, []
        for _ in range(2 * rounds):
            out = OUT / "floor.json"
            alone = measure(
                [sys.executable, "-m", "benchmarks.floor", "child", str(path), precision],
                given.threads,
                out,
            )
            scan = ("scan", str(path), "--only", "tail", "--precision", precision, "--json", "--quiet")
            ours = measure(tollens(*scan, "--threads", str(given.threads)), given.threads)
            if alone.status or ours.status not in (0, 1, 11):
                raise RuntimeError(f"exit status {alone.status} of the floor, {ours.status} of the scan")
            if alone.contended or ours.contended:
                discarded += 1
                continue
            part = json.loads(out.read_text())
            kept.append((ours, alone, part["gram"] + part["eigenvalues"]))
            parts.append(part)
            if len(kept) == rounds:
                break
        if not kept:
            lines.append(Line(f"{precision} scan / (Gram + solver)", "<= 2x", "all runs contended", None))
            continue
        blas = parts[0]["blas"]
        ratio = [run.wall / floor for run, _, floor in kept]
        whole = [run.wall / bare.wall for run, bare, _ in kept]
        middle = {key: statistics.median(p[key] for p in parts) for key in ("gram", "eigenvalues", "product_rate")}
        floor = middle["gram"] + middle["eigenvalues"]
        met = None if given.quick else statistics.median(ratio) <= TARGET
        lines.append(
            Line(
                f"{precision} {side}x{side} whole scan / (Gram + solver)",
                "<= 2x",
                _ratio(ratio),
                met,
                f"scan {statistics.median(r.wall for r, _, _ in kept):.2f} s wall"
                f" {statistics.median(r.cpu for r, _, _ in kept):.2f} s cpu; Gram {middle['gram']:.2f} s,"
                f" solver {middle['eigenvalues']:.2f} s; {len(kept)} rounds kept, {discarded} contended",
            )
        )
        lines.append(Line(f"{precision} whole scan / whole bare process", "-", _ratio(whole), None))
        share = (side**3 * 7 / 3) / floor / middle["product_rate"]
        lines.append(
            Line(
                f"{precision} floor's share of the product rate",
                "-",
                f"{share:.0%}",
                None,
                f"matrix product at {middle['product_rate'] / 1e9:.0f} Gflop/s",
            )
        )
    show(
        "floor: one layer beside Gram matrix and eigensolver alone",
        lines,
        [f"{given.threads} threads; {blas}"],
    )


def _ratio(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.2f}x ({min(values):.2f} to {max(values):.2f})"


def _child(path: Path, precision: str) -> None:
    """Read the tensor without any library of ours, time the two steps, print JSON."""
    import numpy as np
    import scipy
    from scipy.linalg import blas, lapack

    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    entry = next(v for k, v in json.loads(raw[8 : 8 + length]).items() if k != "__metadata__")
    matrix = np.frombuffer(raw, np.float32, offset=8 + length).reshape(entry["shape"])
    syrk, syevd = (blas.ssyrk, lapack.ssyevd) if precision == "f32" else (blas.dsyrk, lapack.dsyevd)
    matrix = matrix.astype(np.float32 if precision == "f32" else np.float64)
    start = time.perf_counter()
    gram = syrk(1.0, matrix.T, trans=0, lower=1)
    middle = time.perf_counter()
    syevd(gram, compute_v=0, lower=1, overwrite_a=1)
    done = time.perf_counter()
    square = matrix[: min(matrix.shape), : min(matrix.shape)]
    square @ square
    began = time.perf_counter()
    square @ square
    rate = 2 * square.shape[0] ** 3 / (time.perf_counter() - began)
    config = scipy.show_config(mode="dicts")["Build Dependencies"]["blas"]
    report = {
        "gram": middle - start,
        "eigenvalues": done - middle,
        "product_rate": rate,
        "blas": f"scipy {scipy.__version__} with {config['name']} {config['version']}",
    }
    sys.stdout.write(json.dumps(report))


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        _child(Path(sys.argv[2]), sys.argv[3])
    else:
        main()
