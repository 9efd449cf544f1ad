"""One matrix of BASE and its namesake in DERIVED through all comparisons: the unit of work of a diff."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tollens.core.errors import TollensError
from tollens.core.reading import NullBand, Undefined
from tollens.core.seeding import generator
from tollens.instrument.delta import Elements, RoundingFloor, coarser, common_grid, elements_of, rounding_floor
from tollens.instrument.edge import EdgeParams, family_level, tw_edge
from tollens.instrument.kinship import alignment, sorted_distance
from tollens.instrument.norms import entropy_rank, fro2, stable_rank
from tollens.instrument.part import Moments
from tollens.instrument.permutation import draw_key, shuffle
from tollens.instrument.screen import clear, extremes_of, moments_of
from tollens.instrument.spectrum import Spectrum, spectrum_of
from tollens.instrument.subspace import (
    HaarOverlap,
    into_range,
    largest_eigenvalue,
    leading,
    overlap,
    usable_rank,
)
from tollens.run.diff_cast import Cast, cast_of
from tollens.run.diff_result import Floor, LayerDelta, LayerKinship, Overlap, Shuffled
from tollens.run.diff_settings import DiffSettings
from tollens.run.layer import LAYER_FAILURES, ONE_THREAD_SIDE, blas_threads, histogram_of, nonfinite
from tollens.subject.factors import FactorView
from tollens.subject.matrices import MatrixView

Array = NDArray[np.floating[Any]]
TOP = 8  # singular values of Delta that a report lists
NAMED = frozenset({"embedding", "head", "position_embedding", "token_type_embedding", "patch_embedding"})
"""Roles whose rows or columns mean the same in any two networks, such as one token a row."""
SEVERAL, FEW = 3, 1  # permutations of a small and of a large Delta that its elements alone do not clear
UNSETTLED = 0.1  # sine of the angle by which a subspace may be off before a reader is told
LARGEST = 2.0**127
KIN_SIDE = 32  # smaller matrices have a null so wide that they tell nothing
OPTIONAL = (
    "equal_share", "changed_share", "relative_change", "cosine", "max_abs", "max_ulps", "base_fro2", "fro2",
    "spectral2", "stable_rank", "entropy_rank", "blind_floor", "histogram", "top", "floor", "shuffled", "rank_base",
    "rank_delta", "overlap_left", "overlap_right", "kinship",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class DeltaTask:
    """What a worker needs for one pair of matrices; it pickles in kilobytes, the weights are read by the worker.

    `matrices` are judged together, which sets the level of each edge.
    """

    base: MatrixView | FactorView
    derived: MatrixView | FactorView
    order: int
    matrices: int
    settings: DiffSettings


@dataclass(frozen=True, slots=True)
class State:
    """State of a layer, and the sentence that says why."""

    state: str
    sentence: str


def measure_delta(task: DeltaTask) -> LayerDelta:
    """All readings of one pair. What cannot be measured comes back as FAILED or undefined with its reason."""
    small = min(task.base.shape) < ONE_THREAD_SIDE
    with blas_threads(1):
        try:
            return _measured(task, 1 if small else task.settings.threads)
        except TollensError as error:
            if error.code not in LAYER_FAILURES:
                raise
            return report(task, State("unknown", f"not measured: {error.code}"), {}, failed=error.code)


def _measured(task: DeltaTask, threads: int) -> LayerDelta:
    assert isinstance(task.base, MatrixView)  # factors go through diff_factors
    assert isinstance(task.derived, MatrixView)
    base_dtype, derived_dtype = task.base.dtype, task.derived.dtype
    wide: type[np.floating[Any]] = np.float64 if "F64" in (base_dtype, derived_dtype) else np.float32
    (base, base_digest), (derived, derived_digest) = (read_hashed(view, wide) for view in (task.base, task.derived))
    digests = {"base_digest": base_digest, "derived_digest": derived_digest}
    if base.size == 0:
        return report(task, State("identical", "no elements"), digests, failed="empty_tensor")
    bad = {side: found for side, w in (("base", base), ("derived", derived)) if (found := _nonfinite(w)) is not None}
    if bad:
        return report(task, _with_nonfinite(base, derived, bad), digests, bad=bad)
    grid_name = _common_grid(task)
    grid = common_grid(base_dtype, derived_dtype) if grid_name is not None else None
    only_base = grid_name == base_dtype and base_dtype != derived_dtype
    seen = elements_of(base, derived, grid, threads, base_rounded=only_base)
    fields = digests | _elementwise(seen)
    missing: dict[str, str] = {}
    if not math.isfinite(seen.base2 + seen.derived2 + seen.delta2):
        raise _out_of_range(task)
    kin = _kinship(task, base, derived, seen)
    if isinstance(kin, Undefined):
        missing["kinship"] = kin.reason
    else:
        fields["kinship"] = kin
    cast = cast_of(base, derived, base_dtype, derived_dtype) if seen.changed and grid_name is not None else None
    if seen.max_delta > LARGEST:  # a difference of the largest numbers of float32 leaves its range
        base, derived = base.astype(np.float64), derived.astype(np.float64)
    delta = np.subtract(derived, base, out=derived)
    if seen.changed == 0:
        fields |= {"fro2": 0.0, "spectral2": 0.0}
        missing |= dict.fromkeys(("stable_rank", "entropy_rank", "histogram", "top", "blind_floor"), "zero_matrix")
        missing |= dict.fromkeys((*_EDGES, *_OVERLAPS), "zero_matrix")
        return report(task, _unchanged(task, seen), fields, missing)
    spectrum = _spectrum(delta, task, threads)
    fields |= _spectral(spectrum, missing)
    floor = _floor(task, seen, spectrum, grid_name, missing)
    fields["floor"] = floor
    state = _state(task, seen, cast, floor, spectrum.blind_floor)
    if min(delta.shape) < task.settings.min_side:
        missing |= dict.fromkeys(("shuffled", *_OVERLAPS), "too_small")
        return report(task, state, fields, missing)
    moments = moments_of(delta)
    unit = into_range(delta) ** 2
    if state.state == "moved":
        above = floor.above if floor is not None else int(spectrum.visible.size)
        fields |= _overlaps(task, base, delta, min(above, int(spectrum.visible.size)), threads, missing)
    else:
        missing |= dict.fromkeys(_OVERLAPS, "only_rounding")
    del base
    shuffled = _shuffled(task, delta, moments, unit, spectrum, threads)
    fields["shuffled"] = shuffled
    if state.state == "moved":
        state = State("moved", f"{state.sentence}; {shuffled.above} beyond the same change in random order")
    return report(task, state, fields, missing)


def read_hashed(view: MatrixView, dtype: type[np.floating[Any]]) -> tuple[Array, str | None]:
    """The matrix, and "sha256:<hex>" of its stored bytes; None where those of other matrices lie between them."""
    stored = hashlib.sha256() if view.cut.unbroken else None
    with view.nearby() as near:
        matrix = near.load(dtype, stored)
    return matrix, None if stored is None else "sha256:" + stored.hexdigest()


def lost_delta(task: DeltaTask) -> LayerDelta:
    """The report of a pair whose workers died, each of them: FAILED, `worker_died`."""
    return report(task, State("unknown", "every worker died at it"), {}, failed="worker_died")


_EDGES = ("floor", "shuffled")
_OVERLAPS = ("rank_base", "rank_delta", "overlap_left", "overlap_right")


def _nonfinite(w: Array) -> dict[str, Any] | None:
    return None if extremes_of(w).finite else nonfinite(w)


def _with_nonfinite(base: Array, derived: Array, bad: dict[str, dict[str, Any]]) -> State:
    """Equal bits are equal whatever they mean; anything else with NaN in it is not measured."""
    bits = np.uint32 if base.dtype == np.float32 else np.uint64
    counts = ", ".join(f"{found['count']} in {side.upper()}" for side, found in bad.items())
    if np.array_equal(base.view(bits), derived.view(bits)):
        return State("identical", f"equal bits, NaN or infinite elements among them: {counts}")
    return State("unknown", f"NaN or infinite elements: {counts}")


def _common_grid(task: DeltaTask) -> str | None:
    """The coarser stored type; None where stored numbers are not the weights, as those of a quantised tensor."""
    scaled_up = any(f.startswith("dequantised") for v in (task.base, task.derived) for f in v.flags)
    return None if scaled_up else coarser(task.base.dtype, task.derived.dtype)


def _elementwise(seen: Elements) -> dict[str, Any]:
    return {
        "equal_share": seen.equal / seen.count,
        "changed_share": seen.changed / seen.count,
        "relative_change": seen.relative_change,
        "cosine": seen.cosine,
        "max_abs": seen.max_delta,
        "max_ulps": seen.max_ulps,
        "base_fro2": seen.base2,
    }


def _kinship(task: DeltaTask, base: Array, derived: Array, seen: Elements) -> LayerKinship | Undefined:
    if min(base.shape) < KIN_SIDE:
        return Undefined("too_small")
    rng = generator(task.settings.seed, "kinship", task.base.name)
    found = alignment(base, derived, task.settings.draws, rng)
    if isinstance(found, Undefined):
        return found
    spreads = [
        sorted_distance(np.sqrt(b), np.sqrt(d), rng)
        for b, d in ((seen.base_rows, seen.derived_rows), (seen.base_cols, seen.derived_cols))
    ]
    assert isinstance(task.base, MatrixView)
    tested = task.base.role.kind not in NAMED
    return LayerKinship(
        tested=tested,
        cosine=found.cosine,
        null_high=found.null_high,
        draws=found.draws,
        block=found.block,
        above=found.above,
        row_spread=spreads[0],
        column_spread=spreads[1],
        diagonal=found.diagonal,
    )


def _unchanged(task: DeltaTask, seen: Elements) -> State:
    if task.base.dtype != task.derived.dtype:
        return State("rounded", f"a cast from {task.base.dtype} to {task.derived.dtype} that lost nothing")
    if seen.equal < seen.count:
        return State("identical", f"equal values; {seen.count - seen.equal} zeros differ in their sign")
    return State("identical", "equal bits")


def _spectrum(delta: Array, task: DeltaTask, threads: int) -> Spectrum:
    precision = "f64" if delta.dtype == np.float64 else task.settings.precision
    with blas_threads(threads):
        return spectrum_of(delta, precision, threads=threads)


def _spectral(spectrum: Spectrum, missing: dict[str, str]) -> dict[str, Any]:
    values = spectrum.eigenvalues
    fields: dict[str, Any] = {
        "spectral2": spectrum.lambda_max,
        "blind_floor": spectrum.blind_floor,
        "histogram": histogram_of(spectrum.visible),
        "top": [math.sqrt(v) for v in values[::-1][:TOP].tolist()],
    }
    for name, found in (
        ("fro2", fro2(values)),
        ("stable_rank", stable_rank(values)),
        ("entropy_rank", entropy_rank(values)),
    ):
        if isinstance(found, Undefined):
            missing[name] = found.reason
        else:
            fields[name] = found
    return fields


def _above(spectrum: Spectrum, edge: float) -> tuple[int, float]:
    """Eigenvalues above an edge and above what the arithmetic sees, and their share of the sum.

    Below the blind floor stands the rounding of the Gram matrix itself, which an edge may lie far beneath.
    """
    values = spectrum.eigenvalues / spectrum.lambda_max
    chosen = values[spectrum.eigenvalues > max(edge, spectrum.blind_floor)]
    return int(chosen.size), float(chosen.sum() / values.sum())


def _floor(
    task: DeltaTask, seen: Elements, spectrum: Spectrum, grid: str | None, missing: dict[str, str]
) -> Floor | None:
    found: RoundingFloor | None = rounding_floor(seen, task.settings.roundings, level_of(task))
    if found is None or grid is None:
        missing["floor"] = missing["max_ulps"] = "no_common_grid"
        return None
    return Floor(grid, task.settings.roundings, found.rms, found.mp_edge, found.edge, *_above(spectrum, found.edge))


def _state(task: DeltaTask, seen: Elements, cast: Cast | None, floor: Floor | None, blind: float) -> State:
    if cast is not None:
        return State("rounded", cast.sentence)
    share = f"{seen.changed / seen.count:.3%} of elements changed"
    if floor is None or seen.max_ulps is None:
        return State("moved", f"{share}; the stored numbers are codes, whose rounding is not known here")
    if seen.max_ulps <= task.settings.roundings and floor.above == 0:
        return State("rounded", f"{share}, none by more than {_ulps(seen.max_ulps)}, and nothing lies above rounding")
    if floor.above == 0:
        return State("moved", f"{share}, up to {_ulps(seen.max_ulps)}, without a direction above rounding")
    directions = "direction" if floor.above == 1 else "directions"
    found = f"at least {floor.above}" if blind > floor.edge else f"{floor.above}"
    told = f"{found} {directions} above rounding, with {floor.energy_above:.1%} of the change"
    return State("moved", f"{share}; {told}")


def _ulps(count: float) -> str:
    return f"{count:.3g} unit{'' if count == 1.0 else 's'} in the last place"


def _overlaps(
    task: DeltaTask, base: Array, delta: Array, of_delta: int, threads: int, missing: dict[str, str]
) -> dict[str, Any]:
    """Overlap of the leading singular subspaces, left (rows) and right (columns).

    Of Delta only `of_delta` directions are taken at most, those above rounding.
    """
    rank = usable_rank(task.settings.rank, min(base.shape))
    if rank == 0 or not base.any():
        missing |= dict.fromkeys(_OVERLAPS, "too_small" if rank == 0 else "zero_matrix")
        return {}
    into_range(base)
    first, second = (
        leading(w, rank, generator(task.settings.seed, f"subspace_{label}", task.base.name), threads)
        for label, w in (("base", base), ("delta", delta))
    )
    second = second.first(max(1, min(rank, of_delta)))
    doubt = max(first.doubt, second.doubt)
    sides = {
        "overlap_left": overlap_beside_chance(first.left, second.left, doubt),
        "overlap_right": overlap_beside_chance(first.right, second.right, doubt),
    }
    return {"rank_base": first.rank, "rank_delta": second.rank, **sides}


def overlap_beside_chance(first: NDArray[np.float64], second: NDArray[np.float64], doubt: float) -> Overlap:
    """Of two subspaces (k, d) and (k', d), orthonormal rows, beside the law of independent ones."""
    law = HaarOverlap(first.shape[0], second.shape[0], first.shape[1])
    low, median, high = (law.quantile(level) for level in (0.05, 0.5, 0.95))
    return Overlap(overlap(first, second), law.d, law.mean, NullBand(median, low, high, 0, "haar"), doubt)


def _shuffled(
    task: DeltaTask, delta: Array, moments: Moments, unit: float, spectrum: Spectrum, threads: int
) -> Shuffled:
    """`delta` is in units of sqrt(unit), and is shuffled in place: nobody needs it afterwards."""
    edge, draws = tw_edge(spectrum.M, spectrum.N, moments.std**2, level_of(task)), 0
    if not clear(moments, spectrum.M, spectrum.N):
        draws = FEW if spectrum.M >= ONE_THREAD_SIDE else SEVERAL
        rng = generator(task.settings.seed, "shuffled_delta", task.base.name)
        key = draw_key(rng)
        for draw in range(draws):
            shuffle(delta, key, draw)
            edge = max(edge, unit * largest_eigenvalue(delta, rng, threads))
    return Shuffled(edge, draws, *_above(spectrum, edge))


def level_of(task: DeltaTask) -> float:
    """Chance of a false eigenvalue beyond an edge in this pair, which keeps that over all pairs at alpha_fam."""
    return family_level(EdgeParams().alpha_fam, task.matrices, 1)


def _out_of_range(task: DeltaTask) -> TollensError:
    return TollensError(
        "scale_out_of_range", task.base.name, expected="squared norms within the range of float64",
        found="weights beyond about 1e154", fix="Rescale the tensor by a power of two.",
    )  # fmt: skip


def report(
    task: DeltaTask,
    verdict: State,
    fields: dict[str, Any],
    missing: dict[str, str] | None = None,
    *,
    bad: dict[str, dict[str, Any]] | None = None,
    failed: str | None = None,
) -> LayerDelta:
    """The layer from what was found (`fields`) and why the rest is not there (`missing`)."""
    base, derived = task.base, task.derived
    reason = failed or ("nonfinite" if bad else None)
    present = {name: value for name, value in fields.items() if value is not None}
    undefined = dict(missing or {})
    for name in OPTIONAL:
        if name in present:
            undefined.pop(name, None)
        else:
            undefined.setdefault(name, reason or "zero_matrix")
    for name in ("base_digest", "derived_digest"):
        if name not in present:
            undefined[name] = reason if reason is not None and reason != "nonfinite" else "bytes_shared"
    rank = sum(view.rank for view in (base, derived) if isinstance(view, FactorView))  # of the stacked factors
    factored = ("factored", f"rank:{rank}") if isinstance(derived, FactorView) else ()
    flags = list(dict.fromkeys((*base.flags, *factored, *derived.flags)))
    if present.get("overlap_left") is not None and present["overlap_left"].doubt > UNSETTLED:
        flags.append("subspace_unsettled")
    return LayerDelta(
        name=base.name,
        derived_name=derived.name,
        tensor=base.name if isinstance(base, FactorView) else base.tensor.name,
        order=task.order,
        role=base.role if isinstance(base, FactorView) else base.role.kind,
        view="factored" if isinstance(base, FactorView) or factored else base.view,
        shape=list(base.shape),
        M=min(base.shape),
        N=max(base.shape),
        base_dtype=base.dtype,
        derived_dtype=derived.dtype,
        state=verdict.state,
        sentence=verdict.sentence,
        status="FAILED" if reason is not None else "OK",
        flags=flags,
        undefined=undefined,
        nonfinite=bad or {},
        **present,
    )
