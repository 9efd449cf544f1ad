"""The chance that a normal test statistic crosses its boundary at one of several looks, by recursive integration."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from tollens.core.errors import TollensError
from tollens.stats.domain import refuse
from tollens.stats.registry import Known, statistic

ARMITAGE = "Armitage, McPherson & Rowe, Repeated significance tests on accumulating data, JRSS A 132 (1969)"

_RULE = 16  # Gauss-Legendre nodes of a panel
_PANEL = 4.0  # width of a panel in the narrower of the two standard deviations that meet in it
_REACH = 10.0  # standard deviations of the statistic beyond which it has no mass
_MOST_NODES = 4000

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Crossing:
    """`upper[k]`, `lower[k]`: P(first crossing is at look k, above or below)."""

    upper: tuple[float, ...]
    lower: tuple[float, ...]

    @property
    def total(self) -> float:
        """P(crossing at some look)."""
        return math.fsum((*self.upper, *self.lower))


@dataclass(frozen=True, slots=True)
class Continuing:
    """The paths that have not crossed by information `t`: points of S = Z sqrt(t) and their mass, shape (nodes,)."""

    t: float
    points: Vector
    mass: Vector


START = Continuing(0.0, np.zeros(1), np.ones(1))


def exits(state: Continuing, z: float, t: float, sides: int, drift: float = 0.0) -> tuple[float, float]:
    """P(crossing +z at information t), and -z where there are two sides, not having crossed before."""
    step = t - state.t
    sd, bound = math.sqrt(step), z * math.sqrt(t)
    ahead = state.points + drift * step
    upper = float(state.mass @ ndtr((ahead - bound) / sd))
    return upper, float(state.mass @ ndtr((-bound - ahead) / sd)) if sides == 2 else 0.0


def advance(state: Continuing, z: float, times: tuple[float, float], sides: int, drift: float = 0.0) -> Continuing:
    """The paths that continue after a look at times[0]; `times[1]` is that of the next look.

    The nodes resolve the increments to both. Raises: TollensError `stats_imprecise` if that takes more than
    4000 nodes.
    """
    t, following = times
    sd = math.sqrt(t - state.t)
    bound, reach = z * math.sqrt(t), _REACH * math.sqrt(t)
    high = min(bound, drift * t + reach)
    low = max(-bound if sides == 2 else -math.inf, drift * t - reach)
    if high <= low:  # a boundary that nearly all paths have crossed
        return Continuing(t, np.zeros(1), np.zeros(1))
    panels = math.ceil((high - low) / (_PANEL * math.sqrt(min(t - state.t, following - t))))
    if panels * _RULE > _MOST_NODES:
        raise TollensError(
            "stats_imprecise",
            f"the look at information {t:.6g}",
            expected=f"increments that {_MOST_NODES} nodes resolve",
            found=f"{following - t:.3g} to the next look, {t - state.t:.3g} from the last one",
            fix="Leave out one of two looks that are so close.",
        )
    nodes, weights = _legendre()
    half = (high - low) / (2.0 * panels)
    points = (low + half * (2.0 * np.arange(panels)[:, None] + 1.0 + nodes)).ravel()
    gap = (points[:, None] - state.points - drift * (t - state.t)) / sd
    density = np.exp(-0.5 * gap * gap) @ state.mass / (sd * math.sqrt(2.0 * math.pi))
    return Continuing(t, points, density * np.tile(half * weights, panels))


@lru_cache(maxsize=1)
def _legendre() -> tuple[Vector, Vector]:
    return np.polynomial.legendre.leggauss(_RULE)


def _repeated(looks: int) -> tuple[list[float], list[float]]:
    return [1.96] * looks, [k / looks for k in range(1, looks + 1)]


@statistic(
    guarantee="probabilities of first crossing, absolute error below 1e-10; exact for normal increments",
    references=(ARMITAGE, "Jennison & Turnbull, Group Sequential Methods (2000), chapter 19"),
    known=(
        Known(
            "repeated two-sided tests at 1.96, 1, 2, 3 and 5 looks",
            lambda f: [f(*_repeated(looks)).total for looks in (1, 2, 3, 5)],
            (0.05, 0.0831, 0.1073, 0.1417),
            "Armitage, McPherson & Rowe (1969), table 2",
        ),
        Known(
            "power of one look",
            lambda f: f([1.959964], [1.0], drift=1.959964 + 0.841621).upper[0],
            0.8,
            "Phi(drift - z)",
            1e-6,
        ),
    ),
)
def crossing(z: Sequence[float], fractions: Sequence[float], sides: int = 2, drift: float = 0.0) -> Crossing:
    """First crossing of Z_k >= z[k], or |Z_k| >= z[k] for two sides, at each information fraction.

    `drift` is E Z at full information: 0 under the null. S = Z sqrt(t) has independent increments N(drift dt,
    dt); the density of the paths that continue is integrated by Gauss-Legendre panels, so that twice the nodes
    change no probability by 1e-11. Raises: TollensError `stats_input` if the lengths differ, the fractions do
    not increase within (0, 1], sides is not 1 or 2 or a boundary is not finite (negative for two sides);
    `stats_imprecise` for looks too close together.
    """
    bounds, times = check_boundary(z, fractions, sides)
    if not math.isfinite(drift):
        refuse("drift", "a finite number", drift)
    state, upper, lower = START, [], []
    for k, (bound, t) in enumerate(zip(bounds, times, strict=True)):
        up, down = exits(state, bound, t, sides, drift)
        upper.append(up)
        lower.append(down)
        if k + 1 < len(times):
            state = advance(state, bound, (t, times[k + 1]), sides, drift)
    return Crossing(tuple(upper), tuple(lower))


def check_fractions(fractions: Sequence[float]) -> tuple[float, ...]:
    """Information fractions as floats. Raises `stats_input` unless they increase strictly within (0, 1]."""
    times = tuple(float(t) for t in fractions)
    if not times or not all(a < b for a, b in zip((0.0, *times), times, strict=False)) or not times[-1] <= 1.0:
        refuse("information fractions", "strictly increasing numbers in (0, 1]", times)
    return times


def check_boundary(
    z: Sequence[float], fractions: Sequence[float], sides: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Boundary and fractions as floats; raises as `crossing` does."""
    times, bounds = check_fractions(fractions), tuple(float(b) for b in z)
    if sides not in (1, 2):
        refuse("sides", "1 or 2", sides)
    if len(bounds) != len(times):
        refuse("the boundary", f"one value for each of {len(times)} looks", bounds)
    if not all(math.isfinite(b) and (sides == 1 or b >= 0.0) for b in bounds):
        refuse("the boundary", "finite values, not negative for two sides", bounds)
    return bounds, times
