"""Hostile GGUF files: each makes one guard fire by its own name, and a million mutants make nothing else."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
import pytest
from tests.attacks.memory import examination, reading
from tests.attacks.mutation import survives
from tests.subject.gguf_bytes import ARRAY, TEXT, Tensor, array, gguf, pair, text, u32

W = Tensor("w", (2, 2), "F32", 0)
DATA = struct.pack("<8f", *range(8))  # two tensors of 16 bytes, or one with the padding behind it
TWO = (W, Tensor("v", (2, 2), "F32", 32))


def alignment(value: bytes, kind: int = 4) -> bytes:
    return gguf([W], DATA, [pair("general.alignment", kind, value)])


def nested(depth: int) -> bytes:
    inner = array(4, 0)
    for _ in range(depth - 1):
        inner = array(ARRAY, 1, inner)
    return inner


def one(*sides: int, kind: str | int = "F32", offset: int = 0, name: str | bytes = "w", data: bytes = DATA) -> bytes:
    return gguf([Tensor(name, sides, kind, offset)], data)


CASES: dict[str, tuple[bytes, str]] = {
    "no byte": (b"", "empty_file"),
    "another magic": (b"GGUX" + b"\0" * 60, "format_unknown"),
    "magic alone": (b"GGUF", "header_truncated"),
    "28 bytes": (b"GGUF" + b"\0" * 24, "format_version_unsupported"),
    "28 bytes of version 3, one tensor": (b"GGUF" + struct.pack("<IQQ", 3, 1, 0) + b"\0" * 4, "header_truncated"),
    "version 1": (gguf([W], DATA, version=1), "format_version_unsupported"),
    "version 4": (gguf([W], DATA, version=4), "format_version_unsupported"),
    "big endian": (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "format_version_unsupported"),
    "no tensor": (gguf([], b""), "no_tensors"),
    "2^63 tensors": (gguf([W], DATA, counts=(2**63, 0)), "header_truncated"),
    "2^64 - 1 tensors": (gguf([W], DATA, counts=(2**64 - 1, 0)), "header_truncated"),
    "2^63 pairs": (gguf([W], DATA, counts=(1, 2**63)), "header_truncated"),
    "one pair more": (gguf([W], DATA, [pair("a", 4, u32(1))], counts=(1, 2)), "header_truncated"),
    "one tensor more": (gguf([W], b"", counts=(2, 0), padded=False), "header_truncated"),
    "one tensor fewer": (gguf(TWO, DATA + b"\0" * 16, counts=(1, 0)), "trailing_bytes"),
    "five million pairs": (gguf([], b"\0" * 70_000_000, counts=(0, 5_000_000)), "header_too_long"),
    "a text longer than the file": (gguf([W], DATA, [pair("a", TEXT, text(b"x", 10**6))]), "header_truncated"),
    "a text of 2^64 - 1": (gguf([W], DATA, [pair("a", TEXT, text(b"x", 2**64 - 1))]), "header_truncated"),
    "a key longer than the file": (gguf([], b"\0" * 40, [text(b"x", 2**63)]), "header_truncated"),
    "a key of 65,536 bytes": (gguf([W], DATA, [pair("x" * 65_536, 4, u32(1))]), "header_bad_entry"),
    "a key that is no text": (gguf([W], DATA, [pair(b"\xff", 4, u32(1))]), "tensor_name_invalid"),
    "a key twice": (gguf([W], DATA, [pair("a", 4, u32(1))] * 2), "duplicate_key"),
    "a value of type 13": (gguf([W], DATA, [pair("a", 13, u32(1))]), "header_bad_entry"),
    "a value of type 2^32 - 1": (gguf([W], DATA, [pair("a", 2**32 - 1, u32(1))]), "header_bad_entry"),
    "an array of type 13": (gguf([W], DATA, [pair("a", ARRAY, array(13, 1, u32(1)))]), "header_bad_entry"),
    "an array of 2^63 bytes": (gguf([W], DATA, [pair("a", ARRAY, array(0, 2**63))]), "header_truncated"),
    "an array of 2^61 doubles": (gguf([W], DATA, [pair("a", ARRAY, array(12, 2**61))]), "header_truncated"),
    "an array of 2^63 texts": (gguf([W], DATA, [pair("a", ARRAY, array(TEXT, 2**63))]), "header_truncated"),
    "an array of 2^60 arrays": (gguf([W], DATA, [pair("a", ARRAY, array(ARRAY, 2**60))]), "header_truncated"),
    "arrays five deep": (gguf([W], DATA, [pair("a", ARRAY, nested(5))]), "header_too_deep"),
    "arrays 10,000 deep": (gguf([W], DATA, [pair("a", ARRAY, nested(10_000))]), "header_too_deep"),
    "alignment 0": (alignment(u32(0)), "header_bad_entry"),
    "alignment 3": (alignment(u32(3)), "header_bad_entry"),
    "alignment 2^31": (alignment(u32(2**31)), "header_bad_entry"),
    "alignment 2^40": (alignment(struct.pack("<Q", 2**40), 10), "header_bad_entry"),
    "alignment -8": (alignment(struct.pack("<i", -8), 5), "header_bad_entry"),
    "alignment 32.0": (alignment(struct.pack("<f", 32.0), 6), "header_bad_entry"),
    "alignment true": (alignment(b"\1", 7), "header_bad_entry"),
    "alignment in words": (alignment(text("32"), TEXT), "header_bad_entry"),
    "a name twice": (gguf([W, W._replace(offset=32)], DATA + b"\0" * 16), "duplicate_key"),
    "a name of 1,025 letters": (one(2, 2, name="w" * 1_025), "tensor_name_invalid"),
    "a name of 70,000 letters": (one(2, 2, name="w" * 70_000), "header_bad_entry"),
    "a name with an escape": (one(2, 2, name="w\x1b[2J"), "tensor_name_invalid"),
    "a name that is no text": (one(2, 2, name=b"\xc0\xaf"), "tensor_name_invalid"),
    "five sides": (one(1, 1, 1, 2, 2), "header_bad_entry"),
    "2^32 - 1 sides": (gguf([], text("w") + u32(2**32 - 1) + DATA, counts=(1, 0), padded=False), "header_bad_entry"),
    "sides that overflow": (one(2**32, 2**32), "shape_overflow"),
    "sides that overflow to one": (one(2**63, 2, 2**63, 2), "shape_overflow"),
    "sides that overflow behind a zero": (one(0, 2**62, 2**62), "shape_overflow"),
    "type 4, which was given up": (one(2, 2, kind=4), "dtype_unknown"),
    "type 9, which no file holds": (one(32, 1, kind=9), "dtype_unknown"),
    "type 2^32 - 1": (one(2, 2, kind=2**32 - 1), "dtype_unknown"),
    "half a block in a row": (one(16, 2, kind="Q8_0"), "header_bad_entry"),
    "a scalar of blocks": (one(kind="Q8_0"), "header_bad_entry"),
    "an offset past the end": (one(2, 2, offset=2**20), "tensor_out_of_bounds"),
    "an offset of 2^64 - 32": (one(2, 2, offset=2**64 - 32), "tensor_out_of_bounds"),
    "an offset between two": (one(2, 2, offset=4), "tensor_unaligned"),
    "data that end too early": (one(2, 2, data=DATA[:15]), "tensor_out_of_bounds"),
    "no data": (one(2, 2, data=b""), "tensor_out_of_bounds"),
    "no data and no padding": (gguf([W], b"", padded=False), "tensor_out_of_bounds"),
    "two that share their bytes": (gguf([W, Tensor("v", (2, 2), "F32", 0)], DATA), "tensor_overlap"),
    "two that overlap": (gguf([Tensor("a", (16,), "F32", 0), W._replace(offset=32)], DATA * 2), "tensor_overlap"),
    "blocks that overlap": (gguf([Tensor("a", (32, 1), "Q8_0", 0), W._replace(offset=32)], DATA * 2), "tensor_overlap"),
    "a hole": (gguf([W, Tensor("v", (2, 2), "F32", 64)], DATA * 3), "tensor_hole"),
    "a hole at the start": (one(2, 2, offset=32, data=DATA * 2), "tensor_hole"),
    "bytes behind the end": (one(2, 2, data=DATA + b"\0"), "trailing_bytes"),
}  # fmt: skip


@pytest.fixture(scope="module")
def examined() -> Iterator[object]:
    with examination() as function:
        yield function


@pytest.mark.parametrize("case", CASES)
def test_hostile_files(examined, case: str) -> None:  # type: ignore[no-untyped-def]
    content, code = CASES[case]
    begin = time.process_time()
    assert examined("m.gguf", content) == code
    assert time.process_time() - begin < 1.0
    if content[:4] == b"GGUF":
        assert examined("m", content) == code  # by its bytes as by its name


def test_the_honest_neighbours_of_the_hostile_ones(examined) -> None:  # type: ignore[no-untyped-def]
    for content in (
        one(2, 2),
        gguf(TWO, DATA + b"\0" * 16),
        one(2, 2, data=DATA[:16]),
        alignment(u32(32)),
        alignment(struct.pack("<Q", 32), 10),
        gguf([W], DATA, [pair("a", ARRAY, nested(4))]),
        gguf([W], DATA, [pair("x" * 65_535, 4, u32(1))]),
        one(2, 2, name="w" * 1_024),
        gguf([Tensor("a", (32, 1), "Q8_0", 0), W._replace(offset=64)], b"\0" * 64 + DATA),
        gguf([W._replace(offset=32), Tensor("v", (2, 2), "F32", 0)], DATA + b"\0" * 16),
    ):
        assert examined("m.gguf", content) is None


@cache
def honest() -> dict[str, bytes]:
    """Every kind of value, and tensors plain and in blocks, under the names of a model."""
    pairs = [
        pair("general.architecture", TEXT, text("llama")),
        pair("llama.attention.head_count", 4, u32(2)),
        pair("llama.attention.head_count_kv", 4, u32(1)),
        pair("llama.embedding_length", 4, u32(32)),
        pair("tokens", ARRAY, array(TEXT, 3, text("a") + text("bc") + text(""))),
        pair("scores", ARRAY, array(6, 3, b"\0" * 12)),
        pair("nested", ARRAY, array(ARRAY, 2, array(0, 2, b"ab") + array(TEXT, 1, text("x")))),
        pair("general.alignment", 4, u32(32)),
    ]
    rng = np.random.default_rng(5)
    layout: Sequence[tuple[str, tuple[int, ...], str | int, int]] = (
        ("token_embd.weight", (32, 4), "Q8_0", 136),
        ("blk.0.attn_qkv.weight", (32, 64), "F16", 4096),
        ("blk.0.attn_norm.weight", (32,), "F32", 128),
        ("blk.0.ffn_up_exps.weight", (32, 2, 2), "BF16", 256),
        ("blk.0.ffn_down.weight", (256, 1), "Q4_K", 144),
        ("blk.0.ffn_gate.weight", (256, 1), "Q6_K", 210),
        ("output.weight", (32, 4), "Q8_0", 136),
    )
    tensors, data = [], b""
    for name, sides, kind, nbytes in layout:
        tensors.append(Tensor(name, sides, kind, len(data)))
        data += rng.bytes(nbytes) + b"\0" * (-nbytes % 32)
    return {"all": gguf(tensors, data, pairs), "small": gguf(TWO, DATA + b"\0" * 16, pairs[:3])}


def test_cut_short_at_every_byte(examined) -> None:  # type: ignore[no-untyped-def]
    content = honest()["all"]
    header = content.index(b"output.weight") + 60
    for at in (*range(header), *range(header, len(content) - 31, 37)):
        code = examined("m.gguf", content[:at])
        wanted = (
            {"empty_file"}
            if at == 0
            else {"format_unknown"}
            if at < 4
            else {"header_truncated", "tensor_out_of_bounds"}
        )
        assert code in wanted, (at, code)


def test_every_byte_of_the_header_set_to_its_extremes(examined) -> None:  # type: ignore[no-untyped-def]
    content = honest()["small"]
    for at in range(len(content) - 48):
        for value in (0, 1, 127, 128, 255):
            examined("m.gguf", content[:at] + bytes([value]) + content[at + 1 :])


TOKENS = (b"GGUF", b"general.alignment", u32(TEXT), u32(ARRAY), *(struct.pack("<Q", n) for n in (0, 32, 64, 2**63)))


def test_some_mutants() -> None:
    with reading("m.gguf", measured=20) as read:
        survey = survives(list(honest().values()), read, 800, seed=1, tokens=TOKENS)
    assert survey.accepted > 40  # what only changed numbers is still read
    assert len(survey.refusals) > 8  # and the refusals are of many kinds


@pytest.mark.slow
def test_a_million_mutants() -> None:
    with reading("m.gguf", measured=1_000) as read:
        survey = survives(list(honest().values()), read, 1_000_000, seed=2, tokens=TOKENS)
    print(survey)
    assert survey.count == 1_000_000
    assert len(survey.refusals) > 12
