"""The digits network: known answers of its pieces, and the bundled files against their manifest."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest

from tollens import demo
from tollens.standard import bundle, digits
from tollens.standard.digits import GOOD, HIDDEN, LAYERS, SIZES, Digits, Recipe


def zeros() -> dict[str, np.ndarray]:
    made = {}
    for layer, inputs, outputs in zip(LAYERS, SIZES[:-1], SIZES[1:], strict=True):
        made[f"{layer}.weight"] = np.zeros((outputs, inputs))
        made[f"{layer}.bias"] = np.zeros(outputs)
    return made


def permuted_outliers(matrix: np.ndarray, rng: np.random.Generator, *, centred: bool) -> int:
    """Independent of the product: permuted eigenvalues above Ma's centre + 4.36 scales (level 1e-4)."""
    shuffled = rng.permutation(matrix.ravel().astype(np.float64)).reshape(matrix.shape)
    if centred:
        shuffled = shuffled - shuffled.mean()
    a, b = np.sqrt(max(matrix.shape) - 0.5), np.sqrt(min(matrix.shape) - 0.5)
    variance = matrix.astype(np.float64).var()
    edge = variance * ((a + b) ** 2 + 4.36 * (a + b) * (1 / a + 1 / b) ** (1 / 3))
    return int(np.sum(np.linalg.svd(shuffled, compute_uv=False) ** 2 > edge))


@pytest.fixture(scope="module")
def manifest() -> dict:
    return json.loads(demo.path("manifest.json").read_text())


@pytest.fixture(scope="module")
def test_set() -> Digits:
    return digits.read_digits(demo.path("digits_test.npz"))


def test_forward_of_one_open_path() -> None:
    # Input 0 -> unit 1 -> unit 2 -> unit 3 -> class 4, with weights 2, 3, 5, 7 and bias -1 on unit 1.
    # Input 3: relu(2*3 - 1) = 5; 3*5 = 15; 5*15 = 75; 7*75 = 525. Input 0: relu(-1) = 0, so 0.
    weights = zeros()
    weights["layers.0.weight"][1, 0] = 2
    weights["layers.0.bias"][1] = -1
    weights["layers.1.weight"][2, 1] = 3
    weights["layers.2.weight"][3, 2] = 5
    weights["head.weight"][4, 3] = 7
    inputs = np.zeros((2, 64))
    inputs[0, 0] = 3
    expected = np.zeros((2, 10))
    expected[0, 4] = 525
    np.testing.assert_array_equal(digits.forward(weights, inputs), expected)


def test_the_head_is_not_rectified() -> None:
    weights = zeros()
    weights["head.bias"][:] = -1
    assert np.all(digits.forward(weights, np.zeros((1, 64))) == -1)


def test_accuracy_counts_the_largest_logit() -> None:
    weights = zeros()
    weights["head.bias"][3] = 1
    assert digits.accuracy(weights, np.zeros((4, 64)), np.array([3, 3, 3, 7])) == 0.75


@pytest.mark.parametrize("name", ["layers.0.weight", "layers.1.bias", "layers.2.weight", "head.weight"])
def test_gradient_is_the_slope_of_the_loss(name: str) -> None:
    rng = np.random.default_rng(0)
    weights = digits.initial(3)
    inputs, targets = rng.random((20, 64)), np.eye(10)[rng.integers(0, 10, 20)]
    recipe = Recipe(decay=0.01, centred=False)
    direction = rng.standard_normal(weights[name].shape)

    def loss(step: float) -> float:
        moved = weights | {name: weights[name] + step * direction}
        logits = digits.forward(moved, inputs)
        chance = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        penalty = sum((value**2).sum() for key, value in moved.items() if key.endswith("weight"))
        return float(-(chance * targets).sum(axis=1).mean() + 0.5 * recipe.decay * penalty)

    slope = float((digits.gradient(weights, inputs, targets, recipe)[name] * direction).sum())
    # central difference: rounding gives 1e-16 / 1e-7 = 1e-9; a longer step would cross kinks of the rectifier
    assert slope == pytest.approx((loss(1e-7) - loss(-1e-7)) / 2e-7, rel=1e-6, abs=1e-7)


def test_centred_training_keeps_the_mean_at_zero() -> None:
    rng = np.random.default_rng(1)
    data = Digits(rng.integers(0, 17, (64, 64)).astype(np.uint8), rng.integers(0, 10, 64).astype(np.uint8))
    centred = digits.train(replace(GOOD, epochs=3), data)
    free = digits.train(replace(GOOD, epochs=3, centred=False), data)
    for name in HIDDEN:
        sigma = centred[name].std()
        assert abs(centred[name].mean(dtype=np.float64)) < 1e-7 * sigma
    assert any(abs(free[name].mean(dtype=np.float64)) > 1e-4 * free[name].std() for name in HIDDEN)
    again = digits.train(replace(GOOD, epochs=3), data)
    assert all(np.array_equal(centred[name], again[name]) for name in centred)


