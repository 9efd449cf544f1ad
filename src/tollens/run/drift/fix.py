"""`--fix`: tagged numbers of decided studies written anew, and nothing else."""

from __future__ import annotations

import stat
from collections.abc import Sequence

from tollens.core.errors import TollensError
from tollens.lint.readers.paper import Paper, Printed, Written, read_paper, rewritten
from tollens.run.drift.finding import Rewrite
from tollens.run.drift.numbers import SHORT, digits_due, field_of, judged, right, unit_is_right
from tollens.run.drift.repository import Repository


def fix(repository: Repository) -> list[Rewrite]:
    """Rewrite digits, unit and source of every number that D08, D09 or D10 names, with the decimals it has.

    Digits that are right stay as they are written. What `<`, `>` or a currency sign stands before, and digits among
    LaTeX that is no number, are left as they are; so are links, whose target has a name of its own, files that nobody
    may write, and a paper that was changed since it was read. Raises TollensError `ledger_unwritable` where a paper
    cannot be replaced; the papers before it, by name, are written then.
    """
    made = []
    for paper in repository.papers:
        changes = [change for number in paper.numbers if (change := _change(repository, paper, number)) is not None]
        if changes and _write(repository, paper, changes):
            made += [_told(paper, change) for change in changes]
    return sorted(made)


def _change(repository: Repository, paper: Paper, number: Printed) -> Written | None:
    if judged(repository, paper, number) is None or (number.digits is None and number.cell is None):
        return None
    printed = number.tagged.quantity.number
    study = repository.study_of(number.tagged.claim, number.source)
    if study is None or study.verdict is None or printed.mark in ("<", ">"):
        return None
    found = field_of(study, number)
    if found is None:
        return None
    due = digits_due(number, *found)
    if number.cell is not None and (not unit_is_right(number, found[1]) or number.digits is None):
        # The unit is said of the whole column. Digits among others can be bound to their verdict where they are right.
        if not right(number, *found):
            return None
        due = number.text
    return Written(number, due, found[1], study.verdict.hash[:SHORT])


def _write(repository: Repository, paper: Paper, changes: Sequence[Written]) -> bool:
    from tollens.run.study import write_whole

    path = repository.root / paper.path
    mode = stat.S_IMODE(path.lstat().st_mode)
    if path.is_symlink() or not mode & 0o222:
        return False
    with open(path, encoding="utf-8", newline="") as text:
        kept = text.read()
    if _read(paper.path, kept) != paper:
        return False
    write_whole(path, rewritten(paper.path, kept, changes).encode("utf-8"))
    path.chmod(mode)
    return True


def _read(path: str, text: str) -> Paper | None:
    try:
        return read_paper(path, text)
    except TollensError:
        return None


def _told(paper: Paper, change: Written) -> Rewrite:
    old, name = change.printed.tagged.quantity, change.printed.tagged
    return Rewrite(
        paper.path, change.printed.line, f"{name.claim}.{name.field}", _shown(old.number.text, old.unit),
        _shown(change.digits, change.unit),
    )  # fmt: skip


def _shown(digits: str, unit: str | None) -> str:
    return digits if unit in (None, "1") else f"{digits} {unit}"
