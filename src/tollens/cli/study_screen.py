"""Seal, plan, climb and status as a person reads them: the verdict, expected against found, the rungs, what is next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from tollens.cli.facts import facts_text
from tollens.cli.table import table_text
from tollens.cli.terminal import emit, printable
from tollens.protocol.ladder import dollars
from tollens.protocol.resemblance import resemblance_text

if TYPE_CHECKING:
    from tollens.protocol.decision import Decision, RungResult
    from tollens.protocol.ruling import Ruling
    from tollens.run.lock import SealReport
    from tollens.run.pricing import Plan
    from tollens.run.status import StatusReport

EXPLORATORY = "  EXPLORATORY (amended after results)"
OLDER = "  EXPLORATORY (result older than the seal)"
STYLES = {
    "KILLED": "bold red", "SURVIVED": "bold green", "PASSED": "green", "VOID": "bold magenta",
    "UNDETERMINED": "bold yellow", "BLOCKED": "bold yellow",
}  # fmt: skip


def show(report: msgspec.Struct, text: Callable[[], str], headline: str, *, as_json: bool, quiet: bool) -> None:
    """Write an answer in the form that was asked for."""
    if as_json:
        emit(msgspec.json.encode(report) + b"\n")
    else:
        emit(f"{printable(headline)}\n" if quiet else text())


def seal_text(report: SealReport) -> str:
    """The seal, what it holds, and one line for each promise."""
    rows = [
        ("seal", report.seal),
        ("holds", f"{report.files} files, {len(report.traps)} traps"),
        ("finding", f"{report.finding}   true of {report.witnesses.get('finding', '')}"),
        ("kill", f"{report.kill}   true of {report.witnesses.get('kill', '')}"),
        ("sign", report.sign_check),
        ("null", report.null),
        ("stopping", report.guarantee),
        *(("traps" if place == 0 else "", trap) for place, trap in enumerate(report.traps)),
    ]
    if report.amends is not None:
        rows.insert(1, ("amends", report.amends))
        rows.insert(2, ("access", f"declared {report.declared}; the ledger shows at least {report.floor}"))
        if report.exploratory:
            rows.insert(3, ("label", "EXPLORATORY (amended after results): so is every later verdict"))
    rows += bound(report.constraints)
    if report.amends is None and report.exploratory:
        rows.insert(1, ("label", "EXPLORATORY (result older than the seal): so is every later verdict"))
    rows += [("note", note) for note in report.notes]
    rows.append(("next", report.next))
    return facts_text(f"{report.verdict}  {report.claim}  {report.anchor}", rows)


def plan_text(plan: Plan) -> str:
    """Every rung with its price, in the order of climbing, and the totals."""
    rows = [
        (
            price.id, price.kind, f"{price.requests:,}", _seconds(price.seconds), dollars(price.usd_micro),
            f"{price.kill_probability:g} ({price.source})", f"{price.ratio:.3g}",
        )
        for price in plan.rungs
    ]  # fmt: skip
    table = _table(("rung", "kind", "requests", "seconds", "money", "kills with", "cost/q"), rows)
    total = f"{plan.requests:,} requests, {_seconds(plan.seconds)}, {dollars(plan.usd_micro)} if nothing dies"
    facts = [
        ("total", total),
        ("expected", f"{plan.expected_usd_micro:.3g} millionths of a USD, a second here counted as 28"),
        ("order", plan.order.removeprefix("order: ")),
        *bound(plan.constraints),
        ("next", plan.next),
    ]
    return f"{printable(plan.verdict)}  {printable(plan.claim)}\n\n{table}\n{_rows(facts)}"


def climb_text(decision: Decision, since: Sequence[tuple[str, str]] = ()) -> str:
    """The verdict, expected against found, the rungs with what they cost, what was said since, the next command."""
    facts = [
        ("claim", decision.text),
        ("expected", decision.expected),
        ("found", decision.found),
        ("rule", f"kill: {decision.rule}" if decision.verdict == "KILLED" else ""),
        ("settles", decision.settles or ""),
    ]
    if decision.verdict == "SURVIVED":
        facts.append(("means", "not refuted by these attacks; never proved"))
    facts += [("survived" if place == 0 else "", line) for place, line in enumerate(decision.survived)]
    died = "not spent because it died here" if decision.verdict == "KILLED" else "not run"
    unspent = [line.removeprefix("not run: ") for line in decision.unspent]
    tail = [(died if place == 0 else "", line) for place, line in enumerate(unspent)]
    tail += [("note", note) for note in decision.notes]
    tail += since
    tail.append(("next", decision.next))
    head = headline_of(decision)
    if not decision.rungs:  # a constraint let nothing be run
        return facts_text(head, [*(row for row in facts if row[1]), *tail])
    table = _table(("rung", "verdict", "traps", "requests", "seconds", "money", "so far"), _spent(decision.rungs))
    return f"{facts_text(head, [row for row in facts if row[1]])}\n{table}\n{_rows(tail)}"


def headline_of(decision: Decision) -> str:
    """Verdict, claim and what vouches for the seal; and whether results were seen before."""
    label = _label(decision.exploratory, decision.notes)
    return f"{decision.verdict}  {decision.claim}  {decision.anchor}{label}"


def bound(rulings: Sequence[Ruling]) -> list[tuple[str, str]]:
    """What each constraint of the laboratory says, and the smallest change where it blocks; last, those that do not."""
    rows = []
    clear = [ruling.id for ruling in rulings if ruling.state == "clear"]
    for ruling in rulings:
        if ruling.state == "clear":
            continue
        rows.append(("blocked" if ruling.state == "blocked" else "bound", ruling.sentence))
        if ruling.state == "blocked":
            rows.append(("settles", ruling.lifts))
    return [*rows, ("clear", f"not triggered: {', '.join(clear)}")] if clear else rows


def _label(exploratory: bool, notes: Sequence[str]) -> str:
    if not exploratory:
        return ""
    return OLDER if any(note.startswith("result older") for note in notes) else EXPLORATORY


def status_headline(report: StatusReport) -> str:
    """The same of a study as it is now."""
    label = _label(report.exploratory, report.notes)
    return f"{report.state}  {report.claim}  {report.anchor}{label}"


def status_text(report: StatusReport) -> str:
    """The state, and the recorded verdict where there is one."""
    if report.decision is not None:
        decision = msgspec.structs.replace(report.decision, anchor=report.anchor, next=report.next)
        return climb_text(decision, [*_postmortem(report), *(("note", note) for note in report.notes)])
    rows = [
        ("claim", report.text),
        ("seal", report.seal or "none: nothing is promised yet"),
        ("ledger", f"{report.records} records, {report.cells_finished} cells finished"),
        ("access", f"an amendment declares at least: {report.floor}"),
        *bound(report.constraints),
        *(("resembles", resemblance_text(near)) for near in report.resemblances),
        *(("note", note) for note in report.notes),
        ("next", report.next),
    ]
    return facts_text(status_headline(report), rows)


def _postmortem(report: StatusReport) -> list[tuple[str, str]]:
    """Where the post-mortem stands, and what was learnt."""
    if report.postmortem is None:
        return []
    rows = [("postmortem", report.postmortem.says)]
    if report.postmortem.obstacle:
        rows.append(("lesson", " ".join(report.postmortem.lesson.split()) or "none was written"))
    return rows


def _spent(rungs: Sequence[RungResult]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    total = 0.0
    for rung in rungs:
        total += rung.seconds
        fired = sum(trap.fired for trap in rung.traps)
        known = len(rung.traps) + len(rung.traps_not_run)
        traps = f"{fired} of {known} fired" if known else "none"
        rows.append(
            (rung.id, rung.verdict, traps, f"{rung.requests:,} of {rung.requests_of:,}", _seconds(rung.seconds),
             dollars(rung.usd_micro), _seconds(total))
        )  # fmt: skip
    return rows


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return "unknown"
    return f"{seconds:.3f} s" if seconds < 10 else f"{seconds:,.0f} s"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return table_text(head, rows, _NUMBERS, STYLES)


_NUMBERS = frozenset({"requests", "seconds", "money", "so far", "cost/q"})


def _rows(rows: Sequence[tuple[str, str]]) -> str:
    """Named sentences without a headline."""
    return facts_text("", rows).lstrip("\n")
