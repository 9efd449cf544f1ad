"""The digests of checkpoints, taken beside the work and given up with it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from tollens.subject.checkpoint import Checkpoint


@contextmanager
def hashing() -> Iterator[Callable[[Checkpoint], Future[str]]]:
    """A function that starts the digest of a checkpoint on a thread; it is there when the context has ended.

    Where an error or an interrupt ends the context, hashing stops within a piece of the file and is not waited for.
    Hashing releases the interpreter lock and needs no worker.
    """
    stop = threading.Event()
    beside = ThreadPoolExecutor(1)
    finished = False
    try:
        yield lambda checkpoint: beside.submit(checkpoint.digest, stop)
        beside.shutdown()  # an interrupt may come here too
        finished = True
    finally:
        if not finished:
            stop.set()
        beside.shutdown(cancel_futures=True)
