"""`tollens lock`: seal a study."""

from __future__ import annotations

import click

from tollens.cli.answer import json_option, quiet_option


@click.command(name="lock")
@click.argument("study")
@json_option("tollens.lock/1")
@quiet_option
def command(study: str, as_json: bool, quiet: bool) -> int:
    """Seal STUDY: check that its rules can fire, run the metric on arms of known quality, hash everything that decides.

    Refuses with exit 3, and says the smallest change that would seal.
    """
    from tollens.cli.study_screen import seal_text, show
    from tollens.run.lock import lock

    report = lock(study)
    show(report, lambda: seal_text(report), f"SEALED {report.seal}", as_json=as_json, quiet=quiet)
    return 0
