"""Mutated files of `torch.save`: directory, headers and program, each alone and together."""

from __future__ import annotations

import math
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.attacks.mutation import Survey, Watched, survives
from tests.subject.torch_files import (
    WIDTHS,
    Code,
    Entry,
    Ordered,
    View,
    called,
    members,
    named,
    parameter,
    pickled,
    storage,
    value,
    zipped,
)

from tollens.core.errors import TollensError
from tollens.subject import torch_zip
from tollens.subject.checkpoint import open_checkpoint
from tollens.subject.dtypes import STORED
from tollens.subject.matrices import account, matrices
from tollens.subject.strided import gathered

DATA = {"0": bytes(range(96)), "1": bytes(32)}
SIZE = called("torch", "Size", ((2, 3),))
STATES = [
    Ordered(
        {"a.weight": View("0", "F32", 24, (4, 6)), "b.weight": View("1", "BF16", 16, (4, 4), (1, 4))},
        {"_metadata": Ordered({"": {"version": 1}})},
    ),
    {
        "model": {"h": parameter(View("0", "F32", 24, (2, 6), (0, 1), 3)), "e": View("1", "F8_E4M3", 32, (2, 16))},
        "optimizer": {"state": {0: {"m": View("0", "F32", 24, (24,))}}, "param_groups": [{"lr": 0.5}]},
        "step": 2**33,
        "size": SIZE,
        "none": [None, True, (1, 2)],
    },
]
INNER = (storage("0", "F32", 24), 0, (4, 6), (6, 1), False, Ordered({}))
WAY, KIND = Code(named("torch._utils", "_rebuild_tensor_v2")), Code(named("torch", "Tensor"))
QUANTISED = Code(b"(X\x07\x00\x00\x00storage" + named("torch", "QInt8Storage") + b"X\x01\x00\x00\x000NK\x60tQ")
RARE = {
    "t": called("torch._tensor", "_rebuild_from_type_v2", (WAY, KIND, INNER, {"tag": 1})),
    "p": called(
        "torch._utils", "_rebuild_parameter_with_state", (Code(value(View("0", "F32", 24, (3,)))), True, None, {})
    ),
    "q": called("torch._utils", "_rebuild_qtensor", (QUANTISED, 0, (8, 12), (12, 1), (None, 0.1, 0), False, None)),
    "s": called("torch._utils", "_rebuild_sparse_tensor", ("coo", (View("1", "I64", 4, (2, 2)), SIZE))),
    "m": called("torch._utils", "_rebuild_meta_tensor_no_storage", (KIND, (2, 2), (2, 1), False)),
    "n": called("torch._utils", "_rebuild_tensor_v2", (*INNER, {"neg": True})),
    "a": Code(named("argparse", "Namespace") + b")\x81}X\x01\x00\x00\x00bK\x01sb"),
    "o": called("__builtin__", "set", ([1, 2],)),
}
STATES.append(RARE)
PROGRAMS = [pickled(state) for state in STATES]
PROGRAMS.append(b"\x80\x04\x95\x40\0\0\0\0\0\0\0}\x94(\x8c\x01a\x94]\x94(K\x01M\x00\x02e\x8c\x01bh\x00u." + b"\0" * 40)
LATER = {"crc": 0, "packed": 0, "size": 0, "flags": 0x0808}


def unchecked(program: bytes) -> list[Entry]:
    """An archive whose pickle has no checksum, so that changes to it are not caught by that."""
    first, *rest = members(program, DATA)
    return [Entry(first.name, first.data, local={"crc": 0}, central={"crc": 0}), *rest]


def streamed(program: bytes) -> list[Entry]:
    descriptor = b"PK\x07\x08" + bytes(12)
    return [
        Entry(e.name, e.data, local=LATER, central={"flags": 0x0808, "crc": 0}, before=descriptor if i else b"")
        for i, e in enumerate(members(program, DATA))
    ]


ARCHIVES = [zipped(unchecked(PROGRAMS[0])), zipped(unchecked(PROGRAMS[1]), wide={}), zipped(streamed(PROGRAMS[0]), {})]
TOKENS = [
    named("os", "system"),
    named("torch", "FloatStorage"),
    named("torch._utils", "_rebuild_tensor_v2"),
    named("collections", "OrderedDict"),
    b"PK\x01\x02",
    b"PK\x03\x04",
    b"PK\x05\x06",
    b"PK\x06\x06",
    b"archive/data.pkl",
    b"archive/data/0",
    b"\x8a\x08" + b"\xff" * 7 + b"\x7f",
    b"\x8b\xff\xff\xff\x7f",
    b"X\xff\xff\xff\xff",
    b"(",
    b")",
    b"t",
    b"R",
    b"Q",
    b"b",
    b"u",
    b"s",
    b"}",
    b"]",
    b"a",
    b"e",
    b"2",
    b"0",
    b"1",
    b"h\x00",
    b"q\x00",
    b"\x94",
    b"\x93",
    b"\x85",
    b"\x86",
    b"\x87",
    b"\x81",
    b"N",
    b"\x88",
    b".",
    b"(" * 50,
    b"]" * 50 + b"a" * 49,
]


