"""How often the turn that the weights show holds the checkpoint that the test images call best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tollens.instrument.turning_point import Turn, turning_point
from tollens.standard.noisy import STANDARD, Setting, Trained, followed

BASELINES = ("last checkpoint", "smallest norm", "middle of the series")
OVERFIT = 0.03  # a series whose test accuracy falls by less has no turn to find


@dataclass(frozen=True, slots=True)
class Outcome:
    """One series: what the weights said and what the test images say.

    `hit`: the interval holds the best checkpoint; `tied`: it holds one within a binomial standard error of the
    best. `width` is the share of the checkpoints in it, 0..1, and `chance` the probability that an interval of as
    many checkpoints, placed uniformly in the series, holds the best one. `baselines` are the hits of intervals of
    as many checkpoints around another choice. Where the turn is undetermined, there is no interval: all are False
    and 0.
    """

    turn: Turn
    best: int
    drop: float
    hit: bool
    tied: bool
    width: float
    chance: float
    baselines: dict[str, bool]

    @property
    def claimed(self) -> bool:
        return self.turn.guess is not None


def outcome(made: Trained) -> Outcome:
    """Ask the weights of a series for its turn and compare with its test accuracy."""
    series = followed(made)
    turn = turning_point(np.array(made.steps, dtype=np.int64), series)
    best, count = made.best, len(made.steps)
    if turn.low is None or turn.high is None:
        return Outcome(turn, made.steps[best], made.drop, False, False, 0.0, 0.0, dict.fromkeys(BASELINES, False))
    low, high = made.steps.index(turn.low), made.steps.index(turn.high)
    length = high - low + 1
    starts = np.arange(count - length + 1)
    around = {name: _around(centre, length, count) for name, centre in zip(BASELINES, _centres(series), strict=True)}
    return Outcome(
        turn,
        made.steps[best],
        made.drop,
        low <= best <= high,
        any(low <= k <= high for k in made.ties()),
        length / count,
        float(np.mean((starts <= best) & (best < starts + length))),
        {name: best in places for name, places in around.items()},
    )


def drawn(seed: int) -> Setting:
    """A setting other than the standard's: noise, width, rate, images, length and spacing from a seed.

    Shares of wrong labels 20 to 50 %, widths 96 to 256, rates 0.007 to 0.05, 500 to 1198 images, 1200 to 6000
    steps, exponents of the spacing 1.5 to 3.5.
    """
    rng = np.random.default_rng([seed, 3])
    return replace(
        STANDARD,
        wrong_labels=float(rng.uniform(0.2, 0.5)),
        width=int(rng.integers(96, 257)),
        rate=float(np.exp(rng.uniform(np.log(0.007), np.log(0.05)))),
        images=int(rng.integers(500, 1199)),
        total=int(np.exp(rng.uniform(np.log(1200.0), np.log(6000.0)))),
        spacing=float(rng.uniform(1.5, 3.5)),
    )


def clean(setting: Setting) -> Setting:
    """The control: the same training on true labels, where nothing can be memorised that harms."""
    return replace(setting, wrong_labels=0.0)


def power_law(
    rng: np.random.Generator, steps: NDArray[np.int64], matrices: int, noise: float, common: bool = False
) -> dict[str, NDArray[np.float64]]:
    """The control without training: distances c step^0.5 that never turn, times exp(`noise` N(0, 1)), (matrices, T).

    `c` is lognormal, one a matrix. The noise of all matrices and steps is independent, or with `common` that of all
    matrices the same. Each start has squared norm 100 and lies at right angles to the change.
    """
    scale = 0.1 * np.exp(rng.standard_normal((matrices, 1)))
    wobble = rng.standard_normal((1 if common else matrices, steps.size))
    distance = scale * np.sqrt(steps) * np.exp(noise * wobble)
    return {"distance": distance, "fro2": 100.0 + distance**2}


def overfit(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Those whose test accuracy falls from its best by OVERFIT or more."""
    return [found for found in outcomes if found.drop >= OVERFIT]


def _centres(series: dict[str, NDArray[np.float64]]) -> tuple[int, int, int]:
    norms = series["fro2"].sum(axis=0)
    return norms.size - 1, int(norms.argmin()), norms.size // 2


def _around(centre: int, length: int, count: int) -> range:
    """`length` places around `centre`, moved inside 0..count - 1 where they stand out."""
    start = min(max(centre - length // 2, 0), count - length)
    return range(start, start + length)
