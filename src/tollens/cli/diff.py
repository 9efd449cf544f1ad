"""`tollens diff BASE DERIVED`: what changed, beyond what rounding changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import click
import msgspec

from tollens.cli.output import require_report
from tollens.cli.progress import progress_bar
from tollens.cli.terminal import emit
from tollens.cli.workers import threads_each, worker_options, workers
from tollens.core.errors import Exit

if TYPE_CHECKING:
    from tollens.run.diff_result import DiffReport
    from tollens.run.diff_settings import DiffSettings

EXITS = {
    "IDENTICAL": Exit.CLEAN,
    "ROUNDED": Exit.CLEAN,
    "MOVED": Exit.CLEAN,
    "SURVIVED": Exit.SURVIVED,
    "KILLED": Exit.KILLED,
    "UNDETERMINED": Exit.UNDETERMINED,
}
PRELOAD = ("tollens.run.diff_factors", "tollens.run.diff_tensor")


class DiffOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for on the command line, besides the two paths."""

    expect: Literal["identical", "rounded", "related"] | None
    as_json: bool
    as_csv: bool
    html: str | None
    layers: str | None
    rank: int
    roundings: str
    precision: Literal["f32", "f64"]
    seed: int
    jobs: int
    workers: str | None
    threads: int | None
    show_all: bool
    quiet: bool

    def settings(self) -> DiffSettings:
        from tollens.run.diff_settings import DiffSettings

        return DiffSettings(
            expect=self.expect,
            layers=self.layers,
            rank=self.rank,
            roundings=2 if self.roundings == "2" else 1,
            precision=self.precision,
            seed=self.seed,
            threads=threads_each(self.threads, self.jobs, self.workers),
        )


@click.command(name="diff")
@click.argument("base")
@click.argument("derived")
@click.option(
    "--expect",
    type=click.Choice(["identical", "rounded", "related"]),
    help="Hold DERIVED to it: KILLED where it is not so. The exit code is then the verdict's.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object (schema tollens.diff/1).")
@click.option("--csv", "as_csv", is_flag=True, help="Print one CSV row a matrix.")
@click.option("--html", metavar="FILE", help="Also write an offline page (needs the report extra).")
@click.option("--layers", metavar="GLOB", help="Only the matrices whose name matches this shell pattern.")
@click.option(
    "--rank",
    type=click.IntRange(1, 64),
    default=8,
    show_default=True,
    help="Leading singular directions whose overlap is measured.",
)
@click.option(
    "--roundings",
    type=click.Choice(["1", "2"]),
    default="1",
    show_default=True,
    help="1 if DERIVED started from BASE as it is stored; 2 if both were rounded from finer weights.",
)
@click.option(
    "--precision",
    type=click.Choice(["f32", "f64"]),
    default="f32",
    show_default=True,
    help="f64 is the reference; f32 is blind below 1e-6 of the largest eigenvalue.",
)
@click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="Every random draw follows from it."
)
@worker_options
@click.option("--all", "show_all", is_flag=True, help="Print every layer, not only the first 20.")
@click.option("--quiet", is_flag=True, help="No progress on stderr, only the verdict on stdout.")
def command(base: str, derived: str, **options: Any) -> int:
    """Say what changed from BASE to DERIVED, and what of it is only rounding.

    Both are checkpoints: a file, a folder of shards or a Hugging Face checkpoint. DERIVED may be a LoRA adapter of
    BASE, or both adapters of one network. Tensors are matched by name and shape. Movement is no failure: without
    --expect the exit code is 0 if anything could be compared.
    """
    asked = msgspec.convert(options, DiffOptions)
    if asked.as_json and asked.as_csv:
        raise click.UsageError("--json and --csv are two answers; ask for one.")
    if asked.html is not None:
        require_report(asked.html)
    with workers(asked.jobs, asked.workers, PRELOAD) as map_fn, progress_bar(asked.quiet) as progress:
        from tollens.run.diff import diff  # now: the workers import the same at the same time

        report = diff(base, derived, asked.settings(), map_fn=map_fn, progress=progress)
    if asked.html is not None:
        from tollens.publish.diff_page import diff_html
        from tollens.publish.html import write_html

        write_html(diff_html(report), asked.html)
    emit(_answer(report, asked))
    return int(EXITS[report.verdict])


def _answer(report: DiffReport, asked: DiffOptions) -> str | bytes:
    if asked.as_json:
        return msgspec.json.encode(report) + b"\n"
    if asked.as_csv:
        from tollens.publish.diff_table import diff_csv

        return diff_csv(report)
    if asked.quiet:
        return f"{report.verdict}  {report.headline}\n"
    from tollens.cli.diff_screen import diff_text

    return diff_text(report, show_all=asked.show_all)
