"""How many more entries have to be read before a rule that is open can be anything but open."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction

from tollens.core.expression.linear import Columns, Mean, Normal, key_range, normal, normal_range
from tollens.core.expression.syntax import Aggregate, Compare, Fold, Not, Op, Quantified, Rule


def least_more(rule: Rule, columns: Columns) -> int | None:
    """At least so many further entries, 1 or more, have to be read to change a checked rule; None: none can change it.

    The truth of a rule changes only with that of one of its atoms, and an atom that is decided stays so. An atom on a
    mean against what is certain stays open while neither end of the mean's hull can have reached the threshold, and one
    entry moves an end by no more than its own range over the number of entries. Any other atom counts as decided by
    the next entry. Lists are not empty.
    """
    found = [needed for atom in _atoms(rule) if (needed := _needed(atom, columns)) is not None]
    return min(found, default=None)


def averages(rule: Rule) -> bool:
    """Whether any atom compares a mean; of a rule without one every next entry may decide."""
    terms = (
        term for atom in _atoms(rule) if isinstance(atom, Compare) for term in (*atom.left.terms, *atom.right.terms)
    )
    return any(isinstance(term.atom, Aggregate) and term.atom.fold is Fold.MEAN for term in terms)


def _atoms(rule: Rule) -> Iterator[Compare | Quantified]:
    if isinstance(rule, Compare | Quantified):
        yield rule
        return
    for operand in (rule.operand,) if isinstance(rule, Not) else rule.operands:
        yield from _atoms(operand)


def _needed(atom: Compare | Quantified, columns: Columns) -> int | None:
    if isinstance(atom, Quantified) or atom.op in (Op.EQ, Op.NE):
        return 1
    form = normal(atom.left, columns).minus(normal(atom.right, columns))
    open_keys = [key for key in form.terms if not key_range(key, columns).certain]
    if not open_keys:
        return None
    key = open_keys[0]
    if len(open_keys) > 1 or not isinstance(key, Mean):
        return 1
    rest = normal_range(Normal(form.constant, {k: c for k, c in form.terms.items() if k != key}, form.texts), columns)
    hull, ranges = key_range(key, columns), columns[key.name].ranges
    if isinstance(rest.low, float) or isinstance(hull.low, float) or isinstance(hull.high, float):
        return 1
    threshold = -rest.low / form.terms[key]
    gap = min(hull.high - threshold, threshold - hull.low)
    if gap < 0:
        return None
    widest = max(Fraction(r.high) - Fraction(r.low) for r in ranges)
    return max(1, math.ceil(gap * len(ranges) / widest))
