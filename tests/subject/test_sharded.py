from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from tollens.core.errors import TollensError
from tollens.subject import sharded
from tollens.subject.checkpoint import open_checkpoint
from tollens.subject.sharded import check_inside


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    save_file({"a": np.full((2, 2), 1.0), "c": np.full((2, 2), 3.0)}, tmp_path / "m-1.safetensors")
    save_file({"b": np.full((2, 2), 2.0)}, tmp_path / "m-2.safetensors")
    return tmp_path


def index(folder: Path, weight_map: dict[str, str], name: str = "model.safetensors.index.json") -> None:
    (folder / name).write_text(json.dumps({"metadata": {"total_size": 96}, "weight_map": weight_map}))


def test_an_indexed_checkpoint(shards: Path) -> None:
    index(shards, {"b": "m-2.safetensors", "a": "m-1.safetensors", "c": "m-1.safetensors"})
    checkpoint = open_checkpoint(shards)
    assert checkpoint.format == "sharded"
    assert [(t.name, t.file) for t in checkpoint.tensors] == [
        ("a", "m-1.safetensors"), ("c", "m-1.safetensors"), ("b", "m-2.safetensors"),
    ]  # fmt: skip
    assert [checkpoint.read(n)[0, 0] for n in "abc"] == [1.0, 2.0, 3.0]
    assert checkpoint.files == ("model.safetensors.index.json", "m-1.safetensors", "m-2.safetensors")
    assert checkpoint.unindexed == ()


def test_numbered_parts_without_an_index_are_all_there(tmp_path: Path) -> None:
    """A folder that was fetched in part is not scanned as if it were the model."""
    for part in (1, 3):
        save_file({f"w{part}": np.ones((2, 2))}, tmp_path / f"model-0000{part}-of-00003.safetensors")
    with pytest.raises(TollensError, match="model-00002-of-00003") as caught:
        open_checkpoint(tmp_path)
    assert caught.value.code == "index_shard_missing"
    save_file({"w2": np.ones((2, 2))}, tmp_path / "model-00002-of-00003.safetensors")
    assert [t.name for t in open_checkpoint(tmp_path).tensors] == ["w1", "w2", "w3"]


def test_the_index_may_be_named_itself(shards: Path) -> None:
    index(shards, {"b": "m-2.safetensors"}, "diffusion.safetensors.index.json")
    by_index = open_checkpoint(shards / "diffusion.safetensors.index.json")
    assert [t.name for t in by_index.tensors] == [t.name for t in open_checkpoint(shards).tensors] == ["b"]


def test_what_the_index_leaves_out_is_named(shards: Path) -> None:
    index(shards, {"a": "m-1.safetensors"})
    checkpoint = open_checkpoint(shards)
    assert checkpoint.unindexed == ("c",)
    assert checkpoint.ignored == ("m-2.safetensors",)


def test_files_without_an_index_are_read_together(shards: Path) -> None:
    (shards / "pytorch_model.bin").write_bytes(b"x")
    checkpoint = open_checkpoint(shards)
    assert ([t.name for t in checkpoint.tensors], checkpoint.format) == (["a", "c", "b"], "sharded")
    assert checkpoint.ignored == ("pytorch_model.bin",)


def test_the_usual_name_is_preferred_and_the_rest_named(shards: Path) -> None:
    save_file({"w": np.ones((2, 2))}, shards / "model.safetensors")
    checkpoint = open_checkpoint(shards)
    assert ([t.name for t in checkpoint.tensors], checkpoint.format) == (["w"], "safetensors")
    assert checkpoint.ignored == ("m-1.safetensors", "m-2.safetensors")


def test_shards_in_a_folder_below(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    save_file({"a": np.ones((2, 2))}, tmp_path / "parts" / "p.safetensors")
    index(tmp_path, {"a": "parts/p.safetensors"})
    assert open_checkpoint(tmp_path).read("a").sum() == 4.0


def test_an_index_over_the_limit(shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index(shards, {"b": "m-2.safetensors"})
    size = (shards / "model.safetensors.index.json").stat().st_size
    monkeypatch.setattr(sharded, "MAX_INDEX", size)
    open_checkpoint(shards)
    monkeypatch.setattr(sharded, "MAX_INDEX", size - 1)
    with pytest.raises(TollensError, match=r"index_invalid.*at most"):
        open_checkpoint(shards)


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "a//x", "", "a\\x", "a\0x"])
def test_names_that_leave_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(TollensError, match="index_escapes"):
        check_inside(tmp_path, name)


def test_links_within_the_folder_are_followed(shards: Path) -> None:
    (shards / "l.safetensors").symlink_to("m-2.safetensors")
    index(shards, {"b": "l.safetensors"})
    assert open_checkpoint(shards).read("b")[0, 0] == 2.0


def test_a_folder_reached_through_a_link_is_itself(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    link = tmp_path_factory.mktemp("links") / "model"
    link.symlink_to(shards)
    assert len(open_checkpoint(link).tensors) == 3


def test_a_part_that_is_named_is_read_and_known_to_be_one(tmp_path: Path) -> None:
    for name in ("m-00002-of-00003.safetensors", "m-00001-of-00001.safetensors", "m-1-of-2.safetensors"):
        save_file({"w": np.ones((2, 2))}, tmp_path / name)
    assert open_checkpoint(tmp_path / "m-00002-of-00003.safetensors").part == (2, 3)
    assert open_checkpoint(tmp_path / "m-00001-of-00001.safetensors").part is None
    assert open_checkpoint(tmp_path / "m-1-of-2.safetensors").part is None


def test_a_folder_with_one_part_of_several_is_refused(tmp_path: Path) -> None:
    for name in ("m-00001-of-00003.gguf", "pytorch_model-00001-of-00003.bin"):
        (tmp_path / name).write_bytes(b"never read")
        with pytest.raises(TollensError, match="00002-of-00003") as caught:
            open_checkpoint(tmp_path)
        assert caught.value.code == "index_shard_missing"
        (tmp_path / name).unlink()


def test_parts_that_torch_saved_need_the_index_that_is_named(tmp_path: Path) -> None:
    for part in (1, 2):
        (tmp_path / f"pytorch_model-0000{part}-of-00002.bin").write_bytes(b"never read")
    with pytest.raises(TollensError, match=r"pytorch_model\.bin\.index\.json") as caught:
        open_checkpoint(tmp_path)
    assert caught.value.code == "ambiguous_checkpoint"
    assert caught.value.fix.startswith("Fetch the index")
