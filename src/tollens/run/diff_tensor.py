"""A tensor that is no weight matrix, BASE against DERIVED, element by element."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from tollens.instrument.delta import common_grid, elements_of
from tollens.run.diff_cast import cast_of
from tollens.run.diff_match import TensorPair
from tollens.run.diff_result import TensorDelta
from tollens.run.layer import nonfinite
from tollens.subject.source import Source

READ = ("equal_share", "changed_share", "relative_change", "cosine", "max_abs", "max_ulps")


@dataclass(frozen=True, slots=True)
class TensorTask:
    """One pair, to be read by the worker."""

    pair: TensorPair
    base: Source
    derived: Source
    roundings: int


def measure_tensor(task: TensorTask) -> TensorDelta:
    """Identical, rounded (no element moved by more than rounding of the coarser type does), or moved."""
    ours, theirs = task.pair.base, task.pair.derived
    base, derived = (source.read(t).reshape(1, -1) for source, t in ((task.base, ours), (task.derived, theirs)))
    if base.dtype != derived.dtype:  # one of them is stored in float64
        base, derived = base.astype(np.float64), derived.astype(np.float64)
    if base.size == 0:
        return _report(task, "identical", "no elements", {}, "empty_tensor")
    bad = {side: found for side, w in (("base", base), ("derived", derived)) if (found := nonfinite(w)) is not None}
    if bad:
        same = base.tobytes() == derived.tobytes()
        counts = ", ".join(f"{found['count']} in {side.upper()}" for side, found in bad.items())
        told = f"NaN or infinite elements: {counts}"
        return _report(
            task, "identical" if same else "unknown", f"equal bits, {told}" if same else told, {}, "nonfinite", bad
        )
    seen = elements_of(base, derived, common_grid(ours.dtype, theirs.dtype))
    if not math.isfinite(seen.base2 + seen.derived2 + seen.delta2):
        return _report(task, "unknown", "squares leave the range of float64", {}, "scale_out_of_range")
    fields = {
        "equal_share": seen.equal / seen.count,
        "changed_share": seen.changed / seen.count,
        "relative_change": seen.relative_change,
        "cosine": seen.cosine,
        "max_abs": seen.max_delta,
        "max_ulps": seen.max_ulps,
    }
    if seen.changed == 0:
        lossless = ours.dtype != theirs.dtype
        sentence = f"a cast from {ours.dtype} to {theirs.dtype} that lost nothing" if lossless else "equal values"
        return _report(task, "rounded" if lossless else "identical", sentence, fields)
    cast = cast_of(base, derived, ours.dtype, theirs.dtype) if seen.max_ulps is not None else None
    if cast is not None:
        return _report(task, "rounded", cast.sentence, fields)
    share = f"{seen.changed / seen.count:.3%} of elements changed"
    if seen.max_ulps is not None and seen.max_ulps <= task.roundings:
        return _report(task, "rounded", f"{share}, none by more than {seen.max_ulps:.3g} in the last place", fields)
    return _report(task, "moved", share, fields)


def lost_tensor(task: TensorTask) -> TensorDelta:
    """The report of a pair whose workers died, each of them: FAILED, `worker_died`."""
    return _report(task, "unknown", "every worker died at it", {}, "worker_died")


def _report(
    task: TensorTask,
    state: str,
    sentence: str,
    fields: dict[str, Any],
    failed: str | None = None,
    bad: dict[str, dict[str, Any]] | None = None,
) -> TensorDelta:
    ours, theirs = task.pair.base, task.pair.derived
    present = {name: value for name, value in fields.items() if value is not None}
    return TensorDelta(
        name=ours.name,
        derived_name=theirs.name,
        order=task.pair.order,
        shape=list(ours.shape),
        base_dtype=ours.dtype,
        derived_dtype=theirs.dtype,
        state=state,
        sentence=sentence,
        status="OK" if failed is None else "FAILED",
        undefined={name: failed or _why(name) for name in READ if name not in present},
        nonfinite=bad or {},
        **present,
    )


def _why(name: str) -> str:
    return "no_common_grid" if name == "max_ulps" else "zero_matrix"
