"""GGUF files written by hand, number by number, so that each of them can be made wrong."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

TYPES = {"F32": 0, "F16": 1, "Q4_0": 2, "Q8_0": 8, "Q4_K": 12, "Q6_K": 14, "Q8_K": 15, "I32": 26, "F64": 28, "BF16": 30}
TEXT, ARRAY = 8, 9


def text(value: str | bytes, length: int | None = None) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(data) if length is None else length) + data


def pair(key: str | bytes, kind: int, value: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + value


def array(kind: int, count: int, items: bytes = b"") -> bytes:
    return struct.pack("<IQ", kind, count) + items


def u32(value: int) -> bytes:
    return struct.pack("<I", value)


class Tensor(NamedTuple):
    """`sides` as GGUF lists them, from the innermost on; `offset` is counted from the start of the data."""

    name: str | bytes
    sides: Sequence[int]
    kind: str | int
    offset: int

    def described(self) -> bytes:
        number = self.kind if isinstance(self.kind, int) else TYPES[self.kind]
        sides = struct.pack(f"<I{len(self.sides)}Q", len(self.sides), *self.sides)
        return text(self.name) + sides + struct.pack("<IQ", number, self.offset)


def gguf(
    tensors: Sequence[Tensor],
    data: bytes,
    pairs: Sequence[bytes] = (),
    *,
    version: int = 3,
    counts: tuple[int, int] | None = None,
    alignment: int = 32,
    padded: bool = True,
) -> bytes:
    """A file of these descriptions and these data; `counts` (tensors, pairs) may lie."""
    said = (len(tensors), len(pairs)) if counts is None else counts
    head = b"GGUF" + struct.pack("<IQQ", version, *said) + b"".join(pairs) + b"".join(t.described() for t in tensors)
    if padded:
        head += b"\0" * (-len(head) % alignment)
    return head + data
