"""8-bit floats that become weights by multiplication with stored scales: one per tensor, row or block.

Reference: DeepSeek-AI 2024 (arXiv 2412.19437), section 3.3: blocks of 128 x 128 share one factor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tollens.subject.dtypes import Floats, Kind, kind_of
from tollens.subject.huggingface import scopes
from tollens.subject.source import Hash, Source
from tollens.subject.tensor import TensorInfo

SUFFIXES = ("_scale_inv", "_scale")  # both hold the factor itself; "inv" is inverse to the quantiser's


@dataclass(frozen=True, slots=True)
class Scale:
    """The factors of a matrix: the number at (i, j) is multiplied by factor (i // rows, j // cols)."""

    tensor: TensorInfo
    rows: int
    cols: int


def scale_of(tensor: TensorInfo, beside: Mapping[str, TensorInfo], config: Mapping[str, Any] | None) -> Scale | None:
    """The scale that belongs to a tensor of 8-bit floats; None where there is none, or none whose layout the
    shapes and the declared block size settle.
    """
    if not tensor.dtype.startswith("F8") or kind_of(tensor.dtype) is not Kind.FLOAT or len(tensor.shape) != 2:
        return None
    found = [beside[tensor.name + suffix] for suffix in SUFFIXES if tensor.name + suffix in beside]
    if len(found) != 1 or kind_of(found[0].dtype) is not Kind.FLOAT or 0 in tensor.shape:
        return None
    [scale] = found
    rows, cols = tensor.shape
    if scale.size == 1:
        return Scale(scale, rows, cols)
    if scale.shape in ((rows,), (rows, 1)):
        return Scale(scale, 1, cols)
    for scope in scopes(config):
        block = _block(scope)
        if block and scale.shape == (-(-rows // block[0]), -(-cols // block[1])):
            return Scale(scale, *block)
    return None


def _block(scope: Mapping[str, Any]) -> tuple[int, int] | None:
    declared = scope.get("quantization_config")
    size = declared.get("weight_block_size") if isinstance(declared, Mapping) else None
    if isinstance(size, list) and len(size) == 2 and all(type(n) is int and 0 < n < 2**31 for n in size):
        return size[0], size[1]
    return None


def rescale(source: Source, scale: Scale, out: Floats, hashed: Hash | None = None) -> None:
    """Multiply the matrix `out` by its factors, in place, one row of blocks at a time; `hashed` is fed their stored
    bytes.

    Raises: those of `Source.read`.
    """
    factors = source.read(scale.tensor, hashed)
    with np.errstate(over="ignore", invalid="ignore"):  # infinities and NaN are data here
        if factors.size == 1:
            np.multiply(out, factors.item(), out=out)
            return
        grid: NDArray[Any] = factors.reshape(factors.shape[0], -1)
        for i, row in enumerate(grid):
            rows = out[i * scale.rows : (i + 1) * scale.rows]
            np.multiply(rows, np.repeat(row, scale.cols)[: out.shape[1]], out=rows, casting="same_kind")
