"""A scan on a terminal: the verdict, the witness, the findings, the layers, the next command."""

from __future__ import annotations

import shlex
import statistics
from typing import TYPE_CHECKING, Any

from msgspec import UnsetType
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tollens.cli.factor_table import factor_table
from tollens.cli.terminal import elided, printable, unpadded

if TYPE_CHECKING:
    from tollens.protocol.answer import ClaimAnswer
    from tollens.run.result import LayerReport, ScanReport

ROWS = 20
BLIND = {"f32": "1e-6", "f64": "1e-15"}
TOLD = 8
STYLE = {
    "CLEAN": "bold green", "SURVIVED": "bold green", "FINDINGS": "bold yellow", "KILLED": "bold red",
    "UNDETERMINED": "bold cyan",
}  # fmt: skip


def scan_text(report: ScanReport, *, html: str | None, show_all: bool) -> str:
    """A scan for a person, fitted to the width of the terminal and coloured where it takes colour."""
    console = Console(highlight=False, soft_wrap=False)
    with console.capture() as capture:
        _show(console, report, html=html, show_all=show_all)
    return unpadded(capture.get())


def _show(console: Console, report: ScanReport, *, html: str | None, show_all: bool) -> None:
    console.print(Text.assemble((report.verdict, STYLE[report.verdict]), "  ", report.headline))
    subject = report.subject
    method, _, digits = subject.digest.partition(":")
    console.print(
        f"{printable(subject.path)}  {subject.format}, {subject.tensors} tensors, {subject.parameters:,} parameters, "
        f"{method}:{digits[:12]}",
        style="dim",
        markup=False,
    )
    if not isinstance(report.claim, UnsetType):
        _claim(console, report.claim)
    for finding in report.findings:
        cause = f" ({finding.cause})" if finding.cause else ""
        console.print()
        console.print(Text.assemble((f"{finding.code}{cause}", "bold"), "  ", printable(finding.layer)))
        console.print(Padding(Text(printable(finding.sentence)), (0, 0, 0, 2)))
    layers = report.layers if show_all else report.layers[:ROWS]
    if layers:
        _tables(console, layers)
        if len(layers) < len(report.layers):
            console.print(f"{len(report.layers) - len(layers)} more layers; --all prints them.", style="dim")
        console.print()
        for layer in layers[: len(layers) if show_all else TOLD]:
            console.print(Text.assemble((printable(layer.name), "bold"), "  ", printable(layer.sentence)))
    _remarks(console, report)
    console.print()
    console.print(Text.assemble(("next  ", "bold"), _next(report, html)))


def _tables(console: Console, layers: list[LayerReport]) -> None:
    products = [layer for layer in layers if "factored" in layer.flags]
    whole = [layer for layer in layers if "factored" not in layer.flags]
    if products:
        console.print()
        console.print(factor_table(products, console.width))
        console.print("of gamma * B @ A; the null is Gaussian factors of the same shapes", style="dim")
    if whole:
        console.print()
        console.print(_table(whole, console.width))
        console.print("* a convention on alpha: over-trained below 2, usual to 6, under-trained above", style="dim")


def _claim(console: Console, claim: ClaimAnswer) -> None:
    console.print()
    console.print(Text.assemble(("claim     ", "bold"), printable(claim.text)))
    if claim.witness is not None:
        witness = claim.witness
        console.print(Text.assemble(("witness   ", "bold"), printable(str(witness.layer or witness.quantity))))
    console.print(Text.assemble(("expected  ", "bold"), printable(claim.expected)))
    console.print(Text.assemble(("found     ", "bold"), printable(claim.found)))
    for gap in claim.undetermined[:5]:
        console.print(Text.assemble(("unknown   ", "bold"), printable(f"{gap.quantity} of {gap.layer}: {gap.reason}")))
    if len(claim.undetermined) > 5:
        console.print(f"          and {len(claim.undetermined) - 5} more", style="dim")


