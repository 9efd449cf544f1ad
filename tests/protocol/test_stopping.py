from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tollens.core.errors import Exit, TollensError
from tollens.protocol.stopping import (
    Prior,
    Stopping,
    check,
    expected_shortfall,
    guarantee,
    may_look,
    read_stopping,
)
from tollens.stats.gaussian import Gaussian

FIXED = Stopping(rule="fixed_n")
GROUP = Stopping(rule="group_sequential", level="0.05", looks=(4, 8, 12), spending="obrien-fleming")
E_VALUE = Stopping(rule="e_value", level="0.05")
LOSS = Stopping(rule="expected_loss", prior=Prior(mean="0", sd="1"), sd="2", loss="0.05")
RULES = [FIXED, GROUP, E_VALUE, LOSS]


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.rule)
def test_each_rule_seals_and_says_what_it_promises(rule: Stopping) -> None:
    check(rule, 12, (0.0, 1.0), value=0.5)
    assert guarantee(rule)


def test_the_promises() -> None:
    assert guarantee(FIXED).startswith("one look, when every cell is read")
    assert guarantee(GROUP).startswith(
        "valid at the planned looks (4, 8, 12 cells, obrien-fleming spending): type-I error 0.05, both sides together"
    )
    assert guarantee(E_VALUE).startswith("valid at any stopping time: type-I error at most 0.05")
    assert guarantee(LOSS).startswith("calibrated under its prior, does not control the type-I error")


def test_the_table_of_a_study_is_read() -> None:
    assert read_stopping({"rule": "fixed_n"}) == FIXED
    table = {"rule": "group_sequential", "level": "0.05", "looks": [4, 8, 12], "spending": "obrien-fleming"}
    assert read_stopping(table) == GROUP
    assert (
        read_stopping({"rule": "expected_loss", "prior": {"mean": "0", "sd": "1"}, "sd": "2", "loss": "0.05"}) == LOSS
    )


@pytest.mark.parametrize(
    "table",
    [
        {},
        {"rule": "when I like it"},
        {"rule": "e_value", "level": 0.05},
        {"rule": "fixed_n", "peek": True},
        {"rule": "group_sequential", "looks": "4"},
        {"rule": "group_sequential", "looks": [4.5]},
        {"rule": "expected_loss", "prior": {"mean": "0"}},
        {"rule": ["e_value"]},
    ],
)
def test_a_table_of_another_form_is_refused(table: dict[str, Any]) -> None:
    with pytest.raises(TollensError) as caught:
        read_stopping(table)
    assert (caught.value.code, caught.value.exit_code) == ("stopping_field", Exit.REFUSED_TO_SEAL)


@pytest.mark.parametrize(
    ("rule", "change", "subject"),
    [
        (FIXED, {"looks": (4, 12)}, "stopping.looks"),
        (FIXED, {"level": "0.05"}, "stopping.level"),
        (E_VALUE, {"looks": (4, 12)}, "stopping.looks"),
        (E_VALUE, {"level": None}, "stopping.level"),
        (E_VALUE, {"level": "0"}, "stopping.level"),
        (E_VALUE, {"level": "1"}, "stopping.level"),
        (E_VALUE, {"level": "1.0"}, "stopping.level"),
        (E_VALUE, {"level": "-0.05"}, "stopping.level"),
        (E_VALUE, {"level": "nan"}, "stopping.level"),
        (E_VALUE, {"level": "1e-99"}, "stopping.level"),
        (E_VALUE, {"level": "9" * 5000}, "stopping.level"),
        (GROUP, {"level": None}, "stopping.level"),
        (GROUP, {"level": "0.0001"}, "stopping.level"),
        (GROUP, {"spending": None}, "stopping.spending"),
        (GROUP, {"spending": "freely"}, "stopping.spending"),
        (GROUP, {"looks": None}, "stopping.looks"),
        (GROUP, {"looks": ()}, "stopping.looks"),
        (GROUP, {"looks": (4, 4, 12)}, "stopping.looks"),
        (GROUP, {"looks": (8, 4, 12)}, "stopping.looks"),
        (GROUP, {"looks": (1, 12)}, "stopping.looks"),
        (GROUP, {"looks": (4, 13)}, "stopping.looks"),
        (GROUP, {"looks": (4, 11)}, "stopping.looks"),
        (GROUP, {"prior": Prior(mean="0", sd="1")}, "stopping.prior"),
        (LOSS, {"prior": None}, "stopping.prior"),
        (LOSS, {"prior": Prior(mean="0", sd="0")}, "stopping.prior.sd"),
        (LOSS, {"prior": Prior(mean="<mean>", sd="1")}, "stopping.prior.mean"),
        (LOSS, {"sd": None}, "stopping.sd"),
        (LOSS, {"sd": "-1"}, "stopping.sd"),
        (LOSS, {"loss": None}, "stopping.loss"),
        (LOSS, {"loss": "0"}, "stopping.loss"),
        (LOSS, {"level": "0.05"}, "stopping.level"),
    ],
)
def test_nonsense_does_not_seal(rule: Stopping, change: dict[str, Any], subject: str) -> None:
    check(rule, 12, (0.0, 1.0), value=0.5)
    with pytest.raises(TollensError) as caught:
        check(replace(rule, **change), 12, (0.0, 1.0), value=0.5)
    assert (caught.value.code, caught.value.subject) == ("stopping_field", subject)
    assert caught.value.exit_code is Exit.REFUSED_TO_SEAL


