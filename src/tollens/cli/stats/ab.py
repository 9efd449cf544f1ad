"""`tollens stats ab FILE`: what the rule does is simulated and shown first; then the data are opened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tollens.cli.answer import answer, html_option, json_option, quiet_option
from tollens.cli.terminal import printable
from tollens.core.errors import Exit

if TYPE_CHECKING:
    from tollens.run.ab import AbReport, Characteristics

TABLE = 65  # columns of the simulated table
UNDECIDED = ("continue", "inconclusive")


@click.command(name="ab")
@click.argument("path", metavar="FILE")
@click.option("--rate", type=float, required=True, help="The rate you expect of the control, before any data. In 0..1.")
@click.option("--better", type=float, required=True, help="The rate of B that would be worth finding. In RATE..1.")
@click.option("--epsilon", type=float, default=0.001, show_default=True, help="Stop where the expected loss is below.")
@click.option(
    "--every", type=click.IntRange(1), default=50, show_default=True, help="A look each so many units an arm."
)
@click.option("--cap", type=click.IntRange(1), default=5000, show_default=True, help="No look beyond, units an arm.")
@click.option("--minimum", type=click.IntRange(0), default=0, show_default=True, help="Ship nothing before, an arm.")
@click.option("--prior", type=(float, float), default=(1.0, 1.0), show_default=True, help="Beta prior of either rate.")
@click.option(
    "--third", type=click.Choice(["keep control", "inconclusive"]), default="inconclusive", show_default=True,
    help="What is done at the last look.",
)  # fmt: skip
@click.option("--alpha", type=float, default=0.05, show_default=True, help="Level of the e-value rule beside it.")
@click.option("--runs", type=click.IntRange(100), default=1000, show_default=True, help="Simulated experiments.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Every random draw follows from it.")
@click.option("--arm", default="arm", show_default=True, help="Column with the label of the arm.")
@click.option("--outcome", default="outcome", show_default=True, help="Column with 0 or 1.")
@click.option("--control", default="A", show_default=True, help="The label of the control.")
@json_option("tollens.stats.ab/1")
@html_option
@quiet_option
def command(path: str, *, as_json: bool, html: str | None, quiet: bool, **asked: Any) -> int:
    """Follow a sequential Bayesian A/B rule through the observations in FILE, in their order.

    FILE is CSV with a header or JSON lines, one row a unit. Before it is opened the rule is simulated under
    equal arms (A/A) and under --better, beside a rule that is valid at any stopping time. Exit 0 where an
    arm is shipped or the control kept, 11 where nothing is decided.
    """
    from tollens.run.ab import AbQuestion, ab

    def told(characteristics: list[Characteristics]) -> None:
        if not as_json and not quiet:
            click.echo(_characteristics(characteristics), err=False)

    report = ab(path, AbQuestion(**asked), told=told)

    def shown() -> str:
        return _text(report)

    def page() -> str:
        from tollens.publish.stats_page import ab_html

        return ab_html(report)

    answer(report, report.headline, shown, page, as_json=as_json, html=html, quiet=quiet)
    return int(Exit.UNDETERMINED if report.decision in UNDECIDED else Exit.CLEAN)


def _characteristics(rules: list[Characteristics]) -> str:
    from tollens.cli.facts import columns, wrapped

    narrow = columns() < TABLE
    lines = ["before the data are opened, simulated:"]
    for rule in rules:
        lines += ["", *wrapped(rule.rule), *wrapped(rule.guarantee, "  ")]
        if not narrow:
            lines.append(f"  {'true A, B':<18}{'ships A':>9}{'ships B':>9}{'neither':>9}{'users':>9}{'median':>9}")
        for row in rule.rows:
            truth = f"{row.rate_a:g}, {row.rate_b:g}" + (" (A/A)" if row.rate_a == row.rate_b else "")
            if narrow:
                lines += wrapped(
                    f"true A, B {truth}: ships A {row.ships_a:.1%}, ships B {row.ships_b:.1%}, "
                    f"neither {row.third:.1%}; users {row.mean_users:,.0f}, median {row.median_users:,.0f}", "  ",
                )  # fmt: skip
                continue
            lines.append(
                f"  {truth:<18}{row.ships_a:>9.1%}{row.ships_b:>9.1%}{row.third:>9.1%}"
                f"{row.mean_users:>9,.0f}{row.median_users:>9,.0f}"
            )
    return "\n".join(lines) + "\n"


def _text(report: AbReport) -> str:
    from tollens.cli.facts import facts_text

    last = report.looks[-1]
    at = f" at n = {report.stopped_at_e:,} an arm" if report.stopped_at_e else f", e = {last.e:.3g} at n = {last.n:,}"
    rows = [
        ("data", f"{report.path}, {report.labels[0]} is the control"),
        ("rates", f"difference {report.estimate:+.4g}, posterior sd {report.se:.4g}"),
        ("guarantee", report.guarantee),
        ("e-value rule", f"{report.decision_e}{at}; valid at any stopping time"),
        ("assumes", "; ".join(report.assumptions)),
        ("not used", f"{report.unused:,} observations"),
    ]
    return facts_text(printable(report.headline), rows)
