"""What a reader of one file format finds in a file, before any tensor is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tollens.subject.tensor import TensorInfo


@dataclass(frozen=True, slots=True)
class Contents:
    """`tensors` in the order of their data; `others`: members of the file that are no tensors; `metadata`: what the
    file says of itself, as text; `config`: the model's configuration under the keys of Hugging Face, where the
    file holds one.
    """

    tensors: tuple[TensorInfo, ...]
    others: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, Any] | None = None
