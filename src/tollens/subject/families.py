"""Parameter names of the model families Tollens knows: tables, no code that decides anything.

A pattern is a dotted name without wrapper prefix. The component `L` stands for a layer number, `E` for an
expert number; every other component is literal, so a pattern matches the whole name or not at all. The names
are those the reference implementations write to disk (Hugging Face transformers 4.57, spot-checked against
5.23; timm 1.0) and, for DeepSeek-V3, FP8 and older checkpoints and those of Meta, those of the published files.
What llama.cpp names them stands in `families_gguf`.
"""

from __future__ import annotations

from tollens.subject.families_gguf import GGUF
from tollens.subject.family import Row, Table

PREFIXES = (
    "base_model.model.",  # adapters of peft
    "_orig_mod.",  # torch.compile
    "module.",  # data-parallel wrappers
    "model.",
    "language_model.",
    "transformer.",
    "gpt_neox.",
    "bert.",
    "roberta.",
    "vit.",
    "deit.",
)
"""Wrappers taken off a name, repeatedly, before it is compared with the tables."""

SCALES = ("weight_scale_inv", "weight_scale", "input_scale")
"""Names that stand where `weight` stands and hold the scale of a quantised matrix, not a matrix."""

# Decoders in the naming of Llama.

_EMBED = Row("embedding", 2, ("embed_tokens.weight",))
_HEAD = Row("head", 2, ("lm_head.weight",))
_QKVO = (
    Row("q", 2, ("layers.L.self_attn.q_proj.weight",)),
    Row("k", 2, ("layers.L.self_attn.k_proj.weight",)),
    Row("v", 2, ("layers.L.self_attn.v_proj.weight",)),
    Row("o", 2, ("layers.L.self_attn.o_proj.weight",)),
)
_O = _QKVO[3:]
_MLP = (
    Row("gate", 2, ("layers.L.mlp.gate_proj.weight",)),
    Row("up", 2, ("layers.L.mlp.up_proj.weight",)),
    Row("down", 2, ("layers.L.mlp.down_proj.weight",)),
)
_EXPERTS = (
    Row("router", 2, ("layers.L.mlp.gate.weight",)),
    Row("gate", 2, ("layers.L.mlp.experts.E.gate_proj.weight",)),
    Row("up", 2, ("layers.L.mlp.experts.E.up_proj.weight",)),
    Row("down", 2, ("layers.L.mlp.experts.E.down_proj.weight",)),
)
_PRE_NORMS = Row("norm", 1, ("layers.L.input_layernorm.weight", "layers.L.post_attention_layernorm.weight"))
_FINAL_NORM = Row("norm", 1, ("norm.weight",))
_QK_NORMS = Row("norm", 1, ("layers.L.self_attn.q_norm.weight", "layers.L.self_attn.k_norm.weight"))
_QKV_BIASES = Row(
    "bias",
    1,
    ("layers.L.self_attn.q_proj.bias", "layers.L.self_attn.k_proj.bias", "layers.L.self_attn.v_proj.bias"),
)
_O_BIAS = Row("bias", 1, ("layers.L.self_attn.o_proj.bias",))
_MLP_BIASES = Row(
    "bias", 1, ("layers.L.mlp.gate_proj.bias", "layers.L.mlp.up_proj.bias", "layers.L.mlp.down_proj.bias")
)
_INV_FREQ = Row("rotary", 1, ("layers.L.self_attn.rotary_emb.inv_freq",))
_LLAMA_OPTIONS = (_QKV_BIASES, _O_BIAS, _MLP_BIASES, _INV_FREQ)
_ENDS = (_EMBED, _HEAD, _FINAL_NORM)
_LLAMA = (*_ENDS, *_QKVO, *_MLP, _PRE_NORMS)

