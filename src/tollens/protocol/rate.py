"""What a unit of something cost, and since when: one row of a price table."""

from __future__ import annotations

import datetime

import msgspec


class Rate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One [[rate]] of tollens.toml.

    currency      three capital letters, ISO 4217
    amount_micro  price of one `unit`, in millionths of the currency
    since         the day from which it holds
    """

    id: str
    currency: str
    amount_micro: int
    unit: str
    since: datetime.date
    source: str = ""
