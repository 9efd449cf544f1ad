"""The matrices of the golden file, made from a seed: only what was printed about them is stored."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]

SEED = 20240607
SHUFFLE_SEED = 7  # of the legacy generator that WeightWatcher draws its permutations from


def matrices() -> dict[str, Matrix]:
    """Name to float32 matrix; exact in float64, so both programs start from the same numbers."""
    made = {}
    for name, make in MAKERS.items():
        made[name] = np.ascontiguousarray(make(np.random.default_rng([SEED, len(made)])), dtype=np.float32)
    return made


def checksum(matrix: Matrix) -> str:
    return hashlib.sha256(matrix.tobytes()).hexdigest()[:16]


def _gaussian(rows: int, cols: int, scale: float = 1.0):  # type: ignore[no-untyped-def]
    return lambda rng: scale * rng.standard_normal((rows, cols))


def _spike(rng: np.random.Generator) -> NDArray[np.float64]:
    u, v = rng.standard_normal(192), rng.standard_normal(192)
    noise = rng.standard_normal((192, 192)) / np.sqrt(192)
    return noise + 2.0 * np.outer(u, v) / np.linalg.norm(u) / np.linalg.norm(v)


def _low_rank(rng: np.random.Generator) -> NDArray[np.float64]:
    """Small integers, so that the product is exact and the rank is 60 to the last bit."""
    return (rng.integers(-3, 4, (120, 60)) @ rng.integers(-3, 4, (60, 240))).astype(np.float64)


def _tied(rng: np.random.Generator) -> NDArray[np.float64]:
    """Every eigenvalue twice."""
    return np.kron(np.eye(2), rng.standard_normal((60, 80)))


MAKERS = {
    "gaussian_square": _gaussian(200, 200),
    "gaussian_wide": _gaussian(110, 440, 0.02),
    "gaussian_tall": _gaussian(300, 90, 0.05),
    "student": lambda rng: 0.1 * rng.standard_t(2.5, (150, 320)),
    "spike": _spike,
    "low_rank": _low_rank,
    "tied": _tied,
    "small": _gaussian(12, 40),
    "scaled_down": _gaussian(100, 100, 1e-4),
}
