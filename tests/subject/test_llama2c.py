"""llama2.c files of version 0: every tensor at its place, and nothing else taken for one."""

from __future__ import annotations

import math
import os
import struct
from pathlib import Path

import numpy as np
import pytest
from tests.subject.llama2c_bytes import arrays, header, llama2c, tokenizer

from tollens.core.errors import TollensError
from tollens.subject.checkpoint import Checkpoint, open_checkpoint
from tollens.subject.llama2c import LIMITS, shape_of
from tollens.subject.matrices import matrices


def opened(folder: Path, content: bytes, name: str = "model.bin") -> Checkpoint:
    path = folder / name
    path.write_bytes(content)
    return open_checkpoint(path)


def refusal(folder: Path, content: bytes, name: str = "model.bin") -> TollensError:
    with pytest.raises(TollensError) as caught:
        opened(folder, content, name)
    return caught.value


@pytest.mark.parametrize("tied", [True, False])
def test_every_tensor_is_read_bit_for_bit(tmp_path: Path, tied: bool) -> None:
    found = opened(tmp_path, llama2c(tied))
    assert found.format == "llama2c"
    assert found.source.container == "raw"
    wanted = {
        name: array if not name.startswith(("attention", "ffn", "feed")) else list(array)
        for name, array in arrays().items()
        if not (tied and name == "output.weight")
    }
    for name, array in wanted.items():
        if isinstance(array, list):
            for layer, own in enumerate(array):
                assert found.read(f"layers.{layer}.{name}").tobytes() == own.tobytes()
        else:
            assert found.read(name).tobytes() == array.tobytes()
    assert len(found.tensors) == sum(len(a) if isinstance(a, list) else 1 for a in wanted.values())
    assert sum(t.nbytes for t in found.tensors) == len(llama2c(tied)) - 28


def test_the_numbers_become_a_configuration(tmp_path: Path) -> None:
    assert opened(tmp_path, llama2c(False)).config == {
        "model_type": "llama",
        "hidden_size": 8,
        "intermediate_size": 12,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 2,
        "vocab_size": 10,
        "max_position_embeddings": 6,
        "tie_word_embeddings": False,
    }


def test_roles_and_what_is_no_weight(tmp_path: Path) -> None:
    found = matrices(opened(tmp_path, llama2c(False)))
    roles = {m.name.removesuffix(".weight"): m.role.kind for m in found.matrices}
    assert roles == {
        "tok_embeddings": "embedding",
        **{f"layers.{n}.attention.w{kind}": kind for kind in "qkvo" for n in (0, 1)},
        **{f"layers.{n}.feed_forward.w1": "gate" for n in (0, 1)},
        **{f"layers.{n}.feed_forward.w2": "down" for n in (0, 1)},
        **{f"layers.{n}.feed_forward.w3": "up" for n in (0, 1)},
        "output": "head",
    }
    assert {s.name: s.reason for s in found.skipped if s.name.startswith("freqs")} == {
        "freqs_cos": "not_a_weight",
        "freqs_sin": "not_a_weight",
    }


def test_the_name_of_the_file_does_not_matter_where_the_size_fits(tmp_path: Path) -> None:
    assert opened(tmp_path, llama2c(), "model").format == "llama2c"


@pytest.mark.parametrize("change", [-1, 1, -28, 4, 10_000])
def test_a_near_miss_names_both_sizes(tmp_path: Path, change: int) -> None:
    whole = llama2c()
    content = whole[:change] if change < 0 else whole + b"\0" * change
    error = refusal(tmp_path, content)
    assert error.code == "file_size_mismatch"
    assert str(len(whole)) in error.expected
    assert str(len(content)) in error.found
    assert refusal(tmp_path, content, "model").code == "format_unknown"  # a guess is made only of files named so


@pytest.mark.parametrize("version", [1, 2])
def test_later_versions_are_refused_by_number(tmp_path: Path, version: int) -> None:
    error = refusal(tmp_path, struct.pack("<Ii", 0x616B3432, version) + b"\0" * 248)
    assert error.code == "format_version_unsupported"
    assert f"version {version}" in error.found


