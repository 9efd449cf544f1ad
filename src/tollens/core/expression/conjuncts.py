"""Whether a tree of inequalities has a point, conjunct by conjunct of its disjunctive normal form."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from tollens.core.expression.disjunctive import Every, Node, Row, Some, form_range, holds_at, keys_of, rows_of
from tollens.core.expression.domain import Grid
from tollens.core.expression.linear import Key, Mean, Order
from tollens.core.expression.ranges import Range, plus, times
from tollens.core.expression.sorted_lists import Point, Space, solve_rows, values_of

MAX_CONJUNCTS = 4_096
_MAX_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Found:
    """`point`, or None; then `proven` says that there is none. `excluded`: rows that exclude each other."""

    point: Point | None
    proven: bool
    excluded: tuple[Row, ...] = ()


@dataclass(frozen=True, slots=True)
class _Part:
    """A conjunction under construction: what is still to open, what was opened, and what that leaves of keys."""

    todo: tuple[Node, ...]
    rows: tuple[Row, ...]
    box: dict[Key, Range]


def by_conjuncts(node: Node, space: Space) -> Found | None:
    """Exact, but for the limits of `solve`; None where more than MAX_CONJUNCTS are left.

    Before a disjunction is opened, what stands so far is solved: if that is impossible, none of its conjuncts is
    looked at; if its solution happens to satisfy the whole tree, that is the answer.
    """
    keys = keys_of(node)
    solved = 0
    proven = True
    excluded: tuple[Row, ...] = ()
    pending = [_Part((node,), (), {})]
    while pending:
        part = _opened(pending.pop(), space)
        head = part.todo[0] if part.todo else None
        if isinstance(head, Row):
            excluded = excluded or (*part.rows, head)
            continue
        solved += 1
        if solved > MAX_CONJUNCTS:
            return None
        point, empty = solve_rows(part.rows, space)
        if point is not None and (head is None or holds_at(node, values_of(keys, point))):
            return Found(point, proven=True)
        if point is None and empty:
            excluded = excluded or part.rows
        elif head is None:
            proven = False
        else:
            pending.extend(_Part((inner, *part.todo[1:]), part.rows, dict(part.box)) for inner in reversed(head.nodes))
    return Found(None, proven, _smallest(excluded, space) if proven else ())


def _opened(part: _Part, space: Space) -> _Part:
    """The part with every conjunction opened; a row left in front of `todo` contradicts the others."""
    todo = list(part.todo)
    rows = list(part.rows)
    choices: list[Some] = []
    box = part.box
    while todo:
        node = todo.pop(0)
        if isinstance(node, Every):
            todo = [*node.nodes, *todo]
        elif isinstance(node, Some):
            denied = next((other for other in choices if node.denies(other)), None)
            if denied is not None:
                return _Part((next(rows_of(node)),), (*rows, next(rows_of(denied))), box)
            choices.append(node)
        elif not _tightened(node, box, space):
            return _Part((node,), tuple(rows), box)
        else:
            rows.append(node)
    return _Part(tuple(choices), tuple(rows), box)


def _tightened(row: Row, box: dict[Key, Range], space: Space) -> bool:
    """Whether the row can hold on the box, which it narrows."""

    def range_of(key: Key) -> Range:
        found = box.get(key) or space.grids[key.name].hull()
        if isinstance(key, Order):
            for other, known in box.items():  # the entries are sorted
                if isinstance(other, Order) and other.name == key.name:
                    low = known.low if other.place < key.place else found.low
                    high = known.high if other.place > key.place else found.high
                    found = Range(max(found.low, low), min(found.high, high))
        return found

    least = form_range(row.form, range_of).low
    if least > 0 or (least == 0 and row.strict):
        return False
    if isinstance(least, float) and len(row.form.terms) > 1:
        return True
    for key, coefficient in row.form.terms.items():
        old = range_of(key)
        own = times(coefficient, old.low if coefficient > 0 else old.high)
        # The other terms are at their least where this one is bounded the least.
        others = row.form.constant if len(row.form.terms) == 1 else plus(least, times(Fraction(-1), own))
        if isinstance(others, float):
            continue
        end = -others / coefficient
        if not isinstance(key, Mean):
            end = _on_grid(end, row.strict, coefficient > 0, space.grids[key.name])
        new = Range(old.low, min(old.high, end)) if coefficient > 0 else Range(max(old.low, end), old.high)
        if new.low > new.high:
            return False
        box[key] = new
    return True


def _on_grid(end: Fraction, strict: bool, upper: bool, grid: Grid) -> Fraction:
    """The last value of a grid of whole places within an upper end, or the first within a lower one."""
    if not grid.whole:
        return end
    place = (end - grid.offset) / grid.step
    if upper:
        return grid.value(Fraction(math.ceil(place) - 1 if strict else math.floor(place)))
    return grid.value(Fraction(math.floor(place) + 1 if strict else math.ceil(place)))


def _smallest(rows: Sequence[Row], space: Space) -> tuple[Row, ...]:
    """Rows that exclude each other, none of which could be left out."""
    kept = list(rows) if len(rows) <= _MAX_SHOWN else []
    for row in list(kept):
        without = [other for other in kept if other is not row]
        if solve_rows(without, space) == (None, True):
            kept = without
    return tuple(kept)
