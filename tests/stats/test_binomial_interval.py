from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import bdtr, bdtrc
from statsmodels.stats.proportion import proportion_confint

from tollens.core.errors import TollensError
from tollens.stats.binomial_interval import clopper_pearson, ends, wilson
from tollens.stats.result import Result

counts = st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
alphas = st.sampled_from([0.001, 0.05, 0.32])


@settings(max_examples=60, deadline=None)
@given(counts, alphas)
def test_against_statsmodels(count: tuple[int, int], alpha: float) -> None:
    k, n = count
    for ours, theirs in ((wilson, "wilson"), (clopper_pearson, "beta")):
        low, high = proportion_confint(k, n, alpha, theirs)
        assert ends(ours(k, n, alpha=alpha)) == (pytest.approx(low, abs=1e-9), pytest.approx(high, abs=1e-9))


@settings(max_examples=60, deadline=None)
@given(counts, alphas)
def test_properties(count: tuple[int, int], alpha: float) -> None:
    """Holds the estimate, mirrors with k -> n - k, moves up with k, and widens with confidence."""
    k, n = count
    for interval in (wilson, clopper_pearson):
        low, high = ends(interval(k, n, alpha=alpha))
        assert 0.0 <= low <= k / n <= high <= 1.0
        mirrored = ends(interval(n - k, n, alpha=alpha))
        assert mirrored == (pytest.approx(1.0 - high, abs=1e-12), pytest.approx(1.0 - low, abs=1e-12))
        wide = ends(interval(k, n, alpha=alpha / 2.0))
        assert wide[0] <= low
        assert high <= wide[1]
        if k < n:
            above = ends(interval(k + 1, n, alpha=alpha))
            assert above[0] > low
            assert above[1] >= high
        more = ends(interval(4 * k, 4 * n, alpha=alpha))
        assert more[1] - more[0] < high - low


def test_wilson_ends_are_the_roots_of_the_score_test() -> None:
    for end in ends(wilson(81, 263)):
        assert abs(81 / 263 - end) / math.sqrt(end * (1.0 - end) / 263) == pytest.approx(1.9599640, abs=1e-6)


def test_clopper_pearson_ends_leave_half_of_alpha_in_each_tail() -> None:
    low, high = ends(clopper_pearson(81, 263))
    assert bdtrc(80, 263, low) == pytest.approx(0.025, abs=1e-10)
    assert bdtr(81, 263, high) == pytest.approx(0.025, abs=1e-10)


def test_one_sided_bounds() -> None:
    assert ends(clopper_pearson(7, 20, alternative="greater"))[0] == ends(clopper_pearson(7, 20, alpha=0.1))[0]
    assert ends(clopper_pearson(7, 20, alternative="less"))[1] == ends(clopper_pearson(7, 20, alpha=0.1))[1]
    assert ends(clopper_pearson(0, 20, alternative="greater")) == (0.0, 1.0)
    assert ends(clopper_pearson(20, 20, alternative="less")) == (0.0, 1.0)


@pytest.mark.parametrize(("k", "n"), [(-1, 10), (11, 10), (0, 0), (1.5, 10), (3, 10.0), (True, 10), (math.nan, 10)])
def test_counts_outside_0_to_n_are_refused(k: int, n: int) -> None:
    for interval in (wilson, clopper_pearson):
        with pytest.raises(TollensError) as caught:
            interval(k, n)
        assert caught.value.code == "stats_input"


def test_hostile_levels_and_sizes() -> None:
    for alpha in (0.0, 1.0, math.nan):
        for interval in (wilson, clopper_pearson):
            with pytest.raises(TollensError):
                interval(3, 10, alpha=alpha)
    with pytest.raises(TollensError):
        clopper_pearson(3, 10, alternative="upper")  # type: ignore[arg-type]
    for interval in (wilson, clopper_pearson):
        low, high = ends(interval(10**9, 2 * 10**9))
        assert 0.4999 < low < 0.5 < high < 0.5001
        assert 0.0 < ends(interval(1, 10**12))[1] < 1e-10


def test_what_is_said_beside_the_numbers() -> None:
    found = wilson(81, 263)
    assert found.guarantee == "valid only at n = 263"
    assert "independence assumed" in found.assumptions
    with pytest.raises(ValueError, match="no interval"):
        ends(Result(rule="r", guarantee="g"))
