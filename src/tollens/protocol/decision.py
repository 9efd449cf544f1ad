"""What a climb comes to: the structs of decision.json and trap_results.json."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

RungVerdict: TypeAlias = Literal["KILLED", "SURVIVED", "PASSED", "UNDETERMINED", "VOID", "BLOCKED"]
Finite: TypeAlias = int | float


class TrapResult(msgspec.Struct, frozen=True):
    """One control: what had to become of it, what became of it, and whether it fired."""

    rung: str
    arm: str
    must: Literal["die", "survive"]
    observed: str
    fired: bool
    found: str


class NullResult(msgspec.Struct, frozen=True):
    """Chance alone: `tau` is the order statistic of the draws, `p` the add-one Monte-Carlo p-value."""

    rung: str
    observed: float
    tau: float
    p: float
    level: float
    exceeded: bool
    sentence: str
    draws: list[float]


class Look(msgspec.Struct, frozen=True):
    """What the sealed stopping rule said when the readings ended."""

    rule: str
    crossed: Literal["for", "against"] | None
    cells: int
    of: int
    sentence: str


class RungResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one rung.

    PASSED: it could kill and did not, and it cannot confirm; `confirms` says which rungs can. `requests` counts what
    was measured of what the whole rung would have asked; `seconds` is their wall time, `usd_micro` their sealed price.
    """

    id: str
    kind: str
    verdict: RungVerdict
    confirms: bool = False
    reason: str | None = None
    rule: str = ""
    found: str = ""
    cell: str | None = None
    readings: dict[str, dict[str, Finite]] = {}
    cells: int = 0
    cells_of: int = 0
    requests: int = 0
    requests_of: int = 0
    seconds: float = 0.0
    usd_micro: int = 0
    traps: list[TrapResult] = []
    traps_not_run: list[str] = []
    null: NullResult | None = None
    look: Look | None = None
    settles: str | None = None


class Spent(msgspec.Struct, frozen=True):
    """The price of the climb. Money in millionths of a US dollar, time in seconds; `estimate` was sealed before."""

    usd_micro: int
    estimate_usd_micro: int
    seconds: float
    estimate_seconds: float | None
    requests: int


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """decision.json, and what `tollens climb --json` prints.

    `expected` is the finding that was sealed, `rule` the part of a rule that decided, `found` the witness in words,
    `rung` where it was decided.
    `survived` lists the attacks that did not kill, `unspent` what a kill made needless. `exploratory`: the study was
    amended after results had been seen.
    """

    schema: str = "tollens.climb/1"
    verdict: str
    claim: str
    text: str
    seal: str
    anchor: str
    exploratory: bool
    rung: str | None
    cell: str | None
    reason: str | None
    expected: str
    rule: str
    found: str
    settles: str | None
    survived: list[str]
    unspent: list[str]
    order: str
    rungs: list[RungResult]
    traps: list[TrapResult]
    null: NullResult | None
    spent: Spent
    notes: list[str] = []
    next: str = ""


class TrapResults(msgspec.Struct, frozen=True):
    """trap_results.json."""

    schema: str
    claim: str
    seal: str
    traps: list[TrapResult]
