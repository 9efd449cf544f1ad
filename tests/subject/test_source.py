"""Memory is the promise here: one array of the tensor's size, and a bounded rest."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from tollens.core.errors import TollensError
from tollens.subject.checkpoint import open_checkpoint
from tollens.subject.source import DECODE_CHUNK, Source

MEASURE = """
import sys
import numpy as np
from tollens.subject.checkpoint import open_checkpoint
from tollens.subject.matrices import matrices

def peak():  # kB; unlike ru_maxrss it starts anew with the process
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])

checkpoint = open_checkpoint(sys.argv[1])
for view in matrices(checkpoint).matrices:
    if view.tensor.name == "small":
        view.load(sys.argv[2])
before = peak()
for view in matrices(checkpoint).matrices:
    if view.tensor.name != "small":
        view.load(sys.argv[2])
print(peak() - before)
"""
MIB = 1 << 20
SIDE = 2_400


def growth(path: Path, dtype: str) -> float:
    """MiB that the peak grows by while the large matrices are loaded one after another."""
    command = [sys.executable, "-c", MEASURE, str(path), dtype]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout) / 1024


@pytest.mark.parametrize(
    ("stored", "dtype"),
    [(np.float32, "f4"), (np.float32, "f8"), (ml_dtypes.bfloat16, "f4"), (ml_dtypes.float8_e4m3fn, "f4")],
)
def test_reading_takes_one_array(tmp_path: Path, stored: type, dtype: str) -> None:
    path = tmp_path / "m.safetensors"
    small = np.ones((8, 8), dtype=stored)
    save_file(
        {"a": np.ones((SIDE, SIDE), dtype=stored), "b": np.ones((SIDE, SIDE), dtype=stored), "small": small},
        path,
    )
    one = SIDE * SIDE * np.dtype(dtype).itemsize / MIB
    assert one * 0.9 < growth(path, dtype) < one + 6


def test_reading_a_part_takes_the_part_and_a_panel(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    name = "transformer.h.0.attn.c_attn.weight"
    save_file({name: np.ones((SIDE, 3 * SIDE), dtype=np.float16), "small": np.ones((8, 8))}, path)
    one = SIDE * SIDE * 4 / MIB
    assert one * 0.9 < growth(path, "f4") < one + 10  # a panel of f32 is 4 MiB


def test_a_deflated_archive_is_streamed(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "m.npz", a=np.ones((SIDE, SIDE), dtype=np.float32), small=np.ones((8, 8)))
    one = SIDE * SIDE * 4 / MIB
    assert one * 0.9 < growth(tmp_path / "m.npz", "f4") < one + 10


@pytest.mark.parametrize("stored", [np.float16, np.float32, ml_dtypes.bfloat16])
def test_sizes_around_a_chunk_of_decoding(tmp_path: Path, stored: type) -> None:
    for size in (DECODE_CHUNK - 1, DECODE_CHUNK, DECODE_CHUNK + 1):
        w = np.arange(size).astype(np.uint8).astype(stored)
        save_file({"w": w}, tmp_path / "m.safetensors")
        found = open_checkpoint(tmp_path / "m.safetensors").read("w")
        np.testing.assert_array_equal(found, w.astype(np.float32))


def test_no_part_of_the_file_is_mapped_or_left_open(tmp_path: Path) -> None:
    path = tmp_path / "weights-of-this-test.safetensors"
    save_file({"w": np.ones((64, 64))}, path)
    checkpoint = open_checkpoint(path)
    checkpoint.read("w")
    assert path.name not in Path("/proc/self/maps").read_text()
    assert not [fd for fd in Path("/proc/self/fd").iterdir() if fd.exists() and fd.resolve() == path]


def test_a_source_is_two_small_values(tmp_path: Path) -> None:
    assert len(pickle.dumps(Source(tmp_path, "npz"))) < 400


def test_integers_are_no_weights(tmp_path: Path) -> None:
    save_file({"w": np.ones((2, 2), dtype=np.int8)}, tmp_path / "m.safetensors")
    with pytest.raises(TollensError, match="dtype_unsupported"):
        open_checkpoint(tmp_path / "m.safetensors").read("w")


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", ["<i4", ">i4", ">i2", "|u1", "|b1", "<f4", ">f8", ">c8", ">c16"])
def test_stored_bytes_are_little_endian_and_in_c_order(tmp_path: Path, order: str, kind: str) -> None:
    values = np.arange(60).reshape(3, 4, 5).astype(kind)
    if values.dtype.kind == "c":
        values += 1j * values[::-1]
    np.savez(tmp_path / "a.npz", w=np.asarray(values, order=order))
    checkpoint = open_checkpoint(tmp_path / "a.npz")
    found = b"".join(bytes(piece) for piece in checkpoint.source.stored_bytes(checkpoint.info("w")))
    assert found == np.ascontiguousarray(values.astype(values.dtype.newbyteorder("<"))).tobytes()


def test_stored_bytes_of_any_type_come_in_pieces(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 255, (3, 1_000_003)).astype(np.uint8)
    save_file({"w": values, "none": np.zeros((0, 3), np.int32)}, tmp_path / "a.safetensors")
    checkpoint = open_checkpoint(tmp_path / "a.safetensors")
    pieces = [bytes(piece) for piece in checkpoint.source.stored_bytes(checkpoint.info("w"))]
    assert b"".join(pieces) == values.tobytes()
    assert len(pieces) == 3
    assert max(map(len, pieces)) <= 1 << 20
    assert list(checkpoint.source.stored_bytes(checkpoint.info("none"))) == []
