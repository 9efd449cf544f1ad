"""The map over a Dask cluster: real schedulers and workers, killed for real."""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import distributed
import msgspec
import numpy as np
import pytest
from distributed.protocol.pickle import dumps
from safetensors.numpy import save_file
from tests.dask_cluster import DaskCluster, dask_cluster, happens

from tollens.core.errors import Exit, TollensError
from tollens.core.work import MapFn, repeated, serial
from tollens.pool.cluster import PATIENCE, cluster, on_worker, scheduler
from tollens.pool.local import processes
from tollens.pool.order import AHEAD, RETRIES
from tollens.run.machine import bits
from tollens.run.scan import scan
from tollens.run.settings import ScanSettings


def same() -> dict[str, str]:
    return {"tollens": "0"}


@dataclass(frozen=True)
class Elsewhere:
    """Another machine to all but one process."""

    home: int

    def __call__(self) -> dict[str, str]:
        return {"numpy": "1.0" if os.getpid() == self.home else "2.0", "scipy": "3"}


def slow_square(x: int) -> int:
    time.sleep(0.05 if x % 2 == 0 else 0.0)
    return x * x


def refuse(x: int) -> int:
    if x == 3:
        raise TollensError("path_missing", "m", expected="a", found="nothing", fix="c.", exit_code=Exit.BLOCKED)
    if x == 5:
        raise ZeroDivisionError("five")
    return x


def process_id(x: int) -> int:
    time.sleep(0.02)
    return os.getpid()


def negative(x: int) -> int:
    return -x


def interrupted(after: int) -> Iterator[int]:
    yield from range(after)
    raise KeyboardInterrupt


@dataclass(frozen=True)
class Mark:
    """Leaves a file with its process when it begins, and another at its end."""

    folder: Path
    seconds: float = 0.05

    def __call__(self, x: int) -> int:
        (self.folder / f"{x}-{os.getpid()}-{time.monotonic_ns()}").touch()
        time.sleep(self.seconds)
        return x


@dataclass(frozen=True)
class Killer:
    """Task 2 kills its worker so many times; each leaves a mark."""

    marks: Path
    times: int

    def __call__(self, x: int) -> int:
        before = len(list(self.marks.iterdir()))
        if x == 2 and before < self.times:
            (self.marks / str(before)).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.02)
        return x


@pytest.fixture(scope="module")
def dask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    """Two workers of one thread, which come back when they are killed."""
    with dask_cluster(tmp_path_factory.mktemp("dask"), "--nworkers", "2", "--nthreads", "1") as made:
        wait_for(made, 2)
        yield made


def wait_for(dask: DaskCluster, workers: int) -> None:
    with distributed.Client(dask.address, set_as_default=False) as client:
        client.wait_for_workers(workers, timeout=30)


@contextmanager
def connected(dask: DaskCluster) -> Iterator[MapFn]:
    with cluster(dask.address, same) as mapped:
        yield mapped


def keys(dask: DaskCluster) -> list[str]:
    with distributed.Client(dask.address, set_as_default=False) as client:
        found: list[str] = client.run_on_scheduler(lambda dask_scheduler: list(dask_scheduler.tasks))
        return found


def test_results_come_in_the_order_of_the_tasks_from_other_processes(dask: DaskCluster) -> None:
    with connected(dask) as mapped:
        assert list(mapped(slow_square, range(9))) == [x * x for x in range(9)]
        assert list(mapped(slow_square, [])) == []
        found = set(mapped(process_id, range(8)))
        assert len(found) == 2
        assert os.getpid() not in found
        assert repeated(mapped) == 0


def test_the_same_work_is_done_again_and_one_task_at_a_time(dask: DaskCluster, tmp_path: Path) -> None:
    for call in (1, 2):
        with connected(dask) as mapped:
            assert list(mapped(Mark(tmp_path), range(6))) == list(range(6))
        assert len(list(tmp_path.iterdir())) == call * 6
    begun: dict[str, list[int]] = {}
    for one in tmp_path.iterdir():
        _, process, at = one.name.split("-")
        begun.setdefault(process, []).append(int(at))
    assert min(b - a for times in begun.values() for a, b in pairwise(sorted(times))) >= 0.05e9


