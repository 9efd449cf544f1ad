"""An e-process for the equality of two rates, whatever they are, for looks at any time.

Units come in blocks with a number of units in each arm that is fixed before the block is seen. Under equal rates,
given the ones of a block in all, those in arm B are hypergeometric, whatever the rate (Fisher 1935); under an odds
ratio exp(h) they are Fisher's noncentral hypergeometric. Given the past and that total, the ratio of the two
probabilities has mean one. So its product over blocks is a martingale that starts at one, for each h and for any
mixture of them, and exceeds 1/alpha at some time with probability at most alpha (Ville 1939). The rate may differ
from block to block. Block-wise tests of two rates are those of Turner, Ly & Grünwald (2024), who plug in the rates
instead of conditioning on the total.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln, logsumexp, ndtri

from tollens.stats.domain import binary, counts, positive, refuse, whole
from tollens.stats.evalue import capped_exp, p_from_e
from tollens.stats.registry import Known, statistic
from tollens.stats.result import ANY_TIME, Result

FISHER = "Fisher, The logic of inductive inference, J. R. Statist. Soc. 98 (1935)"
TURNER = (
    "Turner, Ly & Grünwald, Generic E-variables for exact sequential k-sample tests, J. Stat. Plan. Inference (2024)"
)
VILLE = "Ville, Étude critique de la notion de collectif (1939)"
SCALE = 0.3  # standard deviation of the log odds ratio in the mixture: odds ratios of 0.74 to 1.35

_POINTS = 200  # of equal mass; any set of points gives a valid mixture, so this is no approximation
_CHUNK = 4096  # support points of a block at a time

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Block:
    """Ones among the units of each arm in one block. Raises `stats_input` for counts outside 0 to n."""

    ones_a: int
    size_a: int
    ones_b: int
    size_b: int

    def __post_init__(self) -> None:
        counts("ones_a", self.ones_a, self.size_a)
        counts("ones_b", self.ones_b, self.size_b)


def blocks_between(a: ArrayLike, b: ArrayLike, looks: Sequence[int]) -> tuple[Block, ...]:
    """The blocks that end at these numbers of units per arm, from the zeros and ones of each arm in their order.

    What comes after the last look is left out. Raises: TollensError `stats_input` for other values or looks that
    do not increase or that an arm has not reached.
    """
    ones_a, ones_b = (np.concatenate(([0], np.cumsum(binary(name, x)))) for name, x in (("a", a), ("b", b)))
    reached = min(ones_a.size, ones_b.size) - 1
    ends = [0, *(whole("a look", look, 1) for look in looks)]
    if any(later <= earlier for earlier, later in pairwise(ends)) or ends[-1] > reached:
        refuse("the looks", f"strictly increasing numbers up to {reached} units per arm", tuple(looks))
    return tuple(
        Block(int(ones_a[to] - ones_a[start]), to - start, int(ones_b[to] - ones_b[start]), to - start)
        for start, to in pairwise(ends)
    )


def log_ratio(block: Block, log_odds: Vector) -> Vector:
    """ln P(ones_b | total, log odds ratio)/P(ones_b | total, 0), shape of `log_odds` (points,)."""
    total = block.ones_a + block.ones_b
    support = np.arange(max(0, total - block.size_a), min(total, block.size_b) + 1, dtype=np.float64)
    if support.size <= 1:
        return np.zeros_like(log_odds)
    weight = _log_choose(block.size_b, support) + _log_choose(block.size_a, total - support)
    weight -= logsumexp(weight)
    shifted = support - block.ones_b  # keeps the exponents small where the data are
    parts = [
        logsumexp(weight[i : i + _CHUNK] + log_odds[:, None] * shifted[i : i + _CHUNK], axis=1)
        for i in range(0, support.size, _CHUNK)
    ]
    ratio: Vector = -logsumexp(np.stack(parts), axis=0)
    return ratio


def _log_choose(n: int, k: Vector) -> Vector:
    value: Vector = gammaln(n + 1.0) - gammaln(k + 1.0) - gammaln(n - k + 1.0)
    return value


def mixture_points(scale: float) -> Vector:
    """200 log odds ratios of equal mass that stand for N(0, scale^2), symmetric about 0."""
    points: Vector = positive("scale", scale) * ndtri((np.arange(_POINTS) + 0.5) / _POINTS)
    return (points - points[::-1]) / 2.0


def _fair(f: object) -> float:
    """The mean of the e-value over the null law of one block of 4 and 4 units with 4 ones."""
    assert callable(f)
    return math.fsum(math.comb(4, j) ** 2 / 70.0 * math.exp(f([Block(4 - j, 4, j, 4)])[0]) for j in range(5))


@statistic(
    guarantee="exp of it is an e-process for equal rates at the ends of blocks: " + ANY_TIME,
    references=(FISHER, VILLE, TURNER),
    known=(
        Known("mean under the null", _fair, 1.0, "hypergeometric weights C(4, j)^2/70 times the e-values", 1e-12),
        Known(
            "one pair that differs",
            lambda f: f([Block(0, 1, 1, 1)])[0],
            0.0,
            "the mean of 2 e^h/(1 + e^h) over a symmetric h is 1",
            1e-12,
        ),
    ),
)
def two_sample_log_e(blocks: Sequence[Block], scale: float = SCALE) -> Vector:
    """ln e after each block, shape (blocks,), against log odds ratios h ~ N(0, scale^2).

    Choose `scale` near the |log odds ratio| that matters, before the data. Raises: TollensError `stats_input` for
    no block or a scale that is not positive.
    """
    if not blocks:
        refuse("the blocks", "at least one", 0)
    points = mixture_points(scale)
    path = np.cumsum([log_ratio(block, points) for block in blocks], axis=0)
    log_e: Vector = logsumexp(path, axis=1) - math.log(_POINTS)
    return log_e


@statistic(
    guarantee=ANY_TIME + " at the end of a block: P(p <= alpha at some time) <= alpha if the rates are equal",
    references=(FISHER, VILLE, TURNER),
    known=(
        Known(
            "equal arms",
            lambda f: f([Block(5, 50, 5, 50), Block(4, 50, 4, 50)]).p,
            1.0,
            "no e-value of a tie exceeds 1: p = 1/max(1, e)",
            1e-12,
        ),
    ),
)
def two_sample_test(blocks: Sequence[Block], scale: float = SCALE) -> Result:
    """Difference of the rates B - A with e, the e-value now, and p, one over the largest so far.

    The size of a block must not depend on its outcomes, and a look inside a block is none. Raises as
    `two_sample_log_e`.
    """
    log_e = two_sample_log_e(blocks, scale)
    size_a, size_b = sum(block.size_a for block in blocks), sum(block.size_b for block in blocks)
    if not (size_a and size_b):
        refuse("the blocks", "units in both arms", (size_a, size_b))
    rate_a = sum(block.ones_a for block in blocks) / size_a
    rate_b = sum(block.ones_b for block in blocks) / size_b
    return Result(
        rule=f"conditional e-process of two rates, log odds ratio ~ N(0, {scale:g}^2), {len(blocks)} blocks",
        guarantee=ANY_TIME,
        estimate=rate_b - rate_a,
        e=capped_exp(float(log_e[-1])),
        p=p_from_e(capped_exp(float(log_e.max()))),
        n=size_a + size_b,
        assumptions=("units are independent", "looks only at the ends of blocks, whose sizes are fixed beforehand"),
    )
