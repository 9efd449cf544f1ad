from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from tollens.core.errors import TollensError
from tollens.stats.permutation import sign_flip, two_sample_permutation
from tollens.stats.published import MAIZE, SLEEP_1, SLEEP_2, SLEEP_DIFFERENCES

small = st.lists(st.integers(-20, 20), min_size=6, max_size=9)


def flips_by_hand(d: list[int], side: str) -> float:
    """The share of sign patterns at least as extreme, in integers."""
    n, total = len(d), sum(d)
    sums = [sum(s * v for s, v in zip(signs, d, strict=True)) for signs in itertools.product((-1, 1), repeat=n)]
    out = {"two-sided": [abs(s) >= abs(total) for s in sums], "greater": [s >= total for s in sums]}[side]
    return sum(out) / 2**n


@settings(max_examples=30, deadline=None)
@given(small)
def test_sign_flip_is_the_count_of_patterns(d: list[int]) -> None:
    for side in ("two-sided", "greater"):
        expected = flips_by_hand(d, side)
        assert sign_flip(d, alternative=side).p == expected
        assert sign_flip([v / 10 for v in d], alternative=side).p == expected  # tenths round, ties must not
        assert 0.0 < expected <= 1.0


@settings(max_examples=30, deadline=None)
@given(small, st.sampled_from([1e-30, 0.3, 7.0, 1e30]))
def test_sign_flip_keeps_under_scale_order_and_exchange(d: list[int], scale: float) -> None:
    p = sign_flip(d).p
    assert sign_flip(np.array(d) * scale).p == p
    assert sign_flip(d[::-1]).p == p
    assert sign_flip([-v for v in d]).p == p
    assert sign_flip([-v for v in d], alternative="less").p == sign_flip(d, alternative="greater").p
    assert sign_flip([*d, 0]).p == p  # an unchanged pair doubles all counts


def test_ties_count_where_the_sum_cancels() -> None:
    """.1 + .2 - .3 is 5.6e-17 in floating point; every arrangement is at least as far out as a sum of zero."""
    d = [0.7, -0.7, 0.4, -0.4, 0.1, 0.2, -0.3]
    assert 0.0 < abs(np.sum(d)) < 1e-15
    assert sign_flip(d).p == 1.0


def test_clusters_flip_as_a_whole() -> None:
    """Eight clusters of three: the p of the eight sums, and not that of 24 rows."""
    rng = np.random.default_rng(3)
    d = rng.integers(-5, 9, size=24)
    groups = np.repeat(np.arange(8), 3)
    order = rng.permutation(24)
    clustered = sign_flip(d[order], cluster=groups[order])
    assert clustered.p == sign_flip(d.reshape(8, 3).sum(axis=1)).p
    assert clustered.n == 8
    assert clustered.assumptions[-1] == "8 clusters of 24 rows independent of each other"
    assert clustered.estimate == pytest.approx(d.mean())
    assert sign_flip(d, rng=rng).assumptions[-1] == "independence assumed"


def test_monte_carlo_agrees_with_the_enumeration(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = sign_flip(MAIZE)
    two = two_sample_permutation(SLEEP_1, SLEEP_2)
    monkeypatch.setattr("tollens.stats.permutation.EXACT_LIMIT", 1)
    for reference, found in (
        (exact, sign_flip(MAIZE, rng=np.random.default_rng(1), draws=20_000)),
        (two, two_sample_permutation(SLEEP_1, SLEEP_2, rng=np.random.default_rng(1), draws=20_000)),
    ):
        assert found.p == pytest.approx(reference.p, abs=4.0 * math.sqrt(reference.p / 20_000))
        assert "20,000 random arrangements" in found.rule


def test_monte_carlo_counts_the_observed_arrangement(monkeypatch: pytest.MonkeyPatch) -> None:
    """With 25 positive differences no random pattern of 99 reaches them: p = 1/100, never 0."""
    assert sign_flip([1.0] * 25, rng=np.random.default_rng(0), draws=99).p == 1 / 100
    assert sign_flip([0.0] * 25, rng=np.random.default_rng(0), draws=99).p == 1.0
    before = sign_flip(range(-10, 15), rng=np.random.default_rng(0)).p
    monkeypatch.setattr("tollens.stats.permutation._CHUNK", 24 * 100)
    assert sign_flip(range(-10, 15), rng=np.random.default_rng(0)).p == pytest.approx(before, abs=0.02)


def test_two_samples_against_scipy() -> None:
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=7).round(1), rng.normal(size=6).round(1) + 0.5
    for side in ("two-sided", "greater", "less"):
        theirs = scipy_stats.permutation_test(
            (x, y), lambda a, b, axis: a.mean(axis) - b.mean(axis), n_resamples=10**6, alternative=side, vectorized=True
        )
        ours = two_sample_permutation(x, y, alternative=side).p
        if side != "two-sided":  # theirs doubles the smaller tail
            assert ours == pytest.approx(theirs.pvalue, abs=1e-12)
    splits = [set(s) for s in itertools.combinations(range(13), 7)]
    z = np.concatenate([x, y])
    t = [z[list(s)].mean() - z[[i for i in range(13) if i not in s]].mean() for s in splits]
    expected = np.mean(np.abs(t) >= abs(x.mean() - y.mean()) - 1e-12)
    assert two_sample_permutation(x, y).p == pytest.approx(expected, abs=1e-15)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(-9, 9), min_size=4, max_size=6), st.lists(st.integers(-9, 9), min_size=4, max_size=5))