_META = (
    Row("embedding", 2, ("tok_embeddings.weight",)),
    Row("q", 2, ("layers.L.attention.wq.weight",)),
    Row("k", 2, ("layers.L.attention.wk.weight",)),
    Row("v", 2, ("layers.L.attention.wv.weight",)),
    Row("o", 2, ("layers.L.attention.wo.weight",)),
    Row("gate", 2, ("layers.L.feed_forward.w1.weight",)),
    Row("down", 2, ("layers.L.feed_forward.w2.weight",)),
    Row("up", 2, ("layers.L.feed_forward.w3.weight",)),
    Row("norm", 1, ("layers.L.attention_norm.weight", "layers.L.ffn_norm.weight")),
    _FINAL_NORM,
    Row("head", 2, ("output.weight",)),
    Row("rotary", 1, ("rope.freqs",)),
    Row("rotary", 2, ("freqs_cos", "freqs_sin")),
)

_MIXTRAL = (
    *_ENDS,
    *_QKVO,
    _PRE_NORMS,
    Row("router", 2, ("layers.L.block_sparse_moe.gate.weight",)),
    Row("gate", 2, ("layers.L.block_sparse_moe.experts.E.w1.weight",)),
    Row("down", 2, ("layers.L.block_sparse_moe.experts.E.w2.weight",)),
    Row("up", 2, ("layers.L.block_sparse_moe.experts.E.w3.weight",)),
)

_QWEN2_MOE = (
    *_ENDS,
    *_QKVO,
    _QKV_BIASES,
    *_MLP,
    *_EXPERTS,
    _PRE_NORMS,
    Row("gate", 2, ("layers.L.mlp.shared_expert.gate_proj.weight",), expert="shared"),
    Row("up", 2, ("layers.L.mlp.shared_expert.up_proj.weight",), expert="shared"),
    Row("down", 2, ("layers.L.mlp.shared_expert.down_proj.weight",), expert="shared"),
    Row("router", 2, ("layers.L.mlp.shared_expert_gate.weight",), expert="shared"),
)

_POST_NORMS = Row("norm", 1, ("layers.L.post_attention_layernorm.weight", "layers.L.post_feedforward_layernorm.weight"))
_FEEDFORWARD_NORMS = Row(
    "norm", 1, ("layers.L.pre_feedforward_layernorm.weight", "layers.L.post_feedforward_layernorm.weight")
)

# DeepSeek: multi-head latent attention, DeepSeek-AI 2024 (arXiv 2405.04434).

_MLA = (
    Row("kv_a", 2, ("layers.L.self_attn.kv_a_proj_with_mqa.weight",)),
    Row("kv_b", 2, ("layers.L.self_attn.kv_b_proj.weight",)),
    Row("norm", 1, ("layers.L.self_attn.kv_a_layernorm.weight",)),
)
_MLA_QUERY = (
    Row("q_a", 2, ("layers.L.self_attn.q_a_proj.weight",)),
    Row("q_b", 2, ("layers.L.self_attn.q_b_proj.weight",)),
    Row("norm", 1, ("layers.L.self_attn.q_a_layernorm.weight",)),
)
_SHARED_EXPERTS = (
    Row("gate", 2, ("layers.L.mlp.shared_experts.gate_proj.weight",), expert="shared"),
    Row("up", 2, ("layers.L.mlp.shared_experts.up_proj.weight",), expert="shared"),
    Row("down", 2, ("layers.L.mlp.shared_experts.down_proj.weight",), expert="shared"),
)
_DEEPSEEK = (*_ENDS, *_MLA, *_O, *_MLP, *_EXPERTS, *_SHARED_EXPERTS, _PRE_NORMS)
_NEXT_TOKEN_MODULE = (
    Row("embedding", 2, ("layers.L.embed_tokens.weight",)),
    Row("head", 2, ("layers.L.shared_head.head.weight",)),
    Row("norm", 1, ("layers.L.enorm.weight", "layers.L.hnorm.weight", "layers.L.shared_head.norm.weight")),
)

