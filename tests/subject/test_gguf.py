"""GGUF files: those that the format's own library writes, bit for bit, and its blocks against their definition."""

from __future__ import annotations

import hashlib
import struct
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import gguf
import ml_dtypes
import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type
from tests.subject.gguf_bytes import ARRAY, TEXT, Tensor, array, pair, text, u32
from tests.subject.gguf_bytes import gguf as by_hand

from tollens.core.errors import TollensError
from tollens.subject import ggml
from tollens.subject.checkpoint import Checkpoint, open_checkpoint
from tollens.subject.families_gguf import GGUF
from tollens.subject.ggml import BLOCKS, PIECE
from tollens.subject.gguf import TYPES
from tollens.subject.gguf_cursor import Cursor
from tollens.subject.matrices import MatrixView, matrices

EXPANDED = sorted({t.name for t in gguf.quants._type_traits} - {"BF16"})


def written(path: Path, tensors: dict[str, tuple[np.ndarray, Type]], arch: str = "llama", **kw: Any) -> Checkpoint:
    """`tensors`: name to (stored array, type); a type of blocks takes the bytes of its rows."""
    writer = gguf.GGUFWriter(path, arch)
    if "alignment" in kw:
        writer.add_custom_alignment(kw["alignment"])
    writer.add_block_count(2)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_embedding_length(64)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_token_list([f"<{i}>" for i in range(500)])
    writer.add_token_scores([0.5] * 500)
    for name, (data, kind) in tensors.items():
        writer.add_tensor(name, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return open_checkpoint(path)


def blocks(name: str, rows: int, per_row: int, seed: int = 0) -> np.ndarray:
    """Random blocks (rows, bytes) whose scales are finite."""
    found = np.random.default_rng(seed).integers(0, 256, (rows, per_row * BLOCKS[name].nbytes), dtype=np.uint8)
    found[:] = np.where(found & 0x7C == 0x7C, found & 0xBF, found)  # no exponent of ones wherever a scale lies
    return found


def view_of(checkpoint: Checkpoint, name: str) -> MatrixView:
    return next(m for m in matrices(checkpoint).matrices if m.name == name)


SPECIAL = {
    "F32": np.array([1 << 31, 1, 0x7F800000, 0x7FC00123, 0xFFC00001, 0x3F800000, 0x00800000, 0x7F7FFFFF], "<u4"),
    "F64": np.array([1 << 63, 1, 0x7FF0 << 48, (0x7FF8 << 48) | 9, 0x3FF0 << 48, 5, 6, 0xFFF8 << 48], "<u8"),
    "F16": np.array([0x8000, 0x0001, 0x7C00, 0x3C00, 0x03FF, 0x0400, 0xFC00, 0x7BFF], "<u2"),
    "BF16": np.array([0x8000, 0x0001, 0x7F80, 0x7FC1, 0xFFAB, 0x3F80, 0x007F, 0x7F7F], "<u2"),
}  # fmt: skip


@pytest.mark.parametrize("kind", SPECIAL)
def test_plain_types_are_read_bit_for_bit(tmp_path: Path, kind: str) -> None:
    """Minus zero, subnormals, infinities and the payloads of NaN among them."""
    bits = SPECIAL[kind].reshape(2, 4)
    found = written(tmp_path / "m.gguf", {"w.weight": (bits.view(np.uint8), Type[kind])})
    tensor = found.info("w.weight")
    assert (tensor.shape, tensor.dtype, tensor.nbytes) == ((2, 4), kind, bits.nbytes)
    got = found.read("w.weight")
    if kind == "BF16":
        assert got.tobytes() == (bits.astype("<u4") << 16).tobytes()
    elif kind == "F16":
        assert got.tobytes() == bits.view(np.float16).astype(np.float32).tobytes()
    else:
        assert got.tobytes() == bits.tobytes()
    raw = (tmp_path / "m.gguf").read_bytes()[tensor.offset : tensor.offset + tensor.nbytes]
    assert raw == bits.tobytes()


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.int64])
def test_integers_are_listed_and_no_weights(tmp_path: Path, dtype: type) -> None:
    found = written(tmp_path / "m.gguf", {"w.weight": (np.ones((4, 4), dtype), Type[f"I{8 * dtype().itemsize}"])})
    assert found.tensors[0].dtype == f"I{8 * dtype().itemsize}"
    assert [s.reason for s in matrices(found).skipped] == ["not_a_weight"]


