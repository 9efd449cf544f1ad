"""The log-determinant condition: how many top eigenvalues of the unit-mean spectrum multiply to one."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tollens.core.reading import Cost, Reading, Undefined, reading
from tollens.instrument.part import Moments, Part
from tollens.instrument.registry import KnownAnswer, instrument
from tollens.instrument.spectrum import Spectrum
from tollens.instrument.tail import TailFit

_ROUNDING = 4.0 * float(np.finfo(np.float64).eps)


def erg_count(eigenvalues: NDArray[np.float64]) -> int | Undefined:
    """Number of eigenvalues, from the top, up to and with the first at which sum(ln lambda_j) turns negative.

    `eigenvalues`: (M,) ascending, any unit; they are scaled to mean 1 over all M. A zero eigenvalue ends
    the sum and is not counted. By Jensen's inequality the total is never positive, and zero only if all are
    equal; then the count is M, so a sum within rounding of zero is not negative (Martin, Hinrichs,
    2025, arXiv 2507.17912).
    """
    top = float(eigenvalues[-1])
    if top == 0.0:
        return Undefined("zero_matrix")
    with np.errstate(under="ignore"):
        x = np.ldexp(eigenvalues[::-1], -math.frexp(top)[1])
    positive = x[x > 0.0]
    sums = np.cumsum(np.log(positive) - math.log(float(x.mean())))
    negative = sums < -_ROUNDING * np.arange(1, sums.size + 1)
    return int(np.argmax(negative)) + 1 if negative.any() else int(positive.size)


def erg_gap(count: int, n_tail: int) -> int:
    """erg_count minus the number of points in the power-law tail; 0 where both pick the same subspace."""
    return count - n_tail


def _cost(shape: tuple[int, int]) -> Cost:
    return Cost(bytes=0, flops=20 * min(shape))


def _halving() -> Part:
    values = np.array([0.25, 0.5, 1.0, 2.0, 4.0])
    moments = Moments(25, 0.0, math.sqrt(values.sum()) / 5.0, 2.0, 3.0, 5)
    tail = TailFit(2.0, 0.5, 1.0, 2, 3, 0.1)
    spectrum = Spectrum(values, 5, 5, 0.0, "f64")
    return Part("known", (5, 5), "F64", lambda: np.diag(np.sqrt(values)), moments, spectrum, tail)


@instrument(
    name="erg",
    version="1",
    quantities={"erg_count": "count", "erg_gap": "count"},
    cost=_cost,
    needs=("spectrum",),
    references=("Martin, Hinrichs 2025, SETOL, arXiv 2507.17912",),
    invariances=("scale", "transpose", "permutation", "rotation"),
    scale_invariant=("erg_count", "erg_gap"),
    known_answers=(
        KnownAnswer(
            "eigenvalues 4, 2, 1, 1/2, 1/4",
            _halving,
            "erg_count",
            4.0,
            0.0,
            "mean 1.55; running products 2.58, 3.33, 2.15, 0.69: the fourth is the first below 1",
        ),
        KnownAnswer("the same with a tail of 3", _halving, "erg_gap", 1.0, 0.0, "4 - 3"),
    ),
)
def erg(part: Part, params: None, rng: np.random.Generator) -> list[Reading]:
    """UNDEFINED `floor_in_tail` if the count reaches eigenvalues below the blind floor."""
    assert part.spectrum is not None
    count = erg_count(part.spectrum.eigenvalues)
    hidden = part.spectrum.M - part.spectrum.visible.size
    if not isinstance(count, Undefined) and hidden and count > part.spectrum.visible.size:
        count = Undefined("floor_in_tail")
    tail: object = part.tail
    gap: int | Undefined
    if isinstance(count, Undefined):
        gap = count
    elif isinstance(tail, TailFit):
        gap = erg_gap(count, tail.n_tail)
    else:
        gap = tail if isinstance(tail, Undefined) else Undefined("no_tail")
    return [reading("erg_count", count), reading("erg_gap", gap)]
