"""The contract of `tollens diff`: the structs behind `--json`, schema tollens.diff/1."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from tollens.core.reading import NullBand
from tollens.core.verdict import Verdict
from tollens.protocol.finding import Note
from tollens.protocol.kinship import KinshipAnswer
from tollens.run.result import Environment, Histogram, SkippedTensor, Subject


class Floor(msgspec.Struct, frozen=True):
    """What rounding to the coarser of the two stored types can put into Delta, whose elements are weights.

    `rms` is the root mean square error of `roundings` roundings, in weight; `mp_edge` the Tracy-Widom edge of noise of
    that size, `edge` the level that no rounding of these elements exceeds, both in weight^2; `above` eigenvalues of
    Delta'Delta exceed `edge` and the blind floor of the layer, and hold the share `energy_above` of their sum.
    """

    dtype: str
    roundings: int
    rms: float
    mp_edge: float
    edge: float
    above: int
    energy_above: float


class Shuffled(msgspec.Struct, frozen=True):
    """Delta against the matrix of the same elements in random order.

    `edge` (weight^2) is what the largest eigenvalue of such a matrix does not exceed: the Tracy-Widom edge of the
    variance of Delta, or what `draws` permutations gave where that is more. `above` eigenvalues of Delta'Delta exceed
    it and hold the share `energy_above` of their sum: change with an arrangement.
    """

    edge: float
    draws: int
    above: int
    energy_above: float


class Overlap(msgspec.Struct, frozen=True):
    """Overlap in [0, 1] of the leading singular subspaces of W_base and of Delta on one side of length `side`.

    ||U_base' U_Delta||_F^2 / min(k, k'), with its law for two independent uniformly distributed subspaces in `null`
    (median and 5-95 % band) and its mean there in `expected`. `doubt` bounds the sine of the angle by which either
    computed subspace may be off.
    """

    value: float
    side: int
    expected: float
    null: NullBand
    doubt: float


class LayerKinship(msgspec.Struct, frozen=True):
    """Whether a matrix of DERIVED lies along the matrix of BASE that has its name.

    `cosine` is of a block of `block` rows and columns at most, row and column means removed; `null_high` is its
    largest value over `draws` random orders of its rows, of its columns, and sign patterns of both. `tested` is
    false for what names its rows or columns (embeddings, heads), which two unrelated networks may share.
    `row_spread` and `column_spread` compare sorted row (column) norms: the distance between BASE and DERIVED over the
    one between two samples of the rows of BASE; near 1 for independent networks of one recipe, near 0 for a copy
    with its neurons in another order. `diagonal` in [0, 1] is what of the cosine an identity in both gives
    by itself: the product of the cosines of either block with it.
    """

    tested: bool
    cosine: float
    null_high: float
    draws: int
    block: int
    above: bool
    row_spread: float | None = None
    column_spread: float | None = None
    diagonal: float = 0.0


class LayerDelta(msgspec.Struct, frozen=True, kw_only=True):
    """One weight matrix of BASE and DERIVED, Delta = W_derived - W_base. What is null is explained in `undefined`.

    `state` is "identical", "rounded", "moved", or "unknown" with status FAILED. `order` counts in the order of BASE.
    `base_digest` and `derived_digest` are "sha256:<hex>" of the stored bytes that were read, absent where they are
    mixed with those of other matrices.

    Eigenvalues are of Delta'Delta, in weight^2, not divided by N; `histogram` counts log10 of those above
    `blind_floor`, and `top` lists the largest singular values of Delta (weight, descending). `equal_share` and
    `changed_share` count elements with equal bits and with another value. `max_ulps` is the largest |Delta| in units
    in the last place of the coarser stored type, each element in its own.
    """

    name: str
    derived_name: str
    tensor: str
    order: int
    role: str
    view: str
    shape: list[int]
    M: int
    N: int
    base_dtype: str
    derived_dtype: str
    state: str
    sentence: str
    status: str = "OK"
    flags: list[str] = []
    undefined: dict[str, str] = {}
    nonfinite: dict[str, dict[str, Any]] = {}
    base_digest: str | None = None
    derived_digest: str | None = None
    equal_share: float | None = None
    changed_share: float | None = None
    relative_change: float | None = None
    cosine: float | None = None
    max_abs: float | None = None
    max_ulps: float | None = None
    base_fro2: float | None = None
    fro2: float | None = None
    spectral2: float | None = None
    stable_rank: float | None = None
    entropy_rank: float | None = None
    blind_floor: float | None = None
    histogram: Histogram | None = None
    top: list[float] | None = None
    floor: Floor | None = None
    shuffled: Shuffled | None = None
    rank_base: int | None = None
    rank_delta: int | None = None
    overlap_left: Overlap | None = None
    overlap_right: Overlap | None = None
    kinship: LayerKinship | None = None


class TensorDelta(msgspec.Struct, frozen=True, kw_only=True):
    """A tensor that is no weight matrix (norm, bias, other float tensor), compared element by element."""

    name: str
    derived_name: str
    order: int
    shape: list[int]
    base_dtype: str
    derived_dtype: str
    state: str
    sentence: str
    status: str = "OK"
    undefined: dict[str, str] = {}
    nonfinite: dict[str, dict[str, Any]] = {}
    equal_share: float | None = None
    changed_share: float | None = None
    relative_change: float | None = None
    cosine: float | None = None
    max_abs: float | None = None
    max_ulps: float | None = None


class UnmatchedTensor(msgspec.Struct, frozen=True):
    """A tensor without a partner. `reason` is only_in_base, only_in_derived or shape_differs (with both shapes).

    `weight` is false for buffers (position numbers, masks, rotary caches), which carry nothing that was learned.
    """

    name: str
    reason: str
    weight: bool = True
    base_shape: list[int] | None = None
    derived_shape: list[int] | None = None


class Renaming(msgspec.Struct, frozen=True):
    """Prefixes that were left out of the names of a side, which made `gained` more tensors match."""

    base_prefix: str
    derived_prefix: str
    gained: int


class Expectation(msgspec.Struct, frozen=True):
    """What was expected of DERIVED, and what decides it: `witness` is a tensor where one does."""

    expected: str
    verdict: Verdict
    found: str
    witness: str | None = None
    settle: str | None = None


class DiffReport(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `tollens diff`, in the order a person reads it.

    `verdict` is IDENTICAL, ROUNDED, MOVED or UNDETERMINED; with an expectation SURVIVED, KILLED or UNDETERMINED.
    `layers` begins with the one that moved most, relative to its norm; `order` is their order in BASE.
    """

    schema: str = "tollens.diff/1"
    verdict: str
    headline: str
    base: Subject
    derived: Subject
    expectation: Expectation | UnsetType = UNSET
    witness: str | None = None
    kinship: KinshipAnswer
    layers: list[LayerDelta]
    others: list[TensorDelta]
    unmatched: list[UnmatchedTensor]
    skipped: list[SkippedTensor]
    renamed: Renaming | None = None
    notes: list[Note]
    summary: dict[str, Any]
    settings: dict[str, Any]
    environment: Environment
