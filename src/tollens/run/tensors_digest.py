"""The digest of a remote checkpoint: of what was read, since its files are not fetched to be hashed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Protocol

from tollens.subject.checkpoint import Checkpoint
from tollens.subject.factors import FactorView


class Read(Protocol):
    """A measured matrix: its name, stored type, sides M <= N and the digest of its stored bytes."""

    @property
    def name(self) -> str: ...
    @property
    def source_dtype(self) -> str: ...
    @property
    def M(self) -> int: ...
    @property
    def N(self) -> int: ...
    @property
    def digest(self) -> str | None: ...


def tensors_digest(checkpoint: Checkpoint, layers: Sequence[Read], factors: Sequence[FactorView] = ()) -> str:
    """ "sha256-tensors:<hex>": SHA-256 of the compact JSON, in UTF-8, of four sorted lists: of every stored tensor its
    name, dtype, shape, file and number of bytes, as the headers say; of every measured matrix its name, dtype,
    [M, N] and digest, null where its bytes are mixed with those of others; of every configuration its name and
    SHA-256; of every pair of low-rank factors its name and the number that scales the product, null where nothing
    gives it.
    """
    said = sorted([t.name, t.dtype, list(t.shape), t.file, t.nbytes] for t in checkpoint.tensors)
    read = sorted(([m.name, m.source_dtype, [m.M, m.N], m.digest] for m in layers), key=lambda m: str(m[0]))
    configs = sorted([name, digest] for name, digest in checkpoint.configs.items())
    scaled = sorted(([view.name, view.gamma] for view in factors), key=lambda v: str(v[0]))
    text = json.dumps([said, read, configs, scaled], allow_nan=False, separators=(",", ":"), ensure_ascii=False)
    return "sha256-tensors:" + hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