def test_the_smallest_change_seals() -> None:
    with pytest.raises(TollensError, match=r"Write looks = \[4, 8, 12\]"):
        check(replace(GROUP, looks=(4, 8, 16)), 12)
    with pytest.raises(TollensError, match=r"Write looks = \[4, 8, 12\]"):
        check(replace(GROUP, looks=(4, 8)), 12)
    with pytest.raises(TollensError, match=r"Write looks = \[4, 8, 12\]"):
        check(replace(GROUP, looks=(8, 4, 12)), 12)


@pytest.mark.parametrize("looks", [tuple(range(2, 60)), tuple(range(2, 5000))])
def test_looks_without_end_are_refused_in_a_short_message(looks: tuple[int, ...]) -> None:
    with pytest.raises(TollensError, match="at most 50") as caught:
        check(replace(GROUP, looks=looks), looks[-1])
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("support", [None, (0.0, math.inf), (-math.inf, 1.0), (1.0, 0.0), (0.5, 0.5)])
def test_an_e_value_needs_a_bounded_support(support: tuple[float, float] | None) -> None:
    with pytest.raises(TollensError) as caught:
        check(E_VALUE, 12, support, value=0.5)
    assert (caught.value.code, caught.value.subject) == ("stopping_field", "support")


@pytest.mark.parametrize("value", [0.0, 1.0, 2.0, math.nan])
def test_a_mean_at_or_beyond_the_end_of_the_support_cannot_be_tested(value: float) -> None:
    with pytest.raises(TollensError, match=r"claim.value"):
        check(E_VALUE, 12, (0.0, 1.0), value=value)


@pytest.mark.parametrize("rule", RULES[1:], ids=lambda r: r.rule)
@pytest.mark.parametrize(
    ("aggregate", "relation"), [("min", ">="), ("any", "<"), ("quantile", ">="), ("mean", "within")]
)
def test_only_a_mean_on_one_side_may_stop_early(rule: Stopping, aggregate: str, relation: str) -> None:
    with pytest.raises(TollensError, match='Write rule = "fixed_n"'):
        check(rule, 12, (0.0, 1.0), value=0.5, aggregate=aggregate, relation=relation)
    check(FIXED, 12, None, value=0.5, aggregate=aggregate, relation=relation)


def test_a_prior_that_decides_alone_is_refused() -> None:
    check(LOSS, 12, value=0.0)
    assert expected_shortfall(Gaussian(0.0, 1.0), 3.0) == pytest.approx(0.000382152, abs=1e-8)  # phi(3) - 3 Phi(-3)
    with pytest.raises(TollensError, match="decides before any cell is read"):
        check(LOSS, 12, value=3.0)


def test_when_a_look_is_allowed() -> None:
    allowed = {r.rule: [n for n in range(15) if may_look(r, n, 12)] for r in RULES}
    assert allowed == {
        "fixed_n": [12],
        "group_sequential": [4, 8, 12],
        "e_value": [*range(1, 13)],
        "expected_loss": [*range(1, 13)],
    }


@given(st.floats(-5.0, 5.0), st.floats(0.01, 5.0), st.floats(-5.0, 5.0))
def test_the_loss_of_the_better_decision_is_largest_where_nothing_is_known(mean: float, sd: float, at: float) -> None:
    loss = expected_shortfall(Gaussian(mean, sd), at)
    assert 0.0 <= loss <= sd / math.sqrt(2.0 * math.pi) * (1.0 + 1e-12)
    assert loss == pytest.approx(expected_shortfall(Gaussian(-mean, sd), -at), abs=1e-12)
