"""A rule that names one reading both bare and under an aggregate: the two get names of their own."""

from __future__ import annotations

from dataclasses import replace

from tollens.core.expression.check import atoms
from tollens.core.expression.syntax import (
    Aggregate,
    And,
    Compare,
    Linear,
    Name,
    Not,
    Or,
    Quantified,
    Rule,
)


def list_name(name: str) -> str:
    """What a reading is called where all its values are meant; no rule can spell it."""
    return f"{name}[]"


def as_lists(rule: Rule) -> Rule:
    """The same rule, the names under any, all, min, max, mean and quantile replaced by those of their lists."""
    if isinstance(rule, Not):
        return Not(as_lists(rule.operand))
    if isinstance(rule, And | Or):
        return type(rule)(tuple(as_lists(operand) for operand in rule.operands))
    if isinstance(rule, Compare):
        return Compare(_sum(rule.left), rule.op, _sum(rule.right))
    return Quantified(rule.quantifier, list_name(rule.name), rule.op, _sum(rule.right))


def _sum(linear: Linear) -> Linear:
    return Linear(
        tuple(
            replace(term, atom=replace(term.atom, name=list_name(term.atom.name)))
            if isinstance(term.atom, Aggregate)
            else term
            for term in linear.terms
        )
    )


def bare_names(rule: Rule) -> dict[str, None]:
    """The names that stand for one value, in order of first mention."""
    return {
        term.atom.name: None
        for atom in atoms(rule)
        for side in ([atom.right] if isinstance(atom, Quantified) else [atom.left, atom.right])
        for term in side.terms
        if isinstance(term.atom, Name)
    }


def listed_names(rule: Rule) -> dict[str, None]:
    """The names that stand for all values of a reading."""
    found: dict[str, None] = {}
    for atom in atoms(rule):
        if isinstance(atom, Quantified):
            found[atom.name] = None
        for side in [atom.right] if isinstance(atom, Quantified) else [atom.left, atom.right]:
            found |= {term.atom.name: None for term in side.terms if isinstance(term.atom, Aggregate)}
    return found
