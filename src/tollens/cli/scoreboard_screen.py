"""The scoreboard on a terminal: the counts, one line a study, and what was believed without being read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tollens.cli.facts import columns, facts_text
from tollens.cli.study_screen import STYLES
from tollens.cli.terminal import printable, unpadded
from tollens.publish.standing import anchor_words, cost_words, rung_words, time_words, trap_words

if TYPE_CHECKING:
    from tollens.run.scoreboard import Scoreboard, Standing

SHOWN = 40
NUMBERS = frozenset({"money", "time"})
WHOLE = frozenset({"verdict", "traps", "time", "anchor"})
"""Columns whose words are never cut in two."""
NARROW = 12


def scoreboard_text(board: Scoreboard, *, show_all: bool = False) -> str:
    """At most 40 studies, or all of them."""
    shown = board.studies if show_all else board.studies[:SHOWN]
    more = len(board.studies) - len(shown)
    facts = [(s.path, s.found) for s in shown if s.state in ("TAMPERED", "UNREADABLE")]
    tail = [("more", f"{more:,} studies are not shown: --all shows them")] if more else []
    if any(s.anchor != "unanchored" for s in shown):
        tail.append(("anchors", "no remote was asked: tollens status STUDY --check-remote does"))
    tail += [("ledgers", board.ledgers), *(("index", note) for note in board.notes), ("next", board.next)]
    broken = f"{facts_text('', [(printable(path), found) for path, found in facts]).lstrip()}\n" if facts else ""
    return f"{printable(board.headline)}\n\n{_table(shown)}\n{broken}{facts_text('', tail).lstrip()}"


def _table(studies: Sequence[Standing]) -> str:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in ("study", "verdict", "rung", "traps", "money", "time", "anchor"):
        table.add_column(
            name, overflow="fold", justify="right" if name in NUMBERS else "left", no_wrap=name in WHOLE
        )  # fmt: skip
    for study in studies:
        label = "\nEXPLORATORY" if study.exploratory else ""
        anchor = printable(anchor_words(study))
        table.add_row(
            Text(printable(study.path)),
            Text(study.state + label, style=STYLES.get(study.state, "")),
            Text(printable(rung_words(study))),
            trap_words(study),
            Text(printable(cost_words(study.cost))),
            time_words(study.seconds),
            Text(anchor if len(anchor) <= NARROW else anchor.replace(" ", "\n", 1)),
        )
    console = Console(highlight=False, width=columns())
    with console.capture() as capture:
        console.print(table)
    return unpadded(capture.get())
