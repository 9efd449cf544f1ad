"""`tollens record obstacles`: what has killed the claims of a folder."""

from __future__ import annotations

import click

from tollens.cli.answer import json_option, quiet_option
from tollens.core.errors import Exit


@click.command(name="obstacles")
@click.argument("folder")
@json_option("tollens.record.obstacles/1")
@quiet_option
def command(folder: str, as_json: bool, quiet: bool) -> int:
    """Count the obstacles that killed the claims at or below FOLDER, with every death behind each count.

    Exit 0; 2 where a ledger could not be read, 21 where there is no study.
    """
    from tollens.cli.obstacle_screen import obstacles_headline, obstacles_text
    from tollens.cli.study_screen import show
    from tollens.run.obstacles import obstacles

    report = obstacles(folder)
    show(report, lambda: obstacles_text(report), obstacles_headline(report), as_json=as_json, quiet=quiet)
    return int(Exit.BAD_INPUT) if report.unread else 0
