from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided
from safetensors.numpy import save_file
from tests.subject.torch_files import (
    STORAGES,
    UNTYPED,
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
    saved,
    storage,
    zipped,
)  # fmt: skip

from tollens.core.errors import TollensError
from tollens.subject import torch_state
from tollens.subject.checkpoint import Checkpoint, open_checkpoint
from tollens.subject.matrices import matrices

W = np.arange(12, dtype="<f4").reshape(3, 4)
FLOATS = {
    "F64": np.dtype("<f8"), "F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "BF16": np.dtype(ml_dtypes.bfloat16),
    "F8_E4M3": np.dtype(ml_dtypes.float8_e4m3fn), "F8_E5M2": np.dtype(ml_dtypes.float8_e5m2),
    "F8_E4M3FNUZ": np.dtype(ml_dtypes.float8_e4m3fnuz), "F8_E5M2FNUZ": np.dtype(ml_dtypes.float8_e5m2fnuz),
}  # fmt: skip


def view(key: str = "0", shape: tuple[int, ...] = (3, 4), **more: Any) -> View:
    return View(key, "F32", W.size, shape, **more)


def opened(folder: Path, given: Any, data: dict[str, bytes] | None = None, name: str = "m.pt") -> Checkpoint:
    (folder / name).write_bytes(saved(given, {"0": W.tobytes()} if data is None else data))
    return open_checkpoint(folder / name)


def names(checkpoint: Checkpoint) -> list[str]:
    return [t.name for t in checkpoint.tensors]


@pytest.mark.parametrize("dtype", sorted(STORAGES | UNTYPED))
def test_every_type_is_found_where_its_bytes_are(tmp_path: Path, dtype: str) -> None:
    raw = np.random.default_rng(0).bytes(6 * WIDTHS[dtype])
    checkpoint = opened(tmp_path, {"w": View("0", dtype, 6, (2, 3))}, {"0": raw})
    [tensor] = checkpoint.tensors
    assert (tensor.name, tensor.dtype, tensor.shape, tensor.strides) == ("w", dtype, (2, 3), None)
    assert (tmp_path / "m.pt").read_bytes()[tensor.offset : tensor.offset + tensor.nbytes] == raw
    assert checkpoint.format == "torch"


@pytest.mark.parametrize("dtype", sorted(FLOATS))
def test_floats_are_read_to_the_bit(tmp_path: Path, dtype: str) -> None:
    """All codes of the narrow types; for the wide ones NaN with payloads, both zeros, subnormals and extremes."""
    width = WIDTHS[dtype]
    if width <= 2:
        codes = np.arange(1 << (8 * width)).astype(f"<u{width}")
    else:
        top = (1 << (8 * width)) - 1
        signs = [0, 1 << (8 * width - 1)]
        nan = 0x7FF8 << 48 | 0xBEEF if width == 8 else 0x7FC0BEEF
        codes = np.array([s | c for s in signs for c in (0, 1, 2, nan, top >> 3, top >> 9)], dtype=f"<u{width}")
    checkpoint = opened(tmp_path, {"w": View("0", dtype, codes.size, (codes.size,))}, {"0": codes.tobytes()})
    read = checkpoint.read("w")
    with np.errstate(invalid="ignore"):
        exact = codes.view(FLOATS[dtype]).astype(read.dtype)
    kept = ~np.isnan(exact)
    bits = f"<u{read.dtype.itemsize}"
    np.testing.assert_array_equal(read.view(bits)[kept], exact.view(bits)[kept])
    np.testing.assert_array_equal(np.isnan(read), np.isnan(exact))
    if width >= 4:  # nothing is converted, so that payloads stay
        np.testing.assert_array_equal(read.view(bits), codes)


