"""The map over processes: order, bounds, and what becomes of errors and of workers that die."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tollens.core.errors import Exit, TollensError
from tollens.core.work import repeated
from tollens.pool.local import processes
from tollens.pool.order import AHEAD, RETRIES


def slow_square(x: int) -> int:
    time.sleep(0.05 if x % 2 == 0 else 0.0)  # even tasks finish after the odd ones that were begun later
    return x * x


def refuse(x: int) -> int:
    if x == 3:
        raise TollensError("no_tensors", f"task {x}", expected="a", found="b", fix="c", exit_code=Exit.BLOCKED)
    if x == 5:
        raise ZeroDivisionError("five")
    return x


def kill_itself(x: int) -> int:
    if x == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return x


def interrupt_itself(x: int) -> int:
    os.kill(os.getpid(), signal.SIGINT)
    return x


def end_at_once(parent: object) -> None:
    os._exit(1)


def negative(x: int) -> int:
    return -x


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


@dataclass(frozen=True)
class Crowded:
    """A task that dies unless it is alone."""

    running: Path

    def __call__(self, x: int) -> int:
        mine = self.running / f"{x}-{os.getpid()}"
        mine.touch()
        time.sleep(0.2)
        alive = [one for one in self.running.iterdir() if is_alive(int(one.name.partition("-")[2]))]
        if len(alive) > 1:
            os.kill(os.getpid(), signal.SIGKILL)
        mine.unlink()
        return x


def process_id(x: int) -> int:
    time.sleep(0.05)
    return os.getpid()


def sleep_long(x: int) -> int:
    time.sleep(15)
    return x


def leave_a_mark(path: Path) -> None:
    time.sleep(0.05)
    path.touch()


def is_loaded(name: str) -> bool:
    return name in sys.modules


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@contextmanager
def within(seconds: float) -> Iterator[None]:
    begin = time.monotonic()
    yield
    assert time.monotonic() - begin < seconds


def happens(what: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Whether it comes true in time."""
    end = time.monotonic() + seconds
    while not what() and time.monotonic() < end:
        time.sleep(0.01)
    return what()


def test_results_come_in_the_order_of_the_tasks() -> None:
    with processes(2) as mapped:
        assert list(mapped(slow_square, range(9))) == [x * x for x in range(9)]


def test_the_work_of_every_call_is_done_by_the_same_other_processes() -> None:
    with processes(2) as mapped:
        found = [set(mapped(process_id, range(6))) for _ in range(2)]
    assert os.getpid() not in found[0]
    assert 1 <= len(found[0] | found[1]) <= 2
    with pytest.raises(ValueError, match="at least 1"), processes(0):
        pass


def test_no_tasks_give_no_results() -> None:
    with processes(2) as mapped:
        assert list(mapped(slow_square, [])) == []


def test_only_so_many_tasks_are_taken_ahead_of_the_reader() -> None:
    taken = []

    def tasks() -> Iterator[int]:
        for x in range(100):
            taken.append(x)
            yield x

    with processes(2) as mapped:
        results = mapped(slow_square, tasks())
        for read in range(1, 6):
            next(results)
            assert len(taken) == read + 2 * AHEAD - 1  # one result was handed out
        results.close()  # type: ignore[attr-defined]
        assert len(taken) == 2 * AHEAD + 4


def test_what_the_reader_gives_up_is_not_done(tmp_path: Path) -> None:
    with processes(2) as mapped:
        given_up = mapped(leave_a_mark, [tmp_path / str(i) for i in range(16)])
        next(given_up)
        given_up.close()  # type: ignore[attr-defined]
        assert list(mapped(slow_square, [3])) == [9]
    assert 1 <= len(list(tmp_path.iterdir())) <= 8  # the first, two that were begun, what waits in the pipe to them


def test_an_error_of_ours_arrives_with_all_its_fields() -> None:
    with processes(2) as mapped:
        results = mapped(refuse, range(5))
        assert [next(results) for _ in range(3)] == [0, 1, 2]
        with pytest.raises(TollensError) as caught:
            next(results)
    assert (caught.value.code, caught.value.subject) == ("no_tensors", "task 3")
    assert caught.value.exit_code is Exit.BLOCKED


def test_another_error_arrives_as_it_is() -> None:
    with pytest.raises(ZeroDivisionError, match="five"), processes(2) as mapped:
        list(mapped(refuse, [5]))


@pytest.mark.parametrize("task", [kill_itself, interrupt_itself])
@pytest.mark.parametrize("calls_before", [0, 1])
def test_a_task_that_no_worker_survives_is_named_and_nothing_hangs(task, calls_before: int, capfd) -> None:
    with within(30), processes(2) as mapped:
        for _ in range(calls_before):
            list(mapped(slow_square, range(4)))
        with pytest.raises(TollensError) as caught:
            list(mapped(task, range(2, 30)))
        assert list(mapped(slow_square, range(4))) == [0, 1, 4, 9]
    assert caught.value.code == "worker_died"
    assert caught.value.exit_code is Exit.INTERNAL
    assert "Traceback" not in capfd.readouterr().err


