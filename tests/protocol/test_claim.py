from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from tollens.core.errors import Exit, TollensError
from tollens.protocol.answer import ClaimAnswer
from tollens.protocol.claim import claim_names, judge_claim, needs_power_law, support_of

UNITS = {
    "M": "count",
    "N": "count",
    "alpha": "1",
    "stable_rank": "count",
    "numerical_rank": "count",
    "fro2": "weight^2",
    "log10_fro2": "decade",
    "traps_all": "count",
    "alpha_interval_low": "1",
    "alpha_interval_high": "1",
    "seed": "1",
}


def layer(name: str, **fields: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "name": name,
        "tensor": name,
        "role": "q",
        "M": 64,
        "N": 128,
        "source_dtype": "BF16",
        "alpha": 3.5,
        "alpha_interval": {"low": 3.0, "high": 4.0, "level": 0.9, "method": "bootstrap"},
        "stable_rank": 12.5,
        "numerical_rank": 64,
        "fro2": 4.0,
        "log10_fro2": 0.602,
        "traps_all": [0, 0, 1, 0, 0],
        "flags": [],
        "status": "OK",
        "band": "usual",
        "undefined": {},
        "sentence": "",
        "histogram": None,
    }
    return plain | fields


LAYERS = [
    layer("a"),
    layer("b", stable_rank=9.0, traps_all=[1, 2, 2, 1], role="head"),
    layer("c", alpha=None, alpha_interval=None, band=None, undefined={"alpha": "tail_too_short"}),
]


def judged(text: str, layers: list[dict[str, Any]] = LAYERS) -> ClaimAnswer:
    return judge_claim(text, layers, UNITS)


@pytest.mark.parametrize(
    ("text", "needed"),
    [
        ("all(alpha < 6)", True),
        ("all(alpha_interval_high < 6)", True),
        ("all(band == usual)", True),
        ("all(stable_rank >= 8) and all(alpha > 2)", True),
        ("all(stable_rank >= 8)", False),
        ("max(traps_all) == 0", False),
    ],
)
def test_a_claim_about_the_tail_needs_a_power_law(text: str, needed: bool) -> None:
    """The bounds of alpha and its band speak of the law as much as alpha does."""
    assert needs_power_law(claim_names(text, UNITS)) == needed


@pytest.mark.parametrize(
    ("text", "verdict", "exit_code"),
    [
        ("all(stable_rank >= 8)", "SURVIVED", Exit.SURVIVED),
        ("all(stable_rank >= 10)", "KILLED", Exit.KILLED),
        ("all(alpha > 2)", "UNDETERMINED", Exit.UNDETERMINED),
        ("all(alpha > 4)", "KILLED", Exit.KILLED),
        ("all(alpha >= 1)", "SURVIVED", Exit.SURVIVED),  # the estimate is above 1 by its formula
        ("min(alpha_interval_low) > 2", "UNDETERMINED", Exit.UNDETERMINED),
        ("max(traps_all) <= 1.5", "SURVIVED", Exit.SURVIVED),  # the median of 1, 2, 2, 1
        ("max(traps_all) == 0", "KILLED", Exit.KILLED),
        ("any(traps_all == 0)", "SURVIVED", Exit.SURVIVED),
        ("any(role == head) and all(M == 64)", "SURVIVED", Exit.SURVIVED),
        ("all(role != conv)", "SURVIVED", Exit.SURVIVED),
        ("all(source_dtype == F16)", "KILLED", Exit.KILLED),
        ("all(band != over_trained)", "UNDETERMINED", Exit.UNDETERMINED),
        ("all(fro2 < 5 weight^2)", "SURVIVED", Exit.SURVIVED),
        ("mean(log10_fro2) < 1 decade", "SURVIVED", Exit.SURVIVED),
    ],
)
def test_verdicts_on_layers(text: str, verdict: str, exit_code: Exit) -> None:
    answer = judged(text)
    assert (answer.verdict, answer.exit_code) == (verdict, exit_code)


def test_a_killed_claim_names_its_worst_layer() -> None:
    answer = judged("all(stable_rank >= 10)")
    assert msgspec.to_builtins(answer.witness) == {
        "layer": "b",
        "quantity": "stable_rank",
        "value": 9.0,
        "unit": "count",
        "relation": ">=",
        "threshold": 10.0,
        "margin": -1.0,
        "certain": True,
    }
    assert answer.expected == "all(stable_rank >= 10)"
    assert answer.found == "stable_rank = 9 at b, 1 below 10"


def test_a_surviving_claim_names_its_tightest_layer() -> None:
    witness = judged("all(stable_rank >= 8)").witness
    assert witness is not None
    assert (witness.layer, witness.margin) == ("b", 1.0)


