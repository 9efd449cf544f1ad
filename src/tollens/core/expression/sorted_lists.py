"""Readings as points: single readings, order statistics at chosen places and the sum of a sorted list.

For x_1 <= ... <= x_n in one support and the places k_1 < ... < k_m, the order statistics at these places and the
sum are exactly the points of a small polytope: the order holds, and the sum lies between every entry taken down
to its neighbour among them and every entry taken up to it. In integers every sum in between is reached too, so
no variable is needed for the other entries.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

from tollens.core.expression.disjunctive import Row
from tollens.core.expression.domain import Grid
from tollens.core.expression.feasible import Inequality, Solution, Variable, solve
from tollens.core.expression.linear import Key, Mean, Order, Scalar

_MAX_SUM = 1_000_000

Point: TypeAlias = Mapping[str, tuple[Fraction, ...]]


@dataclass(frozen=True, slots=True)
class Space:
    """The named readings: where each may be, and the length of each list (None for a single reading)."""

    grids: Mapping[str, Grid]
    counts: Mapping[str, int | None]

    def size(self) -> int | None:
        """How many assignments there are, lists taken in order; None if infinitely many."""
        total = 1
        for name, grid in self.grids.items():
            if grid.size is None:
                return None
            total *= grid.size ** (self.counts[name] or 1)
        return total


def values_of(keys: Iterable[Key], point: Point) -> dict[Key, Fraction]:
    """What the keys are at a point whose lists are sorted."""
    found: dict[Key, Fraction] = {}
    for key in keys:
        entries = point[key.name]
        if isinstance(key, Scalar):
            found[key] = entries[0]
        elif isinstance(key, Order):
            found[key] = entries[key.place - 1]
        else:
            found[key] = sum(entries, Fraction(0)) / len(entries)
    return found


def solve_rows(rows: Sequence[Row], space: Space) -> tuple[Point | None, bool]:
    """A point of `space` at which every row holds, or None and whether that there is none is proven."""
    keys = sorted({key for row in rows for key in row.form.terms}, key=_rank)
    places = {key: i for i, key in enumerate(keys)}
    variables = [_variable(key, space) for key in keys]
    inequalities = [_inequality(row, places, space) for row in rows]
    for name in dict.fromkeys(key.name for key in keys):
        inequalities.extend(_sorted_list(name, keys, places, space))
    solution: Solution = solve(variables, inequalities)
    if solution.values is None:
        return None, solution.proven
    point = point_of(dict(zip(keys, solution.values, strict=True)), space)
    # A sum that uneven gaps do not allow was not excluded above: then nothing is proven.
    return point, False


def _rank(key: Key) -> tuple[str, int, int]:
    return (key.name, 1, 0) if isinstance(key, Mean) else (key.name, 0, key.place if isinstance(key, Order) else 0)


def _variable(key: Key, space: Space) -> Variable:
    grid = space.grids[key.name]
    if not isinstance(key, Mean):
        return Variable(grid.low, grid.high, grid.whole, grid.allowed)
    n = space.counts[key.name] or 1
    return Variable(
        None if grid.low is None else n * grid.low, None if grid.high is None else n * grid.high, grid.whole
    )


def _inequality(row: Row, places: Mapping[Key, int], space: Space) -> Inequality:
    """The row in the coordinates of the grids; the variable of a mean is the sum."""
    constant = row.form.constant
    coefficients = {}
    for key, c in row.form.terms.items():
        grid = space.grids[key.name]
        constant += c * grid.offset
        coefficients[places[key]] = c * grid.step / ((space.counts[key.name] or 1) if isinstance(key, Mean) else 1)
    return Inequality(coefficients, constant, row.strict)


def _sorted_list(name: str, keys: Sequence[Key], places: Mapping[Key, int], space: Space) -> list[Inequality]:
    orders = [key for key in keys if isinstance(key, Order) and key.name == name]
    rows = [
        Inequality({places[a]: Fraction(1), places[b]: Fraction(-1)}, Fraction(0))
        for a, b in itertools.pairwise(orders)
    ]
    mean = Mean(name)
    if mean not in places or not orders:
        return rows
    grid, n = space.grids[name], space.counts[name] or 1
    first, last = orders[0].place, orders[-1].place
    ends = [key.place for key in orders]
    if first == 1 or grid.low is not None:
        lower = {
            places[key]: Fraction(after - key.place) for key, after in zip(orders, [*ends[1:], n + 1], strict=True)
        }
        constant = (first - 1) * grid.low if grid.low is not None else Fraction(0)
        rows.append(Inequality({**lower, places[mean]: Fraction(-1)}, constant))
    if last == n or grid.high is not None:
        upper = {places[key]: Fraction(before - key.place) for key, before in zip(orders, [0, *ends[:-1]], strict=True)}
        constant = -(n - last) * grid.high if grid.high is not None else Fraction(0)
        rows.append(Inequality({**upper, places[mean]: Fraction(1)}, constant))
    return rows


def point_of(coordinates: Mapping[Key, Fraction], space: Space) -> Point | None:
    """The entries behind coordinates of the polytope; None if uneven gaps leave no entries with that sum."""
    point: dict[str, tuple[Fraction, ...]] = {}
    for name, grid in space.grids.items():
        n = space.counts[name] or 1
        fixed = {
            (key.place if isinstance(key, Order) else 1): value
            for key, value in coordinates.items()
            if key.name == name and not isinstance(key, Mean)
        }
        total = coordinates.get(Mean(name))
        entries: list[Fraction] | None
        if total is None:
            entries = _nearest(fixed, n, grid)
        else:
            entries = _summing(_slots(fixed, n, grid), total, grid)
            if entries is None:
                return None
            entries = sorted(entries)
        point[name] = tuple(map(grid.value, entries))
    return point


def _nearest(fixed: Mapping[int, Fraction], n: int, grid: Grid) -> list[Fraction]:
    """Every entry equal to the fixed one at or before it, the first ones to the first fixed one."""
    if not fixed:
        value = grid.low if grid.low is not None else min(grid.high, Fraction(0)) if grid.high is not None else 0
        return [Fraction(value)] * n
    current = fixed[min(fixed)]
    entries = []
    for place in range(1, n + 1):
        current = fixed.get(place, current)
        entries.append(current)
    return entries


Slot: TypeAlias = tuple[Fraction | None, Fraction | None, int]


def _slots(fixed: Mapping[int, Fraction], n: int, grid: Grid) -> list[Slot]:
    """(low, high, how many entries lie there) between the fixed places."""
    slots: list[Slot] = []
    before, low = 0, grid.low
    for place, value in sorted(fixed.items()):
        if place - before > 1:
            slots.append((low, value, place - before - 1))
        slots.append((value, value, 1))
        before, low = place, value
    if n > before:
        slots.append((low, grid.high, n - before))
    return slots


def _summing(slots: Sequence[Slot], total: Fraction, grid: Grid) -> list[Fraction] | None:
    """Entries in their slots with this sum, all at one level as far as the slots allow."""
    if grid.allowed is not None:
        return _summing_allowed(slots, int(total), grid.allowed)
    ends = sorted({end for low, high, _ in slots for end in (low, high) if end is not None})
    level = _level(slots, ends, total)
    if not grid.whole:
        return [_clamped(level, slot) for slot in slots for _ in range(slot[2])]
    base = Fraction(math.floor(level))
    entries = []
    missing = total - sum(_clamped(base, slot) * slot[2] for slot in slots)
    for slot in slots:
        here = _clamped(base, slot)
        room = _clamped(base + 1, slot) - here
        for _ in range(slot[2]):
            raised = room if missing > 0 else 0
            entries.append(here + raised)
            missing -= raised
    return entries if missing == 0 else None


def _clamped(level: Fraction, slot: Slot) -> Fraction:
    low, high, _ = slot
    if low is not None and level < low:
        return low
    return high if high is not None and level > high else level


def _level(slots: Sequence[Slot], ends: Sequence[Fraction], total: Fraction) -> Fraction:
    """Where the sum of the entries clamped to their slots, which never falls as the level rises, is `total`."""
    if not ends:
        return total / sum(count for _, _, count in slots)

    def height(level: Fraction) -> Fraction:
        return sum((_clamped(level, slot) * slot[2] for slot in slots), Fraction(0))

    heights = [height(end) for end in ends]
    if total <= heights[0]:
        moving = sum(count for low, _, count in slots if low is None)
        return ends[0] - (heights[0] - total) / moving if moving else ends[0]
    for (a, under), (b, over) in itertools.pairwise(zip(ends, heights, strict=True)):
        if under <= total <= over:
            return a if under == over else a + (b - a) * (total - under) / (over - under)
    moving = sum(count for _, high, count in slots if high is None)
    return ends[-1] + (total - heights[-1]) / moving if moving else ends[-1]


def _summing_allowed(slots: Sequence[Slot], total: int, allowed: Sequence[int]) -> list[Fraction] | None:
    """The same among uneven values: the sums that can be reached, one bit for each, entry by entry."""
    if not 0 <= total <= _MAX_SUM:
        return None
    options = []
    for low, high, count in slots:
        fitting = [j for j in allowed if (low is None or j >= low) and (high is None or j <= high)]
        options.extend([fitting] * count)
    reached = [1]
    mask = (1 << (total + 1)) - 1
    for fitting in options:
        sums = 0
        for j in fitting:
            sums |= reached[-1] << j
        reached.append(sums & mask)
    if not reached[-1] >> total & 1:
        return None
    entries = []
    for fitting, before in zip(reversed(options), reversed(reached[:-1]), strict=True):
        j = next(j for j in fitting if j <= total and before >> (total - j) & 1)
        entries.append(Fraction(j))
        total -= j
    return entries
