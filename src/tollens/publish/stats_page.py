"""Statistical answers as small pages: the picture first, then every number behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tollens.publish.html import page_html
from tollens.publish.stats_charts import difference_svg, e_value_svg, items_svg, path_svg, posterior_svg, power_svg
from tollens.publish.svg import unchecked
from tollens.publish.text import foreign, number
from tollens.run.ab import AbReport
from tollens.run.compare import CompareReport
from tollens.run.power import PowerReport
from tollens.stats.result import Result

COLUMNS = ("true rates A, B", "ships A", "ships B", "neither", "mean users", "median users")


def ab_html(report: AbReport) -> str:
    """The page of `tollens stats ab`. Raises TollensError `extra_missing` without the report extra."""
    with unchecked():
        pictures = [
            _figure(posterior_svg(report), "Posterior densities of both rates where the rule stood last."),
            _figure(path_svg(report), "The rule: at each look, the smaller expected loss against its boundary."),
            _figure(e_value_svg(report), "Beside it, valid at any stopping time: the e-value against equal rates."),
        ]
    tables = [
        f"<h3>{foreign(rule.rule)}</h3><p>{foreign(rule.guarantee)}.</p>"
        + _table(
            COLUMNS,
            [
                (
                    f"{row.rate_a:g}, {row.rate_b:g}{' (A/A)' if row.rate_a == row.rate_b else ''}",
                    f"{row.ships_a:.1%}", f"{row.ships_b:.1%}", f"{row.third:.1%}",
                    f"{row.mean_users:,.0f}", f"{row.median_users:,.0f}",
                )
                for row in rule.rows
            ],
        )
        for rule in report.characteristics
    ]  # fmt: skip
    facts = {
        "data": report.path, "digest": report.digest, "guarantee": report.guarantee,
        "e-value rule": report.decision_e + (f" at n = {report.stopped_at_e:,}" if report.stopped_at_e else ""),
        "assumes": "; ".join(report.assumptions), "not used": f"{report.unused:,} observations",
    }  # fmt: skip
    before = (
        "<h2>Before the data were opened</h2><p>Simulated shares of runs under equal rates (A/A) and under the "
        f"difference worth finding. With no last look equal arms would stop by about {report.tie_n:,.0f} an arm.</p>"
    )
    head = _head("a sequential A/B decision", report.decision, report.headline, facts)
    return page_html(f"{report.decision} – A/B – Tollens", [head, *pictures, before, *tables])


def compare_html(report: CompareReport) -> str:
    """The page of `tollens stats compare`. Raises TollensError `extra_missing` without the report extra."""
    with unchecked():
        pictures = [
            _figure(difference_svg(report), "The difference with its interval, beside zero and the margin."),
            _figure(items_svg(report), "How many items differ by how much."),
        ]
    facts = {
        "first": f"{report.first.path}, mean {number(report.first.mean)}, {report.first.digest}",
        "second": f"{report.second.path}, mean {number(report.second.mean)}, {report.second.digest}",
        "items": f"{report.n:,} compared, {report.left_out:,} left out",
    } | dict(compare_facts(report))
    head = _head("two systems on the same items", report.outcome.upper(), report.headline, facts)
    return page_html(f"{report.outcome} – compare – Tollens", [head, *pictures])


def power_html(report: PowerReport) -> str:
    """The page of `tollens stats power`. Raises TollensError `extra_missing` without the report extra."""
    with unchecked():
        picture = _figure(power_svg(report), "Power by sample size; the point is the design that was asked for.")
    facts = {"guarantee": report.guarantee, "reference": "; ".join(report.references)}
    rows = [(f"{point.n:,.0f}", f"{point.power:.4f}") for point in report.curve]
    head = _head("power of a design", "POWER", report.headline, facts)
    return page_html("power – Tollens", [head, picture, _table((f"n, {report.unit}", "power"), rows)])


def compare_facts(report: CompareReport) -> list[tuple[str, str]]:
    """Each answer of a comparison as (name, sentence): for the page and for the terminal."""
    found = [("difference", result_text(report.difference)), ("test", result_text(report.test))]
    if report.equivalence is not None:
        found.append(("equivalence", result_text(report.equivalence)))
    else:
        found.append(("equivalence", "not asked: state --margin before the results are seen"))
    if report.se_clustered is not None and report.se_naive is not None:
        ratio = f", {report.se_clustered / report.se_naive:.2f} times" if report.se_naive else ""
        found.append(("errors", f"clustered {report.se_clustered:.4g} against {report.se_naive:.4g} naive{ratio}"))
    if report.settle_n is not None:
        unit = "items" if report.question.cluster is None else "clusters"
        of = "the margin" if report.question.margin is not None else "what was seen"
        found.append(("to settle", f"about {report.settle_n:,} {unit} find a true difference of {of} with power 0.8"))
    if report.only_second is not None:
        found.append(("solved", f"{report.only_second:,} only the second solved, {report.only_first:,} only the first"))
    return found


def result_text(result: Result) -> str:
    """One answer in a sentence: the numbers, the rule, the guarantee, what is assumed."""
    if result.refused:
        return f"refused: {result.reason}"
    parts = []
    if result.estimate is not None:
        own = result.unit != "1"  # a share or a ratio, not a difference
        parts.append(f"{result.unit} {result.estimate:.4g}" if own else f"{result.estimate:+.4g}")
    if result.interval is not None:
        low, high = result.interval.low, result.interval.high
        parts.append(f"[{low:.4g}, {high:.4g}] at {100.0 * result.interval.level:.6g}%")
    if result.se is not None:
        parts.append(f"SE {result.se:.4g}")
    if result.p is not None:
        parts.append(f"p = {result.p:.4g}")
    assumed = f"; {'; '.join(result.assumptions)}" if result.assumptions else ""
    return f"{', '.join(parts)} ({result.rule}; {result.guarantee}{assumed})"


def _head(kind: str, verdict: str, headline: str, facts: Mapping[str, str]) -> str:
    rows = "".join(f"<dt>{foreign(name)}</dt><dd>{foreign(text)}</dd>" for name, text in facts.items())
    tone = "undetermined" if verdict in ("UNDETERMINED", "continue", "inconclusive") else "clean"
    return (
        f'<header><div class="brand">Tollens · {kind}</div><div class="verdict {tone}">{foreign(verdict)}</div>'
        f"<h1>{foreign(headline)}</h1><dl>{rows}</dl></header>"
    )


def _figure(svg: str, caption: str) -> str:
    return f"<figure>{svg}<figcaption>{foreign(caption)}</figcaption></figure>" if svg else ""


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th class="{"n" if place else ""}">{foreign(name)}</th>' for place, name in enumerate(columns))
    body = "".join(
        "<tr>"
        + "".join(f'<td class="{"n" if place else ""}">{foreign(c)}</td>' for place, c in enumerate(row))
        + "</tr>"
        for row in rows
    )
    return f'<table class="numbers"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
