"""Named permutations of the elements of a matrix: a key, a replicate number, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tollens.core.native import _native

SCHEME = "philox4x64-10"


@dataclass(frozen=True, slots=True)
class PermutationKey:
    """A 128-bit key. With a replicate number and a length it fixes one permutation, on every machine.

    The generator is Philox4x64-10 (Salmon, Moraes, Dror and Shaw 2011).
    """

    low: int
    high: int

    @property
    def id(self) -> str:
        """The name under which the permutation is recorded."""
        return f"{SCHEME}:{self.high:016x}{self.low:016x}"


def draw_key(rng: np.random.Generator) -> PermutationKey:
    """A key from 16 bytes of `rng`."""
    raw = rng.bytes(16)
    return PermutationKey(int.from_bytes(raw[:8], "little"), int.from_bytes(raw[8:], "little"))


def key_of(permutation_id: str) -> PermutationKey:
    """The key behind a recorded `permutation_id`.

    Raises: ValueError if the text is no such identifier.
    """
    scheme, _, digits = permutation_id.partition(":")
    if scheme != SCHEME or len(digits) != 32:
        raise ValueError(f"not a permutation identifier of {SCHEME}: {permutation_id!r}")
    number = int(digits, 16)
    return PermutationKey(number & (2**64 - 1), number >> 64)


def shuffle(matrix: NDArray[np.floating[Any]], key: PermutationKey, replicate: int) -> None:
    """Permute all elements of a C-contiguous float32 or float64 array uniformly, in place."""
    _native.shuffle(matrix, key.low, key.high, replicate)


def unshuffle(matrix: NDArray[np.float64], key: PermutationKey, replicate: int) -> NDArray[np.float64]:
    """A copy with the permutation of `shuffle` undone."""
    order = _native.permutation(key.low, key.high, replicate, matrix.size)
    restored = np.empty(matrix.size)
    restored[order] = matrix.reshape(-1)
    return restored.reshape(matrix.shape)
