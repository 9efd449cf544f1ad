"""Rank-one extrapolation of a tensor along training: one direction, one line, and what they are worth.

A RELEX-like forecast (arXiv 2605.21468): the checkpoints theta_0 ... theta_T of one tensor are written as
theta_0 + delta_t, the deltas are projected on their first right singular vector v, the coordinates c_t = <delta_t, v>
are fitted by a line in the step, and theta_0 + c(t*) v is the forecast for step t*. Nothing but the T x T Gram matrix
of the deltas is needed for that, so that a tensor of any size takes two passes in pieces.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tollens.core.reading import Undefined

Pieces: TypeAlias = Sequence[NDArray[np.floating[Any]]]
Panels: TypeAlias = Callable[[], Iterator[Pieces]]
"""One pass over a tensor: each item is the same piece (n,) of theta_0 ... theta_T, float32 or float64."""

FEWEST = 3  # deltas, so checkpoints after the first; a line through two points fits whatever they are
AVERAGED = 3  # checkpoints in the moving average that a forecast is compared with
EXACT = 1e-10


@dataclass(frozen=True, slots=True)
class Trajectory:
    """A fitted path; the forecast is theta_0 + sum_t weights[t] * delta_t.

    `coordinates` (T,): c_t = <delta_t, v>, weight. `explained_variance`: s_1^2 / sum_i s_i^2 of the uncentred deltas,
    0 to 1. `r2`: of the line c(t) = slope*t + intercept over the fitted steps, at most 1; `slope` in weight a step,
    `intercept` at step `origin`, in weight.
    """

    weights: NDArray[np.float64]
    coordinates: NDArray[np.float64]
    slope: float
    intercept: float
    origin: int
    explained_variance: float | Undefined
    r2: float | Undefined

    @property
    def exact(self) -> bool:
        """Whether the fitted checkpoints lie on one line in weight space up to 1e-10 of their movement."""
        shares = (self.explained_variance, self.r2)
        return all(not isinstance(share, Undefined) and share >= 1.0 - EXACT for share in shares)


def deltas(pieces: Pieces) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A piece of theta_0 (n,) and of all deltas (T, n), float64."""
    base = np.asarray(pieces[0], dtype=np.float64)
    moved = np.empty((len(pieces) - 1, base.size))
    with np.errstate(over="ignore", invalid="ignore"):  # seen by whoever asks whether they are finite
        for row, piece in zip(moved, pieces[1:], strict=True):
            np.subtract(piece, base, out=row)
    return base, moved


def delta_gram(panels: Panels) -> NDArray[np.float64] | Undefined:
    """The uncentred Gram matrix <delta_s, delta_t> (T, T), weight^2, in one pass.

    UNDEFINED `nonfinite` if an element of a checkpoint is NaN or infinite, `scale_out_of_range` if squares of
    differences leave the range of float64.
    """
    gram: NDArray[np.float64] | None = None
    moved = False
    for pieces in panels():
        _, delta = deltas(pieces)
        if not np.isfinite(delta).all():
            finite = all(np.isfinite(piece).all() for piece in pieces)
            return Undefined("scale_out_of_range" if finite else "nonfinite")
        moved = moved or bool(delta.any())
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            product = delta @ delta.T
            gram = product if gram is None else gram + product
    if gram is None:
        raise ValueError("a tensor without elements has no path")
    if not np.isfinite(gram).all() or (moved and not np.trace(gram) > np.finfo(np.float64).tiny):
        return Undefined("scale_out_of_range")
    return gram


