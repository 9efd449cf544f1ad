"""`--fix`: tagged numbers of decided studies written anew, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from tollens.lint.readers.paper import Paper, Printed, Written, rewritten
from tollens.run.drift.finding import Rewrite
from tollens.run.drift.numbers import SHORT, digits_due, field_of, judged
from tollens.run.drift.repository import Repository


def fix(repository: Repository) -> list[Rewrite]:
    """Rewrite digits, unit and source of every number that D08, D09 or D10 names, with the decimals it has.

    Digits that are right stay as they are written. What `<`, `>` or a currency sign stands before, and digits among
    LaTeX that is no number, are left as they are. Raises TollensError `ledger_unwritable` where a
    paper cannot be replaced; the papers before it, by name, are written then.
    """
    made = []
    for paper in repository.papers:
        changes = [change for number in paper.numbers if (change := _change(repository, paper, number)) is not None]
        if changes:
            _write(repository, paper, changes)
            made += [_told(paper, change) for change in changes]
    return sorted(made)


def _change(repository: Repository, paper: Paper, number: Printed) -> Written | None:
    if judged(repository, paper, number) is None or number.digits is None:
        return None
    printed = number.tagged.quantity.number
    study = repository.study_of(number.tagged.claim, number.source)
    if study is None or study.verdict is None or printed.mark in ("<", ">"):
        return None
    found = field_of(study, number)
    if found is None:
        return None
    return Written(number, digits_due(number, *found), found[1], study.verdict.hash[:SHORT])


def _write(repository: Repository, paper: Paper, changes: Sequence[Written]) -> None:
    from tollens.run.study import write_whole

    path = repository.root / paper.path
    with open(path, encoding="utf-8", newline="") as text:
        kept = text.read()
    write_whole(path, rewritten(paper.path, kept, changes).encode("utf-8"))


def _told(paper: Paper, change: Written) -> Rewrite:
    old, name = change.printed.tagged.quantity, change.printed.tagged
    return Rewrite(
        paper.path, change.printed.line, f"{name.claim}.{name.field}", _shown(old.number.text, old.unit),
        _shown(change.digits, change.unit),
    )  # fmt: skip


def _shown(digits: str, unit: str | None) -> str:
    return digits if unit in (None, "1") else f"{digits} {unit}"
