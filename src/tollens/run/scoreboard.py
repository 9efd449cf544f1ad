"""The scoreboard: what became of every claim below a folder, the worst first."""

from __future__ import annotations

import os
import shlex
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from tollens.core.errors import Exit, TollensError
from tollens.core.money import Micro, micro
from tollens.run.index import Progress, Refreshed, indexed
from tollens.run.laboratory import laboratory_of, no_study

ORDER = (
    "TAMPERED", "UNREADABLE", "VOID", "BLOCKED", "KILLED", "UNDETERMINED", "RUNNING", "SEALED", "DRAFT", "SURVIVED",
)  # fmt: skip
"""What needs a hand first: what cannot be believed, then what was refuted, then what is open, then what lives."""
OPEN = ("RUNNING", "SEALED", "DRAFT")


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """One study. `cost` is in millionths by currency, refunds taken off, beyond 2^53 - 1 the digits as a string;
    `seconds` the wall time of its cells.

    `obstacle` is the class that a post-mortem gave it. `fired` of `traps` controls came out as they must. `found` is
    the witness, or why nothing can be said.
    """

    path: str
    claim: str
    text: str
    state: str
    rung: str | None
    obstacle: str | None = None
    found: str
    traps: int
    fired: int
    cost: dict[str, Micro]
    seconds: float
    anchor: str
    exploratory: bool
    amendments: int
    records: int
    torn: int
    next: str


class Scoreboard(msgspec.Struct, frozen=True, kw_only=True):
    """What `tollens status --json` prints for a folder of studies.

    `counts` is how many are in each state. `ledgers` tells what was read and what was believed on its size and time.
    """

    schema: str = "tollens.scoreboard/1"
    folder: str
    headline: str
    counts: dict[str, int]
    studies: list[Standing]
    ledgers: str
    notes: list[str]
    exit_code: int
    next: str


def scoreboard(
    path: str | os.PathLike[str],
    index: str | os.PathLike[str] | None = None,
    *,
    rehash: bool = False,
    progress: Progress | None = None,
) -> Scoreboard:
    """Every study below `path`, by what became of it, then by path.

    Raises TollensError: `no_study` (21) where there is none; `path_unreadable`, `index_foreign`, `index_busy` (2).
    """
    root = Path(path)
    with indexed(root, None if index is None else Path(index), rehash=rehash, progress=progress) as (_, done):
        standings = [*_blocked(done.folders, _standings(done.rows)), *(_shut(*closed) for closed in done.closed)]
    studies = sorted((_addressed(path, s) for s in standings), key=lambda s: (ORDER.index(s.state), s.path))
    if not studies:
        raise no_study(path)
    counts = Counter(study.state for study in studies)
    worst = Exit.TAMPERED if counts["TAMPERED"] else Exit.BAD_INPUT if counts["UNREADABLE"] else Exit.CLEAN
    first = next((s for s in studies if s.state not in ("KILLED", "SURVIVED")), studies[0])
    return Scoreboard(
        folder=os.fspath(path),
        headline=_headline(counts),
        counts={state: counts[state] for state in ORDER if counts[state]},
        studies=studies,
        ledgers=ledgers_sentence(done),
        notes=done.notes,
        exit_code=int(worst),
        next=f"tollens status {_place(path, first.path)}",
    )


def _place(path: str | os.PathLike[str], study: str) -> str:
    """The folder of a study from here, as a shell takes it."""
    return shlex.quote(os.fspath(path) if study == "." else os.path.join(os.fspath(path), study))


def _addressed(path: str | os.PathLike[str], study: Standing) -> Standing:
    """With a command that can be run from here; the index knows only its own folder."""
    program, verb, rest = study.next.split(" ", 2)
    options = rest.removeprefix(shlex.quote(study.path))
    return msgspec.structs.replace(study, next=f"{program} {verb} {_place(path, study.path)}{options}")


def _shut(path: str, why: str) -> Standing:
    """A folder that cannot be looked into: how many studies it has nobody knows."""
    return Standing(
        path=path, claim="", text="", state="UNREADABLE", rung=None, found=why, traps=0, fired=0, cost={}, seconds=0.0,
        anchor="unanchored", exploratory=False, amendments=0, records=0, torn=0,
        next=f"tollens status {shlex.quote(path)}",
    )  # fmt: skip


def _standings(known: Mapping[str, Mapping[str, Any]]) -> list[Standing]:
    return [
        Standing(
            path=row["path"], claim=row["claim"], text=row["text"], state=row["state"], rung=row["rung"],
            obstacle=row["obstacle"], found=row["found"], traps=row["traps"], fired=row["fired"],
            cost={c: micro(amount) for c, amount in msgspec.json.decode(row["cost"], type=dict[str, int]).items()},
            seconds=row["seconds"], anchor=row["anchor"],
            exploratory=bool(row["exploratory"]), amendments=row["amendments"], records=row["records"],
            torn=row["torn"], next=row["next"],
        )
        for row in known.values()
    ]  # fmt: skip


def _blocked(folders: Mapping[str, Path], studies: list[Standing]) -> list[Standing]:
    """With what a constraint holds up today, which no index can know: a waiver ends by itself."""
    found = []
    for study in studies:
        if study.state in ("SEALED", "RUNNING"):
            try:
                names = _blocking(folders[study.path])
            except TollensError as error:  # a tollens.toml that is none stops this study, and no other
                said = f"{error.subject}: {error.found}"
                study = msgspec.structs.replace(study, state="UNREADABLE", found=said)
            else:
                if names:
                    said = f"held up by {', '.join(names)}"
                    study = msgspec.structs.replace(study, state="BLOCKED", found=said)
        found.append(study)
    return found


def _blocking(folder: Path) -> list[str]:
    if not any(laboratory.constraint for *_, laboratory in laboratory_of(folder).files):
        return []
    from tollens.run.entry import blocking

    return blocking(folder)


def _headline(counts: Counter[str]) -> str:
    """`9 KILLED, 3 SURVIVED, 1 UNDETERMINED, 2 open of 15 claims`."""
    told = ("TAMPERED", "UNREADABLE", "KILLED", "SURVIVED", "UNDETERMINED", "VOID", "BLOCKED")
    said = [f"{counts[state]:,} {state}" for state in told if counts[state]]
    left = sum(counts[state] for state in OPEN)
    if left:
        said.append(f"{left:,} open")
    total = sum(counts.values())
    return f"{', '.join(said)} of {total:,} claim{'s' if total > 1 else ''}"


def ledgers_sentence(done: Refreshed) -> str:
    """What was read, in one sentence: nothing that was believed unread goes without saying."""
    said = [f"{done.read:,} read"]
    if done.grown:
        said.append(f"{done.grown:,} read from their old end on")
    if done.unchanged:
        said.append(f"{done.unchanged:,} unchanged since they were indexed (size and time; --rehash reads all)")
    return f"{', '.join(said)}; sealed files were not hashed: tollens drift does"
