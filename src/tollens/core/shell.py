"""A word of a command line that is printed for people to run."""

from __future__ import annotations

import os
import shlex


def quoted(text: str | os.PathLike[str]) -> str:
    """`text` as a shell takes it for one word: a path with a blank in it stays one path."""
    return shlex.quote(os.fspath(text))
