"""`tollens new`: a study folder that works as it is."""

from __future__ import annotations

import click

from tollens.cli.answer import json_option, quiet_option
from tollens.cli.terminal import emit, printable


@click.command(name="new")
@click.argument("name")
@click.option("--blank", is_flag=True, help="Placeholders in place of the example; sealed only when filled in.")
@click.option("--laboratory", "several", is_flag=True, help="A folder of seven decided and open studies, to look at.")
@json_option("tollens.new/1")
@quiet_option
def command(name: str, blank: bool, several: bool, as_json: bool, quiet: bool) -> int:
    """Make a study folder NAME: a true claim about a bundled network, to be edited into yours.

    With --laboratory NAME becomes a folder of studies that were really climbed (seconds), with a tollens.toml and a
    paper: what `status`, `drift` and `record` are for.
    """
    import msgspec

    if several:
        if blank:
            raise click.UsageError("--blank is about one study.")
        return _laboratory(name, as_json=as_json, quiet=quiet)

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


def _laboratory(name: str, *, as_json: bool, quiet: bool) -> int:
    from tollens.cli.progress import progress_bar
    from tollens.cli.study_screen import show
    from tollens.standard.laboratory import laboratory

    with progress_bar(quiet or as_json) as progress:
        made = laboratory(name, progress)
    rows = [f"{verdict:<9} {study}" for study, verdict in made.studies.items()]
    text = "\n".join([f"made  {printable(made.folder)}: {len(rows)} studies", *(f"      {row}" for row in rows)])
    show(made, lambda: f"{text}\nnext  {printable(made.next)}\n", made.folder, as_json=as_json, quiet=quiet)
    return 0
