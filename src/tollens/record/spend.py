"""Where the money of a ledger does not follow from its other records."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
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
    prices: dict[str, dict[str, int]] = {}
    found: list[tuple[int, str]] = []
    rows: dict[str, list[tuple[int, dict[str, Any]]]] = defaultdict(list)
    started: dict[str, Counter[str]] = defaultdict(Counter)
    for place, record in enumerate(records, 1):
        body = record.body
        if record.type in ("seal", "amend"):
            prices[body["seal"]] = {rung.id: rung.est_cost.usd_micro for rung in sealed_study(record).rung}
        elif record.type == "cell.started":
            started[body["key"]["seal"]][body["key"]["rung"]] += 1
        elif record.type == "spend":
            seal = body.get("seal")
            if seal is not None and seal not in prices:
                found.append((place, f"spend of seal {seal[:12]}, which is not sealed above it"))
            elif body.get("run") is not None and body["kind"] == "actual":
                rows[seal or ""].append((place, body))
    for seal, price in prices.items():
        found += _of_a_seal(seal, price, rows[seal], started[seal], records)
    found += [(place, "spend of a run, and of no seal") for place, _ in rows[""]]
    return sorted(found)


def _of_a_seal(
    seal: str,
    price: dict[str, int],
    rows: Sequence[tuple[int, dict[str, Any]]],
    started: Counter[str],
    records: Sequence[Envelope],
) -> Iterator[tuple[int, str]]:
    counted: dict[str, Fraction] = defaultdict(Fraction)
    last: dict[str, int] = {}
    for place, row in rows:
        rung = row["rung"]
        quantity = Fraction(row["quantity"])
        counted[rung] += quantity
        last[rung] = place
        if rung not in price:
            yield place, f"spend of rung {rung!r}, which is not sealed"
        elif row["currency"] != "USD" or quantity * price[rung] != row["amount_micro"]:
            due = f"{quantity} x {price[rung]} = {quantity * price[rung]} USD micro-units"
            yield place, f"spend of rung {rung!r}: {row['amount_micro']} {row['currency']}, sealed price {due}"
    ended = _ended(seal, records)
    if ended is not None:
        for rung in sorted({*started, *counted}):
            if counted[rung] != started[rung]:
                said = f"{counted[rung]} requests paid, {started[rung]} cells started"
                yield last.get(rung, ended), f"spend of rung {rung!r}: {said}"
    paid = sum(row["amount_micro"] for _, row in rows if row["currency"] == "USD")
    for place, record in enumerate(records, 1):
        if record.type == "verdict" and record.body["seal"] == seal:
            stated = record.body["decision"]["spent"]["usd_micro"]
            if stated != paid:
                yield place, f"verdict states {stated} USD micro-units spent; the rows of its climbs sum to {paid}"


def _ended(seal: str, records: Sequence[Envelope]) -> int | None:
    """The line where the last run of a seal came to its end; None while it goes on, and where it broke off.

    What was started in a run that broke off is counted by the next one.
    """
    kinds = ("run.started", "run.finished")
    of = [(n, r) for n, r in enumerate(records, 1) if r.type in kinds and r.body["seal"] == seal]
    if not of or of[-1][1].type == "run.started" or of[-1][1].body.get("failed"):
        return None
    return of[-1][0]
