"""A map over tasks on a Dask cluster that runs already.

Tasks name what to read and are small; a worker reads the weights itself. Each worker process is given one task at a
time, pinned to it, so that its death is the fault of that task alone and the limit on BLAS threads, which holds for
a whole process, belongs to that task alone.
"""

from __future__ import annotations

import gc
import logging
import socket
import threading
import time
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeAlias

import msgspec

from tollens.core.errors import Exit, TollensError
from tollens.core.extras import install_command
from tollens.core.work import MapFn
from tollens.pool.order import Died, Map, Outcome

Lines: TypeAlias = Mapping[str, str]
PAUSE = 1.0  # seconds between two looks at who is there
CONNECT = 10.0  # seconds for the scheduler to answer
PATIENCE = 60.0  # seconds without any worker, before the work is given up: a nanny takes a few to start one anew
SCHEMES = ("tcp://", "tls://", "ucx://", "ws://", "wss://")
_one_at_a_time = threading.Lock()


@contextmanager
def cluster(
    address: str, machine: Callable[[], Lines], *, connect: float = CONNECT, patience: float = PATIENCE
) -> Iterator[MapFn]:
    """A map over the workers of the Dask scheduler at `address`: a URL such as tcp://host:8786, or a scheduler file.

    `machine` tells what the bits of a result depend on besides the input. It is asked here and on every worker, and
    a worker that differs gets no work. Workers may come and go; a task whose worker dies is repeated on another.
    What is under way when the context ends is cancelled.

    Raises: `extra_missing`, `workers_unreachable` after `connect` seconds, `workers_gone` after `patience` seconds
    without a worker (here and in the map), `workers_differ` if a worker that is there differs.
    """
    distributed = _imported(address)
    import dask

    where = scheduler(address)
    with _quiet(), dask.config.set({"distributed.comm.timeouts.connect": f"{connect} s"}):
        client = _client(distributed, where, address, connect)
        crew = _Cluster(client, address, machine, patience)
        try:
            crew.meet()
            yield Map(crew)
        finally:
            crew.close()


def scheduler(address: str) -> str:
    """The URL of the scheduler: `address` itself, or what the scheduler file of that name holds.

    Raises: `workers_unreachable` for a file that is none.
    """
    if address.startswith(SCHEMES):
        return address
    try:
        found = msgspec.json.decode(Path(address).read_bytes())["address"]
        if isinstance(found, str):
            return found
        reason = "a scheduler file whose address is no text"
    except OSError as error:
        reason = f"no URL, and no such file: {error.strerror or error}"
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError):
        reason = "a file without the address of a scheduler"
    raise TollensError(
        "workers_unreachable",
        f"--workers {address}",
        expected="tcp://HOST:PORT, tls://HOST:PORT, or the file that dask scheduler --scheduler-file writes",
        found=reason,
        fix="Name the address that the scheduler prints when it starts.",
    )


def on_worker(function: Callable[[Any], Any], task: Any) -> Any:
    """function(task) in a worker, one at a time there; an error of ours names the host."""
    with _one_at_a_time:  # another scan may use the same workers
        try:
            return function(task)
        except TollensError as error:
            raise TollensError(
                error.code,
                error.subject,
                expected=error.expected,
                found=f"{error.found} (on worker host {socket.gethostname()})",
                fix=error.fix,
                exit_code=error.exit_code,
            ) from None


@dataclass(frozen=True, slots=True)
class _Handle:
    worker: str
    future: Any


