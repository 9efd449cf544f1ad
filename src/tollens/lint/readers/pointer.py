"""Numbers that stand in a result file: `results.json#/rows/0/acc`, by JSON pointer (RFC 6901, unescaped form)."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from tollens.core.errors import TollensError
from tollens.lint.readers.document import Read

SHOWN = 80


class _Digits(str):
    """A number of a JSON text, as it is written there."""

    __slots__ = ()


class Results:
    """The result files of one document, each read once.

    A JSON number keeps its digits, so `0.50` has the rounding that the file shows; a string of digits is
    taken as they stand.
    """

    def __init__(self, read: Read) -> None:
        self._read = read
        self._files: dict[str, tuple[Any, str]] = {}

    def digits(self, target: str, where: str) -> tuple[str | tuple[str, ...], str]:
        """The digits at `target`, or those of a list of numbers, with the SHA-256 of the file.

        Raises TollensError `lint_pointer`, and whatever the reading of the file raises.
        """
        path, mark, pointer = target.rpartition("#")
        if not mark or not path or (pointer and not pointer.startswith("/")):
            raise _nowhere(where, "a path, # and a pointer, such as results.json#/acc", repr(target))
        if path not in self._files:
            self._files[path] = _parsed(self._read(path), f"{where}: {path}")
        value, digest = self._files[path]
        for part in pointer.split("/")[1:]:
            value = _step(value, part.replace("~1", "/").replace("~0", "~"), target, where)
        found = tuple(_number(v, target, where) for v in value) if isinstance(value, list) else None
        return (found if found else _number(value, target, where)), digest


def _parsed(data: bytes, where: str) -> tuple[Any, str]:
    try:
        text = data.decode("utf-8-sig")
        found = json.loads(
            text, parse_float=_Digits, parse_int=_Digits, parse_constant=_constant, object_pairs_hook=_unique
        )
    except (ValueError, RecursionError) as error:
        raise _nowhere(where, "a JSON file in UTF-8", f"{type(error).__name__}: {error}") from None
    return found, hashlib.sha256(data).hexdigest()


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands twice in one table")
    return found


def _step(value: Any, part: str, target: str, where: str) -> Any:
    if isinstance(value, dict) and part in value:
        return value[part]
    if isinstance(value, list) and part.isascii() and part.isdigit() and len(part) < 10 and str(int(part)) == part:
        if int(part) < len(value):
            return value[int(part)]
        raise _nowhere(where, f"an index below {len(value)}", f"{part!r} in {target!r}")
    keys = ", ".join(map(repr, list(value)[:8])) if isinstance(value, dict) else f"a {type(value).__name__.strip('_')}"
    raise _nowhere(
        where, f"one of {keys}" if isinstance(value, dict) else "a table or a list", f"{part!r} in {target!r}"
    )


def _number(value: Any, target: str, where: str) -> str:
    if isinstance(value, str):
        return str(value)
    raise _nowhere(where, "a number, a string of digits or a list of them", f"a {type(value).__name__} at {target!r}")


def _nowhere(where: str, expected: str, found: str) -> TollensError:
    return TollensError(
        "lint_pointer",
        where,
        expected=expected[: 4 * SHOWN],
        found=found if len(found) <= SHOWN else f"{found[: SHOWN - 3]}...",
        fix="Correct the path, or the pointer after the #.",
    )
