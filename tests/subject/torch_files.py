"""A writer of the zip archives of PyTorch that shares no code with the reader: instructions and directory by hand."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

STORAGES = {
    "F64": ("DoubleStorage", 8), "F32": ("FloatStorage", 4), "F16": ("HalfStorage", 2), "BF16": ("BFloat16Storage", 2),
    "I64": ("LongStorage", 8), "I32": ("IntStorage", 4), "I16": ("ShortStorage", 2), "I8": ("CharStorage", 1),
    "U8": ("ByteStorage", 1), "BOOL": ("BoolStorage", 1), "C64": ("ComplexFloatStorage", 8),
    "C128": ("ComplexDoubleStorage", 16),
}  # fmt: skip
"""Types that a storage is named after."""
UNTYPED = {
    "F8_E4M3": ("float8_e4m3fn", 1), "F8_E5M2": ("float8_e5m2", 1), "F8_E4M3FNUZ": ("float8_e4m3fnuz", 1),
    "F8_E5M2FNUZ": ("float8_e5m2fnuz", 1), "F8_E8M0": ("float8_e8m0fnu", 1), "U16": ("uint16", 2),
    "U32": ("uint32", 4), "U64": ("uint64", 8),
}  # fmt: skip
"""Types that came later: their storages are plain bytes."""
WIDTHS = {dtype: width for dtype, (_, width) in (STORAGES | UNTYPED).items()}


@dataclass(frozen=True)
class View:
    """A tensor over the storage `key` of `count` elements; `strides` None means C order."""

    key: str
    dtype: str
    count: int
    shape: tuple[int, ...]
    strides: tuple[int, ...] | None = None
    first: int = 0


@dataclass(frozen=True)
class Ordered:
    """An OrderedDict; with `state`, what `Module.state_dict` hangs onto it."""

    entries: Mapping[Any, Any]
    state: Mapping[Any, Any] | None = None


@dataclass(frozen=True)
class Code:
    """Instructions to put in the place of a value."""

    code: bytes


def named(module: str, name: str) -> bytes:
    return b"c" + module.encode() + b"\n" + name.encode() + b"\n"


def called(module: str, name: str, arguments: Any) -> Code:
    return Code(named(module, name) + value(arguments) + b"R")


def parameter(view: View | Code) -> Code:
    return called("torch._utils", "_rebuild_parameter", (view, True, Ordered({})))


def value(given: Any) -> bytes:
    """The instructions that leave `given` on the stack."""
    match given:
        case Code():
            return given.code
        case None:
            return b"N"
        case bool():
            return b"\x88" if given else b"\x89"
        case int() if -(2**31) <= given < 2**31:
            return b"J" + struct.pack("<i", given)
        case int():
            raw = given.to_bytes(given.bit_length() // 8 + 1, "little", signed=True)
            return b"\x8a" + bytes([len(raw)]) + raw
        case float():
            return b"G" + struct.pack(">d", given)
        case str():
            raw = given.encode("utf-8", "surrogatepass")
            return b"X" + struct.pack("<I", len(raw)) + raw
        case tuple():
            return b"(" + b"".join(map(value, given)) + b"t"
        case list():
            return b"](" + b"".join(map(value, given)) + b"e"
        case Ordered():
            state = b"" if given.state is None else value(given.state) + b"b"
            return named("collections", "OrderedDict") + b")R" + _entries(given.entries) + state
        case dict():
            return b"}" + _entries(given)
        case View():
            return _view(given)
    raise TypeError(type(given))


def _entries(entries: Mapping[Any, Any]) -> bytes:
    return b"(" + b"".join(value(k) + value(v) for k, v in entries.items()) + b"u"


def storage(key: str, dtype: str, count: int) -> Code:
    if dtype in STORAGES:
        kind = Code(named("torch", STORAGES[dtype][0]))
    else:
        kind, count = Code(named("torch.storage", "UntypedStorage")), count * WIDTHS[dtype]
    return Code(value(("storage", kind, key, "cpu", count)) + b"Q")


def c_order(shape: tuple[int, ...]) -> tuple[int, ...]:
    strides, step = [], 1
    for side in reversed(shape):
        strides.append(step)
        step *= side
    return tuple(reversed(strides))


def _view(view: View) -> bytes:
    strides = c_order(view.shape) if view.strides is None else view.strides
    arguments: tuple[Any, ...] = (storage(view.key, view.dtype, view.count), view.first, view.shape, strides)
    arguments += (False, Ordered({}))
    if view.dtype in STORAGES:
        return called("torch._utils", "_rebuild_tensor_v2", arguments).code
    dtype = Code(named("torch", UNTYPED[view.dtype][0]))
    return called("torch._utils", "_rebuild_tensor_v3", (*arguments, dtype)).code


def pickled(given: Any) -> bytes:
    return b"\x80\x02" + value(given) + b"."


@dataclass(frozen=True)
class Entry:
    """A member of an archive. `local` and `central` overwrite fields of its two headers, by their names there."""

    name: str
    data: bytes
    local: Mapping[str, int] = field(default_factory=dict)
    central: Mapping[str, int] = field(default_factory=dict)
    local_name: str | None = None
    before: bytes = b""  # what stands between the member and the one before it
    extra: bytes = b""  # fields of the directory, and
    local_extra: bytes = b""  # of the member's own header


LOCAL = ("version", "flags", "method", "time", "date", "crc", "packed", "size", "names", "extras")
CENTRAL = ("made", *LOCAL, "comments", "disk", "inside", "outside", "start")


def zipped(entries: Iterable[Entry], wide: Mapping[str, int] | None = None, **end: int) -> bytes:
    """An archive of stored members. `end` overwrites fields of its end record; with `wide` there is one of 64 bits
    too, whose fields it overwrites.
    """
    body, directory, count = bytearray(), bytearray(), 0
    for e in entries:
        body += e.before
        name, other = e.name.encode(), (e.name if e.local_name is None else e.local_name).encode()
        plain = dict.fromkeys(CENTRAL, 0) | {"crc": zlib.crc32(e.data), "packed": len(e.data), "size": len(e.data)}
        central = plain | {"names": len(name), "extras": len(e.extra), "start": len(body)} | dict(e.central)
        local = plain | {"names": len(other), "extras": len(e.local_extra)} | dict(e.local)
        body += b"PK\x03\x04" + struct.pack("<5H3I2H", *(local[f] for f in LOCAL)) + other + e.local_extra + e.data
        directory += b"PK\x01\x02" + struct.pack("<6H3I5H2I", *(central[f] for f in CENTRAL)) + name + e.extra
        count += 1
    record = {"disk": 0, "first": 0, "here": count, "count": count, "size": len(directory), "begin": len(body)}
    tail = b""
    if wide is not None:
        at = (
            {"length": 44, "made": 0, "version": 0, "at": len(body + directory), "disks": 1, "part": 0}
            | record
            | dict(wide)
        )
        fields = ("length", "made", "version", "disk", "first", "here", "count", "size", "begin")
        tail = b"PK\x06\x06" + struct.pack("<Q2H2I4Q", *(at[f] for f in fields))
        tail += b"PK\x06\x07" + struct.pack("<IQI", at["part"], at["at"], at["disks"])
    return bytes(body + directory) + tail + b"PK\x05\x06" + struct.pack("<4H2IH", *(record | end).values(), 0)


def members(program: bytes, data: Mapping[str, bytes], prefix: str = "archive/") -> list[Entry]:
    """What `torch.save` puts into an archive, in its order."""
    return [
        Entry(f"{prefix}data.pkl", program),
        Entry(f"{prefix}.format_version", b"1"),
        Entry(f"{prefix}byteorder", b"little"),
        *(Entry(f"{prefix}data/{key}", raw) for key, raw in data.items()),
        Entry(f"{prefix}version", b"3\n"),
        Entry(f"{prefix}.data/serialization_id", b"0" * 40),
    ]


def saved(given: Any, data: Mapping[str, bytes]) -> bytes:
    """The file of `torch.save(given)`, whose storages hold `data`."""
    return zipped(members(pickled(given), data))
