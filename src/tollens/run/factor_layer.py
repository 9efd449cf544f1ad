"""One pair of LoRA factors: the readings of their product, which is never formed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec

from tollens.core.errors import TollensError
from tollens.core.reading import Reading, Status
from tollens.core.seeding import generator
from tollens.instrument.compatible import compatible
from tollens.instrument.factored import FactorNull, factor_null, factored
from tollens.instrument.part import FactorPart
from tollens.protocol.sentence import null_distance, sentence
from tollens.run.layer import (
    FIELDS,
    LAYER_FAILURES,
    MEASURED,
    LayerTask,
    blas_threads,
    lost_layer,
    measure_layer,
    nonfinite,
)
from tollens.run.plugins import plugged_quantities
from tollens.run.result import LayerReport
from tollens.run.settings import ScanSettings
from tollens.subject.factors import FactorView


@dataclass(frozen=True, slots=True)
class FactorTask:
    """What a worker needs for one pair of factors; it pickles in kilobytes, the worker reads the factors.

    `refused` names the instruments whose known answers fail on this machine.
    """

    view: FactorView
    order: int
    settings: ScanSettings
    refused: frozenset[str] = frozenset()


def measure_any(task: LayerTask | FactorTask) -> LayerReport:
    """All readings of one matrix, stored or given by its factors."""
    return measure_factors(task) if isinstance(task, FactorTask) else measure_layer(task)


def lost_any(task: LayerTask | FactorTask) -> LayerReport:
    """The report of a matrix whose workers died, each of them: FAILED, `worker_died`."""
    return _report(task, None, failed="worker_died") if isinstance(task, FactorTask) else lost_layer(task)


def measure_factors(task: FactorTask) -> LayerReport:
    """Norms and ranks of one product; what needs a bulk or a tail is UNDEFINED `factored`."""
    # A second thread costs more than it brings to thin factors and small squares.
    with task.view.nearby() as view, blas_threads(1):
        stored = hashlib.sha256()
        factors = view.load_factors(stored)
        digest = "sha256:" + stored.hexdigest()
        broken = _nonfinite(view, factors)
        if broken is not None:
            return _report(task, digest, failed="nonfinite", nonfinite=broken)
        if factored.name in task.refused:
            return _report(task, digest, factored.skipped(view.name, "answers_fail", Status.FAILED))
        part = FactorPart(view.name, factors, view.gamma, (view.b.dtype, view.a.dtype))
        try:
            return _report(task, digest, factored.measure(part, seed=task.settings.seed))
        except TollensError as error:
            if error.code not in LAYER_FAILURES:
                raise
            return _report(task, digest, failed=error.code)


@lru_cache(maxsize=64)
def _null(out: int, width: int, rank: int, draws: int, seed: int) -> FactorNull:
    """The null of one shape and rank: the same for all pairs that have them, whoever draws it."""
    rng = generator(seed, "factor_null", f"{out}x{width} rank {rank}")
    return factor_null(out, width, rank, draws, rng)


def _nonfinite(view: FactorView, factors: tuple[Any, Any]) -> dict[str, Any] | None:
    found = [(tensor.name, nonfinite(matrix)) for tensor, matrix in zip((view.b, view.a), factors, strict=True)]
    bad = [(name, where) for name, where in found if where is not None]
    if not bad:
        return None
    name, where = bad[0]
    return {"count": sum(w["count"] for _, w in bad), "first_index": where["first_index"], "tensor": name}


def _report(
    task: FactorTask,
    digest: str | None,
    readings: tuple[Reading, ...] = (),
    *,
    failed: str | None = None,
    nonfinite: dict[str, Any] | None = None,
) -> LayerReport:
    view, settings = task.view, task.settings
    M, N = min(view.shape), max(view.shape)
    values = {r.quantity: r.value for r in readings if r.status is Status.OK}
    undefined = {r.quantity: str(r.reason) for r in readings if r.status is not Status.OK}
    if view.gamma is None:
        undefined["gamma"] = "scaling_unknown"
    unread = [*MEASURED, *plugged_quantities()]
    if settings.columns == "weightwatcher":
        unread += compatible.quantities
    undefined |= {name: failed or "factored" for name in unread if values.get(name) is None and name not in undefined}
    if digest is not None:
        del undefined["digest"]
    null = {}
    if settings.null_draws and not failed:
        drawn = _null(M, N, view.rank, settings.null_draws, settings.seed)
        bands = {quantity: drawn.band(quantity) for quantity in drawn.values if quantity in values}
        null = {quantity: band for quantity, band in bands.items() if band is not None}
    layer = LayerReport(
        name=view.name,
        tensor=view.b.name,
        order=task.order,
        role=view.role,
        view="factored",
        M=M,
        N=N,
        Q=N / M,
        source_dtype=view.dtype,
        precision="f64",
        status="FAILED" if failed else "OK",
        flags=["factored", f"rank:{view.rank}", *view.flags],
        undefined=undefined,
        seed=settings.seed,
        nonfinite=nonfinite,
        null=null,
        digest=digest,
        target=msgspec.UNSET if view.target is None else view.target,
        factors=[view.b.name, view.a.name],
        rank=view.rank,
        gamma=msgspec.UNSET if view.gamma is None else view.gamma,
        **{name: value for name, value in values.items() if name in FIELDS},  # type: ignore[arg-type]  # by name
    )
    plain = msgspec.to_builtins(layer)
    return msgspec.structs.replace(layer, sentence=sentence(plain), null_distance=null_distance(plain))
