from __future__ import annotations

import math
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollens.core.errors import TollensError
from tollens.lint.interval import INF, Range
from tollens.lint.number import parse_number, spanning


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("29.8", 29.75, 29.85),
        ("0.10", 0.095, 0.105),
        ("71", 70.5, 71.5),
        ("1,234", 1233.5, 1234.5),
        ("1.2e3", 1150.0, 1250.0),
        ("-0.4", -0.45, -0.35),
        ("−0.4", -0.45, -0.35),
        (".5", 0.45, 0.55),
        ("~5", 4.5, 5.5),  # its digit is coarser than 5 %
        ("~500", 475.0, 525.0),
        ("about 500", 475.0, 525.0),
        ("<0.05", -INF, 0.05),
        (">3", 3.0, INF),
        ("≤2", -INF, 2.0),
    ],
)
def test_a_printed_number_is_the_interval_of_its_rounding(text: str, low: float, high: float) -> None:
    made = parse_number(text, "x").range()
    assert made.low == pytest.approx(low, abs=1e-12)
    assert made.high == pytest.approx(high, abs=1e-12)


def test_an_exact_number_is_itself() -> None:
    assert parse_number("1000", "x").range(exact=True) == Range(1000.0, 1000.0)
    assert parse_number("inf", "x").range() == Range(INF, INF)
    tenth = parse_number("0.1", "x").range(exact=True)
    assert Fraction(tenth.low) <= Fraction(1, 10) <= Fraction(tenth.high)
    assert tenth.high - tenth.low < 1e-16


def test_a_range_reaches_from_the_rounding_of_one_end_to_that_of_the_other() -> None:
    made = spanning(parse_number("30", "x"), parse_number("80", "x"), "x")
    assert made.range() == Range(29.5, 80.5)
    assert made.range(exact=True) == Range(30.0, 80.0)
    assert made.text == "30 to 80"


def test_a_range_may_be_open_above() -> None:
    assert spanning(parse_number("30", "x"), parse_number("inf", "x"), "x").range() == Range(29.5, math.inf)


@pytest.mark.parametrize(("low", "high"), [("~30", "80"), ("<30", "80"), ("30", ">80"), ("inf", "80"), ("inf", "inf")])
def test_what_an_end_of_a_range_would_lose_is_refused(low: str, high: str) -> None:
    with pytest.raises(TollensError) as caught:
        spanning(parse_number(low, "x"), parse_number(high, "x"), "rate")
    assert caught.value.code == "lint_number"


def test_a_range_the_wrong_way_round_is_refused() -> None:
    with pytest.raises(TollensError) as caught:
        spanning(parse_number("80", "x"), parse_number("30", "x"), "rate")
    assert caught.value.code == "lint_number"


@given(
    st.decimals(-(10**6), 10**6, allow_nan=False, allow_infinity=False, places=6),
    st.integers(0, 4),
    st.sampled_from([ROUND_HALF_UP, ROUND_HALF_EVEN]),
)
def test_whatever_was_rounded_is_in_the_interval(true: Decimal, places: int, way: str) -> None:
    """The guarantee the whole linter stands on: no value that prints like this is left out."""
    printed = format(true.quantize(Decimal(1).scaleb(-places), rounding=way), "f")
    made = parse_number(printed, "x").range()
    assert Fraction(made.low) <= Fraction(true) <= Fraction(made.high)


@pytest.mark.parametrize(
    "text",
    ["", " ", ".", "1.2.3", "1e", "e5", "12,34", "1,2345", "nan", "0x10", "1e99999", "1 2", "--1", "5%", "1_000",
     "9" * 10**5, "١٢", "1e301", "<", "~"],
)  # fmt: skip
def test_what_is_no_number_is_named(text: str) -> None:
    with pytest.raises(TollensError) as caught:
        parse_number(text, "claim x, field y")
    assert caught.value.code == "lint_number"
    assert caught.value.subject == "claim x, field y"
    assert len(str(caught.value)) < 400
