"""Numbers as people print them in running text and in tables: grouped digits, signs, currencies, units, suffixes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from tollens.core.errors import TollensError
from tollens.lint.number import Number, parse_number

DIGITS = r"(?:\d{1,3}(?:,\d{3})+(?![\d,])|\d{1,18})(?:\.\d{1,18})?(?:[eE][-+]?\d{1,2})?(?![\d])"
"""Not preceded or followed by what would make it another number; see `BEFORE` and `AFTER`."""
BEFORE = r"(?<![\w.,^/])"
AFTER = r"(?![.,:]?\d|[-/]\d)"
_GROUPED = re.compile("(?<=\\d)[\u00a0\u202f\u2009\u2007'’](?=\\d{3}(?!\\d))")

_SPELLED = {
    "percent": "%", "per cent": "%", "％": "%", "msec": "ms", "millisecond": "ms", "milliseconds": "ms",
    "µs": "us", "μs": "us", "usec": "us", "microseconds": "us", "nanoseconds": "ns",
    "sec": "s", "secs": "s", "second": "s", "seconds": "s", "mins": "min", "minute": "min", "minutes": "min",
    "hr": "h", "hrs": "h", "hour": "h", "hours": "h", "day": "d", "days": "d",
    "KB": "kB", "KiB": "KiB", "tok/s": "token/s", "tokens/s": "token/s", "tokens/sec": "token/s",
    "tokens/second": "token/s", "tokens per second": "token/s", "req/s": "request/s", "requests/s": "request/s",
    "×": "1", "x": "1", "X": "1", "points": "pp", "pts": "pp", "percentage points": "pp",
    "US dollars": "USD", "dollars": "USD", "euros": "EUR",
}  # fmt: skip
_PLAIN = (
    "%", "pp", "ms", "us", "ns", "s", "min", "h", "B", "kB", "MB", "GB", "TB", "PB", "MiB", "GiB", "TiB",
    "GB/s", "MB/s", "TB/s", "GiB/s", "W", "kW", "J", "kJ", "MJ", "Wh", "kWh", "USD", "EUR", "GBP", "CHF",
    "GFLOP", "TFLOP", "PFLOP",
)  # fmt: skip
SPELLINGS: dict[str, str] = {**{unit: unit for unit in _PLAIN}, **_SPELLED}
"""How units are written in reports, and which unit is meant."""
UNITS = "(?:" + "|".join(re.escape(word) for word in sorted(SPELLINGS, key=len, reverse=True)) + ")(?![\\w/²])"
CURRENCY = {"$": "USD", "US$": "USD", "€": "EUR", "£": "GBP"}
_SUFFIX = {"k": 3, "K": 3, "M": 6, "B": 9, "bn": 9}

_ENDING = re.compile(
    r"(?P<currency>US\$|[$€£])?(?P<sign>(?<![\w)])[-+−])?(?P<currency2>US\$|[$€£])?"
    rf"{BEFORE}(?P<digits>{DIGITS}|\.\d{{1,18}})"
    r"(?:\s{0,2}[×x·]\s{0,2}10(?:\^?\{?(?P<power>[-−+]?\d{1,3})\}?|(?P<raised>[⁻⁺]?[⁰¹²³⁴⁵⁶⁷⁸⁹]{1,3})))?"
    rf"(?:\s?(?P<unit>{UNITS}))?[\s*_`)\]]{{0,6}}$"
)
_MARKS = re.compile(r"(?P<mark>~|≈|<=|>=|≤|≥|<|>|\babout|\bapprox\.|\bapproximately|\broughly)\s{0,2}$")
_RANGED = re.compile(
    rf"(?P<low>{BEFORE}{DIGITS})\s{{0,2}}(?:{UNITS})?\s{{0,2}}(?P<mark>±|\+/-|–|—|(?<=\d)-|\bto|(?<=\d) -)\s{{0,2}}$"
)
_CELL = re.compile(
    r"(?P<mark>~|≈|<|>|≤|≥)?\s?(?P<sign>[-+−])?(?P<currency>US\$|[$€£])?\s?"
    rf"(?P<digits>{DIGITS}|\.\d{{1,18}})(?P<suffix>[kKMB]|bn)?(?![\w.,])(?:\s?(?P<unit>{UNITS}))?"
    r"\s{0,3}(?P<rest>[(\[±].{0,80}|[*†‡§¹²³]{0,3})$"
)
_UNIT_GLUED = re.compile(
    rf"(?P<mark>~|≈|<|>|≤|≥)?\s?(?P<sign>[-+−])?(?P<digits>{DIGITS})(?P<unit>{UNITS})\s{{0,3}}"
    r"(?P<rest>[(\[±].{0,80}|[*†‡§¹²³]{0,3})$"
)
_RAISED = str.maketrans("⁻⁺⁰¹²³⁴⁵⁶⁷⁸⁹", "-+0123456789")


@dataclass(frozen=True, slots=True)
class Figure:
    """A number with the unit that its text gives; `rest` is what follows it in its cell."""

    number: Number
    unit: str | None
    rest: str = ""

    @property
    def value(self) -> Decimal:
        return self.number.value

    @property
    def decimals(self) -> int:
        exponent = self.number.step.as_tuple().exponent
        return -exponent if isinstance(exponent, int) else 0


def normal(text: str) -> str:
    """The text with groups of thousands in one form, character for character."""
    return _GROUPED.sub(",", text)


def unit_of(written: str | None) -> str | None:
    """The unit that a spelling means; None for none that is known."""
    return None if written is None else SPELLINGS.get(written)


def cell_figure(text: str) -> Figure | None:
    """The number that a table cell holds, if it holds one and no other words."""
    text = normal(text.strip())
    if len(text) > 120 or not text:
        return None
    match = _CELL.match(text) or _UNIT_GLUED.match(text)
    if match is None:
        return None
    found = match.groupdict()
    digits = (found["sign"] or "") + found["digits"]
    suffix = found.get("suffix")
    unit = CURRENCY.get(found.get("currency") or "") or unit_of(found["unit"])
    if suffix == "B" and unit is None:  # bytes or billions: nobody can tell
        return None
    if suffix:
        if "e" in digits.lower():
            return None
        digits = f"{digits}e{_SUFFIX[suffix]}"
    return Figure(parse_number((found["mark"] or "") + digits, "cell"), unit, found["rest"] or "")


def number_before(text: str, where: str) -> Figure:
    """The number that `text` ends with, for a tag that follows it.

    It may carry a mark such as ~ or <, a currency, a unit, emphasis. Raises TollensError `lint_number` if there
    is none, or if it is one end of a range or of an estimate with its error.
    """
    tail = normal(text[-120:])
    match = _ENDING.search(tail)
    if match is None:
        raise _unreadable(where, text)
    before = tail[: match.start()]
    if _RANGED.search(before + (match["sign"] or "")) or _RANGED.search(before):
        raise TollensError(
            "lint_number",
            where,
            expected="one number before the tag",
            found=repr(text[-40:]),
            fix="Tag each of the two numbers where it stands.",
        )
    mark = _MARKS.search(before)
    shown = {"approx.": "~", "approximately": "~", "roughly": "~", "about": "~"}
    prefix = shown.get(mark["mark"], mark["mark"]) if mark else ""
    digits = (match["sign"] or "") + match["digits"]
    power = match["power"] or (match["raised"] or "").translate(_RAISED)
    if power:
        digits += f"e{power.replace('−', '-')}"
    unit = CURRENCY.get(match["currency"] or match["currency2"] or "") or unit_of(match["unit"])
    return Figure(parse_number(prefix + digits, where), unit)


def number_span(text: str) -> tuple[int, int, tuple[int, int] | None] | None:
    """Where the digits of the number that `text` ends with start and end, sign included, and where its unit stands.

    None where a currency or a raised power stands among them, or where a space parts a group of thousands from the
    digits before it, so that other digits cannot just take their place.
    """
    start = max(0, len(text) - 120)
    match = _ENDING.search(normal(text[start:]))
    if match is None or match["currency"] or match["currency2"] or match["power"] or match["raised"]:
        return None
    first = match.start("sign") if match["sign"] else match.start("digits")
    if re.match(r"\d{3}(?!\d)", text[start + first :]) and re.search(r"\d\s$", text[: start + first]):
        return None
    unit = None if match["unit"] is None else (start + match.start("unit"), start + match.end("unit"))
    return start + first, start + match.end("digits"), unit


def _unreadable(where: str, text: str) -> TollensError:
    return TollensError(
        "lint_number",
        where,
        expected="a number right before the tag",
        found=repr(text[-40:]) if text else "nothing",
        fix="Put the tag directly behind the digits, such as 0.913<!--t:acc.value unit=1-->.",
    )


_ANY = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)?(?:[eE][-+]?\d+)?")


def count_numbers(text: str) -> int:
    """How many numbers stand in the text; parts of words and of versions are none."""
    return sum(1 for _ in _ANY.finditer(text))
