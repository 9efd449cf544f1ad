"""`tollens stats compare FIRST SECOND`: two evaluation result files, item by item."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tollens.cli.answer import answer, html_option, json_option, quiet_option
from tollens.cli.terminal import printable
from tollens.core.errors import Exit

if TYPE_CHECKING:
    from tollens.run.compare import CompareReport


@click.command(name="compare")
@click.argument("first")
@click.argument("second")
@click.option("--id", default="id", show_default=True, help="Column that names the item.")
@click.option("--score", default="score", show_default=True, help="Column with the score; 0/1, true/false or a number.")
@click.option("--cluster", help="Column of items that belong together: document, seed, question group.")
@click.option("--margin", type=float, help="Largest difference that does not matter; asks for equivalence.")
@click.option("--alpha", type=float, default=0.05, show_default=True, help="Level of the test and the interval.")
@click.option("--common", is_flag=True, help="Compare the items that both files have, and count the others.")
@click.option("--min-clusters", type=click.IntRange(2), default=8, show_default=True, help="Refuse below so many.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the sign flips beyond 20 units.")
@json_option("tollens.stats.compare/1")
@html_option
@quiet_option
def command(first: str, second: str, *, as_json: bool, html: str | None, quiet: bool, **asked: Any) -> int:
    """Compare two systems on the same items: SECOND minus FIRST.

    The files are CSV with a header, or JSON objects one a line. Exit 0 where the two differ or are equivalent,
    11 where neither is shown.
    """
    from tollens.run.compare import CompareQuestion, compare

    report = compare(first, second, CompareQuestion(**asked))

    def shown() -> str:
        return _text(report)

    def page() -> str:
        from tollens.publish.stats_page import compare_html

        return compare_html(report)

    headline = f"{report.outcome.upper()}  {report.headline}"
    answer(report, headline, shown, page, as_json=as_json, html=html, quiet=quiet)
    return int(Exit.UNDETERMINED if report.outcome == "undetermined" else Exit.CLEAN)


def _text(report: CompareReport) -> str:
    from tollens.cli.facts import facts_text
    from tollens.publish.stats_page import compare_facts

    rows = [
        ("first", f"{report.first.path}: mean {report.first.mean:.6g}"),
        ("second", f"{report.second.path}: mean {report.second.mean:.6g}"),
        ("n", f"{report.n:,} items{f', {report.left_out:,} left out' if report.left_out else ''}"),
        *compare_facts(report),
    ]
    return facts_text(f"{report.outcome.upper()}  {printable(report.headline)}", rows)
