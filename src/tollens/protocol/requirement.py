"""What lifts a constraint: one entry of its `require`, and whether the evidence satisfies it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

from tollens.core.errors import TollensError
from tollens.core.expression.check import names
from tollens.core.expression.evaluate import declarations, evaluate
from tollens.core.expression.listed import as_lists, bare_names, list_name, listed_names
from tollens.core.expression.parser import Profile, parse
from tollens.core.expression.predicate import Attributes, attributes_of, holds
from tollens.core.expression.ranges import Entry
from tollens.core.expression.syntax import Predicate, Rule
from tollens.core.units import Unit
from tollens.core.verdict import Verdict
from tollens.protocol.attributes import unaskable

Form: TypeAlias = Literal["reading", "survived", "numbers", "declared"]


@dataclass(frozen=True, slots=True)
class Requirement:
    """`text` as it is written; `rule` of a reading, `predicate` of a declaration, `name` of a claim or a kind."""

    form: Form
    text: str
    rule: Rule | None = None
    predicate: Predicate | None = None
    name: str = ""


@dataclass(frozen=True, slots=True)
class Exhibit:
    """One piece of evidence, as it was read.

    name      "study PATH" or "imported SHA256"
    pin       hash of the record that says it; "" where it counts for nothing, and `unusable` says why
    rows      the readings by cell; a row of an import is one reading
    units     of readings; of those that are not in it, 1
    survived  the claim that survived there, where one did
    says      what it is of, for people
    """

    constraint: str
    name: str
    pin: str = ""
    rows: Mapping[str, Mapping[str, int | float]] = field(default_factory=dict)
    units: Mapping[str, Unit] = field(default_factory=dict)
    survived: str = ""
    unusable: str = ""
    says: str = ""


def requirement(text: str) -> Requirement:
    """One entry of `require`. Raises TollensError `constraint_malformed`, or that of its rule, exit 2."""
    form, colon, rest = text.partition(":")
    rest = rest.strip()
    if not colon or form not in get_args(Form) or not rest:
        raise TollensError(
            "constraint_malformed", "require", expected="reading:RULE, survived:CLAIM-ID, numbers:KIND or "
            "declared:PREDICATE", found=repr(text[:80]), fix='Write for instance "reading:x >= 0.95".',
        )  # fmt: skip
    if form == "reading":
        rule = parse(rest)
        if not names(rule):
            raise _nothing(text, "the name of a reading")
        return Requirement("reading", text, rule=rule)
    if form == "declared":
        predicate = parse(rest, Profile.PREDICATE)
        if not attributes_of(predicate):
            raise _nothing(text, "the name of an attribute")
        why = unaskable(predicate)
        if why is not None:
            raise TollensError(
                "constraint_malformed", "require", expected="a predicate that can be true", found=why, fix="Correct it."
            )
        return Requirement("declared", text, predicate=predicate)
    return Requirement("survived" if form == "survived" else "numbers", text, name=rest)


def _nothing(text: str, expected: str) -> TollensError:
    return TollensError("constraint_malformed", "require", expected=expected, found=text[:80], fix="Name one.")


@dataclass(frozen=True, slots=True)
class Case:
    """What is asked about one constraint: the attributes, its exhibits, and the kinds of the study's own numbers."""

    attributes: Attributes
    exhibits: Sequence[Exhibit]
    numbers: frozenset[str]


def lacking(asked: Requirement, case: Case) -> tuple[str | None, tuple[Exhibit, ...]]:
    """What is missing, in words, or None; and the exhibits that satisfy it."""
    if asked.predicate is not None:
        answer = holds(asked.predicate, case.attributes)
        return (None if answer.truth is True else f"{asked.text}, and {answer.witness}"), ()
    if asked.form == "numbers":
        if asked.name in case.numbers:
            return None, ()
        held = ", ".join(sorted(case.numbers)) or "none"
        return f"{asked.text}: no arithmetic rung has a claim of this kind that can be checked (it has {held})", ()
    usable = [exhibit for exhibit in case.exhibits if not exhibit.unusable]
    said = "; ".join(f"{exhibit.name}: {exhibit.unusable}" for exhibit in case.exhibits if exhibit.unusable)
    if asked.rule is None:
        found = tuple(exhibit for exhibit in usable if exhibit.survived and exhibit.survived == asked.name)
        others = "; ".join(f"{exhibit.name}: no such survival" for exhibit in usable)
        return (None, found) if found else (_because(asked.text, said or others), ())
    return _reading(asked.text, asked.rule, usable, said)


def _because(text: str, said: str) -> str:
    return f"{text} ({said})" if said else f"{text} (no evidence is attached)"


def _reading(text: str, rule: Rule, usable: Sequence[Exhibit], said: str) -> tuple[str | None, tuple[Exhibit, ...]]:
    """Every exhibit that records the reading must satisfy the rule, and one must be there."""
    able = [exhibit for exhibit in usable if names(rule).keys() <= {n for row in exhibit.rows.values() for n in row}]
    if not able:
        absent = "; ".join(f"{exhibit.name}: records no {', '.join(names(rule))}" for exhibit in usable)
        return _because(text, "; ".join(filter(None, (said, absent)))), ()
    for exhibit in able:
        against = contradicted(rule, exhibit)
        if against is not None:
            return f"{text} ({exhibit.name}: {against})", ()
    return None, tuple(able)


def contradicted(rule: Rule, exhibit: Exhibit) -> str | None:
    """Why the rule does not hold of the readings of an exhibit; None where it does.

    A bare name is asked of every cell in turn, an aggregate of all cells that have the reading. The number is what it
    is, whatever became of the claim that it was measured for.
    """
    bare, aggregated = bare_names(rule), listed_names(rule)
    lists: dict[str, list[Entry]] = {
        list_name(name): [Entry(cell, row[name]) for cell, row in exhibit.rows.items() if name in row]
        for name in aggregated
    }
    units = {name: unit for n, unit in exhibit.units.items() for name in (n, list_name(n))}
    cells = [cell for cell, row in exhibit.rows.items() if bare.keys() & row.keys()] if bare else [""]
    asked = as_lists(rule)
    for cell in cells:
        row = exhibit.rows.get(cell, {})
        absent = [name for name in bare if name not in row]
        if absent:
            return f"no {absent[0]} in {cell}"
        readings: dict[str, Entry | Sequence[Entry]] = {**lists}
        readings |= {name: Entry(cell, row[name]) for name in bare}
        try:
            answer = evaluate(asked, readings, declarations(readings, units))
        except TollensError as error:
            return f"cannot be asked: expected {error.expected}"
        if answer.verdict is not Verdict.SURVIVED:
            return answer.found
    return None
