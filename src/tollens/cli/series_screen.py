"""A series on a terminal: the verdict, the changes, what the steps show, the forecast, the next command."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from msgspec import UnsetType
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tollens.cli.terminal import elided, printable, unpadded

if TYPE_CHECKING:
    from tollens.protocol.change import Change
    from tollens.run.series_result import Forecast, SeriesReport, StepSummary

SHOWN, ROWS = 12, 24
STYLE = {"CLEAN": "bold green", "FINDINGS": "bold yellow"}


def series_text(report: SeriesReport, *, html: str | None, show_all: bool) -> str:
    """A series for a person, fitted to the width of the terminal and coloured where it takes colour."""
    console = Console(highlight=False, soft_wrap=False)
    with console.capture() as capture:
        _show(console, report, html=html, show_all=show_all)
    return unpadded(capture.get())


def _show(console: Console, report: SeriesReport, *, html: str | None, show_all: bool) -> None:
    console.print(Text.assemble((report.verdict, STYLE[report.verdict]), "  ", report.headline))
    first, last = report.members[0], report.members[-1]
    matrices = len(report.rows) // len(report.members)
    console.print(
        f"steps {first.step} to {last.step}, {len(report.members)} checkpoints, {matrices} matrices followed, "
        f"{len(report.unmatched)} not in all; {first.digest[:19]} to {last.digest[:19]}",
        style="dim",
        markup=False,
    )
    if report.best.guess is not None:
        console.print(Text.assemble(("best      ", "bold"), printable(report.best.reason)))
    _changes(console, report, show_all)
    _steps(console, report, show_all)
    if not isinstance(report.extrapolation, UnsetType):
        _forecast(console, report.extrapolation)
    console.print()
    for note in report.notes:
        console.print(f"note  {printable(note.sentence)}", style="dim", markup=False)
    console.print(Text.assemble(("next  ", "bold"), _next(report, html)))


def _changes(console: Console, report: SeriesReport, show_all: bool) -> None:
    console.print()
    if not report.changes:
        console.print(Text.assemble(("changes   ", "bold"), "none that holds"))
    else:
        shown = report.changes if show_all else report.changes[:SHOWN]
        table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold", pad_edge=False)
        table.add_column("changed", no_wrap=True, overflow="ellipsis")
        table.add_column("quantity", no_wrap=True)
        for title in ("from", "to", "before", "after"):
            table.add_column(title, justify="right", no_wrap=True)
        wide = console.width >= 110
        for change in shown:
            table.add_row(*map(Text, _change_cells(change, wide, max(14, console.width - (86 if wide else 52)))))
        console.print(table)
        if len(shown) < len(report.changes):
            console.print(f"{len(report.changes) - len(shown)} more changes; --all prints them.", style="dim")
        console.print("! calls for an answer. A count has held for 3 checkpoints or more.", style="dim")
    if report.compared:
        console.print(
            f"{report.compared} pairs of neighbours compared in alpha: up to {report.by_chance:.1f} would part by "
            "chance alone.",
            style="dim",
        )


def _change_cells(change: Change, wide: bool, width: int) -> list[str]:
    name = elided(printable(change.matrix), width)
    cells = [("! " if change.finding else "  ") + name, change.quantity, str(change.from_step), str(change.to_step)]
    for value, interval in ((change.before, change.before_interval), (change.after, change.after_interval)):
        text = "-" if value is None else f"{value:g}" if interval is None else f"{value:.2f}"
        if interval is not None and wide:
            text += f" [{interval.low:.1f},{interval.high:.1f}]"
        cells.append(text)
    return cells


def _steps(console: Console, report: SeriesReport, show_all: bool) -> None:
    wide = console.width >= 110
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold", pad_edge=False)
    titles = ["step", "alpha [90 %]", "stable rank", "excess", "distance", "traps m/e/r"]
    if wide:
        titles[5:5] = ["speed", "rank added"]
    for title in titles:
        table.add_column(title, justify="right", no_wrap=True)
    failed = any(summary.failed for summary in report.steps)
    if failed:
        table.add_column("failed", justify="right", no_wrap=True)
    shown = report.steps if show_all else _some(report)
    for summary in shown:
        marked = _within(report, summary.step)
        cells = _step_cells(summary, wide) + ([str(summary.failed)] if failed else [])
        cells[0] = ("> " if marked else "") + cells[0]
        table.add_row(*map(Text, cells), style="bold" if marked else None)
    console.print()
    console.print(table)
    if len(shown) < len(report.steps):
        console.print(f"{len(report.steps) - len(shown)} more steps; --all prints them.", style="dim")
    said = "medians over the matrices; traps are summed over them: by mean / single elements / neither"
    if report.best.guess is not None:
        said += "; > where the best checkpoint probably is"
    console.print(said, style="dim")


def _some(report: SeriesReport) -> list[StepSummary]:
    """All of a few steps; of many, some at even places, the ends among them, and those that are spoken of."""
    steps = report.steps
    if len(steps) <= ROWS:
        return list(steps)
    even = {round(place * (len(steps) - 1) / (ROWS - 1)) for place in range(ROWS)}
    spoken = {report.best.low, report.best.guess, report.best.high}
    spoken |= {change.to_step for change in report.changes if change.finding}
    return [summary for place, summary in enumerate(steps) if place in even or summary.step in spoken]


def _within(report: SeriesReport, step: int) -> bool:
    low, high = report.best.low, report.best.high
    return low is not None and high is not None and low <= step <= high


def _step_cells(summary: StepSummary, wide: bool) -> list[str]:
    alpha = _number(summary.alpha, ".2f")
    if summary.alpha is not None and summary.alpha_low is not None and summary.alpha_high is not None:
        alpha += f" [{summary.alpha_low:.1f},{summary.alpha_high:.1f}]"
    traps = "/".join(_number(n, "g") for n in (summary.traps_mean, summary.traps_entry, summary.traps_residual))
    cells = [
        str(summary.step),
        alpha,
        _number(summary.stable_rank, ".1f"),
        _number(summary.spectral_excess, ".2f"),
        _number(summary.distance, ".3g"),
    ]
    if wide:
        cells += [_number(summary.speed, ".3g"), _number(summary.delta_stable_rank, ".1f")]
    return [*cells, traps]


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _forecast(console: Console, forecast: Forecast) -> None:
    console.print()
    head = f"step {forecast.step}, written to {printable(forecast.path)}; extrapolated, not trained"
    console.print(Text.assemble(("forecast  ", "bold"), head))
    shares = [f"one direction explains {_share(forecast.explained_variance)} of the movement"]
    if forecast.exact:
        shares.append("every tensor lies on one line to 1e-10")
    told = [
        "; ".join(shares) + ".",
        f"Error at step {forecast.left_out}, fitted without it, as a share of the way from step {forecast.origin}: "
        f"{_share(forecast.error)}; standing still {_share(forecast.last_error)}; mean of the last three "
        f"{_share(forecast.average_error)}.{_closest(forecast.nearest)}",
        f"What would settle it: {forecast.settles}.",
    ]
    for sentence in told:
        console.print(Padding(Text(sentence), (0, 0, 0, 10)))
    reasons: dict[str, int] = {}
    for tensor in forecast.copied:
        reasons[tensor.reason] = reasons.get(tensor.reason, 0) + 1
    if reasons:
        named = ", ".join(f"{count} {reason}" for reason, count in reasons.items())
        console.print(Padding(Text(f"Copied from the last checkpoint: {named}."), (0, 0, 0, 10)))


def _closest(nearest: str | None) -> str:
    """What beat the forecast, where something did."""
    names = {"last": "standing still", "average": "the mean of the last three"}
    return f" Closest was {names[nearest]}." if nearest in names else ""


def _share(value: float | None) -> str:
    return "undefined" if value is None else f"{100.0 * value:.1f} %"


def _next(report: SeriesReport, html: str | None) -> str:
    if report.changes and report.changes[0].finding:
        change = report.changes[0]
        at = next(member.path for member in report.members if member.step == change.to_step)
        return f"tollens scan {shlex.quote(printable(at))} --layers {shlex.quote(printable(change.matrix))}"
    if html is None:
        return f"tollens scan --series {' '.join(shlex.quote(printable(p)) for p in report.paths)} --html series.html"
    return f"tollens scan {shlex.quote(printable(report.members[-1].path))}"
