"""Is one checkpoint a descendant of another? An answer from the layers, with what it cannot see."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence

import msgspec

LEVEL = 1e-3  # chance that no kinship is taken for one, and of each layer's own test
PERMUTED = 0.05
"""Distance of sorted norms, over that of two samples of the base's own rows, below which they are taken for one list.

A copy in another order has 0. For Gaussian matrices of 160 x 200 (1024 x 1024) one rounded to float16 has 0.003
(0.008), to bfloat16 0.024 (0.044), one with 1 % of noise 0.07 (0.11), which is then not seen. Two draws with one
profile of column scales over 160 columns have 0.12 with scales from 0.1 to 10 and 200 rows, 0.08 with 2,000 rows.
"""
POWER = 0.1  # a layer whose null reaches beyond this cosine could not have shown a faint kinship
LIMITS = (
    "kin means one network or one ancestor: the weights do not tell which of the two came first",
    "neurons in another order hide kinship from the cosine; only sorted row and column norms see through it, "
    "and a rotation hides it from both",
    "what both have by construction counts as kinship: an initialisation from one seed, an identity, a fixed pattern "
    "of places and signs",
)


class LayerEvidence(msgspec.Struct, frozen=True):
    """What one tested layer says: its cosine, the largest one chance gave, the spreads of sorted norms,
    and what of the cosine an identity in both gives by itself."""

    name: str
    cosine: float
    null_high: float
    row_spread: float | None = None
    column_spread: float | None = None
    diagonal: float = 0.0


class KinshipAnswer(msgspec.Struct, frozen=True):
    """Whether DERIVED and BASE are kin: `answer` is "yes", "permuted", "no" or "undetermined".

    `above` of `layers` tested matrices exceed their null at the level `level`; `p` is the binomial probability of so
    many by chance. `cosine` is the median over those layers, `null` the median of what chance reached.
    `permuted_layers` have sorted norms that agree far better than two samples would. `settle` says what would decide
    an open question; `limits` what no answer here excludes.
    """

    answer: str
    sentence: str
    layers: int
    above: int
    level: float
    p: float | None = None
    cosine: float | None = None
    null: float | None = None
    permuted_layers: int = 0
    settle: str | None = None
    limits: tuple[str, ...] = LIMITS


def answer(evidence: Sequence[LayerEvidence], draws: int) -> KinshipAnswer:
    """Combine the layers. `draws`: permutations behind each null, so that one layer exceeds it by chance with
    probability 1/(draws + 1) at most.

    yes           more layers above their null than chance gives with probability LEVEL, also without what
                  an identity in both gives to their cosines
    permuted      not so, but in at least half of the layers the sorted row or column norms agree
    no            as many above as chance gives with probability 0.05 or more, and the nulls were narrow enough to see
                  a cosine of POWER
    undetermined  the rest

    Two matrices c E + X and d E + Y with E the identity and X, Y independent of it and each other have a cosine near
    the product of their cosines with E. What is above the null with it and not without is evidence of E alone.
    """
    n, level = len(evidence), 1.0 / (draws + 1)
    if n == 0:
        return KinshipAnswer(
            "undetermined", "no matrix of the same name and shape could be tested", 0, 0, level,
            settle="checkpoints whose matrices have the same names and shapes",
        )  # fmt: skip
    above = sum(e.cosine > e.null_high for e in evidence)
    p = binomial_tail(above, n, level)
    cosine = statistics.median(e.cosine for e in evidence)
    null = statistics.median(e.null_high for e in evidence)
    agreeing = sum(_agrees(e) for e in evidence)
    shown = f"{above} of {n} matrices lie along those of BASE: cosine {cosine:.3f} (median), chance up to {null:.3f}"

    def told(word: str, sentence: str, settle: str | None = None) -> KinshipAnswer:
        return KinshipAnswer(word, sentence, n, above, level, p, cosine, null, agreeing, settle)

    if p <= LEVEL * (1.0 + 1e-9):  # one layer of one is exactly at the level
        beyond = sum(e.cosine - e.diagonal > e.null_high for e in evidence)
        if binomial_tail(beyond, n, level) <= LEVEL * (1.0 + 1e-9):
            return told("yes", f"kin: {shown}")
        return told(
            "undetermined",
            f"kinship open: {shown}, but {above - beyond} of them only along the identity, which both may have by "
            "construction",
            "matrices that began as random numbers",
        )
    if 2 * agreeing >= n and n > 1:
        return told(
            "permuted", f"kin, neurons in another order: sorted norms agree in {agreeing} of {n} matrices; {shown}"
        )
    if p >= 0.05 and null <= POWER:
        return told("no", f"no trace of kinship: {shown}")
    wide = f"the null of these reaches {null:.2f}"
    few = f"{above} of {n} above the null may be chance"
    return told("undetermined", f"kinship open: {shown}", f"more or larger matrices: {wide if null > POWER else few}")


def binomial_tail(k: int, n: int, p: float) -> float:
    """P(X >= k) for X binomial(n, p), 0 < p < 1, summed so that small tails keep their digits."""
    if k <= 0:
        return 1.0
    total = 0.0
    for i in range(k, n + 1):
        term = math.exp(
            math.lgamma(n + 1)
            - math.lgamma(i + 1)
            - math.lgamma(n - i + 1)
            + i * math.log(p)
            + (n - i) * math.log1p(-p)
        )
        total += term
        if i > n * p and term < 1e-17 * total:
            break
    return min(1.0, total)


def _agrees(e: LayerEvidence) -> bool:
    spreads: Iterable[float] = (s for s in (e.row_spread, e.column_spread) if s is not None)
    return min(spreads, default=1.0) < PERMUTED
