"""Known ceilings, recomputed; true claims are never refuted, those beyond a ceiling and all roundings always are."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtri

import tollens.lint.invariants
from tollens.lint.ask import judge_one
from tollens.lint.example import example_claim
from tollens.lint.finding import Finding
from tollens.lint.invariants.ceilings import expected_experts
from tollens.lint.invariants.sizes import largest_radius
from tollens.lint.law import Example
from tollens.lint.registry import INVARIANTS

assert tollens.lint.invariants
DIGITS = st.integers(1, 15)
SHARES = st.one_of(st.just(1.0), st.floats(1e-6, 1.0))
MANY = settings(max_examples=400, deadline=None)
ALPHAS, SIGMAS = ("0.05", "0.01", "0.001", "1e-6"), ("0.12", "0.25", "0.5", "1", "2.0")
IDS = [
    f"ceiling.{name}"
    for name in ("bytes", "amdahl", "roofline", "smoothing", "compression", "bits", "srank", "experts")
]


def judged(id: str, fields: dict[str, Any]) -> Finding:
    return judge_one(example_claim(INVARIANTS[id], Example(fields, "")), INVARIANTS[id])


def outcome(id: str, fields: dict[str, Any]) -> str:
    found = judged(id, fields)
    return f"{found.outcome}/{found.subtype}" if found.subtype else found.outcome


def printed(value: float, digits: int) -> str:
    return f"{value:.{digits - 1}e}"


def test_a_third_made_free_gives_half_as_much_again() -> None:
    bound = judged("ceiling.amdahl", {"fraction": "0.33", "speedup": "1.4"}).bound
    assert bound == pytest.approx(float(1 / (1 - Fraction(33, 100))), abs=1e-12)
    assert bound == pytest.approx(1.4925, abs=1e-4)


def test_one_token_of_an_8_billion_weight_model() -> None:
    sizes = {"bytes": "16.0 GB", "flop": "16.0 GFLOP", "bandwidth": "3.35 TB/s", "peak": "989 TFLOP/s"}
    found = judged("ceiling.roofline", {**sizes, "time": "4.0 ms"})
    assert found.bound == pytest.approx(16 / 3350, rel=1e-12)
    assert found.bound == pytest.approx(4.776e-3, rel=1e-3)
    assert found.witness.endswith("compute 0.016178 ms, memory 4.77612 ms, ridge 295.224 FLOP/B")
    assert pytest.approx(0.0162, rel=2e-3) == 16 / 989
    assert pytest.approx(295, rel=1e-3) == 989 / 3.35


def test_two_of_four_with_indices() -> None:
    """Of 4 * 16 bit 2 * 16 are kept, and 2 * 2 bit say which."""
    found = judged("ceiling.bytes", {"speedup": "1.6", "bytes_before": "64.0 bit", "bytes_after": "36.0 bit"})
    assert found.bound == pytest.approx(float(Fraction(64, 36)), abs=1e-12)
    assert float(Fraction(36, 64)) == 0.5625


@pytest.mark.parametrize(("sigma", "radius"), [("0.25", 0.95286), ("0.5", 1.90573), ("1", 3.81146)])
def test_the_largest_radius_of_a_hundred_thousand_draws(sigma: str, radius: float) -> None:
    found = judged("ceiling.smoothing", {"sigma": sigma, "n": "100000", "alpha": "0.001", "radius": "0.1"})
    assert found.bound == pytest.approx(radius, abs=1e-4)
    assert found.bound == pytest.approx(float(sigma) * ndtri(0.001**1e-5), rel=1e-9)


@given(st.integers(1, 10**9), st.floats(1e-12, 0.999))
def test_the_largest_radius_is_the_normal_quantile(n: int, alpha: float) -> None:
    expected = max(float(-ndtri(-math.expm1(math.log(alpha) / n))), 0.0)
    assert largest_radius(n, alpha) == pytest.approx(expected, rel=1e-9, abs=2e-12)


def test_an_eighth_kept_at_16_bit() -> None:
    fields = {"f": "0.125", "b_low": "1", "b_high": "16", "bits_in": "16", "ratio": "6.24"}
    bits = Fraction(7, 8) + Fraction(1, 8) * 16
    assert bits == Fraction("2.875")
    found = judged("ceiling.bits", fields)
    assert (found.outcome, found.bound) == ("refuted", pytest.approx(float(16 / bits), abs=1e-9))
    assert found.bound == pytest.approx(5.565, abs=1e-3)
    assert judged("ceiling.bits", {k: v for k, v in fields.items() if k != "bits_in"}).missing == ("bits_in",)


def test_an_index_is_a_mean_and_rounded_a_width_is_a_format_and_exact() -> None:
    """2 bit of index may be 1.5: 16 / (4 + 1.5) = 2.909, where 16 / (4 + 2) = 2.667. 2.0 bit may not."""
    fields = {"f": "0.00", "b_low": "4", "b_high": "4", "bits_in": "16", "ratio": "2.80"}
    assert outcome("ceiling.bits", {**fields, "index": "2"}) == "undetermined/consistent"
    assert outcome("ceiling.bits", {**fields, "index": "2.0"}) == "refuted/impossible"
    assert outcome("ceiling.bits", {**fields, "ratio": "4.02"}) == "refuted/impossible"


def test_the_scales_of_16_heads() -> None:
    scales = 16 * 64 * 2048
    assert scales * 4 == 8 * 2**20
    fields = {"entries": "1e9", "bits": "4", "scales": str(scales), "scale_bits": "4 B", "size": "1.0 GB"}
    assert "scales take 8 MiB" in judged("ceiling.compression", fields).witness


@pytest.mark.parametrize(("batch", "expected"), [(1, 6.0), (4, 20.83), (8, 34.88), (32, 61.26)])
def test_the_experts_that_a_batch_uses(batch: int, expected: float) -> None:
    assert expected_experts(64, 6, batch) == pytest.approx(expected, abs=1e-2)
    assert expected_experts(64, 6, batch) == pytest.approx(float(64 * (1 - Fraction(58, 64) ** batch)), rel=1e-12)


def test_the_bandwidth_share_counts_only_if_it_was_measured() -> None:
    fields = {"speedup": "2.4", "bytes_before": "16.0 GB", "bytes_after": "8.0 GB"}
    for share in (None, "0.90"):
        found = judged("ceiling.bytes", {**fields, **({"bandwidth_share_before": share} if share else {})})
        assert (found.subtype, found.bound) == ("model_based", pytest.approx(2.0))
        assert found.settle is not None
        assert "measure bandwidth_share_before and state measured = true" in found.settle
    found = judged("ceiling.bytes", {**fields, "bandwidth_share_before": "0.90!"})
    assert (found.outcome, found.subtype, found.bound) == ("refuted", "impossible", pytest.approx(2 / 0.9))
    assert outcome("ceiling.bytes", {**fields, "bandwidth_share_before": "0.50!"}) == "undetermined/consistent"
    assert outcome("ceiling.bytes", {**fields, "bound": "compute"}) == "unchecked"


def test_a_measured_speed_up_below_its_ceiling_leaves_time_unexplained() -> None:
    """Half of the work made free allows 2; 1.5 leaves 1 - 1.5/2 of the time."""
    assert "leaves 25 % of the time" in judged("ceiling.amdahl", {"fraction": "0.500", "speedup": "1.50!"}).witness
    assert "unexplained" not in judged("ceiling.amdahl", {"fraction": "0.500", "speedup": "1.50"}).witness
    assert "unexplained" not in judged("ceiling.amdahl", {"fraction": "0.500", "speedup": "2.50!"}).witness


def test_several_devices_need_their_links() -> None:
    for id, fields in (
        ("ceiling.bytes", {"speedup": "3.0", "bytes_before": "16.0 GB", "bytes_after": "8.0 GB"}),
        ("ceiling.roofline", {"bytes": "16.0 GB", "bandwidth": "3.35 TB/s", "time": "0.1 ms"}),
    ):
        assert judged(id, {**fields, "devices": "8"}).missing == ("link_bandwidth",)
        assert judged(id, {**fields, "link_bandwidth": "900 GB/s"}).missing == ("devices",)
        assert judged(id, {**fields, "devices": "1"}).outcome != "unchecked"
        assert judged(id, {**fields, "devices": "8", "link_bandwidth": "900 GB/s"}).outcome != "unchecked"
    links = {
        "bytes": "16.0 GB",
        "bandwidth": "3.35 TB/s",
        "time": "1.0 ms",
        "devices": "8",
        "link_bandwidth": "900 GB/s",
    }
    assert outcome("ceiling.roofline", links) == "undetermined/consistent"
    assert outcome("ceiling.roofline", {**links, "link_bytes": "1.80 GB"}) == "refuted/impossible"


@pytest.mark.parametrize(
    ("id", "one", "other"),
    [
        ("ceiling.roofline", {"bytes": "16.0 GB", "bandwidth": "3.35 TB/s", "time": "4.0 ms"},
         {"bytes": "16.0e3 MB", "bandwidth": "3.35e3 GB/s", "time": "4.0e-3 s"}),
        ("ceiling.roofline", {"bytes": "16.0 GB", "bandwidth": "3.35 TB/s", "time": "4.7 ms"},
         {"bytes": "0.0160 TB", "bandwidth": "3.35e6 MB/s", "time": "4.7e3 us"}),
        ("ceiling.amdahl", {"fraction": "0.33", "speedup": "1.5"}, {"fraction": "33 %", "speedup": "150 %"}),
        ("ceiling.amdahl", {"fraction": "0.33", "speedup": "1.6"}, {"fraction": "33 %", "speedup": "1.6 x"}),
        ("ceiling.bytes", {"speedup": "3.0", "bytes_before": "16.0 GB", "bytes_after": "8.0 GB"},
         {"speedup": "3.0", "bytes_before": "128.0 Gbit", "bytes_after": "8.0e3 MB"}),
        ("ceiling.smoothing", {"sigma": "1", "n": "9", "alpha": "0.001", "radius": "0.6"},
         {"sigma": "100 %", "n": "9", "alpha": "0.1 %", "radius": "60 %"}),
        ("ceiling.compression", {"entries": "1e6", "bits": "8", "scales": "9", "scale_bits": "32", "size": "0.9 MB"},
         {"entries": "1e6", "bits": "1 B", "scales": "9", "scale_bits": "4 B", "size": "900 kB"}),
    ],
)  # fmt: skip
def test_a_change_of_units_changes_nothing(id: str, one: dict[str, str], other: dict[str, str]) -> None:
    assert outcome(id, one) == outcome(id, other)


def test_gibibytes_are_not_gigabytes() -> None:
    """15.0 GiB are 16.1 GB, and 15.0 GB take 4.48 ms at 3.35 TB/s."""
    rate = {"bandwidth": "3.35 TB/s", "time": "4.6 ms"}
    assert outcome("ceiling.roofline", {"bytes": "15.0 GiB", **rate}) == "refuted/impossible"
    assert outcome("ceiling.roofline", {"bytes": "15.0 GB", **rate}) == "undetermined/consistent"


@st.composite
def ceilings(
    draw: Any, ids: tuple[str, ...] = tuple(IDS)
) -> tuple[str, dict[str, float], dict[str, str], str, float, str]:
    """A law, true values that are printed rounded, fields given as they are, the bounded field and its bound."""
    id = draw(st.sampled_from(ids))
    size, small = st.floats(1e-3, 1e12), st.floats(0.01, 0.95)
    if id == "ceiling.bytes":
        true = {"bytes_before": draw(size), "bytes_after": draw(size), "bandwidth_share_before": draw(small)}
        return (
            id,
            true,
            {},
            "speedup",
            true["bytes_before"] / true["bytes_after"] / true["bandwidth_share_before"],
            "<=",
        )
    if id == "ceiling.amdahl":
        true = {"fraction": draw(small), "local_speedup": draw(st.floats(0.1, 1e3))}
        f, s = true.values()
        return id, true, {}, "speedup", 1 / ((1 - f) + f / s), "<="
    if id == "ceiling.roofline":
        true = {name: draw(size) for name in ("bytes", "bandwidth", "flop", "peak")}
        return id, true, {}, "time", max(true["bytes"] / true["bandwidth"], true["flop"] / true["peak"]), ">="
    if id == "ceiling.smoothing":
        n, alpha, sigma = draw(st.integers(20, 10**7)), draw(st.sampled_from(ALPHAS)), draw(st.sampled_from(SIGMAS))
        bound = float(sigma) * max(float(-ndtri(-math.expm1(math.log(float(alpha)) / n))), 0.0)
        return id, {}, {"n": str(n), "alpha": alpha, "sigma": sigma}, "radius", bound, "<="
    if id == "ceiling.compression":
        entries, scales, bits, width = (draw(st.integers(1, top)) for top in (10**9, 10**6, 8, 32))
        given_ = {
            "entries": str(entries),
            "scales": str(scales),
            "bits": str(bits),
            "scale_bits": str(width),
            "bits_in": "16",
        }
        out = entries * bits + scales * width
        return (
            (id, {}, given_, "size", out / 8, ">=")
            if draw(st.booleans())
            else (id, {}, given_, "ratio", 16 * entries / out, "<=")
        )
    if id == "ceiling.bits":
        true = {"f": draw(small), "b_low": draw(st.floats(1, 8)), "index": draw(st.floats(0.01, 4))}
        out = (1 - true["f"]) * true["b_low"] + true["f"] * 16 + true["index"] + 16 / 32
        return id, true, {"b_high": "16", "bits_in": "16", "scale_bits": "16", "block": "32"}, "ratio", 16 / out, "<="
    if id == "ceiling.srank":
        rank = draw(st.integers(1, 5000))
        return id, {}, {"rank": str(rank)}, "stable_rank", float(rank), "<="
    experts, batch = draw(st.integers(2, 256)), draw(st.integers(1, 64))
    k = draw(st.integers(1, experts))
    return (
        id,
        {},
        {"experts": str(experts), "k": str(k), "batch": str(batch)},
        "distinct",
        float(min(experts, k * batch)),
        "<=",
    )


UNITS = {
    "bytes_before": ("B", "kB", "GB"), "bytes_after": ("B", "MB"), "bytes": ("B", "GB"), "bandwidth": ("B/s", "TB/s"),
    "flop": ("FLOP", "GFLOP"), "peak": ("FLOP/s", "TFLOP/s"), "time": ("s", "ms", "us"), "fraction": ("1", "%"),
    "speedup": ("1", "%"), "ratio": ("1", "x"), "f": ("1", "%"), "size": ("B", "kB"),
    "bandwidth_share_before": ("1", "%"),
}  # fmt: skip
SCALE = {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "m": 1e-3, "u": 1e-6, "%": 1e-2}


def told(draw: Any, name: str, value: float, digits: int) -> str:
    """The value in one of its units; a division by a power of ten moves it by an ulp, less than its last digit."""
    unit = draw(st.sampled_from(UNITS.get(name, ("",))))
    scale = SCALE.get(unit[:1], 1.0) if unit not in ("", "1", "x") else 1.0
    measured = "!" if name == "bandwidth_share_before" else ""
    return f"{printed(value / scale, min(digits, 14))} {unit}".strip() + measured


@MANY
@given(ceilings(), SHARES, st.data())
def test_a_true_claim_is_never_refuted(made: Any, share: float, data: st.DataObject) -> None:
    id, true, fields, name, bound, relation = made
    value = bound * share if relation == "<=" else bound / share
    if id == "ceiling.srank":
        value = max(value, 1.0)
    if id == "ceiling.experts":
        value = max(value, float(fields["k"]))
    digits = {key: data.draw(DIGITS) for key in (*true, name)}
    if "b_low" in digits:  # a whole number of bits is a format, and exact
        digits["b_low"] = max(digits["b_low"], 2)
    reported = {key: told(data.draw, key, number, digits[key]) for key, number in {**true, name: value}.items()}
    found = judged(id, {**fields, **reported})
    assert found.outcome != "refuted", (made, reported, found.witness)


@MANY
@given(ceilings(), st.floats(1.01, 100), st.integers(7, 12), st.data())
def test_a_value_beyond_its_ceiling_and_all_roundings_is_refuted(
    made: Any, excess: float, digits: int, data: st.DataObject
) -> None:
    id, true, fields, name, bound, relation = made
    value = bound * excess if relation == "<=" else bound / excess
    if value == 0.0:
        value = excess
    reported = {key: told(data.draw, key, number, digits) for key, number in {**true, name: value}.items()}
    found = judged(id, {**fields, **reported})
    assert (found.outcome, found.subtype) == ("refuted", "impossible"), (made, reported, found.witness)


@pytest.mark.parametrize(
    ("id", "fields"),
    [
        ("ceiling.bytes", {"speedup": "3", "bytes_before": "-1", "bytes_after": "8"}),
        ("ceiling.bytes", {"speedup": "3", "bytes_before": "8", "bytes_after": "-8"}),
        ("ceiling.bytes", {"speedup": "3", "bytes_before": "inf", "bytes_after": "8"}),
        (
            "ceiling.bytes",
            {"speedup": "3", "bytes_before": "8.0", "bytes_after": "8.0", "bandwidth_share_before": "1.2!"},
        ),
        ("ceiling.amdahl", {"speedup": "3", "fraction": "33"}),
        ("ceiling.amdahl", {"speedup": "3", "fraction": "-1"}),
        ("ceiling.amdahl", {"speedup": "3", "fraction": "0.5", "local_speedup": "-2"}),
        ("ceiling.roofline", {"time": "3", "bytes": "5"}),
        ("ceiling.roofline", {"time": "-3", "bytes": "5", "bandwidth": "2"}),
        ("ceiling.roofline", {"time": "3", "bytes": "5", "bandwidth": "-2"}),
        ("ceiling.smoothing", {"sigma": "0", "n": "9", "alpha": "0.1", "radius": "1"}),
        ("ceiling.smoothing", {"sigma": "1", "n": "0", "alpha": "0.1", "radius": "1"}),
        ("ceiling.smoothing", {"sigma": "1", "n": "9", "alpha": "1", "radius": "1"}),
        ("ceiling.smoothing", {"sigma": "1", "n": "9", "alpha": "0", "radius": "1"}),
        ("ceiling.compression", {"entries": "0", "bits": "4", "scales": "1", "scale_bits": "32", "size": "9"}),
        ("ceiling.bits", {"f": "12.5", "b_low": "1", "b_high": "16", "bits_in": "16", "ratio": "9"}),
        ("ceiling.srank", {"stable_rank": "5", "rank": "0"}),
        ("ceiling.srank", {"stable_rank": "5", "shape": ["64", "0"]}),
        ("ceiling.srank", {"stable_rank": "5", "shape": ["1", "2", "3"]}),
        ("ceiling.experts", {"experts": "0", "k": "1", "batch": "1", "distinct": "1"}),
    ],
)
def test_what_no_law_is_defined_for_is_unchecked(id: str, fields: dict[str, Any]) -> None:
    assert outcome(id, fields) == "unchecked"


def test_one_of_several_required_fields_is_named() -> None:
    assert judged("ceiling.roofline", {"time": "3"}).missing == ("bytes or flop",)
    assert judged("ceiling.roofline", {"time": "3", "flop": "3"}).missing == ("peak",)
    assert judged("ceiling.srank", {"stable_rank": "3"}).missing == ("rank or shape",)
    sizes = {"entries": "9", "bits": "4", "scales": "1", "scale_bits": "32"}
    assert judged("ceiling.compression", sizes).missing == ("ratio or size",)
    assert judged("ceiling.compression", {**sizes, "ratio": "2"}).missing == ("bits_in",)
