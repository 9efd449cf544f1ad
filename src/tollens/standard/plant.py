"""Planting a correlation trap of known cause and size in a network that had none.

One element beyond (NM)^(1/4) standard deviations, or a mean offset beyond (NM)^(-1/4) of them, puts an
eigenvalue of the permuted matrix outside the bulk: the detection threshold of a rank-one perturbation of
noise (Benaych-Georges and Nadakuditi 2012) with theta = element / (sigma sqrt(N)) and theta =
offset sqrt(M) / sigma.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tollens.core.seeding import generator
from tollens.standard.digits import HIDDEN, LAYERS, Digits, accuracy, activations

Cause = Literal["entry", "mean"]

SIZES: Mapping[Cause, tuple[float, float]] = {"entry": (3.0, 5.0), "mean": (3.5, 5.0)}
CANDIDATES = 64
SHORTLIST = 12


@dataclass(frozen=True, slots=True)
class Wish:
    """What to plant; None is drawn from the seed. `layers` are the matrices to draw from.

    `size` is in multiples of the detection threshold. The plant takes the first candidate that costs at least
    `cost` (a share of the inputs in 0..1), or else the one that costs most.
    """

    layers: Sequence[str] = HIDDEN
    cause: Cause | None = None
    size: float | None = None
    cost: float = 0.05


@dataclass(frozen=True, slots=True)
class Planted:
    """A copy of the weights with one trap, and where it is.

    `value` is the planted element or the added offset, in weight units; `where` the (row, column) of the
    element, None for a mean offset, which is everywhere. `before` and `after` are accuracies in 0..1 on the
    data given.
    """

    weights: dict[str, NDArray[np.float32]]
    layer: str
    cause: Cause
    size: float
    value: float
    where: tuple[int, int] | None
    before: float
    after: float


def threshold(matrix: NDArray[Any], cause: Cause) -> float:
    """In weight units: sigma (NM)^(1/4) for an element, sigma (NM)^(-1/4) for a mean offset."""
    sigma = float(np.std(matrix, dtype=np.float64))
    return sigma * math.pow(matrix.size, 0.25 if cause == "entry" else -0.25)


def plant(weights: Mapping[str, NDArray[np.float32]], seed: int, data: Digits, wish: Wish | None = None) -> Planted:
    """A copy of `weights` with one trap drawn from `seed`, costing accuracy where it can.

    Raises ValueError if a wished layer is not a matrix of the network.
    """
    wish = wish or Wish()
    unknown = [name for name in wish.layers if name not in weights or weights[name].ndim != 2]
    if unknown or not wish.layers:
        raise ValueError(f"no matrix to plant in: {unknown or 'none was named'}; there are {sorted(weights)}")
    rng = generator(seed, "plant")
    layer = wish.layers[int(rng.integers(len(wish.layers)))]
    drawn: Cause = "entry" if rng.random() < 0.5 else "mean"
    cause = wish.cause or drawn
    share = float(rng.random())
    low, high = SIZES[cause]
    size = low + (high - low) * share if wish.size is None else wish.size
    value = size * threshold(weights[layer], cause)
    before = accuracy(weights, data.inputs(), data.labels)
    if cause == "mean":
        tried = [(_offset(weights, layer, sign * value), sign * value, None) for sign in (1.0, -1.0)]
        scored = [(accuracy(made, data.inputs(), data.labels), made, found) for made, found, _ in tried]
        after, made, found = min(scored, key=lambda entry: entry[0])
        return Planted(made, layer, cause, size, found, None, before, after)
    where, after = _worst_entry(weights, layer, value, data, before - wish.cost, rng)
    made = dict(weights)
    made[layer] = weights[layer].copy()
    made[layer][where] = value
    return Planted(made, layer, cause, size, value, where, before, after)


def _offset(weights: Mapping[str, NDArray[np.float32]], layer: str, value: float) -> dict[str, NDArray[np.float32]]:
    made = dict(weights)
    matrix = weights[layer]
    made[layer] = matrix + np.float32(value - matrix.mean(dtype=np.float64))
    return made


def _worst_entry(
    weights: Mapping[str, NDArray[np.float32]],
    layer: str,
    value: float,
    data: Digits,
    wanted: float,
    rng: np.random.Generator,
) -> tuple[tuple[int, int], float]:
    """The first drawn (row, column) whose accuracy falls to `wanted`, or the worst tried; with its accuracy.

    Columns are drawn among the most active inputs of the layer and rows among the outputs with the largest
    weight in the logits, because elsewhere a large element is a trap that costs nothing. The element is
    positive: a negative one silences one rectified unit, which the others replace.
    """
    depth = LAYERS.index(layer.removesuffix(".weight"))
    values = activations(weights, data.inputs())
    rows, columns = _influential(weights, values, depth)
    pairs = [(int(i), int(j)) for i in rows for j in columns]
    best: tuple[tuple[int, int], float] | None = None
    matrix = weights[layer]
    outputs = values[depth] @ matrix.T + weights[f"{LAYERS[depth]}.bias"]
    following = LAYERS[depth + 1]
    after_next = values[depth + 1] @ weights[f"{following}.weight"].T + weights[f"{following}.bias"]
    for k in rng.permutation(len(pairs))[:CANDIDATES]:
        i, j = pairs[k]
        moved = outputs[:, i] + (value - matrix[i, j]) * values[depth][:, j]
        changed = np.maximum(moved, 0) - values[depth + 1][:, i]
        logits = after_next + np.outer(changed, weights[f"{following}.weight"][:, i])
        for later in LAYERS[depth + 2 :]:
            logits = np.maximum(logits, 0) @ weights[f"{later}.weight"].T + weights[f"{later}.bias"]
        found = float(np.mean(logits.argmax(axis=1) == data.labels))
        if best is None or found < best[1]:
            best = ((i, j), found)
        if found <= wanted:
            break
    assert best is not None
    return best


def _influential(
    weights: Mapping[str, NDArray[np.float32]], values: Sequence[NDArray[Any]], depth: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows with the largest linearised effect on the logits, and columns with the largest mean activation."""
    effect: NDArray[Any] = weights["head.weight"] - weights["head.weight"].mean(axis=0)
    for later in reversed(LAYERS[depth + 1 : -1]):
        effect = effect @ weights[f"{later}.weight"]
    rows = np.argsort(-np.linalg.norm(effect, axis=0), kind="stable")[:SHORTLIST]
    columns = np.argsort(-values[depth].mean(axis=0), kind="stable")[:SHORTLIST]
    return rows, columns