def fit_trajectory(gram: NDArray[np.float64], steps: Sequence[int], target: int) -> Trajectory:
    """The path of a tensor whose deltas have the Gram matrix `gram` (T, T), T >= 2, forecast for step `target`.

    `steps` (T,): the stored step numbers of the deltas, ascending. With the top eigenpair (s^2, u) of the Gram
    matrix v = M'u/s, so that c_t = (Gu)_t/s = s*u_t and the forecast is theta_0 + (c(t*)/s) * sum_t u_t delta_t. A
    tensor that never moves has weights 0 and no shares, UNDEFINED `no_movement`; so has one whose coordinate is the
    same at all steps no `r2`.
    """
    count = len(steps)
    if gram.shape != (count, count) or count < 2:
        raise ValueError(f"a path needs a {count} x {count} Gram matrix of two deltas or more; found {gram.shape}")
    origin = steps[0]
    size = float(gram.diagonal().max())
    if not size > 0.0:
        still = Undefined("no_movement")
        return Trajectory(np.zeros(count), np.zeros(count), 0.0, 0.0, origin, still, still)
    values, vectors = np.linalg.eigh(gram / size)
    values = np.maximum(values, 0.0)
    s, u = math.sqrt(float(values[-1]) * size), vectors[:, -1]
    u = u if u.sum() >= 0.0 else -u  # the sign of an eigenvector is a matter of the library
    times = np.array([float(step - origin) for step in steps])
    slope, intercept, r2 = fit_line(times, s * u)
    ahead = slope * float(target - origin) + intercept
    return Trajectory(
        weights=(ahead / s) * u,
        coordinates=s * u,
        slope=slope,
        intercept=intercept,
        origin=origin,
        explained_variance=min(1.0, float(values[-1] / values.sum())),
        r2=r2,
    )


def fit_line(times: NDArray[np.float64], values: NDArray[np.float64]) -> tuple[float, float, float | Undefined]:
    """Least squares slope, intercept at time 0 and R^2 of `values` (T,) at distinct `times` (T,).

    R^2 = 1 - residual/total sum of squares about the mean; UNDEFINED `no_movement` where all values are equal.
    """
    centre, mean = float(times.mean()), float(values.mean())
    t, v = times - centre, values - mean
    slope = float(t @ v) / float(t @ t)
    rest = v - slope * t
    total = float(v @ v)
    if total <= (np.finfo(np.float64).eps * float(np.abs(values).max(initial=0.0))) ** 2 * values.size:
        return 0.0, mean, Undefined("no_movement")
    return slope, mean - slope * centre, 1.0 - float(rest @ rest) / total


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Squared distances to the last checkpoint, which the fit did not see, weight^2; sums over tensors are sums of it.

    `moved` is that of theta_0. `last` stands still at the last fitted checkpoint, `average` is the mean of the last
    three fitted ones.
    """

    extrapolated: float = 0.0
    last: float = 0.0
    average: float = 0.0
    moved: float = 0.0

    def __add__(self, other: HeldOut) -> HeldOut:
        return HeldOut(
            self.extrapolated + other.extrapolated,
            self.last + other.last,
            self.average + other.average,
            self.moved + other.moved,
        )

    def relative(self, squared: float) -> float | Undefined:
        """The distance as a share of the way from theta_0 to the left-out checkpoint."""
        return math.sqrt(squared / self.moved) if self.moved > 0.0 else Undefined("no_movement")


def held_out_fit(gram: NDArray[np.float64], steps: Sequence[int]) -> Trajectory:
    """The path fitted without its last checkpoint, T >= 3, forecast for the step of that checkpoint."""
    return fit_trajectory(gram[:-1, :-1], steps[:-1], steps[-1])


def held_out(delta: NDArray[np.float64], fit: Trajectory) -> HeldOut:
    """What one piece of the deltas (T, n) adds to the errors on the last of them; `fit` is from `held_out_fit`."""
    true = delta[-1]
    kept = delta[max(0, delta.shape[0] - 1 - AVERAGED) : -1]
    mean = kept.sum(axis=0) / AVERAGED  # theta_0, whose delta is 0, is one of the three where T is 3
    return HeldOut(
        extrapolated=_squared(fit.weights @ delta[:-1] - true),
        last=_squared(delta[-2] - true),
        average=_squared(mean - true),
        moved=_squared(true),
    )


def _squared(difference: NDArray[np.float64]) -> float:
    return float(difference @ difference)
