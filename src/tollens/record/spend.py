"""Where the money of a ledger does not follow from its other records."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import msgspec

from tollens.protocol.rate import SEALED
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


def unpaid(records: Sequence[Envelope], seal: Envelope) -> list[dict[str, Any]]:
    """The rows due for cells of a seal that were started and that no row of a climb counts: its last run broke off.

    A climb of the same seal pays for them itself; where the seal is amended there will be none. `records` are those of
    a checked ledger, `seal` the record of the seal among them.
    """
    study, name, run = sealed_study(seal), seal.body["seal"], None
    started: Counter[str] = Counter()
    attempt: Counter[str] = Counter()
    for record in records[seal.seq + 1 :]:
        body = record.body
        if _seal_of(record) != name:
            continue
        if record.type == "run.started":
            run = record.id
        elif record.type == "cell.started":
            rung = body["key"]["rung"]
            started[rung] += 1
            attempt[rung] = max(attempt[rung], body["attempt"])
        elif record.type == "spend" and body["kind"] == "actual" and isinstance(body["quantity"], int):
            started[body["rung"]] -= body["quantity"] if body.get("run") is not None else 0
    return [
        {
            "claim": study.claim.id, "rung": rung.id, "cell": "all", "attempt": attempt[rung.id], "kind": "actual",
            "currency": "USD", "amount_micro": started[rung.id] * rung.est_cost.usd_micro, "rate_id": SEALED,
            "quantity": started[rung.id], "unit": "request", "evidence": "cell.started records", "seal": name,
            "run": run,
        }
        for rung in study.rung
        if run is not None and started[rung.id] > 0
    ]  # fmt: skip


def mismatches(records: Sequence[Envelope]) -> list[tuple[int, str]]:
    """(line from 1, what is wrong) for every row of money that the rest of a checked ledger contradicts, by line.

    A row that a climb wrote names its run. Its amount is its quantity times the sealed price of the rung; the rows of
    a seal count every cell that was started, as soon as a run has come to its end or the seal is amended; and the
    money that a verdict states is their sum. Rows written by hand say only which seal they are of.
    """
    books: dict[str, _Book] = {}
    found: list[tuple[int, str]] = []
    for place, record in enumerate(records, 1):
        body = record.body
        seal = _seal_of(record)
        if record.type in ("seal", "amend"):
            price = {rung.id: rung.est_cost.usd_micro for rung in sealed_study(record).rung}
            books.setdefault(body["seal"], _Book(price))
            if body.get("amends") in books:
                books[body["amends"]].close(place)
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
    what was started in it is then counted by the next one. Where the seal is amended there is no next one, and the
    amendment counts it.
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

    def close(self, place: int) -> None:
        """The seal is amended: no run of it will count what one that broke off has started."""
        self.ended = self.ended or place

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
