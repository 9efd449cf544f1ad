from __future__ import annotations

import zipfile
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tollens.core.errors import TollensError
from tollens.subject.checkpoint import open_checkpoint
from tollens.subject.matrices import matrices

ARRAYS = st.one_of(
    hnp.arrays(
        st.sampled_from(["<f2", "<f4", "<f8", ">f2", ">f4", ">f8"]),
        hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
        elements=st.integers(-99, 99),
    )
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(ARRAYS, st.sampled_from("CF")), min_size=1, max_size=4), st.booleans())
def test_what_numpy_writes_is_read_alike(tmp_path: Path, specs: list[tuple[np.ndarray, str]], deflated: bool) -> None:
    arrays = {f"layers/{i}": np.asarray(a, order=order) for i, (a, order) in enumerate(specs)}  # type: ignore[call-overload]
    path = tmp_path / "m.npz"
    (np.savez_compressed if deflated else np.savez)(path, **arrays)
    checkpoint = open_checkpoint(path)
    assert [t.name for t in checkpoint.tensors] == list(arrays)
    for t in checkpoint.tensors:
        found = checkpoint.read(t.name)
        assert found.flags.c_contiguous
        np.testing.assert_array_equal(found, arrays[t.name])
        assert found.dtype == (np.float64 if t.dtype == "F64" else np.float32)


def test_other_arrays_are_listed_and_not_decoded(tmp_path: Path) -> None:
    arrays = {
        "w": np.ones((3, 4)),
        "text": np.array("hello"),
        "bytes": np.array([b"ab"]),
        "when": np.array("2026-01-01", dtype="M8[D]"),
        "complex": np.ones((2, 2), dtype=np.complex64),
        "bf16": np.ones((2, 2), dtype=ml_dtypes.bfloat16),  # numpy writes it as raw bytes: its type is lost
        "int": np.ones((2, 2), dtype=">i4"),
        "mask": np.ones((2, 2), dtype=bool),
    }
    np.savez(tmp_path / "m.npz", **arrays)
    checkpoint = open_checkpoint(tmp_path / "m.npz")
    assert all(t.nbytes == arrays[t.name].nbytes for t in checkpoint.tensors)
    reasons = {s.name: s.reason for s in matrices(checkpoint).skipped}
    assert reasons == {n: "not_a_weight" for n in arrays if n not in ("w", "complex")} | {
        "complex": "dtype_unsupported"
    }
    with pytest.raises(TollensError, match="dtype_unsupported"):
        checkpoint.read("text")


def test_members_that_are_no_arrays_are_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "m.npz", w=np.ones((2, 2)))
    with zipfile.ZipFile(tmp_path / "m.npz", "a") as archive:
        archive.writestr("notes.txt", "hello")
    assert open_checkpoint(tmp_path / "m.npz").ignored == ("notes.txt",)


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_all_versions_of_the_array_header(tmp_path: Path, version: tuple[int, int]) -> None:
    w = np.arange(6.0).reshape(2, 3)
    with zipfile.ZipFile(tmp_path / "m.npz", "w") as archive, archive.open("w.npy", "w") as member:
        np.lib.format.write_array(member, w, version=version)
    np.testing.assert_array_equal(open_checkpoint(tmp_path / "m.npz").read("w"), w)


def test_shapes_as_python_2_wrote_them(tmp_path: Path) -> None:
    text = b"{'shape': (2L, 1L), 'fortran_order': False, 'descr': '<f4'}"
    member = b"\x93NUMPY\x01\0" + len(text).to_bytes(2, "little") + text + bytes(8)
    with zipfile.ZipFile(tmp_path / "m.npz", "w") as archive:
        archive.writestr("w.npy", member)
    assert open_checkpoint(tmp_path / "m.npz").tensors[0].shape == (2, 1)