@pytest.mark.parametrize("alignment", [8, 32, 4096])
def test_shapes_are_turned_and_offsets_aligned(tmp_path: Path, alignment: int) -> None:
    stored = {f"t{i}.weight": np.random.default_rng(i).normal(size=(3, 5 + i)).astype("<f4") for i in range(4)}
    found = written(tmp_path / "m.gguf", {name: (a, Type.F32) for name, a in stored.items()}, alignment=alignment)
    assert all(t.offset % alignment == 0 for t in found.tensors)
    for name, a in stored.items():
        assert found.info(name).shape == a.shape
        assert found.read(name).tobytes() == a.tobytes()


def test_metadata_become_text_and_configuration(tmp_path: Path) -> None:
    found = written(tmp_path / "m.gguf", {"w.weight": (np.ones((2, 2), "<f4"), Type.F32)}, arch="qwen2")
    assert found.config is not None
    assert found.config["rms_norm_eps"] == pytest.approx(1e-5)
    assert {k: v for k, v in found.config.items() if k != "rms_norm_eps"} == {
        "model_type": "qwen2",
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "hidden_size": 64,
    }
    assert found.metadata["general.architecture"] == "qwen2"
    assert found.metadata["qwen2.block_count"] == "2"
    assert "tokenizer.ggml.tokens" not in found.metadata


def test_values_of_every_type_are_passed_over(tmp_path: Path) -> None:
    """One of each, arrays of each, nested arrays, and behind them a tensor that is only found if all lengths fit."""
    kinds = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
    pairs = [pair(f"one.{k}", k, struct.pack(form, 1)) for k, form in kinds.items()]
    pairs += [pair(f"three.{k}", ARRAY, array(k, 3, struct.pack(form, 1) * 3)) for k, form in kinds.items()]
    pairs.append(pair("text", TEXT, text("naïve")))
    pairs.append(pair("texts", ARRAY, array(TEXT, 2, text("a") + text(b"\xff\xfe"))))
    pairs.append(pair("nested", ARRAY, array(ARRAY, 2, array(4, 2, b"\1\0\0\0" * 2) + array(ARRAY, 1, array(TEXT, 0)))))
    pairs.append(pair("nan", 6, struct.pack("<f", float("nan"))))
    pairs.append(pair("long", TEXT, text("x" * 100_000)))
    pairs.append(pair("none.attention.head_count", 6, struct.pack("<f", float("inf"))))
    pairs.append(pair("general.architecture", TEXT, text("none")))
    path = tmp_path / "m.gguf"
    for version in (2, 3):
        path.write_bytes(
            by_hand([Tensor("w", (2, 1), "F32", 0)], struct.pack("<2f", 1.5, -2.0), pairs, version=version)
        )
        found = open_checkpoint(path)
        assert found.read("w").tolist() == [[1.5, -2.0]]
        assert found.metadata["one.12"] == "1.0"
        assert found.metadata["text"] == "naïve"
        assert not {"long", "texts", "nested", "three.4"} & set(found.metadata)
        assert found.config == {"model_type": "none"}  # an infinite number of heads is none


def test_a_long_header_takes_few_reads() -> None:
    """8 MiB of texts: windows of 64 KiB that double up to 4 MiB, 2^16 (2^7 - 1) = 7.9 MiB in the first seven."""
    count = 1 << 19
    reads: list[int] = []

    class Counted:
        content = by_hand([], b"", [pair("tokens", ARRAY, array(TEXT, count, text("12345678") * count))])
        size = len(content)

        def read_into(self, offset: int, view: memoryview, /) -> int:
            reads.append(len(view))
            view[:] = self.content[offset : offset + len(view)]
            return len(view)

    cursor = Cursor(Counted(), "m.gguf")
    assert cursor.take(4) == b"GGUF"
    for _ in range(5):
        cursor.number("<I")
    key = cursor.take(cursor.number("<Q"))
    assert (key, cursor.number("<I"), cursor.number("<I")) == (b"tokens", ARRAY, TEXT)
    for _ in range(cursor.number("<Q")):
        assert cursor.take(cursor.number("<Q")) == b"12345678"
    assert cursor.position == 24 + 8 + 6 + 4 + 12 + 16 * count
    assert len(reads) == 8
    assert max(reads) <= 4 << 20


