"""The scoreboard as one offline page; the order is chosen by radio buttons, so that no script is needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from tollens.publish.html import page_html
from tollens.publish.standing import NONE, anchor_words, cost_words, rung_words, time_words, trap_words
from tollens.publish.text import breakable, foreign
from tollens.run.scoreboard import ORDER, Scoreboard, Standing

TONES = {
    "KILLED": "killed", "SURVIVED": "survived", "TAMPERED": "findings", "UNREADABLE": "findings", "VOID": "findings",
}  # fmt: skip
Order: TypeAlias = tuple[str, Callable[[Standing], Any]]
BEFORE: Mapping[str, Order] = {
    "worst": ("worst first", lambda s: (ORDER.index(s.state), s.path)),
    "name": ("study", lambda s: s.path),
}
BEHIND: Mapping[str, Order] = {
    "time": ("time, most first", lambda s: (-s.seconds, s.path)),
    "traps": ("traps that did not fire", lambda s: (s.fired - s.traps, s.path)),
    "anchor": ("unanchored first", lambda s: (s.anchor != "unanchored", s.path)),
}
STYLE = (
    ".board{display:grid;grid-template-columns:minmax(16ch,2fr) max-content minmax(6ch,1fr) repeat(3,max-content) "
    "minmax(12ch,max-content);width:100%;column-gap:1.2rem}"
    ".board thead,.board tbody{display:contents}"
    ".board tr{display:grid;grid-template-columns:subgrid;grid-column:1/-1;border-bottom:1px solid var(--line)}"
    ".board thead tr{order:-1;border-bottom:1.5px solid var(--ink)}"
    ".board th,.board td{border:0;padding:.3rem 0;min-width:0;overflow-wrap:anywhere}"
    ".board .why{grid-column:1/-1;padding-top:0;color:var(--soft)}"
    ".sorts{border:0;padding:0;margin:1rem 0;display:flex;flex-wrap:wrap;gap:.2rem 1.1rem}"
    ".sorts legend{float:left;color:var(--soft);margin-right:1.1rem;padding:0}"
    ".state{font-weight:700;white-space:nowrap;color:var(--tone,var(--ink));border:0!important}"
    ".board .small{white-space:nowrap}.board .why{white-space:normal}"
    "@media(max-width:760px){.board{display:block}.board thead,.board .none{display:none}"
    ".board tbody{display:flex;flex-direction:column}.board tr{display:flex;flex-wrap:wrap;column-gap:1.1rem}"
    ".board td,.board th{padding:.1rem 0}.board .traps::before{content:'traps '}"
    ".board th[scope=row],.board .why{flex:0 0 100%}.board th[scope=row]{font-weight:700;padding-top:.5rem}}"
)


def orders(board: Scoreboard) -> Mapping[str, Order]:
    """By name, what the button says and the key of the order; of money one for each currency, which never compare."""
    money = {f"cost-{currency}": _most(currency) for currency in sorted({c for s in board.studies for c in s.cost})}
    return {**BEFORE, **money, **BEHIND}


def _most(currency: str) -> Order:
    """The most of it first, what came back after nothing, and what has none of this currency last."""
    return f"most {currency} first", lambda s: (currency not in s.cost, -int(s.cost.get(currency, 0)), s.path)


def scoreboard_html(board: Scoreboard) -> str:
    """The page of `tollens status FOLDER --html`."""
    by = orders(board)
    places = {
        name: {study.path: place for place, study in enumerate(sorted(board.studies, key=key))}
        for name, (_, key) in by.items()
    }
    rows = [_row(study, {name: place[study.path] for name, place in places.items()}) for study in board.studies]
    head = "".join(
        f'<th scope="col" class="{kind}">{name}</th>'
        for name, kind in (
            ("study", ""), ("verdict", ""), ("killed by", ""), ("traps", ""), ("money", "n"), ("time", "n"),
            ("anchor", ""),
        )
    )  # fmt: skip
    table = f'<table class="board"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
    chosen = "".join(f"main:has(#by-{name}:checked) .board tbody tr{{order:var(--{name})}}" for name in by)
    style = f"<style>{STYLE}{chosen}</style>"
    return page_html(f"{board.headline} – Tollens", [style, _top(board), _sorts(by), table, _words()])


def _top(board: Scoreboard) -> str:
    rows = [("folder", f'<span class="mono">{foreign(board.folder)}</span>'), ("ledgers", foreign(board.ledgers))]
    rows += [("index", foreign(note)) for note in board.notes]
    facts = "".join(f"<dt>{name}</dt><dd>{text}</dd>" for name, text in rows)
    return (
        '<header><div class="brand">Tollens · what became of every claim</div>'
        f"<h1>{foreign(board.headline)}</h1><dl>{facts}</dl></header>"
    )


def _sorts(by: Mapping[str, Order]) -> str:
    buttons = "".join(
        f'<label><input type="radio" name="by" id="by-{name}"{" checked" if name == "worst" else ""}> {text}</label>'
        for name, (text, _) in by.items()
    )
    return f'<fieldset class="sorts"><legend>order</legend>{buttons}</fieldset>'


def _row(study: Standing, places: Mapping[str, int]) -> str:
    order = ";".join(f"--{name}:{place}" for name, place in places.items())
    label = ' <span class="small">EXPLORATORY</span>' if study.exploratory else ""
    same = study.path.rpartition("/")[2] == study.claim or not study.claim
    claim = "" if same else f' <span class="small">{foreign(study.claim)}</span>'
    said = study.text if study.state not in ("TAMPERED", "UNREADABLE") else study.found
    witness = (
        f" — {study.found}" if study.state in ("KILLED", "UNDETERMINED", "VOID", "BLOCKED") and study.found else ""
    )
    cells: Sequence[tuple[str, str]] = (
        ("", foreign(rung_words(study))), ("traps", trap_words(study)), ("n", foreign(cost_words(study.cost))),
        ("n", time_words(study.seconds)), ("", foreign(anchor_words(study))),
    )  # fmt: skip
    return (
        f'<tr style="{order}"><th scope="row"><span class="mono">{breakable(study.path)}</span>{claim}</th>'
        f'<td><span class="state {TONES.get(study.state, "undetermined")}">{study.state}</span>{label}</td>'
        + "".join(f'<td class="{kind}{" none" if text == NONE else ""}">{text}</td>' for kind, text in cells)
        + f'<td class="why small">{foreign(said + witness)}</td></tr>'
    )


def _words() -> str:
    return (
        '<h2>What the columns say</h2><dl class="words"><dt>verdict</dt><dd>SURVIVED means not refuted by these '
        "attacks, never proved. TAMPERED: the record does not agree with itself or with what was published.</dd>"
        "<dt>traps</dt><dd>controls that came out as they must, of all that the verdict names.</dd>"
        "<dt>money, time</dt><dd>what was bought less what came back, by currency; wall time of the measurements.</dd>"
        "<dt>anchor</dt><dd>what somebody else holds of the seal. No remote was asked: "
        "<code>tollens status STUDY --check-remote</code> does.</dd></dl>"
    )
