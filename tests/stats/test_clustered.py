from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.regression.linear_model import OLS

from tollens.core.errors import TollensError
from tollens.stats.binomial_interval import ends
from tollens.stats.clustered import clustered_mean, clustered_se, naive_se


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(4, 40), st.integers(2, 12))
def test_against_the_sandwich_of_statsmodels(seed: int, n: int, groups: int) -> None:
    """An intercept alone, covariance clustered, without the small-sample factor."""
    rng = np.random.default_rng(seed)
    x, cluster = rng.normal(size=n), rng.integers(0, groups, size=n)
    cluster[:2] = (0, 1)
    fit = OLS(x, np.ones(n)).fit(cov_type="cluster", cov_kwds={"groups": cluster, "use_correction": False})
    assert clustered_se(x, cluster) == pytest.approx(float(fit.bse[0]), rel=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_scale_shift_order_and_names(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, cluster = rng.normal(size=30), rng.integers(0, 10, size=30)
    se = clustered_se(x, cluster)
    order = rng.permutation(30)
    assert clustered_se(x[order], cluster[order]) == pytest.approx(se, rel=1e-9)
    assert clustered_se(-7.0 * x + 3.0, cluster) == pytest.approx(7.0 * se, rel=1e-9)
    assert clustered_se(x, [f"document {c}" for c in cluster]) == pytest.approx(se, rel=1e-12)
    assert clustered_se(x, range(30)) == pytest.approx(naive_se(x), rel=1e-12)
    assert naive_se(x) == pytest.approx(x.std() / math.sqrt(30), rel=1e-12)


def test_copies_of_a_row_add_nothing() -> None:
    """Each of ten rows five times: the clustered error stays, the naive one falls by sqrt(5)."""
    x = np.random.default_rng(1).normal(size=10)
    copies, cluster = np.repeat(x, 5), np.repeat(np.arange(10), 5)
    assert clustered_se(copies, cluster) == pytest.approx(naive_se(x), rel=1e-12)
    assert naive_se(copies) == pytest.approx(naive_se(x) / math.sqrt(5.0), rel=1e-12)
    found = clustered_mean(copies, cluster)
    assert (found.n, found.n_eff) == (10, pytest.approx(10.0))
    assert found.guarantee == "approximate; valid only at n = 10 clusters"
    assert found.assumptions == ("10 clusters of 50 rows independent of each other",)
    low, high = ends(found)
    assert high - low == pytest.approx(2.0 * 2.2621572 * x.std(ddof=1) / math.sqrt(10), rel=1e-7)  # t quantile of 9 df


def test_too_few_clusters_are_refused_unless_overridden() -> None:
    x, cluster = np.arange(21.0), np.repeat(np.arange(7), 3)
    with pytest.raises(TollensError, match="at least 8; found 7") as caught:
        clustered_mean(x, cluster)
    assert caught.value.code == "stats_too_few_units"
    assert clustered_mean(x, cluster, min_clusters=7).n == 7
    with pytest.raises(TollensError):
        clustered_mean(x, np.zeros(21), min_clusters=2)
    with pytest.raises(TollensError) as caught:
        clustered_mean(x, cluster, min_clusters=1)
    assert caught.value.code == "stats_input"


def test_hostile_input() -> None:
    groups = np.repeat(np.arange(8), 2)
    for x, cluster, code in (
        ([], [], "stats_input"),
        ([1.0, math.nan] * 8, groups, "stats_input"),
        (np.arange(16.0), groups[:15], "stats_input"),
        ([0.1] * 16, groups, "stats_no_scale"),
        ([0.1, 0.4] * 8, groups, "stats_no_scale"),  # no variance between clusters
        ([0.1, 0.2, 0.6] * 8, np.repeat(np.arange(8), 3), "stats_no_scale"),
    ):
        with pytest.raises(TollensError) as caught:
            clustered_mean(x, cluster)
        assert caught.value.code == code
    with pytest.raises(TollensError):
        clustered_mean(np.arange(16.0), groups, alpha=1.5)
