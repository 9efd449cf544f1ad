"""One layer on a page: its sentence, its numbers beside their nulls, its spectrum."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from tollens.core.codes import CODES
from tollens.core.reading import NullBand
from tollens.protocol.finding import Finding
from tollens.publish.spectrum_chart import SWATCHES, SpectrumPicture, legend, picture_of, spectrum_svg
from tollens.publish.text import breakable, foreign, number, plural
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
FEW = 6
"""So many fields are named that lack a value for one reason; --json names all."""
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
        f"{_columns(card)}</div></details>"
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


def _columns(card: Card) -> str:
    """The picture beside the numbers; the numbers alone where there is none."""
    layer = card.layer
    picture = picture_of(layer)
    numbers = f"{_numbers(layer)}{_facts(layer)}"
    if picture is None:
        why = layer.undefined.get("histogram") or next(iter(layer.undefined.values()), "not_requested")
        return f'<p class="small">No spectrum to draw: {reason(why)}.</p>{numbers}'
    return f'<div class="two">{_figure(card, picture)}<div>{numbers}</div></div>'


def _figure(card: Card, picture: SpectrumPicture) -> str:
    layer = card.layer
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
    missing: dict[str, list[str]] = {}
    for field, title in (*COMPARED, ("traps_all", "traps")):
        value = getattr(layer, field)
        if value is None and field in layer.undefined:
            missing.setdefault(layer.undefined[field], []).append(title)
        elif value is not None and field != "traps_all":
            null = layer.null.get("spectral2" if field == "lambda_max" else field)
            rows.append(_row(title, _with_interval(layer, field, value), *_against(value, null)))
    rows += _trap_rows(layer)
    if layer.n_outliers is not None:
        title = "outliers beyond the edge"
        rows.append(_row(title, number(layer.n_outliers), "0", _above(layer.n_outliers)))
    rows += [_absent(", ".join(titles), code) for code, titles in missing.items()]
    head = (
        '<thead><tr><th scope="col">quantity</th><th scope="col" class="n">value</th>'
        '<th scope="col" class="n">null 5–95 %</th><th scope="col">against it</th></tr></thead>'
    )
    return f'<table class="numbers">{head}<tbody>{"".join(rows)}</tbody></table>'


def _with_interval(layer: LayerReport, field: str, value: float) -> str:
    interval = layer.alpha_interval
    if field != "alpha" or interval is None:
        return number(value)
    return f"{number(value)} [{number(interval.low)}, {number(interval.high)}]"


def _against(value: float, null: NullBand | None) -> tuple[str, str]:
    """The band, and on which side of it the value lies; rounding at its rim is no difference."""
    if null is None:
        return "none", ""
    slack = 1e-9 * max(abs(null.low), abs(null.high))
    where = "below" if value < null.low - slack else "above" if value > null.high + slack else "within"
    return f"{number(null.low)} – {number(null.high)}", where


def _trap_rows(layer: LayerReport) -> list[str]:
    """The median of the traps over the shuffles and, where there are any, of each cause."""
    if layer.traps_all is None:
        return []
    rows = [_counted(f"traps, median of {plural(len(layer.traps_all), 'shuffle')}", layer.traps_all)]
    for field, title in CAUSES.items() if any(layer.traps_all) else ():
        counts = getattr(layer, field)
        if counts is not None:
            rows.append(_counted(f"– {title}", counts))
        elif field in layer.undefined:
            rows.append(_absent(f"– {title}", layer.undefined[field]))
    return rows


def _counted(title: str, counts: Sequence[int]) -> str:
    """A median, and what it is the median of where the shuffles disagree."""
    median = statistics.median(counts)
    spread = "" if len(set(counts)) == 1 else f" ({min(counts)} to {max(counts)})"
    return _row(title, f"{median:g}{spread}", "0", _above(median))


def _above(count: float) -> str:
    return "above" if count > 0 else "within"


def _row(title: str, value: str, null: str, where: str) -> str:
    style = ' class="out"' if where in ("below", "above") else ""
    return (
        f'<tr><th scope="row">{title}</th><td class="n">{value}</td><td class="n">{null}</td>'
        f"<td{style}>{where}</td></tr>"
    )


def _absent(titles: str, code: str) -> str:
    return f'<tr><th scope="row">{titles}</th><td colspan="3">undefined: {reason(code)}</td></tr>'


def _facts(layer: LayerReport) -> str:
    """The tail, the shape and what else has no value, in small print."""
    facts = [f"{layer.M:,} × {layer.N:,}, role {foreign(layer.role)}, view {foreign(layer.view)}"]
    facts += [f"Stored as {foreign(layer.source_dtype)}, measured in {foreign(layer.precision)}"]
    if layer.alpha is not None and layer.n_tail and layer.D is not None and layer.xmin is not None:
        p = f", p = {number(layer.p_gof)}" if layer.p_gof is not None else ""
        tail = f"Tail of {layer.n_tail:,} eigenvalues from {number(layer.xmin)} on, D = {number(layer.D)}{p}"
        facts.append(tail)
    if layer.band:
        facts.append(f"Band by convention: {foreign(layer.band)}")
    if layer.flags:
        facts.append(f"Flags: {', '.join(foreign(flag) for flag in layer.flags)}")
    for quantity, value in layer.plugins.items():
        told = number(value) if isinstance(value, (int, float)) else str(value)[:80]
        facts.append(f"{foreign(quantity)} = {foreign(told)}, by a plugin")
    shown = {field for field, _ in COMPARED} | {"traps_all"}
    if any(layer.traps_all or ()):
        shown |= CAUSES.keys()
    missing: dict[str, list[str]] = {}
    for field, code in layer.undefined.items():
        if field not in shown:
            missing.setdefault(code, []).append(field)
    for code, fields in missing.items():
        more = f" and {len(fields) - FEW} more" if len(fields) > FEW else ""
        facts.append(f"No value, {reason(code)}: {', '.join(map(foreign, fields[:FEW]))}{more}")
    return f'<p class="small">{". ".join(facts)}.</p>'
