"""The noisy-label standard: a network that learns first and then memorises wrong labels, checkpoint by checkpoint.

`python -m tollens.standard.noisy OUTDIR [SEED]` writes one series of checkpoints and a manifest with the test
accuracy of each. It needs scikit-learn.

A share of the training labels is redrawn and nothing regularises, so test accuracy rises while the common
structure is learned and falls by several points while the wrong labels are memorised (Zhang et al. 2017; Arpit
et al. 2017). The best checkpoint lies inside the series and is known, which is what a statistic that is to find it
without data must be tested on. With `wrong_labels=0` the same network has no such turn: the control.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from tollens.core.errors import Exit
from tollens.standard import digits
from tollens.standard.digits import LAYERS, Digits, Recipe

MANIFEST = "noisy.json"
SCHEMA = "tollens.noisy_series/1"


@dataclass(frozen=True, slots=True)
class Setting:
    """How one series is trained: gradient descent with momentum at a constant rate, no decay, float32.

    The network is 64 -> width -> width -> 2 width/3 -> 10. The first `images` training images of a seeded
    order are used (0: all 1198), a share `wrong_labels` of their labels is redrawn uniformly. `checkpoints`
    are stored at steps `total` (k/(checkpoints - 1))^`spacing`, k = 0..checkpoints - 1, rounded; the first is
    the initialisation. Of a spacing above 1 the early steps are denser.
    """

    wrong_labels: float = 0.4
    width: int = 192
    rate: float = 0.02
    momentum: float = 0.9
    batch: int = 64
    images: int = 0
    total: int = 4000
    checkpoints: int = 20
    spacing: float = 2.0

    def steps(self) -> list[int]:
        """The steps of the stored checkpoints, strictly ascending from 0."""
        shares = np.linspace(0.0, 1.0, self.checkpoints) ** self.spacing
        return [int(step) for step in np.unique(np.rint(self.total * shares))]


STANDARD = Setting()
CLEAN = Setting(wrong_labels=0.0)


@dataclass(frozen=True, slots=True)
class Trained:
    """A series in the order of training: files, their steps, and shares in 0..1 of images classified rightly.

    `test_accuracy` (T,) is on test images with true labels; `train_accuracy` (T,) on the training images with
    the labels that were trained on, the wrong ones among them. `test_images` is what the former rests on.
    """

    paths: tuple[Path, ...]
    steps: tuple[int, ...]
    test_accuracy: tuple[float, ...]
    train_accuracy: tuple[float, ...]
    test_images: int

    @property
    def best(self) -> int:
        """Position of the first checkpoint of the highest test accuracy."""
        return int(np.argmax(self.test_accuracy))

    @property
    def drop(self) -> float:
        """How far test accuracy falls from its best to the last checkpoint, in 0..1."""
        return self.test_accuracy[self.best] - self.test_accuracy[-1]

    def ties(self) -> list[int]:
        """Positions whose test accuracy lies within one binomial standard error of the best."""
        top = self.test_accuracy[self.best]
        error = np.sqrt(top * (1.0 - top) / self.test_images)
        return [k for k, value in enumerate(self.test_accuracy) if value >= top - error]


def noisy_series(seed: int, folder: Path, setting: Setting = STANDARD) -> Trained:
    """Train one network and write its checkpoints to `folder` as step-NNNNNN.safetensors, with metadata `step`.

    Two to four seconds on one core. Same seed and machine, same bits; another BLAS may differ in all but the
    course. Needs scikit-learn.
    """
    folder.mkdir(parents=True, exist_ok=True)
    train_set, test_set = digits.split()
    inputs, labels = _noisy(train_set, setting, seed)
    targets = np.eye(digits.SIZES[-1], dtype=np.float32)[labels]
    rng = np.random.default_rng([seed, 1])
    recipe = Recipe(decay=0.0, centred=False)
    weights = _initial(seed, setting.width)
    velocity = {name: np.zeros_like(value) for name, value in weights.items()}
    paths: list[Path] = []
    test: list[float] = []
    train: list[float] = []
    done, order = 0, np.empty(0, dtype=np.int64)
    for stop in setting.steps():
        while done < stop:
            if order.size < setting.batch:
                order = rng.permutation(len(labels))
            batch, order = order[: setting.batch], order[setting.batch :]
            for name, slope in digits.gradient(weights, inputs[batch], targets[batch], recipe).items():
                velocity[name] *= setting.momentum
                velocity[name] -= setting.rate * slope
                weights[name] += velocity[name]
            done += 1
        path = folder / f"step-{stop:06d}.safetensors"
        path.write_bytes(save(weights, metadata={"step": str(stop)}))
        paths.append(path)
        test.append(digits.accuracy(weights, test_set.inputs(), test_set.labels))
        train.append(digits.accuracy(weights, inputs, labels))
    return Trained(tuple(paths), tuple(setting.steps()), tuple(test), tuple(train), len(test_set.labels))


def followed(made: Trained) -> dict[str, NDArray[np.float64]]:
    """`distance` from the first checkpoint and squared norm `fro2` of each matrix, arrays (matrices, T)."""
    names = tuple(f"{layer}.weight" for layer in LAYERS)
    found = {name: np.zeros((len(names), len(made.paths))) for name in ("distance", "fro2")}
    first = digits.read_weights(made.paths[0])
    for t, path in enumerate(made.paths):
        weights = digits.read_weights(path)
        for k, name in enumerate(names):
            matrix = weights[name].astype(np.float64)
            found["distance"][k, t] = np.linalg.norm(matrix - first[name])
            found["fro2"][k, t] = np.sum(matrix**2)
    return found


def main(arguments: Sequence[str]) -> int:
    """`python -m tollens.standard.noisy OUTDIR [SEED]`: exit 0, or 2 on other arguments."""
    if len(arguments) not in (2, 3) or not (len(arguments) == 2 or arguments[2].isdecimal()):
        return int(Exit.BAD_INPUT)
    write(Path(arguments[1]), int(arguments[2]) if len(arguments) == 3 else 0)
    return 0


def write(folder: Path, seed: int, setting: Setting = STANDARD) -> Trained:
    """One series and its manifest, `noisy.json`, in `folder`."""
    made = noisy_series(seed, folder, setting)
    manifest = {
        "schema": SCHEMA,
        "made_by": f"python -m tollens.standard.noisy OUTDIR {seed}",
        "seed": seed,
        "setting": asdict(setting),
        "test_images": made.test_images,
        "checkpoints": [
            {"file": path.name, "step": step, "test_accuracy": round(test, 4), "train_accuracy": round(train, 4)}
            for path, step, test, train in zip(
                made.paths, made.steps, made.test_accuracy, made.train_accuracy, strict=True
            )
        ],
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return made


def _noisy(train_set: Digits, setting: Setting, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    rng = np.random.default_rng([seed, 2])
    chosen = rng.permutation(len(train_set.labels))[: setting.images or None]
    labels = train_set.labels[chosen].astype(np.int64)
    wrong = rng.random(labels.size) < setting.wrong_labels
    labels[wrong] = rng.integers(0, digits.SIZES[-1], int(wrong.sum()))
    return train_set.inputs()[chosen], labels


def _initial(seed: int, width: int) -> dict[str, NDArray[np.float32]]:
    """Gaussian matrices of variance 2/in (He et al. 2015, eq. 10), biases zero."""
    sizes = (digits.SIZES[0], width, width, 2 * width // 3, digits.SIZES[-1])
    rng = np.random.default_rng(seed)
    made: dict[str, NDArray[np.float32]] = {}
    for layer, inputs, outputs in zip(LAYERS, sizes[:-1], sizes[1:], strict=True):
        matrix = rng.standard_normal((outputs, inputs)) * np.sqrt(2.0 / inputs)
        made[f"{layer}.weight"] = matrix.astype(np.float32)
        made[f"{layer}.bias"] = np.zeros(outputs, dtype=np.float32)
    return made


if __name__ == "__main__":
    sys.exit(main(sys.argv))
