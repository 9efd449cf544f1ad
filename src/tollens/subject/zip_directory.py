"""The directory of a zip archive, checked in every number before one is used (format: PKWARE APPNOTE 6.3.10, sections
4.3 and 4.5.3).

Stricter than the format: no comment, no bytes outside the members, no encryption, one disk. Members may be deflated,
but only those that are stored as they are can be used here.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from tollens.core.errors import TollensError
from tollens.subject import file
from tollens.subject.dtypes import LARGEST

MAX_DIRECTORY = 100_000_000
END, END_64, LOCATOR, ENTRY, LOCAL = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07", b"PK\x01\x02", b"PK\x03\x04"
_END = struct.Struct("<4s4H2IH")
_LOCATOR = struct.Struct("<4sIQI")
_END_64 = struct.Struct("<4sQ2H2I4Q")
_ENTRY = struct.Struct("<4s6H3I5H2I")
_LOCAL = struct.Struct("<4s5H3I2H")
STORED, DEFLATED = 0, 8
ENCRYPTED = 0x2041  # encrypted, strongly encrypted, masked
LATER = 0x0008  # sizes and checksum follow the data, so that the local header may leave them zero
DESCRIPTOR = 24  # bytes at most of what follows the data then
FULL_16, FULL_32 = 0xFFFF, 0xFFFFFFFF  # the value stands in the 64-bit fields


@dataclass(frozen=True, slots=True)
class Member:
    """`offset` is the byte of the file where the `size` bytes of data begin; `crc` is the declared CRC-32. Where it is
    `deflated` they take another number of bytes there.
    """

    name: str
    offset: int
    size: int
    crc: int
    deflated: bool


@dataclass(frozen=True, slots=True)
class _Entry:
    name: bytes
    flags: int
    method: int
    crc: int
    size: int
    packed: int
    start: int


def members(blob: file.Blob, where: str) -> dict[str, Member]:
    """The members by name, in the order of their data, which cover the file up to its directory.

    Raises: `archive_invalid`, `archive_member_path`, `archive_size_mismatch`, `duplicate_key`, and OSError where
    the system fails.
    """
    begin, entries = _entries(blob, where)
    entries.sort(key=lambda e: (e.start, e.packed))
    found: dict[str, Member] = {}
    free = later = 0
    for entry in entries:
        name = _name(entry.name, where)
        if name in found:
            raise error("duplicate_key", f"{where}: {name!r:.80}", "every member once", "it stands twice")
        if not free <= entry.start <= free + later:
            code = "archive_size_mismatch" if entry.start < free else "archive_invalid"
            raise error(code, f"{where}: {name!r:.80}", f"a member from byte {free}", f"one from byte {entry.start}")
        offset = _data_of(blob, entry, begin, f"{where}: {name!r:.80}")
        found[name] = Member(name, offset, entry.size, entry.crc, entry.method == DEFLATED)
        free, later = offset + entry.packed, DESCRIPTOR if entry.flags & LATER else 0
    if not free <= begin <= free + later:
        raise error("archive_invalid", where, f"a directory from byte {free}", f"one from byte {begin}")
    return found


def names(blob: file.Blob, where: str) -> list[str]:
    """The names in the directory alone, which takes three reads or four. Raises: as `members`."""
    return [_name(entry.name, where) for entry in _entries(blob, where)[1]]


def bytes_at(blob: file.Blob, offset: int, count: int, where: str) -> bytes:
    """Exactly `count` bytes, asked for only where the file holds them. Raises: `archive_invalid`, OSError."""
    if not 0 <= offset <= offset + count <= blob.size:
        raise error("archive_invalid", where, f"{count} bytes from byte {offset}", f"a file of {blob.size} bytes")
    buffer = bytearray(count)
    if blob.read_into(offset, memoryview(buffer)) < count:
        raise error("archive_invalid", where, f"{count} bytes from byte {offset}", "fewer")
    return bytes(buffer)


def check_stored(member: Member, where: str) -> None:
    """Raises: `archive_invalid` for a member that would have to be expanded."""
    if member.deflated:
        raise error("archive_invalid", f"{where}: {member.name!r:.80}", "a member stored as it is", "a deflated one")


def _entries(blob: file.Blob, where: str) -> tuple[int, list[_Entry]]:
    """Where the directory begins, and what stands in it."""
    begin, data, count = _directory(blob, where)
    entries: list[_Entry] = []
    position = 0
    for _ in range(count):
        entry, position = _entry(data, position, where)
        entries.append(entry)
    if position != len(data):
        raise error("archive_invalid", where, f"{count} entries in the directory", "bytes after the last one")
    return begin, entries


def _directory(blob: file.Blob, where: str) -> tuple[int, bytes, int]:
    """Where the directory begins, its bytes, and the number of its entries."""
    end = blob.size - _END.size
    magic, disk, first, here, count, size, begin, comment = _END.unpack(bytes_at(blob, end, _END.size, where))
    if magic != END or comment:
        raise error("archive_invalid", where, "an archive that ends with its directory", "another ending")
    if disk or first or here != count:
        raise error("archive_invalid", where, "an archive of one part", "several")
    known = (count, size, begin)
    locator = bytes_at(blob, max(end - _LOCATOR.size, 0), _LOCATOR.size, where) if end >= _LOCATOR.size else b""
    if locator[:4] == LOCATOR:
        end = _LOCATOR.unpack(locator)[2]
        end, known = _end_64(blob, end, locator, known, where)
    elif count == FULL_16 or FULL_32 in (size, begin):
        raise error("archive_invalid", where, "a 64-bit directory", "none")
    count, size, begin = known
    if size > MAX_DIRECTORY or count * _ENTRY.size > size or begin + size != end:
        found = f"{count} entries in {size} bytes from byte {begin}"
        raise error("archive_size_mismatch", where, f"a directory that ends at byte {end}", found)
    return begin, bytes_at(blob, begin, size, where), count


def _end_64(
    blob: file.Blob, at: int, locator: bytes, known: tuple[int, int, int], where: str
) -> tuple[int, tuple[int, int, int]]:
    """The end record of 64 bits, which must say what the older one says where that can say it."""
    _, disk, _, disks = _LOCATOR.unpack(locator)
    after = blob.size - _END.size - _LOCATOR.size
    if disk or disks != 1 or at + _END_64.size != after:
        raise error("archive_invalid", where, f"a 64-bit directory that ends at byte {after}", f"one at byte {at}")
    magic, length, _, _, disk, first, here, count, size, begin = _END_64.unpack(bytes_at(blob, at, _END_64.size, where))
    if magic != END_64 or length != _END_64.size - 12 or disk or first or here != count:
        raise error("archive_invalid", where, "a 64-bit directory of one part", "another record")
    wide = (count, size, begin)
    if any(old not in (new, full) for old, new, full in zip(known, wide, (FULL_16, FULL_32, FULL_32), strict=True)):
        raise error("archive_size_mismatch", where, f"a directory of {known}", f"{wide} in 64 bits")
    return at, wide


def _entry(data: bytes, position: int, where: str) -> tuple[_Entry, int]:
    if position + _ENTRY.size > len(data):
        raise error("archive_invalid", where, "one more entry", "the end of the directory")
    (
        magic, _, _, flags, method, _, _, crc, packed, size, names, extras, comments, disk, _, _, start,
    ) = _ENTRY.unpack_from(data, position)  # fmt: skip
    position += _ENTRY.size
    after = position + names + extras + comments
    if magic != ENTRY:
        raise error("archive_invalid", where, "an entry of the directory", f"{magic!r}")
    name = data[position : position + names]
    label = f"{where}: {name!r:.80}"
    extra = data[position + names : position + names + extras]
    size, packed, start = _wide([size, packed, start], extra, label)
    if flags & ENCRYPTED:
        raise error("archive_invalid", label, "a member that can be read", "an encrypted one")
    if method not in (STORED, DEFLATED) or disk:
        raise error("archive_invalid", label, "a member stored as it is", f"method {method} on disk {disk}")
    if (packed != size and method == STORED) or max(size, packed, start) > LARGEST:
        raise error("archive_size_mismatch", label, f"{size} bytes", f"{packed} in the archive, from byte {start}")
    return _Entry(name, flags, method, crc, size, packed, start), after


def _wide(values: list[int], extra: bytes, where: str) -> list[int]:
    """`values` with those that are full replaced by the next number of the 64-bit field."""
    if FULL_32 not in values:
        return values
    position = 0
    while position + 4 <= len(extra):
        tag, length = struct.unpack_from("<2H", extra, position)
        field = extra[position + 4 : position + 4 + length]
        if tag == 1:
            count = values.count(FULL_32)
            if len(field) != length or length != 8 * count:
                break
            numbers = iter(struct.unpack(f"<{count}Q", field))
            return [next(numbers) if value == FULL_32 else value for value in values]
        position += 4 + length
    raise error("archive_size_mismatch", where, "its size in 64 bits", "a field of another length, or none")


def _name(raw: bytes, where: str) -> str:
    try:
        name = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise error("archive_invalid", f"{where}: {raw!r:.80}", "a name in UTF-8", "other bytes") from None
    if not name.isprintable():
        raise error("archive_invalid", f"{where}: {name!r:.80}", "a name without control characters", "another name")
    if not name or name.startswith("/") or "\\" in name or ".." in name.split("/"):
        raise error("archive_member_path", f"{where}: {name!r:.80}", "a plain member name", "a path out of the archive")
    return name


def _data_of(blob: file.Blob, entry: _Entry, end: int, where: str) -> int:
    """Where the data of a member begin, after its own header has been held against the directory."""
    head = _LOCAL.size + len(entry.name)
    raw = bytes_at(blob, entry.start, head, where)
    magic, _, flags, method, _, _, crc, packed, size, names, extras = _LOCAL.unpack_from(raw)
    if magic != LOCAL or names != len(entry.name) or raw[_LOCAL.size :] != entry.name:
        raise error("archive_invalid", where, "a header of this name", "another one")
    if (flags, method) != (entry.flags, entry.method):
        expected = f"flags {entry.flags} and method {entry.method}"
        raise error("archive_invalid", where, expected, f"{flags} and {method} in its header")
    offset: int = entry.start + head + extras
    if offset + entry.packed > end:
        found = f"{entry.packed} bytes from byte {offset}"
        raise error("tensor_out_of_bounds", where, f"data before byte {end}", found)
    if FULL_32 in (packed, size):
        size, packed = _wide([size, packed], bytes_at(blob, entry.start + head, extras, where), where)
    told = (crc, packed, size)
    if told != (entry.crc, entry.packed, entry.size) and not (flags & LATER and told == (0, 0, 0)):
        raise error("archive_size_mismatch", where, f"{entry.size} bytes, as in the directory", f"{size} in its header")
    return offset


def error(code: str, subject: str, expected: str, found: str) -> TollensError:
    fix = "The file is damaged or forged: fetch it or save it with torch.save again."
    return TollensError(code, subject, expected=expected, found=found, fix=fix)
