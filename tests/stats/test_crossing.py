from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr

from tollens.core.errors import TollensError
from tollens.stats import crossing as module
from tollens.stats.crossing import crossing


def by_simpson(z: Sequence[float], fractions: Sequence[float], intervals: int) -> float:
    """The same recursion on a uniform grid between the boundaries, two sides."""
    t = bound = 0.0
    points, mass, total = np.zeros(1), np.ones(1), 0.0
    for b, following in zip(z, fractions, strict=True):
        step, bound = following - t, b * math.sqrt(following)
        sd = math.sqrt(step)
        total += float(mass @ (ndtr((points - bound) / sd) + ndtr((-bound - points) / sd)))
        new = np.linspace(-bound, bound, intervals + 1)
        weights = np.full(intervals + 1, 2.0)
        weights[1::2] = 4.0
        weights[[0, -1]] = 1.0
        density = np.exp(-(((new[:, None] - points) / sd) ** 2) / 2.0) @ mass / (sd * math.sqrt(2.0 * math.pi))
        t, points, mass = following, new, density * weights * (2.0 * bound / intervals / 3.0)
    return total


@pytest.mark.parametrize("looks", [2, 5, 10])
@pytest.mark.parametrize("power", [0.0, -0.5])
def test_simpson_on_801_nodes_agrees(looks: int, power: float) -> None:
    fractions = [k / looks for k in range(1, looks + 1)]
    z = [2.2 * t**power for t in fractions]
    assert crossing(z, fractions).total == pytest.approx(by_simpson(z, fractions, 800), abs=1e-9)


@pytest.mark.parametrize("sides", [1, 2])
@pytest.mark.parametrize("fractions", [[k / 20 for k in range(1, 21)], [0.1, 0.1005, 0.5, 0.501, 1.0]])
def test_twice_the_nodes_change_nothing(sides: int, fractions: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    z = [2.3] * len(fractions)
    once = crossing(z, fractions, sides, drift=0.7)
    monkeypatch.setattr(module, "_PANEL", module._PANEL / 2.0)
    twice = crossing(z, fractions, sides, drift=0.7)
    assert max(abs(a - b) for a, b in zip(once.upper, twice.upper, strict=True)) < 1e-11
    assert max(abs(a - b) for a, b in zip(once.lower, twice.lower, strict=True)) < 1e-11


def test_too_few_nodes_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    fractions = [k / 20 for k in range(1, 21)]
    exact = crossing([2.3] * 20, fractions, 1).total
    monkeypatch.setattr(module, "_PANEL", 40.0)
    assert abs(crossing([2.3] * 20, fractions, 1).total - exact) > 1e-6


boundaries = st.lists(st.floats(0.3, 5.0), min_size=1, max_size=4)


@settings(max_examples=30, deadline=None)
@given(boundaries, st.floats(-3, 3))
def test_turning_the_sign_of_the_drift_exchanges_the_sides(z: list[float], drift: float) -> None:
    fractions = [(k + 1) / len(z) for k in range(len(z))]
    there, back = crossing(z, fractions, 2, drift), crossing(z, fractions, 2, -drift)
    assert there.upper == pytest.approx(back.lower, abs=1e-11)
    assert there.lower == pytest.approx(back.upper, abs=1e-11)
    assert 0.0 <= there.total <= 1.0 + 1e-11


@settings(max_examples=30, deadline=None)
@given(boundaries, st.sampled_from([1, 2]))
def test_the_sum_lies_between_one_look_and_bonferroni(z: list[float], sides: int) -> None:
    fractions = [(k + 1) / len(z) for k in range(len(z))]
    alone = [sides * float(ndtr(-b)) for b in z]
    assert max(alone) - 1e-11 <= crossing(z, fractions, sides).total <= sum(alone) + 1e-11


def test_a_time_scale_with_the_same_ratios_gives_the_same_error() -> None:
    z, fractions = [2.5, 2.2, 2.0], [0.25, 0.5, 1.0]
    assert crossing(z, [t / 3 for t in fractions]).total == pytest.approx(crossing(z, fractions).total, abs=1e-12)


def test_a_boundary_that_all_paths_cross() -> None:
    assert crossing([0.0, 1.0], [0.5, 1.0]).total == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize(
    ("z", "fractions", "sides", "drift"),
    [
        ([], [], 2, 0.0),
        ([2.0], [0.5, 1.0], 2, 0.0),
        ([2.0, 2.0], [0.5, 0.5], 2, 0.0),
        ([2.0, 2.0], [0.6, 0.5], 2, 0.0),
        ([2.0, 2.0], [0.5, 1.01], 2, 0.0),
        ([2.0, 2.0], [0.0, 1.0], 2, 0.0),
        ([2.0, 2.0], [math.nan, 1.0], 2, 0.0),
        ([2.0, 2.0], [0.5, math.nan], 2, 0.0),
        ([2.0, math.inf], [0.5, 1.0], 2, 0.0),
        ([-1.0, 2.0], [0.5, 1.0], 2, 0.0),
        ([2.0], [1.0], 3, 0.0),
        ([2.0], [1.0], 2, math.nan),
    ],
)
def test_what_is_no_boundary_is_refused(z: list[float], fractions: list[float], sides: int, drift: float) -> None:
    with pytest.raises(TollensError, match="stats_input"):
        crossing(z, fractions, sides, drift)


def test_looks_that_no_reasonable_grid_resolves_are_refused() -> None:
    with pytest.raises(TollensError, match="stats_imprecise"):
        crossing([2.0, 2.0, 2.0], [0.5, 0.5 + 1e-9, 1.0])
