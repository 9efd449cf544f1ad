from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from tollens.instrument.null import bidiagonal_spectrum
from tollens.stats import tracy_widom
from tollens.stats.tracy_widom import (
    cdf,
    centre,
    edge_quantile,
    exact_upper_quantile,
    quantile,
    scale,
    sf,
    upper_quantile,
    upper_quantile_small,
)

# Published to four decimals (Johnstone 2001, Bornemann 2010).
QUANTILES = {0.90: 0.4501, 0.95: 0.9793, 0.99: 2.0234, 0.999: 3.2722, 0.9999: 4.3594}


@pytest.mark.parametrize(("p", "value"), QUANTILES.items())
def test_quantiles(p: float, value: float) -> None:
    assert quantile(p) == pytest.approx(value, abs=2e-4)


def test_mean_and_variance() -> None:
    """Integration by parts: mean = int_0^inf (1-F) - int_-inf^0 F, and the second moment with weights 2s."""
    nodes, weights = np.polynomial.legendre.leggauss(60)
    up, wu = 7.5 * (nodes + 1), 7.5 * weights
    down, wd = 6.0 * (nodes - 1), 6.0 * weights
    above = np.array([sf(s) for s in up])
    below = np.array([cdf(s) for s in down])
    mean = wu @ above - wd @ below
    second = 2 * (wu @ (up * above) - wd @ (down * below))
    assert mean == pytest.approx(-1.206534, abs=1e-5)
    assert second - mean**2 == pytest.approx(1.607780, abs=1e-5)


def test_cdf_and_sf_are_complementary_and_monotone() -> None:
    s = np.linspace(-11, 8, 40)
    F = np.array([cdf(v) for v in s])
    assert np.all(np.diff(F) >= 0)
    assert pytest.approx([1 - sf(v) for v in s], abs=1e-14) == F
    assert cdf(-50.0) == 0.0
    assert sf(-50.0) == 1.0


@pytest.mark.parametrize("level", [0.9, 0.5, 1e-2, 1e-6, 1e-9, 1e-12, 1e-25])
def test_upper_quantile_inverts_the_tail(level: float) -> None:
    assert sf(upper_quantile(level)) == pytest.approx(level, rel=1e-6)


def test_the_far_tail_is_the_leading_term() -> None:
    """1 - F_1(s) -> int_0^inf Ai(2x + s) dx = 1/2 int_s^inf Ai(t) dt, the trace of the kernel."""
    from scipy.special import airy

    nodes, weights = np.polynomial.legendre.leggauss(80)
    for s in (6.0, 10.0, 15.0):
        t = s + 6.0 * (nodes + 1)
        trace = float(6.0 * weights @ airy(t)[0]) / 2
        assert sf(s) == pytest.approx(trace, rel=10 * trace + 1e-10)


def test_the_quadrature_has_converged(monkeypatch: pytest.MonkeyPatch) -> None:
    points = (-8.0, -3.0, 0.0, 4.0, 12.0)
    before = [sf(s) for s in points] + [cdf(s) for s in points]
    monkeypatch.setattr(tracy_widom, "NODES", 110)
    tracy_widom._legendre.cache_clear()
    tracy_widom._log_cdf.cache_clear()
    after = [sf(s) for s in points] + [cdf(s) for s in points]
    tracy_widom._legendre.cache_clear()
    tracy_widom._log_cdf.cache_clear()
    assert before == pytest.approx(after, rel=1e-9, abs=1e-14)


@pytest.mark.parametrize("p", [0.0, 1.0, -0.1, 1.5, float("nan")])
def test_a_probability_is_needed(p: float) -> None:
    with pytest.raises(ValueError, match="probability"):
        quantile(p)


def test_a_level_out_of_reach_is_refused() -> None:
    with pytest.raises(ValueError, match="level"):
        upper_quantile(1e-40)
    with pytest.raises(ValueError, match="level"):
        upper_quantile_small(1e-13, 10, 20)


def test_lower_quantiles() -> None:
    for p in (1e-6, 0.05, 0.5):
        assert cdf(quantile(p)) == pytest.approx(p, rel=1e-6)


def test_edge_quantile_switches_at_the_small_side() -> None:
    assert edge_quantile(0.01, 50, 60) == upper_quantile(0.01)
    assert edge_quantile(0.01, 20, 300) == upper_quantile_small(0.01, 20, 300)
    assert edge_quantile(0.01, 20, 300) < upper_quantile(0.01)


def test_known_variance_approaches_the_limit_law() -> None:
    """Ma's constants make the error of order min(M, N)^(-2/3)."""
    gaps = [abs(upper_quantile_small(0.01, M, 4 * M, known_variance=True) - 2.0234) for M in (8, 20, 45)]
    assert gaps[0] < 0.1
    assert gaps[2] < 0.03


def test_single_rows_and_tiny_matrices_have_a_quantile() -> None:
    from scipy.stats import chi2

    q = upper_quantile_small(0.01, 1, 100)
    assert centre(1, 100) + q * scale(1, 100) == pytest.approx(chi2.isf(0.01, 100), rel=1e-5)
    assert upper_quantile_small(0.01, 2, 3) > 0.0


def exceedances(M: int, N: int, level: float, trials: int, rng: np.random.Generator) -> int:
    """Gaussian matrices whose top eigenvalue, in units of their own element variance, is above the edge."""
    limit = centre(M, N) + edge_quantile(level, M, N) * scale(M, N)
    count = 0
    for _ in range(trials):
        x = bidiagonal_spectrum(M, N, rng)
        count += x[-1] * M * N / x.sum() > limit
    return count


def within(count: int, trials: int, level: float, errors: float) -> bool:
    return abs(count - trials * level) <= errors * (trials * level * (1 - level)) ** 0.5


def test_level_of_a_small_shape() -> None:
    assert within(exceedances(8, 24, 0.05, 4000, np.random.default_rng(11)), 4000, 0.05, 3.0)


@pytest.mark.slow
@pytest.mark.parametrize(("M", "N"), [(20, 300), (8, 8), (49, 49), (10, 2000)])
def test_nominal_level_is_met_below_fifty(M: int, N: int) -> None:
    trials = 40_000
    assert within(exceedances(M, N, 0.01, trials, np.random.default_rng(M * N)), trials, 0.01, 3.0)


@pytest.mark.slow
@pytest.mark.parametrize(("M", "N"), [(200, 200), (100, 400)])
def test_the_asymptotic_edge_is_slightly_conservative(M: int, N: int) -> None:
    """Exact laws give 0.0082 and 0.0080 (see the finite law); the nominal level is 0.01."""
    trials = 10_000
    count = exceedances(M, N, 0.01, trials, np.random.default_rng(M + N))
    assert within(count, trials, 0.0081, 2.0)


def test_import_is_cheap() -> None:
    code = "import sys, tollens.stats.tracy_widom; print([m for m in sys.modules if m.startswith('scipy')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("level", [1e-12, 1.1e-12, 1e-10, 3e-7, 1e-5, 2e-4, 1e-3, 0.01, 0.03, 0.05])
def test_the_series_agrees_with_the_exact_law(level: float) -> None:
    assert upper_quantile(level) == pytest.approx(exact_upper_quantile(level), abs=1e-7)


def test_a_scan_quantile_needs_no_special_functions() -> None:
    code = (
        "import sys; from tollens.stats.tracy_widom import upper_quantile as q; q(1e-4); print('scipy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