def test_an_undetermined_claim_names_layer_and_reason() -> None:
    answer = judged("all(alpha > 2) and all(alpha_interval_high < 9)")
    assert [(u.layer, u.quantity, u.reason) for u in answer.undetermined] == [
        ("c", "alpha", "tail_too_short"),
        ("c", "alpha_interval_high", "tail_too_short"),
    ]
    assert answer.witness is None


def test_the_answer_is_json_that_reads_back() -> None:
    for text in ("all(stable_rank >= 10)", "all(alpha > 2)", "mean(alpha) > -1e300", "any(role == head)"):
        encoded = msgspec.json.encode(judged(text))
        assert msgspec.json.decode(encoded, type=ClaimAnswer) == judged(text)
        json.loads(encoded, parse_constant=lambda name: pytest.fail(f"{name} in the JSON"))


def test_integers_stay_integers() -> None:
    witness = judged("min(numerical_rank) == 64").witness
    assert witness is not None
    assert [type(v) for v in (witness.value, witness.threshold, witness.margin)] == [int, int, int]


@pytest.mark.parametrize("reason", ["zero_matrix", "nonfinite", "no_spread"])
def test_a_layer_without_a_value_never_passes_by_what_the_value_would_be_bound_to(reason: str) -> None:
    dead = layer("dead", stable_rank=None, undefined={"stable_rank": reason})
    assert judged("all(stable_rank >= 1)", [layer("a"), dead]).verdict == "UNDETERMINED"
    unmeasured = layer("a2", stable_rank=None, undefined={"stable_rank": "not_requested"})
    assert judged("all(stable_rank >= 1)", [layer("a"), unmeasured]).verdict == "SURVIVED"
    assert judged("all(stable_rank <= 64)", [layer("a"), unmeasured]).verdict == "SURVIVED"
    assert judged("all(stable_rank <= 63)", [layer("a"), unmeasured]).verdict == "UNDETERMINED"


def test_a_failed_layer_is_undefined_in_everything_with_its_own_reason() -> None:
    failed = {"name": "f", "M": 4, "N": 4, "status": "FAILED", "undefined": {"spectrum": "nonfinite"}}
    answer = judged("all(stable_rank >= 1)", [layer("a"), failed])
    assert answer.verdict == "UNDETERMINED"
    assert [(u.layer, u.reason) for u in answer.undetermined] == [("f", "nonfinite")]


def test_a_field_that_a_layer_lacks_without_a_reason_is_absent() -> None:
    bare = {"name": "x", "M": 4, "N": 4, "undefined": {}}
    answer = judged("all(alpha < 6)", [bare])
    assert [u.reason for u in answer.undetermined] == ["absent"]


def test_no_layers_is_undetermined() -> None:
    answer = judged("all(stable_rank >= 8)", [])
    assert (answer.verdict, answer.reason) == ("UNDETERMINED", "claim_no_layers")
    assert judged("any(role == q)", []).verdict == "UNDETERMINED"


@pytest.mark.parametrize(
    ("text", "code", "hint"),
    [
        ("all(sable_rank >= 8)", "claim_unknown_name", "stable_rank"),
        ("any(role == haed)", "claim_unknown_name", "head"),
        ("all(fro2 < 5)", "claim_unit_mismatch", "5 weight^2"),
        ("stable_rank > 3", "claim_type", "all(stable_rank >= 8)"),
        ("all(stable_rank == 12)", "claim_type", "rounding"),
        ("all(name == a)", "claim_unknown_name", ""),
        ("all(sentence != x)", "claim_unknown_name", ""),
    ],
)
def test_a_claim_that_does_not_fit_is_refused(text: str, code: str, hint: str) -> None:
    with pytest.raises(TollensError) as caught:
        judged(text)
    assert caught.value.code == code
    assert hint in str(caught.value)


def test_the_names_of_a_claim_are_checked_before_any_work() -> None:
    found = claim_names("all(stable_rank >= 8) and any(role == head) or max(alpha) - min(alpha) < 1", UNITS)
    assert found == {"stable_rank", "role", "alpha"}
    assert claim_names("min(alpha_interval_low) > 1", UNITS) == {"alpha_interval_low"}
    with pytest.raises(TollensError, match="stable_rank"):
        claim_names("all(sable_rank >= 8)", UNITS)
    with pytest.raises(TollensError, match="alpha_interval_low"):  # a structure is no number; its parts are
        claim_names("all(alpha_interval > 1)", UNITS)


def test_what_a_quantity_can_be() -> None:
    here = {"M": 64}
    assert (support_of("stable_rank", here).low, support_of("stable_rank", here).high) == (1.0, 64.0)
    assert (support_of("erg_gap", here).low, support_of("erg_gap", here).high) == (-64.0, 64.0)
    assert (support_of("D", {}).low, support_of("D", {}).high) == (0.0, 1.0)
    assert support_of("fro2", {}).low == 0.0
    assert support_of("log10_fro2", here).low == -float("inf")
    assert support_of("stable_rank", {}).low == -float("inf")
