"""The pictures of statistical answers: posteriors, the path of a sequential rule, an interval, a power curve."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from tollens.publish.svg import BLUE, GREEN, INK, MUTED, VERMILLION, inline_svg

if TYPE_CHECKING:
    from tollens.run.ab import AbReport
    from tollens.run.compare import CompareReport
    from tollens.run.power import PowerReport

WIDTH = 560
_POINTS = 161


def posterior_svg(report: AbReport) -> str:
    """Both posterior densities of the rates at the decision."""
    import altair as alt
    from scipy.special import betaln, xlog1py, xlogy

    laws = {report.labels[0]: report.posterior_a, report.labels[1]: report.posterior_b}
    spans = [(a / (a + b), math.sqrt(a * b / (a + b + 1.0)) / (a + b)) for a, b in laws.values()]
    low = max(1e-6, min(mean - 4.5 * sd for mean, sd in spans))
    high = min(1.0 - 1e-6, max(mean + 4.5 * sd for mean, sd in spans))
    rates = np.linspace(low, high, _POINTS)
    rows: list[dict[str, Any]] = []
    for name, (a, b) in laws.items():
        density = np.exp(xlogy(a - 1.0, rates) + xlog1py(b - 1.0, -rates) - betaln(a, b))
        rows += [{"rate": float(x), "density": float(y), "arm": name} for x, y in zip(rates, density, strict=True)]
    x = alt.X("rate:Q", title="rate", scale=alt.Scale(domain=[low, high], nice=False))
    lines = _chart(alt, rows).mark_line(strokeWidth=2.2).encode(
        x=x,
        y=alt.Y("density:Q", title="posterior density"),
        color=alt.Color("arm:N", scale=alt.Scale(domain=list(laws), range=[BLUE, VERMILLION]), legend=None),
        strokeDash=alt.StrokeDash("arm:N", scale=alt.Scale(domain=list(laws), range=[[6, 3], [1, 0]]), legend=None),
    )  # fmt: skip
    tops = [max((r for r in rows if r["arm"] == name), key=lambda r: r["density"]) for name in laws]
    names = _chart(alt, tops).mark_text(dy=-9, fontSize=13, color=INK).encode(x=x, y="density:Q", text="arm:N")
    label = f"Posterior densities of the two rates: {report.headline}."
    return inline_svg(alt.layer(lines, names).properties(width=WIDTH, height=220), label=label, key="posterior")


def path_svg(report: AbReport) -> str:
    """The smaller expected loss at each look, with the boundary below which the rule stops."""
    import altair as alt

    looks = [look for look in report.looks if report.stopped_at is None or look.n <= report.stopped_at]
    rows = [{"n": look.n, "value": max(min(look.loss_a, look.loss_b), 1e-12)} for look in looks]
    return _boundary(
        alt, rows, report.question.epsilon, "smaller expected loss, rate units",
        f"stop below {report.question.epsilon:g}",
        f"Smaller expected loss after each look; the rule stops below {report.question.epsilon:g}.", "loss",
    )  # fmt: skip


def e_value_svg(report: AbReport) -> str:
    """The e-value against equal rates at each look, with the boundary 1/alpha."""
    import altair as alt

    rows = [{"n": look.n, "value": min(max(look.e, 1e-12), 1e12)} for look in report.looks]
    bound = 1.0 / report.question.alpha
    return _boundary(
        alt, rows, bound, "e-value against equal rates", f"reject above {bound:g}",
        f"The e-value against equal rates after each look; the rule rejects above {bound:g}.", "evalue",
    )  # fmt: skip


def _boundary(
    alt: Any, rows: list[dict[str, float]], bound: float, title: str, words: str, label: str, key: str
) -> str:
    last = max(row["n"] for row in rows)
    x = alt.X("n:Q", title="units in each arm", scale=alt.Scale(domain=[0, last * 1.03], nice=False))
    y = alt.Y("value:Q", title=title, scale=alt.Scale(type="log"), axis=alt.Axis(format="~g", tickCount=5))
    line = _chart(alt, rows).mark_line(color=BLUE, strokeWidth=2, point={"size": 28, "color": BLUE}).encode(x=x, y=y)
    rule = _chart(alt, [{"value": bound}]).mark_rule(color=VERMILLION, strokeDash=[5, 3], strokeWidth=1.8).encode(y=y)
    below = rows[0]["value"] > bound  # the words stand on the side that the path does not start from
    text = _chart(alt, [{"value": bound}]).mark_text(align="left", dx=6, dy=15 if below else -9, fontSize=13, color=INK)
    named = text.encode(x=alt.value(0), y=y, text=alt.value(words))
    return inline_svg(alt.layer(line, rule, named).properties(width=WIDTH, height=220), label=label, key=key)


def difference_svg(report: CompareReport) -> str:
    """The interval of the difference beside zero and the margin of equivalence."""
    import altair as alt

    interval, estimate = report.difference.interval, report.difference.estimate
    if interval is None or estimate is None:
        return ""
    margin = report.question.margin
    rows = [
        {"what": f"{100.0 * interval.level:.6g}% interval", "low": interval.low, "high": interval.high, "at": estimate}
    ]
    if report.margin_interval is not None:
        inner = report.margin_interval
        name = f"{100.0 * inner.level:.6g}%, TOST"
        rows.append({"what": name, "low": inner.low, "high": inner.high, "at": estimate})
    reach = 1.15 * max([abs(v) for row in rows for v in (row["low"], row["high"])] + [margin or 0.0, 1e-12])  # type: ignore[arg-type]

    def along(field: str) -> Any:
        scale = alt.Scale(domain=[-reach, reach], nice=False)
        axis = alt.Axis(tickCount=5)
        return alt.X(f"{field}:Q", scale=scale, axis=axis, title="second minus first, in units of the score")

    y = alt.Y("what:N", title=None, sort=[str(row["what"]) for row in rows], axis=alt.Axis(minExtent=100))
    layers = []
    if margin is not None:
        band = _chart(alt, [{"low": -margin, "high": margin}]).mark_rect(color="#dcdcdc")
        layers.append(band.encode(x=along("low"), x2="high:Q"))
    zero = _chart(alt, [{"at": 0.0}]).mark_rule(color=MUTED, strokeDash=[3, 3])
    layers.append(zero.encode(x=along("at")))
    bars = _chart(alt, rows).mark_rule(color=BLUE, strokeWidth=3)
    layers.append(bars.encode(x=along("low"), x2="high:Q", y=y))
    points = _chart(alt, rows).mark_point(filled=True, color=BLUE, size=90, opacity=1)
    layers.append(points.encode(x=along("at"), y=y))
    said = f"The difference is {estimate:.4g} with the interval {interval.low:.4g} to {interval.high:.4g}"
    shown = said + (f"; the grey band is the margin of {margin:g}." if margin is not None else ".")
    chart = alt.layer(*layers).properties(width=WIDTH - 120, height=60 * len(rows))
    return inline_svg(chart, label=shown, key="difference")


def items_svg(report: CompareReport) -> str:
    """How many items have which difference."""
    import altair as alt

    rows = [{"difference": value, "items": count} for value, count in report.differences]
    values = [row["difference"] for row in rows]
    step = min((b - a for a, b in pairwise(values)), default=1.0)
    for row in rows:
        row |= {"from": row["difference"] - 0.4 * step, "to": row["difference"] + 0.4 * step}
    ticks = values if len(values) <= 9 else values[:: len(values) // 8]
    bars = _chart(alt, rows).mark_rect(color=GREEN).encode(
        x=alt.X("from:Q", title="difference of one item", axis=alt.Axis(values=ticks, grid=False)),
        x2="to:Q", y=alt.Y("items:Q", title="items"),
        y2=alt.value(160),
    )  # fmt: skip
    label = f"Number of items by difference of score, {report.n:,} items."
    return inline_svg(bars.properties(width=WIDTH, height=160), label=label, key="items")


def power_svg(report: PowerReport) -> str:
    """Power against the number of units, with the design that was asked for."""
    import altair as alt

    rows = [{"n": point.n, "power": point.power} for point in report.curve]
    x = alt.X("n:Q", title=f"n, {report.unit}", scale=alt.Scale(type="log", nice=False), axis=alt.Axis(format=",~g"))
    y = alt.Y("power:Q", title="power", scale=alt.Scale(domain=[0, 1]))
    line = _chart(alt, rows).mark_line(color=BLUE, strokeWidth=2).encode(x=x, y=y)
    at = _chart(alt, [{"n": report.n, "power": report.power}])
    layers = alt.layer(line, at.mark_point(filled=True, color=VERMILLION, size=110, opacity=1).encode(x=x, y=y))
    label = f"Power by sample size: {report.headline}."
    return inline_svg(layers.properties(width=WIDTH, height=240), label=label, key="power")


def _chart(alt: Any, rows: list[Any]) -> Any:
    return alt.Chart(alt.InlineData(values=rows))
