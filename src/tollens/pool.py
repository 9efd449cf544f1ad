"""Where work runs: a map over tasks in several processes. Results keep the order of the tasks."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection

from tollens.core.errors import Exit, TollensError
from tollens.core.work import MapFn, R, T

AHEAD = 8  # tasks a worker handed out and not yet answered for; one large matrix must not hold up the others


@contextmanager
def processes(jobs: int, preload: Sequence[str] = ()) -> Iterator[MapFn]:
    """A map over `jobs` worker processes, which live until the context ends and are killed where it ends in an error.

    Importing starts at once and beside the caller's own: the modules named in `preload` are imported one time, in
    the process that the workers are forked from, and which the first pool of a process starts for all. At most
    `AHEAD` tasks a worker are taken ahead of the reader.

    The map raises what a task raised, and `worker_died` if the system ended a worker.
    Raises: ValueError if `jobs` < 1.
    """
    if jobs < 1:
        raise ValueError(f"jobs is at least 1; found {jobs}")
    _start_server(preload)
    # forkserver: a fork of a process with BLAS threads may deadlock. Importing starts no BLAS thread that a fork
    # could cut off: OpenBLAS ends its own before every fork, and OpenMP starts none before the first large product.
    context = multiprocessing.get_context("forkserver")
    theirs, ours = context.Pipe(duplex=False)
    executor = ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin, initargs=(theirs,))
    # Workers start in a thread, which Ctrl-C does not reach: one whose start is cut off would not be waited for.
    beside = ThreadPoolExecutor(1)
    beside.submit(executor.submit, int)

    def mapped(function: Callable[[T], R], tasks: Iterable[T], /) -> Iterator[R]:
        waiting: deque[Future[R]] = deque()
        try:
            for task in tasks:
                waiting.append(executor.submit(function, task))
                if len(waiting) >= AHEAD * jobs:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool:
            raise _died(jobs) from None
        except GeneratorExit:  # the reader wants no more of this call
            for future in waiting:
                future.cancel()
            raise

    try:
        yield mapped
    except BaseException:
        ours.close()  # ends the workers now: nobody waits for what they are at
        raise
    finally:
        beside.shutdown()
        executor.shutdown(cancel_futures=True)
        ours.close()
        theirs.close()


def _start_server(preload: Sequence[str]) -> None:
    """Start the process that workers are forked from, unless it runs; it imports while this one goes on."""
    forkserver.set_forkserver_preload(list(preload))
    found = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = "1"  # the current folder may be a stranger's checkpoint with modules in it
    try:
        resource_tracker.ensure_running()  # first, since starting it unblocks the interrupt
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # Ctrl-C amid its imports: a traceback
        try:
            forkserver.ensure_running()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    finally:
        if found is None:
            del os.environ["PYTHONSAFEPATH"]
        else:
            os.environ["PYTHONSAFEPATH"] = found


def _begin(parent: Connection) -> None:
    """Make this worker end without a word on Ctrl-C, which reaches the whole process group, and with its parent."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: Connection) -> None:
    parent.poll(None)  # nothing is ever sent: it returns when the other end is closed
    os._exit(1)


def _died(jobs: int) -> TollensError:
    return TollensError(
        "worker_died",
        f"one of {jobs} worker processes",
        expected="an answer to every task",
        found="a worker that the system ended, most often for lack of memory",
        fix="Give more memory, or fewer --jobs.",
        exit_code=Exit.INTERNAL,
    )
