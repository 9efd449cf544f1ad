"""A table of claims in TOML or JSON.

    [[claim]]
    id = "latency-sum"
    kind = ["acct.sum", "acct.stage_floor"]     # one id, a list of ids, or "auto", which is the default
    text = "all four stages take 380 ms"
    source = "blog.md:40"                       # optional; so are expect and draft
    [claim.fields]
    parts = { values = ["85", "620", "680", "45"], unit = "ms" }       # or [{ value = "85", unit = "ms" }, ...]
    total = { value = "380", unit = "ms", exact = true }
    rate = { low = "30", high = "80", unit = "1/s" }
    acc = { from = "results.json#/acc", unit = "1" }
    sequential = true
    percentile = "mean"
    seeds = ["paper"]
    edges = [["paper", "mechanism"], ["trial", "paper"]]

A field with digits may also hold `exact`, `measured` (true or false) and `estimator`. `from` may name a list of
numbers. The common keys (n, percentile, estimator, reference, held_fixed) may stand in the claim itself. Bare
digits such as `n = "40"` are a number without a unit. JSON has the same shape: `{"claim": [{"id": ...}]}`.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from tollens.core.errors import TollensError
from tollens.lint.claim import AUTO, COMMON, Claim, Entry, Place, Quantity
from tollens.lint.document import Document, Read, Use, clean, syntax
from tollens.lint.number import Number, parse_number, spanning
from tollens.lint.pointer import Results
from tollens.lint.registry import INVARIANTS
from tollens.lint.unit import parse_unit

KEYS = ("id", "text", "kind", "source", "expect", "draft", "fields", *COMMON)
FORMS = ("value", "values", "from", "low", "high")
PARTS = (*FORMS, "unit", "exact", "measured", "estimator")
_DIGITS = re.compile(r"[~≈<>≤≥]?=?\s*[-+−]?(?:\d|\.\d)[\d.,eE+-]*")
# Strings and comments first, so that a header inside of one is none.
_HEADERS = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*+"{3,5}|' + r"'''(?:[^']|'(?!''))*+'{3,5}|"
    r'"(?:[^"\\\n]|\\.)*+"|' + r"'[^'\n]*+'|#[^\n]*+|"
    r"""(?P<claim>^[ \t]*\[\[[ \t]*(?:claim|"claim"|'claim')[ \t]*\]\])""",
    re.M | re.S,
)
_SIMPLE = re.compile(r"^[ \t]*\[\[[ \t]*claim[ \t]*\]\]", re.M)
_DOTTED = re.compile(r"""(?<![\w"'-])(?:[\w"'-]++[ \t]*+\.[ \t]*+){100}""")
_IDS = re.compile(r'"id"\s{0,20}:\s{0,20}"')


def toml_claims(path: str, text: str, read: Read) -> Document:
    """The claims of a TOML table, each at the line of its `[[claim]]`.

    Raises TollensError: `lint_syntax`, `lint_float`, `lint_number`, `lint_unknown_field`, `lint_unit`,
    `lint_pointer`, `lint_duplicate`.
    """
    text = clean(path, text)
    if _DOTTED.search(text):  # tomllib takes time that grows with the square of their number
        raise syntax(path, "keys of fewer than 100 parts", "a name with 100 dots", "Shorten it.")
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        found = "nesting too deep" if isinstance(error, RecursionError) else str(error)
        raise syntax(path, "a TOML table of claims", found, "Correct the file.") from None
    pattern = _HEADERS if '"""' in text or "'''" in text else _SIMPLE
    named = pattern is _HEADERS
    starts = [m.start() for m in pattern.finditer(text) if not named or m["claim"]]
    return _claims(path, table, _lines(text, starts), read)


def json_claims(path: str, text: str, read: Read) -> Document:
    """The claims of a JSON table of the same shape, each at the line of its id. Raises as `toml_claims` does."""
    text = clean(path, text)
    try:
        table = json.loads(text, object_pairs_hook=_unique, parse_int=_Bare, parse_constant=_Bare)
    except (ValueError, RecursionError) as error:
        found = "nesting too deep" if isinstance(error, RecursionError) else str(error)
        raise syntax(path, "a JSON table of claims", found, "Correct the file.") from None
    if not isinstance(table, dict):
        raise syntax(path, 'a table {"claim": [...]}', f"a {type(table).__name__}", "Correct the file.")
    return _claims(path, table, _lines(text, [m.start() for m in _IDS.finditer(text)]), read)


class _Bare(float):
    """An integer or a constant of a JSON text; refused wherever it stands."""

    def __new__(cls, text: str) -> _Bare:
        return super().__new__(cls, 0.0)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands twice in one table")
    return found


def _lines(text: str, starts: list[int]) -> list[int]:
    lines, line, last = [], 1, 0
    for start in starts:
        line += text.count("\n", last, start)
        lines.append(line + (text[start] == "\n"))
        last = start
    return lines


def _claims(path: str, table: Mapping[str, Any], lines: list[int], read: Read) -> Document:
    rows = table.get("claim", [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise syntax(path, "an array of tables [[claim]]", "something else named claim", "Write [[claim]].")
    _known(table, ("claim",), path)
    if len(lines) != len(rows):  # written inline, where no line begins with a header
        lines = [1] * len(rows)
    reader = _Fields(Results(read))
    claims: dict[str, Claim] = {}
    for row, line in zip(rows, lines, strict=True):
        made = _claim(Place(path, line), row, reader)
        if made.id in claims:
            raise _twice(str(made.place), f"{made.id!r}, which {claims[made.id].place} has")
        claims[made.id] = made
    count = len(reader.uses)
    return Document(path, tuple(claims.values()), count, count, uses=tuple(reader.uses))


def _claim(place: Place, row: Mapping[str, Any], reader: _Fields) -> Claim:
    name = row.get("id")
    if not isinstance(name, str) or not name.strip() or not name.isprintable() or len(name) > 200:
        raise syntax(place, "an id, a line of text", repr(name)[:60] if "id" in row else "none", "Name the claim.")
    where = f"{place}: claim {name}"
    _known(row, KEYS, where)
    fields = row.get("fields", {})
    if not isinstance(fields, dict):
        raise syntax(where, "[claim.fields]", f"fields = {fields!r:.40}", "Write the fields as a table.")
    twice = next((key for key in COMMON if key in row and key in fields), None)
    if twice:
        raise _twice(where, f"{twice} in the claim and in its fields")
    written = {**{key: row[key] for key in COMMON if key in row}, **fields}
    entries = {key: reader.entry(value, key, name, place) for key, value in written.items()}
    draft = row.get("draft", False)
    if not isinstance(draft, bool):
        raise syntax(where, "draft = true or false", repr(draft)[:40], "Correct it.")
    text, source, expect = (_word(row.get(key), key, where) for key in ("text", "source", "expect"))
    return Claim(name, text or "", _kinds(row.get("kind"), where), place, entries, expect, draft, source)


def _word(value: Any, key: str, where: str) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise syntax(where, f"{key} as a string", f"{value!r:.40}", "Put it in quotes.")


def _kinds(value: Any, where: str) -> tuple[str, ...]:
    kinds = [value] if isinstance(value, str) else AUTO if value is None else value
    if not isinstance(kinds, list | tuple) or not kinds or not all(isinstance(kind, str) for kind in kinds):
        raise syntax(where, "kind as the id of an invariant, or a list of ids", f"{value!r:.40}", "Correct it.")
    return tuple(dict.fromkeys(kinds))


class _Fields:
    """Reads the fields of one document, and keeps the account of the numbers in it."""

    def __init__(self, results: Results) -> None:
        self.uses: list[Use] = []
        self._results = results
        self._units: set[str] = set()
        kinds: dict[str, set[str]] = {}
        for made in INVARIANTS.values():
            for name, need in made.fields.items():
                kinds.setdefault(name, set()).add(need.kind)
        self._worded = {name for name, found in kinds.items() if not found & {"number", "list"}}

    def entry(self, value: Any, name: str, claim: str, place: Place) -> Entry:
        if isinstance(value, bool):
            return value
        if isinstance(value, dict):
            return self._quantities(value, name, claim, place)
        where = f"{place}: claim {claim}: {name}"
        if isinstance(value, int | float):
            raise _bare(where)
        worded = name in self._worded
        if isinstance(value, str):
            return value if worded or not _DIGITS.fullmatch(value) else self._number(value, name, claim, place, {})
        if isinstance(value, list) and value:
            if any(isinstance(v, int | float) and not isinstance(v, bool) for v in value):
                raise _bare(where)
            if all(isinstance(v, str) for v in value):
                if worded or not all(_DIGITS.fullmatch(v) for v in value):
                    return tuple(value)
                return tuple(self._number(v, name, claim, place, {}) for v in value)
            if all(isinstance(v, dict) and not v.keys() & {"values", "from"} for v in value):
                made = [self._quantities(v, name, claim, place) for v in value]
                return tuple(q for q in made if isinstance(q, Quantity))
            if all(isinstance(v, list) and len(v) == 2 and all(isinstance(w, str) for w in v) for v in value):
                return tuple((v[0], v[1]) for v in value)
        raise syntax(
            where,
            'digits with a unit, true or false, a word, a list of words, or edges [["a", "b"]]',
            f"{value!r:.40}" if isinstance(value, list) and len(value) < 9 else f"a {type(value).__name__}",
            'Write { value = "0.10", unit = "1" }; lists as { values = ["1", "2"], unit = "1" }.',
        )

    def _quantities(self, value: Mapping[str, Any], name: str, claim: str, place: Place) -> Entry:
        where = f"{place}: claim {claim}: {name}"
        _known(value, PARTS, where)
        forms = [form for form in FORMS if form in value]
        if forms != ["low", "high"] and (len(forms) != 1 or forms[0] in ("low", "high")):
            raise syntax(where, "one of value, values, from, or low and high", ", ".join(forms) or "none", "Give one.")
        digest = None
        given: Any = value[forms[0]]
        if forms == ["low", "high"]:
            low, high = (self._parsed(value[end], f"{where}.{end}") for end in forms)
            return self._quantity(spanning(low, high, where), name, claim, place, value, None)
        if forms == ["from"]:
            if not isinstance(given, str):
                raise syntax(where, "from as a string", f"{given!r:.40}", 'Write from = "results.json#/acc".')
            given, digest = self._results.digits(given, where)
        if forms == ["values"] and not (isinstance(given, list) and given):
            raise syntax(where, "values as a list of strings", f"{given!r:.40}", "Give at least one.")
        if isinstance(given, list | tuple):
            if forms == ["value"]:
                raise syntax(where, "one value", "a list", "Write values for a list.")
            return tuple(self._number(v, name, claim, place, value, digest) for v in given)
        return self._number(given, name, claim, place, value, digest)

    def _number(
        self, digits: Any, name: str, claim: str, place: Place, value: Mapping[str, Any], digest: str | None = None
    ) -> Quantity:
        return self._quantity(
            self._parsed(digits, f"{place}: claim {claim}: {name}"), name, claim, place, value, digest
        )

    def _parsed(self, digits: Any, where: str) -> Number:
        if isinstance(digits, str):
            return parse_number(digits, where)
        if isinstance(digits, int | float) and not isinstance(digits, bool):
            raise _bare(where)
        raise syntax(where, "digits as a string", f"a {type(digits).__name__}", 'Write "0.10".')

    def _quantity(
        self, number: Number, name: str, claim: str, place: Place, value: Mapping[str, Any], digest: str | None
    ) -> Quantity:
        self.uses.append(Use(claim, name, place, number.text))
        if not value:
            return Quantity(number, None, place)
        where = f"{place}: claim {claim}: {name}"
        unit, estimator = (_word(value.get(key), key, where) for key in ("unit", "estimator"))
        if unit is not None and unit not in self._units:
            parse_unit(unit, where)
            self._units.add(unit)
        exact, measured = value.get("exact"), value.get("measured")
        if not (exact is None or isinstance(exact, bool)) or not (measured is None or isinstance(measured, bool)):
            raise syntax(
                where, "exact and measured as true or false", f"{exact!r:.20}, {measured!r:.20}", "Correct it."
            )
        return Quantity(number, unit, place, exact, measured, estimator, digest)


def _known(table: Mapping[str, Any], names: tuple[str, ...], where: str) -> None:
    for key in table:
        if key not in names:
            near = get_close_matches(key[:40], names, n=2, cutoff=0.5)
            raise TollensError(
                "lint_unknown_field",
                where,
                expected=f"one of {', '.join(names)}",
                found=repr(key[:60]),
                fix=f"Did you mean {' or '.join(near)}?" if near else "Remove it, or put it in [claim.fields].",
            )


def _bare(where: str) -> TollensError:
    return TollensError(
        "lint_float",
        where,
        expected='digits in quotes, such as "0.10"',
        found="a bare number",
        fix="Write the number as a string.",
    )


def _twice(where: str, found: str) -> TollensError:
    return TollensError(
        "lint_duplicate", where, expected="each name once", found=found[:200], fix="Rename one of them, or remove it."
    )
