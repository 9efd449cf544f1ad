from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_ndtr

from tollens.core.reading import Status
from tollens.instrument.alternatives import (
    Alternative,
    alternatives,
    compare,
    half_normal_moments,
    nested_on_boundary,
    vuong,
)
from tollens.instrument.exponential_integral import tilted
from tollens.instrument.spectrum import Spectrum
from tollens.instrument.tail import TailFit, pareto_part

RNG = np.random.default_rng(11)
PARETO = (1.0 - RNG.random(1000)) ** (-1.0 / 1.5)
EXPONENTIAL = 1.0 + RNG.exponential(1.0, 1000)
LOGNORMAL = np.exp(1.0 + RNG.standard_normal(3000))
CUT = (1.0 - RNG.random(8000)) ** (-1.0 / 0.8)
CUT = CUT[RNG.random(8000) < np.exp(-0.05 * (CUT - 1.0))]


def whole(values: np.ndarray) -> tuple[np.ndarray, TailFit]:
    """The sample from its smallest value >= 1 on, with the power law fitted to all of it."""
    x = np.sort(values[values >= 1.0])
    x = x / x[0]
    alpha = 1.0 + x.size / float(np.log(x).sum())
    return x, TailFit(alpha, (alpha - 1.0) / math.sqrt(x.size), 1.0, 0, x.size, 0.1)


def by_name(values: np.ndarray) -> dict[str, Alternative]:
    return {a.name: a for a in compare(*whole(values))}


@pytest.mark.parametrize(
    "values", [PARETO, EXPONENTIAL, LOGNORMAL, CUT], ids=["pareto", "exponential", "lognormal", "cut"]
)
def test_maxima_agree_with_a_general_minimiser(values: np.ndarray) -> None:
    """The lognormal with log-survival functions, the truncated law through E_a(b), both by simplex search."""
    x, fit = whole(values)
    t = np.log(x)
    plain = float(np.sum(math.log(fit.alpha - 1.0) - fit.alpha * t))

    def lognormal(p: np.ndarray) -> float:
        mu, s = p[0], math.exp(p[1])
        law = -t - p[1] - 0.5 * math.log(2.0 * math.pi) - (t - mu) ** 2 / (2.0 * s * s) - log_ndtr(mu / s)
        return -float(np.sum(law))

    def truncated(p: np.ndarray) -> float:
        b = math.exp(p[1])
        return float(p[0] * t.sum() + b * x.sum() + x.size * tilted(p[0], b).log_norm)

    found = by_name(values)
    options = {"xatol": 1e-8, "fatol": 1e-9, "maxiter": 4000}
    start = [float(t.mean()), math.log(float(t.std()))]
    lowest = minimize(lognormal, start, method="Nelder-Mead", options=options).fun
    assert found["lognormal"].log_ratio == pytest.approx(plain + lowest, abs=1e-4)
    lowest = minimize(truncated, [fit.alpha, -3.0], method="Nelder-Mead", options=options).fun
    assert found["truncated_power_law"].log_ratio == pytest.approx(plain + lowest, abs=1e-4)
    kappa = 1.0 / (x.mean() - 1.0)
    exponential = float(np.sum(math.log(kappa) - kappa * (x - 1.0)))
    assert found["exponential"].log_ratio == pytest.approx(plain - exponential, rel=1e-9)


def test_each_law_is_recognised() -> None:
    assert by_name(PARETO)["exponential"].preferred == "power_law"
    assert {by_name(PARETO)[n].preferred for n in ("lognormal", "truncated_power_law")} == {"undecided"}
    assert by_name(EXPONENTIAL)["exponential"].preferred == "exponential"
    lognormal = by_name(LOGNORMAL)["lognormal"]
    assert lognormal.preferred == "lognormal"
    assert lognormal.parameters["sigma"] == pytest.approx(1.0, abs=0.1)
    cut = by_name(CUT)["truncated_power_law"]
    assert cut.preferred == "truncated_power_law"
    assert cut.parameters["alpha"] == pytest.approx(1.8, abs=0.15)
    assert cut.parameters["kappa"] == pytest.approx(0.05, abs=0.015)


