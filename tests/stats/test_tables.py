from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats
from statsmodels.stats.contingency_tables import mcnemar

from tollens.core.errors import TollensError
from tollens.stats.tables import fisher_exact, mcnemar_chi2, mcnemar_exact, mcnemar_statistic

cell = st.integers(0, 60)


@settings(max_examples=60, deadline=None)
@given(cell, cell)
def test_mcnemar_against_statsmodels(b: int, c: int) -> None:
    table = [[10, b], [c, 10]]
    assert mcnemar_exact(b, c).p == pytest.approx(mcnemar(table, exact=True).pvalue, rel=1e-9)
    if b + c == 0:
        return
    plain = mcnemar(table, exact=False, correction=False)
    assert mcnemar_statistic(b, c, corrected=False) == pytest.approx(plain.statistic, rel=1e-12)
    assert mcnemar_chi2(b, c, corrected=False).p == pytest.approx(plain.pvalue, rel=1e-9)
    if b != c:  # theirs corrects |b - c| = 0 to 1
        corrected = mcnemar(table, exact=False, correction=True)
        assert mcnemar_chi2(b, c, corrected=True).p == pytest.approx(corrected.pvalue, rel=1e-9)


def test_a_correction_never_makes_a_difference_out_of_none() -> None:
    assert mcnemar_statistic(5, 5, corrected=True) == 0.0
    assert mcnemar_chi2(5, 5, corrected=True).p == 1.0


@settings(max_examples=60, deadline=None)
@given(cell, cell)
def test_mcnemar_properties(b: int, c: int) -> None:
    p = mcnemar_exact(b, c).p
    assert p == pytest.approx(mcnemar_exact(c, b).p, rel=1e-12)
    assert 0.0 < p <= 1.0
    greater, less = mcnemar_exact(b, c, alternative="greater").p, mcnemar_exact(b, c, alternative="less").p
    assert greater == pytest.approx(mcnemar_exact(c, b, alternative="less").p, rel=1e-12)
    assert greater + less == pytest.approx(1.0 + math.comb(b + c, b) / 2 ** (b + c), rel=1e-9)
    if b >= c:
        assert mcnemar_exact(b + 1, c).p <= p + 1e-12


@settings(max_examples=60, deadline=None)
@given(cell, cell, cell, cell)
def test_fisher_against_scipy(a: int, b: int, c: int, d: int) -> None:
    if a + b + c + d == 0:
        return
    for side in ("two-sided", "greater", "less"):
        theirs = scipy_stats.fisher_exact([[a, b], [c, d]], alternative=side).pvalue
        assert fisher_exact(a, b, c, d, alternative=side).p == pytest.approx(theirs, rel=1e-7)


@settings(max_examples=40, deadline=None)
@given(cell, cell, cell, cell)
def test_fisher_keeps_under_exchange_of_rows_and_columns(a: int, b: int, c: int, d: int) -> None:
    if a + b + c + d == 0:
        return
    p = fisher_exact(a, b, c, d).p
    assert 0.0 < p <= 1.0
    for other in (fisher_exact(c, d, a, b), fisher_exact(b, a, d, c), fisher_exact(a, c, b, d)):
        assert other.p == pytest.approx(p, rel=1e-9)
    greater = fisher_exact(a, b, c, d, alternative="greater").p
    assert greater == pytest.approx(fisher_exact(c, d, a, b, alternative="less").p, rel=1e-9)


def test_estimates_have_their_bounds() -> None:
    found = mcnemar_exact(10, 2)
    assert found.estimate == 10 / 12
    assert found.interval is not None
    assert found.interval.low > 0.5  # as p < .05 says
    assert mcnemar_exact(0, 0).estimate is None
    assert fisher_exact(3, 1, 1, 3).estimate == 9.0
    assert fisher_exact(3, 0, 1, 3).estimate is None
    assert mcnemar_exact(10, 2).guarantee == "valid only at n = 12"


def test_large_tables() -> None:
    assert fisher_exact(50_000, 50_000, 50_000, 50_000).p == 1.0
    assert mcnemar_exact(10**6, 10**6).p == 1.0
    expected = scipy_stats.fisher_exact([[10_300, 9_700], [10_000, 10_000]]).pvalue
    assert fisher_exact(10_300, 9_700, 10_000, 10_000).p == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("bad", [-1, 1.0, math.nan, True, None, "2"])
def test_what_is_no_count_is_refused(bad: int) -> None:
    for ask in (
        lambda: mcnemar_exact(bad, 3),
        lambda: mcnemar_chi2(3, bad, corrected=True),
        lambda: fisher_exact(1, 2, bad, 3),
    ):
        with pytest.raises(TollensError) as caught:
            ask()
        assert caught.value.code == "stats_input"


def test_refusals() -> None:
    with pytest.raises(TollensError) as caught:
        mcnemar_chi2(0, 0, corrected=False)
    assert caught.value.code == "stats_no_scale"
    for ask in (
        lambda: fisher_exact(0, 0, 0, 0),
        lambda: fisher_exact(1, 1, 1, 1, alternative="x"),  # type: ignore[arg-type]
        lambda: mcnemar_exact(1, 1, alternative="x"),  # type: ignore[arg-type]
        lambda: mcnemar_exact(1, 1, alpha=1.0),
    ):
        with pytest.raises(TollensError) as caught:
            ask()
        assert caught.value.code == "stats_input"


def test_numpy_counts_are_counts() -> None:
    assert mcnemar_exact(np.int64(10), np.int32(2)).p == mcnemar_exact(10, 2).p
