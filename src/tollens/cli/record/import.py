"""`tollens record import`: a result of another tool, taken over as data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tollens.cli.answer import json_option, quiet_option

if TYPE_CHECKING:
    from tollens.run.imports import ImportReport


@click.command(name="import")
@click.argument("file")
@click.option(
    "--study", metavar="DIR", help="Append it to the ledger of this study, and write NAME.imported.json there."
)
@click.option("--source", type=click.Choice(["lm-eval", "inspect-ai", "mlflow"]), help="Else told from the content.")
@click.option("--task", help="Which task of the file.")
@click.option("--metric", help="Which metric; of inspect_ai METRIC or SCORER/METRIC.")
@click.option("--filter", "filter_", help="lm-evaluation-harness: which filter.")
@click.option("--reducer", help="inspect_ai: which reducer of epochs.")
@click.option("--step", help="MLflow: an integer, or last.")
@click.option("--run", help="MLflow: which run.")
@click.option("--n", type=int, help="MLflow: how many samples the value is over, stated by hand.")
@click.option("--n-from", metavar="KEY", help="MLflow: the logged parameter or metric that is n.")
@click.option("--samples", metavar="FILE", help="lm-evaluation-harness: samples_TASK_*.jsonl, computed again.")
@click.option("--name", metavar="READING", help="The name that the reading gets.")
@json_option("tollens.record.import/1")
@quiet_option
def command(file: str, study: str | None, as_json: bool, quiet: bool, **choice: Any) -> int:
    """Read one number out of FILE, with its n and the digest of its source, or say why not.

    FILE is results_*.json of lm-evaluation-harness, a .json or .eval log of inspect_ai, or mlruns/ or mlflow.db of
    MLflow. Nothing is run. Exit: 0 imported, 2 refused, 22 not scorable.
    """
    from tollens.cli.study_screen import show
    from tollens.run.imports import ImportQuestion, import_result
    from tollens.subject.results.imported import Wanted

    wanted = Wanted(
        choice["task"], choice["metric"], choice["filter_"], choice["reducer"], choice["step"], choice["run"],
        choice["n"], choice["n_from"],
    )  # fmt: skip
    question = ImportQuestion(wanted, choice["source"], choice["samples"], choice["name"])
    report = import_result(file, question, study)
    show(report, lambda: _text(report), _headline(report), as_json=as_json, quiet=quiet)
    return 0


def _headline(report: ImportReport) -> str:
    result = report.result
    metric = f"{result.metric},{result.filter}" if result.filter else result.metric
    metric += f" ({result.reducer})" if result.reducer else ""
    metric += f" at step {result.step}" if result.step is not None else ""
    error = f" ± {result.stderr:.4g} (stderr)" if result.stderr is not None else ""
    unscored = f", {result.unscored} unscored" if result.unscored else ""
    return (
        f"{report.verdict}  {result.task} {metric} = {result.value:.6g}{error}, n = {result.n}{unscored}  "
        f"{result.source} {result.version}  sha256:{report.sha256[:12]}"
    )


def _text(report: ImportReport) -> str:
    from tollens.cli.facts import facts_text
    from tollens.cli.terminal import printable

    result = report.result
    attempts = f" samples; {result.attempts} measurements" if result.attempts != result.n else " samples"
    rows = [
        ("label", report.label),
        ("value", f"{result.value!r}, unit {result.unit}"),
        ("stderr", f"{result.stderr!r}" if result.stderr is not None else f"none: {result.no_stderr}"),
        ("n", f"{result.n}{attempts}; from {result.n_from}"),
        ("scored", f"{result.scored}, and {result.unscored} without a score"),
        ("version", f"of the task: {result.task_version}" if result.task_version else ""),
        ("made", result.made or "the tool says no time"),
        ("run", result.run or ""),
        ("source", f"{report.path}  sha256 {report.sha256}"),
        ("name", report.name),
        ("file", f"{report.file} in {report.study}" if report.file else ""),
        *(("note", note) for note in report.notes),
        ("next", report.next),
    ]
    return facts_text(printable(_headline(report)), [row for row in rows if row[1]])
