from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollens.lint.interval import INF, Range, as_range, highest, hull, lowest, total

ends = st.floats(-1e6, 1e6)
ranges = st.tuples(ends, ends).map(lambda pair: Range(min(pair), max(pair)))


def inside(made: Range, exact: Fraction) -> bool:
    """Compared as rationals: the interval must hold the exact value, not its float."""
    low = Fraction(made.low) if math.isfinite(made.low) else None
    high = Fraction(made.high) if math.isfinite(made.high) else None
    return (low is None or low <= exact) and (high is None or exact <= high)


@given(ranges, ranges)
def test_arithmetic_holds_every_exact_result(a: Range, b: Range) -> None:
    for x in (a.low, a.high):
        for y in (b.low, b.high):
            assert inside(a + b, Fraction(x) + Fraction(y))
            assert inside(a - b, Fraction(x) - Fraction(y))
            assert inside(a * b, Fraction(x) * Fraction(y))
            if y != 0.0:
                assert inside(a / b, Fraction(x) / Fraction(y))


@given(ranges, st.floats(-1e3, 1e3))
def test_numbers_stand_for_themselves(a: Range, x: float) -> None:
    assert a + x == a + as_range(x) == x + a
    assert x - a == as_range(x) - a
    assert a * x == x * a
    assert (x / a) == as_range(x) / a


def test_division_by_an_interval_that_holds_zero_is_unbounded() -> None:
    assert Range(1.0, 2.0) / Range(-1.0, 1.0) == Range(-INF, INF)
    assert Range(1.0, 2.0) / Range(0.0, 0.0) == Range(-INF, INF)
    half = Range(1.0, 2.0) / Range(0.0, 2.0)
    assert half.high == INF
    assert half.low == pytest.approx(0.5)
    below = Range(1.0, 2.0) / Range(-2.0, 0.0)
    assert below.low == -INF
    assert below.high == pytest.approx(-0.5)


def test_infinite_ends_never_become_nan() -> None:
    line = Range(-INF, INF)
    for made in (line + line, line - line, line * Range(0.0, 0.0), line / line, line * 2.0):
        assert made.low <= made.high
    assert Range(INF, INF).middle == INF
    assert Range(3.0, INF).middle == 3.0
    assert Range(-INF, 3.0).middle == 3.0
    assert line.middle == 0.0


@pytest.mark.parametrize(("low", "high"), [(1.0, 0.0), (math.nan, 1.0), (0.0, math.nan)])
def test_an_interval_the_wrong_way_round_is_refused(low: float, high: float) -> None:
    with pytest.raises(ValueError, match="no interval"):
        Range(low, high)


def test_order_is_that_of_every_value() -> None:
    assert Range(2.0, 3.0).above(Range(1.0, 1.9))
    assert not Range(2.0, 3.0).above(2.0)  # an end that is shared is no contradiction
    assert Range(2.0, 3.0).below(3.1)
    assert not Range(2.0, 3.0).below(3.0)
    assert Range(2.0, 3.0).meets(3.0)
    assert not Range(2.0, 3.0).meets(3.0000001)
    assert 2.5 in Range(2.0, 3.0)
    assert Range(2.0, 3.0).within(2.5, 9.0) == Range(2.5, 3.0)
    assert Range(2.0, 3.0).within(4.0, 9.0) is None


@given(st.lists(ranges, min_size=1, max_size=8))
def test_sum_minimum_maximum_and_hull(many: list[Range]) -> None:
    assert inside(total(many), sum((Fraction(r.low) for r in many), Fraction(0)))
    assert inside(total(many), sum((Fraction(r.high) for r in many), Fraction(0)))
    assert lowest(*many) == Range(min(r.low for r in many), min(r.high for r in many))
    assert highest(*many) == Range(max(r.low for r in many), max(r.high for r in many))
    assert all(r.low in hull(*many) and r.high in hull(*many) for r in many)


@given(st.floats(1e-3, 1e3), st.floats(0.0, 10.0))
def test_monotone_images_hold_the_image_of_every_point(low: float, width: float) -> None:
    made = Range(low, low + width)
    middle = made.middle
    assert math.log(middle) in made.rising(math.log)
    assert math.exp(-middle / 100) in made.falling(lambda x: math.exp(-x / 100))


def test_the_last_place_cannot_turn_an_image_around() -> None:
    """A formula that falls by one float where it should rise gives the interval of both values."""
    wrong = {1.0: 2.0, 3.0: math.nextafter(2.0, 0.0)}
    assert Range(1.0, 3.0).rising(wrong.__getitem__, 0.0) == Range(math.nextafter(2.0, 0.0), 2.0)
    assert Range(1.0, 3.0).falling(wrong.__getitem__, 0.0) == Range(math.nextafter(2.0, 0.0), 2.0)


def test_an_infinite_end_stays_infinite() -> None:
    assert Range(math.inf, math.inf).widened(1e-3) == Range(math.inf, math.inf)
    assert Range(-math.inf, math.inf).widened(1e-3) == Range(-math.inf, math.inf)
    assert Range(1.0, math.inf).widened(0.5) == Range(0.5, math.inf)


def test_an_image_may_be_unbounded() -> None:
    assert Range(0.0, INF).rising(lambda x: x) == Range(0.0, INF)
    assert Range(-INF, INF).falling(lambda x: -x) == Range(-INF, INF)
