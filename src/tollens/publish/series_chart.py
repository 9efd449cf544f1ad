"""The picture of a series: small panels over the steps, written as SVG by hand so that no extra is needed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from tollens.publish.svg import BLUE, GREEN, GRID, INK, MUTED, ORANGE, PURPLE, VERMILLION
from tollens.publish.text import number
from tollens.run.series_result import SeriesReport, SeriesRow

WIDTH, HEIGHT = 520, 226  # of one panel, in units of its own
LEFT, RIGHT, TOP, BOTTOM = 54, 16, 46, 42
NARROW = 350
CROWDED = 0.1  # where half of all steps lie in this share of a linear axis, it is no good
FLAT = 0.02  # an axis spans at least this share of its values: what changes by less is drawn as flat
BAND, SHADE = "#dcdcdc", "#F5D9A8"

Values = Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Line:
    """One value a step; `mark` is circle, square or triangle, `dash` an SVG dash pattern."""

    name: str
    values: Values
    colour: str
    mark: str = "circle"
    dash: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """One small chart. `low`, `high`: a band behind the lines, by step. `whole`: the values are counts from 0 on."""

    title: str
    said: str
    lines: tuple[Line, ...]
    low: Values = ()
    high: Values = ()
    whole: bool = False
    flags: tuple[int, ...] = ()


def panels_of(report: SeriesReport) -> list[Panel]:
    """What is drawn: medians over the matrices with their spread, and trap counts by cause."""
    steps = report.steps
    spread = {name: _quartiles(report, name) for name in ("stable_rank", "delta_stable_rank", "spectral_excess")}
    spread["distance"] = _quartiles(report, "distance")

    def median(name: str, title: str, said: str, colour: str) -> Panel:
        low, high = spread[name]
        line = Line(title, [getattr(s, name) for s in steps], colour)
        return Panel(title, said, (line,), low, high)

    alpha = Line("alpha", [s.alpha for s in steps], BLUE)
    flags = tuple(sorted({change.to_step for change in report.changes if change.finding}))
    traps = (
        Line("mean", [s.traps_mean for s in steps], VERMILLION),
        Line("elements", [s.traps_entry for s in steps], BLUE, "square", "6 3"),
        Line("neither", [s.traps_residual for s in steps], GREEN, "triangle", "2 3"),
    )
    return [
        Panel(
            "alpha",
            "median; grey: 90 % interval",
            (alpha,),
            [s.alpha_low for s in steps],
            [s.alpha_high for s in steps],
        ),
        median("stable_rank", "stable rank", "median; grey: middle half", BLUE),
        median("delta_stable_rank", "rank of what was added", "median; grey: middle half", PURPLE),
        Panel("traps by cause", "sum over matrices", traps, whole=True, flags=flags),
        median("spectral_excess", "spectral excess", "median; grey: middle half", GREEN),
        median("distance", "distance from the first", "median; grey: middle half", VERMILLION),
    ]


def _quartiles(report: SeriesReport, name: str) -> tuple[Values, Values]:
    """The middle half of the matrices by step."""
    by_step: dict[int, list[float]] = {summary.step: [] for summary in report.steps}
    for row in report.rows:
        value = _value(row, name)
        if value is not None:
            by_step[row.step].append(value)
    ends = [np.quantile(values, [0.25, 0.75]).tolist() if values else [None, None] for values in by_step.values()]
    return [low for low, _ in ends], [high for _, high in ends]


def _value(row: SeriesRow, name: str) -> float | None:
    found = getattr(row, name)
    return None if found is None else float(found)


def series_svg(report: SeriesReport, *, columns: int) -> str:
    """All panels as one inline SVG in so many columns; one column is for a narrow screen."""
    panels = panels_of(report)
    width = NARROW if columns == 1 else WIDTH
    steps = [summary.step for summary in report.steps]
    along = Along.over(steps, width)
    total_height = HEIGHT * math.ceil(len(panels) / columns)
    drawn = "".join(
        f'<g transform="translate({width * (place % columns)} {HEIGHT * (place // columns)})">'
        f"{_panel(panel, along, report)}</g>"
        for place, panel in enumerate(panels)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width * columns} {total_height}" role="img" '
        f'aria-label="{escape(_description(report))}">{drawn}</svg>'
    )


@dataclass(frozen=True, slots=True)
class Along:
    """The axis of steps: linear, or logarithmic in the distance from the first where most lie close to it."""

    first: int
    last: int
    log: bool
    left: float
    right: float

    @classmethod
    def over(cls, steps: Sequence[int], width: int) -> Along:
        middle = steps[(len(steps) - 1) // 2 + (len(steps) > 2)]
        crowded = middle - steps[0] < CROWDED * (steps[-1] - steps[0]) and len(steps) > 2
        return cls(steps[0], steps[-1], crowded, LEFT, width - RIGHT)

    def at(self, step: int) -> float:
        done, whole = float(step - self.first), float(self.last - self.first)
        share = math.log1p(done) / math.log1p(whole) if self.log else done / whole
        return self.left + share * (self.right - self.left)

    def ticks(self) -> list[int]:
        """Some round steps, inside the range."""
        if self.log:
            powers = [self.first + 10**p for p in range(19) if self.first + 10**p <= self.last]
            return [self.first, *powers[:: max(1, math.ceil(len(powers) / 4))]]
        size = _round_up((self.last - self.first) / 5)
        step = max(1, int(size))
        begin = -(-self.first // step) * step
        return list(range(begin, self.last + 1, step))


def _round_up(value: float) -> float:
    """The next of 1, 2, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(value)) if value > 0.0 else 1.0
    return next(m * power for m in (1.0, 2.0, 5.0, 10.0) if m * power >= value * (1.0 - 1e-9))


