"""A series as one HTML file: the answer, the picture, the changes, the forecast, and every number behind them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import groupby

from msgspec import UnsetType

from tollens.publish.card import reason
from tollens.publish.html import page_html, write_html
from tollens.publish.series_chart import BAND, SHADE, series_svg
from tollens.publish.svg import INK, ORANGE
from tollens.publish.text import breakable, foreign, number, plural
from tollens.run.series_result import Forecast, SeriesReport, SeriesRow, StepSummary

SHOWN = 200
VERDICTS = {
    "FINDINGS": "At least one matrix gained a trap or lost its numbers on the way.",
    "CLEAN": "No trap appeared and no matrix lost its numbers. That is not a proof of quality.",
}


def series_html(report: SeriesReport) -> str:
    """The page of `tollens scan --series`; it needs no extra and works from disk."""
    sections = [_top(report), _picture(report), _changes(report)]
    if not isinstance(report.extrapolation, UnsetType):
        sections.append(_forecast(report.extrapolation))
    sections += [_steps(report), _matrices(report), _checkpoints(report), _words(), _settings(report)]
    return page_html(f"{report.verdict} – steps {report.steps[0].step} to {report.steps[-1].step} – Tollens", sections)


def write_series(report: SeriesReport, path: str | os.PathLike[str]) -> None:
    """Write the page to `path`: the whole file appears at once or not at all. Raises: `output_unwritable`."""
    write_html(series_html(report), path)


def _top(report: SeriesReport) -> str:
    best = report.best
    if best.guess is None:
        answer = "Where the best checkpoint lies is undetermined"
    else:
        answer = f"The best checkpoint lies probably between steps {best.low:,} and {best.high:,}"
    sure = "" if best.guess is None else f" Guess: step {best.guess:,} ({foreign(best.sure)})."
    changed = len({change.matrix for change in report.changes})
    held = "No change holds" if not report.changes else f"{plural(len(report.changes), 'change')} in {changed}"
    of = "" if not report.changes else f" of {plural(len(_by_matrix(report)), 'matrix').replace('matrixs', 'matrices')}"
    links = [("picture", "Over the steps"), ("changes", "Changes")]
    if not isinstance(report.extrapolation, UnsetType):
        links.append(("forecast", "Forecast"))
    links += [("steps", "Steps"), ("matrices", "Matrices"), ("checkpoints", "Checkpoints"), ("words", "Words")]
    nav = "".join(f'<a href="#{name}">{title}</a>' for name, title in links)
    return (
        '<header><div class="brand">Tollens · scan of a series of checkpoints, from their weights alone</div>'
        f'<div class="verdict {report.verdict.lower()}">{foreign(report.verdict)}</div>'
        f'<h1>{answer}</h1><p class="headline">{foreign(_sentence(best.reason))}{sure}</p>'
        f"<p>{VERDICTS.get(report.verdict, '')}</p>"
        f"<dl><dt>series</dt><dd>{plural(len(report.members), 'checkpoint')}, steps {report.steps[0].step:,} to "
        f"{report.steps[-1].step:,}</dd><dt>changes</dt><dd>{held}{of}</dd></dl>"
        f'<nav aria-label="sections">{nav}</nav></header>'
    )


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _picture(report: SeriesReport) -> str:
    keys = [
        (f'<rect x="2" y="1" width="18" height="14" fill="{BAND}"/>', "90 % interval, or middle half of the matrices")
    ]
    if report.best.guess is not None:
        mark = (
            f'<rect x="2" y="1" width="18" height="14" fill="{SHADE}"/><path d="M11 1V15" stroke="{ORANGE}" '
            'stroke-width="2" stroke-dasharray="4 2"/>'
        )
        keys.append((mark, "where the best checkpoint probably is, and the guess"))
    if any(change.finding for change in report.changes):
        keys.append((f'<path d="M5 3H17L11 13Z" fill="{INK}"/>', "a finding"))
    items = "".join(
        f'<li><svg viewBox="0 0 22 16" aria-hidden="true" fill="none">{mark}</svg>{name}</li>' for mark, name in keys
    )
    return (
        f'<h2 id="picture">Over the steps</h2><p>Medians over all matrices that were followed, and trap counts by '
        "cause. The matrices were measured with the same permutations at every step.</p>"
        f'<figure><ul class="key">{items}</ul><div class="wide">{series_svg(report, columns=2)}</div>'
        f'<div class="narrow">{series_svg(report, columns=1)}</div></figure>'
    )


def _changes(report: SeriesReport) -> str:
    chance = (
        f"<p>{report.compared:,} pairs of neighbours were compared in alpha; if nothing changed, up to "
        f"{report.by_chance:.1f} would part by chance.</p>"
        if report.compared
        else ""
    )
    head = (
        '<h2 id="changes">Changes</h2><p>A change of alpha is two intervals that share no number; a change of a count '
        f"has held for three checkpoints or more.</p>{chance}"
    )
    notes = "".join(f"<li><code>{foreign(n.code)}</code> {foreign(n.sentence)}</li>" for n in report.notes)
    notes = f"<ul class=plain>{notes}</ul>" if notes else ""
    if not report.changes:
        return f"{head}<p>None.</p>{notes}"
    items = "".join(
        f'<li>{"<span class=tag>finding</span> " if c.finding else ""}<span class="name">{breakable(c.matrix)}</span>'
        f"<br>{foreign(c.sentence)}</li>"
        for c in report.changes[:SHOWN]
    )
    rest = len(report.changes) - SHOWN
    more = f"<p>{plural(rest, 'more change')} stand in <code>--json</code>.</p>" if rest > 0 else ""
    return f'{head}<ol class="found">{items}</ol>{more}{notes}'


def _forecast(forecast: Forecast) -> str:
    rows = [
        (
            breakable(t.name),
            _share(t.explained_variance),
            _share(t.r2),
            _share(t.error),
            _share(t.last_error),
            _share(t.average_error),
        )
        for t in forecast.tensors
    ]
    best = {"last": "standing still", "average": "the mean of the last three", "extrapolation": "the extrapolation"}
    nearest = "" if forecast.nearest is None else f" Closest was {best[forecast.nearest]}."
    exact = " Every tensor that moves lies on one line to 1e-10." if forecast.exact else ""
    copied = "".join(
        f"<li><code>{breakable(t.name)}</code> {foreign(t.dtype)}: {reason(t.reason)}</li>" for t in forecast.copied
    )
    copied = f"<p>Copied from the last checkpoint:</p><ul class=plain>{copied}</ul>" if copied else ""
    return (
        f'<h2 id="forecast">Forecast for step {forecast.step:,}</h2><p>Extrapolated, not trained: '
        f"<code>{foreign(forecast.path)}</code>. Each tensor is continued along the one direction that explains "
        f"most of its movement, which is {_share(forecast.explained_variance)} of all movement.{exact}</p>"
        f"<p>On step {forecast.left_out:,}, which a fit of the others did not see, it is off by "
        f"{_share(forecast.error)} of the way from step {forecast.origin:,}; standing still by "
        f"{_share(forecast.last_error)}, the mean of the last three by {_share(forecast.average_error)}.{nearest}</p>"
        f"<p>What would settle it: {foreign(forecast.settles)}.</p>"
        + _table(
            ("tensor", "explained", "R²", "error", "standing still", "mean of three"), rows, "table of the forecast"
        )
        + copied
    )


def _steps(report: SeriesReport) -> str:
    titles = ("step", "alpha [90 %]", "stable rank", "excess", "distance", "speed", "rank added", "traps", "failed")
    rows = [
        (
            f"<strong>{s.step:,}</strong>" if _within(report, s.step) else f"{s.step:,}",
            _alpha(s),
            _plain(s.stable_rank),
            _plain(s.spectral_excess),
            _plain(s.distance),
            _plain(s.speed),
            _plain(s.delta_stable_rank),
            " / ".join(_plain(n) for n in (s.traps_mean, s.traps_entry, s.traps_residual)),
            f"{s.failed}",
        )
        for s in report.steps
    ]
    return (
        '<h2 id="steps">Steps</h2><p>Medians over the matrices. Traps are summed: by a shared mean, by single '
        "elements, by neither.</p>" + _table(titles, rows, "table of the steps")
    )


def _within(report: SeriesReport, step: int) -> bool:
    low, high = report.best.low, report.best.high
    return low is not None and high is not None and low <= step <= high


def _alpha(summary: StepSummary) -> str:
    if summary.alpha is None or summary.alpha_low is None or summary.alpha_high is None:
        return _plain(summary.alpha)
    return f"{number(summary.alpha)} [{number(summary.alpha_low)}, {number(summary.alpha_high)}]"


def _by_matrix(report: SeriesReport) -> list[list[SeriesRow]]:
    return [list(rows) for _, rows in groupby(report.rows, key=lambda row: row.matrix)]


def _matrices(report: SeriesReport) -> str:
    titles = ("matrix", "M × N", "alpha", "stable rank", "outliers", "traps", "distance", "rank added")
    rows = []
    for path in _by_matrix(report)[:SHOWN]:
        first, last = path[0], path[-1]
        cells = [breakable(first.matrix), f"{first.M:,} × {first.N:,}"]
        for name in ("alpha", "stable_rank", "n_outliers", "traps_all"):
            cells.append(f"{_cell(first, name)} → {_cell(last, name)}")
        rows.append((*cells, _cell(last, "distance"), _cell(last, "delta_stable_rank")))
    listed = "".join(
        f"<li><code>{breakable(u.name)}</code>, in steps {', '.join(f'{s:,}' for s in u.steps[:20])}: "
        f"{' or '.join(' × '.join(map(str, shape)) for shape in u.shapes)}</li>"
        for u in report.unmatched
    )
    unmatched = f"<p>Not in every checkpoint in one shape:</p><ul class=plain>{listed}</ul>" if listed else ""
    return (
        '<h2 id="matrices">Matrices, first step → last step</h2>'
        + _table(titles, rows, "table of the matrices")
        + '<p class="soft">Every matrix at every step stands in <code>--csv</code> and <code>--json</code>.</p>'
        + unmatched
    )


def _cell(row: SeriesRow, name: str) -> str:
    value = getattr(row, name)
    return number(value) if value is not None else f"<code>{foreign(row.undefined.get(name, '–'))}</code>"


def _checkpoints(report: SeriesReport) -> str:
    rows = [
        (
            f"{m.step:,}",
            f"<span class=mono>{foreign(m.path)}</span>",
            foreign(m.step_from),
            f"{m.parameters:,}",
            f"<span class=mono>{foreign(m.digest[:23])}</span>",
        )
        for m in report.members
    ]
    table = _table(("step", "path", "step from", "parameters", "digest"), rows, "table of the checkpoints")
    return f'<h2 id="checkpoints">Checkpoints</h2>{table}'


WORDS = {
    "alpha": "Exponent of the power law fitted to the largest eigenvalues of a matrix. It stands with a 90 % interval.",
    "stable rank": "Sum of all eigenvalues over the largest: how many directions carry the energy of a matrix.",
    "rank of what was added": "The stable rank of the difference to the first checkpoint.",
    "spectral excess": "How far the largest eigenvalue lies beyond the edge of the bulk, as a share of that edge.",
    "distance, speed": "Frobenius norm of the difference to the first checkpoint, and to the one before.",
    "traps": "Eigenvalues that stay beyond the edge of noise although all elements were shuffled, by what causes them: "
    "a shared mean, a few large elements, or neither.",
}


def _words() -> str:
    items = "".join(f"<dt>{word}</dt><dd>{meaning}</dd>" for word, meaning in WORDS.items())
    return f'<h2 id="words">Words</h2><dl class="words">{items}</dl>'


def _settings(report: SeriesReport) -> str:
    made = report.environment
    pairs = [(k, "–" if v is None else str(v)) for k, v in report.settings.items()]
    pairs += [("tollens", made.tollens), ("python", made.python), ("numpy", made.numpy), ("BLAS", ", ".join(made.blas))]
    items = "".join(f"<dt>{foreign(k)}</dt><dd>{foreign(v)}</dd>" for k, v in pairs)
    return f'<h2 id="settings">Settings and environment</h2><dl class="pairs">{items}</dl>'


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]], label: str) -> str:
    """A table of cells that are HTML already; it scrolls inside itself where the screen is narrow."""
    head = "".join(f'<th scope="col"{" class=n" if place else ""}>{t}</th>' for place, t in enumerate(titles))
    body = "".join(
        "<tr>"
        + "".join(f'<td class="{"n" if place else "name"}">{cell}</td>' for place, cell in enumerate(row))
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{label}"><table class="figures"><thead><tr>{head}'
        f"</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _plain(value: float | None) -> str:
    return "–" if value is None else number(value)


def _share(value: float | None) -> str:
    return "–" if value is None else f"{100.0 * value:.1f} %"
