"""The npz format: a zip archive of `.npy` members, each with its own small header (NumPy, NEP 1, 2007).

Members are read as streams and never unpacked to disk; object arrays, which are pickles, are refused.
"""

from __future__ import annotations

import io
import math
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tollens.core.errors import TollensError
from tollens.subject import file
from tollens.subject.blob_stream import BlobStream
from tollens.subject.contents import Contents
from tollens.subject.dtypes import LARGEST, STORED
from tollens.subject.place import Place
from tollens.subject.safetensors import MAX_RANK, check_name
from tollens.subject.tensor import TensorInfo

MAX_NPY_HEADER = 65_536
NEAR, FAR = (
    1 << 17,
    1 << 14,
)  # bytes read ahead of an archive; the members of a remote one are visited for their headers
DEFLATE_LIMIT = 1_032  # deflate codes at most 258 bytes in 2 bits: a longer expansion is a forged size
BROKEN = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, OverflowError,
    RuntimeError, KeyError, IndexError, MemoryError,
)  # fmt: skip  # what zipfile lets through on damaged archives; RuntimeError covers encryption
DESCR = re.compile(r"([<>|=])([a-zA-Z])(\d{0,6})(\[[a-zA-Z0-9]{1,8}\])?")
PAIR = re.compile(
    r"\s*['\"](descr|fortran_order|shape)['\"]\s*:\s*"
    r"(?:['\"]([^'\"\\]{1,32})['\"]|(True|False)|\(([\dL,\s]{0,2000})\))\s*,?\s*"
)
SIDE = re.compile(r"\s*(\d{1,20})L?\s*", re.ASCII)
KINDS = {"f": "F", "i": "I", "u": "U", "c": "C"}


@dataclass(frozen=True, slots=True)
class Header:
    """What a member says about itself; `length` is where its data begin in the decompressed member."""

    dtype: str
    shape: tuple[int, ...]
    fortran: bool
    swapped: bool
    itemsize: int
    length: int

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.itemsize


def read(folder: Place, name: str) -> Contents:
    """The arrays of `folder/name` in the order of the archive; `others` are the members that are no arrays.

    Raises: `archive_invalid`, `archive_member_path`, `archive_size_mismatch`, `duplicate_key`,
    `pickle_refused`, `header_bad_entry`, `shape_overflow`, `tensor_name_invalid`, those of `file.opened`.
    """
    path = folder / name
    tensors: list[TensorInfo] = []
    others: list[str] = []
    with file.opened(path) as blob, _archive(blob, path) as archive:
        members = archive.infolist()
        _check_members(members, path, blob.size)
        for member in members:
            key = _tensor_name(member.filename)
            if key is None:
                others.append(member.filename)
                continue
            with _member(archive, member, path) as stream:
                header = _header(stream, f"{path}: {member.filename!r:.80}")
            _check_size(member, header, path)
            tensors.append(TensorInfo(key, header.shape, header.dtype, name, 0, header.nbytes))
    return Contents(tuple(tensors), tuple(others))


@contextmanager
def opened(blob: file.Blob, path: Place, tensor: str) -> Iterator[tuple[IO[bytes], Header]]:
    """The decompressed bytes of one array as a seekable stream, positioned at its data, and its header.

    Raises: as `read`.
    """
    with _archive(blob, path) as archive:
        for member in archive.infolist():
            if _tensor_name(member.filename) == tensor:
                break
        else:
            raise _error("changed_while_reading", f"{path}: {tensor!r:.80}", "a member of this name", "none")
        with _member(archive, member, path) as stream:
            header = _header(stream, f"{path}: {member.filename!r:.80}")
            _check_size(member, header, path)
            yield stream, header


@contextmanager
def _archive(blob: file.Blob, path: Place) -> Iterator[zipfile.ZipFile]:
    ahead = NEAR if isinstance(path, Path) else FAR
    with io.BufferedReader(BlobStream(blob), ahead) as raw:
        try:
            archive = zipfile.ZipFile(raw)
        except BROKEN as error:
            raise broken(path, error) from None
        with archive:
            yield archive


@contextmanager
def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Place) -> Iterator[IO[bytes]]:
    try:
        stream = archive.open(member)
    except BROKEN as error:
        raise broken(path, error) from None
    with stream:
        yield stream


def _tensor_name(member: str) -> str | None:
    return member[:-4] if member.endswith(".npy") else None


def _check_members(members: list[zipfile.ZipInfo], path: Place, total: int) -> None:
    seen: set[str] = set()
    for m in members:
        where = f"{path}: {m.filename!r:.80}"
        if m.filename in seen:
            raise _error("duplicate_key", where, "every member once", "it stands twice in the archive")
        seen.add(m.filename)
        if m.filename.startswith("/") or "\\" in m.filename or ".." in m.filename.split("/"):
            raise _error("archive_member_path", where, "a plain member name", "a path out of the archive")
        if m.filename.rsplit("/", 1)[-1].endswith(".pkl"):
            raise pickle_refused(path, "an archive that holds a pickle")
        if m.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise _error("archive_invalid", where, "a stored or deflated member", f"method {m.compress_type}")
        if m.file_size > DEFLATE_LIMIT * m.compress_size + DEFLATE_LIMIT:
            found = f"{m.file_size} bytes out of {m.compress_size}"
            raise _error("archive_size_mismatch", where, "an expansion that deflate can reach", found)
        if key := _tensor_name(m.filename):
            check_name(key, where)
    if sum(m.compress_size for m in members) > total:
        raise _error("archive_size_mismatch", str(path), f"members of at most {total} bytes", "overlapping members")


