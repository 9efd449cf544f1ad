"""Tests of 2 x 2 tables: McNemar for pairs, Fisher for two groups."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import betainc, chdtrc, gammaln

from tollens.core.errors import TollensError
from tollens.stats.binomial_interval import clopper_pearson
from tollens.stats.domain import ALTERNATIVES, INDEPENDENCE, Alternative, Array, level, one_of, refused, whole
from tollens.stats.registry import Known, statistic
from tollens.stats.result import Result, at_n

_TIE = 1e-7  # probabilities closer than this count as equal: log-gamma of counts up to 1e6 rounds by less


@statistic(
    guarantee="exact: the type-I error is at most alpha, valid only at n = N discordant pairs",
    references=("McNemar (1947), Psychometrika 12, 153",),
    known=(
        Known("121 against 59", lambda f: f(121, 59).p, 4.43445e-6, "2 P(Bin(180, 1/2) <= 59)", 1e-10),
        Known("10 against 2", lambda f: f(10, 2).p, 158 / 4096, "2 (1 + 12 + 66)/2^12", 1e-15),
        Known("5 against 5", lambda f: f(5, 5).p, 1.0, "doubling exceeds 1 and is capped", 0.0),
        Known("none discordant", lambda f: f(0, 0).p, 1.0, "nothing speaks against equality", 0.0),
    ),
)
def mcnemar_exact(b: int, c: int, *, alternative: Alternative = "two-sided", alpha: float = 0.05) -> Result:
    """The binomial test that a discordant pair favours either side with probability 1/2.

    b: pairs where only the first succeeds; c: only the second. p is the smaller tail doubled, at most 1; the
    estimate is the share b/(b + c), with its Clopper-Pearson interval, where there is a discordant pair.
    Raises: TollensError `stats_input`.
    """
    n = whole("b", b) + whole("c", c)
    one_of("alternative", alternative, ALTERNATIVES)
    level(alpha)
    upper = float(betainc(b, c + 1, 0.5)) if b else 1.0  # P(Bin(n, 1/2) >= b)
    lower = float(betainc(c, b + 1, 0.5)) if c else 1.0
    p = {"greater": upper, "less": lower, "two-sided": min(1.0, 2.0 * min(upper, lower))}[alternative]
    share = clopper_pearson(b, n, alpha=alpha) if n else None
    return Result(
        rule=f"McNemar, exact, {alternative}",
        guarantee=at_n(n),
        estimate=share.estimate if share else None,
        unit="share of discordant pairs",
        interval=share.interval if share else None,
        p=p,
        n=n,
        assumptions=("under the null a discordant pair favours either side alike", INDEPENDENCE),
    )


@statistic(
    guarantee="none: a number, not a test",
    references=("McNemar (1947), Psychometrika 12, 153", "Edwards (1948), Psychometrika 13, 185"),
    known=(
        Known("121 against 59", lambda f: f(121, 59, corrected=False), 21.355556, "62^2/180", 1e-6),
        Known("the same, corrected", lambda f: f(121, 59, corrected=True), 20.672222, "61^2/180", 1e-6),
    ),
)
def mcnemar_statistic(b: int, c: int, *, corrected: bool) -> float:
    """(b - c)^2/(b + c); `corrected` takes 1 from |b - c|, down to 0 (Edwards 1948).

    Raises: TollensError `stats_input`, `stats_no_scale` if no pair is discordant.
    """
    n = whole("b", b) + whole("c", c)
    if n == 0:
        raise TollensError(
            "stats_no_scale",
            "discordant pairs",
            expected="at least one pair on which the two differ",
            found="none",
            fix="Use the exact form, whose p-value is 1 here.",
        )
    return max(0, abs(b - c) - corrected) ** 2 / n


@statistic(
    guarantee="approximate: for many discordant pairs, valid only at n = N",
    references=("McNemar (1947), Psychometrika 12, 153", "Edwards (1948), Psychometrika 13, 185"),
    known=(
        Known("121 against 59", lambda f: f(121, 59, corrected=False).p, 3.815136e-6, "erfc(62/sqrt(360))", 1e-11),
        Known("25 against 5", lambda f: f(25, 5, corrected=False).p, 2.607296e-4, "erfc(20/sqrt(60))", 1e-9),
    ),
)
def mcnemar_chi2(b: int, c: int, *, corrected: bool) -> Result:
    """`mcnemar_statistic` against chi-squared with one degree of freedom; two-sided. Raises as it does."""
    value = mcnemar_statistic(b, c, corrected=corrected)
    return Result(
        rule=f"McNemar, chi-squared {value:.6g}, {'with' if corrected else 'without'} continuity correction",
        guarantee=f"approximate; {at_n(b + c)}",
        estimate=b / (b + c),
        unit="share of discordant pairs",
        p=float(chdtrc(1.0, value)),
        n=b + c,
        assumptions=("under the null a discordant pair favours either side alike", INDEPENDENCE),
    )


@statistic(
    guarantee="exact given both margins: the type-I error is at most alpha, valid only at n = N",
    references=("Fisher (1935), The Design of Experiments, section 5",),
    known=(
        Known("all cups right", lambda f: f(4, 0, 0, 4, alternative="greater").p, 1 / 70, "1/C(8, 4)", 1e-12),
        Known("three right", lambda f: f(3, 1, 1, 3, alternative="greater").p, 17 / 70, "(1 + 16)/C(8, 4)", 1e-12),
        Known("three right, two-sided", lambda f: f(3, 1, 1, 3).p, 34 / 70, "(1 + 16 + 16 + 1)/C(8, 4)", 1e-12),
    ),
)
def fisher_exact(a: int, b: int, c: int, d: int, *, alternative: Alternative = "two-sided") -> Result:
    """The test of independence in [[a, b], [c, d]] given its margins; "greater" is an odds ratio above 1.

    Two-sided: the outcomes no likelier than the observed are summed. The estimate is the sample odds ratio
    ad/bc where b and c are positive. Raises: TollensError `stats_input`.
    """
    cells = [whole(name, v) for v, name in zip((a, b, c, d), "abcd", strict=True)]
    one_of("alternative", alternative, ALTERNATIVES)
    n = sum(cells)
    if n == 0:
        raise refused("table", "at least one count above 0", "0 0 0 0", "Give the table [[a, b], [c, d]].")
    support, log_p = _hypergeometric(a + b, c + d, a + c)
    chosen = {
        "greater": support >= a,
        "less": support <= a,
        "two-sided": log_p <= log_p[support == a][0] + _TIE,
    }[alternative]
    return Result(
        rule=f"Fisher, {alternative}",
        guarantee=at_n(n),
        estimate=a * d / (b * c) if b * c else None,
        unit="odds ratio",
        p=1.0 if chosen.all() else min(1.0, float(np.exp(log_p[chosen]).sum())),
        n=n,
        assumptions=("the margins are fixed", INDEPENDENCE),
    )


def _hypergeometric(first: int, second: int, drawn: int) -> tuple[Array, Array]:
    """The numbers that may come from the first group when `drawn` are drawn of both, and their log-probabilities."""
    k = np.arange(max(0, drawn - second), min(first, drawn) + 1, dtype=np.float64)
    rest = drawn - k
    log_weight = -(gammaln(k + 1) + gammaln(first - k + 1) + gammaln(rest + 1) + gammaln(second - rest + 1))
    top = float(log_weight.max())
    return k, log_weight - top - math.log(np.exp(log_weight - top).sum())
