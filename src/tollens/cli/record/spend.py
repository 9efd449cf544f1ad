"""`tollens record spend`: a purchase, a refund or an estimate."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

import click

from tollens.cli.answer import json_option, quiet_option

if TYPE_CHECKING:
    from tollens.run.purchase import Kind


@click.command(name="spend")
@click.argument("study")
@click.option("--kind", type=click.Choice(["actual", "refund", "estimate"]), default="actual", show_default=True)
@click.option("--rung", required=True, help='A rung of the sealed study, or "other".')
@click.option("--cell", default="all", show_default=True, help="A cell of the sealed study.")
@click.option("--amount", metavar="MONEY", help='Such as "12.40 EUR"; positive for a refund too.')
@click.option("--rate", metavar="ID", help="A [[rate]] of tollens.toml that prices --quantity.")
@click.option("--quantity", metavar="DECIMAL", help="How many units of the rate.")
@click.option("--on", "day", metavar="DATE", help="Day of the purchase, YYYY-MM-DD; today if not given.")
@click.option("--evidence", required=True, help='What vouches for it, such as "invoice 17".')
@json_option("tollens.record.spend/1")
@quiet_option
def command(
    study: str,
    kind: Kind,
    rung: str,
    cell: str,
    amount: str | None,
    rate: str | None,
    quantity: str | None,
    day: str | None,
    evidence: str,
    as_json: bool,
    quiet: bool,
) -> int:
    """Write one row of money into the ledger of STUDY: --amount, or --rate and --quantity.

    An estimate is never counted as spend. `tollens status --spend` adds the rows up.
    """
    from tollens.cli.spend_screen import purchase_headline, purchase_text
    from tollens.cli.study_screen import show
    from tollens.run.purchase import PurchaseQuestion, record_spend

    if (amount is None) == (rate is None) or (rate is None) != (quantity is None):
        raise click.UsageError("give --amount, or --rate and --quantity")
    try:
        on = None if day is None else datetime.date.fromisoformat(day)
    except ValueError:
        raise click.UsageError(f"--on takes a day such as 2026-03-01, not {day!r}") from None
    question = PurchaseQuestion(rung, evidence, kind, cell, amount, rate, quantity, on)
    report = record_spend(study, question)
    show(report, lambda: purchase_text(report), purchase_headline(report), as_json=as_json, quiet=quiet)
    return 0
