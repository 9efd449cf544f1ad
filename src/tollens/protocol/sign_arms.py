"""Sentinel arms: synthetic inputs of a metric whose order of quality is known before any model is run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tollens.core.errors import TollensError

Inputs = Mapping[str, Any]
"""What a metric is given: by name, normally numpy arrays whose first axis is items."""
Arm = Callable[[np.random.Generator, float], Inputs]
"""Inputs of a given quality. `severity` in [0, 1] is the loss of quality; only `partial` need heed it."""

ARM_NAMES = ("ideal", "partial", "noop", "worst", "gamer")
"""Every study gives these. `ideal` is the best that can be; `partial(rng, severity)` has quality 1 - severity
and is called at several severities; `noop` has no effect; `worst` is what the claim is to forbid; `gamer`
scores without the quality. Any further arm is a further gamer: it must not beat `ideal`."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Sentinel:
    """The arms of one usual metric, and what they are.

    `inputs` describes each input by name. `direction` and `null_value` are those of the plain metric, in the
    unit that `null_unit` names: the value on `noop`, exact up to rounding.
    """

    arms: Mapping[str, Arm]
    inputs: Mapping[str, str]
    direction: Literal["higher_is_better", "lower_is_better"]
    null_value: float
    null_unit: str


def sentinel_arms(metric: str) -> dict[str, Arm]:
    """The arms of the usual metric `metric`, a key of SENTINELS, which describes their inputs.

    Raises TollensError `sign_unknown_metric` for another name, naming the nearest.
    """
    if metric in SENTINELS:
        return dict(SENTINELS[metric].arms)
    near = get_close_matches(metric[:40], SENTINELS, n=3, cutoff=0.5)
    raise TollensError(
        "sign_unknown_metric",
        repr(metric[:40]),
        expected=f"one of {', '.join(SENTINELS)}",
        found="no built-in arms",
        fix=f"Did you mean {' or '.join(near)}?" if near else "Write ARMS in the file of the metric.",
    )


def _along(make: Callable[[np.random.Generator, float], Inputs], gamer: Arm, worst: Arm) -> dict[str, Arm]:
    """The five arms from one family `make(rng, quality)`: ideal at quality 1, noop at 0."""
    return {
        "ideal": lambda rng, severity: make(rng, 1.0),
        "partial": lambda rng, severity: make(rng, 1.0 - severity),
        "noop": lambda rng, severity: make(rng, 0.0),
        "worst": worst,
        "gamer": gamer,
    }


def _first(rng: np.random.Generator, n: int, share: float) -> NDArray[np.bool_]:
    """True at a share of n random places, the same places and more as the share grows."""
    return rng.permutation(n) < round(n * share)


# Classes: four of them, each the label of a quarter of the items, so that any constant answer scores 1/4.
_N, _CLASSES = 1000, 4


def _answers(rng: np.random.Generator, right: float) -> dict[str, Ints]:
    labels = rng.permutation(np.arange(_N) % _CLASSES)
    wrong = (labels + rng.integers(1, _CLASSES, _N)) % _CLASSES
    return {"labels": labels, "predictions": np.where(_first(rng, _N, right), labels, wrong)}


def _one_class(rng: np.random.Generator, severity: float) -> Inputs:
    labels = rng.permutation(np.arange(_N) % _CLASSES)
    return {"labels": labels, "predictions": np.full(_N, int(rng.integers(_CLASSES)))}


# The reference is right on 60 % of the items, each subject on its own share, drawn apart from them.
_REFERENCE = 0.6


def _pair(rng: np.random.Generator, right: float) -> dict[str, Floats]:
    reference = _first(rng, _N, _REFERENCE).astype(np.float64)
    return {"reference": reference, "subject": _first(rng, _N, right).astype(np.float64)}


def _half_credit(rng: np.random.Generator, severity: float) -> Inputs:
    return {**_pair(rng, 0.0), "subject": np.full(_N, 0.5)}


_TEXTS = tuple(f"answer {i}" for i in range(50))


def _texts(rng: np.random.Generator, right: float) -> dict[str, NDArray[np.str_]]:
    references = np.array(_TEXTS)[rng.integers(len(_TEXTS), size=_N)]
    return {"references": references, "predictions": np.where(_first(rng, _N, right), references, "")}


def _all_texts(rng: np.random.Generator, severity: float) -> Inputs:
    return {**_texts(rng, 0.0), "predictions": np.full(_N, " or ".join(_TEXTS))}


_ATTEMPTS = 8


def _tries(rng: np.random.Generator, right: float) -> dict[str, Floats]:
    return {"attempts": _first(rng, _N * _ATTEMPTS, right).astype(np.float64).reshape(_N, _ATTEMPTS)}


def _few_items(rng: np.random.Generator, severity: float) -> Inputs:
    """The tries of one item in four, all of them right: many successes on little."""
    return {"attempts": np.repeat(_first(rng, _N, 0.25)[:, None], _ATTEMPTS, axis=1).astype(np.float64)}


