"""Reading a header from front to back through a small window, never past the end of the file."""

from __future__ import annotations

import struct
from typing import Any

from tollens.core.errors import TollensError
from tollens.subject import file

WINDOW, LARGEST_WINDOW = 1 << 16, 1 << 22  # bytes fetched at once: twice as many each time, for files far away
MAX_HEADER = 100_000_000  # bytes; a tokenizer of a million pieces takes a fifth of it
MAX_ITEMS = 1 << 22  # entries that are looked at one by one
_FORMATS: dict[str, struct.Struct] = {}


class Cursor:
    """A position in a file. `where` names the file in errors.

    Nothing but the window and what `take` returns is held in memory, and every length is compared with what is left
    of the file before anything of that length is made.
    """

    def __init__(self, blob: file.Blob, where: str) -> None:
        self.where = where
        self.size = blob.size
        self.position = 0
        self._blob = blob
        self._window = b""
        self._step = WINDOW
        self._start = 0
        self._items = 0

    def take(self, count: int) -> bytes:
        """The next `count` bytes. Raises: `header_truncated`, `header_too_long`."""
        self._check(count)
        begin = self.position - self._start
        if begin < 0 or begin + count > len(self._window):
            self._window = self._fetched(self.position, max(count, self._step))
            self._step = min(2 * self._step, LARGEST_WINDOW)
            self._start, begin = self.position, 0
            if len(self._window) < count:
                raise self._short(count, len(self._window))
        self.position += count
        return self._window[begin : begin + count]

    def skip(self, count: int) -> None:
        """Go on by `count` bytes without reading them. Raises: `header_truncated`, `header_too_long`."""
        self._check(count)
        self.position += count

    def number(self, form: str) -> Any:
        """The next number, of a format of `struct`. Raises: as `take`."""
        known = _FORMATS.get(form)
        if known is None:
            known = _FORMATS.setdefault(form, struct.Struct(form))
        return known.unpack(self.take(known.size))[0]

    def check_room(self, count: int, each: int, what: str) -> None:
        """`count` things of at least `each` bytes must fit into what is left.

        Raises: `header_truncated`, `header_too_long` where they are more than any model has.
        """
        if count * each > self.size - self.position:
            found = f"{self.size - self.position} bytes left"
            raise fault("header_truncated", self.where, f"{count} {what}", found)
        self._items += count
        if self._items > MAX_ITEMS:
            raise fault("header_too_long", self.where, f"at most {MAX_ITEMS} entries", f"{self._items}")

    def _check(self, count: int) -> None:
        if count > self.size - self.position:
            raise self._short(count, self.size - self.position)
        if self.position + count > MAX_HEADER:
            raise fault("header_too_long", self.where, f"at most {MAX_HEADER} bytes of header", "more")

    def _fetched(self, position: int, count: int) -> bytes:
        buffer = bytearray(min(count, self.size - position))
        return bytes(buffer[: self._blob.read_into(position, memoryview(buffer))])

    def _short(self, wanted: int, left: int) -> TollensError:
        return fault("header_truncated", self.where, f"{wanted} more bytes of header", f"{left}")


def fault(code: str, subject: str, expected: str, found: str) -> TollensError:
    fix = "The file is damaged or forged: fetch it or convert it again."
    return TollensError(code, subject, expected=expected, found=found, fix=fix)
