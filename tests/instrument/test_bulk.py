from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import minimize_scalar

from tollens.core.native import _native
from tollens.core.reading import Status, Undefined
from tollens.instrument import bulk as module
from tollens.instrument.bulk import (
    BulkParams,
    bulk,
    bulk_of,
    fit_cdf,
    fitted_distance,
    mp_cdf,
    mp_density,
    mp_distance,
    mp_edge,
    mp_median,
    mp_quantile,
    mp_support,
    sigma2_kde,
    sigma2_median,
)
from tollens.instrument.null import bidiagonal_spectrum
from tollens.instrument.part import Moments, Part
from tollens.instrument.spectrum import Spectrum, spectrum_of

ASPECTS = (1.0, 0.5, 0.25, 0.01)


def spectrum(matrix: np.ndarray, precision: str = "f64") -> Spectrum:
    dtype = np.float64 if precision == "f64" else np.float32
    return spectrum_of(np.array(matrix, dtype=dtype, order="C"), precision)


def part(matrix: np.ndarray) -> Part:
    deviation = matrix - matrix.mean()
    moments = Moments(
        matrix.size,
        float(matrix.mean()),
        float(matrix.std()),
        float(np.abs(deviation).max()),
        3.0,
        int(np.count_nonzero(matrix)),
    )
    return Part("w", matrix.shape, "F64", lambda: matrix.copy(), moments, spectrum(matrix))


