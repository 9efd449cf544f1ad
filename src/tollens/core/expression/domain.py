"""What a reading of a registration may be before anything was run: its support, sort, unit and sealed length."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from tollens.core.errors import Exit, TollensError
from tollens.core.expression.check import Declared, Sort
from tollens.core.expression.ranges import Range, Support, exact, shown_support
from tollens.core.units import ONE, Unit


@dataclass(frozen=True, slots=True)
class Domain:
    """`count` None is a single reading, otherwise a list of that sealed length, at least 1.

    INTEGER with an interval means the integers in it. Every entry of a list has the same support.
    """

    support: Support
    sort: Sort = Sort.REAL
    count: int | None = None
    unit: Unit = ONE


@dataclass(frozen=True, slots=True)
class Grid:
    """The values `offset + step * j`, j integer in [low, high]; if not `whole`, every real in it, offset 0 and step 1.

    A `low` or `high` of None is no bound. `allowed` are the only j, sorted, where the support is a finite set with
    uneven gaps.
    """

    offset: Fraction
    step: Fraction
    low: Fraction | None
    high: Fraction | None
    whole: bool
    allowed: tuple[int, ...] | None = None

    @property
    def size(self) -> int | None:
        """How many values there are; None if infinitely many."""
        if self.allowed is not None:
            return len(self.allowed)
        if self.low is None or self.high is None or not (self.whole or self.low == self.high):
            return None
        return int(self.high - self.low) + 1

    def places(self) -> tuple[int, ...] | range:
        """Every j of a finite grid of whole places."""
        if self.allowed is not None:
            return self.allowed
        assert self.low is not None
        assert self.high is not None
        return range(int(self.low), int(self.high) + 1)

    def value(self, place: Fraction) -> Fraction:
        if not self.whole:  # offset 0, step 1
            return place
        return self.offset + self.step * place

    def has(self, place: Fraction) -> bool:
        if self.whole and place.denominator != 1:
            return False
        if self.allowed is not None:
            return place in self.allowed
        return (self.low is None or self.low <= place) and (self.high is None or place <= self.high)

    def hull(self) -> Range:
        low = -math.inf if self.low is None else self.value(self.low)
        high = math.inf if self.high is None else self.value(self.high)
        return Range(low, high)


def declared_of(domains: Mapping[str, Domain]) -> dict[str, Declared]:
    """The declarations that `check` reads."""
    return {name: Declared(d.count is not None, d.sort, d.unit) for name, d in domains.items()}


def grid_of(name: str, domain: Domain) -> Grid:
    """The values of the domain in coordinates in which a set with even gaps is a run of integers.

    Raises TollensError `rule_list_empty` for a length below 1; `rule_support` for a sort other than REAL and
    INTEGER, an empty support, ends in the wrong order, NaN, and values of an INTEGER reading that are none.
    """
    if domain.count is not None and domain.count < 1:
        raise TollensError(
            "rule_list_empty",
            name,
            expected="a list with a sealed length of at least 1",
            found=f"length {domain.count}",
            fix="Of an empty list everything is true; give the axis of the list at least one value.",
            exit_code=Exit.REFUSED_TO_SEAL,
        )
    if domain.sort not in (Sort.REAL, Sort.INTEGER):
        raise _refused(name, "numbers", f"the sort {domain.sort.value}")
    support = domain.support
    if support.values is not None:
        return _grid_of_values(name, domain, support.values)
    ends = support.low, support.high
    if any(math.isnan(end) for end in ends) or not ends[0] <= ends[1] or ends[0] == math.inf or ends[1] == -math.inf:
        raise _refused(name, "an interval with low <= high", shown_support(support))
    low, high = (None if math.isinf(end) else exact(end) for end in ends)
    if low is not None and low == high:
        return _grid_of_values(name, domain, (ends[0],))
    if domain.sort is Sort.REAL:
        return Grid(Fraction(0), Fraction(1), low, high, whole=False)
    first = None if low is None else Fraction(math.ceil(low))
    last = None if high is None else Fraction(math.floor(high))
    if first is not None and last is not None and first > last:
        raise _refused(name, "an interval with an integer in it", shown_support(support))
    return Grid(Fraction(0), Fraction(1), first, last, whole=True)


def _grid_of_values(name: str, domain: Domain, values: tuple[int | float | str, ...]) -> Grid:
    numbers = [exact(v) for v in values if not isinstance(v, str) and math.isfinite(v)]
    if not numbers or len(numbers) < len(values):
        raise _refused(name, "a non-empty set of finite numbers", shown_support(domain.support))
    if domain.sort is Sort.INTEGER and any(v.denominator != 1 for v in numbers):
        raise _refused(name, "a set of integers", shown_support(domain.support))
    points = sorted(set(numbers))
    first = points[0]
    if len(points) == 1:
        return Grid(first, Fraction(1), Fraction(0), Fraction(0), whole=True)
    scale = math.lcm(*(p.denominator for p in points))
    gaps = [int((p - first) * scale) for p in points]
    unit = math.gcd(*gaps)
    places = tuple(gap // unit for gap in gaps)
    even = len(places) == places[-1] + 1
    step = Fraction(unit, scale)
    return Grid(first, step, Fraction(0), Fraction(places[-1]), whole=True, allowed=None if even else places)


def _refused(name: str, expected: str, found: str) -> TollensError:
    return TollensError(
        "rule_support",
        name,
        expected=expected,
        found=found,
        fix="Declare as support every value that the reading can have: `[low, high]` or a finite set.",
        exit_code=Exit.REFUSED_TO_SEAL,
    )
