"""A killed claim that somebody still leans on: D07.

D07  a citation of a killed claim that does not say so; numbers of a killed claim in a paper that nowhere says it was
     killed; evidence in a killed study for a constraint that asks for one that survived, or such a constraint itself
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tollens.protocol.laboratory import Laboratory
from tollens.protocol.study import FILE as CLAIM
from tollens.run.drift.bindings import above, beside, evidence_rows
from tollens.run.drift.finding import Drifted
from tollens.run.drift.repository import Repository, StudyFolder

SURVIVED = re.compile(r"\s*survived:\s*(\S+)\s*")


def killed_but_cited(repository: Repository) -> Iterator[Drifted]:
    """D07."""
    for paper in repository.papers:
        said = {tag.options["id"] for tag in paper.cites if tag.options.get("as", "").lower() == "killed"}
        for tag in paper.cites:
            claim = tag.options["id"]
            if tag.options.get("as", "").lower() != "killed" and killed(repository.study_of(claim)):
                yield Drifted(
                    paper.path, tag.place.line, "D07", claim, "cited as live, and it was KILLED",
                    f"write t:cite {claim} as=killed, or take it out",
                )  # fmt: skip
                said.add(claim)  # its numbers are the same defect
        for number in paper.numbers:
            claim = number.tagged.claim
            if claim not in said and killed(repository.study_of(claim, number.source)):
                said.add(claim)
                yield Drifted(
                    paper.path, number.line, "D07", claim, "a number of a KILLED claim, and the text does not say so",
                    f"say that it was killed, with t:cite {claim} as=killed",
                )  # fmt: skip
    for study in repository.studies:
        asked = [
            row for where, tables in repository.laboratories.items() if above(where, study) for row in tables.constraint
        ]
        needs = {row.id for row in asked if any(SURVIVED.fullmatch(entry) for entry in row.require)}
        for row, line in evidence_rows(study):
            other = row.get("study")
            if row.get("constraint") in needs and isinstance(other, str) and killed(beside(repository, study, other)):
                yield Drifted(
                    study.at(CLAIM), line, "D07", study.claim, f"rests on {other}, which was KILLED",
                    "find other evidence, and amend",
                )  # fmt: skip
    for where, tables in sorted(repository.laboratories.items()):
        if not where.startswith(".."):
            yield from _constraints(repository, where, tables)


def _constraints(repository: Repository, where: str, tables: Laboratory) -> Iterator[Drifted]:
    for row in tables.constraint:
        for entry in row.require:
            match = SURVIVED.fullmatch(entry)
            if match is not None and killed(repository.study_of(match[1])):
                yield Drifted(
                    where, _line(repository, where, row.id), "D07", match[1],
                    f"the constraint {row.id} requires it to have survived, and it was KILLED",
                    "no study can meet this constraint: change what it requires",
                )  # fmt: skip


def _line(repository: Repository, where: str, name: str) -> int:
    try:
        text = (repository.root / where).read_text("utf-8-sig").splitlines()
    except (OSError, ValueError):
        return 1
    said = re.compile(rf"\s*id\s*=\s*[\"']{re.escape(name)}[\"']")
    return next((number for number, line in enumerate(text, 1) if said.match(line)), 1)


def killed(study: StudyFolder | None) -> bool:
    """Whether the present verdict of a study is KILLED."""
    verdict: Any = None if study is None else study.verdict
    return verdict is not None and verdict.body["verdict"] == "KILLED"
