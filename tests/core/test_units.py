from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollens.core.errors import TollensError
from tollens.core.units import BASE_UNITS, COUNT, ONE, Unit, base_unit, parse_unit

units = st.dictionaries(st.sampled_from(BASE_UNITS), st.integers(-9, 9).filter(bool), max_size=4).map(
    lambda powers: Unit(tuple((symbol, powers[symbol]) for symbol in BASE_UNITS if symbol in powers))
)


@given(units)
def test_a_unit_reads_back_as_itself(unit: Unit) -> None:
    assert parse_unit(str(unit)) == unit


@given(units, units)
def test_products_and_quotients_cancel(a: Unit, b: Unit) -> None:
    assert a * b == b * a
    assert a * b / b == a
    assert a / a == ONE


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("1", "1"),
        ("weight^2", "weight^2"),
        ("weight*weight", "weight^2"),
        ("B/token", "B/token"),
        ("B^2/B/token", "B/token"),
        ("1/token", "1/token"),
        ("FLOP/s/B", "FLOP/s/B"),
        ("token/token", "1"),
        ("%", "%"),
    ],
)
def test_canonical_text(text: str, shown: str) -> None:
    assert str(parse_unit(text)) == shown


@pytest.mark.parametrize(("a", "b"), [("%", "pp"), ("nat", "bit"), ("s", "ms"), ("1", "count"), ("1", "%")])
def test_nothing_is_converted(a: str, b: str) -> None:
    assert parse_unit(a) != parse_unit(b)


@pytest.mark.parametrize(
    "text",
    ["", " ", "weight^", "weight^0", "weight^100", "weight^-1", "B//s", "B/", "/s", "B s", "²", "2", "%%"],
)
def test_malformed_units_are_named(text: str) -> None:
    with pytest.raises(TollensError) as caught:
        parse_unit(text)
    assert caught.value.code in ("unit_syntax", "claim_unit")


def test_a_slip_in_a_unit_gets_the_near_one() -> None:
    with pytest.raises(TollensError) as caught:
        parse_unit("usd")
    assert caught.value.code == "claim_unit"
    assert "USD" in caught.value.fix


def test_a_megabyte_of_unit_is_refused_at_once() -> None:
    with pytest.raises(TollensError) as caught:
        parse_unit("B*" * 500_000 + "B")
    assert caught.value.code == "unit_syntax"
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("powers", [(("kg", 1),), (("s", 0),), (("s", 1), ("s", 1)), (("count", 1), ("s", 1))])
def test_an_unreduced_unit_cannot_be_made(powers: tuple[tuple[str, int], ...]) -> None:
    with pytest.raises(ValueError, match="not a reduced product"):
        Unit(powers)


def test_base_units() -> None:
    assert base_unit("count") == COUNT
    assert base_unit("1") == ONE
    assert base_unit("s", 2) == base_unit("s") * base_unit("s")
