from __future__ import annotations

import math

import numpy as np
import pytest

from tollens.core.errors import TollensError
from tollens.core.seeding import generator
from tollens.stats.operating_characteristics import (
    Counts,
    Decision,
    OperatingRow,
    Simulation,
    Truth,
    e_value_rule,
    operating_characteristics,
)

EQUAL = Truth(0.3, 0.3)


def always_b(n: int, a: Counts, b: Counts, going: Counts) -> np.ndarray:
    return np.full(a.size, Decision.SHIP_B, dtype=np.int8)


def never(n: int, a: Counts, b: Counts, going: Counts) -> np.ndarray:
    return np.zeros(a.size, dtype=np.int8)


def larger(n: int, a: Counts, b: Counts, going: Counts) -> np.ndarray:
    return np.where(b > a, Decision.SHIP_B, np.where(a > b, Decision.SHIP_A, Decision.CONTINUE)).astype(np.int8)


def test_a_rule_that_ships_at_once_and_one_that_never_does() -> None:
    simulation = Simulation((10, 30), (EQUAL, Truth(0.2, 0.1)), 50)
    at_once = operating_characteristics("b", lambda runs: always_b, simulation, generator(0))
    assert [(r.ships_b, r.third, r.mean_users, r.median_users) for r in at_once.rows] == [(1.0, 0.0, 20.0, 20.0)] * 2
    assert at_once.rows[1].wrong == 1.0
    assert at_once.rows[1].right == 0.0
    silent = operating_characteristics("never", lambda runs: never, simulation, generator(0))
    assert [(r.third, r.mean_users) for r in silent.rows] == [(1.0, 60.0)] * 2
    assert silent.equal_arms == (silent.rows[0],)


def test_shares_agree_with_the_binomial_law() -> None:
    """One trial an arm: B is larger with probability p_b (1 - p_a)."""
    runs = 20_000
    simulation = Simulation((1,), (EQUAL, Truth(0.2, 0.6)), runs)
    rows = operating_characteristics("larger", lambda runs: larger, simulation, generator(1)).rows
    for row in rows:
        p = row.truth.b * (1 - row.truth.a)
        assert row.ships_b == pytest.approx(p, abs=4 * math.sqrt(p * (1 - p) / runs))
        assert row.ships_a + row.ships_b + row.third == pytest.approx(1.0, abs=1e-12)


def test_the_same_generator_gives_the_same_rows() -> None:
    simulation = Simulation((5, 10), (EQUAL,), 100)
    one, two = (
        operating_characteristics("larger", lambda runs: larger, simulation, generator(7, "x")) for _ in range(2)
    )
    assert one == two
    assert one != operating_characteristics("larger", lambda runs: larger, simulation, generator(8, "x"))


def test_right_and_wrong_change_sides_with_the_truth() -> None:
    row = OperatingRow(Truth(0.1, 0.2), 0.2, 0.5, 0.3, 10.0, 10.0)
    assert (row.right, row.wrong) == (0.5, 0.2)
    row = OperatingRow(Truth(0.2, 0.1), 0.2, 0.5, 0.3, 10.0, 10.0)
    assert (row.right, row.wrong) == (0.2, 0.5)
    row = OperatingRow(Truth(0.2, 0.2), 0.2, 0.5, 0.3, 10.0, 10.0)
    assert (row.right, row.wrong) == pytest.approx((0.3, 0.7))


def test_the_e_value_rule_ships_the_arm_with_more_successes() -> None:
    rule = e_value_rule(lambda n, a, b, going: np.full(a.size, float(n)), 0.1)
    a, b = np.array([3, 1]), np.array([1, 3])
    assert rule(9, a, b, np.arange(2)).tolist() == [Decision.CONTINUE, Decision.CONTINUE]
    assert rule(10, a, b, np.arange(2)).tolist() == [Decision.SHIP_A, Decision.SHIP_B]


@pytest.mark.parametrize("alpha", [0.0, 1.0, math.nan])
def test_a_level_outside_its_range_is_refused(alpha: float) -> None:
    with pytest.raises(TollensError) as caught:
        e_value_rule(lambda n, a, b, going: np.ones(a.size), alpha)
    assert caught.value.code == "stats_input"


def test_no_row_of_equal_arms_is_refused() -> None:
    with pytest.raises(TollensError) as caught:
        Simulation((10,), (Truth(0.1, 0.2),), 10)
    assert caught.value.code == "stats_uncalibrated"
    assert "A/A" in caught.value.expected


@pytest.mark.parametrize("looks", [(), (0,), (10, 10), (20, 10), (-5, 10), (1.5, 2)])
def test_looks_that_do_not_increase_are_refused(looks: tuple[int, ...]) -> None:
    with pytest.raises(TollensError) as caught:
        Simulation(looks, (EQUAL,), 10)
    assert caught.value.code == "stats_input"


@pytest.mark.parametrize("rate", [-0.1, 1.1, math.nan, math.inf])
def test_a_truth_that_is_no_rate_is_refused(rate: float) -> None:
    for pair in ((rate, 0.5), (0.5, rate)):
        with pytest.raises(TollensError) as caught:
            Truth(*pair)
        assert caught.value.code == "stats_input"


def test_no_runs_are_refused() -> None:
    with pytest.raises(TollensError) as caught:
        Simulation((10,), (EQUAL,), 0)
    assert caught.value.code == "stats_input"
