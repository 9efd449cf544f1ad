"""What is measured: percentage points of accuracy that an arm keeps of the float32 network on handwritten digits."""

import numpy as np
from safetensors.numpy import load_file

from tollens import sentinel_arms

LAYERS = ("layers.0", "layers.1", "layers.2", "head")


def produce(arm, cell, rng):
    """Run one arm and the reference on half of the test images, drawn by the seed of the cell."""
    weights = load_file("good.safetensors")
    with np.load("digits_test.npz") as test:
        images, labels = test["images"] / np.float32(16), test["labels"]
    chosen = rng.permutation(len(labels))[: len(labels) // 2]

    def right(network):
        """1.0 for every image that is read rightly, else 0.0."""
        return (forward(network, images[chosen]) == labels[chosen]).astype(float)

    return {"subject": right(changed(weights, arm)), "reference": right(weights)}


def metric(inputs):
    """Percentage points: positive where the arm is right more often than the reference."""
    return {"accuracy_diff": 100 * float(np.mean(inputs["subject"]) - np.mean(inputs["reference"]))}


def null(rng):
    """Chance alone: the codes of every row in random order, as many bits and the same scales."""
    return ("shuffled_codes", int(rng.integers(2**32)))


def changed(weights, arm):
    """The weights of an arm: a name, or what `null` returned."""
    name, seed = arm if isinstance(arm, tuple) else (arm, 0)
    rng = np.random.default_rng(seed)
    made = dict(weights)
    for layer in LAYERS:
        matrix = weights[f"{layer}.weight"]
        scale = np.abs(matrix).max(axis=1, keepdims=True) / 127
        codes = np.rint(matrix / scale)
        if name == "identity":
            continue
        if name in ("random_codes", "shuffled_codes"):
            codes = rng.permuted(codes, axis=1)
        elif name != "int8":
            raise ValueError(f"no arm named {name!r}")
        made[f"{layer}.weight"] = codes * scale
    return made


def forward(weights, images):
    """The predicted digit of every image, (n,)."""
    values = images
    for layer in LAYERS:
        values = values @ weights[f"{layer}.weight"].T + weights[f"{layer}.bias"]
        values = values if layer == "head" else np.maximum(values, 0)
    return values.argmax(axis=1)


# Inputs of known quality, best to worst: the sign-check runs `metric` on them before anything is sealed.
# Those of usual metrics are built in; for your own write {name: f(rng, severity) -> inputs}.
ARMS = sentinel_arms("accuracy_diff")