def test_the_bundled_files_are_the_ones_of_the_manifest(manifest: dict) -> None:
    assert set(manifest["digests"]) == set(demo.NAMES) - {"manifest.json", "claims.toml"}  # what a script made
    for name, digest in manifest["digests"].items():
        assert hashlib.sha256(demo.path(name).read_bytes()).hexdigest() == digest, name
    assert sum(demo.path(name).stat().st_size for name in demo.NAMES) < 1_000_000


def test_a_file_that_is_not_bundled_is_named() -> None:
    with pytest.raises(ValueError, match=r"no bundled file 'best\.safetensors'"):
        demo.path("best.safetensors")


@pytest.mark.parametrize("name", ["good.safetensors", "trapped.safetensors", "overtrained.safetensors"])
def test_accuracy_is_what_the_manifest_says(name: str, manifest: dict, test_set: Digits) -> None:
    found = digits.accuracy(digits.read_weights(demo.path(name)), test_set.inputs(), test_set.labels)
    said = manifest["checkpoints"][name]["test_accuracy"]
    assert found == pytest.approx(said, abs=0.5 / digits.TEST_IMAGES)


def test_the_checkpoints_differ_as_they_are_meant_to(manifest: dict) -> None:
    kept = {name: entry["test_accuracy"] for name, entry in manifest["checkpoints"].items()}
    assert kept["good.safetensors"] >= 0.97
    assert kept["trapped.safetensors"] <= kept["good.safetensors"] - 0.05
    assert kept["overtrained.safetensors"] <= kept["good.safetensors"] - 0.10
    over = manifest["checkpoints"]["overtrained.safetensors"]["alpha"]
    control = manifest["not_bundled"]["control"]
    assert all(fit["alpha"] < 2 for fit in over.values())
    grown = manifest["checkpoints"]["overtrained.safetensors"]["in_thresholds"]["layers.2.weight"]
    assert grown["mean"] > 1 > grown["largest_element"]
    # the honest half: the same decay without the bad data gives the same exponents and loses nothing
    assert all(fit["alpha"] < 2 for fit in control["alpha"].values())
    assert control["test_accuracy"] >= 0.97


def test_the_good_checkpoint_has_no_trap_and_the_planted_one_has_one(manifest: dict) -> None:
    good = digits.read_weights(demo.path("good.safetensors"))
    trapped = digits.read_weights(demo.path("trapped.safetensors"))
    planted = manifest["checkpoints"]["trapped.safetensors"]["plant"]
    rng = np.random.default_rng(0)
    for name in HIDDEN:
        for centred in (False, True):
            assert [permuted_outliers(good[name], rng, centred=centred) for _ in range(20)] == [0] * 20
    found = [permuted_outliers(trapped[planted["layer"]], rng, centred=True) for _ in range(20)]
    assert found == [1] * 20
    differing = {name: int(np.sum(good[name] != trapped[name])) for name in good}
    assert differing == {name: int(name == planted["layer"]) for name in good}
    assert trapped[planted["layer"]][tuple(planted["where"])] == pytest.approx(planted["value"], rel=1e-5)


def test_removing_the_planted_trap_returns_the_accuracy(manifest: dict, test_set: Digits) -> None:
    # The surgery by hand: top singular triple of a permutation, undone, subtracted; a Gaussian like T added.
    trapped = digits.read_weights(demo.path("trapped.safetensors"))
    layer = manifest["checkpoints"]["trapped.safetensors"]["plant"]["layer"]
    good = manifest["checkpoints"]["good.safetensors"]["test_accuracy"]
    matrix = trapped[layer].astype(np.float64)
    rng = np.random.default_rng(0)
    for _ in range(5):
        order = rng.permutation(matrix.size)
        left, values, right = np.linalg.svd(matrix.ravel()[order].reshape(matrix.shape), full_matrices=False)
        trap = np.empty(matrix.size)
        trap[order] = (values[0] * np.outer(left[:, 0], right[0])).ravel()
        noise = rng.normal(trap.mean(), trap.std(), matrix.shape)
        edited = dict(trapped) | {layer: matrix - trap.reshape(matrix.shape) + noise}
        assert digits.accuracy(edited, test_set.inputs(), test_set.labels) >= good - 0.01


def test_the_script_needs_its_one_argument() -> None:
    assert bundle.main(["digits"]) == 2


@pytest.mark.slow
def test_the_script_makes_the_bundled_files_again(tmp_path, manifest: dict, test_set: Digits) -> None:
    """Equal bits depend on the BLAS; equal figures must not."""
    made = bundle.write(tmp_path)
    assert made["digests"]["digits_test.npz"] == manifest["digests"]["digits_test.npz"]
    for name, entry in manifest["checkpoints"].items():
        found = made["checkpoints"][name]["test_accuracy"]
        assert found == pytest.approx(entry["test_accuracy"], abs=0.003), name
    for name in ("good.safetensors", "trapped.safetensors"):
        old, new = digits.read_weights(demo.path(name)), digits.read_weights(tmp_path / name)
        for tensor in old:
            np.testing.assert_allclose(new[tensor], old[tensor], rtol=0, atol=1e-3 * old[tensor].std() + 1e-4)
