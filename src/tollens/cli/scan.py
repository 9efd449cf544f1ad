"""`tollens scan PATH`: options in, the verdict and its reasons out."""

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
    from tollens.run.result import ScanReport
    from tollens.run.settings import ScanSettings

EXITS = {
    "FINDINGS": Exit.FINDINGS,
    "CLEAN": Exit.CLEAN,
    "UNDETERMINED": Exit.UNDETERMINED,
    "KILLED": Exit.KILLED,
    "SURVIVED": Exit.SURVIVED,
}


class ScanOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for on the command line, besides the path."""

    claim: str | None
    as_json: bool
    as_csv: bool
    html: str | None
    layers: str | None
    columns: Literal["tollens", "weightwatcher"]
    precision: Literal["f32", "f64"]
    only: Literal["tail"] | None
    shuffles: int
    gof: int
    seed: int
    jobs: int
    workers: str | None
    threads: int | None
    show_all: bool
    quiet: bool
    series: bool
    extrapolate: int | None
    out: str | None

    def settings(self) -> ScanSettings:
        from tollens.run.settings import ScanSettings

        return ScanSettings(
            precision=self.precision,
            seed=self.seed,
            shuffles=self.shuffles,
            gof=self.gof,
            only=self.only,
            columns=self.columns,
            layers=self.layers,
            threads=threads_each(self.threads, self.jobs, self.workers),
        )


@click.command(name="scan")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@click.option(
    "--claim",
    metavar="RULE",
    help="Try to kill a claim, such as 'all(stable_rank >= 8)'; its verdict is the exit code.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object (tollens.scan/1; a series: tollens.series/1)."
)
@click.option("--csv", "as_csv", is_flag=True, help="Print one CSV row a layer; of a series one a layer and step.")
@click.option("--html", metavar="FILE", help="Also write an offline report (needs the report extra).")
@click.option("--layers", metavar="GLOB", help="Only the matrices whose name matches this shell pattern.")
@click.option(
    "--columns",
    type=click.Choice(["tollens", "weightwatcher"]),
    default="tollens",
    help="Add the columns of WeightWatcher 0.7.7.",
)
@click.option(
    "--precision",
    type=click.Choice(["f32", "f64"]),
    default="f32",
    show_default=True,
    help="f64 is the reference; f32 is blind below 1e-6 of the largest eigenvalue.",
)
@click.option(
    "--only", type=click.Choice(["tail"]), help="tail: spectrum and power-law fit, without interval and null."
)
@click.option(
    "--shuffles",
    type=click.IntRange(1, 1000),
    default=5,
    show_default=True,
    help="Permutations of each matrix that the screen does not clear.",
)
@click.option(
    "--gof",
    type=click.IntRange(0),
    default=0,
    metavar="N",
    help="Goodness of fit with N draws, and the alternative laws. [default: off]",
)
@click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="Every random draw follows from it."
)
@click.option("--series", is_flag=True, help="Follow the matrices through several checkpoints of one run.")
@click.option(
    "--extrapolate",
    type=click.IntRange(0, 2**53 - 1),
    metavar="STEP",
    help="With --series: forecast the checkpoint of this step and write it to --out.",
)
@click.option("--out", metavar="FILE", help="The new .safetensors file that --extrapolate writes.")
@worker_options
@click.option("--all", "show_all", is_flag=True, help="Print every layer, not only the first 20.")
@click.option("--quiet", is_flag=True, help="No progress on stderr, only the verdict on stdout.")
def command(paths: tuple[str, ...], **options: Any) -> int:
    """Judge the checkpoint at PATH from its weights alone.

    PATH is a file of safetensors, npz, torch.save, GGUF or llama2.c, a folder of shards, a Hugging Face checkpoint or
    a LoRA adapter, here or at a URL (needs the remote extra), which is read by ranges. Nothing is downloaded and no
    forward pass is run.

    With --series the PATHs are checkpoints of one run, in any order, or the one folder that holds them, as folders or
    files named checkpoint-N or step-N. The exit code is then 1 if a trap appears or a matrix loses its numbers, else 0.
    """
    asked = msgspec.convert(options, ScanOptions)
    if asked.as_json and asked.as_csv:
        raise click.UsageError("--json and --csv are two answers; ask for one.")
    if asked.series:
        from tollens.cli.series import answer_series

        return answer_series(paths, asked)
    if len(paths) > 1:
        raise click.UsageError(f"{len(paths)} paths are a series; ask for it with --series.")
    if asked.extrapolate is not None or asked.out is not None:
        raise click.UsageError("--extrapolate and --out go with --series.")
    (path,) = paths
    if asked.html is not None:
        require_report(asked.html)
    with workers(asked.jobs, asked.workers) as map_fn, progress_bar(asked.quiet) as progress:
        from tollens.run.scan import scan  # now: the workers import the same at the same time

        report = scan(path, asked.settings(), claim=asked.claim, map_fn=map_fn, progress=progress)
    if asked.html is not None:
        from tollens.publish.report import write_report

        write_report(report, asked.html)
    emit(_answer(report, asked))
    return int(EXITS[report.verdict])


def _answer(report: ScanReport, asked: ScanOptions) -> str | bytes:
    if asked.as_json:
        return msgspec.json.encode(report) + b"\n"
    if asked.as_csv:
        from tollens.publish.table import csv_text

        return csv_text(report)
    if asked.quiet:
        return f"{report.verdict}  {report.headline}\n"
    from tollens.cli.screen import scan_text

    return scan_text(report, html=asked.html, show_all=asked.show_all)
