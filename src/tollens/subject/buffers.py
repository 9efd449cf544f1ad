"""Tensors that are stored beside the weights and are none, or cannot be read alone: by name and type."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tollens.subject import ggml
from tollens.subject.dtypes import STORED, Kind, kind_of
from tollens.subject.scaled import scale_of
from tollens.subject.tensor import TensorInfo

# tables and masks that models compute and some exporters store
CACHE = re.compile(
    r"(^|\.)(inv_freq|freqs?_(cis|cos|sin)|freqs|cos_cached|sin_cached|rotary_pos_emb|position_ids|token_type_ids"
    r"|masked_bias|attention_mask|attn_mask|causal_mask|relative_position_index|relative_coords_table"
    r"|alibi|running_mean|running_var|num_batches_tracked|e_score_correction_bias)$"
)
BIAS = re.compile(r"(^|[._])bias(_[a-z]+_l\d+(_reverse)?)?$")
# the companions that quantisation formats keep beside the packed integers
SCALES = (
    "scales", "scale", "zeros", "qzeros", "g_idx", "perm", "SCB", "absmax", "quant_map", "nested_absmax",
    "nested_quant_map", "weight_scale", "weight_scale_inv", "weight_scale_2", "weight_zero_point",
    "weight_shape", "weight_g_idx", "input_scale", "weight.absmax", "weight.quant_map",
    "weight.nested_absmax", "weight.nested_quant_map",
)  # fmt: skip
PACKED = re.compile(r"(.*?)[._]?(qweight|weight_packed|blocks|weight)$")
LORA = re.compile(r"(^|[._])lora[._]?(embedding_)?(?P<half>A|B|up|down|a|b)(?=[._]|$)")


def reason_to_skip(
    tensor: TensorInfo, beside: Mapping[str, TensorInfo], config: Mapping[str, Any] | None = None
) -> str | None:
    """Why a tensor is no weight matrix of its own, judged from its name, type and shape and from the tensors
    `beside` it (all of the checkpoint, by name); None if it may be one.

    Reasons: `packed_unsupported`, `gguf_extra_missing`, `not_a_weight`, `dtype_unsupported`, `empty_tensor`,
    `not_a_matrix`, `lora_unpaired`; that of a factor of an adapter, which `factors.pair` puts beside its partner first.
    """
    kind = kind_of(tensor.dtype)
    if kind is Kind.PACKED or _is_packed(tensor, beside, config):
        return "packed_unsupported"
    if (holder := _holder(tensor, beside)) is not None:
        return "packed_unsupported" if scale_of(holder, beside, config) is None else "not_a_weight"
    if kind in (Kind.INTEGER, Kind.BOOL) or CACHE.search(tensor.name):
        return "not_a_weight"
    if kind is Kind.OTHER:
        named = tensor.dtype in STORED or tensor.dtype.startswith("torch.")  # text and dates of npz are no weights
        return "dtype_unsupported" if named else "not_a_weight"
    if 0 in tensor.shape:
        return "empty_tensor"
    if _is_mask(tensor):
        return "not_a_weight"
    if len(tensor.shape) < 2 or BIAS.search(tensor.name):  # several biases may be stacked, one per expert
        return "not_a_matrix"
    missing = ggml.reason_to_skip(tensor.dtype) if kind is Kind.BLOCKS else None
    return "lora_unpaired" if missing is None and LORA.search(tensor.name) else missing


def _is_packed(tensor: TensorInfo, beside: Mapping[str, TensorInfo], config: Mapping[str, Any] | None) -> bool:
    """Whether a tensor holds quantised numbers that cannot be expanded. An 8-bit float is a number by
    itself; beside a tensor of scales it is one only after multiplication.
    """
    if not _may_be_packed(tensor) or scale_of(tensor, beside, config) is not None:
        return False
    if tensor.name.endswith(("qweight", "qzeros", "weight_packed")):
        return True
    match = PACKED.fullmatch(tensor.name)
    if match is None or not tensor.shape:
        return False
    return any(f"{match[1]}{mark}{suffix}" in beside for mark in "._" for suffix in SCALES)


def _holder(tensor: TensorInfo, beside: Mapping[str, TensorInfo]) -> TensorInfo | None:
    """The packed tensor whose scales, zero points or tables this tensor holds, if any."""
    for suffix in SCALES:
        if tensor.name.endswith((f".{suffix}", f"_{suffix}")):
            base = tensor.name[: -len(suffix)]
            for name in ("qweight", "weight_packed", "blocks", "weight"):
                holder = beside.get(base + name)
                if holder is not None and _may_be_packed(holder):
                    return holder
    return None


def _may_be_packed(tensor: TensorInfo) -> bool:
    return kind_of(tensor.dtype) in (Kind.INTEGER, Kind.PACKED) or tensor.dtype.startswith("F8")


def _is_mask(tensor: TensorInfo) -> bool:
    """A causal mask that GPT-2 and GPT-NeoX exports call `attn.bias`: (1, 1, n, n)."""
    s = tensor.shape
    return len(s) == 4 and s[:2] == (1, 1) and s[2] == s[3] and tensor.name.endswith("bias")
