"""Many e-processes of two rates side by side: what the simulation of a stopping rule needs."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from tollens.stats.operating_characteristics import Counts, EqualRatesEvalue
from tollens.stats.two_sample_sequence import SCALE, Block, log_ratio, mixture_points

_LARGEST = 700.0  # exp of more overflows


def parallel_e(runs: int, scale: float = SCALE) -> EqualRatesEvalue:
    """The e-values of `two_sample_log_e` for up to `runs` experiments that are followed look by look.

    The function that is returned is called with the units an arm, the successes of A and of B, and the places
    of the experiments that go on, at looks that increase. It holds the state of every experiment, so each
    simulation needs one of its own.
    """
    points = mixture_points(scale)
    paths = np.zeros((runs, points.size))
    before = np.zeros((2, runs), dtype=np.int64)
    reached = 0

    def e_values(n: int, a: Counts, b: Counts, going: Counts) -> NDArray[np.float64]:
        nonlocal reached
        ones_a, ones_b = a - before[0, going], b - before[1, going]
        totals, place = np.unique(ones_a + ones_b, return_inverse=True)
        table = np.array([_log_normaliser(total, n - reached, scale) for total in totals.tolist()])
        paths[going] += ones_b[:, None] * points - table[place]
        before[0, going], before[1, going], reached = a, b, n
        log_e = logsumexp(paths[going], axis=1) - math.log(points.size)
        e: NDArray[np.float64] = np.exp(np.minimum(log_e, _LARGEST))
        return e

    return e_values


@lru_cache(maxsize=20_000)
def _log_normaliser(total: int, size: int, scale: float) -> NDArray[np.float64]:
    """ln E_0 exp(h j) for each h, where a block of `size` units an arm has `total` ones."""
    points = mixture_points(scale)
    low = max(0, total - size)
    normaliser: NDArray[np.float64] = low * points - log_ratio(Block(total - low, size, low, size), points)
    return normaliser
