"""Checkpoints that are bytes in memory, opened and read as a whole by the way that files on disk take."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from tests.attacks.mutation import Watched

from tollens.core.errors import TollensError
from tollens.subject import file
from tollens.subject.checkpoint import open_checkpoint
from tollens.subject.dtypes import Kind, kind_of
from tollens.subject.matrices import account, matrices

ROOM = 1 << 20  # bytes that reading may take beside 64 times the file; a byte of a block is at most 80 bits of float32


@contextmanager
def instead_of_the_disk() -> Iterator[Callable[[bytes], None]]:
    """What is given to the function is what every file holds."""
    held: list[bytes] = [b""]

    @contextmanager
    def opened(place: Path, version: str | None = None) -> Iterator[Watched]:
        yield Watched(held[0])

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(file, "opened", opened)
        patched.setattr(file, "kind", lambda place: "file")
        patched.setattr(file, "exists", lambda folder, name: False)
        yield lambda content: held.__setitem__(0, content)


def read_matrices(name: str) -> None:
    checkpoint = open_checkpoint(name)
    found = matrices(checkpoint)
    for view in found.matrices:
        assert view.load(np.float32).shape == view.shape
    assert sum(account(checkpoint.tensors, found)) == len(checkpoint.tensors)


def read_tensors(name: str) -> None:
    """Finding roles costs several times as much."""
    checkpoint = open_checkpoint(name)
    for tensor in checkpoint.tensors:
        if kind_of(tensor.dtype) in (Kind.FLOAT, Kind.BLOCKS):
            assert checkpoint.source.read(tensor).shape == tensor.shape


@contextmanager
def examination() -> Iterator[Callable[[str, bytes], str | None]]:
    """A function from a file's name and bytes to the code of the error it is refused with, None where it is read."""
    with instead_of_the_disk() as put:

        def examined(name: str, content: bytes) -> str | None:
            put(content)
            try:
                read_matrices(name)
            except TollensError as error:
                return error.code
            return None

        yield examined


@contextmanager
def reading(name: str, measured: int) -> Iterator[Callable[[bytes], None]]:
    """For `survives`: all tensors of a file of this name, one file in ten by roles. The memory that every
    `measured`-th one takes is in proportion to its size.
    """
    calls = 0
    with instead_of_the_disk() as put:

        def read(content: bytes) -> None:
            nonlocal calls
            calls += 1
            put(content)
            way = read_tensors if calls % 10 else read_matrices
            if calls % measured:
                way(name)
                return
            tracemalloc.start()
            try:
                way(name)
            finally:
                peak = tracemalloc.get_traced_memory()[1]
                tracemalloc.stop()
                assert peak < ROOM + 64 * len(content), (peak, len(content))

        yield read
