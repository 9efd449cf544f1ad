"""Closed intervals of floats with outward rounding: what a computed value can be, never less."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

INF = math.inf


@dataclass(frozen=True, slots=True)
class Range:
    """All values in [low, high]; an end may be infinite. Arithmetic rounds outward by one unit in the last place.

    Raises ValueError for a NaN, or if low exceeds high.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.low <= self.high:
            raise ValueError(f"no interval: [{self.low}, {self.high}]")

    @property
    def middle(self) -> float:
        """The centre; the finite end of a half-line, 0 for the whole line."""
        if self.low == self.high:
            return self.low
        if math.isfinite(self.low) and math.isfinite(self.high):
            return self.low + (self.high - self.low) / 2
        return self.low if math.isfinite(self.low) else self.high if math.isfinite(self.high) else 0.0

    def __add__(self, other: Value) -> Range:
        other = as_range(other)
        return _outward(_sum(self.low, other.low, -INF), _sum(self.high, other.high, INF))

    def __radd__(self, other: float) -> Range:
        return self + other

    def __neg__(self) -> Range:
        return Range(-self.high, -self.low)

    def __sub__(self, other: Value) -> Range:
        return self + -as_range(other)

    def __rsub__(self, other: float) -> Range:
        return as_range(other) - self

    def __mul__(self, other: Value) -> Range:
        other = as_range(other)
        ends = [_product(a, b) for a in (self.low, self.high) for b in (other.low, other.high)]
        return _outward(min(ends), max(ends))

    def __rmul__(self, other: float) -> Range:
        return self * other

    def __truediv__(self, other: Value) -> Range:
        other = as_range(other)
        if other.low <= 0.0 <= other.high:
            if other.low == other.high or other.low < 0.0 < other.high:
                return Range(-INF, INF)
            ends = (0.0, INF) if other.low == 0.0 else (-INF, 0.0)
            inverse = Range(1.0 / other.high, ends[1]) if ends[1] == INF else Range(ends[0], 1.0 / other.low)
        else:
            inverse = Range(1.0 / other.high, 1.0 / other.low)
        return self * _outward(inverse.low, inverse.high)

    def __rtruediv__(self, other: float) -> Range:
        return as_range(other) / self

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def above(self, other: Value) -> bool:
        """Whether every value here exceeds every value there."""
        return self.low > as_range(other).high

    def below(self, other: Value) -> bool:
        return self.high < as_range(other).low

    def meets(self, other: Value) -> bool:
        """Whether some value is in both."""
        other = as_range(other)
        return self.low <= other.high and other.low <= self.high

    def within(self, low: float, high: float) -> Range | None:
        """The part in [low, high]; None if there is none."""
        a, b = max(self.low, low), min(self.high, high)
        return Range(a, b) if a <= b else None

    def widened(self, relative: float) -> Range:
        """Both ends moved outward by `relative` times their size: the error of a formula that is not exact."""
        low = self.low if math.isinf(self.low) else self.low - abs(self.low) * relative
        return Range(low, self.high if math.isinf(self.high) else self.high + abs(self.high) * relative)

    def rising(self, function: Callable[[float], float], relative: float = 1e-14) -> Range:
        """The image under a function that never falls, computed to the `relative` accuracy given."""
        return between(function(self.low), function(self.high)).widened(relative)

    def falling(self, function: Callable[[float], float], relative: float = 1e-14) -> Range:
        """The image under a function that never rises, computed to the `relative` accuracy given."""
        return between(function(self.high), function(self.low)).widened(relative)


Value: TypeAlias = Range | float | int


def as_range(value: Value) -> Range:
    """A number as the interval that holds it alone."""
    return value if isinstance(value, Range) else Range(float(value), float(value))


def between(one: float, other: float) -> Range:
    """The interval of two ends, in whichever order: the last place of a monotone formula can exchange them."""
    return Range(min(one, other), max(one, other))


def total(values: Iterable[Range]) -> Range:
    """The sum of all values."""
    made = Range(0.0, 0.0)
    for value in values:
        made = made + value
    return made


def lowest(*values: Range) -> Range:
    """The minimum of values that are known by their intervals."""
    return Range(min(v.low for v in values), min(v.high for v in values))


def highest(*values: Range) -> Range:
    """The maximum of values that are known by their intervals."""
    return Range(max(v.low for v in values), max(v.high for v in values))


def hull(*values: Range) -> Range:
    """The smallest interval that holds all of them."""
    return Range(min(v.low for v in values), max(v.high for v in values))


def _outward(low: float, high: float) -> Range:
    return Range(math.nextafter(low, -INF), math.nextafter(high, INF))


def _sum(a: float, b: float, worst: float) -> float:
    found = a + b
    return worst if math.isnan(found) else found


def _product(a: float, b: float) -> float:
    return 0.0 if a == 0.0 or b == 0.0 else a * b
