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
from typing import Any

from tollens.core.errors import TollensError
from tollens.lint.claim import AUTO, COMMON, Claim, Place
from tollens.lint.readers.document import Document, Read, clean, syntax
from tollens.lint.readers.entries import Entries, Where, known, word
from tollens.lint.readers.pointer import Results

KEYS = ("id", "text", "kind", "source", "expect", "draft", "fields", *COMMON)
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
    known(table, ("claim",), path)
    if len(lines) != len(rows):  # written inline, where no line begins with a header
        lines = [1] * len(rows)
    reader = Entries(Results(read))
    claims: dict[str, Claim] = {}
    for row, line in zip(rows, lines, strict=True):
        made = _claim(Place(path, line), row, reader)
        if made.id in claims:
            raise _twice(str(made.place), f"{made.id!r}, which {claims[made.id].place} has")
        claims[made.id] = made
    count = len(reader.uses)
    return Document(path, tuple(claims.values()), count, count, uses=tuple(reader.uses))


def _claim(place: Place, row: Mapping[str, Any], reader: Entries) -> Claim:
    name = row.get("id")
    if not isinstance(name, str) or not name.strip() or not name.isprintable() or len(name) > 200:
        raise syntax(place, "an id, a line of text", repr(name)[:60] if "id" in row else "none", "Name the claim.")
    where = f"{place}: claim {name}"
    known(row, KEYS, where)
    fields = row.get("fields", {})
    if not isinstance(fields, dict):
        raise syntax(where, "[claim.fields]", f"fields = {fields!r:.40}", "Write the fields as a table.")
    twice = next((key for key in COMMON if key in row and key in fields), None)
    if twice:
        raise _twice(where, f"{twice} in the claim and in its fields")
    written = {**{key: row[key] for key in COMMON if key in row}, **fields}
    entries = {key: reader.entry(value, Where(name, key, place)) for key, value in written.items()}
    draft = row.get("draft", False)
    if not isinstance(draft, bool):
        raise syntax(where, "draft = true or false", repr(draft)[:40], "Correct it.")
    text, source, expect = (word(row.get(key), key, where) for key in ("text", "source", "expect"))
    return Claim(name, text or "", _kinds(row.get("kind"), where), place, entries, expect, draft, source)


def _kinds(value: Any, where: str) -> tuple[str, ...]:
    kinds = [value] if isinstance(value, str) else AUTO if value is None else value
    if not isinstance(kinds, list | tuple) or not kinds or not all(isinstance(kind, str) for kind in kinds):
        raise syntax(where, "kind as the id of an invariant, or a list of ids", f"{value!r:.40}", "Correct it.")
    return tuple(dict.fromkeys(kinds))


def _twice(where: str, found: str) -> TollensError:
    return TollensError(
        "lint_duplicate", where, expected="each name once", found=found[:200], fix="Rename one of them, or remove it."
    )