# Other decoders.

_PHI3 = (
    *_ENDS,
    *_O,
    Row("qkv", 2, ("layers.L.self_attn.qkv_proj.weight",), fused="qkv_concat"),
    Row("gate_up", 2, ("layers.L.mlp.gate_up_proj.weight",), fused="gate_up_concat"),
    _MLP[2],
    _PRE_NORMS,
)

_GPT_OSS = (
    *_ENDS,
    *_QKVO,
    _QKV_BIASES,
    _O_BIAS,
    _PRE_NORMS,
    Row("bias", 1, ("layers.L.self_attn.sinks", "layers.L.mlp.router.bias")),
    Row("router", 2, ("layers.L.mlp.router.weight",)),
    Row(
        "gate_up",
        3,
        ("layers.L.mlp.experts.gate_up_proj",),
        fused="experts_stacked",
        inner="gate_up_interleaved_columns",
    ),
    Row("down", 3, ("layers.L.mlp.experts.down_proj",), fused="experts_stacked"),
    Row("bias", 2, ("layers.L.mlp.experts.gate_up_proj_bias", "layers.L.mlp.experts.down_proj_bias")),
)

_LLAMA4 = (
    *_ENDS,
    *_QKVO,
    _PRE_NORMS,
    Row("router", 2, ("layers.L.feed_forward.router.weight",)),
    Row(
        "gate_up",
        3,
        ("layers.L.feed_forward.experts.gate_up_proj",),
        fused="experts_stacked",
        inner="gate_up_concat_columns",
    ),
    Row("down", 3, ("layers.L.feed_forward.experts.down_proj",), fused="experts_stacked"),
    Row("gate", 2, ("layers.L.feed_forward.shared_expert.gate_proj.weight",), expert="shared"),
    Row("up", 2, ("layers.L.feed_forward.shared_expert.up_proj.weight",), expert="shared"),
    Row("down", 2, ("layers.L.feed_forward.shared_expert.down_proj.weight",), expert="shared"),
    Row("gate", 2, ("layers.L.feed_forward.gate_proj.weight",)),
    Row("up", 2, ("layers.L.feed_forward.up_proj.weight",)),
    Row("down", 2, ("layers.L.feed_forward.down_proj.weight",)),
)

_GPT2 = (
    Row("embedding", 2, ("wte.weight",)),
    Row("position_embedding", 2, ("wpe.weight",)),
    _HEAD,
    # Stored (in, out) by the original; re-implementations with ordinary linear layers store (out, in).
    # With any other aspect (multi-query attention) the parts have unequal widths that no name gives.
    Row("qkv", 2, ("h.L.attn.c_attn.weight",), fused="qkv_concat_columns", aspect=(1, 3)),
    Row("qkv", 2, ("h.L.attn.c_attn.weight",), fused="qkv_concat", aspect=(3, 1)),
    Row("qkv", 2, ("h.L.attn.c_attn.weight",)),
    Row("o", 2, ("h.L.attn.c_proj.weight",)),
    Row("up", 2, ("h.L.mlp.c_fc.weight",)),
    Row("down", 2, ("h.L.mlp.c_proj.weight",)),
    Row(
        "norm",
        1,
        (
            "h.L.ln_1.weight",
            "h.L.ln_1.bias",
            "h.L.ln_2.weight",
            "h.L.ln_2.bias",
            "ln_f.weight",
            "ln_f.bias",
        ),
    ),
    Row(
        "bias",
        1,
        ("h.L.attn.c_attn.bias", "h.L.attn.c_proj.bias", "h.L.mlp.c_fc.bias", "h.L.mlp.c_proj.bias"),
    ),
    Row("mask", 4, ("h.L.attn.bias",)),
    Row("mask", None, ("h.L.attn.masked_bias",)),
)

