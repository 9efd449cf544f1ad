"""One matrix along a series: what is between its checkpoints, read in one pass over them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tollens.core.reading import Undefined
from tollens.core.seeding import generator
from tollens.instrument.movement import distance, stable_rank_of
from tollens.run.layer import ONE_THREAD_SIDE, blas_threads
from tollens.subject.matrices import MatrixView

Array = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class PathTask:
    """What a worker needs for one matrix: its views by step, read by the worker."""

    views: tuple[MatrixView, ...]
    seed: int
    threads: int = 1


@dataclass(frozen=True, slots=True)
class Path:
    """By step (T,): ||theta_t - theta_0||_F, ||theta_t - theta_{t-1}||_F in weight, stable rank of theta_t - theta_0.

    UNDEFINED `nonfinite` where a checkpoint that it needs is not finite, `no_movement` where there is none to have a
    rank, `first_checkpoint` where nothing comes before, `scale_out_of_range`.
    """

    distance: list[float | Undefined] = field(default_factory=list)
    speed: list[float | Undefined] = field(default_factory=list)
    delta_stable_rank: list[float | Undefined] = field(default_factory=list)


def lost_path(task: PathTask) -> Path:
    """The path of a matrix whose workers died, each of them."""
    lost: list[float | Undefined] = [Undefined("worker_died")] * len(task.views)
    return Path(lost, lost, lost)


def measure_path(task: PathTask) -> Path:
    """Three matrices live at a time: two checkpoints, and a third or a difference."""
    path = Path()
    first: Array | None = None
    before: Array | None = None
    with blas_threads(task.threads if min(task.views[0].shape) >= ONE_THREAD_SIDE else 1):
        for place, view in enumerate(task.views):
            with view.nearby() as near:
                loaded = near.load(np.float64 if view.dtype == "F64" else np.float32)
            now: Array | None = loaded if np.isfinite(loaded).all() else None
            if place == 0:
                first = now
                path.distance.append(0.0 if now is not None else Undefined("nonfinite"))
                path.speed.append(Undefined("first_checkpoint"))
                path.delta_stable_rank.append(Undefined("first_checkpoint"))
            else:
                path.distance.append(_length(now, first))
                path.speed.append(_length(now, before))
                before = None  # its place is taken by the difference
                rng = generator(task.seed, "movement", f"{view.name} {place}")
                path.delta_stable_rank.append(_rank(now, first, rng, task.threads))
            before = now
    return path


def _length(one: Array | None, other: Array | None) -> float | Undefined:
    if one is None or other is None:
        return Undefined("nonfinite")
    found = distance(one, other)
    return found if math.isfinite(found) else Undefined("scale_out_of_range")


def _rank(one: Array | None, other: Array | None, rng: np.random.Generator, threads: int) -> float | Undefined:
    if one is None or other is None:
        return Undefined("nonfinite")
    with np.errstate(over="ignore"):
        difference = one - other
    return stable_rank_of(difference, rng, threads)
