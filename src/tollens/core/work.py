"""The type of the one map that work goes through."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class MapFn(Protocol):
    """`map_fn(function, tasks)` yields function(task) in the order of the tasks.

    A task whose worker dies is repeated. Where no worker survives it, `lost(task)` stands in place of its result;
    without `lost` the map raises `worker_died`.
    """

    def __call__(
        self, function: Callable[[T], R], tasks: Iterable[T], /, lost: Callable[[T], R] | None = None
    ) -> Iterator[R]: ...


def serial(function: Callable[[T], R], tasks: Iterable[T], /, lost: Callable[[T], R] | None = None) -> Iterator[R]:
    """One task after another in this process, which has no worker to lose."""
    return map(function, tasks)


def repeated(map_fn: MapFn) -> int:
    """How many tasks this map has begun again so far because their worker died; 0 where it keeps no count."""
    count: int = getattr(map_fn, "repeated", 0)
    return count