@dataclass(frozen=True, slots=True)
class Across:
    """The axis of values from `low` to `high`."""

    low: float
    high: float
    ticks: tuple[float, ...]

    @classmethod
    def over(cls, panel: Panel) -> Across:
        shown = [v for values in (*(line.values for line in panel.lines), panel.low, panel.high) for v in values]
        known = [value for value in shown if value is not None]
        low, high = (min(known), max(known)) if known else (0.0, 1.0)
        if panel.whole or 0.0 <= low < 0.4 * high:
            low = 0.0
        if panel.whole:
            high = max(high, 1.0)
        least = FLAT * max(abs(high), abs(low), 1e-12)
        if high - low < least:
            low, high = (low + high - least) / 2.0, (low + high + least) / 2.0
        step = _round_up((high - low) / 3.5)
        if panel.whole:
            step = max(1.0, step)
        bottom = math.floor(low / step + 1e-9) * step
        count = math.ceil((high - bottom) / step - 1e-9)
        return cls(bottom, bottom + count * step, tuple(bottom + i * step for i in range(count + 1)))

    def at(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP)


def _panel(panel: Panel, along: Along, report: SeriesReport) -> str:
    if all(value is None for line in panel.lines for value in line.values):
        return _empty(panel, along)
    across = Across.over(panel)
    steps = [summary.step for summary in report.steps]
    parts = [_shade(along, report), _frame(panel, along, across)]
    if panel.low:
        parts.append(_band(panel, along, across, steps))
    parts += [_line(line, along, across, steps) for line in panel.lines]
    parts += [
        f'<path d="M{along.at(step) - 6:.1f} {TOP - 2}h12l-6 9z" fill="{INK}"><title>a finding at step '
        f"{step}</title></path>"
        for step in panel.flags
    ]
    if len(panel.lines) > 1:
        parts.append(_legend(panel, along))
    return "".join(parts)


def _empty(panel: Panel, along: Along) -> str:
    """What was not measured has no axis: nothing there could be read as a zero."""
    middle = (along.left + along.right) / 2.0
    return (
        f'<text x="{along.left}" y="17" font-size="15" font-weight="600" fill="{INK}">{escape(panel.title)}</text>'
        f'<rect x="{along.left}" y="{TOP}" width="{along.right - along.left}" height="{HEIGHT - BOTTOM - TOP}" '
        f'fill="none" stroke="{GRID}"/><text x="{middle}" y="{(TOP + HEIGHT - BOTTOM) / 2.0 + 4.0}" font-size="13" '
        f'text-anchor="middle" fill="{MUTED}">not measured</text>'
    )


def _shade(along: Along, report: SeriesReport) -> str:
    """Where the best checkpoint probably is."""
    best = report.best
    if best.low is None or best.high is None or best.guess is None:
        return ""
    left, right, at = along.at(best.low), along.at(best.high), along.at(best.guess)
    return (
        f'<rect x="{left:.1f}" y="{TOP}" width="{max(right - left, 2.0):.1f}" height="{HEIGHT - BOTTOM - TOP}" '
        f'fill="{SHADE}"/><path d="M{at:.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="{ORANGE}" stroke-width="2" '
        'stroke-dasharray="5 3"/>'
    )


