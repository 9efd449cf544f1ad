from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollens.core.errors import TollensError
from tollens.stats.schedule import AnyTime, FixedSize, Plan, PlannedLooks, admit, as_planned, look_number


def test_each_schedule_says_what_it_promises() -> None:
    assert admit(FixedSize(64), 64) == "valid only at n = 64"
    assert admit(PlannedLooks((50, 100)), 50) == "valid at the planned looks"
    assert admit(AnyTime(), 7) == "valid at any stopping time"


@pytest.mark.parametrize("n", [1, 32, 63, 65, 128])
def test_peeking_under_a_fixed_n_raises(n: int) -> None:
    with pytest.raises(TollensError) as caught:
        admit(FixedSize(64), n)
    assert caught.value.code == "stats_peeking"
    assert ("Wait for n = 64" in caught.value.fix) == (n < 64)


@pytest.mark.parametrize(("n", "fix"), [(49, "n = 50"), (75, "n = 100"), (101, "any stopping time")])
def test_a_look_that_was_not_planned_raises(n: int, fix: str) -> None:
    with pytest.raises(TollensError) as caught:
        admit(PlannedLooks((50, 100)), n)
    assert caught.value.code == "stats_peeking"
    assert fix in caught.value.fix


@given(st.sets(st.integers(1, 10**9), min_size=1, max_size=6), st.integers(1, 10**9))
def test_exactly_the_planned_looks_are_admitted(sizes: set[int], n: int) -> None:
    plan = PlannedLooks(tuple(sorted(sizes)))
    for k, size in enumerate(plan.sizes, start=1):
        assert look_number(plan, size) == k
    if n not in sizes:
        with pytest.raises(TollensError, match="stats_peeking"):
            admit(plan, n)
    assert plan.fractions[-1] == 1.0


@pytest.mark.parametrize("sizes", [(), (100, 100), (100, 50), (0, 10), (-1,), (10.5, 20), (True, 2)])
def test_a_plan_that_is_none_is_refused(sizes: Any) -> None:
    with pytest.raises(TollensError, match="stats_input"):
        PlannedLooks(sizes)


@pytest.mark.parametrize("n", [0, -3, 2.5, True, float("nan")])
def test_a_size_that_is_no_count_is_refused(n: Any) -> None:
    for ask in (lambda: FixedSize(n), lambda: admit(AnyTime(), n)):
        with pytest.raises(TollensError, match="stats_input"):
            ask()


def test_another_method_or_margin_than_the_planned_one_is_refused() -> None:
    plan = Plan("tost_paired_binary", FixedSize(64), margin=0.02)
    assert as_planned(plan, "tost_paired_binary", 64, 0.02) == "valid only at n = 64"
    for method, n, margin, code in (
        ("mcnemar_exact", 64, 0.02, "stats_unplanned"),
        ("tost_paired_binary", 64, 0.05, "stats_unplanned"),
        ("tost_paired_binary", 64, None, "stats_unplanned"),
        ("tost_paired_binary", 63, 0.02, "stats_peeking"),
    ):
        with pytest.raises(TollensError) as caught:
            as_planned(plan, method, n, margin)
        assert caught.value.code == code
