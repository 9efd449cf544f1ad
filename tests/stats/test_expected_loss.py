from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollens.core.errors import TollensError
from tollens.core.seeding import generator
from tollens.stats.beta_bernoulli import Beta, expected_losses
from tollens.stats.expected_loss import (
    Action,
    ExpectedLossRule,
    at_look,
    characteristics_beside,
    error_rate,
    tie_bound,
)
from tollens.stats.operating_characteristics import (
    Decision,
    OperatingCharacteristics,
    OperatingRow,
    Simulation,
    Truth,
    operating_characteristics,
)

RULE = ExpectedLossRule(0.001, (500, 1000, 2000))
AA = OperatingRow(Truth(0.1, 0.1), 0.48, 0.5, 0.02, 2400.0, 1200.0)


def simulated(rule: ExpectedLossRule) -> OperatingCharacteristics:
    return OperatingCharacteristics(rule.name, rule.looks, 6000, (AA,))


def test_the_word_is_shipped_and_the_guarantee_says_what_it_is_not() -> None:
    look = at_look(RULE, 1000, (100, 120), simulated(RULE))
    assert look.action is Action.SHIPPED_B
    assert look.losses.b == pytest.approx(0.00048461, abs=1e-8)
    assert look.b_better == pytest.approx(0.9231834, abs=1e-7)
    assert look.result.rule.endswith(": shipped B")
    assert "does not control the type-I error" in look.result.guarantee
    assert "ships A in 48.0%, B in 50.0%" in look.result.guarantee
    assert look.result.estimate == pytest.approx(20 / 1002, rel=1e-12)
    assert look.result.n == 2000
    assert look.result.n_to_settle is None
    assert "significant" not in str(look).lower()


def test_arms_exchanged_ship_the_other() -> None:
    assert at_look(RULE, 1000, (120, 100), simulated(RULE)).action is Action.SHIPPED_A


def test_what_is_not_shipped_goes_on_and_says_how_long_at_most() -> None:
    look = at_look(RULE, 1000, (100, 110), simulated(RULE))
    assert look.action is Action.CONTINUE
    assert look.result.n_to_settle == pytest.approx(2 * tie_bound(106 / 1002, 0.001), abs=2)


@pytest.mark.parametrize(
    ("third", "action"),
    [
        (None, Action.UNDECIDED),
        (Action.KEEP_CONTROL, Action.KEEP_CONTROL),
        (Action.INCONCLUSIVE, Action.INCONCLUSIVE),
    ],
)
def test_the_third_action_is_taken_at_the_last_look(third: Action | None, action: Action) -> None:
    rule = replace(RULE, third=third)
    assert at_look(rule, 2000, (200, 205), simulated(rule)).action is action


def test_nothing_is_shipped_below_the_minimum() -> None:
    rule = replace(RULE, minimum=1001)
    assert at_look(rule, 1000, (100, 150), simulated(rule)).action is Action.CONTINUE
    assert rule.decisions()(1000, np.array([100]), np.array([150]), np.arange(1)).tolist() == [Decision.CONTINUE]
    assert rule.decisions()(2000, np.array([200]), np.array([300]), np.arange(1)).tolist() == [Decision.SHIP_B]


@given(st.integers(1, 400), st.lists(st.integers(0, 400), min_size=2, max_size=8), st.floats(1e-4, 0.05))
@settings(max_examples=15, deadline=None)
def test_the_rule_of_the_simulation_is_the_rule_of_the_answer(n: int, successes: list[int], epsilon: float) -> None:
    a = np.minimum(np.array(successes), n)
    b = a[::-1].copy()
    rule = ExpectedLossRule(epsilon, (n, n + 1), prior=Beta(0.5, 2.0))
    said = rule.decisions()(n, a, b, np.arange(a.size))
    for i, j, decision in zip(a.tolist(), b.tolist(), said.tolist(), strict=True):
        losses = expected_losses(rule.prior.updated(i, n), rule.prior.updated(j, n))
        if abs(min(losses.a, losses.b) - epsilon) > 1e-9:
            words = {Decision.CONTINUE: "continue", Decision.SHIP_A: "shipped A", Decision.SHIP_B: "shipped B"}
            assert at_look(rule, n, (i, j), simulated(rule)).action == words[Decision(decision)]


