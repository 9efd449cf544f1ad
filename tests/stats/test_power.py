from __future__ import annotations

import math
import time
from importlib import import_module
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollens.core.errors import TollensError
from tollens.stats import power as module
from tollens.stats.power import (
    FORMULAS,
    Formula,
    n_eval_items,
    n_paired_t,
    n_two_proportions,
    n_two_sample_t,
    power_of_design,
    power_paired_t,
    power_two_proportions,
    power_two_sample_t,
)

RATES = st.floats(0.01, 0.99)


def test_published_sample_sizes_of_t_tests() -> None:
    assert n_two_sample_t(0.5, 0.8) == pytest.approx(63.7656, abs=1e-4)
    assert n_two_sample_t(0.8, 0.8) == pytest.approx(25.5246, abs=1e-4)
    assert power_two_sample_t(0.5, 64) == pytest.approx(0.8014596, abs=1e-7)
    assert n_paired_t(0.5, 0.8) == pytest.approx(33.3671, abs=1e-4)
    assert n_paired_t(0.8, 0.8) == pytest.approx(14.3028, abs=1e-4)
    assert [math.ceil(n_two_sample_t(d, 0.8)) for d in (1.0, 1.5, 2.0, 3.0)] == [17, 9, 6, 4]


@pytest.mark.parametrize("sides", [1, 2])
@pytest.mark.parametrize("d", [0.05, 0.3, 1.0, 2.5])
def test_power_of_t_tests_is_that_of_statsmodels(d: float, sides: int) -> None:
    smp = import_module("statsmodels.stats.power")
    side = "two-sided" if sides == 2 else "larger"
    for n in (3, 10, 200):
        for ours, theirs in (
            (power_two_sample_t(d, n, sides=sides), smp.TTestIndPower().power(d, n, 0.05, alternative=side)),
            (power_paired_t(-d, n, sides=sides), smp.TTestPower().power(d, n, 0.05, alternative=side)),
        ):
            expected = 1.0 if math.isnan(theirs) else float(theirs)  # NaN where its opposite tail underflows
            assert ours == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("n", "d", "alpha"), [(2, 0.5, 0.05), (12, 0.9, 0.01), (5, 3.0, 0.2), (400, 0.1, 1e-3)])
def test_power_of_a_t_test_is_a_gaussian_tail_averaged_over_the_variance(n: int, d: float, alpha: float) -> None:
    """P(T > c) = E Phi(shift - c S), nu S^2 chi-squared: independent of any noncentral t."""
    from scipy.special import gammaln, ndtr, stdtrit

    nu, shift = 2.0 * n - 2.0, d * math.sqrt(n / 2.0)
    c = stdtrit(nu, 1.0 - alpha / 2.0)
    s = np.linspace(0.0, 1.0 + 12.0 / math.sqrt(nu), 200_001)[1:]
    log = (nu - 1) * np.log(s) - nu * s * s / 2 + nu / 2 * math.log(nu / 2) + math.log(2) - gammaln(nu / 2)
    both = ndtr(shift - c * s) + ndtr(-shift - c * s)
    assert power_two_sample_t(d, n, alpha) == pytest.approx(float((np.exp(log) * both).sum() * (s[1] - s[0])), abs=1e-5)


def test_an_opposite_tail_that_underflows_to_nan_is_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it does depends on the version of scipy, so it is made to; power far from 1, where min() hides no NaN."""
    nctdtr = module.nctdtr
    monkeypatch.setattr(module, "nctdtr", lambda df, shift, t: math.nan if t < 0.0 else nctdtr(df, shift, t))
    one = power_two_sample_t(0.5, 64, 0.025, sides=1)
    assert power_two_sample_t(0.5, 64) == one == pytest.approx(0.80146, abs=1e-5)


def test_the_opposite_tail_adds_nothing_to_a_large_effect() -> None:
    """Shifts of 3 to 40, among which scipy's tail is NaN for some."""
    for d in np.linspace(1.0, 12.0, 200):
        assert power_two_sample_t(d, 20) == pytest.approx(power_two_sample_t(d, 20, 0.025, sides=1), abs=1e-5)


def test_a_main_tail_without_a_number_is_one_only_where_a_bound_shows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "nctdtr", lambda df, shift, t: math.nan)
    assert power_two_sample_t(20.0, 20) == 1.0
    with pytest.raises(TollensError) as caught:
        power_two_sample_t(0.5, 20)
    assert caught.value.code == "stats_imprecise"


@given(st.floats(0.01, 3.0), st.floats(0.5, 0.99), st.sampled_from([1, 2]))
@settings(max_examples=60, deadline=None)
def test_sample_sizes_of_t_tests_invert_their_power(d: float, power: float, sides: int) -> None:
    for n_of, power_of in ((n_two_sample_t, power_two_sample_t), (n_paired_t, power_paired_t)):
        n = n_of(d, power, sides=sides)
        assert power_of(d, n, sides=sides) == pytest.approx(power, abs=1e-6) if n > 2 else power_of(d, 2.0) >= 0.0
        assert power_of(d, 1.5 * n, sides=sides) >= power


