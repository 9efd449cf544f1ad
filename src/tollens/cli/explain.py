"""`tollens explain CODE`: what a code means and what to do about it."""

from __future__ import annotations

import click

from tollens.cli.terminal import emit
from tollens.core.codes import CODES, explain


@click.command(name="explain")
@click.argument("code", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(code: str | None, as_json: bool) -> None:
    """Say what CODE means and what to do about it; without CODE, list all codes."""
    if code is None:
        width = max(map(len, CODES))
        emit("".join(f"{name:<{width}}  {CODES[name].title}\n" for name in sorted(CODES)))
        return
    found = explain(code)
    if as_json:
        import msgspec

        answer = {"schema": "tollens.explain/1", "code": code, "title": found.title, "meaning": found.meaning}
        emit(msgspec.json.encode({**answer, "remedy": found.remedy}) + b"\n")
        return
    emit(f"{code}: {found.title}\n\n{found.meaning}\n\nWhat to do: {found.remedy}\n")