def test_boundary_solutions_are_the_power_law_itself() -> None:
    """A sample heavier than its power law: no cut-off and no curvature helps, both ratios are exactly 0."""
    t = np.concatenate([np.full(90, 0.05), np.full(10, 3.0)]) + 1e-3 * np.arange(100)
    found = by_name(np.exp(t))
    for name in ("lognormal", "truncated_power_law"):
        assert (found[name].log_ratio, found[name].p, found[name].preferred) == (0.0, 1.0, "undecided")


def test_unit_of_the_sample_cancels() -> None:
    x, fit = whole(PARETO)
    moved = dataclasses.replace(fit, xmin=fit.xmin * 2.0**40)
    assert compare(np.ldexp(x, 40), moved) == compare(x, fit)


def test_vuong_by_hand() -> None:
    """d = 1, 1, -1, 3: R = 4, variance 2, p = erfc(4/sqrt(2*4*2)) = erfc(1)."""
    total, p = vuong(np.array([1.0, 1.0, -1.0, 3.0]))
    assert (total, p) == (4.0, pytest.approx(math.erfc(1.0), rel=1e-14))
    assert vuong(np.zeros(5)) == (0.0, 1.0)
    assert vuong(np.full(5, 2.0)) == (10.0, 0.0)


def test_nested_null_is_half_a_point_mass() -> None:
    """P(chi2_1 > 2.7055) = 0.1, halved on the boundary: 2 * gain = 2.7055 gives 0.05."""
    assert nested_on_boundary(2.705543454 / 2.0) == pytest.approx(0.05, rel=1e-8)
    assert nested_on_boundary(0.0) == 1.0
    assert nested_on_boundary(1e-12) == pytest.approx(0.5, abs=1e-5)


@pytest.mark.parametrize("z", [-30.0, -3.0, -0.5, 0.0, 1.0, 3.99, 4.01, 20.0, 900.0])
def test_half_normal_moments_by_quadrature(z: float) -> None:
    top = max(0.0, -z)
    t = np.linspace(max(0.0, top - 12.0), top + (12.0 if z < 4.0 else 50.0 / z), 400_001)
    weight = np.exp(-2.0 * z * (t - top) - (t * t - top * top))
    weight[[0, -1]] *= 0.5
    norm = weight.sum()
    mean, square = half_normal_moments(z)
    assert mean == pytest.approx(float(weight @ t / norm), rel=1e-7)
    assert square == pytest.approx(float(weight @ t**2 / norm), rel=1e-7)


def test_nearly_equal_points_do_not_break_the_fits() -> None:
    for x in (1.0 + 1e-9 * np.arange(1, 41), np.linspace(1.0, 1.0 + 1e-14, 40), np.array([1.0, 1e300] * 20)):
        for found in compare(*whole(x)):
            assert math.isfinite(found.log_ratio)
            assert 0.0 <= found.p <= 1.0


def test_the_instrument_gives_a_list_and_refuses_short_tails() -> None:
    (found,) = alternatives.measure(pareto_part(2.5))
    assert isinstance(found.value, list)
    assert [a["name"] for a in found.value] == ["exponential", "lognormal", "truncated_power_law"]
    assert all(set(a) == {"name", "log_ratio", "p", "preferred", "parameters"} for a in found.value)
    part = pareto_part(2.5, 12)
    (short,) = alternatives.measure(part)
    assert (short.status, short.reason) == (Status.UNDEFINED, "tail_too_short")
    zero = dataclasses.replace(part, spectrum=Spectrum(np.zeros(12), 12, 12, 0.0, "f64"))
    assert alternatives.measure(zero)[0].reason == "zero_matrix"


@pytest.mark.slow
def test_level_of_the_nested_test_under_the_power_law() -> None:
    """400 Pareto samples of 300 points: the boundary test rejects 5 % of them within 3 standard errors."""
    rng = np.random.default_rng(3)
    rejected = 0
    for _ in range(400):
        found = by_name((1.0 - rng.random(300)) ** (-1.0 / 1.8))
        rejected += found["truncated_power_law"].preferred == "truncated_power_law"
    print(f"rejected {rejected} of 400 at 0.05")
    assert 0.05 - 0.033 <= rejected / 400 <= 0.05 + 0.033
