"""What may reach a terminal, and what happens when nobody reads it."""

from __future__ import annotations

import os
import re
import sys

from tollens.core.printable import printable as printable

ELLIPSIS = "…"
RUN = re.compile(r"\.?…(?:\.…)*\.?")


def unpadded(text: str) -> str:
    """`text` without the blanks that fill its lines up to the width of the terminal."""
    return "\n".join(line.rstrip(" ") for line in text.split("\n"))


def elided(name: str, width: int) -> str:
    """The name of a matrix without `.weight`, in `width` characters at most, 5 or more.

    Numbers and the last part tell layers apart, so the other parts go first, from the left; an ellipsis stands for each
    run of them. Where that is too long still, the end is kept.
    """
    short = name.removesuffix(".weight").replace(".weight[", "[")
    parts = short.split(".")
    for place, part in enumerate(parts[:-1]):
        if len(short) <= width:
            break
        if not part.isdigit():
            parts[place] = ELLIPSIS
            short = RUN.sub(ELLIPSIS, ".".join(parts))
    if len(short) <= width:
        return short
    place = max(short.rfind("."), short.rfind(ELLIPSIS))
    head = short[:place] + ELLIPSIS if 0 < place <= width - 5 else ELLIPSIS  # no number is cut in two for a word
    return head + short[len(head) - width :]


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
