"""The relative difference of two rates, by the delta method."""

from __future__ import annotations

import math

from scipy.special import ndtr, ndtri

from tollens.core.errors import TollensError
from tollens.core.reading import Interval
from tollens.stats.binomial_interval import ends
from tollens.stats.domain import ALTERNATIVES, INDEPENDENCE, Alternative, level, one_of, refused, whole
from tollens.stats.registry import Known, statistic
from tollens.stats.result import Result, at_n


@statistic(
    guarantee="approximate: for many successes in both groups, valid only at n = N",
    references=("Casella, Berger (2002), Statistical Inference, section 5.5.4",),
    known=(
        Known("49 and 51 of 100", lambda f: f((49, 100), (51, 100)).estimate, 2 / 49, "0.02/0.49", 1e-12),
        Known(
            "its interval",
            lambda f: ends(f((49, 100), (51, 100))),
            (-0.24779, 0.32943),
            "se^2 = 0.002499 (1 + (51/49)^2)/0.49^2 = 0.147252^2",
            1e-5,
        ),
        Known(
            "P(> 0)",
            lambda f: 1.0 - f((49, 100), (51, 100), alternative="greater").p,
            0.60918,
            "the normal distribution function at 0.040816/0.147252",
            1e-5,
        ),
    ),
)
def relative_difference(
    a: tuple[int, int], b: tuple[int, int], *, alternative: Alternative = "two-sided", alpha: float = 0.05
) -> Result:
    """pB/pA - 1 for a = (successes, trials) and b; variance (varB + (pB/pA)^2 varA)/pA^2, var = p(1-p)/n.

    1 - p of the alternative "greater" is the normal approximation to P(relative difference > 0 | data) under a
    flat prior. Raises: TollensError `stats_input`, also without a success in a; `stats_no_scale` if neither
    rate varies.
    """
    for (k, n), name in ((a, "a"), (b, "b")):
        whole(f"{name} successes", k, 0, whole(f"{name} trials", n, 1))
    one_of("alternative", alternative, ALTERNATIVES)
    level(alpha)
    if a[0] == 0:
        raise refused("a", "at least one success in the denominator", "0", "Compare the absolute difference.")
    rate_a, rate_b = a[0] / a[1], b[0] / b[1]
    ratio = rate_b / rate_a
    variance = rate_b * (1.0 - rate_b) / b[1] + ratio**2 * rate_a * (1.0 - rate_a) / a[1]
    if variance == 0.0:
        raise TollensError(
            "stats_no_scale",
            "relative difference",
            expected="a rate strictly between 0 and 1",
            found=f"{rate_a:g} and {rate_b:g}",
            fix="Use exact intervals of the two rates.",
        )
    estimate, se = ratio - 1.0, math.sqrt(variance) / rate_a
    z = estimate / se
    half = -float(ndtri(alpha / 2.0)) * se
    p = {"two-sided": 2.0 * ndtr(-abs(z)), "greater": ndtr(-z), "less": ndtr(z)}[alternative]
    return Result(
        rule=f"relative difference, delta method, {alternative}",
        guarantee=f"approximate; {at_n(a[1] + b[1])}",
        estimate=estimate,
        se=se,
        interval=Interval(estimate - half, estimate + half, 1.0 - alpha, "delta method"),
        p=float(p),
        n=a[1] + b[1],
        assumptions=("the denominator is many standard errors from zero", INDEPENDENCE),
    )
