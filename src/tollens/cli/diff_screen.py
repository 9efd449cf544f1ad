"""A diff on a terminal: the verdict, kinship, the layer that moved most, the layers, what has no partner."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from msgspec import UnsetType
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tollens.cli.terminal import elided, printable, unpadded

if TYPE_CHECKING:
    from tollens.run.diff_result import DiffReport, Expectation, LayerDelta, Overlap
    from tollens.run.result import Subject

ROWS = 20
FEW = 5
STYLE = {
    "IDENTICAL": "bold green", "ROUNDED": "bold green", "SURVIVED": "bold green", "MOVED": "bold yellow",
    "KILLED": "bold red", "UNDETERMINED": "bold cyan",
}  # fmt: skip


def diff_text(report: DiffReport, *, show_all: bool) -> str:
    """A diff for a person, fitted to the width of the terminal and coloured where it takes colour."""
    console = Console(highlight=False, soft_wrap=False)
    with console.capture() as capture:
        _show(console, report, show_all=show_all)
    return unpadded(capture.get())


def _show(console: Console, report: DiffReport, *, show_all: bool) -> None:
    console.print(Text.assemble((report.verdict, STYLE[report.verdict]), "  ", report.headline))
    for name, subject in (("base", report.base), ("derived", report.derived)):
        console.print(_subject(name, subject), style="dim", markup=False)
    if not isinstance(report.expectation, UnsetType):
        _expectation(console, report.expectation)
    console.print()
    _fact(console, "kinship", report.kinship.sentence)
    limit = {"yes": 2, "no": 1}.get(report.kinship.answer)
    if limit is not None:
        _fact(console, "limit", report.kinship.limits[limit])
    if report.kinship.settle is not None:
        _fact(console, "settles", report.kinship.settle)
    moved_most = next((layer for layer in report.layers if layer.name == report.witness), None)
    if moved_most is not None:
        _fact(console, "most", f"{moved_most.name}: {moved_most.sentence}")
    layers = report.layers if show_all else report.layers[:ROWS]
    if layers:
        console.print()
        console.print(_table(layers, console.width))
        console.print(
            "* of the leading directions of the base and of the change; in brackets what chance gives", style="dim"
        )
        if len(layers) < len(report.layers):
            console.print(f"{len(report.layers) - len(layers)} more layers; --all prints them.", style="dim")
    _remarks(console, report, show_all=show_all)
    console.print()
    console.print(Text.assemble(("next  ", "bold"), _next(report)))


def _subject(name: str, subject: Subject) -> str:
    return (
        f"{name:<8} {printable(subject.path)}  {subject.format}, {subject.tensors} tensors, "
        f"{subject.parameters:,} parameters, {subject.digest[:19]}"
    )


def _fact(console: Console, name: str, text: str) -> None:
    """A named sentence whose further lines are indented to its first."""
    grid = Table.grid(padding=0)
    grid.add_column(width=10, no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(Text(name, "bold"), Text(printable(text)))
    console.print(grid)


def _expectation(console: Console, expectation: Expectation) -> None:
    console.print()
    _fact(console, "expected", expectation.expected)
    if expectation.witness is not None:
        _fact(console, "witness", expectation.witness)
    _fact(console, "found", expectation.found)
    if expectation.settle is not None:
        _fact(console, "settles", expectation.settle)


def _table(layers: list[LayerDelta], width: int) -> Table:
    wide = width >= 110
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold", pad_edge=False)
    table.add_column("layer", no_wrap=True, overflow="ellipsis")
    table.add_column("shape", justify="right", no_wrap=True)
    table.add_column("state", no_wrap=True)
    for title in ("change", "rank", "above"):
        table.add_column(title, justify="right", no_wrap=True)
    if wide:
        for title in ("shuffled", "changed", "cosine", "kin"):
            table.add_column(title, justify="right", no_wrap=True)
    for title in ("left*", "right*"):
        table.add_column(title, justify="right", no_wrap=True)
    fixed = 105 if wide else 66
    for layer in layers:
        cells = [
            elided(printable(layer.name), max(14, width - fixed)),
            f"{layer.shape[0]}x{layer.shape[1]}",
            layer.state,
            _change(layer),
            "-" if layer.stable_rank is None else f"{layer.stable_rank:.1f}",
            "-" if layer.floor is None else str(layer.floor.above),
        ]
        if wide:
            cells += [
                "-" if layer.shuffled is None else str(layer.shuffled.above),
                "-" if layer.changed_share is None else f"{layer.changed_share:.1%}",
                "-" if layer.cosine is None else f"{layer.cosine:.4f}",
                _kin(layer),
            ]
        cells += [_overlap(layer.overlap_left), _overlap(layer.overlap_right)]
        table.add_row(*map(Text, cells))  # as text: a name in brackets is no markup
    return table


def _change(layer: LayerDelta) -> str:
    if layer.relative_change is None:
        return "-"
    return "0" if layer.relative_change == 0.0 else f"{layer.relative_change:.2g}"


def _kin(layer: LayerDelta) -> str:
    if layer.kinship is None:
        return "-"
    told = "yes" if layer.kinship.above else "no"
    return told if layer.kinship.tested else f"({told})"


def _overlap(found: Overlap | None) -> str:
    return "-" if found is None else f"{found.value:.2f} [{found.null.high:.2f}]"


def _remarks(console: Console, report: DiffReport, *, show_all: bool) -> None:
    console.print()
    moved = [t for t in report.others if t.state in ("moved", "unknown")]
    for tensor in moved if show_all else moved[:FEW]:
        console.print(f"{tensor.state}  {printable(tensor.name)}: {printable(tensor.sentence)}", markup=False)
    if len(moved) > FEW and not show_all:
        console.print(f"{len(moved) - FEW} more of the other tensors moved; --all prints them.", style="dim")
    for alone in report.unmatched if show_all else report.unmatched[:FEW]:
        sides = " against ".join(
            "x".join(map(str, shape)) or "scalar"
            for shape in (alone.base_shape, alone.derived_shape)
            if shape is not None
        )
        console.print(f"{alone.reason}  {printable(alone.name)}  {sides}", markup=False)
    if len(report.unmatched) > FEW and not show_all:
        console.print(f"{len(report.unmatched) - FEW} more tensors have no partner; --all prints them.", style="dim")
    for note in report.notes:
        console.print(f"note  {printable(note.sentence)}", style="dim", markup=False)
    others = report.summary["other_states"]
    counts = ", ".join(f"{n} {state}" for state, n in others.items() if n)
    console.print(f"other tensors (norms, biases): {counts or 'none'}", style="dim")
    for reason, n in report.summary["skipped"].items():
        console.print(f"not compared: {n} {reason}", style="dim")


def _next(report: DiffReport) -> str:
    base, derived = (shlex.quote(printable(s.path)) for s in (report.base, report.derived))
    if report.verdict == "IDENTICAL":
        return f"tollens scan {derived}"
    if report.witness is not None:
        return f"tollens diff {base} {derived} --json --layers {shlex.quote(printable(report.witness))}"
    if report.verdict == "UNDETERMINED" and report.unmatched:
        return f"tollens explain {report.unmatched[0].reason}"
    return f"tollens diff {base} {derived} --expect rounded"
