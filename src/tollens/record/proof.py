"""A record proved by the bytes of its line: the slow canonical form is made only where the bytes leave a doubt."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import msgspec

from tollens.core.canonical import canonical
from tollens.record.envelope import FIRST, Envelope, read_line, record_hash

_ENCODER = msgspec.json.Encoder(order="sorted")
_MARK = b',"hash":"'
_MARK_AND_HASH = len(_MARK) + 65
_BEYOND_BMP = re.compile(rb"[\xf0-\xff]")
_SHAPE = bytes.maketrans(b"123456789,[-", b"000000000:::")
_LONG = b":" + 16 * b"0"


def proved(lines: Sequence[bytes], prev: str = FIRST, seq: int = 0) -> list[Envelope] | None:
    """The records of whole lines, the first with number `seq` behind hash `prev`; None where one is none or does not
    fit.

    Which one and why is said by `envelope.check_chain`. A line that is its own canonical form (RFC 8785) is, without
    its member `hash`, what the hash was taken of. msgspec writes that form but for floats that are whole or have an
    exponent, integers beyond 2^53, control characters without a letter of their own, and keys beyond the basic plane:
    where one of them may be, and where the line is spelt otherwise, the canonical form is made.
    """
    odd: list[str] = []

    def read_float(text: str) -> float:
        value = float(text)
        if repr(value) != text or text.endswith(".0"):  # Python's form is ECMAScript's from 1e-4 on, if not whole
            try:
                if canonical(value).decode() == text:
                    return value
            except ValueError:  # infinite
                pass
            odd.append(text)
        return value

    decode, encode, sha256 = (
        msgspec.json.Decoder(Envelope, float_hook=read_float).decode,
        _ENCODER.encode,
        hashlib.sha256,
    )
    doubted = _doubted(b"\n".join(lines))  # asked of all lines at once: as a rule it is true of none
    records = []
    for text in lines:
        try:
            record = decode(text)
        except msgspec.DecodeError:
            return None
        if record.prev != prev or record.seq != seq:
            return None
        prev = record.hash
        start = text.rfind(_MARK)  # the last one is the record's own: in a string its quotes would be escaped
        if (
            odd
            or encode(record) != text
            or (doubted and _doubted(text))
            or sha256(text[:start] + text[start + _MARK_AND_HASH :]).hexdigest() != prev
        ):
            odd.clear()
            try:
                record = read_line(text)
                if record_hash(record) != prev:
                    return None
            except ValueError:  # a number that is none; msgspec.DecodeError is one
                return None
        seq += 1
        records.append(record)
    return records


def _doubted(text: bytes) -> bool:
    """Whether what msgspec wrote may not be canonical, floats apart: for bytes without blanks between their tokens."""
    if text.translate(_SHAPE).rfind(_LONG) >= 0:  # from the end it is looked for by the colon, rarer than digits
        return True
    if b"\\" in text and b"\\u" in text:
        return True
    return not text.isascii() and _BEYOND_BMP.search(text) is not None
