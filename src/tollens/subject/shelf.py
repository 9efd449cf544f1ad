"""The bytes of one remote tensor, kept on this machine while it is worked on: each crosses the network once."""

from __future__ import annotations

import os
import tempfile
import threading
from bisect import bisect_right
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import IO

from tollens.subject import file, remote
from tollens.subject.place import Url


@dataclass(frozen=True, slots=True)
class _Piece:
    """The bytes [begin, end) of a file; they lie at `held` of the shelf's own file, or are `held` themselves."""

    begin: int
    end: int
    held: int | bytes

    def read_into(self, fd: int, offset: int, view: memoryview) -> None:
        skip = offset - self.begin
        if isinstance(self.held, bytes):
            view[:] = self.held[skip : skip + len(view)]
            return
        done = 0
        while done < len(view):
            done += os.preadv(fd, [view[done:]], self.held + skip + done)


class Shelf:
    """What was read of remote files, on an unlinked temporary file, or in memory where there is no room for one.

    `wanted` are the ranges of bytes that will be needed in full: within one whole blocks are fetched, elsewhere what is
    asked for and no more. A shelf belongs to one thread of one process.
    """

    def __init__(self, wanted: Mapping[Url, Sequence[tuple[int, int]]]) -> None:
        self._wanted = wanted
        self._pieces: dict[Url, list[_Piece]] = {}
        self._file: IO[bytes] | None = None
        self._open = ExitStack()
        self._end = 0
        self._block = bytearray()

    @contextmanager
    def opened(self, url: Url, version: str | None) -> Iterator[file.Blob]:
        """A file whose bytes are kept once they were read. Raises: those of `remote.opened`."""
        with remote.opened(url, version) as far:
            yield _Kept(self, url, far)

    def close(self) -> None:
        """Give all of it up."""
        self._pieces.clear()
        self._block = bytearray()
        self._open.close()
        self._file, self._end = None, 0

    def read_into(self, url: Url, far: file.Blob, offset: int, view: memoryview) -> int:
        """Fill `view` from what is kept, and from `far` what is not."""
        wanted = max(0, min(len(view), far.size - offset))
        position, stop = offset, offset + wanted
        pieces = self._pieces.setdefault(url, [])
        while position < stop:
            at = bisect_right(pieces, position, key=lambda p: p.begin) - 1
            if at < 0 or pieces[at].end <= position:
                limit = pieces[at + 1].begin if at + 1 < len(pieces) else far.size
                at += 1
                pieces.insert(at, self._fetch(url, far, position, min(limit, self._ahead(url, position, stop))))
            piece = pieces[at]
            last = min(piece.end, stop)
            descriptor = -1 if self._file is None else self._file.fileno()
            piece.read_into(descriptor, position, view[position - offset : last - offset])
            position = last
        return wanted

    def _ahead(self, url: Url, position: int, stop: int) -> int:
        """Where the block ends that begins at `position`."""
        ends = (end for begin, end in self._wanted.get(url, ()) if begin <= position < end)
        return min(next(ends, stop), position + remote.BLOCK)

    def _fetch(self, url: Url, far: file.Blob, begin: int, end: int) -> _Piece:
        if len(self._block) < end - begin:
            self._block = bytearray(end - begin)
        with memoryview(self._block)[: end - begin] as block:
            got = far.read_into(begin, block)
            if got < len(block):
                raise remote.altered(url, f"{len(block)} bytes from byte {begin} on", f"{got} bytes")
            return _Piece(begin, end, self._keep(block))

    def _keep(self, data: memoryview) -> int | bytes:
        try:
            if self._file is None:
                self._file = self._open.enter_context(tempfile.TemporaryFile(buffering=0))  # noqa: SIM115
            done = 0
            while done < len(data):
                done += os.pwrite(self._file.fileno(), data[done:], self._end + done)
        except OSError:  # no folder to write to, or a disk that is full
            return bytes(data)
        begin, self._end = self._end, self._end + done
        return begin


class _Last(threading.local):
    """The shelf of the tensor that this thread worked on last, and whose other matrices may come next."""

    def __init__(self) -> None:
        self.tensor: Hashable = None
        self.shelf: Shelf | None = None


_last = _Last()


@contextmanager
def keeping(wanted: Mapping[Url, Sequence[tuple[int, int]]], shared: Hashable = None) -> Iterator[Shelf]:
    """A shelf, closed at the end; one that is `shared` by the matrices of a tensor of this name stays until this
    thread turns to another tensor, or lets go.
    """
    if shared is None or shared != _last.tensor:
        let_go()
    if shared is None:
        with closing(Shelf(wanted)) as shelf:
            yield shelf
        return
    if _last.shelf is None:
        _last.tensor, _last.shelf = shared, Shelf(wanted)
    yield _last.shelf


def let_go() -> None:
    """Close the shelf that this thread still keeps."""
    if _last.shelf is not None:
        _last.shelf.close()
    _last.tensor = _last.shelf = None


class _Kept:
    def __init__(self, shelf: Shelf, url: Url, far: file.Blob) -> None:
        self._shelf, self._url, self._far = shelf, url, far

    @property
    def size(self) -> int:
        return self._far.size

    def read_into(self, offset: int, view: memoryview, /) -> int:
        return self._shelf.read_into(self._url, self._far, offset, view)
