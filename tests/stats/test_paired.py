from __future__ import annotations

import math

import numpy as np
import pytest

from tollens.core.errors import TollensError
from tollens.stats.binomial_interval import ends
from tollens.stats.paired import Discordance, discordance, errors_of, paired_difference, paired_test
from tollens.stats.permutation import sign_flip
from tollens.stats.published import GROUPS, SCORES_A, SCORES_B, SLEEP_1, SLEEP_2
from tollens.stats.tables import mcnemar_exact

RNG = np.random.default_rng


def test_discordant_pairs_are_counted() -> None:
    assert discordance(SCORES_A, SCORES_B) == Discordance(2, 0, 10)
    assert discordance(SCORES_B, SCORES_A) == Discordance(0, 2, 10)
    assert discordance([True, False], [False, False]) == Discordance(1, 0, 2)
    assert discordance(SLEEP_1, SLEEP_2) is None
    assert discordance([0, 1], [0, 2]) is None


def test_the_test_follows_the_data() -> None:
    rng = RNG(0)
    a, b = rng.integers(0, 2, 60), rng.integers(0, 2, 60)
    counts = discordance(a, b)
    assert counts is not None
    assert paired_test(a, b) == mcnemar_exact(counts.b, counts.c)
    assert paired_test(SLEEP_1, SLEEP_2).p == 4 / 1024
    groups = np.arange(60) // 5
    clustered = paired_test(a, b, cluster=groups)
    assert clustered == sign_flip(a - b, cluster=groups)
    assert clustered.n == 12


def test_sign_flips_of_0_1_data_are_mcnemar() -> None:
    """Flipping the signs of ones is tossing a coin for each discordant pair."""
    rng = RNG(1)
    for _ in range(20):
        a, b = rng.integers(0, 2, 18), rng.integers(0, 2, 18)
        assert sign_flip(a - b).p == pytest.approx(paired_test(a, b).p, rel=1e-12)


def test_difference_and_its_errors() -> None:
    plain = paired_difference(SCORES_A, SCORES_B)
    assert (plain.estimate, plain.se) == (pytest.approx(0.2), pytest.approx(2 / 15))
    clustered = paired_difference(SCORES_A, SCORES_B, cluster=GROUPS, min_clusters=4)
    assert (clustered.estimate, clustered.se) == (pytest.approx(0.2), pytest.approx(0.08))
    errors = errors_of(SCORES_A, SCORES_B, GROUPS, min_clusters=4)
    assert (errors.clustered, errors.naive) == (pytest.approx(0.08), pytest.approx(math.sqrt(0.016)))
    assert errors.ratio == pytest.approx(0.08 / math.sqrt(0.016))
    swapped = paired_difference(SCORES_B, SCORES_A, cluster=GROUPS, min_clusters=4)
    assert (swapped.estimate, swapped.se) == (pytest.approx(-0.2), pytest.approx(0.08))


def test_clusters_of_one_row_give_the_paired_t_interval() -> None:
    one = paired_difference(SLEEP_1, SLEEP_2, cluster=range(10))
    assert ends(one) == pytest.approx(ends(paired_difference(SLEEP_1, SLEEP_2)), rel=1e-12)


def test_refusals_come_through() -> None:
    x = RNG(0).normal(size=24)
    for ask, code in (
        (lambda: paired_difference([], []), "stats_input"),
        (lambda: paired_difference(x + 0.1, x), "stats_no_scale"),
        (lambda: paired_difference(x + 0.1, x, cluster=np.arange(24) // 3), "stats_no_scale"),
        (lambda: paired_difference(x, x**2, cluster=np.arange(24) // 4), "stats_too_few_units"),
        (lambda: errors_of(x, x**2, np.arange(24) // 4), "stats_too_few_units"),
        (lambda: paired_test(x, x**2), "stats_unnamed"),
        (lambda: paired_test(x[:5], x[:5] + x[5:10]), "stats_level_unreachable"),
        (lambda: paired_test([1, 0], [1]), "stats_input"),
        (lambda: discordance([1.0, math.nan], [0, 1]), "stats_input"),
    ):
        with pytest.raises(TollensError) as caught:
            ask()
        assert caught.value.code == code
    assert 0.0 < paired_test(x, x**2, rng=RNG(0)).p <= 1.0
