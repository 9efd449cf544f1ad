"""Judging and removing the planted trap of the digits network with the product's own instruments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tollens.instrument import surgery
from tollens.instrument.ablation import AblationParams, ablate
from tollens.instrument.permutation import draw_key
from tollens.standard.digits import HIDDEN, Digits, forward

SHUFFLES = 5
LEVEL = 0.01 / (SHUFFLES * (len(HIDDEN) + 1))  # of one shuffle of one of the network's matrices


@dataclass(frozen=True, slots=True)
class Harm:
    """What the ablation test says of a trap: verdict, a sentence with its numbers, inputs it ran."""

    verdict: str
    seen: str
    inputs: int


Judge = Callable[[Mapping[str, NDArray[np.float32]], str, Digits, np.random.Generator], Harm]
Remove = Callable[[NDArray[np.float32], np.random.Generator, bool], NDArray[np.float32]]


def remove(matrix: NDArray[np.float32], rng: np.random.Generator, replace: bool) -> NDArray[np.float32]:
    """A copy of `matrix` without the outlier modes of one permutation of it.

    With `replace` a Gaussian matrix of the mode's element-wise mean and spread is put in its place. Where the
    permutation has no outlier the copy equals the input.
    """
    modes = surgery.outlier_modes(matrix, draw_key(rng), 0, LEVEL)
    if not modes:
        return matrix.copy()
    return surgery.remove(matrix, modes, "gaussian" if replace else "none", rng).astype(np.float32)


def judge(weights: Mapping[str, NDArray[np.float32]], layer: str, data: Digits, rng: np.random.Generator) -> Harm:
    """The ablation test of the trap in `layer` on the labelled images, with the published replacement."""
    params = AblationParams(
        matrices=len(HIDDEN) + 1, shuffles=SHUFFLES, input_law="the labelled test images of the digits set"
    )
    found = ablate(forward, weights, layer, data.inputs(), data.labels, params, rng=rng)
    runs = 1 + params.draws * (params.nulls + 1)
    if found.jsd is None or found.gain is None:
        return Harm(str(found.verdict), f"no verdict: {found.reason}", found.inputs)
    seen = (
        f"cutting it lowers the loss by {found.gain.value:.3f} nats [{found.gain.interval.low:.3f}, "
        f"{found.gain.interval.high:.3f}], where cuts of equal size reach {found.gain.null.high:.3f}; "
        f"the outputs move by {found.jsd.value:.3f} nats against {found.jsd.null.high:.3f}: {found.verdict}"
    )
    return Harm(str(found.verdict), seen, runs * found.inputs)
