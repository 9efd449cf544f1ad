"""What every method asks of its numbers before it computes: refusals that name the value."""

from __future__ import annotations

import math
from typing import NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tollens.core.errors import TollensError


def refuse(name: str, expected: str, found: object) -> NoReturn:
    """Raise `stats_input` for the value called `name`."""
    raise TollensError(
        "stats_input", name, expected=expected, found=repr(found)[:80], fix=f"Correct {name} and ask again."
    )


def between(name: str, value: float, low: float, high: float) -> float:
    """`value`, if it lies strictly between the two; raises `stats_input` otherwise."""
    if not isinstance(value, (int, float, np.integer, np.floating)) or not low < value < high:
        refuse(name, f"a number strictly between {low:g} and {high:g}", value)
    return float(value)


def positive(name: str, value: float) -> float:
    """`value`, if it is finite and above zero; raises `stats_input` otherwise."""
    if not isinstance(value, (int, float, np.integer, np.floating)) or not 0.0 < value < math.inf:
        refuse(name, "a finite number above 0", value)
    return float(value)


def whole(name: str, value: int, low: int) -> int:
    """`value`, if it is an integer of at least `low`; raises `stats_input` otherwise."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < low:
        refuse(name, f"an integer of at least {low}", value)
    return int(value)


def counts(name: str, k: int, n: int) -> None:
    """Raises `stats_input` unless 0 <= k <= n, both integers."""
    if whole(name, k, 0) > whole(f"n of {name}", n, 0):
        refuse(name, f"at most n = {n}", k)


def sample(name: str, x: ArrayLike) -> NDArray[np.float64]:
    """`x` as a vector; raises `stats_input` if it is empty, of another shape, or not finite."""
    values = np.asarray(x, dtype=np.float64)
    if values.ndim != 1 or values.size == 0:
        refuse(name, "a non-empty sequence of numbers", values.shape)
    if not np.isfinite(values).all():
        refuse(name, "finite values", values[~np.isfinite(values)][0])
    return values


def binary(name: str, x: ArrayLike) -> NDArray[np.float64]:
    """`x` as a vector of zeros and ones; raises `stats_input` otherwise."""
    values = sample(name, x)
    other = values[(values != 0.0) & (values != 1.0)]
    if other.size:
        refuse(name, "zeros and ones", float(other[0]))
    return values
