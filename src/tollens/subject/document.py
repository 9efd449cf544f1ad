"""JSON out of a stranger's file: bounded, UTF-8, without duplicate keys, and never deeper than the stack."""

from __future__ import annotations

import json
from typing import Any

from tollens.core.errors import TollensError


class _Duplicate(Exception):
    """A key stands twice in one object."""


def parse(data: bytes, subject: str, malformed: str, *, constants: bool = False) -> dict[str, Any]:
    """The JSON object in `data`; `malformed` is the code of text that is no UTF-8 or no JSON object.

    NaN and the infinities are no JSON; with `constants` they become their names, because configurations
    that Python wrote contain them.

    Raises: `malformed`, `header_too_deep`, `duplicate_key`.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _error(malformed, subject, "UTF-8 text", f"an invalid byte at {error.start}") from None
    try:
        found = json.loads(text, object_pairs_hook=_unique, parse_constant=str if constants else _no_constant)
    except _Duplicate as error:
        raise _error("duplicate_key", subject, "every key once", f"{error.args[0]!r:.80} twice") from None
    except RecursionError:
        raise _error("header_too_deep", subject, "a few levels of nesting", "more than the stack holds") from None
    except ValueError as error:  # malformed text, and integers of thousands of digits
        raise _error(malformed, subject, "one JSON object", str(error)[:120]) from None
    if not isinstance(found, dict):
        raise _error(malformed, subject, "a JSON object", f"a JSON {type(found).__name__}")
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _Duplicate(key)
            seen.add(key)
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def _error(code: str, subject: str, expected: str, found: str) -> TollensError:
    return TollensError(code, subject, expected=expected, found=found, fix="Fetch or save the file again.")
