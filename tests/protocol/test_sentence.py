"""The sentence of a layer: a number, the null it is compared with, and no more than the two allow."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollens.protocol.sentence import compare, null_distance, sentence

BAND = {"median": 10.0, "low": 8.0, "high": 12.0, "draws": 40, "law": "iid Gaussian"}


def layer(**fields: Any) -> dict[str, Any]:
    return {"name": "w", "status": "OK", "undefined": {}, "n_tail": 30, **fields}


def with_interval(alpha: float, low: float, high: float, **fields: Any) -> dict[str, Any]:
    return layer(alpha=alpha, alpha_interval={"low": low, "high": high}, null={"alpha": BAND}, **fields)


def test_the_number_its_interval_and_its_null_stand_in_the_sentence() -> None:
    assert sentence(with_interval(3.0, 2.0, 4.0)) == (
        "alpha 3 [2, 4] lies below the 8 to 12 of iid Gaussian matrices of its shape: a heavier tail than chance gives."
    )
    assert "lies above the 8 to 12" in sentence(with_interval(20.0, 15.0, 25.0))


@pytest.mark.parametrize(("low", "high"), [(2.0, 8.0), (2.0, 8.5), (12.0, 20.0), (7.0, 13.0), (9.0, 10.0)])
def test_an_interval_that_meets_the_band_is_never_called_below_or_above(low: float, high: float) -> None:
    said = sentence(with_interval((low + high) / 2, low, high))
    assert "overlaps the 8 to 12" in said
    assert "below" not in said
    assert "above" not in said
    assert null_distance(with_interval((low + high) / 2, low, high)) == 0.0


def test_the_side_is_that_of_the_interval_and_not_of_the_point_in_it() -> None:
    # A percentile interval need not hold its point: here all of it lies above the band, the point below.
    [found] = compare(with_interval(7.0, 13.0, 14.0))
    assert (found.below, found.distance) == (False, 0.25)
    assert "lies above" in sentence(with_interval(7.0, 13.0, 14.0))


@given(
    st.floats(1.1, 50.0), st.floats(1.1, 50.0), st.floats(1.1, 50.0), st.floats(1.1, 50.0)
)  # any interval against any band
def test_a_side_is_claimed_exactly_where_the_interval_clears_the_band(a: float, b: float, c: float, d: float) -> None:
    low, high, start, end = *sorted((a, b)), *sorted((c, d))
    fields = layer(
        alpha=(low + high) / 2,
        alpha_interval={"low": low, "high": high},
        null={"alpha": {**BAND, "median": (start + end) / 2, "low": start, "high": end}},
    )
    said = sentence(fields)
    assert ("lies below" in said) == (high < start)
    assert ("lies above" in said) == (low > end)
    assert (null_distance(fields) == 0.0) == (high >= start and low <= end)


def test_the_distance_is_in_widths_of_the_band() -> None:
    assert null_distance(with_interval(3.0, 2.0, 4.0)) == 1.0  # (8 - 4)/(12 - 8)
    assert null_distance(layer(stable_rank=22.0, null={"stable_rank": BAND})) == 2.5  # (22 - 12)/4
    assert null_distance(layer(stable_rank=12.0, null={"stable_rank": BAND})) == 0.0
    assert null_distance(layer()) is None


def test_a_band_of_no_width_still_has_an_inside_and_an_outside() -> None:
    point = {**BAND, "median": 1.0, "low": 1.0, "high": 1.0}
    assert null_distance(layer(stable_rank=1.0, null={"stable_rank": point})) == 0.0
    assert null_distance(layer(stable_rank=1.1, null={"stable_rank": point})) == pytest.approx(1e11)


def test_the_first_quantity_that_stands_out_is_told_and_else_the_first() -> None:
    inside = with_interval(9.0, 8.5, 9.5)
    inside["null"] = {"alpha": BAND, "stable_rank": BAND}
    assert sentence({**inside, "stable_rank": 5.0}).startswith("stable rank 5 lies below the 8 to 12")
    assert sentence({**inside, "stable_rank": 9.0}).startswith("alpha 9 [8.5, 9.5] overlaps")
    bulk = layer(mp_distance=14.5, null={"mp_distance": BAND})
    assert sentence(bulk).startswith("distance of the bulk to Marchenko-Pastur 14.5 lies above")


def test_a_point_just_outside_its_band_is_not_said_to_stand_out() -> None:
    """The band is 4 wide: 14 is half a width above it."""
    near = layer(stable_rank=14.0, null={"stable_rank": BAND})
    assert sentence(near) == (
        "stable rank 14 lies just above the 8 to 12 of iid Gaussian matrices of its shape: chance may explain it."
    )
    assert "energy" in sentence(layer(stable_rank=14.1, null={"stable_rank": BAND}))


def test_without_a_null_nothing_is_compared() -> None:
    assert sentence(layer(alpha=3.14159)) == "alpha 3.14 over 30 eigenvalues; its null was not asked for."
    bare = layer(undefined={"alpha": "too_small", "p_gof": "not_requested", "traps_all": "too_small"})
    assert sentence(bare) == "no reading has a null here (too_small)."
    assert sentence(layer()) == "no reading has a null here (nothing was measured)."


def test_a_layer_that_failed_says_why() -> None:
    broken = layer(status="FAILED", nonfinite={"count": 3, "first_index": [0, 1]}, null={"alpha": BAND}, alpha=3.0)
    assert sentence(broken) == "not measured: 3 of its elements are NaN or infinite; a usable matrix has 0."
    assert sentence(layer(status="FAILED", undefined={"alpha": "eigensolver_failed"})) == (
        "not measured: eigensolver_failed."
    )