def _frame(panel: Panel, along: Along, across: Across) -> str:
    foot = HEIGHT - BOTTOM
    parts = [
        f'<text x="{along.left}" y="17" font-size="15" font-weight="600" fill="{INK}">{escape(panel.title)}</text>',
        f'<text x="{along.left}" y="35" font-size="13" fill="{MUTED}">{escape(panel.said)}</text>'
        if len(panel.lines) == 1
        else "",
    ]
    for tick in across.ticks:
        y = across.at(tick)
        parts.append(
            f'<path d="M{along.left} {y:.1f}H{along.right}" stroke="{GRID}"/><text x="{along.left - 6}" '
            f'y="{y + 4.5:.1f}" font-size="13" text-anchor="end" fill="{INK}">{_short(tick)}</text>'
        )
    parts.append(f'<path d="M{along.left} {foot}H{along.right}" stroke="{MUTED}"/>')
    ticks = along.ticks()
    for step in ticks:
        x = along.at(step)
        parts.append(
            f'<path d="M{x:.1f} {foot}v4" stroke="{MUTED}"/><text x="{x:.1f}" y="{foot + 18}" font-size="13" '
            f'text-anchor="middle" fill="{INK}">{_steps(step)}</text>'
        )
    axis = "step, logarithmic" if along.log else "step"
    parts.append(
        f'<text x="{along.right}" y="{foot + 35}" font-size="13" text-anchor="end" fill="{MUTED}">{axis}</text>'
    )
    return "".join(parts)


def _band(panel: Panel, along: Along, across: Across, steps: Sequence[int]) -> str:
    """A polygon for each unbroken row of steps that have both ends."""
    parts = []
    for row in _rows([low is not None and high is not None for low, high in zip(panel.low, panel.high, strict=True)]):
        upper = [(steps[i], panel.high[i]) for i in row]
        lower = [(steps[i], panel.low[i]) for i in reversed(row)]
        points = " ".join(f"{along.at(s):.1f},{across.at(v):.1f}" for s, v in (*upper, *lower) if v is not None)
        parts.append(f'<polygon points="{points}" fill="{BAND}" fill-opacity=".75"/>')
    return "".join(parts)


def _line(line: Line, along: Along, across: Across, steps: Sequence[int]) -> str:
    parts = []
    for row in _rows([value is not None for value in line.values]):
        places = [(along.at(steps[i]), across.at(v)) for i in row if (v := line.values[i]) is not None]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        dash = f' stroke-dasharray="{line.dash}"' if line.dash else ""
        parts.append(f'<path d="M{path}" fill="none" stroke="{line.colour}" stroke-width="2"{dash}/>')
        if len(steps) <= 40:
            parts += [_mark(line.mark, x, y, line.colour) for x, y in places]
    return "".join(parts)


def _mark(mark: str, x: float, y: float, colour: str) -> str:
    if mark == "square":
        return f'<rect x="{x - 3.5:.1f}" y="{y - 3.5:.1f}" width="7" height="7" fill="{colour}"/>'
    if mark == "triangle":
        return f'<path d="M{x:.1f} {y - 4.5:.1f}l4.5 8h-9z" fill="{colour}"/>'
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.6" fill="{colour}"/>'


def _legend(panel: Panel, along: Along) -> str:
    x, parts = along.left, []
    for line in panel.lines:
        dash = f' stroke-dasharray="{line.dash}"' if line.dash else ""
        parts.append(
            f'<path d="M{x} 30.5h24" stroke="{line.colour}" stroke-width="2"{dash}/>'
            f"{_mark(line.mark, x + 12, 30.5, line.colour)}"
            f'<text x="{x + 29}" y="35" font-size="13" fill="{INK}">{escape(line.name)}</text>'
        )
        x += 29 + 8 * len(line.name) + 16
    return "".join(parts)


def _rows(there: Sequence[bool]) -> list[list[int]]:
    """Places of unbroken rows of what is there."""
    rows: list[list[int]] = []
    for place, present in enumerate(there):
        if not present:
            continue
        if rows and rows[-1][-1] == place - 1:
            rows[-1].append(place)
        else:
            rows.append([place])
    return rows


def _short(value: float) -> str:
    """A tick in few characters."""
    if value == 0.0:
        return "0"
    return f"{value:.3g}" if 1e-3 <= abs(value) < 1e4 else number(value).replace(" ", "")


def _steps(step: int) -> str:
    for size, letter in ((10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k")):
        if step >= 10 * size and step % (size // 100) == 0:
            return f"{step / size:g}{letter}"
    return f"{step}"


def _description(report: SeriesReport) -> str:
    """What the picture shows, for those who do not see it."""
    first, last = report.steps[0], report.steps[-1]
    parts = [f"Six panels over {len(report.steps)} checkpoints from step {first.step} to {last.step}"]
    for name, title in (("alpha", "median alpha"), ("stable_rank", "median stable rank"), ("distance", "distance")):
        begin, end = getattr(first, name), getattr(last, name)
        if begin is not None and end is not None:
            parts.append(f"{title} from {number(begin)} to {number(end)}")
    if report.best.guess is not None:
        parts.append(f"the best checkpoint probably between {report.best.low} and {report.best.high}, shaded")
    return ", ".join(parts) + ". The table of steps holds the same numbers."
