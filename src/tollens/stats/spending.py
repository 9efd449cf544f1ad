"""How much of the type-I error may be spent by each information fraction (Lan & DeMets 1983)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

from scipy.special import ndtr, ndtri

from tollens.stats.domain import between, refuse
from tollens.stats.registry import Known, statistic

LAN_DEMETS = "Lan & DeMets, Discrete sequential boundaries for clinical trials, Biometrika 70 (1983)"
SPENT = "spends exactly alpha by t = 1; valid for looks whose times do not depend on the data"


@statistic(
    guarantee=SPENT,
    references=(LAN_DEMETS,),
    known=(
        Known("all of alpha at the end", lambda f: f(1.0, 0.05, 2), 0.05, "4 - 4 Phi(z_{1-alpha/4}) = alpha", 1e-12),
        Known(
            "the first of five looks",
            lambda f: f(0.2, 0.05, 2) * 1e6,
            1.0778,
            "two tails beyond 4.8769, the first boundary of the two-sided design of five equal looks",
            1e-3,
        ),
    ),
)
def obrien_fleming_spending(t: float, alpha: float, sides: int = 2) -> float:
    """Error spent by information fraction t: half of it a side, 2 - 2 Phi(z_{1-a/2}/sqrt(t)) each.

    With a = alpha/2 a side for two sides, so 4 - 4 Phi(z_{1-alpha/4}/sqrt(t)) in all; a = alpha for one (Lan &
    DeMets 1983). Raises: TollensError `stats_input` for t outside (0, 1], alpha outside (0, 1), sides not 1 or 2.
    """
    _check(t, alpha, sides)
    return float(2.0 * sides * ndtr(ndtri(alpha / (2.0 * sides)) / math.sqrt(t)))


@statistic(
    guarantee=SPENT + "; spends earlier than the O'Brien-Fleming type, which has this form on each side",
    references=(LAN_DEMETS,),
    known=(Known("all of alpha at the end", lambda f: f(1.0, 0.05), 0.05, "2 - 2 Phi(z_{1-alpha/2}) = alpha", 1e-12),),
)
def obrien_fleming_spending_of_total(t: float, alpha: float, sides: int = 2) -> float:
    """2 - 2 Phi(z_{1-alpha/2}/sqrt(t)) in all, split evenly over the sides: the one-sided form of the total.

    For one side it is `obrien_fleming_spending`; for two it spends earlier, and some tables are made with it.
    Raises as `obrien_fleming_spending`.
    """
    _check(t, alpha, sides)
    return float(2.0 * ndtr(ndtri(alpha / 2.0) / math.sqrt(t)))


@statistic(
    guarantee=SPENT,
    references=(LAN_DEMETS,),
    known=(
        Known(
            "five equal looks",
            lambda f: [f(k / 5.0, 0.05) for k in range(1, 6)],
            (0.01477, 0.02616, 0.03543, 0.04324, 0.05),
            ".05 ln(1 + (e - 1)k/5)",
            5e-6,
        ),
    ),
)
def pocock_spending(t: float, alpha: float, sides: int = 2) -> float:
    """alpha ln(1 + (e - 1)t), split evenly over the sides. Raises as `obrien_fleming_spending`."""
    _check(t, alpha, sides)
    return alpha * math.log1p((math.e - 1.0) * t)


def _check(t: float, alpha: float, sides: int) -> None:
    between("alpha", alpha, 0.0, 1.0)
    if not 0.0 < t <= 1.0:
        refuse("an information fraction", "a number in (0, 1]", t)
    if sides not in (1, 2):
        refuse("sides", "1 or 2", sides)


SPENDING: Mapping[str, Callable[[float, float, int], float]] = MappingProxyType(
    {
        "obrien-fleming": obrien_fleming_spending,
        "obrien-fleming of the total": obrien_fleming_spending_of_total,
        "pocock": pocock_spending,
    }
)
