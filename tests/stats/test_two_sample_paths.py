from __future__ import annotations

import numpy as np
import pytest

from tollens.core.seeding import generator
from tollens.stats.operating_characteristics import Simulation, Truth, e_value_rule, operating_characteristics
from tollens.stats.two_sample_paths import parallel_e
from tollens.stats.two_sample_sequence import Block, two_sample_log_e

LOOKS = (20, 40, 90)


def test_many_runs_side_by_side_are_each_the_e_process_of_its_own_blocks() -> None:
    rng = generator(1, "paths")
    blocks = [
        [Block(int(a), size, int(b), size) for a, b in rng.integers(0, size + 1, (6, 2))] for size in (20, 20, 50)
    ]
    ones = np.array([[[block.ones_a, block.ones_b] for block in look] for look in blocks]).cumsum(axis=0)
    e_values = parallel_e(6)
    found = [e_values(n, ones[k, :, 0], ones[k, :, 1], np.arange(6)) for k, n in enumerate(LOOKS)]
    for run in range(6):
        expected = np.exp(two_sample_log_e([look[run] for look in blocks]))
        assert np.array([look[run] for look in found]) == pytest.approx(expected, rel=1e-10)


def test_runs_that_have_ended_keep_their_state_out_of_the_others() -> None:
    e_values = parallel_e(3)
    e_values(20, np.array([1, 5, 9]), np.array([9, 5, 1]), np.arange(3))
    rest = e_values(40, np.array([2, 18]), np.array([18, 2]), np.array([0, 2]))
    expected = np.exp(two_sample_log_e([Block(1, 20, 9, 20), Block(1, 20, 9, 20)]))[-1]
    assert rest == pytest.approx([expected, expected])


def test_with_equal_arms_the_rule_ships_no_more_often_than_its_level() -> None:
    simulation = Simulation(tuple(range(20, 401, 20)), (Truth(0.3, 0.3), Truth(0.3, 0.5)), 2000)
    rows = operating_characteristics(
        "e", lambda runs: e_value_rule(parallel_e(runs), 0.05), simulation, generator(2, "paths")
    ).rows
    assert rows[0].wrong <= 0.05 + 4 * (0.05 * 0.95 / 2000) ** 0.5
    assert rows[1].right > 0.8
