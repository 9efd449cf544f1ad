"""Where in a series of checkpoints the best one is likely to lie, from the weights alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

MIN_CHECKPOINTS = 6


@dataclass(frozen=True, slots=True)
class Turn:
    """The steps between which the best checkpoint is expected: `low` <= `guess` <= `high`, all in `steps`.

    All three are None where `sure` is "undetermined". `reason` says in one sentence what the series shows.
    """

    low: int | None
    high: int | None
    guess: int | None
    sure: Literal["likely", "undetermined"]
    reason: str


def turning_point(steps: NDArray[np.int64], series: Mapping[str, NDArray[np.float64]]) -> Turn:
    """The turn of a series of checkpoints at `steps` (T,), strictly ascending, from arrays (layers, T).

    Reads `delta_stable_rank`, the stable rank of theta_t - theta_0 of every matrix, with theta_0 the first
    checkpoint of the series; its first column is not read. Further arrays are not read.

    Raises: ValueError unless the steps ascend and the array is there, of shape (layers, T), and finite.
    """
    if steps.ndim != 1 or np.any(np.diff(steps) <= 0):
        raise ValueError("steps must be one strictly ascending row")
    if "delta_stable_rank" not in series:
        raise ValueError("the series must hold 'delta_stable_rank'")
    ranks = series["delta_stable_rank"]
    if ranks.ndim != 2 or ranks.shape[1] != steps.size:
        raise ValueError(f"'delta_stable_rank' must have shape (layers, {steps.size}), not {ranks.shape}")
    if not np.all(np.isfinite(ranks)):
        raise ValueError("'delta_stable_rank' must be finite")
    if steps.size < MIN_CHECKPOINTS or not ranks.shape[0]:
        return Turn(None, None, None, "undetermined", f"a turn needs {MIN_CHECKPOINTS} checkpoints and one matrix")
    mean = np.log(np.maximum(ranks[:, 1:], 1.0)).mean(axis=0)
    lowest = 1 + int(mean.argmin())
    if lowest in (1, steps.size - 1) or mean[-1] - mean.min() < np.log(1.1):
        return Turn(None, None, None, "undetermined", "the rank of what was learned does not turn inside the series")
    return Turn(
        int(steps[lowest - 1]),
        int(steps[lowest + 1]),
        int(steps[lowest]),
        "likely",
        f"the rank of what was learned is lowest at step {steps[lowest]} and grows afterwards",
    )
