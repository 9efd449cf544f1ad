"""Errors in the text of a claim, with the place marked."""

from __future__ import annotations

from tollens.core.errors import TollensError

_BEFORE, _AFTER = 50, 30


def fault(code: str, text: str, position: int, *, expected: str, found: str, fix: str) -> TollensError:
    """A TollensError whose `found` shows the text around `position` with a caret under it.

    The excerpt is one line of printable ASCII, whatever the text holds.
    """
    start = max(0, position - _BEFORE)
    left = ascii(text[start:position])[1:-1]
    right = ascii(text[position : position + _AFTER])[1:-1]
    dots = "..." if start else ""
    more = "..." if position + _AFTER < len(text) else ""
    line = f"  {dots}{left}{right}{more}"
    caret = " " * (2 + len(dots) + len(left)) + "^"
    return TollensError(
        code,
        "claim",
        expected=expected,
        found=f"this:\n{line}\n{caret} {found}, column {position + 1}",
        fix=fix,
    )


def quoted(text: str, limit: int = 40) -> str:
    """`text` in backquotes, as printable ASCII, cut after `limit` characters."""
    return "`" + ascii(text[:limit])[1:-1] + ("..." if len(text) > limit else "") + "`"
