"""What a unit of something cost, and since when: one row of a price table."""

from __future__ import annotations

import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Annotated

import msgspec

from tollens.core.canonical import SAFE
from tollens.core.errors import TollensError
from tollens.core.money import half_even

SEALED = "sealed"
STATED = "stated"
"""What a row without a rate is priced by: the estimate in the seal, the amount that a person states."""
MOST_DIGITS = 60


class Rate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One [[rate]] of tollens.toml. A new price is a new row with an id of its own, and the old one stays.

    currency      three capital letters, ISO 4217
    amount_micro  price of one `unit`, in millionths of the currency
    unit          one word, such as GPU-hour
    since         the day from which it holds
    """

    id: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}\Z")]
    currency: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{3}\Z")]
    amount_micro: Annotated[int, msgspec.Meta(ge=0, le=SAFE)]
    unit: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,31}\Z")]
    since: datetime.date
    source: str = ""

    def __post_init__(self) -> None:
        if self.id in (SEALED, STATED):
            raise ValueError(f"the id {self.id!r} is what rows without a rate are marked with")


def price(quantity: Decimal, rate: Rate) -> int:
    """Micro-units of `quantity` units, exact until it is rounded once, half to even.

    Raises TollensError, exit 2: `quantity_invalid` for what is negative, not finite, or has more than 60 digits;
    `money_overflow` beyond 2^53 - 1.
    """
    sign, figures, exponent = quantity.as_tuple()
    if sign or not isinstance(exponent, int) or len(figures) + abs(exponent) > MOST_DIGITS:
        raise TollensError(
            "quantity_invalid", "quantity", expected=f"a number of units, 0 or more, of at most {MOST_DIGITS} digits",
            found=str(quantity)[:60], fix="Give the quantity as digits with a decimal point.",
        )  # fmt: skip
    micro = half_even(Fraction(quantity) * rate.amount_micro)
    if micro > SAFE:
        raise TollensError(
            "money_overflow", f"rate {rate.id}", expected="at most 2^53 - 1 millionths", found=str(micro),
            fix="Write it as several purchases.",
        )  # fmt: skip
    return micro


def check_day(rate: Rate, day: datetime.date) -> None:
    """Return if the rate held on that day. Raises TollensError `rate_not_yet`, exit 2."""
    if day < rate.since:
        raise TollensError(
            "rate_not_yet", f"rate {rate.id}", expected=f"a purchase from {rate.since} on", found=f"one of {day}",
            fix="Name the rate that held on that day; a price of another time is a [[rate]] of its own.",
        )  # fmt: skip
