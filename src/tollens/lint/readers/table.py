"""A table of a text, and the claims that a `t:table` tag makes of it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tollens.core.errors import TollensError
from tollens.lint.claim import Place, Quantity
from tollens.lint.readers.document import syntax
from tollens.lint.readers.figures import Figure, cell_figure
from tollens.lint.readers.tags import FROM, Marked, Tag, Tagged, check_unit

TOTALS = ("total", "sum", "Σ")
UNBOUND = "-"
"""Stands in `from` for a row that is of no verdict."""
_OPTIONS = ("id", "row", "each", "total", "into", "skip", "label", FROM)
_COLUMN = re.compile(r"(?P<column>[1-9]\d{0,3})(?::(?P<unit>\S+))?")
_STATISTIC = re.compile(r"mean|median|p\d{1,2}|p999")


@dataclass(frozen=True, slots=True)
class Cell:
    """The text of a cell without its markup, and where it stands.

    `raw` is what is written, comments and rules as blanks, and `at` where that starts: in its line in Markdown, in the
    text in LaTeX; -1 where what is written does not stand in one piece.
    """

    text: str
    place: Place
    raw: str = ""
    at: int = -1


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells; the first `headers` rows name the columns. `around` is the text nearest to the table."""

    rows: tuple[tuple[Cell, ...], ...]
    headers: int
    place: Place
    around: str = ""

    @property
    def names(self) -> list[str]:
        """The words above each column."""
        width = max((len(row) for row in self.rows), default=0)
        return [
            " ".join(row[k].text for row in self.rows[: self.headers] if k < len(row)).strip() for k in range(width)
        ]

    @property
    def body(self) -> tuple[tuple[Cell, ...], ...]:
        return self.rows[self.headers :]


@dataclass(frozen=True, slots=True)
class Bound:
    """A cell as a number of a study: the column names the field. `row` counts from 0 below the header."""

    tagged: Tagged
    cell: Cell
    row: int
    column: str


def tag_table(tag: Tag, table: Table, marked: Marked) -> None:
    """Add what `t:table` makes of `table`. Raises TollensError `lint_syntax`, `lint_number` or `lint_unit`.

    A row that `from` binds to a verdict makes no claim, nor does a table that it binds as a whole.
    """
    columns, names = _shape(tag, table)
    bound = sources(tag, len(names))
    if "each" in tag.options:
        family = _rows(tag, table, columns, names, bound, marked)
    else:
        free = not any(bound)
        family = [_one_column(tag, table, name, k, unit, names, marked) for name, (k, unit) in columns.items() if free]
    if tag.id in marked.families:
        raise TollensError(
            "lint_duplicate", str(tag.place), expected="one t:table for each id", found=repr(tag.id), fix="Rename one."
        )
    marked.families[tag.id] = family


def bound_cells(tag: Tag, table: Table) -> list[Bound]:
    """Every cell that `t:table` names, as the number `ID.COLUMN` or, with each=row, `ID.LABEL.COLUMN` of a study.

    Raises TollensError `lint_syntax`, `lint_number` or `lint_unit`.
    """
    columns, names = _shape(tag, table)
    skip = set() if "each" in tag.options else _skipped(tag)
    claims = _labelled(tag, names) if "each" in tag.options else [tag.id] * len(names)
    found = []
    for number, (claim, label, row) in enumerate(zip(claims, names, table.body, strict=True)):
        for name, (k, unit) in columns.items():
            if label not in skip and k < len(row) and not _empty(row[k]):
                tagged = Tagged(claim, name, None, _quantity(row[k], unit))
                found.append(Bound(tagged, row[k], number, f"{name}={k + 1}"))
    return found


def sources(tag: Tag, rows: int) -> list[str | None]:
    """What `from` says of each row: the one digest, or with each=row the digests in the order of the rows."""
    said = tag.options.get(FROM, "")
    each = said.split(",")[:rows] if "each" in tag.options else [said] * rows
    return [None if word.strip() in ("", UNBOUND) else word.strip() for word in [*each, *[""] * (rows - len(each))]]


def _shape(tag: Tag, table: Table) -> tuple[dict[str, tuple[int, str | None]], list[str]]:
    """(column and unit by name, labels of the rows)."""
    columns = _columns(tag, table)
    label = _whole(tag, "label", 1) - 1
    if tag.options.get("each", "row") != "row":
        raise syntax(tag.place, "each=row", repr(tag.options["each"])[:40], "Write each=row, or leave it out.")
    if not table.body:
        raise syntax(tag.place, "a table with rows below its header", "none", "Put the tag above the table.")
    return columns, [_label(row, label) for row in table.body]


