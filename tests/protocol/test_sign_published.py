"""Published failures of evaluation code, made again in a few lines, and what the sign-check says of each.

None of the code is theirs: the metric and its inputs are written from the description of the failure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec
import numpy as np
import pytest

from tollens.core.errors import TollensError
from tollens.core.seeding import generator
from tollens.protocol.reducers import reducer
from tollens.protocol.sign_arms import Arm, Inputs, sentinel_arms
from tollens.protocol.sign_check import SignOutcome, SignReport, SignSpec, judge, measure, refusal

# lm-evaluation-harness, issue 350 (2022): the dummy model scores a perplexity of 1.6617 +- 0.0067 on LAMBADA,
# where GPT-2 models score 8.63 to 40. The dummy answers each request with a log-probability drawn from (-1, 0),
# which no vocabulary can be given at once, and the metric takes the model's word for it.


def trusting(given: Inputs) -> Mapping[str, float]:
    scores = given["scores"]
    return {"ppl": float(np.exp(-scores[np.arange(len(scores)), given["targets"]].mean()))}


def normalising(given: Inputs) -> Mapping[str, float]:
    scores = given["scores"] - np.log(np.exp(given["scores"]).sum(axis=1, keepdims=True))
    return trusting({**given, "scores": scores})


PPL = SignSpec("ppl", "lower_is_better", margin=1.0, null_value=32.0, tolerance=1e-6)


def test_a_dummy_model_beats_a_real_one_in_perplexity() -> None:
    """The dummy's value, and its standard error over the 5,153 passages, follow from the draws alone."""
    nll = generator(350, "dummy").uniform(size=5153)
    value = math.exp(nll.mean())
    error = value * nll.std(ddof=1) / math.sqrt(len(nll))
    assert error == pytest.approx(0.0067, abs=1e-4)
    assert value == pytest.approx(math.exp(0.5), abs=4 * error)
    assert math.exp(0.5) == pytest.approx(1.6617, abs=2 * 0.0067)  # the published value is one such draw

    report = judge(measure(trusting, sentinel_arms("perplexity_of_scores"), PPL, seed=1), PPL)
    assert (report.outcome, report.reason) == (SignOutcome.BLIND, "gamer")
    assert report.sentence == "SIGN BLIND  ideal 7.74 > gamer 1.65"


def test_a_perplexity_that_normalises_is_not_fooled_by_the_dummy() -> None:
    report = judge(measure(normalising, sentinel_arms("perplexity_of_scores"), PPL, seed=1), PPL)
    assert report.outcome is SignOutcome.OK
    gamer = next(row for row in report.table if row.arm == "gamer")
    assert gamer.mean is not None
    assert gamer.mean > 30


# inspect_evals, issue 2096: calibration error over repeated attempts. 100 items of two attempts each, one surely
# right of which the model was sure it was wrong, one surely wrong of which it was sure it was right.


def calibration_error(confidence: np.ndarray, correct: np.ndarray) -> float:
    """Ten bins of equal width, each weighted by its items; NaN in, NaN out."""
    if np.isnan(confidence).any() or np.isnan(correct).any():
        return math.nan
    bins = np.minimum((confidence * 10).astype(int), 9)
    return float(sum(abs((confidence - correct)[bins == b].sum()) for b in range(10)) / len(confidence))


def averaged_first(given: Inputs) -> Mapping[str, float]:
    return {"ece": calibration_error(given["confidence"].mean(axis=1), given["correct"].mean(axis=1))}


def per_attempt(given: Inputs) -> Mapping[str, float]:
    return {"ece": calibration_error(given["confidence"].ravel(), given["correct"].ravel())}


CROSSED = {
    "confidence": np.tile(np.array([0.0, 1.0]), (100, 1)),
    "correct": np.tile(np.array([1.0, 0.0]), (100, 1)),
}


def in_pairs(arm: Arm) -> Arm:
    return lambda rng, severity: {key: value.reshape(-1, 2) for key, value in arm(rng, severity).items()}


