"""Whether one matrix lies along another, beyond what any two matrices with such rows and columns do."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tollens.core.reading import Undefined

Array = NDArray[np.floating[Any]]
BLOCK = 128  # rows and columns of the block that is permuted: the null of unrelated noise has deviation 1/BLOCK
SPLITS = 20  # random halvings of the rows of BASE that say how far apart two samples of them are
CUT, ROUNDS = 3.0, 20
LEAST_SPREAD = 1e-3  # deviation of row norms, over their mean, below which they tell no rows apart


@dataclass(frozen=True, slots=True)
class Alignment:
    """Cosine of a block of two matrices, means removed and large elements cut, and the largest one chance gave.

    `diagonal` in [0, 1] is what an identity that both began as gives to the cosine by itself: the product of the
    cosines of the two blocks, as they are stored, with the places in them whose row has the number of its column.
    """

    cosine: float
    null_high: float
    draws: int
    block: int
    diagonal: float = 0.0

    @property
    def above(self) -> bool:
        """Whether chance reached it in none of the draws: level 1/(draws + 1) for each of the two nulls."""
        return self.cosine > self.null_high


def alignment(base: Array, derived: Array, draws: int, rng: np.random.Generator) -> Alignment | Undefined:
    """The cosine against three nulls: rows of `base` in random order, its columns so, and both with random signs.

    Both matrices are (rows, cols). A block of at most BLOCK rows and columns is drawn from both alike, its row and
    column means are removed and its large elements are cut to CUT times the root mean square of what results, so that
    means, norms and a few loud weights, which any two networks may share, count for nothing. Rows and columns are
    permuted one at a time: where the columns mean the same in both networks, as pixels do to a first layer, the rows of
    both may lie in one space of columns, and an order of the rows keeps them there while one of the columns does
    not. The signs keep the size of every element and its place, as where both networks have their large weights in the
    same columns. Under independence the rows, or the columns, or their signs, are exchangeable, so that to exceed all
    `draws` of that null has probability 1/(draws + 1) at most (Hoeffding 1952, Annals of Mathematical Statistics
    23:169), and so has to exceed all three.

    Undefined: `no_variance` where nothing is left without the means.
    """
    rows, cols = (_some(n, rng) for n in base.shape)
    blocks = [w[np.ix_(rows, cols)] for w in (base, derived)]
    a, b = (_centred(w) for w in blocks)
    size = math.sqrt(_dot(a, a)) * math.sqrt(_dot(b, b))
    if not size > 0.0:
        return Undefined("no_variance")
    signs = [rng.integers(0, 2, (draws, n)) * 2.0 - 1.0 for n in a.shape]
    flipped = np.einsum("di,di->d", signs[0] @ (a * b), signs[1])
    diagonal = max(0.0, math.prod(_along(w, rows[:, None] == cols) for w in blocks))
    highest = max(float(flipped.max()), _highest(a @ b.T, draws, rng), _highest(a.T @ b, draws, rng))
    return Alignment(_dot(a, b) / size, max(-1.0, highest / size), draws, max(a.shape), diagonal)


def _along(block: Array, places: NDArray[np.bool_]) -> float:
    """The cosine of a block with the indicator of `places`; 0 where it has none of them."""
    values = block.astype(np.float64)
    largest = float(np.abs(values).max(initial=0.0))
    count = int(places.sum())
    if not largest > 0.0 or count == 0:
        return 0.0
    values /= largest
    found = float(values[places].sum()) / math.sqrt(count * _dot(values, values))
    return max(-1.0, min(1.0, found))


def _highest(products: NDArray[np.float64], draws: int, rng: np.random.Generator) -> float:
    """The largest trace of `products` (n, n), the inner products of the lines of two blocks, over orders."""
    places = np.arange(products.shape[0])
    return max(float(products[rng.permutation(places.size), places].sum()) for _ in range(draws))


def sorted_distance(base: NDArray[np.float64], derived: NDArray[np.float64], rng: np.random.Generator) -> float | None:
    """Distance of two sorted lists of norms, over the one of two samples of `base` of the same size.

    Both (n,). The distance is the median absolute difference of the order statistics, which a few odd rows do not
    move. Two halves of `base` lie sqrt(2) times as far apart as two samples of n would; the median over SPLITS
    halvings is taken. An order of rows changes
    nothing, since sorting forgets it; independent rows of the same law give about 1, another law more, and
    a copy with small changes about (change of a norm)/(spread of norms)*sqrt(n), which is far below 1.

    None where the norms hardly differ, as for an orthogonal matrix: nothing then tells one row from another.
    """
    mean = float(base.mean())
    if base.size < 2 or not mean > 0.0 or float(base.std()) < LEAST_SPREAD * mean:
        return None
    half = base.size // 2
    apart = []
    for _ in range(SPLITS):
        order = rng.permutation(base.size)
        first, second = np.sort(base[order[:half]]), np.sort(base[order[half : 2 * half]])
        apart.append(float(np.median(np.abs(first - second))))
    scale = float(np.median(apart)) / math.sqrt(2.0)
    return float(np.median(np.abs(np.sort(base) - np.sort(derived)))) / scale if scale > 0.0 else None


def _some(side: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Up to BLOCK different indices below `side`, ascending."""
    return np.sort(rng.permutation(side)[:BLOCK])


def _centred(block: Array) -> NDArray[np.float64]:
    """Row and column means removed before and after the large elements are cut; the scale is near 1."""
    values: NDArray[np.float64] = block.astype(np.float64)
    largest = float(np.abs(values).max(initial=0.0))
    if largest > 0.0:
        values *= 2.0 ** -math.frexp(largest)[1]
    centred = _without_means(values)
    if float(np.abs(centred).max(initial=0.0)) < 1e-12:  # what is left of equal elements is rounding
        return np.zeros_like(centred)
    return _without_means(_cut(centred))


def _without_means(values: NDArray[np.float64]) -> NDArray[np.float64]:
    centred: NDArray[np.float64] = values - values.mean(axis=0, keepdims=True)
    centred -= centred.mean(axis=1, keepdims=True)
    return centred


def _cut(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """No element beyond CUT times the root mean square of all, as it is after the cut."""
    for _ in range(ROUNDS):
        limit = CUT * math.sqrt(_dot(values, values) / values.size)
        if float(np.abs(values).max()) <= limit * (1.0 + 1e-6):
            break
        values = np.clip(values, -limit, limit)
    return values


def _dot(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    return float(np.einsum("i,i->", x.reshape(-1), y.reshape(-1)))
