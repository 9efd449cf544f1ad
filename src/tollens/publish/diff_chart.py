"""What changed, by depth, and the spectrum of one change: each beside what chance or rounding makes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tollens.publish.depth_chart import GROUPS, every, group_of
from tollens.publish.spectrum_chart import (
    BOTTOM,
    HEIGHT,
    WIDTH,
    Rule,
    SpectrumBars,
    count_axis,
    decade_axis,
    merged_bars,
    ruled,
    uncrossed,
)
from tollens.publish.svg import BLUE, INK, MUTED, SKY, VERMILLION, inline_svg
from tollens.publish.text import power
from tollens.run.diff_result import DiffReport, LayerDelta, Overlap

Row = dict[str, Any]
NULL_HIGH, NULL = "#dcdcdc", "#8a8a8a"


@dataclass(frozen=True)
class Measure:
    """One quantity by depth. `value` of a layer and its null (low, middle, high); None where there is none.

    `linear` gives a linear axis from 0 or below on; otherwise it is logarithmic.
    """

    title: str
    said: str
    value: Callable[[LayerDelta], float | None]
    null: Callable[[LayerDelta], tuple[float, float, float] | None]
    linear: bool = True


def change_of(layer: LayerDelta) -> float | None:
    """||Delta||_F / ||W_base||_F where it is above zero: a logarithmic axis has no place for an equal layer."""
    return layer.relative_change or None


def rounding_of(layer: LayerDelta) -> tuple[float, float, float] | None:
    """The relative change that rounding alone makes, as a line without width."""
    if layer.floor is None or not layer.base_fro2 or layer.floor.rms <= 0.0:
        return None
    alone = layer.floor.rms * math.sqrt(layer.M * layer.N / layer.base_fro2)
    return alone, alone, alone


def _haar(overlap: Overlap | None) -> tuple[float, float, float] | None:
    return None if overlap is None else (overlap.null.low, overlap.null.median, overlap.null.high)


def _chance(layer: LayerDelta) -> tuple[float, float, float] | None:
    kin = layer.kinship
    return None if kin is None else (-kin.null_high, 0.0, kin.null_high)


CHANGE = Measure("‖Δ‖ / ‖W‖", "relative change", change_of, rounding_of, linear=False)
LEFT = Measure(
    "overlap, output side", "overlap on the output side",
    lambda layer: layer.overlap_left.value if layer.overlap_left else None, lambda layer: _haar(layer.overlap_left),
)  # fmt: skip
RIGHT = Measure(
    "overlap, input side", "overlap on the input side",
    lambda layer: layer.overlap_right.value if layer.overlap_right else None, lambda layer: _haar(layer.overlap_right),
)  # fmt: skip
KINSHIP = Measure(
    "cosine", "cosine of both matrices", lambda layer: layer.kinship.cosine if layer.kinship else None, _chance
)


def in_base_order(report: DiffReport) -> list[LayerDelta]:
    return sorted(report.layers, key=lambda layer: layer.order)


def rows_of(report: DiffReport, measure: Measure) -> list[Row]:
    """One row a layer in the order of the base; absent values are absent keys."""
    rows = []
    for place, layer in enumerate(in_base_order(report), 1):
        row: Row = {"place": place, "from": place - 0.5, "to": place + 0.5, "group": group_of(layer.role)}
        value, null = measure.value(layer), measure.null(layer)
        if value is not None:
            row["value"] = value
        else:
            row["absent"] = layer.state
        if null is not None:
            row |= {"low": null[0], "null": null[1], "high": null[2]}
        rows.append(row)
    return rows


def drawable(report: DiffReport, measure: Measure) -> bool:
    return any("value" in row for row in rows_of(report, measure))


def by_depth_svg(report: DiffReport, measure: Measure, *, tall: bool, key: str) -> str:
    """A quantity by depth as inline SVG: layers left to right, or top to bottom where `tall`."""
    import altair as alt

    rows = rows_of(report, measure)
    count = len(rows)
    along, across = (min(max(count * 9, 200), 1500), 270) if tall else (760, 210)
    place_name, value_name = ("y", "x") if tall else ("x", "y")
    place_class, value_class = (alt.Y, alt.X) if tall else (alt.X, alt.Y)
    seen = [row[k] for row in rows for k in ("value", "low", "high") if k in row]
    scale, axis = _scale(alt, seen, measure, tall)
    steps = sorted({1, count, *range(every(count), count, every(count))})
    if len(steps) > 2 and steps[-1] - steps[-2] < every(count) / 2:
        steps.pop(-2)
    ends = [0.2, count + 0.8]
    place_scale = alt.Scale(domain=ends[::-1] if tall else ends, nice=False)
    place_axis = alt.Axis(values=steps, format="d", grid=False, titlePadding=8)

    def place(field: str) -> Any:
        return place_class(f"{field}:Q", scale=place_scale, axis=place_axis, title="layer, in the order of the base")

    def value(field: str) -> Any:
        return value_class(f"{field}:Q", scale=scale, axis=axis, title=measure.title)

    def having(*fields: str) -> Any:
        return alt.Chart(alt.InlineData(values=[row for row in rows if all(field in row for field in fields)]))

    present = [group for group in GROUPS if any(row["group"] == group for row in rows)]
    shape = alt.Shape("group:N", scale=alt.Scale(domain=present, range=[GROUPS[g][0] for g in present]), legend=None)
    colour = alt.Color("group:N", scale=alt.Scale(domain=present, range=[GROUPS[g][1] for g in present]), legend=None)
    size = max(14.0, min(80.0, 18.0 * along / max(count, 1) / 3))
    places = {place_name: place("from"), f"{place_name}2": "to:Q"}
    rim = {value_name: alt.value(7 if tall else across - 7)}
    layers = [
        having("null")
        .mark_rect(color=NULL_HIGH)
        .encode(**places, **{value_name: value("low"), f"{value_name}2": "high:Q"}),
        having("null").mark_rule(color=NULL, strokeWidth=1.2).encode(**places, **{value_name: value("null")}),
        having("value")
        .mark_point(filled=True, opacity=1, size=size, stroke="white", strokeWidth=0.5)
        .encode(**{place_name: place("place"), value_name: value("value")}, shape=shape, color=colour),
        having("absent")
        .mark_point(shape="cross", angle=45, size=34, color=INK, filled=True, opacity=1)
        .encode(**{place_name: place("place")}, **rim),
    ]
    width, height = (across, along) if tall else (along, across)
    chart = alt.layer(*layers).properties(width=width, height=height)
    return inline_svg(chart, label=_description(rows, measure), key=key)


def _scale(alt: Any, seen: Sequence[float], measure: Measure, tall: bool) -> tuple[Any, Any]:
    orient = "top" if tall else "left"
    if measure.linear:
        low, high = min([0.0, *seen]), max([0.0, *seen])
        room = 0.06 * (high - low or 1.0)
        domain = [low - (room if low < 0.0 else 0.0) - room, high + room]
        return alt.Scale(domain=domain, nice=False), alt.Axis(orient=orient, tickCount=4, titlePadding=8)
    low, high = math.log10(min(seen)), math.log10(max(seen))
    low, high = low - 0.25 - 0.1 * (high - low), high + 0.15
    names = log_ticks(low, high)
    pick = " : ".join(f"datum.value < {at * 1.001:.6g} ? '{name}'" for at, name in names.items())
    axis = alt.Axis(values=list(names), labelExpr=f"{pick} : ''", orient=orient, titlePadding=8)
    return alt.Scale(type="log", domain=[10.0**low, 10.0**high], nice=False), axis


def log_ticks(low: float, high: float) -> dict[float, str]:
    """Ticks from 10^low to 10^high, ascending, each with its label: powers of ten, seven at most, or some times 2 and 5
    where fewer than two lie within."""
    decades = range(math.ceil(low), math.floor(high) + 1)
    if len(decades) >= 2:
        apart = math.ceil(len(decades) / 7)
        return {10.0**k: power(k) for k in decades if k % apart == 0}
    fine = ((d, k) for k in range(math.floor(low), math.floor(high) + 1) for d in (1, 2, 5))
    within = [(d, k) for d, k in fine if low <= math.log10(d) + k <= high]
    return {d * 10.0**k: power(k) if d == 1 else f"{d} × {power(k)}" for d, k in within}


def _description(rows: Sequence[Row], measure: Measure) -> str:
    values = [row["value"] for row in rows if "value" in row]
    span = f", from {min(values):.3g} to {max(values):.3g}" if values else ""
    return (
        f"{measure.said.capitalize()} of {len(values)} of {len(rows)} matrices in the order of the base{span}, beside "
        "what chance or rounding gives. The table of all matrices holds the same numbers."
    )


def delta_svg(layer: LayerDelta, key: str) -> str | None:
    """The spectrum of one change with the levels that rounding and shuffling reach; None where there is none."""
    import altair as alt

    bars = delta_bars(layer)
    if bars is None:
        return None
    rules = levels(layer)
    ends = [bars.start, bars.start + bars.step * len(bars.histogram.counts), *(r[1] for r in rules)]
    margin = 0.02 * (max(ends) - min(ends))
    domain = [min(ends) - margin, max(ends) + margin]
    peak = max(row["y"] for row in bars.bars())
    room = (peak / BOTTOM) ** 0.25
    x = alt.X("x:Q", scale=alt.Scale(domain=domain, nice=False), title="eigenvalue of Δ′Δ (weight²)",
              axis=decade_axis(*domain))  # fmt: skip
    y = alt.Y(
        "y:Q", scale=alt.Scale(type="log", domain=[BOTTOM, peak * room * 1.1], nice=False),
        title="eigenvalues per bin", axis=count_axis(peak),
    )  # fmt: skip
    drawn = alt.Chart(alt.InlineData(values=bars.bars())).mark_bar(
        color="#b9d9ee", stroke=SKY, strokeWidth=0.6, binSpacing=0
    )
    placed = [ruled(alt, rule, share, row) for row, (share, rule) in enumerate(uncrossed(rules, domain))]
    layers = [drawn.encode(x=x, x2="x2:Q", y=y, y2="y2:Q")]
    layers += [mark for marks in placed for mark in marks[:-1]] + [marks[-1] for marks in placed]
    chart = alt.layer(*layers).properties(width=WIDTH - 60, height=HEIGHT)
    told = "; ".join(name for name, *_ in rules)
    label = (
        f"Spectrum of the change: {sum(bars.histogram.counts)} eigenvalues on logarithmic axes; {told or 'no level'}"
    )
    return inline_svg(chart, label=label, key=key)


def delta_bars(layer: LayerDelta) -> SpectrumBars | None:
    return merged_bars(layer.histogram)


def levels(layer: LayerDelta) -> list[Rule]:
    """Vertical rules: what rounding reaches, and what the same elements in random order reach."""
    wanted: list[tuple[str, float | None, str, list[int]]] = [
        ("rounding reaches", layer.floor.edge if layer.floor else None, VERMILLION, [2, 2]),
        ("shuffled elements reach", layer.shuffled.edge if layer.shuffled else None, BLUE, [1, 0]),
    ]
    if layer.blind_floor and layer.histogram and layer.blind_floor > 10.0 ** (layer.histogram.log10_low - 1.5):
        wanted.append(("blind below", layer.blind_floor, MUTED, [1, 3]))
    return [(name, math.log10(x), colour, dash) for name, x, colour, dash in wanted if x is not None and x > 0.0]
