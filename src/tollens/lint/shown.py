"""Numbers as a witness shows them."""

from __future__ import annotations

import math

from tollens.lint.interval import Range


def number_text(value: float) -> str:
    """Six significant digits, thousands of whole numbers in groups."""
    if math.isinf(value):
        return "-inf" if value < 0 else "inf"
    if value == round(value) and 1000 <= abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:.6g}"


def interval_text(found: Range) -> str:
    low, high = number_text(found.low), number_text(found.high)
    return low if low == high else f"[{low}, {high}]"
