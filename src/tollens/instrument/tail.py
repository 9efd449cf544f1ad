"""The power-law tail of a spectrum: exponent, where it starts, and how well it fits."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tollens.core.reading import Undefined


@dataclass(frozen=True, slots=True)
class TailFit:
    """Maximum-likelihood power law p(x) ~ x^-alpha on x >= xmin; xmin gives the smallest distance D.

    `sigma` = (alpha - 1)/sqrt(n_tail); `index` is the position of the tail's first point in the sorted
    sample and `n_tail` the number of points from there on; `D` in [0, 1]; `xmin` in the unit of the sample.
    """

    alpha: float
    sigma: float
    xmin: float
    index: int
    n_tail: int
    D: float


def fit_tail(x: NDArray[np.float64], two_sided: bool = True) -> TailFit | Undefined:
    """Fit a power-law tail to the ascending, positive sample x of shape (n,)."""
    return fit_tail_reference(x, two_sided)


def log_ratio(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """ln(x / x_n) for an ascending positive sample, to full relative accuracy near the largest value x_n."""
    top = x[-1]
    with np.errstate(under="ignore"):
        near = np.log1p((x - top) / top)
        far = np.log(np.maximum(x / top, np.finfo(np.float64).tiny))
    logs: NDArray[np.float64] = np.where(x > 0.5 * top, near, far)
    return logs


def fit_tail_reference(x: NDArray[np.float64], two_sided: bool = True) -> TailFit | Undefined:
    """The exhaustive scan over every candidate, O(n^2): the path the pruned scan is compared with."""
    n = x.size
    if n == 0 or not x[0] < x[-1]:
        return Undefined("no_spread" if n else "tail_too_short")
    logs = log_ratio(x)
    best: TailFit | None = None
    for i in range(n):
        if x[i] == x[-1]:
            break
        if two_sided and i and x[i] == x[i - 1]:
            continue
        m = n - i
        gaps = logs[i:] - logs[i]
        alpha = 1.0 + m / math.fsum(gaps)
        model = -np.expm1((1.0 - alpha) * gaps)
        steps = np.arange(m) / m
        D = float(np.max(np.abs(model - steps)))
        if two_sided:
            D = max(D, float(np.max(np.abs(model - steps - 1.0 / m))))
        if best is None or D < best.D:
            best = TailFit(alpha, (alpha - 1.0) / math.sqrt(m), float(x[i]), i, m, D)
    return best if best is not None else Undefined("no_spread")
