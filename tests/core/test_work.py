"""The map of one process, and the count of repeated tasks that any map may keep."""

from __future__ import annotations

import pytest

from tollens.core.work import repeated, serial


def test_serial_works_lazily_in_this_process_and_in_order() -> None:
    done = []
    results = serial(done.append, [1, 2, 3])
    assert done == []
    assert list(results) == [None] * 3
    assert done == [1, 2, 3]
    with pytest.raises(ZeroDivisionError):
        list(serial(lambda x: 1 // x, [0], lost=lambda x: 7))  # what a task raises is no dead worker


def test_a_map_that_keeps_no_count_has_repeated_nothing() -> None:
    def counting(function, tasks, /, lost=None):  # type: ignore[no-untyped-def]
        return map(function, tasks)

    assert repeated(serial) == repeated(counting) == 0
    counting.repeated = 3  # type: ignore[attr-defined]
    assert repeated(counting) == 3
