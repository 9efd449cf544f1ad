from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from tollens.core.errors import TollensError
from tollens.stats.binomial_interval import ends
from tollens.stats.published import SLEEP_1, SLEEP_2, SLEEP_DIFFERENCES
from tollens.stats.result import Result
from tollens.stats.student import paired_t, student_t, t_value, welch_t

THREE = {
    student_t: lambda x, y, side: scipy_stats.ttest_ind(x, y, alternative=side),
    welch_t: lambda x, y, side: scipy_stats.ttest_ind(x, y, equal_var=False, alternative=side),
    paired_t: lambda x, y, side: scipy_stats.ttest_rel(x, y, alternative=side),
}


@pytest.mark.parametrize("ours", THREE, ids=lambda f: f.__name__)
@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(3, 30))
def test_against_scipy(ours: object, seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=n), rng.normal(0.3, 2.0, size=n if ours is paired_t else n + 5)
    for side in ("two-sided", "greater", "less"):
        theirs = THREE[ours](x, y, side)
        found = ours(x, y, alternative=side)
        assert t_value(found) == pytest.approx(theirs.statistic, rel=1e-9)
        assert found.p == pytest.approx(theirs.pvalue, rel=1e-7)
    low, high = ends(ours(x, y, alpha=0.1))
    expected = THREE[ours](x, y, "two-sided").confidence_interval(0.9)
    assert (low, high) == (pytest.approx(expected.low, abs=1e-9), pytest.approx(expected.high, abs=1e-9))


@pytest.mark.parametrize("test", THREE, ids=lambda f: f.__name__)
def test_scale_shift_and_exchange(test: object) -> None:
    base = test(SLEEP_1, SLEEP_2)
    assert test(SLEEP_2, SLEEP_1).p == pytest.approx(base.p, rel=1e-12)
    assert test(SLEEP_2, SLEEP_1).estimate == pytest.approx(-base.estimate)
    moved = test(60.0 * np.array(SLEEP_1) + 5.0, 60.0 * np.array(SLEEP_2) + 5.0)
    assert moved.p == pytest.approx(base.p, rel=1e-9)
    assert moved.se == pytest.approx(60.0 * base.se)
    low, high = ends(test(SLEEP_1, SLEEP_2, alpha=base.p))
    assert min(abs(low), abs(high)) == pytest.approx(0.0, abs=1e-9)  # interval and test agree


def test_the_interval_of_the_sleep_data() -> None:
    """-1.58 +- 2.262157 x 0.388959, the quantile of 9 degrees of freedom."""
    assert ends(paired_t(SLEEP_1, SLEEP_2)) == (pytest.approx(-2.459886, abs=1e-5), pytest.approx(-0.700114, abs=1e-5))
    assert pytest.approx(np.array(SLEEP_1) - np.array(SLEEP_2), abs=1e-12) == SLEEP_DIFFERENCES


@pytest.mark.parametrize("test", THREE, ids=lambda f: f.__name__)
def test_no_variance_is_no_scale(test: object) -> None:
    y = np.random.default_rng(0).normal(size=8)
    for x, z in (([1.0] * 8, [0.1] * 8), ([0.1] * 8, [0.1] * 8), *([(y + 0.1, y)] if test is paired_t else [])):
        with pytest.raises(TollensError) as caught:
            test(x, z)
        assert caught.value.code == "stats_no_scale"


@pytest.mark.parametrize("test", THREE, ids=lambda f: f.__name__)
@pytest.mark.parametrize(
    ("x", "y", "options"),
    [
        ([], [1.0, 2.0], {}),
        ([1.0], [2.0], {}),
        ([1.0, math.nan], [1.0, 2.0], {}),
        ([1.0, 2.0], [1.0, math.inf], {}),
        ([1.0, 2.0], [1.0, 3.0], {"alpha": 1.0}),
        ([1.0, 2.0], [1.0, 3.0], {"alternative": "both"}),
    ],
)
def test_hostile_input(test: object, x: list[float], y: list[float], options: dict[str, object]) -> None:
    with pytest.raises(TollensError) as caught:
        test(x, y, **options)
    assert caught.value.code == "stats_input"


def test_edges_that_are_defined() -> None:
    assert student_t([1.0], [2.0, 4.0]).n == 3  # df 1
    assert student_t([2.0, 4.0], [1.0]).p == pytest.approx(student_t([1.0], [2.0, 4.0]).p)
    one_constant = welch_t([1.0, 1.0, 1.0], [2.0, 4.0, 9.0])
    assert one_constant.rule.startswith("Welch t, df 2,")
    with pytest.raises(TollensError, match="2 and 3"):
        paired_t([1.0, 2.0], [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="no estimate"):
        t_value(Result(rule="r", guarantee="g"))
