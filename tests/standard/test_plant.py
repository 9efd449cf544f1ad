"""Planted traps: above the threshold with the right cause, deterministic, and nothing else is touched."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tollens import demo
from tollens.standard.digits import HIDDEN, Digits, read_digits, read_weights
from tollens.standard.plant import SIZES, Planted, Wish, plant, threshold

SEEDS = range(50)


@pytest.fixture(scope="module")
def good() -> dict[str, np.ndarray]:
    return read_weights(demo.path("good.safetensors"))


@pytest.fixture(scope="module")
def data() -> Digits:
    return read_digits(demo.path("digits_test.npz"))


@pytest.fixture(scope="module")
def planted(good, data) -> list[Planted]:
    return [plant(good, seed, data) for seed in SEEDS]


def outliers(matrix: np.ndarray, rng: np.random.Generator) -> int:
    """Eigenvalues of a permutation above Ma's Tracy-Widom edge at level 1e-4, sigma of the matrix itself."""
    shuffled = rng.permutation(matrix.ravel()).reshape(matrix.shape)
    a, b = np.sqrt(max(matrix.shape) - 0.5), np.sqrt(min(matrix.shape) - 0.5)
    edge = matrix.var() * ((a + b) ** 2 + 4.36 * (a + b) * (1 / a + 1 / b) ** (1 / 3))
    return int(np.sum(np.linalg.svd(shuffled, compute_uv=False) ** 2 > edge))


def test_threshold_of_a_known_matrix() -> None:
    # Half +1, half -1: sigma = 1, 16 x 16 = 256 elements, 256^(1/4) = 4.
    matrix = np.where(np.arange(256) % 2, 1.0, -1.0).reshape(16, 16)
    assert threshold(matrix, "entry") == pytest.approx(4.0)
    assert threshold(matrix, "mean") == pytest.approx(0.25)


def test_every_plant_is_found_and_its_cause_is_right(planted: list[Planted]) -> None:
    for seed, made in zip(SEEDS, planted, strict=True):
        rng = np.random.default_rng(seed)
        matrix = made.weights[made.layer].astype(np.float64)
        low, high = SIZES[made.cause]
        assert low <= made.size <= high
        assert outliers(matrix, rng) == 1, seed
        centred = outliers(matrix - matrix.mean(), rng)
        if made.cause == "mean":
            assert made.where is None
            assert centred == 0, seed
        else:
            assert made.where is not None
            assert matrix[made.where] == pytest.approx(made.value, rel=1e-6)
            rest = matrix.copy()
            others = np.delete(matrix.ravel(), np.ravel_multi_index(made.where, matrix.shape))
            rest[made.where] = others.mean()
            assert (centred, outliers(rest, rng)) == (1, 0), seed


def test_size_is_in_thresholds_of_the_unplanted_matrix(good, planted: list[Planted]) -> None:
    for made in planted:
        before, after = good[made.layer].astype(np.float64), made.weights[made.layer].astype(np.float64)
        power = 0.25 if made.cause == "entry" else -0.25
        unit = before.std() * before.size**power
        found = after.max() if made.cause == "entry" else abs(after.mean())
        assert found / unit == pytest.approx(made.size, rel=1e-4)


def test_nothing_but_the_plant_changes(good, planted: list[Planted]) -> None:
    reference = read_weights(demo.path("good.safetensors"))
    assert all(np.array_equal(good[name], reference[name]) for name in reference)  # the input is left alone
    for made in planted:
        touched = [name for name in good if not np.array_equal(good[name], made.weights[name])]
        assert touched == [made.layer]
        if made.cause == "entry":
            assert np.sum(good[made.layer] != made.weights[made.layer]) == 1
        else:
            shift = made.weights[made.layer].astype(np.float64) - good[made.layer]
            assert np.ptp(shift) < 1e-6


def test_plants_vary_and_cost_accuracy(planted: list[Planted]) -> None:
    assert {made.layer for made in planted} == set(HIDDEN)
    assert {made.cause for made in planted} == {"entry", "mean"}
    assert len({round(made.size, 6) for made in planted}) == len(planted)
    costs = np.array([made.before - made.after for made in planted])
    print(f"cost of 50 plants in points: min {100 * costs.min():.1f}, median {100 * np.median(costs):.1f}")
    assert costs.min() >= 0.01
    assert np.mean(costs >= 0.02) >= 0.9


def test_the_accuracy_of_the_fast_search_is_that_of_the_network(planted: list[Planted], data: Digits) -> None:
    from tollens.standard.digits import accuracy

    for made in planted:
        found = accuracy(made.weights, data.inputs(), data.labels)
        assert found == pytest.approx(made.after, abs=1.5 / len(data.labels))  # one tie may round over


def test_same_seed_same_plant(good, data, planted: list[Planted]) -> None:
    again = plant(good, 3, data)
    first = planted[3]
    assert again.layer == first.layer
    assert (again.cause, again.size, again.where) == (first.cause, first.size, first.where)
    assert np.array_equal(again.weights[again.layer], first.weights[first.layer])


def test_a_wish_is_granted(good, data) -> None:
    wish = Wish(layers=("layers.2.weight",), cause="mean", size=4.0)
    made = plant(good, 0, data, wish)
    assert (made.layer, made.cause, made.size) == ("layers.2.weight", "mean", 4.0)
    below = plant(good, 0, data, replace(wish, size=0.5))
    assert outliers(below.weights[below.layer].astype(np.float64), np.random.default_rng(0)) == 0


@pytest.mark.parametrize("layers", [(), ("layers.9.weight",), ("layers.0.bias",)])
def test_a_layer_that_is_not_there_is_refused(good, data, layers) -> None:
    with pytest.raises(ValueError, match="no matrix to plant in"):
        plant(good, 0, data, Wish(layers=layers))
