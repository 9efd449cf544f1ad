"""Readings: a value goes with OK, everything else with a reason, and nothing that is not finite gets in."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollens.core.reading import Interval, Reading, Status, Undefined, reading


def test_a_value_goes_with_ok() -> None:
    assert reading("alpha", 3.0).status is Status.OK
    with pytest.raises(ValueError, match="a value goes with status OK"):
        Reading(quantity="alpha")
    with pytest.raises(ValueError, match="a value goes with status OK"):
        Reading(quantity="alpha", value=3.0, status=Status.FAILED, reason="nonfinite")


@pytest.mark.parametrize("status", [s for s in Status if s is not Status.OK])
def test_what_is_not_ok_needs_a_reason(status: Status) -> None:
    assert Reading(quantity="alpha", status=status, reason="too_small").value is None
    for reason in (None, ""):
        with pytest.raises(ValueError, match="needs a reason"):
            Reading(quantity="alpha", status=status, reason=reason)


def test_an_undefined_measurement_becomes_an_undefined_reading() -> None:
    found = reading("alpha", Undefined("tail_too_short"), n=7)
    assert (found.value, found.status, found.reason, found.n) == (None, Status.UNDEFINED, "tail_too_short", 7)
    failed = reading("alpha", Undefined("nonfinite"), status=Status.FAILED)
    assert (failed.status, failed.reason) == (Status.FAILED, "nonfinite")


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize(
    "wrap",
    [
        lambda x: x,
        lambda x: [1.0, x],
        lambda x: {"a": x},
        lambda x: [{"a": 1.0}, {"b": x}],
        lambda x: {"a": {"b": [1, 2, x]}},
        lambda x: np.array([1.0, x]),
        lambda x: [np.float64(x)],
        lambda x: {"a": (1.0, x)},
        np.float64,
        np.float32,
    ],
)
def test_what_is_not_finite_is_refused_however_deep(bad: float, wrap: Any) -> None:
    assert reading("q", wrap(1.5)).status is Status.OK  # the finite twin
    with pytest.raises(ValueError, match="a reading is finite"):
        reading("q", wrap(bad))


def test_numpy_values_become_plain_ones() -> None:
    assert type(reading("q", np.float64(1.5)).value) is float
    assert type(reading("q", np.int64(2)).value) is int
    assert type(reading("q", np.True_).value) is bool
    assert reading("q", np.arange(3)).value == [0, 1, 2]


def test_zero_false_and_the_empty_list_are_values() -> None:
    for value in (0, 0.0, False, [], "", {}):
        assert reading("q", value).status is Status.OK


def test_a_reading_does_not_change() -> None:
    with pytest.raises(AttributeError):
        reading("q", 1).value = 2  # type: ignore[misc]


@given(st.recursive(st.floats() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_what_is_let_in_can_be_written_as_json_and_comes_back(value: Any) -> None:
    """msgspec writes NaN as null; since none gets in, nothing is lost on the way."""
    try:
        found = reading("q", value, interval=Interval(0.0, 1.0, 0.9, "m"))
    except ValueError:
        return
    assert msgspec.to_builtins(found)["value"] == value
    assert msgspec.json.decode(msgspec.json.encode(found.value)) == value
