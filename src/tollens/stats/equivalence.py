"""Equivalence within a margin: two one-sided tests, and the number of paired items they need."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from tollens.core.errors import TollensError
from tollens.core.reading import Interval
from tollens.stats.clustered import MIN_CLUSTERS, spread
from tollens.stats.domain import INDEPENDENCE, level, refused, whole
from tollens.stats.paired import discordance, paired_difference
from tollens.stats.power import MOST, too_small
from tollens.stats.registry import Known, statistic
from tollens.stats.result import Result, at_n

UNSAFE = ", with so few discordant pairs equivalence is declared wrongly at a rate of up to 0.12"
_FEW = 20
MARGIN_FIRST = "the margin was fixed before the results were seen"


class Outcome(StrEnum):
    """What the interval says; a difference that is not significant is never called equality."""

    EQUIVALENT = "equivalent"
    DIFFERENT = "different"
    UNDETERMINED = "undetermined"


@dataclass(frozen=True, slots=True)
class Equivalence:
    """`result.interval`, of level 1 - 2 alpha, decides equivalence, and `result.p` is the larger one-sided p.

    `difference`, of level 1 - alpha, decides whether the two differ: the shorter interval excludes zero with
    probability 2 alpha when they do not.
    """

    outcome: Outcome
    margin: float
    result: Result
    difference: Interval


@statistic(
    guarantee="approximate: wrong at rate near alpha = 0.05 from 20 discordant pairs on, up to 0.12 with 5; at n = N",
    references=("Schuirmann (1987), J. Pharmacokinet. Biopharm. 15, 657", "Liu et al. (2002), Stat. Med. 21, 231"),
    known=(
        Known(
            "5 and 5 of 1000",
            lambda f: f(5, 5, 1000, 0.01).result.interval.high,
            1.6448536 * math.sqrt(0.01 / 1000),
            "d = 0, psi = 0.01: z_.95 sqrt(psi/n)",
            1e-9,
        ),
        Known("inside", lambda f: str(f(5, 5, 1000, 0.01).outcome), "equivalent", "0.0052 < 0.01"),
        Known("outside", lambda f: str(f(40, 10, 1000, 0.01).outcome), "different", "0.03 +- 0.0137"),
        Known("neither", lambda f: str(f(5, 5, 100, 0.01).outcome), "undetermined", "0 +- 0.052"),
        Known(
            "between the two intervals",
            lambda f: str(f(35, 22, 1000, 0.01).outcome),
            "undetermined",
            "0.013 +- 0.0124 at level 0.90 excludes 0, 0.013 +- 0.0148 at level 0.95 does not",
        ),
    ),
)
def tost_paired_binary(b: int, c: int, n: int, margin: float, *, alpha: float = 0.05) -> Equivalence:
    """Whether (b - c)/n lies within +-margin, b and c the discordant pairs of n >= 1.

    SE = sqrt((psi - d^2)/n), d = (b - c)/n, psi = (b + c)/n; normal quantiles. Raises: TollensError
    `stats_input` for counts, a level or a margin that are none; `stats_no_scale` without a discordant pair, or
    if all pairs are discordant the same way.
    """
    whole("n", n, 1)
    whole("b", b, 0, n)
    whole("c", c, 0, n - b)
    d, psi = (b - c) / n, (b + c) / n
    if b + c == 0 or n in (b, c):
        raise TollensError(
            "stats_no_scale",
            "discordant pairs",
            expected="pairs that differ and pairs that do not",
            found=f"b = {b}, c = {c} of {n}",
            fix="Bound the share of discordant pairs with clopper_pearson.",
        )
    se = math.sqrt((psi - d * d) / n)
    estimate = Result(
        rule="TOST, paired binary",
        guarantee=f"approximate{'' if b + c >= _FEW else UNSAFE}; {at_n(n)}",
        estimate=d,
        se=se,
        n=n,
        assumptions=(f"normal approximation from {b + c:,} discordant pairs", INDEPENDENCE),
    )
    return _decided(estimate, margin, alpha, _Scale(se, math.inf))


@statistic(
    guarantee="equivalence is declared wrongly at rate at most alpha for normal differences, valid only at n = N",
    references=("Schuirmann (1987), J. Pharmacokinet. Biopharm. 15, 657",),
    known=(
        Known(
            "five differences",
            lambda f: f((1, 2, 3, 4, 5), (3, 3, 3, 3, 3), 2.0).result.interval.high,
            2.131847 * math.sqrt(0.5),
            "mean 0, variance 2.5, t_.95 of df 4 is 2.131847",
            1e-6,
        ),
        Known(
            "their outcome",
            lambda f: str(f((1, 2, 3, 4, 5), (3, 3, 3, 3, 3), 2.0).outcome),
            "equivalent",
            "1.5074 < 2",
        ),
    ),
)
def paired_equivalence(
    x: ArrayLike,
    y: ArrayLike,
    margin: float,
    *,
    cluster: ArrayLike | None = None,
    alpha: float = 0.05,
    min_clusters: int = MIN_CLUSTERS,
) -> Equivalence:
    """Whether mean(x - y) of n paired items lies within +-margin, in the unit of x.

    `tost_paired_binary` for 0/1 outcomes without cluster labels, else the error of `paired_difference` with t
    quantiles. Raises what they raise.
    """
    counts = discordance(x, y)
    if counts is not None and cluster is None:
        return tost_paired_binary(counts.b, counts.c, counts.n, margin, alpha=alpha)
    found = paired_difference(x, y, cluster=cluster, alpha=alpha, min_clusters=min_clusters)
    assert found.n is not None  # both forms count their units
    assert found.se is not None
    unit = found.se if cluster is None else spread(found.se, found.n)
    return _decided(found, margin, alpha, _Scale(unit, found.n - 1.0))


@statistic(
    guarantee="approximate: for many discordant pairs, if the true difference is zero",
    references=("Schuirmann (1987), J. Pharmacokinet. Biopharm. 15, 657", "Liu et al. (2002), Stat. Med. 21, 231"),
    known=(
        Known("psi .02, margin .01, 90 %", lambda f: f(0.02, 0.01, 0.90), 2165, "200 x 3.289707^2 = 2164.4", 0.0),
        Known("psi .02, margin .01, 95 %", lambda f: f(0.02, 0.01, 0.95), 2599, "200 x 3.604817^2 = 2598.9", 0.0),
        Known("psi .02, margin .02, 90 %", lambda f: f(0.02, 0.02, 0.90), 542, "50 x 10.82217 = 541.1", 0.0),
        Known("psi .02, margin .02, 95 %", lambda f: f(0.02, 0.02, 0.95), 650, "50 x 12.99471 = 649.7", 0.0),
        Known("psi .10, margin .01, 90 %", lambda f: f(0.10, 0.01, 0.90), 10823, "1000 x 10.82217", 0.0),
        Known("psi .10, margin .01, 95 %", lambda f: f(0.10, 0.01, 0.95), 12995, "1000 x 12.99471", 0.0),
        Known("psi .10, margin .02, 90 %", lambda f: f(0.10, 0.02, 0.90), 2706, "250 x 10.82217 = 2705.5", 0.0),
        Known("psi .10, margin .02, 95 %", lambda f: f(0.10, 0.02, 0.95), 3249, "250 x 12.99471 = 3248.7", 0.0),
    ),
)
def tost_sample_size(psi: float, margin: float, power: float, *, alpha: float = 0.05) -> int:
    """Pairs for equivalence at a true difference of zero: (z_(1-alpha) + z_(1-beta/2))^2 psi/margin^2, rounded up.

    psi: the share of discordant pairs, in (0, 1]; beta = 1 - power is split over both sides. Raises:
    TollensError `stats_input`.
    """
    _share(psi)
    z = float(ndtri(1.0 - level(alpha)) + ndtri((1.0 + level(power)) / 2.0))
    root = z * math.sqrt(psi) / _margin(margin)
    if root > math.sqrt(MOST):
        raise too_small()
    return max(1, math.ceil(root * root))


@statistic(
    guarantee="approximate: for many discordant pairs, if the true difference is zero",
    references=("Schuirmann (1987), J. Pharmacokinet. Biopharm. 15, 657",),
    known=(
        Known(
            "psi .02, margin .01, 2165 pairs",
            lambda f: f(0.02, 0.01, 2165),
            0.9,
            "the size that `tost_sample_size` gives for 90 %, rounded up by 0.03 %",
            1.5e-4,
        ),
        Known(
            "margin of two quantiles",
            lambda f: f(1.0, 2.0 * 1.6448536 / 10.0, 100),
            0.9,
            "margin/SE = 2 z_.95 leaves z_.95: 2 x 0.95 - 1",
            1e-7,
        ),
        Known("too few", lambda f: f(0.02, 0.01, 100), 0.0, "margin/SE = 0.707 < z_.95: never equivalent", 0.0),
    ),
)
def tost_power(psi: float, margin: float, n: int, *, alpha: float = 0.05) -> float:
    """2 Phi(margin/SE - z_(1-alpha)) - 1, at least 0, SE = sqrt(psi/n): the power at a true difference of zero.

    Raises: TollensError `stats_input`.
    """
    ratio = _margin(margin) / math.sqrt(_share(psi) / whole("n", n, 1))
    return max(0.0, 2.0 * float(ndtr(ratio + ndtri(level(alpha)))) - 1.0)


@dataclass(frozen=True, slots=True)
class _Scale:
    """What quantiles of t with `df` degrees of freedom multiply; infinite df are normal ones."""

    se: float
    df: float


def _decided(found: Result, margin: float, alpha: float, scale: _Scale) -> Equivalence:
    """The outcome for an estimate."""
    _margin(margin)
    if level(alpha) >= 0.5:
        raise refused("alpha", "a level below 1/2 for two one-sided tests", repr(alpha), "Use 0.05.")
    assert found.estimate is not None  # both callers estimate
    d, se, df = found.estimate, scale.se, scale.df
    inner, outer = (-float(stdtrit(df, q)) * se for q in (alpha, alpha / 2.0))
    law = "normal" if math.isinf(df) else f"t with df {df:g}"
    equal = Interval(d - inner, d + inner, 1.0 - 2.0 * alpha, f"TOST, {law}")
    different = Interval(d - outer, d + outer, 1.0 - alpha, law)
    if -margin < equal.low and equal.high < margin:
        outcome = Outcome.EQUIVALENT
    elif not different.low <= 0.0 <= different.high:
        outcome = Outcome.DIFFERENT
    else:
        outcome = Outcome.UNDETERMINED
    result = Result(
        rule=f"TOST within +-{margin:g}, {law}",
        guarantee=found.guarantee,
        estimate=d,
        se=found.se,
        interval=equal,
        p=float(stdtr(df, (abs(d) - margin) / se)),
        n=found.n,
        n_eff=found.n_eff,
        assumptions=(MARGIN_FIRST, *found.assumptions),
    )
    return Equivalence(outcome, margin, result, different)


def _margin(margin: float) -> float:
    if not (math.isfinite(margin) and margin > 0.0):
        raise refused("margin", "a positive number", repr(margin), "State the largest difference that does not matter.")
    return margin


def _share(psi: float) -> float:
    if not 0.0 < psi <= 1.0:
        raise refused("psi", "a share of discordant pairs in (0, 1]", repr(psi), "Estimate it from a pilot.")
    return psi
