from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.weightstats import ttost_paired

from tollens.core.errors import TollensError
from tollens.stats.equivalence import (
    Outcome,
    paired_equivalence,
    tost_paired_binary,
    tost_power,
    tost_sample_size,
)

RNG = np.random.default_rng


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(3, 40), st.sampled_from([0.2, 0.6, 2.0]))
def test_against_statsmodels(seed: int, n: int, margin: float) -> None:
    rng = RNG(seed)
    x, y = rng.normal(size=n), rng.normal(size=n)
    p = float(ttost_paired(x, y, -margin, margin)[0])
    found = paired_equivalence(x, y, margin)
    assert found.result.p == pytest.approx(p, rel=1e-7)
    assert (found.outcome is Outcome.EQUIVALENT) == (p < 0.05)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.sampled_from([0.005, 0.02, 0.1]), st.sampled_from([0.01, 0.05]))
def test_properties(b: int, c: int, margin: float, alpha: float) -> None:
    n = 1000
    found = tost_paired_binary(b, c, n, margin, alpha=alpha)
    swapped = tost_paired_binary(c, b, n, margin, alpha=alpha)
    assert (found.outcome, found.result.p) == (swapped.outcome, swapped.result.p)
    inner, outer = found.result.interval, found.difference
    assert inner is not None
    assert outer.low < inner.low < inner.high < outer.high
    assert (inner.level, outer.level) == (1.0 - 2.0 * alpha, 1.0 - alpha)
    inside = -margin < inner.low and inner.high < margin
    assert (found.outcome is Outcome.EQUIVALENT) == inside == (found.result.p < alpha)
    if found.outcome is Outcome.DIFFERENT:
        assert outer.low > 0.0 or outer.high < 0.0
    wider = tost_paired_binary(b, c, n, 2.0 * margin, alpha=alpha)
    assert wider.result.p <= found.result.p
    assert not (inside and wider.outcome is not Outcome.EQUIVALENT)


def test_a_small_difference_known_precisely_is_equivalent_not_different() -> None:
    """d = .003 +- .0015 of a million pairs excludes zero and lies within .01."""
    found = tost_paired_binary(8_000, 5_000, 10**6, 0.01)
    assert found.difference.low > 0.0
    assert found.outcome is Outcome.EQUIVALENT


def test_the_error_of_a_paired_binary_difference() -> None:
    """psi - d^2 over n is the variance of differences in {-1, 0, 1} with divisor n."""
    d = np.array([1] * 12 + [-1] * 5 + [0] * 83)
    found = tost_paired_binary(12, 5, 100, 0.1)
    assert found.result.se == pytest.approx(d.std() / 10.0, rel=1e-12)
    again = paired_equivalence(d > 0, d < 0, 0.1)
    assert again == found
    assert "17 discordant pairs" in found.result.assumptions[1]


def test_clusters_widen_it() -> None:
    rng = RNG(0)
    shared = np.repeat(rng.normal(size=20), 10)
    x, cluster = shared + 0.1 * rng.normal(size=200), np.repeat(np.arange(20), 10)
    rows, whole = paired_equivalence(x, np.zeros(200), 0.3), paired_equivalence(x, np.zeros(200), 0.3, cluster=cluster)
    assert rows.result.se is not None
    assert whole.result.se is not None
    assert whole.result.se > 2.5 * rows.result.se
    assert whole.result.n == 20
    assert "t with df 19" in whole.result.rule
    binary = paired_equivalence(x > 0, x > 1, 0.3, cluster=cluster)
    assert binary.result.n == 20


def test_clusters_of_one_row_are_rows() -> None:
    x, y = RNG(3).normal(size=(2, 12))
    rows, single = paired_equivalence(x, y, 0.5), paired_equivalence(x, y, 0.5, cluster=range(12))
    assert single.result.p == pytest.approx(rows.result.p, rel=1e-9)
    assert single.difference.high == pytest.approx(rows.difference.high, rel=1e-12)
    assert single.outcome is rows.outcome


@pytest.mark.parametrize("margin", [0.0, -0.1, math.nan, math.inf])
def test_a_margin_is_positive(margin: float) -> None:
    for ask in (
        lambda: tost_paired_binary(3, 4, 100, margin),
        lambda: paired_equivalence([1.0, 2.0, 4.0], [1.0, 3.0, 2.0], margin),
        lambda: tost_sample_size(0.1, margin, 0.9),
        lambda: tost_power(0.1, margin, 100),
    ):
        with pytest.raises(TollensError, match="margin") as caught:
            ask()
        assert caught.value.code == "stats_input"


def test_no_discordant_pair_is_not_equivalence() -> None:
    """With five equal pairs a rate of discordance of .45 is still within its 95 % bounds."""
    for b, c, n in ((0, 0, 5), (5, 0, 5), (0, 5, 5)):
        with pytest.raises(TollensError, match="clopper_pearson") as caught:
            tost_paired_binary(b, c, n, 0.01)
        assert caught.value.code == "stats_no_scale"
    with pytest.raises(TollensError) as caught:
        paired_equivalence([0.3] * 9, [0.2] * 9, 1.0)
    assert caught.value.code == "stats_no_scale"


@pytest.mark.parametrize(
    "ask",
    [
        lambda: tost_paired_binary(-1, 3, 10, 0.1),
        lambda: tost_paired_binary(6, 5, 10, 0.1),
        lambda: tost_paired_binary(1, 1, 0, 0.1),
        lambda: tost_paired_binary(1.0, 1, 10, 0.1),  # type: ignore[arg-type]
        lambda: tost_paired_binary(1, 2, 10, 0.1, alpha=0.0),
        lambda: tost_paired_binary(1, 2, 10, 0.1, alpha=0.5),
        lambda: tost_sample_size(0.0, 0.1, 0.9),
        lambda: tost_sample_size(1.1, 0.1, 0.9),
        lambda: tost_sample_size(0.1, 0.1, 1.0),
        lambda: tost_power(math.nan, 0.1, 10),
        lambda: tost_power(0.1, 0.1, 0),
        lambda: paired_equivalence([1.0], [2.0, 3.0], 0.1),
    ],
)
def test_hostile_input(ask: object) -> None:
    with pytest.raises(TollensError) as caught:
        ask()  # type: ignore[operator]
    assert caught.value.code == "stats_input"


@settings(max_examples=60, deadline=None)
@given(st.floats(0.005, 1.0), st.floats(0.005, 0.2), st.sampled_from([0.5, 0.8, 0.9, 0.99]))
def test_sample_size_is_the_smallest_with_that_power(psi: float, margin: float, power: float) -> None:
    n = tost_sample_size(psi, margin, power)
    assert tost_power(psi, margin, n) >= power - 1e-12
    assert n == 1 or tost_power(psi, margin, n - 1) < power
    assert tost_power(psi, margin, n) <= tost_power(psi, margin, 2 * n)
    assert tost_sample_size(psi, 2.0 * margin, power) <= n


def test_the_usual_mistake_is_the_size_for_less_power() -> None:
    """Twice z_.95, as if beta were not split, reaches 90 % and not 95 %."""
    n = math.ceil((2.0 * 1.6448536) ** 2 * 0.02 / 0.01**2)
    assert n == 2165
    assert tost_power(0.02, 0.01, n) == pytest.approx(0.9, abs=2e-4)


def test_the_answer_says_where_few_discordant_pairs_leave_its_level() -> None:
    few, many = tost_paired_binary(3, 2, 1000, 0.01).result, tost_paired_binary(12, 8, 1000, 0.02).result
    assert "at a rate of up to 0.12" in few.guarantee
    assert "0.12" not in many.guarantee
