"""Hostile llama2.c files: without a magic number, the seven numbers and the size are all there is to go by."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest
from tests.attacks.memory import examination, reading
from tests.attacks.mutation import survives
from tests.subject.llama2c_bytes import header, llama2c, tokenizer


@pytest.fixture(scope="module")
def examined() -> Iterator[object]:
    with examination() as function:
        yield function


BIG = 2**31 - 1
CASES: dict[str, tuple[bytes, str]] = {
    "no byte": (b"", "empty_file"),
    "28 bytes of nothing": (b"\0" * 28, "pickle_refused"),
    "28 bytes that describe a model": (header(8, 12, 2, 4, 2, 10, 6), "file_size_mismatch"),
    "27 of them": (header(8, 12, 2, 4, 2, 10, 6)[:27], "pickle_refused"),
    "every number as large as can be": (header(*[BIG] * 7), "pickle_refused"),
    "every number as large as is sane": (header(2**20, 2**22, 2**12, 2**16, 2**16, 2**26, 2**26), "file_size_mismatch"),
    "the smallest vocabulary there is": (header(8, 12, 2, 4, 2, -(2**31), 6), "pickle_refused"),
    "ak42 and no more": (struct.pack("<I", 0x616B3432), "format_version_unsupported"),
    "a tokenizer that goes on": (tokenizer() + b"\0", "format_unknown"),
    "a tokenizer with a piece past the end": (struct.pack("<ifi", 9, 0.0, 9) + b"x", "format_unknown"),
    "a tokenizer with a negative length": (tokenizer() + struct.pack("<fi", 0.0, -8), "format_unknown"),
    "a tokenizer too large to be one": (struct.pack("<ifi", 9, 0.0, 1) + b"x" * (9 << 20), "format_unknown"),
    "a pickle": (b"\x80\x04\x95" + b"\0" * 60, "pickle_refused"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_hostile_files(examined, case: str) -> None:  # type: ignore[no-untyped-def]
    content, code = CASES[case]
    assert examined("model.bin", content) == code


@pytest.mark.parametrize("tied", [True, False])
def test_cut_short_at_every_byte(examined, tied: bool) -> None:  # type: ignore[no-untyped-def]
    content = llama2c(tied)
    assert examined("model.bin", content) is None
    for at in range(1, len(content)):
        code = examined("model.bin", content[:at])
        expected = "empty_file" if at == 0 else "pickle_refused" if at < 28 else "file_size_mismatch"
        assert code == expected, at


def test_every_byte_of_the_header_set_to_every_value(examined) -> None:  # type: ignore[no-untyped-def]
    content = llama2c()
    for at in range(28):
        for value in range(256):
            if value != content[at]:
                assert examined("model.bin", content[:at] + bytes([value]) + content[at + 1 :]) is not None, (at, value)


SEEDS = (llama2c(), llama2c(False))


def test_some_mutants() -> None:
    with reading("model.bin", measured=20) as read:
        survey = survives(SEEDS, read, 800, seed=3)
    assert survey.accepted > 40
    assert survey.refusals["file_size_mismatch"] > 40


@pytest.mark.slow
def test_a_million_mutants() -> None:
    with reading("model.bin", measured=1_000) as read:
        survey = survives(SEEDS, read, 1_000_000, seed=4)
    print(survey)
    assert survey.count == 1_000_000
    assert len(survey.refusals) >= 3
