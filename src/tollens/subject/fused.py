"""Several projections stored as one tensor: how they are told apart.

A layout is followed only where the declared head counts reproduce the stored shape exactly; otherwise the
tensor stays whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tollens.subject.cut import Cut, folded
from tollens.subject.huggingface import integer, scopes

Parts = list[tuple[str, Cut]]
QKV = ("q", "k", "v")


def split(
    layout: str,
    shape: tuple[int, int],
    config: Mapping[str, Any] | None,
    start: int = 0,
) -> Parts | None:
    """The parts of a fused matrix of `shape` that begins at number `start` of its tensor, by name; None
    where the layout is unknown or does not fit.

    Layouts: `qkv_concat` (rows q, k, v one after another), `qkv_concat_columns` (the same along columns),
    `qkv_interleaved` (rows grouped by key-value head: its queries, its key, its value), `gate_up_concat`
    and `gate_up_concat_columns` (halves), `gate_up_interleaved_columns` (gate and up column by column).
    """
    rows, cols = shape
    if layout in ("qkv_concat", "qkv_concat_columns"):
        axis = int(layout.endswith("columns"))
        sides = _qkv_sides(shape[axis], shape[1 - axis], config)
        return None if sides is None else _along(shape, axis, dict(zip(QKV, sides, strict=True)), start)
    if layout == "qkv_interleaved":
        return _by_head(shape, config, start)
    if layout in ("gate_up_concat", "gate_up_concat_columns"):
        axis = int(layout.endswith("columns"))
        half = shape[axis] // 2
        return None if shape[axis] % 2 else _along(shape, axis, {"gate": half, "up": half}, start)
    if layout == "gate_up_interleaved_columns" and cols % 2 == 0:
        fold = (rows, cols // 2, 2)
        ranges = {"gate": (0, 1), "up": (1, 2)}
        return [(name, folded(fold, {2: r}, (0,), (1, 2), start)) for name, r in ranges.items()]
    return None


def gates(shape: tuple[int, int], hidden: int) -> Parts | None:
    """A recurrent layer's gates, each of `hidden` rows; None where they do not fill the matrix."""
    if hidden < 1 or shape[0] % hidden or shape[0] // hidden not in (1, 3, 4):
        return None
    count = shape[0] // hidden
    return _along(shape, 0, {f"g{i}": hidden for i in range(count)}, 0)


def _along(shape: tuple[int, int], axis: int, sides: Mapping[str, int], start: int) -> Parts:
    parts: Parts = []
    begin = 0
    for name, side in sides.items():
        if axis == 0:
            parts.append((name, folded((side, shape[1]), {}, (0,), (1,), start + begin * shape[1])))
        else:
            parts.append((name, folded(shape, {1: (begin, begin + side)}, (0,), (1,), start)))
        begin += side
    return parts


def heads(config: Mapping[str, Any] | None) -> list[tuple[int, int, int]]:
    """(query heads, key-value heads, head size) as each scope of the configuration declares them."""
    found: list[tuple[int, int, int]] = []
    for scope in scopes(config):
        query = integer(scope, "num_attention_heads", "n_head", "num_heads", "n_heads")
        width = integer(scope, "hidden_size", "n_embd", "d_model", "dim")
        size = integer(scope, "head_dim", "attention_head_size")
        if query is None or (size is None and width is None):
            continue
        if size is None:
            if width is None or width % query:
                continue
            size = width // query
        shared = integer(scope, "num_key_value_heads", "num_kv_heads", "n_head_kv", "multi_query_group_num")
        if scope.get("multi_query") is True and scope.get("new_decoder_architecture") is not True:
            shared = 1
        found.append((query, shared or query, size))
    return found


def _qkv_sides(out: int, width: int, config: Mapping[str, Any] | None) -> tuple[int, int, int] | None:
    for query, shared, size in heads(config):
        if (query + 2 * shared) * size == out:
            return query * size, shared * size, shared * size
    # three square projections: the only reading of (3 d, d) that needs no configuration
    return (width, width, width) if out == 3 * width else None


def _by_head(shape: tuple[int, int], config: Mapping[str, Any] | None, start: int) -> Parts | None:
    for query, shared, size in heads(config):
        if (query + 2 * shared) * size != shape[0] or query % shared:
            continue
        group = query // shared
        fold = (shared, group + 2, size, shape[1])
        ranges = {"q": (0, group), "k": (group, group + 1), "v": (group + 1, group + 2)}
        return [(name, folded(fold, {1: r}, (0, 1, 2), (3,), start)) for name, r in ranges.items()]
    return None
