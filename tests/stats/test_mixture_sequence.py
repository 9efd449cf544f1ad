from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ville.means import GaussianMixtureCS
from ville.sequential import MSPRT

from tollens.core.errors import TollensError
from tollens.stats.mixture_sequence import (
    MeanSequence,
    approximate_rho,
    exact_rho,
    log_mixture,
    mean_bounds,
    mean_interval,
    mean_lower_bound,
    msprt,
    normal_mixture_bound,
    one_sided_bound,
    one_sided_log_mixture,
)

EIGHT = (0.5, 1.2, 0.8, 1.5, 1.1, -0.2, 0.9, 1.4)
values = st.lists(st.floats(-2.0, 2.0), min_size=1, max_size=30)
levels = st.floats(1e-4, 0.4)


@settings(max_examples=50)
@given(st.floats(1e-3, 1e6), st.floats(1e-6, 0.1), st.floats(0.2, 5.0))
def test_the_exact_rho_is_the_best_and_the_approximate_one_close(v: float, alpha: float, factor: float) -> None:
    best = normal_mixture_bound(v, alpha, exact_rho(v, alpha))
    assert best <= normal_mixture_bound(v, alpha, exact_rho(v, alpha) * factor) * (1.0 + 1e-12)
    assert best <= normal_mixture_bound(v, alpha, approximate_rho(v, alpha)) <= 1.001 * best


@settings(max_examples=50)
@given(st.floats(1e-3, 1e6), levels, st.floats(1e-2, 1e4))
def test_the_bound_is_where_the_mixture_reaches_one_over_alpha(v: float, alpha: float, rho: float) -> None:
    two, one = normal_mixture_bound(v, alpha, rho), one_sided_bound(v, alpha, rho)
    assert log_mixture(two, v, rho) == pytest.approx(-math.log(alpha), rel=1e-9)
    assert one_sided_log_mixture(one, v, rho) == pytest.approx(-math.log(alpha), rel=1e-8)
    assert one <= two
    assert normal_mixture_bound(v, alpha / 2.0, rho) > two


def test_the_mixture_is_the_integral_that_it_stands_for() -> None:
    """Gauss-Legendre over l in ten standard deviations of N(0, 1/rho), and over the positive half doubled."""
    nodes, weights = np.polynomial.legendre.leggauss(120)
    s, v, rho = 3.0, 5.0, 2.0
    for low, mass, ours in ((-10.0, 1.0, log_mixture), (0.0, 2.0, one_sided_log_mixture)):
        l = (low + (10.0 - low) * (nodes + 1.0) / 2.0) / math.sqrt(rho)
        density = mass * math.sqrt(rho / (2.0 * math.pi)) * np.exp(-rho * l * l / 2.0)
        integral = (weights * density * np.exp(l * s - l * l * v / 2.0)).sum() * (10.0 - low) / 2.0 / math.sqrt(rho)
        assert ours(s, v, rho) == pytest.approx(math.log(integral), abs=1e-10)


@settings(max_examples=30)
@given(values, st.floats(0.5, 3.0), levels)
def test_intervals_are_those_of_ville(x: list[float], sigma: float, alpha: float) -> None:
    """ville searches for rho numerically; its intersection may return lower > upper where ours raises."""
    lower, upper = mean_bounds(x, MeanSequence(alpha=alpha, sigma=sigma, n_opt=500, intersect=False))
    peer = GaussianMixtureCS(sigma=sigma, alpha=alpha, t_opt=500, intersect=False)
    peer.update(np.asarray(x))
    assert lower == pytest.approx(peer.lower_, rel=1e-5, abs=1e-4)
    assert upper == pytest.approx(peer.upper_, rel=1e-5, abs=1e-4)


@settings(max_examples=30)
@given(values, st.floats(0.5, 3.0), st.floats(0.1, 3.0), st.floats(-1.0, 1.0))
def test_the_mixture_test_is_that_of_ville(x: list[float], sigma: float, tau: float, mu0: float) -> None:
    result, peer = msprt(x, mu0, sigma, tau), MSPRT(theta0=mu0, sigma=sigma, tau=tau)
    peer.update(np.asarray(x))
    assert result.e == pytest.approx(float(peer.e_values_[-1]), rel=1e-9)
    assert result.p == pytest.approx(float(peer.p_values_[-1]), rel=1e-9)


@settings(max_examples=30)
@given(values, st.floats(0.01, 100.0), st.floats(-5.0, 5.0), st.floats(0.5, 2.0))
def test_units_and_origin_of_measurement_do_not_matter(x: list[float], scale: float, shift: float, tau: float) -> None:
    moved = [scale * v + shift for v in x]
    assert msprt(moved, shift, scale, tau * scale).e == pytest.approx(msprt(x, 0.0, 1.0, tau).e, rel=1e-6)
    how = MeanSequence(sigma=1.0, intersect=False)
    lower, _ = mean_bounds(x, how)
    other, _ = mean_bounds(moved, dataclasses.replace(how, sigma=scale))
    assert other == pytest.approx(scale * lower + shift, rel=1e-6, abs=1e-6)


