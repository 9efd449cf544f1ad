"""The fields of a claim as a table states them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from tollens.core.errors import TollensError
from tollens.lint.claim import Entry, Place, Quantity
from tollens.lint.number import Number, parse_number, spanning
from tollens.lint.readers.document import Use, syntax
from tollens.lint.readers.pointer import Results
from tollens.lint.registry import INVARIANTS
from tollens.lint.unit import parse_unit

FORMS = ("value", "values", "from", "low", "high")
PARTS = (*FORMS, "unit", "exact", "measured", "estimator")
_DIGITS = re.compile(r"[~≈<>≤≥]?=?\s*[-+−]?(?:\d|\.\d)[\d.,eE+-]*")


@dataclass(frozen=True, slots=True)
class Where:
    """A field of a claim, for the messages."""

    claim: str
    field: str
    place: Place

    def __str__(self) -> str:
        return f"{self.place}: claim {self.claim}: {self.field}"


@dataclass(frozen=True, slots=True)
class _Said:
    """What a field says of its digits."""

    unit: str | None = None
    exact: bool | None = None
    measured: bool | None = None
    estimator: str | None = None


class Entries:
    """Reads the fields of one document, and keeps in `uses` the account of the numbers in it."""

    def __init__(self, results: Results) -> None:
        self.uses: list[Use] = []
        self._results = results
        self._units: set[str] = set()
        kinds: dict[str, set[str]] = {}
        for made in INVARIANTS.values():
            for name, need in made.fields.items():
                kinds.setdefault(name, set()).add(need.kind)
        self._worded = {name for name, found in kinds.items() if not found & {"number", "list"}}

    def entry(self, value: Any, where: Where) -> Entry:
        """The entry that a value of the table stands for.

        Digits without a unit are a number, except in a field that no law takes as one. Raises TollensError
        `lint_syntax`, `lint_float`, `lint_number`, `lint_unknown_field`, `lint_unit`, `lint_pointer`.
        """
        if isinstance(value, dict):
            return self._quantities(value, where)
        if isinstance(value, bool):
            return value
        if isinstance(value, int | float):
            raise _bare(where)
        worded = where.field in self._worded
        if isinstance(value, str):
            return value if worded or not _DIGITS.fullmatch(value) else self._quantity(value, where, _Said())
        if isinstance(value, list) and value:
            if any(isinstance(v, int | float) and not isinstance(v, bool) for v in value):
                raise _bare(where)
            if all(isinstance(v, str) for v in value):
                if worded or not all(_DIGITS.fullmatch(v) for v in value):
                    return tuple(value)
                return tuple(self._quantity(v, where, _Said()) for v in value)
            if all(isinstance(v, dict) and not v.keys() & {"values", "from"} for v in value):
                made = [self._quantities(v, where) for v in value]
                return tuple(q for q in made if isinstance(q, Quantity))
            if all(isinstance(v, list) and len(v) == 2 and all(isinstance(w, str) for w in v) for v in value):
                return tuple((v[0], v[1]) for v in value)
        raise syntax(
            where,
            'digits with a unit, true or false, a word, a list of words, or edges [["a", "b"]]',
            f"{value!r:.40}" if isinstance(value, list) and len(value) < 9 else f"a {type(value).__name__}",
            'Write { value = "0.10", unit = "1" }; lists as { values = ["1", "2"], unit = "1" }.',
        )

    def _quantities(self, value: Mapping[str, Any], where: Where) -> Entry:
        known(value, PARTS, where)
        forms = [form for form in FORMS if form in value]
        if forms != ["low", "high"] and (len(forms) != 1 or forms[0] in ("low", "high")):
            raise syntax(where, "one of value, values, from, or low and high", ", ".join(forms) or "none", "Give one.")
        said = self._said(value, where)
        given: Any = value[forms[0]]
        digest = None
        if forms == ["low", "high"]:
            low, high = _parsed(value["low"], where), _parsed(value["high"], where)
            return self._made(spanning(low, high, str(where)), where, said)
        if forms == ["from"]:
            if not isinstance(given, str):
                raise syntax(where, "from as a string", f"{given!r:.40}", 'Write from = "results.json#/acc".')
            given, digest = self._results.digits(given, str(where))
        if forms == ["values"] and not (isinstance(given, list) and given):
            raise syntax(where, "values as a list of strings", f"{given!r:.40}", "Give at least one.")
        if isinstance(given, list | tuple):
            if forms == ["value"]:
                raise syntax(where, "one value", "a list", "Write values for a list.")
            return tuple(self._quantity(v, where, said, digest) for v in given)
        return self._quantity(given, where, said, digest)

    def _said(self, value: Mapping[str, Any], where: Where) -> _Said:
        unit = word(value.get("unit"), "unit", where)
        if unit is not None and unit not in self._units:
            parse_unit(unit, str(where))
            self._units.add(unit)
        if len(value) < 3:
            return _Said(unit)
        exact, measured = value.get("exact"), value.get("measured")
        if not all(flag is None or isinstance(flag, bool) for flag in (exact, measured)):
            found = f"{exact!r:.20}, {measured!r:.20}"
            raise syntax(where, "exact and measured as true or false", found, "Correct it.")
        return _Said(unit, exact, measured, word(value.get("estimator"), "estimator", where))

    def _quantity(self, digits: Any, where: Where, said: _Said, digest: str | None = None) -> Quantity:
        return self._made(_parsed(digits, where), where, said, digest)

    def _made(self, number: Number, where: Where, said: _Said, digest: str | None = None) -> Quantity:
        self.uses.append(Use(where.claim, where.field, where.place, number.text))
        return Quantity(number, said.unit, where.place, said.exact, said.measured, said.estimator, digest)


def _parsed(digits: Any, where: Where) -> Number:
    if isinstance(digits, str):
        try:
            return parse_number(digits, where.field)
        except TollensError as error:  # the whole place is written out only where it is needed
            error.subject = str(where)
            raise
    if isinstance(digits, int | float) and not isinstance(digits, bool):
        raise _bare(where)
    raise syntax(where, "digits as a string", f"a {type(digits).__name__}", 'Write "0.10".')


def word(value: Any, key: str, where: object) -> str | None:
    """A value that has to be a string, if it is there at all."""
    if value is None or isinstance(value, str):
        return value
    raise syntax(where, f"{key} as a string", f"{value!r:.40}", "Put it in quotes.")


def known(table: Mapping[str, Any], names: tuple[str, ...], where: object) -> None:
    """Refuse a key that is not among `names`, and say which of them is nearest."""
    for key in table:
        if key not in names:
            near = get_close_matches(key[:40], names, n=2, cutoff=0.5)
            raise TollensError(
                "lint_unknown_field",
                str(where),
                expected=f"one of {', '.join(names)}",
                found=repr(key[:60]),
                fix=f"Did you mean {' or '.join(near)}?" if near else "Remove it, or put it in [claim.fields].",
            )


def _bare(where: Where) -> TollensError:
    return TollensError(
        "lint_float",
        str(where),
        expected='digits in quotes, such as "0.10"',
        found="a bare number",
        fix="Write the number as a string.",
    )
