"""`tollens record waive`: take the risk of a constraint, for a while."""

from __future__ import annotations

import click

from tollens.cli.answer import json_option, quiet_option


@click.command(name="waive")
@click.argument("study")
@click.argument("constraint")
@click.option("--reason", required=True, help="Why the risk is taken; it is printed with every later result.")
@click.option("--until", required=True, metavar="YYYY-MM-DD", help="The last day on which it holds; 366 days at most.")
@json_option("tollens.record.waive/1")
@quiet_option
def command(study: str, constraint: str, reason: str, until: str, as_json: bool, quiet: bool) -> int:
    """Let STUDY go on although CONSTRAINT of its laboratory is triggered and no evidence lifts it.

    It holds for the constraint as it is written today: when its text is changed, the waiver lapses.
    """
    from tollens.cli.facts import facts_text
    from tollens.cli.study_screen import show
    from tollens.run.waive import waive

    made = waive(study, constraint, reason, until)
    rows = [
        ("constraint", made.constraint),
        ("because", made.mechanism),
        ("reason", made.reason),
        ("until", made.until),
        ("seal", made.seal or "none yet: it holds for the draft, and for what is sealed of it"),
        ("next", made.next),
    ]
    headline = f"{made.verdict}  {made.claim}  {made.constraint} until {made.until}"
    show(made, lambda: facts_text(headline, rows), headline, as_json=as_json, quiet=quiet)
    return 0
