"""A draft reading: claims guessed from a Markdown or LaTeX text that carries no tags, and the table they make."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import TypeAlias, TypeVar

from tollens.core.errors import TollensError
from tollens.lint.claim import Claim, Entry, Place, Quantity
from tollens.lint.number import parse_number
from tollens.lint.readers import draft_prose, draft_tables
from tollens.lint.readers.document import Document, Use
from tollens.lint.readers.figures import count_numbers
from tollens.lint.readers.latex import latex_plain, read_source, tables_in
from tollens.lint.readers.markdown import Page, plain, read_page, table_at
from tollens.lint.readers.table import Table

MAX_PARAGRAPH = 20_000
_SPACES = re.compile(r"[ \t]+")
Line: TypeAlias = tuple[int, str]
_T = TypeVar("_T")
_ITEM = re.compile(
    r"\s{0,12}(?:[-*+•]|\d{1,3}[.)])\s|\s{0,3}#{1,6}\s|\s*\\(?:item|section|subsection|paragraph|caption)\b"
)
_MATH = re.compile(r"\\(?:begin|end)\{(?:equation|align|gather|multline|eqnarray)\*?\}")


def draft_markdown(path: str, text: str) -> Document:
    """What is recognised in a Markdown text. Raises TollensError `lint_syntax` only for a text that cannot be read."""
    page = read_page(path, text)
    tables: list[Table] = []
    used: set[int] = set()
    at = 0
    while at < len(page.lines):
        table = table_at(page, at) if "|" in page.lines[at] else None
        if table is not None:
            tables.append(table)
            used.update(range(at, at + len(table.rows) + 1))
            at += len(table.rows)
        at += 1
    lines = ((i + 1, line) for i, line in enumerate(page.lines))
    kept = ((n, "" if n - 1 in used or _indented(page, n - 1) else plain(line.lstrip("> "))) for n, line in lines)
    return _document(path, tables, _paragraphs(kept, page.lines), sum(map(count_numbers, page.lines)))


def _indented(page: Page, at: int) -> bool:
    """Whether a line is code by its indentation: four spaces below an empty line or another such line."""
    return page.lines[at].startswith(("    ", "\t")) and (
        at == 0 or not page.lines[at - 1].strip() or page.lines[at - 1].startswith(("    ", "\t"))
    )


def draft_latex(path: str, text: str) -> Document:
    """What is recognised in a LaTeX text. Raises TollensError `lint_syntax` only for a text that cannot be read."""
    source = read_source(path, text)
    found = tables_in(source)
    prose = source.text
    for start, end, _ in found:
        hidden = re.sub(r"[^\n]", " ", prose[start:end])
        prose = prose[:start] + hidden + prose[end:]
    raw = prose.split("\n")
    lines = ((i + 1, latex_plain(line)) for i, line in enumerate(raw))
    return _document(path, [table for *_, table in found], _paragraphs(lines, raw), count_numbers(source.text))


def _paragraphs(lines: Iterable[Line], raw: list[str]) -> Iterator[list[Line]]:
    """Runs of lines that are not empty; an item or a heading begins one."""
    found: list[Line] = []
    size = 0
    for number, line in lines:
        starts = _ITEM.match(raw[number - 1]) is not None
        if found and (not line.strip() or starts or size > MAX_PARAGRAPH):
            yield found
            found, size = [], 0
        if line.strip() and not _MATH.search(raw[number - 1]):
            for piece in range(0, len(line), MAX_PARAGRAPH):
                found.append((number, _SPACES.sub(" ", line[piece : piece + MAX_PARAGRAPH]).strip()))
            size += len(line)
    if found:
        yield found


def _document(path: str, tables: list[Table], paragraphs: Iterable[list[Line]], seen: int) -> Document:
    claims: list[Claim] = []
    for table in tables:
        for found in draft_tables.readings(table):
            fields = _fields(found.fields, lambda cell: Quantity(cell[0].number, cell[1], cell[2]))
            claims.append(_claim(found.kind, found.text, found.place, fields))
    for paragraph in paragraphs:
        claims += _prose(path, paragraph)
    claims = _named(sorted(claims, key=lambda claim: claim.place.line))
    uses = tuple(Use(claim.id, name, q.place, q.number.text) for claim in claims for name, q in _quantities(claim))
    return Document(path, tuple(claims), max(seen, len(uses)), len(uses), uses=uses)


def _prose(path: str, paragraph: list[Line]) -> Iterator[Claim]:
    starts, at = [], 0
    for _, line in paragraph:
        starts.append(at)
        at += len(line) + 1
    for found in draft_prose.readings(" ".join(line for _, line in paragraph)):
        place = Place(path, paragraph[bisect_right(starts, found.at) - 1][0])
        fields = _fields(found.fields, partial(_quantity, place))
        yield _claim(found.kind, found.text, place, fields)


def _quantity(place: Place, given: tuple[str, str | None]) -> Quantity:
    return Quantity(parse_number(given[0], str(place)), given[1], place)


def _fields(given: Mapping[str, _T | list[_T]], make: Callable[[_T], Quantity]) -> dict[str, Entry]:
    return {name: tuple(map(make, value)) if isinstance(value, list) else make(value) for name, value in given.items()}


def _claim(kind: str, text: str, place: Place, fields: dict[str, Entry]) -> Claim:
    return Claim("", " ".join(text.split()), (kind,), place, fields, draft=True, source=str(place))


def _named(claims: list[Claim]) -> list[Claim]:
    """Each claim with an id made of its line and its kind."""
    counts: dict[str, int] = {}
    named = []
    for claim in claims:
        stem = f"line{claim.place.line}-{claim.kinds[0].partition('.')[2]}"
        counts[stem] = counts.get(stem, 0) + 1
        name = stem if counts[stem] == 1 else f"{stem}-{counts[stem]}"
        named.append(Claim(name, claim.text, claim.kinds, claim.place, claim.fields, None, True, claim.source))
    return named


def _quantities(claim: Claim) -> Iterator[tuple[str, Quantity]]:
    for name, entry in claim.fields.items():
        for q in entry if isinstance(entry, tuple) else (entry,):
            if isinstance(q, Quantity):
                yield name, q


def draft_table(document: Document) -> str:
    """The claims as the text of a TOML table, for a person to correct; `toml_claims` reads it back.

    Raises TollensError `lint_syntax` if a field has no form in the table that a draft reading can have.
    """
    parts = [
        f"# Draft reading of {_comment(document.path)}: check every line before you rely on it, and set\n"
        "# draft = false where you did.\n"
    ]
    for claim in document.claims:
        kinds = ", ".join(map(_string, claim.kinds))
        lines = [
            "[[claim]]", f"id = {_string(claim.id)}", f"text = {_string(claim.text)}",
            f"kind = {kinds if len(claim.kinds) == 1 else f'[{kinds}]'}",
            f"source = {_string(claim.source or str(claim.place))}", f"draft = {'true' if claim.draft else 'false'}",
            "[claim.fields]", *(f"{name} = {_entry(entry, claim)}" for name, entry in claim.fields.items()),
        ]  # fmt: skip
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _entry(entry: Entry, claim: Claim) -> str:
    if isinstance(entry, Quantity):
        unit = f", unit = {_string(entry.unit)}" if entry.unit is not None else ""
        return f"{{ value = {_string(entry.number.text)}{unit} }}"
    if isinstance(entry, tuple) and entry:
        found = [q for q in entry if isinstance(q, Quantity)]
        units = {q.unit for q in found}
        if len(found) == len(entry) and len(units) == 1:
            unit = f", unit = {_string(found[0].unit)}" if found[0].unit is not None else ""
            return f"{{ values = [{', '.join(_string(q.number.text) for q in found)}]{unit} }}"
        if len(found) == len(entry):
            return f"[{', '.join(_entry(q, claim) for q in found)}]"
    raise TollensError(
        "lint_syntax", str(claim.place), expected="numbers", found="another field", fix="Write this claim by hand."
    )


def _comment(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)


def _string(text: str) -> str:
    """A basic string of TOML."""
    out = []
    for char in text:
        if char in '"\\':
            out.append("\\" + char)
        elif char.isprintable() and not 0xD800 <= ord(char) <= 0xDFFF:
            out.append(char)
        else:
            out.append("?" if 0xD800 <= ord(char) <= 0xDFFF else f"\\U{ord(char):08x}")
    return f'"{"".join(out)}"'
