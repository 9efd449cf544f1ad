"""The bytes of an open file as a seekable stream, for libraries that want one."""

from __future__ import annotations

import errno
import io
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from tollens.subject.file import Blob


class BlobStream(io.RawIOBase):
    """Reads from `blob`, which stays the caller's to close."""

    def __init__(self, blob: Blob) -> None:
        self._blob = blob
        self._size = blob.size
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise OSError(errno.EINVAL, f"negative seek position {base + offset}")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer).cast("B")
        if self._position >= self._size:
            return 0
        count = self._blob.read_into(self._position, view[: self._size - self._position])
        self._position += count
        return count
