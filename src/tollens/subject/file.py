"""One regular file of a checkpoint: opened per read, never mapped, and never a pipe or a device."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tollens.core.errors import TollensError

CHUNK = 1 << 20


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """A descriptor of a regular file, closed at the end.

    Raises: `path_missing`, `path_unreadable`, `path_not_a_file`.
    """
    try:
        # without O_NONBLOCK the opening of a pipe nobody writes to would wait for ever
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        raise missing(path) from None
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from None
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise not_regular(path)
        yield fd
    finally:
        os.close(fd)


def size(fd: int) -> int:
    """Bytes of an open file."""
    return os.fstat(fd).st_size


def read_into(fd: int, offset: int, view: memoryview) -> int:
    """Fill `view` (bytes) from `offset`; the number of bytes that were there."""
    done = 0
    while done < len(view):
        count = os.preadv(fd, [view[done:]], offset + done)
        if count == 0:
            break
        done += count
    return done


def read(path: Path, limit: int) -> bytes:
    """At most `limit` bytes from the start of a file."""
    with opened(path) as fd:
        buffer = bytearray(min(limit, size(fd)))
        try:
            return bytes(buffer[: read_into(fd, 0, memoryview(buffer))])
        except OSError as error:
            raise unreadable(path, error) from None


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, 64 hexadecimal digits."""
    digest = hashlib.sha256()
    buffer = bytearray(CHUNK)
    view = memoryview(buffer)
    with opened(path) as fd:
        offset = 0
        try:
            while count := read_into(fd, offset, view):
                digest.update(view[:count])
                offset += count
        except OSError as error:
            raise unreadable(path, error) from None
    return digest.hexdigest()


def missing(path: Path) -> TollensError:
    return TollensError(
        "path_missing", str(path), expected="a file or folder of that name", found="nothing of that name",
        fix="Check the spelling of the path.",
    )  # fmt: skip


def unreadable(path: Path, error: Exception) -> TollensError:
    found = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return TollensError(
        "path_unreadable", str(path), expected="a file that this user may read", found=found,
        fix="Check the file's permissions and the health of its disk.",
    )  # fmt: skip


def not_regular(path: Path) -> TollensError:
    return TollensError(
        "path_not_a_file", str(path), expected="a regular file", found="a folder, pipe, socket or device",
        fix="Save it to a file first.",
    )  # fmt: skip


def changed(path: Path, tensor: str, wanted: int, got: int) -> TollensError:
    return TollensError(
        "changed_while_reading", f"{path}: {tensor}", expected=f"{wanted} bytes, as its header said before",
        found=f"{got} bytes", fix="Let nothing write to the file while it is read, and run again.",
    )  # fmt: skip
