"""A point of a tree of inequalities with too many conjuncts: by enumeration, by likely points, in boxes."""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import TypeAlias

from tollens.core.expression.conjuncts import Found
from tollens.core.expression.disjunctive import Node, holds_at, keys_of, rows_of, truth_on
from tollens.core.expression.linear import Key, Mean, Order
from tollens.core.expression.ranges import Range
from tollens.core.expression.sorted_lists import Point, Space, point_of, values_of

MAX_POINTS = 1_000_000
MAX_CANDIDATES = 4_096
MAX_BOXES = 20_000
_MAX_ENTRIES = 2 * MAX_POINTS
_RESOLUTION = Fraction(1, 10**6)

Ends: TypeAlias = tuple[Fraction | None, Fraction | None]


def assignments(space: Space) -> int | None:
    """How many assignments differ, lists in any order being the same; None if infinitely or unreasonably many."""
    total = entries = 1
    for name, grid in space.grids.items():
        if grid.size is None:
            return None
        n = space.counts[name] or 1
        if grid.size > 1 and n > MAX_POINTS:
            return None
        different = math.comb(grid.size + n - 1, n) if min(grid.size - 1, n) < 20 else MAX_POINTS + 1
        total *= different
        entries += different * n
        if total > MAX_POINTS or entries > _MAX_ENTRIES:
            return None
    return total


def by_enumeration(node: Node, space: Space) -> Found:
    """Every assignment of finite supports, the lowest values first."""
    keys = keys_of(node)
    names = list(space.grids)
    columns = [
        list(itertools.combinations_with_replacement(grid.places(), space.counts[name] or 1))
        for name, grid in space.grids.items()
    ]
    for entries in itertools.product(*columns):
        places = dict(zip(names, entries, strict=True))
        if holds_at(node, {key: _value(key, places[key.name], space) for key in keys}):
            point = {name: tuple(space.grids[name].value(Fraction(j)) for j in places[name]) for name in names}
            return Found(point, proven=True)
    return Found(None, proven=True)


def _value(key: Key, places: Sequence[int], space: Space) -> Fraction:
    grid = space.grids[key.name]
    if isinstance(key, Mean):
        return grid.value(Fraction(sum(places), len(places)))
    return grid.value(Fraction(places[key.place - 1 if isinstance(key, Order) else 0]))


def by_search(node: Node, space: Space) -> Found:
    """Box corners and thresholds with one step to either side, Halton (1960) points, then boxes, halved until
    an interval evaluation excludes them; without a point and with boxes left, nothing is proven."""
    keys = list(keys_of(node))
    start = {key: _ends(key, space) for key in keys}
    for coordinates in itertools.chain(
        itertools.islice(_likely(node, start, space), MAX_CANDIDATES), _halton(start, space)
    ):
        point = _holding(node, coordinates, space)
        if point is not None:
            return Found(point, proven=True)
    return _in_boxes(node, start, space)


def _ends(key: Key, space: Space) -> Ends:
    """The coordinate of a key: its place on the grid of its reading; of a mean, the sum of the places."""
    grid = space.grids[key.name]
    n = _weight(key, space)
    return None if grid.low is None else n * grid.low, None if grid.high is None else n * grid.high


def _weight(key: Key, space: Space) -> int:
    return (space.counts[key.name] or 1) if isinstance(key, Mean) else 1


def _holding(node: Node, coordinates: Mapping[Key, Fraction], space: Space) -> Point | None:
    """The point nearest to the coordinates, which need neither be in order nor go together, if the tree holds."""
    fitted: dict[Key, Fraction] = {}
    for name, grid in space.grids.items():
        own = sorted(
            (key for key in coordinates if key.name == name and not isinstance(key, Mean)),
            key=lambda key: key.place if isinstance(key, Order) else 0,
        )
        values = sorted(Fraction(round(coordinates[key])) if grid.whole else coordinates[key] for key in own)
        if not all(grid.has(value) for value in values):
            return None
        fitted |= dict(zip(own, values, strict=True))
        mean = Mean(name)
        if mean in coordinates:
            low, high = _sums(own, values, space.counts[name] or 1, grid.low, grid.high)
            total = Fraction(round(coordinates[mean])) if grid.whole else coordinates[mean]
            total = total if low is None else max(total, low)
            fitted[mean] = total if high is None else min(total, high)
    point = point_of(fitted, space)
    if point is None or not holds_at(node, values_of(coordinates, point)):
        return None
    return point


def _sums(
    orders: Sequence[Key], values: Sequence[Fraction], n: int, low: Fraction | None, high: Fraction | None
) -> Ends:
    """Between which sums a list with these order statistics lies."""
    places = [key.place for key in orders if isinstance(key, Order)]
    # Entries 1 .. n between their fixed neighbours, in runs.
    least: Fraction | None = Fraction(0)
    most: Fraction | None = Fraction(0)
    for before, after, under in zip([0, *places], [*places, n + 1], [low, *values], strict=True):
        count = after - before - (1 if before == 0 else 0)
        least = None if least is None or (under is None and count) else least + count * (under or 0)
    for before, after, over in zip([0, *places], [*places, n + 1], [*values, high], strict=True):
        count = after - before - (1 if after == n + 1 else 0)
        most = None if most is None or (over is None and count) else most + count * (over or 0)
    return least, most


