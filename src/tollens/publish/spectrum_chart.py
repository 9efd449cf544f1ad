"""The spectrum of one layer on logarithmic axes, with what chance and the fits expect of it."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tollens.instrument.bulk import mp_density, mp_support
from tollens.publish.svg import BLUE, INK, MUTED, ORANGE, PURPLE, SKY, VERMILLION, inline_svg
from tollens.publish.text import power
from tollens.run.result import Histogram, LayerReport

WIDTH, HEIGHT, LABELS = 350, 250, 62
BOTTOM = 0.5
"""Counts start at one half: on a logarithmic axis a bin of one eigenvalue must have a height."""

Row = dict[str, float]
Rule = tuple[str, float, str, list[int]]


@dataclass(frozen=True)
class SpectrumBars:
    """The bars of a spectrum; x is log10 of an eigenvalue (weight^2), y a count per bin."""

    histogram: Histogram

    @cached_property
    def step(self) -> float:
        """Width of a bin in decades; a spectrum of one value is given one decade."""
        low, high = self.histogram.log10_low, self.histogram.log10_high
        return (high - low if high > low else 1.0) / len(self.histogram.counts)

    @cached_property
    def start(self) -> float:
        low, high = self.histogram.log10_low, self.histogram.log10_high
        return low if high > low else low - 0.5

    def bars(self) -> list[Row]:
        """Bins that hold at least one eigenvalue."""
        edges = self.start + self.step * np.arange(len(self.histogram.counts) + 1)
        return [
            {"x": float(a), "x2": float(b), "y": count, "y2": BOTTOM}
            for a, b, count in zip(edges[:-1], edges[1:], self.histogram.counts, strict=True)
            if count
        ]


@dataclass(frozen=True)
class SpectrumPicture(SpectrumBars):
    """The drawn parts of the spectrum of one layer."""

    layer: LayerReport

    def tail(self) -> list[Row]:
        """Expected counts of the fitted power law from xmin on: a straight line here, of slope 1 - alpha.

        n_tail points of density (alpha-1)/xmin (x/xmin)^-alpha put n_tail (alpha-1) (x/xmin)^(1-alpha)
        ln(10) step of them into a bin of `step` decades.
        """
        alpha, xmin, n_tail, top = self.layer.alpha, self.layer.xmin, self.layer.n_tail, self.layer.lambda_max
        if alpha is None or xmin is None or not n_tail or not top or xmin <= 0.0 or alpha <= 1.0:
            return []
        first = n_tail * (alpha - 1.0) * math.log(10.0) * self.step
        begin = math.log10(xmin)
        stop = begin + math.log10(first / BOTTOM) / (alpha - 1.0) if first > BOTTOM else begin
        end = min(math.log10(top), stop)
        if end <= begin:
            return []
        return [{"x": x, "y": first * 10.0 ** ((1.0 - alpha) * (x - begin))} for x in (begin, end)]

    def bulk(self) -> list[Row]:
        """Expected counts of the Marchenko-Pastur bulk, outliers left out on both sides as in its fit."""
        sigma2 = self.layer.mp_sigma2
        spikes = self.layer.n_outliers or 0
        M, N = self.layer.M - spikes, self.layer.N - spikes
        if sigma2 is None or sigma2 <= 0.0 or M < 1:
            return []
        low, high = (edge * N * sigma2 for edge in mp_support(M / N))
        begin = max(math.log10(max(low, 1e-300)), self.start)
        end = math.log10(high)
        if end <= begin:
            return []
        x = begin + (end - begin) * (1.0 - np.cos(np.linspace(0.0, np.pi, 120))) / 2.0  # dense where it falls steeply
        unit = 10.0**x / (N * sigma2)
        counts = M * mp_density(unit, M / N) * unit * math.log(10.0) * self.step
        return [{"x": float(a), "y": float(b)} for a, b in zip(x, counts, strict=True) if b >= BOTTOM]

    def height(self, log10: float) -> float:
        """The count of the bin at `log10`, at least one half."""
        index = int((log10 - self.start) / self.step)
        index = min(max(index, 0), len(self.histogram.counts) - 1)
        return max(float(self.histogram.counts[index]), BOTTOM)

    def outliers(self) -> tuple[list[Row], list[Row]]:
        """One mark per bin that holds outliers: spread ones, then those that live on few rows and columns."""
        localised = {
            self._bin(2.0 * math.log10(row["s"]))
            for row in self.layer.localisation or []
            if row.get("label") == "localised" and row.get("s", 0.0) > 0.0
        }
        bins = {self._bin(math.log10(row["lambda"])) for row in self.layer.outliers or [] if row["lambda"] > 0.0}
        marks = {b: {"x": self.start + (b + 0.5) * self.step} for b in sorted(bins | localised)}
        for mark in marks.values():
            mark["y"] = 1.45 * self.height(mark["x"])
        return [marks[b] for b in sorted(bins - localised)], [marks[b] for b in sorted(localised)]

    def _bin(self, log10: float) -> int:
        index = int((log10 - self.start) / self.step)
        return min(max(index, 0), len(self.histogram.counts) - 1)

    def rules(self) -> list[Rule]:
        """Vertical rules that are in sight: label, position, colour, dashes."""
        layer = self.layer
        traps = trap_count(layer)
        wanted: list[tuple[str, float | None, str, list[int]]] = [
            ("Tracy–Widom edge", layer.tw_edge, BLUE, [1, 0]),
            ("tail begins (xmin)", layer.xmin if layer.alpha is not None else None, VERMILLION, [2, 2]),
        ]
        if traps and layer.null.get("spectral2") is not None:
            noun = "trap" if traps == 1 else "traps"
            wanted.append((f"{traps:g} {noun} beyond here", layer.null["spectral2"].high, INK, [6, 3]))
        if layer.blind_floor and layer.lambda_min_visible and layer.lambda_min_visible < 30.0 * layer.blind_floor:
            wanted.append(("blind below", layer.blind_floor, MUTED, [1, 3]))
        return [(name, math.log10(x), colour, dash) for name, x, colour, dash in wanted if x is not None and x > 0.0]


def trap_count(layer: LayerReport) -> float:
    """Median over shuffles of the outliers that a shuffle leaves; 0 where none were counted."""
    return float(statistics.median(layer.traps_all)) if layer.traps_all else 0.0


def picture_of(layer: LayerReport) -> SpectrumPicture | None:
    """What to draw of a layer; None where it has no eigenvalues above zero."""
    bars = merged_bars(layer.histogram)
    return None if bars is None else SpectrumPicture(bars.histogram, layer)


def merged_bars(histogram: Histogram | None) -> SpectrumBars | None:
    """Neighbouring bins are drawn as one where there are too few eigenvalues to fill them; None without any."""
    if histogram is None or not any(histogram.counts):
        return None
    total, counts = sum(histogram.counts), histogram.counts
    merged = 1 if total >= 300 else 2 if total >= 100 else 4
    if len(counts) % merged == 0:
        counts = [sum(counts[i : i + merged]) for i in range(0, len(counts), merged)]
    return SpectrumBars(Histogram(histogram.log10_low, histogram.log10_high, counts))


def spectrum_svg(picture: SpectrumPicture, key: str) -> str:
    """The spectrum of one layer as inline SVG, 350 units wide. No text from the checkpoint enters it."""
    import altair as alt

    bars, rules = picture.bars(), picture.rules()
    tail, bulk = picture.tail(), picture.bulk()
    spread, localised = picture.outliers()
    ends = [
        picture.start,
        picture.start + picture.step * len(picture.histogram.counts),
        *(r[1] for r in rules),
    ]
    margin = 0.02 * (max(ends) - min(ends))
    domain = [min(ends) - margin, max(ends) + margin]
    peak = max(row["y"] for row in [*bars, *tail, *bulk, *spread, *localised])
    room = (peak / BOTTOM) ** (LABELS / (HEIGHT - LABELS))
    x_axis, y_axis = decade_axis(*domain), count_axis(peak)
    x = alt.X("x:Q", scale=alt.Scale(domain=domain, nice=False), title="eigenvalue λ (weight²)", axis=x_axis)
    y = alt.Y(
        "y:Q",
        scale=alt.Scale(type="log", domain=[BOTTOM, peak * room * 1.1], nice=False),
        title="eigenvalues per bin",
        axis=y_axis,
    )

    def of(rows: list[Row]) -> alt.Chart:
        return alt.Chart(alt.InlineData(values=rows))

    layers: list[Any] = [
        of(bars)
        .mark_bar(color="#b9d9ee", stroke=SKY, strokeWidth=0.6, binSpacing=0)
        .encode(x=x, x2="x2:Q", y=y, y2="y2:Q")
    ]
    placed = [ruled(alt, rule, share, row) for row, (share, rule) in enumerate(uncrossed(rules, domain))]
    layers += [mark for marks in placed for mark in marks[:-1]]
    if bulk:
        layers.append(of(bulk).mark_line(color=BLUE, strokeWidth=2.2, strokeDash=[7, 4]).encode(x=x, y=y))
    if tail:
        layers.append(of(tail).mark_line(color=VERMILLION, strokeWidth=3).encode(x=x, y=y))
    if spread:
        layers.append(
            of(spread)
            .mark_point(
                shape="triangle-down",
                filled=True,
                color=PURPLE,
                opacity=1,
                size=46,
                stroke=INK,
                strokeWidth=0.8,
            )
            .encode(x=x, y=y)
        )
    if localised:
        layers.append(
            of(localised)
            .mark_point(shape="diamond", filled=True, color=ORANGE, opacity=1, size=110, stroke=INK, strokeWidth=1.2)
            .encode(x=x, y=y)
        )
    layers += [marks[-1] for marks in placed]  # labels last, so that no line goes through them
    chart = alt.layer(*layers).properties(width=WIDTH - 60, height=HEIGHT)
    return inline_svg(chart, label=description(picture), key=key)


def description(picture: SpectrumPicture) -> str:
    """What the picture shows, for those who do not see it."""
    layer = picture.layer
    shown = [f"histogram of {sum(picture.histogram.counts)} eigenvalues on logarithmic axes"]
    if layer.alpha is not None:
        shown.append(f"power-law tail with alpha {layer.alpha:.2f} over {layer.n_tail} of them")
    if picture.bulk():
        shown.append("Marchenko-Pastur bulk")
    if layer.tw_edge is not None:
        shown.append(f"Tracy-Widom edge with {layer.n_outliers} eigenvalues beyond it")
    traps = trap_count(layer)
    if traps:
        shown.append(f"{traps:g} of a shuffled matrix beyond the edge of noise")
    return "Spectrum: " + ", ".join(shown)


def uncrossed(rules: list[Rule], domain: list[float]) -> list[tuple[float, Rule]]:
    """Rules with their share of the width, in the order of their label rows.

    Labels run inwards from their rule, which begins in the row of its label: sorted from the rim to the
    middle, a rule begins below the labels that it would cross.
    """
    shares = [((rule[1] - domain[0]) / (domain[1] - domain[0]), rule) for rule in rules]
    return sorted(shares, key=lambda one: (one[0] > 0.5, one[0] if one[0] <= 0.5 else -one[0]))


def ruled(alt: Any, rule: Rule, share: float, row: int) -> list[Any]:
    """A vertical rule at `share` of the width; its label, in a row of its own, comes last."""
    name, at, colour, dash = rule
    y, left = 8 + 16 * row, share > 0.5
    base = alt.Chart(alt.InlineData(values=[{"x": at}])).encode(x="x:Q")
    line = base.mark_rule(color=colour, strokeWidth=1.8, strokeDash=dash)
    label = base.mark_text(
        text=name,
        align="right" if left else "left",
        dx=-5 if left else 5,
        fontSize=13,
        color=colour,
        baseline="middle",
        stroke="white",
        strokeWidth=4,
    )
    arrow = base.mark_point(shape="triangle-right", filled=True, size=80, color=INK, opacity=1, xOffset=5)
    arrows = [arrow.encode(y=alt.value(HEIGHT - 10))] if colour == INK else []
    return [line.encode(y=alt.value(y - 4), y2=alt.value(HEIGHT)), *arrows, label.encode(y=alt.value(y))]


def decade_axis(low: float, high: float) -> Any:
    """An axis over log10(lambda) with two to six labels: powers of ten, or round numbers where it is short."""
    import altair as alt

    span = high - low
    if span >= 3.0:
        every = max(1, math.ceil(span / 5))
        names = {float(k): power(k) for k in range(math.ceil(low), math.floor(high) + 1) if k % every == 0}
    elif span >= 0.5:
        digits = (1, 3) if span >= 1.6 else (1, 2, 5)
        decades = range(math.floor(low), math.floor(high) + 1)
        values = {math.log10(d) + k: _round_number(d, k) for k in decades for d in digits}
        names = {at: name for at, name in values.items() if low <= at <= high}
    else:
        names = {at: f"{10.0**at:.4g}" for at in (low + span * share for share in (0.2, 0.5, 0.8))}
    pick = " : ".join(f"datum.value < {at + 1e-6 * span:.12g} ? '{name}'" for at, name in names.items())
    return alt.Axis(values=list(names), labelExpr=f"{pick} : ''", grid=False)


def _round_number(digit: int, exponent: int) -> str:
    """digit times ten to the exponent, in full where that is short."""
    if -3 <= exponent <= 4:
        return f"{digit * 10**exponent:,}" if exponent >= 0 else f"{digit * 10.0**exponent:.{-exponent}f}"
    return power(exponent) if digit == 1 else f"{digit} × {power(exponent)}"


def count_axis(peak: float) -> Any:
    """Powers of ten of a count; halves and fractions of an eigenvalue are not labelled."""
    import altair as alt

    ticks = [10**k for k in range(0, max(1, math.ceil(math.log10(max(peak, 2.0)))) + 1) if 10**k <= peak * 1.05]
    if len(ticks) == 1:
        ticks = [t for t in (1, 2, 5) if t <= peak * 1.05] or [1]
    return alt.Axis(values=ticks, format=",d", grid=True)


SWATCHES = {
    "bars": ("eigenvalues", f'<rect x="3" y="2" width="16" height="12" fill="#b9d9ee" stroke="{SKY}"/>'),
    "bulk": (
        "Marchenko–Pastur bulk",
        f'<path d="M0 8H22" stroke="{BLUE}" stroke-width="2.4" stroke-dasharray="6 3"/>',
    ),
    "tail": ("power-law tail", f'<path d="M0 4L22 13" stroke="{VERMILLION}" stroke-width="3"/>'),
    "spread": ("outlier", f'<path d="M5 4H17L11 14Z" fill="{PURPLE}" stroke="{INK}"/>'),
    "localised": (
        "outlier on few rows and columns",
        f'<path d="M11 1L18 8L11 15L4 8Z" fill="{ORANGE}" stroke="{INK}"/>',
    ),
}


def legend(picture: SpectrumPicture) -> list[str]:
    """The keys of SWATCHES that this picture uses."""
    spread, localised = picture.outliers()
    parts = {
        "bars": True,
        "bulk": picture.bulk(),
        "tail": picture.tail(),
        "spread": spread,
        "localised": localised,
    }
    return [key for key, drawn in parts.items() if drawn]
