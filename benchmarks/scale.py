"""What a scan costs at the scale of one terabyte: seconds a layer, two Dask workers beside one, an extrapolation.

    python -m benchmarks.scale [--quick] [--price DOLLARS]

One thread a task, in float32. CPU seconds are given beside wall time: on a machine that others use too they are the
ones that stay. The work of a layer is N M^2 for its Gram matrix and 4/3 M^3 for the tridiagonal form, in flops; the
extrapolation divides the work of a large model by the rate that was measured on the largest square-like layer.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.inputs import checkpoint, single
from benchmarks.table import Line, show

TAIL = ((4096, 4096), (4096, 11008), (4096, 14336), (8192, 28672), (4096, 128256))
FULL = ((4096, 4096), (4096, 11008), (4096, 14336))
QUICK = ((256, 256), (256, 1024))
# A dense transformer of 4.06e11 parameters, (M, N) and how many: 126 blocks of width 16384, grouped queries.
LARGE = {
    (16384, 16384): 2 * 126,
    (1024, 16384): 2 * 126,
    (16384, 53248): 3 * 126,
    (16384, 128256): 2,
}
PARAMETERS = 5e11  # of one terabyte in bfloat16
SPEEDUP = 1.7


def flops(M: int, N: int) -> float:
    return float(N) * M * M + 4.0 / 3.0 * float(M) ** 3


@dataclass(frozen=True)
class Cost:
    """Of one matrix in a process of its own, without the start of it; memory in MB is the peak of the process."""

    wall: float
    cpu: float
    null_cpu: float
    peak: float
    start_peak: float


def cost(M: int, N: int, only: str | None) -> Cost:
    arguments = [str(single(M, N)), only or "full"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.scale", "--one", *arguments], check=True, capture_output=True, text=True
    )
    return Cost(**json.loads(done.stdout))


def _one(path: str, only: str) -> Cost:
    import resource

    from tollens.run.layer import LayerTask, ShapeTask, measure_layer, measure_shape
    from tollens.run.settings import ScanSettings
    from tollens.subject.checkpoint import open_checkpoint
    from tollens.subject.matrices import matrices

    settings = ScanSettings(only="tail" if only == "tail" else None, threads=1)
    (view,) = matrices(open_checkpoint(path)).matrices
    null, begin = None, time.process_time()
    if not settings.only:
        null = measure_shape(ShapeTask(min(view.shape), max(view.shape), settings))
    drawn = time.process_time() - begin
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    begin, wall = time.process_time(), time.perf_counter()
    measure_layer(LayerTask(view, 0, settings, 1, null))
    cpu, wall = time.process_time() - begin, time.perf_counter() - wall
    return Cost(wall, cpu, drawn, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, before)


@dataclass(frozen=True)
class Timed:
    """A function and how long each call took, measured where it runs."""

    function: Callable[[Any], Any]

    def __call__(self, task: Any) -> tuple[Any, float]:
        begin = time.perf_counter()
        result = self.function(task)
        return result, time.perf_counter() - begin


def together(folder: Path, workers: int) -> tuple[float, float]:
    """Seconds of a scan on so many local Dask workers, and the share of them that workers were at a task."""
    from distributed import LocalCluster

    from tollens.pool.cluster import cluster
    from tollens.run.machine import bits
    from tollens.run.scan import scan
    from tollens.run.settings import ScanSettings

    spent: list[float] = []
    with (
        LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None) as local,
        cluster(local.scheduler_address, bits) as inner,
    ):

        def mapped(function: Any, tasks: Iterable[Any], /, lost: Any = None) -> Iterator[Any]:
            for result, seconds in inner(Timed(function), tasks):
                spent.append(seconds)
                yield result

        settings = ScanSettings(threads=1, null_draws=0)
        scan(folder / "model.safetensors", settings, map_fn=mapped)  # imports and tables, once a worker
        spent.clear()
        begin = time.perf_counter()
        scan(folder / "model.safetensors", settings, map_fn=mapped)
        wall = time.perf_counter() - begin
    return wall, sum(spent) / (workers * wall)


def extrapolation(rate: float, full: float, price: float) -> list[Line]:
    """The lines for one terabyte, from flop/s of a core and the cost of all readings over that of the tail."""
    parameters = sum(M * N * count for (M, N), count in LARGE.items())
    work = sum(flops(M, N) * count for (M, N), count in LARGE.items()) * PARAMETERS / parameters
    hours = work / rate / 3600
    M, N = 16384, 53248
    return [
        Line(
            "work of 1 TB in bfloat16, extrapolated",
            "-",
            f"{work:.3g} flop",
            None,
            f"sum of N M^2 + 4/3 M^3 over a model of {parameters:.3g} parameters, times {PARAMETERS / parameters:.3f}",
        ),
        Line(
            "--only tail",
            "-",
            f"{hours:.0f} core-hours, {hours * price:.2f} dollars",
            None,
            f"{work:.3g} flop / {rate / 1e9:.1f} Gflop/s; {price} dollars a core-hour assumed",
        ),
        Line(
            "all readings, cleared by the screen",
            "-",
            f"{hours * full:.0f} core-hours, {hours * full * price:.2f} dollars",
            None,
            f"{full:.2f} times the tail",
        ),
        Line(
            f"longest task, {M}x{N}, one core, --only tail",
            "-",
            f"{flops(M, N) / rate / 60:.0f} min",
            None,
            f"{flops(M, N):.3g} flop; what no number of workers shortens, --threads does",
        ),
        Line(
            "read over the network", "-", "1 TB by the workers, 1 TB by the client", None, "the client's is the digest"
        ),
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="small layers")
    parser.add_argument("--price", type=float, default=0.05, help="dollars a core-hour")
    parser.add_argument("--part", choices=["layers", "workers"], help="one half of it")
    parser.add_argument("--one", nargs=2, metavar=("PATH", "ONLY"), help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.one:
        print(json.dumps(_one(*given.one).__dict__, allow_nan=False))
        return
    if given.part != "workers":
        _layers(given.quick, given.price)
    if given.part != "layers":
        _workers(given.quick)


def _layers(quick: bool, price: float) -> None:
    lines, tails, fulls = [], {}, {}
    for only, shapes in (("tail", QUICK if quick else TAIL), (None, QUICK if quick else FULL)):
        for M, N in shapes:
            found = cost(M, N, only)
            (tails if only else fulls)[M, N] = found
            null = "" if only else f"; its null, once a shape: {found.null_cpu:.1f} s cpu"
            lines.append(
                Line(
                    f"{M}x{N} {'--only tail' if only else 'all readings'}",
                    "-",
                    f"{found.cpu:.1f} s cpu",
                    None,
                    f"{found.wall:.1f} s wall, {flops(M, N) / found.cpu / 1e9:.1f} Gflop/s, peak {found.peak:.0f} MB "
                    f"({4 * M * N / 1e6:.0f} MB are the matrix){null}",
                )
            )
    slowest = min(flops(*shape) / found.cpu for shape, found in tails.items() if shape[1] < 8 * shape[0])
    shape = max(fulls, key=lambda shape: flops(*shape))
    lines += extrapolation(slowest, fulls[shape].cpu / tails[shape].cpu, price)
    show("scale: one layer and one terabyte", lines, ["one thread, float32, Gaussian matrices, which need no shuffle"])


def _workers(quick: bool) -> None:
    folder = checkpoint(4, 128, 256) if quick else checkpoint(48, 1024, 4096)
    one, _ = together(folder, 1)
    two, busy = together(folder, 2)
    lines = [
        Line("one worker", "-", f"{one:.1f} s", None),
        Line(
            "two workers",
            f">= {SPEEDUP} times",
            f"{one / two:.2f} times",
            None if quick else one / two >= SPEEDUP,
            f"{two:.1f} s; the workers were at a task {busy:.1%} of the time",
        ),
    ]
    show("scale workers: local Dask workers of one thread", lines, [f"{folder.name}, all readings, no null"])


if __name__ == "__main__":
    main()
