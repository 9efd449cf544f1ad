"""The scoreboard on a terminal: the counts, one line a study, and what was believed without being read."""

from __future__ import annotations

import re
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
HEAD = ("study", "verdict", "rung", "traps", "money", "time", "anchor")
NARROW = 100
"""Columns of a terminal below which an anchor takes two lines."""
LEAST = 8
"""Characters that a name is given, however narrow the terminal."""
GAP = 2


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

    rows = [_cells(study) for study in studies]
    others = [max([len(name), *(len(part) for row in rows for part in row[name].split("\n"))]) for name in HEAD[1:]]
    rung = max(LEAST, min(others[1], (columns() - sum(others) + others[1] - GAP * len(others)) // 2))
    study_width = max(LEAST, columns() - sum(others) + others[1] - rung - GAP * len(others))
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, GAP - 1, 0, 0))
    for name in HEAD:
        table.add_column(name, justify="right" if name in NUMBERS else "left", no_wrap=True, overflow="ellipsis")
    for study, row in zip(studies, rows, strict=True):
        told = row | {
            "study": broken(row["study"], study_width),
            "rung": "\n".join(broken(part, rung) for part in row["rung"].split("\n")),
        }
        styles = {"verdict": STYLES.get(study.state, "")}
        table.add_row(*(Text(told[name], style=styles.get(name, "")) for name in HEAD))
    console = Console(highlight=False, width=columns())
    with console.capture() as capture:
        console.print(table)
    return unpadded(capture.get())


def _cells(study: Standing) -> dict[str, str]:
    """The words of a row by column; what stands on two lines has a line feed."""
    anchor = printable(anchor_words(study))
    return {
        "study": printable(study.path),
        "verdict": study.state + ("\nEXPLORATORY" if study.exploratory else ""),
        "rung": printable(rung_words(study)).replace(": ", "\n"),
        "traps": trap_words(study),
        "money": printable(cost_words(study.cost)).replace(", ", "\n"),
        "time": time_words(study.seconds),
        "anchor": anchor.replace(" ", "\n", 1) if columns() < NARROW or len(anchor) > 12 else anchor,
    }


def broken(name: str, width: int) -> str:
    """A name in lines of `width`, ended behind `-`, `_`, `/` or `.`; a part that is longer ends in an ellipsis."""
    lines = [""]
    for part in re.findall(r"[^-_/. ]*[-_/. ]?", name):
        if lines[-1] and len(lines[-1]) + len(part.rstrip()) > width:
            lines.append("")
        lines[-1] += part if len(part.rstrip()) <= width else part[: width - 1] + "…"
    return "\n".join(line.rstrip() for line in lines)
