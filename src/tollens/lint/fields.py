"""What an invariant sees of a claim: its fields as intervals, in the units that it asked for."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, TypeAlias

from tollens.lint.claim import Claim, Entry, Quantity
from tollens.lint.interval import INF, Range
from tollens.lint.number import Number
from tollens.lint.unit import COUNTS, Unit, parse_unit

Kind: TypeAlias = Literal["number", "list", "flag", "word", "words", "edges"]
Replay: TypeAlias = Callable[[str, Mapping[str, Any]], Mapping[str, float] | None]
"""Runs a named small computation with its parameters; None when it went over its limits."""
ANY = "any"


@dataclass(frozen=True, slots=True)
class Need:
    """One field of an invariant, read from `"ms"`, `"nat|bit"`, `"any"`, `"any[]"`, `"flag"`, `"word"`, `"edges"`.

    A number is converted to the one unit named, kept in whichever of several it has, or, with `any`, brought
    to the unit of the first such field. A `?` at the end of a unit allows it to be absent.
    """

    kind: Kind
    units: tuple[Unit, ...] = ()
    unit_optional: bool = False

    @property
    def shared(self) -> bool:
        return self.kind in ("number", "list") and not self.units

    def said(self) -> str:
        if self.kind not in ("number", "list"):
            return {"flag": "true or false", "word": "a word", "words": "a list of words"}.get(self.kind, "edges")
        unit = " or ".join(u.text for u in self.units) or "any unit"
        return f"{unit}{', a list' if self.kind == 'list' else ''}"


def parse_need(text: str) -> Need:
    """The need that a declaration such as `"ms[]"` or `"nat|bit?"` stands for."""
    if text in ("flag", "word", "words", "edges"):
        return Need(text)  # type: ignore[arg-type]  # narrowed by the line above
    kind: Kind = "list" if text.endswith("[]") else "number"
    body = text.removesuffix("[]")
    optional = body.endswith("?")
    body = body.removesuffix("?")
    units = () if body == ANY else tuple(parse_unit(part, "need") for part in body.split("|"))
    return Need(kind, units, optional)


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of one claim for one invariant. `f.rate` is the interval of a number in the unit asked for."""

    values: Mapping[str, Any]
    units: Mapping[str, str | None]
    claim: Claim
    replay: Replay

    def __getattr__(self, name: str) -> Range:
        try:
            found: Range = self.values[name]
        except KeyError:
            raise AttributeError(name) from None
        return found

    def maybe(self, name: str) -> Range | None:
        """The interval of an optional number; None if it was not given."""
        found: Range | None = self.values.get(name)
        return found

    def list(self, name: str) -> tuple[Range, ...]:
        """A list of numbers; empty if it was not given."""
        found: tuple[Range, ...] = self.values.get(name, ())
        return found

    def count(self, name: str) -> int | None:
        """The whole number, of at least 0, that an exact count is; None where it could be another or is none."""
        found = self.maybe(name)
        if found is None or not 0.0 <= found.low == found.high < INF or found.low != math.floor(found.low):
            return None
        return int(found.low)

    def flag(self, name: str) -> bool | None:
        found = self.values.get(name)
        return found if isinstance(found, bool) else None

    def word(self, name: str) -> str | None:
        found = self.values.get(name)
        return found if isinstance(found, str) else None

    def words(self, name: str) -> tuple[str, ...]:
        found: tuple[str, ...] = self.values.get(name, ())
        return found

    def edges(self, name: str) -> tuple[tuple[str, str], ...]:
        found: tuple[tuple[str, str], ...] = self.values.get(name, ())
        return found

    def unit(self, name: str) -> str | None:
        """The unit that the interval of a number is in; None if none was written."""
        return self.units.get(name)

    def given(self, name: str) -> Quantity:
        """A number as it was reported."""
        found = self.claim.fields[name]
        assert isinstance(found, Quantity)
        return found

    def rounded(self, name: str) -> Range:
        """What a number can be by its rounding, in the unit asked for, also where all are taken as printed."""
        unit = self.unit(name)
        return _range(self.given(name), parse_unit(unit, name) if unit is not None else None, False, False)

    def reported(self, name: str) -> Number:
        """The digits of a number as reported, in its own unit."""
        return self.given(name).number


