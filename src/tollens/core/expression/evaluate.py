"""A rule over readings some of which are undefined: SURVIVED, KILLED or UNDETERMINED, with the witness.

An undefined entry ranges over its support. A single atom (any, all, or one of min, max, mean, quantile or a
reading against what is certain) is decided exactly: it is unknown if and only if two fillings disagree. Sums
of several open terms are decided by intervals and connectives by Kleene's tables; both may answer unknown
where an undefined value occurs twice, and what they do decide is right. Negation is moved to the atoms first,
which changes no truth value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from tollens.core.expression.answer import Answer, Witness, missing_sentence, sentence
from tollens.core.expression.check import Declarations, Declared, Sort, check, names, sum_unit
from tollens.core.expression.decide import Outcome, decide
from tollens.core.expression.linear import Column
from tollens.core.expression.patience import averages, least_more
from tollens.core.expression.ranges import Entry, range_of
from tollens.core.expression.syntax import (
    And,
    Compare,
    Not,
    Or,
    Quantified,
    Quantifier,
    Rule,
    show,
)
from tollens.core.reading import Undefined
from tollens.core.units import ONE, Unit
from tollens.core.verdict import Verdict

Readings: TypeAlias = Mapping[str, Entry | Sequence[Entry]]


def evaluate(rule: Rule, readings: Readings, declared: Declarations | None = None) -> Answer:
    """The verdict on `rule`: SURVIVED if true, KILLED if false, UNDETERMINED if an undefined value decides.

    `readings` maps a name to one entry (a reading) or to a sequence of entries (a list). Without `declared`
    the sorts are those of the values and every unit is 1. A rule that names an empty list is UNDETERMINED,
    reason `claim_no_layers`: of nothing, everything is true.

    Raises TollensError `claim_constant`, `claim_unknown_name`, `claim_type`, `claim_unit_mismatch`; `claim_value`
    for a value that is not finite or lies outside its support.
    """
    declared = declarations(readings) if declared is None else declared
    check(rule, declared)
    named = {name: _entries(readings[name]) for name in names(rule) if name in readings}
    empty = [name for name, entries in named.items() if not entries]
    if empty:
        found = f"no layer has a value of {empty[0]}"
        return Answer(Verdict.UNDETERMINED, None, show(rule), found, reason="claim_no_layers")
    columns = _columns(named, declared)
    outcome = _outcome(pushed(rule), columns)
    if outcome.truth is None:
        missing = tuple(dict.fromkeys(outcome.missing))
        return Answer(Verdict.UNDETERMINED, None, show(rule), missing_sentence(missing), missing)
    verdict = Verdict.SURVIVED if outcome.truth else Verdict.KILLED
    if outcome.witness is None:
        return Answer(verdict, None, show(outcome.rule), "no value within its support says otherwise")
    witness = replace(outcome.witness, unit=_unit(outcome.witness, outcome.rule, declared))
    return Answer(verdict, witness, show(outcome.rule), sentence(witness))


def patience(rule: Rule, readings: Readings, declared: Declarations) -> int | None:
    """As `least_more`, of the readings that `evaluate` takes; no list is empty."""
    if not averages(rule):
        return 1
    named = {name: _entries(readings[name]) for name in names(rule) if name in readings}
    return least_more(rule, _columns(named, declared))


def declarations(
    readings: Readings,
    units: Mapping[str, Unit] | None = None,
    words: Mapping[str, frozenset[str]] | None = None,
) -> dict[str, Declared]:
    """What the values themselves say: a reading is INTEGER if all its defined values are, REAL otherwise.

    `words` are the names, besides those that occur, that a WORD reading may be compared with; a reading
    without them may be compared with any name.
    """
    declared = {}
    for name, found in readings.items():
        values = [e.value for e in _entries(found) if not isinstance(e.value, Undefined)]
        seen = frozenset(value for value in values if isinstance(value, str))
        if seen:
            sort = Sort.WORD
        elif not values:
            sort = Sort.OPEN
        else:
            sort = Sort.INTEGER if all(isinstance(value, int) for value in values) else Sort.REAL
        known = (words or {}).get(name, frozenset())
        unit = (units or {}).get(name, ONE)
        listed = not isinstance(found, Entry)
        declared[name] = Declared(listed, sort, unit, seen | known if known else known)
    return declared


def _columns(named: Mapping[str, tuple[Entry, ...]], declared: Declarations) -> dict[str, Column]:
    return {
        name: Column(entries, () if declared[name].sort is Sort.WORD else tuple(range_of(entry) for entry in entries))
        for name, entries in named.items()
    }


def _entries(found: Entry | Sequence[Entry]) -> tuple[Entry, ...]:
    return (found,) if isinstance(found, Entry) else tuple(found)


def _unit(witness: Witness, rule: Rule, declared: Declarations) -> Unit:
    if witness.name:
        return declared[witness.name].unit
    assert isinstance(rule, Compare)
    return sum_unit(rule.left, declared) or sum_unit(rule.right, declared) or ONE


def pushed(rule: Rule, negate: bool = False) -> Rule:
    """The same rule without `not`, or its negation."""
    if isinstance(rule, Not):
        return pushed(rule.operand, not negate)
    if isinstance(rule, And | Or):
        operands = tuple(pushed(operand, negate) for operand in rule.operands)
        return And(operands) if isinstance(rule, And) != negate else Or(operands)
    if not negate:
        return rule
    if isinstance(rule, Compare):
        return Compare(rule.left, rule.op.negated, rule.right)
    other = Quantifier.ALL if rule.quantifier is Quantifier.ANY else Quantifier.ANY
    return Quantified(other, rule.name, rule.op.negated, rule.right)


def truth(rule: Rule, columns: Mapping[str, Column]) -> bool | None:
    """The truth of a checked rule over non-empty lists given by their ranges; None if it is not known."""
    return _outcome(pushed(rule), columns).truth


def _outcome(rule: Rule, columns: Mapping[str, Column]) -> Outcome:
    if isinstance(rule, Compare | Quantified):
        return decide(rule, columns)
    if isinstance(rule, Not):
        raise TypeError(f"negation is moved to the atoms before evaluation; found {show(rule)}")
    parts = [_outcome(operand, columns) for operand in rule.operands]
    decisive = isinstance(rule, Or)
    decided = [part for part in parts if part.truth is decisive]
    if decided:
        return decided[0]
    undecided = [part for part in parts if part.truth is None]
    if undecided:
        return Outcome(None, rule, missing=tuple(m for part in undecided for m in part.missing))
    return min(parts, key=_closeness)


def _closeness(part: Outcome) -> float:
    """Relative distance to the threshold: the smallest is the part that came nearest to the other answer."""
    witness = part.witness
    if witness is None or witness.margin is None:
        return float("inf")
    assert not isinstance(witness.value, str)
    assert not isinstance(witness.threshold, str)
    size = max(abs(witness.value), abs(witness.threshold))
    return float(abs(witness.margin) / size) if size else 0.0
