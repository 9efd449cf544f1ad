"""The map over processes: order, bounds, and what becomes of errors and of workers that die."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest

from tollens.core.errors import Exit, TollensError
from tollens.core.work import serial
from tollens.pool import processes


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


def process_id(x: int) -> int:
    time.sleep(0.05)
    return os.getpid()


def test_results_come_in_the_order_of_the_tasks() -> None:
    assert list(processes(2)(slow_square, range(9))) == [x * x for x in range(9)]


def test_the_work_is_done_elsewhere_and_by_one_process_less_than_none() -> None:
    found = set(processes(2)(process_id, range(6)))
    assert os.getpid() not in found
    assert 1 <= len(found) <= 2
    assert processes(1) is serial
    assert set(processes(1)(process_id, range(1))) == {os.getpid()}
    with pytest.raises(ValueError, match="at least 1"):
        processes(0)


def test_no_tasks_give_no_results() -> None:
    assert list(processes(2)(slow_square, [])) == []


def test_at_most_two_tasks_a_worker_are_taken_ahead_of_the_reader() -> None:
    taken = []

    def tasks() -> Iterator[int]:
        for x in range(50):
            taken.append(x)
            yield x

    results = processes(2)(slow_square, tasks())
    for read in range(1, 6):
        next(results)
        assert len(taken) == read + 3  # 2 workers x 2, of which one result was handed out
    results.close()  # type: ignore[attr-defined]
    assert len(taken) == 8


def test_an_error_of_ours_arrives_with_all_its_fields() -> None:
    results = processes(2)(refuse, range(5))
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(TollensError) as caught:
        next(results)
    assert (caught.value.code, caught.value.subject) == ("no_tensors", "task 3")
    assert caught.value.exit_code is Exit.BLOCKED


def test_another_error_arrives_as_it_is() -> None:
    with pytest.raises(ZeroDivisionError, match="five"):
        list(processes(2)(refuse, [5]))


@pytest.mark.parametrize("task", [kill_itself, interrupt_itself])
def test_a_worker_that_dies_is_named_and_nothing_hangs(task, capfd) -> None:
    begin = time.monotonic()
    with pytest.raises(TollensError) as caught:
        list(processes(2)(task, range(30)))
    assert caught.value.code == "worker_died"
    assert caught.value.exit_code is Exit.INTERNAL
    assert time.monotonic() - begin < 30
    assert "Traceback" not in capfd.readouterr().err