# Binary outcomes that follow probabilities 0.9 and 0.1 to the item, so that these are the best forecast.
_SURE = 0.9


def _forecast(rng: np.random.Generator, mix: float, sure: float = _SURE) -> dict[str, NDArray[Any]]:
    high = np.arange(_N) % 2 == 0
    labels = np.where(np.arange(_N) // 2 < _N // 2 * _SURE, high, ~high).astype(np.int64)
    order = rng.permutation(_N)
    truth = np.where(high, sure, 1 - sure)
    return {"labels": labels[order], "probabilities": (mix * truth + (1 - mix) * 0.5)[order]}


# Tokens: the likeliest one of each position comes with probability 0.6, the other 31 share the rest.
_VOCABULARY, _TOKENS, _LIKELY = 32, 200, 0.6


def _language(rng: np.random.Generator, mix: float, likely: float = _LIKELY, shift: int = 0) -> dict[str, NDArray[Any]]:
    guess = rng.integers(_VOCABULARY, size=_TOKENS)
    other = (guess + rng.integers(2, _VOCABULARY, _TOKENS)) % _VOCABULARY
    targets = np.where(_first(rng, _TOKENS, _LIKELY), guess, other)
    chances = np.full((_TOKENS, _VOCABULARY), (1 - likely) / (_VOCABULARY - 1))
    chances[np.arange(_TOKENS), (guess + shift) % _VOCABULARY] = likely
    return {"scores": np.log(mix * chances + (1 - mix) / _VOCABULARY), "targets": targets}


def _nll(made: Mapping[str, NDArray[Any]]) -> Inputs:
    return {"nll": -made["scores"][np.arange(_TOKENS), made["targets"]]}


def _unnormalised(rng: np.random.Generator, severity: float) -> Inputs:
    """Scores that are no distribution: each token gets a log-probability in (-1, 0), as if all were likely."""
    return {**_language(rng, 0.0), "scores": -rng.uniform(size=(_TOKENS, _VOCABULARY))}


# Scores of positives and negatives hold the same noise, so that without a shift each pair is won as it is lost.
_PAIRS = 200


def _scores(rng: np.random.Generator, shift: float) -> dict[str, NDArray[Any]]:
    noise = rng.standard_normal(_PAIRS)
    labels = np.repeat(np.array([1, 0]), _PAIRS)
    order = rng.permutation(2 * _PAIRS)
    return {"labels": labels[order], "scores": np.concatenate([noise + shift, noise])[order]}


def _one_score(rng: np.random.Generator, severity: float) -> Inputs:
    return {**_scores(rng, 0.0), "scores": np.full(2 * _PAIRS, 0.5)}


# Five levels of confidence, each met by exactly its share of right answers; 0.75 of all answers are right.
_LEVELS, _EACH = (0.55, 0.65, 0.75, 0.85, 0.95), 200


def _confidence(rng: np.random.Generator, quality: float) -> dict[str, Floats]:
    level = np.repeat(_LEVELS, _EACH)
    correct = np.concatenate([np.arange(_EACH) < round(_EACH * p) for p in _LEVELS]).astype(np.float64)
    order = rng.permutation(len(level))
    return {"confidence": (1.0 - quality * (1.0 - level))[order], "correct": correct[order]}


def _surely_wrong(rng: np.random.Generator, severity: float) -> Inputs:
    n = len(_LEVELS) * _EACH
    return {"confidence": np.ones(n), "correct": np.zeros(n)}


def _base_rate(rng: np.random.Generator, severity: float) -> Inputs:
    made = _confidence(rng, 1.0)
    return {**made, "confidence": np.full_like(made["confidence"], 0.75)}


# Next-token distributions: one symbol of four at 0.7, the others at 0.1, or halfway from there to uniform, so
# that not all items have one value and a dependence on their order shows.
_CONTEXTS = 200
_PEAKED = np.array([[0.7, 0.1, 0.1, 0.1], [0.475, 0.175, 0.175, 0.175]])


def _fidelity(rng: np.random.Generator, mix: float, shift: int = 0) -> dict[str, Floats]:
    """`subject` is the reference mixed with the uniform distribution, its peak `shift` symbols on."""
    kind = rng.permutation(np.arange(_CONTEXTS) % 2)[:, None]
    turn = rng.integers(4, size=_CONTEXTS)[:, None] + np.arange(4)
    return {
        "reference": _PEAKED[kind, turn % 4],
        "subject": mix * _PEAKED[kind, (turn + shift) % 4] + (1 - mix) / 4,
    }


def _greedy(rng: np.random.Generator, severity: float) -> Inputs:
    """The likeliest symbol of the reference at 0.97, whatever its probability."""
    reference = _fidelity(rng, 1.0)["reference"]
    return {"reference": reference, "subject": np.where(reference > 0.25, 0.97, 0.01)}


# Targets of mean 0, mean square 1.25 and mean size 1.
_TARGETS = (-1.5, -0.5, 0.5, 1.5)


def _regression(rng: np.random.Generator, scale: float) -> dict[str, Floats]:
    targets = rng.permutation(np.resize(_TARGETS, _N))
    return {"targets": targets, "predictions": targets * scale}


def _constant(rng: np.random.Generator, severity: float) -> Inputs:
    return {**_regression(rng, 0.0), "predictions": np.full(_N, 0.5)}


_RIGHT = "float64 (1000,), 1 where {} is right, else 0"
_REGRESSION = _along(_regression, _constant, lambda rng, severity: _regression(rng, -1.0))
_REGRESSION_INPUTS = {"targets": "float64 (1000,)", "predictions": "float64 (1000,)"}
_PAIRED = _along(
    lambda rng, q: _pair(rng, _REFERENCE + q * (1 - _REFERENCE)),
    _half_credit,
    lambda rng, severity: _pair(rng, 0.2),
)
_PAIRED_INPUTS = {"subject": _RIGHT.format("the subject"), "reference": _RIGHT.format("the reference")}

SENTINELS: Mapping[str, Sentinel] = {
    "accuracy": Sentinel(
        _along(lambda rng, q: _answers(rng, 0.25 + 0.75 * q), _one_class, lambda rng, severity: _answers(rng, 0.0)),
        {"labels": "int64 (1000,), 0 to 3", "predictions": "int64 (1000,), 0 to 3"},
        "higher_is_better",
        0.25,
        "fraction right",
    ),
    "accuracy_diff": Sentinel(
        _PAIRED, _PAIRED_INPUTS, "higher_is_better", 0.0, "subject minus reference, fraction or pp"
    ),
    "exact_match": Sentinel(
        _along(_texts, _all_texts, lambda rng, severity: _texts(rng, 0.0)),
        {"references": "str (1000,)", "predictions": "str (1000,), empty where there is no answer"},
        "higher_is_better",
        0.0,
        "fraction equal",
    ),
    "pass_at_k": Sentinel(
        _along(_tries, _few_items, lambda rng, severity: _tries(rng, 0.0)),
        {"attempts": "float64 (1000, 8), 1 where the attempt at the item is right, else 0"},
        "higher_is_better",
        0.0,
        "fraction of items",
    ),
    "log_loss": Sentinel(
        _along(
            _forecast,
            lambda rng, severity: _forecast(rng, 1.0, sure=0.999),
            lambda rng, severity: _forecast(rng, 1.0, sure=1 - _SURE),
        ),
        {"labels": "int64 (1000,), 0 or 1", "probabilities": "float64 (1000,), of label 1, in (0, 1)"},
        "lower_is_better",
        float(np.log(2)),
        "nat per item",
    ),
    "perplexity": Sentinel(
        _along(
            lambda rng, q: _nll(_language(rng, q)),
            lambda rng, severity: _nll(_language(rng, 1.0, 0.99)),
            lambda rng, severity: _nll(_language(rng, 1.0, 0.995, shift=1)),
        ),
        {"nll": "float64 (200,), negative log-probability of each token, nat"},
        "lower_is_better",
        float(_VOCABULARY),
        "perplexity, 1 to infinity",
    ),
    "perplexity_of_scores": Sentinel(
        _along(_language, _unnormalised, lambda rng, severity: _language(rng, 1.0, 0.995, shift=1)),
        {
            "scores": "float64 (200, 32), log-probability of each token of the vocabulary, nat, as reported",
            "targets": "int64 (200,), 0 to 31",
        },
        "lower_is_better",
        float(_VOCABULARY),
        "perplexity, 1 to infinity",
    ),
    "auroc": Sentinel(
        _along(lambda rng, q: _scores(rng, 3.0 * q), _one_score, lambda rng, severity: _scores(rng, -3.0)),
        {"labels": "int64 (400,), 0 or 1", "scores": "float64 (400,)"},
        "higher_is_better",
        0.5,
        "chance that a positive outranks a negative, ties half",
    ),
    "calibration_error": Sentinel(
        _along(_confidence, _base_rate, _surely_wrong),
        {"confidence": "float64 (1000,), in [0, 1]", "correct": _RIGHT.format("the answer")},
        "lower_is_better",
        0.25,
        "mean gap of confidence and accuracy over bins, in [0, 1]",
    ),
    "kl": Sentinel(
        _along(
            _fidelity,
            _greedy,
            lambda rng, severity: _fidelity(rng, 1.0, shift=1),
        ),
        {"reference": "float64 (200, 4), rows sum to 1", "subject": "float64 (200, 4), rows sum to 1"},
        "lower_is_better",
        float(np.sum(_PEAKED * np.log(4 * _PEAKED)) / 2),
        "nat, mean of KL(reference || subject)",
    ),
    "mse": Sentinel(_REGRESSION, _REGRESSION_INPUTS, "lower_is_better", 1.25, "mean squared difference"),
    "mae": Sentinel(_REGRESSION, _REGRESSION_INPUTS, "lower_is_better", 1.0, "mean absolute difference"),
}
