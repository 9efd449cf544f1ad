"""A map over tasks in several processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from queue import Empty, SimpleQueue
from typing import Any

from tollens.core.errors import Exit, TollensError
from tollens.core.work import MapFn
from tollens.pool.order import RETRIES, Died, Map, Outcome

PAUSE = 1.0  # seconds between two looks where nothing is heard


@contextmanager
def processes(jobs: int, preload: Sequence[str] = ()) -> Iterator[MapFn]:
    """A map over `jobs` worker processes, which live until the context ends and are killed where it ends in an error.

    Importing starts at once and beside the caller's own: the modules named in `preload` are imported one time, in
    the process that the workers are forked from, and which the first pool of a process starts for all. A worker
    that the system ends is replaced.

    Raises: ValueError if `jobs` < 1; the map raises `worker_died` where no worker can be started.
    """
    if jobs < 1:
        raise ValueError(f"jobs is at least 1; found {jobs}")
    _start_server(preload)
    # forkserver: a fork of a process with BLAS threads may deadlock. Importing starts no BLAS thread that a fork
    # could cut off: OpenBLAS ends its own before every fork, and OpenMP starts none before the first large product.
    context = multiprocessing.get_context("forkserver")
    theirs, ours = context.Pipe(duplex=False)
    crew = _Processes(jobs, context, theirs)
    try:
        yield Map(crew)
    except BaseException:
        ours.close()  # ends the workers now: nobody waits for what they are at
        raise
    finally:
        crew.close()
        ours.close()
        theirs.close()


class _Worker:
    """One process: an executor of its own, which breaks alone. It is started beside us, and `started` tells how."""

    def __init__(self, executor: ProcessPoolExecutor, started: Future[Future[int]]) -> None:
        self.executor = executor
        self.started = started
        self.running: Future[Any] | None = None


class _Processes:
    """The crew of `processes`."""

    together = True

    def __init__(self, jobs: int, context: BaseContext, parent: Connection) -> None:
        self._context, self._parent = context, parent
        # Workers start in a thread, which Ctrl-C does not reach: one whose start is cut off would not be waited for.
        self._beside = ThreadPoolExecutor(1)
        self._heard: SimpleQueue[object] = SimpleQueue()
        self._stillborn = 0
        self._workers = [self._start() for _ in range(jobs)]

    def size(self) -> int:
        return len(self._workers)

    def begin(self, function: Callable[[Any], Any], task: Any, /) -> Future[Any] | None:
        for at, worker in enumerate(self._workers):
            if not self._ready(at) or (worker.running is not None and not worker.running.done()):
                continue
            try:
                worker.running = worker.executor.submit(function, task)
            except BrokenProcessPool:  # it died while it had nothing to do
                self._replace(at)
                continue
            worker.running.add_done_callback(self._heard.put)
            return worker.running
        return None

    def outcome(self, handle: Future[Any], /) -> Outcome:
        if not handle.done():
            return None
        return Died() if isinstance(handle.exception(), BrokenProcessPool) else handle.result

    def give_up(self, handle: Future[Any], /) -> None:
        handle.cancel()

    def wait(self) -> None:
        try:
            self._heard.get(timeout=PAUSE)
            while True:
                self._heard.get_nowait()
        except Empty:
            pass

    def close(self) -> None:
        self._beside.shutdown()
        for worker in self._workers:
            worker.executor.shutdown(cancel_futures=True)

    def _ready(self, at: int) -> bool:
        """Whether the worker has come up. Raises: what starting it raised; `worker_died` where none comes up."""
        started = self._workers[at].started
        if not started.done() or not (first := started.result()).done():
            return False
        if isinstance(first.exception(), BrokenProcessPool):
            self._stillborn += 1
            if self._stillborn > RETRIES * len(self._workers):
                raise _none_starts(len(self._workers))
            self._replace(at)
            return False
        self._stillborn = 0
        return True

    def _start(self) -> _Worker:
        executor = ProcessPoolExecutor(1, mp_context=self._context, initializer=_begin, initargs=(self._parent,))
        started = self._beside.submit(executor.submit, int)
        started.add_done_callback(self._listen)
        return _Worker(executor, started)

    def _listen(self, started: Future[Future[int]]) -> None:
        if started.cancelled() or started.exception() is not None:
            self._heard.put(started)
        else:
            started.result().add_done_callback(self._heard.put)

    def _replace(self, at: int) -> None:
        self._beside.submit(self._workers[at].executor.shutdown)
        self._workers[at] = self._start()


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


def _none_starts(jobs: int) -> TollensError:
    return TollensError(
        "worker_died",
        f"{jobs} worker processes",
        expected="processes that begin to work",
        found="processes that the system ends before their first task",
        fix="Give more memory, or fewer --jobs.",
        exit_code=Exit.INTERNAL,
    )
