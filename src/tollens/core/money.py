"""Money: whole millionths of a currency. Amounts of two currencies are never added."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TypeAlias

from tollens.core.canonical import SAFE
from tollens.core.errors import TollensError

MICRO = 10**6
Micro: TypeAlias = int | str
_AMOUNT = re.compile(r"([0-9]{1,16})(?:\.([0-9]{1,6}))? ([A-Z]{3})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Money:
    """Micro-units by currency. A sum goes currency by currency, and there is no total of several."""

    amounts: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: Money) -> Money:
        made = dict(self.amounts)
        for currency, micro in other.amounts.items():
            made[currency] = made.get(currency, 0) + micro
        return Money(made)

    def __neg__(self) -> Money:
        return Money({currency: -micro for currency, micro in self.amounts.items()})

    def of(self, currency: str) -> int:
        """Micro-units of one currency; 0 where there is none."""
        return self.amounts.get(currency, 0)

    @property
    def currencies(self) -> list[str]:
        """In order of the alphabet."""
        return sorted(self.amounts)


def total(parts: Iterable[Money]) -> Money:
    """The sum, each currency for itself."""
    made: dict[str, int] = {}
    for part in parts:
        for currency, micro in part.amounts.items():
            made[currency] = made.get(currency, 0) + micro
    return Money(made)


def micro(amount: int) -> Micro:
    """As JSON keeps it: an integer, and beyond 2^53 - 1 its digits as a string."""
    return amount if abs(amount) <= SAFE else str(amount)


def parse_amount(text: str) -> Money:
    """`12.40 EUR`: digits, at most 6 decimals, a blank, an ISO 4217 code; no sign and no separator of thousands.

    Raises TollensError `money_amount`, exit 2.
    """
    match = _AMOUNT.fullmatch(text)
    micro = int(match[1]) * MICRO + int((match[2] or "").ljust(6, "0")) if match else SAFE + 1
    if match is None or micro > SAFE:
        raise TollensError(
            "money_amount", "amount", expected='digits, at most 6 decimals and a currency, such as "12.40 EUR"',
            found=repr(text[:60]) if match is None else f"more than {shown(SAFE, match[3])}",
            fix="Write it without a sign, an exponent or separators of thousands.",
        )  # fmt: skip
    return Money({match[3]: micro})


def digits(micro: int) -> str:
    """Exact, in whole units with at least two decimals: 1500000 is `1.50`, 28 is `0.000028`."""
    whole, rest = divmod(abs(micro), MICRO)
    decimals = f"{rest:06d}".rstrip("0").ljust(2, "0")
    return f"{'-' if micro < 0 else ''}{whole}.{decimals}"


def shown(micro: int, currency: str) -> str:
    """`1.50 EUR`."""
    return f"{digits(micro)} {currency}"


def half_even(value: Fraction) -> int:
    """The nearest integer; of two equally near the even one."""
    whole, rest = divmod(value.numerator, value.denominator)
    double = 2 * rest
    return whole + (double > value.denominator or (double == value.denominator and whole % 2 == 1))
