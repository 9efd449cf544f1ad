"""Weights that are quantised in blocks, as ggml stores them: a few bytes hold 32 or more numbers and their scale.

They are expanded to float32 by the `gguf` package (ggml authors 2023-2026, `gguf.quants`), a bounded piece at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tollens.core.errors import TollensError
from tollens.core.extras import install_command, missing_extra
from tollens.subject.tensor import TensorInfo

PIECE = 1 << 17  # numbers expanded at once: the package's intermediate arrays, several times as large, stay in cache


@dataclass(frozen=True, slots=True)
class BlockType:
    """`elements` numbers along the last side share one block of `nbytes` bytes; `number` is the type's in GGUF."""

    name: str
    number: int
    elements: int
    nbytes: int


BLOCKS: dict[str, BlockType] = {
    t.name: t
    for t in (
        BlockType("Q4_0", 2, 32, 18),
        BlockType("Q4_1", 3, 32, 20),
        BlockType("Q5_0", 6, 32, 22),
        BlockType("Q5_1", 7, 32, 24),
        BlockType("Q8_0", 8, 32, 34),
        BlockType("Q2_K", 10, 256, 84),
        BlockType("Q3_K", 11, 256, 110),
        BlockType("Q4_K", 12, 256, 144),
        BlockType("Q5_K", 13, 256, 176),
        BlockType("Q6_K", 14, 256, 210),
        BlockType("Q8_K", 15, 256, 292),
        BlockType("IQ2_XXS", 16, 256, 66),
        BlockType("IQ2_XS", 17, 256, 74),
        BlockType("IQ3_XXS", 18, 256, 98),
        BlockType("IQ1_S", 19, 256, 50),
        BlockType("IQ4_NL", 20, 32, 18),
        BlockType("IQ3_S", 21, 256, 110),
        BlockType("IQ2_S", 22, 256, 82),
        BlockType("IQ4_XS", 23, 256, 136),
        BlockType("IQ1_M", 29, 256, 56),
        BlockType("TQ1_0", 34, 256, 54),
        BlockType("TQ2_0", 35, 256, 66),
        BlockType("MXFP4", 39, 32, 17),
        BlockType("NVFP4", 40, 64, 36),
        BlockType("Q1_0", 41, 128, 18),
    )
}
"""By name. Q8_1 is missing: it is what a multiplication makes of its input, and no file holds it."""


class Hash(Protocol):
    """A running digest, such as those of hashlib."""

    def update(self, data: memoryview, /) -> object: ...


def reason_to_skip(dtype: str) -> str | None:
    """Why tensors of this block type cannot be expanded here: `gguf_extra_missing`, `packed_unsupported`; None if
    they can.
    """
    if missing_extra(("gguf",)) is not None:
        return "gguf_extra_missing"
    return None if _is_expandable(dtype) else "packed_unsupported"


def expand(raw: NDArray[np.uint8], dtype: str) -> NDArray[np.float32]:
    """The numbers of whole blocks, 1-D float32; `raw` is 1-D and holds exactly their bytes.

    Raises: `extra_missing`, `dtype_unsupported`.
    """
    if missing_extra(("gguf",)) is not None:
        raise TollensError(
            "extra_missing", f"weights of type {dtype}", expected="the gguf extra", found="no module gguf",
            fix=f"Install it: {install_command('gguf')}",
        )  # fmt: skip
    try:
        return _expanded(raw, dtype)
    except (NotImplementedError, ValueError):
        raise TollensError(
            "dtype_unsupported", f"weights of type {dtype}", expected="a type that the gguf package expands",
            found="none of that name in the installed version", fix="Convert the tensor to f32, f16 or bf16.",
        ) from None  # fmt: skip


def reader(
    fill: Callable[[int, memoryview], None], tensor: TensorInfo, digest: Hash | None = None
) -> Callable[[int, memoryview], None]:
    """`fill(offset, view)` for the float32 bytes of a tensor of blocks, given one for its stored bytes. Beside `view`
    stand `PIECE` numbers and what expanding them takes. `digest` is fed every stored byte once, when reading goes
    from the first block to the last.

    Raises: those of `expand` and of `fill`, when called.
    """
    block = BLOCKS[tensor.dtype]
    step = PIECE // block.elements
    hashed = 0  # blocks

    def expanded(offset: int, view: memoryview) -> None:
        nonlocal hashed
        out = np.frombuffer(view, dtype=np.uint8)
        width = 4 * block.elements
        first, last = offset // width, -(-(offset + out.size) // width)
        raw = np.empty(min(step, last - first) * block.nbytes, dtype=np.uint8)
        for begin in range(first, last, step):
            end = min(begin + step, last)
            stored = raw[: (end - begin) * block.nbytes]
            fill(begin * block.nbytes, stored.data)
            if digest is not None and end > hashed:
                digest.update(stored[(max(begin, hashed) - begin) * block.nbytes :].data)
                hashed = end
            numbers = expand(stored, tensor.dtype).view(np.uint8)
            low, high = max(begin * width, offset), min(end * width, offset + out.size)
            out[low - offset : high - offset] = numbers[low - begin * width : high - begin * width]

    return expanded


@cache
def _is_expandable(dtype: str) -> bool:
    try:
        _expanded(np.zeros(BLOCKS[dtype].nbytes, dtype=np.uint8), dtype)
    except (NotImplementedError, ValueError):
        return False
    return True


def _expanded(raw: NDArray[np.uint8], dtype: str) -> NDArray[np.float32]:
    """Raises: NotImplementedError or ValueError for a type that the installed package does not expand."""
    from gguf import constants, quants  # brings 0.05 s of imports, and no other file needs it

    with np.errstate(all="ignore"):  # infinities and NaN are data here
        # as one row: the package takes rows 16 at a time
        found: NDArray[Any] = quants.dequantize(
            raw.reshape(1, -1), constants.GGMLQuantizationType(BLOCKS[dtype].number)
        )
    return found.reshape(-1)
