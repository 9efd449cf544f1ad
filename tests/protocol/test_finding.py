"""Findings from the fields of a layer: each fires on its defect, and only on that."""

from __future__ import annotations

from typing import Any

import pytest

from tollens.core.codes import CODES
from tollens.protocol.finding import SEVERITY, Finding, by_severity, findings_of, trap_cause, verdict_of

CLEAN: dict[str, Any] = {
    "name": "w",
    "status": "OK",
    "M": 64,
    "N": 96,
    "flags": [],
    "undefined": {},
    "lambda_max": 300.0,
    "fro2": 6000.0,
    "numerical_rank": 64,
    "shuffles": 5,
    "alpha": 3.0,
    "n_tail": 30,
    "traps_all": [0] * 5,
    "traps_mean": [0] * 5,
    "traps_entry": [0] * 5,
    "traps_residual": [0] * 5,
}


def codes(needs_power_law: bool = False, **changed: Any) -> list[str]:
    return [f.code for f in findings_of(CLEAN | changed, needs_power_law=needs_power_law)]


def test_the_clean_twin_has_none() -> None:
    assert codes() == []
    assert codes(needs_power_law=True) == []


def test_every_finding_has_a_severity_and_an_explanation() -> None:
    assert set(SEVERITY) == {"nonfinite", "dead", "rank_collapsed", "trap", "no_power_law"}
    assert set(SEVERITY) <= set(CODES)


def test_nonfinite_elements_are_counted_and_placed() -> None:
    [found] = findings_of(CLEAN | {"status": "FAILED", "nonfinite": {"count": 7, "first_index": [2, 5]}})
    assert (found.code, found.value, found.null, found.cause) == ("nonfinite", 7.0, 0.0, None)
    assert found.sentence.startswith("7 elements are NaN or infinite, the first at [2, 5]")
    [one] = findings_of(CLEAN | {"status": "FAILED", "nonfinite": {"count": 1, "first_index": [0, 0]}})
    assert one.sentence.startswith("1 element is NaN")


def test_a_measurement_that_failed_is_no_finding_of_the_weights() -> None:
    assert codes(status="FAILED", nonfinite=None, undefined={"alpha": "eigensolver_failed"}) == []


def test_a_zero_and_a_constant_matrix_are_dead() -> None:
    assert codes(lambda_max=0.0) == ["dead"]
    [found] = findings_of(CLEAN | {"flags": ["no_variance"], "fro2": 64 * 96 * 0.25, "numerical_rank": 1})
    assert (found.code, found.value) == ("dead", 0.5)  # sqrt(fro2/(M N)), and no rank collapse beside it


def test_a_missing_bulk_does_not_make_a_layer_dead() -> None:
    """A matrix of low rank has no bulk to fit, but its elements differ."""
    lost = {"mp_sigma2": "bulk_below_floor", "tw_edge": "no_variance"}
    assert codes(undefined=lost, numerical_rank=2) == ["rank_collapsed"]


def test_a_row_of_equal_numbers_is_not_dead() -> None:
    assert codes(M=1, flags=["no_variance"], numerical_rank=1) == []


@pytest.mark.parametrize(("rank", "found"), [(0, True), (31, True), (32, False), (64, False), (None, False)])
def test_the_rank_is_collapsed_below_half(rank: int | None, found: bool) -> None:
    assert codes(numerical_rank=rank) == ["rank_collapsed"] * found


@pytest.mark.parametrize("cause", ["mean", "entry", "residual"])
def test_a_trap_carries_its_cause_and_count(cause: str) -> None:
    [found] = findings_of(CLEAN | {"traps_all": [2, 1, 2, 2, 3], f"traps_{cause}": [2, 1, 2, 2, 3]})
    assert (found.code, found.cause, found.value, found.null) == ("trap", cause, 2.0, 0.0)
    assert f"cause {cause}" in found.sentence
    assert "2 eigenvalues (median over 5 shuffles)" in found.sentence


def test_the_largest_median_names_the_cause_and_of_equal_ones_the_rarer() -> None:
    two = {"traps_all": [3] * 5, "traps_mean": [1] * 5, "traps_entry": [2] * 5, "traps_residual": [0] * 5}
    assert trap_cause(two) == ("entry", 3.0)
    assert trap_cause(two | {"traps_entry": [1] * 5}) == ("entry", 3.0)
    assert trap_cause(two | {"traps_entry": [1] * 5, "traps_residual": [1] * 5}) == ("residual", 3.0)


@pytest.mark.parametrize(
    ("mean", "entry", "residual", "expected"),
    [
        ([1] * 5, [0] * 5, [0] * 5, ("mean", 1.0)),
        ([1] * 5, [1] * 5, [0] * 5, ("entry", 1.0)),
        ([1] * 5, [2] * 5, [2] * 5, ("residual", 2.0)),
        ([0] * 5, [0, 1, 3, 4, 0], [0] * 5, ("entry", 1.0)),
        ([0] * 5, [0, 0, 0, 1, 1], [0] * 5, None),
        ([0] * 5, [0] * 5, None, None),
        ([1] * 3, [0] * 3, None, ("mean", 1.0)),
    ],
)
def test_the_dominant_cause_by_median(
    mean: list[int], entry: list[int], residual: list[int] | None, expected: object
) -> None:
    assert trap_cause({"traps_mean": mean, "traps_entry": entry, "traps_residual": residual}) == expected


