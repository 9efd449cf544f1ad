"""One file of a checkpoint: opened per read, never mapped; here a regular file, never a pipe or a device."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from tollens.core.errors import TollensError
from tollens.subject.place import Place

CHUNK = 1 << 20


class Blob(Protocol):
    """The bytes of an open file. Raises: OSError where the system fails; those of `remote` for a URL."""

    @property
    def size(self) -> int: ...

    def read_into(self, offset: int, view: memoryview, /) -> int:
        """Fill `view` (bytes) from `offset`; the number of bytes that were there."""


@dataclass(frozen=True, slots=True)
class Regular:
    """An open regular file of this machine."""

    fd: int

    @property
    def size(self) -> int:
        return os.fstat(self.fd).st_size

    def read_into(self, offset: int, view: memoryview, /) -> int:
        done = 0
        while done < len(view):
            count = os.preadv(self.fd, [view[done:]], offset + done)
            if count == 0:
                break
            done += count
        return done


@contextmanager
def opened(place: Place, version: str | None = None) -> Iterator[Blob]:
    """A file, closed at the end; one at a URL must still be the `version` that it was.

    Raises: `path_missing`, `path_unreadable`, `path_not_a_file`, those of `remote.opened` for a URL.
    """
    if isinstance(place, Path):
        with _regular(place) as blob:
            yield blob
        return
    from tollens.subject import remote

    with remote.opened(place, version) as far:
        yield far


@contextmanager
def _regular(path: Path) -> Iterator[Regular]:
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
        yield Regular(fd)
    finally:
        os.close(fd)


def kind(place: Place) -> Literal["file", "folder"]:
    """What lies at a place.

    Raises: `path_missing`, `path_unreadable`, `path_not_a_file`, those of `remote.kind` for a URL.
    """
    if not isinstance(place, Path):
        from tollens.subject import remote

        return remote.kind(place)
    try:
        mode = place.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise missing(place) from None
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
            raise missing(place) from None
        raise unreadable(place, error) from None
    if stat.S_ISDIR(mode):
        return "folder"
    if stat.S_ISREG(mode):
        return "file"
    raise not_regular(place)


def listing(folder: Place) -> list[str]:
    """Names of the entries of a folder, sorted. Raises: `path_unreadable`, those of `remote.listing` for a URL."""
    if not isinstance(folder, Path):
        from tollens.subject import remote

        return sorted(remote.listing(folder))
    try:
        return sorted(entry.name for entry in os.scandir(folder))
    except OSError as error:
        raise unreadable(folder, error) from None


def exists(folder: Place, name: str) -> bool:
    """Whether a folder has an entry of this name; a broken link counts."""
    if isinstance(folder, Path):
        return os.path.lexists(folder / name)
    from tollens.subject import remote

    return remote.exists(folder / name)


def read(place: Place, limit: int) -> bytes:
    """At most `limit` bytes from the start of a file."""
    with opened(place) as blob:
        buffer = bytearray(min(limit, blob.size))
        try:
            return bytes(buffer[: blob.read_into(0, memoryview(buffer))])
        except OSError as error:
            raise unreadable(place, error) from None


def sha256(place: Place, stop: threading.Event | None = None) -> str:
    """SHA-256 of a file's bytes, 64 hexadecimal digits.

    Raises: those of `opened`; CancelledError once `stop` is set.
    """
    digest = hashlib.sha256()
    buffer = bytearray(CHUNK)
    view = memoryview(buffer)
    with opened(place) as blob:
        offset = 0
        try:
            while count := blob.read_into(offset, view):
                if stop is not None and stop.is_set():
                    raise CancelledError
                digest.update(view[:count])
                offset += count
        except OSError as error:
            raise unreadable(place, error) from None
    return digest.hexdigest()


def missing(path: Place) -> TollensError:
    return TollensError(
        "path_missing", str(path), expected="a file or folder of that name", found="nothing of that name",
        fix="Check the spelling of the path.",
    )  # fmt: skip


def unreadable(path: Place, error: Exception) -> TollensError:
    found = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return TollensError(
        "path_unreadable", str(path), expected="a file that this user may read", found=found,
        fix="Check the file's permissions and the health of its disk.",
    )  # fmt: skip


def not_regular(path: Place) -> TollensError:
    return TollensError(
        "path_not_a_file", str(path), expected="a regular file", found="a folder, pipe, socket or device",
        fix="Save it to a file first.",
    )  # fmt: skip


def changed(path: Place, tensor: str, wanted: int, got: int) -> TollensError:
    return TollensError(
        "changed_while_reading", f"{path}: {tensor}", expected=f"{wanted} bytes, as its header said before",
        found=f"{got} bytes", fix="Let nothing write to the file while it is read, and run again.",
    )  # fmt: skip
