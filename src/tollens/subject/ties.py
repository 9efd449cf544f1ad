"""Tied weights: an embedding and a head that are one matrix, or one stored matrix under several names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from tollens.subject.checkpoint import Checkpoint
from tollens.subject.dtypes import Bytes
from tollens.subject.roles import UNMATCHED, Role
from tollens.subject.source import Source
from tollens.subject.tensor import TensorInfo

FIRST, CHUNK = 1 << 12, 1 << 20  # bytes: matrices that are not tied differ in the first few, and those may be far away


class Ties(NamedTuple):
    """`aliased`: the repeating tensor's name and what it repeats. `differing`: heads that the configuration
    declares tied although their numbers are not those of the embedding.
    """

    aliased: dict[str, str]
    differing: frozenset[str]


def ties(checkpoint: Checkpoint, tensors: Sequence[TensorInfo], roles: Mapping[str, Role]) -> Ties:
    """Compare embeddings and heads of one shape and type among `tensors`, byte by byte; tensors of any role that lie
    in one place of a file are one.

    A declaration alone is not believed: a stored head that differs from its embedding is a matrix of its own.

    Raises: those of `Source.stream` and `changed_while_reading`.
    """
    declared = bool(checkpoint.config and checkpoint.config.get("tie_word_embeddings") is True)
    originals: list[TensorInfo] = []
    aliased: dict[str, str] = {}
    differing: set[str] = set()
    for kind in ("embedding", "head"):
        for tensor in tensors:
            if len(tensor.shape) != 2 or roles.get(tensor.name, UNMATCHED).kind != kind:
                continue
            alike = [o for o in originals if (o.shape, o.dtype) == (tensor.shape, tensor.dtype)]
            same = next(
                (o for o in alike if _place(o) == _place(tensor) or _same_bytes(checkpoint.source, o, tensor)), None
            )
            if same is not None:
                aliased[tensor.name] = same.name
                continue
            if alike and declared and kind == "head":
                differing.add(tensor.name)
            originals.append(tensor)
    first: dict[tuple[object, ...], str] = {}
    for tensor in tensors:
        if (
            tensor.name not in aliased
            and tensor.offset
            and first.setdefault(_place(tensor), tensor.name) != tensor.name
        ):
            aliased[tensor.name] = first[_place(tensor)]
    return Ties(aliased, frozenset(differing))


def _place(tensor: TensorInfo) -> tuple[object, ...]:
    """What says where a tensor's numbers are; archives that are unpacked give no offset."""
    if not tensor.offset:
        return (tensor.name,)
    return (tensor.file, tensor.offset, tensor.shape, tensor.strides, tensor.dtype)


def _same_bytes(source: Source, a: TensorInfo, b: TensorInfo) -> bool:
    """Whether two tensors of one shape and type hold the same bytes; stops at the first difference."""
    begin, step = 0, FIRST
    with source.stream(a) as first, source.stream(b) as second:
        if (first.fortran, first.swapped) != (second.fortran, second.swapped):
            return False
        total = first.tensor.nbytes  # of what the stream gives: expanded blocks are more than is stored
        one: Bytes = np.empty(min(CHUNK, total), dtype=np.uint8)
        two: Bytes = np.empty_like(one)
        while begin < total:
            count = min(step, total - begin)
            first.fill(begin, one[:count].data)
            second.fill(begin, two[:count].data)
            if not np.array_equal(one[:count], two[:count]):
                return False
            begin, step = begin + count, min(2 * step, CHUNK)
    return True