class _Cluster:
    """The crew of `cluster`. A worker is known by its address."""

    together = False

    def __init__(self, client: Any, address: str, machine: Callable[[], Lines], patience: float) -> None:
        self._client, self._address, self._machine, self._patience = client, address, machine, patience
        self._here = machine()
        self._alike: dict[str, _Handle | None] = {}  # what each worker is at
        self._unlike: dict[str, str] = {}  # how each of the others differs
        self._heard: SimpleQueue[object] = SimpleQueue()
        self._looked = self._peopled = time.monotonic()
        self._name, self._tasks = f"tollens-{uuid.uuid4().hex}", 0

    def meet(self) -> None:
        """Wait for the first worker. Raises: `workers_differ` if any that is there differs, `workers_gone`."""
        self._look()
        while not self._alike and not self._unlike:
            time.sleep(PAUSE / 10)
            self._look()
        if self._unlike:
            raise self._differ()

    def size(self) -> int:
        return len(self._alike)

    def begin(self, function: Callable[[Any], Any], task: Any, /) -> _Handle | None:
        worker = next((w for w, at in self._alike.items() if at is None or at.future.done()), None)
        if worker is None:
            return None
        self._tasks += 1
        future = self._client.submit(
            on_worker,
            function,
            task,
            key=f"{self._name}-{self._tasks}",  # never a result of an earlier scan
            workers=[worker],
            allow_other_workers=False,
            pure=False,
        )
        future.add_done_callback(self._heard.put)
        handle = _Handle(worker, future)
        # The last one in the row is asked first for what is repeated: not the worker that just came back.
        del self._alike[worker]
        self._alike[worker] = handle
        return handle

    def outcome(self, handle: _Handle, /) -> Outcome:
        future = handle.future
        if future.status == "finished":
            try:
                result = future.result(timeout=CONNECT)
            except (OSError, TimeoutError):  # the worker died with the result in its hands, or is about to
                return self._gone(handle)
            future.release()
            return lambda: result
        if future.status == "error":
            error = future.exception()
            return Died(1 + error.allowed_failures) if _is_killed(error) else future.result
        if future.status in ("cancelled", "lost"):  # the scheduler was started anew
            return Died()
        return self._gone(handle)

    def _gone(self, handle: _Handle) -> Died | None:
        if self._alike.get(handle.worker) is handle:
            return None
        handle.future.cancel()
        return Died()

    def give_up(self, handle: _Handle, /) -> None:
        handle.future.cancel()

    def wait(self) -> None:
        try:
            self._heard.get(timeout=PAUSE)
            while True:
                self._heard.get_nowait()
        except Empty:
            pass
        if time.monotonic() - self._looked >= PAUSE:
            self._look()

    def close(self) -> None:
        busy = [at.future for at in self._alike.values() if at is not None and not at.future.done()]
        try:
            if busy:
                self._client.cancel(busy)
            self._client.close(timeout=2)
        except (OSError, TimeoutError):  # a scheduler that is gone has nothing left to cancel
            pass

    def _look(self) -> None:
        """Who is there now. Raises: `workers_gone`, `workers_differ` where nobody has been for too long."""
        try:
            there = set(self._client.nthreads())
        except (OSError, TimeoutError):
            there = set()
        for worker in [w for w in self._alike if w not in there]:
            del self._alike[worker]
        self._unlike = {w: why for w, why in self._unlike.items() if w in there}
        new = sorted(there - set(self._alike) - set(self._unlike))
        if new:
            for worker, found in self._asked(new).items():
                why = _difference(self._here, found)
                if why is None:
                    self._alike[worker] = None
                else:
                    self._unlike[worker] = why
        self._looked = time.monotonic()
        if self._alike:
            self._peopled = self._looked
        elif self._looked - self._peopled > self._patience:
            raise self._differ() if self._unlike else self._nobody()

    def _asked(self, workers: list[str]) -> dict[str, Any]:
        """What each worker answers: its lines, or the exception that it raised. Who died is left out."""
        try:
            found = self._client.run(self._machine, workers=workers, on_error="return")
        except (OSError, TimeoutError):
            return {}
        return {worker: said for worker, said in found.items() if not isinstance(said, (OSError, TimeoutError))}

    def _differ(self) -> TollensError:
        worker, why = next(iter(self._unlike.items()))
        others = f" ({len(self._unlike)} workers differ)" if len(self._unlike) > 1 else ""
        return TollensError(
            "workers_differ",
            f"worker {worker}",
            expected="the libraries that this process has, so that every worker gives the same bits",
            found=why + others,
            fix="Start the workers from this environment, or this command where the workers run.",
        )

    def _nobody(self) -> TollensError:
        return TollensError(
            "workers_gone",
            f"--workers {self._address}",
            expected="a worker within a minute" if self._patience == PATIENCE else f"one in {self._patience:g} s",
            found="none that is connected to the scheduler",
            fix="Start workers, and read their logs if they ended.",
            exit_code=Exit.INTERNAL,
        )


def _difference(here: Lines, there: Any) -> str | None:
    """In what a worker differs, or that it could not tell; None if it does not."""
    if isinstance(there, BaseException):
        return f"{type(there).__name__}: {there}" if not str(there).startswith("ModuleNotFound") else str(there)
    lines = [f"{name} {there.get(name)}, here {mine}" for name, mine in here.items() if there.get(name) != mine]
    lines += [f"{name} {theirs}, here none" for name, theirs in there.items() if name not in here]
    return "; ".join(lines) or None


def _is_killed(error: object) -> bool:
    from distributed.scheduler import KilledWorker

    return isinstance(error, KilledWorker)


def _imported(address: str) -> Any:
    try:
        import distributed
    except ModuleNotFoundError as error:
        raise TollensError(
            "extra_missing",
            f"--workers {address}",
            expected="the dask extra",
            found=f"no module {error.name}",
            fix=f"Install it: {install_command('dask')}",
        ) from None
    return distributed


def _client(distributed: Any, where: str, address: str, seconds: float) -> Any:
    """A client of the scheduler. Raises: `workers_unreachable`."""
    try:
        with warnings.catch_warnings():  # other versions of Dask are its own affair; what bits depend on is compared
            warnings.simplefilter("ignore", distributed.versions.VersionMismatchWarning)
            return distributed.Client(where, timeout=seconds, set_as_default=False)
    except (
        OSError,
        TimeoutError,
        ImportError,
        ValueError,
        TypeError,
    ) as error:  # ImportError: a scheme without library
        found = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    # The client that failed ends its thread when it is collected, and that waits for a lock which the next client
    # may hold by then: so now, when nobody holds it and the error that kept its frames is gone.
    gc.collect()
    raise _unreachable(address, found, seconds)


def _unreachable(address: str, found: str, seconds: float) -> TollensError:
    return TollensError(
        "workers_unreachable",
        f"--workers {address}",
        expected=f"a Dask scheduler that answers within {seconds:g} s",
        found=found,
        fix="Check that the scheduler runs, and that its host and port can be reached from here.",
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the log of Dask on stderr: what goes wrong is said by us, once."""
    names = [name for name in logging.root.manager.loggerDict if name.split(".")[0] in ("distributed", "tornado")]
    loggers = [logging.getLogger(name) for name in names]
    before = [one.disabled for one in loggers]
    for one in loggers:
        one.disabled = True
    try:
        yield
    finally:
        for one, was in zip(loggers, before, strict=True):
            one.disabled = was