def examine(content: bytes) -> None:
    """Open, and read every float tensor through a file that watches its bounds."""
    blob = Watched(content)
    found = torch_zip.read_blob(blob, "m.pt", "m.pt")
    for tensor in found.tensors:
        stored = STORED.get(tensor.dtype)
        if stored is None:
            continue
        width = stored.bits // 8
        assert tensor.nbytes == math.prod(tensor.shape) * width
        if tensor.nbytes > 1 << 16:  # an expanded view; its ends are inside
            last = sum((n - 1) * s for n, s in zip(tensor.shape, tensor.strides or (), strict=True))
            assert tensor.offset + (last + 1) * width <= len(content)
        elif tensor.strides is None:
            blob.read_into(tensor.offset, memoryview(bytearray(tensor.nbytes)))
        else:
            offset = tensor.offset
            raw = gathered(lambda at, view, offset=offset: blob.read_into(offset + at, view) and None, tensor, width)
            assert len(raw) == tensor.nbytes


PROGRAM = "archive/data.pkl"
BODY = [*members(b"", DATA)[1:], Entry(PROGRAM, b"", local={"crc": 0}, central={"crc": 0})]
FRAME = zipped(BODY)
DIRECTORY = FRAME.index(b"PK\x01\x02")
SIZES = (
    DIRECTORY - len(PROGRAM) - 30 + 18,
    len(FRAME) - 22 - len(PROGRAM) - 46 + 20,
)  # in its header, in the directory


def wrapped(program: bytes) -> bytes:
    """What `zipped(unchecked(program))` makes, with the pickle as the last member: ten times as fast."""
    frame = bytearray(FRAME)
    for at in SIZES:
        struct.pack_into("<2I", frame, at, len(program), len(program))
    struct.pack_into("<I", frame, len(frame) - 22 + 16, DIRECTORY + len(program))
    return bytes(frame[:DIRECTORY]) + program + bytes(frame[DIRECTORY:])


def examine_program(content: bytes) -> None:
    """The same for a program alone, in an archive that is in order."""
    examine(wrapped(content))


def survey(count: int) -> tuple[Survey, Survey]:
    half = count // 2
    return (
        survives(ARCHIVES, examine, half, seed=1, tokens=TOKENS),
        survives(PROGRAMS, examine_program, count - half, seed=2, tokens=TOKENS),
    )


def test_the_seeds_are_accepted() -> None:
    for content in ARCHIVES:
        assert len(content) < 4_096
        examine(content)
    for program in PROGRAMS[:3]:
        examine_program(program)


def test_a_read_outside_would_be_seen() -> None:
    with pytest.raises(AssertionError, match="read of"):
        Watched(b"abc").read_into(2, memoryview(bytearray(2)))


def test_a_crash_would_be_seen() -> None:
    def fragile(content: bytes) -> None:
        raise KeyError(content[0])

    with pytest.raises(KeyError) as caught:
        survives([b"abc"], fragile, 1)
    assert "input number 1" in caught.value.__notes__[0]


def test_some_mutations() -> None:
    for found in survey(3_000):
        assert found.accepted > found.count // 100
        assert len(found.refusals) > 5


def test_some_mutations_as_files(tmp_path: Path) -> None:
    """The whole way from a path to matrices, for a few."""

    def whole(content: bytes) -> None:
        (tmp_path / "m.pt").write_bytes(content)
        checkpoint = open_checkpoint(tmp_path / "m.pt")
        found = matrices(checkpoint)
        for view in found.matrices:
            assert view.load().shape == view.shape
        account(checkpoint.tensors, found)

    assert survives(ARCHIVES, whole, 400, tokens=TOKENS).accepted


ODD = st.sampled_from([-1, 0, 1, 2, 3, 4, 12, 2**31, 2**32, 2**62, 2**63 - 1, 2**63, 2**64, True, None, 1.0, "2", ()])
SIDES = st.lists(ODD | st.integers(0, 5), max_size=4).map(tuple)


@settings(max_examples=300, deadline=None)
@given(SIDES, SIDES, ODD, ODD, st.sampled_from(["0", "1", "2", "../data.pkl", ""]), st.sampled_from(sorted(WIDTHS)))
def test_views_with_odd_numbers(
    shape: tuple[Any, ...], strides: tuple[Any, ...], first: Any, count: Any, key: str, dtype: str
) -> None:
    arguments = (storage(key, dtype, 96 // WIDTHS[dtype]), first, shape, strides, False, Ordered({}))
    odd = Code(value(("storage", Code(named("torch", "FloatStorage")), key, "cpu", count)) + b"Q")
    state = {
        "v": View("0", "F32", 24, (2, 3)),
        "w": called("torch._utils", "_rebuild_tensor_v2", arguments),
        "x": called("torch._utils", "_rebuild_tensor_v2", (odd, *arguments[1:])),
    }
    for names in ("vw", "vx"):
        with suppress(TollensError):
            examine_program(pickled({name: state[name] for name in names}))


@pytest.mark.slow
def test_a_million_mutations() -> None:
    for found in survey(1_000_000):
        print(f"\n{found}")
        assert found.accepted > found.count // 100


def test_a_refusal_names_a_foreign_function_found_by_mutation() -> None:
    with pytest.raises(TollensError, match=r"os\.system"):
        examine_program(PROGRAMS[0].replace(named("torch", "FloatStorage"), named("os", "system")))