def test_no_look_is_taken_without_the_row_of_equal_arms() -> None:
    blind = replace(simulated(RULE), rows=(replace(AA, truth=Truth(0.1, 0.12)),))
    with pytest.raises(TollensError) as caught:
        at_look(RULE, 1000, (100, 120), blind)
    assert caught.value.code == "stats_uncalibrated"
    assert "0 A/A rows" in caught.value.found


@pytest.mark.parametrize(
    "other", [replace(RULE, epsilon=0.002), replace(RULE, minimum=600), replace(RULE, prior=Beta(1, 2)),
              replace(RULE, looks=(500, 1000, 3000))],
)  # fmt: skip
def test_characteristics_of_another_rule_are_refused(other: ExpectedLossRule) -> None:
    with pytest.raises(TollensError) as caught:
        at_look(RULE, 1000, (100, 120), simulated(other))
    assert caught.value.code == "stats_uncalibrated"


def test_a_look_that_was_not_planned_is_refused() -> None:
    with pytest.raises(TollensError) as caught:
        at_look(RULE, 900, (90, 130), simulated(RULE))
    assert caught.value.code == "stats_peeking"


def test_the_word_error_needs_a_third_action() -> None:
    with pytest.raises(TollensError) as caught:
        error_rate(RULE, AA)
    assert caught.value.code == "stats_unnamed"
    assert "third action" in caught.value.expected
    assert error_rate(replace(RULE, third=Action.KEEP_CONTROL), AA) == pytest.approx(0.98)


def test_the_rule_beside_another_has_the_looks_it_will_have() -> None:
    with pytest.raises(TollensError) as caught:
        characteristics_beside(
            RULE,
            lambda runs: lambda n, a, b, going: np.ones(a.size),
            0.05,
            Simulation((100,), (Truth(0.1, 0.1),), 10),
            generator(0),
        )
    assert caught.value.code == "stats_peeking"


@pytest.mark.parametrize(
    "fields",
    [
        {"epsilon": 0.0},
        {"epsilon": 1.0},
        {"epsilon": float("nan")},
        {"looks": ()},
        {"looks": (10, 5)},
        {"minimum": -1},
        {"minimum": 2001},
        {"third": Action.CONTINUE},
        {"third": Action.SHIPPED_A},
    ],
)
def test_a_rule_outside_its_ranges_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(TollensError) as caught:
        replace(RULE, **fields)
    assert caught.value.code == "stats_input"


@pytest.mark.parametrize("successes", [(-1, 5), (5, 1001)])
def test_counts_outside_zero_to_n_are_refused(successes: tuple[int, int]) -> None:
    with pytest.raises(TollensError) as caught:
        at_look(RULE, 1000, successes, simulated(RULE))
    assert caught.value.code == "stats_input"


def test_equal_arms_stop_by_the_tie_bound() -> None:
    """2p(1-p)(phi(0)/eps)^2 = .18 * .1591549/eps^2; just after it equal counts have a loss below epsilon."""
    assert round(tie_bound(0.1, 0.001)) == 28_648
    assert round(tie_bound(0.1, 0.005)) == 1_146
    for n, below in ((1_100, False), (1_150, True)):
        k = n // 10
        assert (expected_losses(Beta(1 + k, 1 + n - k), Beta(1 + k, 1 + n - k)).a < 0.005) is below


def test_six_thousand_runs_are_simulated_before_anyone_would_wait() -> None:
    """Two truths at epsilon .005 take about 0.05 s; the bound leaves a factor of forty."""
    rule = ExpectedLossRule(0.005, tuple(range(50, 2001, 50)))
    simulation = Simulation(rule.looks, (Truth(0.1, 0.12), Truth(0.1, 0.1)))
    start = time.perf_counter()
    rows = operating_characteristics(rule.name, lambda runs: rule.decisions(), simulation, generator(3)).rows
    assert time.perf_counter() - start < 2.0
    assert all(row.third == 0.0 for row in rows)
    assert rows[0].ships_b == pytest.approx(0.75, abs=0.03)
    assert rows[1].ships_b == pytest.approx(0.50, abs=0.03)
