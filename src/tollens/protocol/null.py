"""The null baseline: what chance alone reaches, and whether the observed value lies beyond it.

S draws of a null that is exchangeable with a fresh one: the fresh one lies beyond the k-th most extreme of them with
probability k/(S + 1) at most, whatever the law.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Literal, TypeAlias

import msgspec

from tollens.core.errors import Exit, TollensError
from tollens.stats.binomial_interval import clopper_pearson, ends

Direction: TypeAlias = Literal["higher_is_better", "lower_is_better", "target"]
REFERENCE = "Phipson & Smyth, Permutation p-values should never be zero, Stat. Appl. Genet. Mol. Biol. 9 (2010)"
LEAST_LEVEL = Fraction(1, 1_000_000)
_ORDER = re.compile(r"([1-9][0-9]{0,6})(?:st|nd|rd|th) (largest|smallest)", re.ASCII)
_DECIMAL = re.compile(r"[0-9]{1,20}(?:\.[0-9]{1,20})?(?:[eE][-+]?[0-9]{1,2})?", re.ASCII)
_EXTREME = {
    "higher_is_better": ("max", "largest"),
    "lower_is_better": ("min", "smallest"),
    "target": ("min", "smallest"),
}


class NullSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What is sealed about the null.

    draws      S, at least 1
    order      "max", "min", or "3rd largest", "2nd smallest" and so on; for a target it is that of |x - value|
    level      decimal string in [0.000001, 1)
    direction  of the claim; `value` is the target, in the unit of the statistic
    margin     None, "0.5" (by how much the null must be beaten) or "1.5x" (how many times)
    true_zero  whether zero means none at all; `lowest` is the lower end of the support, None where there is none
    """

    draws: int
    order: str
    level: str
    direction: Direction
    value: float | None = None
    margin: str | None = None
    true_zero: bool = False
    lowest: float | None = None


class NullAnswer(msgspec.Struct, frozen=True):
    """Chance alone beside what was observed.

    tau       the k-th most extreme draw; for a target its distance from the value
    p         (1 + draws at least as extreme as the observed value)/(S + 1)
    level     k/(S + 1), the chance that a fresh null lies beyond tau
    exceeded  the observed value, less the margin, lies strictly beyond tau
    """

    tau: float
    p: float
    level: float
    exceeded: bool
    sentence: str


def minimum_draws(k: int, level: Fraction) -> int:
    """ceil(k/level) - 1: the fewest draws S whose k-th most extreme has k/(S + 1) <= level. Exact."""
    return math.ceil(Fraction(k) / level) - 1


def check_null(spec: NullSpec) -> None:
    """Whether this null can be sealed.

    Raises TollensError, exit 3: `null_field` (level, order, target, a count below 1), `null_margin` (a factor where
    zero is no true zero or values may be negative), `null_few_draws`.
    """
    _level(spec)
    rank(spec)
    if (spec.direction == "target") != (spec.value is not None) or (spec.value is not None and not _finite(spec.value)):
        raise _refused("null.value", "a finite target, exactly where the direction is target", repr(spec.value))
    _margin(spec)
    refuse_few(spec)


def refuse_few(spec: NullSpec) -> None:
    """Raises TollensError `null_few_draws`, exit 3, where the draws are fewer than the level needs."""
    k, level = rank(spec), _level(spec)
    least = minimum_draws(k, level)
    if spec.draws < least:
        raise TollensError(
            "null_few_draws",
            "null.draws",
            expected=f"at least {least:,} for the {_beyond(spec)} at level {spec.level}",
            found=f"{spec.draws:,}, whose level is {_told(k, spec.draws)}",
            fix=f"Write draws = {least}.",
            exit_code=Exit.REFUSED_TO_SEAL,
        )


def rank(spec: NullSpec) -> int:
    """k of the k-th most extreme draw. Raises TollensError `null_field`, exit 3, for an order of the wrong end."""
    if spec.draws < 1:
        raise _refused("null.draws", "at least 1", str(spec.draws))
    extreme, end = _EXTREME[spec.direction]
    if spec.order == extreme:
        return 1
    match = _ORDER.fullmatch(spec.order)
    k = int(match[1]) if match else 0
    if match is None or match[2] != end or spec.order != f"{_ordinal(k)} {end}" or k > spec.draws:
        raise _refused(
            "null.order",
            f'"{extreme}" or "2nd {end}" and so on up to {spec.draws:,}, for {spec.direction}',
            repr(spec.order[:60]),
            f'Write order = "{f"{_ordinal(k)} {end}" if match and k <= spec.draws else extreme}".',
        )
    return k


def tau_line(spec: NullSpec) -> str:
    """`tau = max of 19 draws (level 0.05)`, the level being that of these draws and not the one asked for."""
    inner = "" if spec.value is None else f" |x - {spec.value:g}|"
    return f"tau = {spec.order}{inner} of {spec.draws:,} draws (level {_told(rank(spec), spec.draws)})"


