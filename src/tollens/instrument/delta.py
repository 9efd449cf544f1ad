"""Two matrices of one shape, element by element: what changed, and what rounding alone could have changed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tollens.instrument.edge import tw_edge

Array = NDArray[np.floating[Any]]
CHUNK = 1 << 16  # elements of one step: a dozen arrays of this size stay in the cache


@dataclass(frozen=True, slots=True)
class Grid:
    """The numbers a floating type can hold: steps of 2^(e - mantissa) from 2^e on, and no finer than at 2^least."""

    mantissa: int
    least: int

    @property
    def eps(self) -> float:
        return 2.0**-self.mantissa


GRIDS: dict[str, Grid] = {
    "F64": Grid(52, -1022),
    "F32": Grid(23, -126),
    "F16": Grid(10, -14),
    "BF16": Grid(7, -126),
    "F8_E4M3": Grid(3, -6),
    "F8_E5M2": Grid(2, -14),
    "F8_E4M3FNUZ": Grid(3, -7),
    "F8_E5M2FNUZ": Grid(2, -15),
}


def coarser(first: str, second: str) -> str | None:
    """The stored type with the longer steps (of equal ones the one that ends earlier); None if one has no grid here."""
    if first not in GRIDS or second not in GRIDS:
        return None
    return min((first, second), key=lambda t: (GRIDS[t].mantissa, -GRIDS[t].least))


def common_grid(first: str, second: str) -> Grid | None:
    """The steps that both stored types keep: at each size the longer of the two; None if one has no grid here.

    Neither of bfloat16 and float16 holds the other: the steps of the first are longer down to 2^-17, and those of the
    second, which ends at steps of 2^-24, below.
    """
    coarse = coarser(first, second)
    if coarse is None:
        return None
    one, other = GRIDS[coarse], GRIDS[second if coarse == first else first]
    return Grid(one.mantissa, max(one.least, other.least - other.mantissa + one.mantissa))


def ulp(size: Array, grid: Grid) -> Array:
    """The step of the grid at |w| = `size` >= 0, float32 or float64, of the type of `size`.

    2^(max(floor(log2 |w|), least) - mantissa), read off the exponent bits.
    """
    single = size.dtype == np.float32
    bits, mask = (np.uint32, 0x7F800000) if single else (np.uint64, 0x7FF0000000000000)
    power: Array = np.bitwise_and(size.view(bits), np.array(mask, dtype=bits)).view(size.dtype)
    np.maximum(power, size.dtype.type(2.0**grid.least), out=power)
    with np.errstate(under="ignore"):
        power *= size.dtype.type(2.0**-grid.mantissa)
    return power


@dataclass(frozen=True, slots=True)
class Elements:
    """Sums over all elements of W_base and W_derived of one shape, in float64.

    `equal` elements have the same bits, `changed` another value. `base_rows`, `base_cols`, `derived_rows` and
    `derived_cols` are the squared norms of rows and columns, `step_rows` and `step_cols` the sums of ulp^2 along them,
    None without a common grid: the steps of the matrix that was rounded to it. `max_ulps` is the largest |Delta|/ulp
    at the larger of the two values, `max_step` the largest ulp.
    """

    count: int
    equal: int
    changed: int
    inner: float
    delta2: float
    max_delta: float
    base_rows: NDArray[np.float64]
    base_cols: NDArray[np.float64]
    derived_rows: NDArray[np.float64]
    derived_cols: NDArray[np.float64]
    step_rows: NDArray[np.float64] | None = None
    step_cols: NDArray[np.float64] | None = None
    max_ulps: float | None = None
    max_step: float | None = None

    @property
    def base2(self) -> float:
        return float(self.base_rows.sum())

    @property
    def derived2(self) -> float:
        return float(self.derived_rows.sum())

    @property
    def relative_change(self) -> float | None:
        """||Delta||_F / ||W_base||_F; None for a base of zeros."""
        return math.sqrt(self.delta2 / self.base2) if self.base2 > 0.0 else None

    @property
    def cosine(self) -> float | None:
        """<W_base, W_derived> over their norms, in [-1, 1]; None where one of them is zero."""
        size = math.sqrt(self.base2) * math.sqrt(self.derived2)
        return max(-1.0, min(1.0, self.inner / size)) if size > 0.0 else None


def elements_of(
    base: Array, derived: Array, grid: Grid | None, threads: int = 1, *, base_rounded: bool = False
) -> Elements:
    """Compare two finite (rows, cols) matrices of one dtype, float32 or float64, in one pass over blocks of rows.

    `grid` is that of the coarser stored type, `base_rounded` says that it is BASE alone which has it. Sums do not
    depend on `threads`. Raises: ValueError for shapes or dtypes that differ.
    """
    if base.shape != derived.shape or base.dtype != derived.dtype:
        raise ValueError(f"{base.shape} {base.dtype} against {derived.shape} {derived.dtype}")
    rows, cols = base.shape
    step = max(1, CHUNK // max(cols, 1))

    def part(start: int) -> Elements:
        return _part(base[start : start + step], derived[start : start + step], grid, base_rounded)

    return _joined(_mapped(part, range(0, rows, step), threads))


def _mapped(part: Callable[[int], Elements], starts: range, threads: int) -> Iterator[Elements]:
    if threads == 1 or len(starts) == 1:
        yield from map(part, starts)
        return
    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(part, starts)


@np.errstate(over="ignore", invalid="ignore", under="ignore")  # what leaves float64 is infinite, and seen to be
def _part(base: Array, derived: Array, grid: Grid | None, base_rounded: bool) -> Elements:
    bits = np.uint32 if base.dtype == np.float32 else np.uint64
    equal = int(np.count_nonzero(base.view(bits) == derived.view(bits)))
    b, d = base.astype(np.float64), derived.astype(np.float64)
    delta = d - b
    inner = _dot(b, d)
    sizes = np.abs(delta)
    b2, d2 = np.square(b, out=b), np.square(d, out=d)
    shared = (
        base.size, equal, int(np.count_nonzero(delta)), inner, _dot(delta, delta),
        float(sizes.max(initial=0.0)), b2.sum(axis=1), b2.sum(axis=0), d2.sum(axis=1), d2.sum(axis=0),
    )  # fmt: skip
    if grid is None:
        return Elements(*shared)
    exact, rounded = (derived, base) if base_rounded else (base, derived)
    steps = ulp(np.abs(rounded), grid)
    both = np.maximum(steps, ulp(np.abs(exact), grid))
    largest = float(np.divide(sizes, both, out=sizes).max(initial=0.0))
    most = float(steps.max(initial=0.0))
    steps = np.square(steps, dtype=np.float64)
    return Elements(*shared, steps.sum(axis=1), steps.sum(axis=0), largest, most)


def _dot(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """The sum of products, which no number of BLAS threads changes."""
    return float(np.einsum("i,i->", x.reshape(-1), y.reshape(-1)))


SUMMED = ("count", "equal", "changed", "inner", "delta2", "base_cols", "derived_cols", "step_cols")
LARGEST = ("max_delta", "max_ulps", "max_step")
LINED_UP = ("base_rows", "derived_rows", "step_rows")


def _joined(parts: Iterator[Elements]) -> Elements:
    """The sums of all blocks, added in their order; only the sums of their rows are kept until the end."""
    first = next(parts)
    known = [name for name in (*SUMMED, *LARGEST) if getattr(first, name) is not None]
    total: dict[str, Any] = {name: getattr(first, name) for name in known}
    rows: dict[str, list[Any]] = {n: [getattr(first, n)] for n in LINED_UP if getattr(first, n) is not None}
    for part in parts:
        for name in known:
            found = getattr(part, name)
            total[name] = max(total[name], found) if name in LARGEST else total[name] + found
        for name, lines in rows.items():
            lines.append(getattr(part, name))
    total |= {name: np.concatenate(lines) for name, lines in rows.items()}
    return Elements(**total)


@dataclass(frozen=True, slots=True)
class RoundingFloor:
    """`rms` in weight, `mp_edge` and `edge` in weight^2: see `rounding_floor`."""

    rms: float
    mp_edge: float
    edge: float


def rounding_floor(elements: Elements, roundings: int, level: float) -> RoundingFloor | None:
    """What `roundings` roundings to a common grid can put into Delta; None without a grid.

    The error of one rounding to nearest is uniform over the step of the element it lands on, in [-ulp/2, ulp/2],
    where the exact value does not care for the grid: variance ulp^2/12 (Bennett 1948, Bell System Technical Journal
    27:446). A DERIVED that was rounded once from (stored BASE + update) differs from the stored BASE, which is
    a number of the grid, by the update and one such error; if BASE and DERIVED were both rounded from finer weights
    the difference carries two. `rms` is the root of the mean over all elements, from their own exponents. Where the
    update is smaller than a step the error is no longer independent of it, and most elements do not move at all:
    the errors are then smaller than this.

    `mp_edge` is the Tracy-Widom edge of noise with that variance at `level`. Steps differ between rows and
    columns, and noise of uneven variance reaches further, up to its largest row and column: a matrix of independent
    centred elements has norm at most (1 + e)(max_i sqrt(sum_j v_ij) + max_j sqrt(sum_i v_ij)) and a term of the
    order of the largest element (Bandeira, van Handel 2016, Annals of Probability 44:2479), which is taken as half
    the largest step, the largest error of one rounding. `edge` is the larger of the two.
    """
    if elements.step_rows is None or elements.step_cols is None or elements.max_step is None:
        return None
    share = roundings / 12.0
    variance = share * float(elements.step_rows.sum()) / elements.count
    M, N = sorted((elements.step_rows.size, elements.step_cols.size))
    rows = math.sqrt(share * float(elements.step_rows.max()))
    cols = math.sqrt(share * float(elements.step_cols.max()))
    profile = (rows + cols + 0.5 * roundings * elements.max_step) ** 2
    noise = tw_edge(M, N, variance, level) if M > 1 else profile
    return RoundingFloor(math.sqrt(variance), noise, max(noise, profile))
