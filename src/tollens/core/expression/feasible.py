"""Whether linear inequalities have a common solution, in rational arithmetic, strict ones kept.

Elimination after Fourier (1827) and Motzkin (1936), with equal directions merged; in between, a row of whole
variables alone has its constant rounded to what integers can reach (Chvatal 1973). Whole variables that come
out fractional are branched on (Land and Doig 1960).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

MAX_ROWS = 2_000
MAX_BRANCHES = 200


@dataclass(frozen=True, slots=True)
class Variable:
    """Real in [low, high], or integer there if `whole`, or one of the sorted `allowed`; None is no bound."""

    low: Fraction | None = None
    high: Fraction | None = None
    whole: bool = False
    allowed: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Inequality:
    """sum of coefficients[i] * variable i, plus constant, <= 0 (< 0 if strict)."""

    coefficients: Mapping[int, Fraction]
    constant: Fraction
    strict: bool = False


@dataclass(frozen=True, slots=True)
class Solution:
    """`values`: one per variable; None with `proven` if there is no solution, without it if none was found."""

    values: tuple[Fraction, ...] | None
    proven: bool = True


# Direction (variable, coprime integer coefficient), sorted -> constant and strictness of the tightest row.
_System: TypeAlias = dict[tuple[tuple[int, int], ...], tuple[Fraction, bool]]


def solve(variables: Sequence[Variable], rows: Iterable[Inequality]) -> Solution:
    """A solution, preferring the low ends of what is possible, or the proof that there is none.

    Exact for real variables and for the emptiness that rounding shows. Not proven: more than MAX_ROWS
    inequalities during the elimination, or more than MAX_BRANCHES branches on whole variables.
    """
    system: _System = {}
    for row in rows:
        if not _add(system, row.coefficients, row.constant, row.strict, variables):
            return Solution(None)
    for place, variable in enumerate(variables):
        if variable.low is not None and not _add(system, {place: Fraction(-1)}, variable.low, False, variables):
            return Solution(None)
        if variable.high is not None and not _add(system, {place: Fraction(1)}, -variable.high, False, variables):
            return Solution(None)
    pending = [system]
    proven = True
    for _ in range(MAX_BRANCHES):
        if not pending:
            return Solution(None, proven)
        node = pending.pop()
        found = _relaxed(variables, node)
        if found is None:
            continue
        if isinstance(found, str):
            proven = False
            continue
        if not isinstance(found, _Split):
            return Solution(found)
        if found.above is not None:
            above = dict(node)
            if _add(above, {found.place: Fraction(-1)}, Fraction(found.above), False, variables):
                pending.append(above)
        if found.below is not None:
            below = dict(node)
            if _add(below, {found.place: Fraction(1)}, Fraction(-found.below), False, variables):
                pending.append(below)
    return Solution(None, proven and not pending)


@dataclass(frozen=True, slots=True)
class _Split:
    """Variable `place` takes no value strictly between `below` and `above`."""

    place: int
    below: int | None
    above: int | None


def _add(
    system: _System,
    coefficients: Mapping[int, Fraction],
    constant: Fraction,
    strict: bool,
    variables: Sequence[Variable],
) -> bool:
    """Add one inequality in lowest terms; False if it has no variable left and is false."""
    multiple = math.lcm(*(c.denominator for c in coefficients.values()))
    whole = {place: int(c * multiple) for place, c in coefficients.items()}
    return _add_integral(system, whole, constant * multiple, strict, variables)


def _add_integral(
    system: _System, coefficients: Mapping[int, int], constant: Fraction, strict: bool, variables: Sequence[Variable]
) -> bool:
    terms = sorted((place, c) for place, c in coefficients.items() if c)
    if not terms:
        return constant < 0 or (constant == 0 and not strict)
    divisor = math.gcd(*(c for _, c in terms))
    if divisor > 1:
        terms = [(place, c // divisor) for place, c in terms]
        constant /= divisor
    if all(variables[place].whole for place, _ in terms):
        constant = Fraction(math.floor(constant) + 1 if strict else math.ceil(constant))
        strict = False
    if len(terms) > 1:
        least, most = _extremes(terms, constant, variables)
        if least is not None and (least > 0 or (least == 0 and strict)):
            return False
        if most is not None and (most < 0 or (most == 0 and not strict)):
            return True  # the bounds of the variables, which stay in the system, imply it
    direction = tuple(terms)
    known = system.get(direction)
    if known is None or (constant, strict) > known:
        system[direction] = constant, strict
    return True


def _extremes(
    terms: Sequence[tuple[int, int]], constant: Fraction, variables: Sequence[Variable]
) -> tuple[Fraction | None, Fraction | None]:
    """The least and the greatest value of a sum within the bounds of its variables; None is no bound."""
    least: Fraction | None = constant
    most: Fraction | None = constant
    for place, c in terms:
        low, high = variables[place].low, variables[place].high
        if c < 0:
            low, high = high, low
        least = None if least is None or low is None else least + c * low
        most = None if most is None or high is None else most + c * high
    return least, most


def _relaxed(variables: Sequence[Variable], system: _System) -> tuple[Fraction, ...] | _Split | str | None:
    """A solution; where to branch; None if there is none; words if there are too many rows."""
    steps: list[tuple[int, list[tuple[int, tuple[tuple[int, int], ...], Fraction, bool]]]] = []
    left = set(range(len(variables)))
    while left:
        above: dict[int, int] = dict.fromkeys(left, 0)
        below: dict[int, int] = dict.fromkeys(left, 0)
        for direction in system:
            for place, c in direction:
                (above if c > 0 else below)[place] += 1
        chosen = min(left, key=lambda place: (above[place] * below[place] - above[place] - below[place], -place))
        left.discard(chosen)
        kept: _System = {}
        bounding = []
        for direction, (constant, strict) in system.items():
            own = next((c for place, c in direction if place == chosen), 0)
            if own:
                rest = tuple(term for term in direction if term[0] != chosen)
                bounding.append((own, rest, constant, strict))
            else:
                kept[direction] = constant, strict
        steps.append((chosen, bounding))
        uppers = [row for row in bounding if row[0] > 0]
        lowers = [row for row in bounding if row[0] < 0]
        for a, a_rest, a_constant, a_strict in uppers:
            for b, b_rest, b_constant, b_strict in lowers:
                combined = {place: -b * c for place, c in a_rest}
                for place, c in b_rest:
                    combined[place] = combined.get(place, 0) + a * c
                constant = -b * a_constant + a * b_constant
                if not _add_integral(kept, combined, constant, a_strict or b_strict, variables):
                    return None
                if len(kept) > MAX_ROWS:
                    return f"more than {MAX_ROWS} inequalities"
        system = kept
    return _substituted(variables, steps)


def _substituted(
    variables: Sequence[Variable],
    steps: Sequence[tuple[int, Sequence[tuple[int, tuple[tuple[int, int], ...], Fraction, bool]]]],
) -> tuple[Fraction, ...] | _Split:
    """Values for the variables, the last eliminated first, each within what the earlier choices leave."""
    values: dict[int, Fraction] = {}
    for chosen, bounding in reversed(steps):
        low: Fraction | None = None
        high: Fraction | None = None
        low_open = high_open = False
        for own, rest, constant, strict in bounding:
            end = -(constant + sum(c * values[place] for place, c in rest)) / own
            if own > 0 and (high is None or (end, not strict) < (high, not high_open)):
                high, high_open = end, strict
            elif own < 0 and (low is None or (end, strict) > (low, low_open)):
                low, low_open = end, strict
        variable = variables[chosen]
        if not variable.whole:
            values[chosen] = inside(low, low_open, high, high_open)
            continue
        first = None if low is None else math.floor(low) + 1 if low_open else math.ceil(low)
        last = None if high is None else math.ceil(high) - 1 if high_open else math.floor(high)
        if variable.allowed is not None:
            assert first is not None
            assert last is not None
            fitting = [j for j in variable.allowed if first <= j <= last]
            if not fitting:
                under = max((j for j in variable.allowed if j < first), default=None)
                over = min((j for j in variable.allowed if j > last), default=None)
                return _Split(chosen, under, over)
            values[chosen] = Fraction(fitting[0])
        elif first is not None and last is not None and first > last:
            return _Split(chosen, last, first)
        else:
            values[chosen] = Fraction(first if first is not None else min(0, last if last is not None else 0))
    return tuple(values[place] for place in range(len(variables)))


def inside(low: Fraction | None, low_open: bool, high: Fraction | None, high_open: bool) -> Fraction:
    """A short decimal of a non-empty interval: its low end if that belongs to it, else the next one above."""
    if low is None:
        if high is None or high > 0 or (high == 0 and not high_open):
            return Fraction(0)
        return Fraction(math.ceil(high) - 1) if high_open else high
    if not low_open:
        return low
    step = Fraction(1)
    while True:
        value = (math.floor(low / step) + 1) * step
        if high is None or value < high or (value == high and not high_open):
            return value
        step /= 10
