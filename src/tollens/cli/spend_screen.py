"""What a folder of studies cost, as a person reads it: spent, per killed claim, not spent; then study by study."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from tollens.cli.facts import columns, facts_text
from tollens.cli.study_screen import STYLES, show
from tollens.cli.table import table_text
from tollens.cli.terminal import printable
from tollens.core.money import digits, shown

if TYPE_CHECKING:
    from tollens.run.purchase import PurchaseReport
    from tollens.run.spend import ClaimSpend, Figures, SpendReport

    Row = tuple[tuple[str, str], Figures | None, str]

MONEY = {
    "estimate": "estimate_micro", "spent": "actual_micro", "refunded": "refunded_micro", "net": "net_micro",
    "not spent": "unspent_micro",
}  # fmt: skip
ALWAYS = frozenset({"estimate", "net"})
NARROW = ("spent", "estimate")
"""What goes first where the terminal is too narrow: what was spent is the net less what was refunded."""
NAME = 12
GAP = 2


def status_spend(path: str, *, as_json: bool, quiet: bool) -> int:
    """What `tollens status --spend` prints; returns its exit code."""
    from tollens.run.spend import spend

    report = spend(path)
    show(report, lambda: spend_text(report), spend_headline(report), as_json=as_json, quiet=quiet)
    return report.exit_code


def spend_headline(report: SpendReport) -> str:
    """Spent, on how many claims, what a kill cost, and what need not be spent."""
    spent = _amounts((f.currency, f.net_micro) for f in report.figures) or "nothing"
    claims = f"{report.claims} claim{'' if report.claims == 1 else 's'}"
    each = " and ".join(shown(int(p.micro), p.currency) for p in report.per_kill)
    kill = f"{each or 'nothing'} per killed claim" if report.killed else "n/a per killed claim"
    saved = [(f.currency, f.unspent_micro) for f in report.figures if int(f.unspent_micro)]
    left = f"; {_amounts(iter(saved))} not spent" if saved else ""
    broken = f"; {len(report.unreadable)} NOT READ" if report.unreadable else ""
    return f"{report.verdict}  {spent} on {claims}, {report.killed} killed: {kill}{left}{broken}"


def spend_text(report: SpendReport) -> str:
    """The headline, what it means, and a table: of rungs where there is one study, of studies otherwise."""
    facts = [("counts", report.convention), ("wall time", f"{report.seconds:,.1f} s of finished cells")]
    prior = [(f.currency, f.prior_micro) for f in report.figures if int(f.prior_micro)]
    if prior:
        facts.append(("not spent", f"at most {_amounts(iter(prior))} of it rests on the sealed price alone, a prior"))
    over = [(f.currency, f.overrun_micro) for f in report.figures if int(f.overrun_micro)]
    if over:
        facts.append(("overrun", f"{_amounts(iter(over))} beyond the estimates"))
    if len(report.studies) == 1:
        (study,) = report.studies
        facts.insert(0, ("claim", f"{study.claim}, {study.state}"))
        table = _of_rungs(study)
    else:
        table = _of_studies(report)
    tail = [("not read", f"{row.path}: {row.code}: {row.reason}") for row in report.unreadable]
    tail += [("note", f"{study.path}: {note}") for study in report.studies for note in study.notes]
    if report.drafts:
        tail.append(("drafts", f"{len(report.drafts)} without a ledger: {', '.join(report.drafts)}"))
    tail.append(("next", report.next))
    head = facts_text(printable(spend_headline(report)), facts)
    return "\n".join(part for part in (head, table, facts_text("", tail).lstrip()) if part)


def _of_studies(report: SpendReport) -> str:
    rows: list[Row] = [
        ((study.path, study.state), figures, f"{study.seconds:,.1f} s")
        for study in report.studies
        for figures in _or_none(study.figures)
    ]
    return _money_table(("study", "verdict"), rows) if rows else ""


def _of_rungs(study: ClaimSpend) -> str:
    rows: list[Row] = [
        ((rung.id, rung.state), figures, f"{rung.seconds:,.1f} s")
        for rung in study.rungs
        for figures in _or_none(rung.figures)
    ]
    return _money_table(("rung", "state"), rows) if rows else ""


def _or_none(figures: Sequence[Figures]) -> Sequence[Figures | None]:
    """A row of its own where there is no money."""
    return figures or [None]


def _money_table(names: tuple[str, str], rows: Sequence[Row]) -> str:
    """Columns of money that are nothing everywhere are left out."""
    known = [figures for _, figures, _ in rows if figures is not None]
    kept = [n for n, field in MONEY.items() if n in ALWAYS or any(int(getattr(f, field)) for f in known)]
    if "refunded" not in kept and "spent" in kept:
        kept.remove("spent")  # the same as net
    head, made = _cells(names, rows, kept)
    for name in NARROW:
        if _width(head, made) > columns() and name in kept:
            kept.remove(name)
            head, made = _cells(names, rows, kept)
    return table_text(head, made, {*kept, "wall"}, STYLES, whole={*head[1:]}, gap=GAP)


def _cells(
    names: tuple[str, str], rows: Sequence[Row], kept: Sequence[str]
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The head of the table and its rows; the time of one place is given once."""
    made: list[tuple[str, ...]] = []
    for words, figures, seconds in rows:
        cells = ["" if figures is None else digits(int(getattr(figures, MONEY[name]))) for name in kept]
        again = bool(made) and made[-1][0] == words[0]
        made.append((*words, "" if figures is None else figures.currency, *cells, "" if again else seconds))
    return (*names, "in", *kept, "wall"), made


def _width(head: Sequence[str], made: Sequence[Sequence[str]]) -> int:
    """Columns of the terminal that the table takes where its first column is folded to `NAME`."""
    widest = [max(len(row[place]) for row in (head, *made)) for place in range(len(head))]
    return min(widest[0], NAME) + sum(width + GAP for width in widest[1:])


def _amounts(parts: Iterator[tuple[str, int | str]]) -> str:
    return ", ".join(shown(int(micro), currency) for currency, micro in parts)


def purchase_headline(report: PurchaseReport) -> str:
    """The row that was written."""
    amount = shown(report.amount_micro, report.currency)
    return f"{report.verdict}  {amount}  {report.kind} of {report.rung} of {report.claim}"


def purchase_text(report: PurchaseReport) -> str:
    """The row, and what the study has cost with it."""
    rows = [
        ("line", f"{report.line} of the ledger"),
        ("priced", report.priced),
        ("evidence", report.evidence),
        ("net now", ", ".join(shown(int(f.net_micro), f.currency) for f in report.figures)),
        *(("note", note) for note in report.notes),
        ("next", report.next),
    ]
    return facts_text(printable(purchase_headline(report)), rows)