def _skipped(tag: Tag) -> set[str]:
    return {word.strip() for word in tag.options.get("skip", "").split(",")} - {""}


def _empty(cell: Cell) -> bool:
    return cell.text.strip() in ("", "-", "–", "—")


def _columns(tag: Tag, table: Table) -> dict[str, tuple[int, str | None]]:
    width = max(len(row) for row in table.rows)
    found: dict[str, tuple[int, str | None]] = {}
    for key, value in tag.options.items():
        if key in _OPTIONS:
            continue
        match = _COLUMN.fullmatch(value)
        if match is None or not 1 <= int(match["column"]) <= width or not re.fullmatch(r"\w+", key):
            raise syntax(tag.place, f"NAME=COLUMN, a column from 1 to {width}", f"{key}={value}", "Correct the column.")
        found[key] = (int(match["column"]) - 1, match["unit"])
    if not found:
        raise syntax(tag.place, "a column, such as mean_ms=2", "none", "Name the columns.")
    return found


def _whole(tag: Tag, key: str, default: int) -> int:
    value = tag.options.get(key, str(default))
    if not re.fullmatch(r"[1-9]\d{0,3}", value):
        raise syntax(tag.place, f"{key}=COLUMN", repr(value)[:40], "Give a column, counted from 1.")
    return int(value)


def _label(row: tuple[Cell, ...], label: int) -> str:
    return row[label].text.strip() if label < len(row) else ""


def _one_column(tag: Tag, table: Table, name: str, k: int, unit: str | None, names: list[str], marked: Marked) -> str:
    """A column as one claim: the parts, and the total where a row has its label."""
    claim = f"{tag.id}.{name}"
    words = name.split("_")
    if unit is None and len(words) > 1:
        unit = {"pct": "%", "us": "us"}.get(words[-1], words[-1])
    total = tag.options.get("total")
    skip = _skipped(tag)
    absent = skip.union([total] if total else []) - set(names)
    if absent:
        raise syntax(tag.place, "labels of rows of the table", repr(min(absent))[:60], "Correct the label.")
    for label, row in zip(names, table.body, strict=True):
        cell = row[k] if k < len(row) else None
        if cell is None or label in skip or _empty(cell):
            continue
        last = label == total if total else label.rstrip(" :").lower() in TOTALS or label == "Σ"
        quantity = _quantity(cell, unit)
        into = tag.options.get("into", "parts")
        marked.numbers.append(Tagged(claim, "total" if last else into, None if last else "", quantity))
    statistic = next((word for word in words if _STATISTIC.fullmatch(word)), None)
    if statistic:
        marked.words.append((claim, "percentile", statistic))
    return claim


def _labelled(tag: Tag, names: list[str]) -> list[str]:
    """The claim of every row."""
    family: dict[str, None] = {}
    for number, label in enumerate(names, 1):
        slug = re.sub(r"[^\w-]+", "-", label).strip("-") or str(number)
        claim = f"{tag.id}.{slug}"
        family[f"{claim}-{number}" if claim in family else claim] = None
    return [*family]


def _rows(
    tag: Tag,
    table: Table,
    columns: dict[str, tuple[int, str | None]],
    names: list[str],
    bound: list[str | None],
    marked: Marked,
) -> list[str]:
    """Every row as one claim whose fields are the columns."""
    family: list[str] = []
    for claim, source, row in zip(_labelled(tag, names), bound, table.body, strict=True):
        if source is not None:
            continue
        family.append(claim)
        for name, (k, unit) in columns.items():
            if k < len(row) and not _empty(row[k]):
                marked.numbers.append(Tagged(claim, name, None, _quantity(row[k], unit)))
    return family


def _quantity(cell: Cell, unit: str | None) -> Quantity:
    found: Figure | None = cell_figure(cell.text)
    if found is None:
        raise TollensError(
            "lint_number",
            str(cell.place),
            expected="a number in this cell",
            found=repr(cell.text[:40]),
            fix="Leave the column or the row out of the tag.",
        )
    if unit is not None:
        check_unit(unit, found.unit, cell.place)
    return Quantity(found.number, unit or found.unit, cell.place)
