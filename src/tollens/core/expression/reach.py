"""Whether a rule can be true, decided before anything is run; exactly, or said to be undecided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

from tollens.core.expression.answer import shown
from tollens.core.expression.check import Sort, check, names
from tollens.core.expression.conjuncts import Found, by_conjuncts
from tollens.core.expression.disjunctive import Box, Node, Row, Some, expand, form_range, truth_on
from tollens.core.expression.domain import Domain, declared_of, grid_of
from tollens.core.expression.evaluate import pushed, truth
from tollens.core.expression.linear import Column, Key, Mean
from tollens.core.expression.ranges import Bound, Entry, Range, shown_support, times
from tollens.core.expression.search import assignments, by_enumeration, by_search
from tollens.core.expression.sorted_lists import Point, Space
from tollens.core.expression.syntax import And, Rule, show

_FEW = 500
_ENTRY = Entry("entry", 0)  # of a column only the length and the ranges are read


@dataclass(frozen=True, slots=True)
class Reachable:
    """Values inside the supports, one per entry, of the readings that the rule names; the rule is true of them."""

    witness: Mapping[str, tuple[Fraction, ...]]


@dataclass(frozen=True, slots=True)
class Unreachable:
    """`proof`: one sentence that names the interval or the contradiction."""

    proof: str


@dataclass(frozen=True, slots=True)
class Undecided:
    why: str


Reach: TypeAlias = Reachable | Unreachable | Undecided


def reach(rule: Rule, domains: Mapping[str, Domain]) -> Reach:
    """Whether some values inside the supports make `rule` true.

    Order of the attempts: intervals; enumeration of a few assignments; the conjuncts of the disjunctive normal
    form in exact arithmetic; enumeration of up to 10^6 assignments; search.

    Raises TollensError as `check` does; `rule_list_empty` and `rule_support` for a domain without a value.
    """
    check(rule, declared_of(domains))
    used = [name for name in names(rule) if name in domains]
    space = Space({name: grid_of(name, domains[name]) for name in used}, {name: domains[name].count for name in used})
    columns = {name: _column(domains[name].count or 1, ()) for name in used}
    positive = pushed(rule)
    node = expand(positive, columns)

    def hull(key: Key) -> Range:
        return space.grids[key.name].hull()

    if truth_on(node, hull) is False:
        return Unreachable(_sentence(_reasons(node, space, domains)))
    found = _search(node, space)
    if found.point is not None:
        verify(positive, found.point, space)
        return Reachable({name: found.point[name] for name in used})
    if not found.proven:
        return Undecided(
            f"neither values that make `{show(rule)}` true nor a proof that there are none were found within the limits"
        )
    return Unreachable(_contradiction(rule, found.excluded, domains))


def disjoint(a: Rule, b: Rule, domains: Mapping[str, Domain]) -> Reach:
    """Whether both rules can be true at once; Unreachable proves them disjoint."""
    return reach(And((a, b)), domains)


def _column(n: int, ranges: tuple[Range, ...]) -> Column:
    return Column((_ENTRY,) * n, ranges)


def _search(node: Node, space: Space) -> Found:
    count = assignments(space)
    if count is not None and count <= _FEW:
        return by_enumeration(node, space)
    found = by_conjuncts(node, space)
    if found is not None and (found.point is not None or found.proven):
        return found
    if count is not None:
        return by_enumeration(node, space)
    return by_search(node, space)


def verify(rule: Rule, point: Point, space: Space) -> None:
    """Return if the point lies inside the supports and the evaluation of rules calls `rule` true of it."""
    for name, values in point.items():
        grid = space.grids[name]
        if len(values) != (space.counts[name] or 1) or not all(
            grid.has((value - grid.offset) / grid.step) for value in set(values)
        ):
            raise AssertionError(f"the witness leaves the support of {name}: {values}")
    columns = {name: _column(len(values), tuple(map(Range, values, values))) for name, values in point.items()}
    if truth(rule, columns) is not True:
        raise AssertionError(f"the witness {point} does not make {show(rule)} true")


# Proofs in words


def _reasons(node: Node, space: Space, domains: Mapping[str, Domain]) -> list[str]:
    """Why each part that would have to hold does not hold anywhere."""

    def hull(key: Key) -> Range:
        return space.grids[key.name].hull()

    if isinstance(node, Row):
        return [_row_reason(node, hull, domains)]
    false = [inner for inner in node.nodes if truth_on(inner, hull) is False]
    if isinstance(node, Some):
        return list(dict.fromkeys(reason for inner in false for reason in _reasons(inner, space, domains)))
    return _reasons(false[0], space, domains)


def _row_reason(row: Row, box: Box, domains: Mapping[str, Domain]) -> str:
    text = f"`{show(row.source)}` is false everywhere"
    terms = row.form.terms
    if not terms:
        difference = -row.form.constant if row.flipped else row.form.constant
        return f"{text}: its left side minus its right side is {plain(difference)} whatever the readings are"
    if len(terms) == 1:
        (key,) = terms
        found = box(key)
        where = (
            f"[{_end(found.low)}, {_end(found.high)}]" if isinstance(key, Mean) else _support_text(domains[key.name])
        )
        return f"{text}: {row.form.texts.get(key, key.name)} lies in {where}"
    found = form_range(row.form, box)
    low, high = (
        (times(Fraction(-1), found.high), times(Fraction(-1), found.low)) if row.flipped else (found.low, found.high)
    )
    return f"{text}: its left side minus its right side lies in [{_end(low)}, {_end(high)}]"


def _end(bound: Bound) -> str:
    return str(bound) if isinstance(bound, float) else plain(bound)


def _support_text(domain: Domain) -> str:
    text = shown_support(domain.support)
    return f"the integers of {text}" if domain.sort is Sort.INTEGER and domain.support.values is None else text


def _sentence(reasons: Sequence[str]) -> str:
    more = f"; and {len(reasons) - 3} more parts likewise" if len(reasons) > 3 else ""
    return "; ".join(reasons[:3]) + more


def _contradiction(rule: Rule, excluded: Sequence[Row], domains: Mapping[str, Domain]) -> str:
    parts = list(dict.fromkeys(f"`{show(row.source)}`" for row in excluded))
    keys = dict.fromkeys(key.name for row in excluded for key in row.form.terms)
    where = ", ".join(f"{name} in {_support_text(domains[name])}" for name in keys or names(rule) if name in domains)
    if len(parts) == 1:
        return f"{parts[0]} is false for every {where}"
    text = f"`{show(rule)}` is false everywhere"
    if parts:
        return f"{text}: {', '.join(parts[:-1])} and {parts[-1]} exclude each other for {where}"
    return f"{text}: every way to make it true was examined for {where}"


def plain(value: Fraction) -> str:
    """The value exactly, as a decimal of at most 20 places or a fraction; a longer one to six digits."""
    for places in range(21):
        scaled = value * 10**places
        if scaled.denominator == 1 and abs(scaled.numerator) < 10**40:
            digits = str(abs(scaled.numerator)).rjust(places + 1, "0")
            whole, part = (digits[:-places], digits[-places:]) if places else (digits, "")
            return ("-" if value < 0 else "") + whole + (f".{part}" if part else "")
    text = f"{value.numerator}/{value.denominator}"
    return text if len(text) <= 40 else f"about {shown(value)}"
