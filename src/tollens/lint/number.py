"""A reported number: the digits as printed, and the interval of values that are printed like this."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from decimal import Decimal

from tollens.core.errors import TollensError
from tollens.lint.interval import INF, Range

ABOUT = 0.05
"""`~5` means within 5 % of 5."""
MAX_TEXT, MAX_EXPONENT = 64, 300
_NUMBER = re.compile(
    r"(?P<mark>~|≈|about |<=|>=|<|>|≤|≥)?\s*"
    r"(?P<sign>[-+−]?)(?P<whole>\d{1,3}(?:,\d{3})+|\d*)(?:\.(?P<part>\d*))?(?:[eE](?P<power>[-+]?\d{1,4}))?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Number:
    """`text` as reported; `value` its digits; `mark` one of "", "~", "<", ">"; `step` the unit of its last digit.

    `high` is the upper end where two values were reported as a range. `infinite` stands for an unbounded value.
    """

    text: str
    value: Decimal
    step: Decimal
    mark: str = ""
    high: Number | None = None
    infinite: bool = False

    @property
    def is_integer(self) -> bool:
        return self.step == 1 and not self.mark and self.high is None

    def range(self, exact: bool = False) -> Range:
        """What the value can be: both ways of rounding a half are accepted, so the ends belong to it."""
        if self.infinite:
            return Range(INF, INF)
        if self.high is not None:
            lower = _around(self.value, Decimal(0) if exact else self.step / 2)
            return Range(lower.low, self.high.range(exact).high)
        if self.mark == "<":
            return Range(-INF, float(self.value))
        if self.mark == ">":
            return Range(float(self.value), INF)
        if exact:
            return _around(self.value, Decimal(0))
        if self.mark == "~":
            return _around(self.value, max(abs(self.value) * Decimal(str(ABOUT)), self.step / 2))
        return _around(self.value, self.step / 2)


def _around(value: Decimal, half: Decimal) -> Range:
    low, high = float(value - half), float(value + half)
    # A decimal is seldom a float: one step outward keeps it inside, and an integer is kept as it is.
    low = low if Decimal(low) <= value - half else math.nextafter(low, -INF)
    high = high if Decimal(high) >= value + half else math.nextafter(high, INF)
    return Range(low, high)


def parse_number(text: str, where: str) -> Number:
    """Read `29.8`, `1,234`, `1e-3`, `−0.4`, `~5`, `<0.05` or `inf`. Raises TollensError `lint_number`."""
    stripped = text.strip()
    if stripped in ("inf", "∞"):
        return Number(stripped, Decimal(0), Decimal(1), infinite=True)
    match = _NUMBER.fullmatch(stripped) if len(stripped) <= MAX_TEXT else None
    if match is None or not (match["whole"] or match["part"]) or abs(int(match["power"] or 0)) > MAX_EXPONENT:
        raise TollensError(
            "lint_number",
            where,
            expected="a decimal such as 29.8, 1,234, 1e-3, ~5 or <0.05",
            found=repr(text[:40]),
            fix="Write the digits as printed, and the unit in `unit`.",
        )
    power = int(match["power"] or 0)
    digits = (match["whole"] or "0").replace(",", "") + (f".{match['part']}" if match["part"] else "")
    value = Decimal(digits).scaleb(power)
    step = Decimal(1).scaleb(power - len(match["part"] or ""))
    if match["sign"] in ("-", "−"):
        value = -value
    mark = {"≈": "~", "about ": "~", "<=": "<", "≤": "<", ">=": ">", "≥": ">"}.get(
        match["mark"] or "", match["mark"] or ""
    )
    return Number(stripped, value, step, mark)


def spanning(low: Number, high: Number, where: str) -> Number:
    """Both ends of a reported range as one number; `high` may be infinite.

    Raises TollensError `lint_number` if low exceeds high, or if an end carries a mark, which its interval would lose.
    """
    if low.mark or high.mark:
        raise TollensError(
            "lint_number",
            where,
            expected="two plain numbers as the ends of a range",
            found=f"low = {low.text}, high = {high.text}",
            fix="Write <, > and ~ in front of a single value, or a wider range.",
        )
    reversed_ = low.infinite or (not high.infinite and low.value > high.value)
    if reversed_ or low.high is not None or high.high is not None:
        raise TollensError(
            "lint_number",
            where,
            expected="low at most high",
            found=f"low = {low.text}, high = {high.text}",
            fix="Exchange the two ends.",
        )
    return Number(f"{low.text} to {high.text}", low.value, low.step, high=high)
