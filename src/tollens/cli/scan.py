"""`tollens scan PATH`: options in, the verdict and its reasons out."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from tollens.cli.extras import missing_extra
from tollens.core.errors import Exit, TollensError

if TYPE_CHECKING:
    from tollens.run.result import ScanReport
    from tollens.run.scan import Progress

EXITS = {
    "FINDINGS": Exit.FINDINGS,
    "CLEAN": Exit.CLEAN,
    "UNDETERMINED": Exit.UNDETERMINED,
    "KILLED": Exit.KILLED,
    "SURVIVED": Exit.SURVIVED,
}


@click.command(name="scan")
@click.argument("path")
@click.option("--claim", metavar="RULE", help="Try to kill a claim, such as 'all(stable_rank >= 8)'; its verdict is the exit code.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object (schema tollens.scan/1).")
@click.option("--csv", "as_csv", is_flag=True, help="Print one CSV row a layer.")
@click.option("--html", metavar="FILE", help="Also write an offline report (needs the report extra).")
@click.option("--layers", metavar="GLOB", help="Only the matrices whose name matches this shell pattern.")
@click.option("--columns", type=click.Choice(["tollens", "weightwatcher"]), default="tollens", help="Add the columns of WeightWatcher 0.7.7.")
@click.option("--precision", type=click.Choice(["f32", "f64"]), default="f32", show_default=True, help="f64 is the reference; f32 is blind below 1e-6 of the largest eigenvalue.")
@click.option("--only", type=click.Choice(["tail"]), help="tail: spectrum and power-law fit, without interval and null.")
@click.option("--shuffles", type=click.IntRange(1, 1000), default=5, show_default=True, help="Permutations of each matrix that the screen does not clear.")
@click.option("--gof", type=click.IntRange(0), default=0, metavar="N", help="Goodness of fit with N draws, and the alternative laws. [default: off]")
@click.option("--seed", type=int, default=0, show_default=True, help="Every random draw follows from it.")
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Worker processes.")
@click.option("--threads", type=click.IntRange(1), help="BLAS threads a worker. [default: cores/jobs]")
@click.option("--all", "show_all", is_flag=True, help="Print every layer, not only the first 20.")
@click.option("--quiet", is_flag=True, help="No progress on stderr, only the verdict on stdout.")
def command(
    path: str,
    claim: str | None,
    as_json: bool,
    as_csv: bool,
    html: str | None,
    layers: str | None,
    columns: str,
    precision: str,
    only: str | None,
    shuffles: int,
    gof: int,
    seed: int,
    jobs: int,
    threads: int | None,
    show_all: bool,
    quiet: bool,
) -> int:
    """Judge the checkpoint at PATH from its weights alone.

    PATH is a .safetensors file, a folder of shards or a Hugging Face checkpoint, or a .npz file.
    Nothing is downloaded and no forward pass is run.
    """
    import msgspec

    from tollens.pool import processes
    from tollens.run.scan import scan
    from tollens.run.settings import ScanSettings

    if as_json and as_csv:
        raise click.UsageError("--json and --csv are two answers; ask for one.")
    if html is not None:
        _require_report(html)
    settings = msgspec.convert(
        {
            "precision": precision, "seed": seed, "shuffles": shuffles, "gof": gof, "only": only, "columns": columns,
            "layers": layers, "threads": threads or max(1, len(os.sched_getaffinity(0)) // jobs),
        },
        ScanSettings,
    )
    with progress_bar(quiet) as progress:
        report = scan(path, settings, claim=claim, map_fn=processes(jobs), progress=progress)
    if html is not None:
        from tollens.publish.report import write_report

        write_report(report, html)
    if as_json:
        sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
    elif as_csv:
        from tollens.publish.table import csv_text

        click.echo(csv_text(report), nl=False)
    elif quiet:
        click.echo(f"{report.verdict}  {report.headline}")
    else:
        from tollens.cli.screen import show_scan

        show_scan(report, html=html, show_all=show_all)
    return int(EXITS[report.verdict])


def _require_report(html: str) -> None:
    """Refuse before the work rather than after it."""
    missing = missing_extra()
    if missing is not None:
        raise TollensError(
            "extra_missing", f"--html {html}", expected="the report extra", found=f"no module {missing}",
            fix="Install it: pip install 'tollens[report]'",
        )
    folder = os.path.dirname(os.path.abspath(html))
    if not os.path.isdir(folder):
        raise TollensError(
            "path_missing", folder, expected="a folder to write the report to", found="no such folder",
            fix="Create it, or name another file.",
        )


@contextmanager
def progress_bar(quiet: bool) -> Iterator[Progress | None]:
    """A bar with rate and time left on stderr where a person looks at it; otherwise nothing."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    shown = [
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    ]
    with Progress(*shown, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("opening", total=None, rate="")

        def update(done: int, total: int, name: str) -> None:
            speed = bar.tasks[0].finished_speed or bar.tasks[0].speed
            rate = f"{speed:.1f}/s" if speed else ""
            bar.update(task, total=total, completed=done, description=name[-32:].rjust(32), rate=rate)

        yield update
