"""An adapter in place of DERIVED: its pair of factors against the matrix of BASE that it changes."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tollens.core.errors import TollensError
from tollens.core.reading import Undefined
from tollens.core.seeding import generator
from tollens.instrument.delta import GRIDS, elements_of, rounding_floor
from tollens.instrument.factored import left_right_spaces
from tollens.instrument.norms import entropy_rank, stable_rank
from tollens.instrument.spectrum import EPS_F64
from tollens.instrument.subspace import into_range, leading, usable_rank
from tollens.run.diff_layer import DeltaTask, State, level_of, measure_delta, overlap_beside_chance, read_hashed, report
from tollens.run.diff_products import measure_products
from tollens.run.diff_result import Floor, LayerDelta
from tollens.run.layer import LAYER_FAILURES, ONE_THREAD_SIDE, blas_threads, histogram_of, nonfinite
from tollens.subject.factors import FactorView
from tollens.subject.matrices import MatrixView

Matrix = NDArray[np.float64]
NEVER = ("equal_share", "changed_share", "max_abs", "max_ulps", "shuffled", "kinship")
"""What is asked of the elements of DERIVED, which an adapter does not have."""
SCALED = ("relative_change", "cosine", "fro2", "spectral2", "blind_floor", "histogram", "top", "floor")
"""What depends on the scaling of the product."""


def measure_change(task: DeltaTask) -> LayerDelta:
    """All readings of one pair: two matrices, a matrix and the factors of its change, or factors on both sides."""
    if not isinstance(task.derived, FactorView):
        return measure_delta(task)
    with blas_threads(1):
        try:
            if isinstance(task.base, FactorView):
                return measure_products(task)
            return _measured(task, task.derived)
        except TollensError as error:
            if error.code not in LAYER_FAILURES:
                raise
            return report(task, State("unknown", f"not measured: {error.code}"), {}, failed=error.code)


def _measured(task: DeltaTask, view: FactorView) -> LayerDelta:
    """Delta = gamma * B @ A from its factors; Delta itself is never formed (Golub, Van Loan 2013, section 5.4.2)."""
    stored = hashlib.sha256()
    b, a = factors = view.load_factors(stored)
    if view.transposed:
        b, a = np.ascontiguousarray(a.T), np.ascontiguousarray(b.T)
    assert isinstance(task.base, MatrixView)
    base, base_digest = read_hashed(task.base, np.float64 if task.base.dtype == "F64" else np.float32)
    fields: dict[str, Any] = {"base_digest": base_digest, "derived_digest": "sha256:" + stored.hexdigest()}
    places = (("base", base), *zip((view.b.name, view.a.name), factors, strict=True))
    broken = {name: found for name, matrix in places if (found := nonfinite(matrix)) is not None}
    if broken:
        counts = ", ".join(
            f"{found['count']} in {'BASE' if name == 'base' else name}" for name, found in broken.items()
        )
        bad: dict[str, dict[str, Any]] = {}
        for name, found in broken.items():
            bad.setdefault("base" if name == "base" else "derived", found)
        return report(task, State("unknown", f"NaN or infinite elements: {counts}"), fields, bad=bad)
    missing = dict.fromkeys(NEVER, "factored")
    gamma = view.gamma
    left, values, right = left_right_spaces(b, a, gamma if gamma is not None else 1.0)
    if gamma is None:
        missing |= dict.fromkeys(SCALED, "scaling_unknown")
    size = float(np.square(values).sum())
    if not math.isfinite(size):
        raise TollensError(
            "scale_out_of_range", task.base.name, expected="squared norms within the range of float64",
            found="factors beyond about 1e77", fix="Rescale the factors by powers of two.",
        )  # fmt: skip
    expanded = any(flag.startswith("dequantised") for flag in task.base.flags)
    grid = task.base.dtype if task.base.dtype in GRIDS and not expanded else None
    seen = elements_of(base, base, GRIDS[grid] if grid else None, 1)
    fields["base_fro2"] = seen.base2
    if size == 0.0:
        fields |= {"fro2": 0.0, "spectral2": 0.0}
        if seen.base2 > 0.0:
            fields |= {"relative_change": 0.0, "cosine": 1.0}
        missing = missing | dict.fromkeys((*_OF_SPECTRUM, *_DIRECTIONS), "zero_matrix")
        return report(task, State("identical", "the product of the factors is zero"), fields, missing)
    relative = np.square(values[::-1] / values[0])
    for name, value in (("stable_rank", stable_rank(relative)), ("entropy_rank", entropy_rank(relative))):
        assert not isinstance(value, Undefined)  # the product is not zero
        fields[name] = value
    above = int(values.size)
    if gamma is not None:
        fields |= _scaled(base, b, a, gamma, values, size, seen.base2)
        floor = rounding_floor(seen, 1, level_of(task))
        if floor is None or grid is None:
            missing["floor"] = "no_common_grid"
        else:
            eigenvalues = np.square(values)
            above = int((eigenvalues > floor.edge).sum())
            energy = float(eigenvalues[eigenvalues > floor.edge].sum() / eigenvalues.sum())
            fields["floor"] = Floor(grid, 1, floor.rms, floor.mp_edge, floor.edge, above, energy)
    fields |= _overlaps(task, base, left.T, right.T, values, above, missing)
    return report(task, State("moved", _sentence(view, fields.get("floor"))), fields, missing)


_OF_SPECTRUM = ("stable_rank", "entropy_rank", "blind_floor", "histogram", "top", "floor")
_DIRECTIONS = ("rank_base", "rank_delta", "overlap_left", "overlap_right")


def _scaled(
    base: NDArray[Any], b: Matrix, a: Matrix, gamma: float, values: Matrix, size: float, base2: float
) -> dict[str, Any]:
    """What needs gamma. <W, gamma B A> = gamma sum_ik (W A')_ik B_ik, a thin product."""
    inner = gamma * float(((base @ a.T.astype(base.dtype)).astype(np.float64) * b).sum())
    derived2 = max(0.0, base2 + 2.0 * inner + size)
    cosine = (base2 + inner) / math.sqrt(base2 * derived2) if base2 > 0.0 and derived2 > 0.0 else None
    seen = np.square(values[::-1])
    floor = (values.size * EPS_F64 * float(values[0])) ** 2
    return {
        "fro2": size,
        "spectral2": float(values[0]) ** 2,
        "relative_change": math.sqrt(size / base2) if base2 > 0.0 else None,
        "cosine": None if cosine is None else max(-1.0, min(1.0, cosine)),
        "blind_floor": floor,
        "histogram": histogram_of(seen[seen > floor]),
        "top": values[:8].tolist(),
    }


def _overlaps(
    task: DeltaTask, base: NDArray[Any], left: Matrix, right: Matrix, values: Matrix, above: int,
    missing: dict[str, str],
) -> dict[str, Any]:  # fmt: skip
    rank = usable_rank(task.settings.rank, min(base.shape))
    if rank == 0 or not base.any():
        missing |= dict.fromkeys(_DIRECTIONS, "too_small" if rank == 0 else "zero_matrix")
        return {}
    into_range(base)
    threads = task.settings.threads if min(base.shape) >= ONE_THREAD_SIDE else 1
    found = leading(base, rank, generator(task.settings.seed, "subspace_base", task.base.name), threads)
    real = int((values > values.size * EPS_F64 * values[0]).sum())  # beyond it columns only complete the others
    k = max(1, min(rank, above, real))
    return {
        "rank_base": found.rank,
        "rank_delta": k,
        "overlap_left": overlap_beside_chance(found.left, left[:k], found.doubt),
        "overlap_right": overlap_beside_chance(found.right, right[:k], found.doubt),
    }


def _sentence(view: FactorView, floor: Floor | None) -> str:
    product = f"an adapter of rank {view.rank}"
    if view.gamma is None:
        return f"{product}, of unknown scaling"
    product = f"{product}, scaled by {view.gamma:g}"
    if floor is None:
        return product
    return (
        f"{product}; {floor.above} of its directions, with {floor.energy_above:.1%} of the change, rise above what "
        f"merging it into {floor.dtype} would round"
    )
