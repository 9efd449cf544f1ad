"""A rule as a tree of linear inequalities over single readings, order statistics and means.

The language has only symmetric functions of a list, and every entry of a list has the same support, so the
entries may be taken as sorted. Then min, max and every quantile are one entry each, and `any` and `all` with an
order relation compare the last or the first entry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

from tollens.core.expression.linear import Columns, Key, Normal, Order, normal
from tollens.core.expression.ranges import Range, holds, plus, scaled
from tollens.core.expression.syntax import And, Compare, Not, Op, Or, Quantified, Quantifier, Rule, show


@dataclass(frozen=True, slots=True)
class Row:
    """`form` < 0 if `strict`, else `form` <= 0. `source` is the atom it comes from, whose form is `form` or its
    negative (`flipped`)."""

    form: Normal
    strict: bool
    source: Compare | Quantified
    flipped: bool = False


@dataclass(frozen=True, slots=True)
class Every:
    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Some:
    """`equals` is set where the node says of a list that some entry is a value (True) or that none is (False)."""

    nodes: tuple[Node, ...]
    equals: tuple[str, frozenset[tuple[Key, Fraction]], Fraction, bool] | None = None

    def denies(self, other: Some) -> bool:
        """Whether the two say the opposite of one list and one value; cheaper than to open both."""
        return (
            self.equals is not None
            and other.equals is not None
            and self.equals[:3] == other.equals[:3]
            and self.equals[3] != other.equals[3]
        )


Node: TypeAlias = Row | Every | Some
Box: TypeAlias = Callable[[Key], Range]


def expand(rule: Rule, columns: Columns) -> Node:
    """The tree of a checked rule without `not`; only the lengths of the columns are read."""
    if isinstance(rule, And):
        return Every(tuple(expand(operand, columns) for operand in rule.operands))
    if isinstance(rule, Or):
        return Some(tuple(expand(operand, columns) for operand in rule.operands))
    if isinstance(rule, Not):
        raise TypeError(f"negation is moved to the atoms first; found {show(rule)}")
    right = normal(rule.right, columns)
    if isinstance(rule, Compare):
        return _related(normal(rule.left, columns).minus(right), rule.op, rule)
    return _quantified(rule, right, len(columns[rule.name].entries))


def _related(form: Normal, op: Op, source: Compare | Quantified) -> Node:
    if op is Op.EQ:
        return Every((_related(form, Op.LE, source), _related(form, Op.GE, source)))
    if op is Op.NE:
        return Some((_related(form, Op.LT, source), _related(form, Op.GT, source)))
    if op in (Op.LT, Op.LE):
        return Row(form, op is Op.LT, source)
    negative = Normal(-form.constant, {key: -c for key, c in form.terms.items()}, form.texts)
    return Row(negative, op is Op.GT, source, flipped=True)


def _quantified(atom: Quantified, right: Normal, n: int) -> Node:
    def entry(place: int, op: Op) -> Node:
        key = Order(atom.name, place)
        return _related(Normal(Fraction(0), {key: Fraction(1)}, {key: atom.name}).minus(right), op, atom)

    equals = atom.name, frozenset(right.terms.items()), right.constant
    op, some = atom.op, atom.quantifier is Quantifier.ANY
    if op in (Op.LT, Op.LE):
        return entry(1 if some else n, op)
    if op in (Op.GT, Op.GE):
        return entry(n if some else 1, op)
    if op is Op.EQ:
        if not some:
            return Every((entry(1, op), entry(n, op)))
        return Some(tuple(entry(k, op) for k in range(1, n + 1)), (*equals, True))
    if some:
        return Some((entry(1, Op.LT), entry(n, Op.GT)))
    # No entry equals the right side: k entries lie below it and the others above.
    ends = entry(1, Op.GT), entry(n, Op.LT)
    between = (Every((entry(k, Op.LT), entry(k + 1, Op.GT))) for k in range(1, n))
    return Some((*ends, *between), (*equals, False))


def keys_of(node: Node) -> dict[Key, None]:
    """Every key in the tree, in the order of first mention."""
    if isinstance(node, Row):
        return dict.fromkeys(node.form.terms)
    found: dict[Key, None] = {}
    for inner in node.nodes:
        found |= keys_of(inner)
    return found


def rows_of(node: Node) -> Iterator[Row]:
    """Every inequality of the tree from left to right."""
    if isinstance(node, Row):
        yield node
    else:
        for inner in node.nodes:
            yield from rows_of(inner)


def form_range(form: Normal, box: Box) -> Range:
    """An interval that holds every value of the sum on the box; the hull where its keys are independent."""
    total = Range(form.constant, form.constant)
    for key, coefficient in form.terms.items():
        part = scaled(coefficient, box(key))
        total = Range(plus(total.low, part.low), plus(total.high, part.high))
    return total


def row_truth(row: Row, box: Box) -> bool | None:
    """Three-valued truth of one inequality on a box."""
    return holds(form_range(row.form, box), Op.LT if row.strict else Op.LE, Fraction(0), can_be=True)


def truth_on(node: Node, box: Box) -> bool | None:
    """Three-valued truth of the tree on a box, by Kleene's tables; None is not known."""
    if isinstance(node, Row):
        return row_truth(node, box)
    decisive = isinstance(node, Some)
    unknown = False
    for inner in node.nodes:
        truth = truth_on(inner, box)
        if truth is decisive:
            return decisive
        unknown = unknown or truth is None
    return None if unknown else not decisive


def holds_at(node: Node, values: Mapping[Key, Fraction]) -> bool:
    """The truth of the tree at a point."""
    if isinstance(node, Row):
        total = node.form.constant + sum(c * values[key] for key, c in node.form.terms.items())
        return total < 0 or (total == 0 and not node.strict)
    if isinstance(node, Every):
        return all(holds_at(inner, values) for inner in node.nodes)
    return any(holds_at(inner, values) for inner in node.nodes)
