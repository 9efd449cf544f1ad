"""One layer on a page: its sentence, its numbers beside their nulls, its spectrum."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from tollens.core.codes import CODES
from tollens.core.reading import NullBand
from tollens.protocol.finding import Finding
from tollens.publish.spectrum_chart import SWATCHES, legend, picture_of, spectrum_svg
from tollens.publish.text import breakable, foreign, number
from tollens.run.result import LayerReport

COMPARED = (
    ("alpha", "alpha"),
    ("stable_rank", "stable rank"),
    ("entropy_rank", "entropy rank"),
    ("participation_rank", "participation rank"),
    ("numerical_rank", "numerical rank"),
    ("lambda_max", "largest eigenvalue"),
    ("fro2", "sum of eigenvalues"),
    ("mp_distance", "distance of bulk to Marchenko–Pastur"),
    ("alpha_hat", "alpha × log₁₀ λ max"),
)
CAUSES = {
    "traps_mean": "by a shared mean",
    "traps_entry": "by large elements",
    "traps_residual": "by neither",
}


@dataclass(frozen=True)
class Card:
    """`place` counts layers in file order from 1; `opened` shows its body at once."""

    layer: LayerReport
    place: int
    findings: Sequence[Finding]
    opened: bool


def card_html(card: Card) -> str:
    layer = card.layer
    tags = "".join(f" {tag(finding)}" for finding in card.findings)
    said = "".join(f"<p>{tag(f)} {foreign(f.sentence)}</p>" for f in card.findings)
    return (
        f'<details class="card" id="layer-{card.place}"{" open" if card.opened else ""}>'
        f'<summary><span class="number">#{card.place}</span><span '
        f'class="name">{breakable(layer.name)}</span>{tags}'
        f'</summary><div class="body"><p>{foreign(layer.sentence)}</p>{said}'
        f'<div class="two">{_figure(card)}<div>{_numbers(layer)}{_facts(layer)}</div></div></div></details>'
    )


def tag(finding: Finding) -> str:
    cause = f": {foreign(finding.cause)}" if finding.cause else ""
    return f'<span class="tag">▼ {foreign(finding.code)}{cause}</span>'


def reason(code: str) -> str:
    """A reason code and what it means in a few words."""
    known = CODES.get(code)
    title = known.title if known else ""
    title = title if title[1:] != title[1:].lower() else title.lower()  # NaN stays NaN
    return f"{title} (<code>{foreign(code)}</code>)" if known else f"<code>{foreign(code)}</code>"


def _figure(card: Card) -> str:
    layer = card.layer
    picture = picture_of(layer)
    if picture is None:
        why = layer.undefined.get("spectrum") or next(iter(layer.undefined.values()), "not_requested")
        return f"<figure><figcaption>No spectrum to draw: {reason(why)}.</figcaption></figure>"
    keys = "".join(
        f'<li><svg viewBox="0 0 22 16" aria-hidden="true" fill="none">{SWATCHES[k][1]}</svg>{SWATCHES[k][0]}</li>'
        for k in legend(picture)
    )
    floor = f" Blind below {number(layer.blind_floor)}." if layer.blind_floor else ""
    return (
        f'<figure class="spectrum">{spectrum_svg(picture, f"s{card.place}")}<ul class="key">{keys}</ul>'
        f"<figcaption>{sum(picture.histogram.counts):,} of {layer.M:,} eigenvalues are in "
        f"sight.{floor}</figcaption>"
        "</figure>"
    )


def _numbers(layer: LayerReport) -> str:
    rows = []
    for field, title in COMPARED:
        value, null = getattr(layer, field), layer.null.get("spectral2" if field == "lambda_max" else field)
        if value is None:
            code = layer.undefined.get(field)
            if code is not None:
                rows.append(_row(title, f"undefined: {reason(code)}", "", ""))
            continue
        shown = number(value)
        if field == "alpha" and layer.alpha_interval is not None:
            interval = layer.alpha_interval
            shown += f" [{number(interval.low)}, {number(interval.high)}]"
        rows.append(_row(title, shown, *_against(value, null)))
    rows += _trap_rows(layer)
    if layer.n_outliers is not None:
        rows.append(_row("outliers beyond the edge", number(layer.n_outliers), "0", _above(layer.n_outliers)))
    head = (
        '<thead><tr><th scope="col">quantity</th><th scope="col" class="n">value</th>'
        '<th scope="col" class="n">null 5–95 %</th><th scope="col">against it</th></tr></thead>'
    )
    return f'<table class="numbers">{head}<tbody>{"".join(rows)}</tbody></table>'


def _against(value: float, null: NullBand | None) -> tuple[str, str]:
    """The band, and on which side of it the value lies; rounding at its rim is no difference."""
    if null is None:
        return "none", ""
    slack = 1e-9 * max(abs(null.low), abs(null.high))
    where = "below" if value < null.low - slack else "above" if value > null.high + slack else "within"
    return f"{number(null.low)} – {number(null.high)}", where


def _trap_rows(layer: LayerReport) -> list[str]:
    if layer.traps_all is None:
        code = layer.undefined.get("traps_all")
        return [_row("traps", f"undefined: {reason(code)}", "", "")] if code else []
    total = statistics.median(layer.traps_all)
    rows = [_row(f"traps, median of {len(layer.traps_all)} shuffles", f"{total:g}", "0", _above(total))]
    if any(layer.traps_all):
        for field, title in CAUSES.items():
            counts = getattr(layer, field)
            if counts is not None:
                median = statistics.median(counts)
                rows.append(_row(f"– {title}", f"{median:g}", "0", _above(median)))
            elif field in layer.undefined:
                rows.append(_row(f"– {title}", f"undefined: {reason(layer.undefined[field])}", "", ""))
    return rows


def _above(count: float) -> str:
    return "above" if count > 0 else "within"


def _row(title: str, value: str, null: str, where: str) -> str:
    if value.startswith("undefined"):
        return f'<tr><th scope="row">{title}</th><td colspan="3">{value}</td></tr>'
    style = ' class="out"' if where in ("below", "above") else ""
    return (
        f'<tr><th scope="row">{title}</th><td class="n">{value}</td><td class="n">{null}</td>'
        f"<td{style}>{where}</td></tr>"
    )


def _facts(layer: LayerReport) -> str:
    fit = ""
    if layer.alpha is not None and layer.n_tail is not None and layer.D is not None and layer.xmin is not None:
        fit = f"Tail of {layer.n_tail:,} eigenvalues from {number(layer.xmin)} on, D = {number(layer.D)}"
        fit += f", p = {number(layer.p_gof)}. " if layer.p_gof is not None else ". "
    band = f"Band by convention: {foreign(layer.band)}. " if layer.band else ""
    flags = f" Flags: {', '.join(foreign(f) for f in layer.flags)}." if layer.flags else ""
    shown = {field for field, _ in COMPARED} | {"traps_all", *CAUSES}
    others: dict[str, list[str]] = {}
    for field, code in layer.undefined.items():
        if field not in shown:
            others.setdefault(code, []).append(field)
    missing = "".join(
        f"<br>Undefined, {reason(code)}: {', '.join(foreign(f) for f in fields)}." for code, fields in others.items()
    )
    return (
        f'<p class="soft" style="font-size:14px">{fit}{band}{layer.M:,} × {layer.N:,}, role '
        f"{foreign(layer.role)}, "
        f"view {foreign(layer.view)}, stored as {foreign(layer.source_dtype)}, measured in "
        f"{foreign(layer.precision)}."
        f"{flags}{missing}</p>"
    )