ATTEMPTS: dict[str, Arm] = {
    **{name: in_pairs(arm) for name, arm in sentinel_arms("calibration_error").items()},
    "worst": lambda rng, s: {key: value.copy() for key, value in CROSSED.items()},
}
ECE = SignSpec(
    "ece", "lower_is_better", margin=0.1, null_value=0.25, tolerance=1e-9, attempts=("confidence", "correct")
)


def test_calibration_error_is_0_averaged_first_and_1_per_attempt() -> None:
    assert averaged_first(CROSSED)["ece"] == 0.0
    assert per_attempt(CROSSED)["ece"] == 1.0
    arms = {**ATTEMPTS, **dict.fromkeys(("ideal", "partial", "noop", "gamer"), ATTEMPTS["worst"])}
    report = judge(measure(averaged_first, arms, ECE, seed=1), ECE)
    assert report.reason == "regroup"
    assert report.sentence == "SIGN UNSTABLE  ideal, seed 0: 0, but 1 with each attempt as an item of its own"


def test_the_order_of_reduction_matters_and_refuses_the_seal() -> None:
    report = judge(measure(averaged_first, ATTEMPTS, ECE, seed=1), ECE)
    assert (report.outcome, report.reason) == (SignOutcome.UNSTABLE, "regroup")
    error = refusal(report)
    assert error is not None
    assert error.code == "sign_unstable"


def test_the_error_per_attempt_seals() -> None:
    report = judge(measure(per_attempt, ATTEMPTS, ECE, seed=1), ECE)
    assert report.outcome is SignOutcome.OK, report.sentence


def test_without_declared_attempts_the_worst_arm_still_gives_the_order_away() -> None:
    undeclared = msgspec.structs.replace(ECE, attempts=())
    report = judge(measure(averaged_first, ATTEMPTS, undeclared, seed=1), undeclared)
    assert report.outcome is not SignOutcome.OK
    assert report.reason != "regroup"


# inspect-robots, pull request 447 (2026): an option that sets the number of epochs also put the reducer of the
# task, pass_at_2, back to the mean. The log looks as it should; only the number is another one.

PASSES: dict[str, Arm] = sentinel_arms("pass_at_k")
SEALED = SignSpec(
    "score", "higher_is_better", margin=0.1, null_value=0, tolerance=0, attempts=("attempts",), reducer="pass_at_2"
)


def reduced_by(name: str) -> SignReport:
    return judge(
        measure(lambda g: {"score": float(reducer(name)(g["attempts"]).mean())}, PASSES, SEALED, seed=1), SEALED
    )


def test_the_sealed_reducer_passes() -> None:
    assert reduced_by("pass_at_2").outcome is SignOutcome.OK


def test_the_mean_in_place_of_the_sealed_reducer_is_seen_and_named() -> None:
    report = reduced_by("mean")
    assert (report.outcome, report.reason) == (SignOutcome.UNSTABLE, "reducer")
    # All right, or all wrong, every reducer gives one value: the first rung between tells them apart.
    assert report.sentence.startswith("SIGN UNSTABLE  partial 0.75, seed 0: 0.75, but 0.9")
    assert report.sentence.endswith("under the sealed reducer pass_at_2; it is the value of mean, pass_at_1")


def test_every_other_reducer_is_seen() -> None:
    assert {reduced_by(name).reason for name in ("mean", "median", "max", "min", "pass_at_3", "pass_2")} == {"reducer"}


@pytest.mark.parametrize("key", ["confidence", "other"])
def test_attempts_that_do_not_fit_the_inputs_are_named(key: str) -> None:
    spec = msgspec.structs.replace(ECE, attempts=(key,))
    arms = {name: lambda rng, s: {"confidence": np.ones(7)} for name in ATTEMPTS}
    with pytest.raises(TollensError, match=rf"found {key}: ") as caught:
        measure(lambda g: {"ece": 1.0}, arms, spec, seed=0)
    assert caught.value.code == "sign_arms"


def test_an_unknown_reducer_is_named() -> None:
    with pytest.raises(TollensError, match="average"):
        measure(lambda g: {"score": 1.0}, PASSES, msgspec.structs.replace(SEALED, reducer="average"), seed=0)
