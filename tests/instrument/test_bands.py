from __future__ import annotations

import pytest

from tollens.core.codes import CODES
from tollens.core.reading import Interval, NullBand
from tollens.instrument.bands import band, no_power_law


def between(low: float, high: float) -> Interval:
    return Interval(low, high, 0.9, "test")


NULL = NullBand(8.0, 6.0, 12.0, 40, "gaussian")


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (1.2, 1.9, "over-trained"),
        (1.2, 2.0, None),
        (2.0, 6.0, "usual"),
        (2.5, 4.0, "usual"),
        (1.9, 3.0, None),
        (5.0, 6.1, None),
        (6.0, 7.0, None),
        (6.1, 7.0, "under-trained"),
    ],
)
def test_band_holds_the_whole_interval(low: float, high: float, expected: str | None) -> None:
    assert band(between(low, high), NULL, ()) == expected
    assert band(between(low, high), NULL, ("null_overlap",)) is None


def test_no_interval_no_band() -> None:
    assert band(None, NULL, ()) is None


def test_no_null_no_band() -> None:
    """The interval of an untrained Gaussian matrix can lie above 6: only the null tells."""
    assert band(between(7.0, 9.0), None, ()) is None
    assert band(between(13.0, 15.0), NULL, ()) == "under-trained"


def test_each_reason_alone() -> None:
    clear = between(2.0, 3.0)
    assert no_power_law(clear, NULL, 0.5, [], 60) == ()
    assert no_power_law(between(2.0, 6.0), NULL, None, None, 60) == ("null_overlap",)
    assert no_power_law(between(12.0, 15.0), NULL, None, None, 60) == ("null_overlap",)
    assert no_power_law(between(12.1, 15.0), NULL, None, None, 60) == ()
    assert no_power_law(clear, NULL, 0.09, None, 60) == ("gof_rejected",)
    assert no_power_law(clear, NULL, 0.1, None, 60) == ()
    worse = {"name": "exponential", "preferred": "power_law"}
    better = {"name": "lognormal", "preferred": "lognormal"}
    assert no_power_law(clear, NULL, None, [worse], 60) == ()
    assert no_power_law(clear, NULL, None, [worse, better], 60) == ("alternative_preferred",)
    assert no_power_law(clear, NULL, None, None, 19) == ("tail_too_short",)
    assert no_power_law(clear, NULL, None, None, 20) == ()


def test_what_was_not_measured_says_nothing() -> None:
    assert no_power_law(None, None, None, None, None) == ()
    assert no_power_law(between(7.0, 8.0), None, None, None, None) == ()


def test_every_reason_can_be_explained() -> None:
    reasons = no_power_law(between(7.0, 8.0), NULL, 0.0, [{"name": "a", "preferred": "a"}], 3)
    assert len(reasons) == 4
    assert set(reasons) <= CODES.keys()
