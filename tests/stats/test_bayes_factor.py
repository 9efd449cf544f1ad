from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import ndtr

from tollens.core.errors import TollensError
from tollens.stats.bayes_factor import (
    SCALES,
    _log_integral,
    binomial_bayes_factor,
    binomial_log_bf10,
    jzs_bayes_factor,
    jzs_log_bf10,
)


@pytest.mark.parametrize(
    ("t", "n1", "n2", "expected"),
    [(3.5, 20, 20, 26.7435), (3.5, 20, None, 17.18462), (0.0, 20, 20, 0.308794)],
)
def test_published_jzs_factors(t: float, n1: int, n2: int | None, expected: float) -> None:
    result = jzs_bayes_factor(t, n1, n2)
    assert result.bf10 == pytest.approx(expected, rel=1e-5)
    assert result.n == n1 + (n2 or 0)
    assert "0.7071" in result.rule


@pytest.mark.parametrize(("t", "n1", "n2", "r"), [(2.2, 12, 30, 0.5), (-1.0, 4, 3, 1.0), (6.0, 50, 50, 0.2)])
def test_the_factor_is_the_mean_likelihood_ratio_over_a_cauchy_effect(t: float, n1: int, n2: int, r: float) -> None:
    """Without g: BF10 is the noncentral t density averaged over a Cauchy(0, r) effect, divided by the central one."""
    from scipy.stats import cauchy, nct
    from scipy.stats import t as central

    root, nu = math.sqrt(n1 * n2 / (n1 + n2)), n1 + n2 - 2
    marginal = quad(lambda d: nct.pdf(t, nu, d * root) * cauchy.pdf(d, 0, r), -4, 4, points=[t / root], limit=200)[0]
    outside = quad(lambda d: nct.pdf(t, nu, d * root) * cauchy.pdf(d, 0, r), 4, 9)[0]
    expected = (marginal + outside) / central.pdf(t, nu)
    assert math.exp(jzs_log_bf10(t, n1, n2, r=r)) == pytest.approx(expected, rel=2e-3)


def test_a_closed_form_at_t_zero() -> None:
    """With N r^2 = 1 and v = sqrt(1 + 1/g): 2 sqrt(e) (1 - Phi(1))."""
    assert jzs_log_bf10(0.0, 100, r=0.1) == pytest.approx(math.log(2 * math.sqrt(math.e) * ndtr(-1.0)), abs=1e-12)


@given(st.floats(0, 40), st.integers(2, 5000), st.floats(1e-4, 1e4))
@settings(max_examples=60, deadline=None)
def test_evidence_grows_with_t_and_ignores_its_sign(t: float, n: int, r: float) -> None:
    value = jzs_log_bf10(t, n, r=r)
    assert value == jzs_log_bf10(-t, n, r=r)
    assert jzs_log_bf10(t + 0.1, n, r=r) > value


@pytest.mark.parametrize("r", [1e-12, 1e-3, 1e3, 1e9])
@pytest.mark.parametrize("t", [0.0, 1e-9, 1e3, 1e8])
def test_the_integral_converges_far_from_ordinary_input(t: float, r: float) -> None:
    """Half the step and a wider range change nothing."""
    value = jzs_log_bf10(t, 3, 4, r=r)
    size, nu = 12 / 7, 5
    u = np.linspace(-20.0, 45.0 + math.log1p(t * t) + max(0.0, -math.log(size * r * r)), 40_001)
    with np.errstate(over="ignore", under="ignore"):
        spread = np.log1p(size * r * r * np.exp(u))
        log = -3.0 * np.log1p(t * t / nu * np.exp(-spread)) - 0.5 * (spread + u + np.exp(-u) + math.log(2 * math.pi))
        total = math.log(np.exp(log - log.max()).sum() * (u[1] - u[0])) + log.max()
    assert value == pytest.approx(total + 3.0 * math.log1p(t * t / nu), abs=1e-8)


