"""The verdict on a metric's sign: a worked example, and each condition of the table firing alone."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollens.core.errors import Exit, TollensError
from tollens.protocol.sign_arms import Arm, Inputs
from tollens.protocol.sign_check import Measurements, SignOutcome, SignReport, SignSpec, judge, measure, refusal

# The worked example: sixteen turns of a conversation. The reference has no memory and answers u at every turn,
# the full-history oracle f_t = (1 - t/16) u + (t/16) f; a faithful arm is the oracle, a forgetting one returns.
U, F, TURNS = np.full(4, 0.25), np.array([0.7, 0.1, 0.1, 0.1]), 16
T = np.arange(1, TURNS + 1)


def conversation(weights: np.ndarray) -> Inputs:
    """One item: distributions of shape (1, 16, 4)."""

    def mixed(w: np.ndarray) -> np.ndarray:
        return ((1 - w)[:, None] * U + w[:, None] * F)[None]

    return {"arm": mixed(weights), "base": np.broadcast_to(U, (1, TURNS, 4)).copy(), "full": mixed(T / TURNS)}


MEMORY: dict[str, Arm] = {
    "ideal": lambda rng, s: conversation(T / 16),
    "partial": lambda rng, s: conversation((1 - s) * T / 16),
    "noop": lambda rng, s: conversation(0.0 * T),
    "worst": lambda rng, s: conversation((17 - T) / 16),
    "gamer": lambda rng, s: conversation(0.0 * T + 0.5),
}


def kl(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    return (p * np.log(p / q)).sum(axis=-1)


def rho(given: Inputs) -> Mapping[str, float]:
    by_turn = kl(given["base"], given["arm"])
    return {
        "rho": float(((by_turn[:, 0] - by_turn[:, -1]) / 15).mean()),
        "kl_1": by_turn[0, 0],
        "kl_16": by_turn[0, -1],
    }


def oracle(given: Inputs) -> Mapping[str, float]:
    lost = kl(given["full"], given["arm"]).sum()
    return {"rho": float(1 - lost / kl(given["full"], given["base"]).sum())}


MEMORY_SPEC = SignSpec(
    "rho", "higher_is_better", margin=0.01, null_value=0.0, tolerance=1e-6, labels={"worst": "forgetting"}
)
NO_RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("arm", "severity", "kl_1", "kl_16", "value"),
    [
        ("ideal", 0.0, 0.0020135, 0.4298132, -0.0285200),
        ("partial", 0.25, 0.0011451, 0.2347739, -0.0155753),
        ("partial", 0.5, 0.0005148, 0.1070427, -0.0071019),
        ("partial", 0.75, 0.0001302, 0.0289983, -0.0019245),
        ("noop", 1.0, 0.0, 0.0, 0.0),
        ("worst", 1.0, 0.4298132, 0.0020135, 0.0285200),
        ("gamer", 1.0, 0.1070427, 0.1070427, 0.0),
    ],
)
def test_worked_example_arm_by_arm(arm: str, severity: float, kl_1: float, kl_16: float, value: float) -> None:
    found = rho(MEMORY[arm](NO_RNG, severity))
    assert (found["kl_1"], found["kl_16"], found["rho"]) == pytest.approx((kl_1, kl_16, value), abs=1e-7)


def test_worked_example_is_reversed() -> None:
    report = judge(measure(rho, MEMORY, MEMORY_SPEC, seed=1), MEMORY_SPEC)
    assert report.sentence == "SIGN REVERSED  ideal -0.0285 < forgetting +0.0285"
    assert (report.reason, report.tau) == ("worst_beats_ideal", -1.0)
    error = refusal(report)
    assert error is not None
    assert (error.code, error.exit_code) == ("sign_reversed", Exit.REFUSED_TO_SEAL)
    assert report.sentence in str(error)


def test_a_ladder_upside_down_is_reversed_even_where_worst_does_not_win() -> None:
    spec = msgspec.structs.replace(MEMORY_SPEC, margin=0.5)
    report = judge(measure(rho, MEMORY, spec, seed=1), spec)
    assert report.sentence == "SIGN REVERSED  ideal -0.0285 < noop 0"
    assert report.reason == "ladder_reversed"


def test_the_oracle_repairs_the_worked_example() -> None:
    arms = {**MEMORY, "gamer": MEMORY["noop"]}
    report = judge(measure(oracle, arms, MEMORY_SPEC, seed=1), MEMORY_SPEC)
    assert (report.outcome, report.tau) == (SignOutcome.OK, 1.0)
    means = {row.arm: row.mean for row in report.table}
    assert [means[name] for name in ("ideal", "partial 0.75", "partial 0.5", "partial 0.25", "noop", "forgetting")] == (
        pytest.approx([1, 0.942643, 0.772367, 0.474034, 0, 0.155898], abs=1e-6)
    )
    assert refusal(report) is None


# A study of 60 items that are right with the quality of the arm, in a unit of 1; each test below breaks one thing.
def made(rng: np.random.Generator, quality: float) -> dict[str, Any]:
    return {"score": (rng.permutation(60) < round(60 * quality)).astype(np.float64)}


ARMS: dict[str, Arm] = {
    "ideal": lambda rng, s: made(rng, 1.0),
    "partial": lambda rng, s: made(rng, 1 - s),
    "noop": lambda rng, s: made(rng, 0.0),
    "worst": lambda rng, s: {"score": np.full(60, -1.0)},
    "gamer": lambda rng, s: made(rng, 0.5),
}
SPEC = SignSpec("score", "higher_is_better", margin=0.1, null_value=0.0, tolerance=0.01)
Number = Callable[[Inputs], Any]


def mean(given: Inputs) -> float:
    return float(given["score"].mean())


def check(number: Number, arms: Mapping[str, Arm] = ARMS, spec: SignSpec = SPEC, **replaced: Arm) -> SignReport:
    return judge(measure(lambda inputs: {"score": number(inputs)}, {**arms, **replaced}, spec, seed=3), spec)


def test_the_study_that_the_tests_break_is_sound() -> None:
    report = check(mean)
    assert (report.outcome, report.notes, report.pair) == (SignOutcome.OK, [], None)
    assert report.sentence == (
        "SIGN OK  ideal 1, partial 0.75 0.75, partial 0.5 0.5, partial 0.25 0.25, noop 0, worst -1, gamer 0.5"
    )


def fires(report: SignReport, outcome: SignOutcome, reason: str, *names: str) -> None:
    """The outcome and reason, both sides named, and the refusal that carries them."""
    assert (report.outcome, report.reason) == (outcome, reason), report.sentence
    assert report.pair is not None
    for name, side in zip(names, report.pair, strict=True):
        assert side.name.startswith(name), report.pair
    error = refusal(report)
    assert error is not None
    assert error.exit_code is Exit.REFUSED_TO_SEAL
    assert error.found == report.sentence
    assert error.code == outcome.lower().replace(" ", "_")


def test_a_value_that_is_not_finite() -> None:
    report = check(lambda given: mean(given) if given["score"].any() else math.nan)
    fires(report, SignOutcome.UNSTABLE, "non_finite", "noop, seed 0", "ideal, seed 0")
    assert report.sentence == "SIGN UNSTABLE  noop, seed 0: non-finite: nan, where ideal, seed 0 gives 1"


@pytest.mark.parametrize("value", [math.inf, -math.inf, np.float32("nan"), 10**400])
def test_every_kind_of_infinity(value: float) -> None:
    assert check(lambda given: value).reason == "non_finite"


def test_a_sign_that_differs_between_seeds() -> None:
    def turned(rng: np.random.Generator, s: float) -> Inputs:
        return {"score": np.full(60, 2.0 if rng.integers(2) else -1.0)}

    report = check(mean, worst=turned)
    fires(report, SignOutcome.UNSTABLE, "sign_differs", "ideal beats worst by, seed", "ideal beats worst by, seed")
    assert report.sentence.startswith("SIGN UNSTABLE  ideal beats worst by +2 at seed ")
    assert " and -1 at seed " in report.sentence


def test_a_sign_that_differs_within_the_margin_is_no_sign_at_all() -> None:
    noise = {"worst": lambda rng, s: {"score": np.full(60, 1 + rng.uniform(-0.05, 0.05))}}
    fires(check(mean, **noise), SignOutcome.BLIND, "within_margin", "ideal", "worst")


def test_two_values_at_the_same_inputs() -> None:
    calls = iter(range(10**6))
    report = check(lambda given: mean(given) + 1e-9 * next(calls))
    fires(report, SignOutcome.UNSTABLE, "repeat", "ideal, seed 0", "ideal, seed 0")


def test_a_metric_that_writes_to_its_inputs_is_seen_and_harms_no_other_value() -> None:
    def halving(given: Inputs) -> float:
        value = mean(given)
        given["score"][:] = given["score"] / 2
        return value

    report = check(halving)
    fires(report, SignOutcome.UNSTABLE, "repeat", "ideal, seed 0", "ideal, seed 0")
    assert [row.mean for row in report.table][:2] == [1.0, 0.75]


def test_the_order_of_items_matters() -> None:
    weights = np.arange(60) / 1770
    report = check(lambda given: float((given["score"] * np.resize(weights, len(given["score"]))).sum() / 1))
    fires(report, SignOutcome.UNSTABLE, "shuffle", "partial 0.75, seed 0", "partial 0.75, seed 0")


def test_repeated_rows_matter() -> None:
    report = check(lambda given: float(given["score"].sum() / 60))
    fires(report, SignOutcome.UNSTABLE, "duplicate", "ideal, seed 0", "ideal, seed 0")
    assert report.sentence == "SIGN UNSTABLE  ideal, seed 0: 1, but 2 with every item twice"


def test_a_nan_that_disappears() -> None:
    report = check(lambda given: float(np.nanmean(given["score"])))
    fires(report, SignOutcome.UNSTABLE, "nan", "ideal, seed 0", "ideal, seed 0 with one NaN")
    assert report.sentence == "SIGN UNSTABLE  ideal, seed 0: 1, and 1 with one NaN in `score`"


def test_a_nan_that_becomes_another_number_disappears_too() -> None:
    assert check(lambda given: float(np.nan_to_num(given["score"]).mean())).reason == "nan"


def test_a_nan_may_raise() -> None:
    def strict(given: Inputs) -> float:
        if np.isnan(given["score"]).any():
            raise ZeroDivisionError
        return mean(given)

    assert check(strict).ok


def test_an_input_that_is_not_read_hides_no_nan() -> None:
    arms = {name: lambda rng, s, arm=arm: {**arm(rng, s), "aside": np.ones(60)} for name, arm in ARMS.items()}
    report = check(mean, arms)
    assert report.ok
    assert report.notes == ["`aside` is not read by the metric"]


def test_worst_beats_ideal() -> None:
    report = check(mean, worst=lambda rng, s: {"score": np.full(60, 1.2)})
    fires(report, SignOutcome.REVERSED, "worst_beats_ideal", "ideal", "worst")
    assert report.sentence == "SIGN REVERSED  ideal 1 < worst 1.2"


def test_worst_within_the_margin() -> None:
    report = check(mean, worst=lambda rng, s: {"score": np.full(60, 0.95)})
    fires(report, SignOutcome.BLIND, "within_margin", "ideal", "worst")
    assert report.sentence == "SIGN BLIND  ideal 1 > worst 0.95 (margin 0.1)"


def test_a_gamer_above_ideal() -> None:
    report = check(mean, gamer=lambda rng, s: {"score": np.full(60, 1.0005)})
    fires(report, SignOutcome.BLIND, "gamer", "ideal", "gamer")
    assert report.sentence == "SIGN BLIND  ideal 1 < gamer 1.0005"


def test_a_further_arm_is_a_further_gamer() -> None:
    fires(
        check(mean, loud=lambda rng, s: made(rng, 1.0) | {"score": np.full(60, 2.0)}),
        SignOutcome.BLIND,
        "gamer",
        "ideal",
        "loud",
    )
    assert check(mean, quiet=lambda rng, s: made(rng, 1.0)).ok  # as good as ideal is not above it


def test_a_gamer_that_the_metric_refuses_is_beaten() -> None:
    def strict(given: Inputs) -> float:
        if given["score"].max() > 1:
            raise ValueError("no score is above 1")
        return mean(given)

    report = check(strict, gamer=lambda rng, s: {"score": np.full(60, 9.0)})
    assert report.ok
    assert report.notes == ["gamer is refused by the metric (raised: ValueError: no score is above 1)"]
    assert report.sentence.endswith("gamer refused")


def test_a_ladder_that_is_not_monotone() -> None:
    def bump(given: Inputs) -> float:
        return 0.4 if abs(mean(given) - 0.75) < 0.02 else mean(given)

    report = check(bump)
    fires(report, SignOutcome.UNSTABLE, "ladder", "partial 0.75", "partial 0.5")
    assert report.sentence == "SIGN UNSTABLE  partial 0.75 0.4 < partial 0.5 0.5"
    assert report.tau == pytest.approx(0.8)  # one of ten pairs stands the wrong way: (9 - 1)/10


def test_two_rungs_alike_are_no_ladder() -> None:
    report = check(lambda given: round(mean(given) * 2) / 2)
    assert (report.outcome, report.reason) == (SignOutcome.UNSTABLE, "ladder")


def test_a_slight_improvement_that_makes_it_worse() -> None:
    def wave(given: Inputs) -> float:
        return mean(given) + 0.1 * math.sin(8 * math.pi * mean(given))  # zero on the ladder at multiples of 1/4

    report = check(wave)
    fires(report, SignOutcome.UNSTABLE, "perturbation", "partial 0.", "partial 0.")
    assert report.tau == 1.0
    assert report.sentence.endswith("a slight improvement at equal draws")


def test_noop_away_from_the_declared_null_value() -> None:
    report = check(mean, spec=msgspec.structs.replace(SPEC, null_value=0.02))
    fires(report, SignOutcome.UNSTABLE, "null_value", "noop", "null value")
    assert report.sentence == "SIGN UNSTABLE  noop 0, declared null value 0.02 (tolerance 0.01)"


def test_instability_comes_before_a_reversal_and_a_reversal_before_blindness() -> None:
    assert check(lambda given: -float(np.nanmean(given["score"]))).reason == "nan"
    assert check(lambda given: 0.04 * -mean(given)).reason == "ladder_reversed"  # and within the margin


def lower() -> SignSpec:
    return msgspec.structs.replace(SPEC, direction="lower_is_better", null_value=1.0)


def test_a_loss_is_better_when_lower() -> None:
    assert check(lambda given: 1 - mean(given), spec=lower()).ok
    report = check(lambda given: mean(given) - 1, spec=lower())
    assert report.sentence == "SIGN REVERSED  ideal 0 > worst -2"


def test_a_direction_turned_before_sealing_is_reversed() -> None:
    spec = msgspec.structs.replace(SPEC, direction="lower_is_better")
    assert check(mean, spec=spec).sentence == "SIGN REVERSED  ideal +1 > worst -1"


def test_a_target_is_better_when_near() -> None:
    spec = msgspec.structs.replace(SPEC, direction="target", value=3.0, null_value=2.0)
    assert check(lambda given: 2 + mean(given), spec=spec).ok
    assert check(lambda given: 4 - mean(given), spec=msgspec.structs.replace(spec, null_value=4.0)).ok
    report = check(lambda given: 3 - 0.5 * (mean(given) + 1), spec=spec)
    assert report.sentence == "SIGN REVERSED  ideal |2 - 3| > worst |3 - 3|"


def test_attempts_in_another_order() -> None:
    arms = {
        name: lambda rng, s, arm=arm: {"score": np.stack([arm(rng, s)["score"]] * 2, 1)} for name, arm in ARMS.items()
    }
    arms["gamer"] = lambda rng, s: {"score": np.stack([np.zeros(60), np.ones(60)], 1)}
    spec = msgspec.structs.replace(SPEC, attempts=("score",))
    assert check(mean, arms, spec).ok
    report = check(lambda given: float(given["score"][:, 0].mean()), arms, spec)
    fires(report, SignOutcome.UNSTABLE, "attempt_order", "gamer, seed 0", "gamer, seed 0")


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (lambda given: True, "no number: the value is of type bool"),
        (lambda given: np.True_, "no number: the value is of type bool"),
        (lambda given: "0.5", "no number: the value is of type str"),
        (lambda given: None, "no number: the value is of type NoneType"),
        (lambda given: given["score"], "no number: the value is of type ndarray"),
        (lambda given: np.array(0.5), "no number: the value is of type ndarray"),
        (lambda given: 1 + 0j, "no number: the value is of type complex"),
        (lambda given: given["scores"], "raised: KeyError: 'scores'"),
    ],
)
def test_a_metric_that_gives_no_number(number: Number, told: str) -> None:
    report = check(number)
    assert (report.outcome, report.reason) == (SignOutcome.NOT_RUN, "not_run")
    assert report.sentence == f"SIGN NOT RUN  ideal, seed 0: {told}"
    error = refusal(report)
    assert error is not None
    assert (error.code, error.exit_code) == ("sign_not_run", Exit.REFUSED_TO_SEAL)
    assert {row.mean for row in report.table} == {None}


def test_a_metric_without_the_quantity_names_what_it_gives() -> None:
    report = judge(measure(lambda given: {"points": 1.0}, ARMS, SPEC, seed=0), SPEC)
    assert "`score` is not among the metric's values (points)" in report.sentence
    report = judge(measure(lambda given: 1.0, ARMS, SPEC, seed=0), SPEC)  # type: ignore[arg-type, return-value]
    assert "the metric gave float, not a mapping" in report.sentence


class Odd(Exception):
    pass


def test_an_arm_that_raises_is_named_with_what_it_said() -> None:
    def broken(rng: np.random.Generator, s: float) -> Inputs:
        raise Odd("no data\nhere " + "x" * 10**5)

    report = check(mean, worst=broken)
    assert report.sentence.startswith("SIGN NOT RUN  worst, seed 0: arm: raised Odd: no data here xxx")
    assert report.sentence.endswith(", where ideal, seed 0 gives 1")
    assert len(report.sentence) < 300
    assert check(mean, gamer=broken).outcome is SignOutcome.NOT_RUN  # an arm that fails is no arm refused


def test_a_metric_or_arm_that_leaves_does_not_end_the_check() -> None:
    def leaving(*given: Any) -> Any:
        raise SystemExit(0)

    assert check(leaving).sentence == "SIGN NOT RUN  ideal, seed 0: raised: SystemExit: 0"
    assert "partial 0.75, seed 0: arm: raised SystemExit: 0" in check(mean, partial=leaving).sentence


def test_inputs_that_cannot_be_copied_are_a_fault_of_the_arm() -> None:
    report = check(mean, ideal=lambda rng, s: {"score": (x for x in [1.0])})
    assert "ideal, seed 0: arm: raised TypeError" in report.sentence


def test_an_arm_that_gives_no_mapping() -> None:
    report = check(mean, noop=lambda rng, s: [1.0])  # type: ignore[dict-item, arg-type, return-value]
    assert "noop, seed 0: arm: gave list, not a mapping" in report.sentence


@pytest.mark.parametrize("name", ["ideal", "partial", "noop", "worst", "gamer"])
def test_a_missing_arm_is_named(name: str) -> None:
    with pytest.raises(TollensError) as caught:
        measure(rho, {key: arm for key, arm in ARMS.items() if key != name}, SPEC, seed=0)
    assert (caught.value.code, caught.value.exit_code) == ("sign_arms", Exit.REFUSED_TO_SEAL)
    assert caught.value.found == f"no {name}"


def test_inputs_of_scalars_are_not_shuffled_and_a_scalar_can_be_nan() -> None:
    arms = {name: lambda rng, s, arm=arm: {"total": mean(arm(rng, s))} for name, arm in ARMS.items()}
    report = check(lambda given: given["total"], arms)
    assert report.ok
    assert report.notes == ["no array among the inputs: no items to shuffle or repeat"]
    report = check(lambda given: 0.0 if math.isnan(given["total"]) else given["total"], arms)
    assert report.reason == "nan"


def test_lists_of_the_same_length_are_items_too() -> None:
    texts = {
        name: lambda rng, s, arm=arm: {"said": ["yes" if x else "no" for x in arm(rng, s)["score"]]}
        for name, arm in ARMS.items()
    }
    texts["worst"] = lambda rng, s: {"said": ["wrong"] * 60}
    values = {"yes": 1.0, "no": 0.0, "wrong": -1.0}
    report = check(lambda given: float(np.mean([values[x] for x in given["said"]])), texts)
    assert report.ok
    assert report.notes == ["no floating input: nothing can be NaN"]
    report = check(lambda given: float(np.mean([values[x] for x in given["said"][:20]])), texts)
    assert report.reason == "shuffle"


def test_warnings_of_a_metric_are_its_own_affair() -> None:
    assert check(
        lambda given: float(np.log(np.exp(given["score"].mean()))) + 0 * len(str(np.float64(1) / np.float64(0)))
    ).ok


@pytest.mark.parametrize(
    ("fields", "subject"),
    [
        ({"quantity": ""}, "quantity"),
        ({"margin": -0.1}, "margin"),
        ({"margin": math.nan}, "margin"),
        ({"tolerance": math.inf}, "tolerance"),
        ({"null_value": math.nan}, "null_value"),
        ({"direction": "up"}, "direction"),
        ({"direction": "target"}, "value"),
        ({"direction": "target", "value": math.inf}, "value"),
        ({"value": 1.0}, "value"),
        ({"seeds": 19}, "seeds"),
        ({"points": 31}, "points"),
        ({"reducer": "max"}, "attempts"),
    ],
)
def test_a_setting_out_of_range_is_named(fields: dict[str, Any], subject: str) -> None:
    plain: dict[str, Any] = {
        "quantity": "score", "direction": "higher_is_better", "margin": 0.1, "null_value": 0.0, "tolerance": 0.1
    }  # fmt: skip
    with pytest.raises(TollensError) as caught:
        SignSpec(**{**plain, **fields})
    assert (caught.value.code, caught.value.subject) == ("sign_spec", f"sign_check.{subject}")
    assert caught.value.exit_code is Exit.REFUSED_TO_SEAL


def test_measurements_travel_as_json_without_nan_and_are_the_same_again() -> None:
    first = measure(lambda given: {"score": math.nan}, ARMS, SPEC, seed=5)
    text = msgspec.json.encode(first)
    json.loads(text, parse_constant=lambda name: pytest.fail(name))
    assert msgspec.json.decode(text, type=Measurements) == first
    assert measure(lambda given: {"score": math.nan}, ARMS, SPEC, seed=5) == first
    one, two = (measure(lambda given: {"score": mean(given) + given["score"][0]}, ARMS, SPEC, seed=s) for s in (5, 6))
    assert one != two
    report = judge(msgspec.json.decode(text, type=Measurements), SPEC)
    assert msgspec.json.decode(msgspec.json.encode(report), type=SignReport) == report


@functools.cache
def sound() -> Measurements:
    return measure(lambda given: {"score": mean(given)}, ARMS, SPEC, seed=1)


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (lambda m: {"quantity": "other"}, "another quantity"),
        (lambda m: {"rungs": m.rungs[1:]}, "an arm missing"),
        (lambda m: {"rungs": [*m.rungs, m.rungs[0]]}, "twice"),
        (lambda m: {"rungs": [*m.rungs[:-1], msgspec.structs.replace(m.rungs[-1], quality=0.5)]}, "out of place"),
        (lambda m: {"rungs": [msgspec.structs.replace(m.rungs[0], values=[1.0] * 19), *m.rungs[1:]]}, "of seeds"),
        (lambda m: {"points": m.points[1:]}, "of points"),
        (lambda m: {"checks": []}, "same inputs"),
        (
            lambda m: {"rungs": [msgspec.structs.replace(m.rungs[0], values=[math.nan] * 20), *m.rungs[1:]]},
            "not finite",
        ),
    ],
)
def test_measurements_that_are_not_those_asked_for_are_refused(
    spoil: Callable[[Measurements], dict[str, Any]], found: str
) -> None:
    plain = sound()
    assert judge(plain, SPEC).ok
    with pytest.raises(TollensError, match=found) as caught:
        judge(msgspec.structs.replace(plain, **spoil(plain)), SPEC)
    assert (caught.value.code, caught.value.exit_code) == ("sign_not_run", Exit.REFUSED_TO_SEAL)


@given(
    scale=st.floats(1e-6, 1e6),
    shift=st.floats(-1e3, 1e3),
    turned=st.booleans(),
)
def test_the_verdict_does_not_depend_on_the_unit(scale: float, shift: float, turned: bool) -> None:
    """A metric a·x + b with a > 0 is as good as x; with a < 0 it is reversed, whatever a and b."""
    sign = -1 if turned else 1
    spec = msgspec.structs.replace(SPEC, margin=scale / 10, null_value=shift, tolerance=scale / 100)
    plain = sound()

    def moved(value: float | str) -> float | str:
        assert isinstance(value, float)
        return shift + sign * scale * value

    rungs = [msgspec.structs.replace(r, values=[moved(v) for v in r.values]) for r in plain.rungs]
    points = [msgspec.structs.replace(p, before=moved(p.before), after=moved(p.after)) for p in plain.points]
    report = judge(msgspec.structs.replace(plain, rungs=rungs, points=points), spec)
    assert report.outcome is (SignOutcome.REVERSED if turned else SignOutcome.OK), report.sentence
