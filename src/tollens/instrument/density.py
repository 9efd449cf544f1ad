"""The kernel-density fit of a bulk: a triangular kernel in closed form, and the variance that explains it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tollens.core.native import _native
from tollens.core.reading import Undefined

Array = NDArray[np.float64]

BANDWIDTH = 0.1  # these four are the settings of WeightWatcher 0.7.7, whose fit this reproduces
POINTS = 1000
MARGIN = 0.5
SPARSE = 0.01


@dataclass(frozen=True, slots=True)
class KdeFit:
    """`sigma` in the scale where the eigenvalues have mean 1; `scale` brings an eigenvalue to that scale."""

    sigma: float
    scale: float


def triangular_kde(points: Array, at: Array, bandwidth: float = BANDWIDTH) -> Array:
    """Density at `at` (k,) of ascending `points` (n,) under the kernel (1 - |u|/h)/h; O((n + k) log n).

    A triangle is linear on either side of its tip, so its sum over the points of a side needs only their
    number and their sum. The prefix sums are kept in extended precision: at n = 4,096 the difference of two
    double ones would leave 1e-13.
    """
    sums = np.concatenate(([0.0], np.cumsum(points, dtype=np.longdouble)))
    left, middle, right = (np.searchsorted(points, at + shift) for shift in (-bandwidth, 0.0, bandwidth))
    x = at.astype(np.longdouble)
    rising = (middle - left) * (bandwidth - x) + (sums[middle] - sums[left])
    falling = (right - middle) * (bandwidth + x) - (sums[right] - sums[middle])
    total = (rising + falling) / (np.longdouble(points.size) * np.longdouble(bandwidth) ** 2)
    density: Array = np.maximum(total.astype(np.float64), 0.0)
    return density


def triangular_kde_reference(points: Array, at: Array, bandwidth: float = BANDWIDTH) -> Array:
    """The same by the definition, O(n k): the path the closed form is compared with."""
    value: Array = np.empty_like(at)
    for k, x in enumerate(at):
        value[k] = np.maximum(1.0 - np.abs(points - x) / bandwidth, 0.0).sum() / (points.size * bandwidth)
    return value


def kde_sigma(eigenvalues: Array, Q: float, free_radius: bool) -> KdeFit | Undefined:
    """The sigma whose Marchenko-Pastur density lies closest to the kernel density of the unit-mean spectrum.

    `eigenvalues` ascending, weight^2; Q = N/M >= 1. A grid of 195 values between 1/20 and twice the sigma
    implied by the largest eigenvalue, then a simplex search, both on the squared residual over the grid
    points where the density exceeds 0.01. The density is computed once, as it does not depend on sigma. At
    Q = 1 the singular values are compared with a quarter circle: with `free_radius` sqrt(4 sigma^2 -
    x^2)/(pi sigma^2), without it the radius stays 2 and sigma is an amplitude only, as WeightWatcher has
    it. Undefined `mp_fit_failed` where no grid point has a density above 0.01.
    """
    scale = 1.0 / float(eigenvalues.mean())
    values = eigenvalues * scale
    root = 1.0 / np.sqrt(Q)
    start = float(np.sqrt(values[-1])) / (1.0 + root)
    points = np.sqrt(values) if Q == 1.0 else values
    grid = np.linspace(0.0, points[-1] + MARGIN, POINTS)
    density = triangular_kde(points, grid)
    dense = density > SPARSE
    if not dense.any():
        return Undefined("mp_fit_failed")
    objective = _objective(grid[dense], density[dense], Q, free_radius)
    candidates = np.arange(0.05 * start, 2.0 * start, 0.01 * start).tolist()
    best = min(candidates, key=objective)
    return KdeFit(abs(simplex_minimum(objective, best)), scale)


def simplex_minimum(f: Callable[[float], float], start: float) -> float:
    """Nelder and Mead's search in one dimension (Computer Journal 7, 308, 1965) from `start`.

    Stops once both points and their values lie within 1e-4, or after 200 steps. Any better search would end
    elsewhere in the last digits: the steps, not the minimum alone, define the compatible value.
    """
    best, worst = start, 1.05 * start if start else 0.00025
    f_best, f_worst = f(best), f(worst)
    for _ in range(200):
        if f_worst < f_best:
            best, worst, f_best, f_worst = worst, best, f_worst, f_best
        if abs(worst - best) <= 1e-4 and abs(f_worst - f_best) <= 1e-4:
            break
        step = best - worst
        trial, f_trial = best + step, f(best + step)
        if f_trial < f_best:
            further, f_further = best + 2.0 * step, f(best + 2.0 * step)
            worst, f_worst = (further, f_further) if f_further < f_trial else (trial, f_trial)
            continue
        outside = f_trial < f_worst
        middle = best + 0.5 * step if outside else best - 0.5 * step
        f_middle = f(middle)
        if f_middle <= f_trial if outside else f_middle < f_worst:
            worst, f_worst = middle, f_middle
        else:
            worst = best - 0.5 * step
            f_worst = f(worst)
    return best


def _objective(x: Array, y: Array, Q: float, free_radius: bool) -> Callable[[float], float]:
    """Sum of squared residuals as a function of sigma; a large constant where the support misses the peak."""
    peak, far = float(x[int(np.argmax(y))]), float(x[-1])
    if Q == 1.0:
        one = np.ones_like(x)
        if free_radius:
            return lambda s: _native.density_residual(x, one, y, -2.0 * s, 2.0 * s, 1.0 / (math.pi * s * s))
        return lambda s: _native.density_residual(x, one, y, -2.0, 2.0, 1.0 / (math.pi * s * s))
    root = 1.0 / math.sqrt(Q)
    refused = 1e6 * x.size
    weight = np.divide(1.0, x, out=np.zeros_like(x), where=x > 0.0)

    def squares(s: float) -> float:
        high, low = (s * (1.0 + root)) ** 2, (s * (1.0 - root)) ** 2
        if high < peak or high > far or low > peak:
            return refused
        return _native.density_residual(x, weight, y, low, high, Q / (2.0 * math.pi * s * s))

    return squares
