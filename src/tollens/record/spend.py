"""Where the money of a ledger does not follow from its other records."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import msgspec

from tollens.protocol.study import Cost
from tollens.record.envelope import Envelope


class SealedRung(msgspec.Struct, frozen=True):
    """What of a sealed rung bears on money."""

    id: str
    est_cost: Cost = Cost()


class SealedClaim(msgspec.Struct, frozen=True):
    id: str = "?"


class SealedStudy(msgspec.Struct, frozen=True):
    """What of a sealed study bears on money."""

    claim: SealedClaim = SealedClaim()
    rung: list[SealedRung] = []


def sealed_study(seal: Envelope) -> SealedStudy:
    """The claim and the rungs of a record `seal` or `amend`; no rung where what was sealed is no study."""
    try:
        return msgspec.convert(seal.body["manifest"]["study"], SealedStudy)
    except msgspec.ValidationError:
        return SealedStudy()


def mismatches(records: Sequence[Envelope]) -> list[tuple[int, str]]:
    """(line from 1, what is wrong) for every row of money that the rest of a checked ledger contradicts, by line.

    A row that a climb wrote names its run. Its amount is its quantity times the sealed price of the rung; the rows of
    a seal count every cell that was started, as soon as a run has come to its end; and the money that a verdict
    states is their sum. Rows written by hand say only which seal they are of.
    """
    books: dict[str, _Book] = {}
    found: list[tuple[int, str]] = []
    for place, record in enumerate(records, 1):
        body = record.body
        seal = _seal_of(record)
        if record.type in ("seal", "amend"):
            price = {rung.id: rung.est_cost.usd_micro for rung in sealed_study(record).rung}
            books.setdefault(body["seal"], _Book(price))
        elif seal in books:
            books[seal].enter(place, record)
        elif record.type == "spend" and seal is not None:
            found.append((place, f"spend of seal {seal[:12]}, which is not sealed above it"))
        elif record.type == "spend" and body.get("run") is not None:
            found.append((place, "spend of a run, and of no seal"))
    return sorted([*found, *(wrong for book in books.values() for wrong in book.wrong())])


def _seal_of(record: Envelope) -> str | None:
    body = record.body["key"] if record.type == "cell.started" else record.body
    seal = body.get("seal")
    return seal if isinstance(seal, str) else None


@dataclass(slots=True)
class _Book:
    """What the records behind a seal say that name it: rows of its climbs, cells started, and by line what was stated.

    `ended` is the line where the last run came to its end; None while it goes on, and where it broke off, because
    what was started in it is then counted by the next one.
    """

    price: Mapping[str, int]
    rows: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    started: Counter[str] = field(default_factory=Counter)
    stated: list[tuple[int, int]] = field(default_factory=list)
    ended: int | None = None

    def enter(self, place: int, record: Envelope) -> None:
        body = record.body
        if record.type == "cell.started":
            self.started[body["key"]["rung"]] += 1
        elif record.type == "spend" and body["kind"] == "actual" and body.get("run") is not None:
            self.rows.append((place, body))
        elif record.type == "verdict":
            self.stated.append((place, body["decision"]["spent"]["usd_micro"]))
        elif record.type in ("run.started", "run.finished"):
            self.ended = None if record.type == "run.started" or body.get("failed") else place

    def wrong(self) -> Iterator[tuple[int, str]]:
        counted: dict[str, Fraction] = defaultdict(Fraction)
        last: dict[str, int] = {}
        for place, row in self.rows:
            rung = row["rung"]
            quantity = Fraction(row["quantity"])
            counted[rung] += quantity
            last[rung] = place
            due = quantity * self.price.get(rung, 0)
            if rung not in self.price:
                yield place, f"spend of rung {rung!r}, which is not sealed"
            elif row["currency"] != "USD" or due != row["amount_micro"]:
                said = f"{quantity} x {self.price[rung]} = {due} USD micro-units"
                yield place, f"spend of rung {rung!r}: {row['amount_micro']} {row['currency']}, sealed price {said}"
        if self.ended is not None:
            for rung in sorted({*self.started, *counted}):
                if counted[rung] != self.started[rung]:
                    said = f"{counted[rung]} requests paid, {self.started[rung]} cells started"
                    yield last.get(rung, self.ended), f"spend of rung {rung!r}: {said}"
        paid = sum(row["amount_micro"] for _, row in self.rows if row["currency"] == "USD")
        for place, stated in self.stated:
            if stated != paid:
                yield place, f"verdict states {stated} USD micro-units spent; the rows of its climbs sum to {paid}"
