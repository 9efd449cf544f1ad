"""Random generators that depend on what is measured, never on the order or the number of workers."""

from __future__ import annotations

import hashlib

import numpy as np


def key(seed: int, *names: str) -> int:
    """A 128-bit key from a seed and names, stable across machines and Python versions."""
    text = "\x1f".join((str(int(seed)), *names)).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:16], "little")


def generator(seed: int, *names: str) -> np.random.Generator:
    """A generator keyed by (seed, instrument, tensor name, ...)."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(key(seed, *names))))
