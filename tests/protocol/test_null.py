from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tollens.core.errors import Exit, TollensError
from tollens.core.seeding import generator
from tollens.protocol.null import (
    NullSpec,
    check_null,
    exceedance_bound,
    minimum_draws,
    null_answer,
    rank,
    refuse_few,
    tau_line,
)

SPEC = NullSpec(draws=19, order="max", level="0.05", direction="higher_is_better")
LOWER = replace(SPEC, direction="lower_is_better", order="min")
TARGET = replace(SPEC, direction="target", order="min", value=0.5)
finite = st.floats(-1e6, 1e6)
draws = st.lists(finite, min_size=1, max_size=30)


def _of(spec: NullSpec, values: list[float]) -> NullSpec:
    return replace(spec, draws=len(values))


def test_minimum_draws() -> None:
    assert [minimum_draws(1, Fraction(x)) for x in ("0.10", "0.05", "0.01")] == [9, 19, 99]
    assert minimum_draws(3, Fraction("0.05")) == 59  # 3/60 = 0.05
    assert minimum_draws(1, Fraction("0.3")) == 3  # 1/4 <= 0.3 < 1/3


@given(st.integers(1, 50), st.integers(1, 999))
def test_the_minimum_reaches_the_level_and_one_draw_less_does_not(k: int, thousandths: int) -> None:
    level = Fraction(thousandths, 1000)
    least = minimum_draws(k, level)
    assert Fraction(k, least + 1) <= level < Fraction(k, least)


def test_too_few_draws_are_refused_with_the_smallest_change() -> None:
    refuse_few(SPEC)
    with pytest.raises(TollensError) as caught:
        refuse_few(replace(SPEC, draws=18))
    assert (caught.value.code, caught.value.exit_code) == ("null_few_draws", Exit.REFUSED_TO_SEAL)
    assert caught.value.fix == "Write draws = 19."
    assert "0.0526" in caught.value.found  # 1/19
    with pytest.raises(TollensError, match="Write draws = 59"):
        refuse_few(replace(SPEC, order="3rd largest"))


def test_the_line_states_the_level_of_the_draws() -> None:
    assert tau_line(SPEC) == "tau = max of 19 draws (level 0.05)"
    assert tau_line(replace(SPEC, draws=10)) == "tau = max of 10 draws (level 0.0909)"  # 1/11
    assert tau_line(replace(SPEC, draws=59, order="3rd largest")) == "tau = 3rd largest of 59 draws (level 0.05)"
    assert tau_line(TARGET) == "tau = min |x - 0.5| of 19 draws (level 0.05)"


def test_ties_count_against_the_claim() -> None:
    null = [i / 20 for i in range(1, 20)]  # .05 ... .95
    beaten = null_answer(0.96, null, SPEC)
    assert (beaten.tau, beaten.p, beaten.level, beaten.exceeded) == (0.95, 0.05, 0.05, True)
    tied = null_answer(0.95, null, SPEC)
    assert (tied.p, tied.exceeded) == (0.1, False)  # (1 + 1)/20
    assert tied.sentence == (
        "tau = max of 19 draws (level 0.05): 0.95 does not lie beyond 0.95; 1 of 19 draws reach it, p = 0.1"
    )


def test_lower_is_better_and_target_look_at_the_other_end() -> None:
    null = [i / 20 for i in range(1, 20)]
    low = null_answer(0.04, null, LOWER)
    assert (low.tau, low.p, low.exceeded) == (0.05, 0.05, True)
    assert null_answer(0.05, null, LOWER).exceeded is False
    null = [0.5 + d / 8 for d in range(1, 20)]  # distances 1/8 ... 19/8, exact in binary
    near = null_answer(0.4375, null, TARGET)
    assert (near.tau, near.p, near.exceeded) == (0.125, 0.05, True)
    assert null_answer(0.375, null, TARGET).exceeded is False  # as far as the nearest draw, from the other side


def test_the_best_of_ten_says_what_its_level_needs() -> None:
    answer = null_answer(11.0, [float(i) for i in range(10)], replace(SPEC, draws=10))
    assert answer.level == pytest.approx(1 / 11)
    assert answer.sentence.endswith("p = 0.0909; level 0.05 needs 19 draws")


@given(finite, draws, st.sampled_from([SPEC, LOWER, TARGET]))
def test_p_lies_in_its_grid_and_agrees_with_tau(observed: float, null: list[float], spec: NullSpec) -> None:
    answer = null_answer(observed, null, _of(spec, null))
    assert 1 / (len(null) + 1) <= answer.p <= 1.0
    assert answer.exceeded == (answer.p <= answer.level)


@given(finite, finite, draws, st.sampled_from([None, "0.5", "0"]))
def test_p_falls_as_the_observed_value_gets_better(a: float, b: float, null: list[float], margin: str | None) -> None:
    worse, better = sorted((a, b))
    spec = replace(_of(SPEC, null), margin=margin)
    assert null_answer(better, null, spec).p <= null_answer(worse, null, spec).p
    mirrored = replace(_of(LOWER, null), margin=margin)
    assert null_answer(-better, [-x for x in null], mirrored).p == null_answer(better, null, spec).p


