"""`status --spend`: what a folder of studies cost, read from their ledgers, without running anything."""

from __future__ import annotations

import os
import shlex
from fractions import Fraction
from pathlib import Path

import msgspec

from tollens.core.errors import Exit, TollensError
from tollens.core.money import Micro, Money, half_even, micro, total
from tollens.protocol import seal
from tollens.protocol.study import FILE as CLAIM
from tollens.record import ledger as ledgers
from tollens.record.cost import RungCost, StudyCost, Sums, study_cost
from tollens.record.ledger import read_ledger
from tollens.record.spend import mismatches
from tollens.run.laboratory import studies_under

CONVENTION = "all that was spent counts, on killed and on surviving claims alike"
MOST_NOTES = 5


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """One currency, in millionths of it: an integer, and beyond 2^53 - 1 the same digits as a string.

    estimate  under the present seal; never part of what was spent
    actual    spent under any seal; `refunded` is 0 or less, `net` their sum
    unspent   of killed claims: estimates of rungs never started, and what is left of the rung where the claim died
    prior     at most so much of `unspent` rests on the price in the seal alone
    overrun   spent beyond the estimate, rung by rung
    """

    currency: str
    estimate_micro: Micro
    actual_micro: Micro
    refunded_micro: Micro
    net_micro: Micro
    unspent_micro: Micro
    prior_micro: Micro
    overrun_micro: Micro


class RungSpend(msgspec.Struct, frozen=True, kw_only=True):
    """One rung of one study. `requests` were started and `seconds` is the wall time of those finished, of all seals."""

    id: str
    state: str
    requests: int
    seconds: float
    figures: list[Figures]


class ClaimSpend(msgspec.Struct, frozen=True, kw_only=True):
    """One study. `state` is the verdict on its present seal, SEALED or DRAFT; `seals` counts amendments too."""

    path: str
    claim: str
    state: str
    seal: str | None
    seals: int
    seconds: float
    figures: list[Figures]
    rungs: list[RungSpend]
    notes: list[str]


class PerKill(msgspec.Struct, frozen=True, kw_only=True):
    """Net spend over killed claims: the exact fraction, and in millionths rounded half to even."""

    currency: str
    net_micro: Micro
    killed: int
    micro: Micro


class Unreadable(msgspec.Struct, frozen=True):
    """A folder whose money is in no sum, and why."""

    path: str
    code: str
    reason: str


class SpendReport(msgspec.Struct, frozen=True, kw_only=True):
    """What `tollens status --spend --json` prints.

    `per_kill` is empty where no claim was killed: the cost of a kill does not exist then. `drafts` are folders with a
    claim that was never sealed and no ledger.
    """

    schema: str = "tollens.spend/1"
    verdict: str = "SPENT"
    claims: int
    killed: int
    figures: list[Figures]
    per_kill: list[PerKill]
    convention: str = CONVENTION
    seconds: float
    studies: list[ClaimSpend]
    drafts: list[str]
    unreadable: list[Unreadable]
    exit_code: int
    next: str


def spend(path: str | os.PathLike[str]) -> SpendReport:
    """The money of every ledger at or below `path`, currency by currency.

    Raises TollensError: `study_not_found` (2) for a path that is no folder, `not_sealed` (21) where no ledger is.
    """
    root = Path(path)
    if root.name in (CLAIM, ledgers.FILE) and root.is_file():
        root = root.parent
    if not root.is_dir():
        raise TollensError(
            "study_not_found", os.fspath(path), expected="a study, or a folder of studies",
            found="a file" if root.exists() else "no such folder", fix="Give the folder that holds the studies.",
        )  # fmt: skip
    closed: list[tuple[Path, OSError]] = []
    costs: list[tuple[str, StudyCost, list[str]]] = []
    drafts: list[str] = []
    unreadable: list[Unreadable] = []
    for folder in studies_under(root, closed):
        name = "." if folder == root else folder.relative_to(root).as_posix()
        if not os.path.lexists(folder / ledgers.FILE):
            if (folder / seal.FILE).exists():
                unreadable.append(Unreadable(name, "ledger_broken", f"{seal.FILE} without {ledgers.FILE}"))
            else:
                drafts.append(name)
            continue
        try:
            ledger = read_ledger(folder / ledgers.FILE)
        except TollensError as error:
            said = f"{error.subject}: expected {error.expected}; found {error.found}"
            unreadable.append(Unreadable(name, error.code, said))
            continue
        costs.append((name, study_cost(ledger.records), _notes(ledger)))
    unreadable += [
        Unreadable(str(place), "path_unreadable", error.strerror or "cannot be read") for place, error in closed
    ]
    if not costs and not unreadable:
        raise TollensError(
            "not_sealed", os.fspath(path), expected="a ledger", found=f"{len(drafts)} drafts" if drafts else "none",
            fix="Money is spent on sealed claims: tollens lock STUDY", exit_code=Exit.NOT_SEALED,
        )  # fmt: skip
    return _report(os.fspath(path), costs, drafts, unreadable)