def test_a_worker_of_several_threads_does_one_task_at_a_time_whoever_asks(tmp_path: Path) -> None:
    """The limit on BLAS threads belongs to the process, and two scans may share a worker."""
    mark = Mark(tmp_path)
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(lambda x: on_worker(mark, x), range(4))) == [0, 1, 2, 3]
    begun = sorted(int(one.name.split("-")[2]) for one in tmp_path.iterdir())
    assert min(b - a for a, b in pairwise(begun)) >= 0.05e9


def test_only_so_many_tasks_are_taken_ahead_and_what_is_given_up_is_cancelled(
    dask: DaskCluster, tmp_path: Path
) -> None:
    taken = []

    def tasks() -> Iterator[int]:
        for x in range(100):
            taken.append(x)
            yield x

    with connected(dask) as mapped:
        results = mapped(Mark(tmp_path), tasks())
        assert [next(results), next(results)] == [0, 1]
        assert len(taken) == 2 * AHEAD + 1
        results.close()  # type: ignore[attr-defined]
        assert list(mapped(slow_square, [3])) == [9]
        assert len(list(tmp_path.iterdir())) <= 6
    with pytest.raises(KeyboardInterrupt), connected(dask) as mapped:
        list(mapped(Mark(tmp_path), interrupted(40)))
    happens(lambda: keys(dask) == [], 5)


def test_an_error_of_ours_names_the_host_and_another_arrives_as_it_is(dask: DaskCluster) -> None:
    with connected(dask) as mapped:
        results = mapped(refuse, range(5))
        assert [next(results) for _ in range(3)] == [0, 1, 2]
        with pytest.raises(TollensError) as caught:
            next(results)
        with pytest.raises(ZeroDivisionError, match="five"):
            list(mapped(refuse, [5]))
    assert (caught.value.code, caught.value.exit_code) == ("path_missing", Exit.BLOCKED)
    assert caught.value.found == f"nothing (on worker host {socket.gethostname()})"


def test_a_worker_that_is_killed_in_the_middle_loses_nothing(dask: DaskCluster) -> None:
    with connected(dask) as mapped:
        results = mapped(process_id, range(60))
        victim = next(results)
        os.kill(victim, signal.SIGKILL)
        rest = list(results)
        assert len(rest) == 59
        assert repeated(mapped) <= 1
        assert len(set(rest) - {victim}) >= 1


def test_what_kills_workers_at_first_is_repeated(dask: DaskCluster, tmp_path: Path) -> None:
    with connected(dask) as mapped:
        assert list(mapped(Killer(tmp_path, times=RETRIES), range(20))) == list(range(20))
        assert repeated(mapped) == 1


def test_what_kills_every_worker_is_lost_and_the_others_are_not_blamed(dask: DaskCluster, tmp_path: Path) -> None:
    with connected(dask) as mapped:
        assert list(mapped(Killer(tmp_path, times=99), range(20), lost=negative)) == [0, 1, -2, *range(3, 20)]
        assert len(list(tmp_path.iterdir())) == 1 + RETRIES


def test_workers_that_differ_are_refused_before_any_work(dask: DaskCluster) -> None:
    with pytest.raises(TollensError) as caught, cluster(dask.address, Elsewhere(os.getpid())):
        pytest.fail("work may begin")
    assert (caught.value.code, caught.value.found) == ("workers_differ", "numpy 2.0, here 1.0 (2 workers differ)")


def test_a_worker_without_our_package_is_named(
    dask: DaskCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "only_here.py").write_text("def machine():\n    return {}\n")
    monkeypatch.syspath_prepend(tmp_path)
    import only_here  # type: ignore[import-not-found]

    with pytest.raises(TollensError) as caught, cluster(dask.address, only_here.machine):
        pytest.fail("work may begin")
    assert caught.value.code == "workers_differ"
    assert "No module named 'only_here'" in caught.value.found
    assert caught.value.subject.startswith("worker tcp://127.0.0.1:")


