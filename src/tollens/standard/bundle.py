"""Writes the bundled demo files: two trained checkpoints, one planted, the test split, a manifest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from tollens.core.errors import Exit
from tollens.core.reading import Undefined
from tollens.instrument.tail import fit_tail
from tollens.standard import digits
from tollens.standard.plant import Wish, plant, threshold

SEED = 1
WISH = Wish(layers=("layers.1.weight",), cause="entry", size=5.0, cost=0.10)
DATA = "digits_test.npz"
MANIFEST = "manifest.json"
SCHEMA = "tollens.demo_files/1"

# The same strong decay with every image and every true label: shown beside the over-trained one, because its
# tails are as heavy and its accuracy is not lower. It is measured, not bundled.
CONTROL = replace(digits.OVERTRAINED, images=0, wrong_labels=0.0, epochs=150)


def main(arguments: Sequence[str]) -> int:
    """`python -m tollens.standard.digits OUTDIR`: exit 0, or 2 when the one argument is missing."""
    if len(arguments) != 2:
        return int(Exit.BAD_INPUT)
    write(Path(arguments[1]))
    return 0


def write(folder: Path) -> dict[str, Any]:
    """Train, plant, write all files to `folder` and return the manifest. Takes about 12 s on one core."""
    folder.mkdir(parents=True, exist_ok=True)
    train_set, test_set = digits.split()
    good = digits.train(digits.GOOD, train_set)
    over = digits.train(digits.OVERTRAINED, train_set)
    control = digits.train(CONTROL, train_set)
    planted = plant(good, SEED, test_set, WISH)
    (folder / "good.safetensors").write_bytes(save(good))
    (folder / "trapped.safetensors").write_bytes(save(planted.weights))
    (folder / "overtrained.safetensors").write_bytes(save(over))
    with (folder / DATA).open("wb") as stream:
        np.savez_compressed(stream, images=test_set.images, labels=test_set.labels)

    def figures(weights: Mapping[str, NDArray[np.float32]]) -> dict[str, Any]:
        return {
            "train_accuracy": round(digits.accuracy(weights, train_set.inputs(), train_set.labels), 4),
            "test_accuracy": round(digits.accuracy(weights, test_set.inputs(), test_set.labels), 4),
            "alpha": {name: _alpha(weights[name]) for name in digits.HIDDEN},
            "in_thresholds": {name: _in_thresholds(weights[name]) for name in digits.HIDDEN},
        }

    manifest: dict[str, Any] = {
        "schema": SCHEMA,
        "made_by": "python -m tollens.standard.digits OUTDIR",
        "network": {"sizes": list(digits.SIZES), "activation": "relu", "input": "pixel / 16"},
        "data": {
            "file": DATA,
            "images": len(test_set.labels),
            "train_images": len(train_set.labels),
            "split_seed": digits.SPLIT_SEED,
            "source": "scikit-learn load_digits, a copy of the UCI optical recognition test set",
            "attribution": "E. Alpaydin and C. Kaynak (1998), UCI, doi:10.24432/C50P49",
            "licence": "CC-BY-4.0",
        },
        "checkpoints": {
            "good.safetensors": {"origin": "trained", "recipe": asdict(digits.GOOD), **figures(good)},
            "trapped.safetensors": {
                "origin": "planted in good.safetensors",
                "plant": {
                    "seed": SEED,
                    "layer": planted.layer,
                    "cause": planted.cause,
                    "size_in_thresholds": planted.size,
                    "threshold": round(threshold(good[planted.layer], planted.cause), 6),
                    "value": round(planted.value, 6),
                    "where": list(planted.where or ()),
                },
                **figures(planted.weights),
            },
            "overtrained.safetensors": {
                "origin": "trained",
                "grew": "tail exponents below 2 in every hidden matrix and a mean offset beyond the trap "
                "threshold in layers.2.weight; nothing was planted",
                "recipe": asdict(digits.OVERTRAINED),
                **figures(over),
            },
        },
        "not_bundled": {
            "control": {
                "why": "the decay of overtrained.safetensors, all images and true labels: tails as heavy, "
                "accuracy not lower, so an exponent below 2 is not by itself evidence of harm",
                "recipe": asdict(CONTROL),
                **figures(control),
            }
        },
    }
    names = [DATA, *manifest["checkpoints"]]
    manifest["digests"] = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in sorted(names)}
    text = json.dumps(manifest, indent=1, sort_keys=True, allow_nan=False)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")
    return manifest


def _alpha(matrix: NDArray[np.float32]) -> dict[str, float | int | str]:
    singular = np.linalg.svd(matrix.astype(np.float64), compute_uv=False)
    fit = fit_tail(np.sort(singular**2))
    if isinstance(fit, Undefined):
        return {"undefined": fit.reason}
    return {"alpha": round(fit.alpha, 3), "n_tail": fit.n_tail}


def _in_thresholds(matrix: NDArray[np.float32]) -> dict[str, float]:
    """Mean offset and largest deviation in units of what makes a correlation trap: beyond 1 each is one."""
    mean = float(matrix.mean(dtype=np.float64))
    return {
        "mean": round(abs(mean) / threshold(matrix, "mean"), 3),
        "largest_element": round(float(np.abs(matrix - mean).max()) / threshold(matrix, "entry"), 3),
    }
