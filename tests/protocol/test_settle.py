from __future__ import annotations

import math
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tollens.core.errors import TollensError
from tollens.core.seeding import generator
from tollens.protocol.null import NullSpec, null_answer
from tollens.protocol.settle import Undecided, settling, settling_null
from tollens.stats.power import power_paired_t

# mean .5, standard deviation 1: a standardised distance of .5 from 0
HALF = [0.5 + math.sqrt(0.75) * x for x in (-1.0, 1.0, -1.0, 1.0)]


def _number(text: str) -> int:
    found = re.search(r"About ([0-9,]+) ", text) or re.search(r"about ([0-9,]+) times", text)
    assert found, text
    return int(found[1].replace(",", ""))


def test_the_number_is_that_of_the_one_sample_t_test() -> None:
    text = settling(Undecided(HALF, 0.0, ">=", 0.05))
    assert _number(text) == 27  # one-sided, d .5: Cohen (1988); the power is .8118 at 27 and .7986 at 26
    assert power_paired_t(0.5, 27, 0.05, sides=1) >= 0.8 > power_paired_t(0.5, 26, 0.05, sides=1)
    assert text == (
        "About 27 cells, 23 more than were read, would tell 0.5 from 0 (80 % power at level 0.05, one-sided t test, if "
        "the true mean is 0.5, the cells are independent and normal, and their standard deviation is 1)."
    )


def test_the_unit_and_the_noun_are_those_of_the_claim() -> None:
    text = settling(Undecided(HALF, 0.0, ">=", 0.05, unit="pp", noun="seed"))
    assert text.startswith("About 27 seeds, 23 more than were read, would tell 0.5 pp from 0 pp")


TENS = st.floats(-10.0, 10.0).map(lambda value: round(value, 12))


@settings(deadline=None)
@given(st.lists(TENS, min_size=2, max_size=12), TENS, st.floats(0.001, 0.3), st.floats(0.1, 10.0))
@example([0.0, 9.790389986982771e-162], 0.0, 0.25, 0.25)
def test_the_scale_does_not_matter_and_nothing_breaks(
    values: list[float], value: float, level: float, scale: float
) -> None:
    text = settling(Undecided(values, value, ">=", level))
    assert text.endswith(".")
    assert "nan" not in text
    if text.startswith("About"):
        again = settling(Undecided([scale * x for x in values], scale * value, "<", level))
        assert abs(_number(again) - _number(text)) <= 1 + 1e-6 * _number(text)


@settings(deadline=None, max_examples=30)
@given(st.floats(0.05, 0.4), st.floats(1.1, 3.0))
def test_nearer_to_the_threshold_needs_more(distance: float, factor: float) -> None:
    near, far = (settling(Undecided(HALF, 0.5 - d, ">=", 0.05)) for d in (distance, distance * factor))
    assert _number(near) >= _number(far)


@pytest.mark.slow
def test_so_many_cells_do_find_it_with_four_fifths_of_the_runs() -> None:
    n, runs = _number(settling(Undecided(HALF, 0.0, ">=", 0.05))), 20_000
    x = generator(3, "settle").normal(0.5, 1.0, size=(runs, n))
    t = x.mean(axis=1) * math.sqrt(n) / x.std(axis=1, ddof=1)
    found = float((t > 1.7056).mean())  # t_{.95} with 26 degrees of freedom
    print(f"{found:.4f} of {runs} runs of {n} cells decide")
    assert abs(found - power_paired_t(0.5, n, 0.05, sides=1)) <= 3.0 * math.sqrt(0.16 / runs)


def test_within_counts_from_the_nearer_limit() -> None:
    text = settling(Undecided(HALF, 1.5, "within", 0.05, tolerance=0.5))
    assert "would tell 0.5 from 1 " in text
    assert _number(text) == 27