def test_a_tiny_prior_scale_is_the_null_itself() -> None:
    assert jzs_log_bf10(3.0, 20, r=1e-9) == pytest.approx(0.0, abs=1e-6)


def test_the_scan_of_the_prior_scale_stands_in_the_answer() -> None:
    result = jzs_bayes_factor(3.5, 20, 20, r=0.3)
    scan = next(a for a in result.assumptions if "scan" in a)
    for r in SCALES:
        assert f"r = {r:.4g}: ln BF10 = {jzs_log_bf10(3.5, 20, 20, r=r):.6g}" in scan
    assert "does not control the type-I error" in result.guarantee


def test_a_factor_beyond_a_double_is_given_by_its_logarithm() -> None:
    result = jzs_bayes_factor(60.0, 5000, 5000)
    assert result.bf10 is None
    assert result.estimate is not None
    assert result.estimate > 710.0


@pytest.mark.parametrize(("n1", "n2"), [(1, None), (1, 1)])
def test_no_degrees_of_freedom_are_refused(n1: int, n2: int | None) -> None:
    with pytest.raises(TollensError) as caught:
        jzs_log_bf10(1.0, n1, n2)
    assert caught.value.code == "stats_input"
    assert "degrees of freedom" in caught.value.subject


@pytest.mark.parametrize("r", [0.0, -1.0, math.nan, math.inf])
def test_a_prior_scale_that_is_not_positive_is_refused(r: float) -> None:
    with pytest.raises(TollensError) as caught:
        jzs_log_bf10(1.0, 10, r=r)
    assert caught.value.code == "stats_input"


@pytest.mark.parametrize("t", [math.nan, math.inf])
def test_a_statistic_that_is_not_finite_is_refused(t: float) -> None:
    with pytest.raises(TollensError) as caught:
        jzs_log_bf10(t, 10)
    assert caught.value.code == "stats_input"


def test_the_quadrature_guard_sees_a_needle_and_a_cut_end() -> None:
    """A peak of width 1e-6 is missed by every step; a Gaussian cut at 4.6, where every step agrees, lacks 4e-6."""
    for bad, end in ((lambda u: -0.5 * ((u - 0.123456) / 1e-6) ** 2, 10.0), (lambda u: -0.5 * u * u, 4.6)):
        with pytest.raises(TollensError) as caught:
            _log_integral(bad, -end, end)
        assert caught.value.code == "stats_imprecise"
    assert _log_integral(lambda u: -0.5 * u * u, -10.0, 10.0) == pytest.approx(0.5 * math.log(2 * math.pi), abs=1e-12)


def test_binomial_factors_are_exact_fractions() -> None:
    result = binomial_bayes_factor(115, 200)
    assert result.bf10 == pytest.approx(0.8353281, abs=1e-7)
    assert result.bf10 == pytest.approx(2**200 / (201 * math.comb(200, 115)), rel=1e-12)
    assert math.exp(binomial_log_bf10(10, 10)) == pytest.approx(1024 / 11, rel=1e-12)


@given(st.integers(1, 300), st.floats(0.01, 0.99))
def test_the_binomial_factor_averages_to_one_under_the_null(n: int, p0: float) -> None:
    """sum over k of P(k | p0) BF10(k) = 1: the factor is a ratio of probabilities of k."""
    k = range(n + 1)
    logs = [math.log(math.comb(n, i)) + i * math.log(p0) + (n - i) * math.log1p(-p0) for i in k]
    assert math.fsum(math.exp(log + binomial_log_bf10(i, n, p0)) for i, log in zip(k, logs, strict=True)) == (
        pytest.approx(1.0, abs=1e-9)
    )


@pytest.mark.parametrize(("k", "n", "p0"), [(-1, 5, 0.5), (6, 5, 0.5), (1, 5, 0.0), (1, 5, 1.0), (1, 5, math.nan)])
def test_counts_and_points_outside_their_range_are_refused(k: int, n: int, p0: float) -> None:
    with pytest.raises(TollensError) as caught:
        binomial_bayes_factor(k, n, p0)
    assert caught.value.code == "stats_input"
