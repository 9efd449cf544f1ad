"""The sections of a scan's page, in the order a person reads them."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence

from msgspec import UnsetType

from tollens.publish.card import Card, card_html, reason, tag
from tollens.publish.depth_chart import CEILING, GROUPS, cut, depth_svg, group_of, in_file_order
from tollens.publish.svg import INK
from tollens.publish.text import breakable, foreign, number, plural
from tollens.publish.words import WORDS
from tollens.run.result import LayerReport, ScanReport

OPEN, DRAWN = 12, 60
"""So many cards are open from the start, and so many are drawn; all layers are in the table."""

VERDICTS = {
    "KILLED": "The claim is false of this checkpoint.",
    "SURVIVED": "The claim held against every layer that was measured.",
    "UNDETERMINED": "What was measured does not decide; the reasons are named below.",
    "FINDINGS": "At least one layer has a defect that its weights alone show.",
    "CLEAN": "No defect that the weights alone show. That is not a proof of quality.",
}
POINTS = {
    "circle": '<circle cx="11" cy="8" r="5" fill="{0}"/>',
    "square": '<rect x="6" y="3" width="10" height="10" fill="{0}"/>',
    "triangle-up": '<path d="M11 2L17 14H5Z" fill="{0}"/>',
    "triangle-right": '<path d="M5 2V14L17 8Z" fill="{0}"/>',
    "diamond": '<path d="M11 1L18 8L11 15L4 8Z" fill="{0}"/>',
}


def top(report: ScanReport) -> str:
    subject, verdict = report.subject, report.verdict
    claim = "" if isinstance(report.claim, UnsetType) else _claim(report)
    return (
        f'<header><div class="brand">Tollens · scan of a checkpoint, from its weights alone</div>'
        f'<div class="verdict {foreign(verdict.lower())}">{foreign(verdict)}</div>'
        f'<h1>{foreign(report.headline)}</h1><p class="headline">{VERDICTS.get(verdict, "")}</p>{claim}'
        f"<dl><dt>file</dt><dd class=mono>{foreign(subject.path)}</dd><dt>digest</dt>"
        f"<dd class=mono>{foreign(subject.digest)}</dd><dt>holds</dt><dd>{subject.parameters:,} parameters "
        f"in "
        f"{plural(subject.tensors, 'tensor')}, {foreign(subject.format)}</dd></dl>"
        '<nav aria-label="sections"><a href="#findings">Findings</a><a href="#depth">Alpha by depth</a>'
        '<a href="#layers">Layers</a><a href="#table">Table</a><a href="#skipped">Skipped</a>'
        '<a href="#words">Words</a><a href="#settings">Settings</a></nav></header>'
    )


def _claim(report: ScanReport) -> str:
    claim = report.claim
    assert not isinstance(claim, UnsetType)
    place = places(report)
    rows = [("claim", f"<code>{foreign(claim.text)}</code>")]
    if claim.witness is not None:
        where = claim.witness.layer
        rows.append(("witness", _linked(place, where) if where is not None else foreign(claim.witness.quantity)))
    rows += [("expected", f"<code>{foreign(claim.expected)}</code>"), ("found", foreign(claim.found))]
    if claim.reason:
        rows.append(("reason", reason(claim.reason)))
    rows += [
        ("unknown", f"{foreign(gap.quantity)} of {_linked(place, gap.layer)}: {reason(gap.reason)}")
        for gap in claim.undetermined[:20]
    ]
    if len(claim.undetermined) > 20:
        rows.append(("unknown", f"and {len(claim.undetermined) - 20} more"))
    return f'<div class="claim"><dl>{"".join(f"<dt>{k}</dt><dd>{v}</dd>" for k, v in rows)}</dl></div>'


def _linked(place: Mapping[str, int], name: str) -> str:
    shown = f'<span class="name">{breakable(name)}</span>'
    return f'<a href="#layer-{place[name]}">{shown}</a>' if name in place else shown


def places(report: ScanReport) -> dict[str, int]:
    """Each layer's place in file order, from 1."""
    return {layer.name: place for place, layer in enumerate(in_file_order(report.layers), 1)}


def findings(report: ScanReport) -> str:
    if not report.findings:
        body = "<p>None.</p>"
    else:
        place = places(report)
        items = "".join(
            f"<li>{tag(f)} {_linked(place, f.layer)}<br>{foreign(f.sentence)}</li>" for f in report.findings
        )
        body = f'<ol class="found">{items}</ol>'
    notes = "".join(f"<li><code>{foreign(n.code)}</code> {foreign(n.sentence)}</li>" for n in report.notes)
    return f'<h2 id="findings">Findings</h2>{body}{f"<ul class=plain>{notes}</ul>" if notes else ""}'


