"""`tollens climb`: the attacks, the cheapest first, and the verdict."""

from __future__ import annotations

import click

from tollens.cli.answer import json_option, quiet_option


@click.command(name="climb")
@click.argument("study")
@click.option("--dry-run", is_flag=True, help="Price every rung and run nothing.")
@click.option("--require-anchor", is_flag=True, help="Refuse (exit 23) a seal that nobody else holds.")
@click.option("--check-remote", is_flag=True, help="Ask the git remote whether it has the commit of the seal.")
@json_option("tollens.climb/1")
@quiet_option
def command(study: str, dry_run: bool, require_anchor: bool, check_remote: bool, as_json: bool, quiet: bool) -> int:
    """Attack the sealed STUDY, the cheapest rung first, and keep the verdict.

    Interrupted or killed, the same command goes on where it was. Exit: 0 survived, 10 killed, 11 undetermined, 12 void,
    13 blocked.
    """
    from tollens.cli.progress import progress_bar
    from tollens.cli.study_screen import climb_text, headline_of, plan_text, show
    from tollens.core.verdict import Verdict
    from tollens.run.climb import ClimbQuestion, climb, plan

    if dry_run:
        prices = plan(study)
        blocked = prices.verdict == "BLOCKED"
        headline = f"BLOCKED  {prices.claim}" if blocked else f"{prices.requests} requests"
        show(prices, lambda: plan_text(prices), headline, as_json=as_json, quiet=quiet)
        return int(Verdict.BLOCKED.exit_code) if blocked else 0
    with progress_bar(quiet or as_json) as progress:
        decision = climb(study, ClimbQuestion(require_anchor, check_remote), progress=progress)
    headline = f"{headline_of(decision)}  {decision.found}"
    show(decision, lambda: climb_text(decision), headline, as_json=as_json, quiet=quiet)
    return int(Verdict(decision.verdict).exit_code)
