"""Whether one of two tensors is the other one, stored in another type."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tollens.subject.dtypes import rounded_to

Array = NDArray[np.floating[Any]]
BETWEEN = ("BF16", "F16")
"""Types that a tensor may have passed through, whatever it is stored in."""
PROBE = 4096  # elements that are compared before all are


class Cast(NamedTuple):
    """`made` ("BASE" or "DERIVED") is the other side rounded to the stored type `dtype`, every element of it."""

    made: str
    dtype: str

    @property
    def sentence(self) -> str:
        source = "DERIVED" if self.made == "BASE" else "BASE"
        return f"a cast: {self.made} is {source} rounded to {self.dtype}, every element"


def cast_of(base: Array, derived: Array, base_dtype: str, derived_dtype: str) -> Cast | None:
    """Whether one side is the other one rounded, to its own type or to one that it passed through before.

    Both directions are tried, as neither of bfloat16 and float16 holds the other: the first has the longer steps, and
    small elements are lost in the second. Equal sides are for the caller to see.
    """
    sides = (("DERIVED", base, derived, derived_dtype), ("BASE", derived, base, base_dtype))
    for made, source, result, own in sides:
        for dtype in dict.fromkeys((own, *BETWEEN)) if result.any() else (own,):  # a wiped tensor went nowhere
            if all(_rounds_to(part(source), part(result), dtype, own) for part in (_probe, np.ravel)):
                return Cast(made, dtype)
    return None


def _rounds_to(source: Array, result: Array, dtype: str, own: str) -> bool:
    """float64 may be rounded at once, or by way of float32, as many libraries do it."""
    if _once(source, result, dtype, own):
        return True
    narrow = source.dtype == np.float64 and dtype not in ("F64", "F32")
    return narrow and _once(source.astype(np.float32), result, dtype, own)


def _once(source: Array, result: Array, dtype: str, own: str) -> bool:
    rounded = rounded_to(source, dtype)
    return np.array_equal(rounded if dtype == own else rounded_to(rounded, own), result)


def _probe(values: Array) -> Array:
    return values.reshape(-1)[:PROBE]