@settings(max_examples=20)
@given(values)
def test_turning_the_sign_mirrors_the_interval(x: list[float]) -> None:
    how = MeanSequence(sigma=2.0)
    lower, upper = mean_bounds(x, how)
    mirrored = mean_bounds([-v for v in x], how)
    assert mirrored[0] == pytest.approx(-upper)
    assert mirrored[1] == pytest.approx(-lower)
    assert mean_lower_bound(x, how) >= lower[-1] - 1e-12  # one side of the same level lies closer


def test_bounds_give_half_their_width_as_the_scale() -> None:
    assert MeanSequence(bounds=(-1.0, 3.0)).scale == 2.0
    assert MeanSequence(sigma=0.5, bounds=(0.0, 1.0)).scale == 0.5


def test_the_approximate_rho_is_stated_and_gives_another_interval() -> None:
    exact = mean_interval(EIGHT, MeanSequence(sigma=1.0))
    approximate = mean_interval(EIGHT, MeanSequence(sigma=1.0, rho="approximate"))
    assert "exact rho" in exact.rule
    assert "approximate rho" in approximate.rule
    assert exact.interval != approximate.interval
    assert exact.guarantee == "valid at any stopping time"


def test_the_scale_cannot_be_taken_from_the_data() -> None:
    with pytest.raises(TollensError, match="Declare sigma or the bounds") as caught:
        mean_interval(EIGHT, MeanSequence())
    assert caught.value.code == "stats_unnamed"


def test_a_value_outside_declared_bounds_is_a_violation() -> None:
    with pytest.raises(TollensError) as caught:
        mean_interval([0.2, 1.2], MeanSequence(bounds=(0.0, 1.0)))
    assert caught.value.code == "stats_assumption_violated"


def test_a_mean_that_moves_empties_the_intersection() -> None:
    x = [1.0] * 700 + [0.0] * 3000
    with pytest.raises(TollensError, match="none after") as caught:
        mean_interval(x, MeanSequence(bounds=(0.0, 1.0)))
    assert caught.value.code == "stats_assumption_violated"
    result = mean_interval(x, MeanSequence(bounds=(0.0, 1.0), intersect=False))
    assert result.interval is not None
    assert result.interval.low < result.interval.high


@pytest.mark.parametrize(
    "how",
    [
        MeanSequence(sigma=0.0),
        MeanSequence(sigma=math.inf),
        MeanSequence(sigma=1.0, alpha=0.0),
        MeanSequence(sigma=1.0, alpha=1.0),
        MeanSequence(sigma=1.0, n_opt=0),
        MeanSequence(bounds=(1.0, 1.0)),
        MeanSequence(bounds=(0.0, math.inf)),
        MeanSequence(sigma=1.0, rho="best"),  # type: ignore[arg-type]
    ],
)
def test_parameters_that_mean_nothing_are_refused(how: MeanSequence) -> None:
    x = [1.0, 1.0] if how.bounds == (1.0, 1.0) else [0.1, 0.2]
    with pytest.raises(TollensError, match="stats_input"):
        mean_interval(x, how)


@pytest.mark.parametrize("x", [[], [math.nan], [math.inf, 1.0], [[1.0, 2.0]]])
def test_data_that_are_none_are_refused(x: Any) -> None:
    for ask in (lambda: mean_interval(x, MeanSequence(sigma=1.0)), lambda: msprt(x, 0.0, 1.0, 1.0)):
        with pytest.raises(TollensError, match="stats_input"):
            ask()


def test_a_one_sided_level_of_one_half_is_refused() -> None:
    with pytest.raises(TollensError, match="stats_input"):
        mean_lower_bound(EIGHT, MeanSequence(sigma=1.0, alpha=0.5))


@pytest.mark.parametrize(("s", "v", "rho"), [(math.nan, 1.0, 1.0), (0.0, -1.0, 1.0), (0.0, 1.0, 0.0)])
def test_times_and_tunings_that_mean_nothing_are_refused(s: float, v: float, rho: float) -> None:
    with pytest.raises(TollensError, match="stats_input"):
        log_mixture(s, v, rho)
    with pytest.raises(TollensError, match="stats_input"):
        msprt(EIGHT, math.nan, 1.0, 1.0)


def test_overwhelming_evidence_stays_finite() -> None:
    result = msprt([100.0] * 10, 0.0, 1.0, 10.0)
    assert result.e is not None
    assert math.isfinite(result.e)
    assert result.p is not None
    assert result.p > 0.0
