"""Moments in float64, and the rule that clears a matrix without shuffling it."""

from __future__ import annotations

import dataclasses
import importlib
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kurtosis

from tollens.instrument.part import Moments
from tollens.instrument.screen import ScreenConstants, clear, extremes_of, moments_of

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


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


def test_a_sum_beyond_float64_does_not_spoil_the_moments() -> None:
    matrix = np.random.default_rng(2).uniform(0.5, 1.0, (30, 40)) * 1.7e308
    assert not math.isfinite(extremes_of(matrix).total)
    plain, huge = moments_of(matrix / 2.0**20), moments_of(matrix)
    assert huge.mean == pytest.approx(plain.mean * 2.0**20, rel=1e-12)
    assert huge.std == pytest.approx(plain.std * 2.0**20, rel=1e-12)
    assert huge.kurtosis == pytest.approx(plain.kurtosis, rel=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("count", [1, 31, 33, 4096, 3 * 4096 + 37])
def test_extremes_of_any_length(dtype: type, count: int) -> None:
    """Lengths that end inside a row of partial sums, at the end of a block and behind it; one bad element anywhere."""
    values = (np.random.default_rng(count).standard_normal(count) - 0.3).astype(dtype)
    values[::5] = 0.0
    seen = extremes_of(values)
    assert (seen.low, seen.high, seen.nonzero) == (values.min(), values.max(), np.count_nonzero(values))
    exact = math.fsum(values.tolist())
    assert seen.total == pytest.approx(exact, abs=1e-15 * float(np.abs(values).sum()))
    for where in {0, count // 2, count - 1}:
        for bad in (np.nan, np.inf, -np.inf):
            broken = values.copy()
            broken[where] = bad
            assert not extremes_of(broken).finite


def test_moments_of_arrays_that_lie_otherwise_in_memory() -> None:
    matrix = np.random.default_rng(3).standard_normal((40, 50)).astype(np.float16)
    plain = moments_of(matrix.astype(np.float64))
    for other in (matrix, matrix.astype(np.float32)[::-1], matrix.astype(np.float64).T, matrix.astype(">f8")):
        assert moments_of(other).std == pytest.approx(plain.std, rel=1e-12)
    matrix.flags.writeable = False
    assert moments_of(matrix).kurtosis == pytest.approx(plain.kurtosis, rel=1e-12)


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
    """At 1024 x 1024: mean 1/32 and one element of 32 are where outliers begin; the rule stays inside.

    scale/centre = 0.63*1024^(-2/3) = 1/161, so an excess kurtosis of 0.2*1024/161 = 1.3 is the last allowed.
    """
    assert clear(NOISE, 1024, 1024)
    for field, value in [("mean", 1 / 32), ("mean", -1 / 32), ("max_abs_deviation", 14.0), ("kurtosis", 4.4)]:
        assert not clear(dataclasses.replace(NOISE, **{field: value}), 1024, 1024)
    assert not clear(NOISE, 1, 1024)


def test_the_rule_does_not_depend_on_scale() -> None:
    scaled = dataclasses.replace(NOISE, mean=1e-9, std=1e-6, max_abs_deviation=5e-6)
    assert clear(scaled, 1024, 1024)
    assert not clear(dataclasses.replace(scaled, mean=1e-7), 1024, 1024)


def test_gaussian_matrices_of_1024_are_cleared() -> None:
    cleared = sum(
        clear(moments_of(np.random.default_rng(s).standard_normal((1024, 1024), dtype=np.float32)), 1024, 1024)
        for s in range(20)
    )
    assert cleared >= 19


def test_the_binomial_check_fires_on_a_screen_that_clears_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """Constants that let every thin sign matrix through are rejected by the same statistic."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    calibrate = importlib.import_module("calibrate_screen")
    found = list(calibrate.trials(["signs"], [(256, 256)], 30, 0))
    everything = ScreenConstants(mean=1e9, element=1e9, shift=1e9)
    assert calibrate.tally(found, everything).p < 0.01
    assert calibrate.tally(found, ScreenConstants()).p > 0.01


@pytest.mark.slow
def test_cleared_matrices_show_no_more_outliers_than_nominal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Share of cleared matrices with an outlier in any of 5 shuffles: one-sided binomial against 0.01."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    calibrate = importlib.import_module("calibrate_screen")
    found = list(
        calibrate.trials(calibrate.FAMILIES, [(256, 256), (512, 512), (256, 1024)], 150, 77, only_cleared=True)
    )
    with capsys.disabled():
        for family in (*calibrate.FAMILIES, "all"):
            t = calibrate.tally([x for x in found if family in (x.family, "all")], ScreenConstants())
            print(
                f"\n{family}: {t.cleared} of {t.drawn} cleared, {t.missed} with an outlier (p {t.p:.3f})",
                end="",
            )
            assert t.p >= 0.01
    draws = (np.random.default_rng([9, s]).standard_normal((1024, 1024), dtype=np.float32) for s in range(100))
    cleared = sum(clear(moments_of(m), 1024, 1024) for m in draws)
    with capsys.disabled():
        print(f"\nGaussian 1024 x 1024: {cleared} of 100 cleared", end="")
    assert cleared >= 95
