"""Whether one of two tensors is the other one, stored in another type."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tollens.subject.dtypes import rounded_to

Array = NDArray[np.floating[Any]]


def cast_of(base: Array, derived: Array, base_dtype: str, derived_dtype: str) -> str | None:
    """The stored type to which one side is the other one rounded, every element of it; None if neither is.

    Both types are tried, as neither of bfloat16 and float16 holds the other: the first has the longer steps, and small
    elements are lost in the second.
    """
    if base_dtype == derived_dtype:
        return None
    if np.array_equal(rounded_to(base, derived_dtype), derived):
        return derived_dtype
    return base_dtype if np.array_equal(rounded_to(derived, base_dtype), base) else None
