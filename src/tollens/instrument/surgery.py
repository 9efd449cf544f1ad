"""Taking a trap out of a matrix: extraction of outlier modes, their stability, removal and replacement."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tollens.core.reading import Undefined
from tollens.instrument.edge import implied_theta, squared_overlaps, tw_edge
from tollens.instrument.outliers import count_above
from tollens.instrument.permutation import PermutationKey, draw_key, shuffle, unshuffle
from tollens.instrument.spectrum import gram

Array: TypeAlias = NDArray[np.float64]
Replacement: TypeAlias = Literal["gaussian", "none"]
DENSE_SIDE = 512  # up to here a full eigensolver is as fast as an iterative one


@dataclass(frozen=True, slots=True)
class Mode:
    """One singular triple of the permuted matrix that lies above the edge, and the permutation it belongs to.

    `s`: singular value in weight. `left` (rows,) and `right` (cols,): unit vectors in the permuted basis.
    `variance`: of the elements of the matrix.
    """

    s: float
    left: Array
    right: Array
    key: PermutationKey
    replicate: int
    variance: float

    @property
    def shape(self) -> tuple[int, int]:
        return self.left.size, self.right.size


@dataclass(frozen=True, slots=True)
class Stability:
    """How a mode of the first permutation fares in the others.

    `overlaps`: best |<T, T'>|/(s*s') in each other permutation, 0 where that has no outlier; `expected`:
    what one source of this strength gives on average, by the same order. `stable`: at least half of that in
    most of them.
    """

    mode: Mode
    overlaps: tuple[float, ...]
    expected: tuple[float, ...]
    stable: bool


def outlier_modes(matrix: NDArray[np.floating[Any]], key: PermutationKey, replicate: int, level: float) -> list[Mode]:
    """Singular triples above the edge of the permuted matrix as published (no centring), largest first.

    `matrix`: (rows, cols), finite; it is not changed. `level`: chance of a false outlier in this permutation.

    Raises: ValueError for a matrix without variance.
    """
    permuted = np.array(matrix, dtype=np.float64, order="C")
    variance = float(permuted.var())
    if not variance > 0.0:
        raise ValueError("a matrix without variance has no modes")
    shuffle(permuted, key, replicate)
    M, N = min(permuted.shape), max(permuted.shape)
    lower = gram(permuted, "f64")
    above = count_above(lower, tw_edge(M, N, variance, level))
    assert above is not None  # float64 always decides
    wide = permuted.shape[0] < permuted.shape[1]
    modes = []
    for vector in _top_vectors(lower, above.centred):
        other = vector @ permuted if wide else permuted @ vector
        s = float(np.linalg.norm(other))
        pair = (vector, other / s) if wide else (other / s, vector)
        modes.append(Mode(s, *pair, key, replicate, variance))
    return modes


def extract(mode: Mode) -> Array:
    """The trap T (rows, cols) in the basis of the weights: the mode with its permutation undone.

    ||T||_F = s, <W, T> = s^2, ||W - T||_F^2 = ||W||_F^2 - s^2. T is of full rank in general; its vectors in
    the basis of the weights are its top singular pair.
    """
    return unshuffle(mode.s * np.outer(mode.left, mode.right), mode.key, mode.replicate)


def expected_overlap(first: Mode, second: Mode) -> float:
    """Mean |<T, T'>|/(s*s') of two permutations of one rank-one source.

    Only the source is common to both, so it is the geometric mean of the two products of squared overlaps:
    0.5625 at c = 1, theta = 2 (Benaych-Georges and Nadakuditi 2012). 0 for a mode at or below the detection
    threshold.
    """
    M, N = min(first.shape), max(first.shape)
    product = 1.0
    for mode in (first, second):
        theta = implied_theta(mode.s**2 / (N * mode.variance), M / N)
        if isinstance(theta, Undefined):
            return 0.0
        product *= math.prod(squared_overlaps(theta, M / N))
    return math.sqrt(product)


def stability(matrix: NDArray[np.floating[Any]], key: PermutationKey, replicates: int, level: float) -> list[Stability]:
    """Match every outlier mode of permutation 0 with those of permutations 1 to replicates - 1.

    Raises: ValueError below two replicates.
    """
    if replicates < 2:
        raise ValueError("stability needs at least two permutations")
    modes = outlier_modes(matrix, key, 0, level)
    traps = [extract(mode) for mode in modes]
    overlaps: list[list[float]] = [[] for _ in modes]
    expected: list[list[float]] = [[] for _ in modes]
    for replicate in range(1, replicates) if modes else ():
        others = [(m, extract(m)) for m in outlier_modes(matrix, key, replicate, level)]
        for i, (mode, trap) in enumerate(zip(modes, traps, strict=True)):
            pairs = [(abs(float(np.vdot(trap, t))) / (mode.s * m.s), expected_overlap(mode, m)) for m, t in others]
            best = max(pairs, default=(0.0, 0.0))
            overlaps[i].append(best[0])
            expected[i].append(best[1])
    return [
        Stability(mode, tuple(found), tuple(wanted), _mostly(found, wanted))
        for mode, found, wanted in zip(modes, overlaps, expected, strict=True)
    ]


def remove(
    matrix: NDArray[np.floating[Any]],
    modes: Sequence[Mode],
    replacement: Replacement,
    rng: np.random.Generator,
) -> Array:
    """The edit W - T + R as a new float64 array, T the sum of the extracted modes; the input is not changed.

    `replacement` "gaussian": R has the element-wise mean and standard deviation of T, so E||R||_F^2 =
    ||T||_F^2; "none": R = 0. The modes belong to one permutation.

    Raises: ValueError for modes of different permutations, or none.
    """
    if len({(m.key, m.replicate) for m in modes}) != 1:
        raise ValueError("the modes of one permutation are removed together")
    trap = extract_sum(modes)
    edited = np.asarray(matrix, dtype=np.float64) - trap
    return edited if replacement == "none" else edited + gaussian_like(trap, rng)


def remove_trap(
    matrix: NDArray[np.floating[Any]],
    rng: np.random.Generator,
    *,
    replacement: Replacement = "gaussian",
    level: float = 0.002,
) -> Array:
    """The edit that takes all outlier modes of one permutation out of `matrix` (rows, cols).

    A float64 copy of the input where that permutation has no outlier, or where the matrix has no variance.
    `level`: chance of a false outlier.
    """
    wide = np.array(matrix, dtype=np.float64)
    modes = outlier_modes(wide, draw_key(rng), 0, level) if wide.var() > 0.0 else []
    return remove(wide, modes, replacement, rng) if modes else wide


def extract_sum(modes: Sequence[Mode]) -> Array:
    """The sum of the traps of several modes of one permutation."""
    left = np.stack([m.s * m.left for m in modes], axis=1)
    right = np.stack([m.right for m in modes])
    return unshuffle(left @ right, modes[0].key, modes[0].replicate)


def gaussian_like(trap: Array, rng: np.random.Generator) -> Array:
    """Independent Gaussian elements with the element-wise mean and standard deviation of `trap`."""
    return float(trap.mean()) + float(trap.std()) * rng.standard_normal(trap.shape)


def _mostly(found: Sequence[float], wanted: Sequence[float]) -> bool:
    reached = sum(f >= 0.5 * w and w > 0.0 for f, w in zip(found, wanted, strict=True))
    return 2 * reached > len(found)


def _top_vectors(lower: Array, count: int) -> list[Array]:
    """The eigenvectors of the `count` largest eigenvalues of the matrix given by its lower triangle, largest
    first."""
    if count == 0:
        return []
    M = lower.shape[0]
    if M <= DENSE_SIDE or 4 * count > M:
        vectors = np.linalg.eigh(lower, UPLO="L")[1]
        return [np.ascontiguousarray(vectors[:, M - 1 - k]) for k in range(count)]
    from scipy.sparse.linalg import eigsh  # costs 0.1 s to import and few callers come here

    full = np.tril(lower) + np.tril(lower, -1).T
    values, vectors = eigsh(full, k=count, which="LA", v0=np.full(M, M**-0.5))
    return [np.ascontiguousarray(vectors[:, k]) for k in np.argsort(values)[::-1]]