@given(draws, finite, st.integers(1, 30), st.randoms())
def test_the_order_of_the_draws_does_not_matter(null: list[float], observed: float, k: int, random: Any) -> None:
    order = {1: "max", 2: "2nd largest", 3: "3rd largest"}.get(k, f"{k}th largest")
    spec = replace(_of(SPEC, null), order=order if k <= len(null) and k not in (21, 22, 23) else "max")
    shuffled = [*null]
    random.shuffle(shuffled)
    assert null_answer(observed, shuffled, spec) == null_answer(observed, null, spec)


@pytest.mark.parametrize(("order", "k"), [("max", 1), ("3rd largest", 3), ("19th largest", 19)])
def test_a_fresh_null_exceeds_tau_exactly_as_often_as_stated(order: str, k: int) -> None:
    values = [float(x) for x in generator(1, "fresh").normal(size=20)]
    spec = replace(SPEC, order=order)  # exchangeable: each of the 20 is the fresh one with probability 1/20
    answers = [null_answer(fresh, values[:i] + values[i + 1 :], spec) for i, fresh in enumerate(values)]
    assert sum(answer.exceeded for answer in answers) == k
    assert sorted(answer.p for answer in answers) == [i / 20 for i in range(1, 21)]


def test_no_exceedance_in_a_thousand_draws() -> None:
    assert exceedance_bound(0, 1000) == pytest.approx(0.0029912, abs=1e-6)  # 1 - .05^(1/1000)


def test_an_additive_margin_is_taken_off_first() -> None:
    null = [float(i) for i in range(19)]
    assert null_answer(18.5, null, SPEC).exceeded
    assert not null_answer(18.5, null, replace(SPEC, margin="0.5")).exceeded  # a tie after the margin
    assert null_answer(18.75, null, replace(SPEC, margin="0.5")).exceeded
    assert not null_answer(-0.5, null, replace(LOWER, margin="0.5")).exceeded
    assert null_answer(-0.75, null, replace(LOWER, margin="0.5")).exceeded
    assert not null_answer(0.5, [x + 1.0 for x in null], replace(TARGET, margin="0.5")).p > 0.1


def test_a_factor_needs_a_true_zero_and_no_negative_values() -> None:
    times = replace(SPEC, margin="1.5x", true_zero=True, lowest=0.0)
    null = [float(i) for i in range(1, 20)]
    check_null(times)
    assert not null_answer(28.5, null, times).exceeded  # 1.5 * 19
    assert null_answer(28.6, null, times).exceeded
    low = replace(LOWER, margin="2x", true_zero=True, lowest=0.0)
    assert not null_answer(0.5, null, low).exceeded
    assert null_answer(0.4, null, low).exceeded
    for broken in (replace(times, true_zero=False), replace(times, lowest=None), replace(times, lowest=-1.0)):
        with pytest.raises(TollensError) as caught:
            check_null(broken)
        assert (caught.value.code, caught.value.exit_code) == ("null_margin", Exit.REFUSED_TO_SEAL)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"draws": 0}, "null.draws"),
        ({"order": "min"}, "null.order"),
        ({"order": "3nd largest"}, "null.order"),
        ({"order": "20th largest"}, "null.order"),
        ({"order": "2nd smallest"}, "null.order"),
        ({"order": "0th largest"}, "null.order"),
        ({"order": "best"}, "null.order"),
        ({"level": "0"}, "null.level"),
        ({"level": "1"}, "null.level"),
        ({"level": "1e-99"}, "null.level"),
        ({"level": "9" * 10_000}, "null.level"),
        ({"level": "nan"}, "null.level"),
        ({"level": "-0.05"}, "null.level"),
        ({"value": 0.5}, "null.value"),
        ({"direction": "target", "order": "min"}, "null.value"),
        ({"direction": "target", "order": "min", "value": float("inf")}, "null.value"),
        ({"margin": "-1"}, "null.margin"),
        ({"margin": "0.5x", "true_zero": True, "lowest": 0.0}, "null.margin"),
        ({"margin": "a lot"}, "null.margin"),
    ],
)
def test_a_field_that_means_nothing_is_refused(change: dict[str, Any], field: str) -> None:
    with pytest.raises(TollensError) as caught:
        check_null(replace(SPEC, **change))
    assert (caught.value.code, caught.value.subject) == ("null_field", field)
    assert caught.value.exit_code is Exit.REFUSED_TO_SEAL


def test_the_message_gives_the_right_spelling() -> None:
    with pytest.raises(TollensError, match=r'Write order = "3rd largest"'):
        rank(replace(SPEC, order="3nd largest"))
    with pytest.raises(TollensError, match=r'Write order = "min"'):
        rank(replace(LOWER, order="max"))
    assert [rank(replace(SPEC, draws=200, order=o)) for o in ("2nd largest", "11th largest", "113th largest")] == [
        2, 11, 113,
    ]  # fmt: skip


@pytest.mark.parametrize("null", [[0.0] * 18, [0.0] * 20, [0.0] * 18 + [float("nan")], [0.0] * 18 + [float("inf")]])
def test_a_null_without_all_its_draws_is_not_scored(null: list[float]) -> None:
    with pytest.raises(TollensError) as caught:
        null_answer(1.0, null, SPEC)
    assert (caught.value.code, caught.value.exit_code) == ("null_incomplete", Exit.NOT_SCORABLE)


def test_an_observed_value_that_is_not_finite_is_not_scored() -> None:
    with pytest.raises(TollensError, match="null_incomplete"):
        null_answer(float("nan"), [0.0] * 19, SPEC)