def gaussian(M: int, N: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((M, N))


def with_spikes(matrix: np.ndarray, thetas: list[float], seed: int = 1) -> np.ndarray:
    """Planted orthogonal rank-one parts of strength theta sqrt(N), all far above the detection threshold."""
    M, N = matrix.shape
    rng = np.random.default_rng(seed)
    u = np.linalg.qr(rng.standard_normal((M, len(thetas))))[0]
    v = np.linalg.qr(rng.standard_normal((N, len(thetas))))[0]
    return matrix + np.sqrt(N) * (u * thetas) @ v.T


@pytest.mark.parametrize(("c", "median"), [(1.0, 0.652776), (0.5, 0.830466), (0.25, 0.916004)])
def test_median_of_the_law(c, median):
    assert mp_median(c) == pytest.approx(median, abs=1e-5)


@pytest.mark.parametrize("c", ASPECTS)
def test_cdf_is_the_integral_of_the_density(c):
    low, high = mp_support(c)
    for x in np.linspace(low, high, 6)[1:-1]:
        area = quad(lambda t: float(mp_density(t * t, c)) * 2 * t, np.sqrt(low), np.sqrt(x), epsabs=1e-11)[0]
        assert float(mp_cdf(x, c)) == pytest.approx(area, abs=1e-9)


@pytest.mark.parametrize("c", ASPECTS)
def test_cdf_runs_from_zero_to_one_and_stays_there(c):
    low, high = mp_support(c)
    at = mp_cdf(np.array([-1.0, low, high, high + 1.0]), c)
    assert at == pytest.approx([0.0, 0.0, 1.0, 1.0], abs=1e-13)
    inside = mp_cdf(np.linspace(low, high, 1001), c)
    assert np.all(np.diff(inside) >= 0.0)


@pytest.mark.parametrize("c", ASPECTS)
def test_quantile_inverts_the_cdf(c):
    share = np.linspace(0.001, 0.999, 101)
    assert mp_cdf(mp_quantile(share, c), c) == pytest.approx(share, abs=1e-13 / c)


@pytest.mark.parametrize("c", ASPECTS)
def test_density_has_unit_mean(c):
    """E lambda/(N sigma^2) = 1, because the trace of the Gram matrix is the sum of N M squared elements."""
    low, high = mp_support(c)
    mean = quad(lambda t: t * t * float(mp_density(t * t, c)) * 2 * t, np.sqrt(low), np.sqrt(high))[0]
    assert mean == pytest.approx(1.0, abs=1e-6)


def test_square_case_is_the_quarter_circle_of_singular_values():
    """With s = sqrt(x), the law of s is sqrt(4 - s^2)/pi; its CDF is [s sqrt(4-s^2) + 4 asin(s/2)]/(2 pi)."""
    s = np.linspace(0.01, 1.99, 50)
    quarter = (s * np.sqrt(4 - s * s) + 4 * np.arcsin(s / 2)) / (2 * np.pi)
    assert mp_cdf(s * s, 1.0) == pytest.approx(quarter, abs=1e-14)


@pytest.mark.parametrize("estimate", ["median", "cdf", "kde"])
@pytest.mark.parametrize("shape", [(1024, 1024), (512, 1024)])
def test_variance_of_gaussian_elements_is_recovered(shape, estimate):
    matrix = 0.02 * gaussian(*shape)
    found = bulk_of(spectrum(matrix))
    smoothing = 0.01 if estimate == "kde" else 0.0  # a kernel of width 0.1 blurs the edges outwards
    assert found.estimates[estimate] == pytest.approx(0.02**2, rel=0.01 + smoothing)
    assert found.flags == ()
    assert found.edge == pytest.approx(found.sigma2 * (np.sqrt(shape[1]) + np.sqrt(shape[0])) ** 2)


@pytest.mark.parametrize("shape", [(1024, 1024), (256, 1024), (64, 64)])
def test_five_spikes_do_not_move_the_variance(shape):
    """Compared with the same noise without spikes; at 64 x 64 five of 64 directions are gone, hence 5 %."""
    noise = gaussian(*shape, seed=6)
    planted = with_spikes(noise, [2.0, 3.0, 4.0, 5.0, 6.0])
    clean, spiked = bulk_of(spectrum(noise)), bulk_of(spectrum(planted))
    assert spiked.outliers == clean.outliers + 5
    assert spiked.sigma2 == pytest.approx(clean.sigma2, rel=0.002 if shape[0] > 64 else 0.05)
    if shape[0] == 1024:
        assert spiked.sigma2 == pytest.approx(1.0, rel=0.01)


def test_without_removing_the_spikes_the_variance_would_be_off():
    """The guard is needed: 100 spikes shift every quantile of the rest."""
    planted = spectrum(with_spikes(gaussian(512, 512), list(np.linspace(3, 6, 100))))
    kept = BulkParams(rounds=0)
    assert abs(fit_cdf(planted.eigenvalues, 512, 512, params=kept).sigma2 - 1.0) > 0.1
    assert fit_cdf(planted.eigenvalues, 512, 512).sigma2 == pytest.approx(1.0, rel=0.02)


def test_square_fit_has_a_free_radius():
    """The same circle twice as wide must give four times the variance; a fixed radius cannot see it."""
    values = spectrum(gaussian(300, 300)).eigenvalues
    for estimate in (lambda v: fit_cdf(v, 300, 300).sigma2, lambda v: sigma2_kde(v, 300, 300)):
        assert estimate(4.0 * values) == pytest.approx(4.0 * estimate(values), rel=1e-9)
        assert estimate(values) == pytest.approx(1.0, rel=0.02)


def test_estimates_of_heavy_tailed_elements_disagree_and_say_so():
    matrix = np.random.default_rng(2).standard_t(1.5, (200, 400))
    found = bulk_of(spectrum(matrix))
    assert set(found.estimates) == {"median", "cdf", "kde"}
    assert found.flags == ("estimators_disagree",)


def test_distance_of_mid_quantiles_is_half_a_step():
    part_ = module._uniform_bulk(128, 256)
    assert mp_distance(part_.spectrum.eigenvalues, 128, 256, 1.0) == pytest.approx(0.5 / 128, abs=1e-9)


def test_distance_sees_a_bulk_of_another_shape_and_not_the_noise():
    """Uniform eigenvalues are 0.2 away from the law; those of a Gaussian matrix stay within 0.01."""
    noise = spectrum(gaussian(512, 1024)).eigenvalues
    assert mp_distance(noise, 512, 1024, 1.0) < 0.01
    uniform = np.linspace(0.0, mp_edge(1.0, 512, 1024), 512)
    assert mp_distance(uniform, 512, 1024, 1.0) > 0.1


def test_a_null_draw_is_fitted_like_the_matrix_it_is_compared_with():
    """Over 40 draws the distance to the true law is larger in the median than to the fitted one."""
    rng = np.random.default_rng(7)
    draws = [np.sort(np.linalg.svd(rng.standard_normal((64, 64)), compute_uv=False) ** 2) for _ in range(40)]
    known = np.median([mp_distance(values, 64, 64, 1.0) for values in draws])
    fitted = np.median([fitted_distance(values, 64, 64) for values in draws])
    assert 0.7 * known < fitted < known
    assert fitted_distance(draws[0], 64, 64) == bulk_of(Spectrum(draws[0], 64, 64, 0.0, "f64")).distance


def least_squares(y: np.ndarray, share: np.ndarray, c: float, sigma2: float) -> float:
    """The fit of `mp_fit` by the definition: numpy's arctan2, sums over the whole array."""

    def residual(scale: float) -> np.ndarray:
        return share - mp_cdf(y / scale, c)

    r = residual(sigma2)
    for _ in range(30):
        slope = mp_density(y / sigma2, c) * y / sigma2
        if not slope.any():
            break
        step = max(-1.0, min(1.0, -float(slope @ r) / float(slope @ slope)))
        while abs(step) > 1e-13:
            trial = residual(sigma2 * math.exp(step))
            if abs(step) < 1e-6 or trial @ trial <= r @ r:
                sigma2, r = sigma2 * math.exp(step), trial
                break
            step *= 0.5
        if abs(step) < 1e-10:
            break
    return sigma2


@pytest.mark.parametrize("shape", [(2, 2), (9, 9), (20, 21), (384, 384), (384, 30522), (300, 500)])
@pytest.mark.parametrize("start", [0.1, 0.9, 1.2, 1e6])
def test_the_compiled_fit_agrees_with_its_definition(shape, start):
    """From starts near and far; at a start of a million no point lies on the law and the start is returned."""
    M, N = shape
    values = bidiagonal_spectrum(M, N, np.random.default_rng(8))
    first, last = M // 10, max(M * 4 // 5, 1)
    found = _native.mp_fit(values[first:last], first, M, N, start)
    expected = least_squares(values[first:last] / N, (np.arange(first, last) + 0.5) / M, M / N, start)
    assert found == pytest.approx(expected, rel=1e-12)


def test_the_minimum_is_the_one_of_a_general_search():
    values = bidiagonal_spectrum(200, 300, np.random.default_rng(9))
    share = (np.arange(20, 160) + 0.5) / 200
    found = _native.mp_fit(values[20:160], 20, 200, 300, 0.8)
    usual = minimize_scalar(
        lambda t: np.square(share - mp_cdf(values[20:160] / 300 / math.exp(t), 200 / 300)).sum(), (-0.1, 0.1), tol=1e-9
    )
    assert math.log(found) == pytest.approx(usual.x, abs=1e-7)


@pytest.mark.parametrize("shape", [(1, 1), (9, 9), (20, 21), (384, 30522), (300, 500)])
def test_the_compiled_distance_agrees_with_its_definition(shape):
    """Two points beyond the law on either side are among them."""
    M, N = shape
    values = N * np.linspace(0.5 * mp_support(M / N)[0], 1.1 * mp_support(M / N)[1], M)
    model, steps = mp_cdf(values / (1.01 * N), M / N), np.arange(M + 1) / M
    expected = max(np.max(steps[1:] - model), np.max(model - steps[:-1]))
    assert _native.mp_distance(values, N, 1.01) == pytest.approx(expected, abs=1e-15 * N / M + 1e-15)


def test_distance_is_cheap_enough_for_forty_null_draws():
    import time

    values = np.sort(np.random.default_rng(0).exponential(size=4096)) * 4096
    seconds = []
    for _ in range(5):
        start = time.process_time()
        mp_distance(values, 4096, 4096, 1.0)
        seconds.append(time.process_time() - start)
    assert 40 * min(seconds) < 0.1


@given(st.integers(-30, 30), st.integers(0, 2**32 - 1))
def test_scaling_scales_variance_and_edge_and_keeps_the_distance(power, seed):
    values = np.sort(np.linalg.svd(gaussian(30, 45, seed), compute_uv=False) ** 2)
    a = 4.0**power
    one = bulk_of(Spectrum(values, 30, 45, 0.0, "f64"))
    other = bulk_of(Spectrum(values * a, 30, 45, 0.0, "f64"))
    assert other.sigma2 == pytest.approx(a * one.sigma2, rel=1e-9)
    assert other.edge == pytest.approx(a * one.edge, rel=1e-9)
    assert other.distance == pytest.approx(one.distance, abs=1e-9)


def test_transposition_and_permutation_change_nothing():
    matrix = gaussian(60, 90)
    rng = np.random.default_rng(1)
    one = bulk_of(spectrum(matrix))
    for other in (matrix.T, matrix[rng.permutation(60)][:, rng.permutation(90)]):
        assert bulk_of(spectrum(other)).sigma2 == pytest.approx(one.sigma2, rel=1e-9)


@pytest.mark.parametrize(
    ("matrix", "reason"),
    [
        (np.zeros((20, 20)), "zero_matrix"),
        (np.full((20, 30), 3.0), "no_variance"),
        (np.full((20, 30), 0.1), "no_variance"),
        (gaussian(7, 100), "too_small"),
        (np.full((1, 9), 2.0), "too_small"),
        (gaussian(40, 5) @ gaussian(5, 60), "bulk_below_floor"),
    ],
)
def test_where_there_is_no_bulk_every_quantity_says_why(matrix, reason):
    readings = bulk.measure(part(matrix))
    assert {r.quantity for r in readings} == {"mp_sigma2", "mp_sigma2_estimates", "mp_edge", "mp_distance"}
    assert {(r.status, r.reason) for r in readings} == {(Status.UNDEFINED, reason)}


def test_the_part_below_the_floor_is_not_fitted():
    """A third of the eigenvalues replaced by rounding noise: ranks are kept, so sigma^2 barely moves."""
    values = np.sort(np.linalg.svd(gaussian(300, 300), compute_uv=False) ** 2)
    blinded = values.copy()
    floor = float(values[60])
    blinded[:60] = np.linspace(0.0, floor / 2, 60)
    seen = fit_cdf(values, 300, 300).sigma2
    assert fit_cdf(blinded, 300, 300, floor).sigma2 == pytest.approx(seen, rel=0.02)
    assert sigma2_median(blinded, 300, 300, float(values[200])) == Undefined("bulk_below_floor")


def test_f32_and_f64_agree():
    matrix = gaussian(256, 384).astype(np.float32)
    one, other = (bulk_of(spectrum(matrix, precision)).sigma2 for precision in ("f32", "f64"))
    assert one == pytest.approx(other, rel=1e-4)


@pytest.mark.parametrize("known", bulk.known_answers, ids=lambda k: k.quantity)
def test_known_answers_of_the_instrument(known):
    values = {r.quantity: r.value for r in bulk.measure(known.part())}
    assert values[known.quantity] == pytest.approx(known.value, abs=known.tolerance)


@pytest.mark.slow
def test_the_three_estimates_are_unbiased_on_gaussian_matrices():
    """100 draws at 128 x 256: each mean within four standard errors and 2 % of 1."""
    rng = np.random.default_rng(5)
    found = [bulk_of(spectrum(rng.standard_normal((128, 256)))).estimates for _ in range(100)]
    for name in ("median", "cdf", "kde"):
        values = np.array([f[name] for f in found])
        assert abs(values.mean() - 1.0) < 0.02, (name, values.mean(), values.std())
