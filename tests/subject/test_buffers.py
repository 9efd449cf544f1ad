from __future__ import annotations

import pytest

from tollens.subject.buffers import reason_to_skip
from tollens.subject.tensor import TensorInfo


def tensor(name: str, shape: tuple[int, ...] = (8, 8), dtype: str = "F32") -> TensorInfo:
    return TensorInfo(name, shape, dtype, "m.safetensors", 0, 4)


def reasons(*tensors: TensorInfo) -> list[str | None]:
    beside = {t.name: t for t in tensors}
    return [reason_to_skip(t, beside) for t in tensors]


@pytest.mark.parametrize(
    ("name", "shape", "dtype", "reason"),
    [
        ("mlp.up_proj.weight", (8, 8), "BF16", None),
        ("mlp.up_proj.weight", (1, 8), "F8_E4M3", None),
        ("mlp.up_proj.bias", (8,), "F32", "not_a_matrix"),
        ("scalar", (), "F32", "not_a_matrix"),
        ("experts.down_proj_bias", (4, 8), "F32", "not_a_matrix"),
        ("rnn.bias_ih_l0", (8,), "F32", "not_a_matrix"),
        ("relative_attention_bias.weight", (32, 8), "F32", None),
        ("embeddings.position_ids", (1, 512), "I64", "not_a_weight"),
        ("mask", (8, 8), "BOOL", "not_a_weight"),
        ("rotary_emb.inv_freq", (32,), "F32", "not_a_weight"),
        ("rotary_emb.cos_cached", (1, 1, 64, 32), "F32", "not_a_weight"),
        ("h.0.attn.bias", (1, 1, 16, 16), "F32", "not_a_weight"),
        ("w", (8, 0), "F32", "empty_tensor"),
        ("w", (8, 8), "C64", "dtype_unsupported"),
        ("w", (8, 8), "F8_E8M0", "dtype_unsupported"),
        ("w", (8, 8), "<U5", "not_a_weight"),
        ("w", (8, 8), "F4", "packed_unsupported"),
        ("q_proj.qweight", (8, 8), "I32", "packed_unsupported"),
        ("q_proj.weight_packed", (8, 8), "I32", "packed_unsupported"),
        ("q_proj.lora_A.weight", (8, 8), "F32", "lora_unpaired"),
        ("q_proj.lora_embedding_B", (8, 8), "F32", "lora_unpaired"),
        ("lora_te_q_proj.lora_down.weight", (8, 8), "F32", "lora_unpaired"),
        ("explora_A", (8, 8), "F32", None),
    ],
)
def test_reason_of_one_tensor(name: str, shape: tuple[int, ...], dtype: str, reason: str | None) -> None:
    assert reasons(tensor(name, shape, dtype)) == [reason]


@pytest.mark.parametrize(
    ("packed", "dtype", "companion"),
    [
        ("x.qweight", "I32", "x.scales"),
        ("x.weight", "I8", "x.SCB"),
        ("x.weight", "U8", "x.weight.absmax"),
        ("x.weight_packed", "I32", "x.weight_scale"),
        ("x.weight", "F8_E4M3", "x.weight_scale_2"),
        ("experts.gate_up_proj_blocks", "U8", "experts.gate_up_proj_scales"),
    ],
)
def test_packed_weights_and_their_scales(packed: str, dtype: str, companion: str) -> None:
    assert reasons(tensor(packed, dtype=dtype), tensor(companion)) == ["packed_unsupported"] * 2
    assert reasons(tensor("y.weight", dtype="F32"), tensor("y.weight_scale"))[0] is None  # scales of no integer
    assert reasons(tensor("z.weight", dtype="F32"), tensor("z.scales"))[1] is None
