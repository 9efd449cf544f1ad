"""The ablation test: divergence bounds, the matched null, and verdicts on networks whose answer is known."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tollens.core.codes import CODES
from tollens.core.reading import Interval, NullBand
from tollens.instrument.ablation import (
    AblationParams,
    AblationResult,
    Effect,
    Verdict,
    ablate,
    cross_entropy,
    gaussian_inputs,
    jensen_shannon,
    judge,
    matched_set,
)

Weights = Mapping[str, NDArray[np.floating]]


def forward(weights: Weights, inputs: NDArray[np.floating]) -> NDArray[np.floating]:
    hidden = inputs
    for name in ("a", "b", "c"):
        hidden = np.maximum(hidden @ weights[name].T, 0.0)
    return hidden @ weights["out"].T


def network(width: int = 96, seed: int = 0) -> dict[str, NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    shapes = {"a": (width, 64), "b": (width, width), "c": (width, width), "out": (10, width)}
    made = {n: (rng.standard_normal(s) * (2.0 / s[1]) ** 0.5).astype(np.float32) for n, s in shapes.items()}
    made["a"][7] *= 4.0  # a unit that speaks louder than others
    return made


def teacher(count: int = 512, seed: int = 1) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Inputs, and the labels that the untouched network gives them."""
    inputs = np.random.default_rng(seed).standard_normal((count, 64))
    return inputs, forward(network(), inputs).argmax(axis=1)


def run(weights: Weights, layer: str, labelled: bool = True, **params: object) -> AblationResult:
    inputs, labels = teacher()
    chosen = AblationParams(**params)  # type: ignore[arg-type]
    rng = np.random.default_rng(5)
    return ablate(forward, weights, layer, inputs, labels if labelled else None, chosen, rng=rng)


def with_element(size: float, live: bool) -> dict[str, NDArray[np.float32]]:
    """The network with one large element in layer b, in a column whose input unit is strong or dead."""
    weights = network()
    if not live:
        weights["a"][7] = 0.0
    weights["b"][11, 7] = size * weights["b"].std() * weights["b"].size ** 0.25
    return weights


def test_divergence_of_identical_and_of_disjoint_outputs() -> None:
    """JSD(p, p) = 0; for disjoint supports m = p/2 on each side, so JSD = ln 2."""
    logits = np.random.default_rng(0).standard_normal((50, 10)) * 20
    assert (jensen_shannon(logits, logits) == 0.0).all()
    left = np.array([[0.0, -1e4, -1e4], [0.0, 0.0, -1e4]])
    right = np.array([[-1e4, 0.0, -1e4], [-1e4, -1e4, 0.0]])
    np.testing.assert_allclose(jensen_shannon(left, right), math.log(2.0), atol=1e-12)


def test_divergence_known_value() -> None:
    """p = (1/2, 1/2), q = (1, 0): m = (3/4, 1/4); JSD = (ln(2/3) + ln 2)/4 + ln(4/3)/2."""
    value = jensen_shannon(np.array([0.0, 0.0]), np.array([0.0, -1e4]))
    assert value == pytest.approx(0.25 * (math.log(2 / 3) + math.log(2)) + 0.5 * math.log(4 / 3), abs=1e-12)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.floats(0.0, 1e3), shift=st.floats(-50, 50))
def test_divergence_is_symmetric_bounded_and_blind_to_shifts(seed: int, scale: float, shift: float) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal((2, 5, 7)) * scale
    value = jensen_shannon(a, b)
    assert ((value >= 0.0) & (value <= math.log(2.0))).all()
    np.testing.assert_allclose(value, jensen_shannon(b, a), atol=1e-12)
    np.testing.assert_allclose(value, jensen_shannon(a + shift, b), atol=1e-9)


def test_cross_entropy_known_value() -> None:
    logits = np.log(np.array([[0.2, 0.8], [0.5, 0.5]])) + 3.0
    np.testing.assert_allclose(cross_entropy(logits, np.array([1, 0])), [-math.log(0.8), math.log(2)], rtol=1e-12)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**6), share=st.floats(0.02, 0.9))