def test_causes_that_share_the_shuffles_still_make_a_trap() -> None:
    shared = {"traps_mean": [1, 0, 0, 1, 0], "traps_entry": [0, 1, 0, 0, 0], "traps_residual": [0, 0, 1, 0, 0]}
    assert trap_cause(shared | {"traps_all": [1] * 4 + [0]}) == ("mean", 1.0)
    assert trap_cause(shared | {"traps_all": [1, 1, 0, 0, 0]}) is None  # the median shuffle has none
    half = {"traps_all": [0, 1], "traps_mean": [0, 1], "traps_entry": [0, 0], "traps_residual": [0, 0]}
    assert trap_cause(half) is None  # a median of one half


def test_an_outlier_of_the_centred_matrix_alone_is_a_trap() -> None:
    """A mean can hide an entry: nothing stands out uncentred, one does once the mean is gone."""
    assert trap_cause({"traps_all": [0] * 5, "traps_entry": [1] * 5}) == ("entry", 1.0)


def test_an_undefined_residual_counts_as_none() -> None:
    sparse = {"traps_all": [1] * 5, "traps_mean": [1] * 5, "traps_entry": [0] * 5, "traps_residual": None}
    assert trap_cause(sparse) == ("mean", 1.0)
    assert trap_cause({}) is None
    assert trap_cause(sparse | {"traps_mean": [0] * 5}) is None  # no cause, no trap


def test_the_lack_of_a_power_law_is_a_finding_only_where_a_claim_needs_one() -> None:
    null = {"median": 6.5, "low": 2.5, "high": 9.0}
    lawless = CLEAN | {"flags": ["no_power_law"], "alpha_null": null, "alpha_interval": {"low": 2.0, "high": 4.0}}
    assert findings_of(lawless) == []
    [found] = findings_of(lawless, needs_power_law=True)
    assert (found.code, found.value, found.null) == ("no_power_law", 3.0, 6.5)
    assert found.sentence.endswith("[2.00, 4.00] meets the 2.50 to 9.00 of iid Gaussian matrices of its shape.")
    [without] = findings_of(lawless | {"alpha": None, "alpha_null": None, "n_tail": 12}, needs_power_law=True)
    assert (without.value, without.null) == (12.0, None)
    assert "the tail has 12 eigenvalues, too few" in without.sentence


def test_the_lack_of_a_power_law_names_the_reasons_that_hold() -> None:
    """A rejected law is not one that chance explains."""
    laws = [{"name": "exponential", "preferred": "power_law"}, {"name": "lognormal", "preferred": "lognormal"}]
    tested = CLEAN | {
        "flags": ["no_power_law"],
        "p_gof": 0.03,
        "alternatives": laws,
        "alpha_null": {"median": 6.5, "low": 5.0, "high": 9.0},
        "alpha_interval": {"low": 2.0, "high": 4.0},
    }
    [found] = findings_of(tested, needs_power_law=True)
    assert found.sentence.endswith("goodness of fit rejects it (p = 0.03) and lognormal fits the tail better.")


def test_a_collapsed_rank_is_compared_with_what_was_drawn() -> None:
    """At the eps of an 8-bit type not all eigenvalues of a Gaussian matrix rise above rounding either."""
    coarse = CLEAN | {"numerical_rank": 20, "null": {"numerical_rank": {"median": 58.0}}}
    [found] = findings_of(coarse)
    assert (found.value, found.null) == (20.0, 58.0)
    assert found.sentence == (
        "only 20 of 64 eigenvalues rise above rounding; a Gaussian matrix of this shape and type has 58."
    )
    [alone] = findings_of(CLEAN | {"numerical_rank": 20})
    assert alone.null is None
    assert alone.sentence.endswith("rise above rounding; fewer than half.")


def test_the_worst_stands_first_and_equals_by_name() -> None:
    both = findings_of(CLEAN | {"numerical_rank": 2, "traps_all": [1] * 5, "traps_mean": [1] * 5})
    assert [f.code for f in both] == ["rank_collapsed", "trap"]
    loose = [Finding("trap", n, "mean", 1.0, 0.0, "") for n in "ba"] + [Finding("nonfinite", "c", None, 1.0, 0.0, "")]
    assert [(f.code, f.layer) for f in by_severity(loose)] == [("nonfinite", "c"), ("trap", "a"), ("trap", "b")]


def test_silence_is_never_a_pass() -> None:
    [finding] = findings_of(CLEAN | {"lambda_max": 0.0})
    assert verdict_of([finding], 0) == "FINDINGS"
    assert verdict_of([], 1) == "CLEAN"
    assert verdict_of([], 0) == "UNDETERMINED"
