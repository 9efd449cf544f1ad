"""The claim that a known answer of a law stands for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tollens.lint.claim import Claim, Entry, Place, Quantity
from tollens.lint.fields import Need
from tollens.lint.law import Example, Invariant
from tollens.lint.number import parse_number, spanning


def example_claim(made: Invariant, example: Example) -> Claim:
    """The claim that a known answer stands for."""
    place = Place("example", 1)
    entries = {name: _entry(value, made.fields.get(name), place, name) for name, value in example.fields.items()}
    return Claim("example", "", (made.id,), place, entries)


def _entry(value: Any, need: Need | None, place: Place, name: str) -> Entry:
    if isinstance(value, Mapping):
        low, high = (_entry(value[end], need, place, name) for end in ("low", "high"))
        assert isinstance(low, Quantity)
        assert isinstance(high, Quantity)
        return Quantity(spanning(low.number, high.number, name), low.unit, place)
    if isinstance(value, bool) or (need is not None and need.kind == "word"):
        found: Entry = value
        return found
    if isinstance(value, str):
        return _quantity(value, need, place, name)
    if need is not None and need.kind == "edges":
        return tuple((str(a), str(b)) for a, b in value)
    if need is not None and need.kind == "words":
        return tuple(str(word) for word in value)
    return tuple(_quantity(v, need, place, name) for v in value)


def _quantity(text: str, need: Need | None, place: Place, name: str) -> Quantity:
    """`"29.8 %"`, or `"29.8"` in the first unit asked for; `"29.8 ?"` without a unit, `"8 GB!"` as measured."""
    written = text.removesuffix("!")
    digits, _, unit = written.partition(" ")
    default = need.units[0].text if need is not None and need.units else "1"
    measured = True if text.endswith("!") else None
    return Quantity(parse_number(digits, name), None if unit == "?" else unit or default, place, measured=measured)
