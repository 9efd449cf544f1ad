"""Two adapters: the products of a pair of factors on either side, compared without forming them."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tollens.core.errors import TollensError
from tollens.core.reading import Undefined
from tollens.instrument.factored import Product, product_of
from tollens.instrument.norms import entropy_rank, stable_rank
from tollens.instrument.spectrum import STORED_EPS
from tollens.run.diff_layer import DeltaTask, State, report
from tollens.run.diff_result import LayerDelta
from tollens.run.layer import histogram_of, nonfinite
from tollens.subject.factors import FactorView

Matrix = NDArray[np.float64]
NEVER = (
    "equal_share", "changed_share", "max_abs", "max_ulps", "shuffled", "kinship", "floor", "rank_base", "rank_delta",
    "overlap_left", "overlap_right",
)  # fmt: skip
"""What is asked of elements that are not formed, or of the network that neither side holds."""
OF_SPECTRUM = ("stable_rank", "entropy_rank", "blind_floor", "histogram", "top")


def measure_products(task: DeltaTask) -> LayerDelta:
    """Delta = g2 B2 A2 - g1 B1 A1 is the product of [g2 B2, -g1 B1] and [A2; A1], of rank r1 + r2 at most.

    `relative_change` and `cosine` are beside the product of BASE. "rounded" where no singular value of Delta exceeds
    what the rounding of the stored factors gives, as of two factorings of one product. Raises: those of `product_of`.
    """
    base, derived = task.base, task.derived
    assert isinstance(base, FactorView)
    assert isinstance(derived, FactorView)
    first, second = hashlib.sha256(), hashlib.sha256()
    ours, theirs = base.load_factors(first), derived.load_factors(second)
    fields: dict[str, Any] = {
        "base_digest": "sha256:" + first.hexdigest(),
        "derived_digest": "sha256:" + second.hexdigest(),
    }
    sides = (("base", base, ours), ("derived", derived, theirs))
    named = [(side, t.name, w) for side, view, pair in sides for t, w in zip((view.b, view.a), pair, strict=True)]
    broken = [(side, name, found) for side, name, w in named if (found := nonfinite(w)) is not None]
    if broken:
        counts = ", ".join(f"{found['count']} in {name} of {side.upper()}" for side, name, found in broken)
        bad: dict[str, dict[str, Any]] = {}
        for side, _, found in broken:
            bad.setdefault(side, found)
        return report(task, State("unknown", f"NaN or infinite elements: {counts}"), fields, bad=bad)
    missing = dict.fromkeys(NEVER, "factored")
    same = base.rank == derived.rank and all(np.array_equal(x, y) for x, y in zip(ours, theirs, strict=True))
    if base.gamma is None or derived.gamma is None:
        if not same or base.gamma is not derived.gamma:  # equal factors, both without it, are equal products
            sentence = "the scaling of a product is not known: put adapter_config.json beside the weights"
            return report(task, State("unknown", sentence), fields, failed="scaling_unknown")
        missing |= dict.fromkeys((*OF_SPECTRUM, "relative_change", "cosine", "base_fro2", "fro2", "spectral2"),
                                 "scaling_unknown")  # fmt: skip
        return report(task, State("identical", "equal factors, of unknown scaling"), fields, missing)
    (b1, a1), (b2, a2), g1, g2 = ours, theirs, base.gamma, derived.gamma
    own = _square(b1, a1, g1)
    its = _square(b2, a2, g2)
    inner = g1 * g2 * float(((b1.T @ b2) * (a1 @ a2.T)).sum())
    delta = product_of(np.hstack([g2 * b2, -g1 * b1]), np.vstack([a2, a1]), _types(base, derived))
    values = np.ldexp(delta.values, delta.exponent)
    size = 0.0 if same and g1 == g2 else float(np.square(values).sum())
    if not all(map(math.isfinite, (own, its, size))):
        raise TollensError(
            "scale_out_of_range", base.name, expected="squared norms within the range of float64",
            found="factors beyond about 1e77", fix="Rescale the factors by powers of two.",
        )  # fmt: skip
    fields["base_fro2"] = own
    if own > 0.0:
        fields["relative_change"] = math.sqrt(size / own)
        if its > 0.0:
            fields["cosine"] = max(-1.0, min(1.0, inner / math.sqrt(own * its)))
    if size == 0.0:
        fields |= {"fro2": 0.0, "spectral2": 0.0}
        missing |= dict.fromkeys(OF_SPECTRUM, "zero_matrix")
        return report(task, State("identical", "equal products"), fields, missing)
    return report(task, _state(base, derived, delta), fields | _spectral(delta, values, size), missing)


def _square(b: Matrix, a: Matrix, gamma: float) -> float:
    """The squared Frobenius norm of gamma * B @ A."""
    found = product_of(b, a)
    return float(np.square(np.ldexp(found.values, found.exponent) * gamma).sum())


def _types(base: FactorView, derived: FactorView) -> tuple[str, str]:
    """For each half the type that rounds more; one whose rounding is not known before any other."""

    def coarser(first: str, second: str) -> str:
        return max(first, second, key=lambda name: STORED_EPS.get(name.lower(), math.inf))

    return coarser(base.b.dtype, derived.b.dtype), coarser(base.a.dtype, derived.a.dtype)


def _spectral(delta: Product, values: Matrix, size: float) -> dict[str, Any]:
    floor = math.ldexp(delta.floor, delta.exponent) ** 2
    eigenvalues = np.square(values[::-1])
    fields: dict[str, Any] = {
        "fro2": size,
        "spectral2": float(values[0]) ** 2,
        "blind_floor": floor,
        "histogram": histogram_of(eigenvalues[eigenvalues > floor]),
        "top": values[:8].tolist(),
    }
    for name, value in (("stable_rank", stable_rank(delta.relative)), ("entropy_rank", entropy_rank(delta.relative))):
        assert not isinstance(value, Undefined)  # the difference is not zero
        fields[name] = value
    return fields


def _state(base: FactorView, derived: FactorView, delta: Product) -> State:
    pair = f"products of rank {base.rank} and {derived.rank}, scaled by {base.gamma:g} and {derived.gamma:g}"
    reach = max(delta.floor, delta.rounding or 0.0)
    above = int((delta.values > reach).sum())
    if above == 0:
        return State("rounded", f"{pair}; they differ by no more than the rounding of the stored factors")
    return State("moved", f"{pair}; {above} direction{'' if above == 1 else 's'} above the rounding of the factors")
