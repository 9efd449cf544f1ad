from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from tollens.core.reading import Status
from tollens.instrument.goodness import (
    GoodnessParams,
    goodness,
    goodness_of_fit,
    semi_parametric_samples,
)
from tollens.instrument.spectrum import Spectrum
from tollens.instrument.tail import TailFit, fit_tail, pareto_part


def fitted(x: np.ndarray) -> TailFit:
    fit = fit_tail(x)
    assert isinstance(fit, TailFit)
    return fit


def pareto(n: int, alpha: float, rng: np.random.Generator) -> np.ndarray:
    return np.sort((1.0 - rng.random(n)) ** (-1.0 / (alpha - 1.0)))


def test_samples_mix_body_and_law() -> None:
    """Body values come from below xmin only; the tail share and its mean logarithm are those of the law."""
    rng = np.random.default_rng(0)
    x = np.sort(np.concatenate([np.linspace(0.1, 0.9, 60), pareto(40, 3.0, rng)]))
    fit = TailFit(3.0, 0.3, float(x[60]), 60, 40, 0.1)
    samples = semi_parametric_samples(x, fit, 2000, rng)
    assert samples.shape == (2000, 100)
    assert np.all(np.diff(samples, axis=1) >= 0.0)
    body = samples < fit.xmin
    assert set(samples[body]) <= set(x[:60])
    assert np.mean(~body) == pytest.approx(0.4, abs=0.004)  # 3 standard errors of 200,000 draws
    assert np.mean(np.log(samples[~body] / fit.xmin)) == pytest.approx(0.5, abs=0.006)  # 1/(alpha - 1)


def test_a_tail_without_a_body_draws_from_the_law_alone() -> None:
    x = pareto(50, 2.0, np.random.default_rng(1))
    fit = dataclasses.replace(fitted(x), index=0, n_tail=50, xmin=float(x[0]))
    assert semi_parametric_samples(x, fit, 5, np.random.default_rng(0)).min() >= x[0]


def test_samples_of_a_very_heavy_law_stay_finite() -> None:
    x = pareto(50, 2.0, np.random.default_rng(1))
    fit = dataclasses.replace(fitted(x), alpha=1.0005)
    assert np.isfinite(semi_parametric_samples(x, fit, 20, np.random.default_rng(0))).all()


def test_a_lognormal_is_rejected_and_a_power_law_is_not() -> None:
    rng = np.random.default_rng(5)
    lognormal = np.sort(np.exp(rng.standard_normal(3000)))
    bad = goodness_of_fit(lognormal, fitted(lognormal), 200, rng)
    assert bad.p < 0.1
    true = pareto(1000, 2.5, rng)
    good = goodness_of_fit(true, fitted(true), 200, rng)
    assert good.p > 0.1
    assert good.standard_error == pytest.approx(math.sqrt(good.p * (1.0 - good.p) / 200))
    assert good.standard_error <= 0.5 / math.sqrt(200)


def test_result_depends_on_the_seed_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    x = pareto(100, 2.5, np.random.default_rng(2))
    first = goodness_of_fit(x, fitted(x), 40, np.random.default_rng(9))
    monkeypatch.setattr("tollens.instrument.goodness.CHUNK", 700)
    assert goodness_of_fit(x, fitted(x), 40, np.random.default_rng(9)) == first


def test_the_instrument() -> None:
    for known in goodness.known_answers:
        (found,) = goodness.measure(known.part(), GoodnessParams(draws=100))
        assert found.value == pytest.approx(known.value, abs=known.tolerance)
        assert found.n == 100
        assert found.interval is not None
    part = pareto_part(2.5, 12)
    (short,) = goodness.measure(part)
    assert (short.status, short.reason) == (Status.UNDEFINED, "tail_too_short")
    zero = dataclasses.replace(part, spectrum=Spectrum(np.zeros(12), 12, 12, 0.0, "f64"))
    assert goodness.measure(zero)[0].reason == "zero_matrix"


@pytest.mark.slow
def test_p_is_uniform_under_the_null() -> None:
    """200 samples, half lognormal body below 1 and half Pareto above: nominally a share of 0.1 below 0.1.

    The share must not exceed that by 3 binomial standard errors (0.064), nor the mean of p be far from 0.5.
    """
    rng = np.random.default_rng(8)
    ps = []
    for _ in range(200):
        body = np.exp(-np.abs(rng.standard_normal(250)))
        x = np.sort(np.concatenate([body, pareto(250, 2.5, rng)]))
        ps.append(goodness_of_fit(x, fitted(x), 200, rng).p)
    low = float(np.mean(np.array(ps) < 0.1))
    print(f"share below 0.1: {low:.3f}, mean {np.mean(ps):.3f}")
    assert low <= 0.1 + 0.064
    assert abs(np.mean(ps) - 0.5) <= 0.15
