"""A table of observations: CSV with a header, JSON objects one a line, or a JSON list of objects."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tollens.core.errors import TollensError
from tollens.subject import file

LARGEST = 1 << 28
"""Bytes of a table: 256 MiB."""
WIDEST = 1000
"""Columns of a table: objects of which each has keys of its own would take the square of their number."""
Cell: TypeAlias = str | float | int | bool | None
_UNPAIRED = re.compile("[\ud800-\udfff]")  # JSON can escape half a character, which no output can hold
_TRUTH = {"true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0}


@dataclass(frozen=True, slots=True)
class Table:
    """`columns` by name, each a cell a row; `lines` the line of the file that each row stands on, from 1."""

    path: str
    digest: str
    columns: Mapping[str, Sequence[Cell]]
    lines: Sequence[int]

    def __len__(self) -> int:
        return len(self.lines)

    def column(self, name: str, option: str) -> Sequence[Cell]:
        """The cells of a column. Raises TollensError `table_column`, naming the `option` that chooses it."""
        if name not in self.columns:
            raise TollensError(
                "table_column", self.path, expected=f"a column {name!r}",
                found=f"the columns {', '.join(self.columns)}"[:300], fix=f"Name the column with {option}.",
            )  # fmt: skip
        return self.columns[name]

    def labels(self, name: str, option: str) -> list[str]:
        """A column as text. Raises TollensError `table_column` for an empty cell and for half a surrogate pair."""
        found = []
        for place, cell in enumerate(self.column(name, option)):
            if cell is None or cell == "":
                raise self._wrong(name, place, "a label", "an empty cell", option)
            label = str(cell)
            if not label.isascii() and _UNPAIRED.search(label):
                raise self._wrong(name, place, "text", f"half a character, {label[:40]!a}", option)
            found.append(label)
        return found

    def numbers(self, name: str, option: str) -> NDArray[np.float64]:
        """A column as float64 (rows,); true and yes are 1, false and no are 0.

        Raises TollensError `table_column` for a cell that is no finite number.
        """
        cells = self.column(name, option)
        found = np.empty(len(cells))
        for place, cell in enumerate(cells):
            value = _value(cell)
            if value is None:
                raise self._wrong(name, place, "a finite number", repr(cell)[:40], option)
            found[place] = value
        return found

    def _wrong(self, name: str, place: int, expected: str, found: str, option: str) -> TollensError:
        return TollensError(
            "table_column", f"{self.path}:{self.lines[place]}: column {name}", expected=expected, found=found,
            fix=f"Correct the row, or name another column with {option}.",
        )  # fmt: skip


def _value(cell: Cell) -> float | None:
    if isinstance(cell, str):
        text = cell.strip().lower()
        if text in _TRUTH:
            return _TRUTH[text]
        try:
            number = float(text)
        except ValueError:
            return None
        return number if math.isfinite(number) and "_" not in text else None
    if cell is None or not isinstance(cell, (int, float)):
        return None
    try:
        number = float(cell)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def read_table(path: str) -> Table:
    """The table in a file, by its content: `[` begins a JSON list, `{` JSON lines, anything else CSV.

    Raises TollensError `path_missing`, `path_unreadable`, `path_not_a_file`, `empty_file`, `table_syntax`.
    """
    data = file.read(Path(path), LARGEST + 1)
    if len(data) > LARGEST:
        raise _syntax(path, 1, f"at most {LARGEST:,} bytes", "more")
    if not data.strip():
        raise TollensError(
            "empty_file", path, expected="a header and rows", found=f"{len(data)} bytes", fix="Write the file again."
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _syntax(path, 1, "text in UTF-8", f"byte {error.start} is not UTF-8") from None
    first = text.lstrip()[:1]
    read = _json_list if first == "[" else _json_lines if first == "{" else _csv
    columns: dict[str, list[Cell]] = {}
    lines: list[int] = []
    for line, row in read(path, text):
        for name in row:
            if name not in columns:  # a key that comes late was empty before
                columns[name] = [None] * len(lines)
        if len(columns) > WIDEST:
            raise _syntax(path, line, f"at most {WIDEST:,} columns", "more")
        lines.append(line)
        for name, cells in columns.items():
            cells.append(row.get(name))
    if not lines:
        raise _syntax(path, 1, "at least one row", "a header alone")
    return Table(path, sha256(data).hexdigest(), columns, lines)


def _csv(path: str, text: str) -> Iterator[tuple[int, dict[str, Cell]]]:
    header_line = text.lstrip().split("\n", 1)[0]
    delimiter = max(",;\t", key=header_line.count)
    rows = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    try:
        header = [name.strip() for name in next(rows)]
        if len(set(header)) < len(header) or not all(header):
            raise _syntax(path, 1, "a header of distinct names", repr(header)[:80])
        for row in rows:
            if not row:
                continue
            if len(row) != len(header):
                raise _syntax(path, rows.line_num, f"{len(header)} cells", f"{len(row)}")
            yield rows.line_num, dict(zip(header, row, strict=True))
    except csv.Error as error:
        raise _syntax(path, rows.line_num, "a CSV row", str(error)) from None


def _json_lines(path: str, text: str) -> Iterator[tuple[int, dict[str, Cell]]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, _row(path, number, _parsed(path, number, line))


def _json_list(path: str, text: str) -> Iterator[tuple[int, dict[str, Cell]]]:
    found = _parsed(path, 1, text)
    assert isinstance(found, list)
    for number, row in enumerate(found, 1):
        yield number, _row(path, number, row)


def _parsed(path: str, line: int, text: str) -> Any:
    try:
        return json.loads(text, parse_constant=str)
    except RecursionError:
        raise _syntax(path, line, "JSON of a few levels", "nesting deeper than the stack") from None
    except ValueError as error:  # malformed text, and integers of thousands of digits
        raise _syntax(path, line, "JSON", str(error)[:120]) from None


def _row(path: str, line: int, row: Any) -> dict[str, Cell]:
    """The scalar fields of one object; what is nested has no column."""
    if not isinstance(row, dict):
        raise _syntax(path, line, "a JSON object", f"a JSON {type(row).__name__}")
    return {name: cell for name, cell in row.items() if cell is None or isinstance(cell, (str, int, float, bool))}


def _syntax(path: str, line: int, expected: str, found: str) -> TollensError:
    return TollensError(
        "table_syntax", f"{path}:{line}", expected=expected, found=found,
        fix="Give CSV with a header line, or JSON objects one a line.",
    )  # fmt: skip