def depth(report: ScanReport) -> str:
    head = '<h2 id="depth">Alpha by depth</h2>'
    if not report.layers:
        return f"{head}<p>There is no layer to draw.</p>"
    if all("factored" in layer.flags for layer in report.layers):
        return f"{head}<p>Products of two factors have no tail, and so no alpha.</p>"
    drawn = (
        f'<div class="wide">{depth_svg(report, tall=False, key="dw")}</div>'
        f'<div class="narrow">{depth_svg(report, tall=True, key="dn")}</div>'
    )
    beyond = cut(report)
    frame = f" In {plural(beyond, 'layer')} a mark reaches beyond {CEILING:g} and is cut there." if beyond else ""
    intervals = any(layer.alpha_interval is not None for layer in report.layers)
    banded = any(layer.alpha_null is not None for layer in report.layers)
    reading = (
        "An interval clear of its grey band tells a layer from chance; one that touches the band does not."
        if banded and intervals
        else "Interval and null were not both measured, so that nothing here is told from chance."
    )
    flags = " The numbers of the flags are those of the findings." if report.findings else ""
    lines = "Lines: 90 % interval of alpha. " if intervals else ""
    return (
        f"{head}<p>{reading}{flags}</p><figure>{_depth_key(report)}{drawn}<figcaption>{lines}Logarithmic "
        f"axis.{frame} The dashed lines at 2 and 6 are a convention, not a verdict.</figcaption></figure>"
    )


def _depth_key(report: ScanReport) -> str:
    groups = {group_of(layer.role) for layer in report.layers if layer.alpha is not None}
    keys = [(POINTS[shape].format(colour), name) for name, (shape, colour) in GROUPS.items() if name in groups]
    if any(layer.alpha_null is not None for layer in report.layers):
        band = '<rect x="2" y="1" width="18" height="14" fill="#dcdcdc"/><path d="M2 8H20" stroke="#8a8a8a"/>'
        keys.append((band, "Gaussian matrices of the same shape, 5–95 % and median"))
    if report.findings:
        keys.append((f'<path d="M5 3H17L11 14Z" fill="{INK}"/>', "finding"))
    if any(layer.alpha is None for layer in report.layers):
        keys.append(
            (
                f'<path d="M6 3L16 13M16 3L6 13" stroke="{INK}" stroke-width="3"/>',
                "alpha undefined, at the rim",
            )
        )
    items = "".join(
        f'<li><svg viewBox="0 0 22 16" aria-hidden="true" fill="none">{mark}</svg>{name}</li>' for mark, name in keys
    )
    return f'<ul class="key">{items}</ul>'


def layers(report: ScanReport) -> str:
    place = places(report)
    found = defaultdict(list)
    for finding in report.findings:
        found[finding.layer].append(finding)
    shown = report.layers[:DRAWN]
    cards = [
        card_html(Card(layer, place[layer.name], found[layer.name], rank < OPEN)) for rank, layer in enumerate(shown)
    ]
    rest = len(report.layers) - len(shown)
    more = (
        f"<p>{plural(rest, 'more layer')} without a picture, to keep this file small: see the table.</p>"
        if rest
        else ""
    )
    return (
        '<h2 id="layers">Layers, worst first</h2><p>By severity of the worst finding, then by distance '
        "outside the null "
        f"band. # counts layers in file order.</p>{''.join(cards) or '<p>None.</p>'}{more}"
    )


def table(report: ScanReport) -> str:
    place = places(report)
    pictured = {layer.name for layer in report.layers[:DRAWN]}
    names = (
        "#",
        "layer",
        "role",
        "M × N",
        "alpha [90 %]",
        "null 5–95 %",
        "stable rank",
        "null 5–95 %",
        "outliers",
        "traps",
        "band*",
        "findings",
        "in a sentence",
    )
    numeric = {0, 3, 4, 5, 6, 7, 8, 9}
    head = "".join(f'<th scope="col"{" class=n" if i in numeric else ""}>{n}</th>' for i, n in enumerate(names))
    found = defaultdict(list)
    for f in report.findings:
        found[f.layer].append(f.code)
    rows = "".join(
        _table_row(layer, place[layer.name], found[layer.name], layer.name in pictured)
        for layer in in_file_order(report.layers)
    )
    return (
        '<h2 id="table">All layers, in file order</h2>'
        '<div class="scroll" tabindex="0" role="region" aria-label="table of all layers">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
        '<p class="soft">* A convention, given only where the whole interval lies in one band.</p>'
    )


