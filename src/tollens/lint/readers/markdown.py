"""Markdown: tagged numbers, tables and paragraphs.

`0.913<!--t:acc.value unit=1-->` tags a number, a comment `<!--t:table ...-->` the next table below it, and
`<!--t:claim ...-->` says what the text does not print; `tollens.lint.readers.tags` has the language. Code, in
fences, in backticks or indented, and other comments are not read. A tag stands on one line with its number; a
comment may span lines.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass

from tollens.lint.claim import Place
from tollens.lint.readers.document import Document, clean, syntax
from tollens.lint.readers.figures import count_numbers, number_before
from tollens.lint.readers.table import Cell, Table, tag_table
from tollens.lint.readers.tags import BOUND, FROM, Marked, Tag, assemble, parse_tag, tag_body, tag_number

_MARKER = r"(?:[-*+]|\d{1,9}[.)])(?:[ \t]+|$)"
_FENCE = re.compile(rf"[ \t]*(?:(?:>[ \t]?|{_MARKER})[ \t]*){{0,20}}(?P<fence>`{{3,}}|~{{3,}})")
_CLOSING = re.compile(r"[ \t>]*(?P<fence>`{3,}|~{3,})[ \t]*")
_ITEM = re.compile(rf"[ \t]*(?:>[ \t]?){{0,20}}(?:{_MARKER}|\[\^[^\]]{{1,40}}\]:|:[ \t]|!!!|\?\?\?|===)")
"""What indented text belongs to: an item of a list, a footnote, a definition, a box of MkDocs."""
_RULE = re.compile(r"[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*")
_BLOCK = re.compile(r"[ \t]*(?:#{1,6}(?:[ \t]|$)|\||>|\[\^[^\]]{1,40}\]:|" + _MARKER + ")")
"""What begins a block of its own."""
_HEADING = re.compile(r"[ \t]*#{1,6}(?:[ \t]|$)")
_TICKS = re.compile(r"`+")
_BAR = re.compile(r"(?<!\\)\|")
_SMALL = re.compile(r"<su[pb]>[^<]{0,40}</su[pb]>|\[\^[^\]]{1,40}\]", re.I)
_ELEMENT = re.compile(r"</?[a-zA-Z][^<>]{0,300}>")
_LINK = re.compile(r"!?\[(?P<text>[^\[\]]{0,300})\]\([^()]{0,500}\)")
_MARKUP = re.compile(r"\*\*|__|~~|\\(?=[|*_$%~<>\[\]()])")
_EMPHASIS = re.compile(r"(?<![\w*])[*_](?=\S)([^*_]{1,80})(?<=\S)[*_](?![\w*])")
HOLE = "□"
"""Stands in a paragraph where code was, so that the words around it are not joined."""


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment `<!--...-->`: its body, and the lines and columns, from 0, at which it starts and ends."""

    body: str
    line: int
    column: int
    last: int
    end: int


@dataclass(frozen=True, slots=True)
class Page:
    """A text in lines: `lines` without code and comments, `comments` in order."""

    path: str
    lines: list[str]
    comments: list[Comment]


def markdown_claims(path: str, text: str) -> Document:
    """The claims that the tags of a Markdown text make.

    Raises TollensError: `lint_syntax`, `lint_number`, `lint_unit`, `lint_duplicate`.
    """
    page = read_page(path, text)
    marked = Marked(path)
    tables: list[tuple[int, Tag]] = []
    for comment in page.comments:
        body = tag_body(comment.body)
        if body is None:
            continue
        tag = parse_tag(body, Place(path, comment.line + 1, comment.column + 1))
        if tag.head == "claim":
            marked.stated.append(tag)
        elif tag.head == "table":
            tables.append((comment.last, tag))
        elif tag.head not in BOUND:
            before = page.lines[comment.line][: comment.column]
            tagged = tag_number(tag, number_before(before.rstrip(), str(tag.place)))
            if FROM not in tag.options:
                marked.numbers.append(tagged)
    for last, tag in tables:
        tag_table(tag, table_below(page, last, tag), marked)
    return assemble(marked, sum(count_numbers(line) for line in page.lines))


def table_below(page: Page, last: int, tag: Tag) -> Table:
    """The table below a tag that ends in line `last`, from 0. Raises `lint_syntax` where there is none."""
    at = last + 1
    while at < len(page.lines) and not page.lines[at].strip():
        at += 1
    found = table_at(page, at)
    if found is None:
        raise syntax(tag.place, "a table below the tag", "none", "Put the tag right above the header of the table.")
    return found


def read_page(path: str, text: str) -> Page:
    """Blank out code and comments, character for character. Raises `lint_syntax` for a tag that is not closed."""
    lines = clean(path, text).split("\n")
    comments: list[Comment] = []
    fence = ""
    opened: tuple[int, int, list[str]] | None = None
    indented = _indented(lines)
    done = 0
    for number, line in enumerate(lines):
        if opened is None:
            if fence:
                match = _CLOSING.fullmatch(line)
                fence = "" if match and match["fence"].startswith(fence) else fence
                lines[number] = ""
                continue
            match = _FENCE.match(line)
            if match and not (match["fence"][0] == "`" and "`" in line[match.end() :]):
                fence, lines[number] = match["fence"], ""
                continue
            if number in indented:
                lines[number] = ""
                continue
            if number >= done:
                done = _end_of_block(lines, number, indented)
                lines[number:done] = _without_code_of_block(lines[number:done])
            line = lines[number]
        lines[number], opened = _without_comments(line, number, opened, comments)
    if opened is not None and tag_body(opened[2][0]) is not None:
        raise syntax(f"{path}:{opened[0] + 1}", "--> at the end of a tag", "none", "Close the tag.")
    return Page(path, lines, comments)


