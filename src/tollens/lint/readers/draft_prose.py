"""What can be recognised in running text: percentages of an n, k of n, intervals, before and after, written sums.

A false alarm is worse than a miss. Every pattern wants its numbers side by side with the words that say what
they are, and gives way where a word nearby says that the number is a bound, a mean or an example.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from tollens.lint.readers.figures import AFTER, BEFORE, CURRENCY, DIGITS, UNITS, normal, unit_of
from tollens.lint.unit import parse_unit


@dataclass(frozen=True, slots=True)
class Reading:
    """One statement recognised at the offset `at`: the invariant it is for, digits and units by field."""

    at: int
    kind: str
    text: str
    fields: dict[str, tuple[str, str | None] | list[tuple[str, str | None]]]


_THINGS = (
    "participants|patients|users|respondents|subjects|students|people|volunteers|adults|children|women|men|items|samples"
    "|questions|examples|tasks|problems|cases|prompts|trials|papers|images|reviewers|annotators|raters|sites|documents"
    "|files|tests|engineers|developers|teams|customers|companies|models|articles|sentences|issues|bugs|interviews"
)
_SINGLE = "problem|question|prompt|task|item|example|case|issue|test|participant|user|image|document|sentence|trial"
_WORD = r"(?!\d|(?:hundred|thousand|million|billion|trillion|dozen)s?\b)\w{2,15}"
_SETS = re.compile(r"\b(?:tasks|benchmarks|datasets|languages|domains|subsets|splits|metrics)\b")
_WHOSE = r"(?!['’])"
_HEDGE = re.compile(
    r"(?:about|around|roughly|approximately|approx\.?|circa|nearly|almost|over|under|above|below|than|least|most|up to"
    r"|average|averag\w+|mean|median|first|top|last|another|every|each|e\.g\.|say|if|[~≈<>≤≥])\W{0,3}(?:the |of )?$",
    re.I,
)
_AVERAGED = re.compile(
    r"\b(?:on average|averag\w+|avg|mean|median|weighted|macro|typically|per cent of the time"
    r"|seeds?|runs|folds?|repeats?|repeated|resampl\w+|repetitions|attempts|bootstrap\w*"
    r"|(?:over|across|with|using) (?:\d+|several|multiple|many) (?:samples|trials|rollouts|generations)|\d times"
    rf"|per (?:{_SINGLE}))\b|[\w)]@\d",
    re.I,
)
_SIGNED = rf"[-−+]?{DIGITS}"
_PERCENT = rf"(?P<percent>{DIGITS})\s?(?:%|percent|per cent)"
_P_OF_N = re.compile(
    rf"{BEFORE}{_PERCENT} of (?:the |all |our )?(?P<n>{DIGITS}) (?:{_WORD} ){{0,2}}(?:{_THINGS})\b{_WHOSE}"
)
_P_N = re.compile(
    rf"{BEFORE}{_PERCENT} of (?:the |all |our )?(?:\w{{2,15}} )?(?:{_THINGS}) \([nN] ?= ?(?P<n>{DIGITS})\)"
)
_OF_N_P = re.compile(
    rf"\b(?:[Oo]f|[Aa]mong) (?:the |all |our )?(?P<n>{DIGITS}) (?:{_WORD} ){{0,2}}(?:{_THINGS}),? "
    rf"(?:only )?{_PERCENT}(?! (?:more|less|fewer|higher|lower|faster|better|worse|of))"
)
_K_OF_N = re.compile(
    rf"{BEFORE}(?P<k>{DIGITS})(?P<mid>\s?/\s?| of | of the | out of | out of the )(?P<n>{DIGITS})"
    rf"(?P<what>(?: {_WORD}){{0,3}}) ?[(\[] ?{_PERCENT} ?[)\]]"
)
_P_K_N = re.compile(
    rf"{BEFORE}{_PERCENT} ?\( ?(?P<k>{DIGITS})(?P<mid>\s?/\s?| of | out of )(?P<n>{DIGITS})(?P<what>)\)"
)
_CI = re.compile(r"\b(?:CI|CrI|HDI|confidence|credible|interval|intervals)\b")
_INTERVAL = re.compile(
    rf"(?<![\w.,^/])(?P<estimate>{_SIGNED})(?![\d.,]*\d) ?(?P<unit>{UNITS})?(?: ?± ?{DIGITS} ?(?:%|ms|s)?)?"
    r",? ?[(\[] ?(?P<label>(?:\d{2}(?:\.\d)? ?% ?)?(?:CI|CrI|HDI|[Cc]onfidence [Ii]nterval|[Cc]redible [Ii]nterval)"
    rf",?:? ?[(\[]?)?[=:]? ?(?P<low>{_SIGNED}) ?(?P<lowunit>{UNITS})?"
    rf" ?(?:–|—|,|;| to |-| - ) ?(?P<high>{_SIGNED}) ?(?P<highunit>{UNITS})?[)\],;]"
)
_NOT_ESTIMATE = re.compile(
    r"(?:\b[pPnNkK] ?[=<>] ?|\b(?:step|epoch|table|figure|fig\.|day|week|year|month|section"
    r"|version|seed|age|in|at|to) )$|[–—]$|\d ?[-/×x*] ?$",
    re.I,
)


def _amount(name: str) -> str:
    return rf"(?P<{name}cur>US\$|[$€£])?{BEFORE}(?P<{name}>{DIGITS}){AFTER} ?(?P<{name}unit>{UNITS})?"


_BEFORE, _AFTER = _amount("b"), _amount("a")
_FACTOR = rf"(?P<factor>{DIGITS}) ?(?P<sign>x|×|-?fold|%|percent)"
_DIRECTION = (
    r"(?:faster|smaller|less|fewer|lower|cheaper|shorter|reduction|decrease|speed-?up|improvement|compression|savings?"
    r"|drop|cut|quicker)"
)
_FROM_TO = re.compile(
    rf"\bfrom {_BEFORE} ?(?:per \w{{2,10}} )?(?:down )?to {_AFTER}"
    rf"(?:,? ?\(? ?(?:an? |i\.e\.,? |that is,? |which is )?){_FACTOR} {_DIRECTION}\b"
)
_SPEED = re.compile(r"faster|quicker|speed-?up|shorter", re.I)
_SIZE = re.compile(r"smaller|compression", re.I)
_OF_WHAT = re.compile(r" (?:in |of |per )?(?:the |our |its |total |overall )?(?P<noun>[^\W\d_][\w-]+)")
_GOES_ON = re.compile(
    r"than|and|or|but|while|on|at|for|with|by|after|when|over|now|in|that|which|as|using|without|from|to|compared"
    r"|relative|versus|vs|if|since|under|across|once|the|so|is|was|are|were", re.I,
)  # fmt: skip
_VERB = re.compile(
    r"\b(?:reduc|decreas|cut|cuts|lower|shrink|shrank|shrunk|drop|fell|falls|brought down|slash)\w*\b", re.I
)
_FROM_TO_P = re.compile(rf"\bfrom {_BEFORE} ?(?:down )?to {_AFTER} ?\([-−–]? ?{_FACTOR}\)")
_ARROW = re.compile(
    rf"{BEFORE}{_FACTOR} {_DIRECTION}(?: \w{{2,15}}){{0,2}},? ?\( ?(?:from )?{_BEFORE}"
    rf" ?(?:→|->|—>|=>|to|down to|⟶) ?{_AFTER} ?\)"
)
_TERM = rf"(?:US\$|[$€£])?{DIGITS}(?: ?{UNITS})?"
_TERMS = re.compile(rf"(?<![\w.,^/*×·+(=−$€£-]){_TERM}(?: ?\+ ?{_TERM}){{1,20}}$")
_EQUALS = re.compile(rf" ?= ?(?P<total>{_TERM}){AFTER}")
MAX_SUM = 400
_SUM_END = re.compile(r" ?(?:[-+*/×·^=%!]|mod\b|\(mod|o['’]clock|in (?:binary|base|hex|octal)|\\|e\d|x\b)")
_ONE = re.compile(rf"(?P<cur>US\$|[$€£])?(?P<digits>{DIGITS})(?: ?(?P<unit>{UNITS}))?")
_BILL = re.compile(
    r"\b(?:total(?:l?ed|s)?|totall?ing|bill|spent|costs?)(?: \w{1,12}){0,3} (?P<total>(?:US\$|[$€£])"
    rf"{DIGITS}){AFTER} ?(?:: ?|\((?![^()]{{0,300}}\())"
)
_NO_PARTS = re.compile(
    r"\b(?:e\.g|includ\w+|such as|per|each|about|of which|saving|off|list|discount\w*|credit\w*|refund\w*|saved"
    r"|minus|less|than|instead|was|were|from|to|or|between|vs|versus|originally|down|up|if|in \d{4})\b|/|~|=", re.I,
)  # fmt: skip
_LIST_END = re.compile(r"\.(?!\d)|[;:()?!]")
_PRICE = re.compile(rf"(?P<cur>US\$|[$€£])(?P<digits>{DIGITS}){AFTER}")
_ELAPSED = re.compile(
    rf"{BEFORE}(?P<k>{DIGITS}) ?(?P<kunit>ms|s|min|h|hours?|minutes?|seconds?|days?|[kMGT]i?B) (?:out )?of (?:the |a )?"
    rf"(?P<n>{DIGITS}) ?(?P<nunit>ms|s|min|h|hours?|minutes?|seconds?|days?|[kMGT]i?B) ?\( ?{_PERCENT} ?\)"
)


_SPACES = re.compile(r"[^\S\n]+")


def readings(text: str) -> list[Reading]:
    """Every statement that is recognised in one paragraph, in order."""
    text = _SPACES.sub(" ", normal(text))
    if not any(char in text for char in "%=[($€£") and "percent" not in text and "from " not in text:
        return []
    found = [*_grim(text), *_share(text), *_intervals(text), *_ratios(text), *_sums(text), *_bills(text)]
    return sorted(found, key=lambda r: r.at)


def _said(match: re.Match[str]) -> str:
    return match[0].strip()[:160]


def _sentence(text: str, at: int) -> str:
    start = max(text.rfind(". ", 0, at), text.rfind("; ", 0, at)) + 1
    ends = [end for end in (text.find(". ", at), text.find("; ", at)) if end >= 0]
    return text[start : min(ends, default=len(text))][:600]


def _hedged(text: str, at: int) -> bool:
    return _HEDGE.search(text[max(0, at - 30) : at]) is not None


def _grim(text: str) -> Iterator[Reading]:
    for pattern in (_P_OF_N, _P_N, _OF_N_P):
        for match in pattern.finditer(text):
            n = match["n"].replace(",", "")
            at = min(match.start("percent"), match.start("n"))
            if not n.isdigit() or _hedged(text, match.start("percent")) or _hedged(text, match.start("n")):
                continue
            if _AVERAGED.search(_sentence(text, at)) or re.search(r"\d ?[–-] ?$", text[max(0, at - 4) : at]):
                continue
            above = math.floor(Decimal(match["percent"].replace(",", "")) * int(n) / 100) + 1
            if truncated(match["percent"], above, int(n)):
                continue
            fields = {"percent": (match["percent"], "%"), "n": (match["n"], "count")}
            yield Reading(at, "stat.grim", _said(match), dict(fields))


def _share(text: str) -> Iterator[Reading]:
    for pattern in (_K_OF_N, _P_K_N):
        for match in pattern.finditer(text):
            k, n = match["k"].replace(",", ""), match["n"].replace(",", "")
            if not (k.isdigit() and n.isdigit()) or not 0 <= int(k) <= int(n) or _hedged(text, match.start()):
                continue
            if re.search(r"\d $", text[max(0, match.start() - 2) : match.start()]):
                continue  # the end of a number with a space in it
            if "/" in match["mid"] and int(n) <= 12 and not re.search(rf"\b(?:{_THINGS})\b", match["what"]):
                continue  # a mark out of ten, a fraction or a date
            if re.search(r"\d ?[–/-] ?$", text[max(0, match.start() - 4) : match.start()]) or int(n) == 0:
                continue
            if truncated(match["percent"], int(k), int(n)):
                continue
            if re.search(r"\bon $", text[: match.start()][-4:]) and _SETS.search(match["what"]):
                continue  # the score on those of the benchmarks, not their share
            fields = {
                "elapsed": (match["k"], "count"),
                "total": (match["n"], "count"),
                "fraction": (match["percent"], "%"),
            }
            yield Reading(match.start(), "acct.elapsed", _said(match), dict(fields))
    for match in _ELAPSED.finditer(text):
        units = unit_of(match["kunit"]) or match["kunit"], unit_of(match["nunit"]) or match["nunit"]
        if not _hedged(text, match.start()):
            fields = {
                "elapsed": (match["k"], units[0]),
                "total": (match["n"], units[1]),
                "fraction": (match["percent"], "%"),
            }
            yield Reading(match.start(), "acct.elapsed", _said(match), dict(fields))


def truncated(percent: str, k: int, n: int) -> bool:
    """Whether the percentage is k/n cut off after its last digit, as some tools print it: no contradiction."""
    step = Decimal(1).scaleb(-len(percent.partition(".")[2]))
    value = Decimal(percent.replace(",", ""))
    return n > 0 and 0 <= Decimal(100 * k) / n - value < step and Decimal(100 * k) / n - value > step / 2


def _intervals(text: str) -> Iterator[Reading]:
    for match in _INTERVAL.finditer(text):
        if not match["label"] and not _CI.search(_sentence(text, match.start())):
            continue
        if not match["label"] and "," not in match[0] and ";" not in match[0] and "–" not in match[0]:
            continue
        ends = [match[name].lstrip("+-−").replace(",", "") for name in ("estimate", "low", "high")]
        places = {len(end.partition(".")[2]) for end in ends}
        if len(places) > 1 or _NOT_ESTIMATE.search(text[max(0, match.start() - 12) : match.start()]):
            continue
        units = {unit_of(match[name]) for name in ("unit", "lowunit", "highunit") if match[name]}
        if len(units) > 1 or (places == {0} and not match["label"]):
            continue
        unit = units.pop() if units else "1"
        names = ("low", "estimate", "high")
        yield Reading(match.start(), "stat.interval", _said(match), {name: (match[name], unit) for name in names})


def _ratios(text: str) -> Iterator[Reading]:
    for pattern in (_FROM_TO, _FROM_TO_P, _ARROW):
        for match in pattern.finditer(text):
            if pattern is _FROM_TO_P and not _VERB.search(_sentence(text, match.start())):
                continue
            if _hedged(text, match.start("factor")) or _hedged(text, match.start("b")):
                continue
            units = [CURRENCY.get(match[f"{s}cur"] or "") or unit_of(match[f"{s}unit"]) for s in ("b", "a")]
            before, after = units[0] or units[1], units[1] or units[0]
            if before in ("%", "pp") or after in ("%", "pp"):
                continue
            if pattern is _FROM_TO and _of_something_else(text, match):
                continue
            percent = match["sign"] in ("%", "percent")
            if not _speaks_of(match[0], before) or (percent and before is None and _points(match)):
                continue
            improvement = (match["factor"], "%" if percent else "1")
            fields = {
                "before": (match["b"], before or "1"),
                "after": (match["a"], after or "1"),
                "improvement": improvement,
            }
            yield Reading(match.start(), "acct.ratio", _said(match), dict(fields))


def _speaks_of(said: str, unit: str | None) -> bool:
    """Whether the factor is one of the numbers beside it: 12 to 6 layers, or 16 GB to 8 GB, may well be 1.6x faster."""
    bases = {base for base, _ in parse_unit(unit, "unit").powers} if unit is not None else set()
    if _SPEED.search(said):
        return "s" in bases
    if _SIZE.search(said):
        return not bases.isdisjoint({"B", "bit"})
    return not re.search("cheaper", said, re.I) or not bases.isdisjoint(CURRENCY.values())


def _of_something_else(text: str, match: re.Match[str]) -> bool:
    """Whether what follows names another quantity than the sentence had: from 16 GB to 8 GB, a 4x smaller cache."""
    after = _OF_WHAT.match(text, match.end())
    if after is None or _GOES_ON.fullmatch(after["noun"]):
        return False
    said = _sentence(text, match.start())
    return after["noun"].lower() not in said[: said.find(match[0])].lower()


def _points(match: re.Match[str]) -> bool:
    """Whether the percentage is the difference of the two numbers: percentages without their sign, said in points."""
    before, after, factor = (Decimal(match[name].replace(",", "")) for name in ("b", "a", "factor"))
    return abs(before - after) == factor


def _sums(text: str) -> Iterator[Reading]:
    last = 0
    for equals in _EQUALS.finditer(text):
        match = _TERMS.search(text, max(last, equals.start() - MAX_SUM), equals.start())
        last = equals.end()
        if match is None or _SUM_END.match(text, last):
            continue
        if re.search(r"[-+*/×·^(=] ?$", text[max(0, match.start() - 2) : match.start()]):
            continue
        terms = [one for term in match[0].split("+") if (one := _ONE.fullmatch(term.strip()))]
        total = _ONE.fullmatch(equals["total"].strip())
        if total is None or len(terms) != match[0].count("+") + 1:
            continue
        units = [CURRENCY.get(one["cur"] or "") or unit_of(one["unit"]) for one in [*terms, total]]
        given = {unit for unit in units if unit is not None}
        if (len(given) > 1 or given == {"%"}) and None in units:
            continue
        common = next(iter(given)) if len(given) == 1 else "1"
        values = [(one["digits"], unit or common) for one, unit in zip([*terms, total], units, strict=True)]
        money = len(given) == 1 and common in CURRENCY.values()
        name = "amounts" if money else "parts"
        fields: dict[str, tuple[str, str | None] | list[tuple[str, str | None]]] = {
            name: list(values[:-1]), "total": values[-1],
        }  # fmt: skip
        yield Reading(
            match.start(), "acct.money" if money else "acct.sum", text[match.start() : last].strip()[:160], fields
        )


def _bills(text: str) -> Iterator[Reading]:
    for match in _BILL.finditer(text):
        end = _LIST_END.search(text, match.end(), match.end() + 600)
        said = text[match.end() : end.start() if end else match.end() + 600]
        prices = list(_PRICE.finditer(said))
        if len(prices) < 2 or _NO_PARTS.search(said):
            continue
        total = _PRICE.fullmatch(match["total"])
        if total is None or {p["cur"] for p in prices} != {total["cur"]} or _hedged(text, match.start("total")):
            continue
        unit = CURRENCY[total["cur"]]
        yield Reading(match.start(), "acct.money", (match[0] + said)[:160],
                      {"amounts": [(p["digits"], unit) for p in prices], "total": (total["digits"], unit)})  # fmt: skip
