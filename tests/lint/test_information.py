"""Known answers of the laws of information, recomputed; true claims are never refuted, broken ones always."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tollens.lint.invariants
from tollens.lint.ask import judge_one
from tollens.lint.claim import Quantity
from tollens.lint.example import example_claim
from tollens.lint.finding import Finding
from tollens.lint.interval import Range
from tollens.lint.invariants.information import binary_entropy, label_entropy, rate_for
from tollens.lint.law import Example
from tollens.lint.registry import INVARIANTS

assert tollens.lint.invariants

LN2 = math.log(2)
UNITS = st.sampled_from([("nat", 1.0), ("bit", 1 / LN2)])
DIGITS = st.integers(1, 15)


def reals(low: float, high: float) -> st.SearchStrategy[float]:
    """Without those too small to be printed."""
    return st.floats(low, high).map(lambda value: value if abs(value) > 1e-100 else 0.0)


SHARES = st.one_of(st.just(1.0), reals(0.0, 1.0))
MANY = settings(max_examples=400, deadline=None)


def judged(id: str, fields: dict[str, Any]) -> Finding:
    return judge_one(example_claim(INVARIANTS[id], Example(fields, "")), INVARIANTS[id])


def outcome(id: str, fields: dict[str, Any]) -> str:
    found = judged(id, fields)
    return f"{found.outcome}/{found.subtype}" if found.subtype else found.outcome


def printed(value: float, digits: int) -> str:
    return f"{value:.{digits - 1}e}"


def entropy_of(*shares: float) -> float:
    return -math.fsum(p * math.log(p) for p in shares if p > 0)


def test_the_entropy_of_a_rare_label_in_both_units() -> None:
    assert binary_entropy(0.02) == pytest.approx(entropy_of(0.02, 0.98), abs=1e-15)
    assert judged("info.entropy", {"mi": "0.05", "base_rate": "0.02"}).bound == pytest.approx(0.098039, abs=1e-6)
    assert judged("info.entropy", {"mi": "0.05 bit", "base_rate": "2 %"}).bound == pytest.approx(0.141441, abs=1e-6)


def test_the_base_rate_that_an_information_needs_inverts_the_entropy() -> None:
    found = rate_for(0.43)
    assert found == pytest.approx(0.154244, abs=1e-5)
    low, high = 0.0, 0.5
    for _ in range(80):  # bisection, since H rises on [0, 1/2]
        middle = (low + high) / 2
        low, high = (middle, high) if entropy_of(middle, 1 - middle) < 0.43 else (low, middle)
    assert found == pytest.approx(low, rel=1e-12)
    assert rate_for(0.7) is None
    assert rate_for(0.0) == 0.0


@given(st.floats(1e-300, LN2))
def test_the_inverse_entropy_is_one(nats: float) -> None:
    found = rate_for(nats)
    assert found is not None
    assert binary_entropy(found) == pytest.approx(nats, rel=1e-9)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.integers(2, 50))
def test_the_range_of_the_entropy_holds_every_point_of_it(a: float, b: float, part: float, classes: int) -> None:
    low, high = sorted((a, b))
    p = min(low + part * (high - low), high)
    assert binary_entropy(p) in label_entropy(Range(low, high), None)
    whole = entropy_of(p, *[(1 - p) / (classes - 1)] * (classes - 1))
    assert label_entropy(Range(low, high), Range(classes, classes)).widened(1e-12).high >= whole - 1e-15
    assert label_entropy(Range(low, high), Range(classes, classes)).widened(1e-12).low <= whole + 1e-15  # 1 - p rounds


def test_the_entropy_over_a_rounding_that_holds_one_half_reaches_its_peak() -> None:
    """50 % may be 45 % to 55 %: both ends have less than ln 2, which .69 nat needs."""
    wide = {"low": "45 %", "high": "55 %"}
    assert outcome("info.entropy", {"mi": "0.693", "base_rate": wide}) == "undetermined/consistent"
    assert outcome("info.entropy", {"mi": "0.70", "base_rate": wide}) == "refuted/impossible"


def test_a_label_that_never_varies_carries_nothing() -> None:
    """A printed 0 may be .004; only a rate that is 0 by construction has no entropy."""
    made = INVARIANTS["info.entropy"]
    for rate in ("0", "1"):
        claim = example_claim(made, Example({"mi": "0.1", "base_rate": rate}, ""))
        given_rate = claim.fields["base_rate"]
        assert isinstance(given_rate, Quantity)
        exact = replace(claim, fields={**claim.fields, "base_rate": replace(given_rate, exact=True)})
        found = judge_one(exact, made)
        assert (found.outcome, found.subtype) == ("refuted", "impossible")
        assert "entropy is zero: any positive MI is impossible" in found.witness
        assert judge_one(claim, made).settle == "exact = true for a base rate of exactly 0 or 1"
    assert outcome("info.entropy", {"mi": "0.02", "base_rate": "0 %"}) == "undetermined/consistent"


def test_one_rare_class_of_many_is_not_a_binary_label() -> None:
    """H(.02) = .098 nat holds for two classes; the other .98 may be spread over nine of them."""
    spread = entropy_of(0.02, *[0.98 / 9] * 9)
    found = judged("info.entropy", {"mi": "1.0", "base_rate": "2 %", "classes": "10"})
    assert (found.outcome, found.bound) == ("undetermined", pytest.approx(spread, abs=1e-12))
    assert outcome("info.entropy", {"mi": "2.4", "base_rate": "2 %", "classes": "10"}) == "refuted/impossible"


def test_a_missing_unit_is_excused_only_if_both_refute() -> None:
    found = judged("info.entropy", {"mi": "0.78 ?", "base_rate": "2 %"})
    assert (found.outcome, found.subtype) == ("refuted", "impossible")
    assert "(any unit) H(base_rate) at most 0.0980391 nat = 0.141441 bit" in found.witness
    found = judged("info.entropy", {"mi": "0.05 ?", "base_rate": "2 %"})
    assert (found.outcome, found.missing) == ("unchecked", ("mi.unit",))
    found = judged("info.gaussian", {"mi": "0.83 ?", "rho": "0.9"})
    assert (found.outcome, found.missing) == ("unchecked", ("mi.unit",))
    found = judged("info.dpi", {"i_xt": "1.9", "i_ty": "2.2 ?"})  # as bit it would be 1.525 nat
    assert (found.outcome, found.missing) == ("unchecked", ("i_ty.unit",))
    assert outcome("info.dpi", {"i_xt": "1.9", "i_ty": "3.2 ?"}) == "refuted/impossible"
    assert outcome("info.layers", {"i_xt": ["1.0 ?", "2.0 bit", "3.0 ?"]}) == "unchecked"


def test_an_estimate_breaks_no_law_of_exact_values() -> None:
    for id, fields in (
        ("info.entropy", {"mi": "0.78", "base_rate": "2 %"}),
        ("info.dpi", {"i_xt": "1.2", "i_ty": "2.2"}),
        ("info.layers", {"i_xt": ["1.2", "2.2"]}),
        ("info.gaussian", {"mi": "0.50", "rho": "0.90"}),
    ):
        made = INVARIANTS[id]
        claim = example_claim(made, Example(fields, ""))
        assert judge_one(claim, made).outcome == "refuted"
        found = judge_one(replace(claim, fields={**claim.fields, "estimator": "binning"}), made)
        assert (found.outcome, found.subtype) == ("undetermined", "model_based")
        assert found.settle is not None
        assert found.settle.endswith("bound holds for exact values; estimator binning")


def test_processing_cannot_add_information() -> None:
    found = judged("info.dpi", {"i_xt": "1.9", "i_ty": "2.2"})
    assert found.margin == pytest.approx(-0.3, abs=1e-9)
    assert found.margin_rounded == pytest.approx(-0.2, abs=1e-9)
    found = judged("info.dpi", {"i_xt": "1.2 ?", "i_ty": "2.2 ?", "layer": "4"})
    assert "2.2" in found.witness
    assert "1.2" in found.witness
    assert "layer 4: at most one of the two is right" in found.witness


def test_samples_limit_an_estimate() -> None:
    found = judged("info.saturation", {"mi": "9.1", "n": "10000", "classes": "10"})
    assert found.bound == pytest.approx(4 * math.log(10), abs=1e-12)
    assert found.bound == pytest.approx(9.210340, abs=1e-6)
    assert "ln N = 9.21034 nat" in found.witness
    assert "ln classes = 2.30259 nat" in found.witness
    assert math.log(10) == pytest.approx(2.302585, abs=1e-6)


def test_the_information_of_two_normal_variables() -> None:
    """-ln(1 - .81) / 2 = -ln(.19) / 2."""
    assert judged("info.gaussian", {"mi": "0.8304", "rho": "0.9"}).computed == pytest.approx(-math.log(0.19) / 2)
    assert outcome("info.gaussian", {"mi": "inf", "rho": "1.0"}) == "supported/recomputed"
    assert outcome("info.gaussian", {"mi": "0.00", "rho": "0.0"}) == "supported/recomputed"
    tiny = judged("info.gaussian", {"mi": "5.0e-13", "rho": "1.0e-6"})
    assert tiny.computed == pytest.approx(5e-13, rel=1e-12)


@st.composite
def true_claims(draw: Any) -> tuple[str, dict[str, Any]]:
    id = draw(st.sampled_from(["info.entropy", "info.dpi", "info.layers", "info.gaussian"]))
    name, scale = draw(UNITS)
    unit = draw(st.sampled_from([name, "?"]))

    def told(nats: float) -> str:
        return f"{printed(nats * scale, draw(DIGITS))} {unit}"

    if id == "info.entropy":
        p, classes = draw(reals(0, 1)), draw(st.integers(2, 1000))
        fields: dict[str, Any] = {}
        if draw(st.booleans()):
            bound = entropy_of(p, 1 - p)
            fields["base_rate"] = draw(
                st.sampled_from([printed(p, draw(DIGITS)), f"{printed(100 * p, draw(DIGITS))} %"])
            )
        else:
            bound, fields["classes"] = math.log(classes), str(classes)
        return id, {**fields, "mi": told(bound * draw(SHARES))}
    values = draw(st.lists(reals(0, 20), min_size=2, max_size=6))
    if id == "info.dpi":
        i_xt, i_xy = values[:2]
        return id, {"i_xt": told(i_xt), "i_xy": told(i_xy), "i_ty": told(min(i_xt, i_xy) * draw(SHARES))}
    if id == "info.layers":
        field = draw(st.sampled_from(["i_xt", "i_ty"]))
        return id, {field: [told(value) for value in sorted(values, reverse=True)]}
    rho = draw(reals(-0.999, 0.999))
    exact = -0.5 * math.log1p(-rho * rho)
    return id, {"rho": printed(rho, draw(DIGITS)), "mi": told(exact)}


@MANY
@given(true_claims())
def test_a_true_claim_is_never_refuted(claim: tuple[str, dict[str, Any]]) -> None:
    found = judged(*claim)
    assert found.outcome != "refuted", (claim, found.witness)


@MANY
@given(st.floats(0.001, 0.999), UNITS, st.integers(5, 12), st.floats(1.01, 50), st.floats(0.01, 20))
def test_a_value_beyond_its_bound_and_all_roundings_is_refuted(
    p: float, unit: tuple[str, float], digits: int, excess: float, nats: float
) -> None:
    name, scale = unit

    def told(value: float) -> str:
        return f"{printed(value * scale, digits)} {name}"

    rate = printed(p, digits)
    assert (
        outcome("info.entropy", {"mi": told(entropy_of(p, 1 - p) * excess), "base_rate": rate}) == "refuted/impossible"
    )
    assert outcome("info.dpi", {"i_xt": told(nats), "i_ty": told(nats * excess)}) == "refuted/impossible"
    assert outcome("info.layers", {"i_ty": [told(nats), told(nats * excess)]}) == "refuted/impossible"
    rho = min(p, 0.99)
    assert outcome(
        "info.gaussian", {"mi": told(-0.5 * math.log1p(-rho * rho) * excess), "rho": printed(rho, digits)}
    ) == ("refuted/contradicted")


@pytest.mark.parametrize(
    ("id", "fields"),
    [
        ("info.entropy", {"mi": "0.78", "base_rate": "120 %"}),
        ("info.entropy", {"mi": "0.78", "base_rate": "-1"}),
        ("info.entropy", {"mi": "0.78", "classes": "0"}),
        ("info.entropy", {"mi": "0.78"}),
        ("info.gaussian", {"mi": "0.78", "rho": "3.0"}),
        ("info.saturation", {"mi": "0.78", "n": "0"}),
        ("info.layers", {"i_xt": []}),
        ("info.layers", {"i_xt": ["1.0"]}),
        ("info.layers", {}),
        ("info.dpi", {"i_xt": "1.0 s", "i_ty": "2.0 s"}),
    ],
)
def test_what_no_law_is_defined_for_is_unchecked(id: str, fields: dict[str, Any]) -> None:
    assert outcome(id, fields) == "unchecked"


def test_one_of_several_required_fields_is_named() -> None:
    assert judged("info.entropy", {"mi": "0.78"}).missing == ("base_rate or classes",)
    assert judged("info.layers", {}).missing == ("i_xt or i_ty",)