@pytest.mark.parametrize(
    ("shape", "strides", "first"),
    [
        ((4, 3), (1, 4), 0),  # transposed
        ((3, 2), (4, 2), 1),  # every second column from the second on
        ((2, 4), (4, 1), 4),  # the last two rows: contiguous, at an offset
        ((5, 4), (0, 1), 8),  # the last row five times
        ((2, 3, 2), (2, 4, 1), 0),  # blocks of columns
        ((3,), (5,), 0),  # a diagonal
        ((), (), 7),  # a number
        ((10, 3), (1, 1), 0),  # windows that overlap
    ],
)
def test_views_are_read_as_they_lie(
    tmp_path: Path, shape: tuple[int, ...], strides: tuple[int, ...], first: int
) -> None:
    checkpoint = opened(tmp_path, {"w": view(shape=shape, strides=strides, first=first)})
    expected = as_strided(W.reshape(-1)[first:], shape, [4 * s for s in strides])
    np.testing.assert_array_equal(checkpoint.read("w"), expected)
    if len(shape) == 2:
        [matrix] = matrices(checkpoint).matrices
        np.testing.assert_array_equal(matrix.load(), expected)
        np.testing.assert_array_equal(np.concatenate([p.copy() for p in checkpoint.panels("w", 2)]), expected)


@pytest.mark.parametrize(
    ("shape", "strides"),
    [((3, 4), (4, 1)), ((1, 12), (99, 1)), ((12, 1), (1, 7)), ((0, 4), (9, 9)), ((1, 1, 12), (0, 0, 1)), ((), ())],
)
def test_strides_along_single_elements_do_not_matter(
    tmp_path: Path, shape: tuple[int, ...], strides: tuple[int, ...]
) -> None:
    [tensor] = opened(tmp_path, {"w": view(shape=shape, strides=strides)}).tensors
    assert tensor.strides is None


def test_tensors_of_one_storage_are_one_matrix(tmp_path: Path) -> None:
    checkpoint = opened(
        tmp_path, Ordered({"a.weight": view(), "b.weight": parameter(view()), "c.weight": view(shape=(4, 3))})
    )
    found = matrices(checkpoint)
    assert [m.name for m in found.matrices] == ["a.weight", "c.weight"]
    assert [(a.name, a.of) for a in found.aliases] == [("b.weight", "a.weight")]


def test_a_matrix_has_one_digest_in_every_format_and_layout(tmp_path: Path) -> None:
    save_file({"w": W.T.copy()}, tmp_path / "m.safetensors")
    opened(tmp_path, {"w": view(shape=(4, 3), strides=(1, 4))})
    digests = set()
    for name in ("m.safetensors", "m.pt"):
        [matrix] = matrices(open_checkpoint(tmp_path / name)).matrices
        digest = hashlib.sha256()
        np.testing.assert_array_equal(matrix.load(hashed=digest), W.T)
        digests.add(digest.hexdigest())
    assert digests == {hashlib.sha256(W.T.tobytes()).hexdigest()}


def test_an_empty_tensor_and_a_long_dict(tmp_path: Path) -> None:
    state = {f"w{i}": view(shape=(3,), first=i) for i in range(9)}
    checkpoint = opened(tmp_path, Ordered({"e": View("1", "F32", 0, (0, 5)), **state}), {"0": W.tobytes(), "1": b""})
    assert sorted(names(checkpoint)) == ["e", *sorted(state)]
    assert checkpoint.info("e").nbytes == 0


def test_what_a_state_dict_hangs_onto_itself_is_no_tensor(tmp_path: Path) -> None:
    state = {"_metadata": Ordered({"": {"version": 1}})}
    assert names(opened(tmp_path, Ordered({"w": view()}, state))) == ["w"]


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model", "module"])
def test_the_model_of_a_training_checkpoint(tmp_path: Path, key: str) -> None:
    optimiser = {"state": {0: {"exp_avg": view(), "step": 7}}, "param_groups": [{"lr": 0.1, "params": [0]}]}
    checkpoint = opened(
        tmp_path,
        {
            "epoch": 3, "best": 0.25, "done": True, "optimizer": optimiser, "ema": {"w": view()},
            key: Ordered({"h": {"w": view()}, "b": view(shape=(3,))}), "global_step": 2**40,
        },
    )  # fmt: skip
    assert sorted(names(checkpoint)) == ["b", "h.w"]
    assert checkpoint.metadata == {"epoch": "3", "global_step": str(2**40)}
    assert checkpoint.ignored == (
        "optimizer (1 tensors: state of the training)",
        "ema (1 tensors: not the model chosen)",
    )


