"""What a study cost, from the rows of its ledger: exact sums, each currency for itself.

An estimate is never spend. A refund is a negative row and takes from what was spent.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import msgspec

from tollens.core.money import Money, total
from tollens.protocol.rate import SEALED
from tollens.record.bodies import SpendBody
from tollens.record.envelope import Envelope
from tollens.record.spend import SealedStudy, sealed_study

OTHER = "other"
"""The rung of a purchase that no rung made: storage, a data set."""
RungState: TypeAlias = Literal["not started", "started", "died here", "no rung of this seal"]


@dataclass(frozen=True, slots=True)
class Sums:
    """`refunded` is 0 or less. `sealed` is the part of the estimate that only the price in the seal stands for."""

    estimate: Money = field(default_factory=Money)
    sealed: Money = field(default_factory=Money)
    actual: Money = field(default_factory=Money)
    refunded: Money = field(default_factory=Money)

    @property
    def net(self) -> Money:
        return self.actual + self.refunded

    def __add__(self, other: Sums) -> Sums:
        return Sums(
            self.estimate + other.estimate,
            self.sealed + other.sealed,
            self.actual + other.actual,
            self.refunded + other.refunded,
        )


def sums(rows: Iterable[SpendBody]) -> Sums:
    """The sums of any rows, in any order."""
    parts: dict[str, list[Money]] = defaultdict(list)
    for row in rows:
        money = Money({row.currency: row.amount_micro})
        parts[row.kind].append(money)
        if row.kind == "estimate" and row.rate_id == SEALED:
            parts["sealed"].append(money)
    return Sums(total(parts["estimate"]), total(parts["sealed"]), total(parts["actual"]), total(parts["refund"]))


@dataclass(frozen=True, slots=True)
class RungCost:
    """One rung. `now` are the sums of the present seal, from which follow the last three.

    requests  cells started, under any seal
    seconds   wall time of the cells that were finished, under any seal
    unspent   of a killed claim: the estimate of a rung that was never started, or what is left of it where it died
    prior     at most so much of `unspent` rests on the price in the seal and on nothing else
    overrun   what was spent beyond the estimate
    """

    id: str
    state: RungState
    all: Sums
    now: Sums
    requests: int
    seconds: float
    unspent: Money
    prior: Money
    overrun: Money


@dataclass(frozen=True, slots=True)
class StudyCost:
    """One ledger. `claim`, `seal` and `state` are those of its last seal; `state` is a verdict, SEALED or DRAFT.

    `estimate` is that of the present seal alone, since an amendment replaces the ladder and its prices; what was
    spent under earlier seals stays spent. `foreign` are the lines of rows of a seal that this ledger does not have:
    they are in no sum.
    """

    claim: str
    seal: str | None
    seals: int
    state: str
    rungs: tuple[RungCost, ...]
    foreign: tuple[int, ...]

    @property
    def killed(self) -> bool:
        return self.state == "KILLED"

    @property
    def sums(self) -> Sums:
        """Estimate of the present seal; spend and refunds of all."""
        made = Sums()
        for rung in self.rungs:
            made = made + Sums(rung.now.estimate, rung.now.sealed, rung.all.actual, rung.all.refunded)
        return made

    @property
    def unspent(self) -> Money:
        return total(rung.unspent for rung in self.rungs)

    @property
    def prior(self) -> Money:
        return total(rung.prior for rung in self.rungs)

    @property
    def overrun(self) -> Money:
        return total(rung.overrun for rung in self.rungs)

    @property
    def seconds(self) -> float:
        return sum(rung.seconds for rung in self.rungs)


def study_cost(records: Sequence[Envelope]) -> StudyCost:
    """The cost of one study; `records` are those of a checked ledger."""
    seals = [record for record in records if record.type in ("seal", "amend")]
    last = seals[-1] if seals else None
    seal = last.body["seal"] if last else None
    verdict = _verdict(records, last)
    rows, foreign = _rows(records)
    study = sealed_study(last) if last else SealedStudy()
    known = [rung.id for rung in study.rung]
    requests, seconds, begun = _cells(records, seal)
    names = list(dict.fromkeys([*known, *(row.rung for row in rows), *requests]))
    died = verdict["decision"]["rung"] if verdict and verdict["verdict"] == "KILLED" else None
    rungs = []
    for name in names:
        own = [row for row in rows if row.rung == name]
        now = sums(row for row in own if row.seal in (None, seal))
        state: RungState = (
            "no rung of this seal" if name not in known
            else "died here" if name == died
            else "started" if name in begun
            else "not started"
        )  # fmt: skip
        left = _left(now) if died is not None and state in ("not started", "died here") else Money()
        prior = Money({c: min(micro, now.sealed.of(c)) for c, micro in left.amounts.items()})
        over = Money(
            {c: now.net.of(c) - now.estimate.of(c) for c in now.estimate.amounts if now.net.of(c) > now.estimate.of(c)}
        )
        rungs.append(
            RungCost(name, state, sums(own), now, requests.get(name, 0), seconds.get(name, 0.0), left, prior, over)
        )
    state_now = "DRAFT" if last is None else verdict["verdict"] if verdict else "SEALED"
    return StudyCost(study.claim.id, seal, len(seals), state_now, tuple(rungs), tuple(foreign))


def spent(records: Iterable[Envelope]) -> Money:
    """What was bought under any seal of a checked ledger, less what came back."""
    return sums(_rows(records)[0]).net


def _left(now: Sums) -> Money:
    """What is left of each estimate; never below 0, and never more than the estimate."""
    return Money({c: max(0, micro - max(0, now.net.of(c))) for c, micro in now.estimate.amounts.items()})


def _verdict(records: Sequence[Envelope], last: Envelope | None) -> dict[str, Any] | None:
    """The verdict of the present seal, as a climb would take it: the last one behind the seal that names it."""
    if last is None:
        return None
    found = [r.body for r in records[last.seq :] if r.type == "verdict" and r.body["seal"] == last.body["seal"]]
    return found[-1] if found else None


def _rows(records: Iterable[Envelope]) -> tuple[list[SpendBody], list[int]]:
    """The rows that count, and the lines of those of a seal that stands nowhere above them."""
    seals: set[str | None] = {None}
    rows, foreign = [], []
    for place, record in enumerate(records, 1):
        if record.type in ("seal", "amend"):
            seals.add(record.body["seal"])
        elif record.type == "spend":
            row = msgspec.convert(record.body, SpendBody)
            if row.seal in seals:
                rows.append(row)
            else:
                foreign.append(place)
    return rows, foreign


def _cells(records: Sequence[Envelope], seal: str | None) -> tuple[dict[str, int], dict[str, float], set[str]]:
    """By rung: cells started and seconds of those finished, under any seal; and the rungs begun under this one."""
    requests: dict[str, int] = defaultdict(int)
    seconds: dict[str, float] = defaultdict(float)
    begun = set()
    for record in records:
        if record.type == "cell.started":
            key = record.body["key"]
            requests[key["rung"]] += 1
            if key["seal"] == seal:
                begun.add(key["rung"])
        elif record.type == "cell.finished":
            seconds[record.body["key"]["rung"]] += record.body["seconds"]
    return requests, seconds, begun
