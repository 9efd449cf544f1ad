"""`tollens stats power DESIGN`: n for a power, or the power of an n."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tollens.cli.answer import answer, html_option, json_option, quiet_option
from tollens.core.errors import Exit

if TYPE_CHECKING:
    from tollens.run.power import PowerReport


@click.command(name="power")
@click.argument("design", type=click.Choice(["two-sample", "paired", "proportions", "eval", "equivalence"]))
@click.option("--effect", type=float, help="two-sample, paired: difference over standard deviation.")
@click.option("--p1", type=float, help="proportions: rate of the control, in 0..1.")
@click.option("--p2", type=float, help="proportions: rate of the other arm, in 0..1.")
@click.option("--formula", type=click.Choice(["null-variance", "pooled", "unpooled", "arcsine"]), help="proportions.")
@click.option("--variance", type=float, help="eval: variance of the paired item differences.")
@click.option("--difference", type=float, help="eval: the difference of means to be found.")
@click.option("--psi", type=float, help="equivalence: share of items on which the two systems differ.")
@click.option("--margin", type=float, help="equivalence: the largest difference that does not matter.")
@click.option("--n", type=click.IntRange(1), help="Ask for the power with so many units.")
@click.option("--power", type=float, help="Ask for the units that give this power.")
@click.option("--alpha", type=float, default=0.05, show_default=True, help="Level of the test.")
@click.option("--sides", type=click.IntRange(1, 2), default=2, show_default=True, help="One- or two-sided.")
@json_option("tollens.stats.power/1")
@html_option
@quiet_option
def command(*, as_json: bool, html: str | None, quiet: bool, **asked: Any) -> int:
    """How many units DESIGN needs for --power, or what power it has with --n."""
    from tollens.run.power import PowerQuestion, power

    report = power(PowerQuestion(**asked))

    def shown() -> str:
        return _text(report)

    def page() -> str:
        from tollens.publish.stats_page import power_html

        return power_html(report)

    answer(report, report.headline, shown, page, as_json=as_json, html=html, quiet=quiet)
    return int(Exit.CLEAN)


def _text(report: PowerReport) -> str:
    from tollens.cli.facts import facts_text

    rows = [("guarantee", report.guarantee), ("reference", "; ".join(report.references))]
    if report.question.formula:
        rows.insert(0, ("formula", report.question.formula))
    if report.n_exact is not None:
        rows.insert(0, ("n, real", f"{report.n_exact:.6g}, rounded up"))
    curve = "".join(f"  {point.n:>12,.0f}  {point.power:.4f}\n" for point in report.curve)
    return f"{facts_text(report.headline, rows)}\n  {'n ' + report.unit:>12}  power\n{curve}"
