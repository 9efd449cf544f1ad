"""A low-rank adapter against its base: what it adds to each matrix, from its factors and without the product."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tollens.core.errors import TollensError
from tollens.core.seeding import generator
from tollens.instrument.factored import left_right_spaces
from tollens.instrument.norms import entropy_rank, stable_rank
from tollens.instrument.spectrum import EPS_F64
from tollens.instrument.subspace import Subspaces, into_range, leading, usable_rank
from tollens.run.diff_layer import OVERLAPS, TOP, State, out_of_range, overlap_of, report_of
from tollens.run.diff_result import LayerDelta
from tollens.run.diff_settings import DiffSettings
from tollens.run.layer import LAYER_FAILURES, ONE_THREAD_SIDE, blas_threads, nonfinite
from tollens.subject.factors import FactorView
from tollens.subject.matrices import MatrixView

Floats = NDArray[np.floating[Any]]
Matrix = NDArray[np.float64]
PANEL = 1 << 20  # numbers of BASE that are taken to float64 at a time
SCALED = ("relative_change", "cosine", "fro2", "spectral2", "blind_floor", "top")
"""What does not exist where the scaling of the product is not known."""
DENSE = ("equal_share", "changed_share", "max_abs", "max_ulps", "histogram", "floor", "shuffled", "kinship")
"""What needs the elements of the product, or a bulk, which it lacks."""


@dataclass(frozen=True, slots=True)
class AdapterTask:
    """One pair of factors and the whole base matrix that it changes, to be read by the worker."""

    base: MatrixView
    derived: FactorView
    order: int
    settings: DiffSettings


@dataclass(frozen=True, slots=True)
class _Added:
    """Delta = U diag(s) V' with U (rows, k) and V (cols, k), as BASE stores it; `floor` is the rounding of s."""

    left: Matrix
    values: Matrix
    right: Matrix
    floor: float

    @property
    def rank(self) -> int:
        return int(np.count_nonzero(self.values > self.floor))


def measure_adapted(task: AdapterTask) -> LayerDelta:
    """The change gamma * B @ A of one matrix, its norms relative to those of BASE and its overlap with BASE.

    Work and memory are those of BASE and of r x r problems. Where gamma is not known, norms are undefined
    `scaling_unknown`, while ranks and overlaps, which do not depend on it, are given.
    """
    small = min(task.base.shape) < ONE_THREAD_SIDE
    with blas_threads(1 if small else task.settings.threads):
        try:
            return _measured(task, 1 if small else task.settings.threads)
        except TollensError as error:
            if error.code not in LAYER_FAILURES:
                raise
            return report_of(task, State("unknown", f"not measured: {error.code}"), {}, failed=error.code)


def _measured(task: AdapterTask, threads: int) -> LayerDelta:
    view = task.derived
    base = task.base.load(np.float64 if task.base.dtype == "F64" else np.float32)
    factors = view.load_factors()
    places = (("base", base), (view.b.name, factors[0]), (view.a.name, factors[1]))
    bad = {name: found for name, w in places if (found := nonfinite(w)) is not None}
    if bad:
        counts = ", ".join(f"{found['count']} in {name.upper() if w is base else name}"
                           for name, w in places if (found := bad.get(name)))  # fmt: skip
        return report_of(task, State("unknown", f"NaN or infinite elements: {counts}"), {}, bad=bad)
    added = _added(view, factors)
    base2, inner = _against(base, added)
    missing = dict.fromkeys(DENSE, "factored")
    if view.gamma is None:
        missing |= dict.fromkeys(SCALED, "scaling_unknown")
    if added.values[0] == 0.0 or view.gamma == 0.0:
        fields = {"base_fro2": base2, "cosine": 1.0 if base2 > 0.0 else None, "fro2": 0.0, "spectral2": 0.0}
        fields["relative_change"] = 0.0 if base2 > 0.0 else None
        missing |= dict.fromkeys(("stable_rank", "entropy_rank", "blind_floor", "top", *OVERLAPS), "zero_matrix")
        return report_of(task, State("identical", "the product of the factors is zero"), fields, missing)
    fields = {"base_fro2": base2, **_ranks(added)}
    if view.gamma is not None:
        fields |= _norms(task, added, base2, inner)
    fields |= _overlaps(task, base, added, threads, missing)
    told = f"{added.rank} direction{'' if added.rank == 1 else 's'} by factors of rank {view.rank}"
    scaled = "scaling unknown" if view.gamma is None else f"scaling {view.gamma:.3g}"
    return report_of(task, State("moved", f"{told}, {scaled}"), fields, missing)


def _added(view: FactorView, factors: tuple[Matrix, Matrix]) -> _Added:
    b, a = factors
    left, values, right = left_right_spaces(b, a, 1.0 if view.gamma is None else view.gamma)
    if view.transposed:
        left, right = right, left
    return _Added(left, values, right, float(values[0]) * max(left.shape[0], right.shape[0]) * EPS_F64)


def _against(base: Floats, added: _Added) -> tuple[float, float]:
    """||W||_F^2 and <W, Delta> = sum_k s_k u_k' W v_k, in float64, a panel of rows at a time."""
    total = inner = 0.0
    step = max(1, PANEL // max(1, base.shape[1]))
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):  # what leaves float64 is seen to be infinite
        for start in range(0, base.shape[0], step):
            panel = base[start : start + step].astype(np.float64)
            total += float(np.einsum("ij,ij->", panel, panel))
            images = added.left[start : start + step].T @ panel
            inner += float(np.einsum("kj,jk,k->", images, added.right, added.values))
    return total, inner


def _ranks(added: _Added) -> dict[str, Any]:
    relative = np.square(added.values[::-1] / added.values[0])
    return {"stable_rank": stable_rank(relative), "entropy_rank": entropy_rank(relative)}


def _norms(task: AdapterTask, added: _Added, base2: float, inner: float) -> dict[str, Any]:
    with np.errstate(over="ignore", under="ignore"):
        squares = np.square(added.values)
        fro2 = float(squares.sum())
        derived2 = base2 + 2.0 * inner + fro2
    if not (math.isfinite(derived2) and math.isfinite(inner)) or fro2 == 0.0:
        raise out_of_range(task.base.name)
    size = math.sqrt(base2) * math.sqrt(max(derived2, 0.0))
    return {
        "relative_change": math.sqrt(fro2 / base2) if base2 > 0.0 else None,
        "cosine": max(-1.0, min(1.0, (base2 + inner) / size)) if size > 0.0 else None,
        "fro2": fro2,
        "spectral2": float(squares[0]),
        "blind_floor": added.floor**2,
        "top": added.values[:TOP].tolist(),
    }


def _overlaps(task: AdapterTask, base: Floats, added: _Added, threads: int, missing: dict[str, str]) -> dict[str, Any]:
    """Those of the leading directions of BASE and of Delta; the latter are known to rounding."""
    rank = usable_rank(task.settings.rank, min(base.shape))
    if min(base.shape) < task.settings.min_side or rank == 0 or not base.any():
        missing |= dict.fromkeys(OVERLAPS, "zero_matrix" if rank and not base.any() else "too_small")
        return {}
    into_range(base)
    first: Subspaces = leading(base, rank, generator(task.settings.seed, "subspace_base", task.base.name), threads)
    k = min(rank, added.rank)
    return {
        "rank_base": first.rank,
        "rank_delta": k,
        "overlap_left": overlap_of(first.left, np.ascontiguousarray(added.left[:, :k].T), first.doubt),
        "overlap_right": overlap_of(first.right, np.ascontiguousarray(added.right[:, :k].T), first.doubt),
    }
