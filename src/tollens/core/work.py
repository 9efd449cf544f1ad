"""The type of the one map that work goes through."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class MapFn(Protocol):
    """`map_fn(function, tasks)` yields function(task) in the order of the tasks."""

    def __call__(self, function: Callable[[T], R], tasks: Iterable[T], /) -> Iterator[R]: ...


def serial(function: Callable[[T], R], tasks: Iterable[T], /) -> Iterator[R]:
    """One task after another in this process."""
    return map(function, tasks)
