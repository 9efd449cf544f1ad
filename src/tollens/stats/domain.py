"""What a number, a count, a level, a sample and cluster labels may be: refusals that name the value."""

from __future__ import annotations

import math
import operator
from collections.abc import Hashable
from typing import Literal, NoReturn, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tollens.core.errors import TollensError

Array: TypeAlias = NDArray[np.float64]
Labels: TypeAlias = NDArray[np.intp]
Alternative: TypeAlias = Literal["two-sided", "greater", "less"]

ALTERNATIVES = ("two-sided", "greater", "less")
LARGEST = 1e100  # squares and third powers of sums must not overflow
LEAST_LEVEL = 1e-100  # quantiles of t of a smaller one overflow
_MOST = float(np.finfo(np.float64).max)  # an integer can be larger
INDEPENDENCE = "independence assumed"


def refused(subject: str, expected: str, found: str, fix: str) -> TollensError:
    """The error `stats_input`."""
    return TollensError("stats_input", subject, expected=expected, found=found, fix=fix)


def refuse(name: str, expected: str, found: object) -> NoReturn:
    """Raise `stats_input` for the value called `name`."""
    raise refused(name, expected, repr(found)[:80], f"Correct {name} and ask again.")


def between(name: str, value: float, low: float, high: float) -> float:
    """`value`, if it lies strictly between the two; raises `stats_input` otherwise."""
    if not isinstance(value, (int, float, np.integer, np.floating)) or not low < value < high or abs(value) > _MOST:
        refuse(name, f"a number strictly between {low:g} and {high:g}", value)
    return float(value)


def positive(name: str, value: float) -> float:
    """`value`, if it is finite and above zero; raises `stats_input` otherwise."""
    if not isinstance(value, (int, float, np.integer, np.floating)) or not 0.0 < value <= _MOST:
        refuse(name, "a finite number above 0", value)
    return float(value)


def whole(name: str, value: int, low: int = 0, high: float = math.inf) -> int:
    """`value`, if it is an integer in [low, high]; raises `stats_input` otherwise."""
    try:
        k = operator.index(value)
    except TypeError:
        k = low - 1
    if isinstance(value, (bool, np.bool_)) or not low <= k <= high:
        refuse(name, f"an integer of at least {low}" + ("" if math.isinf(high) else f" and at most {high:.0f}"), value)
    return k


def counts(name: str, k: int, n: int) -> None:
    """Raises `stats_input` unless 0 <= k <= n, both integers."""
    if whole(name, k, 0) > whole(f"n of {name}", n, 0):
        refuse(name, f"at most n = {n}", k)


def sample(name: str, values: ArrayLike, least: int = 1) -> Array:
    """`values` (n,) as float64. Raises TollensError `stats_input` unless n >= `least` numbers within +-1e100."""
    try:
        x = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise refused(name, "numbers", str(error), f"Give {name} as a row of numbers.") from error
    if x.ndim != 1 or x.size < least:
        raise refused(name, f"a row of at least {least}", f"shape {x.shape}", f"Give {name} as a row of numbers.")
    bad = np.flatnonzero(~(np.abs(x) <= LARGEST))
    if bad.size:
        found = f"{x[bad[0]]} at position {bad[0]}"
        raise refused(
            name,
            f"finite numbers of at most {LARGEST:g}",
            found,
            "Say what became of that row; it is not dropped here.",
        )
    return x


def binary(name: str, x: ArrayLike) -> NDArray[np.float64]:
    """`x` as a vector of zeros and ones; raises `stats_input` otherwise."""
    values = sample(name, x)
    other = values[(values != 0.0) & (values != 1.0)]
    if other.size:
        refuse(name, "zeros and ones", float(other[0]))
    return values


def pairs(x: ArrayLike, y: ArrayLike, least: int = 1) -> tuple[Array, Array]:
    """Two samples of one length. Raises TollensError `stats_input` for anything else."""
    a, b = sample("x", x, least), sample("y", y, least)
    if a.size != b.size:
        raise refused("pairs", "as many x as y", f"{a.size} and {b.size}", "Pair each x with the y of its item.")
    return a, b


def differences(x: ArrayLike, y: ArrayLike, least: int = 1) -> Array:
    """x - y of paired items; exactly equal where they differ by no more than the rounding of the subtraction.

    Raises: TollensError `stats_input`.
    """
    a, b = pairs(x, y, least)
    d = a - b
    noise = 4.0 * float(np.finfo(np.float64).eps) * max(float(np.abs(a).max()), float(np.abs(b).max()))
    return np.full_like(d, d[0]) if float(np.ptp(d)) <= noise else d


def level(alpha: float) -> float:
    """`alpha` if it lies in (0, 1), and not below 1e-100. Raises TollensError `stats_input` otherwise."""
    if not LEAST_LEVEL <= alpha < 1.0:
        raise refused("alpha", "a level in (0, 1)", repr(alpha), "Rates are fractions: write 0.05 for 5 %.")
    return float(alpha)


def one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Raises TollensError `stats_input` if `value` is not among `choices`."""
    if value not in choices:
        raise refused(name, " or ".join(choices), repr(value), f"Name one of these as {name}.")


def labels(cluster: ArrayLike, n: int) -> tuple[Labels, int]:
    """Cluster labels of n rows as 0 ... G-1, in order of appearance, and G.

    Raises: TollensError `stats_input` for missing labels, or another number of them.
    """
    raw = np.asarray(cluster, dtype=object)  # text would be as wide as the longest label
    if raw.shape != (n,):
        raise refused("cluster", f"one label for each of {n} rows", f"shape {raw.shape}", "Label every row once.")
    numbers: dict[Hashable, int] = {}  # a dictionary and not a sort: 1 and 1.0 are one label, 1 and "1" are two
    index = np.empty(n, dtype=np.intp)
    for row, name in enumerate(raw.tolist()):
        if name is None or name != name:
            where = f"{name} at position {row}"
            raise refused("cluster", "a label for every row", where, "Give a row of its own a label of its own.")
        index[row] = numbers.setdefault(name, len(numbers))
    return index, len(numbers)


def totals(index: Labels, values: Array) -> Array:
    """The sum of `values` (n,) in each cluster (G,), from the labels that `labels` gave."""
    return np.asarray(np.bincount(index, weights=values), dtype=np.float64)


def replication(clusters: int | None, rows: int) -> str:
    """The assumption about units of replication that stands beside a result."""
    return INDEPENDENCE if clusters is None else f"{clusters:,} clusters of {rows:,} rows independent of each other"
