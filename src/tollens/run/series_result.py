"""The contract of `tollens scan --series`: the structs behind `--json`, schema tollens.series/1."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from tollens.core.reading import Interval, NullBand
from tollens.protocol.change import Change
from tollens.protocol.finding import Note
from tollens.run.result import Environment


class SeriesMember(msgspec.Struct, frozen=True):
    """One checkpoint. `step_from`: metadata, trainer_state or name; `digest`: "sha256:<hex>" of its files, or
    "sha256-tensors:<hex>" of what was read of a remote one.
    """

    path: str
    step: int
    step_from: str
    digest: str
    format: str
    parameters: int
    tensors: int


class SeriesRow(msgspec.Struct, frozen=True, kw_only=True):
    """One matrix at one step. A field that is null is explained in `undefined`.

    Trap counts are medians over the shuffles, which are the same permutations at every step. `theta`: strength of the
    strongest outlier in units of the noise; `spectral_excess`: max(lambda_max - lambda_plus, 0)/lambda_plus with
    lambda_plus the edge of the fitted bulk. `distance` from the first checkpoint and `speed`, the distance from the one
    before, are Frobenius norms in weight; `delta_stable_rank` is the stable rank of what was added to the first.
    """

    matrix: str
    step: int
    role: str
    M: int
    N: int
    source_dtype: str
    status: str = "OK"
    undefined: dict[str, str] = {}
    alpha: float | None = None
    alpha_interval: Interval | None = None
    alpha_null: NullBand | None = None
    traps_all: float | None = None
    traps_mean: float | None = None
    traps_entry: float | None = None
    traps_residual: float | None = None
    erg_gap: int | None = None
    n_outliers: int | None = None
    theta: float | None = None
    mp_sigma2: float | None = None
    spectral_excess: float | None = None
    stable_rank: float | None = None
    stable_rank_null: NullBand | None = None
    fro2: float | None = None
    spectral2: float | None = None
    distance: float | None = None
    speed: float | None = None
    delta_stable_rank: float | None = None
    digest: str | None = None

    @property
    def name(self) -> str:
        return self.matrix


class StepSummary(msgspec.Struct, frozen=True, kw_only=True):
    """All matrices at one step: medians of those that have the value, and sums of trap counts by cause; null where no
    matrix has it.

    `alpha_low`, `alpha_high`: the medians of the ends of the intervals. `measured`: matrices without a failure.
    """

    step: int
    measured: int
    failed: int
    alpha: float | None = None
    alpha_low: float | None = None
    alpha_high: float | None = None
    stable_rank: float | None = None
    spectral_excess: float | None = None
    distance: float | None = None
    speed: float | None = None
    delta_stable_rank: float | None = None
    traps_mean: float | None = None
    traps_entry: float | None = None
    traps_residual: float | None = None


class BestStep(msgspec.Struct, frozen=True, kw_only=True):
    """Where the best checkpoint probably is: between steps `low` and `high`, at `guess`, or null where `sure` is
    "undetermined". `reason` is one sentence; `matrices` and `steps` are those that the answer rests on.
    """

    low: int | None
    high: int | None
    guess: int | None
    sure: str
    reason: str
    matrices: int
    steps: int


class UnmatchedMatrix(msgspec.Struct, frozen=True):
    """A matrix that is not in every checkpoint in one shape: the steps that have it, and its shapes."""

    name: str
    steps: list[int]
    shapes: list[list[int]]


class TensorForecast(msgspec.Struct, frozen=True, kw_only=True):
    """The path of one tensor. Errors are on the left-out checkpoint, as shares of the way from the first to it.

    `last_error`: of standing still at the last fitted checkpoint; `average_error`: of the mean of the last three.
    """

    name: str
    undefined: dict[str, str] = {}
    explained_variance: float | None = None
    r2: float | None = None
    exact: bool = False
    error: float | None = None
    last_error: float | None = None
    average_error: float | None = None


class CopiedTensor(msgspec.Struct, frozen=True):
    """A tensor that was not extrapolated but copied from the last checkpoint, and why."""

    name: str
    dtype: str
    reason: str


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """The checkpoint that was extrapolated to `step` and written to `path`; nothing in it was trained.

    `fitted_steps`: those of the final fit, after the first checkpoint at `origin`. `left_out`: the step that the errors
    are on, fitted from the others. `explained_variance` and the errors are of all tensors together; `exact` says that
    every tensor that moves lies on one line; `nearest` is what came closest to the left-out checkpoint: extrapolation,
    last or average. `settles` names the comparison that this cannot make.
    """

    step: int
    path: str
    digest: str
    origin: int
    fitted_steps: list[int]
    left_out: int
    explained_variance: float | None
    exact: bool
    error: float | None
    last_error: float | None
    average_error: float | None
    nearest: str | None
    settles: str
    tensors: list[TensorForecast]
    copied: list[CopiedTensor]


class SeriesReport(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `tollens scan --series`, in the order a person reads it.

    `paths`: as they were given, without what a URL may hold of credentials. `compared`: pairs of neighbours whose
    intervals of alpha were compared; `by_chance`: how many of them part by chance at most if nothing changes.
    """

    schema: str = "tollens.series/1"
    verdict: str
    headline: str
    best: BestStep
    changes: list[Change]
    compared: int
    by_chance: float
    extrapolation: Forecast | UnsetType = UNSET
    notes: list[Note]
    steps: list[StepSummary]
    paths: list[str]
    members: list[SeriesMember]
    rows: list[SeriesRow]
    unmatched: list[UnmatchedMatrix]
    settings: dict[str, Any]
    environment: Environment
