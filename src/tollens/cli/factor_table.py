"""The table of an adapter's products: their rank, how many directions they use, and their size."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from msgspec import UNSET
from rich.table import Table
from rich.text import Text

from tollens.cli.terminal import elided, printable

if TYPE_CHECKING:
    from tollens.run.result import LayerReport

FIXED = 54


def factor_table(layers: list[LayerReport], width: int) -> Table:
    """One row a product, for a terminal of `width` columns; `norm` is the Frobenius norm of the change."""
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold", pad_edge=False)
    table.add_column("adapter", no_wrap=True, overflow="ellipsis")
    for title in ("shape", "rank", "stable rank", "null 5-95 %", "norm"):
        table.add_column(title, justify="right", no_wrap=True)
    for layer in layers:
        null = layer.null.get("stable_rank")
        cells = [
            elided(printable(layer.name), max(14, width - FIXED)),
            f"{layer.M}x{layer.N}",
            "-" if layer.rank is UNSET else str(layer.rank),
            "-" if layer.stable_rank is None else f"{layer.stable_rank:.1f}",
            "-" if null is None else f"{null.low:.1f}-{null.high:.1f}",
            "-" if layer.fro2 is None else f"{math.sqrt(layer.fro2):.3g}",
        ]
        table.add_row(*map(Text, cells))  # as text: a name in brackets is no markup
    return table
