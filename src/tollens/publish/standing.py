"""The cells of the scoreboard, in the same words on a terminal and on a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tollens.core.money import Micro, shown

if TYPE_CHECKING:
    from tollens.run.scoreboard import Standing


NONE = "–"


def rung_words(study: Standing) -> str:
    """Where it was killed, and the class of what it died of where that was recorded; a dash where it was not."""
    if study.state != "KILLED" or not study.rung:
        return NONE
    return f"{study.rung}: {study.obstacle}" if study.obstacle else study.rung


def trap_words(study: Standing) -> str:
    return f"{study.fired} of {study.traps}" if study.traps else NONE


def cost_words(cost: Mapping[str, Micro]) -> str:
    """Money by currency, which never add; a dash where nothing was bought."""
    return ", ".join(shown(int(micro), currency) for currency, micro in cost.items()) or NONE


def time_words(seconds: float) -> str:
    if not seconds:
        return NONE
    return f"{seconds:.3f} s" if seconds < 10 else f"{seconds:,.0f} s"


def anchor_words(study: Standing) -> str:
    """What vouches for the seal, short: `git 0123456`, `rfc3161 2026-01-01`, `unanchored`."""
    words = study.anchor.removeprefix("anchored: ").split(" (")[0].split()
    if len(words) < 2:
        return study.anchor
    return f"{words[0]} {words[-1][: 7 if words[0] == 'git' else 10]}"