_GPT_NEOX = (
    Row("embedding", 2, ("embed_in.weight",)),
    Row("head", 2, ("embed_out.weight",)),
    Row("qkv", 2, ("layers.L.attention.query_key_value.weight",), fused="qkv_interleaved"),
    Row("o", 2, ("layers.L.attention.dense.weight",)),
    Row("up", 2, ("layers.L.mlp.dense_h_to_4h.weight",)),
    Row("down", 2, ("layers.L.mlp.dense_4h_to_h.weight",)),
    Row(
        "norm",
        1,
        (
            "layers.L.input_layernorm.weight",
            "layers.L.input_layernorm.bias",
            "layers.L.post_attention_layernorm.weight",
            "layers.L.post_attention_layernorm.bias",
            "final_layer_norm.weight",
            "final_layer_norm.bias",
        ),
    ),
    Row(
        "bias",
        1,
        (
            "layers.L.attention.query_key_value.bias",
            "layers.L.attention.dense.bias",
            "layers.L.mlp.dense_h_to_4h.bias",
            "layers.L.mlp.dense_4h_to_h.bias",
        ),
    ),
    Row("rotary", 1, ("layers.L.attention.rotary_emb.inv_freq",)),
    Row("mask", 4, ("layers.L.attention.bias",)),
    Row("mask", None, ("layers.L.attention.masked_bias",)),
)

# Encoders.

_ENCODER_FEEDFORWARD = (
    Row("o", 2, ("encoder.layer.L.attention.output.dense.weight",)),
    Row("up", 2, ("encoder.layer.L.intermediate.dense.weight",)),
    Row("down", 2, ("encoder.layer.L.output.dense.weight",)),
    Row("pooler", 2, ("pooler.dense.weight",)),
    Row("head", 2, ("classifier.weight",)),
    Row(
        "bias",
        1,
        (
            "encoder.layer.L.attention.output.dense.bias",
            "encoder.layer.L.intermediate.dense.bias",
            "encoder.layer.L.output.dense.bias",
            "pooler.dense.bias",
            "classifier.bias",
        ),
    ),
)

_BERT = (
    Row("embedding", 2, ("embeddings.word_embeddings.weight",)),
    Row("position_embedding", 2, ("embeddings.position_embeddings.weight",)),
    Row("token_type_embedding", 2, ("embeddings.token_type_embeddings.weight",)),
    Row("buffer", None, ("embeddings.position_ids",)),
    Row("q", 2, ("encoder.layer.L.attention.self.query.weight",)),
    Row("k", 2, ("encoder.layer.L.attention.self.key.weight",)),
    Row("v", 2, ("encoder.layer.L.attention.self.value.weight",)),
    *_ENCODER_FEEDFORWARD,
    Row(
        "bias",
        1,
        (
            "encoder.layer.L.attention.self.query.bias",
            "encoder.layer.L.attention.self.key.bias",
            "encoder.layer.L.attention.self.value.bias",
        ),
    ),
    Row(
        "norm",
        1,
        (
            "embeddings.LayerNorm.weight",
            "embeddings.LayerNorm.bias",
            "encoder.layer.L.attention.output.LayerNorm.weight",
            "encoder.layer.L.attention.output.LayerNorm.bias",
            "encoder.layer.L.output.LayerNorm.weight",
            "encoder.layer.L.output.LayerNorm.bias",
        ),
    ),
    # Checkpoints converted from TensorFlow keep its names for the two vectors of a normalisation.
    Row(
        "norm",
        1,
        (
            "embeddings.LayerNorm.gamma",
            "embeddings.LayerNorm.beta",
            "encoder.layer.L.attention.output.LayerNorm.gamma",
            "encoder.layer.L.attention.output.LayerNorm.beta",
            "encoder.layer.L.output.LayerNorm.gamma",
            "encoder.layer.L.output.LayerNorm.beta",
            "cls.predictions.transform.LayerNorm.gamma",
            "cls.predictions.transform.LayerNorm.beta",
        ),
    ),
    Row(
        "head",
        2,
        (
            "cls.predictions.transform.dense.weight",
            "cls.predictions.decoder.weight",
            "cls.seq_relationship.weight",
            "qa_outputs.weight",
        ),
    ),
    Row("norm", 1, ("cls.predictions.transform.LayerNorm.weight", "cls.predictions.transform.LayerNorm.bias")),
    Row(
        "bias",
        1,
        (
            "cls.predictions.bias",
            "cls.predictions.decoder.bias",
            "cls.predictions.transform.dense.bias",
            "cls.seq_relationship.bias",
            "qa_outputs.bias",
        ),
    ),
)

