"""`tollens amend`: seal a changed study under the old seal's hash."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import click

from tollens.cli.answer import json_option, quiet_option

if TYPE_CHECKING:
    from tollens.record.bodies import Access


@click.command(name="amend")
@click.argument("study")
@click.option("--reason", required=True, metavar="TEXT", help="Why the study is changed.")
@click.option(
    "--access",
    required=True,
    type=click.Choice(["nothing run", "no results seen", "results seen"]),
    help="What you knew when you changed it; the ledger sets the floor.",
)
@json_option("tollens.amend/1")
@quiet_option
def command(study: str, reason: str, access: str, as_json: bool, quiet: bool) -> int:
    """Seal a changed STUDY again, with a reason and what was known. After results, verdicts are exploratory."""
    from tollens.cli.study_screen import seal_text, show
    from tollens.run.lock import amend

    report = amend(study, reason, cast("Access", access))
    show(report, lambda: seal_text(report), f"SEALED {report.seal}", as_json=as_json, quiet=quiet)
    return 0
