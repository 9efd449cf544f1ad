"""Moments in float64, and the rule that clears a matrix without shuffling it."""

from __future__ import annotations

import dataclasses
import math
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kurtosis

from tollens.instrument.part import Moments
from tollens.instrument.screen import clear, moments_of

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("offset", [0.0, -3.0, 500.0])
def test_moments_agree_with_direct_formulas(dtype: type, offset: float) -> None:
    matrix = (np.random.default_rng(0).standard_t(5, (300, 250)) + offset).astype(dtype)
    matrix[4, 5:9] = 0.0
    wide = matrix.astype(np.float64)
    m = moments_of(matrix)
    assert (m.count, m.nonzero) == (75_000, 74_996)
    assert m.mean == pytest.approx(wide.mean(), rel=1e-12, abs=1e-15)
    assert m.std == pytest.approx(wide.std(), rel=1e-12)
    assert m.max_abs_deviation == pytest.approx(np.abs(wide - wide.mean()).max(), rel=1e-12)
    assert m.kurtosis == pytest.approx(kurtosis(wide, axis=None, fisher=False), rel=1e-10)


@settings(max_examples=40, deadline=None)
@given(exponent=st.integers(-1000, 1015), seed=st.integers(0, 1000))
def test_moments_scale_by_powers_of_two(exponent: int, seed: int) -> None:
    """Exactly, from near the subnormals to near overflow, where fourth powers leave the range of float64."""
    matrix = np.random.default_rng(seed).standard_normal((20, 30))
    plain, scaled = moments_of(matrix), moments_of(np.ldexp(matrix, exponent))
    assert scaled.kurtosis == pytest.approx(plain.kurtosis, rel=1e-12)
    assert scaled.std == pytest.approx(math.ldexp(plain.std, exponent), rel=1e-12)
    assert scaled.mean == pytest.approx(math.ldexp(plain.mean, exponent), rel=1e-12)
    assert scaled.max_abs_deviation == pytest.approx(math.ldexp(plain.max_abs_deviation, exponent), rel=1e-12)


def test_subnormal_and_huge_single_precision() -> None:
    for factor in (1e-42, 1e37):
        matrix = (np.random.default_rng(1).standard_normal((50, 60)) * factor).astype(np.float32)
        m = moments_of(matrix)
        assert m.std == pytest.approx(float(matrix.astype(np.float64).std()), rel=1e-9)
        assert 2.0 < m.kurtosis < 4.0


@pytest.mark.parametrize("value", [0.0, 0.1, -7e30])
def test_a_constant_matrix_has_no_variance(value: float) -> None:
    m = moments_of(np.full((33, 77), value))
    assert (m.mean, m.std, m.max_abs_deviation, m.kurtosis) == (value, 0.0, 0.0, 0.0)
    assert m.nonzero == (0 if value == 0.0 else 33 * 77)
    assert not clear(m, 33, 77)


@pytest.mark.parametrize("bad", [np.zeros((0, 4)), np.array([[1.0, np.nan]]), np.array([[np.inf, 1.0]])])
def test_what_has_no_moments_is_refused(bad: np.ndarray) -> None:
    with pytest.raises(ValueError):
        moments_of(bad)


NOISE = Moments(count=1024**2, mean=0.0, std=1.0, max_abs_deviation=5.0, kurtosis=3.0, nonzero=1024**2)


def test_each_condition_refuses_on_its_own() -> None:
    """At 1024 x 1024: mean 1/32 and one element of 32 are where outliers begin; the rule stays inside."""
    assert clear(NOISE, 1024, 1024)
    for field, value in [("mean", 1 / 32), ("mean", -1 / 32), ("max_abs_deviation", 16.0), ("kurtosis", 8.0)]:
        assert not clear(dataclasses.replace(NOISE, **{field: value}), 1024, 1024)
    assert not clear(NOISE, 1, 1024)


def test_the_rule_does_not_depend_on_scale() -> None:
    scaled = dataclasses.replace(NOISE, mean=1e-9, std=1e-6, max_abs_deviation=5e-6)
    assert clear(scaled, 1024, 1024)
    assert not clear(dataclasses.replace(scaled, mean=1e-7), 1024, 1024)