def _report(
    path: str, costs: list[tuple[str, StudyCost, list[str]]], drafts: list[str], unreadable: list[Unreadable]
) -> SpendReport:
    studies = [cost for _, cost, _ in costs]
    killed = sum(cost.killed for cost in studies)
    sums = Sums()
    for cost in studies:
        sums = sums + cost.sums
    per_kill = [
        PerKill(currency=c, net_micro=micro(sums.net.of(c)), killed=killed,
                micro=micro(half_even(Fraction(sums.net.of(c), killed))))
        for c in sums.net.currencies
        if killed
    ]  # fmt: skip
    left, prior, over = (total(getattr(c, name) for c in studies) for name in ("unspent", "prior", "overrun"))
    return SpendReport(
        claims=len(studies),
        killed=killed,
        figures=_figures(sums, left, prior, over),
        per_kill=per_kill,
        seconds=sum(cost.seconds for cost in studies),
        studies=[_claim(name, cost, notes) for name, cost, notes in costs],
        drafts=drafts,
        unreadable=unreadable,
        exit_code=int(Exit.BAD_INPUT) if unreadable else 0,
        next=_next(path, costs, unreadable),
    )


def _next(path: str, costs: list[tuple[str, StudyCost, list[str]]], unreadable: list[Unreadable]) -> str:
    if unreadable:
        return f"tollens status {shlex.quote(str(Path(path) / unreadable[0].path))}"
    place = shlex.quote(str(Path(path) / costs[0][0]))
    if len(costs) == 1:
        return f'tollens record spend {place} --rung other --amount "12.40 EUR" --evidence "..."'
    return f"tollens status --spend {place}"


def _notes(ledger: ledgers.Ledger) -> list[str]:
    wrong = mismatches(ledger.records)
    notes = [f"{ledgers.FILE}:{line}: {what}" for line, what in wrong[:MOST_NOTES]]
    if len(wrong) > MOST_NOTES:
        notes.append(f"{len(wrong) - MOST_NOTES} more rows contradict the ledger")
    if ledger.torn:
        notes.append("the last line of the ledger was never finished, and counts for nothing")
    return notes


def _claim(name: str, cost: StudyCost, notes: list[str]) -> ClaimSpend:
    return ClaimSpend(
        path=name,
        claim=cost.claim,
        state=cost.state,
        seal=cost.seal,
        seals=cost.seals,
        seconds=cost.seconds,
        figures=spend_figures(cost),
        rungs=[_rung(rung) for rung in cost.rungs],
        notes=notes,
    )


def spend_figures(cost: StudyCost) -> list[Figures]:
    """The sums of one study."""
    return _figures(cost.sums, cost.unspent, cost.prior, cost.overrun)


def _rung(rung: RungCost) -> RungSpend:
    sums = Sums(rung.now.estimate, rung.now.sealed, rung.all.actual, rung.all.refunded)
    return RungSpend(
        id=rung.id, state=rung.state, requests=rung.requests, seconds=rung.seconds,
        figures=_figures(sums, rung.unspent, rung.prior, rung.overrun),
    )  # fmt: skip


def _figures(sums: Sums, left: Money, prior: Money, over: Money) -> list[Figures]:
    return [
        Figures(
            currency=c, estimate_micro=micro(sums.estimate.of(c)), actual_micro=micro(sums.actual.of(c)),
            refunded_micro=micro(sums.refunded.of(c)), net_micro=micro(sums.net.of(c)), unspent_micro=micro(left.of(c)),
            prior_micro=micro(prior.of(c)), overrun_micro=micro(over.of(c)),
        )
        for c in (sums.estimate + sums.net).currencies
    ]  # fmt: skip
