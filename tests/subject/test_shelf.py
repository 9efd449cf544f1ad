"""What a shelf keeps, what it fetches, and what it holds on to."""

from __future__ import annotations

import tempfile
from contextlib import closing
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollens.core.errors import TollensError
from tollens.subject import shelf as module
from tollens.subject.place import Url
from tollens.subject.shelf import Shelf, keeping, let_go

URL = Url("memory://bucket/a")
DATA = np.random.default_rng(0).integers(0, 256, 1000, dtype=np.uint8).tobytes()


class Far:
    """A file that remembers what was fetched."""

    def __init__(self, data: bytes = DATA) -> None:
        self.data, self.size = data, len(data)
        self.fetched: list[tuple[int, int]] = []

    def read_into(self, offset: int, view: memoryview, /) -> int:
        piece = self.data[offset : offset + len(view)]
        self.fetched.append((offset, offset + len(piece)))
        view[: len(piece)] = piece
        return len(piece)


def read(shelf: Shelf, far: Far, begin: int, end: int) -> bytes:
    buffer = bytearray(end - begin)
    return bytes(buffer[: shelf.read_into(URL, far, begin, memoryview(buffer))])


def full_disk(*_: Any, **__: Any) -> Any:
    raise OSError(28, "No space left on device")


@pytest.fixture(params=["on a file", "in memory", "on a file that is full after a while"], autouse=True)
def where(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.remote, "BLOCK", 64)
    if request.param == "in memory":
        monkeypatch.setattr(tempfile, "TemporaryFile", full_disk)
    elif request.param != "on a file":
        write, left = module.os.pwrite, iter([True] * 3)
        monkeypatch.setattr(module.os, "pwrite", lambda *given: write(*given) if next(left, False) else full_disk())


@settings(max_examples=60, deadline=None)
@given(
    reads=st.lists(st.tuples(st.integers(0, 1100), st.integers(0, 300)), max_size=12),
    wanted=st.tuples(st.integers(0, 1000), st.integers(0, 1000)),
)
def test_the_bytes_are_those_of_the_file_and_none_is_fetched_twice(
    reads: list[tuple[int, int]], wanted: tuple[int, int]
) -> None:
    begin, end = sorted(wanted)
    far = Far()
    asked = set(range(begin, end))
    with closing(Shelf({URL: [(begin, end)]})) as shelf:
        for start, count in reads:
            assert read(shelf, far, start, start + count) == DATA[start : start + count]
            asked |= set(range(start, start + count))
    fetched = [i for one, other in far.fetched for i in range(one, other)]
    assert len(fetched) == len(set(fetched))
    assert set(fetched) <= asked
    assert all(other - one <= 64 for one, other in far.fetched)


def test_whole_blocks_are_fetched_of_what_will_be_wanted() -> None:
    far = Far()
    with closing(Shelf({URL: [(100, 300)]})) as shelf:
        for begin in range(100, 300, 10):
            read(shelf, far, begin, begin + 10)
    assert far.fetched == [(100, 164), (164, 228), (228, 292), (292, 300)]


def test_a_file_that_gives_less_than_it_has_is_refused() -> None:
    far = Far()
    far.size = 2000
    with closing(Shelf({})) as shelf, pytest.raises(TollensError, match="changed_while_reading"):
        read(shelf, far, 990, 1010)


def test_a_shelf_that_is_shared_stays_until_another_tensor_comes() -> None:
    with keeping({}, "a") as first, keeping({}, "a") as again:
        assert again is first
    far = Far()
    read(first, far, 0, 10)
    with keeping({}, "a") as again:
        assert read(again, far, 0, 10) == DATA[:10]
    assert len(far.fetched) == 1
    with keeping({}, "b") as other:
        assert other is not first
    with keeping({}) as own, keeping({}) as another:
        assert own is not another
    with keeping({}, "b") as later:
        assert later is not other
    let_go()
    let_go()
