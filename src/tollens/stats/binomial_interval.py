"""Intervals for a rate from k successes among n trials."""

from __future__ import annotations

import math

from scipy.special import betaincinv, ndtri

from tollens.core.reading import Interval
from tollens.stats.domain import ALTERNATIVES, INDEPENDENCE, Alternative, level, one_of, whole
from tollens.stats.registry import Known, statistic
from tollens.stats.result import Result, at_n


@statistic(
    guarantee="approximate: covers 1 - alpha on average over rates, valid only at n = N",
    references=("Wilson (1927), JASA 22, 209", "Brown, Cai, DasGupta (2001), Stat. Sci. 16, 101"),
    known=(
        Known("81 of 263", lambda f: ends(f(81, 263)), (0.2553, 0.3662), "the formula by hand"),
        Known("0 of 20", lambda f: ends(f(0, 20)), (0.0, 0.1611), "upper end z^2/(n + z^2) = 3.84146/23.84146"),
    ),
)
def wilson(k: int, n: int, *, alpha: float = 0.05) -> Result:
    """The rates that a score test at level `alpha` does not reject, 0 <= k <= n, n >= 1 (Wilson 1927).

    Centre (k/n + z^2/2n)/(1 + z^2/n), half-width z sqrt(p(1-p)/n + z^2/4n^2)/(1 + z^2/n). Raises: TollensError
    `stats_input`.
    """
    whole("n", n, 1)
    whole("k", k, 0, n)
    z = -float(ndtri(level(alpha) / 2.0))
    rate = k / n
    shrink = 1.0 + z * z / n
    centre = (rate + z * z / (2.0 * n)) / shrink
    half = z * math.sqrt(rate * (1.0 - rate) / n + z * z / (4.0 * n * n)) / shrink
    low = 0.0 if k == 0 else max(0.0, centre - half)  # exact there; the difference of the two rounds
    high = 1.0 if k == n else min(1.0, centre + half)
    return _rate(k, n, Interval(low, high, 1.0 - alpha, "Wilson"))


@statistic(
    guarantee="covers at least 1 - alpha at every rate, valid only at n = N",
    references=("Clopper, Pearson (1934), Biometrika 26, 404",),
    known=(
        Known("81 of 263", lambda f: ends(f(81, 263)), (0.2527, 0.3676), "beta quantiles (81, 183), (82, 182)"),
        Known("0 of 20", lambda f: ends(f(0, 20)), (0.0, 0.1684), "1 - 0.025^(1/20)"),
        Known(
            "990 of 1000, one-sided",
            lambda f: ends(f(990, 1000, alpha=0.001, alternative="greater"))[0],
            0.976036,
            "beta quantile (990, 11) at 0.001",
            1e-6,
        ),
        Known(
            "10 of 10, one-sided",
            lambda f: ends(f(10, 10, alternative="greater")),
            (0.05**0.1, 1.0),
            "p^10 = 0.05",
            1e-12,
        ),
    ),
)
def clopper_pearson(k: int, n: int, *, alpha: float = 0.05, alternative: Alternative = "two-sided") -> Result:
    """The rates that no exact binomial test of level `alpha` rejects, 0 <= k <= n, n >= 1.

    `alternative` "greater" gives a lower bound, with the upper end 1; "less" an upper bound (Clopper, Pearson
    1934). Raises: TollensError `stats_input`.
    """
    whole("n", n, 1)
    whole("k", k, 0, n)
    one_of("alternative", alternative, ALTERNATIVES)
    tail = level(alpha) / 2.0 if alternative == "two-sided" else alpha
    low = float(betaincinv(k, n - k + 1, tail)) if k > 0 and alternative != "less" else 0.0
    high = 1.0 - float(betaincinv(n - k, k + 1, tail)) if k < n and alternative != "greater" else 1.0
    return _rate(k, n, Interval(low, high, 1.0 - alpha, f"Clopper-Pearson, {alternative}"))


def ends(result: Result) -> tuple[float, float]:
    """Both ends of the interval of a result that has one."""
    if result.interval is None:
        raise ValueError(f"{result.rule} has no interval")
    return result.interval.low, result.interval.high


def _rate(k: int, n: int, interval: Interval) -> Result:
    return Result(
        rule=interval.method,
        guarantee=at_n(n),
        estimate=k / n,
        interval=interval,
        n=n,
        assumptions=("one rate in all trials", INDEPENDENCE),
    )