def test_an_extreme_is_settled_by_repeats_and_not_by_more_cells() -> None:
    text = settling(Undecided(HALF, -0.8660254 + 1.0, ">=", 0.05, aggregate="min", observed=min(HALF)))
    assert text.startswith("More cells move min one way or not at all")
    assert "as among the cells" in text
    assert _number(text) >= 2
    text = settling(Undecided(HALF, 0.0, ">=", 0.05, aggregate="quantile", observed=0.5))
    assert text.startswith("No number of cells follows from their spread for a quantile; repeat the cell")


def test_unmeasured_cells_are_named_before_any_number() -> None:
    asked = Undecided(HALF, 0.0, ">=", 0.05, unmeasured=("seed=4", "seed=5"))
    assert settling(asked).startswith("Measure seed=4, seed=5: the unmeasured cells decide")
    many = Undecided(HALF, 0.0, ">=", 0.05, unmeasured=tuple(f"seed={i}" for i in range(1000)))
    assert "seed=4 and 995 more" in settling(many)


@pytest.mark.parametrize(("values", "says"), [([], "0 cells show"), ([0.5], "1 cell show")])
def test_one_cell_has_no_spread(values: list[float], says: str) -> None:
    text = settling(Undecided(values, 0.0, ">=", 0.05))
    assert text.startswith(f"n cannot be computed: {says} no spread; measure at least 2")


def test_no_distance_no_number() -> None:
    text = settling(Undecided([-1.0, 1.0], 0.0, ">=", 0.05))
    assert text.startswith("n cannot be computed: the mean is 0, at the threshold itself")
    assert "smallest difference that matters" in text


def test_a_distance_that_no_sample_finds() -> None:
    assert "over 1e+12 cells" in settling(Undecided([-1.0, 1.0], 1e-9, ">=", 0.05))
    assert "over 1e+12 cells" in settling(Undecided([-1.0, 1.0], 5e-324, ">=", 0.05))


def test_equal_cells_say_nothing_of_another() -> None:
    assert settling(Undecided([0.1] * 3, 0.0, ">=", 0.05)).startswith("n cannot be computed: all 3 cells read 0.1")


def test_enough_cells_point_to_the_gap_between_the_rules() -> None:
    text = settling(Undecided([0.9, 1.0, 1.1] * 5, 0.0, ">=", 0.05))
    assert text.startswith("More cells will not settle it: 2 suffice to tell 1 from 0 and 15 were read")


def test_a_spread_that_nearly_vanishes_is_no_small_distance() -> None:
    assert settling(Undecided([1.0, 1.0 + 1e-15, 1.0], 0.0, ">=", 0.05)).startswith("More cells will not settle it: 2 ")
    assert settling(Undecided([1e-160, 2e-160], 1e99, ">=", 0.05)).startswith("More cells will not settle it: 2 ")


def test_input_that_cannot_be_used_is_refused() -> None:
    for asked in (
        Undecided([math.nan, 1.0], 0.0, ">=", 0.05),
        Undecided(HALF, 0.0, ">=", 0.0),
        Undecided(HALF, 0.0, ">=", 0.9),
        Undecided(HALF, 0.0, ">=", 0.05, observed=math.inf),
    ):
        with pytest.raises(TollensError, match="stats_input"):
            settling(asked)


def test_too_few_draws_name_the_least() -> None:
    spec = NullSpec(draws=10, order="max", level="0.05", direction="higher_is_better")
    text = settling_null(spec, null_answer(5.0, [float(i) for i in range(10)], spec))
    assert text == ("Draw the null 19 times (9 more): of 10 draws the max has level 0.0909, and level 0.05 needs 19.")


def test_enough_draws_that_reach_the_value_are_not_to_be_outdrawn() -> None:
    spec = NullSpec(draws=19, order="max", level="0.05", direction="higher_is_better")
    text = settling_null(spec, null_answer(5.0, [float(i) for i in range(19)], spec))
    assert text.startswith("More draws of the null cannot settle it: 19 are enough for level 0.05")
    assert "p = 0.75" in text  # 14 of 19 reach 5
