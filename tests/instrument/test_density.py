from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import fmin

from tollens.core.native import _native
from tollens.core.reading import Undefined
from tollens.instrument.density import (
    kde_sigma,
    simplex_minimum,
    triangular_kde,
    triangular_kde_reference,
)

# the mid-quantiles of the exponential law: a spectrum that needs no random number
EXPONENTIAL = -np.log1p(-(np.arange(100) + 0.5) / 100)


def test_one_point_is_the_triangle_itself():
    at = np.array([-0.2, -0.1, -0.05, 0.0, 0.05, 0.1, 0.2])
    expected = [0.0, 0.0, 5.0, 10.0, 5.0, 0.0, 0.0]
    assert triangular_kde(np.array([0.0]), at) == pytest.approx(expected, abs=1e-12)


@given(st.integers(1, 400), st.floats(0.01, 2.0), st.integers(0, 2**32 - 1))
def test_closed_form_equals_the_definition(n, bandwidth, seed):
    rng = np.random.default_rng(seed)
    points = np.sort(rng.exponential(size=n))
    at = np.linspace(0.0, points[-1] + 0.5, 300)
    found = triangular_kde(points, at, bandwidth)
    assert np.max(np.abs(found - triangular_kde_reference(points, at, bandwidth))) < 3e-14


@pytest.mark.parametrize("spike", [0.0, 3000.0])
def test_closed_form_equals_the_definition_at_full_size(spike):
    points = np.sort(np.random.default_rng(0).exponential(size=4096))
    points[-1] += spike
    at = np.linspace(0.0, points[-1] + 0.5, 1000)
    assert np.max(np.abs(triangular_kde(points, at) - triangular_kde_reference(points, at))) < 3e-14


def test_a_density_integrates_to_one():
    points = np.sort(np.random.default_rng(1).uniform(1.0, 3.0, 500))
    at = np.linspace(0.0, 4.0, 40001)
    assert np.trapezoid(triangular_kde(points, at), at) == pytest.approx(1.0, abs=1e-6)


def test_the_fit_takes_under_ten_milliseconds_at_4096():
    values = np.sort(np.random.default_rng(2).exponential(size=4096))
    kde_sigma(values, 2.0, free_radius=False)
    seconds = []
    for _ in range(7):
        start = time.process_time()
        kde_sigma(values, 2.0, free_radius=False)
        seconds.append(time.process_time() - start)
    assert min(seconds) < 0.010


@pytest.mark.parametrize("shape", [(300, 300), (200, 600)])
def test_sigma_of_a_gaussian_matrix_is_one_in_the_unit_mean_scale(shape):
    """The mean of the eigenvalues is N sigma^2, so that sigma is 1 once they are scaled to mean 1."""
    matrix = np.random.default_rng(3).standard_normal(shape)
    values = np.sort(np.linalg.svd(matrix, compute_uv=False) ** 2)
    fit = kde_sigma(values, max(shape) / min(shape), free_radius=True)
    assert not isinstance(fit, Undefined)
    assert fit.sigma == pytest.approx(1.0, abs=0.02)
    assert fit.scale * values.mean() == pytest.approx(1.0)


def test_a_fixed_radius_says_nothing_about_sigma_and_a_free_one_does():
    """Half of the singular values shrunk to a tenth: the quarter circle that remains has a radius above 2."""
    matrix = np.random.default_rng(4).standard_normal((300, 300))
    values = np.sort(np.linalg.svd(matrix, compute_uv=False) ** 2)
    wide = np.sort(np.concatenate([values[::2], 0.01 * values[1::2]]))
    fixed, free = (kde_sigma(wide, 1.0, free_radius=choice) for choice in (False, True))
    assert abs(fixed.sigma - 1.0) < abs(free.sigma - 1.0)


@given(st.floats(-20, 20))
def test_scaling_the_weights_changes_the_scale_and_not_sigma(exponent):
    a = 2.0 ** round(exponent)
    one, other = (kde_sigma(EXPONENTIAL * f, 2.0, free_radius=True) for f in (1.0, a))
    assert one.sigma == other.sigma
    assert one.scale == other.scale * a


def test_a_spike_so_large_that_the_grid_steps_over_the_bulk_leaves_no_fit():
    """One of 4,000 eigenvalues holds 3/4 of the sum: the grid's step is 3, the bulk sits between 0 and 3."""
    values = np.append(np.linspace(0.24, 0.26, 3999), 3000.0)
    assert kde_sigma(values, 2.0, free_radius=True) == Undefined("mp_fit_failed")


@pytest.mark.parametrize("count", [1, 16, 37, 1000])
def test_the_compiled_residual_agrees_with_its_definition(count):
    x = np.linspace(0.0, 5.0, count)
    weight, y = np.random.default_rng(count).uniform(0.1, 1.0, (2, count))
    law = 0.3 * weight * np.sqrt(np.maximum((4.0 - x) * (x - 0.5), 0.0))
    assert _native.density_residual(x, weight, y, 0.5, 4.0, 0.3) == pytest.approx(np.square(law - y).sum(), rel=1e-14)


def test_the_compiled_residual_wants_one_weight_and_one_value_a_point():
    for sizes in ((4, 3, 4), (4, 4, 5)):
        with pytest.raises(ValueError, match="one weight"):
            _native.density_residual(*(np.ones(n) for n in sizes), 0.0, 1.0, 1.0)


@given(st.floats(-3.0, 3.0), st.floats(-3.0, 3.0), st.integers(1, 4))
def test_the_simplex_search_takes_the_steps_of_the_usual_one(start, target, power):
    def f(x: float) -> float:
        return abs(x - target) ** power + 0.1 * np.sin(5.0 * x)

    usual = float(fmin(lambda p: f(float(p[0])), start, disp=False)[0])
    assert simplex_minimum(f, start) == pytest.approx(usual, abs=1e-12)
