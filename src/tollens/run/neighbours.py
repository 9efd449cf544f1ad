"""The deaths of a laboratory that a study can be held against: recorded post-mortems of the folders around it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from tollens.core.errors import TollensError
from tollens.protocol.resemblance import Dead, Resemblance, features_of, resembling
from tollens.protocol.study import Study, from_plain
from tollens.record import ledger as ledgers
from tollens.record.bodies import PostmortemBody
from tollens.record.ledger import Ledger, parse_ledger
from tollens.run.laboratory import laboratory_of, studies_under
from tollens.subject import file

MOST = 2000
"""Ledgers that are looked into, so that the status of one study never waits for a disk full of them."""
MOST_BYTES = 1 << 28
_MARK = b'"type":"postmortem"'


def resemblances(folder: Path, study: Study) -> tuple[list[Resemblance], list[str]]:
    """The classes that killed before in the laboratory of a study and that it resembles; and notes.

    The laboratory is the folder of the outermost tollens.toml, or without one the folders beside this. A ledger that
    cannot be read is noted and passed by.
    """
    notes: list[str] = []
    here = folder.resolve()
    try:
        root = laboratory_of(folder).root
    except TollensError as error:
        return [], [f"resemblance not looked for: {error.subject}: {error.found}"]
    try:
        dead = [*_deaths(here, root, notes)]
    except OSError as error:
        return [], [*notes, f"resemblance not looked for: {error.strerror or error}"]
    return resembling(features_of(study), dead), notes


def _deaths(here: Path, root: Path | None, notes: list[str]) -> Iterator[Dead]:
    top = root or here.parent
    looked = 0
    for place in studies_under(top) if root else _beside(here):
        if place.resolve() == here or not (place / ledgers.FILE).is_file():
            continue
        if looked == MOST:
            notes.append(f"resemblance: stopped after {MOST:,} ledgers, and there are more")
            return
        looked += 1
        name = os.path.relpath(place, top)
        try:
            yield from deaths_in(place, name)
        except TollensError as error:
            notes.append(f"resemblance: the ledger of {name} was passed by: {error.subject}: {error.found}")


def _beside(here: Path) -> Iterator[Path]:
    with os.scandir(here.parent) as entries:
        names = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    for name in names:
        if not name.startswith("."):
            yield here.parent / name


def deaths_in(folder: Path, name: str) -> Iterator[Dead]:
    """The killed claims of one ledger that have a recorded post-mortem, one a seal, the last record of each.

    Raises TollensError: what reading a ledger raises, `ledger_broken` for a manifest that is none.
    """
    data = file.read(folder / ledgers.FILE, MOST_BYTES)
    if _MARK not in data:  # most ledgers have none, and to check a chain costs a thousand times as much
        return
    ledger = parse_ledger(data)
    last = {body.seal: body for body in explained(ledger)}
    for record in ledger.of("seal", "amend"):
        body = last.get(record.body["seal"])
        if body is not None:
            try:
                features = features_of(from_plain(record.body["manifest"]["study"]))
            except (msgspec.ValidationError, KeyError, TypeError) as error:
                raise TollensError(
                    "ledger_broken", name, expected="the study of a seal", found=str(error)[:120],
                    fix="Restore the ledger from version control; a record is never edited.",
                ) from None  # fmt: skip
            yield Dead(study=name, claim=body.claim, obstacle=body.obstacle, lesson=body.lesson, features=features)


def explained(ledger: Ledger) -> list[PostmortemBody]:
    """The post-mortems of a ledger, in order; of two of one seal the later one counts."""
    return [msgspec.convert(record.body, PostmortemBody) for record in ledger.of("postmortem")]