def test_what_kills_every_worker_is_lost_and_the_others_are_not_blamed(tmp_path: Path) -> None:
    with within(30), processes(2) as mapped:
        found = list(mapped(Killer(tmp_path, times=99), range(12), lost=negative))
        assert found == [0, 1, -2, *range(3, 12)]
        assert repeated(mapped) == 1
    assert len(list(tmp_path.iterdir())) == 1 + RETRIES


def test_what_kills_workers_at_first_is_repeated(tmp_path: Path) -> None:
    with within(30), processes(2) as mapped:
        assert list(mapped(Killer(tmp_path, times=RETRIES), range(12))) == list(range(12))
        assert repeated(mapped) == 1


def test_what_is_repeated_runs_alone(tmp_path: Path) -> None:
    """Both need more memory than there is for two: here the second file of a beginner."""
    with within(30), processes(3) as mapped:
        assert list(mapped(Crowded(tmp_path), range(3))) == [0, 1, 2]
        assert repeated(mapped) >= 1


def test_a_worker_that_dies_idle_is_replaced() -> None:
    with within(30), processes(1) as mapped:
        (first,) = mapped(process_id, [0])
        os.kill(first, signal.SIGKILL)
        assert happens(lambda: not is_alive(first))
        (second,) = mapped(process_id, [0])
    assert first != second


def test_workers_that_never_come_up_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tollens.pool.local._begin", end_at_once)
    with within(30), processes(2) as mapped, pytest.raises(TollensError, match="before their first task"):
        list(mapped(slow_square, [1]))


def test_no_worker_outlives_the_context() -> None:
    with processes(2) as mapped:
        workers = set(mapped(process_id, range(6)))
    assert not any(is_alive(pid) for pid in workers)
    assert multiprocessing.active_children() == []


def test_an_error_ends_the_workers_in_the_middle_of_their_tasks(capfd) -> None:
    """Only the parent is interrupted: a terminal would have told the workers too."""
    workers: set[int] = set()

    def interrupted() -> None:
        with processes(2) as mapped:
            workers.update(mapped(process_id, range(6)))
            signal.setitimer(signal.ITIMER_REAL, 0.5)
            list(mapped(sleep_long, range(40)))

    previous = signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        with within(10), pytest.raises(KeyboardInterrupt):
            interrupted()
    finally:
        signal.signal(signal.SIGALRM, previous)
    assert workers
    assert not any(is_alive(pid) for pid in workers)
    assert multiprocessing.active_children() == []
    assert capfd.readouterr().err == ""


def test_what_is_preloaded_is_there_before_the_first_task(tmp_path: Path) -> None:
    """In a process of its own, whose server has not been started yet; only the server imports `slow_module`."""
    (tmp_path / "slow_module.py").write_text("import os\nowner = os.getpid()\n")
    code = f"""
import os, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_local import is_loaded
from tollens.pool.local import processes
with processes(1, ["slow_module", "no_such_module"]) as mapped:
    print(list(mapped(is_loaded, ["slow_module"])), "slow_module" in sys.modules)
"""
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert (run.stdout, run.stderr) == ("[True] False\n", "")


def test_modules_in_the_current_folder_are_not_imported(tmp_path: Path) -> None:
    """The current folder may be a checkpoint that somebody else filled; `selectors` is what the server imports."""
    (tmp_path / "selectors.py").write_text("open('imported', 'w').close()\n")
    code = """
import sys
sys.path.remove("")
from tollens.pool.local import processes
with processes(1) as mapped:
    print(*mapped(abs, [-1]))
"""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert (run.stdout, run.stderr) == ("1\n", "")
    assert not (tmp_path / "imported").exists()


def test_the_environment_and_the_signal_mask_stay_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in (None, "", "1"):
        if value is None:
            monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
        else:
            monkeypatch.setenv("PYTHONSAFEPATH", value)
        with processes(1):
            assert os.environ.get("PYTHONSAFEPATH") == value
            assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


@pytest.mark.parametrize("meanwhile", ["time.sleep(30)", "list(mapped(time.sleep, [30]))"])
def test_an_interrupt_while_the_server_imports_is_quiet(tmp_path: Path, meanwhile: str) -> None:
    (tmp_path / "slow_module.py").write_text("open(__file__ + '.begun', 'w').close()\nimport time\ntime.sleep(1)\n")
    code = f"""
import time
from tollens.pool.local import processes
try:
    with processes(1, ["slow_module"]) as mapped:
        {meanwhile}
except KeyboardInterrupt:
    print("interrupted")
"""
    child = subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(tmp_path)}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    assert happens((tmp_path / "slow_module.py.begun").exists)
    os.killpg(child.pid, signal.SIGINT)
    assert child.communicate(timeout=20) == ("interrupted\n", "")  # the pipes close when the server too has ended


def test_no_worker_outlives_a_parent_that_is_killed(tmp_path: Path) -> None:
    code = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_local import process_id, sleep_long
from tollens.pool.local import processes
with processes(2) as mapped:
    print(*set(mapped(process_id, range(6))), flush=True)
    list(mapped(sleep_long, range(4)))
"""
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    workers = {int(pid) for pid in child.stdout.readline().split()}
    assert workers
    assert all(is_alive(pid) for pid in workers)
    child.kill()
    assert happens(lambda: not any(is_alive(pid) for pid in workers))
    assert child.stdout.read() == ""  # read to its end: the process that the workers were forked from is gone too
    child.stdout.close()
    child.wait()
