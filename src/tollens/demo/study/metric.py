"""What is measured: percentage points of accuracy that an arm keeps of the float32 network on handwritten digits."""

import numpy as np
from safetensors.numpy import load_file

LAYERS = ("layers.0", "layers.1", "layers.2", "head")


def produce(arm, cell, rng):
    """Run one arm and the reference on half of the test images, drawn by the seed of the cell."""
    weights = load_file("good.safetensors")
    with np.load("digits_test.npz") as test:
        images, labels = test["images"] / np.float32(16), test["labels"]
    chosen = rng.permutation(len(labels))[: len(labels) // 2]
    return {
        "labels": labels[chosen],
        "subject": forward(changed(weights, arm), images[chosen]),
        "reference": forward(weights, images[chosen]),
    }


def metric(inputs):
    """Percentage points: positive where the arm is right more often than the reference."""
    subject = np.mean(inputs["subject"] == inputs["labels"])
    reference = np.mean(inputs["reference"] == inputs["labels"])
    return {"accuracy_diff": float(100 * (subject - reference))}


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


def outcome(share_lost):
    """Inputs of which the reference gets all right and the subject all but `share_lost`."""
    labels = np.arange(1000) % 10
    subject = labels.copy()
    lost = int(round(1000 * share_lost))
    subject[:lost] = (labels[:lost] + 1) % 10
    return {"labels": labels, "subject": subject, "reference": labels.copy()}


# Inputs of known quality, best to worst. The sign-check runs `metric` on them before anything is sealed.
ARMS = {
    "ideal": lambda rng, severity: outcome(0.0),
    "partial": lambda rng, severity: outcome(0.5 * severity),
    "noop": lambda rng, severity: outcome(0.0),
    "worst": lambda rng, severity: outcome(1.0),
    "gamer": lambda rng, severity: outcome(0.9),
}