@pytest.mark.parametrize("content", [None, b"", b"[]", b'{"address": 1}', b"\xff"])
def test_what_is_no_scheduler_file_is_named(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "scheduler.json"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(TollensError, match="workers_unreachable"):
        scheduler(str(file))


def test_a_scheduler_file_gives_its_address(dask: DaskCluster) -> None:
    assert scheduler(str(dask.file)) == dask.address
    assert scheduler("tls://host:1") == "tls://host:1"


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:{}", "tls://127.0.0.1:{}", "ucx://127.0.0.1:{}"])
def test_nobody_at_the_address_is_said_in_time(address: str, capfd) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and nobody listens
        begin = time.monotonic()
        there = address.format(taken.getsockname()[1])
        with pytest.raises(TollensError) as caught, cluster(there, same, connect=0.5):
            pytest.fail("work may begin")
    assert caught.value.code == "workers_unreachable"
    assert time.monotonic() - begin < 5
    # One that is collected later, amid the start of the next, waits for a lock that its own thread holds.
    assert [c for c in gc.get_objects() if type(c) is distributed.Client and c.status != "closed"] == []
    assert capfd.readouterr().err == ""


def test_without_the_extra_its_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(TollensError, match=r"extra_missing.*pip install 'tollens\[dask\]'"), cluster("tcp://x:1", same):
        pytest.fail("work may begin")


def test_workers_that_are_gone_for_good_are_an_error(tmp_path: Path, capfd) -> None:
    """None from the start; all of them killed; the scheduler killed."""
    with dask_cluster(tmp_path) as made:
        with pytest.raises(TollensError, match="workers_gone"), cluster(made.address, same, patience=0.3):
            pytest.fail("work may begin")
        for victim in ("worker", "scheduler"):
            worker = made.worker("--no-nanny", "--nthreads", "1")
            wait_for(made, 1)
            with cluster(made.address, same, connect=1, patience=1) as mapped:
                results = mapped(process_id, range(1000))
                next(results)
                (worker if victim == "worker" else made.scheduler).kill()
                with pytest.raises(TollensError) as caught:
                    list(results)
            assert (caught.value.code, caught.value.exit_code) == ("workers_gone", Exit.INTERNAL)
    assert PATIENCE <= 60
    assert capfd.readouterr().err == ""


def checkpoint(folder: Path) -> Path:
    """Layers with and without traps, one of them above the side from which BLAS threads are used."""
    rng = np.random.default_rng(7)
    tensors = {f"layers.{i}.weight": rng.standard_normal((48, 64)) for i in range(3)}
    tensors["heavy.weight"] = rng.standard_t(2.5, (64, 48))
    tensors["xlarge.weight"] = rng.standard_normal((1030, 1040))
    save_file({name: t.astype(np.float32) for name, t in tensors.items()}, folder / "m.safetensors")
    return folder / "m.safetensors"


FULL = ScanSettings(bootstrap=20, null_draws=4, shuffles=2, layers="[!x]*")
TWO_THREADS = ScanSettings(only="tail", threads=2)


@pytest.mark.parametrize("settings", [FULL, TWO_THREADS], ids=["full", "two threads"])
def test_a_scan_gives_the_same_bytes_in_one_process_in_two_and_on_a_cluster(
    dask: DaskCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: ScanSettings
) -> None:
    """The path is relative, and the workers stand in another folder."""
    monkeypatch.chdir(checkpoint(tmp_path).parent)
    expected = msgspec.json.encode(scan("m.safetensors", settings))
    with processes(2) as mapped:
        assert msgspec.json.encode(scan("m.safetensors", settings, map_fn=mapped)) == expected
    with cluster(dask.address, bits) as mapped:
        assert msgspec.json.encode(scan("m.safetensors", settings, map_fn=mapped)) == expected


def test_a_task_is_sent_in_kilobytes(tmp_path: Path) -> None:
    """4.3 MB of weights lie in the file; a task has the name, the place and the null of its shape."""
    sent: list[int] = []

    def measured(function: Any, tasks: Any, /, lost: Any = None) -> Iterator[Any]:
        tasks = list(tasks)
        sent.extend(len(dumps((on_worker, function, task))) for task in tasks)
        return serial(function, tasks)

    scan(checkpoint(tmp_path), ScanSettings(bootstrap=0, layers="[!x]*"), map_fn=measured)
    assert len(sent) == 1 + 4
    assert max(sent) < 10_000
