"""Readings of cells, as rules see them: one list a name, with what was not run ranging over its support."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from tollens.core.canonical import SAFE
from tollens.core.errors import Exit, TollensError
from tollens.core.expression.answer import Answer
from tollens.core.expression.check import Sort
from tollens.core.expression.evaluate import evaluate, patience
from tollens.core.expression.ranges import Entry, Support, shown_support
from tollens.core.expression.syntax import Rule
from tollens.core.reading import Undefined
from tollens.core.verdict import Verdict
from tollens.protocol.registration import Cell, Registration
from tollens.protocol.rung import Measured

NOT_RUN = Undefined("not_run")


def scored(measured: Measured, registration: Registration, where: str) -> Measured:
    """The measured values that rules name, each checked.

    Raises TollensError `not_scorable`, exit 22: a name that is missing, a value that is not finite, no number, not
    whole where it counts, or outside its support.
    """
    kept: dict[str, int | float] = {}
    for name, domain in registration.domains.items():
        if name not in measured.readings:
            raise unscorable(
                name, where, "a value", f"missing; there is {', '.join(sorted(measured.readings)) or 'none'}"
            )
        value = measured.readings[name]
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise unscorable(name, where, "a finite number", repr(value))
        if isinstance(value, int) and abs(value) > SAFE:
            raise unscorable(name, where, "an integer of at most 2^53 - 1", f"one of {value.bit_length()} bits")
        if not math.isfinite(value):
            raise unscorable(name, where, "a finite number", repr(value))
        if domain.sort is Sort.INTEGER:
            if not float(value).is_integer():
                raise unscorable(name, where, "a whole number", repr(value))
            value = int(value)
        if not _inside(value, domain.support):
            raise unscorable(name, where, f"a value in {shown_support(domain.support)}", f"{value!r}, outside it")
        kept[name] = value
    return Measured(kept, measured.note)


def _inside(value: int | float, support: Support) -> bool:
    return value in support.values if support.values is not None else support.low <= value <= support.high


def unscorable(name: str, where: str, expected: str, found: str) -> TollensError:
    return TollensError(
        "not_scorable", f"NOT SCORABLE reading {name} at {where}", expected=expected, found=found,
        fix="Mend the metric, or amend its sealed support; no rule is evaluated on it.", exit_code=Exit.NOT_SCORABLE,
    )  # fmt: skip


def judged(rule: Rule, registration: Registration, cells: Sequence[Cell], found: Mapping[str, Measured]) -> Answer:
    """The rule over these cells; a cell that is not among `found` ranges over its support."""
    return evaluate(rule, _lists(registration, cells, found), registration.declared)


def awaited(rule: Rule, registration: Registration, cells: Sequence[Cell], found: Mapping[str, Measured]) -> int | None:
    """How many more cells have to be read before the rule can come out otherwise; None where no cell matters."""
    return patience(rule, _lists(registration, cells, found), registration.declared)


def _lists(registration: Registration, cells: Sequence[Cell], found: Mapping[str, Measured]) -> dict[str, list[Entry]]:
    return {
        name: [
            Entry(cell.label, found[cell.label].readings[name] if cell.label in found else NOT_RUN, domain.support)
            for cell in cells
        ]
        for name, domain in registration.domains.items()
    }


def holds(answer: Answer) -> bool | None:
    """Whether the rule is true, false, or open."""
    return {Verdict.SURVIVED: True, Verdict.KILLED: False}.get(answer.verdict)
