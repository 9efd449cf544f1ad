"""Norms and effective ranks of a spectrum, computed relative to lambda_max so that no scale overflows."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from tollens.core.reading import Cost, Reading, Undefined, reading
from tollens.instrument.part import Moments, Part
from tollens.instrument.registry import KnownAnswer, instrument
from tollens.instrument.spectrum import STORED_EPS as STORED_EPS
from tollens.instrument.spectrum import Spectrum, rank_tolerance
from tollens.instrument.tail import TailFit

Eigenvalues: TypeAlias = NDArray[np.float64]


def fro2(eigenvalues: Eigenvalues) -> float | Undefined:
    """Squared Frobenius norm, the sum of the eigenvalues, in weight^2; UNDEFINED beyond float64."""
    total = spectral2(eigenvalues) * float(_relative(eigenvalues).sum())
    return total if math.isfinite(total) else Undefined("scale_out_of_range")


def spectral2(eigenvalues: Eigenvalues) -> float:
    """Squared spectral norm lambda_max, in weight^2."""
    return float(eigenvalues[-1])


def log10_fro2(eigenvalues: Eigenvalues) -> float | Undefined:
    """Decadic logarithm of the squared Frobenius norm."""
    top = log10_spectral2(eigenvalues)
    return top if isinstance(top, Undefined) else top + math.log10(float(_relative(eigenvalues).sum()))


def log10_spectral2(eigenvalues: Eigenvalues) -> float | Undefined:
    """Decadic logarithm of the squared spectral norm."""
    top = spectral2(eigenvalues)
    return math.log10(top) if top > 0.0 else Undefined("zero_matrix")


def stable_rank(eigenvalues: Eigenvalues) -> float | Undefined:
    """sum(lambda)/lambda_max, in [1, M] (Rudelson, Vershynin 2007)."""
    return float(_relative(eigenvalues).sum()) if eigenvalues[-1] > 0.0 else Undefined("zero_matrix")


def entropy_rank(eigenvalues: Eigenvalues) -> float | Undefined:
    """exp of the Shannon entropy of lambda/sum(lambda), in [1, M] (Roy, Vetterli 2007, eq. 2)."""
    if not eigenvalues[-1] > 0.0:
        return Undefined("zero_matrix")
    x = _relative(eigenvalues)
    total = float(x.sum())
    x = x[x > 0.0]
    return math.exp(max(0.0, math.log(total) - float(np.dot(x, np.log(x))) / total))  # -sum p ln p, p = x/total


def participation_rank(eigenvalues: Eigenvalues) -> float | Undefined:
    """(sum lambda)^2 / sum lambda^2, in [1, M]."""
    if not eigenvalues[-1] > 0.0:
        return Undefined("zero_matrix")
    x = _relative(eigenvalues)
    return float(x.sum()) ** 2 / float(np.dot(x, x))


def log10_alpha_norm(eigenvalues: Eigenvalues, alpha: float) -> float | Undefined:
    """log10 of sum(lambda^alpha), alpha > 0, as alpha*log10(top) + log10 sum((lambda/top)^alpha)."""
    top = log10_spectral2(eigenvalues)
    if isinstance(top, Undefined):
        return top
    with np.errstate(under="ignore"):
        powers = _relative(eigenvalues) ** alpha
    return alpha * top + math.log10(float(powers.sum()))


def alpha_hat(eigenvalues: Eigenvalues, alpha: float) -> float | Undefined:
    """alpha * log10(lambda_max), in decades; W -> aW adds 2*alpha*log10(a) (Martin, Peng, Mahoney 2021)."""
    top = log10_spectral2(eigenvalues)
    return top if isinstance(top, Undefined) else alpha * top


def numerical_rank(eigenvalues: Eigenvalues, tolerance: float, blind_floor: float = 0.0) -> int:
    """Number of eigenvalues above both tolerance^2 (tolerance in weight) and the blind floor (weight^2)."""
    floor = max(tolerance * tolerance, blind_floor)
    return int(eigenvalues.size - np.searchsorted(eigenvalues, floor, side="right"))


def _relative(eigenvalues: Eigenvalues) -> Eigenvalues:
    """lambda/lambda_max in [0, 1]; zeros for a zero matrix. A power-of-two shift keeps subnormals exact."""
    top = float(eigenvalues[-1])
    if top == 0.0:
        return np.zeros_like(eigenvalues)
    shift = -math.frexp(top)[1]
    with np.errstate(under="ignore"):
        return np.ldexp(eigenvalues, shift) / math.ldexp(top, shift)


def _cost(shape: tuple[int, int]) -> Cost:
    return Cost(bytes=0, flops=20 * min(shape))


def _known(eigenvalues: list[float]) -> Part:
    """A part with the given spectrum of a square matrix; nothing is loaded."""
    values = np.sort(np.asarray(eigenvalues, dtype=np.float64))
    side = values.size
    std = math.sqrt(float(values.sum())) / side
    return Part(
        name="known",
        shape=(side, side),
        source_dtype="F64",
        load=lambda: np.diag(np.sqrt(values)),
        moments=Moments(side * side, 0.0, std, 1.0, 3.0, side),
        spectrum=Spectrum(values, side, side, 0.0, "f64"),
    )


@instrument(
    name="norms",
    version="1",
    quantities={
        "fro2": "weight^2",
        "spectral2": "weight^2",
        "log10_fro2": "decade",
        "log10_spectral2": "decade",
        "stable_rank": "count",
        "entropy_rank": "count",
        "participation_rank": "count",
        "numerical_rank": "count",
        "rank_tolerance": "weight",
    },
    cost=_cost,
    needs=("spectrum",),
    references=("Rudelson, Vershynin 2007", "Roy, Vetterli 2007"),
    invariances=("scale", "transpose", "permutation", "rotation"),
    scale_invariant=("stable_rank", "entropy_rank", "participation_rank", "numerical_rank"),
    known_answers=(
        *(
            KnownAnswer(
                "eigenvalues 0, 1, 2, 3", lambda: _known([0.0, 1.0, 2.0, 3.0]), quantity, value, 1e-12, derivation
            )
            for quantity, value, derivation in (
                ("fro2", 6.0, "1+2+3"),
                ("spectral2", 3.0, "the largest"),
                ("log10_fro2", 0.7781512503836436, "log10(6)"),
                ("log10_spectral2", 0.47712125471966244, "log10(3)"),
                ("numerical_rank", 3.0, "three are not zero"),
            )
        ),
        KnownAnswer(
            "eigenvalues 1, 2, 3",
            lambda: _known([1.0, 2.0, 3.0]),
            "stable_rank",
            2.0,
            1e-12,
            "(1+2+3)/3",
        ),
        KnownAnswer(
            "eigenvalues 1, 2, 3",
            lambda: _known([1.0, 2.0, 3.0]),
            "participation_rank",
            36.0 / 14.0,
            1e-12,
            "(1+2+3)^2/(1+4+9)",
        ),
        KnownAnswer(
            "eigenvalues 1, 1, 2",
            lambda: _known([1.0, 1.0, 2.0]),
            "entropy_rank",
            2.0**1.5,
            1e-12,
            "p = 1/4, 1/4, 1/2: entropy 2*(1/4)*ln 4 + (1/2)*ln 2 = 1.5*ln 2",
        ),
    ),
)
def norms(part: Part, params: None, rng: np.random.Generator) -> list[Reading]:
    """Norms and ranks of the whole spectrum, whatever its size.

    The rank is flagged `lower_bound` if the blind floor, and not the tolerance, hides eigenvalues; it is undefined
    for a stored type without a known eps.
    """
    spectrum = part.spectrum
    assert spectrum is not None  # `needs` was checked
    values = spectrum.eigenvalues
    return [
        reading("fro2", fro2(values)),
        reading("spectral2", spectral2(values)),
        reading("log10_fro2", log10_fro2(values)),
        reading("log10_spectral2", log10_spectral2(values)),
        reading("stable_rank", stable_rank(values)),
        reading("entropy_rank", entropy_rank(values)),
        reading("participation_rank", participation_rank(values)),
        *_rank(part, spectrum),
    ]


def _rank(part: Part, spectrum: Spectrum) -> list[Reading]:
    if part.source_dtype.lower() not in STORED_EPS:
        absent = Undefined("no_rounding_step")
        return [reading("numerical_rank", absent), reading("rank_tolerance", absent)]
    values = spectrum.eigenvalues
    rms = math.hypot(part.moments.mean, part.moments.std)
    tolerance = rank_tolerance(math.sqrt(values[-1]), part.N, part.M, rms, part.source_dtype)
    rank = numerical_rank(values, tolerance, spectrum.blind_floor)
    hidden = spectrum.blind_floor > tolerance * tolerance and rank < values.size
    return [
        reading("numerical_rank", rank, flags=("lower_bound",) if hidden else ()),
        reading("rank_tolerance", tolerance),
    ]


@instrument(
    name="alpha_norms",
    version="1",
    quantities={"log10_alpha_norm": "decade", "alpha_hat": "decade"},
    cost=_cost,
    needs=("spectrum",),
    references=("Martin, Peng, Mahoney 2021, Nature Communications 12:4122",),
    invariances=("transpose", "permutation", "rotation"),
    known_answers=(
        KnownAnswer(
            "eigenvalues 1, 10 and alpha 2",
            lambda: _with_tail([1.0, 10.0], 2.0),
            "alpha_hat",
            2.0,
            1e-12,
            "2*log10(10)",
        ),
        KnownAnswer(
            "eigenvalues 1, 10 and alpha 2",
            lambda: _with_tail([1.0, 10.0], 2.0),
            "log10_alpha_norm",
            2.0043213737826426,
            1e-12,
            "log10(1 + 100) = log10(101)",
        ),
    ),
)
def alpha_norms(part: Part, params: None, rng: np.random.Generator) -> list[Reading]:
    """The two norms that need the exponent; without a tail they are UNDEFINED for the tail's reason."""
    assert part.spectrum is not None
    values = part.spectrum.eigenvalues
    tail: object = part.tail
    if not isinstance(tail, TailFit):
        missing = tail if isinstance(tail, Undefined) else Undefined("no_tail")
        return [reading("log10_alpha_norm", missing), reading("alpha_hat", missing)]
    return [
        reading("log10_alpha_norm", log10_alpha_norm(values, tail.alpha)),
        reading("alpha_hat", alpha_hat(values, tail.alpha)),
    ]


def _with_tail(eigenvalues: list[float], alpha: float) -> Part:
    part = _known(eigenvalues)
    fit = TailFit(alpha, 0.0, eigenvalues[0], 0, len(eigenvalues), 0.0)
    return Part(part.name, part.shape, part.source_dtype, part.load, part.moments, part.spectrum, fit)
