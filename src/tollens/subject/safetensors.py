"""The safetensors format: an 8-byte length, a JSON header, the data. Every number of the header is checked
before it is used (format: Hugging Face, 2022; header limit 100,000,000 bytes, no holes, no overlaps).
"""

from __future__ import annotations

import math
from typing import Any

from tollens.core.errors import TollensError
from tollens.subject import document, file
from tollens.subject.contents import Contents
from tollens.subject.dtypes import LARGEST, STORED, size_in_bytes
from tollens.subject.place import Place
from tollens.subject.tensor import TensorInfo

MAX_HEADER = 100_000_000
MAX_RANK = 32
MAX_NAME = 1_024
SUFFIX = ".safetensors"


def read(folder: Place, name: str) -> Contents:
    """The header of `folder/name`; `metadata` is its `__metadata__`.

    Raises: `header_truncated`, `header_too_long`, `header_not_json`, `header_too_deep`, `duplicate_key`,
    `header_bad_entry`, `metadata_not_strings`, `tensor_name_invalid`, `dtype_unknown`, `shape_overflow`,
    `tensor_size_mismatch`, `tensor_out_of_bounds`, `tensor_overlap`, `tensor_hole`, `trailing_bytes`, and
    those of `file.opened`.
    """
    path = folder / name
    with file.opened(path) as blob:
        total = blob.size
        try:
            data, length = _header_bytes(blob, path, total)
        except OSError as error:
            raise file.unreadable(path, error) from None
    header = document.parse(data, f"header of {path}", "header_not_json")
    metadata = _metadata(header.pop("__metadata__", None), path)
    tensors = [_entry(key, value, path, name, 8 + length) for key, value in header.items()]
    tensors.sort(key=lambda t: (t.offset, t.offset + t.nbytes))
    _check_tiling(tensors, path, 8 + length, total)
    return Contents(tuple(tensors), metadata=metadata)


def _header_bytes(blob: file.Blob, path: Place, total: int) -> tuple[bytes, int]:
    prefix = bytearray(8)
    if total < 8 or blob.read_into(0, memoryview(prefix)) < 8:
        raise _error("header_truncated", str(path), "the length of a header in 8 bytes", f"a file of {total} bytes")
    length = int.from_bytes(prefix, "little")
    if length > MAX_HEADER:
        limit = f"a header of at most {MAX_HEADER} bytes"
        raise _error("header_too_long", str(path), limit, f"{length} declared")
    data = bytearray(min(length, total - 8))
    if blob.read_into(8, memoryview(data)) < length:
        raise _error("header_truncated", str(path), f"{8 + length} bytes", f"a file of {total} bytes")
    return bytes(data), length


def _metadata(metadata: Any, path: Place) -> dict[str, str]:
    if metadata is None:
        return {}
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise _error("metadata_not_strings", f"{path}: __metadata__", "a map of text to text", "another type")
    return dict(metadata)


def _entry(name: str, value: Any, path: Place, file_name: str, start: int) -> TensorInfo:
    where = f"{path}: {name!r:.80}"
    check_name(name, where)
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        raise _error("header_bad_entry", where, "an object with dtype, shape and data_offsets", _kind(value))
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str):
        raise _error("header_bad_entry", f"{where}: dtype", "text", _kind(dtype))
    if dtype not in STORED:
        raise _error("dtype_unknown", where, "a dtype of the safetensors format", f"{dtype!r:.40}")
    nbytes = checked_size(dtype, shape, where)
    if not _is_integers(offsets) or len(offsets) != 2:
        raise _error("header_bad_entry", f"{where}: data_offsets", "two integers", _kind(offsets))
    begin, end = offsets
    if not 0 <= begin <= end <= LARGEST:
        raise _error("tensor_out_of_bounds", where, "0 <= begin <= end", f"{offsets!s:.60}")
    if end - begin != nbytes:
        raise _error(
            "tensor_size_mismatch",
            where,
            f"{nbytes} bytes for {dtype} of shape {shape}",
            f"a range of {end - begin}",
        )
    return TensorInfo(name, tuple(shape), dtype, file_name, start + begin, nbytes)


def check_name(name: str, where: str) -> None:
    """A tensor name is printed and stored: it has at most 1,024 characters, all of them printable text.

    Raises: `tensor_name_invalid`.
    """
    if len(name) > MAX_NAME or not name.isprintable():  # lone surrogates and control characters do not print
        raise _error("tensor_name_invalid", where, f"at most {MAX_NAME} printable characters", "another name")


def checked_size(dtype: str, shape: Any, where: str) -> int:
    """Bytes of a tensor after checking that `shape` is one.

    Raises: `header_bad_entry`, `shape_overflow`.
    """
    if not _is_integers(shape):
        raise _error("header_bad_entry", f"{where}: shape", "a list of integers", _kind(shape))
    if len(shape) > MAX_RANK or any(n < 0 for n in shape):
        raise _error("header_bad_entry", where, f"at most {MAX_RANK} sides, none negative", f"{list(shape)!s:.60}")
    nbytes = size_in_bytes(dtype, shape)
    if nbytes is None:
        size = math.prod(n for n in shape if n)
        code = "header_bad_entry" if size <= LARGEST // 16 else "shape_overflow"
        raise _error(code, where, "a whole number of bytes below 2^63", f"{dtype} of shape {list(shape)!s:.60}")
    return nbytes


def _check_tiling(tensors: list[TensorInfo], path: Place, start: int, total: int) -> None:
    """The data of the tensors cover the rest of the file exactly: no byte twice, none unclaimed."""
    position = start
    for t in tensors:
        where = f"{path}: {t.name!r:.80}"
        if t.offset < position:
            raise _error("tensor_overlap", where, f"data from byte {position}", f"data from byte {t.offset}")
        if t.offset > position:
            raise _error("tensor_hole", where, f"data from byte {position}", f"data from byte {t.offset}")
        position += t.nbytes
    if position > total:
        raise _error("tensor_out_of_bounds", str(path), f"a file of {position} bytes", f"{total} bytes")
    if position < total:
        raise _error("trailing_bytes", str(path), f"a file of {position} bytes", f"{total} bytes")


def _is_integers(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(type(n) is int for n in value)  # a bool is no integer here


def _kind(value: Any) -> str:
    return f"{value!r:.60}" if isinstance(value, int | float | str | None) else f"a {type(value).__name__}"


def _error(code: str, subject: str, expected: str, found: str) -> TollensError:
    return TollensError(
        code,
        subject,
        expected=expected,
        found=found,
        fix="The file is damaged or forged: fetch or save it again.",
    )
