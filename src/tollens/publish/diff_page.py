"""The page of `tollens diff`: the answer, what changed by depth, each change beside rounding and chance."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import PurePath

from msgspec import UnsetType

from tollens.core.reading import NullBand
from tollens.publish.card import reason
from tollens.publish.depth_chart import GROUPS, group_of
from tollens.publish.diff_chart import (
    CHANGE,
    KINSHIP,
    LEFT,
    RIGHT,
    Measure,
    by_depth_svg,
    change_of,
    delta_svg,
    drawable,
    in_base_order,
    rounding_of,
)
from tollens.publish.html import page_html
from tollens.publish.page import POINTS
from tollens.publish.svg import INK, unchecked
from tollens.publish.text import breakable, foreign, number, plural
from tollens.run.diff_result import DiffReport, LayerDelta, Overlap
from tollens.run.result import Subject

OPEN, DRAWN = 8, 40
"""So many cards are open from the start, and so many are drawn; all matrices are in the table."""

MEANINGS = {
    "IDENTICAL": "Every tensor that was compared holds the same bits.",
    "ROUNDED": "Nothing differs by more than rounding to the stored type explains.",
    "MOVED": "At least one tensor differs by more than rounding. That is no fault by itself.",
    "SURVIVED": "What was expected holds against everything that was compared.",
    "KILLED": "What was expected is false, and the witness shows where.",
    "UNDETERMINED": "What was compared does not decide; what would settle it is said below.",
}
TONES = {"IDENTICAL": "clean", "ROUNDED": "clean", "MOVED": "findings"}
CHARTS = (
    (CHANGE, "How far each matrix went, relative to its norm, on a logarithmic axis. Grey: what one rounding to the "
     "stored type makes. A cross at the rim: not a bit changed."),
    (LEFT, "Share of the leading directions of the change, on the output side, that lie in the leading directions of "
     "the base. Grey: 5–95 % of two unrelated subspaces."),
    (RIGHT, "The same on the input side."),
    (KINSHIP, "Cosine of both matrices, row and column means removed. Grey: the largest cosine of the base with its "
     "rows or its columns in random order, or with random signs."),
)  # fmt: skip
WORDS = {
    "Δ": "Derived minus base, matrix by matrix, matched by name and shape.",
    "rounded": "No element went further than rounding to the coarser stored type takes it.",
    "directions above rounding": "Singular directions of Δ that are stronger than any rounding of these elements "
    "could make them. They were learned, or written.",
    "shuffled": "Δ with its elements in random order. What stands above it has an arrangement: the change knows of "
    "rows and columns.",
    "stable rank": "Sum of all eigenvalues of Δ′Δ over the largest: how many directions carry the change.",
    "overlap": "Between 0 and 1: how much of the leading directions of the change lies in those of the base. Two "
    "unrelated subspaces of k directions in d dimensions share k/d on average.",
    "kin": "Both come from one network, or one from the other; the weights do not tell which came first.",
}


def diff_html(report: DiffReport) -> str:
    """The whole page. Raises TollensError `extra_missing` without altair and vl-convert."""
    with unchecked():
        pictures = [_depth(report), _cards(report)]
    sections = [_top(report), *pictures, _table(report), _rest(report), _words(), _settings(report)]
    names = f"{PurePath(report.base.path).name} → {PurePath(report.derived.path).name}"
    return page_html(f"{report.verdict} – {names} – Tollens", sections)


def _top(report: DiffReport) -> str:
    verdict = report.verdict
    place = _places(report)
    rows = []
    if not isinstance(report.expectation, UnsetType):
        asked = report.expectation
        rows += [("expected", f"DERIVED is {foreign(asked.expected)}"), ("found", foreign(asked.found))]
        if asked.witness is not None:
            rows.append(("witness", _linked(place, asked.witness)))
        if asked.settle is not None:
            rows.append(("to settle", foreign(asked.settle)))
    rows.append(("a fine-tune of it?", foreign(report.kinship.sentence)))
    if report.kinship.settle is not None:
        rows.append(("to settle", foreign(report.kinship.settle)))
    rows += [("limit", foreign(limit)) for limit in report.kinship.limits]
    if report.witness is not None:
        sentence = next((x.sentence for x in report.layers if x.name == report.witness), "")
        rows.append(("moved most", f"{_linked(place, report.witness)}<br>{foreign(sentence)}"))
    answers = "".join(f"<dt>{name}</dt><dd>{text}</dd>" for name, text in rows)
    return (
        '<header><div class="brand">Tollens · what changed between two checkpoints, from their weights alone</div>'
        f'<div class="verdict {foreign(TONES.get(verdict, verdict.lower()))}">{foreign(verdict)}</div>'
        f'<h1>{foreign(report.headline)}</h1><p class="headline">{MEANINGS.get(verdict, "")}</p>'
        f'<div class="claim"><dl>{answers}</dl></div>'
        f"<dl>{_subject('base', report.base)}{_subject('derived', report.derived)}</dl>"
        '<nav aria-label="sections"><a href="#depth">By depth</a><a href="#layers">Matrices</a>'
        '<a href="#table">Table</a><a href="#rest">Everything else</a><a href="#words">Words</a>'
        '<a href="#settings">Settings</a></nav></header>'
    )


def _subject(name: str, subject: Subject) -> str:
    return (
        f"<dt>{name}</dt><dd class=mono>{foreign(subject.path)}<br>{foreign(subject.digest)}</dd>"
        f"<dt></dt><dd>{subject.parameters:,} parameters in {plural(subject.tensors, 'tensor')}, "
        f"{foreign(subject.format)}</dd>"
    )


def _places(report: DiffReport) -> dict[str, int]:
    return {layer.name: place for place, layer in enumerate(in_base_order(report), 1)}


def _linked(place: dict[str, int], name: str) -> str:
    shown = f'<span class="name">{breakable(name)}</span>'
    return f'<a href="#layer-{place[name]}">{shown}</a>' if name in place else shown


def _depth(report: DiffReport) -> str:
    head = '<h2 id="depth">What changed, by depth</h2>'
    figures = [_chart(report, measure, text, f"c{i}") for i, (measure, text) in enumerate(CHARTS)]
    if not any(figures):
        return f"{head}<p>No matrix changed: there is nothing to draw.</p>"
    groups = {group_of(layer.role) for layer in report.layers}
    keys = [(POINTS[shape].format(colour), name) for name, (shape, colour) in GROUPS.items() if name in groups]
    keys.append(('<rect x="2" y="1" width="18" height="14" fill="#dcdcdc"/>', "chance, or rounding"))
    keys.append((f'<path d="M6 3L16 13M16 3L6 13" stroke="{INK}" stroke-width="3"/>', "no value"))
    items = "".join(
        f'<li><svg viewBox="0 0 22 16" aria-hidden="true" fill="none">{mark}</svg>{name}</li>' for mark, name in keys
    )
    return f'{head}<ul class="key">{items}</ul>{"".join(figures)}'


def _chart(report: DiffReport, measure: Measure, text: str, key: str) -> str:
    if not drawable(report, measure):
        return ""
    wide = by_depth_svg(report, measure, tall=False, key=f"{key}w")
    tall = by_depth_svg(report, measure, tall=True, key=f"{key}n")
    caption = f"<figcaption>{text}</figcaption>"
    return f'<figure><div class="wide">{wide}</div><div class="narrow">{tall}</div>{caption}</figure>'


def _cards(report: DiffReport) -> str:
    place = _places(report)
    shown = [layer for layer in report.layers if layer.state != "identical"][:DRAWN]
    cards = "".join(_card(layer, place[layer.name], rank < OPEN) for rank, layer in enumerate(shown))
    rest = len(report.layers) - len(shown)
    more = f"<p>{plural(rest, 'more matrix').replace('matrixs', 'matrices')} in the table below.</p>" if rest else ""
    return (
        '<h2 id="layers">Matrices, those that moved most first</h2><p>By the norm of the change over the norm of the '
        f"matrix. # counts in the order of the base.</p>{cards or '<p>None changed.</p>'}{more}"
    )


def _card(layer: LayerDelta, place: int, opened: bool) -> str:
    svg = delta_svg(layer, f"d{place}")
    numbers = f"{_numbers(layer)}{_facts(layer)}"
    body = (
        f'<div class="two"><figure class="spectrum">{svg}<figcaption>Eigenvalues of Δ′Δ. What stands right of both '
        f"lines is neither rounding nor chance.</figcaption></figure><div>{numbers}</div></div>"
        if svg is not None
        else numbers
    )
    return (
        f'<details class="card" id="layer-{place}"{" open" if opened else ""}><summary><span class="number">#{place}'
        f'</span><span class="name">{breakable(layer.name)}</span> <span class="tag">{foreign(layer.state)}</span>'
        f'</summary><div class="body"><p>{foreign(layer.sentence)}</p>{body}</div></details>'
    )


def _most(layer: LayerDelta) -> int:
    """The rank that the change cannot exceed: that of its factors, or the smaller side."""
    return next((int(flag.removeprefix("rank:")) for flag in layer.flags if flag.startswith("rank:")), layer.M)


def _numbers(layer: LayerDelta) -> str:
    rounding = rounding_of(layer)
    rows = []
    if layer.relative_change is not None:
        alone = f"{number(rounding[0])} by rounding" if rounding else "none"
        rows.append(("‖Δ‖ / ‖W‖", number(layer.relative_change), alone))
    if layer.changed_share is not None:
        rows.append(("elements that changed", f"{layer.changed_share:.1%}", "–"))
    if layer.max_ulps is not None:
        rows.append(("largest step, in units in the last place", number(layer.max_ulps), "–"))
    if layer.floor is not None:
        share = f"{layer.floor.energy_above:.1%} of the change"
        rows.append(("directions above rounding", f"{layer.floor.above:,} ({share})", "0"))
    if layer.shuffled is not None:
        share = f"{layer.shuffled.energy_above:.1%} of the change"
        rows.append(("directions above shuffled elements", f"{layer.shuffled.above:,} ({share})", "0"))
    for title, value in (("stable rank of Δ", layer.stable_rank), ("entropy rank of Δ", layer.entropy_rank)):
        if value is not None:
            rows.append((title, number(value), f"at most {_most(layer):,}"))
    for title, overlap in (("output side", layer.overlap_left), ("input side", layer.overlap_right)):
        if overlap is not None:
            rows.append((f"overlap, {title}", _overlap(overlap), _band(overlap.null)))
    if layer.kinship is not None:
        tested = "" if layer.kinship.tested else ", not counted"
        rows.append((f"cosine{tested}", number(layer.kinship.cosine), f"up to {number(layer.kinship.null_high)}"))
    missing: dict[str, list[str]] = defaultdict(list)
    for field, code in layer.undefined.items():
        missing[code].append(field)
    told = "".join(
        f'<tr><th scope="row">{title}</th><td class="n">{value}</td><td class="n">{null}</td></tr>'
        for title, value, null in rows
    )
    told += "".join(
        f'<tr><th scope="row">{foreign(", ".join(fields))}</th><td colspan="2">undefined: {reason(code)}</td></tr>'
        for code, fields in missing.items()
    )
    head = (
        '<thead><tr><th scope="col">quantity</th><th scope="col" class="n">value</th>'
        '<th scope="col" class="n">rounding or chance</th></tr></thead>'
    )
    return f'<table class="numbers">{head}<tbody>{told}</tbody></table>'


def _overlap(overlap: Overlap) -> str:
    style = "" if overlap.null.low <= overlap.value <= overlap.null.high else ' class="out"'
    return f"<span{style}>{number(overlap.value)}</span>"


def _band(null: NullBand) -> str:
    return f"{number(null.low)} – {number(null.high)}"


def _facts(layer: LayerDelta) -> str:
    rows, cols = layer.shape
    stored = (
        layer.base_dtype if layer.base_dtype == layer.derived_dtype else f"{layer.base_dtype}, {layer.derived_dtype}"
    )
    facts = [
        f"{rows:,} × {cols:,}, role {foreign(layer.role)}, view {foreign(layer.view)}",
        f"Stored as {foreign(stored)}",
    ]
    if layer.derived_name != layer.name:
        facts.append(f"Called {foreign(layer.derived_name)} in the derived checkpoint")
    if layer.flags:
        facts.append(f"Flags: {', '.join(foreign(flag) for flag in layer.flags)}")
    return f'<p class="small">{". ".join(facts)}.</p>'


def _table(report: DiffReport) -> str:
    names = (
        "#", "matrix", "role", "shape", "state", "‖Δ‖ / ‖W‖", "by rounding", "changed", "stable rank of Δ",
        "above rounding", "overlap out", "chance", "overlap in", "chance", "cosine", "in a sentence",
    )  # fmt: skip
    numeric = {0, 3, *range(5, 15)}
    head = "".join(f'<th scope="col"{" class=n" if i in numeric else ""}>{n}</th>' for i, n in enumerate(names))
    place = _places(report)
    pictured = {layer.name for layer in [x for x in report.layers if x.state != "identical"][:DRAWN]}
    rows = "".join(_table_row(x, place[x.name], x.name in pictured) for x in in_base_order(report))
    return (
        '<h2 id="table">All matrices, in the order of the base</h2><div class="scroll" tabindex="0" role="region" '
        f'aria-label="table of all matrices"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _table_row(layer: LayerDelta, place: int, pictured: bool) -> str:
    rounding, left, right = rounding_of(layer), layer.overlap_left, layer.overlap_right
    name = f'<a href="#layer-{place}">{breakable(layer.name)}</a>' if pictured else breakable(layer.name)
    cells = [
        " × ".join(f"{n:,}" for n in layer.shape), foreign(layer.state),
        _or_dash(change_of(layer) if layer.relative_change else layer.relative_change),
        _or_dash(rounding[0] if rounding else None),
        "–" if layer.changed_share is None else f"{layer.changed_share:.1%}", _or_dash(layer.stable_rank),
        _or_dash(layer.floor.above if layer.floor else None),
        _or_dash(left.value if left else None), "–" if left is None else _band(left.null),
        _or_dash(right.value if right else None), "–" if right is None else _band(right.null),
        _or_dash(layer.kinship.cosine if layer.kinship else layer.cosine),
    ]  # fmt: skip
    body = "".join(f"<td{'' if i == 1 else ' class=n'}>{text}</td>" for i, text in enumerate(cells))
    anchor = "" if pictured else f' id="layer-{place}"'
    return (
        f'<tr{anchor}><td class="n">{place}</td><th scope="row" class="name">{name}</th><td>{foreign(layer.role)}</td>'
        f"{body}<td>{foreign(layer.sentence)}</td></tr>"
    )


def _or_dash(value: float | None) -> str:
    return "–" if value is None else number(value)


def _rest(report: DiffReport) -> str:
    parts = []
    if report.renamed is not None:
        made = report.renamed
        parts.append(
            f"<p>Names were matched without <code>{foreign(made.base_prefix or '(nothing)')}</code> in the base and "
            f"<code>{foreign(made.derived_prefix or '(nothing)')}</code> in the derived checkpoint: {made.gained:,} "
            "more match so.</p>"
        )
    notes = "".join(f"<li><code>{foreign(n.code)}</code> {foreign(n.sentence)}</li>" for n in report.notes)
    parts.append(f"<ul class=plain>{notes}</ul>" if notes else "")
    by_state = defaultdict(list)
    for tensor in report.others:
        by_state[tensor.state].append(f"<code>{breakable(tensor.name)}</code> {foreign(tensor.sentence)}")
    parts += [_listed(f"{plural(len(x), 'other tensor')} (norms, biases): {state}", x) for state, x in by_state.items()]
    by_reason = defaultdict(list)
    for lone in report.unmatched:
        shapes = [" × ".join(map(str, s)) or "scalar" for s in (lone.base_shape, lone.derived_shape) if s is not None]
        told = f"<code>{breakable(lone.name)}</code> <span class=soft>{' against '.join(shapes)}</span>"
        by_reason[lone.reason].append(told)
    for tensor_ in report.skipped:
        shape = " × ".join(map(str, tensor_.shape)) or "scalar"
        told = f"<code>{breakable(tensor_.name)}</code> <span class=soft>{shape}, {foreign(tensor_.dtype)}</span>"
        by_reason[tensor_.reason].append(told)
    parts += [_listed(f"{plural(len(x), 'tensor')}: {reason(code)}", x) for code, x in sorted(by_reason.items())]
    return f'<h2 id="rest">Everything else</h2>{"".join(parts) or "<p>Nothing.</p>"}'


def _listed(title: str, items: Sequence[str]) -> str:
    listed = "".join(f"<li>{item}</li>" for item in items)
    return (
        f'<details class="card"{" open" if len(items) <= 8 else ""}><summary>{title}</summary><div class="body">'
        f'<ul class="plain">{listed}</ul></div></details>'
    )


def _words() -> str:
    items = "".join(f"<dt>{word}</dt><dd>{meaning}</dd>" for word, meaning in WORDS.items())
    return f'<h2 id="words">Words</h2><dl class="words">{items}</dl>'


def _settings(report: DiffReport) -> str:
    made = report.environment
    pairs = [(k, "–" if v is None else str(v)) for k, v in report.settings.items()]
    pairs += [("tollens", made.tollens), ("python", made.python), ("numpy", made.numpy), ("scipy", made.scipy)]
    pairs.append(("BLAS", ", ".join(made.blas)))
    items = "".join(f"<dt>{foreign(k)}</dt><dd>{foreign(v)}</dd>" for k, v in pairs)
    return f'<h2 id="settings">Settings and environment</h2><dl class="pairs">{items}</dl>'
