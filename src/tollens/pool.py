"""Where work runs: a map over tasks in several processes. Results keep the order of the tasks."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor

from tollens.core.work import MapFn, R, T, serial


def processes(jobs: int) -> MapFn:
    """A map over `jobs` >= 1 worker processes, at most two tasks a worker in flight so that memory stays bounded."""
    if jobs < 1:
        raise ValueError(f"jobs is at least 1; found {jobs}")
    if jobs == 1:
        return serial

    def mapped(function: Callable[[T], R], tasks: Iterable[T], /) -> Iterator[R]:
        # forkserver: a fork of a process with BLAS threads may deadlock
        context = multiprocessing.get_context("forkserver")
        with ProcessPoolExecutor(jobs, mp_context=context) as executor:
            waiting: deque[Future[R]] = deque()
            try:
                for task in tasks:
                    waiting.append(executor.submit(function, task))
                    if len(waiting) >= 2 * jobs:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()

    return mapped
