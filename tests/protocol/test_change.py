from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollens.core.reading import Interval
from tollens.protocol.change import (
    HELD,
    Change,
    chance_of_disjoint,
    comparisons,
    count_changes,
    disjoint,
    interval_changes,
    lost_numbers,
)


def span(low: float, high: float) -> Interval:
    return Interval(low, high, 0.9, "made up")


def steps_of(values: Sequence[object]) -> list[int]:
    return [100 * place for place in range(len(values))]


def told(changes: Sequence[Change]) -> list[tuple[int, int, float | None, float | None, int]]:
    return [(c.from_step, c.to_step, c.before, c.after, c.held) for c in changes]


@pytest.mark.parametrize(
    ("one", "other", "parted"),
    [((1, 2), (3, 4), True), ((3, 4), (1, 2), True), ((1, 2), (2, 3), False), ((1, 4), (2, 3), False)],
)
def test_intervals_that_share_one_number_do_not_part(one, other, parted: bool) -> None:
    assert disjoint(span(*one), span(*other)) is parted


def test_only_neighbours_whose_intervals_part_have_changed() -> None:
    values = [2.0, 2.2, 4.0, 4.1]
    intervals = [span(1.5, 2.5), span(1.8, 2.6), span(3.5, 4.5), span(3.6, 4.6)]
    (change,) = interval_changes("w", "alpha", steps_of(values), values, intervals)
    assert told([change]) == [(100, 200, 2.2, 4.0, 1)]
    assert (change.before_interval, change.after_interval) == (intervals[1], intervals[2])
    assert change.kind == "interval"
    assert not change.finding
    assert "rose from 2.20 [1.80, 2.60] at step 100 to 4.00 [3.50, 4.50] at step 200" in change.sentence
    assert "90 %" in change.sentence


def test_a_slow_drift_is_seen_between_the_ends() -> None:
    values = [2.0, 2.5, 3.0, 3.5]
    intervals = [span(v - 0.4, v + 0.4) for v in values]
    assert told(interval_changes("w", "alpha", steps_of(values), values, intervals)) == [(0, 300, 2.0, 3.5, 1)]
    assert interval_changes("w", "alpha", steps_of(values[:2]), values[:2], intervals[:2]) == []


def test_a_checkpoint_without_an_interval_is_passed_over() -> None:
    values = [2.0, None, 9.0, 4.0]
    intervals = [span(1.9, 2.1), span(0, 1), None, span(3.9, 4.1)]
    assert told(interval_changes("w", "alpha", steps_of(values), values, intervals)) == [(0, 300, 2.0, 4.0, 1)]
    assert comparisons(values, intervals) == 1
    assert comparisons([], []) == 0


def test_the_chance_of_parting_is_erfc_of_the_quantile() -> None:
    """z = 1.6449 at 90 %: P(|Z| > sqrt(2)*1.6449 = 2.3262) = 0.0200; and as simulated."""
    assert chance_of_disjoint(0.9) == pytest.approx(0.0200, abs=5e-5)
    draws = np.random.default_rng(3).standard_normal((2, 200_000))
    share = float((np.abs(draws[0] - draws[1]) > 2 * 1.6448536).mean())
    assert abs(share - chance_of_disjoint(0.9)) < 4 * math.sqrt(0.02 * 0.98 / 200_000)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([0, 0, 0, 1, 1, 1], [(200, 300, 0, 1, 3)]),
        ([0, 0, 1, 1, 0, 0], []),  # two in a row are not enough
        ([0, 0, 0, 0, 1, 1], []),  # nor are two at the end
        ([0, 1, 2, 1, 1, 2], [(0, 100, 0, 1, 5)]),  # at least 1 all the time
        ([0, 1, 1, 1, 3, 3, 3], [(0, 100, 0, 1, 6), (300, 400, 1, 3, 3)]),
        ([2, 2, 2, 0, 0, 0], [(200, 300, 2, 0, 3)]),
        ([0, 1, 1, None, 1, 1], []),
        ([None, 0, 1, 1, 1], [(100, 200, 0, 1, 3)]),
        ([0, 1, 2, 3, 4, 5, 6], [(0, 400, 0, 4, 3)]),  # one change, to 4 = min(4, 5, 6)
        ([0, 1, 1, 1, 0, 0, 0], [(0, 100, 0, 1, 3), (300, 400, 1, 0, 3)]),
        ([1, 1], []),
        ([], []),
        ([None, None], []),
    ],
)
def test_a_count_has_changed_when_three_checkpoints_hold_it(counts, expected) -> None:
    assert told(count_changes("w", "traps_mean", steps_of(counts), counts)) == expected


def test_a_trap_that_appears_is_a_finding_and_one_that_goes_is_none() -> None:
    def findings(quantity: str, counts: list[float]) -> list[bool]:
        return [c.finding for c in count_changes("w", quantity, steps_of(counts), counts)]

    assert findings("traps_mean", [0, 1, 1, 1, 0, 0, 0]) == [True, False]
    assert findings("traps_entry", [1, 2, 2, 2]) == [False]
    assert findings("n_outliers", [0, 2, 2, 2]) == [False]


def test_the_sentence_says_from_which_step() -> None:
    (change,) = count_changes("w", "traps_mean", [10, 20, 30, 40], [0, 1, 1, 2])
    assert change.sentence == (
        "traps_mean rose from 0 to 1, from step 20 on, and has stayed there or above for 3 checkpoints."
    )
    (moving,) = count_changes("w", "n_outliers", [10, 20, 30, 40, 50], [5, 4, 3, 2, 1])
    assert "fell from 5 to 3, from step 20 on until step 30, and has stayed there or below" in moving.sentence


@given(st.lists(st.one_of(st.none(), st.integers(0, 3)), max_size=12))
def test_every_change_of_a_count_is_what_it_says(counts: list[int | None]) -> None:
    steps = list(range(len(counts)))
    last = None
    for change in count_changes("w", "n", steps, counts):
        after = change.after
        row = counts[change.to_step : change.to_step + HELD]
        assert len(row) == HELD
        assert all(c is not None and (c >= after if after > change.before else c <= after) for c in row)
        assert change.held >= HELD
        assert change.from_step < change.to_step
        assert last is None or (change.before == last.after and change.from_step >= last.from_step)
        last = change


def test_numbers_that_are_lost_and_come_back() -> None:
    found = lost_numbers("w", [1, 2, 3, 4, 5], [True, False, False, True, False])
    assert [(c.from_step, c.to_step, c.held) for c in found] == [(1, 2, 2), (4, 5, 1)]
    assert all(c.finding and c.kind == "nonfinite" for c in found)
    assert "until it is finite again at step 4" in found[0].sentence
    assert "to the end of the series" in found[1].sentence
    assert lost_numbers("w", [1, 2], [True, True]) == []
    assert [c.to_step for c in lost_numbers("w", [1, 2], [False, False])] == [1]
