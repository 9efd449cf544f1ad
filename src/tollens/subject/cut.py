"""Which numbers of a stored tensor make up one matrix, and how they are fetched without the rest."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from tollens.subject.dtypes import Floats, decoded
from tollens.subject.source import Hash, Source, Stream, empty
from tollens.subject.tensor import TensorInfo

RUN = 4_096  # bytes: below a page, one read per run costs more than reading what lies between
PANEL = 1 << 20  # elements of the buffer that reads with gaps go through


@dataclass(frozen=True, slots=True)
class Cut:
    """A matrix inside a tensor.

    The numbers from `start` on (counted in elements, stored order) are folded to the shape `fold`; along
    each of its axes the half-open range in `pick` is taken; the axes are put into the order `axes` and
    what results is read in C order as a matrix of `shape` (rows, cols).
    """

    start: int
    fold: tuple[int, ...]
    pick: tuple[tuple[int, int], ...]
    axes: tuple[int, ...]
    shape: tuple[int, int]

    @property
    def contiguous(self) -> bool:
        """Whether the matrix is one unbroken piece of the tensor, in its own order."""
        return self.unbroken and self.axes == tuple(range(len(self.axes)))

    @property
    def unbroken(self) -> bool:
        """Whether the matrix takes every number between its first and its last, in whatever order."""
        return all(p == (0, n) for p, n in zip(self.pick, self.fold, strict=True))


def block(start: int, rows: int, cols: int) -> Cut:
    """The unbroken matrix of `rows` x `cols` that begins at number `start`."""
    return Cut(start, (rows, cols), ((0, rows), (0, cols)), (0, 1), (rows, cols))


def folded(
    fold: tuple[int, ...],
    pick: dict[int, tuple[int, int]],
    rows: tuple[int, ...],
    cols: tuple[int, ...],
    start: int = 0,
) -> Cut:
    """A cut whose rows run over the axes `rows` of `fold` and whose columns over `cols`; axes that are not
    in `pick` are taken whole.
    """
    ranges = tuple(pick.get(axis, (0, side)) for axis, side in enumerate(fold))
    sizes = [end - begin for begin, end in ranges]
    shape = (math.prod(sizes[a] for a in rows), math.prod(sizes[a] for a in cols))
    return Cut(start, fold, ranges, (*rows, *cols), shape)


def load(source: Source, tensor: TensorInfo, cut: Cut, dtype: np.dtype[Any], hashed: Hash | None = None) -> Floats:
    """A fresh C-contiguous array of `cut.shape` in `dtype` (f32 or f64). `hashed` is fed the bytes that were read:
    of an unbroken cut its stored bytes, in stored order and each once.

    Beside it stands at most one panel of `PANEL` numbers or one row of `cut.fold`, whichever is larger
    (Fortran-ordered archive members that are cut: the whole tensor).

    Raises: `tensor_too_large`, those of `Source.stream`.
    """
    with source.stream(tensor) as opened:
        stream = opened if hashed is None else opened.hashed(hashed)
        if stream.fortran:
            if not (cut.start == 0 and cut.fold == tensor.shape and len(cut.fold) == 2 and cut.contiguous):
                return _taken(source.read(tensor), cut, dtype, tensor)
            rows, cols = cut.shape
            cut = folded((cols, rows), {}, rows=(1,), cols=(0,))
        out = empty(cut.shape, dtype, tensor)
        if cut.contiguous:
            stream.elements_into(cut.start, out.reshape(-1))
        elif out.size:
            _gather(stream, cut, _by_axis(out, cut))
        return out


def _by_axis(out: Floats, cut: Cut) -> Floats:
    """`out` seen with the axes of `cut.fold`: writing to the view fills the matrix."""
    sizes = [end - begin for begin, end in cut.pick]
    return out.reshape([sizes[a] for a in cut.axes]).transpose(np.argsort(cut.axes).tolist())


def _taken(whole: Floats, cut: Cut, dtype: np.dtype[Any], tensor: TensorInfo) -> Floats:
    piece = whole.reshape(-1)[cut.start : cut.start + math.prod(cut.fold)].reshape(cut.fold)
    out = empty(cut.shape, dtype, tensor)
    _by_axis(out, cut)[...] = piece[tuple(slice(*p) for p in cut.pick)]
    return out


def _gather(stream: Stream, cut: Cut, target: Floats) -> None:
    """Fill `target` (one axis per axis of the fold, as picked) from the stream, first axis by first axis."""
    (first, last), inner = cut.pick[0], tuple(slice(*p) for p in cut.pick[1:])
    stride = math.prod(cut.fold[1:])
    kept = decoded(stream.tensor.dtype)
    begin, end = cut.pick[1]
    unit = math.prod(cut.fold[2:])
    if (end - begin) * unit * kept.itemsize >= RUN and (begin, end) != (0, cut.fold[1]):
        buffer = empty(((end - begin) * unit,), kept, stream.tensor)
        for i in range(first, last):
            stream.elements_into(cut.start + i * stride + begin * unit, buffer)
            target[i - first] = buffer.reshape(end - begin, *cut.fold[2:])[(slice(None), *inner[1:])]
        return
    step = max(1, PANEL // stride)
    panel = empty((min(step, last - first), *cut.fold[1:]), kept, stream.tensor)
    for i in range(first, last, step):
        piece = panel[: min(step, last - i)]
        stream.elements_into(cut.start + i * stride, piece.reshape(-1))
        target[i - first : i - first + len(piece)] = piece[(slice(None), *inner)]
