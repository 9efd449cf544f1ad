"""Who does the work of a verb: this process alone, several others, or a Dask cluster. The options that say so."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import click

from tollens.core.work import MapFn, serial

F = TypeVar("F", bound=Callable[..., Any])
OPTIONS = (
    click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Worker processes."),
    click.option(
        "--workers",
        metavar="ADDRESS",
        help="A Dask cluster in place of --jobs: tcp://HOST:PORT or a scheduler file (needs the dask extra).",
    ),
    click.option(
        "--threads", type=click.IntRange(1), help="BLAS threads a worker. [default: cores/jobs; 1 with --workers]"
    ),
)


def worker_options(command: F) -> F:
    """The options --jobs, --workers and --threads, in this order."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def threads_each(asked: int | None, jobs: int, address: str | None) -> int:
    """BLAS threads of each worker: what was asked for, or the share of the cores of this machine; 1 on a cluster."""
    if asked is not None:
        return asked
    return 1 if address is not None else max(1, len(os.sched_getaffinity(0)) // jobs)


def workers(
    jobs: int, address: str | None = None, preload: tuple[str, ...] = ("tollens.run.layer",)
) -> AbstractContextManager[MapFn]:
    """The map that the work goes through. `preload` names what worker processes import before the first task.

    Raises: a usage error for both --jobs and --workers; those of `tollens.pool.cluster`.
    """
    if address is not None:
        if jobs != 1:
            raise click.UsageError("--jobs starts workers and --workers uses those that run; ask for one of them.")
        from tollens.pool.cluster import cluster  # brings Dask, half a second
        from tollens.run.machine import bits

        return cluster(address, bits)
    if jobs == 1:
        return nullcontext(serial)
    from tollens.pool.local import processes  # costs 0.02 s to import

    return processes(jobs, preload=(__name__, *preload))
