from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq

from tollens.stats.root import bracketed_root

FUNCTIONS: list[tuple[Callable[[float], float], float, float]] = [
    (lambda x: x * x - 2.0, 0.0, 2.0),
    (lambda x: math.exp(x) - 5.0, -10.0, 10.0),
    (lambda x: math.atan(x - 0.3), -1e3, 1e3),
    (lambda x: -1.0 if x < 0.125 else 1.0, -1.0, 1.0),
    (lambda x: 1.0 - 1e-300 * 10**x, 0.0, 305.0),
]


@pytest.mark.parametrize(("function", "low", "high"), FUNCTIONS)
def test_the_root_is_the_one_that_brent_finds(function: Callable[[float], float], low: float, high: float) -> None:
    assert bracketed_root(function, low, high, 1e-9) == pytest.approx(brentq(function, low, high), abs=2e-9)


@given(st.floats(-50, 50), st.floats(0.1, 5))
def test_the_sign_changes_within_the_tolerance(root: float, slope: float) -> None:
    found = bracketed_root(lambda x: math.sinh((x - root) * slope / 60.0), -60.0, 61.0, 1e-6)
    assert abs(found - root) <= 1e-6


def test_a_flat_root_is_found_by_its_sign() -> None:
    assert bracketed_root(lambda x: (x - 1.0) ** 9, -3.0, 2.5, 1e-9) == pytest.approx(1.0, abs=2e-9)


def test_few_evaluations_are_made() -> None:
    calls: list[float] = []

    def function(x: float) -> float:
        calls.append(x)
        return math.exp(x) - 2.0

    bracketed_root(function, -5.0, 30.0, 1e-9)
    assert len(calls) <= 30  # bisection takes 36


def test_ends_are_roots_too_and_a_bracket_without_one_is_refused() -> None:
    assert bracketed_root(lambda x: x, 0.0, 1.0, 1e-9) == 0.0
    assert bracketed_root(lambda x: x - 1.0, 0.0, 1.0, 1e-9) == 1.0
    with pytest.raises(ValueError, match="no sign change"):
        bracketed_root(lambda x: x * x + 1.0, -1.0, 1.0, 1e-9)