def test_a_file_of_123_tensors_has_a_brace_where_safetensors_begins(tmp_path: Path) -> None:
    tensors = [Tensor(f"t{i}", (8,), "F32", 32 * i) for i in range(123)]
    path = tmp_path / "no_suffix"
    path.write_bytes(by_hand(tensors, b"\0" * 32 * 123))
    assert path.read_bytes()[8:9] == b"{"
    assert len(open_checkpoint(path).tensors) == 123


def test_scalars_and_empty_tensors(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(by_hand([Tensor("s", (), "F32", 0), Tensor("e", (4, 0), "F32", 32)], b"\0" * 32))
    found = open_checkpoint(path)
    assert {t.name: (t.shape, t.nbytes) for t in found.tensors} == {"s": ((), 4), "e": ((0, 4), 0)}
    assert {s.name: s.reason for s in matrices(found).skipped} == {"s": "not_a_matrix", "e": "empty_tensor"}


# Blocks against their definition.


def q8_0(raw: np.ndarray) -> np.ndarray:
    """A half-precision scale, 32 signed bytes."""
    raw = raw.reshape(-1, 34)
    scale = raw[:, :2].copy().view("<f2").astype(np.float32)
    return (scale * raw[:, 2:].view(np.int8)).reshape(-1)


def q4_0(raw: np.ndarray) -> np.ndarray:
    """A half-precision scale, 16 bytes: their low halves are numbers 0 to 15, the high halves 16 to 31; less 8."""
    raw = raw.reshape(-1, 18)
    scale = raw[:, :2].copy().view("<f2").astype(np.float32)
    nibbles = np.concatenate([raw[:, 2:] & 15, raw[:, 2:] >> 4], axis=1).astype(np.int8) - 8
    return (scale * nibbles).reshape(-1)


def q4_k(block: bytes) -> list[float]:
    """256 numbers in 8 groups of 32: d * scale * q - dmin * minimum, all 16 scales and minima of 6 bits in 12 bytes.

    The first four groups have theirs in the low 6 bits of bytes 0-3 and 4-7; for the others the low 4 bits are the
    two halves of bytes 8-11, and the upper 2 those left over in bytes 0-7. The quants of groups 2j and 2j+1 are the
    low and the high halves of 32 bytes.
    """
    d, dmin = struct.unpack_from("<ee", block)
    s, q = block[4:16], block[16:]
    found = []
    for group in range(8):
        if group < 4:
            scale, minimum = s[group] & 63, s[group + 4] & 63
        else:
            scale = (s[group + 4] & 15) | (s[group - 4] >> 6) << 4
            minimum = (s[group + 4] >> 4) | (s[group] >> 6) << 4
        for i in range(32):
            byte = q[32 * (group // 2) + i]
            found.append(d * scale * (byte >> 4 if group % 2 else byte & 15) - dmin * minimum)
    return found


def q6_k(block: bytes) -> list[float]:
    """256 numbers of 6 bits less 32, times d, times one of 16 signed scales.

    In each half of 128: 64 bytes hold the low 4 bits, number l at byte l mod 64, in its high half from 64 on; 32 bytes
    the upper 2, at byte l mod 32, bits 2*(l div 32) on.
    """
    low, high = block[:128], block[128:192]
    scales = struct.unpack_from("<16b", block, 192)
    (d,) = struct.unpack_from("<e", block, 208)
    found = []
    for n in range(256):
        half, l = divmod(n, 128)
        byte = low[64 * half + l % 64]
        four = byte >> 4 if l >= 64 else byte & 15
        two = high[32 * half + l % 32] >> 2 * (l // 32) & 3
        found.append(d * scales[n // 16] * ((four | two << 4) - 32))
    return found


@pytest.mark.parametrize(("name", "definition"), [("Q8_0", q8_0), ("Q4_0", q4_0)])
def test_simple_blocks_follow_their_definition(tmp_path: Path, name: str, definition: Any) -> None:
    raw = blocks(name, 6, 4)
    found = written(tmp_path / "m.gguf", {"w.weight": (raw, Type[name])})
    assert found.info("w.weight").shape == (6, 128)
    assert found.read("w.weight").reshape(-1).tobytes() == definition(raw).tobytes()


@pytest.mark.parametrize(("name", "definition"), [("Q4_K", q4_k), ("Q6_K", q6_k)])
def test_k_blocks_follow_their_definition(tmp_path: Path, name: str, definition: Any) -> None:
    raw = blocks(name, 3, 2)
    found = written(tmp_path / "m.gguf", {"w.weight": (raw, Type[name])})
    wanted = [definition(block.tobytes()) for block in raw.reshape(6, -1)]
    got = found.read("w.weight").reshape(6, 256)
    assert got == pytest.approx(np.array(wanted), rel=2e-6, abs=1e-12 + 1e-6 * np.abs(wanted).max())


@pytest.mark.parametrize("name", EXPANDED)
def test_pieces_are_what_the_package_makes_of_the_whole(tmp_path: Path, name: str) -> None:
    per_row = 3
    raw = blocks(name, 7, per_row)
    found = written(tmp_path / "m.gguf", {"blk.0.attn_q.weight": (raw, Type[name])})
    with np.errstate(all="ignore"):
        whole = gguf.quants.dequantize(raw, Type[name])
    view = view_of(found, "blk.0.attn_q.weight")
    assert (view.dtype, view.flags, view.role.kind) == (name, (f"dequantised:{name.lower()}",), "q")
    digest = hashlib.sha256()
    assert view.load(np.float32, digest).tobytes() == whole.tobytes()
    assert digest.digest() == hashlib.sha256(raw.tobytes()).digest()
    assert view.load(np.float64).tobytes() == whole.astype(np.float64).tobytes()
    assert np.concatenate([p.copy() for p in found.panels("blk.0.attn_q.weight", 2)]).tobytes() == whole.tobytes()


def test_reading_may_begin_and_end_inside_a_block(tmp_path: Path) -> None:
    raw = blocks("Q4_K", 4, 2)
    found = written(tmp_path / "m.gguf", {"w.weight": (raw, Type.Q4_K)})
    whole = found.read("w.weight").reshape(-1)
    with found.source.stream(found.info("w.weight")) as stream:
        for start, count in [(0, 1), (1, 300), (255, 2), (256, 256), (2047, 1), (700, 1300), (3, 0)]:
            part = np.empty(count, np.float32)
            stream.elements_into(start, part)
            assert part.tobytes() == whole[start : start + count].tobytes()
        view = bytearray(7)
        stream.fill(1021, memoryview(view))  # no multiple of four
        assert bytes(view) == whole.tobytes()[1021:1028]


def test_the_digest_of_several_pieces_is_that_of_the_stored_bytes(tmp_path: Path) -> None:
    rows = 3 * PIECE // 1024 + 5
    raw = blocks("Q8_0", rows, 32)
    found = written(tmp_path / "m.gguf", {"blk.0.attn_q.weight": (raw, Type.Q8_0)})
    for dtype in (np.float32, np.float64):
        digest = hashlib.sha256()
        view_of(found, "blk.0.attn_q.weight").load(dtype, digest)
        assert digest.digest() == hashlib.sha256(raw.tobytes()).digest()


def test_a_block_that_two_pieces_share_is_digested_once(tmp_path: Path) -> None:
    raw = blocks("Q8_0", 4, 8)
    found = written(tmp_path / "m.gguf", {"w.weight": (raw, Type.Q8_0)})
    digest = hashlib.sha256()
    with found.source.stream(found.info("w.weight")) as opened:
        stream = opened.hashed(digest)
        for offset in range(0, 4 * raw.size // 34 * 32, 100):
            stream.fill(offset, memoryview(bytearray(min(100, 4 * raw.size // 34 * 32 - offset))))
    assert digest.digest() == hashlib.sha256(raw.tobytes()).digest()


def test_expanding_takes_a_piece_of_memory_beside_the_result(tmp_path: Path) -> None:
    rows = 32 * PIECE // 1024  # 16 MiB of float32
    found = written(tmp_path / "m.gguf", {"w.weight": (blocks("Q4_K", rows, 4), Type.Q4_K)})
    found.read("w.weight")  # what is imported once is not counted
    tracemalloc.start()
    whole = found.read("w.weight")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert whole.nbytes == 16 << 20
    assert peak - whole.nbytes < 16 * 4 * PIECE


def test_the_table_of_blocks_is_that_of_the_library() -> None:
    for name, block in BLOCKS.items():
        assert block.number == Type[name]
        assert (block.elements, block.nbytes) == gguf.GGML_QUANT_SIZES[Type[name]]
    known = {t.value for t in Type}
    assert known - set(TYPES) == {Type.Q8_1}
    assert set(TYPES) <= known
    for number, stored in TYPES.items():
        assert stored.name == Type(number).name


def test_every_name_of_the_table_is_one_of_llama_cpp() -> None:
    known = {name.replace("{bid}", "L") for name in gguf.constants.TENSOR_NAMES.values()}
    patterns = [p for row in GGUF.rows for p in row.patterns]
    assert [p for p in patterns if p.rpartition(".")[0] not in known] == []
    assert len(patterns) == len(set(patterns))


def test_experts_and_fused_projections_are_told_apart(tmp_path: Path) -> None:
    experts = blocks("Q8_0", 3 * 64, 2).reshape(3, 64, 68)
    fused = blocks("Q8_0", 64 + 32 + 32, 2)
    found = written(
        tmp_path / "m.gguf",
        {"blk.0.ffn_gate_exps.weight": (experts, Type.Q8_0), "blk.0.attn_qkv.weight": (fused, Type.Q8_0)},
    )
    views = {m.name: m for m in matrices(found).matrices}
    assert set(views) == {
        *(f"blk.0.ffn_gate_exps.weight[{e}]" for e in range(3)),
        *(f"blk.0.attn_qkv.weight[{part}]" for part in "qkv"),  # 4 heads and 2 of 64/4 each: 64 + 32 + 32 rows
    }
    for e in range(3):
        digest = hashlib.sha256()
        view = views[f"blk.0.ffn_gate_exps.weight[{e}]"]
        assert view.load(np.float32, digest).tobytes() == q8_0(experts[e]).tobytes()
        assert digest.digest() == hashlib.sha256(experts[e].tobytes()).digest()
        assert (view.role.kind, view.role.expert, view.shape) == ("gate", e, (64, 64))
    assert views["blk.0.attn_qkv.weight[k]"].load().tobytes() == q8_0(fused[64:96]).tobytes()


@pytest.mark.parametrize("same", [True, False])
def test_a_head_that_repeats_the_embedding(tmp_path: Path, same: bool) -> None:
    embedding, q = blocks("Q8_0", 40, 2), blocks("Q8_0", 64, 2)
    head = embedding.copy()
    head[-1, -1] ^= 0 if same else 1  # the very last number
    found = matrices(
        written(
            tmp_path / "m.gguf",
            {
                "token_embd.weight": (embedding, Type.Q8_0),
                "blk.0.attn_q.weight": (q, Type.Q8_0),
                "output.weight": (head, Type.Q8_0),
            },
        )
    )
    assert [(a.name, a.of) for a in found.aliases] == ([("output.weight", "token_embd.weight")] if same else [])


# What is not installed, or not expanded by what is.


def test_without_the_extra_only_blocks_are_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = np.ones((3, 4), "<f4")
    found = written(
        tmp_path / "m.gguf",
        {
            "blk.0.attn_q.weight": (blocks("Q4_K", 4, 1), Type.Q4_K),
            "blk.0.attn_k.weight": (plain, Type.F32),
            "blk.0.attn_norm.weight": (blocks("Q8_0", 1, 2)[0], Type.Q8_0),
        },
    )
    monkeypatch.setitem(sys.modules, "gguf", None)
    inventory = matrices(open_checkpoint(tmp_path / "m.gguf"))
    assert {s.name: s.reason for s in inventory.skipped} == {
        "blk.0.attn_q.weight": "gguf_extra_missing",
        "blk.0.attn_norm.weight": "not_a_matrix",
    }
    assert [m.load().tolist() for m in inventory.matrices] == [plain.tolist()]
    with pytest.raises(TollensError) as caught:
        found.read("blk.0.attn_q.weight")
    assert caught.value.code == "extra_missing"
    assert "pip install 'tollens[gguf]'" in caught.value.fix


def test_a_type_that_the_package_does_not_expand(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(by_hand([Tensor("w.weight", (256, 2), "Q8_K", 0)], b"\0" * 584))
    found = open_checkpoint(path)
    assert [(s.dtype, s.reason) for s in matrices(found).skipped] == [("Q8_K", "packed_unsupported")]
    with pytest.raises(TollensError) as caught:
        found.read("w.weight")
    assert caught.value.code == "dtype_unsupported"


def test_a_package_too_old_to_know_the_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ggml.BLOCKS, "NEW", ggml.BlockType("NEW", 4_000, 32, 18))
    assert ggml.reason_to_skip("NEW") == "packed_unsupported"


def test_the_package_is_imported_for_blocks_alone(tmp_path: Path) -> None:
    written(tmp_path / "m.gguf", {"w.weight": (np.ones((4, 4), "<f2"), Type.F16)})
    code = (
        "import sys; from tollens.subject.checkpoint import open_checkpoint; from tollens.subject.matrices import "
        f"matrices; print(matrices(open_checkpoint({str(tmp_path / 'm.gguf')!r})).matrices[0].load().sum(), "
        "'gguf' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["16.0", "False"]


# Folders.


def part(folder: Path, name: str, tensor: str, pairs: tuple[bytes, ...] = ()) -> None:
    (folder / name).write_bytes(by_hand([Tensor(tensor, (2, 2), "F32", 0)], struct.pack("<4f", 1, 2, 3, 4), pairs))


def test_a_folder_with_one_file(tmp_path: Path) -> None:
    part(tmp_path, "m.gguf", "w")
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04")
    found = open_checkpoint(tmp_path)
    assert (found.format, found.files, found.ignored) == ("gguf", ("m.gguf",), ("pytorch_model.bin",))
    assert found.digest() != open_checkpoint(tmp_path / "m.gguf").digest()  # of a list of files, and of one


def test_a_folder_with_several_is_ambiguous(tmp_path: Path) -> None:
    part(tmp_path, "q4.gguf", "w")
    part(tmp_path, "q8.gguf", "w")
    with pytest.raises(TollensError) as caught:
        open_checkpoint(tmp_path)
    assert caught.value.code == "ambiguous_checkpoint"
    (tmp_path / "q8.gguf").unlink()
    np.savez(tmp_path / "m.npz", w=np.ones(3))
    with pytest.raises(TollensError) as caught:
        open_checkpoint(tmp_path)
    assert caught.value.code == "ambiguous_checkpoint"


def test_beside_safetensors_it_is_listed_and_not_read(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"w": np.ones((2, 2))}, tmp_path / "model.safetensors")
    part(tmp_path, "m.gguf", "w")
    found = open_checkpoint(tmp_path)
    assert (found.format, found.ignored) == ("safetensors", ("m.gguf",))


def test_a_split_model_is_read_together(tmp_path: Path) -> None:
    part(tmp_path, "m-00001-of-00002.gguf", "a", (pair("general.architecture", TEXT, text("llama")),))
    part(tmp_path, "m-00002-of-00002.gguf", "b", (pair("split.no", 4, u32(1)),))
    found = open_checkpoint(tmp_path)
    assert found.files == ("m-00001-of-00002.gguf", "m-00002-of-00002.gguf")
    assert [found.read(name).tolist() for name in ("a", "b")] == [[[1, 2], [3, 4]]] * 2
    assert found.config == {"model_type": "llama"}
    assert [t.name for t in open_checkpoint(tmp_path / "m-00002-of-00002.gguf").tensors] == ["b"]
    part(tmp_path, "m-00002-of-00002.gguf", "a")
    with pytest.raises(TollensError) as caught:
        open_checkpoint(tmp_path)
    assert caught.value.code == "index_mismatch"


def test_a_split_model_without_a_part(tmp_path: Path) -> None:
    part(tmp_path, "m-00001-of-00003.gguf", "a")
    part(tmp_path, "m-00003-of-00003.gguf", "c")
    with pytest.raises(TollensError) as caught:
        open_checkpoint(tmp_path)
    assert caught.value.code == "index_shard_missing"
    assert "m-00002-of-00003.gguf" in caught.value.found


def test_bfloat16_of_another_library(tmp_path: Path) -> None:
    values = np.linspace(-3, 3, 12).astype(ml_dtypes.bfloat16).reshape(3, 4)
    found = written(tmp_path / "m.gguf", {"w.weight": (values.view(np.uint8), Type.BF16)})
    assert found.read("w.weight").tolist() == values.astype(np.float32).tolist()
