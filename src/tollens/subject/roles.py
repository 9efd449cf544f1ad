"""What each tensor of a checkpoint is for, read from its name, its shape and the config.

A name matches a table as a whole or not at all, and what no table names is `unmatched`: a role is never
guessed. The tables are in `families`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, NamedTuple, TypeAlias

from tollens.subject.families import MODEL_TYPES, PREFIXES, SCALES, TABLES
from tollens.subject.family import Fused, Inner, Kind, Row
from tollens.subject.tensor import TensorInfo

NOT_A_WEIGHT: frozenset[Kind] = frozenset({"rotary", "mask", "buffer"})
"""Kinds that training never moves: caches, masks, position numbers, quantisation scales."""

_ATTENTION: frozenset[Kind] = frozenset({"q", "k", "v", "qkv", "q_a", "q_b", "kv_a", "kv_b"})
_WRAPPERS = re.compile(rf"\A(?:{'|'.join(map(re.escape, PREFIXES))})++")  # possessive: linear in the name
_LONGEST_NUMBER = 9  # digits; a longer component is a name, not the number of a layer


@dataclass(frozen=True, slots=True)
class Role:
    """What a tensor is for.

    `family` names the table that said so, None where none did. `layer` and `expert` count from 0 as in the
    name; a shared expert has expert "shared", a tensor holding all experts (fused "experts_stacked", shape
    (experts, in, out)) has None. `fused` says how several matrices lie in one: "qkv_concat" q, k, v one
    after the other along rows; "qkv_concat_columns" along columns; "qkv_interleaved" q, k, v of head 0, then
    of head 1 and so on, along rows; "gate_up_concat" gate then up along rows. `inner` is the layout inside
    one expert of a stack: gate then up along columns, or the two alternating from column to column.

    Kind "norm" covers weight and bias of a normalisation. Kind "embedding" covers the class and other
    learned tokens of a vision transformer, shape (1, 1, width).
    """

    kind: Kind
    family: str | None = None
    layer: int | None = None
    expert: int | Literal["shared"] | None = None
    fused: Fused | None = None
    inner: Inner | None = None


UNMATCHED = Role("unmatched")

_Key: TypeAlias = tuple[str | None, ...]
_Slots: TypeAlias = tuple[Literal["L", "E"] | int, ...]
_Counts: TypeAlias = Mapping[_Key, Mapping[int, int]]


class _Parsed(NamedTuple):
    """A name without prefixes: its components with numbers taken out, and those numbers."""

    key: _Key
    numbers: tuple[int, ...]


class _Entry(NamedTuple):
    row: Row
    slots: _Slots
    kind: Kind
    rank: int | None


_Lookup: TypeAlias = dict[_Key, tuple[_Entry, ...]]


def assign(tensors: Sequence[TensorInfo], config: Mapping[str, Any] | None = None) -> dict[str, Role]:
    """Give every tensor its role, in the order of `tensors`.

    The family is the one that `config["model_type"]` (or that of its `text_config`) stands for, unless that
    family knows no attention matrix among the names while another does; else the family is read from the
    names, see `family_of`. Never raises for odd names or shapes.
    """
    parsed = [(t, _parse(t.name)) for t in tensors]
    family = _choose(_count((p.key, len(t.shape)) for t, p in parsed), config)
    if family is None:
        return {t.name: UNMATCHED for t in tensors}
    lookup = _family_lookup(family)
    return {t.name: _match(lookup, family, p, t.shape) for t, p in parsed}


def family_of(tensors: Sequence[TensorInfo], config: Mapping[str, Any] | None = None) -> str | None:
    """Return the family whose names `assign` would use, None if there is none.

    From names alone it is the family of the table that explains most of them; of several the narrowest; of
    equally narrow ones the first in `TABLES`. Llama, Mistral and Gemma 1 name their tensors alike, as do
    Qwen3-MoE without dense layers and OLMoE, and no rule on names can tell them apart; their roles are the
    same. A table without an attention matrix among the names it explains is not considered:
    `classifier.weight` or `norm.weight` alone do not make a BERT.
    """
    return _choose(_count((_parse(t.name).key, len(t.shape)) for t in tensors), config)


def strip_prefixes(name: str) -> str:
    """Return `name` without the wrappers listed in `families.PREFIXES`, however often they occur."""
    return _WRAPPERS.sub("", name, count=1)


def _parse(name: str) -> _Parsed:
    parts = strip_prefixes(name).split(".")
    digits = [i for i, part in enumerate(parts) if _is_number(part)]
    if not digits:
        return _Parsed(tuple(parts), ())
    numbers = tuple(int(parts[i]) for i in digits)
    key: list[str | None] = list(parts)
    for i in digits:
        key[i] = None
    return _Parsed(tuple(key), numbers)


def _is_number(part: str) -> bool:
    return part.isdecimal() and part.isascii() and len(part) <= _LONGEST_NUMBER and (part[0] != "0" or len(part) == 1)


def _count(names: Iterable[tuple[_Key, int]]) -> _Counts:
    counts: dict[_Key, dict[int, int]] = {}
    for key, rank in names:
        ranks = counts.setdefault(key, {})
        ranks[rank] = ranks.get(rank, 0) + 1
    return counts


def _choose(counts: _Counts, config: Mapping[str, Any] | None) -> str | None:
    declared = _declared_family(config)
    if declared is not None and _knows_attention(_explained(_family_lookup(declared), counts)):
        return declared
    best: tuple[int, int] | None = None
    chosen = declared
    for index, table in enumerate(TABLES):
        lookup = _table_lookup(index)
        explained = list(_explained(lookup, counts))
        score = (sum(n for _, n in explained), -len(lookup))
        if _knows_attention(explained) and (best is None or score > best):
            best, chosen = score, table.family
    return chosen


def _knows_attention(explained: Iterable[tuple[_Entry, int]]) -> bool:
    return any("L" in entry.slots and entry.kind in _ATTENTION for entry, _ in explained)


def _explained(lookup: _Lookup, counts: _Counts) -> Iterator[tuple[_Entry, int]]:
    """Yield the first entry that fits each (pattern, rank) of the names, with the number of such names."""
    for key, entries in lookup.items():
        for rank, n in counts.get(key, {}).items():
            fitting = next((e for e in entries if e.rank is None or e.rank == rank), None)
            if fitting is not None:
                yield fitting, n


def _declared_family(config: Mapping[str, Any] | None) -> str | None:
    if config is None:
        return None
    inner = config.get("text_config")
    for level in (config, inner if isinstance(inner, Mapping) else {}):
        model_type = level.get("model_type")
        if isinstance(model_type, str) and model_type in MODEL_TYPES:
            return MODEL_TYPES[model_type]
    return None


def _match(lookup: _Lookup, family: str, name: _Parsed, shape: tuple[int, ...]) -> Role:
    for row, slots, kind, rank in lookup.get(name.key, ()):
        if rank is not None and rank != len(shape):
            continue
        if row.aspect is not None and shape[0] * row.aspect[1] != shape[1] * row.aspect[0]:
            continue
        layer: int | None = None
        expert: int | Literal["shared"] | None = row.expert
        for slot, number in zip(slots, name.numbers, strict=True):
            if slot == "L":
                layer = number
            elif slot == "E":
                expert = number
            elif slot != number:
                break
        else:
            if kind != row.kind:
                return Role(kind, family, layer, expert)
            return Role(kind, family, layer, expert, row.fused, row.inner)
    return UNMATCHED


@cache
def _table_lookup(index: int) -> _Lookup:
    return _compile(TABLES[index].rows)


@cache
def _family_lookup(family: str) -> _Lookup:
    return _compile(dict.fromkeys(row for table in TABLES if table.family == family for row in table.rows))


def _compile(rows: Iterable[Row]) -> _Lookup:
    lookup: dict[_Key, list[_Entry]] = {}
    for row in rows:
        for pattern in row.patterns:
            key, slots = _compile_pattern(pattern)
            lookup.setdefault(key, []).append(_Entry(row, slots, row.kind, row.rank))
            if row.rank == 2 and pattern.endswith(".weight"):
                for scale in SCALES:
                    lookup.setdefault((*key[:-1], scale), []).append(_Entry(row, slots, "buffer", None))
    return {key: tuple(entries) for key, entries in lookup.items()}


def _compile_pattern(pattern: str) -> tuple[_Key, _Slots]:
    key: list[str | None] = []
    slots: list[Literal["L", "E"] | int] = []
    for part in pattern.split("."):
        if part == "L":
            slots.append("L")
        elif part == "E":
            slots.append("E")
        elif _is_number(part):
            slots.append(int(part))
        else:
            key.append(part)
            continue
        key.append(None)
    return tuple(key), tuple(slots)
