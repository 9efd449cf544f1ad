"""Figures against the data they were drawn from, by digest: D11.

D11  a figure whose data changed since, whose study has another verdict now, whose file or data is gone, or that says
     of no digest that it was drawn from
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from pathlib import Path

from tollens.core.canonical import mode_of
from tollens.core.errors import TollensError
from tollens.run.drift.finding import Drifted
from tollens.run.drift.repository import Repository
from tollens.run.drift.seals import LARGE, digest_of
from tollens.subject import file

LEAST = 12
"""Hexadecimal digits of a digest that must be given at least."""


def old_figures(repository: Repository) -> Iterator[Drifted]:
    """D11."""
    for paper in repository.papers:
        for tag in paper.figures:
            name, data, source = tag.options["id"], tag.options.get("data", ""), tag.options.get("from", "")
            what = _wrong(repository, paper.path, name, data, source)
            if what:
                fix = f"draw it again from {data}" if data else "name its data, with data= and from="
                yield Drifted(paper.path, tag.place.line, "D11", name, what, fix)


def _wrong(repository: Repository, paper: str, name: str, data: str, source: str) -> str:
    place = _place(repository, paper, name)
    if place is None or not place.is_file():
        return "the figure is not there"
    study = repository.study_of(data, source)
    if study is not None:
        if study.fault is not None:
            return ""
        if study.verdict is None:
            return f"drawn from {data}, which has no verdict"
        due = study.verdict.hash
    else:
        origin = _place(repository, paper, data) if data else None
        due = (_digest(origin) if origin is not None else None) or ""
        if not due:
            return f"drawn from {data}, which is not there" if data else "nothing says what it was drawn from"
    if len(source) < LEAST:
        return f"drawn from {data}, and no digest says of which state; it is {due[:LEAST]} now"
    return (
        "" if due.startswith(source.lower()) else f"drawn from {data} as it was at {source[:LEAST]}, now {due[:LEAST]}"
    )


def _place(repository: Repository, paper: str, name: str) -> Path | None:
    """A path beside the paper, or from the top of the repository; None where it leads outside."""
    if not name or "\0" in name:
        return None
    for base in (posixpath.dirname(paper), ""):
        path = posixpath.normpath(posixpath.join(base, name))
        if not path.startswith(("..", "/")) and (repository.root / path).exists():
            return repository.root / path
    return None


def _digest(path: Path) -> str | None:
    """The digest of data as a seal would take it: a text is the same with either kind of line end."""
    try:
        if path.stat().st_size > LARGE:
            return digest_of(path, "binary")
        return digest_of(path, mode_of(path.name, file.read(path, LARGE)))
    except (OSError, TollensError):
        return None
