"""The intersection of all intervals of a confidence sequence so far, which covers as they do together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tollens.core.errors import TollensError

Vector = NDArray[np.float64]


def running_intersection(lower: Vector, upper: Vector) -> tuple[Vector, Vector]:
    """Largest lower and smallest upper end up to each time, both of shape (n,).

    Raises: TollensError `stats_assumption_violated` at the first time at which no value is left: under the
    assumptions that happens with probability at most alpha.
    """
    low, high = np.maximum.accumulate(lower), np.minimum.accumulate(upper)
    empty = np.flatnonzero(low > high)
    if empty.size:
        at = int(empty[0])
        raise TollensError(
            "stats_assumption_violated",
            "the confidence sequence",
            expected="a value that lies in all of its intervals",
            found=f"none after {at + 1:,} units: one interval starts at {low[at]:.6g}, one ends at {high[at]:.6g}",
            fix="Look for drift or a change of the data source, and start again after it.",
        )
    return low, high