def test_a_checkpoint_without_a_known_key_keeps_all_but_the_training(tmp_path: Path) -> None:
    checkpoint = opened(
        tmp_path, {"generator": {"w": view()}, "blocks": [view(), (view(),)], "optim": [view()], "lr_scheduler": {}}
    )
    assert sorted(names(checkpoint)) == ["blocks.0", "blocks.1.0", "generator.w"]
    assert checkpoint.ignored == ("optim (1 tensors: state of the training)",)


def test_a_tensor_by_itself_and_a_list_of_tensors(tmp_path: Path) -> None:
    assert names(opened(tmp_path, view())) == ["tensor"]
    assert names(opened(tmp_path, [view(), {"w": view()}])) == ["0", "1.w"]


def test_an_optimiser_by_itself_holds_no_model(tmp_path: Path) -> None:
    with pytest.raises(TollensError, match="no_tensors"):
        opened(tmp_path, {"state": {0: {"exp_avg": view()}}, "param_groups": [{}]})


def test_plain_values_beside_the_weights(tmp_path: Path) -> None:
    encode = called("_codecs", "encode", ("\x00\x01", "latin1"))
    dtype = Code(named("numpy", "dtype") + b"X\x02\x00\x00\x00f8\x89\x88\x87R(K\x03X\x01\x00\x00\x00<NNNtb")
    namespace = Code(named("argparse", "Namespace") + b")\x81}(X\x02\x00\x00\x00lrK\x01ub")
    checkpoint = opened(
        tmp_path,
        {
            "model": {"w": view()}, "args": namespace, "size": called("torch", "Size", ((1, 2),)), "none": None,
            "set": called("__builtin__", "set", ([1, 2],)), "device": called("torch", "device", ("cpu",)),
            "loss": called("numpy.core.multiarray", "scalar", (dtype, encode)),
            "metrics": called("collections", "defaultdict", (Code(named("__builtin__", "dict")),)),
        },
    )  # fmt: skip
    assert names(checkpoint) == ["w"]


def test_what_is_no_plain_array_is_listed(tmp_path: Path) -> None:
    layout = called("torch.serialization", "_get_layout", ("torch.sparse_coo",))
    indices = View("1", "I64", 2, (2, 1))
    sparse = (indices, view(shape=(1,)), called("torch", "Size", ((9, 9),)), True)
    quantiser = (Code(named("torch", "per_tensor_affine")), 0.1, 0)
    stored = Code(b"(X\x07\x00\x00\x00storage" + named("torch", "QInt8Storage") + b"X\x01\x00\x00\x000NK\x30tQ")
    flagged = (storage("2", "C64", 1), 0, (1,), (1,), False, Ordered({}), {"conj": True})
    negated = (storage("0", "F32", 12), 0, (3, 4), (4, 1), False, Ordered({}), {"neg": True})
    checkpoint = opened(
        tmp_path,
        {
            "sparse": called("torch._utils", "_rebuild_sparse_tensor", (layout, sparse)),
            "quantised": called(
                "torch._utils", "_rebuild_qtensor", (stored, 0, (6, 8), (8, 1), quantiser, False, Ordered({}))
            ),
            "meta": called(
                "torch._utils",
                "_rebuild_meta_tensor_no_storage",
                (Code(named("torch", "float32")), (2, 2), (2, 1), False),
            ),
            "conjugated": called("torch._utils", "_rebuild_tensor_v2", flagged),
            "negated": called("torch._utils", "_rebuild_tensor_v2", negated),
            "weight": view(),
        },
        {"0": W.tobytes(), "1": bytes(16), "2": bytes(8)},
    )
    assert {t.name: (t.dtype, t.shape) for t in checkpoint.tensors} == {
        "sparse": ("torch.sparse", (9, 9)), "quantised": ("torch.qint8", (6, 8)), "meta": ("torch.meta", (2, 2)),
        "conjugated": ("torch.conj", (1,)), "negated": ("torch.neg", (3, 4)), "weight": ("F32", (3, 4)),
    }  # fmt: skip
    found = matrices(checkpoint)
    assert [m.name for m in found.matrices] == ["weight"]
    assert {s.reason for s in found.skipped} == {"dtype_unsupported"}


