from __future__ import annotations

import hashlib
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from tollens.core.errors import TollensError
from tollens.subject.checkpoint import open_checkpoint

W = np.arange(24.0, dtype=np.float32).reshape(6, 4)


@pytest.fixture(params=["safetensors", "npz", "npz deflated", "npz fortran"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    kind = request.param
    if kind == "safetensors":
        save_file({"w": W}, tmp_path / "m.safetensors")
        return tmp_path / "m.safetensors"
    save = np.savez_compressed if kind.endswith("deflated") else np.savez
    save(tmp_path / "m.npz", w=np.asfortranarray(W) if kind.endswith("fortran") else W)
    return tmp_path / "m.npz"


def test_read(path: Path) -> None:
    found = open_checkpoint(path).read("w")
    np.testing.assert_array_equal(found, W)
    assert found.flags.c_contiguous
    assert found.flags.writeable


@pytest.mark.parametrize("rows", [1, 2, 4, 6, 99])
def test_panels(path: Path, rows: int) -> None:
    found = [panel.copy() for panel in open_checkpoint(path).panels("w", rows)]
    assert [len(p) for p in found[:-1]] == [rows] * (len(found) - 1)
    np.testing.assert_array_equal(np.concatenate(found), W)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_read_into(path: Path, dtype: type) -> None:
    out = np.empty((6, 4), dtype=dtype)
    open_checkpoint(path).read_into("w", out)
    np.testing.assert_array_equal(out, W)


def test_arguments_that_do_not_fit(path: Path) -> None:
    checkpoint = open_checkpoint(path)
    with pytest.raises(TollensError, match="tensor_missing"):
        checkpoint.read("v")
    with pytest.raises(ValueError, match="C-contiguous"):
        checkpoint.read_into("w", np.empty((4, 6), dtype=np.float32))
    with pytest.raises(ValueError, match="C-contiguous"):
        checkpoint.read_into("w", np.empty((4, 6), dtype=np.float32).T)
    with pytest.raises(ValueError, match="rows"):
        list(checkpoint.panels("w", 0))


def test_it_travels_to_another_process(path: Path) -> None:
    checkpoint = pickle.loads(pickle.dumps(open_checkpoint(path)))
    np.testing.assert_array_equal(checkpoint.read("w"), W)


def test_the_digest_of_a_file_is_that_of_its_bytes(path: Path) -> None:
    assert open_checkpoint(path).digest() == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_digest_of_a_folder_is_that_of_names_and_file_digests(tmp_path: Path) -> None:
    save_file({"a": W}, tmp_path / "b.safetensors")
    save_file({"b": W}, tmp_path / "a.safetensors")
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "README.md").write_text("not a part of it")
    names = ["a.safetensors", "b.safetensors", "config.json"]
    listed = [[n, hashlib.sha256((tmp_path / n).read_bytes()).hexdigest()] for n in names]
    expected = hashlib.sha256(json.dumps(listed, separators=(",", ":")).encode()).hexdigest()
    before = open_checkpoint(tmp_path).digest()
    assert before == expected
    (tmp_path / "README.md").write_text("changed")
    assert open_checkpoint(tmp_path).digest() == before
    (tmp_path / "config.json").write_text('{"hidden_size": 4}')
    assert open_checkpoint(tmp_path).digest() != before


def test_the_digest_of_an_index_is_that_of_its_folder(tmp_path: Path) -> None:
    """And not of the index alone, which stays when the weights change."""
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"w": "a.safetensors"}}))
    save_file({"w": W}, tmp_path / "a.safetensors")
    before = open_checkpoint(index).digest()
    assert before == open_checkpoint(tmp_path).digest()
    save_file({"w": W + 1}, tmp_path / "a.safetensors")
    assert open_checkpoint(index).digest() != before


def test_the_same_files_under_other_names_are_another_checkpoint(tmp_path: Path) -> None:
    digests = set()
    for name in ("a.safetensors", "b.safetensors"):
        (tmp_path / name[0]).mkdir()
        save_file({"w": W}, tmp_path / name[0] / name)
        digests.add(open_checkpoint(tmp_path / name[0]).digest())
    assert len(digests) == 2


def test_the_format_is_that_of_the_content_where_the_name_says_nothing(path: Path) -> None:
    bare = path.rename(path.with_name("weights"))
    checkpoint = open_checkpoint(bare)
    assert checkpoint.format == path.suffix[1:]
    np.testing.assert_array_equal(checkpoint.read("w"), W)


def test_paths_may_be_text(path: Path) -> None:
    assert open_checkpoint(str(path)).path == path


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, 5), min_size=1, max_size=3), st.integers(1, 6))
def test_panels_of_any_shape(tmp_path: Path, shape: list[int], rows: int) -> None:
    w = np.random.default_rng(0).standard_normal(shape)
    save_file({"w": w}, tmp_path / "m.safetensors")
    found = [panel.copy() for panel in open_checkpoint(tmp_path / "m.safetensors").panels("w", rows)]
    np.testing.assert_array_equal(np.concatenate(found), w)
