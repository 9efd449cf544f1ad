"""Outliers: eigenvalues that noise of the same size almost never reaches, and what planted them."""

from __future__ import annotations

import math
from functools import partial

import msgspec
import numpy as np
from numpy.typing import NDArray

from tollens.core.reading import Cost, Reading, Undefined, reading
from tollens.instrument.part import Moments, Part
from tollens.instrument.registry import KnownAnswer, instrument
from tollens.instrument.spectrum import Spectrum
from tollens.stats import tracy_widom


class EdgeParams(msgspec.Struct, frozen=True):
    """How the edge is set.

    sigma2     variance of the noise elements, weight^2; None takes the variance of all elements
    alpha_fam  probability of any false outlier over the whole family of `matrices * shuffles` spectra
    min_side   below it no edge is set
    """

    sigma2: float | None = None
    alpha_fam: float = 0.01
    matrices: int = 1
    shuffles: int = 1
    min_side: int = 8


def tw_edge(M: int, N: int, sigma2: float = 1.0, level: float = 0.01) -> float:
    """What the top eigenvalue of an M x N noise matrix exceeds with probability `level`, in weight^2.

    Not divided by N: sigma2*(centre + q*scale) with the constants of Ma (2012); q is exact below M = 50 and
    Tracy-Widom from there on.
    """
    quantile = tracy_widom.edge_quantile(level, M, N)
    return sigma2 * (tracy_widom.centre(M, N) + quantile * tracy_widom.scale(M, N))


def family_level(alpha_fam: float, matrices: int, shuffles: int) -> float:
    """Level of each spectrum that keeps the chance of any false outlier below `alpha_fam` (Bonferroni)."""
    return alpha_fam / (matrices * shuffles)


def outliers(eigenvalues: NDArray[np.float64], edge: float) -> NDArray[np.float64]:
    """The eigenvalues above the edge, descending."""
    return eigenvalues[np.searchsorted(eigenvalues, edge, side="right") :][::-1]


def spike_eigenvalue(theta: float, c: float) -> float:
    """lambda/(N*sigma2) of a planted theta*u*v' in noise of variance 1/N, theta > c^(1/4), c = M/N.

    (1 + theta^2)(c + theta^2)/theta^2 (Benaych-Georges, Nadakuditi 2012).
    """
    t = theta * theta
    return (1.0 + t) * (c + t) / t


def implied_theta(ratio: float, c: float) -> float | Undefined:
    """The theta whose spike sits at ratio = lambda/(N*sigma2); UNDEFINED at ratio <= (1 + sqrt c)^2.

    Inverts `spike_eigenvalue`: theta^4 - (ratio - 1 - c)*theta^2 + c = 0, the larger root.
    """
    b = ratio - 1.0 - c
    square = b * b - 4.0 * c
    if square < 0.0 or b <= 0.0:
        return Undefined("inside_bulk")
    return math.sqrt((b + math.sqrt(square)) / 2.0)


def squared_overlaps(theta: float, c: float) -> tuple[float, float]:
    """Squared cosines between planted and observed singular vectors on the M side and on the N side.

    1 - c(1 + theta^2)/(theta^2(theta^2 + c)) and 1 - (c + theta^2)/(theta^2(theta^2 + 1)), both 0 at and
    below the threshold theta = c^(1/4) (Benaych-Georges, Nadakuditi 2012).
    """
    t = theta * theta
    if t <= math.sqrt(c):
        return 0.0, 0.0
    return 1.0 - c * (1.0 + t) / (t * (t + c)), 1.0 - (c + t) / (t * (t + 1.0))


def noise_variance(part: Part, params: EdgeParams) -> float:
    """Variance of the noise elements that the parameters ask for, weight^2."""
    return part.moments.std**2 if params.sigma2 is None else params.sigma2


def edge_of(part: Part, params: EdgeParams) -> float | Undefined:
    """The Tracy-Widom edge for one part, or the reason why it has none."""
    if params.min_side > part.M:
        return Undefined("too_small")
    sigma2 = noise_variance(part, params)
    if not sigma2 > 0.0:
        return Undefined("no_variance")
    return tw_edge(part.M, part.N, sigma2, family_level(params.alpha_fam, params.matrices, params.shuffles))


def _cost(shape: tuple[int, int]) -> Cost:
    return Cost(bytes=0, flops=1000 * min(shape))


def _spiked(M: int) -> Part:
    """An M x 2M spectrum with its bulk at 10 and a spike where theta = 2 puts it."""
    values = np.full(M, 10.0)
    values[-1] = 2.0 * M * spike_eigenvalue(2.0, 0.5)
    moments = Moments(2 * M * M, 0.0, 1.0, 3.0, 3.0, 2 * M * M)
    spectrum = Spectrum(values, M, 2 * M, 0.0, "f64")
    return Part("known", (M, 2 * M), "F64", lambda: np.eye(M, 2 * M), moments, spectrum)


def _known(M: int, quick: bool) -> KnownAnswer:
    derivation = "the spike sits at 5.625*N, the bulk edge at (1 + sqrt(1/2))^2 = 2.91*N"
    return KnownAnswer(
        f"one spike at theta = 2, {M} x {2 * M}", partial(_spiked, M), "n_outliers", 1.0, 0.0, derivation, quick
    )


@instrument(
    name="edge",
    version="1",
    quantities={"tw_edge": "weight^2", "n_outliers": "count", "outliers": "1"},
    cost=_cost,
    needs=("spectrum",),
    references=(
        "Ma 2012, Bernoulli 18:322",
        "Benaych-Georges, Nadakuditi 2012, J. Multivariate Analysis 111:120",
    ),
    invariances=("scale", "transpose", "permutation"),
    scale_invariant=("n_outliers",),
    known_answers=(_known(64, quick=True), _known(16, quick=False)),  # the finite law of 16 costs 0.1 s
    default_params=EdgeParams(),
)
def edge(part: Part, params: EdgeParams, rng: np.random.Generator) -> list[Reading]:
    """Per outlier: `lambda`, the implied `theta`, and the squared overlaps that theta predicts."""
    assert part.spectrum is not None
    threshold = edge_of(part, params)
    if isinstance(threshold, Undefined):
        return [reading(q, threshold) for q in ("tw_edge", "n_outliers", "outliers")]
    c, unit = part.M / part.N, part.N * noise_variance(part, params)
    found = outliers(part.spectrum.eigenvalues, threshold)
    rows: list[dict[str, float]] = []
    for value in found:
        theta = implied_theta(float(value) / unit, c)
        if isinstance(theta, Undefined):  # the edge of a very small matrix can lie inside the bulk
            rows.append({"lambda": float(value)})
            continue
        short, long = squared_overlaps(theta, c)
        rows.append({"lambda": float(value), "theta": theta, "overlap_M": short, "overlap_N": long})
    return [
        reading("tw_edge", threshold),
        reading("n_outliers", int(found.size)),
        reading("outliers", rows),
    ]