def test_parameters_with_attributes(tmp_path: Path) -> None:
    inner = (storage("0", "F32", 12), 0, (3, 4), (4, 1), False, Ordered({}))
    plain, kind = Code(named("torch._utils", "_rebuild_tensor_v2")), Code(named("torch", "Tensor"))
    typed = called("torch._tensor", "_rebuild_from_type_v2", (plain, kind, inner, {"tag": 1}))
    state = called("torch._utils", "_rebuild_parameter_with_state", (view(), True, Ordered({}), {"tag": 1}))
    first = called("torch._utils", "_rebuild_tensor", (storage("0", "F32", 12), 0, (3, 4), (4, 1)))
    assert sorted(names(opened(tmp_path, {"a": typed, "b": state, "c": first}))) == ["a", "b", "c"]


def test_protocol_4_and_values_remembered(tmp_path: Path) -> None:
    """What protocol 4 adds: a frame, short text, names from the stack, the memo without numbers."""
    body = b"}\x94(\x8c\x01a\x94\x8c\x0ctorch._utils\x94\x8c\x12_rebuild_tensor_v2\x94\x93\x94(("
    body += (
        b"\x8c\x07storage\x94\x8c\x05torch\x94\x8c\x0cFloatStorage\x94\x93\x94\x8c\x010\x94\x8c\x03cpu\x94K\x0ct\x94Q"
    )
    body += b"K\x00K\x03K\x04\x86\x94K\x04K\x01\x86\x94\x89"
    body += b"\x8c\x0bcollections\x94\x8c\x0bOrderedDict\x94\x93\x94)R\x94t\x94R\x94"
    body += b"\x8c\x01bh\x13u."  # the tensor again, from the memo
    program = b"\x80\x04\x95" + len(body).to_bytes(8, "little") + body
    (tmp_path / "m.pt").write_bytes(zipped(members(program, {"0": W.tobytes()})))
    checkpoint = open_checkpoint(tmp_path / "m.pt")
    assert names(checkpoint) == ["a", "b"]
    np.testing.assert_array_equal(checkpoint.read("b"), W)


@pytest.mark.parametrize("name", ["m.pt", "m.bin", "m.ckpt", "m.npz", "m.safetensors", "m"])
def test_the_content_decides_and_not_the_name(tmp_path: Path, name: str) -> None:
    assert opened(tmp_path, {"w": view()}, name=name).format == "torch"


@pytest.mark.parametrize("prefix", ["archive/", "model/", "a/b/", ""])
def test_any_folder_of_the_archive(tmp_path: Path, prefix: str) -> None:
    (tmp_path / "m.pt").write_bytes(zipped(members(pickled({"w": view()}), {"0": W.tobytes()}, prefix)))
    assert names(open_checkpoint(tmp_path / "m.pt")) == ["w"]


def test_storages_without_a_tensor_are_named(tmp_path: Path) -> None:
    checkpoint = opened(tmp_path, {"w": view()}, {"0": W.tobytes(), "1": b"hidden"})
    assert checkpoint.ignored == ("archive/data/1",)


def test_sizes_that_follow_the_data_and_a_checksum_of_zero(tmp_path: Path) -> None:
    """How `torch.save` writes: zeros in the header before the data, which a descriptor follows."""
    later = {"crc": 0, "packed": 0, "size": 0, "flags": 0x0808}
    plain = members(pickled({"w": view()}), {"0": W.tobytes()})
    entries = [
        Entry(e.name, e.data, local=later, central={"flags": 0x0808, "crc": 0}, before=b"PK\x07\x08" + bytes(12))
        for e in plain[1:]
    ]
    first = Entry(plain[0].name, plain[0].data, local=later, central={"flags": 0x0808})
    (tmp_path / "m.pt").write_bytes(zipped([first, *entries]))
    np.testing.assert_array_equal(open_checkpoint(tmp_path / "m.pt").read("w"), W)


