"""What a table of parameter names is made of."""

from __future__ import annotations

from typing import Literal, NamedTuple

Kind = Literal[
    "embedding",
    "position_embedding",
    "token_type_embedding",
    "patch_embedding",
    "conv",
    "q",
    "k",
    "v",
    "o",
    "qkv",
    "q_a",
    "q_b",
    "kv_a",
    "kv_b",
    "gate",
    "up",
    "down",
    "gate_up",
    "router",
    "norm",
    "bias",
    "pooler",
    "head",
    "rotary",
    "mask",
    "buffer",
    "unmatched",
]
Fused = Literal["qkv_concat", "qkv_concat_columns", "qkv_interleaved", "gate_up_concat", "experts_stacked"]
Inner = Literal["gate_up_concat_columns", "gate_up_interleaved_columns"]


class Row(NamedTuple):
    """One kind with the names that have it.

    `rank` is the number of axes such a tensor has (None: any); a name whose tensor has another rank does not
    match. `aspect` (a, b) asks for rows : columns = a : b; rows of a table are tried in order.
    """

    kind: Kind
    rank: int | None
    patterns: tuple[str, ...]
    expert: Literal["shared"] | None = None
    fused: Fused | None = None
    inner: Inner | None = None
    aspect: tuple[int, int] | None = None


class Table(NamedTuple):
    """The names of one architecture; several architectures may belong to one family."""

    family: str
    variant: str
    rows: tuple[Row, ...]