def _table(layers: list[LayerReport], width: int) -> Table:
    wide = width >= 110
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold", pad_edge=False)
    table.add_column("layer", no_wrap=True, overflow="ellipsis")
    for title in ("shape", "alpha [90 %]", "null 5-95 %"):
        table.add_column(title, justify="right", no_wrap=True)
    if wide:
        for title in ("stable rank", "null 5-95 %", "tail"):
            table.add_column(title, justify="right", no_wrap=True)
    table.add_column("traps", justify="right", no_wrap=True)
    table.add_column("band*", no_wrap=True)
    fixed = 91 if wide else 56
    for layer in layers:
        null, rank = layer.alpha_null, layer.null.get("stable_rank")
        cells = [
            elided(printable(layer.name), max(14, width - fixed)),
            f"{layer.M}x{layer.N}",
            _alpha(layer),
            "-" if null is None else f"{null.low:.1f}-{null.high:.1f}",
        ]
        if wide:
            cells += [
                _plain(layer.stable_rank),
                "-" if rank is None else f"{rank.low:.1f}-{rank.high:.1f}",
                _plain(layer.n_tail),
            ]
        cells += [_traps(layer), layer.band or "-"]
        table.add_row(*map(Text, cells))  # as text: a name in brackets is no markup
    return table


def _alpha(layer: LayerReport) -> str:
    if layer.alpha is None:
        return layer.undefined.get("alpha", "-")
    if layer.alpha_interval is None:
        return f"{layer.alpha:.2f}"
    return f"{layer.alpha:.2f} [{layer.alpha_interval.low:.1f},{layer.alpha_interval.high:.1f}]"


def _traps(layer: LayerReport) -> str:
    if not layer.traps_all:
        return "-"
    return f"{statistics.median(layer.traps_all):g}"


def _plain(value: Any) -> str:
    return "-" if value is None else (str(value) if isinstance(value, int) else f"{value:.1f}")


def _remarks(console: Console, report: ScanReport) -> None:
    skipped = report.summary["skipped"]
    tensors = report.summary["tensors"]
    console.print()
    for note in report.notes:
        console.print(f"note  {printable(note.sentence)}", style="dim", markup=False)
    if report.settings["columns"] == "weightwatcher":
        console.print("the columns of WeightWatcher stand in --json and --csv", style="dim")
    if _all_factored(report):
        console.print("the singular values of a product are taken in float64", style="dim")
    else:
        blind = BLIND[report.settings["precision"]]
        told = f"{report.settings['precision']} arithmetic sees nothing below {blind} of a layer's largest eigenvalue"
        console.print(told, style="dim")
    why = ", ".join(f"{n} {code}" for code, n in skipped.items())
    chosen = f", of which --layers chose {len(report.layers)} matrices" if report.settings["layers"] else ""
    console.print(
        f"{tensors['in_file']} tensors = {tensors['analysed']} analysed + {tensors['skipped']} skipped"
        f"{f' ({why})' if why else ''} + {tensors['aliased']} aliased{chosen}",
        style="dim",
        markup=False,
    )


def _next(report: ScanReport, html: str | None) -> str:
    path = shlex.quote(printable(report.subject.path))
    claim = None if isinstance(report.claim, UnsetType) else report.claim
    if claim is not None and claim.undetermined:
        gap = claim.undetermined[0]
        if gap.reason == "not_requested" and gap.quantity in ("p_gof", "alternatives"):
            return f"tollens scan {path} --gof 1000 --claim {shlex.quote(printable(claim.text))}"
        return f"tollens explain {gap.reason}"
    if claim is not None and claim.witness is not None and claim.witness.layer:
        return f"tollens scan {path} --json --layers {shlex.quote(printable(claim.witness.layer))}"
    if report.findings:
        return f"tollens explain {report.findings[0].code}"
    if html is None:
        return f"tollens scan {path} --html report.html"
    return f"tollens scan {path} --claim 'all(stable_rank >= {2 if _all_factored(report) else 8})'"


def _all_factored(report: ScanReport) -> bool:
    return bool(report.layers) and all("factored" in layer.flags for layer in report.layers)