_ROBERTA_HEAD = (
    Row("head", 2, ("lm_head.dense.weight", "lm_head.decoder.weight")),
    Row("norm", 1, ("lm_head.layer_norm.weight", "lm_head.layer_norm.bias")),
    Row("bias", 1, ("lm_head.bias", "lm_head.dense.bias", "lm_head.decoder.bias")),
)

_VIT = (
    Row("embedding", 3, ("embeddings.cls_token", "embeddings.distillation_token", "embeddings.mask_token")),
    Row("position_embedding", 3, ("embeddings.position_embeddings",)),
    Row("patch_embedding", 4, ("embeddings.patch_embeddings.projection.weight",)),
    Row("q", 2, ("encoder.layer.L.attention.attention.query.weight",)),
    Row("k", 2, ("encoder.layer.L.attention.attention.key.weight",)),
    Row("v", 2, ("encoder.layer.L.attention.attention.value.weight",)),
    *_ENCODER_FEEDFORWARD,
    Row(
        "bias",
        1,
        (
            "embeddings.patch_embeddings.projection.bias",
            "encoder.layer.L.attention.attention.query.bias",
            "encoder.layer.L.attention.attention.key.bias",
            "encoder.layer.L.attention.attention.value.bias",
            "decoder.0.bias",
            "cls_classifier.bias",
            "distillation_classifier.bias",
        ),
    ),
    Row(
        "norm",
        1,
        (
            "encoder.layer.L.layernorm_before.weight",
            "encoder.layer.L.layernorm_before.bias",
            "encoder.layer.L.layernorm_after.weight",
            "encoder.layer.L.layernorm_after.bias",
            "layernorm.weight",
            "layernorm.bias",
        ),
    ),
    Row("head", 2, ("cls_classifier.weight", "distillation_classifier.weight")),
    Row("conv", 4, ("decoder.0.weight",)),
)

_TIMM_VIT = (
    Row("embedding", 3, ("cls_token", "dist_token", "reg_token")),
    Row("position_embedding", 3, ("pos_embed",)),
    Row("patch_embedding", 4, ("patch_embed.proj.weight",)),
    Row("qkv", 2, ("blocks.L.attn.qkv.weight",), fused="qkv_concat"),
    Row("o", 2, ("blocks.L.attn.proj.weight",)),
    Row("up", 2, ("blocks.L.mlp.fc1.weight",)),
    Row("down", 2, ("blocks.L.mlp.fc2.weight",)),
    Row("head", 2, ("head.weight", "head_dist.weight")),
    Row(
        "norm",
        1,
        (
            "blocks.L.norm1.weight",
            "blocks.L.norm1.bias",
            "blocks.L.norm2.weight",
            "blocks.L.norm2.bias",
            "blocks.L.attn.q_norm.weight",
            "blocks.L.attn.q_norm.bias",
            "blocks.L.attn.k_norm.weight",
            "blocks.L.attn.k_norm.bias",
            "norm_pre.weight",
            "norm_pre.bias",
            "norm.weight",
            "norm.bias",
        ),
    ),
    Row(
        "bias",
        1,
        (
            "patch_embed.proj.bias",
            "blocks.L.attn.qkv.bias",
            "blocks.L.attn.proj.bias",
            "blocks.L.mlp.fc1.bias",
            "blocks.L.mlp.fc2.bias",
            "head.bias",
            "head_dist.bias",
        ),
    ),
)

