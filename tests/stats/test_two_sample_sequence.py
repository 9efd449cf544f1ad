from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import nchypergeom_fisher

from tollens.core.errors import TollensError
from tollens.stats.two_sample_sequence import (
    Block,
    blocks_between,
    log_ratio,
    mixture_points,
    two_sample_log_e,
    two_sample_test,
)


@st.composite
def blocks(draw: st.DrawFn) -> Block:
    size_a, size_b = draw(st.integers(0, 12)), draw(st.integers(0, 12))
    return Block(draw(st.integers(0, size_a)), size_a, draw(st.integers(0, size_b)), size_b)


@settings(max_examples=30, deadline=None)
@given(blocks(), st.floats(-2.0, 2.0))
def test_the_ratio_is_that_of_fishers_hypergeometric_laws(block: Block, log_odds: float) -> None:
    total = block.ones_a + block.ones_b
    size = block.size_a + block.size_b
    if not 0 < total < size or not block.size_b:
        expected = 0.0
    else:
        law = nchypergeom_fisher(size, block.size_b, total, math.exp(log_odds))
        central = nchypergeom_fisher(size, block.size_b, total, 1.0)
        expected = law.logpmf(block.ones_b) - central.logpmf(block.ones_b)
    assert log_ratio(block, np.array([log_odds]))[0] == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize(("size_a", "size_b", "total"), [(3, 5, 4), (10, 2, 6), (7, 7, 1)])
def test_given_the_past_and_the_total_the_e_value_has_mean_one(size_a: int, size_b: int, total: int) -> None:
    past = Block(2, 9, 6, 9)
    support = range(max(0, total - size_a), min(total, size_b) + 1)
    weights = [math.comb(size_b, j) * math.comb(size_a, total - j) / math.comb(size_a + size_b, total) for j in support]
    paths = [two_sample_log_e([past, Block(total - j, size_a, j, size_b)]) for j in support]
    mean = math.fsum(w * math.exp(path[1]) for w, path in zip(weights, paths, strict=True))
    assert mean == pytest.approx(math.exp(paths[0][0]), rel=1e-12)


@settings(max_examples=30, deadline=None)
@given(st.lists(blocks(), min_size=1, max_size=5), st.floats(0.05, 2.0))
def test_exchanging_the_arms_or_the_outcomes_changes_nothing(given_blocks: list[Block], scale: float) -> None:
    swapped = [Block(b.ones_b, b.size_b, b.ones_a, b.size_a) for b in given_blocks]
    renamed = [Block(b.size_a - b.ones_a, b.size_a, b.size_b - b.ones_b, b.size_b) for b in given_blocks]
    e = two_sample_log_e(given_blocks, scale)
    assert two_sample_log_e(swapped, scale) == pytest.approx(e, abs=1e-9)
    assert two_sample_log_e(renamed, scale) == pytest.approx(e, abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.lists(blocks(), min_size=2, max_size=5), st.randoms(use_true_random=False))
def test_the_order_of_blocks_does_not_matter_at_the_end(given_blocks: list[Block], random: Any) -> None:
    end = two_sample_log_e(given_blocks)[-1]
    random.shuffle(given_blocks)
    assert two_sample_log_e(given_blocks)[-1] == pytest.approx(end, abs=1e-9)


def test_pairs_are_the_coin_of_their_discordant_ones() -> None:
    """Blocks of one and one: with probability e^h/(1 + e^h) a discordant pair has its one in B."""
    pairs = [Block(0, 1, 1, 1)] * 5 + [Block(1, 1, 0, 1)] * 2 + [Block(1, 1, 1, 1), Block(0, 1, 0, 1)]
    h = mixture_points(0.4)
    coin = np.mean(np.exp(5 * h + 7 * math.log(2.0)) / (1.0 + np.exp(h)) ** 7)
    assert math.exp(two_sample_log_e(pairs, 0.4)[-1]) == pytest.approx(coin, rel=1e-9)


def test_a_block_without_a_choice_says_nothing() -> None:
    for block in (Block(0, 5, 0, 5), Block(5, 5, 5, 5), Block(0, 0, 3, 5), Block(0, 0, 0, 0)):
        assert (log_ratio(block, mixture_points(1.0)) == 0.0).all()


def test_many_units_in_one_block() -> None:
    result = two_sample_test([Block(20_000, 200_000, 24_000, 200_000)])
    assert result.e is not None
    assert result.e > 1e80
    assert result.p is not None
    assert result.p < 1e-80
    assert result.estimate == pytest.approx(0.02)
    assert result.n == 400_000


def test_p_keeps_the_largest_e_so_far() -> None:
    away, back = Block(1, 30, 15, 30), Block(15, 30, 1, 30)
    one, two = two_sample_test([away]), two_sample_test([away, back])
    assert one.e is not None
    assert two.e is not None
    assert two.e < 1.0 < one.e
    assert two.p == one.p == pytest.approx(1.0 / one.e)


def test_blocks_end_at_the_looks() -> None:
    a, b = [1, 0, 0, 1, 1, 0], [0, 0, 1, 1, 1]
    assert blocks_between(a, b, [2, 5]) == (Block(1, 2, 0, 2), Block(2, 3, 3, 3))


@pytest.mark.parametrize("looks", [[], [0], [3, 3], [3, 2], [6], [1.5]])
def test_looks_that_cannot_be_made_are_refused(looks: list[Any]) -> None:
    with pytest.raises(TollensError, match="stats_input"):
        two_sample_log_e(blocks_between([0, 1, 0, 1, 1, 1], [1, 0, 1, 0, 0], looks))


@pytest.mark.parametrize("counts", [(3, 2, 0, 2), (-1, 2, 0, 2), (0, 2, 3, 2), (0.5, 2, 0, 2), (0, -1, 0, 2)])
def test_counts_outside_their_range_are_refused(counts: tuple[Any, Any, Any, Any]) -> None:
    with pytest.raises(TollensError, match="stats_input"):
        Block(*counts)


@pytest.mark.parametrize("scale", [0.0, -1.0, math.inf, math.nan])
def test_a_scale_that_is_none_is_refused(scale: float) -> None:
    with pytest.raises(TollensError, match="scale"):
        two_sample_test([Block(1, 2, 1, 2)], scale)


def test_an_empty_arm_is_refused() -> None:
    with pytest.raises(TollensError, match="both arms"):
        two_sample_test([Block(0, 0, 1, 2)])
