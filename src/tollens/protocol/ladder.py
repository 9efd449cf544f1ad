"""From what became of each rung to the one verdict, with what was survived and what was never spent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from tollens.core.shell import quoted
from tollens.core.verdict import Verdict
from tollens.protocol.decision import Decision, NullResult, RungResult, Spent
from tollens.protocol.ruling import Ruling
from tollens.protocol.study import Study

_WHY = {
    "null_not_exceeded": "chance alone reaches it",
    "boundary_not_crossed": "the stopping rule did not decide",
    "neither_rule": "neither finding nor kill holds",
    "trap_not_fired": "a control did not behave",
}


class Price(Protocol):
    """What `conclude` reads of the price of a rung."""

    @property
    def id(self) -> str: ...
    @property
    def requests(self) -> int: ...
    @property
    def seconds(self) -> float | None: ...
    @property
    def usd_micro(self) -> int: ...


def conclude(
    study: Study,
    results: Sequence[RungResult],
    prices: Sequence[Price],
    *,
    order: str,
    seal: str,
    anchor: str,
    exploratory: bool,
    notes: Sequence[str],
) -> Decision:
    """The decision. `results` are of the rungs that were reached, in order; `prices` of all rungs, in that order.

    One kill kills and one void rung voids, whatever the others say. A claim survives where a rung that measures
    every cell confirmed it and no rung left it open; where such a rung was blocked, so is the claim, and `settles` is
    what would unblock it.
    """
    decisive = _decisive(results)
    verdict = _verdict(decisive)
    reached = {result.id for result in results if result.verdict != "BLOCKED"}
    left = [price for price in prices if price.id not in reached]
    ended = [decisive] if decisive.verdict in ("KILLED", "VOID") and decisive.requests < decisive.requests_of else []
    unspent = [_rest(result) for result in ended]
    unspent += [_price(price) for price in left]
    known = [price.seconds for price in prices]
    nulls: list[NullResult] = [result.null for result in results if result.null is not None]
    return Decision(
        verdict=str(verdict),
        claim=study.claim.id,
        text=study.claim.text,
        seal=seal,
        anchor=anchor,
        exploratory=exploratory,
        rung=decisive.id,
        cell=decisive.cell,
        reason=decisive.reason,
        expected=study.rules.finding,
        rule=decisive.rule,
        found=f"{decisive.found}{_because(decisive)}",
        settles=decisive.settles if verdict in (Verdict.UNDETERMINED, Verdict.BLOCKED) else None,
        survived=[_survived(result) for result in results if result.verdict in ("PASSED", "SURVIVED")],
        unspent=unspent if verdict is Verdict.KILLED else [f"not run: {line}" for line in unspent],
        order=order,
        rungs=list(results),
        traps=[trap for result in results for trap in result.traps],
        null=nulls[-1] if nulls else None,
        spent=Spent(
            usd_micro=sum(result.usd_micro for result in results),
            estimate_usd_micro=sum(price.usd_micro for price in prices),
            seconds=sum(result.seconds for result in results),
            estimate_seconds=None if None in known else sum(s for s in known if s is not None),
            requests=sum(result.requests for result in results),
        ),
        notes=list(notes),
        next=next_command(str(verdict), "."),
    )


def barred(
    study: Study,
    rulings: Sequence[Ruling],
    prices: Sequence[Price],
    *,
    order: str,
    seal: str,
    anchor: str,
    exploratory: bool,
) -> Decision:
    """BLOCKED by constraints, of which one at least is: what `conclude` would say had no rung been reached."""
    blocked = [ruling for ruling in rulings if ruling.state == "blocked"]
    known = [price.seconds for price in prices]
    return Decision(
        verdict=str(Verdict.BLOCKED),
        claim=study.claim.id,
        text=study.claim.text,
        seal=seal,
        anchor=anchor,
        exploratory=exploratory,
        rung=None,
        cell=None,
        reason="constraint_unmet",
        expected=blocked[0].missing[0],
        rule="",
        found=blocked[0].sentence,
        settles=blocked[0].lifts,
        survived=[],
        unspent=[f"not run: {_price(price)}" for price in prices],
        order=order,
        rungs=[],
        traps=[],
        null=None,
        spent=Spent(
            usd_micro=0,
            estimate_usd_micro=sum(price.usd_micro for price in prices),
            seconds=0.0,
            estimate_seconds=None if None in known else sum(s for s in known if s is not None),
            requests=0,
        ),
        notes=[ruling.sentence for ruling in rulings if ruling.state == "waived" or ruling in blocked[1:]],
    )


def _decisive(results: Sequence[RungResult]) -> RungResult:
    for verdict in ("VOID", "KILLED", "BLOCKED", "UNDETERMINED"):
        found = [r for r in results if r.verdict == verdict and (verdict != "BLOCKED" or r.confirms)]
        if found:
            return found[0]
    return [result for result in results if result.verdict == "SURVIVED"][-1]


def _verdict(decisive: RungResult) -> Verdict:
    return Verdict(decisive.verdict)


def _because(result: RungResult) -> str:
    return f" ({_WHY[result.reason]})" if result.reason in _WHY else ""


def _rest(result: RungResult) -> str:
    return f"rest of {result.id}: {result.requests_of - result.requests} of {result.requests_of} requests"


def _price(price: Price) -> str:
    seconds = "seconds unknown" if price.seconds is None else f"about {price.seconds:.2g} s"
    return f"{price.id}: {price.requests} requests, {seconds}, {dollars(price.usd_micro)}"


def dollars(usd_micro: int) -> str:
    """Exact, in dollars: 1500000 is `1.50 USD`, 28 is `0.000028 USD`."""
    whole, rest = divmod(abs(usd_micro), 10**6)
    digits = f"{rest:06d}".rstrip("0").ljust(2, "0")
    return f"{'-' if usd_micro < 0 else ''}{whole}.{digits} USD"


def _survived(result: RungResult) -> str:
    fired = ", ".join(
        f"{trap.arm} {'died' if trap.must == 'die' else 'survived'}" for trap in result.traps if trap.fired
    )
    parts = [f"{result.id} ({result.kind}): {result.found}"]
    if fired:
        parts.append(f"traps: {fired}")
    if result.null is not None:
        parts.append(result.null.sentence)
    if result.traps_not_run:
        parts.append(f"not run: {', '.join(result.traps_not_run)}")
    return "; ".join(parts)


def next_command(verdict: str, folder: str) -> str:
    """The one command to run next, for a study at the path `folder`."""
    if verdict in (Verdict.SURVIVED, Verdict.KILLED):
        return f"tollens status {quoted(folder)}"
    return f'tollens amend {quoted(folder)} --reason "..." --access "results seen"'
