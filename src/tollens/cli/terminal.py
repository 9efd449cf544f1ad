"""What may reach a terminal, and what happens when nobody reads it."""

from __future__ import annotations

import os
import sys


def printable(text: str) -> str:
    """`text` with everything that does not print written as its escape: names and paths come from strangers.

    An escape sequence could clear the screen or rewrite a verdict above it; a line break could forge a line.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def unpadded(text: str) -> str:
    """`text` without the blanks that fill its lines up to the width of the terminal."""
    return "\n".join(line.rstrip(" ") for line in text.split("\n"))


def elided(name: str, width: int) -> str:
    """The end of a name tells layers apart, so the beginning goes."""
    short = name.removesuffix(".weight")
    return short if len(short) <= width else "…" + short[-(width - 1) :]


def emit(text: str | bytes) -> None:
    """Write a finished answer to stdout. A reader that went away, such as `head`, does not change the exit code."""
    data = text.encode("utf-8", "backslashreplace") if isinstance(text, str) else text
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        nowhere = os.open(os.devnull, os.O_WRONLY)  # or the interpreter would complain again when it ends
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
