"""Rates: typed, dated, and priced exactly."""

from __future__ import annotations

import datetime
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollens.core.canonical import SAFE
from tollens.core.errors import TollensError
from tollens.protocol.laboratory import read_laboratory
from tollens.protocol.rate import Rate, check_day, price

DAY = datetime.date(2026, 1, 1)
ROW = """
[[rate]]
id = "gpu-2026"
currency = "USD"
amount_micro = 2990000
unit = "GPU-hour"
since = 2026-01-01
"""


def rate(amount: int) -> Rate:
    return Rate(id="x", currency="USD", amount_micro=amount, unit="hour", since=DAY)


@given(st.decimals(0, 10**6, allow_nan=False, allow_infinity=False, places=12), st.integers(0, 10**9))
def test_a_price_is_the_exact_product_rounded_once(quantity: Decimal, amount: int) -> None:
    assert price(quantity, rate(amount)) == round(Fraction(quantity) * amount)


@pytest.mark.parametrize(("quantity", "micro"), [("0.5", 0), ("1.5", 2), ("2.5", 2), ("0.5000000000000000000001", 1)])
def test_a_half_goes_to_the_even_side_and_more_than_a_half_up(quantity: str, micro: int) -> None:
    assert price(Decimal(quantity), rate(1)) == micro


def test_the_largest_price_and_one_more() -> None:
    assert price(Decimal(1), rate(SAFE)) == SAFE
    with pytest.raises(TollensError) as refused:
        price(Decimal(2), rate(SAFE))
    assert refused.value.code == "money_overflow"


@pytest.mark.parametrize("quantity", ["-1", "-0", "NaN", "Infinity", "1E+100", "1E-100", "1" * 61])
def test_a_quantity_that_is_none_is_refused(quantity: str) -> None:
    with pytest.raises(TollensError) as refused:
        price(Decimal(quantity), rate(1))
    assert refused.value.code == "quantity_invalid"


def test_a_rate_holds_from_its_day_on() -> None:
    check_day(rate(1), DAY)
    with pytest.raises(TollensError) as refused:
        check_day(rate(1), DAY - datetime.timedelta(days=1))
    assert refused.value.code == "rate_not_yet"


def test_a_new_price_is_a_row_of_its_own() -> None:
    made = read_laboratory(ROW + ROW.replace("gpu-2026", "gpu-2026-07").replace("2026-01-01", "2026-07-01"))
    assert [row.id for row in made.rate] == ["gpu-2026", "gpu-2026-07"]


@pytest.mark.parametrize(
    "change",
    [
        ('"gpu-2026"', '"sealed"'), ('"gpu-2026"', '"stated"'), ('"gpu-2026"', '""'), ('"gpu-2026"', '"a b"'),
        ('"USD"', '"usd"'), ('"USD"', '"USDT"'), ('"USD"', '"USD\\n"'), ("2990000", "-1"), ("2990000", "2.99"),
        ("2990000", str(2**53)), ('"GPU-hour"', '"GPU hour"'), ('"GPU-hour"', '"\\u001b[2J"'),
        ("2026-01-01", '"new year"'), ("unit", "units"),
    ],
)  # fmt: skip
def test_a_row_that_is_no_rate_is_refused(change: tuple[str, str]) -> None:
    assert change[0] in ROW
    with pytest.raises(TollensError) as refused:
        read_laboratory(ROW.replace(*change))
    assert refused.value.code == "laboratory_syntax"
