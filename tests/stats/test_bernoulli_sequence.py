from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import betaln
from ville.proportions import BernoulliCS, BernoulliTest

from tollens.core.errors import TollensError
from tollens.stats.bernoulli_sequence import (
    bernoulli_bounds,
    bernoulli_e,
    bernoulli_interval,
    bernoulli_log_e,
    bernoulli_path,
    tuned_bernoulli_bounds,
)
from tollens.stats.mixture_sequence import approximate_rho

outcomes = st.lists(st.integers(0, 1), min_size=1, max_size=60)
levels = st.floats(1e-4, 0.5)


@settings(max_examples=30, deadline=None)
@given(outcomes, levels, st.floats(0.01, 0.99))
def test_intervals_and_e_values_are_those_of_ville(x: list[int], alpha: float, p0: float) -> None:
    lower, upper = bernoulli_path(x, alpha, intersect=False)
    peer, test = BernoulliCS(alpha=alpha, intersect=False), BernoulliTest(p0)
    peer.update(np.asarray(x))
    test.update(np.asarray(x))
    assert lower == pytest.approx(peer.lower_, abs=1e-9)
    assert upper == pytest.approx(peer.upper_, abs=1e-9)
    assert bernoulli_log_e(sum(x), len(x), p0) == pytest.approx(float(test.log_e_values_[-1]), abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 10**6), st.floats(0, 1), levels)
def test_the_ends_are_where_e_reaches_one_over_alpha(n: int, share: float, alpha: float) -> None:
    k = round(share * n)
    lower, upper = bernoulli_bounds(k, n, alpha)
    assert 0.0 <= lower <= k / n <= upper <= 1.0
    for end, trivial in ((lower, k == 0), (upper, k == n)):
        if not trivial and 1e-9 < end < 1.0 - 1e-9:
            assert bernoulli_log_e(k, n, end) == pytest.approx(-math.log(alpha), abs=1e-4)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 200), st.integers(0, 200), levels)
def test_ones_and_zeros_may_change_their_names(k: int, rest: int, alpha: float) -> None:
    lower, upper = bernoulli_bounds(k, k + rest, alpha)
    other = bernoulli_bounds(rest, k + rest, alpha)
    assert other == pytest.approx((1.0 - upper, 1.0 - lower), abs=1e-9)
    stricter = bernoulli_bounds(k, k + rest, alpha / 2.0)
    assert stricter[0] <= lower
    assert upper <= stricter[1]


def test_the_e_value_has_mean_one() -> None:
    for p0 in (0.1, 0.5):
        mean = math.fsum(math.comb(12, k) * p0**k * (1 - p0) ** (12 - k) * bernoulli_e(k, 12, p0) for k in range(13))
        assert mean == pytest.approx(1.0, abs=1e-12)


def test_nothing_seen_says_nothing() -> None:
    assert bernoulli_bounds(0, 0, 0.05) == (0.0, 1.0)
    assert bernoulli_e(0, 0, 0.3) == 1.0


def test_overwhelming_evidence_stays_finite() -> None:
    assert math.isfinite(bernoulli_e(10**5, 10**5, 0.5))
    assert bernoulli_log_e(10**5, 10**5, 0.5) > 60_000


@pytest.mark.parametrize(("k", "n"), [(0, 5), (1, 5), (4, 5), (5, 5), (1, 200), (70, 100), (700, 1000), (999, 1000)])
def test_the_tuned_set_is_an_interval(k: int, n: int) -> None:
    """On 4000 rates the mixture is below 1/alpha exactly between the two ends."""
    c = approximate_rho(100.0, 0.05) - 1.0
    p = (np.arange(4000) + 0.5) / 4000
    log_e = betaln(c * p + k, c * (1 - p) + n - k) - betaln(c * p, c * (1 - p)) - k * np.log(p) - (n - k) * np.log1p(-p)
    lower, upper = tuned_bernoulli_bounds(k, n, 0.05, 100.0)
    assert ((log_e < math.log(20.0)) == ((p > lower) & (p < upper))).all()


def test_the_tuned_interval_is_the_narrower_one_where_it_is_tuned() -> None:
    for k, n, tuned_is_better in ((700, 1000, True), (50, 100, True), (3, 6, False)):
        plain, tuned = bernoulli_bounds(k, n, 0.05), tuned_bernoulli_bounds(k, n, 0.05, 100.0)
        assert (tuned[1] - tuned[0] < plain[1] - plain[0]) == tuned_is_better


def test_ones_followed_by_zeros_leave_no_rate() -> None:
    x = [1.0] * 700 + [0.0] * 300
    with pytest.raises(TollensError, match="none after 7") as caught:
        bernoulli_interval(x, 0.05)
    assert caught.value.code == "stats_assumption_violated"
    interval = bernoulli_interval(x, 0.05, intersect=False).interval
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((0.646985, 0.749662), abs=1e-6)


@settings(max_examples=30, deadline=None)
@given(outcomes)
def test_the_intersection_is_never_inside_out(x: list[int]) -> None:
    """It raises exactly where the largest lower end so far lies above the smallest upper one."""
    low, high = bernoulli_path(x, 0.4, intersect=False)
    if (np.maximum.accumulate(low) > np.minimum.accumulate(high)).any():
        with pytest.raises(TollensError, match="stats_assumption_violated"):
            bernoulli_path(x, 0.4)
        return
    lower, upper = bernoulli_path(x, 0.4)
    assert (lower <= upper).all()
    assert (np.diff(lower) >= 0.0).all()
    assert (np.diff(upper) <= 0.0).all()


@pytest.mark.parametrize(("k", "n"), [(-1, 5), (6, 5), (2.5, 5), (True, 5), (0, -1)])
def test_counts_outside_their_range_are_refused(k: Any, n: Any) -> None:
    for ask in (
        lambda: bernoulli_bounds(k, n, 0.05),
        lambda: bernoulli_e(k, n, 0.5),
        lambda: tuned_bernoulli_bounds(k, n, 0.05, 100.0),
    ):
        with pytest.raises(TollensError, match="stats_input"):
            ask()


@pytest.mark.parametrize("value", [0.0, 1.0, -0.1, math.nan])
def test_rates_and_levels_lie_inside(value: float) -> None:
    with pytest.raises(TollensError, match="p0"):
        bernoulli_e(1, 2, value)
    with pytest.raises(TollensError, match="alpha"):
        bernoulli_bounds(1, 2, value)


@pytest.mark.parametrize("n_opt", [0.0, 5.0, -1.0, math.inf, math.nan])
def test_a_tuning_without_a_mixture_is_refused(n_opt: float) -> None:
    with pytest.raises(TollensError, match="n_opt"):
        tuned_bernoulli_bounds(1, 2, 0.05, n_opt)


@pytest.mark.parametrize("x", [[], [0.5], [2.0], [math.nan], [[1.0]]])
def test_other_data_than_zeros_and_ones_are_refused(x: Any) -> None:
    with pytest.raises(TollensError, match="stats_input"):
        bernoulli_interval(x, 0.05)
