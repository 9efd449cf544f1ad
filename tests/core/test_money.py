"""Money: exact, currency by currency, read in one way only."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollens.core.canonical import SAFE
from tollens.core.errors import TollensError
from tollens.core.money import Money, digits, half_even, parse_amount, shown, total

MONEY = st.dictionaries(st.sampled_from(["EUR", "USD", "CHF"]), st.integers(-SAFE, SAFE)).map(Money)


def test_ten_tenths_are_one() -> None:
    assert total([parse_amount("0.1 EUR")] * 10) == Money({"EUR": 1_000_000})


@given(st.lists(MONEY), st.randoms())
def test_sums_do_not_depend_on_order_and_currencies_do_not_mix(parts: list[Money], chance: object) -> None:
    expected = {c: sum(p.amounts.get(c, 0) for p in parts) for p_ in parts for c in p_.amounts}
    shuffled = list(parts)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert total(shuffled).amounts == expected
    added = Money()
    for part in parts:
        added = added + part
    assert added.amounts == expected
    assert (added + -added).amounts == dict.fromkeys(expected, 0)


@given(st.integers(0, SAFE), st.sampled_from(["EUR", "USD", "JPY"]))
def test_what_is_shown_reads_back(micro: int, currency: str) -> None:
    assert parse_amount(shown(micro, currency)) == Money({currency: micro})


@pytest.mark.parametrize(
    ("text", "micro"),
    [("12.40 EUR", 12_400_000), ("0.000001 EUR", 1), ("7 EUR", 7_000_000), ("9007199254.740991 EUR", SAFE)],
)
def test_an_amount(text: str, micro: int) -> None:
    assert parse_amount(text).amounts == {"EUR": micro}


@pytest.mark.parametrize(
    "text",
    [
        "", "12.40", "EUR", "12.40EUR", "12.40 eur", "12.40 EURO", "1,000 EUR", "1 000 EUR", "1e3 EUR", "-1 EUR",
        "+1 EUR", "1.0000001 EUR", ".5 EUR", "1. EUR", "nan EUR", "inf EUR", "٣ EUR", "1 EUR\n", "1  EUR",
        "9007199254.740992 EUR",
        "9" * 5000 + " EUR",
    ],
)  # fmt: skip
def test_what_could_be_read_in_two_ways_is_refused(text: str) -> None:
    with pytest.raises(TollensError) as refused:
        parse_amount(text)
    assert refused.value.code == "money_amount"


def test_amounts_are_shown_exactly() -> None:
    assert [digits(n) for n in (1_500_000, 28, 0, -2_000_000, 10**30)] == [
        "1.50", "0.000028", "0.00", "-2.00", "1000000000000000000000000.00",
    ]  # fmt: skip


@given(st.fractions())
def test_rounding_is_half_to_even(value: Fraction) -> None:
    assert half_even(value) == round(value)


def test_halves_go_to_the_even_side() -> None:
    assert [half_even(Fraction(n, 2)) for n in (1, 3, 5, -1, -3)] == [0, 2, 2, 0, -2]
