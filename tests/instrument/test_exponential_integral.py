from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import exp1, expn, gammaincc

from tollens.instrument.exponential_integral import tilted

ARGUMENTS = [1e-8, 1e-3, 0.1, 1.0, 5.0, 50.0, 500.0]


def integral(a: float, b: float) -> float:
    return math.exp(tilted(a, b).log_norm)


@pytest.mark.parametrize(("order", "expected"), [(1.0, 0.219383934395520273677), (2.0, 0.148495506775922047918)])
def test_tabulated_values(order: float, expected: float) -> None:
    """E_1(1) and E_2(1) = 1/e - E_1(1), Abramowitz and Stegun, table 5.1."""
    assert integral(order, 1.0) == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize("b", ARGUMENTS)
def test_orders_with_a_closed_form(b: float) -> None:
    assert integral(0.0, b) == pytest.approx(math.exp(-b) / b, rel=1e-13)
    assert integral(0.5, b) == pytest.approx(math.sqrt(math.pi / b) * math.erfc(math.sqrt(b)), rel=1e-13)
    assert integral(-1.0, b) == pytest.approx(math.exp(-b) * (1.0 + b) / b**2, rel=1e-13)
    assert integral(1.0, b) == pytest.approx(float(exp1(b)), rel=1e-13)
    assert integral(3.0, b) == pytest.approx(float(expn(3, b)), rel=1e-13)
    upper = float(gammaincc(3.5, b)) * math.gamma(3.5)  # E_a(b) = b^(a-1) Gamma(1 - a, b)
    assert integral(-2.5, b) == pytest.approx(upper * b**-3.5, rel=1e-12)


@given(st.floats(-20.0, 20.0), st.floats(1e-6, 30.0))
def test_recurrence_of_the_order(a: float, b: float) -> None:
    """a E_{a+1}(b) + b E_a(b) = e^-b for every real a (NIST DLMF 8.19.12)."""
    terms = (a * integral(a + 1.0, b), b * integral(a, b))
    assert sum(terms) == pytest.approx(math.exp(-b), abs=1e-12 * max(map(abs, terms)))


@pytest.mark.parametrize(("a", "b"), [(2.37, 0.01), (0.4, 0.3), (-3.3, 2.0), (30.5, 0.7)])
def test_moments_by_adaptive_quadrature(a: float, b: float) -> None:
    def density(y: float) -> float:
        return math.exp(-a * math.log(y) - b * y)

    def moment(f: object) -> float:
        assert callable(f)
        cut = 1.0 + 60.0 / b
        parts = [
            quad(lambda y: f(y) * density(y), lo, hi, epsabs=0.0, epsrel=1e-12, limit=400)[0]
            for lo, hi in ((1.0, 2.0), (2.0, 20.0), (20.0, cut))
        ]
        return math.fsum(parts)

    law = tilted(a, b)
    norm = moment(lambda y: 1.0)
    mean_log = moment(math.log) / norm
    assert math.exp(law.log_norm) == pytest.approx(norm, rel=1e-10)
    assert law.mean_log == pytest.approx(mean_log, rel=1e-10)
    assert law.mean == pytest.approx(moment(lambda y: y) / norm, rel=1e-10)
    variance = moment(lambda y: (math.log(y) - mean_log) ** 2) / norm
    assert law.variance_log == pytest.approx(variance, rel=1e-9)


def test_small_argument_approaches_the_power_law() -> None:
    """E_a(0) = 1/(a - 1), E[ln y] = 1/(a - 1), E[y] = (a - 1)/(a - 2) for a > 2."""
    law = tilted(3.5, 1e-13)
    assert math.exp(law.log_norm) == pytest.approx(0.4, rel=1e-11)
    assert law.mean_log == pytest.approx(0.4, rel=1e-11)
    assert law.mean == pytest.approx(2.5 / 1.5, rel=1e-9)


@pytest.mark.parametrize("b", [0.0, -1.0, math.nan])
def test_argument_must_be_positive(b: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        tilted(2.0, b)
