from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from tollens.core.errors import TollensError
from tollens.subject import file


def test_reads_at_an_offset_and_says_how_much_there_was(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"0123456789")
    buffer = bytearray(8)
    with file.opened(tmp_path / "f") as blob:
        assert blob.size == 10
        assert blob.read_into(1, memoryview(buffer)) == 8
        assert bytes(buffer) == b"12345678"
        assert blob.read_into(6, memoryview(buffer)) == 4
        assert blob.read_into(99, memoryview(buffer)) == 0


def test_at_most_the_limit_is_read(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"0123456789")
    assert file.read(tmp_path / "f", 4) == b"0123"
    assert file.read(tmp_path / "f", 99) == b"0123456789"


@pytest.mark.parametrize("size", [0, 1, file.CHUNK, file.CHUNK + 1])
def test_the_digest_of_sizes_around_a_chunk(tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    (tmp_path / "f").write_bytes(content)
    assert file.sha256(tmp_path / "f") == hashlib.sha256(content).hexdigest()


def test_descriptors_are_closed_whatever_happens(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "f").write_bytes(b"x")
    before = len(os.listdir("/proc/self/fd"))
    for name, code in (("pipe", "path_not_a_file"), (".", "path_not_a_file"), ("absent", "path_missing")):
        with pytest.raises(TollensError) as caught, file.opened(tmp_path / name):
            pass
        assert caught.value.code == code
    with pytest.raises(ZeroDivisionError), file.opened(tmp_path / "f"):
        raise ZeroDivisionError
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_read_that_the_system_refuses_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> int:
        raise OSError(5, "Input/output error")

    (tmp_path / "f").write_bytes(b"x")
    monkeypatch.setattr(os, "preadv", broken)
    for read in (lambda: file.read(tmp_path / "f", 9), lambda: file.sha256(tmp_path / "f")):
        with pytest.raises(TollensError, match=r"path_unreadable.*Input/output error"):
            read()
