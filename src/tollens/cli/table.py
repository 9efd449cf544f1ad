"""A table as wide as the terminal: what is too long goes on below, within its column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

from tollens.cli.facts import columns
from tollens.cli.terminal import printable, unpadded


def table_text(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    right: AbstractSet[str],
    styles: Mapping[str, str] | None = None,
    whole: AbstractSet[str] = frozenset(),
    gap: int = 3,
) -> str:
    """`right` are the columns of numbers, `whole` those that are never folded, `styles` go by the text of a cell.

    `gap` is how many blanks stand between two columns, 1 or more.
    """
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, gap - 1 - gap // 3, 0, gap // 3))
    for name in head:
        justify = "right" if name in right else "left"
        table.add_column(name, overflow="fold", justify=justify, no_wrap=name in whole)  # type: ignore[arg-type]
    for row in rows:
        table.add_row(*(Text(printable(cell), style=(styles or {}).get(cell, "")) for cell in row))
    console = Console(highlight=False, width=columns())
    with console.capture() as capture:
        console.print(table)
    return unpadded(capture.get())
