"""Whether a rule makes sense for the readings it names: names, lists, sorts, units. No value is looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum
from typing import TypeAlias

from tollens.core.errors import TollensError
from tollens.core.expression.fault import fault, quoted
from tollens.core.expression.syntax import (
    Aggregate,
    Compare,
    Fold,
    Linear,
    Name,
    Not,
    Op,
    Quantified,
    Rule,
    Term,
    show,
    show_linear,
)
from tollens.core.units import COUNT, ONE, Unit


class Sort(Enum):
    """What the values of a reading are; OPEN where no value is known yet."""

    REAL = "real"
    INTEGER = "integer"
    WORD = "word"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Declared:
    """What is known of a reading beforehand. `words` are the names a WORD reading may be compared with."""

    listed: bool
    sort: Sort = Sort.REAL
    unit: Unit = ONE
    words: frozenset[str] = frozenset()


Declarations: TypeAlias = Mapping[str, Declared]
Fail: TypeAlias = Callable[[str, str, str, str, str], TollensError]


def check(rule: Rule, declared: Declarations) -> None:
    """Return if every part of `rule` is defined for the declared readings and it names at least one.

    Raises TollensError `claim_constant`, `claim_unknown_name`, `claim_type` or `claim_unit_mismatch`, with the place
    marked in the canonical text of the rule.
    """
    text = show(rule)

    def fail(code: str, part: str, expected: str, found: str, fix: str) -> TollensError:
        return fault(code, text, max(text.find(part), 0), expected=expected, found=found, fix=fix)

    if not names(rule):
        raise fail(
            "claim_constant",
            text,
            "the name of a reading",
            "numbers only",
            "Name what is measured, such as `all(stable_rank >= 8)`.",
        )
    for atom in atoms(rule):
        _Check(declared, fail).atom(atom)


def atoms(rule: Rule) -> Iterator[Compare | Quantified]:
    """The atoms of a rule from left to right."""
    if isinstance(rule, Compare | Quantified):
        yield rule
    elif isinstance(rule, Not):
        yield from atoms(rule.operand)
    else:
        for operand in rule.operands:
            yield from atoms(operand)


def names(rule: Rule) -> dict[str, None]:
    """Every name in a rule, in the order of first mention; names of values are among them."""
    found: dict[str, None] = {}
    for atom in atoms(rule):
        if isinstance(atom, Quantified):
            found[atom.name] = None
        for side in [atom.right] if isinstance(atom, Quantified) else [atom.left, atom.right]:
            found |= dict.fromkeys(term.atom.name for term in side.terms if term.atom is not None)
    return found


def folded(word: str) -> str:
    """Names of values are compared with - read as _, because a claim has no quotation marks."""
    return word.replace("-", "_")


def lone_name(linear: Linear) -> str | None:
    """The name that the sum consists of, if it is nothing but one name."""
    if len(linear.terms) == 1:
        term = linear.terms[0]
        if term.factor is None and not term.negative and isinstance(term.atom, Name):
            return term.atom.name
    return None


def sum_unit(linear: Linear, declared: Declarations) -> Unit | None:
    """The unit of a checked sum; None if it is all bare numbers."""
    for term in linear.terms:
        factor = term.factor.unit if term.factor is not None else None
        if term.atom is not None:
            return (factor or ONE) * declared[term.atom.name].unit
        if factor is not None:
            return factor
    return None


def word_sides(atom: Compare | Quantified, declared: Declarations) -> tuple[str, str] | None:
    """(reading, other) if the atom compares a reading of words, or an open one with an undeclared word."""
    left = atom.name if isinstance(atom, Quantified) else lone_name(atom.left)
    right = lone_name(atom.right)
    for one, other in ((left, right), (right, left)):
        if one is None or one not in declared:
            continue
        if isinstance(atom, Quantified) and one != atom.name:
            continue
        sort = declared[one].sort
        if sort is Sort.WORD or (sort is Sort.OPEN and other is not None and other not in declared):
            return one, other or ""
    return None


@dataclass(frozen=True, slots=True)
class _Check:
    declared: Declarations
    fail: Fail

    def atom(self, atom: Compare | Quantified) -> None:
        if isinstance(atom, Quantified):
            self._known(atom.name, listed=True)
        sides = word_sides(atom, self.declared)
        if sides is not None and (atom.op in (Op.EQ, Op.NE) or self.declared[sides[0]].sort is Sort.WORD):
            self._words(atom, *sides)
            return
        left = self._list_unit(atom.name) if isinstance(atom, Quantified) else self._unit(atom.left)
        right = self._unit(atom.right)
        if left is not None and right is not None and left != right:
            raise self._mismatch(show_linear(atom.right), left, right)
        for one, other in ((left, right), (right, left)):
            if one is None and other is not None and other not in (ONE, COUNT):
                raise self._mismatch(show_linear(atom.right), other, None)
        if atom.op in (Op.EQ, Op.NE):
            if isinstance(atom, Quantified):
                self._integer(atom.name, atom.name, atom.op)
            else:
                self._integers(atom.left, atom.op)
            self._integers(atom.right, atom.op)

    def _known(self, name: str, *, listed: bool) -> Declared:
        found = self.declared.get(name)
        if found is None:
            near = get_close_matches(name, self.declared, n=3, cutoff=0.5)
            known = ", ".join(sorted(self.declared)[:12]) or "none"
            raise self.fail(
                "claim_unknown_name",
                name,
                "the name of a reading",
                f"{quoted(name)}, which is not one",
                f"Did you mean {' or '.join(near)}?" if near else f"Known: {known}.",
            )
        if listed and not found.listed:
            raise self.fail(
                "claim_type",
                name,
                "a list",
                f"the single reading {quoted(name)}",
                f"Compare `{name}` itself.",
            )
        if found.listed and not listed:
            raise self.fail(
                "claim_type",
                name,
                "one value",
                f"the list {quoted(name)}, one value for each layer",
                f"Say which: `all({name} >= 8)`, `any({name} >= 8)`, `min({name}) >= 8`.",
            )
        return found

    def _words(self, atom: Compare | Quantified, name: str, other: str) -> None:
        reading = self._known(name, listed=isinstance(atom, Quantified))
        if atom.op not in (Op.EQ, Op.NE):
            raise self.fail(
                "claim_type",
                name,
                "== or !=",
                f"{atom.op} between names",
                f"{quoted(name)} holds names, which have no order.",
            )
        if not other or other in self.declared:
            example = folded(min(reading.words, default="head"))
            raise self.fail(
                "claim_type",
                other or name,
                f"a value of {quoted(name)}",
                "something else",
                f"Compare with a name such as `{name} {atom.op} {example}`.",
            )
        words = {folded(word) for word in reading.words}
        if words and other not in words:
            near = get_close_matches(other, words, n=3, cutoff=0.5)
            raise self.fail(
                "claim_unknown_name",
                other,
                f"a value of {quoted(name)}",
                f"{quoted(other)}, which is none",
                f"Did you mean {' or '.join(near)}?" if near else f"Known: {', '.join(sorted(words)[:12])}.",
            )

    def _list_unit(self, name: str) -> Unit:
        return self._number(name, listed=True).unit

    def _number(self, name: str, *, listed: bool) -> Declared:
        reading = self._known(name, listed=listed)
        if reading.sort is Sort.WORD:
            raise self.fail(
                "claim_type",
                name,
                "a number",
                f"{quoted(name)}, which holds names",
                "Compare names by == or !=.",
            )
        return reading

    def _unit(self, linear: Linear) -> Unit | None:
        """The common unit of the terms; None if all are bare numbers."""
        units = [(term, self._term_unit(term)) for term in linear.terms]
        carried = [(term, unit) for term, unit in units if unit is not None]
        if not carried:
            return None
        common = carried[0][1]
        for term, unit in units:
            if unit is None:
                if common not in (ONE, COUNT):
                    raise self._mismatch(show_linear(Linear((term,))), common, None)
            elif unit != common:
                raise self._mismatch(show_linear(Linear((term,))).lstrip("-"), common, unit)
        return common

    def _term_unit(self, term: Term) -> Unit | None:
        factor = term.factor.unit if term.factor is not None else None
        if term.atom is None:
            return factor
        unit = self._number(term.atom.name, listed=isinstance(term.atom, Aggregate)).unit
        return unit if factor is None else factor * unit

    def _mismatch(self, part: str, expected: Unit, found: Unit | None) -> TollensError:
        if found is None:
            fix = f"Write the unit: `{part} {expected}`."
            return self.fail("claim_unit_mismatch", part, f"the unit {expected}", "a bare number", fix)
        return self.fail(
            "claim_unit_mismatch",
            part,
            f"the unit {expected}",
            f"the unit {found}",
            "Nothing is converted silently; write both sides in one unit.",
        )

    def _integers(self, linear: Linear, op: Op) -> None:
        for term in linear.terms:
            part = show_linear(Linear((term,)))
            if term.factor is not None and term.factor.value != term.factor.value.to_integral_value():
                raise self._not_integer(part, op)
            if isinstance(term.atom, Aggregate) and term.atom.fold is Fold.MEAN:
                raise self._not_integer(part, op)
            if term.atom is not None:
                self._integer(term.atom.name, part, op)

    def _integer(self, name: str, part: str, op: Op) -> None:
        if self.declared[name].sort is Sort.REAL:
            raise self._not_integer(part, op)

    def _not_integer(self, part: str, op: Op) -> TollensError:
        return self.fail(
            "claim_type",
            part,
            f"integers or names on both sides of {op}",
            f"the real number {quoted(part)}",
            "Compare reals with < <= > >=; equality of measured reals is an accident of rounding.",
        )
