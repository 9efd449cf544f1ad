"""A predicate over attributes some of which are missing: true, false, or unknown, by Kleene's strong tables.

A missing attribute makes its atom unknown, and so does one of the wrong kind: `touches > 3` of a list is neither true
nor false, whichever way it is negated, so that who asks for a certain answer gets none. `has(x)` alone is always known.
What is answered True or False holds whatever the missing attributes are; the converse does not hold, because an
attribute may occur twice (Kleene 1952, section 64).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

from tollens.core.expression.syntax import (
    And,
    Compare,
    Flag,
    Has,
    Linear,
    Member,
    Name,
    Not,
    Op,
    Or,
    Predicate,
    Test,
    show,
)

Attribute: TypeAlias = bool | int | str | Sequence[str]
Attributes: TypeAlias = Mapping[str, Attribute]


@dataclass(frozen=True, slots=True)
class Answer3:
    """`truth` is None where it is unknown.

    `witness` says what the attributes that decide are; `missing` names those without which it is unknown, in order of
    mention, and `wrong` those that are declared and of the wrong kind.
    """

    truth: bool | None
    witness: str
    missing: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()


def holds(predicate: Predicate, attributes: Attributes) -> Answer3:
    """The truth of `predicate` by strong Kleene tables."""
    if isinstance(predicate, Not):
        inner = holds(predicate.operand, attributes)
        return Answer3(None if inner.truth is None else not inner.truth, inner.witness, inner.missing, inner.wrong)
    if isinstance(predicate, And | Or):
        return _joined([holds(operand, attributes) for operand in predicate.operands], isinstance(predicate, Or))
    return _test(predicate, attributes)


def _joined(parts: Sequence[Answer3], decisive: bool) -> Answer3:
    """Of `or` one true part decides, of `and` one false part; else whatever is unknown; else all of them together."""
    told = [part for part in parts if part.truth is decisive][:1]
    told = told or [part for part in parts if part.truth is None] or list(parts)
    return Answer3(
        told[0].truth,
        "; ".join(dict.fromkeys(part.witness for part in told)),
        tuple(dict.fromkeys(name for part in told for name in part.missing)),
        tuple(dict.fromkeys(name for part in told for name in part.wrong)),
    )


def _test(test: Test, attributes: Attributes) -> Answer3:
    if isinstance(test, Has):
        return Answer3(test.name in attributes, f"{test.name} is {_declared(test.name, attributes)}")
    named = [*attributes_of(test)]
    missing = tuple(name for name in named if name not in attributes)
    if missing:
        return Answer3(None, "; ".join(f"{name} is not declared" for name in missing), missing)
    said = "; ".join(f"{name} is {shown(attributes[name])}" for name in named) or show(test)
    truth = _truth(test, attributes)
    if truth is None:
        return Answer3(None, f"{said}, of which {show(test)} cannot be asked", (), tuple(named))
    return Answer3(truth, said)


def _truth(test: Flag | Member | Compare, attributes: Attributes) -> bool | None:
    """None where an attribute is of the wrong kind."""
    if isinstance(test, Flag):
        value = attributes[test.name]
        return value if isinstance(value, bool) else None
    if isinstance(test, Member):
        words = {word_key(word) for word in test.words}
        value = attributes[test.name]
        if isinstance(value, str):
            return word_key(value) in words
        return None if isinstance(value, int) else any(word_key(word) in words for word in value)
    word = compared_word(test)
    if word is not None:
        value = attributes[word[0]]
        return (word_key(value) == word_key(word[1])) is (test.op is Op.EQ) if isinstance(value, str) else None
    left, right = _sum(test.left, attributes), _sum(test.right, attributes)
    return None if left is None or right is None else _related(left, test.op, right)


def _sum(linear: Linear, attributes: Attributes) -> Fraction | None:
    total = Fraction(0)
    for term in linear.terms:
        value = Fraction(1) if term.factor is None else Fraction(term.factor.value)
        if isinstance(term.atom, Name):
            factor = attributes[term.atom.name]
            if isinstance(factor, bool) or not isinstance(factor, int):
                return None
            value *= factor
        total += -value if term.negative else value
    return total


def _related(left: Fraction, op: Op, right: Fraction) -> bool:
    if op in (Op.EQ, Op.NE):
        return (left == right) is (op is Op.EQ)
    if op in (Op.LT, Op.LE):
        return left < right or (op is Op.LE and left == right)
    return left > right or (op is Op.GE and left == right)


def compared_word(test: Compare) -> tuple[str, str] | None:
    """(attribute, word) of a comparison with a word; None of one between numbers."""
    right = test.right.terms[0]
    if test.op not in (Op.EQ, Op.NE) or len(test.right.terms) != 1 or right.negative or right.factor is not None:
        return None
    left = test.left.terms[0].atom
    return (left.name, right.atom.name) if isinstance(right.atom, Name) and isinstance(left, Name) else None


def atoms_in(predicate: Predicate) -> Iterator[Test]:
    """The atoms of a predicate from left to right."""
    if isinstance(predicate, Not):
        yield from atoms_in(predicate.operand)
    elif isinstance(predicate, And | Or):
        for operand in predicate.operands:
            yield from atoms_in(operand)
    else:
        yield predicate


def attributes_of(predicate: Predicate) -> dict[str, None]:
    """Every attribute that a predicate is about, in the order of first mention; words are not among them."""
    found: dict[str, None] = {}
    for test in atoms_in(predicate):
        if not isinstance(test, Compare):
            found[test.name] = None
            continue
        word = compared_word(test)
        sides = (test.left,) if word is not None else (test.left, test.right)
        found |= dict.fromkeys(term.atom.name for side in sides for term in side.terms if term.atom is not None)
    return found


def word_key(word: str) -> str:
    """Words are compared in lower case with every run of other characters read as one `_`: `KV-cache` is kv_cache."""
    return re.sub(r"[^a-z0-9]+", "_", word.lower())


def shown(value: Attribute) -> str:
    """An attribute as a sentence shows it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | str):
        return str(value)
    return f"[{', '.join(value)}]"


def _declared(name: str, attributes: Attributes) -> str:
    return "declared" if name in attributes else "not declared"
