"""A headline and named sentences, wrapped to the terminal."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Sequence

from tollens.cli.terminal import printable


def facts_text(headline: str, rows: Sequence[tuple[str, str]]) -> str:
    """`rows` of (name, text) under a headline; the names form a column."""
    width = max(40, shutil.get_terminal_size().columns)
    names = max((len(name) for name, _ in rows), default=0) + 2
    lines = textwrap.wrap(headline, width, subsequent_indent="  ", break_on_hyphens=False)
    for name, text in rows:
        lines += textwrap.wrap(
            printable(text), width, initial_indent=f"{name:<{names}}", subsequent_indent=" " * names,
            break_on_hyphens=False,
        )  # fmt: skip
    return "\n".join(lines) + "\n"
