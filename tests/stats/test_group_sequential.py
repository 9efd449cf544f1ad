from __future__ import annotations

import dataclasses
import math
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtri

from tollens.core.errors import TollensError
from tollens.stats.crossing import crossing
from tollens.stats.group_sequential import (
    Design,
    boundary_at,
    equal_looks,
    first_crossing,
    lan_demets,
    obrien_fleming,
    pocock,
    repeated_interval,
    total_error,
    unplanned_look,
)
from tollens.stats.schedule import PlannedLooks
from tollens.stats.spending import SPENDING

FIVE = equal_looks(5)


def every_design(looks: int, alpha: float, sides: int) -> list[Design]:
    times = equal_looks(looks)
    shaped = [obrien_fleming(times, alpha, sides), pocock(times, alpha, sides)]
    return shaped + [lan_demets(times, alpha, name, sides) for name in SPENDING]


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 7), st.floats(1e-4, 0.3), st.sampled_from([1, 2]))
def test_every_design_spends_alpha(looks: int, alpha: float, sides: int) -> None:
    for design in every_design(looks, alpha, sides):
        assert total_error(design) == pytest.approx(alpha, abs=1e-9), design.name


@settings(max_examples=12, deadline=None)
@given(st.integers(2, 7), st.floats(1e-4, 0.2), st.sampled_from([1, 2]))
def test_boundaries_of_the_obrien_fleming_kind_fall(looks: int, alpha: float, sides: int) -> None:
    """Those of Pocock spending need not: one side, alpha .0625, two looks give 1.765 and 1.773."""
    for design in every_design(looks, alpha, sides):
        if "fleming" in design.name.lower():
            assert all(later < earlier for earlier, later in zip(design.z, design.z[1:], strict=False)), design.name


@settings(max_examples=12, deadline=None)
@given(st.integers(2, 6), st.floats(1e-3, 0.2))
def test_a_stricter_level_lies_further_out(looks: int, alpha: float) -> None:
    for loose, strict in zip(every_design(looks, alpha, 2), every_design(looks, alpha / 2.0, 2), strict=True):
        assert all(a < b for a, b in zip(loose.z, strict.z, strict=True)), loose.name


def test_one_look_is_the_fixed_test() -> None:
    for design in every_design(1, 0.05, 2):
        assert design.z[0] == pytest.approx(-ndtri(0.025), abs=1e-9)
    for design in every_design(1, 0.05, 1):
        assert design.z[0] == pytest.approx(-ndtri(0.05), abs=1e-9)


def test_each_look_spends_what_the_function_says() -> None:
    for name, spend in SPENDING.items():
        for sides in (1, 2):
            design = lan_demets(FIVE, 0.05, name, sides)
            found = crossing(design.z, FIVE, sides)
            so_far = [sum(found.upper[: k + 1]) + sum(found.lower[: k + 1]) for k in range(5)]
            assert so_far == pytest.approx([spend(t, 0.05, sides) for t in FIVE], abs=1e-9)


def test_two_sides_of_the_obrien_fleming_type_are_one_side_at_half_alpha() -> None:
    """Crossing both boundaries is so rare at .05 that four digits agree."""
    two, one = lan_demets(FIVE, 0.05, "obrien-fleming"), lan_demets(FIVE, 0.025, "obrien-fleming", 1)
    assert two.z == pytest.approx(one.z, abs=1e-4)
    assert two.z != one.z


def test_power_of_published_designs() -> None:
    """Maximum information over that of the fixed test for power .9 at alpha .05, five looks: Pocock 1.207,
    O'Brien-Fleming 1.026 (Jennison & Turnbull 2000, tables 2.2 and 2.4)."""
    fixed = float(-ndtri(0.025) - ndtri(0.1))
    for design, ratio in ((pocock(FIVE, 0.05), 1.207), (obrien_fleming(FIVE, 0.05), 1.026)):
        found = crossing(design.z, FIVE, 2, drift=fixed * math.sqrt(ratio))
        assert found.total == pytest.approx(0.9, abs=3e-4), design.name


def test_a_boundary_depends_on_no_later_look() -> None:
    whole = lan_demets(FIVE, 0.05, "pocock")
    part = lan_demets(FIVE[:3], 0.05, "pocock")
    other = lan_demets((*FIVE[:3], 0.61, 1.0), 0.05, "pocock")
    assert part.z == pytest.approx(whole.z[:3], abs=1e-9)
    assert other.z[:3] == pytest.approx(whole.z[:3], abs=1e-9)
    assert total_error(part) == pytest.approx(part.spent, abs=1e-9)


def test_a_look_so_early_that_nothing_may_be_spent() -> None:
    design = lan_demets((0.001, 0.5, 1.0), 0.05, "obrien-fleming")
    assert design.z[0] == 37.0
    assert total_error(design) == pytest.approx(0.05, abs=1e-9)


def test_twenty_looks_take_less_than_half_a_second() -> None:
    """All five take 0.05 s on a free core; the bound is for a machine that is busy."""
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        every_design(20, 0.05, 2)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.5


@pytest.mark.parametrize("change", [0.001, -0.001])
def test_a_stored_boundary_that_misses_alpha_is_refused(change: float) -> None:
    design = obrien_fleming(FIVE, 0.05)
    spoiled = dataclasses.replace(design, z=(*design.z[:-1], design.z[-1] + change))
    with pytest.raises(TollensError, match="stored boundary") as caught:
        total_error(spoiled)
    assert caught.value.code == "stats_input"
    with pytest.raises(TollensError, match="type-I error"):
        repeated_interval(spoiled, PlannedLooks((10, 20, 30, 40, 50)), 10, 0.0, 1.0)