def test_matched_sets_match(seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    energies = np.sort(rng.random(60))[::-1] + 0.01
    target = share * float(energies.sum())
    chosen = matched_set(energies, target, 0.05, rng)
    assert chosen is not None
    assert np.unique(chosen).size == chosen.size
    assert abs(energies[chosen].sum() - target) <= 0.05 * target


def test_sets_that_cannot_match_are_none() -> None:
    rng = np.random.default_rng(0)
    assert matched_set(np.ones(10), 20.0, 0.05, rng) is None
    assert matched_set(np.full(10, 4.0), 6.0, 0.05, rng) is None


def test_matched_sets_vary() -> None:
    rng = np.random.default_rng(0)
    energies = rng.random(60) + 0.5
    sets = {tuple(matched_set(energies, 5.0, 0.05, rng)) for _ in range(30)}  # type: ignore[arg-type]
    assert len(sets) == 30


def test_an_element_that_spoils_the_network_is_harmful() -> None:
    result = run(with_element(3.0, live=True), "b")
    assert result.verdict is Verdict.HARMFUL
    assert result.reason is None
    assert result.modes == 1
    assert result.jsd is not None
    assert result.gain is not None
    assert result.jsd.interval.low <= result.jsd.value <= result.jsd.interval.high <= math.log(2.0)
    assert result.gain.interval.low > max(0.0, result.gain.null.high)
    assert result.jsd.null.draws == 40
    assert result.harmful_as_published


def test_without_labels_the_direction_is_unknown() -> None:
    result = run(with_element(3.0, live=True), "b", labelled=False)
    assert result.verdict is Verdict.ACTIVE
    assert result.gain is None
    assert result.harmful_as_published


def test_an_element_behind_a_dead_unit_is_benign() -> None:
    """The unit it reads is always 0: cutting it changes nothing, cutting random modes does."""
    result = run(with_element(6.0, live=False), "b")
    assert result.verdict is Verdict.BENIGN
    assert result.harmful_as_published is False


def test_a_useful_element_is_active_but_not_harmful() -> None:
    """Labels come from the network with the element, so that cutting it can only raise the loss."""
    weights = with_element(3.0, live=True)
    inputs, _ = teacher()
    labels = forward(weights, inputs).argmax(axis=1)
    result = ablate(forward, weights, "b", inputs, labels, rng=np.random.default_rng(5))
    assert (result.verdict, result.reason) == (Verdict.UNDETERMINED, "loss_not_decreased")


def test_no_trap_no_match_too_few_and_nonfinite_say_why() -> None:
    inputs, labels = teacher()
    clean = ablate(forward, network(), "b", inputs, labels, rng=np.random.default_rng(0))
    assert (clean.verdict, clean.reason, clean.modes) == (Verdict.UNDETERMINED, "no_trap", 0)
    huge = run(with_element(1e3, live=True), "b")
    assert (huge.verdict, huge.reason) == (Verdict.UNDETERMINED, "no_matched_null")
    assert huge.share > 0.9
    trapped = with_element(3.0, live=True)
    few = ablate(forward, trapped, "b", inputs[:255], None, rng=np.random.default_rng(0))
    assert few.reason == "too_few_inputs"

    def overflowing(weights: Weights, x: NDArray[np.floating]) -> NDArray[np.floating]:
        return forward(weights, x) if weights is trapped else np.full((len(x), 10), np.inf)

    broken = ablate(overflowing, trapped, "b", inputs, None, rng=np.random.default_rng(0))
    assert broken.reason == "nonfinite_logits"
    assert {r.reason for r in (clean, huge, few, broken)} <= CODES.keys()


def effect(low: float, high: float, null_high: float) -> Effect:
    value = (low + high) / 2
    return Effect(value, Interval(low, high, 0.95, "test"), NullBand(0.0, 0.0, null_high, 40, "test"))


@pytest.mark.parametrize(
    ("jsd", "gain", "verdict"),
    [
        (effect(0.1, 0.2, 0.3), None, Verdict.BENIGN),
        (effect(0.1, 0.2, 0.15), None, Verdict.UNDETERMINED),
        (effect(0.1, 0.2, 0.05), None, Verdict.ACTIVE),
        (effect(0.1, 0.2, 0.05), effect(0.5, 0.6, 0.4), Verdict.HARMFUL),
        (effect(0.1, 0.2, 0.05), effect(0.3, 0.6, 0.4), Verdict.UNDETERMINED),
        (effect(0.1, 0.2, 0.05), effect(-0.2, -0.1, -0.4), Verdict.UNDETERMINED),
        (effect(0.1, 0.2, 0.3), effect(0.5, 0.6, 0.4), Verdict.BENIGN),
    ],
)
def test_rule(jsd: Effect, gain: Effect | None, verdict: Verdict) -> None:
    assert judge(jsd, gain)[0] is verdict


def test_same_generator_same_result_and_nothing_is_written() -> None:
    weights = with_element(3.0, live=True)
    before = {n: w.copy() for n, w in weights.items()}
    assert run(weights, "b") == run(weights, "b")
    for name, w in before.items():
        np.testing.assert_array_equal(weights[name], w)


def test_bad_requests_are_refused() -> None:
    inputs, labels = teacher()
    rng = np.random.default_rng(0)
    weights = with_element(3.0, live=True)
    with pytest.raises(ValueError, match="30 sets"):
        run(weights, "b", nulls=29)
    with pytest.raises(ValueError, match="5 replacement"):
        run(weights, "b", draws=4)
    with pytest.raises(KeyError):
        run(weights, "z")
    with pytest.raises(ValueError, match="not a matrix"):
        ablate(forward, {**weights, "bias": np.zeros(3)}, "bias", inputs, rng=rng)
    for wrong in (labels[:-1], labels + 10, labels - 10, labels.astype(float)):
        with pytest.raises(ValueError, match="label"):
            ablate(forward, weights, "b", inputs, wrong, rng=rng)
    with pytest.raises(ValueError, match="logits"):
        ablate(lambda w, x: np.zeros(3), weights, "b", inputs, rng=rng)


def test_gaussian_inputs_have_the_moments_of_the_data() -> None:
    data = np.random.default_rng(0).standard_normal((500, 4)) @ np.diag([1.0, 2.0, 0.5, 3.0]) + 5.0
    data[:, 1] += data[:, 0]
    drawn = gaussian_inputs(data, 40_000, np.random.default_rng(1))
    np.testing.assert_allclose(drawn.mean(axis=0), data.mean(axis=0), atol=0.08)
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(data.T), atol=0.3)
