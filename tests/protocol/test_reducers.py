"""Reducers of attempts, by name."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollens.core.errors import Exit, TollensError
from tollens.protocol.reducers import reducer

SCORES = np.array([[1.0, 0.0, 0.0, 1.0, 0.0], [0.0] * 5, [1.0] * 5])


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("mean", [0.4, 0, 1]),
        ("median", [0, 0, 1]),
        ("max", [1, 0, 1]),
        ("min", [0, 0, 1]),
        ("pass_at_1", [0.4, 0, 1]),
        ("pass_at_2", [0.7, 0, 1]),  # 1 - C(3,2)/C(5,2) = 1 - 3/10
        ("pass_at_4", [1, 0, 1]),  # only three of five are wrong
        ("pass_2", [0.1, 0, 1]),  # C(2,2)/C(5,2)
        ("pass_3", [0, 0, 1]),
    ],
)
def test_known_values(name: str, values: list[float]) -> None:
    assert reducer(name)(SCORES) == pytest.approx(values, abs=1e-15)


@given(st.lists(st.booleans(), min_size=2, max_size=6), st.data())
def test_pass_at_k_counts_the_draws_that_hold_a_right_one(attempts: list[bool], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(attempts)))
    draws = list(itertools.combinations(attempts, k))
    scores = np.array([attempts], dtype=np.float64)
    assert reducer(f"pass_at_{k}")(scores)[0] == pytest.approx(sum(map(any, draws)) / len(draws), abs=1e-12)
    assert reducer(f"pass_{k}")(scores)[0] == pytest.approx(sum(map(all, draws)) / len(draws), abs=1e-12)


@pytest.mark.parametrize("name", ["mean", "median", "max", "min", "pass_at_2", "pass_2"])
def test_a_nan_makes_its_item_nan_and_no_other(name: str) -> None:
    scores = SCORES.copy()
    scores[1, 2] = math.nan
    assert np.isnan(reducer(name)(scores)).tolist() == [False, True, False]


@pytest.mark.parametrize("name", ["pass_at_0", "pass_at_-1", "pass_at_2 ", "pass_at_99999", "average", "", "x" * 10**6])
def test_another_name_is_refused(name: str) -> None:
    with pytest.raises(TollensError) as caught:
        reducer(name)
    assert (caught.value.code, caught.value.exit_code) == ("sign_spec", Exit.REFUSED_TO_SEAL)
    assert len(str(caught.value)) < 250


def test_a_near_name_is_offered() -> None:
    with pytest.raises(TollensError, match="Did you mean pass_2 or pass_at_2"):
        reducer("pass@2")


def test_more_draws_than_attempts_are_refused() -> None:
    with pytest.raises(TollensError, match="at least 6 attempts"):
        reducer("pass_at_6")(SCORES)
