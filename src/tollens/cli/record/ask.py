"""`tollens record ask`: a question in SQL to the record of a folder of studies."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from tollens.cli.answer import json_option, quiet_option

if TYPE_CHECKING:
    from tollens.core.errors import TollensError
    from tollens.run.ask import Answer


@click.command(name="ask")
@click.argument("folder")
@click.argument("query", required=False)
@click.option("--rows", type=click.IntRange(1, 1_000_000), default=1000, show_default=True, help="Most rows to print.")
@click.option("--seconds", type=click.FloatRange(0.01, 86_400), default=30.0, show_default=True, help="Time limit.")
@click.option("--index", metavar="FILE", help="Keep the index there, not in FOLDER/.tollens.")
@click.option("--rehash", is_flag=True, help="Read every ledger again, whatever its size and time.")
@json_option("tollens.ask/1")
@quiet_option
def command(
    folder: str, query: str | None, rows: int, seconds: float, index: str | None, rehash: bool, as_json: bool,
    quiet: bool,
) -> int:  # fmt: skip
    """Answer one SELECT over the ledgers of every study below FOLDER.

    The index is brought up to date first; it is a copy, and the ledgers are the record. Nothing can be written.
    Without QUERY the tables are shown, with three questions to begin with. --quiet prints rows alone, tabs between.
    """
    from tollens.cli.progress import progress_bar
    from tollens.cli.study_screen import show
    from tollens.run.ask import ask

    with progress_bar(quiet) as progress:
        answer = ask(folder, query, index, rows=rows, seconds=seconds, rehash=rehash, progress=progress, overdue=_end)
    if quiet and not as_json:
        from tollens.cli.terminal import emit, printable

        emit("".join("\t".join(printable(cell_text(c)) for c in row) + "\n" for row in answer.rows))
    else:
        show(answer, lambda: answer_text(answer), "", as_json=as_json, quiet=False)
    return 0


def _end(error: TollensError) -> None:
    """End the process from beside a question that nothing else ends; it only reads, and leaves nothing behind."""
    from tollens.cli.main import print_error

    print_error(error)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(int(error.exit_code))


def answer_text(answer: Answer) -> str:
    """Rows as a table; without a query the tables."""
    from tollens.cli.facts import facts_text

    tail = [("ledgers", answer.ledgers), *(("index", note) for note in answer.notes)]
    if not answer.query:
        tables = [(table.name, f"{table.meaning}: {', '.join(table.columns)}") for table in answer.tables]
        asked = [("for example" if place == 0 else "", query) for place, query in enumerate(answer.examples)]
        head = "What can be asked, in the SQL of SQLite"
        return f"{facts_text(head, tables)}\n{facts_text('', [*asked, *tail]).lstrip()}"
    rows = len(answer.rows)
    said = f"{rows:,} row{'' if rows == 1 else 's'}" + (", and more: --rows shows them" if answer.cut else "")
    return f"{_rows(answer)}\n{facts_text('', [('answer', said), *tail]).lstrip()}"


def cell_text(value: str | int | float | None) -> str:
    """NULL is empty; a number in full."""
    return "" if value is None else str(value)


def _rows(answer: Answer) -> str:
    """A table; where a row is wider than the terminal, each row as named lines."""
    from tollens.cli.facts import columns, facts_text
    from tollens.cli.terminal import printable

    cells = [[cell_text(cell) for cell in row] for row in answer.rows]
    widths = [max(map(len, column)) for column in zip(answer.columns, *cells, strict=True)]
    if sum(widths) + 3 * len(widths) <= columns() or len(widths) < 3:
        return _table(answer.columns, answer.rows)
    return "\n".join(
        facts_text(f"row {place}", [(printable(n), cell) for n, cell in zip(answer.columns, row, strict=True)])
        for place, row in enumerate(cells, 1)
    )


def _table(columns: Sequence[str], rows: Sequence[Sequence[str | int | float | None]]) -> str:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from tollens.cli.facts import columns as width
    from tollens.cli.terminal import printable, unpadded

    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for place, name in enumerate(columns):
        numbers = bool(rows) and all(isinstance(row[place], int | float | None) for row in rows)
        table.add_column(Text(printable(name)), overflow="fold", justify="right" if numbers else "left")
    for row in rows:
        table.add_row(*(Text(printable(cell_text(cell))) for cell in row))
    console = Console(highlight=False, width=width())
    with console.capture() as capture:
        console.print(table)
    return unpadded(capture.get())
