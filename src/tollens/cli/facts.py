"""A headline and named sentences, wrapped to the terminal."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Sequence

from tollens.cli.terminal import printable


def columns() -> int:
    """The width of the terminal, at least 40."""
    return max(40, shutil.get_terminal_size().columns)


def wrapped(text: str, indent: str = "") -> list[str]:
    """The lines of a sentence, all indented alike."""
    return textwrap.wrap(
        printable(text), columns(), initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
    )


def facts_text(headline: str, rows: Sequence[tuple[str, str]]) -> str:
    """`rows` of (name, text) under a headline; the names form a column."""
    width = columns()
    names = max((len(name) for name, _ in rows), default=0) + 2
    lines = textwrap.wrap(headline, width, subsequent_indent="  ", break_on_hyphens=False)
    for name, text in rows:
        lines += textwrap.wrap(
            printable(text), width, initial_indent=f"{name:<{names}}", subsequent_indent=" " * names,
            break_on_hyphens=False,
        )  # fmt: skip
    return "\n".join(lines) + "\n"
