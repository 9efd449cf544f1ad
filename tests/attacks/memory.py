"""Files that are bytes in memory, so that a reader meets a million of them and every one of its reads is judged."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from tollens.core.codes import CODES
from tollens.core.errors import Exit, TollensError
from tollens.subject import file
from tollens.subject.checkpoint import open_checkpoint
from tollens.subject.dtypes import Kind, kind_of
from tollens.subject.matrices import account, matrices

ROOM = 1 << 20  # bytes beside the matrix that is loaded


class Memory:
    """A blob that is never asked for a byte it does not have."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.size = len(content)

    def read_into(self, offset: int, view: memoryview, /) -> int:
        assert 0 <= offset <= offset + len(view) <= self.size, (offset, len(view), self.size)
        view[:] = self.content[offset : offset + len(view)]
        return len(view)


def judged(error: TollensError) -> str:
    assert error.code in CODES
    assert error.exit_code is Exit.BAD_INPUT
    assert len(str(error)) < 2_000
    return error.code


@contextmanager
def instead_of_the_disk() -> Iterator[Callable[..., str | None]]:
    """A function that opens a file of this name and these bytes and loads all of its matrices, or with `roles` false
    reads all of its tensors: the code of the error, None where it is read. Anything else that is raised passes.
    """
    held: list[bytes] = [b""]

    @contextmanager
    def opened(place: Path) -> Iterator[Memory]:
        yield Memory(held[0])

    def examined(name: str, content: bytes, roles: bool = True) -> str | None:
        held[0] = content
        try:
            checkpoint = open_checkpoint(name)
            if not roles:
                floats = [t for t in checkpoint.tensors if kind_of(t.dtype) in (Kind.FLOAT, Kind.BLOCKS)]
                assert all(checkpoint.source.read(t).shape == t.shape for t in floats)
                return None
            found = matrices(checkpoint)
            for view in found.matrices:
                assert view.load(np.float32).shape == view.shape
        except TollensError as error:
            return judged(error)
        assert sum(account(checkpoint.tensors, found)) == len(checkpoint.tensors)
        return None

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(file, "opened", opened)
        patched.setattr(file, "kind", lambda place: "file")
        patched.setattr(file, "exists", lambda folder, name: False)
        yield examined


NUMBERS = (
    0,
    1,
    2,
    3,
    7,
    8,
    13,
    31,
    32,
    255,
    256,
    65_535,
    *(2**n - k for n in (31, 32, 40, 62, 63, 64) for k in (0, 1)),
)


def mutated(content: bytes, dice: random.Random) -> bytes:
    """`content` changed in one to three places: bytes, numbers of 4 or 8 bytes, pieces cut out, moved or repeated."""
    changed = bytearray(content)
    for _ in range(dice.randint(1, 3)):
        at, way = dice.randrange(len(changed) + 1), dice.randrange(8)
        if way <= 1 and at < len(changed):
            changed[at] = dice.randrange(256)
        elif way <= 3:
            width = dice.choice((1, 4, 4, 8, 8))
            at -= at % dice.choice((1, 4))
            changed[at : at + width] = (dice.choice(NUMBERS) % 256**width).to_bytes(width, "little")
        elif way == 4:
            del changed[at:]
        elif way == 5:
            del changed[at : at + dice.randint(1, 40)]
        elif way == 6:
            begin = dice.randrange(len(changed) + 1)
            changed[at:at] = changed[begin : begin + dice.randint(1, 64)]
        else:
            changed += dice.randbytes(dice.randint(1, 40))
    return bytes(changed)


def survived(seeds: dict[str, bytes], count: int, seed: int, measured: int) -> dict[str | None, int]:
    """What became of `count` mutants of the honest files `seeds` (by name), by code. The peak of memory of every
    `measured`-th one stays below `ROOM` and what its matrices take.
    """
    dice = random.Random(seed)
    tally: dict[str | None, int] = {}
    with instead_of_the_disk() as examined:
        for name, content in seeds.items():
            assert examined(name, content) is None, name
        for n in range(count):
            name = dice.choice(list(seeds))
            content = mutated(seeds[name], dice)
            if n % measured == 0:
                tracemalloc.start()
            code = examined(name, content, n % 10 == 0)  # finding the roles costs more than all the rest
            if n % measured == 0:
                peak = tracemalloc.get_traced_memory()[1]
                tracemalloc.stop()
                assert peak < ROOM + 64 * len(content), (peak, len(content))
            tally[code] = tally.get(code, 0) + 1
    return tally
