"""Where the bytes of a tensor come from: a folder and a container format, opened anew for every read.

A source is two small values, so that work on a tensor can be sent to another process for nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import IO, Any, Literal, TypeAlias

import numpy as np

from tollens.core.errors import TollensError
from tollens.subject import file, ggml, npz
from tollens.subject.dtypes import STORED, Bytes, Floats, Kind, decode_into, decoded, is_direct, kind_of
from tollens.subject.ggml import Hash as Hash
from tollens.subject.place import Place
from tollens.subject.shelf import Shelf
from tollens.subject.strided import gathered
from tollens.subject.tensor import TensorInfo

Container: TypeAlias = Literal["raw", "npz"]
"""How tensors lie in their files: as byte ranges, or as members of an archive."""


Fill: TypeAlias = Callable[[int, memoryview], None]
"""(byte offset within the tensor's data, destination)"""
DECODE_CHUNK = 1 << 18  # elements: the raw bytes and the result of one step stay in the cache


@dataclass(frozen=True, slots=True)
class Stream:
    """The numbers of one tensor in stored order; `fortran` says that its first side varies fastest. Where `fill`
    gives other bytes than the stored ones, those of expanded blocks, `tensor` describes what it gives, and `fed`
    makes the same `fill` with a digest of the stored ones.
    """

    tensor: TensorInfo
    fortran: bool
    swapped: bool
    fill: Fill
    fed: Callable[[Hash], Fill] | None = None

    def hashed(self, digest: Hash) -> Stream:
        """The same stream, which also feeds the stored bytes of what is read to `digest`."""
        if self.fed is not None:
            return replace(self, fill=self.fed(digest))

        def fill(offset: int, view: memoryview) -> None:
            self.fill(offset, view)
            digest.update(view)

        return replace(self, fill=fill)

    def elements_into(self, start: int, out: Floats) -> None:
        """Decode `out.size` numbers from number `start` on into the 1-D contiguous f32 or f64 array `out`."""
        dtype = self.tensor.dtype
        width = STORED[dtype].bits // 8
        if out.size == 0:
            return
        if is_direct(dtype, out, self.swapped):
            self.fill(start * width, out.view(np.uint8).data)
            return
        raw: Bytes = np.empty(min(out.size, DECODE_CHUNK) * width, dtype=np.uint8)
        for begin in range(0, out.size, DECODE_CHUNK):
            part = out[begin : begin + DECODE_CHUNK]
            bytes_of_part = raw[: part.size * width]
            self.fill((start + begin) * width, bytes_of_part.data)
            decode_into(bytes_of_part, dtype, part, self.swapped)


@dataclass(frozen=True, slots=True)
class Source:
    """The folder that `TensorInfo.file` is relative to, and how its files are written. `shelf` keeps what was read of
    remote files; it stays in the process that made it.
    """

    folder: Place
    container: Container
    shelf: Shelf | None = field(default=None, compare=False)

    def __reduce__(self) -> tuple[object, ...]:  # another process may stand in another folder
        folder = self.folder.absolute() if isinstance(self.folder, Path) else self.folder
        return Source, (folder, self.container)

    @contextmanager
    def stream(self, tensor: TensorInfo) -> Iterator[Stream]:
        """Open one tensor of floats or of blocks that become floats. Raises: `dtype_unsupported`, those of `stored` and
        of `ggml.expand`.
        """
        kind = kind_of(tensor.dtype)
        if kind not in (Kind.FLOAT, Kind.BLOCKS):
            raise TollensError(
                "dtype_unsupported", f"{self.folder / tensor.file}: {tensor.name}", expected="a float type",
                found=tensor.dtype, fix="Convert the tensor to f32, f16 or bf16.",
            )  # fmt: skip
        with self.stored(tensor) as stream:
            if kind is Kind.BLOCKS:
                floats = replace(tensor, dtype="F32", nbytes=4 * tensor.size)
                fed = partial(ggml.reader, stream.fill, tensor)
                yield Stream(floats, False, False, fed(), fed)
            else:
                yield stream

    @contextmanager
    def stored(self, tensor: TensorInfo) -> Iterator[Stream]:
        """Open one tensor of any type, for its bytes. Raises: `changed_while_reading`, those of the container."""
        path = self.folder / tensor.file
        if self.container == "npz":
            with self._blob(path, tensor) as blob, npz.opened(blob, path, tensor.name) as (stream, header):
                if (header.shape, header.dtype) != (tensor.shape, tensor.dtype):
                    raise file.changed(path, tensor.name, tensor.nbytes, header.nbytes)
                fortran = header.fortran and len(tensor.shape) > 1
                yield Stream(tensor, fortran, header.swapped, _from_member(stream, header, tensor, path))
        else:
            with self._blob(path, tensor) as blob:
                fill = _from_blob(blob, tensor, path)
                yield Stream(tensor, False, False, fill if tensor.strides is None else _in_order(fill, tensor))

    def stored_bytes(self, tensor: TensorInfo) -> Iterator[memoryview]:
        """The bytes of a tensor of any type, little-endian and in C order, in pieces whose memory is used again.

        Raises: those of `stored`.
        """
        with self.stored(tensor) as stream:
            if stream.fortran or stream.swapped:
                yield _turned(stream)
                return
            total = tensor.size * STORED[tensor.dtype].bits // 8
            buffer = memoryview(bytearray(min(file.CHUNK, total)))
            for begin in range(0, total, file.CHUNK):
                piece = buffer[: min(file.CHUNK, total - begin)]
                stream.fill(begin, piece)
                yield piece

    def _blob(self, path: Place, tensor: TensorInfo) -> AbstractContextManager[file.Blob]:
        if self.shelf is not None and not isinstance(path, Path):
            return self.shelf.opened(path, tensor.version)
        return file.opened(path, tensor.version)

    def read(self, tensor: TensorInfo, hashed: Hash | None = None) -> Floats:
        """The whole tensor, C-contiguous, in `decoded(tensor.dtype)`: one array, and nothing beside it
        but a chunk (Fortran-ordered members of npz archives: twice that; strided tensors: their stored bytes).
        `hashed` is fed the stored bytes.

        Raises: `tensor_too_large`, those of `stream`.
        """
        with self.stream(tensor) as opened:
            stream = opened if hashed is None else opened.hashed(hashed)
            shape = tensor.shape[::-1] if stream.fortran else tensor.shape
            out = empty(shape, decoded(tensor.dtype), tensor)
            stream.elements_into(0, out.reshape(-1))
            if not stream.fortran:
                return out
            turned = empty(tensor.shape, decoded(tensor.dtype), tensor)
            turned[...] = out.T
            return turned


def empty(shape: tuple[int, ...], dtype: np.dtype[Any], tensor: TensorInfo) -> Floats:
    """An uninitialised array. Raises: `tensor_too_large` where the machine has no room for it."""
    try:
        return np.empty(shape, dtype=dtype)
    except (MemoryError, ValueError):
        raise TollensError(
            "tensor_too_large", tensor.name, expected="a tensor that fits into memory",
            found=f"{math.prod(shape) * dtype.itemsize} bytes", fix="Scan on a machine with more memory.",
        ) from None  # fmt: skip


def _turned(stream: Stream) -> memoryview:
    """The bytes of a member of an archive that lies in another order than C, or with the other end first."""
    tensor, width = stream.tensor, STORED[stream.tensor.dtype].bits // 8
    raw = np.empty(tensor.nbytes, dtype=np.uint8)
    stream.fill(0, raw.data)
    if stream.swapped:
        number = width // 2 if tensor.dtype in ("C64", "C128") else width  # of the two parts each is swapped
        raw = raw.reshape(-1, number)[:, ::-1].reshape(-1)
    if stream.fortran:
        raw = np.moveaxis(raw.reshape(*tensor.shape[::-1], width), -1, 0).T.reshape(-1)
    return np.ascontiguousarray(raw).data


def _from_blob(blob: file.Blob, tensor: TensorInfo, path: Place) -> Fill:
    def fill(offset: int, view: memoryview) -> None:
        try:
            got = blob.read_into(tensor.offset + offset, view)
        except OSError as error:
            raise file.unreadable(path, error) from None
        if got < len(view):
            raise file.changed(path, tensor.name, len(view), got)

    return fill


def _in_order(fill: Fill, tensor: TensorInfo) -> Fill:
    """The bytes of a strided tensor as if its elements lay in C order; they are fetched at the first call."""
    kept: list[memoryview] = []

    def ordered(offset: int, view: memoryview) -> None:
        if not kept:
            kept.append(gathered(fill, tensor, STORED[tensor.dtype].bits // 8))
        view[:] = kept[0][offset : offset + len(view)]

    return ordered


def _from_member(stream: IO[bytes], header: npz.Header, tensor: TensorInfo, path: Place) -> Fill:
    def fill(offset: int, view: memoryview) -> None:
        done = 0
        try:
            if stream.tell() != header.length + offset:
                stream.seek(header.length + offset)
            while done < len(view):
                data = stream.read(min(file.CHUNK, len(view) - done))
                if not data:
                    break
                view[done : done + len(data)] = data
                done += len(data)
        except npz.BROKEN as error:
            raise npz.broken(f"{path}: {tensor.name}", error) from None
        if done < len(view):
            raise npz.short(f"{path}: {tensor.name}", len(view), done)

    return fill
