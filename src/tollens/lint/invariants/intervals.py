"""Estimates beside their intervals, standard errors and p-values, and percentages beside the count they are of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from scipy.special import ndtr, ndtri

from tollens.lint.check import Check, Subtype, at_least, at_most, equal, unchecked
from tollens.lint.fields import Fields
from tollens.lint.interval import INF, Range
from tollens.lint.law import Example
from tollens.lint.registry import invariant
from tollens.lint.shown import number_text

__all__ = ["grim", "interval", "p_ci", "se_ci"]
_CONTAINS = ("normal", "wald", "t", "wilson", "exact", "clopper-pearson")
_ACCURACY = 1e-12


def _normal_quantile(level: Range) -> Range | None:
    """The two-sided z of a level; None unless it lies in (0, 1)."""
    if not 0.0 < level.low <= level.high < 1.0:
        return None
    return level.rising(lambda x: -float(ndtri((1.0 - x) / 2.0)), _ACCURACY)


def _logs(unit: str | None, *found: Range) -> list[Range] | None:
    """Logarithms of ratios, of their part above 0; None where there is none, or the values have a dimension."""
    share = {"1": 1.0, "%": 0.01}.get(unit or "1")
    above = [(x * share).within(0.0, INF) for x in found] if share is not None else []
    if not above or any(x is None or x.high <= 0.0 for x in above):
        return None
    return [x.rising(lambda v: math.log(v) if v > 0.0 else -INF) for x in above if x is not None]


def _absolute(found: Range) -> Range:
    ends = (abs(found.low), abs(found.high))
    return Range(0.0 if 0.0 in found else min(ends), max(ends))


@invariant(
    id="stat.grim",
    formula="percent = 100 k / n for a whole number k, 0 <= k <= n",
    needs={"percent": "%", "n": "count"},
    assumes=("a percentage of n items, not of a mean over runs",),
    estimates=False,
    violation=Subtype.IMPOSSIBLE,
    reference="Brown & Heathers, Social Psychological and Personality Science 8 (2017), 363",
    known=(
        Example({"percent": "71", "n": "10"}, "refuted/impossible", witness="7 of 10"),
        Example({"percent": "71", "n": "15"}, "refuted/impossible", witness="11 of 15"),
        Example({"percent": "71", "n": "14"}, "undetermined/consistent", witness="10 of 14"),
        Example({"percent": "71", "n": "7"}, "undetermined/consistent", witness="5 of 7"),
        Example({"percent": "71", "n": "17"}, "undetermined/consistent", witness="12 of 17"),
        Example({"percent": "0.71 1", "n": "10"}, "refuted/impossible"),
        Example({"percent": "70.5", "n": "200"}, "undetermined/consistent", {"computed": 70.5}, 1e-9),
        Example({"percent": "12.5", "n": "4"}, "refuted/impossible"),
        Example({"percent": "12.50", "n": "8"}, "undetermined/consistent", witness="1 of 8"),
        Example({"percent": "71", "n": "0"}, "unchecked"),
        Example({"percent": "71", "n": "~10"}, "unchecked"),
    ),
)
def grim(f: Fields) -> Check:
    """A share of n items is a whole number k of them, so only n + 1 percentages exist.

    A printed percentage whose rounding holds none of them cannot be one of n items. It does not apply to means
    over runs, which an `estimator` would name. From n = 100 on whole percentages say nothing.
    """
    n = f.count("n")
    if n is None or n < 1:
        return unchecked("cannot be checked: n is not a whole number of at least 1")
    percent = f.rounded("percent")
    low, high = (Fraction(max(-1.0, min(101.0, end))) * n / 100 for end in (percent.low, percent.high))
    first, last = max(0, math.ceil(low)), min(n, math.floor(high))
    middle = Fraction(max(-1.0, min(101.0, percent.middle))) * n / 100
    nearest = min(n, max(0, math.floor(middle + Fraction(1, 2))))
    k = min(max(nearest, first), last) if first <= last else nearest
    share = Fraction(100 * k, n)
    made = Range(math.nextafter(float(share), -INF), math.nextafter(float(share), INF))
    check = equal(f.percent, made, ("percent", f"{number_text(float(k))} of {number_text(float(n))}"), unit="%")
    return replace(check, violation=Subtype.IMPOSSIBLE, support=None)


@invariant(
    id="stat.interval",
    formula="low <= estimate <= high",
    needs={"estimate": "any", "low": "any", "high": "any"},
    optional={"ci_method": "word"},
    assumes=("an interval that is built around its estimate",),
    violation=Subtype.IMPOSSIBLE,
    reference="definition of an interval",
    known=(
        Example(
            {"estimate": "0.52", "low": "0.41", "high": "0.49"},
            "refuted/impossible",
            {"margin": -0.03, "margin_rounded": -0.02},
            1e-9,
        ),
        Example({"estimate": "0.50", "low": "0.41", "high": "0.49"}, "undetermined/consistent"),
        Example({"estimate": "0.45", "low": "0.41", "high": "0.49"}, "undetermined/consistent"),
        Example({"estimate": "0.52", "low": "0.41", "high": "0.49", "ci_method": "bootstrap"},
                "undetermined/model_based"),
        Example({"estimate": "0.45", "low": "0.52", "high": "0.49", "ci_method": "bootstrap"}, "refuted/impossible"),
        Example({"estimate": "45 %", "low": "0.41", "high": "0.49"}, "undetermined/consistent"),
    ),
)  # fmt: skip
def interval(f: Fields) -> Check:
    """An interval around an estimate holds it, and its lower end is not above its upper.

    Bootstrap percentiles and posterior intervals are not built around the estimate and may exclude it: where
    `ci_method` names one of these only the order of the two ends is judged.
    """
    unit = f.unit("estimate") or "1"
    method = f.word("ci_method")
    model = None
    if method is not None and method.strip().lower() not in _CONTAINS:
        model = f"show that a {method} interval holds its estimate"
    return [
        at_most(f.low, f.high, ("low", "high"), unit=unit),
        at_least(f.estimate, f.low, ("estimate", "low"), unit=unit, model=model),
        at_most(f.estimate, f.high, ("estimate", "high"), unit=unit, model=model),
    ]


def _p_value(values: Sequence[Range], z: Range) -> Range | None:
    """2 (1 - Phi(|estimate| 2 z / (high - low))); None where the interval has no width."""
    estimate, low, high = values
    width = (high - low).within(0.0, INF)
    if width is None or width.high <= 0.0:
        return None
    score = (_absolute(estimate) * z * 2.0 / width).within(0.0, INF)
    return score.falling(lambda x: 2.0 * float(ndtr(-x)), _ACCURACY) if score is not None else None


@invariant(
    id="stat.p_ci",
    formula="p = 2 (1 - Phi(|estimate| / SE)), SE = (high - low) / (2 z)",
    needs={"estimate": "any", "low": "any", "high": "any", "p": "1", "level": "1", "ci_method": "word"},
    optional={"scale": "word", "sides": "count"},
    exact=("level",),
    assumes=("the p-value is of no difference: 0, or a ratio of 1 with scale = log",),
    violation=Subtype.CONTRADICTED,
    reference="Altman & Bland, BMJ 343 (2011), d2304: how to obtain the P value from a confidence interval",
    known=(
        Example(
            {"estimate": ".20", "low": ".05", "high": ".35", "level": "95 %", "ci_method": "normal", "p": ".40"},
            "refuted/contradicted",
            {"computed": 0.00897},
            1e-4,
            derivation="SE = .3/3.919928 = .0765321, z = 2.613283",
        ),
        Example(
            {"estimate": ".20", "low": ".05", "high": ".35", "level": "95 %", "ci_method": "normal", "p": ".009"},
            "supported/recomputed",
        ),
        Example(
            {"estimate": ".20", "low": ".05", "high": ".35", "level": "95 %", "ci_method": "normal", "p": ".0045"},
            "undetermined/model_based",
            witness="p = 0.0045",
        ),
        Example(
            {"estimate": "1.50", "low": "1.10", "high": "2.05", "level": "95 %", "ci_method": "normal", "p": ".011"},
            "undetermined/model_based",
        ),
        Example(
            {"estimate": "1.50", "low": "1.10", "high": "2.05", "level": "95 %", "ci_method": "normal", "p": ".011",
             "scale": "log"},
            "supported/recomputed",
            {"computed": 0.010683},
            1e-4,
            derivation="ln 1.5/(ln(2.05/1.10)/3.919928) = 2.5534",
        ),
        Example(
            {"estimate": "1.50 x", "low": "1.10 x", "high": "2.05 x", "level": "95 %", "ci_method": "normal",
             "p": ".011"},
            "undetermined/model_based",
        ),
        Example(
            {"estimate": ".20", "low": ".05", "high": ".35", "level": "95 %", "ci_method": "bootstrap", "p": ".40"},
            "unchecked",
        ),
        Example(
            {"estimate": ".20", "low": ".05", "high": ".35", "level": "95 %", "p": ".40"},
            "unchecked",
            witness="ci_method",
        ),
        Example(
            {"estimate": ".20", "low": ".05", "high": ".35", "level": "95 %", "ci_method": "normal", "p": "<.05"},
            "supported/recomputed",
        ),
    ),
)  # fmt: skip
def p_ci(f: Fields) -> Check:
    """A normal interval is the estimate plus and minus z standard errors, so its width gives the standard error.

    The two-sided p-value then follows from the estimate. For ratios both are taken of the logarithms. A p-value
    that fits one side, or the logarithms, is not refuted until the claim says that it is neither.
    """
    method, scale = (f.word("ci_method") or "").strip().lower(), f.word("scale")
    if method != "normal":
        return unchecked(f"does not apply: ci_method = {method[:40]}, not normal")
    z = _normal_quantile(f.level)
    if z is None:
        return unchecked("cannot be checked: level is not in (0, 1)")
    sides = f.maybe("sides")
    plain = (f.estimate, f.low, f.high)
    logs = _logs(f.unit("estimate"), *plain) if scale in (None, "log") else None
    chosen: Sequence[Range] | None = logs if scale == "log" else plain
    made = _p_value(chosen, z) if chosen is not None else None
    if made is None:
        return unchecked("cannot be checked: the interval has no width, or a ratio is not above 0")
    model = None
    if sides is not None and 1.0 in sides:
        made = made / 2.0
    elif sides is None and f.p.meets(made / 2.0):
        model = "state sides = 2"
    centred = logs is not None and ((logs[1] + logs[2]) / 2.0).meets(logs[0])
    other = _p_value(logs, z) if scale is None and logs is not None and centred else None
    if other is not None and (f.p.meets(other) or f.p.meets(other / 2.0)):
        model = "state scale = linear or log"
    return replace(equal(f.p, made, ("p", "p from the interval")), model=model)


@invariant(
    id="stat.se_ci",
    formula="(high - low) / 2 = z SE",
    needs={"se": "any", "low": "any", "high": "any", "ci_method": "word"},
    optional={"level": "1", "scale": "word"},
    exact=("level",),
    violation=Subtype.CONTRADICTED,
    reference="Altman & Bland, BMJ 343 (2011), d2090: how to obtain the confidence interval from a P value",
    known=(
        Example(
            {"se": ".0151", "low": "-.13", "high": "-.11", "level": "95 %", "ci_method": "normal"},
            "refuted/contradicted",
            {"computed": 0.0296},
            1e-4,
            derivation="1.959964 * .0151 = .029595, beside a half-width of .01",
        ),
        Example(
            {"se": ".0151", "low": "-.15", "high": "-.09", "level": "95 %", "ci_method": "normal"},
            "supported/recomputed",
            derivation="half-width .025 to .035 holds .029595",
        ),
        Example({"se": ".0151", "low": "-.13", "high": "-.11", "ci_method": "normal"}, "undetermined/model_based"),
        Example({"se": ".0151", "low": "-.13", "high": "-.11", "level": "95 %", "ci_method": "t"}, "unchecked"),
        Example(
            {"se": "0.159", "low": "1.10", "high": "2.05", "level": "95 %", "ci_method": "normal", "scale": "log"},
            "supported/recomputed",
            {"computed": 0.31163},
            1e-4,
            derivation="ln(2.05/1.10)/2 = .31125",
        ),
        Example(
            {"se": "0.159", "low": "1.10", "high": "2.05", "level": "95 %", "ci_method": "normal"},
            "undetermined/model_based",
        ),
    ),
)  # fmt: skip
def se_ci(f: Fields) -> Check:
    """A normal interval reaches z standard errors to either side, z = Phi^-1((1 + level)/2).

    For ratios the ends are those of the logarithms, and so is the standard error. Where no level is stated
    95 % is taken, and the claim has to state it to be refuted.
    """
    method, scale = (f.word("ci_method") or "").strip().lower(), f.word("scale")
    if method != "normal":
        return unchecked(f"does not apply: ci_method = {method[:40]}, not normal")
    level = f.maybe("level")
    z = _normal_quantile(Range(0.95, 0.95) if level is None else level)
    if z is None:
        return unchecked("cannot be checked: level is not in (0, 1)")
    logs = _logs(f.unit("low"), f.low, f.high) if scale in (None, "log") else None
    if scale == "log" and logs is None:
        return unchecked("cannot be checked: a ratio is not above 0")
    ends = logs if scale == "log" and logs is not None else [f.low, f.high]
    half, reach = (ends[1] - ends[0]) / 2.0, f.se * z
    of_logs = reach / 100.0 if f.unit("se") == "%" else reach
    model = "state level" if level is None else None
    if scale is None and logs is not None and of_logs.meets((logs[1] - logs[0]) / 2.0):
        model = "state scale = linear or log"
    reach = of_logs if scale == "log" else reach
    check = equal(half, reach, ("half-width", "z SE"), unit="1" if scale == "log" else f.unit("low") or "1")
    return replace(check, model=model)