@given(st.floats(0.01, 4.0), st.floats(2.0, 1e4))
@settings(max_examples=60, deadline=None)
def test_power_of_a_t_test_grows_with_effect_and_units(d: float, n: float) -> None:
    now = power_two_sample_t(d, n)
    assert 0.05 < now <= 1.0
    assert power_two_sample_t(d, 1.1 * n) >= now - 1e-12
    assert power_two_sample_t(1.1 * d, n) >= now - 1e-12


def test_published_sample_sizes_of_proportions() -> None:
    assert n_two_proportions(0.20, 0.25, 0.8, formula="null-variance") == pytest.approx(1030.219, abs=1e-2)
    assert n_two_proportions(0.20, 0.25, 0.8, formula="pooled") == pytest.approx(1093.739, abs=1e-2)
    assert math.ceil(n_two_proportions(0.10, 0.12, 0.8, formula="pooled")) == 3841
    assert math.ceil(n_two_proportions(0.10, 0.12, 0.8, formula="unpooled")) == 3839
    assert math.ceil(n_two_proportions(0.10, 0.12, 0.87, formula="pooled")) == 4662
    assert math.ceil(n_two_proportions(0.10, 0.12, 0.87, formula="unpooled")) == 4659


def test_power_of_a_design_by_both_formulas() -> None:
    """(.02 sqrt 1000 - 1.959964 sqrt(2 * .11 * .89))/sqrt .1956 = -.53095, and with sqrt .1956 twice -.52992."""
    design = power_of_design(0.10, 0.12, 1000, 0.05)
    assert design.pooled == pytest.approx(0.2977, abs=1e-4)
    assert design.unpooled == pytest.approx(0.2981, abs=1e-4)


@pytest.mark.parametrize(("p1", "p2", "power"), [(0.1, 0.12, 0.8), (0.5, 0.4, 0.9), (0.02, 0.001, 0.95)])
def test_the_arcsine_formula_is_that_of_statsmodels(p1: float, p2: float, power: float) -> None:
    """One-sided at alpha/2 there: the formula leaves the opposite tail out."""
    smp = import_module("statsmodels.stats.power")
    proportion = import_module("statsmodels.stats.proportion")
    h = abs(proportion.proportion_effectsize(p2, p1))
    theirs = smp.NormalIndPower().solve_power(h, None, 0.025, power, alternative="larger")
    assert n_two_proportions(p1, p2, power, formula="arcsine") == pytest.approx(float(theirs), rel=1e-6)
    at_500 = smp.NormalIndPower().power(h, 500, 0.025, alternative="larger")
    assert power_two_proportions(p1, p2, 500, formula="arcsine") == pytest.approx(float(at_500), abs=1e-12)


@pytest.mark.parametrize(("p1", "p2", "power"), [(0.1, 0.12, 0.8), (0.5, 0.4, 0.9), (0.3, 0.31, 0.5)])
def test_pooled_and_null_variance_are_those_of_statsmodels(p1: float, p2: float, power: float) -> None:
    smp = import_module("statsmodels.stats.power")
    alternative, mean = math.sqrt(p1 * (1 - p1) + p2 * (1 - p2)), (p1 + p2) / 2
    for formula, null in (
        ("pooled", math.sqrt(2 * mean * (1 - mean))),
        ("null-variance", math.sqrt(2 * p1 * (1 - p1))),
    ):
        theirs = smp.normal_sample_size_one_tail(p2 - p1, power, 0.025, std_null=null, std_alternative=alternative)
        assert n_two_proportions(p1, p2, power, formula=formula) == pytest.approx(float(theirs), rel=1e-9)


@given(RATES, RATES, st.floats(0.1, 0.999), st.sampled_from(FORMULAS), st.sampled_from([1, 2]))
def test_sample_sizes_of_proportions_invert_their_power(
    p1: float, p2: float, power: float, formula: Formula, sides: int
) -> None:
    if abs(p1 - p2) < 1e-3:
        return
    n = n_two_proportions(p1, p2, power, formula=formula, sides=sides)
    if n == 0.0:
        assert power_two_proportions(p1, p2, 1e-9, formula=formula, sides=sides) >= power - 1e-3
    elif n > 1e-6:
        assert power_two_proportions(p1, p2, n, formula=formula, sides=sides) == pytest.approx(power, abs=1e-9)
        assert power_two_proportions(p1, p2, 2 * n, formula=formula, sides=sides) > power


