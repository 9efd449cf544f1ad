"""Where in a series of checkpoints the best one is likely to lie, from the weights alone.

While common structure is learned, the distance from the start grows ever more slowly with time: the exponent
d log distance / d log step falls. Fitting wrong labels needs weights far from the start (Li, Soltanolkotabi,
Oymak 2020, AISTATS), and the many directions that memorise them come later (Arpit et al. 2017; Stephenson, Lee
2021), so the exponent rises again. Test accuracy is best while it rises: from where the distance grows slowest
to where the exponent has made 70 % of its way to the second summit. On clean labels it only falls.

The distance is taken across the first checkpoint, that is, without the part of the change along it: weight decay
shrinks the start itself, which looks like movement and is none.

Noise of single checkpoints looks like a rise too, as the largest of many differences. So the rise must be several
standard errors of the scatter over the matrices, and gradual; the second holds where noise is common to all matrices
and they do not scatter, but lets up to one in ten such series through.

The thresholds were chosen on development seeds of the noisy-label standard (`tollens.standard.noisy`) and on power
laws with noise; `python -m benchmarks.turning_point` measures on other seeds how often the interval holds the best
checkpoint and how often noise is taken for a turn. The rule presumes that the learning rate never rises again: after
a restart or a late increase it can show a turn that is none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Values: TypeAlias = NDArray[np.float64]

NEEDED = ("distance", "fro2")
MIN_MATRICES = 2  # the scatter over matrices is what the rise and the ends are judged by, and one has none
MIN_EXPONENTS = 4
RATIO = 1.2  # closer in time, the noise of single updates dominates the difference of two logarithms
CHANGE = 0.15  # fall before and rise after the slowest growth, in units of the exponent
STEADY = 1.0  # a slowest exponent from here on is a rate that is being warmed up, not learning that has slowed
DIFFUSIVE = 0.5  # of a random walk; wrong labels pull in fixed directions and reach 0.65 to 0.95
SHARE = 0.7  # of the rise at the late end of the interval
ERRORS = 4.0  # standard errors of a rise; it is the largest of all pairs, of which 3 are too few in pure noise
GRADUAL = 3  # exponents from the slowest growth to the summit at least: noise jumps, memorisation takes time
BACK = 0.1  # of the rise: how far the exponents may fall back on the way, all together


@dataclass(frozen=True, slots=True)
class Turn:
    """The steps between which the best checkpoint is expected: `low` <= `guess` <= `high`, all in `steps`.

    All three are None where `sure` is "undetermined". `reason` says in one clause what the series shows.
    """

    low: int | None
    high: int | None
    guess: int | None
    sure: Literal["likely", "undetermined"]
    reason: str


@dataclass(frozen=True, slots=True)
class _Rise:
    """Log times of the slowest growth and of the late end; the exponents at the foot and the summit; their places."""

    start: float
    end: float
    foot: float
    summit: float
    places: tuple[int, int]


def turning_point(steps: NDArray[np.int64], series: Mapping[str, Values]) -> Turn:
    """The turn of a series of checkpoints at `steps` (T,), strictly ascending, from arrays (matrices, T).

    Reads `distance`, the Frobenius norm of theta_t - theta_0 in weight with theta_0 the first checkpoint (0
    in the first column), and `fro2`, the squared Frobenius norm of theta_t in weight^2, of the same matrices in
    the same order; other arrays are left alone. Times count from the first checkpoint, which should be the
    initialisation or close to it: a series that begins after growth has slowed shows no turn.

    Exponents are means over the matrices. Their rise must be ERRORS standard errors, and take GRADUAL exponents or
    more with hardly a step back. Both ends are moved outward by one standard error of a jackknife over the matrices
    (Efron 1982, eq. 3.1) and then to the nearest checkpoint.

    Raises: ValueError unless the steps ascend and both arrays are there, of one shape (matrices, T), finite and
    not negative.
    """
    distance, fro2 = _checked(steps, series)
    times = (steps - steps[:1]).astype(np.float64)
    moved = across(distance, fro2)
    kept = _spread(times)
    if kept.size < MIN_EXPONENTS + 1:
        return _undetermined(
            f"{MIN_EXPONENTS + 2} checkpoints a factor {RATIO:g} apart in time are the least, and there are "
            f"{kept.size + int(times.size > 0)}"
        )
    moved = moved[np.all(moved[:, kept] > 0.0, axis=1)]
    if moved.shape[0] < MIN_MATRICES:
        return _undetermined(f"{MIN_MATRICES} matrices that move are the least, and there are {moved.shape[0]}")
    logs = np.log(times[kept])
    distances = np.log(moved[:, kept])
    exponents = np.diff(distances, axis=1) / np.diff(logs)
    middles = 0.5 * (logs[1:] + logs[:-1])
    whole = _rise(middles, exponents.mean(axis=0))
    if isinstance(whole, str):
        return _undetermined(whole)
    others = [_rise(middles, np.delete(exponents, k, axis=0).mean(axis=0)) for k in range(exponents.shape[0])]
    rises = [other for other in others if isinstance(other, _Rise)]
    if len(rises) < len(others):
        return _undetermined("the second rise of the distance rests on one matrix")
    if whole.summit - whole.foot < ERRORS * _rise_error(logs, distances, whole.places):
        return _undetermined(
            f"the second rise of the distance is less than {ERRORS:g} standard errors of the scatter over the matrices"
        )
    if not _gradual(exponents.mean(axis=0)[whole.places[0] : whole.places[1] + 1]):
        return _undetermined("the second rise of the distance is not gradual: it rests on single checkpoints")
    low = _nearest(times, whole.start - _jackknife([rise.start for rise in rises]))
    high = _nearest(times, whole.end + _jackknife([rise.end for rise in rises]))
    guess = _nearest(times, 0.5 * (whole.start + whole.end))
    slowest = steps[_nearest(times, whole.start)]
    reason = (
        f"the distance from the start grows slowest, as step^{whole.foot:.2f}, near step {slowest} and then faster "
        f"again, up to step^{whole.summit:.2f}"
    )
    return Turn(int(steps[low]), int(steps[high]), int(steps[guess]), "likely", reason)


def across(distance: Values, fro2: Values) -> Values:
    """Frobenius norm of theta_t - c theta_0 with the c that makes it smallest, (matrices, T), in weight.

    With d = theta_t - theta_0 it is |d|^2 - <d, theta_0>^2 / |theta_0|^2, where the inner product is half of
    |theta_t|^2 - |theta_0|^2 - |d|^2; from a zero start it is |d|. Squared norms may lie anywhere in float64: the
    computation is relative to the largest of each matrix.
    """
    unit = np.maximum(
        fro2.max(axis=1, keepdims=True, initial=0.0), distance.max(axis=1, keepdims=True, initial=0.0) ** 2
    )
    unit = np.where(unit > 0.0, unit, 1.0)
    squared, start = (distance / np.sqrt(unit)) ** 2, fro2[:, :1] / unit
    along = 0.5 * (fro2 / unit - start - squared)
    share = np.divide(along**2, start, out=np.zeros_like(along), where=start > 0.0)
    found: Values = np.sqrt(np.maximum(squared - share, 0.0)) * np.sqrt(unit)
    return found


def _checked(steps: NDArray[np.int64], series: Mapping[str, Values]) -> tuple[Values, Values]:
    if steps.ndim != 1 or np.any(np.diff(steps) <= 0):
        raise ValueError("steps must be one strictly ascending row")
    for name in NEEDED:
        if name not in series:
            raise ValueError(f"the series must hold {name!r}")
        values = series[name]
        if values.ndim != 2 or values.shape != (series[NEEDED[0]].shape[0], steps.size):
            raise ValueError(f"{name!r} must have shape (matrices, {steps.size}) like the others, not {values.shape}")
        if not np.all(np.isfinite(values)) or np.any(values < 0.0):
            raise ValueError(f"{name!r} must be finite and not negative")
    return series["distance"], series["fro2"]


def _spread(times: Values) -> NDArray[np.intp]:
    """Positions of checkpoints after the first, each at least RATIO times as late as the one before."""
    kept: list[int] = []
    for k in range(1, times.size):
        if not kept or times[k] >= RATIO * times[kept[-1]]:
            kept.append(k)
    return np.array(kept, dtype=np.intp)


def _rise(middles: Values, exponents: Values) -> _Rise | str:
    """The largest rise of the exponents (n,) at log times `middles` (n,), or why there is none."""
    feet = [int(exponents[:k].argmin()) for k in range(1, exponents.size)]
    summit = 1 + int(np.argmax([exponents[k] - exponents[foot] for k, foot in enumerate(feet, start=1)]))
    foot = feet[summit - 1]
    rise = float(exponents[summit] - exponents[foot])
    if rise < CHANGE or exponents[summit] < DIFFUSIVE or exponents[foot] >= STEADY:
        return "the distance from the start shows no second rise, as if nothing was memorised after learning"
    if exponents[: foot + 1].max() - exponents[foot] < CHANGE:
        return "the distance from the start grows faster from the first checkpoints on: the turn may lie before them"
    level = exponents[foot] + SHARE * rise
    last = int(np.flatnonzero(exponents[foot:summit] <= level)[-1]) + foot  # the last crossing before the summit
    part = (level - exponents[last]) / (exponents[last + 1] - exponents[last])
    end = float(middles[last] + part * (middles[last + 1] - middles[last]))
    return _Rise(float(middles[foot]), end, float(exponents[foot]), float(exponents[summit]), (foot, summit))


def _rise_error(logs: Values, distances: Values, places: tuple[int, int]) -> float:
    """Standard error of the rise of the mean exponent between two places, from the scatter of the matrices.

    `distances` (matrices, n) are log distances at log times `logs` (n,), n >= 3. Their deviations from the mean over
    the matrices, less the line through the two neighbours in time, hold noise and hardly any of the slow course in
    which matrices differ; that noise is taken as independent, of one variance. A rise is a sum of four log distances.
    """
    apart = distances - distances.mean(axis=0)
    part = (logs[1:-1] - logs[:-2]) / (logs[2:] - logs[:-2])
    off = apart[:, 1:-1] - (1.0 - part) * apart[:, :-2] - part * apart[:, 2:]
    freedom = (distances.shape[0] - 1) * part.size
    variance = float(np.sum(off**2 / (1.0 + part**2 + (1.0 - part) ** 2))) / freedom
    weights = np.zeros(logs.size)
    for place, sign in zip(places, (-1.0, 1.0), strict=True):
        weights[place : place + 2] += sign * np.array([-1.0, 1.0]) / (logs[place + 1] - logs[place])
    return math.sqrt(variance / distances.shape[0]) * float(np.linalg.norm(weights))


def _gradual(climb: Values) -> bool:
    """Whether exponents from the foot to the summit rise over several checkpoints and hardly fall back."""
    changes = np.diff(climb)
    return changes.size >= GRADUAL and float(-changes[changes < 0.0].sum()) <= BACK * float(climb[-1] - climb[0])


def _jackknife(values: list[float]) -> float:
    """Standard error from the leave-one-out values: sqrt((n-1)/n times their squared deviations)."""
    deviations = np.asarray(values) - np.mean(values)
    return math.sqrt((len(values) - 1) / len(values) * float(deviations @ deviations))


def _nearest(times: Values, log_time: float) -> int:
    return 1 + int(np.abs(np.log(times[1:]) - log_time).argmin())


def _undetermined(reason: str) -> Turn:
    return Turn(None, None, None, "undetermined", reason)