def _likely(node: Node, start: Mapping[Key, Ends], space: Space) -> Iterator[dict[Key, Fraction]]:
    values = {key: dict.fromkeys(end for end in ends if end is not None) for key, ends in start.items()}
    for row in rows_of(node):
        if len(row.form.terms) == 1:
            ((key, c),) = row.form.terms.items()
            grid = space.grids[key.name]
            at = (-row.form.constant / c - grid.offset) / grid.step * _weight(key, space)
            step = Fraction(1) if grid.whole else _RESOLUTION * max(abs(at), Fraction(1))
            values[key] |= dict.fromkeys((at, at - step, at + step))
    columns = [list(found) or [Fraction(0)] for found in values.values()]
    for chosen in itertools.product(*columns):
        yield dict(zip(values, chosen, strict=True))


def _halton(start: Mapping[Key, Ends], space: Space) -> Iterator[dict[Key, Fraction]]:
    bases = _primes(len(start))
    for index in range(1, MAX_CANDIDATES + 1):
        yield {
            key: _spread(_radical_inverse(index, base), *ends)
            for (key, ends), base in zip(start.items(), bases, strict=True)
        }


def _primes(count: int) -> list[int]:
    found: list[int] = []
    candidate = 2
    while len(found) < count:
        if all(candidate % prime for prime in found):
            found.append(candidate)
        candidate += 1
    return found


def _radical_inverse(index: int, base: int) -> Fraction:
    """The digits of `index` mirrored at the point, in (0, 1)."""
    numerator, denominator = 0, 1
    while index:
        index, digit = divmod(index, base)
        numerator, denominator = numerator * base + digit, denominator * base
    return Fraction(numerator, denominator)


def _spread(u: Fraction, low: Fraction | None, high: Fraction | None) -> Fraction:
    """u in (0, 1) spread over the interval, rationally over an infinite one."""
    if low is not None and high is not None:
        return low + u * (high - low)
    if low is not None:
        return low + u / (1 - u)
    return high - u / (1 - u) if high is not None else (u - Fraction(1, 2)) / (u * (1 - u))


def _in_boxes(node: Node, start: Mapping[Key, Ends], space: Space) -> Found:
    waiting = deque([dict(start)])
    for _ in range(MAX_BOXES):
        if not waiting:
            return Found(None, proven=True)
        ends = waiting.popleft()
        if not _ordered(ends) or truth_on(node, lambda key, box=ends: _range(key, box[key], space)) is False:  # type: ignore[misc]
            continue
        point = _holding(node, {key: _middle(*pair) for key, pair in ends.items()}, space)
        if point is not None:
            return Found(point, proven=True)
        waiting.extend(_halves(ends, start, space))
    return Found(None, proven=False)


def _ordered(ends: Mapping[Key, Ends]) -> bool:
    """Whether sorted lists reach the box: no lower entry above a higher one."""
    orders = [key for key in ends if isinstance(key, Order)]
    for a, b in itertools.permutations(orders, 2):
        if a.name == b.name and a.place < b.place:
            low, high = ends[a][0], ends[b][1]
            if low is not None and high is not None and low > high:
                return False
    return True


def _range(key: Key, ends: Ends, space: Space) -> Range:
    grid, weight = space.grids[key.name], _weight(key, space)
    low = -math.inf if ends[0] is None else grid.value(ends[0] / weight)
    high = math.inf if ends[1] is None else grid.value(ends[1] / weight)
    return Range(low, high)


def _middle(low: Fraction | None, high: Fraction | None) -> Fraction:
    if low is not None and high is not None:
        return (low + high) / 2
    if low is not None:
        return 2 * low + 1 if low > 0 else Fraction(1)
    return (2 * high - 1 if high < 0 else Fraction(-1)) if high is not None else Fraction(0)


def _halves(ends: dict[Key, Ends], start: Mapping[Key, Ends], space: Space) -> list[dict[Key, Ends]]:
    """The box cut at the middle of its relatively widest side; no halves of a single point."""
    chosen = max(ends, key=lambda key: _width(ends[key], start[key]))
    low, high = ends[chosen]
    if low == high and low is not None:
        return []
    middle = _middle(low, high)
    if space.grids[chosen.name].whole:
        below = Fraction(math.floor(middle))
        return [{**ends, chosen: (low, below)}, {**ends, chosen: (below + 1, high)}]
    return [{**ends, chosen: (low, middle)}, {**ends, chosen: (middle, high)}]


def _width(ends: Ends, start: Ends) -> Fraction | float:
    if ends[0] is None or ends[1] is None:
        return math.inf
    width = ends[1] - ends[0]
    return width / (start[1] - start[0]) if start[0] is not None and start[1] is not None and width else width
