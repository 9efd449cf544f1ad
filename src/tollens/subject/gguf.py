"""The GGUF format of llama.cpp, versions 2 and 3: typed metadata, tensor descriptions, then aligned data (ggml
authors 2023). Every number of the header is checked before it is used, and only what is needed of it is read.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Any

from tollens.core.errors import TollensError
from tollens.subject import file
from tollens.subject.contents import Contents
from tollens.subject.dtypes import LARGEST, STORED
from tollens.subject.ggml import BLOCKS
from tollens.subject.gguf_config import config_of
from tollens.subject.gguf_cursor import Cursor, fault
from tollens.subject.place import Place
from tollens.subject.safetensors import check_name
from tollens.subject.tensor import TensorInfo

MAGIC = b"GGUF"
SUFFIX = ".gguf"
VERSIONS = (2, 3)
MAX_SIDES = 4
MAX_KEY = 65_535
MAX_VALUE = 65_536  # bytes of a text that is kept; longer ones are templates and licences
MAX_DEPTH = 4
MAX_ALIGNMENT = 1 << 20
DEFAULT_ALIGNMENT = 32
SMALLEST_PAIR = 13  # bytes: an empty key, the type, one byte
SMALLEST_TENSOR = 24  # bytes: an empty name, no sides, type and offset

SCALARS = {
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d",
}  # fmt: skip
TEXT, ARRAY = 8, 9
PLAIN = {0: "F32", 1: "F16", 24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64", 30: "BF16"}
"""Types whose numbers lie one by one, by the spelling of safetensors."""


@dataclass(frozen=True, slots=True)
class _Type:
    name: str
    elements: int
    nbytes: int


TYPES = {
    **{number: _Type(name, 1, STORED[name].bits // 8) for number, name in PLAIN.items()},
    **{b.number: _Type(b.name, b.elements, b.nbytes) for b in BLOCKS.values()},
}


def read(folder: Place, name: str) -> Contents:
    """The tensors of `folder/name` in the order of their data, shapes as in the models (GGUF lists sides from the
    innermost on); `metadata` holds its single values and texts, but not arrays and texts of more than `MAX_VALUE`
    bytes.

    Raises: `format_unknown`, `format_version_unsupported`, `header_truncated`, `header_too_long`, `header_too_deep`,
    `header_bad_entry`, `duplicate_key`, `tensor_name_invalid`, `dtype_unknown`, `shape_overflow`,
    `tensor_unaligned`, `tensor_out_of_bounds`, `tensor_overlap`, `tensor_hole`, `trailing_bytes`, and those of
    `file.opened`.
    """
    path = folder / name
    with file.opened(path) as blob:
        try:
            return _parsed(Cursor(blob, str(path)), name)
        except OSError as error:
            raise file.unreadable(path, error) from None


def _parsed(cursor: Cursor, file_name: str) -> Contents:
    if cursor.take(min(4, cursor.size)) != MAGIC:
        raise fault("format_unknown", cursor.where, "a file that begins with GGUF", "other bytes")
    _check_version(cursor)
    count, pairs = cursor.number("<Q"), cursor.number("<Q")
    cursor.check_room(pairs, SMALLEST_PAIR, "metadata entries")
    values = _metadata(cursor, pairs)
    alignment = _alignment(values, cursor.where)
    cursor.check_room(count, SMALLEST_TENSOR, "tensors")
    tensors = _tensors(cursor, count, file_name, alignment)
    start = _aligned(cursor.position, alignment)
    placed = sorted((_moved(t, start) for t in tensors), key=lambda t: (t.offset, t.offset + t.nbytes))
    _check_tiling(placed, cursor, start, alignment)
    text = {key: str(value) for key, value in values.items()}
    return Contents(tuple(placed), metadata=text, config=config_of(values))


def _check_version(cursor: Cursor) -> None:
    version = cursor.number("<I")
    if version in VERSIONS:
        return
    swapped = int.from_bytes(version.to_bytes(4, "little"), "big")
    found = f"version {swapped}, big endian" if swapped < version else f"version {version}"
    raise TollensError(
        "format_version_unsupported", cursor.where, expected="little-endian GGUF of version 2 or 3", found=found,
        fix="Convert the model again with the current tools of llama.cpp.",
    )  # fmt: skip


def _metadata(cursor: Cursor, count: int) -> dict[str, Any]:
    """The single values and the shorter texts, by key; all else is passed over."""
    kept: dict[str, Any] = {}
    seen: set[str] = set()
    for _ in range(count):
        key = _name(cursor, MAX_KEY, "a metadata key")
        if key in seen:
            raise fault("duplicate_key", cursor.where, "every key once", f"{key!r:.80} twice")
        seen.add(key)
        kind = cursor.number("<I")
        if kind == TEXT:
            length = cursor.number("<Q")
            if length <= MAX_VALUE:
                kept[key] = cursor.take(length).decode("utf-8", errors="replace")
            else:
                cursor.skip(length)
        elif kind == ARRAY:
            _pass_array(cursor, f"{cursor.where}: {key!r:.80}", MAX_DEPTH)
        elif kind in SCALARS:
            kept[key] = cursor.number(SCALARS[kind])
        else:
            raise fault("header_bad_entry", f"{cursor.where}: {key!r:.80}", "a value type from 0 to 12", f"{kind}")
    return kept


def _pass_array(cursor: Cursor, where: str, depth: int) -> None:
    kind, count = cursor.number("<I"), cursor.number("<Q")
    if kind in SCALARS:
        cursor.skip(count * struct.calcsize(SCALARS[kind]))
        return
    if kind not in (TEXT, ARRAY):
        raise fault("header_bad_entry", where, "a value type from 0 to 12", f"{kind}")
    if kind == ARRAY and depth == 1:
        raise fault("header_too_deep", where, f"arrays at most {MAX_DEPTH} deep", "deeper ones")
    cursor.check_room(count, 8 if kind == TEXT else 12, "array elements")
    for _ in range(count):
        if kind == TEXT:
            cursor.skip(cursor.number("<Q"))
        else:
            _pass_array(cursor, where, depth - 1)


def _name(cursor: Cursor, longest: int, what: str) -> str:
    length = cursor.number("<Q")
    if length > longest:
        cursor.check_room(length, 1, f"bytes of {what}")
        raise fault("header_bad_entry", cursor.where, f"{what} of at most {longest} bytes", f"{length} bytes")
    try:
        return cursor.take(length).decode("utf-8")
    except UnicodeDecodeError:
        raise fault("tensor_name_invalid", cursor.where, f"{what} in UTF-8", "other bytes") from None


def _alignment(values: dict[str, Any], where: str) -> int:
    found = values.get("general.alignment", DEFAULT_ALIGNMENT)
    if type(found) is not int or not 0 < found <= MAX_ALIGNMENT or found & (found - 1):
        expected = f"a power of two up to {MAX_ALIGNMENT}"
        raise fault("header_bad_entry", f"{where}: general.alignment", expected, f"{found!r:.40}")
    return found


def _tensors(cursor: Cursor, count: int, file_name: str, alignment: int) -> list[TensorInfo]:
    """As described; offsets count from the start of the data."""
    tensors: list[TensorInfo] = []
    seen: set[str] = set()
    for _ in range(count):
        name = _name(cursor, MAX_KEY, "a tensor name")
        where = f"{cursor.where}: {name!r:.80}"
        check_name(name, where)
        if name in seen:
            raise fault("duplicate_key", where, "every tensor once", "two of this name")
        seen.add(name)
        rank = cursor.number("<I")
        if rank > MAX_SIDES:
            raise fault("header_bad_entry", where, f"at most {MAX_SIDES} sides", f"{rank}")
        shape = tuple(cursor.number("<Q") for _ in range(rank))[::-1]
        number, offset = cursor.number("<I"), cursor.number("<Q")
        stored = TYPES.get(number)
        if stored is None:
            raise fault("dtype_unknown", where, "a type of GGUF", f"type {number}")
        nbytes = _size(stored, shape, where)
        if offset % alignment:
            raise fault("tensor_unaligned", where, f"an offset that {alignment} divides", f"{offset}")
        tensors.append(TensorInfo(name, shape, stored.name, file_name, offset, nbytes))
    return tensors


def _size(stored: _Type, shape: tuple[int, ...], where: str) -> int:
    if math.prod(n for n in shape if n) * max(stored.nbytes, 8) > LARGEST:
        raise fault("shape_overflow", where, "less than 2^63 bytes", f"{list(shape)!s:.60}")
    if (shape[-1] if shape else 1) % stored.elements:
        expected = f"rows of whole blocks of {stored.elements} for {stored.name}"
        raise fault("header_bad_entry", where, expected, f"shape {list(shape)!s:.60}")
    return math.prod(shape) // stored.elements * stored.nbytes


def _aligned(position: int, alignment: int) -> int:
    return -(-position // alignment) * alignment


def _moved(t: TensorInfo, start: int) -> TensorInfo:
    return TensorInfo(t.name, t.shape, t.dtype, t.file, start + t.offset, t.nbytes)


def _check_tiling(tensors: list[TensorInfo], cursor: Cursor, start: int, alignment: int) -> None:
    """The data cover the rest of the file: no byte twice, and none unclaimed but what alignment leaves."""
    position, total = start, cursor.size
    for t in tensors:
        where = f"{cursor.where}: {t.name!r:.80}"
        if t.offset + t.nbytes > total:
            raise fault("tensor_out_of_bounds", where, f"data up to byte {total}", f"up to {t.offset + t.nbytes}")
        if t.offset < position:
            raise fault("tensor_overlap", where, f"data from byte {position}", f"data from byte {t.offset}")
        if t.offset > _aligned(position, alignment):
            raise fault("tensor_hole", where, f"data from byte {position}", f"data from byte {t.offset}")
        position = t.offset + t.nbytes
    if total > _aligned(position, alignment):
        raise fault("trailing_bytes", cursor.where, f"a file of {position} bytes", f"{total} bytes")
