"""E-values: from p-values, and the false discovery rate of many of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tollens.core.errors import TollensError
from tollens.stats.domain import between, refuse
from tollens.stats.registry import Known, statistic

VOVK = "Vovk & Wang, E-values: calibration, combination and applications, Ann. Statist. 49 (2021)"
_LARGEST_LOG = 709.0
_SMALLEST = float(np.finfo(np.float64).tiny)  # 1/p of a smaller one overflows


def capped_exp(log_e: float) -> float:
    """exp(log_e), at most exp(709): an e-value made smaller is still one."""
    return math.exp(min(log_e, _LARGEST_LOG))


def p_from_e(e: float) -> float:
    """min(1, 1/e), the p-value of an e-value by Markov's inequality."""
    return 1.0 if e <= 1.0 else 1.0 / e


@statistic(
    guarantee="E e <= 1 under the null whenever P(p <= u) <= u for all u",
    references=(VOVK,),
    known=(
        Known(
            "kappa 1/2 at .05, .01 and .001",
            lambda f: [f(p, 0.5) for p in (0.05, 0.01, 0.001)],
            (2.2361, 5.0, 15.8114),
            "1/(2 sqrt(p))",
        ),
        Known(
            "integrated over kappa at .05, .01 and .001",
            lambda f: [f(p) for p in (0.05, 0.01, 0.001)],
            (1.7833, 4.4510, 20.7911),
            "(1 - p + p ln p)/(p ln^2 p)",
        ),
        Known("integrated at p = 1", lambda f: f(1.0), 0.5, "the integral of kappa over (0, 1)", 1e-12),
    ),
)
def p_to_e(p: float, kappa: float | None = None) -> float:
    """kappa p^(kappa - 1), or its integral over kappa in (0, 1), (1 - p + p ln p)/(p ln^2 p), if kappa is None.

    Vovk & Wang (2021, eqs. 1 and 2). Raises: TollensError `stats_input` for p outside (0, 1] or kappa outside
    (0, 1).
    """
    x = _minus_log(p)
    if kappa is not None:
        return between("kappa", kappa, 0.0, 1.0) * math.exp((1.0 - kappa) * x)
    if x < 1e-4:  # (e^x - 1 - x)/x^2 loses its digits
        return 0.5 + x / 6.0 + x * x / 24.0
    return (math.expm1(x) - x) / (x * x)


def _minus_log(p: float) -> float:
    if not isinstance(p, (int, float, np.floating)) or not _SMALLEST <= p <= 1.0:
        refuse("p", "a p-value in (0, 1] that is not denormal", p)
    return -math.log(p)


@dataclass(frozen=True, slots=True)
class BayesFactorBound:
    """The most that any Bayes factor of a class can say against the null. It is not an e-value."""

    bound: float


@statistic(
    guarantee="an upper bound on a Bayes factor against the null, not an e-value: its mean under the null is infinite",
    references=("Sellke, Bayarri & Berger, Calibration of p values, Amer. Statist. 55 (2001)",),
    known=(
        Known("at .05", lambda f: f(0.05).bound, 2.45602, "1/(.05 e ln 20)", 1e-5),
        Known("at 1/e and above", lambda f: f(0.5).bound, 1.0, "-e p ln p is largest, 1, at p = 1/e", 1e-12),
    ),
)
def bayes_factor_bound(p: float) -> BayesFactorBound:
    """-1/(e p ln p) for p < 1/e, 1 above (Sellke, Bayarri & Berger 2001).

    Raises: TollensError `stats_input` for p outside (0, 1].
    """
    x = _minus_log(p)
    return BayesFactorBound(math.exp(x - 1.0) / x if x > 1.0 else 1.0)


@statistic(
    guarantee="false discovery rate at most alpha under any dependence of the e-values",
    references=("Wang & Ramdas, False discovery rate control with e-values, JRSS B 84 (2022)",),
    known=(
        Known(
            "five e-values at alpha .1",
            lambda f: f([40.0, 30.0, 2.0, 100.0, 1.0], 0.1),
            (0, 1, 3),
            "sorted 100 40 30 2 1, times rank 100 80 90 8 5; at least 5/.1 = 50 last at the third",
            0.0,
        ),
    ),
)
def e_bh(e: Sequence[float | BayesFactorBound], alpha: float) -> tuple[int, ...]:
    """Which hypotheses are rejected, as indices from 0 in ascending order (Wang & Ramdas 2022).

    Those with the k largest e-values, k the largest rank with k e_(k) >= K/alpha. Raises: TollensError
    `stats_input` for no e-value, one that is negative or not finite, alpha outside (0, 1), and for a
    `BayesFactorBound`, which is no e-value.
    """
    level = between("alpha", alpha, 0.0, 1.0)
    for value in e:
        if isinstance(value, BayesFactorBound):
            raise TollensError(
                "stats_input",
                "e-BH",
                expected="e-values",
                found="an upper bound on a Bayes factor, whose mean under the null is infinite",
                fix="Calibrate the p-value with `p_to_e` instead.",
            )
    values = np.asarray(e, dtype=np.float64)
    if values.ndim != 1 or values.size == 0 or not (np.isfinite(values) & (values >= 0.0)).all():
        refuse("e", "a non-empty sequence of finite values of at least 0", e)
    order = np.argsort(-values, kind="stable")
    reached = np.flatnonzero(np.arange(1, values.size + 1) * values[order] * level >= values.size)
    return tuple(sorted(int(i) for i in order[: reached[-1] + 1])) if reached.size else ()