def _check_size(member: zipfile.ZipInfo, header: Header, path: Place) -> None:
    declared = header.length + header.nbytes
    if member.file_size != declared:
        raise _error(
            "archive_size_mismatch", f"{path}: {member.filename!r:.80}",
            f"{declared} bytes, as the array's own header says", f"{member.file_size} bytes in the archive",
        )  # fmt: skip


def _header(stream: IO[bytes], where: str) -> Header:
    prefix = _exactly(stream, 8, where)
    if prefix[:6] != b"\x93NUMPY":
        raise _error("archive_invalid", where, "an .npy header", f"{prefix[:6]!r}")
    version = prefix[6]
    if version not in (1, 2, 3):
        raise _error("archive_invalid", where, "an .npy header of version 1 to 3", f"version {version}")
    width = 2 if version == 1 else 4
    length = int.from_bytes(_exactly(stream, width, where), "little")
    if length > MAX_NPY_HEADER:
        raise _error("header_too_long", where, f"at most {MAX_NPY_HEADER} bytes of array header", f"{length}")
    text = _exactly(stream, length, where).decode("utf-8" if version == 3 else "latin-1", errors="replace")
    return _parsed(text, 8 + width + length, where)


def _exactly(stream: IO[bytes], count: int, where: str) -> bytes:
    try:
        data = stream.read(count)
    except BROKEN as error:
        raise broken(where, error) from None
    if len(data) < count:
        raise _error("header_truncated", where, f"{count} more bytes of array header", f"{len(data)}")
    return data


def _parsed(text: str, length: int, where: str) -> Header:
    """The header is a Python dict literal of three known keys; this reads that form and no other Python."""
    body = text.strip()
    if "|O" in body or "'O'" in body or '"O"' in body:
        raise pickle_refused(where, "an array of Python objects")
    fields: dict[str, tuple[str | None, str | None, str | None]] = {}
    position, end = 1, len(body) - 1
    while body[:1] == "{" and body[-1:] == "}" and position < end:
        pair = PAIR.match(body, position, end)
        if pair is None:
            break
        if pair[1] in fields:
            raise _error("duplicate_key", where, "every key once", f"{pair[1]} twice")
        fields[pair[1]] = (pair[2], pair[3], pair[4])
        position = pair.end()
    known = ("descr", "fortran_order", "shape")
    descr, order, sides = (fields.get(key, (None,) * 3)[i] for i, key in enumerate(known))
    if position < end or len(fields) != 3 or descr is None or order is None or sides is None:
        raise _error("header_bad_entry", where, "descr, fortran_order, shape of a plain array", f"{body:.80}")
    dtype, itemsize, swapped = _dtype(descr, where)
    shape = _shape(sides, where)
    if len(shape) > MAX_RANK:
        raise _error("header_bad_entry", where, f"at most {MAX_RANK} sides", f"{len(shape)}")
    if math.prod(n for n in shape if n) * max(itemsize, 8) > LARGEST:
        raise _error("shape_overflow", where, "less than 2^63 bytes", f"{shape!s:.60}")
    return Header(dtype, shape, order == "True", swapped, itemsize, length)


def _shape(sides: str, where: str) -> tuple[int, ...]:
    parts = sides.split(",")
    if not parts[-1].strip():
        parts.pop()  # (), (3,) and (3, 4, )
    matches = [SIDE.fullmatch(part) for part in parts]
    if not all(matches) or (len(parts) == 1 and "," not in sides):  # (3) is a number, no shape
        raise _error("header_bad_entry", where, "a tuple of sides", f"({sides:.60})")
    return tuple(int(m[1]) for m in matches if m)


def _dtype(descr: str, where: str) -> tuple[str, int, bool]:
    match = DESCR.fullmatch(descr)
    if match is None:
        raise _error("dtype_unknown", where, "the dtype of a plain array", f"{descr!r}")
    order, kind, digits, _ = match.groups()
    width = int(digits or "0")
    if kind == "b" and width == 1:
        return "BOOL", 1, False
    name = f"{KINDS.get(kind, '')}{8 * width}"
    if kind in KINDS and name in STORED:
        return name, width, order == ">" and width > 1
    # text, dates and raw bytes are no weights: they are listed under numpy's own spelling
    return descr, 4 * width if kind == "U" else 8 if kind in "mM" else width, False


def pickle_refused(subject: Place | str, found: str) -> TollensError:
    return TollensError(
        "pickle_refused", str(subject), expected="safetensors, plain arrays or an archive of torch.save", found=found,
        fix="Opening a pickle runs code from it. Convert the checkpoint to safetensors where you trust it.",
    )  # fmt: skip


def short(subject: str, wanted: int, got: int) -> TollensError:
    return _error("archive_size_mismatch", subject, f"{wanted} bytes of data", f"{got} in the archive")


def broken(subject: Place | str, error: BaseException) -> TollensError:
    found = f"{type(error).__name__}: {error}"[:120]
    return _error("archive_invalid", str(subject), "a readable npz archive", found)


def _error(code: str, subject: str, expected: str, found: str) -> TollensError:
    fix = "The file is damaged or forged: fetch it or save it with numpy.savez again."
    return TollensError(code, subject, expected=expected, found=found, fix=fix)
