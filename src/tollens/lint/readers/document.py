"""What a file gives: its claims, and an account of the numbers that it holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from tollens.core.errors import TollensError
from tollens.lint.claim import Claim, Place
from tollens.lint.finding import Finding

Read: TypeAlias = Callable[[str], bytes]
"""Gives the bytes of a result file, named as the claim names it. Whether it may be opened is its to decide."""
MAX_LINE = 1_000_000
"""Longer lines are no report; what reads them would take its time."""


@dataclass(frozen=True, slots=True)
class Use:
    """A number of the file, and the field of the claim that it became; its column, from 1, where it is known."""

    claim: str
    field: str
    place: Place
    text: str


@dataclass(frozen=True, slots=True)
class Document:
    """The claims of one file. Of the `seen` numbers in it, `tagged` became a field of a claim; `uses` names them.

    `restated` are fields that were stated twice with values that cannot be one number.
    """

    path: str
    claims: tuple[Claim, ...]
    seen: int
    tagged: int
    restated: tuple[Finding, ...] = ()
    uses: tuple[Use, ...] = ()

    @property
    def counted(self) -> str:
        return f"found {self.tagged:,} tagged of {self.seen:,} numbers"


def syntax(where: object, expected: str, found: str, fix: str) -> TollensError:
    """The error for what cannot be read; `found` is shortened."""
    shown = found if len(found) <= 80 else f"{found[:77]}..."
    return TollensError("lint_syntax", str(where), expected=expected, found=shown, fix=fix)


def clean(path: str, text: str) -> str:
    """The text without a byte order mark and with one kind of line end. Raises `lint_syntax` for a huge line."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if len(text) > MAX_LINE:
        for number, line in enumerate(text.split("\n"), 1):
            if len(line) > MAX_LINE:
                raise syntax(
                    f"{path}:{number}", f"lines of at most {MAX_LINE:,} characters", f"{len(line):,}", "Break the line."
                )
    return text
