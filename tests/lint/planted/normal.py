"""The normal law from the error function of the standard library, its quantile by bisection."""

from __future__ import annotations

import math


def upper(x: float) -> float:
    """P(Z > x)."""
    return math.erfc(x / math.sqrt(2)) / 2


def upper_quantile(tail: float) -> float:
    """x with P(Z > x) = tail, for a tail in (0, 1)."""
    low, high = -39.0, 39.0
    for _ in range(120):
        middle = (low + high) / 2
        low, high = (middle, high) if upper(middle) > tail else (low, middle)
    return (low + high) / 2