def test_a_tokenizer_is_named_as_one(tmp_path: Path) -> None:
    assert refusal(tmp_path, tokenizer()).code == "tokenizer_not_weights"
    assert refusal(tmp_path, tokenizer()[:-1]).code == "format_unknown"
    assert refusal(tmp_path, tokenizer() + b"\0").code == "format_unknown"
    assert refusal(tmp_path, tokenizer()[:30] + b"\xff" * 40).code == "format_unknown"


def test_other_files_of_that_name_stay_pickles(tmp_path: Path) -> None:
    assert refusal(tmp_path, b"\x80\x04\x95" + b"\0" * 100).code == "pickle_refused"
    assert refusal(tmp_path, b"").code == "empty_file"
    assert refusal(tmp_path, b"\0" * 28).code == "pickle_refused"


def test_a_width_of_640_begins_like_a_pickle_and_is_none(tmp_path: Path) -> None:
    numbers = header(640, 1, 1, 1, 1, 1, 1)
    assert numbers[:2] == b"\x80\x02"
    shape = shape_of(numbers)
    assert shape is not None
    assert opened(tmp_path, numbers + b"\0" * (shape.file_size - 28)).format == "llama2c"


def test_a_folder_that_holds_one(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(llama2c())
    found = open_checkpoint(tmp_path)
    assert (found.format, found.files) == ("llama2c", ("model.bin",))


SANE = (64, 172, 5, 8, 4, 512, 512)


def test_a_header_is_sane_within_its_limits() -> None:
    shape = shape_of(header(*SANE))
    assert shape is not None
    # 28 + 4 * (512*64 + 5*(64 + 2*64*64 + 2*32*64 + 64 + 3*172*64) + 64 + 2*512*4)
    assert shape.file_size == 1_056_540
    for i in range(7):
        for value in (0, -SANE[i] if i != 5 else 0, LIMITS[i] + 1, -(2**31), 2**31 - 1):
            assert shape_of(header(*SANE[:i], value, *SANE[i + 1 :])) is None, (i, value)
    assert shape_of(header(64, 172, 5, 7, 7, 512, 512)) is None  # 7 heads do not divide 64
    assert shape_of(header(64, 172, 5, 64, 4, 512, 512)) is None  # a head of one number cannot be rotated
    assert shape_of(header(64, 172, 5, 8, 3, 512, 512)) is None  # 3 key-value heads do not divide 8
    assert shape_of(header(*SANE)[:27]) is None
    untied = shape_of(header(*SANE[:5], -512, 512))
    assert untied is not None
    assert untied.file_size == 1_056_540 + 4 * 512 * 64


def test_the_published_model() -> None:
    folder = os.environ.get("TOLLENS_REAL_WEIGHTS")
    if not folder or not (Path(folder) / "stories260K.bin").exists():
        pytest.skip("TOLLENS_REAL_WEIGHTS names no folder with stories260K.bin")
    found = open_checkpoint(Path(folder) / "stories260K.bin")
    assert sum(t.size for t in found.tensors if not t.name.startswith("freqs")) == 260_032
    inventory = matrices(found)
    assert len(inventory.matrices) == 36  # an embedding and 5 layers of 7
    assert all(m.role.kind != "unmatched" for m in inventory.matrices)
    # the tables lie behind all weights: angle p * 10000^(-2i/8)
    angles = np.outer(np.arange(512), [10000.0 ** (-2 * i / 8) for i in range(4)])
    assert np.abs(found.read("freqs_cos") - np.cos(angles)).max() < 1e-4
    assert np.abs(found.read("freqs_sin") - np.sin(angles)).max() < 1e-4
    assert all(0.1 < float(np.abs(found.read(f"layers.{n}.ffn_norm.weight")).mean()) < 10.0 for n in range(5))
    assert math.isfinite(float(np.abs(found.read("norm.weight")).max()))
    with pytest.raises(TollensError) as caught:
        open_checkpoint(Path(folder) / "tok512.bin")
    assert caught.value.code == "tokenizer_not_weights"
