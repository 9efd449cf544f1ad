"""Where work runs: a map over tasks in several processes. Results keep the order of the tasks."""

from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from tollens.core.errors import Exit, TollensError
from tollens.core.work import MapFn, R, T, serial


def processes(jobs: int) -> MapFn:
    """A map over `jobs` >= 1 worker processes, at most two tasks a worker in flight so that memory stays bounded.

    The map raises what a task raised, and `worker_died` if the system ended a worker.
    Raises: ValueError if `jobs` < 1.
    """
    if jobs < 1:
        raise ValueError(f"jobs is at least 1; found {jobs}")
    if jobs == 1:
        return serial

    def mapped(function: Callable[[T], R], tasks: Iterable[T], /) -> Iterator[R]:
        # forkserver: a fork of a process with BLAS threads may deadlock
        context = multiprocessing.get_context("forkserver")
        waiting: deque[Future[R]] = deque()
        with ProcessPoolExecutor(jobs, mp_context=context, initializer=_die_quietly) as executor:
            try:
                for task in tasks:
                    waiting.append(executor.submit(function, task))
                    if len(waiting) >= 2 * jobs:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            except BrokenProcessPool:
                raise _died(jobs) from None
            finally:
                for future in waiting:
                    future.cancel()

    return mapped


def _die_quietly() -> None:
    """Ctrl-C reaches the whole process group; a worker that is told so ends without a traceback of its own."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _died(jobs: int) -> TollensError:
    return TollensError(
        "worker_died",
        f"one of {jobs} worker processes",
        expected="an answer to every task",
        found="a worker that the system ended, most often for lack of memory",
        fix="Give more memory, or fewer --jobs.",
        exit_code=Exit.INTERNAL,
    )
