from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollens.core.errors import TollensError
from tollens.stats.sprt import (
    Thresholds,
    bernoulli_sprt,
    bernoulli_steps,
    fixed_size_beside,
    gaussian_sprt,
    sprt,
    sprt_expected_size,
    sprt_thresholds,
)

levels = st.floats(1e-6, 0.49)
rates = st.floats(0.01, 0.99)


@given(levels, levels)
def test_exchanging_the_errors_exchanges_the_thresholds(alpha: float, beta: float) -> None:
    a, b = sprt_thresholds(alpha, beta), sprt_thresholds(beta, alpha)
    assert a.upper == pytest.approx(-b.lower, rel=1e-12)
    assert a.lower < 0.0 < a.upper


@given(st.lists(st.booleans(), min_size=1, max_size=80), rates, rates)
def test_exchanging_the_hypotheses_exchanges_the_decision(x: list[bool], p0: float, p1: float) -> None:
    if abs(p0 - p1) < 1e-3:
        return
    forth, back = bernoulli_sprt(x, p0, p1, 0.1, 0.1), bernoulli_sprt(x, p1, p0, 0.1, 0.1)
    assert {forth.accepted, back.accepted} in ({None}, {"H0", "H1"})
    assert forth.n == back.n
    assert forth.log_ratio == pytest.approx(-back.log_ratio, abs=1e-9)


@given(st.lists(st.booleans(), min_size=1, max_size=80), rates, rates)
def test_ones_and_zeros_may_change_their_names(x: list[bool], p0: float, p1: float) -> None:
    if abs(p0 - p1) < 1e-3:
        return
    straight = bernoulli_sprt(x, p0, p1)
    renamed = bernoulli_sprt([not v for v in x], 1.0 - p0, 1.0 - p1)
    assert (straight.accepted, straight.n) == (renamed.accepted, renamed.n)


@given(st.lists(st.floats(-3, 3), min_size=1, max_size=40), st.floats(1e-3, 1e3))
def test_units_of_measurement_do_not_matter(x: list[float], scale: float) -> None:
    one, other = gaussian_sprt(x, 0.0, 1.0, 1.0), gaussian_sprt([v * scale for v in x], 0.0, scale, scale)
    assert one.log_ratio == pytest.approx(other.log_ratio, abs=1e-9)


def test_15_ones_and_6_zeros_do_not_decide() -> None:
    assert bernoulli_sprt([1] * 15, 0.5, 0.6).accepted is None
    assert bernoulli_sprt([0] * 6, 0.5, 0.6).accepted is None
    assert bernoulli_sprt([1] * 15, 0.5, 0.6).log_ratio == pytest.approx(15 * math.log(1.2))


def test_what_comes_after_the_decision_is_not_used() -> None:
    assert sprt([3.0, -100.0], Thresholds(2.0, -2.0)) == sprt([3.0], Thresholds(2.0, -2.0))


def test_the_expected_size_is_below_the_fixed_one_and_larger_for_smaller_errors() -> None:
    sizes = sprt_expected_size(0.5, 0.6, 0.05, 0.2)
    assert sizes.approximate
    assert max(sizes.under_h0, sizes.under_h1) < fixed_size_beside(0.5, 0.6, 0.05, 0.2)
    assert sprt_expected_size(0.5, 0.6, 0.01, 0.2).under_h1 > sizes.under_h1


@pytest.mark.parametrize(("alpha", "beta"), [(0.5, 0.5), (0.9, 0.2), (0.0, 0.1), (0.1, 1.0), (math.nan, 0.1)])
def test_errors_that_a_coin_attains_are_refused(alpha: float, beta: float) -> None:
    with pytest.raises(TollensError, match="stats_input"):
        sprt_thresholds(alpha, beta)


@pytest.mark.parametrize(("p0", "p1"), [(0.5, 0.5), (0.0, 0.5), (0.5, 1.0), (math.nan, 0.5), (0.5, -0.1)])
def test_rates_that_cannot_be_told_apart_are_refused(p0: float, p1: float) -> None:
    with pytest.raises(TollensError, match="stats_input"):
        bernoulli_steps(p0, p1)


@pytest.mark.parametrize("composite", [(0.5, 0.6), "p > 0.5", None, np.array([0.5, 0.6])])
def test_a_composite_hypothesis_needs_a_mixture(composite: Any) -> None:
    with pytest.raises(TollensError, match="mixture") as caught:
        bernoulli_sprt([1, 0], composite, 0.7)
    assert caught.value.code == "stats_unnamed"


@pytest.mark.parametrize("x", [[], [0.5], [2], [math.nan], [[1, 0]]])
def test_other_data_than_zeros_and_ones_are_refused(x: Any) -> None:
    with pytest.raises(TollensError, match="stats_input"):
        bernoulli_sprt(x, 0.5, 0.6)


@pytest.mark.parametrize(("mu0", "mu1", "sigma"), [(0.0, 0.0, 1.0), (0.0, math.inf, 1.0), (0.0, 1.0, 0.0)])
def test_means_that_cannot_be_told_apart_are_refused(mu0: float, mu1: float, sigma: float) -> None:
    with pytest.raises(TollensError, match="stats_input"):
        gaussian_sprt([0.1], mu0, mu1, sigma)
