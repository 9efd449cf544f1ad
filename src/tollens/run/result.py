"""The contract of `tollens scan`: the structs behind `--json`, schema tollens.scan/1."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from tollens.core.reading import Interval, NullBand
from tollens.protocol.answer import ClaimAnswer
from tollens.protocol.finding import Finding, Note


class Histogram(msgspec.Struct, frozen=True):
    """Counts of log10(lambda) in equal bins between two decades; lambda in weight^2, above the blind floor."""

    log10_low: float
    log10_high: float
    counts: list[int]


class Subject(msgspec.Struct, frozen=True):
    """What was scanned. `digest` is "sha256:<hex>" of the file, or of the names and digests of the files of a folder,
    an index or an adapter with its configuration. Of a remote checkpoint it is "sha256-tensors:<hex>": of its headers,
    its configurations and the digests of the matrices that were measured, so that it depends on which these are.
    `parameters` counts elements of all stored tensors.
    """

    path: str
    digest: str
    format: str
    parameters: int
    tensors: int


class SkippedTensor(msgspec.Struct, frozen=True):
    """A stored tensor that was not analysed, and why."""

    name: str
    shape: list[int]
    dtype: str
    reason: str


class AliasedTensor(msgspec.Struct, frozen=True):
    """A stored tensor that is analysed under another name (tied weights)."""

    name: str
    analysed_as: str


class LayerReport(msgspec.Struct, frozen=True, kw_only=True):
    """Everything known of one weight matrix. A field that is null is explained in `undefined`.

    `plugins` holds the values of instruments from other packages, by quantity. `digest`, "sha256:<hex>", is of the
    stored bytes of the matrix, taken when they were read; of 8-bit floats that a stored scale multiplies, of their
    bytes followed by those of the scale.

    A matrix that is the product of two LoRA factors (view "factored") has `factors`, the names of their tensors, B
    first; `rank`, their common side; `gamma`, the number that scales the product; `target`, the tensor of the base
    model that it changes; `singular_values`, the r largest; `rcond_b` and `rcond_a`, smallest over largest singular
    value of each factor. Its `digest` is of the bytes of B followed by those of A.

    Eigenvalues are of the small Gram matrix, not divided by N, in weight^2. M is the smaller side, N the larger one.
    """

    name: str
    tensor: str
    order: int
    role: str
    view: str
    M: int
    N: int
    Q: float
    source_dtype: str
    precision: str
    flags: list[str] = []
    status: str = "OK"
    band: str | None = None
    undefined: dict[str, str] = {}
    sentence: str = ""
    null_distance: float | None = None
    digest: str | None = None
    lambda_max: float | None = None
    lambda_min_visible: float | None = None
    blind_floor: float | None = None
    alpha: float | None = None
    alpha_interval: Interval | None = None
    alpha_null: NullBand | None = None
    sigma: float | None = None
    xmin: float | None = None
    n_tail: int | None = None
    D: float | None = None
    p_gof: float | None = None
    alternatives: list[dict[str, Any]] | None = None
    fro2: float | None = None
    spectral2: float | None = None
    log10_fro2: float | None = None
    log10_spectral2: float | None = None
    log10_alpha_norm: float | None = None
    alpha_hat: float | None = None
    stable_rank: float | None = None
    entropy_rank: float | None = None
    participation_rank: float | None = None
    numerical_rank: int | None = None
    rank_tolerance: float | None = None
    mp_sigma2: float | None = None
    mp_sigma2_estimates: dict[str, float] | None = None
    mp_edge: float | None = None
    mp_distance: float | None = None
    tw_edge: float | None = None
    n_outliers: int | None = None
    outliers: list[dict[str, float]] | None = None
    localisation: list[dict[str, Any]] | None = None
    traps_all: list[int] | None = None
    traps_mean: list[int] | None = None
    traps_entry: list[int] | None = None
    traps_residual: list[int] | None = None
    trap_removed_share: float | None = None
    trap_clustering_p: float | None = None
    erg_count: int | None = None
    erg_gap: int | None = None
    seed: int = 0
    shuffles: int = 0
    permutation_id: str | None = None
    nonfinite: dict[str, Any] | None = None
    null: dict[str, NullBand] = {}
    histogram: Histogram | None = None
    target: str | UnsetType = UNSET
    factors: list[str] | UnsetType = UNSET
    rank: int | UnsetType = UNSET
    gamma: float | UnsetType = UNSET
    singular_values: list[float] | UnsetType = UNSET
    rcond_b: float | UnsetType = UNSET
    rcond_a: float | UnsetType = UNSET
    plugins: dict[str, Any] = {}
    ww: dict[str, Any] | UnsetType = UNSET


class Environment(msgspec.Struct, frozen=True):
    """What the bits of the result depend on besides the input."""

    tollens: str
    python: str
    numpy: str
    scipy: str
    blas: list[str]


class ScanReport(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `tollens scan`, in the order a person reads it."""

    schema: str = "tollens.scan/1"
    verdict: str
    headline: str
    subject: Subject
    settings: dict[str, Any]
    claim: ClaimAnswer | UnsetType = UNSET
    findings: list[Finding]
    notes: list[Note]
    layers: list[LayerReport]
    skipped: list[SkippedTensor]
    aliased: list[AliasedTensor]
    summary: dict[str, Any]
    environment: Environment
