"""One weight matrix through all instruments: the unit of work that a pool maps over."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from tollens.core.errors import TollensError
from tollens.core.reading import NullBand, Reading, Status, Undefined
from tollens.core.seeding import generator
from tollens.instrument.alternatives import AlternativesParams, alternatives
from tollens.instrument.bands import band, no_power_law
from tollens.instrument.bulk import BulkParams, bulk, fitted_distance
from tollens.instrument.compatible import columns, compatible
from tollens.instrument.edge import EdgeParams, edge
from tollens.instrument.erg import erg
from tollens.instrument.goodness import GoodnessParams, goodness
from tollens.instrument.localisation import LocalisationParams, localisation
from tollens.instrument.norms import alpha_norms, norms
from tollens.instrument.null import ShapeNull, shape_null
from tollens.instrument.part import Part
from tollens.instrument.permutation import draw_key, shuffle
from tollens.instrument.registry import Instrument
from tollens.instrument.screen import extremes_of, moments_of
from tollens.instrument.spectrum import Precision, Spectrum, needs_f64, spectrum_of
from tollens.instrument.spectrum import spectrum as ends
from tollens.instrument.tail import TailFit, TailParams, fit_tail, tail
from tollens.instrument.traps import TOP_SIDE, TrapParams, traps
from tollens.protocol.sentence import null_distance, sentence
from tollens.run.plugins import plugged_in, plugged_quantities, plugin_readings
from tollens.run.result import Histogram, LayerReport
from tollens.run.settings import ScanSettings
from tollens.subject.matrices import MatrixView

Array = NDArray[np.floating[Any]]
FIELDS = frozenset(LayerReport.__struct_fields__)
AFTER_TAIL = (norms, alpha_norms, erg, bulk, edge, localisation, traps, goodness, alternatives)
MEASURED = tuple(
    name
    for name, default in zip(
        LayerReport.__struct_fields__[-len(LayerReport.__struct_defaults__) :],
        LayerReport.__struct_defaults__,
        strict=True,
    )
    if default is None and name not in ("band", "nonfinite", "null_distance")
)  # each of these is there, or `undefined` says why not
BINS = 64
ONE_THREAD_SIDE = 1024  # smaller matrices fit in cache, where a second thread costs more than it brings
LAYER_FAILURES = frozenset({"eigensolver_failed", "did_not_converge", "scale_out_of_range"})
"""What may go wrong with one matrix and leaves the others standing; a file that changes under the scan does not."""


@dataclass(frozen=True, slots=True)
class ShapeTask:
    """Which Gaussian spectra to draw: `draws` of shape M x N."""

    M: int
    N: int
    settings: ScanSettings


@dataclass(frozen=True, slots=True)
class LayerTask:
    """What a worker needs for one matrix; it pickles in kilobytes, the weights are read by the worker.

    `refused` names the instruments whose known answers fail on this machine.
    """

    view: MatrixView
    order: int
    settings: ScanSettings
    matrices: int
    null: ShapeNull | None
    refused: frozenset[str] = frozenset()


def used(settings: ScanSettings) -> list[Instrument]:
    """The instruments that a scan with these settings asks, those of plugins last."""
    chosen = [ends, tail]
    if not settings.only:
        chosen += [made for made in AFTER_TAIL if settings.gof or made not in (goodness, alternatives)]
        chosen += plugged_in()
    return [*chosen, compatible] if settings.columns == "weightwatcher" else chosen


@cache
def _controller() -> ThreadpoolController:
    """Found once a process: looking for the BLAS libraries takes milliseconds."""
    return ThreadpoolController()


def blas_threads(count: int) -> AbstractContextManager[Any]:
    """A context in which BLAS runs on `count` threads, which the last bits of a result depend on."""
    limit: AbstractContextManager[Any] = _controller().limit(limits=count, user_api="blas")
    return limit


def measure_shape(task: ShapeTask) -> ShapeNull | None:
    """The null spectra of one shape, the same for (seed, M, N) whoever draws them."""
    settings, extra = task.settings, {"mp_distance": fitted_distance}
    with blas_threads(1):
        rng = generator(settings.seed, "null", f"{task.M}x{task.N}")
        threads = settings.threads if task.M >= ONE_THREAD_SIDE else 1
        return shape_null(task.M, task.N, settings.null_draws, rng, extra=extra, threads=threads)


def measure_layer(task: LayerTask) -> LayerReport:
    """All readings of one matrix. What cannot be measured comes back as FAILED or UNDEFINED with its reason."""
    settings = task.settings
    threads = settings.threads if min(task.view.shape) >= ONE_THREAD_SIDE else 1
    with task.view.nearby() as view, blas_threads(threads):
        weights = Weights(view)
        seen = extremes_of(weights.look())
        if not seen.finite:
            return _report(task, [], weights.digest, status="FAILED", nonfinite=nonfinite(weights.look()))
        moments = moments_of(weights.look(), seen)
        part = Part(view.name, view.shape, view.dtype, weights.take, moments, kept=weights.look)
        try:
            spectrum, fit = spectrum_and_fit(part, settings.precision, settings.threads)
            part = replace(part, spectrum=spectrum, tail=fit if isinstance(fit, TailFit) else None)
            # Large matrices are now multiplied by threads of our own, and those of BLAS would spin beside them.
            with blas_threads(1) if part.M >= TOP_SIDE else nullcontext():
                readings = list(_readings(part, task))
            wanted = settings.columns == "weightwatcher" and compatible.name not in task.refused
            peer = peer_columns(part, settings) if wanted else None
        except TollensError as error:
            if error.code not in LAYER_FAILURES:
                raise
            return _report(task, [], weights.digest, status="FAILED", failed=error.code)
        return _report(task, readings, weights.digest, spectrum=spectrum, variance=moments.std**2, peer=peer)


def lost_layer(task: LayerTask) -> LayerReport:
    """The report of a matrix whose workers died, each of them: FAILED, `worker_died`."""
    return _report(task, [], None, status="FAILED", failed="worker_died")


def lost_shape(task: ShapeTask) -> ShapeNull | None:
    """A null whose workers died, each of them, is not there."""
    return None


class Weights:
    """The matrix of a view: read when it is first looked at, and kept until it is taken. `digest` is then that of
    its stored bytes; None where they are mixed with those of other matrices.

    In float64 if it is stored so, else in float32, which holds every narrower type exactly.
    """

    def __init__(self, view: MatrixView) -> None:
        self._view = view
        self._kept: Array | None = None
        self.digest: str | None = None

    def look(self) -> Array:
        """The matrix, to be read only."""
        if self._kept is None:
            first = hashlib.sha256() if self.digest is None and self._view.cut.unbroken else None
            self._kept = self._view.load(np.float64 if self._view.dtype == "F64" else np.float32, first)
            if first is not None:
                self.digest = "sha256:" + first.hexdigest()
            self._kept.setflags(write=False)
        return self._kept

    def take(self) -> Array:
        """The matrix, for the caller to overwrite; it is read again for the next one who asks."""
        matrix, self._kept = self.look(), None
        matrix.setflags(write=True)
        return matrix


def peer_columns(part: Part, settings: ScanSettings) -> dict[str, Any]:
    """The compatible columns; those that need a shuffle take one recorded permutation of their own, in full."""
    assert part.spectrum is not None
    if settings.only or part.spectrum.lambda_max == 0.0:
        return dict(columns(part.spectrum))
    matrix = part.load()
    shuffle(matrix, draw_key(generator(settings.seed, "compatible", part.name)), 0)
    shuffled = spectrum_of(matrix, part.spectrum.precision, threads=settings.threads)
    return dict(columns(part.spectrum, shuffled.eigenvalues))


def nonfinite(matrix: Array) -> dict[str, Any] | None:
    """Count and first index of NaN and infinite elements; None if there is none."""
    bad = ~np.isfinite(matrix)
    if not bad.any():
        return None
    first = np.unravel_index(int(np.argmax(bad)), matrix.shape)
    return {"count": int(bad.sum()), "first_index": [int(i) for i in first]}


def spectrum_and_fit(part: Part, asked: Precision, threads: int = 1) -> tuple[Spectrum, TailFit | Undefined]:
    """The spectrum, measured again in f64 where f32 is blind to what it says."""
    precision: Precision = "f64" if part.source_dtype == "F64" else asked
    spectrum = spectrum_of(part.look(), precision, threads=threads)
    fit = fit_tail(spectrum.visible)
    if needs_f64(spectrum, fit.xmin if isinstance(fit, TailFit) else None):
        escalated = (*spectrum.flags, "precision_escalated")
        spectrum = spectrum_of(part.look(), "f64", escalated, threads)
        fit = fit_tail(spectrum.visible)
    return spectrum, fit


def _readings(part: Part, task: LayerTask) -> Iterable[Reading]:
    settings, seed, side = task.settings, task.settings.seed, task.settings.min_side

    def measure(made: Instrument, part: Part, params: Any = None) -> tuple[Reading, ...]:
        if made.name in task.refused:
            return made.skipped(part.name, "answers_fail", Status.FAILED)
        return made.measure(part, params, seed=seed)

    measured = measure(tail, part, TailParams(draws=0 if settings.only else settings.bootstrap, min_side=side))
    yield from measured
    if settings.only:
        for made in AFTER_TAIL:
            yield from made.skipped(part.name, "not_requested")
        return
    tailed = {r.quantity: r for r in measured}
    if tailed["n_tail"].status is not Status.OK:  # what is no tail must not count as one further down
        part = replace(part, tail=None)
    yield from measure(norms, part)
    if tailed["alpha"].status is Status.OK or alpha_norms.name in task.refused:
        yield from measure(alpha_norms, part)
    else:
        yield from alpha_norms.skipped(part.name, str(tailed["alpha"].reason), Status.UNDEFINED)
    yield from measure(erg, part)
    bulked = measure(bulk, part, BulkParams(min_side=side))
    yield from bulked
    noise = next(r for r in bulked if r.quantity == "mp_sigma2")
    if isinstance(noise.value, float):
        beyond = EdgeParams(sigma2=noise.value, matrices=task.matrices, min_side=side)
        yield from measure(edge, part, beyond)
        yield from measure(localisation, part, LocalisationParams(beyond, threads=settings.threads))
    else:
        for without_noise in (edge, localisation):
            unfit = without_noise.name in task.refused
            status, reason = (Status.FAILED, "answers_fail") if unfit else (Status.UNDEFINED, str(noise.reason))
            yield from without_noise.skipped(part.name, reason, status)
    counted = TrapParams(shuffles=settings.shuffles, matrices=task.matrices, min_side=side, threads=settings.threads)
    yield from measure(traps, part, counted)
    optional = (
        (goodness, GoodnessParams(draws=settings.gof, min_side=side)),
        (alternatives, AlternativesParams(min_side=side)),
    )
    for instrument, params in optional:
        if settings.gof:
            yield from measure(instrument, part, params)
        else:
            yield from instrument.skipped(part.name, "not_requested")
    yield from plugin_readings(part, seed, task.refused)


def _report(
    task: LayerTask,
    readings: list[Reading],
    digest: str | None,
    *,
    spectrum: Spectrum | None = None,
    variance: float | None = None,
    status: str = "OK",
    nonfinite: dict[str, Any] | None = None,
    failed: str | None = None,
    peer: dict[str, Any] | None = None,
) -> LayerReport:
    view, settings = task.view, task.settings
    M, N = min(view.shape), max(view.shape)
    fields: dict[str, Any] = {"digest": digest}
    plugged: dict[str, Any] = {}
    foreign = plugged_quantities()
    undefined: dict[str, str] = {}
    if digest is None:
        undefined["digest"] = failed if failed == "worker_died" else "bytes_shared"
    flags = list(view.flags)
    if failed is not None or nonfinite is not None:
        for measured in (tail, *AFTER_TAIL, *plugged_in()):
            undefined |= dict.fromkeys(measured.quantities, failed or "nonfinite")
    if spectrum is not None and ends.name in task.refused:
        undefined |= dict.fromkeys((*ends.quantities, "histogram"), "answers_fail")
    elif spectrum is not None:
        fields |= _spectrum_fields(spectrum)
        flags += spectrum.flags
    for r in readings:
        flags += [f for f in r.flags if f not in flags]
        if r.status is not Status.OK:
            undefined[r.quantity] = str(r.reason)
        elif r.quantity in FIELDS:
            fields[r.quantity] = r.value
        elif r.quantity in foreign:
            plugged[r.quantity] = r.value
        if r.quantity == "alpha" and r.interval is not None:
            fields["alpha_interval"] = r.interval
        if r.quantity == "traps_all":
            fields["shuffles"] = settings.shuffles
    if peer is not None:
        fields["ww"] = {name: value for name, value in peer.items() if not isinstance(value, Undefined)}
        undefined |= {f"ww.{name}": value.reason for name, value in peer.items() if isinstance(value, Undefined)}
    elif settings.columns == "weightwatcher" and compatible.name in task.refused:
        undefined |= dict.fromkeys(compatible.quantities, "answers_fail")
    if variance == 0.0 and fields.get("lambda_max"):
        flags.append("no_variance")
    nulls = _nulls(task.null, readings, variance, view.dtype)
    fields["alpha_null"] = nulls.get("alpha")
    unsaid = [name for name in MEASURED if fields.get(name) is None and name not in undefined]
    undefined |= {name: _absence(name, undefined, task, status) for name in unsaid}
    layer = LayerReport(
        name=view.name,
        tensor=view.tensor.name,
        order=task.order,
        role=view.role.kind,
        view=view.view,
        M=M,
        N=N,
        Q=N / M,
        source_dtype=view.dtype,
        precision=spectrum.precision if spectrum is not None else settings.precision,
        status=status,
        seed=settings.seed,
        nonfinite=nonfinite,
        null=nulls,
        plugins=plugged,
        **fields,
    )
    lawless: object = no_power_law(
        layer.alpha_interval, layer.alpha_null, layer.p_gof, layer.alternatives, layer.n_tail
    )
    lawless = lawless and tail.name not in task.refused  # what was refused says nothing of the matrix
    if lawless and not settings.only:
        flags.append("no_power_law")
    layer = msgspec.structs.replace(
        layer,
        flags=flags,
        undefined=undefined,
        band=band(layer.alpha_interval, layer.alpha_null, lawless),
    )
    plain = msgspec.to_builtins(layer)
    return msgspec.structs.replace(layer, sentence=sentence(plain), null_distance=null_distance(plain))


def _absence(name: str, undefined: Mapping[str, str], task: LayerTask, status: str) -> str:
    """Why a field that no instrument speaks of has no value."""
    no_tail, asked = undefined.get("alpha"), not task.settings.only
    if no_tail is not None and (status != "OK" or no_tail == "zero_matrix" or name.startswith("alpha_")):
        return no_tail
    if name == "alpha_interval":
        return "no_tail" if asked and task.settings.bootstrap else "not_requested"
    if name == "alpha_null":
        return "no_null" if asked and task.settings.null_draws else "not_requested"
    return "absent"


def _nulls(
    null: ShapeNull | None, readings: Iterable[Reading], variance: float | None, dtype: str
) -> dict[str, NullBand]:
    """The band of every measured quantity that the null of this shape knows, at the layer's element variance.

    Trap counts bring their own null: none is expected after a shuffle.
    """
    own = {r.quantity: r.null for r in readings if r.null is not None and r.status is Status.OK}
    if null is None or variance is None or variance <= 0.0:
        return own
    measured = {r.quantity for r in readings if r.status is Status.OK}
    bands = {q: null.band(q, variance, dtype) for q in null.quantities if q in measured}
    return own | {q: b for q, b in bands.items() if b is not None}


def _spectrum_fields(spectrum: Spectrum) -> dict[str, Any]:
    visible = spectrum.visible
    if visible.size == 0:
        return {"lambda_max": 0.0, "blind_floor": 0.0}
    return {
        "lambda_max": float(visible[-1]),
        "lambda_min_visible": float(visible[0]),
        "blind_floor": spectrum.blind_floor,
        "histogram": histogram_of(visible),
    }


def histogram_of(visible: NDArray[np.float64]) -> Histogram:
    """Counts of log10 of positive eigenvalues, ascending, at least one."""
    logs = np.log10(visible)
    low, high = float(logs[0]), float(logs[-1])
    if not high > low:
        low, high = low - 0.5, high + 0.5  # one eigenvalue, or equal ones, in the middle of a decade
    counts, _ = np.histogram(logs, bins=BINS, range=(low, high))
    return Histogram(low, high, counts.tolist())