@given(st.floats(0.01, 0.9), st.floats(1.0, 1e6), st.sampled_from(FORMULAS))
def test_power_of_proportions_grows_with_units_and_is_blind_to_labels(p: float, n: float, formula: Formula) -> None:
    low, high = power_two_proportions(p, p + 0.05, n, formula=formula), 0.0
    for factor in (2.0, 4.0):
        high = power_two_proportions(p, p + 0.05, factor * n, formula=formula)
        assert high >= low
    if formula != "null-variance":  # it takes the variance of the first arm
        assert power_two_proportions(p + 0.05, p, n, formula=formula) == pytest.approx(low, abs=1e-9)
        assert power_two_proportions(1 - p, 0.95 - p, n, formula=formula) == pytest.approx(low, abs=1e-9)


def test_power_of_proportions_grows_with_the_effect() -> None:
    for formula in FORMULAS:
        values = [power_two_proportions(0.1, p2, 500, formula=formula) for p2 in np.linspace(0.11, 0.9, 40)]
        assert all(b >= a for a, b in pairwise(values))


def test_items_of_an_evaluation() -> None:
    """(1.959964 + .841621)^2 / 9 / .0009 = 968.997."""
    assert n_eval_items(1 / 9, 0.03, 0.8) == pytest.approx(968.997, abs=1e-3)
    assert n_eval_items(4 / 9, -0.06, 0.8) == pytest.approx(n_eval_items(1 / 9, 0.03, 0.8), rel=1e-12)


def test_ten_thousand_claims_take_seconds_at_most() -> None:
    start = time.perf_counter()
    for _ in range(1000):
        power_of_design(0.10, 0.12, 1000, 0.05)
        n_two_proportions(0.10, 0.12, 0.8, formula="pooled")
    assert time.perf_counter() - start < 0.5


@pytest.mark.parametrize("formula", [None, "", "Pooled", "chi2"])
def test_a_formula_that_is_not_named_is_refused(formula: object) -> None:
    for ask in (
        lambda: n_two_proportions(0.1, 0.2, 0.8, formula=formula),
        lambda: power_two_proportions(0.1, 0.2, 100, formula=formula),
    ):
        with pytest.raises(TollensError) as caught:
            ask()
        assert caught.value.code == "stats_unnamed"
        assert "null-variance" in caught.value.expected


@pytest.mark.parametrize("power", [0.05, 0.01, 0.0, -1.0, 1.0, math.nan])
def test_a_power_not_above_the_level_is_refused(power: float) -> None:
    for ask in (
        lambda: n_two_sample_t(0.5, power),
        lambda: n_paired_t(0.5, power),
        lambda: n_two_proportions(0.1, 0.2, power, formula="pooled"),
        lambda: n_eval_items(0.1, 0.1, power),
    ):
        with pytest.raises(TollensError) as caught:
            ask()
        assert caught.value.code == "stats_input"
        assert caught.value.subject == "power"


@pytest.mark.parametrize("effect", [0.0, -0.0, math.nan, math.inf])
def test_no_effect_is_refused(effect: float) -> None:
    for ask in (
        lambda: power_two_sample_t(effect, 10),
        lambda: power_paired_t(effect, 10),
        lambda: n_two_sample_t(effect, 0.8),
        lambda: n_eval_items(0.1, effect, 0.8),
        lambda: power_two_proportions(0.2, 0.2 + effect, 10, formula="pooled"),
        lambda: n_two_proportions(0.2, 0.2 + effect, 0.8, formula="arcsine"),
    ):
        with pytest.raises(TollensError) as caught:
            ask()
        assert caught.value.code == "stats_input"


@pytest.mark.parametrize(
    "ask",
    [
        lambda: power_two_sample_t(0.5, 1.9),
        lambda: power_two_sample_t(0.5, math.inf),
        lambda: power_paired_t(0.5, math.nan),
        lambda: power_two_sample_t(0.5, 10, 0.0),
        lambda: power_two_sample_t(0.5, 10, 1.0),
        lambda: power_two_sample_t(0.5, 10, sides=3),
        lambda: power_two_proportions(-0.1, 0.2, 10, formula="pooled"),
        lambda: power_two_proportions(0.1, 20.0, 10, formula="pooled"),
        lambda: power_two_proportions(0.1, 0.2, 0, formula="pooled"),
        lambda: n_two_sample_t(1e-9, 0.8),
        lambda: n_eval_items(-0.1, 0.1, 0.8),
    ],
)
def test_parameters_outside_their_range_are_refused(ask: object) -> None:
    assert callable(ask)
    with pytest.raises(TollensError) as caught:
        ask()
    assert caught.value.code == "stats_input"


def test_no_variance_is_refused_where_a_formula_divides_by_it() -> None:
    for ask in (
        lambda: power_two_proportions(0.0, 1.0, 10, formula="unpooled"),
        lambda: n_two_proportions(1.0, 0.0, 0.8, formula="pooled"),
        lambda: n_eval_items(0.0, 0.1, 0.8),
    ):
        with pytest.raises(TollensError) as caught:
            ask()
        assert caught.value.code == "stats_no_scale"
    assert n_two_proportions(0.0, 1.0, 0.8, formula="arcsine") == pytest.approx(2 * (2.8015852 / math.pi) ** 2)
