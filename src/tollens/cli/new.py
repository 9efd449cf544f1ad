"""`tollens new`: a study folder that works as it is."""

from __future__ import annotations

import click

from tollens.cli.answer import json_option, quiet_option
from tollens.cli.terminal import emit, printable


@click.command(name="new")
@click.argument("name")
@click.option("--blank", is_flag=True, help="Placeholders in place of the example; sealed only when filled in.")
@json_option("tollens.new/1")
@quiet_option
def command(name: str, blank: bool, as_json: bool, quiet: bool) -> int:
    """Make a study folder NAME: a true claim about a bundled network, to be edited into yours."""
    import msgspec

    from tollens.run.new import new

    made = new(name, blank=blank)
    if as_json:
        emit(msgspec.json.encode(made) + b"\n")
    elif quiet:
        emit(f"{printable(made.folder)}\n")
    else:
        lines = [f"made  {printable(made.folder)}: {', '.join(made.files)}", f"next  {printable(made.next)}"]
        emit("\n".join(lines) + "\n")
    return 0
