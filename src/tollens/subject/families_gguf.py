"""Parameter names of llama.cpp, the same for every architecture (ggml authors 2023-2026, `gguf.constants`)."""

from __future__ import annotations

from typing import Literal

from tollens.subject.family import Kind, Row, Table


def _stacked(kind: Kind, name: str) -> tuple[Row, Row]:
    """All experts in one tensor, and the shared one beside them."""
    shared: Literal["shared"] = "shared"
    return (
        Row(kind, 3, (f"blk.L.ffn_{name}_exps.weight",), fused="experts_stacked"),
        Row(kind, 2, (f"blk.L.ffn_{name}_shexp.weight",), expert=shared),
    )


def _both(*names: str) -> tuple[str, ...]:
    return tuple(f"{name}.{part}" for name in names for part in ("weight", "bias"))


GGUF = Table(
    "llama_cpp",
    "llama.cpp",
    (
        Row("embedding", 2, ("token_embd.weight",)),
        Row("position_embedding", 2, ("position_embd.weight",)),
        Row("token_type_embedding", 2, ("token_types.weight",)),
        Row("head", 2, ("output.weight",)),
        Row("q", 2, ("blk.L.attn_q.weight",)),
        Row("k", 2, ("blk.L.attn_k.weight",)),
        Row("v", 2, ("blk.L.attn_v.weight",)),
        Row("qkv", 2, ("blk.L.attn_qkv.weight",), fused="qkv_concat"),
        Row("o", 2, ("blk.L.attn_output.weight",)),
        Row("q_a", 2, ("blk.L.attn_q_a.weight",)),
        Row("q_b", 2, ("blk.L.attn_q_b.weight",)),
        Row("kv_a", 2, ("blk.L.attn_kv_a_mqa.weight",)),
        Row("kv_b", 2, ("blk.L.attn_kv_b.weight",)),
        Row("gate", 2, ("blk.L.ffn_gate.weight",)),
        Row("up", 2, ("blk.L.ffn_up.weight",)),
        Row("down", 2, ("blk.L.ffn_down.weight",)),
        Row("router", 2, ("blk.L.ffn_gate_inp.weight",)),
        *_stacked("gate", "gate"),
        *_stacked("up", "up"),
        *_stacked("down", "down"),
        Row("rotary", 1, ("rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight")),
        Row(
            "norm",
            1,
            (
                *_both("token_embd_norm", "output_norm"),
                *_both("blk.L.attn_norm", "blk.L.ffn_norm", "blk.L.attn_output_norm", "blk.L.layer_output_norm"),
                "blk.L.attn_q_norm.weight",
                "blk.L.attn_k_norm.weight",
                "blk.L.attn_q_a_norm.weight",
                "blk.L.attn_kv_a_norm.weight",
                "blk.L.post_attention_norm.weight",
                "blk.L.post_ffw_norm.weight",
            ),
        ),
        Row(
            "bias",
            1,
            (
                "blk.L.attn_q.bias",
                "blk.L.attn_k.bias",
                "blk.L.attn_v.bias",
                "blk.L.attn_qkv.bias",
                "blk.L.attn_output.bias",
                "blk.L.attn_sinks.weight",
                "blk.L.ffn_up.bias",
                "blk.L.ffn_down.bias",
                "blk.L.ffn_gate_inp.bias",
                "blk.L.exp_probs_b.bias",
            ),
        ),
        Row("bias", 2, ("blk.L.ffn_gate_exps.bias", "blk.L.ffn_up_exps.bias", "blk.L.ffn_down_exps.bias")),
    ),
)
