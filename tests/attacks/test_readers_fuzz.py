"""Random and mutated bytes through every reader: out comes a checkpoint or a named error, nothing else."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from tollens.core.codes import CODES
from tollens.core.errors import Exit, TollensError
from tollens.subject.checkpoint import open_checkpoint
from tollens.subject.matrices import account, matrices

FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


def examine(path: Path) -> bool:
    """Read everything; True if the checkpoint was accepted."""
    error = refusal(path)
    if error is None:
        return True
    assert error.code in CODES
    assert error.exit_code is Exit.BAD_INPUT
    return False


def refusal(path: Path) -> TollensError | None:
    try:
        checkpoint = open_checkpoint(path)
        found = matrices(checkpoint)
        for view in found.matrices:
            assert view.load(np.float32).shape == view.shape
        checkpoint.digest()
    except TollensError as error:
        return error
    assert sum(account(checkpoint.tensors, found)) == len(checkpoint.tensors)
    return None


def weights() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "transformer.wte.weight": rng.standard_normal((5, 4)).astype(np.float32),
        "transformer.h.0.attn.c_attn.weight": rng.standard_normal((4, 12)).astype(np.float16),
        "transformer.h.0.attn.bias": np.tri(3, dtype=bool).reshape(1, 1, 3, 3),
        "conv1.weight": rng.standard_normal((2, 3, 3, 3)),
        "scalar": np.array(1.0, dtype=np.float32),
    }


@cache
def honest(kind: str) -> bytes:
    if kind == "safetensors":
        return save(weights(), metadata={"format": "np"})
    buffer = io.BytesIO()
    (np.savez if kind == "npz" else np.savez_compressed)(buffer, **weights())
    return buffer.getvalue()


KINDS = ("safetensors", "npz", "npz deflated")


def written(folder: Path, kind: str, content: bytes) -> Path:
    path = folder / f"m.{kind.split()[0]}"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_the_honest_files_are_accepted(folder: Path, kind: str) -> None:
    assert examine(written(folder, kind, honest(kind)))


@FUZZ
@given(
    st.sampled_from(["m.safetensors", "m.npz", "m", "model.safetensors.index.json"]),
    st.sampled_from([b"", b"PK\x03\x04", b"PK\x05\x06", b"\x80\x04", b"\x10\0\0\0\0\0\0\0{", b'{"weight_map":']),
    st.binary(max_size=300),
)
def test_random_bytes(folder: Path, name: str, start: bytes, rest: bytes) -> None:
    path = folder / name
    path.write_bytes(start + rest)
    assert not examine(path)


@pytest.mark.parametrize("kind", KINDS)
@FUZZ
@given(data=st.data())
def test_flipped_bytes(folder: Path, kind: str, data: st.DataObject) -> None:
    content = bytearray(honest(kind))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
    examine(written(folder, kind, bytes(content)))


@pytest.mark.parametrize("kind", KINDS)
def test_truncated_anywhere(folder: Path, kind: str) -> None:
    content = honest(kind)
    cuts = {*range(0, 24), *range(24, len(content), 7), *range(len(content) - 30, len(content))}
    for at in sorted(cuts):
        assert not examine(written(folder, kind, content[:at]))


@pytest.mark.parametrize("kind", KINDS)
@FUZZ
@given(data=st.data())
def test_pieces_moved_and_repeated(folder: Path, kind: str, data: st.DataObject) -> None:
    content = honest(kind)
    places = st.integers(0, len(content))
    a, b = sorted((data.draw(places), data.draw(places)))
    at = data.draw(places)
    examine(written(folder, kind, content[:at] + content[a:b] + content[data.draw(places) :]))


ODD: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8)
    | st.sampled_from(["F32", "F4", "BF16", "I64", "__metadata__", 2**63 - 1, 2**62]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@FUZZ
@given(data=st.data())
def test_headers_with_odd_values(folder: Path, data: st.DataObject) -> None:
    content = honest("safetensors")
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    for _ in range(data.draw(st.integers(1, 2))):
        name = data.draw(st.sampled_from(sorted(header)))
        if isinstance(header[name], dict) and data.draw(st.booleans()):
            field = data.draw(st.sampled_from(["dtype", "shape", "data_offsets", "other"]))
            header[name][field] = data.draw(ODD)
        else:
            header[name] = data.draw(ODD)
    text = json.dumps(header).encode()
    examine(written(folder, "safetensors", struct.pack("<Q", len(text)) + text + content[8 + length :]))


DESCR = st.sampled_from(["'<f4'", "'>f8'", "'|O'", "'<U3'", "'|b1'", "'<f3'", "'<f16'", "''", "[('a','<f4')]", "None"])
SIDES = st.sampled_from(
    ["()", "(4,)", "(2, 2)", "(2,2,)", "(0, 4)", "(-1, 4)", "(4)", "(2L, 2L)", "(99999999999,)", "4"]
)


@FUZZ
@given(DESCR, st.sampled_from(["True", "False", "1", "None"]), SIDES, st.text(max_size=6), st.binary(max_size=40))
def test_array_headers_with_odd_values(
    folder: Path, descr: str, order: str, shape: str, extra: str, data: bytes
) -> None:
    text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, {extra}}}".encode()
    member = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data
    path = folder / "m.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("layers.0.weight.npy", member)
    examine(path)


@pytest.fixture(scope="module")
def sharded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sharded")
    (folder / "a.safetensors").write_bytes(save({"a": np.ones((2, 2)), "c": np.ones((3, 2))}))
    (folder / "b.safetensors").write_bytes(save({"b": np.zeros((2, 2))}))
    return folder


@FUZZ
@given(
    st.dictionaries(
        st.sampled_from(["a", "b", "c", "d"]),
        st.sampled_from(["a.safetensors", "b.safetensors", "/a.safetensors", "../a.safetensors", "", "a.bin"]) | ODD,
        max_size=4,
    )
    | ODD,
    ODD,
)
def test_indices_and_configurations_with_odd_values(sharded: Path, weight_map: Any, config: Any) -> None:
    (sharded / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    (sharded / "config.json").write_text(json.dumps(config))
    examine(sharded)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("config")
    (folder / "model.safetensors").write_bytes(honest("safetensors"))
    return folder


CONFIG_KEYS = (
    "hidden_size", "num_attention_heads", "num_key_value_heads", "head_dim", "n_head", "n_embd",
    "multi_query",
    "tie_word_embeddings", "text_config", "model_type", "num_conv_pos_embedding_groups",
    "new_decoder_architecture",
)  # fmt: skip


@FUZZ
@given(st.dictionaries(st.sampled_from(CONFIG_KEYS), ODD | st.integers(0, 8) | st.just("gpt2"), max_size=6))
def test_configurations_of_a_real_model(real: Path, config: dict[str, Any]) -> None:
    (real / "config.json").write_text(json.dumps(config))
    assert examine(real)  # a configuration may be wrong in any way; the weights are readable all the same