def test_two_samples_keep_under_exchange_shift_and_scale(x: list[int], y: list[int]) -> None:
    p = two_sample_permutation(x, y).p
    assert two_sample_permutation(y, x).p == p
    assert two_sample_permutation([0.1 * v + 0.7 for v in x], [0.1 * v + 0.7 for v in y]).p == p
    up, down = two_sample_permutation(x, y, alternative="greater").p, two_sample_permutation(y, x, alternative="less").p
    assert up == down
    assert 0.0 < p <= 1.0


def test_clusters_of_unequal_size_are_permuted_whole() -> None:
    """Six clusters, three an arm: 20 arrangements, counted by hand over rows."""
    x, cx = [5, 6, 7, 9, 4, 8], list("aabccc")
    y, cy = [1, 2, 3, 4, 2, 6], list("deefff")
    z, c = np.array(x + y, dtype=float), np.array(cx + cy)
    t = []
    for chosen in itertools.combinations("abcdef", 3):
        first = np.isin(c, chosen)
        t.append(z[first].mean() - z[~first].mean())
    observed = np.mean(x) - np.mean(y)
    found = two_sample_permutation(x, y, cluster=(cx, cy), alpha=0.2)
    assert found.p == np.mean(np.abs(t) >= abs(observed) - 1e-12)
    assert (found.n, found.estimate) == (6, pytest.approx(observed))
    one = two_sample_permutation(x, y, cluster=(cx, cy), alternative="greater")
    assert one.p == np.mean(np.array(t) >= observed - 1e-12)


def test_a_cluster_in_both_arms_is_not_exchangeable() -> None:
    with pytest.raises(TollensError, match="cluster 'b'") as caught:
        two_sample_permutation(range(6), range(6), cluster=(list("aabbcc"), list("bbddee")))
    assert caught.value.code == "stats_not_exchangeable"
    with pytest.raises(TollensError) as caught:
        two_sample_permutation(range(4), range(4), cluster=([1, 2, 3, 4], [4.0, 5.0, 6.0, 7.0]))
    assert caught.value.code == "stats_not_exchangeable"


def code(ask: object, **kwargs: object) -> str:
    with pytest.raises(TollensError) as caught:
        ask(**kwargs)  # type: ignore[operator]
    return caught.value.code


def test_a_level_that_cannot_be_reached_is_refused() -> None:
    with pytest.raises(TollensError, match=r"0\.0625.*at least 6 units"):
        sign_flip([1.0] * 5)
    assert sign_flip([1.0] * 6).p == 0.03125
    assert sign_flip([1.0] * 5, alternative="greater").p == 0.03125
    assert sign_flip([1.0] * 5, alpha=0.0625).p == 0.0625
    assert code(lambda: two_sample_permutation([1, 2, 3], [4, 5, 6])) == "stats_level_unreachable"  # 2/20
    assert two_sample_permutation([9, 10, 30], [1, 2, 3, 4]).p == 1 / 35  # unequal arms have one extreme
    assert code(lambda: sign_flip([1.0] * 6, cluster=[0, 0, 1, 1, 2, 2])) == "stats_level_unreachable"
    rng = np.random.default_rng(0)
    assert code(lambda: sign_flip(range(30), rng=rng, draws=18)) == "stats_level_unreachable"
    assert sign_flip(range(1, 31), rng=rng, draws=19).p == 0.05


def test_hostile_input() -> None:
    assert code(lambda: sign_flip([])) == "stats_input"
    assert code(lambda: sign_flip([1.0, math.nan] * 4)) == "stats_input"
    assert code(lambda: sign_flip(range(8), alpha=0.0)) == "stats_input"
    assert code(lambda: sign_flip(range(8), alternative="both")) == "stats_input"  # type: ignore[arg-type]
    assert code(lambda: sign_flip(range(8), cluster=[1, 2])) == "stats_input"
    assert code(lambda: sign_flip(range(21))) == "stats_unnamed"
    assert code(lambda: sign_flip(range(21), rng=np.random.default_rng(0), draws=0)) == "stats_input"
    assert code(lambda: two_sample_permutation([], [1.0])) == "stats_input"
    assert code(lambda: two_sample_permutation(range(30), range(30))) == "stats_unnamed"
    assert code(lambda: two_sample_permutation(range(5), range(5), cluster=([1], [2]))) == "stats_input"
    assert sign_flip([1e100] * 10).p == 2 / 1024
    assert sign_flip([5e-324] * 10).p == 2 / 1024
    rng = np.random.default_rng(0)
    assert sign_flip(np.ones(3000), rng=rng, draws=99).p == 0.01
    assert two_sample_permutation(np.ones(900), np.ones(900), rng=rng, draws=99).p == 1.0


def test_sleep_as_pairs_and_its_result() -> None:
    found = sign_flip(SLEEP_DIFFERENCES)
    assert found.p == 4 / 1024
    assert found.estimate == pytest.approx(-1.58)
    assert found.guarantee == "valid only at n = 10"
    assert found.rule == "sign flip, all 2^10 arrangements, two-sided"