def _table_row(layer: LayerReport, place: int, codes: Sequence[str], pictured: bool) -> str:
    rank, null = layer.null.get("stable_rank"), layer.alpha_null
    name = breakable(layer.name)
    alpha = layer.undefined.get("alpha", "–") if layer.alpha is None else number(layer.alpha)
    if layer.alpha is not None and layer.alpha_interval is not None:
        alpha += f" [{number(layer.alpha_interval.low)}, {number(layer.alpha_interval.high)}]"
    cells = [
        (f"{place}", True),
        (f"{layer.M:,} × {layer.N:,}", True),
        (alpha if layer.alpha is not None else f"<code>{foreign(alpha)}</code>", True),
        ("–" if null is None else f"{number(null.low)} – {number(null.high)}", True),
        (_or_reason(layer, "stable_rank"), True),
        ("–" if rank is None else f"{number(rank.low)} – {number(rank.high)}", True),
        (_or_reason(layer, "n_outliers"), True),
        (
            f"{statistics.median(layer.traps_all):g}" if layer.traps_all else _or_reason(layer, "traps_all"),
            True,
        ),
        (foreign(layer.band or "–"), False),
        (", ".join(foreign(c) for c in codes) or "–", False),
        (foreign(layer.sentence), False),
    ]
    linked = f'<a href="#layer-{place}">{name}</a>' if pictured else name
    rest = "".join(f"<td{' class=n' if right else ''}>{text}</td>" for text, right in cells[1:])
    anchor = "" if pictured else f' id="layer-{place}"'
    return (
        f'<tr{anchor}><td class="n">{place}</td><th scope="row" class="name">{linked}</th>'
        f"<td>{foreign(layer.role)}</td>{rest}</tr>"
    )


def _or_reason(layer: LayerReport, field: str) -> str:
    value = getattr(layer, field)
    if isinstance(value, (int, float)):
        return number(value)
    return f"<code>{foreign(layer.undefined[field])}</code>" if field in layer.undefined else "–"


def skipped(report: ScanReport) -> str:
    by_reason = defaultdict(list)
    for tensor in report.skipped:
        by_reason[tensor.reason].append(tensor)
    parts = []
    for code, tensors in sorted(by_reason.items()):
        items = "".join(
            f"<li><code>{breakable(t.name)}</code> <span "
            f"class=soft>{' × '.join(map(str, t.shape)) or 'scalar'}, "
            f"{foreign(t.dtype)}</span></li>"
            for t in tensors
        )
        parts.append(
            f"<details "
            f'class="card"{" open" if len(tensors) <= 8 else ""}><summary>{plural(len(tensors), "tensor")}: '
            f'{reason(code)}</summary><div class="body"><ul class="plain '
            f'columns">{items}</ul></div></details>'
        )
    aliased = "".join(
        f"<li><code>{breakable(a.name)}</code> is the same tensor as <code>{breakable(a.analysed_as)}</code></li>"
        for a in report.aliased
    )
    if aliased:
        parts.append(f"<p>Analysed once, under another name:</p><ul class=plain>{aliased}</ul>")
    counts = report.summary["tensors"]
    account = (
        f"{counts['in_file']:,} tensors in the file = {counts['analysed']:,} analysed + "
        f"{counts['skipped']:,} skipped + "
        f"{counts['aliased']:,} aliased."
    )
    return f'<h2 id="skipped">Skipped, and why</h2><p>{account}</p>{"".join(parts)}'


def words() -> str:
    items = "".join(f"<dt>{word}</dt><dd>{meaning}</dd>" for word, meaning in WORDS.items())
    return f'<h2 id="words">Words</h2><dl class="words">{items}</dl>'


def settings(report: ScanReport) -> str:
    made = report.environment
    pairs = [(k, "–" if v is None else str(v)) for k, v in report.settings.items()]
    pairs += [
        ("tollens", made.tollens),
        ("python", made.python),
        ("numpy", made.numpy),
        ("scipy", made.scipy),
        ("BLAS", ", ".join(made.blas)),
    ]
    items = "".join(f"<dt>{foreign(k)}</dt><dd>{foreign(v)}</dd>" for k, v in pairs)
    return f'<h2 id="settings">Settings and environment</h2><dl class="pairs">{items}</dl>'
