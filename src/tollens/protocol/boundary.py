"""The group-sequential boundary for cells of unknown spread: a z boundary, raised until Student's t keeps the error.

Turning t into z look by look (Pocock 1977) ignores that the looks share one estimate of the spread; with looks at a
handful of cells it crosses too often, .053 to .061 instead of .05. One factor on the whole boundary makes up for it.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtr

from tollens.core.seeding import generator
from tollens.stats.domain import between
from tollens.stats.group_sequential import lan_demets
from tollens.stats.schedule import PlannedLooks

REFERENCE = "Jennison & Turnbull, Group Sequential Methods with Applications to Clinical Trials (2000), section 4.4"
DRAWS = 100_000
LEAST_LEVEL = 0.001
"""Of a smaller level too few of the draws would tell."""
_HIGHEST = 37.0  # beyond it a normal tail underflows
_MARGIN = 3.0  # standard errors of the simulated rate

Vector = NDArray[np.float64]


def normal_score(t: Vector, df: int) -> Vector:
    """|z| with the two-sided p-value of Student's t with `df` degrees of freedom; at most 37."""
    score: Vector = np.minimum(_HIGHEST, -ndtri(stdtr(df, -np.abs(t))))
    return score


def z_boundary(looks: tuple[int, ...], level: float, spending: str) -> tuple[float, ...]:
    """The two-sided Lan-DeMets boundary for cells of known spread. Raises as `lan_demets`."""
    return lan_demets(PlannedLooks(looks).fractions, level, spending, 2).z


@lru_cache(maxsize=32)
def student_boundary(looks: tuple[int, ...], level: float, spending: str) -> tuple[float, ...]:
    """The same for `normal_score` at looks of at least 2 cells, of independent normal cells of any one spread.

    The factor, at least 1, is the one that 100,000 simulated paths of the null cross no more often than `level` less
    three standard errors; it is the same on every run. Raises: TollensError `stats_input` for a level below .001, and
    as `lan_demets`.
    """
    between("the level", level, np.nextafter(LEAST_LEVEL, 0.0), 1.0)
    bounds = z_boundary(looks, level, spending)
    rng = generator(0, "student_boundary", *map(str, looks))
    size, mean, squares = 0, np.zeros(DRAWS), np.zeros(DRAWS)
    largest = np.zeros(DRAWS)
    for n, bound in zip(looks, bounds, strict=True):
        block = n - size
        gap = rng.normal(0.0, 1.0 / math.sqrt(block), DRAWS) - mean
        inner = rng.chisquare(block - 1, DRAWS) if block > 1 else 0.0
        squares = squares + inner + gap**2 * (size * block / n)
        mean, size = mean + gap * (block / n), n
        t = mean * np.sqrt(n * (n - 1) / squares)
        largest = np.maximum(largest, normal_score(t, n - 1) / bound)
    allowed = max(0, math.floor(DRAWS * level - _MARGIN * math.sqrt(DRAWS * level * (1.0 - level))))
    factor = max(1.0, float(np.partition(largest, DRAWS - allowed - 1)[DRAWS - allowed - 1]))
    return tuple(float(np.nextafter(factor * bound, math.inf)) for bound in bounds)
