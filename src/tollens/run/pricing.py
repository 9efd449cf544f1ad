"""What a climb would cost, before anything is spent: requests, seconds and money of every rung, in order."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from tollens.core.shell import quoted
from tollens.protocol.attack import Chance, RungTask
from tollens.protocol.order import Priced, expected_cost, ladder_order, order_note, shown_source
from tollens.protocol.registration import Registration
from tollens.protocol.ruling import Ruling
from tollens.protocol.rung import Opening
from tollens.run.rungs import rung_named

USD_MICRO_PER_SECOND = 28.0
"""Rate of a second on one's own CPU, in millionths of a US dollar: 0.10 USD an hour."""


class RungPrice(msgspec.Struct, frozen=True, kw_only=True):
    """One rung before it is run. `ratio` is its cost over the probability that it kills: the smallest goes first."""

    id: str
    kind: str
    requires: list[str]
    cells: int
    requests: int
    seconds_each: float | None
    seconds: float | None
    usd_micro: int
    cost: float
    kill_probability: float
    source: str
    ratio: float
    priced_by: str


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What `tollens climb --dry-run --json` prints. Totals are of all rungs, as if nothing died.

    `verdict` is BLOCKED where a constraint of the laboratory would let nothing be run, NOT RUN elsewhere.
    """

    schema: str = "tollens.climb-plan/1"
    verdict: str = "NOT RUN"
    claim: str
    seal: str | None
    order: str
    rungs: list[RungPrice]
    requests: int
    seconds: float | None
    usd_micro: int
    expected_usd_micro: float
    constraints: list[Ruling] = []
    next: str


@dataclass(frozen=True, slots=True)
class Ladder:
    """The rungs in the order of climbing, their prices, the word for that order, and the cost expected of it."""

    tasks: tuple[RungTask, ...]
    prices: tuple[RungPrice, ...]
    order: str
    expected: float


def ladder_of(folder: Path, registration: Registration, chance: Chance) -> Ladder:
    """Every rung priced from shapes and sealed estimates, the smallest cost over kill probability first."""
    study = registration.study
    tasks: dict[str, RungTask] = {}
    prices: dict[str, RungPrice] = {}
    priced: list[Priced] = []
    for index, rung in enumerate(study.rung):
        kind = rung_named(rung.kind)
        task = RungTask(registration, index, kind, chance)
        tasks[rung.id] = task
        asked = kind.request(Opening(folder, registration, rung))
        each = rung.est_seconds if rung.est_seconds is not None else asked.seconds
        seconds = None if each is None else each * task.requests
        money = rung.est_cost.usd_micro * task.requests
        cost = money + (seconds or 0.0) * USD_MICRO_PER_SECOND
        q = rung.kill_probability
        entry = Priced(id=rung.id, requires=tuple(rung.requires), cost=cost, probability=q.value, source=q.source)
        priced.append(entry)
        prices[rung.id] = RungPrice(
            id=rung.id, kind=rung.kind, requires=rung.requires, cells=len(task.cells), requests=task.requests,
            seconds_each=each, seconds=seconds, usd_micro=money, cost=cost, kill_probability=q.value,
            source=shown_source(entry), ratio=float(entry.ratio),
            priced_by="est_seconds of the rung" if rung.est_seconds is not None else asked.source,
        )  # fmt: skip
    ordered = ladder_order(priced)
    return Ladder(
        tuple(tasks[entry.id] for entry in ordered),
        tuple(prices[entry.id] for entry in ordered),
        order_note(priced),
        expected_cost(ordered),
    )


def plan_of(claim: str, seal: str | None, ladder: Ladder, path: str) -> Plan:
    """The totals."""
    seconds = [price.seconds for price in ladder.prices]
    return Plan(
        claim=claim,
        seal=seal,
        order=ladder.order,
        rungs=list(ladder.prices),
        requests=sum(price.requests for price in ladder.prices),
        seconds=None if None in seconds else sum(s for s in seconds if s is not None),
        usd_micro=sum(price.usd_micro for price in ladder.prices),
        expected_usd_micro=ladder.expected,
        next=f"tollens {'climb' if seal else 'lock'} {quoted(path)}",
    )
