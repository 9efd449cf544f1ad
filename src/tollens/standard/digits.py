"""The digits standard: a small network trained on scikit-learn's digits in plain numpy.

`python -m tollens.standard.digits OUTDIR` makes the bundled demo files (see `tollens.standard.bundle`). Only
that script needs scikit-learn; reading and running the bundled files needs numpy and safetensors alone.

The network is 64 -> 192 -> 192 -> 128 -> 10 with ReLU. Its three hidden matrices have a smaller side of at
least 64, so that the element threshold (NM)^(1/4) sigma of a correlation trap is 10.5 to 13.9 sigma, far
above the largest of a Gaussian's elements (about 4.5 sigma), and one matrix is large enough that the
published replacement, whose energy is that of the removed mode, does not by itself cost accuracy.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIZES = (64, 192, 192, 128, 10)
LAYERS: tuple[str, ...] = (*(f"layers.{k}" for k in range(len(SIZES) - 2)), "head")
HIDDEN: tuple[str, ...] = tuple(f"{layer}.weight" for layer in LAYERS[:-1])
PIXEL_MAX = 16.0
SPLIT_SEED = 1998
TEST_IMAGES = 599


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one checkpoint is trained: gradient descent with momentum, cosine decay of the rate to zero.

    `decay` is the L2 coefficient added to the gradient of the matrices (not the biases). `centred` projects
    every matrix gradient on matrices of mean zero: the start is centred too, so no mean offset can arise.
    `images` takes the first so many training images (0: all); `wrong_labels` is the share of labels redrawn
    uniformly.
    """

    epochs: int = 60
    rate: float = 0.05
    momentum: float = 0.9
    decay: float = 1e-3
    batch: int = 64
    centred: bool = True
    images: int = 0
    wrong_labels: float = 0.0
    seed: int = 7


GOOD = Recipe()
# Few images, a fifth of the labels wrong and a strong decay: the directions that are not needed for
# memorising shrink, so the spectrum grows a heavy tail (alpha about 1.3 to 1.5) while the test accuracy
# falls.
OVERTRAINED = Recipe(epochs=600, decay=2e-3, batch=32, centred=False, images=300, wrong_labels=0.2)


@dataclass(frozen=True, slots=True)
class Digits:
    """Images uint8 (n, 64) in 0..16 and labels uint8 (n,) in 0..9."""

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]

    def inputs(self) -> NDArray[np.float32]:
        """Float32 (n, 64) in 0..1, what `forward` takes."""
        return (self.images / np.float32(PIXEL_MAX)).astype(np.float32)


def forward(weights: Mapping[str, NDArray[Any]], inputs: NDArray[Any]) -> NDArray[Any]:
    """Logits (n, 10) of inputs (n, 64) in 0..1. Weights are stored (out, in), so a layer is x W' + b."""
    return activations(weights, inputs)[-1]


def activations(weights: Mapping[str, NDArray[Any]], inputs: NDArray[Any]) -> list[NDArray[Any]]:
    """The input of every layer, then the logits: arrays (n, 64), (n, 192), (n, 192), (n, 128), (n, 10)."""
    values = [np.asarray(inputs)]
    for layer in LAYERS:
        outputs = values[-1] @ weights[f"{layer}.weight"].T + weights[f"{layer}.bias"]
        values.append(outputs if layer == "head" else np.maximum(outputs, 0))
    return values


def accuracy(weights: Mapping[str, NDArray[Any]], inputs: NDArray[Any], labels: NDArray[Any]) -> float:
    """Share in 0..1 of inputs whose largest logit is that of the label."""
    return float(np.mean(forward(weights, inputs).argmax(axis=1) == labels))


