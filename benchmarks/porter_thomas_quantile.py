"""Makes the constants of `instrument/localisation.py`: 99.9 % quantiles of sum(v^4) over random unit vectors.

Prints, for each length n, z = (quantile - mean)/deviation with the exact mean and deviation, and its standard
error. z depends on n slowly and tends to the normal 3.09, so a table with linear interpolation in ln n is
enough. About a minute on one core.
"""

from __future__ import annotations

import math

import numpy as np

LENGTHS = (3, 4, 6, 8, 12, 16, 24, 32, 64, 128, 256, 512, 1024, 4096, 16384, 65536)
LEVEL = 0.999


def mean_and_deviation(n: int) -> tuple[float, float]:
    """E v^4 = 3/(n(n+2)); squares of v are Dirichlet(1/2, ...), whose fourth moments give the variance."""
    mean = 3.0 / (n + 2)
    second = (9.0 * n + 96.0) / ((n + 2) * (n + 4) * (n + 6))
    return mean, math.sqrt(second - mean * mean)


def sample(n: int, draws: int, rng: np.random.Generator) -> np.ndarray:
    out = np.empty(draws)
    rows = max(1, 2_000_000 // n)
    for start in range(0, draws, rows):
        squares = rng.standard_normal((min(rows, draws - start), n)) ** 2
        out[start : start + rows] = (squares**2).sum(axis=1) / squares.sum(axis=1) ** 2
    return out


def main() -> None:
    rng = np.random.Generator(np.random.Philox(20100))
    for n in LENGTHS:
        draws = int(min(1_000_000, max(20_000, 4e8 / n)))
        mean, deviation = mean_and_deviation(n)
        z = (sample(n, draws, rng) - mean) / deviation
        error = math.sqrt((1.0 - LEVEL) / draws)
        low, mid, high = np.quantile(z, [LEVEL - error, LEVEL, LEVEL + error])
        print(f"({n}, {mid:.3f}),  # +- {(high - low) / 2:.3f}, {draws} draws")


if __name__ == "__main__":
    main()
