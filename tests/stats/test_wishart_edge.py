from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import chi2

from tollens.stats import wishart_edge
from tollens.stats.tracy_widom import centre, scale, upper_quantile
from tollens.stats.wishart_edge import laguerre_functions, largest_root_sf, largest_share_sf


@pytest.mark.parametrize("N", [1, 5, 300, 100_000])
@pytest.mark.parametrize("level", [0.9, 0.01, 1e-6, 1e-12])
def test_a_single_row_is_chi_squared(N: int, level: float) -> None:
    """M = 1: lambda is a sum of N squared standard Gaussians."""
    assert largest_root_sf(chi2.isf(level, N), 1, N) == pytest.approx(level, rel=1e-9)


@pytest.mark.parametrize("x", [1.0, 4.0, 20.0])
def test_two_by_two_in_closed_form(x: float) -> None:
    """M = N = 2: the density on l1 > l2 is exp(-(l1 + l2)/2)(l1 - l2)/(4 sqrt(l1 l2)). In s = sqrt(l) it is
    exp(-(s1^2 + s2^2)/2)(s1^2 - s2^2) on s1 > s2 > 0, whose integral is 2 * 1/2 = 1 in polar coordinates."""
    nodes, weights = np.polynomial.legendre.leggauss(80)
    top = math.sqrt(x)
    s1 = top * (nodes + 1) / 2
    w1 = top * weights / 2
    inner = [np.sum(s * weights / 2 * _density(s, s * (nodes + 1) / 2)) for s in s1]
    assert largest_root_sf(x, 2, 2) == pytest.approx(1.0 - float(np.dot(w1, inner)), abs=1e-12)


def _density(s1: float, s2: np.ndarray) -> np.ndarray:
    return np.exp(-(s1 * s1 + s2 * s2) / 2) * (s1 * s1 - s2 * s2)


def test_two_rows_share_in_closed_form() -> None:
    """M = 2, r = (l1 - l2)/(l1 + l2): l1*l2 = T^2(1 - r^2)/4 and l1 - l2 = rT, so the density of r given T is
    proportional to r(1 - r^2)^((N-3)/2), so P(r > r0) = (1 - r0^2)^((N-1)/2). The statistic is N*(1 + r)."""
    N = 200
    for r0 in (0.1, 0.15, 0.25, 0.35):  # 0.37 down to 2e-6
        assert largest_share_sf(N * (1 + r0), 2, N) == pytest.approx((1 - r0 * r0) ** ((N - 1) / 2), rel=5e-4)


def test_the_basis_is_orthonormal() -> None:
    """int h_j h_k 2s ds = delta_jk, by the substitution t = s^2 in the Laguerre orthogonality relation."""
    nodes, weights = np.polynomial.legendre.leggauss(400)
    for a in (0, 7, 500):
        low, high = max(0.0, math.sqrt(a) - 9), math.sqrt(a) + 16
        s = low + (high - low) * (nodes + 1) / 2
        h = laguerre_functions(s, 12, a)
        product = (h * (weights * (high - low) / 2 * 2 * s)) @ h.T
        assert product == pytest.approx(np.eye(12), abs=1e-12)


@pytest.mark.parametrize(("M", "N"), [(5, 20), (8, 30), (49, 60)])
def test_survival_functions_fall_from_one_to_zero(M: int, N: int) -> None:
    x = np.linspace(0.2, 3.0, 25) * centre(M, N)
    values = [largest_root_sf(v, M, N) for v in x]
    assert values[0] == pytest.approx(1.0, abs=1e-6)
    assert all(a >= b for a, b in pairwise(values))
    assert values[-1] < 1e-5
    assert largest_root_sf(0.0, M, N) == 1.0
    assert largest_root_sf(1e9, M, N) == 0.0
    assert largest_share_sf(float(M * N), M, N) == 0.0


def test_an_estimated_variance_narrows_the_law() -> None:
    x = centre(20, 300) + upper_quantile(0.01) * scale(20, 300)
    assert largest_root_sf(x, 20, 300) == pytest.approx(0.0097, abs=1e-4)
    assert largest_share_sf(x, 20, 300) == pytest.approx(0.0054, abs=1e-4)


def test_the_asymptotic_level_at_200_is_what_simulations_find() -> None:
    """Rates of 0.008 to 0.009 at nominal 0.01 come from the estimated variance, not from the quantile."""
    for M, N in ((200, 200), (100, 400)):
        x = centre(M, N) + upper_quantile(0.01) * scale(M, N)
        assert 0.0078 < largest_share_sf(x, M, N) < 0.009
        assert largest_root_sf(x, M, N) == pytest.approx(0.01, rel=0.02)


def test_impossible_shapes_are_refused() -> None:
    for M, N in ((0, 3), (4, 3)):
        with pytest.raises(ValueError, match="M <= N"):
            largest_root_sf(1.0, M, N)
        with pytest.raises(ValueError, match="M <= N"):
            largest_share_sf(1.0, M, N)


def test_the_line_integral_has_converged(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [(8, 60, 4.0), (20, 300, 6.0), (49, 2000, 8.0)]
    coarse = [largest_share_sf(centre(M, N) + q * scale(M, N), M, N) for M, N, q in points]
    monkeypatch.setattr(wishart_edge, "_LINE_STEP", 0.2)
    monkeypatch.setattr(wishart_edge, "_LINE_NODES", 50)
    fine = [largest_share_sf(centre(M, N) + q * scale(M, N), M, N) for M, N, q in points]
    assert coarse == pytest.approx(fine, rel=1e-4)
