"""Text of strangers, made safe to be shown: in a terminal, and in a file that somebody will look at in one."""

from __future__ import annotations


def printable(text: str) -> str:
    """`text` with everything that does not print written as its escape: names and paths come from strangers.

    An escape sequence could clear the screen or rewrite a verdict above it; a line break could forge a line.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
