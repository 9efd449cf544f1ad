"""Designs of tests and what they can show."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from scipy.special import ndtr, ndtri

from tollens.core.errors import TollensError
from tollens.lint.check import Check, Subtype, at_most, equal, unchecked, undetermined
from tollens.lint.fields import Fields
from tollens.lint.interval import INF, Range, as_range, hull
from tollens.lint.law import Example
from tollens.lint.registry import invariant
from tollens.lint.shown import number_text
from tollens.stats.binomial_interval import ends, wilson
from tollens.stats.expected_loss import tie_bound
from tollens.stats.multiplicity import familywise_error
from tollens.stats.power import Formula, n_two_proportions, power_two_proportions
from tollens.stats.tables import fisher_exact

__all__ = ["compare", "fwer", "null_level", "power", "tie"]
_ACCURACY = 1e-9
_LARGEST_TABLE = 1_000_000
_EXPECTED = 5.0
_BELOW, _ABOVE = 1.5, 1.0
"""How far the powers of exact tests lie from the normal formulas, in single successes of the difference.

A continuity correction takes 1. Enumerated for up to 250 an arm, 5 expected events and levels .001 to .05, Fisher's
test lies up to 1.23 below the least formula, the pooled and unpooled tests up to 0.63 above the largest.
"""
_AB = {"p1": "10 %", "p2": "12 %", "n": "1000", "alpha": "0.05", "sides": "2"}


def _between(found: Range | None, low: float, high: float) -> bool:
    return found is not None and low < found.low <= found.high < high


def _power_at(formula: Formula, rates: tuple[float, float], n: float, alpha: float, sides: int) -> float:
    """Power by one formula; that of no effect for rates that do not differ, 1 for rates without variance."""
    if rates[0] >= rates[1]:
        return alpha / sides
    if rates == (0.0, 1.0):
        return 1.0
    return power_two_proportions(*rates, n, alpha, formula=formula, sides=sides)


def _power_range(formula: Formula, p: tuple[Range, Range], n: Range, alpha: Range, sides: int) -> Range:
    """Power over all rates of two intervals, the lower first: it rises as they part, and with n and alpha."""
    low = _power_at(formula, (p[0].high, p[1].low), n.low, alpha.low, sides)
    high = _power_at(formula, (p[0].low, p[1].high), n.high, alpha.high, sides)
    return Range(min(low, high), high).widened(_ACCURACY)


def _any_power(p: tuple[Range, Range], n: Range, alpha: Range, sides: int) -> Range:
    """What any usual formula or test could give: also arcsine, the far tail, a continuity correction, exact tests."""
    unpooled = _power_range("unpooled", p, n, alpha, sides)
    made = hull(unpooled, *(_power_range(name, p, n, alpha, sides) for name in ("pooled", "arcsine")))
    variance = sum(min(r.low * (1.0 - r.low), r.high * (1.0 - r.high)) for r in p)
    if variance <= 0.0:
        return Range(0.0, 1.0)
    step = 1.0 / math.sqrt(n.low * variance)
    ends = (made.low, -_BELOW * step), (min(made.high, 1.0), _ABOVE * step)
    low, high = (float(ndtr(ndtri(end) + away)) for end, away in ends)
    # With a = z + ndtri(power) both tails have Phi(a - z) + Phi(-a - z), which rises in a.
    tail = float(ndtri(alpha.high / 2.0))
    far = 0.0 if sides == 1 else float(ndtr(2.0 * tail - ndtri(min(unpooled.high, 1.0))))
    return Range(low, min(1.0, high + far))


def _enough(p: Sequence[float], power: float, alpha: float, formula: Formula, sides: int = 2) -> int | None:
    """The number an arm that the power needs; None for a difference that no number anybody has would find."""
    try:
        return math.ceil(n_two_proportions(p[0], p[1], power, alpha, formula=formula, sides=sides))
    except TollensError:
        return None


def _needed(p: tuple[float, float], power: float, alpha: float, sides: int) -> str:
    """`4,659 or 4,662`: the number an arm that the power needs, unpooled and pooled; empty where none is defined."""
    if not p[0] < p[1] or p == (0.0, 1.0) or not alpha < power < 1.0:
        return ""
    formulas: tuple[Formula, Formula] = ("unpooled", "pooled")
    least = [_enough(p, power, alpha, name, sides) for name in formulas]
    if least[0] is None or least[1] is None:
        return ""
    return f"{number_text(power * 100)} % needs {number_text(least[0])} (unpooled) or {number_text(least[1])} (pooled)"


@invariant(
    id="stat.power",
    formula="power = Phi((|p2 - p1| sqrt n - z s0) / s1)",
    needs={"p1": "1", "p2": "1", "n": "count", "alpha": "1", "power": "%|1", "sides": "count"},
    exact=("alpha", "sides"),
    assumes=("n in each of two independent arms", "one look at the end"),
    violation=Subtype.CONTRADICTED,
    reference="Fleiss, Levin & Paik, Statistical Methods for Rates and Proportions (2003), chapter 4",
    known=(
        Example(
            {**_AB, "power": "87"},
            "refuted/contradicted",
            {"computed": 29.81, "margin": -57.19},
            1e-2,
            witness="87 % needs 4,659 (unpooled) or 4,662 (pooled)",
            derivation="Phi(.02 sqrt 1000 / sqrt(.1956) - 1.959964) = Phi(-.52993)",
        ),
        Example({**_AB, "power": "87"}, "refuted/contradicted", witness="3,839 (unpooled) or 3,841 (pooled)"),
        Example({**_AB, "power": "87"}, "refuted/contradicted", witness="pooled 29.77 %, unpooled 29.81 %"),
        Example({**_AB, "power": "29.8"}, "supported/recomputed"),
        Example({**_AB, "power": "0.30 1"}, "supported/recomputed"),
        Example(
            {**_AB, "power": "29.87"},
            "undetermined/consistent",
            derivation="arcsine: Phi(.063964 sqrt 500 - 1.959964)",
        ),
        Example({**_AB, "p1": "10.00 %", "p2": "12.00 %", "power": "50"}, "refuted/contradicted"),
        Example(
            {"p1": ".467", "p2": ".552", "n": "118", "alpha": "0.05", "sides": "2", "power": "20.9"},
            "undetermined/consistent", {"computed": 25.58}, 1e-2,
            derivation="Fisher's exact test, summed over all tables: .2093",
        ),
        Example(
            {"p1": ".467", "p2": ".552", "n": "118", "alpha": "0.05", "sides": "2", "power": "28.1"},
            "undetermined/consistent", {"computed": 25.81}, 1e-2,
            derivation="the unpooled test, summed over all tables: .2807",
        ),
        Example({**_AB, "power": "50"}, "undetermined/consistent", derivation="9.5 % and 12.5 % give 57 %"),
        Example({**_AB, "n": "20", "power": "87"}, "undetermined/model_based"),
        Example({"p1": "10 %", "p2": "12 %", "n": "1000", "alpha": "0.05", "power": "87"}, "unchecked",
                witness="missing field sides"),
        Example({"p1": "10 %", "p2": "12 %", "n": "1000", "sides": "2", "power": "87"}, "unchecked",
                witness="missing field alpha"),
    ),
)  # fmt: skip
def power(f: Fields) -> Check:
    """The power to tell two rates apart with n an arm follows from the rates, n, the level and the sides.

    With s1^2 = p1 q1 + p2 q2, and under no difference s0^2 = 2 p q of the mean rate (pooled) or s1^2 (unpooled).
    With f = |p2 - p1|/s1 the pooled argument is f sqrt n - z sqrt(1 + f^2/2), the unpooled f sqrt n - z: both rise
    in f once n > z^2/2, and f rises as the rates part, so the ends of their roundings bound the power. It is
    contradicted where neither gives it, nor the arcsine formula, the far tail, a continuity correction or an
    exact test.
    """
    sides, n, alpha = f.count("sides"), f.n, f.alpha
    p = [rate.within(0.0, 1.0) for rate in (f.p1, f.p2)]
    if sides not in (1, 2) or not _between(n, 0.0, INF) or not _between(alpha, 0.0, 1.0):
        return unchecked("cannot be checked: sides is 1 or 2, alpha in (0, 1) and n above 0")
    if p[0] is None or p[1] is None:
        return unchecked("cannot be checked: p1 and p2 are rates from 0 to 1")
    rates = (p[0], p[1]) if f.p1.middle <= f.p2.middle else (p[1], p[0])
    if rates[1].middle - rates[0].middle <= _ACCURACY or n.low <= float(ndtri(alpha.low / sides)) ** 2 / 2.0:
        return unchecked("does not apply: the rates do not differ, or n is too small for a normal approximation")
    told = (f.p1.middle, f.p2.middle) if f.p1.middle < f.p2.middle else (f.p2.middle, f.p1.middle)
    exactly = {name: _power_at(name, told, n.middle, alpha.middle, sides) * 100.0 for name in ("pooled", "unpooled")}
    claimed = f.rounded("power")
    name = min(exactly, key=lambda key: abs(exactly[key] - claimed.middle))
    made = {key: _power_range(key, rates, n, alpha, sides) * 100.0 for key in ("pooled", "unpooled")}
    said = f"pooled {exactly['pooled']:.4g} %, unpooled {exactly['unpooled']:.4g} %"
    if not claimed.meets(made[name]):
        every = _any_power(rates, n, alpha, sides) * 100.0
        if claimed.meets(every):
            return undetermined(Subtype.CONSISTENT, f"{said}; other formulas reach the claim", "name the formula",
                                computed=exactly[name], bound=claimed.middle, unit="%")  # fmt: skip
    wanted = [_needed(told, power, alpha.middle, sides) for power in (claimed.middle / 100.0, 0.8)]
    remark = "; ".join([said, *(f"{text} an arm" for text in wanted if text)])
    fewest = min(min(rate.low, 1.0 - rate.high) for rate in rates) * n.low
    model = "compute the power exactly: fewer than 5 events are expected in an arm" if fewest < _EXPECTED else None
    check = equal(f.power, made[name], ("power", f"{name} power"), unit="%", remark=remark)
    return replace(check, model=model)


@invariant(
    id="stat.compare",
    formula="Fisher's exact p of k1/n1 against k2/n2, beside alpha",
    needs={"k1": "count", "n1": "count", "k2": "count", "n2": "count"},
    optional={"alpha": "1", "power": "1"},
    exact=("alpha", "power"),
    assumes=("independent trials",),
    violation=Subtype.UNDERPOWERED,
    reference="Fisher, The Design of Experiments (1935), section 5; Wilson, JASA 22 (1927), 209",
    known=(
        Example(
            {"k1": "7", "n1": "10", "k2": "4", "n2": "10"},
            "undetermined/underpowered",
            {"computed": 0.36985, "bound": 0.05},
            1e-4,
            witness="[0.3968, 0.8922] and [0.1682, 0.6873]",
            derivation="Fisher, two-sided: the tables no likelier than the observed",
        ),
        Example({"k1": "70", "n1": "100", "k2": "40", "n2": "100"}, "undetermined/consistent"),
        Example({"k1": "7", "n1": "10", "k2": "14", "n2": "10"}, "unchecked", witness="k2 exceeds n2"),
        Example({"k1": "0", "n1": "1", "k2": "1", "n2": "1"}, "undetermined/underpowered", {"computed": 1.0}),
    ),
)
def compare(f: Fields) -> Check:
    """Whether two shares of independent trials differ by more than chance: Fisher's test, given both margins.

    It refutes nothing. A large p-value says that the trials are too few to tell, not that the shares are equal;
    the number an arm that would tell the observed difference apart is the pooled formula's.
    """
    found = [f.count(name) for name in ("k1", "n1", "k2", "n2")]
    k1, n1, k2, n2 = (value if value is not None else -1 for value in found)
    if None in found or not (n1 and n2):
        return unchecked("cannot be checked: k and n are whole numbers, and n is at least 1")
    if k1 > n1 or k2 > n2:
        return unchecked(f"cannot be checked: {'k1 exceeds n1' if k1 > n1 else 'k2 exceeds n2'}")
    if max(n1, n2) > _LARGEST_TABLE:
        return unchecked(f"cannot be checked: the exact test takes up to {_LARGEST_TABLE:,} trials an arm")
    alpha, wanted = f.maybe("alpha") or as_range(0.05), f.maybe("power") or as_range(0.8)
    if not _between(alpha, 0.0, 1.0) or not _between(wanted, alpha.high, 1.0):
        return unchecked("cannot be checked: alpha lies in (0, 1), and power above it")
    p = fisher_exact(k1, n1 - k1, k2, n2 - k2).p or 0.0
    spans = [ends(wilson(k, n, alpha=alpha.middle)) for k, n in ((k1, n1), (k2, n2))]
    shown = " and ".join(f"[{low:.4f}, {high:.4f}]" for low, high in spans)
    said = f"Fisher p = {p:.5f}; Wilson {shown} of {k1:,}/{n1:,} and {k2:,}/{n2:,}"
    settle = None
    rates = sorted((k1 / n1, k2 / n2))
    if p > alpha.middle and rates[0] < rates[1] and rates != [0.0, 1.0]:
        n = _enough(rates, wanted.middle, alpha.middle, "pooled")
        if n is not None:
            settle = f"about {number_text(n)} an arm for a power of {number_text(wanted.middle)} at this difference"
    subtype = Subtype.UNDERPOWERED if p > alpha.middle else Subtype.CONSISTENT
    return undetermined(subtype, said, settle, computed=p, bound=alpha.middle)


@invariant(
    id="stat.tie",
    formula="n <= 2 p (1 - p) (phi(0) / epsilon)^2 an arm",
    needs={"base_rate": "1", "epsilon": "1", "claim_never": "flag"},
    optional={"n": "count", "prior": "word"},
    exact=("epsilon",),
    assumes=("equal arms of equal size", "a prior that n observations outweigh"),
    violation=Subtype.CONTRADICTED,
    reference="Raiffa & Schlaifer, Applied Statistical Decision Theory (1961): the unit normal loss integral at 0",
    known=(
        Example(
            {"base_rate": ".10", "epsilon": ".001", "claim_never": True, "prior": "Beta(1,1)"},
            "refuted/contradicted",
            {"bound": 28648.0},
            1.0,
            witness="28,648 an arm",
            derivation=".18 * (.3989423/.001)^2 = 28,647.9",
        ),
        Example(
            {"base_rate": ".10", "epsilon": ".005", "claim_never": True},
            "refuted/contradicted",
            {"bound": 1146.0},
            1.0,
            derivation="28,647.9/25 = 1,145.9",
        ),
        Example({"base_rate": ".10", "epsilon": ".005", "claim_never": False}, "unchecked"),
        Example({"base_rate": ".10", "epsilon": ".005", "claim_never": True, "n": "1000"}, "undetermined/consistent"),
        Example({"base_rate": ".100", "epsilon": ".005", "claim_never": True, "n": "1200"}, "refuted/contradicted"),
        Example({"base_rate": "0", "epsilon": ".005", "claim_never": True}, "unchecked"),
    ),
)
def tie(f: Fields) -> Check:
    """A rule that stops when the expected loss of the arm it would pick is below epsilon stops under equal arms too.

    The difference of two posterior means has the standard deviation s = sqrt(2 p (1 - p)/n). The expected loss of
    the better arm is at most s phi(0), which it is when both means are equal, and any difference makes it smaller.
    So n of about 2 p (1 - p) (phi(0)/epsilon)^2 an arm stops it, whatever difference was seen. The rate that was
    seen may lie nearer to 1/2 than p, but a rule that is watched from the start has then stopped long before: of
    60,000 simulated runs none went on to the bound.
    """
    if f.flag("claim_never") is not True:
        return unchecked("does not apply: claim_never = false")
    rate = f.base_rate.within(0.0, 1.0)
    if rate is None or not _between(f.epsilon, 1e-100, 1.0) or not 0.0 < f.base_rate.middle < 1.0:
        return unchecked("cannot be checked: base_rate and epsilon lie in (0, 1)")
    variances = [x * (1.0 - x) for x in (rate.low, rate.high)]
    widest = 0.25 if 0.5 in rate else max(variances)
    scale = tie_bound(0.5, 0.5)  # 2/4 (phi(0)/(1/2))^2, the bound in units of 4 p (1 - p) (1/(2 epsilon))^2
    bound = (Range(min(variances), widest) * scale / (f.epsilon * f.epsilon)).widened(_ACCURACY)
    if f.epsilon.middle**2 == 0.0:
        return unchecked("cannot be checked: epsilon is too small to be squared")
    told = tie_bound(f.base_rate.middle, f.epsilon.middle)
    n = f.maybe("n")
    check = at_most(n if n is not None else Range(INF, INF), bound, ("n without a stop", "bound"), unit="count",
                    remark=f"the rule stops by about {number_text(math.ceil(told))} an arm")  # fmt: skip
    return replace(check, violation=Subtype.CONTRADICTED)


@invariant(
    id="stat.null_level",
    formula="level >= 1 / (draws + 1)",
    needs={"draws": "count", "level": "1"},
    assumes=("under no effect the value is exchangeable with the draws",),
    violation=Subtype.CONTRADICTED,
    reference="Phipson & Smyth, Statistical Applications in Genetics and Molecular Biology 9 (2010), 39",
    known=(
        Example({"draws": "10", "level": ".0909"}, "supported/recomputed", {"computed": 0.0909091}, 1e-6),
        Example({"draws": "10", "level": ".05"}, "refuted/contradicted", {"computed": 0.0909091}, 1e-6,
                witness="19 draws"),
        Example({"draws": "19", "level": ".05"}, "supported/recomputed", {"computed": 0.05}, 1e-9),
        Example({"draws": "10", "level": "9 %"}, "supported/recomputed"),
        Example({"draws": "10", "level": ".20"}, "undetermined/consistent"),
    ),
)  # fmt: skip
def null_level(f: Fields) -> Check:
    """A value that beats all S draws of a null does so by chance once in S + 1, as each of them is as likely the best.

    A smaller level takes more draws. A larger one is kept too, and contradicts nothing.
    """
    draws, level = f.count("draws"), f.rounded("level")
    if draws is None or draws < 1:
        return unchecked("cannot be checked: draws is not a whole number of at least 1")
    made = 1.0 / (as_range(float(draws)) + 1.0)
    if level.above(made):
        said = f"{number_text(float(draws))} draws reach {number_text(made.middle)}"
        return undetermined(Subtype.CONSISTENT, f"{said}, below the level", None, computed=made.middle)
    middle = level.middle
    enough = f"a level of {number_text(middle)} takes {number_text(math.ceil(1.0 / middle - 1.0 - _ACCURACY))} draws" \
        if 1e-15 < middle < 1.0 else ""  # fmt: skip
    return equal(f.level, made, ("level", "1 / (draws + 1)"), remark=enough)


@invariant(
    id="stat.fwer",
    formula="fwer = 1 - (1 - alpha)^m",
    needs={"alpha": "1", "m": "count", "fwer": "1"},
    exact=("alpha",),
    states=("independent",),
    violation=Subtype.CONTRADICTED,
    reference="Sidak, JASA 62 (1967), 626",
    known=(
        Example({"alpha": ".05", "m": "5", "fwer": ".226", "independent": True}, "supported/recomputed",
                {"computed": 0.2262191}, 1e-6, derivation="1 - .95^5"),
        Example({"alpha": ".05", "m": "5", "fwer": ".25", "independent": True}, "refuted/contradicted"),
        Example({"alpha": ".05", "m": "5", "fwer": ".25"}, "undetermined/model_based"),
        Example({"alpha": ".05", "m": "5", "fwer": ".25", "independent": False}, "unchecked"),
        Example({"alpha": ".05", "m": "20", "fwer": "64 %", "independent": True}, "supported/recomputed"),
    ),
)  # fmt: skip
def fwer(f: Fields) -> Check:
    """The chance that none of m independent tests of true nulls rejects is (1 - alpha)^m, so that one does the rest.

    Dependent tests reject together, and then it can be anything from alpha to m alpha.
    """
    m = f.count("m")
    if m is None or m < 1 or not _between(f.alpha, 0.0, 1.0):
        return unchecked("cannot be checked: alpha lies in (0, 1), and m is a whole number of at least 1")
    made = f.alpha.rising(lambda alpha: familywise_error(alpha, m), 1e-12)
    return equal(f.fwer, made, ("fwer", "1 - (1 - alpha)^m"))