def null_answer(observed: float, draws: Sequence[float], spec: NullSpec) -> NullAnswer:
    """Where `observed` lies among the draws (S,), by the add-one p-value (Phipson & Smyth 2010).

    Ties count against the claim. A margin is taken from the observed value before anything is compared. The answer
    of a null that `refuse_few` refuses is still true of the level it states. Raises TollensError: `null_incomplete`,
    exit 22, unless there are S finite draws and a finite observed value; what `check_null` raises but
    `null_few_draws`.
    """
    k, level, line = rank(spec), _level(spec), tau_line(spec)
    if len(draws) != spec.draws or not all(_finite(x) for x in draws) or not _finite(observed):
        raise TollensError(
            "null_incomplete",
            "the null",
            expected=f"{spec.draws:,} finite draws and a finite observed value",
            found=f"{sum(1 for x in draws if _finite(x)):,} finite of {len(draws):,} draws; observed {observed!r}",
            fix="Draw again with the sealed seed; no draw is left out.",
            exit_code=Exit.NOT_SCORABLE,
        )
    sign = 1 if spec.direction == "higher_is_better" else -1
    scores = sorted((_score(x, spec) for x in draws), reverse=True)  # the larger, the better for the claim
    own = _less_margin(sign * _score(observed, spec), spec)
    reached = sum(1 for score in scores if score >= own)
    tau = float(sign * scores[k - 1])
    p = Fraction(1 + reached, spec.draws + 1)
    exceeded = own > scores[k - 1]
    margin = "" if spec.margin is None else f" by {spec.margin}"
    shown = f"{observed:g}" if spec.value is None else f"|{observed:g} - {spec.value:g}|"
    verb = "lies beyond" if exceeded else "does not lie beyond"
    enough = Fraction(k, spec.draws + 1) <= level
    asked = "" if enough else f"; level {spec.level} needs {minimum_draws(k, level):,} draws"
    ties = f"{reached:,} of {spec.draws:,} draws reach it, p = {float(p):.3g}"
    sentence = f"{line}: {shown} {verb} {tau:g}{margin}; {ties}{asked}"
    return NullAnswer(tau, float(p), k / (spec.draws + 1), exceeded, sentence)


def exceedance_bound(exceedances: int, draws: int, alpha: float = 0.05) -> float:
    """One-sided upper bound, of confidence 1 - alpha, on the chance that the null reaches what so many draws reached.

    Clopper & Pearson (1934). Raises: TollensError `stats_input`.
    """
    return ends(clopper_pearson(exceedances, draws, alpha=alpha, alternative="less"))[1]


def _score(x: float, spec: NullSpec) -> Fraction:
    """What is compared, the larger the better for the claim."""
    exact = Fraction(x)
    if spec.value is not None:
        return -abs(exact - Fraction(spec.value))
    return exact if spec.direction == "higher_is_better" else -exact


def _less_margin(size: Fraction, spec: NullSpec) -> Fraction:
    """The score of an observed value (or distance) after the margin went off; `size` in the unit of the statistic."""
    found = _margin(spec)
    higher = spec.direction == "higher_is_better"
    if found is None:
        return size if higher else -size
    amount, factor = found
    if factor:
        return size / amount if higher else -size * amount
    return size - amount if higher else -size - amount


def _margin(spec: NullSpec) -> tuple[Fraction, bool] | None:
    """(amount, whether it is a factor)."""
    if spec.margin is None:
        return None
    factor = spec.margin.endswith("x")
    text = spec.margin.removesuffix("x")
    if not _DECIMAL.fullmatch(text) or Fraction(text) < (1 if factor else 0):
        raise _refused("null.margin", '"0.5", at least 0, or "1.5x", at least 1x', repr(spec.margin[:60]))
    if factor and (not spec.true_zero or spec.lowest is None or not spec.lowest >= 0.0):
        lowest = "none" if spec.lowest is None else f"{spec.lowest:g}"
        raise TollensError(
            "null_margin",
            "null.margin",
            expected="a true zero and a support from 0 upwards",
            found=f"{spec.margin}, true zero {'yes' if spec.true_zero else 'no'}, lower end of the support {lowest}",
            fix='Write an additive margin such as margin = "0.5".',
            exit_code=Exit.REFUSED_TO_SEAL,
        )
    return Fraction(text), factor


def _level(spec: NullSpec) -> Fraction:
    level = Fraction(spec.level) if _DECIMAL.fullmatch(spec.level) else Fraction(0)
    if not LEAST_LEVEL <= level < 1:
        raise _refused(
            "null.level", 'a decimal string from "0.000001" to below 1', repr(spec.level[:60]), 'Write level = "0.05".'
        )
    return level


def _finite(x: float) -> bool:
    return not isinstance(x, bool) and isinstance(x, (int, float)) and math.isfinite(x)


def _told(k: int, draws: int) -> str:
    return f"{k / (draws + 1):.3g}"


def _beyond(spec: NullSpec) -> str:
    return f"{spec.order} of the draws"


def _ordinal(k: int) -> str:
    teen = 10 <= k % 100 <= 13
    return f"{k}{'th' if teen else {1: 'st', 2: 'nd', 3: 'rd'}.get(k % 10, 'th')}"


def _refused(field: str, expected: str, found: str, fix: str = "") -> TollensError:
    return TollensError(
        "null_field", field, expected=expected, found=found, fix=fix or f"Correct {field}.",
        exit_code=Exit.REFUSED_TO_SEAL,
    )  # fmt: skip
