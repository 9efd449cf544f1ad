"""What an instrument is given: one weight matrix, and what has been measured of it already."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tollens.instrument.spectrum import Spectrum
    from tollens.instrument.tail import TailFit


@dataclass(frozen=True, slots=True)
class Moments:
    """Of all elements, accumulated in float64. `kurtosis` is the fourth standardised moment, 3 for a Gaussian."""

    count: int
    mean: float
    std: float
    max_abs_deviation: float
    kurtosis: float
    nonzero: int


@dataclass(frozen=True, slots=True)
class Part:
    """One weight matrix W of shape (rows, cols).

    `load()` returns a fresh, C-contiguous (rows, cols) array of the working dtype (float32 or float64) that the
    caller owns and may overwrite; holding only one such array at a time is what bounds the memory of a scan.
    `look()` returns the same to be read only, and may hand out one array several times.
    N is the larger side and M the smaller one.
    """

    name: str
    shape: tuple[int, int]
    source_dtype: str
    load: Callable[[], NDArray[np.floating[Any]]]
    moments: Moments
    spectrum: Spectrum | None = None
    tail: TailFit | None = None
    kept: Callable[[], NDArray[np.floating[Any]]] | None = None

    def look(self) -> NDArray[np.floating[Any]]:
        return self.load() if self.kept is None else self.kept()

    @property
    def M(self) -> int:
        return min(self.shape)

    @property
    def N(self) -> int:
        return max(self.shape)


@dataclass(frozen=True, slots=True)
class FactorPart:
    """A matrix gamma * B @ A that is given by its factors and never formed: `factors` is (B, A), float64 arrays of
    shapes (out, r) and (r, in), finite; `shape` is (out, in).

    `gamma` is None where the scaling is not known. `source_dtypes` are the stored types of B and of A.
    """

    name: str
    factors: tuple[NDArray[np.float64], NDArray[np.float64]]
    gamma: float | None
    source_dtypes: tuple[str, str]

    @property
    def shape(self) -> tuple[int, int]:
        b, a = self.factors
        return b.shape[0], a.shape[1]

    @property
    def rank(self) -> int:
        return int(self.factors[1].shape[0])
