from __future__ import annotations

from fractions import Fraction

import pytest

from tollens.core.errors import TollensError
from tollens.lint.unit import SYMBOLS, parse_unit


@pytest.mark.parametrize(
    ("one", "other", "ratio"),
    [
        ("ms", "s", Fraction(1, 1000)),
        ("min", "s", Fraction(60)),
        ("%", "1", Fraction(1, 100)),
        ("GB", "GiB", Fraction(10**9, 2**30)),
        ("TB/s", "GB/s", Fraction(1000)),
        ("TFLOP/s", "FLOP/s", Fraction(10**12)),
        ("token/s", "1/s", Fraction(1)),
        ("request/min", "1/s", Fraction(1, 60)),
        ("1/ms", "1/s", Fraction(1000)),
        ("kWh", "J", Fraction(3_600_000)),
        ("$", "USD", Fraction(1)),
        ("x", "1", Fraction(1)),
        ("weight^2", "weight^2", Fraction(1)),
    ],
)
def test_exact_conversions(one: str, other: str, ratio: Fraction) -> None:
    assert parse_unit(one, "x").ratio(parse_unit(other, "x")) == ratio


@pytest.mark.parametrize(
    ("one", "other"),
    [("%", "pp"), ("nat", "bit"), ("s", "B"), ("USD", "EUR"), ("GB", "GB/s"), ("weight", "weight^2"), ("count", "s")],
)
def test_what_is_never_converted(one: str, other: str) -> None:
    assert parse_unit(one, "x").ratio(parse_unit(other, "x")) is None


@pytest.mark.parametrize(
    ("spelling", "symbol"),
    [("x", "1"), ("×", "1"), ("percent", "%"), ("µs", "us"), ("μs", "us"), ("$", "USD"), ("€/h", "EUR/h"),
     ("1/µs^2", "1/us^2"), (" ms ", "ms")],
)  # fmt: skip
def test_other_spellings_become_the_symbol(spelling: str, symbol: str) -> None:
    """Laws ask for a unit by its symbol, so that a spelling may not hide it from them."""
    assert parse_unit(spelling, "x") == parse_unit(symbol, "x")
    assert parse_unit(spelling, "x").text == symbol


@pytest.mark.parametrize(("text", "near"), [("gb", "GB"), ("msec", "ms"), ("usd", "USD"), ("GB/sec", "s")])
def test_a_slip_names_the_nearest(text: str, near: str) -> None:
    with pytest.raises(TollensError) as caught:
        parse_unit(text, "field x")
    assert caught.value.code == "lint_unit"
    assert near in caught.value.fix


@pytest.mark.parametrize("text", ["", "/", "s//s", "s^", "s^0", "*", "s/", "^2", "s" * 1000, "1 2"])
def test_what_is_no_unit_is_refused(text: str) -> None:
    with pytest.raises(TollensError) as caught:
        parse_unit(text, "field x")
    assert caught.value.code == "lint_unit"
    assert len(str(caught.value)) < 400


def test_every_symbol_reads_as_itself() -> None:
    for symbol in SYMBOLS:
        assert parse_unit(symbol, "x").ratio(parse_unit(symbol, "x")) == 1
