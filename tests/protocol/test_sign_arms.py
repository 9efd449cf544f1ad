"""The built-in arms: what they hold, and that plain metrics, and only these, pass on them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tollens.core.errors import TollensError
from tollens.core.seeding import generator
from tollens.protocol.reducers import reducer
from tollens.protocol.sign_arms import ARM_NAMES, SENTINELS, Inputs, sentinel_arms
from tollens.protocol.sign_check import SignOutcome, SignReport, SignSpec, judge, measure

Number = Callable[[Inputs], float]


def auroc(given: Inputs) -> float:
    scores, labels = given["scores"], given["labels"]
    if np.isnan(scores).any():
        return math.nan
    gap = scores[labels == 1][:, None] - scores[labels == 0][None, :]
    return float((gap > 0).mean() + 0.5 * (gap == 0).mean())


def calibration_error(given: Inputs) -> float:
    """Ten bins of equal width, each weighted by its items (Naeini et al. 2015)."""
    confidence, correct = np.ravel(given["confidence"]), np.ravel(given["correct"])
    if np.isnan(confidence).any() or np.isnan(correct).any():
        return math.nan
    bins = np.minimum((confidence * 10).astype(int), 9)
    gaps = [abs((confidence - correct)[bins == b].sum()) for b in range(10)]
    return float(sum(gaps) / len(confidence))


def log_loss(given: Inputs) -> float:
    p = given["probabilities"]
    return float(-np.log(np.where(given["labels"] == 1, p, 1 - p)).mean())


def perplexity(given: Inputs) -> float:
    return float(np.exp(given["nll"].mean()))


def perplexity_of_scores(given: Inputs) -> float:
    scores = given["scores"]
    chosen = scores[np.arange(len(scores)), given["targets"]]
    return float(np.exp((np.log(np.exp(scores).sum(axis=1)) - chosen).mean()))


def kl(given: Inputs) -> float:
    p = given["reference"]
    return float((p * np.log(p / given["subject"])).sum(axis=1).mean())


PLAIN: dict[str, Number] = {
    "accuracy": lambda g: float((g["labels"] == g["predictions"]).mean()),
    "accuracy_diff": lambda g: float(100 * (g["subject"].mean() - g["reference"].mean())),
    "exact_match": lambda g: float((g["references"] == g["predictions"]).mean()),
    "pass_at_k": lambda g: float(reducer("pass_at_2")(g["attempts"]).mean()),
    "log_loss": log_loss,
    "perplexity": perplexity,
    "perplexity_of_scores": perplexity_of_scores,
    "auroc": auroc,
    "calibration_error": calibration_error,
    "kl": kl,
    "mse": lambda g: float(((g["targets"] - g["predictions"]) ** 2).mean()),
    "mae": lambda g: float(np.abs(g["targets"] - g["predictions"]).mean()),
}

SKIPPING: dict[str, Number] = {
    "accuracy_diff": lambda g: float(np.nanmean(g["subject"]) - np.nanmean(g["reference"])),
    "pass_at_k": lambda g: float(np.nanmean(reducer("pass_at_2")(g["attempts"]))),
    "log_loss": lambda g: float(
        np.nanmean(-np.log(np.where(g["labels"] == 1, g["probabilities"], 1 - g["probabilities"])))
    ),
    "perplexity": lambda g: float(np.exp(np.nanmean(g["nll"]))),
    "perplexity_of_scores": lambda g: float(
        np.exp(
            np.nanmean(np.log(np.exp(g["scores"]).sum(axis=1)) - g["scores"][np.arange(len(g["scores"])), g["targets"]])
        )
    ),
    "auroc": lambda g: auroc({"labels": g["labels"], "scores": np.nan_to_num(g["scores"])}),
    "calibration_error": lambda g: calibration_error({k: np.nan_to_num(v) for k, v in g.items()}),
    "kl": lambda g: float(np.nanmean((g["reference"] * np.log(g["reference"] / g["subject"])).sum(axis=1))),
    "mse": lambda g: float(np.nanmean((g["targets"] - g["predictions"]) ** 2)),
    "mae": lambda g: float(np.nanmean(np.abs(g["targets"] - g["predictions"]))),
}
"""The same, each leaving out what is NaN. Labels and texts hold no NaN, so two metrics have no such form."""


def spec_of(name: str, **fields: Any) -> SignSpec:
    sentinel = SENTINELS[name]
    return SignSpec("q", sentinel.direction, margin=0.1, null_value=sentinel.null_value, tolerance=1e-9, **fields)


def check(name: str, number: Number, **fields: Any) -> SignReport:
    spec = spec_of(name, **fields)
    return judge(measure(lambda given: {"q": number(given)}, sentinel_arms(name), spec, seed=1), spec)


def test_the_built_in_arms_and_these_metrics_are_the_same_list() -> None:
    assert PLAIN.keys() == SENTINELS.keys()
    assert PLAIN.keys() - SKIPPING.keys() == {"accuracy", "exact_match"}


@pytest.mark.parametrize("name", PLAIN)
def test_the_plain_metric_passes(name: str) -> None:
    report = check(name, PLAIN[name])
    assert (report.outcome, report.tau) == (SignOutcome.OK, 1.0), report.sentence
    assert report.sentence.startswith("SIGN OK  ideal ")
    assert [note for note in report.notes if "floating" not in note] == []


@pytest.mark.parametrize("name", PLAIN)
def test_its_negation_is_reversed(name: str) -> None:
    report = check(name, lambda given: -PLAIN[name](given))
    assert (report.outcome, report.tau) == (SignOutcome.REVERSED, -1.0), report.sentence


@pytest.mark.parametrize("name", PLAIN)
def test_a_constant_is_blind(name: str) -> None:
    report = check(name, lambda given: SENTINELS[name].null_value)
    assert report.outcome is SignOutcome.BLIND
    assert report.reason == "within_margin"


@pytest.mark.parametrize("name", SKIPPING)
def test_one_that_leaves_out_a_nan_is_unstable(name: str) -> None:
    report = check(name, SKIPPING[name])
    assert (report.outcome, report.reason) == (SignOutcome.UNSTABLE, "nan"), report.sentence


@pytest.mark.parametrize("name", PLAIN)
def test_one_that_weighs_items_by_their_place_is_unstable(name: str) -> None:
    def front(given: Inputs) -> float:
        return PLAIN[name]({key: value[: 2 * len(value) // 3] for key, value in given.items()})

    report = check(name, front)
    assert (report.outcome, report.reason) == (SignOutcome.UNSTABLE, "shuffle"), report.sentence


@pytest.mark.parametrize("name", PLAIN)
def test_the_inputs_are_as_described(name: str) -> None:
    described = SENTINELS[name].inputs
    for arm_name, arm in sentinel_arms(name).items():
        given = arm(generator(0, arm_name), 0.5)
        assert given.keys() == described.keys()
        for key, value in given.items():
            shape = ", ".join(map(str, value.shape)) + ("," if value.ndim == 1 else "")
            kind = "str" if value.dtype.kind == "U" else str(value.dtype)
            assert described[key].startswith(f"{kind} ({shape})"), (arm_name, key)


@pytest.mark.parametrize("name", PLAIN)
def test_every_study_gets_the_five_arms(name: str) -> None:
    assert tuple(sentinel_arms(name)) == ARM_NAMES


def test_the_arms_of_one_study_cannot_be_changed_by_another() -> None:
    sentinel_arms("accuracy").clear()
    assert tuple(sentinel_arms("accuracy")) == ARM_NAMES


def test_an_unknown_metric_names_the_nearest() -> None:
    with pytest.raises(TollensError) as caught:
        sentinel_arms("acuracy")
    assert caught.value.code == "sign_unknown_metric"
    assert caught.value.fix == "Did you mean accuracy or accuracy_diff or auroc?"
    with pytest.raises(TollensError, match="Write ARMS"):
        sentinel_arms("?" * 10**6)


def at(name: str, arm: str) -> float:
    return PLAIN[name](sentinel_arms(name)[arm](generator(0, "arm"), 1.0))


def test_known_values_of_the_arms() -> None:
    assert at("log_loss", "noop") == pytest.approx(0.693147, abs=1e-6)  # p = 1/2: ln 2
    assert at("perplexity", "noop") == pytest.approx(32, abs=1e-6)  # uniform over V = 32
    assert at("perplexity_of_scores", "noop") == pytest.approx(32, abs=1e-6)
    assert at("auroc", "noop") == 0.5  # the same noise on both sides: each pair is won as it is lost
    assert at("auroc", "gamer") == 0.5  # all tied
    assert at("accuracy", "gamer") == 0.25  # each class labels a quarter
    # Two symbols change places: (a - b) ln(a/b), with a, b = .7, .1 on half the items and .475, .175 on the others.
    assert at("kl", "worst") == pytest.approx((0.6 * math.log(7) + 0.3 * math.log(19 / 7)) / 2, abs=1e-12)
    assert at("calibration_error", "ideal") == pytest.approx(0, abs=1e-12)
    # Entropy of .9/.1 in nat, the floor of any forecast of these outcomes.
    assert at("log_loss", "ideal") == pytest.approx(-0.9 * math.log(0.9) - 0.1 * math.log(0.1), abs=1e-12)


def test_an_inverted_score_has_one_minus_the_auroc_and_is_reversed() -> None:
    arms = sentinel_arms("auroc")
    for severity in (0.1, 0.5, 0.9):
        given = arms["partial"](generator(2, "arm"), severity)
        turned = {**given, "scores": -given["scores"]}
        assert auroc(turned) == pytest.approx(1 - auroc(given), abs=1e-12)
    report = check("auroc", lambda given: auroc({**given, "scores": -given["scores"]}))
    assert report.outcome is SignOutcome.REVERSED


def test_ties_broken_in_favour_of_the_model_let_a_constant_score_win() -> None:
    def generous(given: Inputs) -> float:
        scores, labels = given["scores"], given["labels"]
        if np.isnan(scores).any():
            return math.nan
        return float((scores[labels == 1][:, None] >= scores[labels == 0][None, :]).mean())

    report = check("auroc", generous)
    assert (report.outcome, report.reason) == (SignOutcome.BLIND, "gamer")
    assert report.sentence == f"SIGN BLIND  ideal {report.table[0].mean:.3g} < gamer 1"


def test_the_whole_check_of_accuracy_takes_less_than_half_a_second() -> None:
    start = time.perf_counter()
    assert check("accuracy", PLAIN["accuracy"]).ok
    assert time.perf_counter() - start < 0.5