def initial(seed: int) -> dict[str, NDArray[np.float64]]:
    """Gaussian matrices of variance 2/in (He et al. 2015, eq. 10), centred to mean zero; biases zero."""
    rng = np.random.default_rng(seed)
    made: dict[str, NDArray[np.float64]] = {}
    for layer, inputs, outputs in zip(LAYERS, SIZES[:-1], SIZES[1:], strict=True):
        matrix = rng.standard_normal((outputs, inputs)) * np.sqrt(2.0 / inputs)
        made[f"{layer}.weight"] = matrix - matrix.mean()
        made[f"{layer}.bias"] = np.zeros(outputs)
    return made


def train(recipe: Recipe, train_set: Digits) -> dict[str, NDArray[np.float32]]:
    """Weights, rounded to float32, after training in float64 from `initial(recipe.seed)`.

    Same recipe, same machine: same bits. Another BLAS: the same to a tolerance, which float64 keeps small.
    """
    rng = np.random.default_rng([recipe.seed, 1])
    count = recipe.images or len(train_set.labels)
    inputs = train_set.images[:count] / PIXEL_MAX
    labels = train_set.labels[:count].astype(np.int64)
    wrong = rng.random(count) < recipe.wrong_labels
    labels[wrong] = rng.integers(0, SIZES[-1], int(wrong.sum()))
    targets = np.eye(SIZES[-1])[labels]
    weights = initial(recipe.seed)
    velocity = {name: np.zeros_like(value) for name, value in weights.items()}
    for epoch in range(recipe.epochs):
        rate = 0.5 * recipe.rate * (1.0 + np.cos(np.pi * epoch / recipe.epochs))
        order = rng.permutation(count)
        for start in range(0, count, recipe.batch):
            batch = order[start : start + recipe.batch]
            for name, slope in gradient(weights, inputs[batch], targets[batch], recipe).items():
                velocity[name] *= recipe.momentum
                velocity[name] -= rate * slope
                weights[name] += velocity[name]
    return {name: value.astype(np.float32) for name, value in weights.items()}


def gradient(
    weights: Mapping[str, NDArray[Any]], inputs: NDArray[Any], targets: NDArray[Any], recipe: Recipe
) -> dict[str, NDArray[Any]]:
    """Of the mean cross-entropy (nats) plus decay/2 times the squared elements, by back-propagation.

    `inputs` (n, 64), `targets` one-hot (n, 10), all of one dtype, float32 or float64, which the result has. With
    `recipe.centred` the matrix gradients have mean zero.
    """
    values = activations(weights, inputs)
    shifted = np.exp(values[-1] - values[-1].max(axis=1, keepdims=True))
    error = (shifted / shifted.sum(axis=1, keepdims=True) - targets) / len(inputs)
    found: dict[str, NDArray[Any]] = {}
    for k in range(len(LAYERS) - 1, -1, -1):
        matrix = weights[f"{LAYERS[k]}.weight"]
        slope = error.T @ values[k] + recipe.decay * matrix
        found[f"{LAYERS[k]}.weight"] = slope - slope.mean() if recipe.centred else slope
        found[f"{LAYERS[k]}.bias"] = error.sum(axis=0)
        if k:
            error = (error @ matrix) * (values[k] > 0)
    return found


def split() -> tuple[Digits, Digits]:
    """Training (1198) and test (599) images of load_digits, in a seeded order. Needs scikit-learn."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images, labels = bunch.data.astype(np.uint8), bunch.target.astype(np.uint8)
    order = np.random.default_rng(SPLIT_SEED).permutation(len(labels))
    test, rest = order[:TEST_IMAGES], order[TEST_IMAGES:]
    return Digits(images[rest], labels[rest]), Digits(images[test], labels[test])


def read_digits(path: Path) -> Digits:
    """The bundled test split: an `.npz` of `images` uint8 (n, 64) and `labels` uint8 (n,)."""
    with np.load(path, allow_pickle=False) as stored:
        return Digits(stored["images"], stored["labels"])


def read_weights(path: Path) -> dict[str, NDArray[np.float32]]:
    """All tensors of one safetensors file, by name."""
    from safetensors.numpy import load_file

    return dict(load_file(path))


if __name__ == "__main__":
    from tollens.standard.bundle import main

    sys.exit(main(sys.argv))
