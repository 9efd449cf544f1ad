"""`tollens record postmortem`: why a killed claim died, into its ledger."""

from __future__ import annotations

import click

from tollens.cli.answer import json_option, quiet_option


@click.command(name="postmortem")
@click.argument("study")
@json_option("tollens.record.postmortem/1")
@quiet_option
def command(study: str, as_json: bool, quiet: bool) -> int:
    """Check the postmortem.toml of the killed STUDY against its ledger, record it, and write postmortem.md.

    `tollens climb` opens the file with everything that the ledger knows; you set the obstacle and the lesson.
    """
    from tollens.cli.obstacle_screen import postmortem_text
    from tollens.cli.study_screen import show
    from tollens.run.postmortem import record_postmortem

    report = record_postmortem(study)
    show(
        report, lambda: postmortem_text(report), f"{report.verdict}  {report.claim}  {report.obstacle}",
        as_json=as_json, quiet=quiet,
    )  # fmt: skip
    return 0
