"""Tensors whose elements do not lie one after another: views with strides, as PyTorch stores them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.lib.stride_tricks import as_strided

from tollens.core.errors import TollensError
from tollens.subject.tensor import TensorInfo

SPAN = 1 << 20  # elements fetched at once, with what lies between them


def gathered(fill: Callable[[int, memoryview], None], tensor: TensorInfo, width: int) -> memoryview:
    """The stored bytes of `tensor` in C order of its elements, `width` bytes each.

    `fill(offset, view)` fetches bytes counted from the element [0, ..., 0]. Strides are not negative and may be
    zero. Beside the result stand at most `SPAN` elements, or one where a stride is longer.

    Raises: `tensor_too_large`, those of `fill`.
    """
    assert tensor.strides is not None
    try:
        out = np.empty(tensor.shape, dtype=f"V{width}")
    except (MemoryError, ValueError):
        raise TollensError(
            "tensor_too_large", tensor.name, expected="a tensor that fits into memory",
            found=f"{tensor.nbytes} bytes", fix="Scan on a machine with more memory.",
        ) from None  # fmt: skip
    # a side of one takes no step, and the number that stands there may be beyond any file
    strides = [step if side > 1 else 0 for side, step in zip(tensor.shape, tensor.strides, strict=True)]
    order = sorted(range(len(strides)), key=lambda axis: -strides[axis])
    sides = [tensor.shape[axis] for axis in order]
    steps = [strides[axis] for axis in order]
    inner = len(order)
    while inner and _span(sides[inner - 1 :], steps[inner - 1 :]) <= SPAN:
        inner -= 1
    target = out.transpose(order)
    buffer = np.empty(_span(sides[inner:], steps[inner:]), dtype=out.dtype)
    piece = as_strided(buffer, sides[inner:], [width * step for step in steps[inner:]])
    for index in np.ndindex(*sides[:inner]) if out.size else ():
        start = sum(i * step for i, step in zip(index, steps, strict=False))
        fill(start * width, buffer.view(np.uint8).data)
        target[index] = piece
    return out.reshape(-1).view(np.uint8).data


def _span(sides: list[int], steps: list[int]) -> int:
    """Elements from the first to the last one that a view touches."""
    return 1 + sum((side - 1) * step for side, step in zip(sides, steps, strict=True) if side)
