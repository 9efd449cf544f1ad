"""`tollens status`: what a study is now."""

from __future__ import annotations

import click

from tollens.cli.answer import json_option, quiet_option


@click.command(name="status")
@click.argument("study")
@click.option("--spend", "money", is_flag=True, help="What STUDY, or a folder of studies, has cost.")
@click.option("--check-remote", is_flag=True, help="Ask the git remote whether it has the commit of the seal.")
@click.option("--timestamp", metavar="URL", help="Have an RFC 3161 authority sign the seal's hash; keeps seal.tsr.")
@json_option("tollens.status/1")
@quiet_option
def command(study: str, money: bool, check_remote: bool, timestamp: str | None, as_json: bool, quiet: bool) -> int:
    """Say whether STUDY is a draft, sealed, running or decided, and whether it is what was sealed.

    Exit as the verdict; 21 for a draft (3 for one that cannot be read), 20 where sealed content was changed.
    """
    if money:
        from tollens.cli.spend_screen import status_spend

        if check_remote or timestamp is not None:
            raise click.UsageError("--spend goes with --json and --quiet only")
        return status_spend(study, as_json=as_json, quiet=quiet)
    from tollens.cli.study_screen import show, status_headline, status_text
    from tollens.run.status import status

    if timestamp is not None:
        from tollens.run.stamp import stamp

        stamp(study, timestamp)
    report = status(study, check_remote=check_remote)
    headline = status_headline(report)
    show(report, lambda: status_text(report), headline, as_json=as_json, quiet=quiet)
    return report.exit_code
