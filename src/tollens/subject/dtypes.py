"""Stored number formats: how many bits they take, which of them hold weights, and how they become floats."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tollens.subject.ggml import BLOCKS

Floats: TypeAlias = NDArray[np.float32] | NDArray[np.float64]
Bytes: TypeAlias = NDArray[np.uint8]

LARGEST = 2**63 - 1  # numpy and the operating system count bytes in signed 64 bits


class Kind(StrEnum):
    """What the bytes of a stored type can be."""

    FLOAT = "float"  # weights, decoded here
    INTEGER = "integer"
    BOOL = "bool"
    PACKED = "packed"  # several values in one byte: meaningless without the rule that packed them
    BLOCKS = "blocks"  # quantised in blocks, which `ggml` expands to f32
    OTHER = "other"  # complex, exponents only, text: recognised and not decoded


@dataclass(frozen=True, slots=True)
class StoredType:
    """Name, size in bits, and kind."""

    name: str
    bits: int
    kind: Kind


_NATIVE = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}
_EXTENDED = {
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
}
"""The float types that are decoded: those numpy has, and those of ml_dtypes with their names there."""

STORED: dict[str, StoredType] = {
    t.name: t
    for t in (
        StoredType("F64", 64, Kind.FLOAT),
        StoredType("F32", 32, Kind.FLOAT),
        StoredType("F16", 16, Kind.FLOAT),
        StoredType("BF16", 16, Kind.FLOAT),
        StoredType("F8_E4M3", 8, Kind.FLOAT),
        StoredType("F8_E5M2", 8, Kind.FLOAT),
        StoredType("F8_E4M3FNUZ", 8, Kind.FLOAT),
        StoredType("F8_E5M2FNUZ", 8, Kind.FLOAT),
        *(StoredType(f"{sign}{bits}", bits, Kind.INTEGER) for bits in (8, 16, 32, 64) for sign in "IU"),
        StoredType("BOOL", 8, Kind.BOOL),
        StoredType("F4", 4, Kind.PACKED),
        StoredType("F6_E2M3", 6, Kind.PACKED),
        StoredType("F6_E3M2", 6, Kind.PACKED),
        StoredType("F8_E8M0", 8, Kind.OTHER),
        StoredType("C64", 64, Kind.OTHER),
        StoredType("C128", 128, Kind.OTHER),
    )
}


def kind_of(dtype: str) -> Kind:
    """Kind of a stored type; names nobody knows are `OTHER`."""
    if dtype in BLOCKS:
        return Kind.BLOCKS
    stored = STORED.get(dtype)
    return Kind.OTHER if stored is None else stored.kind


def size_in_bytes(dtype: str, shape: Sequence[int]) -> int | None:
    """Bytes of a tensor of a known `dtype`; None where they are no whole number or exceed 2^63 - 1.

    A zero side does not excuse the others: (0, 2^62) is as unusable as (1, 2^62).
    """
    bits = STORED[dtype].bits
    if math.prod(n for n in shape if n) * max(bits, 64) // 8 > LARGEST:
        return None
    total = math.prod(shape) * bits
    return None if total % 8 else total // 8


def decoded(dtype: str) -> np.dtype[Any]:
    """The type a reader returns: f64 for F64, f32 for every narrower float."""
    return np.dtype(np.float64 if dtype == "F64" else np.float32)


def is_direct(dtype: str, out: Floats, swapped: bool = False) -> bool:
    """Whether the stored bytes are already the bytes of `out`: then a file may be read straight into it."""
    return not swapped and dtype in _NATIVE and _numpy_type(dtype) == out.dtype


def decode_into(raw: Bytes, dtype: str, out: Floats, swapped: bool = False) -> None:
    """Decode `out.size` stored numbers; `raw` is 1-D and holds exactly their bytes, `out` is 1-D contiguous.

    `swapped` marks big-endian bytes. Every value of every type is exact in f32 (F64: in f64); writing F64
    into an f32 `out` rounds to nearest, and overflow becomes an infinity that the caller's finite check sees.
    """
    if dtype == "BF16" and not swapped and out.dtype == np.float32:
        bits = out.view(np.uint32)
        bits[...] = raw.view("<u2")
        np.left_shift(bits, 16, out=bits)  # a bfloat16 is the upper half of a float32
        return
    stored = _numpy_type(dtype)
    with np.errstate(over="ignore", invalid="ignore"):  # infinities and NaN are data here
        if stored.itemsize <= 2:
            codes = raw if stored.itemsize == 1 else raw.view(">u2" if swapped else "<u2")
            if out.dtype == np.float32:  # "clip" lets numpy write straight into `out`; no code is out of range
                np.take(_table(dtype), codes, out=out, mode="clip")
            else:
                out[...] = np.take(_table(dtype), codes)
        else:
            out[...] = raw.view(stored.newbyteorder(">") if swapped else stored)


def encoded(values: NDArray[np.float64], dtype: str) -> Bytes:
    """The little-endian bytes of `values` (n,) in the float type `dtype`, each rounded once, to nearest even.

    What exceeds the range of the type becomes an infinity, or a NaN where it has none. Raises: ValueError if `dtype`
    is no float type.
    """
    target = _numpy_type(dtype)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        if dtype in _NATIVE:
            return np.ascontiguousarray(values.astype(target)).view(np.uint8)
        return np.ascontiguousarray(_to_odd(values).astype(target)).view(np.uint8)


def _to_odd(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """To float32 with the last bit set where digits were lost, so that rounding again rounds as if it were once.

    Holds for a second type of at least two bits less (Boldo, Melquiond 2008, IEEE Transactions on Computers 57:462).
    """
    found = values.astype(np.float32)
    back = found.astype(np.float64)
    bits = found.view(np.uint32)
    inexact = (back != values) & np.isfinite(values)
    bits[inexact & (np.abs(back) > np.abs(values))] -= 1  # towards zero; of an infinity to the largest number
    bits[inexact] |= 1
    return found


def rounded_to(values: Floats, dtype: str) -> Floats:
    """`values` rounded once to the nearest numbers of a stored float type, ties to even, in the dtype they came in.

    Beyond its range they become infinite, or NaN in a type without infinities. Raises: ValueError if `dtype` is no
    float type.
    """
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        if values.dtype == np.float32:
            return values.astype(_numpy_type(dtype)).astype(np.float32)
        codes = encoded(values.reshape(-1).astype(np.float64, copy=False), dtype).view(_numpy_type(dtype))
        return codes.astype(np.float64).reshape(values.shape)


def _numpy_type(dtype: str) -> np.dtype[Any]:
    """The little-endian numpy type of the stored numbers. Raises: ValueError if `dtype` is no float type."""
    if dtype in _NATIVE:
        return np.dtype(_NATIVE[dtype])
    if dtype not in _EXTENDED:
        raise ValueError(f"{dtype} is no float type")
    import ml_dtypes  # costs 0.005 s to import, and bfloat16 is decoded without it

    found: np.dtype[Any] = np.dtype(getattr(ml_dtypes, _EXTENDED[dtype]))
    return found.newbyteorder("<")


@cache
def _table(dtype: str) -> NDArray[np.float32]:
    """Value of every code of an 8- or 16-bit type: a look-up is several times faster than the conversion."""
    stored = _numpy_type(dtype)
    codes: NDArray[Any] = np.arange(1 << STORED[dtype].bits).astype(f"<u{stored.itemsize}")
    with np.errstate(invalid="ignore"):
        return codes.view(stored).astype(np.float32)