def folder(path: Path, **files: bytes) -> Path:
    for name, content in files.items():
        (path / name.replace("__", ".")).write_bytes(content)
    return path


SAVED = saved({"w": view()}, {"0": W.tobytes()})
OTHER = saved({"v": view()}, {"0": W.tobytes()})


def test_a_folder_with_one_pickle_and_what_a_training_left(tmp_path: Path) -> None:
    path = folder(
        tmp_path, pytorch_model__bin=SAVED, training_args__bin=b"\x80\x02x", optimizer__pt=b"x", scheduler__pt=b"",
        rng_state_0__pth=b"x", config__json=b'{"hidden_size": 4}',
    )  # fmt: skip
    checkpoint = open_checkpoint(path)
    assert (names(checkpoint), checkpoint.format, checkpoint.config) == (["w"], "torch", {"hidden_size": 4})
    assert checkpoint.ignored == ("optimizer.pt", "rng_state_0.pth", "scheduler.pt", "training_args.bin")
    assert len(checkpoint.digest()) == 64
    (path / "pytorch_model.bin").rename(path / "weights.pth")
    assert open_checkpoint(path).files == ("weights.pth", "config.json")


def test_safetensors_come_first_and_the_usual_name_before_others(tmp_path: Path) -> None:
    path = folder(tmp_path, pytorch_model__bin=SAVED, extra__bin=OTHER)
    assert (names(open_checkpoint(path)), open_checkpoint(path).ignored) == (["w"], ("extra.bin",))
    save_file({"s": W}, path / "model.safetensors")
    assert names(open_checkpoint(path)) == ["s"]


def test_two_pickles_are_ambiguous_and_a_training_without_weights_is_none(tmp_path: Path) -> None:
    with pytest.raises(TollensError, match="ambiguous_checkpoint"):
        open_checkpoint(folder(tmp_path, a__bin=SAVED, b__pt=OTHER))
    (tmp_path / "a.bin").unlink()
    (tmp_path / "b.pt").rename(tmp_path / "optimizer.pt")
    with pytest.raises(TollensError, match="no_checkpoint"):
        open_checkpoint(tmp_path)


def test_an_index_of_pickles(tmp_path: Path) -> None:
    index = {"weight_map": {"w": "p-1.bin", "v": "p-2.bin"}}
    path = folder(
        tmp_path, p_1__bin=SAVED, p_2__bin=OTHER, optimizer__bin=b"x",
        pytorch_model__bin__index__json=json.dumps(index).encode(),
    )  # fmt: skip
    for number in "12":
        (path / f"p_{number}.bin").rename(path / f"p-{number}.bin")
    for opened_by in (path, path / "pytorch_model.bin.index.json"):
        checkpoint = open_checkpoint(opened_by)
        assert [(t.name, t.file) for t in checkpoint.tensors] == [("w", "p-1.bin"), ("v", "p-2.bin")]
        np.testing.assert_array_equal(checkpoint.read("v"), W)
    assert open_checkpoint(path).ignored == ("optimizer.bin",)
    index["weight_map"]["w"] = "p-1.safetensors"
    (path / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    with pytest.raises(TollensError, match="index_invalid"):
        open_checkpoint(path)


def test_views_that_overlap_may_not_unfold_to_a_multiple_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether their elements lie in order or not: a small file must not describe the work of a large one."""
    monkeypatch.setattr(torch_state, "SMALL", 0)
    data = {"0": np.zeros(4096, "<f4").tobytes()}
    same = {f"w{i}": View("0", "F32", 4096, (64, 64)) for i in range(40)}
    assert len(opened(tmp_path, same, data).tensors) == 40  # one place, measured once
    apart = {f"w{i}": View("0", "F32", 4096, (63, 64), first=i) for i in range(40)}
    with pytest.raises(TollensError) as caught:
        opened(tmp_path, apart, data)
    assert caught.value.code == "tensor_expanded"
