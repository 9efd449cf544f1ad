"""One stored tensor: what its header says, without its bytes."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """Name, shape and place of one tensor of a checkpoint.

    `dtype` is the stored type in the spelling of safetensors (`BF16`, `F16`, `F32`, `F64`, `F8_E4M3`,
    `F8_E5M2`, `I8` ... `U64`, `BOOL`), or for numbers quantised in blocks in that of ggml (`Q8_0`, `Q4_K`).
    `file` is relative to the checkpoint's folder, `offset` the byte of that file where the data begin (0 where
    the data are compressed and have no such place), `nbytes` the size of the decompressed data. `strides`, in
    elements, are the steps along each side where the elements do not lie one after another in C order from
    `offset` on; None where they do. `version` is what the server of a remote file said of it when its header was
    read: the data must come from the same one.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    file: str
    offset: int
    nbytes: int
    strides: tuple[int, ...] | None = None
    version: str | None = None

    @property
    def size(self) -> int:
        """Number of elements; 1 for a scalar."""
        return math.prod(self.shape)
