from __future__ import annotations

import math

import numpy as np
import pytest

from tollens.core.errors import TollensError
from tollens.stats.domain import differences, labels, level, one_of, pairs, sample, totals, whole

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    "values",
    [[], [1.0, NAN], [INF], [-INF, 1.0], [[1.0, 2.0]], 3.0, ["a"], [None], [[1.0], [1.0, 2.0]], [1e101], [10**400]],
    ids=repr,
)
def test_a_sample_is_a_row_of_finite_numbers(values: object) -> None:
    with pytest.raises(TollensError) as caught:
        sample("x", values)  # type: ignore[arg-type]
    assert caught.value.code == "stats_input"
    assert caught.value.subject == "x"


def test_the_position_of_a_bad_number_is_named() -> None:
    with pytest.raises(TollensError, match="nan at position 2"):
        sample("x", [1.0, 2.0, NAN])


def test_pairs_have_one_length() -> None:
    with pytest.raises(TollensError, match="3 and 2"):
        pairs([1, 2, 3], [1, 2])


def test_differences_that_are_rounding_are_equal() -> None:
    y = np.random.default_rng(0).normal(size=50)
    assert np.ptp((y + 0.1) - y) > 0.0
    assert np.ptp(differences(y + 0.1, y)) == 0.0
    assert differences([1.0, 2.0], [0.0, 3.0]).tolist() == [1.0, -1.0]


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1, 5.0, NAN, INF, 1e-300])
def test_a_level_lies_between_0_and_1(alpha: float) -> None:
    with pytest.raises(TollensError) as caught:
        level(alpha)
    assert caught.value.code == "stats_input"


@pytest.mark.parametrize("value", [-1, 11, 1.5, 3.0, True, "3", None, NAN])
def test_a_count_is_an_integer_within_its_bounds(value: object) -> None:
    with pytest.raises(TollensError, match="an integer of at least 0 and at most 10"):
        whole("k", value, 0, 10)  # type: ignore[arg-type]
    assert whole("k", np.int64(7), 0, 10) == 7


def test_a_choice_is_one_of_those_offered() -> None:
    with pytest.raises(TollensError, match="two-sided or greater"):
        one_of("alternative", "both", ("two-sided", "greater"))


def test_labels_are_numbered_as_they_appear() -> None:
    index, clusters = labels(["b", "a", "b", "c"], 4)
    assert index.tolist() == [0, 1, 0, 2]
    assert clusters == 3
    assert totals(index, np.array([1.0, 2.0, 4.0, 8.0])).tolist() == [5.0, 2.0, 8.0]


def test_equal_numbers_are_one_label_and_words_are_not_numbers() -> None:
    assert labels(np.array([1, 1.0, "1"], dtype=object), 3)[0].tolist() == [0, 0, 1]


@pytest.mark.parametrize("cluster", [[1, 2], [[1, 2, 3]], [1.0, NAN, 2.0], np.array([1, None, 2], dtype=object)])
def test_every_row_needs_a_label(cluster: object) -> None:
    with pytest.raises(TollensError) as caught:
        labels(cluster, 3)  # type: ignore[arg-type]
    assert caught.value.code == "stats_input"


def test_a_long_label_does_not_widen_the_others() -> None:
    """As an array of text 30,000 labels beside one of 100,000 letters would take 12 GB."""
    assert labels(["a", "b"] * 15_000 + ["c" * 100_000], 30_001)[1] == 3
