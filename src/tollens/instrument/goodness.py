"""Whether a power law is a plausible law for a tail at all: the semi-parametric bootstrap."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import msgspec
import numpy as np
from numpy.typing import NDArray

from tollens.core.native import _native
from tollens.core.reading import Cost, Interval, Reading, Undefined, reading
from tollens.instrument.part import Part
from tollens.instrument.registry import KnownAnswer, instrument
from tollens.instrument.spectrum import diagonal_part
from tollens.instrument.tail import CHUNK, TailFit, pareto_part, tail_of


class GoodnessParams(msgspec.Struct, frozen=True):
    """`draws` bootstrap samples: the standard error of p is at most 1/(2 sqrt(draws))."""

    draws: int = 1000
    min_tail: int = 20
    min_side: int = 8


@dataclass(frozen=True, slots=True)
class Goodness:
    """`p`: share of `draws` samples from the fitted law that fit worse than the data; its standard error.

    p < 0.1 rejects the law. A pass is no support: eigenvalues repel each other and lie closer to any smooth
    law than independent points do, so p is biased towards 1.
    """

    p: float
    standard_error: float
    draws: int


def semi_parametric_samples(
    x: NDArray[np.float64], fit: TailFit, draws: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Ascending samples of the size of x, shape (draws, n).

    Each point comes from the fitted law with probability n_tail/n and else, with replacement, from the points
    below xmin.
    """
    n = x.size
    samples = np.empty((draws, n))
    largest = math.log(np.finfo(np.float64).max)
    for row in samples:
        k = int(rng.binomial(n, fit.n_tail / n))
        gaps = rng.standard_exponential(k) / (fit.alpha - 1.0)  # ln(x/xmin) of a Pareto law is exponential
        row[:k] = np.exp(np.minimum(gaps + math.log(fit.xmin), largest))
        row[k:] = x[rng.integers(0, fit.index, n - k)] if k < n else ()
    samples.sort(axis=1)
    return samples


def goodness_of_fit(x: NDArray[np.float64], fit: TailFit, draws: int, rng: np.random.Generator) -> Goodness:
    """Share of bootstrap samples whose own best tail, xmin searched anew, is at least as far from its law.

    x: the ascending sample (n,) that `fit` was made from.
    Reference: Clauset, Shalizi, Newman (2009), SIAM Review 51, section 4.1.
    """
    step = max(1, CHUNK // x.size)
    worse = 0
    for start in range(0, draws, step):
        samples = semi_parametric_samples(x, fit, min(step, draws - start), rng)
        worse += int(np.sum(_native.tail_scan_many(samples, True)[:, 2] >= fit.D))
    p = worse / draws
    return Goodness(p, math.sqrt(p * (1.0 - p) / draws), draws)


def _cost(shape: tuple[int, int]) -> Cost:
    M = min(shape)
    return Cost(bytes=8 * M, flops=1000 * 16 * 40 * M)


def _uniform() -> Part:
    """Eigenvalues 1 to 512 with a power law laid on all of them."""
    x = np.arange(1.0, 513.0)
    alpha = 1.0 + 512.0 / float(np.log(x).sum())
    D = float(np.abs(1.0 - x ** (1.0 - alpha) - x / 512.0).max())
    return replace(diagonal_part("uniform", x), tail=TailFit(alpha, 0.0, 1.0, 0, 512, D))


@instrument(
    name="goodness",
    version="1",
    quantities={"p_gof": "1"},
    cost=_cost,
    needs=("spectrum",),
    references=("Clauset, Shalizi, Newman (2009), SIAM Review 51, 661",),
    invariances=("scale", "transpose", "permutation", "rotation"),
    scale_invariant=("p_gof",),
    known_answers=(
        KnownAnswer(
            "Pareto mid-quantiles",
            lambda: pareto_part(3.0),
            "p_gof",
            1.0,
            0.0,
            "D of exact mid-quantiles is 1/n; a random sample of 512 comes that close with p < 1e-6",
        ),
        KnownAnswer(
            "a power law laid on a uniform spectrum",
            _uniform,
            "p_gof",
            0.0,
            0.0,
            "D = 0.39; a sample of 512 lies that far from its law with p < 2 exp(-2*512*0.39^2), below 1e-60",
            quick=False,
        ),
    ),
    default_params=GoodnessParams(),
)
def goodness(part: Part, params: GoodnessParams, rng: np.random.Generator) -> list[Reading]:
    """Bootstrap p of the power law; the interval is p plus and minus one binomial standard error."""
    fit = tail_of(part, params.min_side)
    if isinstance(fit, TailFit) and fit.n_tail < params.min_tail:
        fit = Undefined("tail_too_short")
    if isinstance(fit, Undefined):
        return [reading("p_gof", fit)]
    assert part.spectrum is not None  # needs=("spectrum",)
    found = goodness_of_fit(part.spectrum.visible, fit, params.draws, rng)
    low, high = max(0.0, found.p - found.standard_error), min(1.0, found.p + found.standard_error)
    interval = Interval(low, high, math.erf(math.sqrt(0.5)), "one binomial standard error")
    return [reading("p_gof", found.p, n=found.draws, interval=interval)]