def _indented(lines: Sequence[str]) -> set[int]:
    """The lines that are code because four spaces or a tab stand before them; inside of a list they need not be."""
    found: set[int] = set()
    listed, blank, code = False, True, False
    for number, line in enumerate(lines):
        text = line.lstrip(" \t")
        if not text:
            blank = True
            continue
        margin = line[: len(line) - len(text)]
        if len(margin.expandtabs(4)) < 4:
            listed = _ITEM.match(line) is not None or (listed and (bool(margin) or not blank))
            code = False
        elif not listed and (blank or code):
            code = True
            found.add(number)
        blank = False
    return found


def _end_of_block(lines: Sequence[str], at: int, indented: set[int]) -> int:
    """The line behind the paragraph that line `at` begins: a span in backticks may go on in its next line."""
    end = at + 1
    while (
        not _HEADING.match(lines[at])
        and end < len(lines)
        and lines[end].strip()
        and end not in indented
        and not _BLOCK.match(lines[end])
        and not _FENCE.match(lines[end])
    ):
        end += 1
    return end


def _without_code_of_block(lines: Sequence[str]) -> list[str]:
    if any("|" in line and _RULE.fullmatch(line) for line in lines):  # no span goes from one row into the next
        return [_without_code(line) for line in lines]
    return _without_code("\n".join(lines)).split("\n")


def _without_code(line: str) -> str:
    """Each span in backticks as that many `HOLE`s, line ends kept; backticks inside of a comment open none."""
    runs = [(m.start(), m.end()) for m in _TICKS.finditer(line)]
    if len(runs) < 2:
        return line
    later: dict[int, list[int]] = {}
    for index in range(len(runs) - 1, -1, -1):
        later.setdefault(runs[index][1] - runs[index][0], []).append(index)
    out, at, index = [], 0, 0
    opens, closes = line.find("<!--"), -1
    while index < len(runs):
        start, end = runs[index]
        while 0 <= opens < start and closes < start:
            if opens >= max(at, closes):
                closes = line.find("-->", opens + 4)
                closes = len(line) if closes < 0 else closes
            opens = line.find("<!--", opens + 4)
        if start < closes:
            index += 1
            continue
        same = later[end - start]
        while same and same[-1] <= index:
            same.pop()
        if not same:
            index += 1
            continue
        close = runs[same[-1]]
        inside = line[end : close[0]]
        out.append(line[at:start])
        # Digits in backticks are how some people print a number; they are kept, with what can stand beside them.
        plain = len(inside) < 40 and re.fullmatch(r"[~<>$€£]?[-+−]?[\d.,]+ ?[\w%/]{0,8}", inside)
        out.append(f" {inside} ".center(close[1] - start) if plain else _holes(line[start : close[1]]))
        at = close[1]
        index = same[-1] + 1
    return "".join([*out, line[at:]])


def _holes(text: str) -> str:
    return "\n".join(HOLE * len(part) for part in text.split("\n"))


def _without_comments(
    line: str, number: int, opened: tuple[int, int, list[str]] | None, comments: list[Comment]
) -> tuple[str, tuple[int, int, list[str]] | None]:
    out: list[str] = []
    at = 0
    while True:
        if opened is None:
            start = line.find("<!--", at)
            if start < 0:
                return "".join([*out, line[at:]]), None
            out.append(line[at:start])
            opened, at = (number, start, []), start + 4
            begun = start
        else:
            begun = at if opened[0] != number else opened[1]
        end = line.find("-->", at)
        opened[2].append(line[at:] if end < 0 else line[at:end])
        if end < 0:
            out.append(" " * (len(line) - begun))
            return "".join(out), opened
        comments.append(Comment("\n".join(opened[2]), opened[0], opened[1], number, end + 3))
        out.append(" " * (end + 3 - begun))
        at, opened = end + 3, None


def table_at(page: Page, at: int) -> Table | None:
    """The table whose header is line `at`, from 0."""
    lines = page.lines
    if at + 1 >= len(lines) or "|" not in lines[at] or "-" not in lines[at + 1] or "|" not in lines[at + 1]:
        return None
    if len(lines[at + 1]) > 20_000 or not _RULE.fullmatch(lines[at + 1]):
        return None
    rows = [_row(page, at)]
    end = at + 2
    while end < len(lines) and "|" in lines[end]:
        rows.append(_row(page, end))
        end += 1
    around = " ".join(line.strip() for line in [*lines[max(0, at - 4) : at], *lines[end : end + 4]])
    return Table(tuple(rows), 1, Place(page.path, at + 1), plain(around))


def _row(page: Page, number: int) -> tuple[Cell, ...]:
    place = Place(page.path, number + 1)
    line = page.lines[number].strip()
    at = len(page.lines[number]) - len(page.lines[number].lstrip()) + line.startswith("|")
    line = line.removeprefix("|")
    if line.endswith("|") and not line.endswith("\\|"):
        line = line[:-1]
    cells = []
    for raw in _BAR.split(line):
        cells.append(Cell(plain(raw.replace("\\|", "¦")), place, raw, at))
        at += len(raw) + 1
    return tuple(cells)


def plain(text: str) -> str:
    """Text without Markdown and HTML: entities resolved, links by their words, footnote marks left out."""
    if "<" in text or "[" in text:
        text = _SMALL.sub("", text)
        text = _LINK.sub(lambda m: m["text"], text)
        text = _ELEMENT.sub(" ", text)
    if "&" in text:
        text = html.unescape(text)
    text = _MARKUP.sub("", text)
    return _EMPHASIS.sub(r"\1", text).strip()
