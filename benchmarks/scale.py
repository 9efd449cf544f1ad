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
UNCONTENDED = 0.9  # of the time of a task, the share that it had a core
TRAPPED = "student3"


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


def cost(M: int, N: int, only: str | None, law: str = "gaussian") -> Cost:
    arguments = [str(single(M, N, law)), only or "full"]
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
    """A function, and how long each call took where it ran: seconds by the clock, seconds of the processor."""

    function: Callable[[Any], Any]

    def __call__(self, task: Any) -> tuple[Any, float, float]:
        begin, used = time.perf_counter(), time.process_time()
        result = self.function(task)
        return result, time.perf_counter() - begin, time.process_time() - used


def together(folder: Path, workers: int) -> tuple[float, float, float]:
    """A scan on so many local Dask workers: its seconds, how many workers were at a task on average, their CPU seconds.

    The second does not depend on who else uses the machine.
    """
    from distributed import LocalCluster

    from tollens.pool.cluster import cluster
    from tollens.run.machine import bits
    from tollens.run.scan import scan
    from tollens.run.settings import ScanSettings

    spent: list[float] = []
    busy: list[float] = []
    with (
        LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=":0") as local,
        cluster(local.scheduler_address, bits) as inner,
    ):

        def mapped(function: Any, tasks: Iterable[Any], /, lost: Any = None) -> Iterator[Any]:
            for result, seconds, cpu in inner(Timed(function), tasks):
                busy.append(seconds)
                spent.append(cpu)
                yield result

        settings = ScanSettings(threads=1, null_draws=0)
        warm = ScanSettings(threads=1, null_draws=0, layers="layers.[0-3].weight")
        scan(folder / "model.safetensors", warm, map_fn=mapped)  # imports and tables, once a worker
        spent.clear()
        busy.clear()
        begin = time.perf_counter()
        scan(folder / "model.safetensors", settings, map_fn=mapped)
        wall = time.perf_counter() - begin
    return wall, sum(busy) / wall, sum(spent)


def extrapolation(rate: float, full: float, dearest: float, price: float) -> list[Line]:
    """The lines for one terabyte, from flop/s of a core and the cost of all readings over that of the tail: of a layer
    that the screen clears, and of one with traps."""
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
            "all readings, traps in every layer",
            "-",
            f"{hours * dearest:.0f} core-hours, {hours * dearest * price:.2f} dollars",
            None,
            f"{dearest:.2f} times the tail",
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
    M, N = QUICK[0] if quick else FULL[0]
    trapped = cost(M, N, None, TRAPPED)
    dearest = trapped.cpu / tails[M, N].cpu
    lines.append(
        Line(
            f"{M}x{N} all readings, with traps",
            "-",
            f"{trapped.cpu:.1f} s cpu",
            None,
            f"{trapped.wall:.1f} s wall, peak {trapped.peak:.0f} MB; elements of Student's t with 3 degrees of freedom",
        )
    )
    slowest = min(flops(*shape) / found.cpu for shape, found in tails.items() if shape[1] < 8 * shape[0])
    shape = max(fulls, key=lambda shape: flops(*shape))
    lines += extrapolation(slowest, fulls[shape].cpu / tails[shape].cpu, dearest, price)
    show("scale: one layer and one terabyte", lines, ["one thread, float32, Gaussian matrices, which need no shuffle"])


def _workers(quick: bool) -> None:
    folder = checkpoint(4, 128, 256) if quick else checkpoint(24, 2048, 4096)
    lines, walls, own = [], {}, 1.0
    for workers in (1, 2):
        walls[workers], busy, cpu = together(folder, workers)
        own = min(own, cpu / (busy * walls[workers]))
        lines.append(
            Line(
                f"{workers} worker{'s' if workers > 1 else ''}",
                "-",
                f"{walls[workers]:.1f} s",
                None,
                f"{cpu:.1f} s cpu; {busy:.2f} workers at a task on average",
            )
        )
    ratio = walls[1] / walls[2]
    contended = own < UNCONTENDED
    met = None if quick or contended else ratio >= SPEEDUP
    detail = f"contended, not judged: tasks had {own:.0%} of a core" if contended else ""
    lines.append(Line("two workers against one", f">= {SPEEDUP} times", f"{ratio:.2f} times", met, detail))
    show("scale workers: local Dask workers of one thread", lines, [f"{folder.name}, all readings, no null"])


if __name__ == "__main__":
    main()
