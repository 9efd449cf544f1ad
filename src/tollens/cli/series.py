"""`tollens scan --series PATH...`: checkpoints of one run in, what changed and where the best one is out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click
import msgspec

from tollens.cli.output import require_writable
from tollens.cli.progress import progress_bar
from tollens.cli.scan import ScanOptions
from tollens.cli.terminal import emit
from tollens.cli.workers import workers
from tollens.core.errors import Exit

if TYPE_CHECKING:
    from tollens.run.series_result import SeriesReport


def answer_series(paths: Sequence[str], asked: ScanOptions) -> int:
    """Print the answer; returns 1 if a change calls for an answer (a trap that appears, numbers lost), else 0."""
    if asked.claim is not None:
        raise click.UsageError("--claim is about one checkpoint; leave --series out.")
    if asked.gof or asked.columns != "tollens":
        raise click.UsageError("--gof and --columns are about one checkpoint; leave --series out.")
    if (asked.extrapolate is None) != (asked.out is None):
        raise click.UsageError("--extrapolate STEP and --out FILE go together.")
    if asked.html is not None:
        require_writable(asked.html)
    preload = ("tollens.run.layer", "tollens.run.path")
    with workers(asked.jobs, asked.workers, preload) as map_fn, progress_bar(asked.quiet) as progress:
        from tollens.run.series import series  # now: the workers import the same at the same time

        report = series(
            paths, asked.settings(), extrapolate=asked.extrapolate, out=asked.out, map_fn=map_fn, progress=progress
        )
    if asked.html is not None:
        from tollens.publish.series_page import write_series

        write_series(report, asked.html)
    emit(_answer(report, asked))
    return int(Exit.FINDINGS if report.verdict == "FINDINGS" else Exit.CLEAN)


def _answer(report: SeriesReport, asked: ScanOptions) -> str | bytes:
    if asked.as_json:
        return msgspec.json.encode(report) + b"\n"
    if asked.as_csv:
        from tollens.publish.series_table import csv_text

        return csv_text(report)
    if asked.quiet:
        return f"{report.verdict}  {report.headline}\n"
    from tollens.cli.series_screen import series_text

    return series_text(report, html=asked.html, show_all=asked.show_all)
