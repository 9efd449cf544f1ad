"""Student's t: two samples of one variance, two samples of any variance, pairs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtr, stdtrit

from tollens.core.errors import TollensError
from tollens.core.reading import Interval
from tollens.stats.domain import ALTERNATIVES, INDEPENDENCE, Alternative, Array, differences, level, one_of, sample
from tollens.stats.published import SCORES_A, SCORES_B, SLEEP_1, SLEEP_2
from tollens.stats.registry import Known, statistic
from tollens.stats.result import Result, at_n


def t_value(result: Result) -> float:
    """estimate/se of a result that has both."""
    if result.estimate is None or not result.se:
        raise ValueError(f"{result.rule} has no estimate with a standard error")
    return result.estimate / result.se


@statistic(
    guarantee="exact for normal samples of one variance, valid only at n = N",
    references=("Student (1908), Biometrika 6, 1", "Fisher (1925), Metron 5, 90"),
    known=(
        Known("sleep", lambda f: f(SLEEP_1, SLEEP_2).p, 0.0791867, "t = -1.860813, df 18", 1e-7),
        Known(
            "df 2, closed form",
            lambda f: f((0, 2), (2, 4)).p,
            1.0 - math.sqrt(1 / 2),
            "t^2 = 2; for df 2 p = 1 - t/sqrt(2 + t^2)",
            1e-12,
        ),
    ),
)
def student_t(x: ArrayLike, y: ArrayLike, *, alternative: Alternative = "two-sided", alpha: float = 0.05) -> Result:
    """mean(x) - mean(y) with pooled variance, n1 + n2 - 2 degrees of freedom; n1, n2 >= 1, n1 + n2 >= 3.

    The interval is two-sided at 1 - alpha whatever the alternative. Raises: TollensError `stats_input`,
    `stats_no_scale` if all values of each sample are equal.
    """
    a, b = sample("x", x), sample("y", y, 2 if np.size(x) == 1 else 1)
    df = a.size + b.size - 2
    pooled = (_squares(a) + _squares(b)) / df
    se = math.sqrt(pooled * (1.0 / a.size + 1.0 / b.size))
    asked = _Asked("Student t", alternative, alpha, a.size + b.size)
    return _answer(asked, float(a.mean() - b.mean()), se, df, "normal samples of one variance")


@statistic(
    guarantee="approximate for normal samples, valid only at n = N",
    references=("Welch (1947), Biometrika 34, 28", "Satterthwaite (1946), Biometrics Bull. 2, 110"),
    known=(
        Known("sleep", lambda f: f(SLEEP_1, SLEEP_2).p, 0.07939414, "t = -1.860813, df 17.77647", 1e-7),
        Known(
            "ten items, unpaired",
            lambda f: f(SCORES_A, SCORES_B).se,
            0.2260777,
            "sqrt(0.21/9 + 0.25/9): 7 and 5 of 10",
            1e-7,
        ),
    ),
)
def welch_t(x: ArrayLike, y: ArrayLike, *, alternative: Alternative = "two-sided", alpha: float = 0.05) -> Result:
    """mean(x) - mean(y), each sample with its own variance, degrees of freedom by Satterthwaite; n1, n2 >= 2.

    The interval is two-sided at 1 - alpha whatever the alternative. Raises: TollensError `stats_input`,
    `stats_no_scale` if all values of each sample are equal.
    """
    a, b = sample("x", x, 2), sample("y", y, 2)
    u, v = _squares(a) / (a.size - 1) / a.size, _squares(b) / (b.size - 1) / b.size
    se = math.sqrt(u + v)
    share = u / (u + v) if se > 0.0 else 0.5
    df = 1.0 / (share**2 / (a.size - 1) + (1.0 - share) ** 2 / (b.size - 1))
    asked = _Asked("Welch t", alternative, alpha, a.size + b.size)
    return _answer(asked, float(a.mean() - b.mean()), se, df, "normal samples")


@statistic(
    guarantee="exact for normal differences, valid only at n = N pairs",
    references=("Student (1908), Biometrika 6, 1",),
    known=(
        Known("sleep, t", lambda f: t_value(f(SLEEP_1, SLEEP_2)), -4.062128, "mean -1.58, s 1.229995", 1e-6),
        Known("sleep, p", lambda f: f(SLEEP_1, SLEEP_2).p, 0.00283289, "df 9", 1e-8),
        Known("ten items", lambda f: f(SCORES_A, SCORES_B).estimate, 0.2, "2 of 10 differ, one way", 1e-12),
        Known("its error", lambda f: f(SCORES_A, SCORES_B).se, 2 / 15, "sqrt(1.6/9/10)", 1e-12),
    ),
)
def paired_t(x: ArrayLike, y: ArrayLike, *, alternative: Alternative = "two-sided", alpha: float = 0.05) -> Result:
    """mean(x - y) of n >= 2 pairs, n - 1 degrees of freedom.

    The interval is two-sided at 1 - alpha whatever the alternative. Raises: TollensError `stats_input`,
    `stats_no_scale` if all differences are equal.
    """
    d = differences(x, y, 2)
    se = math.sqrt(_squares(d) / (d.size - 1) / d.size)
    return _answer(
        _Asked("paired t", alternative, alpha, d.size), float(d.mean()), se, d.size - 1, "normal differences"
    )


@dataclass(frozen=True, slots=True)
class _Asked:
    rule: str
    alternative: Alternative
    alpha: float
    n: int


def _squares(x: Array) -> float:
    """The sum of squares about the mean; exactly zero for equal values, whose mean may round."""
    deviations = x - x.mean()
    return 0.0 if float(np.ptp(x)) == 0.0 else float(deviations @ deviations)


def _answer(asked: _Asked, estimate: float, se: float, df: float, law: str) -> Result:
    one_of("alternative", asked.alternative, ALTERNATIVES)
    alpha = level(asked.alpha)
    if se == 0.0:
        raise TollensError(
            "stats_no_scale",
            asked.rule,
            expected="values that differ",
            found="no variance",
            fix="Use a permutation test, or check whether the data were copied.",
        )
    t = estimate / se
    p = {
        "two-sided": 2.0 * float(stdtr(df, -abs(t))),
        "greater": float(stdtr(df, -t)),
        "less": float(stdtr(df, t)),
    }[asked.alternative]
    half = -float(stdtrit(df, alpha / 2.0)) * se
    return Result(
        rule=f"{asked.rule}, df {df:.6g}, {asked.alternative}",
        guarantee=at_n(asked.n),
        estimate=estimate,
        se=se,
        interval=Interval(estimate - half, estimate + half, 1.0 - alpha, f"{asked.rule}, df {df:.6g}"),
        p=min(1.0, p),
        n=asked.n,
        assumptions=(law, INDEPENDENCE),
    )
