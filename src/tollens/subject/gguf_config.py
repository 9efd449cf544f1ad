"""What GGUF metadata say of a model, under the keys that Hugging Face configurations use."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

ARCHITECTURE = "general.architecture"
KEYS = {
    "block_count": "num_hidden_layers",
    "embedding_length": "hidden_size",
    "feed_forward_length": "intermediate_size",
    "context_length": "max_position_embeddings",
    "vocab_size": "vocab_size",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "attention.key_length": "head_dim",
    "attention.layer_norm_rms_epsilon": "rms_norm_eps",
    "rope.freq_base": "rope_theta",
    "expert_count": "num_experts",
    "expert_used_count": "num_experts_per_tok",
}
"""Of llama.cpp, after the architecture's name and a dot."""


def config_of(values: Mapping[str, Any]) -> dict[str, Any] | None:
    """The configuration, with `model_type` the architecture; None where the file names none. Numbers that are not
    finite, and values that differ from layer to layer, are left out.
    """
    architecture = values.get(ARCHITECTURE)
    if not isinstance(architecture, str):
        return None
    found: dict[str, Any] = {"model_type": architecture}
    for ours, theirs in KEYS.items():
        value = values.get(f"{architecture}.{ours}")
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            found[theirs] = value
    return found
