"""The ledger of a study: one line a record, appended under a lock and forced to disk, never changed."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from tollens.core.errors import Exit, TollensError
from tollens.record.bodies import check_bodies
from tollens.record.envelope import Envelope, Kind, check_chain, line, now, read_line, sealed_envelope, whoami
from tollens.record.proof import proved

FILE = "ledger.jsonl"
TORN = "ledger.torn"
"""Where a partial last line is set aside: what was not wholly written was never a record."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """What was read: the records in order, and the bytes of a last line that was never finished."""

    records: tuple[Envelope, ...]
    torn: bytes = b""

    def of(self, *kinds: Kind) -> list[Envelope]:
        return [record for record in self.records if record.type in kinds]


def read_ledger(path: Path) -> Ledger:
    """The records of a ledger, its chain checked; none where there is no file.

    Raises TollensError: `ledger_broken` (20) for a line that is no record, for a hash or a place that does not fit;
    `ledger_unreadable` (2).
    """
    try:
        data = ledger_bytes(path)
    except OSError as error:
        raise unwritable("ledger_unreadable", path, error) from None
    return parse_ledger(data, path.name)


def ledger_bytes(path: Path) -> bytes:
    """All bytes of a ledger; none where there is no file.

    Raises: OSError, also for a link to nothing, and for a pipe, which would never end.
    """
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise OSError(None, "not a plain file")
        return path.read_bytes()
    except FileNotFoundError:
        if path.is_symlink():
            raise OSError(None, "a link to nothing") from None
        return b""


def parse_ledger(data: bytes, subject: str = FILE) -> Ledger:
    """The same of bytes. A CRLF checkout reads as its LF twin."""
    lines, torn = _lines(data)
    records = proved(lines)
    if records is None:
        return parse_slowly(data, subject)
    check_bodies(records, subject)
    return Ledger(tuple(records), torn)


def parse_tail(data: bytes, prev: str, seq: int) -> Ledger | None:
    """The records of what was appended behind record `seq` - 1 of hash `prev`; None where anything does not fit."""
    lines, torn = _lines(data)
    records = proved(lines, prev, seq)
    if records is None:
        return None
    try:
        check_bodies(records, FILE)
    except TollensError:
        return None
    return Ledger(tuple(records), torn)


def _lines(data: bytes) -> tuple[list[bytes], bytes]:
    whole, feed, torn = data.rpartition(b"\n")
    lines = whole.split(b"\n") if feed else []
    return ([text.removesuffix(b"\r") for text in lines] if b"\r" in data else lines), torn


def parse_slowly(data: bytes, subject: str = FILE) -> Ledger:
    """The reference of `parse_ledger`: the canonical form of every record is made again. It names what is wrong."""
    lines, torn = _lines(data)
    records = []
    for place, text in enumerate(lines):
        try:
            records.append(read_line(text))
        except msgspec.DecodeError as error:
            raise TollensError(
                "ledger_broken", f"TAMPERED {subject}:{place + 1}", expected="a record", found=str(error)[:120],
                fix="Restore the ledger from version control; a record is never edited.", exit_code=Exit.TAMPERED,
            ) from None  # fmt: skip
    check_chain(records, subject)
    check_bodies(records, subject)
    return Ledger(tuple(records), torn)


@dataclass(slots=True)
class Writer:
    """Appends to one ledger. `write` is the system call, which a test may break.

    `last`: where it is given nobody else may append, and every record must follow this one.
    """

    path: Path
    write: Callable[[int, bytes], int] = os.write
    clock: Callable[[], str] = now
    last: Envelope | None = None

    def append(self, kind: Kind, body: Mapping[str, Any]) -> Envelope:
        """One record more, on disk when this returns. Another process may append between two calls.

        Raises TollensError: `ledger_unwritable` (2) where the disk is full or the folder read-only, with nothing
        appended; `ledger_broken` (20).
        """
        return self.append_all([(kind, body)])[-1]

    def append_all(self, bodies: Sequence[tuple[Kind, Mapping[str, Any]]]) -> list[Envelope]:
        """Several records under one lock, in order."""
        try:
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise unwritable("ledger_unwritable", self.path, error) from None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            return self._locked(handle, bodies)
        except OSError as error:
            raise unwritable("ledger_unwritable", self.path, error) from None
        finally:
            os.close(handle)

    def _locked(self, handle: int, bodies: Sequence[tuple[Kind, Mapping[str, Any]]]) -> list[Envelope]:
        size = os.fstat(handle).st_size
        before = self._last(handle, size)
        if self.last is not None and (before is None or before.hash != self.last.hash):
            raise TollensError(
                "ledger_broken", f"TAMPERED {self.path.name}", expected=f"record {self.last.seq} as the last line",
                found="nothing" if before is None else f"record {before.seq}, which this run did not write",
                fix="Restore the ledger, and let nothing but Tollens write to it.", exit_code=Exit.TAMPERED,
            )  # fmt: skip
        made: list[Envelope] = []
        for kind, body in bodies:
            before = sealed_envelope(kind, body, before, whoami(), self.clock())
            made.append(before)
        data, written = b"".join(line(record) for record in made), 0
        end = os.fstat(handle).st_size
        try:
            while written < len(data):
                written += self.write(handle, data[written:])
            os.fsync(handle)
        except OSError:
            os.ftruncate(handle, end)  # half a record must not stand in front of the next one
            raise
        if end == 0:
            _sync_folder(self.path.parent)
        self.last = self.last and made[-1]
        return made

    def _last(self, handle: int, size: int) -> Envelope | None:
        """The last whole record; a torn line behind it is moved to a file of its own first."""
        tail, start = b"", size
        while start > 0 and tail.count(b"\n") < 2:
            step = min(1 << 16, start)
            start -= step
            tail = os.pread(handle, step, start) + tail
        whole, feed, torn = tail.rpartition(b"\n")
        if torn:
            with open(self.path.with_name(TORN), "ab") as aside:
                aside.write(torn + b"\n")
                aside.flush()
                os.fsync(aside.fileno())
            os.ftruncate(handle, size - len(torn))
        if not feed:
            return None
        last = whole.rpartition(b"\n")[2].removesuffix(b"\r")
        try:
            return read_line(last)
        except msgspec.DecodeError as error:
            raise TollensError(
                "ledger_broken", f"TAMPERED {self.path.name}", expected="a record as the last line",
                found=str(error)[:120], fix="Restore the ledger from version control.", exit_code=Exit.TAMPERED,
            ) from None  # fmt: skip


def unwritable(code: str, path: Path, error: OSError) -> TollensError:
    return TollensError(
        code, path.name, expected="a file that can be read and appended to", found=error.strerror or str(error),
        fix="Free the disk or mend the permissions, and run the same command again: nothing that was appended is lost.",
    )  # fmt: skip


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
