"""`tollens demo`: find a trap without data, show that it harms, remove it; then six claims and their fate."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tollens.cli.terminal import emit, printable, unpadded
from tollens.core.errors import Exit, TollensError
from tollens.core.extras import install_command, missing_extra

if TYPE_CHECKING:
    from rich.console import Console

    from tollens.standard.demonstration import Demonstration
    from tollens.standard.scoreboard import Score


@click.command(name="demo")
@click.option(
    "--seed", type=click.IntRange(0), help="Plant another trap, of another size in another layer, and find that one."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object (schema tollens.demo/1).")
@click.option(
    "--html",
    metavar="FILE",
    default="tollens-demo.html",
    show_default=True,
    help="Where the report goes (needs the report extra).",
)
@click.option("--quiet", is_flag=True, help="Only the verdicts.")
def command(seed: int | None, as_json: bool, html: str, quiet: bool) -> int:
    """Kill three reported numbers and two claims about a small bundled network, and let one live.

    The network was trained on scikit-learn's handwritten digits; one copy of it carries a planted trap.
    """
    import msgspec

    from tollens.standard.demonstration import demonstrate

    with tempfile.TemporaryDirectory() as folder:
        shown = demonstrate(seed, Path(folder))
        if as_json:
            emit(msgspec.json.encode(shown) + b"\n")
        elif quiet:
            emit("".join(f"{score.verdict}  {score.claim}\n" for score in shown.scoreboard))
        else:
            emit(_text(shown) + _report(shown, html))
    return int(Exit.CLEAN if shown.passed else Exit.VOID)


def _text(shown: Demonstration) -> str:
    from rich.console import Console

    console = Console(highlight=False)
    with console.capture() as capture:
        _show(console, shown)
    return unpadded(capture.get())


def _show(console: Console, shown: Demonstration) -> None:
    from rich.padding import Padding
    from rich.text import Text

    planted = shown.planted
    where = f" at row {planted.where[0]}, column {planted.where[1]}" if planted.where else ""
    console.print(Text("A network that reads digits, and a copy with one planted trap", style="bold"))
    console.print(
        f"planted: {planted.layer}, cause {planted.cause}{where}, {planted.size:.1f} times what noise can hide",
        markup=False,
        style="dim",
    )
    console.print()
    for number, step in enumerate(shown.steps, 1):
        mark = ("ok  ", "green") if step.passed else ("FAIL", "bold red")
        console.print(Text.assemble(mark, f" {number}. {step.title}", (f"  {step.seconds:.2f} s", "dim")))
        console.print(Padding(Text(step.seen), (0, 0, 0, 8)))
    console.print()
    console.print(Text("Scoreboard: six claims, each attacked by the cheapest means first", style="bold"))
    for score in shown.scoreboard:
        _score(console, score)


def _score(console: Console, score: Score) -> None:
    from rich.padding import Padding
    from rich.text import Text

    style = "bold red" if score.verdict == "KILLED" else "bold green"
    console.print()
    console.print(Text.assemble((f"{score.verdict:<8}", style), f" {score.claim}", (f"  ({score.subject})", "dim")))
    price = f"{score.price.seconds:.2g} s, {score.price.bytes_read:,} bytes read"
    label, _, unspent = score.unspent.partition(": ")
    lines = [("rung", score.rung), ("witness", score.witness), ("price", price), (label, unspent)]
    for name, text in lines:
        console.print(Padding(Text.assemble((f"{name}: ", "dim"), text), (0, 0, 0, 9)))


def _report(shown: Demonstration, html: str) -> str:
    following = "next    tollens scan YOUR_MODEL.safetensors\n"
    if missing_extra() is not None:
        return f"\nFor the same as a page with pictures: \n{install_command('report')}\n{following}"
    from tollens.publish.report import write_report

    try:
        write_report(shown.scans["trapped"], html)
    except (OSError, TollensError) as error:
        why = error.found if isinstance(error, TollensError) else error.strerror
        return f"\nreport  not written to {printable(html)}: {why}\n{following}"
    return f"\nreport  {printable(html)}\n{following}"