def test_a_stored_design_that_claims_to_spend_more_than_alpha_is_refused() -> None:
    generous = dataclasses.replace(pocock(FIVE, 0.1), alpha=0.05)
    with pytest.raises(TollensError, match="stats_input"):
        total_error(generous)


def test_a_stored_boundary_within_the_tolerance_passes() -> None:
    design = obrien_fleming(FIVE, 0.05)
    rounded = dataclasses.replace(design, z=tuple(round(z, 5) for z in design.z))
    assert total_error(rounded) == pytest.approx(0.05, abs=1e-5)


def test_looks_beyond_the_last_raise() -> None:
    design = pocock(FIVE, 0.05)
    assert boundary_at(design, 5) == design.z[4]
    with pytest.raises(TollensError) as caught:
        boundary_at(design, 6)
    assert caught.value.code == "stats_peeking"
    with pytest.raises(TollensError, match="stats_peeking"):
        first_crossing(design, [0.0] * 6)


def test_the_first_crossing() -> None:
    two, one = pocock(FIVE, 0.05), pocock(FIVE, 0.05, 1)
    assert first_crossing(two, [0.0, -3.0, 5.0]) == 2
    assert first_crossing(one, [0.0, -3.0, 5.0]) == 3
    assert first_crossing(two, [0.0, 1.0]) is None
    assert first_crossing(two, [two.z[0]]) == 1
    with pytest.raises(TollensError, match="stats_input"):
        first_crossing(two, [math.nan])


def test_a_repeated_interval_belongs_to_its_look() -> None:
    plan, design = PlannedLooks((40, 80, 120)), obrien_fleming(equal_looks(3), 0.05)
    result = repeated_interval(design, plan, 80, 0.4, 0.1)
    assert result.interval is not None
    assert (result.interval.high - result.interval.low) / 0.2 == pytest.approx(design.z[1])
    assert result.guarantee == "valid at the planned looks"
    with pytest.raises(TollensError) as caught:
        repeated_interval(design, plan, 81, 0.4, 0.1)
    assert caught.value.code == "stats_peeking"


@pytest.mark.parametrize(
    ("design", "plan", "estimate", "se"),
    [
        (pocock(equal_looks(2), 0.05), (40, 90), 0.0, 1.0),
        (pocock(equal_looks(2), 0.05), (30, 60, 90), 0.0, 1.0),
        (pocock(equal_looks(2), 0.05, 1), (45, 90), 0.0, 1.0),
        (pocock(equal_looks(2), 0.05), (45, 90), math.nan, 1.0),
        (pocock(equal_looks(2), 0.05), (45, 90), 0.0, 0.0),
    ],
)
def test_a_repeated_interval_is_refused(design: Design, plan: tuple[int, ...], estimate: float, se: float) -> None:
    with pytest.raises(TollensError, match="stats_input"):
        repeated_interval(design, PlannedLooks(plan), 90, estimate, se)


def test_a_spending_design_takes_a_look_that_was_not_planned() -> None:
    plan, design = PlannedLooks((100, 200, 300)), lan_demets(equal_looks(3), 0.05, "obrien-fleming")
    new, sizes = unplanned_look(design, plan, 1, 150)
    assert sizes.sizes == (100, 150, 200, 300)
    assert new.z[0] == pytest.approx(design.z[0], abs=1e-9)
    assert total_error(new) == pytest.approx(0.05, abs=1e-9)
    assert unplanned_look(design, plan, 0, 50)[1].sizes == (50, 100, 200, 300)
    for done, n in ((1, 100), (2, 150), (1, 301), (3, 300)):
        with pytest.raises(TollensError) as caught:
            unplanned_look(design, plan, done, n)
        assert caught.value.code == "stats_peeking"


def test_other_designs_do_not() -> None:
    plan, design = PlannedLooks((100, 200, 300)), obrien_fleming(equal_looks(3), 0.05)
    with pytest.raises(TollensError) as caught:
        unplanned_look(design, plan, 1, 150)
    assert caught.value.code == "stats_peeking"
    assert unplanned_look(design, plan, 1, 200) == (design, plan)


@pytest.mark.parametrize("make", [obrien_fleming, pocock])
@pytest.mark.parametrize(
    ("fractions", "alpha", "sides"),
    [((0.5, 0.9), 0.05, 2), ((0.5, 0.4, 1.0), 0.05, 2), ((0.5, 1.0), 0.0, 2), ((1.0,), 0.6, 1), ((1.0,), 0.05, 3)],
)
def test_what_is_no_design_is_refused(make: Any, fractions: tuple[float, ...], alpha: float, sides: int) -> None:
    with pytest.raises(TollensError, match="stats_input"):
        make(fractions, alpha, sides)


def test_an_unknown_spending_function_is_named_as_such() -> None:
    with pytest.raises(TollensError, match="pocock") as caught:
        lan_demets(FIVE, 0.05, "obf")
    assert caught.value.code == "stats_unnamed"


@pytest.mark.parametrize("t", [0.0, -0.1, 1.0001, math.nan])
@pytest.mark.parametrize("name", SPENDING)
def test_information_outside_the_study_cannot_be_spent(name: str, t: float) -> None:
    with pytest.raises(TollensError, match="stats_input"):
        SPENDING[name](t, 0.05, 2)


@settings(max_examples=50)
@given(st.floats(1e-4, 0.999), st.floats(1e-4, 0.9), st.sampled_from([1, 2]), st.sampled_from(sorted(SPENDING)))
def test_spending_rises_to_alpha(t: float, alpha: float, sides: int, name: str) -> None:
    spend = SPENDING[name]
    assert 0.0 <= spend(t * 0.999, alpha, sides) <= spend(t, alpha, sides) <= alpha
    assert spend(1.0, alpha, sides) == pytest.approx(alpha, rel=1e-12)
