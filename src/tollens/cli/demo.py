"""`tollens demo`: find a trap without data, show that it harms, remove it; climb; then nine claims and their fate."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tollens.cli.study_screen import STYLES
from tollens.cli.terminal import emit, printable, unpadded
from tollens.core.errors import Exit, TollensError
from tollens.core.extras import install_command, missing_extra
from tollens.protocol.ladder import dollars

if TYPE_CHECKING:
    from rich.console import Console

    from tollens.standard.demonstration import Demonstration
    from tollens.standard.scoreboard import Score
    from tollens.standard.studies import Climb


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
    """Kill false claims about a small bundled network at the cheapest rung that can, and let the true ones live.

    The network was trained on scikit-learn's handwritten digits; one copy of it carries a planted trap. Three of the
    claims are sealed first, and one of these studies is edited after its seal, which is noticed. Everything is made in
    a temporary folder.
    """
    import msgspec

    from tollens.cli.progress import progress_bar
    from tollens.standard.demonstration import demonstrate

    with tempfile.TemporaryDirectory() as folder:
        with progress_bar(quiet or as_json) as progress:
            shown = demonstrate(seed, Path(folder), progress=progress)
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
        console.print(Padding(Text(printable(step.seen)), (0, 0, 0, 8)))
        if step.climb is not None:
            _ladder(console, shown.climbs[step.climb])
    console.print()
    title = f"Scoreboard: {len(shown.scoreboard)} claims, each attacked by the cheapest means first"
    console.print(Text(title, style="bold"))
    for score in shown.scoreboard:
        _score(console, score)


def _ladder(console: Console, climb: Climb) -> None:
    """The rungs of a climb: what each came to and cost, and what those cost that were not reached."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("rung", "kind", "verdict", "requests", "time", "money"):
        right = name in ("requests", "time", "money")
        table.add_column(Text(name, style="dim"), justify="right" if right else "left", overflow="fold")
    for rung in climb.reached:
        asked = f"{rung.requests} of {rung.requests_of}"
        money = dollars(rung.usd_micro)
        verdict = Text(rung.verdict, style=STYLES.get(rung.verdict, ""))
        table.add_row(printable(rung.id), rung.kind, verdict, asked, f"{rung.seconds:.2f} s", money)
    for price in climb.unreached:
        time = "unknown" if price.seconds is None else f"est. {price.seconds:.2f} s"
        cells = (price.id, price.kind, "not spent", f"0 of {price.requests}", time, dollars(price.usd_micro))
        table.add_row(*(Text(printable(cell), style="dim") for cell in cells))
    if climb.decision is not None:
        spent = climb.decision.spent
        asked = f"{spent.requests} of {climb.plan.requests}"
        table.add_row("all", "", "", asked, f"{spent.seconds:.2f} s", dollars(spent.usd_micro))
    console.print(Padding(table, (0, 0, 0, 8)))


def _score(console: Console, score: Score) -> None:
    from rich.padding import Padding
    from rich.text import Text

    style = "bold red" if score.verdict == "KILLED" else "bold green"
    console.print()
    console.print(Text.assemble((f"{score.verdict:<8}", style), f" {score.claim}", (f"  ({score.subject})", "dim")))
    price = f"{score.price.seconds:.2g} s, {score.price.bytes_read:,} bytes read"
    if score.price.requests is not None:
        price += f", {score.price.requests} requests, {dollars(score.price.usd_micro or 0)}"
    label, _, unspent = score.unspent.partition(": ")
    lines = [("rung", score.rung), ("witness", score.witness), ("price", price), (label, unspent)]
    for name, text in lines:
        console.print(Padding(Text.assemble((f"{name}: ", "dim"), text), (0, 0, 0, 9)))


def _report(shown: Demonstration, html: str) -> str:
    following = "next    tollens scan YOUR_MODEL.safetensors\n        tollens new my-claim\n"
    if missing_extra() is not None:
        return f"\nFor the same as a page with pictures: \n{install_command('report')}\n{following}"
    from tollens.publish.report import write_report

    try:
        write_report(shown.scans["trapped"], html)
    except (OSError, TollensError) as error:
        why = error.found if isinstance(error, TollensError) else error.strerror
        return f"\nreport  not written to {printable(html)}: {why}\n{following}"
    return f"\nreport  {printable(html)}\n{following}"
