"""Entries of a list, and what an order statistic or a mean can be while some of them are undefined.

Arithmetic is exact: a floating-point reading stands for its shortest decimal, which is what its JSON carries,
so `x <= 0.1` holds for a reading printed as 0.1. Bounds are fractions or a float infinity.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import TypeAlias

from tollens.core.errors import Exit, TollensError
from tollens.core.expression.syntax import Op
from tollens.core.reading import Undefined

Bound: TypeAlias = Fraction | float  # a float only where it is infinite
INF = math.inf


@dataclass(frozen=True, slots=True)
class Support:
    """What an undefined value could be: in the closed interval [low, high], or one of `values` if given."""

    low: float = -INF
    high: float = INF
    values: tuple[int | float | str, ...] | None = None


ANYTHING = Support()


@dataclass(frozen=True, slots=True)
class Entry:
    """One value of a list with the label of its layer; an undefined one carries its reason."""

    label: str
    value: int | float | str | Undefined
    support: Support = ANYTHING


@dataclass(frozen=True, slots=True)
class Range:
    """Closed interval [low, high]; `points` are the only values in it where the set is finite and known."""

    low: Bound
    high: Bound
    points: frozenset[Fraction] | None = None

    @property
    def certain(self) -> bool:
        return self.low is self.high or self.low == self.high

    def can_be(self, value: Fraction) -> bool:
        return value in self.points if self.points is not None else self.low <= value <= self.high


def exact(value: int | float) -> Fraction:
    """The fraction that the shortest decimal form of `value` denotes.

    Raises TollensError `claim_value` for NaN and infinities.
    """
    if isinstance(value, int):
        return Fraction(value)
    if not math.isfinite(value):
        raise unscorable(repr(value), "a finite number")
    return Fraction(Decimal(float(value).__repr__()))


def unscorable(found: str, expected: str, label: str = "reading") -> TollensError:
    return TollensError(
        "claim_value",
        label,
        expected=expected,
        found=found,
        fix="A value that does not exist is given as undefined, with its reason.",
        exit_code=Exit.NOT_SCORABLE,
    )


def range_of(entry: Entry) -> Range:
    """What a numeric entry is or could be.

    Raises TollensError `claim_value` for a value that is not finite or lies outside its support.
    """
    if isinstance(entry.value, Undefined):
        return _support_range(entry.support)
    if isinstance(entry.value, str):
        raise unscorable(repr(entry.value), "a number", entry.label)
    found = _point(entry.value, entry.support)
    if found is None:
        raise unscorable(repr(entry.value), f"a value in {shown_support(entry.support)}", entry.label)
    return found


@lru_cache(maxsize=4096)
def _point(number: int | float, support: Support) -> Range | None:
    """A value as a range; None outside its support. Kept, as rules are evaluated after every cell that is read."""
    value = exact(number)
    inside = support == ANYTHING or _support_range(support).can_be(value)
    return Range(value, value) if inside else None


@lru_cache(maxsize=256)
def _support_range(support: Support) -> Range:
    if support.values is not None:
        points = frozenset(exact(v) for v in support.values if not isinstance(v, str))
        if not points:
            raise unscorable("an empty support", "at least one possible value")
        return Range(min(points), max(points), points)
    low = support.low if math.isinf(support.low) else exact(support.low)
    high = support.high if math.isinf(support.high) else exact(support.high)
    if not low <= high or low == INF or high == -INF:
        raise unscorable(f"[{support.low}, {support.high}]", "a support with low <= high")
    return Range(low, high)


def shown_support(support: Support) -> str:
    if support.values is not None:
        return "{" + ", ".join(map(str, support.values)) + "}"
    return f"[{support.low:g}, {support.high:g}]"


def order_range(ranges: Sequence[Range], place: int) -> Range:
    """The hull of the `place`-th smallest (1-based); every end of it that is finite is attained."""
    low = sorted(r.low for r in ranges)[place - 1]
    high = sorted(r.high for r in ranges)[place - 1]
    return Range(low, high)


def order_can_be(ranges: Sequence[Range], place: int, value: Fraction) -> bool:
    """Whether some filling makes the `place`-th smallest equal to `value`; exact.

    An entry that can equal the value is best set to it. The others fall below or above, some of them either
    way, and at most place - 1 may lie below and len - place above.
    """
    equal = below = above = 0
    for r in ranges:
        if r.can_be(value):
            equal += 1
        elif r.high < value:
            below += 1
        elif r.low > value:
            above += 1
    return equal > 0 and below <= place - 1 and above <= len(ranges) - place


def mean_range(ranges: Sequence[Range]) -> Range:
    n = len(ranges)
    return Range(_mean([r.low for r in ranges], n), _mean([r.high for r in ranges], n))


def _mean(bounds: Sequence[Bound], n: int) -> Bound:
    infinite = next((bound for bound in bounds if isinstance(bound, float)), None)
    if infinite is not None:
        return infinite
    # One common denominator: rules are evaluated after every cell, and a sum of fractions reduces at every step.
    pairs = [bound.as_integer_ratio() for bound in bounds]
    shared = math.lcm(*(denominator for _, denominator in pairs))
    return Fraction(sum(numerator * (shared // denominator) for numerator, denominator in pairs), shared * n)


def plus(a: Bound, b: Bound) -> Bound:
    """a + b; of infinities only those of one sign ever meet here (lows with lows, highs with highs)."""
    if isinstance(a, float):
        return a
    return b if isinstance(b, float) else a + b


def times(c: Fraction, a: Bound) -> Bound:
    """c * a for c != 0."""
    if isinstance(a, float):
        return a if c > 0 else -a
    return c * a


def scaled(c: Fraction, r: Range) -> Range:
    """c times a range, c != 0; the points are dropped."""
    ends = times(c, r.low), times(c, r.high)
    return Range(*(ends if c > 0 else ends[::-1]))


def holds(r: Range, op: Op, threshold: Fraction, can_be: bool) -> bool | None:
    """Three-valued `r op threshold`; `can_be` says whether equality is possible (for == and !=)."""
    if op is Op.EQ:
        return True if r.low == r.high == threshold else (None if can_be else False)
    if op is Op.NE:
        equal = holds(r, Op.EQ, threshold, can_be)
        return None if equal is None else not equal
    if op in (Op.LT, Op.LE):
        return _below(r, threshold, strict=op is Op.LT)
    above = _below(r, threshold, strict=op is Op.GE)
    return None if above is None else not above


def _below(r: Range, threshold: Fraction, *, strict: bool) -> bool | None:
    if r.high < threshold or (not strict and r.high == threshold):
        return True
    if r.low > threshold or (strict and r.low == threshold):
        return False
    return None
