"""The columns of WeightWatcher 0.7.7 under their own names and definitions, for people who switch.

They stand beside Tollens's own readings and never replace them. `norm` and `spectral_norm` are squared
norms, `sigma_mp` and `mp_softrank` belong to the spectrum scaled to mean 1, and `num_spikes` counts beyond
an edge with the margin of that program. Where Tollens departs on purpose, the docstring of the function
says so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from tollens.core.reading import Cost, Reading, Status, Undefined, reading
from tollens.instrument.density import kde_sigma
from tollens.instrument.part import Part
from tollens.instrument.registry import KnownAnswer, instrument
from tollens.instrument.spectrum import Spectrum, diagonal_part
from tollens.instrument.tail import TailFit, fit_tail, log_ratio

Array: TypeAlias = NDArray[np.float64]
Column: TypeAlias = float | int | str | Undefined

SMALL_SAMPLE = 20  # below it that program fits with a bias correction and tails of at least 8 points
SMALL_TAIL = 8
OVER_TRAINED, UNDER_TRAINED = 2.0, 6.0
SMOOTHING = 1e-10  # added there to each probability, and to the rank, in the entropy

TAIL = ("alpha", "D", "xmin", "xmax", "sigma", "num_pl_spikes", "alpha_weighted", "log_alpha_norm", "warning")
NORMS = (
    "norm",
    "log_norm",
    "spectral_norm",
    "log_spectral_norm",
    "stable_rank",
    "matrix_rank",
    "rank_loss",
    "entropy",
)
BULK = ("sigma_mp", "num_spikes", "mp_softrank")
ERG = ("detX_num", "ERG_gap")
SHUFFLED = ("num_traps", "max_rand_eval", "rand_distance", "ww_softrank", "ww_maxdist")
COLUMNS = TAIL + NORMS + BULK + ERG + SHUFFLED


def columns(spectrum: Spectrum, shuffled: Array | None = None) -> dict[str, Column]:
    """All of COLUMNS for one matrix.

    `shuffled`: ascending eigenvalues of the matrix with its elements permuted, (M,) or those of several
    permutations pooled, weight^2. They are one draw: that program neither seeds nor records its own, and
    takes `num_traps` and `rand_distance` from two different ones. Without them the columns of SHUFFLED are
    Undefined `not_requested`.
    """
    values, M, N = spectrum.eigenvalues, spectrum.M, spectrum.N
    if spectrum.lambda_max == 0.0:
        zero: dict[str, Column] = {"norm": 0.0, "spectral_norm": 0.0, "matrix_rank": 0, "rank_loss": M}
        return {name: zero.get(name, Undefined("zero_matrix")) for name in COLUMNS}
    tail = one_sided_tail(spectrum.visible)
    found = {**tail_columns(values, tail), **norm_columns(spectrum), **bulk_columns(values, M, N)}
    count = log_determinant_count(values, spectrum.visible.size)
    spikes = found["num_pl_spikes"]
    found["detX_num"] = count
    found["ERG_gap"] = spikes if isinstance(spikes, Undefined) else count - int(spikes)
    found |= shuffled_columns(spectrum, shuffled)
    return {name: found[name] for name in COLUMNS}


def one_sided_tail(visible: Array) -> TailFit | Undefined:
    """The power law by the one-sided distance, on the eigenvalues above the blind floor, ascending.

    With fewer than 20 of them: alpha = 1 + (m-1)/sum ln(x_j/xmin) over tails of at least 8 points, chosen
    by the same distance. Departs: the floor is relative to the largest eigenvalue where that program cuts
    at 1e-5.
    """
    n = visible.size
    if n >= SMALL_SAMPLE:
        return fit_tail(visible, two_sided=False)
    if n < 2 or not visible[0] < visible[-1]:
        return Undefined("no_spread" if n > 1 else "tail_too_short")
    logs = log_ratio(visible)
    best: TailFit | None = None
    for i in range(max(n - SMALL_TAIL + 1, 1)):
        m = n - i
        gaps = logs[i:] - logs[i]
        total = math.fsum(gaps)
        if total <= 1e-12:
            continue
        alpha = 1.0 + (m - 1) / total
        D = float(np.max(np.abs(-np.expm1((1.0 - alpha) * gaps) - np.arange(m) / m)))
        if best is None or D < best.D:
            best = TailFit(alpha, (alpha - 1.0) / math.sqrt(m), float(visible[i]), i, m, D)
    return best if best is not None else Undefined("no_spread")


def tail_columns(values: Array, tail: TailFit | Undefined) -> dict[str, Column]:
    """The columns that follow from the tail; `warning` is "", over-trained (< 2) or under-trained (> 6)."""
    if isinstance(tail, Undefined):
        return dict.fromkeys(TAIL, tail)
    top, alpha = float(values[-1]), tail.alpha
    with np.errstate(divide="ignore", under="ignore"):
        powers = alpha * np.log(values / top)
    log_sum = math.log10(float(np.exp(powers).sum())) + alpha * math.log10(top)
    warning = "over-trained" if alpha < OVER_TRAINED else "under-trained" if alpha > UNDER_TRAINED else ""
    return {
        "alpha": alpha,
        "D": tail.D,
        "xmin": tail.xmin,
        "xmax": top,
        "sigma": tail.sigma,
        "num_pl_spikes": int(np.count_nonzero(values >= tail.xmin)),
        "log_alpha_norm": log_sum,
        "alpha_weighted": alpha * math.log10(top),
        "warning": warning,
    }


def norm_columns(spectrum: Spectrum) -> dict[str, Column]:
    """Norms, rank and entropy of a matrix that is not zero.

    The rank counts singular values above s_max N eps, as there, among those this spectrum can see: a Gram
    matrix sees none below sqrt(blind floor), so a rank can come out lower than by a full SVD. `entropy` of a
    matrix of rank one is Undefined: it is divided by the logarithm of the rank.
    """
    values, M = spectrum.eigenvalues, spectrum.M
    total, top = float(values.sum()), spectrum.lambda_max
    limit = max(top * (spectrum.N * np.finfo(np.float64).eps) ** 2, spectrum.blind_floor)
    rank = int(np.count_nonzero(values > limit))
    p = values / total + SMOOTHING
    nats = -float(np.sum(p * np.log(p)))
    return {
        "norm": total,
        "log_norm": math.log10(total),
        "spectral_norm": top,
        "log_spectral_norm": math.log10(top),
        "stable_rank": total / top,
        "matrix_rank": rank,
        "rank_loss": M - rank,
        "entropy": nats / math.log(rank + SMOOTHING) if rank > 1 else Undefined("rank_one"),
    }


def bulk_columns(values: Array, M: int, N: int) -> dict[str, Column]:
    """`sigma_mp`, `num_spikes` and `mp_softrank` of an ascending spectrum; at N = M the radius stays 2."""
    fit = kde_sigma(values, N / M, free_radius=False)
    if isinstance(fit, Undefined):
        return dict.fromkeys(BULK, fit)
    root = math.sqrt(M / N)
    edge = (fit.sigma * (1.0 + root)) ** 2
    margin = math.sqrt(root * edge ** (2.0 / 3.0) * M ** (-2.0 / 3.0))
    scaled = values * fit.scale
    return {
        "sigma_mp": fit.sigma,
        "num_spikes": int(np.count_nonzero(scaled > edge + margin)),
        "mp_softrank": edge / float(scaled[-1]),
    }


def log_determinant_count(values: Array, visible: int) -> int:
    """Unit-mean eigenvalues, from the largest down to the first at which their product falls below 1.

    `values` ascending; those before the last `visible` ones count as zero and end the product.
    Departs: by a sum of logarithms. The direct product there underflows near 3,000 eigenvalues.
    """
    logs = np.cumsum(np.log(values[values.size - visible :][::-1] / values.mean()))
    below = np.flatnonzero(logs < 0.0)
    return int(below[0]) + 1 if below.size else min(visible + 1, values.size)


def shuffled_columns(spectrum: Spectrum, shuffled: Array | None) -> dict[str, Column]:
    """The columns that compare with one permutation of the elements."""
    found: dict[str, Column] = dict.fromkeys(SHUFFLED, Undefined("not_requested"))
    if shuffled is None:
        return found
    top = float(shuffled[-1])
    found |= {
        "max_rand_eval": top,
        "ww_softrank": top / spectrum.lambda_max,
        "ww_maxdist": spectrum.lambda_max - top,
        "num_traps": bulk_columns(shuffled, spectrum.M, spectrum.N)["num_spikes"],
    }
    if shuffled.size == spectrum.M:
        found["rand_distance"] = sorted_list_distance(spectrum.eigenvalues, shuffled)
    return found


def sorted_list_distance(p: Array, q: Array) -> float:
    """Jensen-Shannon distance (root of nats) of two sorted eigenvalue lists taken as laws of the rank."""
    middle = (p + q) / 2.0
    p, q, middle = p / p.sum(), q / q.sum(), middle / middle.sum()
    return math.sqrt(max(0.5 * (_relative_entropy(p, middle) + _relative_entropy(q, middle)), 0.0))


def _relative_entropy(p: Array, q: Array) -> float:
    used = p > 0.0
    return float(np.sum(p[used] * np.log(p[used] / q[used])))


def _cost(shape: tuple[int, int]) -> Cost:
    return Cost(bytes=8 * min(shape), flops=2000 * min(shape))


def _known(column: str, value: float, derivation: str) -> KnownAnswer:
    squares = np.arange(1.0, 11.0) ** 2
    return KnownAnswer(
        "squares of 1 to 10", lambda: diagonal_part("squares", squares), f"ww.{column}", value, 1e-9, derivation
    )


@instrument(
    name="compatible",
    version="1",
    quantities={f"ww.{name}": "1" for name in COLUMNS},
    cost=_cost,
    needs=("spectrum",),
    invariances=("transpose", "permutation"),
    references=("Martin, Peng, Mahoney, Nature Communications 12, 4122 (2021)", "WeightWatcher 0.7.7"),
    known_answers=(
        _known("norm", 385.0, "1 + 4 + ... + 100 = 10*11*21/6"),
        _known("stable_rank", 3.85, "385/100"),
        _known("matrix_rank", 10.0, "no eigenvalue is zero"),
        _known("detX_num", 8.0, "in units of the mean 38.5 the largest 7 multiply to 2.92, the largest 8 to 0.68"),
    ),
)
def compatible(part: Part, params: None, rng: np.random.Generator) -> Sequence[Reading]:
    """The intact matrix's columns; those of SHUFFLED are skipped: no permutation is drawn for them alone."""
    assert part.spectrum is not None
    readings = []
    for name, value in columns(part.spectrum).items():
        skipped = isinstance(value, Undefined) and value.reason == "not_requested"
        readings.append(reading(f"ww.{name}", value, **({"status": Status.SKIPPED} if skipped else {})))
    return readings