TABLES = (
    Table("llama", "llama", _LLAMA),
    Table("llama", "llama with biases or stored rotary frequencies", (*_LLAMA, *_LLAMA_OPTIONS)),
    Table("llama", "llama as Meta names it", _META),
    Table("qwen", "qwen2", (*_LLAMA, _QKV_BIASES)),
    Table("qwen", "qwen3", (*_LLAMA, _QK_NORMS)),
    Table("qwen", "qwen2_moe", _QWEN2_MOE),
    Table("qwen", "qwen3_moe", (*_ENDS, *_QKVO, _QK_NORMS, *_MLP, *_EXPERTS, _PRE_NORMS)),
    Table("mistral", "mistral", _LLAMA),
    Table("mistral", "mixtral", _MIXTRAL),
    Table("olmo", "olmo", (*_ENDS, *_QKVO, *_MLP)),
    Table("olmo", "olmo2", (*_ENDS, *_QKVO, _QK_NORMS, *_MLP, _POST_NORMS)),
    Table("olmo", "olmoe", (*_ENDS, *_QKVO, _QK_NORMS, *_EXPERTS, _PRE_NORMS)),
    Table("gemma", "gemma", _LLAMA),
    Table("gemma", "gemma2", (*_LLAMA, _FEEDFORWARD_NORMS)),
    Table("gemma", "gemma3", (*_LLAMA, _FEEDFORWARD_NORMS, _QK_NORMS)),
    Table("deepseek", "deepseek_v2_lite", (*_DEEPSEEK, _QKVO[0])),
    Table("deepseek", "deepseek_v2", (*_DEEPSEEK, *_MLA_QUERY)),
    Table(
        "deepseek",
        "deepseek_v3",
        (
            *_DEEPSEEK,
            *_MLA_QUERY,
            *_NEXT_TOKEN_MODULE,
            Row("bias", 1, ("layers.L.mlp.gate.e_score_correction_bias",)),
        ),
    ),
    Table("phi3", "phi3", _PHI3),
    Table("gpt_oss", "gpt_oss", _GPT_OSS),
    Table("llama4", "llama4", _LLAMA4),
    Table("gpt2", "gpt2", _GPT2),
    Table("gpt_neox", "gpt_neox", _GPT_NEOX),
    Table("bert", "bert", _BERT),
    Table("bert", "roberta", (*_BERT, *_ROBERTA_HEAD)),
    Table("vit", "vit", _VIT),
    Table("timm_vit", "timm_vit", _TIMM_VIT),
    GGUF,
)
"""In the order of preference between tables that explain the same names equally narrowly."""

MODEL_TYPES = {
    "llama": "llama",
    "qwen2": "qwen",
    "qwen3": "qwen",
    "qwen2_moe": "qwen",
    "qwen3_moe": "qwen",
    "mistral": "mistral",
    "mixtral": "mistral",
    "olmo": "olmo",
    "olmo2": "olmo",
    "olmo3": "olmo",
    "olmoe": "olmo",
    "gemma": "gemma",
    "gemma2": "gemma",
    "gemma3": "gemma",
    "gemma3_text": "gemma",
    "deepseek_v2": "deepseek",
    "deepseek_v3": "deepseek",
    "phi3": "phi3",
    "gpt_oss": "gpt_oss",
    "llama4": "llama4",
    "llama4_text": "llama4",
    "gpt2": "gpt2",
    "gpt_neox": "gpt_neox",
    "bert": "bert",
    "roberta": "bert",
    "xlm-roberta": "bert",
    "camembert": "bert",
    "vit": "vit",
    "deit": "vit",
}
"""`model_type` of a config to the family that names its tensors."""
