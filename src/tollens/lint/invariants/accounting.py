"""Parts and totals, shares, products and ratios."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

from tollens.lint.check import Check, Subtype, at_least, equal, lacking, unchecked, undetermined
from tollens.lint.claim import Quantity
from tollens.lint.fields import Fields
from tollens.lint.interval import INF, Range, highest, total
from tollens.lint.law import Example
from tollens.lint.registry import invariant
from tollens.lint.shown import number_text
from tollens.lint.summary import adds, is_duration, quantile
from tollens.lint.unit import CURRENCIES, parse_unit

__all__ = ["elapsed", "money", "percentile", "product", "ratio", "stage_floor", "sum_of_parts"]
_STAGES = ["85 ms", "620 ms", "680 ms", "45 ms"]


def _positive(found: Range) -> Range | None:
    """The part above 0; None where there is none."""
    return found.within(0.0, INF) if found.high > 0.0 else None


def _floor(value: Fraction) -> float:
    """The largest float that does not exceed `value`, up to one unit in the last place."""
    try:
        made = float(value)
    except OverflowError:
        return -INF if value < 0 else math.nextafter(INF, 0.0)
    return made if Fraction(made) <= value else math.nextafter(made, -INF)


def _decimal(value: Fraction) -> str:
    """A sum of decimals to two places, or to as many as it has."""
    micro = value * 1_000_000
    if micro.denominator != 1 or abs(value) >= 10**15:
        return number_text(_floor(value))
    text = f"{'-' if micro < 0 else ''}{abs(int(micro)) // 1_000_000:,}.{abs(int(micro)) % 1_000_000:06d}"
    return text.rstrip("0") + "0" * max(0, 2 - len(text.rstrip("0").partition(".")[2]))


@invariant(
    id="acct.sum",
    formula="sum(parts) + unattributed = total",
    needs={"total": "any", "parts": "any[]"},
    optional={"unattributed": "any", "percentile": "word", "sequential": "flag"},
    assumes=("parts that do not overlap", "one statistic for the parts and the total"),
    violation=Subtype.CONTRADICTED,
    reference="linearity of expectation",
    known=(
        Example(
            {"parts": _STAGES, "total": "380 ms", "percentile": "mean", "sequential": True},
            "refuted/contradicted",
            {"computed": 1430.0, "margin": -1050.0, "margin_rounded": -1047.5},
            1e-9,
            witness="sum of parts = 1,430",
            derivation="85 + 620 + 680 + 45 = 1430; five numbers, each rounded by 0.5",
        ),
        Example({"parts": _STAGES, "total": "1430 ms"}, "supported/identity"),
        Example({"parts": _STAGES, "total": "380 ms"}, "unchecked", witness="missing field percentile"),
        Example({"parts": _STAGES, "total": "380 ms", "percentile": "p99"}, "undetermined/consistent"),
        Example({"parts": _STAGES, "total": "380 ms", "percentile": "mean"}, "undetermined/model_based"),
        Example(
            {"parts": ["3 GB", "4 GB"], "total": "9 GB"},
            "undetermined/consistent",
            {"computed": 7.0, "bound": 9.0},
            witness="leave 2 GB",
        ),
        Example({"parts": ["3 GB", "4 GB"], "total": "9 GB", "unattributed": "2 GB"}, "supported/identity"),
        Example({"parts": ["33.3 %", "33.3 %", "33.3 %"], "total": "100 %"}, "supported/identity"),
        Example({"parts": ["33.3 %", "33.3 %", "33.3 %"], "total": "100.0 %"}, "undetermined/consistent"),
        Example(
            {"parts": ["3 GB", "4 GB"], "total": "5 GB"},
            "refuted/contradicted",
            {"margin_rounded": -0.5},
            derivation="2.5 + 3.5 = 6 > 5.5",
        ),
        Example({"parts": ["3 GB", "4 GB"], "total": "6 GB"}, "undetermined/consistent", derivation="6 <= 6.5"),
    ),
)
def sum_of_parts(f: Fields) -> Check:
    """Parts that cover a whole without overlap add up to it; so do the means of stages that run one after another.

    Parts below the total leave a gap, which the claim may name as `unattributed`; parts above it contradict it.
    Quantiles do not add: the p99 of a sum may lie below or above the sum of the p99s, so nothing follows from
    them. A duration whose statistic is not named could be either, and stages that overlap need not add up.
    """
    unit = f.unit("total") or "1"
    unattributed = f.maybe("unattributed")
    made = total([*f.list("parts"), *([unattributed] if unattributed is not None else [])])
    model = None
    if is_duration(unit):
        word = f.word("percentile")
        if f.flag("sequential") is False:
            return unchecked("does not apply: sequential = false")
        if word is None and not made.meets(f.rounded("total")):
            return lacking("percentile")
        if word is not None and not adds(word):
            said = f"the {word} of the parts add to {number_text(made.middle)} {unit}, which bounds no {word} of a sum"
            return undetermined(Subtype.CONSISTENT, said, f"measure the {word} of the total", computed=made.middle)
        model = None if f.flag("sequential") else "state sequential = true"
    gap = ""
    if unattributed is None:
        gap = f"the parts leave {number_text((f.total - made).middle)} {unit} of the total"
        if made.below(f.rounded("total")):
            settle = "name the rest as unattributed"
            return undetermined(Subtype.CONSISTENT, f"{gap} {number_text(f.total.middle)}", settle,
                                computed=made.middle, bound=f.total.middle, unit=unit)  # fmt: skip
    remark = gap if f.total.middle - made.middle > 1e-9 * abs(f.total.middle) else ""
    check = equal(f.total, made, ("total", "sum of parts"), unit=unit, support=Subtype.IDENTITY, remark=remark)
    return replace(check, model=model)


@invariant(
    id="acct.stage_floor",
    formula="total >= each part",
    needs={"total": "any", "parts": "any[]"},
    optional={"percentile": "word"},
    states=("sequential",),
    assumes=("every stage runs in every request", "one statistic for the parts and the total"),
    violation=Subtype.IMPOSSIBLE,
    reference="Shaked & Shanthikumar, Stochastic Orders (2007), section 1.A: X <= Y orders every quantile",
    known=(
        Example(
            {"parts": _STAGES, "total": "380 ms", "sequential": True},
            "refuted/impossible",
            {"computed": 380.0, "bound": 680.0, "margin": -300.0, "margin_rounded": -299.0},
            1e-9,
            witness="largest stage = 680",
        ),
        Example(
            {"parts": _STAGES, "total": "380 ms", "sequential": True}, "refuted/impossible", witness="sum to 1,430"
        ),
        Example(
            {"parts": ["400 ms", "700 ms"], "total": "600 ms", "sequential": True},
            "refuted/impossible",
            {"bound": 700.0},
            witness="700",
        ),
        Example({"parts": ["400 ms", "700 ms"], "total": "600 ms"}, "undetermined/model_based"),
        Example({"parts": ["400 ms", "700 ms"], "total": "699 ms", "sequential": True}, "undetermined/consistent"),
        Example({"parts": ["400 ms", "700 ms"], "total": "698 ms", "sequential": True}, "refuted/impossible"),
        Example({"parts": ["400 ms", "700 ms"], "total": "600 ms", "sequential": False}, "unchecked"),
    ),
)
def stage_floor(f: Fields) -> Check:
    """A request that passes its stages one after another takes at least as long as each of them.

    So the total is never below a stage, request by request, and then neither is its mean, nor any quantile of it
    below the same quantile of a stage. It holds whatever the dependence between the stages.
    """
    unit = f.unit("total") or "1"
    word = f.word("percentile")
    if not is_duration(unit):
        return unchecked(f"does not apply: {unit} is no duration")
    if word is not None and not adds(word) and quantile(word) is None:
        return unchecked(f"does not apply: {word} is neither a mean nor a quantile")
    parts = f.list("parts")
    if any(part.high < 0.0 for part in parts):
        return unchecked("does not apply: a duration is negative")
    remark = f"the {len(parts)} stages sum to {number_text(total(parts).middle)}"
    return at_least(f.total, highest(*parts), ("total", "largest stage"), unit=unit, remark=remark)


@invariant(
    id="acct.percentile",
    formula="P(total > sum(parts)) <= sum of the parts' tails",
    needs={"total": "any", "parts": "any[]", "percentile": "word"},
    violation=Subtype.CONSISTENT,
    reference="Boole's inequality; Embrechts, Hoeing & Juri, Finance and Stochastics 7 (2003)",
    known=(
        Example(
            {"parts": _STAGES, "total": "380 ms", "percentile": "p99"},
            "undetermined/consistent",
            {"computed": 1430.0, "bound": 380.0},
            1e-9,
            witness="P(total > 1,430) <= 0.04",
            derivation="four tails of 0.01",
        ),
        Example({"parts": _STAGES, "total": "1430 ms", "percentile": "mean"}, "unchecked"),
        Example({"parts": _STAGES, "total": "1430 ms", "percentile": "spread"}, "unchecked"),
    ),
)
def percentile(f: Fields) -> Check:
    """Quantiles of stages do not add to the quantile of their sum: only means do.

    The total exceeds the sum of the stages' q-quantiles only if some stage exceeds its own, so with probability
    at most k (1 - q) for k stages. That bounds a lower quantile of the total, never its q-quantile.
    """
    unit, word = f.unit("total") or "1", f.word("percentile") or ""
    level = quantile(word)
    if adds(word):
        return unchecked(f"does not apply: the {word} of stages add, see acct.sum")
    if level is None:
        return unchecked(f"does not apply: {word} is no quantile")
    made = total(f.list("parts")).middle
    tail = min(1.0, len(f.list("parts")) * (1.0 - level))
    said = (
        f"the stages' {word} add to {number_text(made)} {unit}, the total's is given as {number_text(f.total.middle)}: "
        f"neither bounds the other; P(total > {number_text(made)}) <= {number_text(tail)}"
    )
    settle = f"measure the {word} of the total"
    return undetermined(Subtype.CONSISTENT, said, settle, computed=made, bound=f.total.middle, unit=unit)


@invariant(
    id="acct.elapsed",
    formula="fraction = elapsed / total",
    needs={"total": "any", "elapsed": "any", "fraction": "%|1"},
    violation=Subtype.CONTRADICTED,
    reference="definition of a fraction",
    known=(
        Example(
            {"elapsed": "45 min", "total": "20 h", "fraction": "3.75"},
            "supported/recomputed",
            {"computed": 3.75},
            1e-12,
            derivation="45/1200",
        ),
        Example({"elapsed": "45 min", "total": "20 h", "fraction": "0.0375 1"}, "supported/recomputed"),
        Example(
            {"elapsed": "45 min", "total": "20 h", "fraction": "37.5"},
            "refuted/contradicted",
            {"computed": 3.75, "margin": -33.75},
            1e-9,
        ),
        Example(
            {"elapsed": "45 min", "total": "20 h", "fraction": "3.9"},
            "undetermined/consistent",
            derivation="44.5/1230 to 45.5/1170 is 3.62 % to 3.89 %, and 3.9 % may be 3.85 %",
        ),
        Example({"elapsed": "45 min", "total": "20 h", "fraction": "4.0"}, "refuted/contradicted"),
    ),
)
def elapsed(f: Fields) -> Check:
    """The fraction of a budget that is used up is what has elapsed over the whole, both in one unit."""
    whole = _positive(f.total)
    if whole is None:
        return unchecked("does not apply: the total is not above 0")
    return equal(f.fraction, f.elapsed / whole * 100.0, ("fraction", "elapsed / total"), unit="%")


@invariant(
    id="acct.product",
    formula="total = requests * time_per_request",
    needs={"total": "any", "time_per_request": "any", "requests": "count"},
    states=("sequential",),
    assumes=("the mean over all requests",),
    violation=Subtype.CONTRADICTED,
    reference="definition of a mean",
    known=(
        Example(
            {"requests": "1000", "time_per_request": "0.25 s", "total": "250 s", "sequential": True},
            "supported/recomputed",
            {"computed": 250.0},
            1e-9,
        ),
        Example(
            {"requests": "1000", "time_per_request": "250 ms", "total": "25.0 s", "sequential": True},
            "refuted/contradicted",
            {"computed": 250.0, "margin": -225.0},
            1e-9,
        ),
        Example({"requests": "1000", "time_per_request": "250 ms", "total": "25.0 s"}, "undetermined/model_based"),
        Example(
            {"requests": "1000", "time_per_request": "0.2 s", "total": "249 s", "sequential": True},
            "undetermined/consistent",
            derivation="0.2 s may be 0.249 s",
        ),
        Example(
            {"requests": "1000", "time_per_request": "0.2 s", "total": "251 s", "sequential": True},
            "refuted/contradicted",
            {"margin_rounded": -0.5},
            derivation="at most 250 s, and 251 s is at least 250.5 s",
        ),
    ),
)
def product(f: Fields) -> Check:
    """Requests that are served one after another take their number times the mean time of one.

    Served side by side they take less, so the claim has to state that they are not.
    """
    return equal(f.total, f.requests * f.time_per_request, ("total", "requests * time per request"),
                 unit=f.unit("total") or "1")  # fmt: skip


@invariant(
    id="acct.money",
    formula="sum(amounts) = total, in one currency",
    needs={"total": "any", "amounts": "any[]"},
    assumes=("the amounts are all there are",),
    violation=Subtype.CONTRADICTED,
    reference="arithmetic",
    known=(
        Example(
            {"amounts": ["12.40 USD", "7.35 USD", "0.25 USD"], "total": "20.00 USD"},
            "supported/identity",
            {"computed": 20.0},
            0.0,
        ),
        Example(
            {"amounts": ["12.40 USD", "7.35 USD", "0.25 USD"], "total": "21.00 USD"},
            "refuted/contradicted",
            {"computed": 20.0, "margin": -1.0, "margin_rounded": -0.98},
            1e-9,
            witness="add to 20.00 USD, 1.00 less than the total",
            derivation="four amounts, each rounded by half a cent",
        ),
        Example(
            {"amounts": ["12.40 USD", "7.35 USD", "0.25 USD"], "total": "20.02 USD"},
            "undetermined/consistent",
            witness="0.02 less",
        ),
        Example({"amounts": ["12.40 USD", "7.35 USD", "0.25 USD"], "total": "20.03 USD"}, "refuted/contradicted"),
        Example({"amounts": ["12.40 USD", "7.35 EUR"], "total": "19.75 USD"}, "unchecked", witness="EUR"),
        Example({"amounts": ["12 GB", "7 GB"], "total": "30 GB"}, "unchecked", witness="no currency"),
    ),
)
def money(f: Fields) -> Check:
    """Amounts of one currency add up to their total.

    The sum is taken over the printed decimals in integers, so that no cent is lost to binary fractions. Amounts
    that were rounded one by one may miss the total by half a unit of the last digit each; `exact = true` on them
    says that they were not rounded.
    """
    unit = f.unit("total") or "1"
    if [name for name, _ in parse_unit(unit, "total").powers] not in [[c] for c in CURRENCIES]:
        return unchecked(f"does not apply: {unit} is no currency")
    entries = f.claim.fields["amounts"]
    quantities = entries if isinstance(entries, tuple) else (entries,)
    amounts = [q for q in quantities if isinstance(q, Quantity)]
    if any(q.number.mark or q.number.high is not None or q.number.infinite for q in (*amounts, f.given("total"))):
        return equal(f.total, total(f.list("amounts")), ("total", "sum"), unit=unit, support=Subtype.IDENTITY)
    made = sum((Fraction(q.number.value) for q in amounts), Fraction(0))
    spread = sum((Fraction(q.number.step) / 2 for q, r in zip(amounts, f.list("amounts"), strict=True)
                  if r.high - r.low > float(q.number.step) / 2), Fraction(0))  # fmt: skip
    gap = Fraction(f.reported("total").value) - made
    said = f"the amounts add to {_decimal(made)} {unit}"
    if gap:
        said += f", {_decimal(abs(gap))} {'less' if gap > 0 else 'more'} than the total"
    settle = "set exact = true on amounts that were not rounded" if gap else None
    return equal(f.total, Range(_floor(made - spread), -_floor(-made - spread)), ("total", "sum"), unit=unit,
                 support=Subtype.IDENTITY, remark=said, settle=settle)  # fmt: skip


@invariant(
    id="acct.ratio",
    formula="improvement = before / after, or 1 - after / before in percent",
    needs={"before": "any", "after": "any", "improvement": "1|%"},
    violation=Subtype.CONTRADICTED,
    reference="definition of a ratio",
    known=(
        Example(
            {"before": "300 ms", "after": "100 ms", "improvement": "3.0"},
            "supported/recomputed",
            {"computed": 3.0},
            1e-9,
        ),
        Example(
            {"before": "400 ms", "after": "300 ms", "improvement": "25 %"},
            "supported/recomputed",
            {"computed": 0.25},
            1e-9,
        ),
        Example(
            {"before": "300 ms", "after": "100 ms", "improvement": "4.0"},
            "refuted/contradicted",
            {"computed": 3.0, "margin": -1.0},
            1e-9,
        ),
        Example(
            {"before": "400 ms", "after": "300 ms", "improvement": "50 %"},
            "refuted/contradicted",
            {"computed": 0.25},
            1e-9,
            derivation="no reading gives a half: 1/4, 1/3, 3/4, 4/3",
        ),
        Example(
            {"before": "100 1/s", "after": "300 1/s", "improvement": "3.0"},
            "undetermined/consistent",
            witness="after / before = 3",
        ),
        Example(
            {"before": "400 ms", "after": "300 ms", "improvement": "33 %"},
            "undetermined/consistent",
            witness="before / after - 1 = 0.333",
        ),
        Example(
            {"before": "40 percent", "after": "30 percent", "improvement": "10 percent"},
            "undetermined/consistent",
            witness="before - after = 0.1",
        ),
        Example({"before": "3 ms", "after": "1 ms", "improvement": "6.9"}, "undetermined/consistent"),
        Example(
            {"before": "3 ms", "after": "1 ms", "improvement": "7.1"},
            "refuted/contradicted",
            derivation="at most 3.5/0.5 = 7, and 7.1 is at least 7.05",
        ),
    ),
)
def ratio(f: Fields) -> Check:
    """A factor of improvement is before / after; in percent the improvement is what was saved, 1 - after / before.

    Others take after / before where more is better, or count from 1, or subtract percentages. A value that one
    of these gives is not refuted: the claim has to say which it is.
    """
    before, after = _positive(f.before), _positive(f.after)
    if before is None or after is None:
        return unchecked("does not apply: before and after must be above 0")
    readings = {
        "before / after": before / after,
        "1 - after / before": 1.0 - after / before,
        "after / before": after / before,
        "after / before - 1": after / before - 1.0,
        "before / after - 1": before / after - 1.0,
    }
    name = (
        "1 - after / before"
        if parse_unit(f.given("improvement").unit or "1", "improvement").text == "%"
        else "before / after"
    )
    meant = readings.pop(name)
    if f.unit("before") in ("%", "1"):
        points = after - before if f.unit("before") == "1" else (after - before) / 100.0
        readings |= {"after - before": points, "before - after": -points}
    if not f.improvement.meets(meant):
        for other, value in readings.items():
            if f.improvement.meets(value):
                said = f"{name} = {number_text(meant.middle)}, but {other} = {number_text(value.middle)}"
                return undetermined(Subtype.CONSISTENT, said, "say how the improvement is computed")
    return equal(f.improvement, meant, ("improvement", name))