@dataclass(frozen=True, slots=True)
class Gap:
    """Why a field cannot serve: it is absent, has no unit, or has another kind or unit than was asked for."""

    field: str
    why: str


def resolve(claim: Claim, needs: Mapping[str, Need], required: frozenset[str], exact: frozenset[str],
            printed: bool, replay: Replay) -> Fields | list[Gap]:  # fmt: skip
    """The fields of `claim` that `needs` names. With `printed` every number is taken as its digits say.

    Returns the gaps, all of them, if a required field cannot serve.
    """
    values: dict[str, Any] = {}
    units: dict[str, str | None] = {}
    gaps: list[Gap] = []
    shared: Unit | None = None
    for name, need in needs.items():
        entry = claim.fields.get(name)
        if entry is None:
            if name in required:
                gaps.append(Gap(name, "missing"))
            continue
        if need.kind in ("number", "list"):
            found = _numbers(name, entry, need, shared)
            if isinstance(found, Gap):
                gaps.append(found)
                continue
            quantities, target = found
            if need.shared and shared is None:
                shared = target
            made = [_range(q, target, name in exact, printed) for q in quantities]
            values[name] = made[0] if need.kind == "number" else tuple(made)
            units[name] = target.text if target is not None else None
        elif not _is(need.kind, entry):
            gaps.append(Gap(name, f"is not {need.said()}"))
        else:
            values[name] = entry
    return gaps or Fields(values, units, claim, replay)


def _numbers(name: str, entry: Entry, need: Need, shared: Unit | None) -> tuple[list[Quantity], Unit | None] | Gap:
    if need.kind == "number":
        if not isinstance(entry, Quantity):
            return Gap(name, "is not a number")
        quantities = [entry]
    elif isinstance(entry, Quantity):
        quantities = [entry]
    elif isinstance(entry, tuple):
        quantities = [q for q in entry if isinstance(q, Quantity)]
    else:
        return Gap(name, "is not a list of numbers")
    if not quantities or (isinstance(entry, tuple) and len(quantities) < len(entry)):
        return Gap(name, "is no list of numbers" if entry else "is empty")
    target = shared if need.shared else need.units[0] if len(need.units) == 1 else None
    for q in quantities:
        if q.unit is None:
            if need.unit_optional:
                return quantities, None
            return Gap(name, "unit missing")
        unit = parse_unit(q.unit, name)
        if target is None:
            target = unit
            if need.units:
                target = next((u for u in need.units if unit.ratio(u) is not None), None)
                if target is None:
                    return Gap(name, f"has the unit {q.unit}, not {need.said()}")
        if unit.ratio(target) is None and not _counted(unit, target):
            return Gap(name, f"has the unit {q.unit}, not {target.text}")
    return quantities, target


def _counted(unit: Unit, target: Unit) -> bool:
    """Whether both are plain numbers: 16 and 16 count are the same where a ratio or a number is asked for."""
    return {unit.text, target.text} <= {"1", *COUNTS}


def _range(q: Quantity, target: Unit | None, design: bool, printed: bool) -> Range:
    exact = q.exact
    if exact is None:
        exact = q.number.mark != "~" if design else q.unit in COUNTS and q.number.is_integer
    found = q.number.range(exact or (printed and q.number.mark == ""))
    if target is None or q.unit is None:
        return found
    ratio = parse_unit(q.unit, "").ratio(target)
    return found if ratio is None or ratio == 1 else _scaled(found, ratio)


def _scaled(found: Range, ratio: Fraction) -> Range:
    return found * ratio.numerator / ratio.denominator if ratio.denominator != 1 else found * ratio.numerator


def _is(kind: Kind, entry: Entry) -> bool:
    if kind == "flag":
        return isinstance(entry, bool)
    if kind == "word":
        return isinstance(entry, str)
    if not isinstance(entry, tuple):
        return False
    if kind == "words":
        return all(isinstance(word, str) for word in entry)
    return all(isinstance(pair, tuple) and len(pair) == 2 for pair in entry)
