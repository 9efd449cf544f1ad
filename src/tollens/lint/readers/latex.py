r"""LaTeX: tagged numbers, tables and paragraphs.

`\tnum{acc.value}{0.913}{1}` typesets its second argument and says that it is the field `value` of the claim `acc`
in unit 1; give it to LaTeX as `\newcommand{\tnum}[4][]{#3}`. `\tnum[from=...]{...}{...}{...}` says which verdict
the number was taken from. A line `% t:table ...` stands above a `tabular`, and
`% t:claim ...` says what the text does not print; `tollens.lint.readers.tags` has the language. Comments, verbatim
text and listings, `\iffalse` and what follows the document are not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tollens.lint.claim import Place
from tollens.lint.readers.document import Document, clean, syntax
from tollens.lint.readers.figures import cell_figure, count_numbers, number_before
from tollens.lint.readers.table import Cell, Table, tag_table
from tollens.lint.readers.tags import BOUND, FROM, Marked, Tag, Tagged, assemble, parse_tag, tag_body, tag_number

MAX_ARGUMENT = 4000
_VERBATIM = re.compile(
    r"\\begin\{(verbatim\*?|lstlisting|minted|comment|[BL]?Verbatim|alltt|filecontents\*?|tikzpicture)\}"
    r"|\\iffalse(?![a-zA-Z])|\\end\{document\}"
)
_INLINE = re.compile(
    r"\\(?:verb\*?|lstinline(?:\[[^\]]{0,80}\])?|mintinline(?:\[[^\]]{0,80}\])?\{[^{}]{0,40}\})"
    r"(?:(?P<bar>[^\sa-zA-Z*{\[]).*?(?P=bar)|\{.*?\}(?!\{))"
)
_COMMENT = re.compile(r"(?<!\\)((?:\\\\)*)%(.*)$")
_TABULAR = re.compile(r"\\(begin|end)\{(?:tabular[*xy]?|longtable|NiceTabular|tblr)\}")
_DEFINES = re.compile(
    r"\\(?:new|renew|provide)command\*?\{?\s*$|\\(?:re)?newrobustcmd\*?\{?\s*$|\\(?:def|let)\s*$"
    r"|\\DeclareRobustCommand\*?\{?\s*$|\\(?:New|Renew|Provide|Declare)DocumentCommand\{?\s*$"
)
_ARITY = re.compile(
    r"\\(?:(?:new|renew|provide)command|DeclareRobustCommand)\*?\s?\{?\s?\\tnum\s?\}?\s?(?:\[(?P<arity>\d)\])?"
)
_SPAN = re.compile(r"\\multicolumn\s*\{\s*(\d{1,3})\s*\}")
_RULES = re.compile(
    r"\\(?:top|mid|bottom|h)(?:rule|line)\b(?:\[[^\]]{0,40}\])?"
    r"|\\(?:cmidrule|cline)\s*(?:\([^)]{0,20}\))?\s*(?:\{[^{}]{0,20}\})?"
    r"|\\(?:addlinespace|specialrule|endhead|endfirsthead|endfoot|endlastfoot|centering|small)\b(?:\[[^\]]{0,40}\])?"
)
_WHOLE_RULE = re.compile(r"\\(?:(?:top|mid|bottom)rule|hline)\b")
_DROPPED = re.compile(
    r"\\(?:textcolor|cellcolor|rowcolor|color|label|ref|eqref|cref|Cref|autoref|cite[a-z]*|footnote|footnotemark"
    r"|tablefootnote|textsuperscript|vspace|hspace|href|rule|raisebox|scalebox|caption)\*?"
    r"\s?(?:\[[^\[\]]{0,60}\]){0,2}\s?\{[^{}]{0,300}\}"
)
_MULTIROW = re.compile(r"\\multirow\*?\s?(?:\[[^\]]{0,20}\])?\{[^{}]{0,20}\}\s?(?:\[[^\]]{0,20}\])?\{[^{}]{0,40}\}")
_QUANTITY = re.compile(r"\\(?:SI|qty)\s?(?:\[[^\]]{0,80}\])?\{([^{}]{0,80})\}\s?\{([^{}]{0,80})\}")
_UNIT = re.compile(r"\\(?:si|unit)\s?(?:\[[^\]]{0,80}\])?\{([^{}]{0,80})\}")
_NUM = re.compile(r"\\(?:num|tablenum)\s?(?:\[[^\]]{0,80}\])?\{([^{}]{0,80})\}")
_RAISED = re.compile(r"\^\s?(?:\{\s?\\?(?:[a-zA-Z*]{1,12})\s?\}|\\[a-zA-Z]{1,12}|[*])")
_MACROS = {
    "kilo": "k", "mega": "M", "giga": "G", "tera": "T", "milli": "m", "micro": "u", "nano": "n", "kibi": "Ki",
    "mebi": "Mi", "gibi": "Gi", "tebi": "Ti", "second": "s", "minute": "min", "hour": "h", "day": "d", "byte": "B",
    "bit": "bit", "percent": "%", "watt": "W", "joule": "J", "per": "/", "ms": "ms", "us": "us", "GB": "GB",
    "MB": "MB", "kWh": "kWh",
}  # fmt: skip
_SIGNS = {
    "times": "×", "pm": "±", "approx": "≈", "sim": "~", "le": "≤", "leq": "≤", "ge": "≥", "geq": "≥", "to": "→",
    "rightarrow": "→", "rightarrow ": "→", "pounds": "£", "euro": "€", "Sigma": "Σ", "sum": "Σ", "Delta": "Δ",
    "cdot": "·", "textdollar": "$", "dots": "…", "ldots": "…", "downarrow": "↓", "uparrow": "↑", "quad": " ",
    "qquad": " ", "textless": "<", "textgreater": ">",
}  # fmt: skip
_OPTION = re.compile(r"\s{0,4}\[([^\[\]{}]{0,200})\]")
_MACRO = re.compile(r"\\([a-zA-Z]+)\*?\s?")


@dataclass(frozen=True, slots=True)
class Source:
    """A text without comments and verbatim, character for character; `notes` are its comments `% t:...`."""

    path: str
    text: str
    notes: list[tuple[int, str]]

    def place(self, at: int) -> Place:
        return Place(self.path, self.text.count("\n", 0, at) + 1, at - self.text.rfind("\n", 0, at))


def latex_claims(path: str, text: str) -> Document:
    """The claims that the tags of a LaTeX text make.

    Raises TollensError: `lint_syntax`, `lint_number`, `lint_unit`, `lint_duplicate`.
    """
    source = read_source(path, text)
    marked = Marked(path)
    tables: list[tuple[int, Tag]] = []
    for at, body in source.notes:
        tag = parse_tag(body, source.place(at))
        if tag.head == "claim":
            marked.stated.append(tag)
        elif tag.head == "table":
            tables.append((at, tag))
        elif tag.head not in BOUND:
            raise syntax(
                tag.place,
                "% t:claim, % t:table, % t:cite or % t:figure",
                repr(tag.head)[:60],
                r"Tag a number with \tnum.",
            )
    marked.numbers.extend(macro.tagged for macro in macros(source) if FROM not in macro.options)
    if tables:
        found = tables_in(source)
        for at, tag in tables:
            tag_table(tag, table_after(found, at, tag), marked)
    return assemble(marked, count_numbers(source.text))


@dataclass(frozen=True, slots=True)
class Macro:
    r"""One `\tnum` of a text: its number, what its options say, the offsets of the whole and of the digits."""

    tagged: Tagged
    options: Mapping[str, str]
    start: int
    end: int
    digits: tuple[int, int]


def macros(source: Source) -> Iterator[Macro]:
    r"""Every `\tnum`, in order. Raises TollensError: `lint_syntax`, `lint_number`, `lint_unit`, `lint_duplicate`."""
    line, last, text = 1, 0, source.text
    if any(made["arity"] not in ("3", "4") for made in _ARITY.finditer(text)):
        return  # a macro of the author's own that has the name
    for match in re.finditer(r"\\tnum(?![a-zA-Z])", text):
        line, last = line + text.count("\n", last, match.start()), match.start()
        if _DEFINES.search(text[max(0, match.start() - 40) : match.start()]):
            continue
        yield _number(text, match, Place(source.path, line, match.start() - text.rfind("\n", 0, match.start())))


def _number(text: str, found: re.Match[str], place: Place) -> Macro:
    option = _OPTION.match(text, found.end())
    target, at = _argument(text, option.end() if option else found.end(), place)
    digits, after = _argument(text, at, place)
    inside = (after - 1 - len(digits), after - 1)
    unit, end = _argument(text, after, place)
    unit = latex_plain(unit)
    body = f"{target.strip().replace(chr(92) + '_', '_')} {option[1] if option else ''}"
    read = parse_tag(body, place)
    options = {**read.options, **({"unit": unit} if unit else {})}
    tagged = tag_number(Tag(read.head, options, place), number_before(latex_plain(digits), str(place)))
    return Macro(tagged, options, found.start(), end, inside)


def _argument(text: str, at: int, place: Place) -> tuple[str, int]:
    while at < len(text) and text[at] in " \t\n":
        at += 1
    end = _closed(text, at, at + MAX_ARGUMENT) if text[at : at + 1] == "{" else -1
    if end < 0:
        raise syntax(place, r"\tnum{ID.FIELD}{DIGITS}{UNIT}", repr(text[at : at + 40]), "Close the three arguments.")
    return text[at + 1 : end], end + 1


def _closed(text: str, at: int, limit: int) -> int:
    """The index of the brace that closes the one at `at`; -1 if it is not closed before `limit`."""
    depth = 0
    for index in range(at, min(len(text), limit)):
        char = text[index]
        if char in "{}" and text[index - 1 : index] != "\\":
            depth += 1 if char == "{" else -1
            if depth == 0:
                return index
    return -1


def read_source(path: str, text: str) -> Source:
    """Blank out comments and verbatim text, keeping every offset."""
    lines = clean(path, text).split("\n")
    notes: list[tuple[int, str]] = []
    ends = ""
    at = 0
    for number, line in enumerate(lines):
        kept = line
        if ends:
            closes = line.find(ends)
            kept = " " * len(line) if closes < 0 else " " * (closes + len(ends)) + line[closes + len(ends) :]
            ends = ends if closes < 0 else ""
        else:
            if "\\verb" in line or "inline" in line:
                line = _INLINE.sub(lambda m: " " * len(m[0]), line)
                kept = line
            comment = _COMMENT.search(line) if "%" in line else None
            if comment is not None:
                start = comment.end(1)
                body = tag_body(comment[2].strip())
                if body is not None:
                    notes.append((at + start, body))
                kept = line[:start] + " " * (len(line) - start)
            opens = _VERBATIM.search(kept)
            if opens is not None:
                ends = f"\\end{{{opens[1]}}}" if opens[1] else "\\fi" if "\\iffalse" in opens[0] else "\0"
                closes = kept.find(ends, opens.end())
                rest = "" if closes < 0 else kept[closes + len(ends) :]
                kept = kept[: opens.start()].ljust(len(line) - len(rest)) + rest
                ends = ends if closes < 0 else ""
        lines[number] = kept
        at += len(line) + 1
    return Source(path, "\n".join(lines), notes)


def table_after(found: Sequence[tuple[int, int, Table]], at: int, tag: Tag) -> Table:
    """The first of `tables_in` behind a tag at the offset `at`. Raises `lint_syntax` where there is none."""
    below = next((table for start, _, table in found if start > at), None)
    if below is None:
        raise syntax(tag.place, "a tabular below the tag", "none", "Put the tag above the table.")
    return below


def tables_in(source: Source) -> list[tuple[int, int, Table]]:
    """Every outermost tabular, with the offsets of its start and end."""
    found: list[tuple[int, int, Table]] = []
    depth, start = 0, 0
    for match in _TABULAR.finditer(source.text):
        if match[1] == "begin":
            if depth == 0:
                start = match.start()
            depth += 1
        elif depth:
            depth -= 1
            if depth == 0:
                found.append((start, match.end(), _table(source, start, match.start(), match.end())))
    return found


def _table(source: Source, start: int, end: int, after: int) -> Table:
    text = source.text
    body = text.find("}", start) + 1
    while text[body] in "{[ \t\n":  # the width and the columns, up to the first row
        opened = body
        if text[opened] in " \t\n":
            body += 1
            continue
        close = _closed(text, opened, min(end, opened + 1000)) if text[opened] == "{" else text.find("]", opened, end)
        if close < 0:
            break
        body = close + 1
    rows: list[tuple[Cell, ...]] = []
    headers, seen_rule = 0, 0
    line = text.count("\n", 0, start) + 1
    last = start
    for begin, stop in _split(text, body, end):
        raw = text[begin:stop]
        rules = len(_WHOLE_RULE.findall(raw))
        content = _RULES.sub(lambda m: " " * len(m[0]), raw)
        first = begin + len(raw) - len(raw.lstrip())
        line, last = line + text.count("\n", last, first), first
        if rules and rows and not headers and seen_rule:
            headers = len(rows)
        seen_rule += rules
        if content.strip():
            offset = text.count("\n", first, begin + _content_start(raw))
            rows.append(_cells(content, begin, Place(source.path, line + offset)))
    around = text[max(0, start - 600) : start] + " " + text[after : after + 600]
    begun = around.find("\\begin{table")
    around = around[begun:] if begun >= 0 else around
    return Table(tuple(rows), max(1, headers) if rows else 0, source.place(start), latex_plain(around, captions=True))


def _content_start(raw: str) -> int:
    """Where the text of a row begins, after its rules."""
    at = 0
    while True:
        at += len(raw[at:]) - len(raw[at:].lstrip())
        match = _RULES.match(raw, at)
        if match is None or match.end() == at:
            return min(at, len(raw))
        at = match.end()


def _split(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """The rows between double backslashes."""
    rows, at = [], start
    for match in re.finditer(r"\\\\\*?(?:\[[^\]]{0,20}\])?|\\tabularnewline\b|\\cr\b", text[start:end]):
        rows.append((at, start + match.start()))
        at = start + match.end()
    return [*rows, (at, end)]


def _cells(content: str, at: int, place: Place) -> tuple[Cell, ...]:
    """The cells of a row whose text starts at the offset `at`."""
    cells: list[Cell] = []
    next_at = at
    for part in re.split(r"(?<!\\)&", content):
        at, next_at = next_at, next_at + len(part) + 1
        span = _SPAN.search(part)
        if span is not None:
            opened = span.end()
            for _ in range(2):  # past the alignment, to the braces of the text
                opened = part.find("{", opened)
                close = _closed(part, opened, len(part)) if opened >= 0 else -1
                if close < 0:
                    break
                inner, opened = part[opened + 1 : close], close + 1
            text = latex_plain(inner) if opened >= 0 and close >= 0 else ""
            # A heading stands above each of its columns, a number in the first of them.
            spread = text if cell_figure(text) is None else ""
            cells += [Cell(text, place), *[Cell(spread, place)] * (min(int(span[1]), 100) - 1)]
        else:
            cells.append(Cell(latex_plain(part), place, part, at))
    return tuple(cells)


def latex_plain(text: str, captions: bool = False) -> str:
    r"""Text without macros: siunitx resolved, `\textbf{x}` as x, footnotes and references left out."""
    if "\\" in text:
        if captions:
            text = text.replace("\\caption", "")
        text = _MULTIROW.sub("", text)
        text = _QUANTITY.sub(lambda m: f"{m[1]} {_unit(m[2])}", text)
        text = _UNIT.sub(lambda m: _unit(m[1]) + " ", text)
        text = _NUM.sub(lambda m: m[1], text)
        text = re.sub(
            r"\\tnum\s?(?:\[[^\[\]]{0,200}\])?\{[^{}]{0,80}\}\s?\{([^{}]{0,80})\}\s?\{[^{}]{0,40}\}", r"\1", text
        )
        text = _DROPPED.sub("", text)
    text = text.replace("{,}", ",").replace("---", "—").replace("--", "–")
    text = text.replace("~", "\u00a0")
    if "^" in text:
        text = _RAISED.sub("", text)
    if "$" in text or "\\" in text:
        text = text.replace("\\$", "¤")
        text = re.sub(r"\\([,;:! ])", lambda m: "\u2009" if m[1] == "," else " " if m[1] != "!" else "", text)
        text = re.sub(r"\\([%&#_{}])", r"\1", text)
        text = _MACRO.sub(lambda m: _SIGNS.get(m[1], " " if m[0].endswith(" ") else ""), text)
        text = text.replace("$", "").replace("¤", "$")
    return re.sub(r"[{}]", "", text).strip()


def _unit(text: str) -> str:
    if "\\" not in text:
        return text.strip()
    words = re.findall(r"\\([a-zA-Z]+|%)", text)
    return "".join("%" if word == "%" else _MACROS.get(word, "?") for word in words)
