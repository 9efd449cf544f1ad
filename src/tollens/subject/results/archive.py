"""An inspect_ai log as an archive, `.eval`: members by name, bounded, deflated or packed with Zstandard.

inspect_ai 0.3.285 packs with Zstandard (method 93 of APPNOTE 6.3.8), which Python reads from 3.14 on; before that the
`zstandard` package does.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable

from tollens.core.errors import TollensError
from tollens.subject.results.imported import broken

MOST_BYTES = 1 << 28
"""Bytes of one member when it is unpacked: 256 MiB."""
MOST_MEMBERS = 500_000
ZSTANDARD = 93
_LOCAL = struct.Struct("<4s5H3I2H")


def is_archive(data: bytes) -> bool:
    return data[:4] == b"PK\x03\x04"


def member(data: bytes, name: str, subject: str) -> bytes | None:
    """The bytes of one member, or None where there is none; nothing is written, so that no name leads anywhere.

    Raises TollensError: `import_syntax` for a damaged archive, a name that stands twice, and more than 256 MiB;
    `extra_missing` for Zstandard without a reader of it.
    """
    where = f"{subject}: {name}"
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = [info for info in archive.infolist() if info.filename == name]
            if len(archive.infolist()) > MOST_MEMBERS:
                raise broken(subject, f"at most {MOST_MEMBERS:,} members", "more")
            if len(infos) > 1:
                raise broken(where, "every member once", "it stands twice")
            if not infos:
                return None
            info = infos[0]
            if info.file_size > MOST_BYTES:
                raise broken(where, f"at most {MOST_BYTES:,} bytes", f"{info.file_size:,}")
            if info.compress_type == ZSTANDARD:
                found = _zstandard(data, info, where)
            else:
                with archive.open(info) as handle:
                    found = handle.read(MOST_BYTES + 1)
    except (
        zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError, ValueError, OverflowError,
        struct.error, zlib.error, IndexError,
    ) as error:  # fmt: skip
        raise broken(where, "a member that can be unpacked", f"{type(error).__name__}: {error}") from None
    if len(found) != info.file_size or zlib.crc32(found) != info.CRC:
        raise broken(where, f"{info.file_size} bytes of checksum {info.CRC:08x}", f"{len(found)} bytes of another")
    return found


def _zstandard(data: bytes, info: zipfile.ZipInfo, where: str) -> bytes:
    unpack = _unpacker(where)
    if info.flag_bits & 0x1:
        raise broken(where, "a member that can be read", "an encrypted one")
    magic, *_, names, extras = _LOCAL.unpack_from(data, info.header_offset)
    start = info.header_offset + _LOCAL.size + names + extras
    if magic != b"PK\x03\x04" or start + info.compress_size > len(data):
        raise broken(where, "a member inside the archive", "one that begins or ends elsewhere")
    return unpack(data[start : start + info.compress_size], info.file_size)


def _unpacker(where: str) -> Callable[[bytes, int], bytes]:
    """What unpacks at most so many bytes of a frame. Raises TollensError `extra_missing`."""
    try:
        import zstandard
    except ImportError:
        raise TollensError(
            "extra_missing", where, expected="a reader of Zstandard, which this log is packed with",
            found="no module zstandard",
            fix="Install it: pip install 'tollens[inspect]'; or convert the log: inspect log convert --to json "
            "--output-dir json LOG",
        ) from None  # fmt: skip

    def unpack(packed: bytes, size: int) -> bytes:
        try:
            with zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(packed) as reader:
                return reader.read(size + 1)
        except zstandard.ZstdError as error:
            raise broken(where, "a frame of Zstandard", str(error)) from None

    return unpack
