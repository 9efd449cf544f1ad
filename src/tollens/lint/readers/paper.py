r"""A paper as the record sees it: the numbers, citations and figures that its tags bind to a study, and their places.

    -5<!--t:gate.accuracy_diff unit=pp from=3f2a9c01b7de-->     a number of the study `gate`, written by the tool
    <!--t:cite gate as=killed-->                                 the text around it calls the claim killed
    <!--t:figure loss.svg data=gate from=3f2a9c01b7de-->         a figure, and the digest of what it was drawn from

    <!--t:table gate accuracy_diff=2:pp from=3f2a9c01b7de-->     cells of the table below, the second column

LaTeX: `\tnum[from=3f2a9c01b7de]{gate.accuracy_diff}{-5}{pp}`, and comments `% t:cite ...`, `% t:figure ...` and
`% t:table ...`.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from tollens.lint.claim import Place
from tollens.lint.number import Number, parse_number
from tollens.lint.readers.document import clean, syntax
from tollens.lint.readers.figures import number_before, number_span
from tollens.lint.readers.latex import Macro, macros, read_source, table_after, tables_in
from tollens.lint.readers.markdown import read_page, table_below
from tollens.lint.readers.table import UNBOUND, Table, bound_cells, sources
from tollens.lint.readers.tags import BOUND, FROM, Tag, Tagged, option_span, parse_tag, tag_body, tag_number

Span: TypeAlias = tuple[int, int]
_TAGGED = re.compile(rb"<!--\s*t:(?!\s)|\\tnum(?![a-zA-Z])|%\s*t:(?!\s)")
_END = re.compile(r"\r\n|\r|\n")
_PLAIN = re.compile(r"(?<![\w.,}-])[-+−]?(?:\d[\d,]*(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?(?![\w.,{])")
"""A number that LaTeX prints as it is written."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table below a `t:table`: which it is, from 0, of how many, and what `from` says of them all.

    `column` is the option that names the column of the cell, `body` the span of the body of the tag, `each` whether
    every row is of a claim of its own.
    """

    row: int
    rows: int
    said: str
    column: str
    body: tuple[int, int]
    each: bool


@dataclass(frozen=True, slots=True)
class Printed:
    """A tagged number. Offsets are those of the clean text; `digits` None where they cannot be written anew.

    `source` is what `from` says, `unit` the span of the unit that is printed, `tag` that of the whole tag or macro,
    `digits_text` the digits as they are written. `argument` is the span of what stands around the digits of a macro,
    `cell` the row of one that is a cell of a table.
    """

    tagged: Tagged
    options: Mapping[str, str]
    line: int
    tag: tuple[int, int]
    digits: tuple[int, int] | None
    unit: tuple[int, int] | None = None
    digits_text: str = ""
    argument: tuple[int, int] | None = None
    cell: Row | None = None

    @property
    def source(self) -> str | None:
        return self.options.get(FROM)

    @property
    def text(self) -> str:
        return self.tagged.quantity.number.text


@dataclass(frozen=True, slots=True)
class Paper:
    """What one text binds to the record. `cites` and `figures` are their tags, the id or the file under `id`."""

    path: str
    numbers: tuple[Printed, ...] = ()
    cites: tuple[Tag, ...] = ()
    figures: tuple[Tag, ...] = ()


def has_tags(data: bytes) -> bool:
    """Whether a text may hold a tag; one without is never judged."""
    return _TAGGED.search(data) is not None


def read_paper(path: str, text: str) -> Paper:
    """The tags of a Markdown text, or of a LaTeX text where the path ends in .tex.

    Raises TollensError: `lint_syntax`, `lint_number`, `lint_unit`, `lint_duplicate`.
    """
    return _latex(path, text) if path.lower().endswith(".tex") else _markdown(path, text)


def _markdown(path: str, text: str) -> Paper:
    page = read_page(path, text)
    starts = [0]
    for line in clean(path, text).split("\n"):  # those of the page are empty where code was
        starts.append(starts[-1] + len(line) + 1)
    numbers: list[Printed] = []
    others: list[Tag] = []
    tables = []
    for comment in page.comments:
        body = tag_body(comment.body)
        if body is None:
            continue
        tag = parse_tag(body, Place(path, comment.line + 1, comment.column + 1))
        if tag.head in BOUND:
            others.append(tag)
        elif tag.head == "table":
            end = starts[comment.last] + comment.end
            tables.append((tag, (starts[comment.line] + comment.column, end), (end - 3 - len(body), end - 3), comment))
        elif tag.head != "claim":
            before = page.lines[comment.line][: comment.column].rstrip()
            tagged = tag_number(tag, number_before(before, str(tag.place)))
            span, start = number_span(before), starts[comment.line]
            whole = (start + comment.column, starts[comment.last] + comment.end)
            digits = None if span is None else (start + span[0], start + span[1])
            unit = None if span is None or span[2] is None else (start + span[2][0], start + span[2][1])
            written = "" if span is None else before[span[0] : span[1]]
            numbers.append(Printed(tagged, tag.options, comment.line + 1, whole, digits, unit, written))
    taken = sorted(number.tag[0] for number in numbers)
    for tag, whole, inner, comment in tables:
        table = table_below(page, comment.last, tag)
        numbers += _cells(tag, table, (whole, inner), starts, taken)
    return Paper(path, tuple(numbers), *_others(others))


def _cells(
    tag: Tag, table: Table, spans: tuple[Span, Span], lines: Sequence[int], taken: list[int]
) -> Iterator[Printed]:
    """The cells of a table as numbers, but for those that have a tag of their own or that another table tag bound.

    `spans` are those of the tag and of its body, `lines` the offsets of the lines where a cell counts from its line,
    `taken` the sorted offsets of tags and of cells that are bound.
    """
    whole, inner = spans
    rows = len(table.body)
    said = sources(tag, rows)
    bound = []
    for found in bound_cells(tag, table):
        cell, span, written = found.cell, None, ""
        if cell.at >= 0:
            at = cell.at + (lines[cell.place.line - 1] if lines else 0)
            place = bisect.bisect_left(taken, at)
            if place < len(taken) and taken[place] < at + max(1, len(cell.raw)):
                continue
            bound.append(at)
            span = _lone_digits(cell.raw, at, found.tagged.quantity.number, "-−–—+")
            written = "" if span is None else cell.raw[span[0] - at : span[1] - at]
        source = said[found.row]
        row = Row(found.row, rows, tag.options.get(FROM, ""), found.column, inner, "each" in tag.options)
        options = {} if source is None else {FROM: source}
        yield Printed(found.tagged, options, cell.place.line, whole, span, None, written, None, row)
    taken[:] = sorted([*taken, *bound])


def _latex(path: str, text: str) -> Paper:
    source = read_source(path, text)
    others, notes = [], []
    plain = clean(path, text)
    for at, body in source.notes:
        tag = parse_tag(body, source.place(at))
        if tag.head in BOUND:
            others.append(tag)
        elif tag.head == "table":
            begun = plain.index("t:", at) + 2
            notes.append((tag, at, (begun, begun + len(body))))
        elif tag.head != "claim":
            raise syntax(
                tag.place, "% t:claim, % t:table, % t:cite or % t:figure", repr(tag.head)[:60],
                r"Tag a number with \tnum.",
            )  # fmt: skip
    numbers: list[Printed] = []
    for macro in macros(source):
        span = _plain_digits(source.text, macro)
        place = macro.tagged.quantity.place
        written = "" if span is None else source.text[slice(*span)]
        numbers.append(
            Printed(
                macro.tagged, macro.options, place.line, (macro.start, macro.end), span, None, written, macro.digits
            )
        )  # fmt: skip
    taken = sorted(number.tag[0] for number in numbers)
    found = tables_in(source) if notes else []
    for tag, at, inner in notes:
        table = table_after(found, at, tag)
        numbers += _cells(tag, table, ((at, inner[1]), inner), (), taken)
    return Paper(path, tuple(numbers), *_others(others))


def _plain_digits(text: str, macro: Macro) -> tuple[int, int] | None:
    start, end = macro.digits
    return _lone_digits(text[start:end], start, macro.tagged.quantity.number, "%-−–—+")


def _lone_digits(text: str, start: int, number: Number, others: str) -> tuple[int, int] | None:
    """Where the digits of a number stand in what is written at the offset `start`.

    None where it holds other digits too, or one of `others`, such as a sign or a unit of its own.
    """
    found = [*_PLAIN.finditer(text)]
    if len(found) != 1:
        return None
    around = text[: found[0].start()] + text[found[0].end() :]
    if any(char.isdigit() or char in others for char in around):
        return None
    if parse_number(found[0][0], "").value != number.value:
        return None
    return start + found[0].start(), start + found[0].end()


def _others(tags: Sequence[Tag]) -> tuple[tuple[Tag, ...], tuple[Tag, ...]]:
    for tag in tags:
        if not tag.options.get("id"):
            raise syntax(tag.place, f"t:{tag.head} and what it names", "no name", f"Write t:{tag.head} NAME key=value.")
    cites = tuple(tag for tag in tags if tag.head == "cite")
    return cites, tuple(tag for tag in tags if tag.head == "figure")


@dataclass(frozen=True, slots=True)
class Written:
    """What a number must read: its digits with sign and mark, its unit, and which verdict it is from.

    Of a cell the unit is the tag's, which says it of a whole column, and stays.
    """

    printed: Printed
    digits: str
    unit: str
    source: str


def rewritten(path: str, text: str, changes: Sequence[Written]) -> str:
    """The text with these numbers written anew, every other character as it was, line ends and a mark too."""
    plain = clean(path, text)
    edits: list[tuple[int, int, str]] = []
    tagged: dict[tuple[int, int], dict[int, str]] = {}
    rows: dict[tuple[int, int], Row] = {}
    for change in changes:
        printed = change.printed
        if printed.cell is not None:
            if printed.digits is not None:
                edits.append((*printed.digits, change.digits))
            rows[printed.cell.body] = printed.cell
            tagged.setdefault(printed.cell.body, {})[printed.cell.row] = change.source
            continue
        assert printed.digits is not None
        if path.lower().endswith(".tex"):
            edits.append((*printed.tag, _macro(change, plain)))
            continue
        edits.append((*printed.digits, change.digits))
        if printed.unit is not None and printed.tagged.quantity.unit != change.unit:
            edits.append((*printed.unit, change.unit))
        edits.append((*printed.tag, _comment(change)))
    edits += [_from(plain, rows[body], made) for body, made in tagged.items()]
    ends = [match.end() for match in _END.finditer(text.removeprefix("\ufeff"))]
    mark = len(text) - len(text.removeprefix("\ufeff"))
    starts = [0, *(at + 1 for at, char in enumerate(plain) if char == "\n")]
    raw = [mark + at for at in (0, *ends)]
    for start, end, new in sorted(edits, reverse=True):
        text = text[: _raw(start, starts, raw)] + new + text[_raw(end, starts, raw) :]
    return text


def _from(plain: str, row: Row, made: Mapping[int, str]) -> tuple[int, int, str]:
    """The edit that writes `from` of a table tag anew."""
    start, end = row.body
    body = plain[start:end]
    if row.each:
        kept = [*row.said.split(","), *[""] * row.rows][: row.rows]
        said = ",".join(made.get(place) or word.strip() or UNBOUND for place, word in enumerate(kept))
    else:
        said = made[row.row]
    said = f"{FROM}={said}"
    found = option_span(body, FROM)
    if found is None:
        return start + len(body.rstrip()), start + len(body.rstrip()), f" {said}"
    return start + found[0], start + found[1], said


def _raw(at: int, starts: Sequence[int], raw: Sequence[int]) -> int:
    """The offset in the raw text of an offset in the clean one."""
    line = bisect.bisect_right(starts, at) - 1
    return raw[line] + at - starts[line]


def _options(change: Written, keep_unit: bool) -> str:
    options = {k: v for k, v in change.printed.options.items() if k not in ("unit", "from")}
    made = {**({"unit": change.unit} if keep_unit else {}), **options, "from": change.source}
    return " ".join(
        f'{key}="{value}"' if " " in value or not value else f"{key}={value}" for key, value in made.items()
    )


def _head(change: Written) -> str:
    tagged = change.printed.tagged
    return f"{tagged.claim}.{tagged.field}" + ("" if tagged.item is None else f"[{tagged.item}]")


def _comment(change: Written) -> str:
    return f"<!--t:{_head(change)} {_options(change, keep_unit=True)}-->"


def _macro(change: Written, text: str) -> str:
    digits, argument = change.printed.digits, change.printed.argument
    assert digits is not None
    assert argument is not None
    shown = f"{text[argument[0] : digits[0]]}{change.digits}{text[digits[1] : argument[1]]}".strip()
    unit = re.sub(r"([%&#_$])", r"\\\1", change.unit)
    head = _head(change).replace("_", "\\_")
    return f"\\tnum[{_options(change, keep_unit=False)}]{{{head}}}{{{shown}}}{{{unit}}}"
