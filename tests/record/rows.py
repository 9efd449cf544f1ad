"""Records of a study in memory: its seal, its cells, its money, its verdict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tollens.record.envelope import Envelope, Kind, sealed_envelope

SEAL, NEXT = "a" * 64, "b" * 64
PRICES = {"cheap": 0, "gpu": 7, "last": 100}


class Book:
    """Appends to a list, as a climb appends to a ledger."""

    def __init__(self, prices: Mapping[str, int] = PRICES) -> None:
        self.records: list[Envelope] = []
        self.seal = ""
        self.run = ""
        self.sealed(SEAL, prices)

    def add(self, kind: Kind, body: dict[str, Any]) -> Envelope:
        last = self.records[-1] if self.records else None
        self.records.append(sealed_envelope(kind, body, last, "me", "2026-01-01T00:00:00.000Z"))
        return self.records[-1]

    def sealed(self, seal: str, prices: Mapping[str, int] = PRICES, kind: Kind = "seal", **more: Any) -> None:
        rungs = [{"id": name, "est_cost": {"usd_micro": price}} for name, price in prices.items()]
        self.seal = seal
        self.add(kind, {"seal": seal, "manifest": {"study": {"claim": {"id": "c"}, "rung": rungs}}, **more})

    def start(self) -> None:
        self.run = self.add("run.started", {"seal": self.seal}).id

    def cells(self, rung: str, count: int, seconds: float = 0.5) -> None:
        for n in range(count):
            key = {"seal": self.seal, "rung": rung, "arm": "subject", "cell": "c", "seed": n}
            self.add("cell.started", {"run": self.run, "key": key, "attempt": 1})
            self.add("cell.finished", {"run": self.run, "key": key, "attempt": 1, "readings": {}, "seconds": seconds})

    def row(self, kind: str, rung: str, amount: int, quantity: int | str = 1, **more: Any) -> Envelope:
        """A row of a climb; `run=None` makes it one by hand."""
        body = {
            "claim": "c", "rung": rung, "cell": "all", "attempt": 1, "kind": kind, "currency": "USD",
            "amount_micro": amount, "rate_id": "sealed", "quantity": quantity, "unit": "request", "evidence": "e",
            "seal": self.seal, "run": self.run, **more,
        }  # fmt: skip
        return self.add("spend", body)

    def by_hand(self, kind: str, rung: str, amount: int, currency: str = "EUR", **more: Any) -> Envelope:
        return self.row(kind, rung, amount, run=None, rate_id="stated", currency=currency, **more)

    def finish(self, **more: Any) -> None:
        self.add("run.finished", {"run": self.run, "seal": self.seal, "changed": [], **more})

    def verdict(self, verdict: str, rung: str, spent: int) -> None:
        decision = {"rung": rung, "seal": self.seal, "verdict": verdict, "spent": {"usd_micro": spent}}
        self.add("verdict", {"seal": self.seal, "run": self.run, "verdict": verdict, "decision": decision})


def killed() -> Book:
    """`cheap` passed, `gpu` killed after 4 of 10 requests, `last` was never started."""
    book = Book()
    book.start()
    book.row("estimate", "cheap", 0, 3)
    book.row("estimate", "gpu", 70, 10)
    book.row("estimate", "last", 500, 5)
    book.cells("cheap", 3)
    book.row("actual", "cheap", 0, 3)
    book.cells("gpu", 4)
    book.row("actual", "gpu", 28, 4)
    book.finish()
    book.verdict("KILLED", "gpu", 28)
    return book
