"""Canonical bytes: one JSON text for one value (RFC 8785), one digest for one text whatever its line ends."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from json.encoder import encode_basestring
from pathlib import PurePosixPath
from typing import Any, Literal, TypeAlias

Mode: TypeAlias = Literal["text", "binary"]
SAFE = 2**53 - 1
"""The largest integer that every JSON reader keeps (RFC 8785 section 3.2.2.3, I-JSON)."""
TEXT_SUFFIXES = frozenset({".py", ".toml", ".json", ".jsonl", ".csv", ".tsv", ".txt", ".md", ".tex", ".yaml", ".yml"})


def canonical(value: Any) -> bytes:
    """The RFC 8785 form: keys in order of UTF-16 code units, numbers as ECMAScript prints them, no blanks.

    Raises: ValueError for NaN, infinities, integers beyond 2^53 - 1, lone surrogates and keys that are no text;
    TypeError for what JSON does not have.
    """
    parts: list[str] = []
    _write(value, parts)
    return "".join(parts).encode("utf-8")


def digest(value: Any) -> str:
    """SHA-256 of the canonical form, 64 hexadecimal digits."""
    return hashlib.sha256(canonical(value)).hexdigest()


def _write(value: Any, parts: list[str]) -> None:
    if value is None or isinstance(value, bool):
        parts.append({None: "null", True: "true", False: "false"}[value])
    elif isinstance(value, str):
        parts.append(_text(value))
    elif isinstance(value, int):
        if abs(value) > SAFE:
            raise ValueError(f"{value} is beyond 2^53 - 1: write it as a string")
        parts.append(str(value))
    elif isinstance(value, float):
        parts.append(_number(value))
    elif isinstance(value, Mapping):
        _write_object(value, parts)
    elif isinstance(value, list | tuple):
        for place, item in enumerate(value):
            parts.append("," if place else "[")
            _write(item, parts)
        parts.append("]" if value else "[]")
    else:
        raise TypeError(f"JSON has no {type(value).__name__}")


def _write_object(value: Mapping[Any, Any], parts: list[str]) -> None:
    if not all(isinstance(key, str) for key in value):
        raise ValueError("the keys of an object are text")
    for place, key in enumerate(sorted(value, key=lambda k: k.encode("utf-16-be", "surrogatepass"))):
        parts.append("," if place else "{")
        parts.append(_text(key) + ":")
        _write(value[key], parts)
    parts.append("}" if value else "{}")


def _text(value: str) -> str:
    value.encode("utf-8")  # a lone surrogate has no UTF-8 form: UnicodeEncodeError is a ValueError
    return encode_basestring(value)


def _number(value: float) -> str:
    """ECMAScript's Number::toString (ECMA-262 6.1.6.1.20): the shortest digits that read back as the same double."""
    if not math.isfinite(value):
        raise ValueError(f"{value!r} is no JSON number")
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    mantissa, _, exponent = f"{abs(value)!r}".partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = "" if fraction == "0" else fraction
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    count = len(digits)
    if count <= point <= 21:
        shown = digits + "0" * (point - count)
    elif 0 < point <= 21:
        shown = f"{digits[:point]}.{digits[point:]}"
    elif -6 < point <= 0:
        shown = f"0.{'0' * -point}{digits}"
    else:
        power = f"{'+' if point > 0 else '-'}{abs(point - 1)}"
        shown = f"{digits[0]}{'.' if count > 1 else ''}{digits[1:]}e{power}"
    return sign + shown


def unix_text(data: bytes) -> bytes:
    """The bytes of a text with CRLF as LF.

    Raises: ValueError for bytes that are not UTF-8 and for a carriage return that stands alone.
    """
    data.decode("utf-8")  # UnicodeDecodeError is a ValueError
    plain = data.replace(b"\r\n", b"\n")
    if b"\r" in plain:
        raise ValueError(f"a lone carriage return at byte {plain.index(13)}")
    return plain


def mode_of(path: str, data: bytes) -> Mode:
    """How a file is hashed: text where its name says text and its bytes are one."""
    if PurePosixPath(path).suffix.lower() not in TEXT_SUFFIXES:
        return "binary"
    try:
        unix_text(data)
    except ValueError:
        return "binary"
    return "text"


def sealed_bytes(data: bytes, mode: Mode) -> bytes:
    """What of a file is hashed and what a run is given. Raises: ValueError for a text that is none."""
    return unix_text(data) if mode == "text" else data


def file_digest(data: bytes, mode: Mode) -> str:
    """SHA-256 of the sealed bytes of a file, 64 hexadecimal digits. Raises: ValueError for a text that is none."""
    return hashlib.sha256(sealed_bytes(data, mode)).hexdigest()
