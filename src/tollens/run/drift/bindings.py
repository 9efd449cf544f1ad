"""What results, claims and evidence say of each other: D04 to D06.

D04  a record (verdict, spend, postmortem, import) of a claim or seal that its study never had; a decision, trap results
     or a postmortem copied from another folder; a number of a paper that was written from a study that is not there
D05  a citation of a claim that is not here or has no verdict, of one whose verdict is another than it says, of one that
     survived an exploratory study and is cited as survived; a decision that the ledger does not hold or traps other
     than it holds, a number of a claim without a verdict
D06  what a climb leaves in a folder without a claim; evidence for a constraint that nobody has; evidence in a study
     that is not there, or in an import that no ledger records
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from tollens.protocol.decision import Decision, TrapResults
from tollens.protocol.study import FILE as CLAIM
from tollens.record.envelope import Envelope
from tollens.record.ledger import FILE as LEDGER
from tollens.run.drift.finding import Drifted
from tollens.run.drift.numbers import field_of
from tollens.run.drift.repository import DECISION, KNOWN, POSTMORTEM, TRAPS, Repository, StudyFolder
from tollens.run.drift.seals import seal_named

LIVE, EXPLORATORY = "survived", "exploratory"
WORDS = {"live": LIVE, "alive": LIVE}


def unbound_results(repository: Repository) -> Iterator[Drifted]:
    """D04."""
    for study in repository.studies:
        if study.fault is not None:
            continue
        yield from _unbound_records(study)
        for name in (DECISION, TRAPS, POSTMORTEM):
            if name in study.files and CLAIM in study.names:
                what = _foreign(study, study.files[name])
                if what:
                    yield Drifted(
                        study.at(name), 1, "D04", study.claim, f"{name} of {what}", f"delete it, or move it to {what}"
                    )
    for paper in repository.papers:
        for number in paper.numbers:
            claim, source = number.tagged.claim, number.source
            if source is None:
                continue
            study_ = repository.study_of(claim, source)
            if study_ is None:
                what = f"a number of {claim}, written from {source[:12]}: no study here has this claim"
                yield Drifted(paper.path, number.line, "D04", claim, what, "restore the study, or take out from=")
            elif study_.fault is None and study_.verdict is not None and field_of(study_, number) is None:
                yield Drifted(
                    paper.path, number.line, "D04", claim, f"{number.tagged.field} is no number of {claim}",
                    "name one of its fields, or take out from=",
                )  # fmt: skip


def _unbound_records(study: StudyFolder) -> Iterator[Drifted]:
    for record in study.ledger.of("verdict", "spend", "postmortem", "import"):
        body: Mapping[str, Any] = record.body
        claim = body["decision"]["claim"] if record.type == "verdict" else body.get("claim")
        named = seal_named(record)
        if named and named not in study.seals and study.seals:
            what = f"{record.type} of the seal {named[:12]}, which this ledger never had"
        elif claim is not None and study.claims and claim not in study.claims:
            what = f"{record.type} of the claim {claim}, which is not this study's"
        else:
            continue
        yield Drifted(
            study.at(LEDGER), record.seq + 1, "D04", study.claim, what, "record it in the ledger of its own study"
        )


def _foreign(study: StudyFolder, said: Mapping[str, Any]) -> str:
    """Whose a file is, where it is not of this folder; empty where it is."""
    claim, named = said.get("claim"), said.get("seal")
    if isinstance(claim, str) and study.claims and claim not in study.claims:
        return f"the claim {claim}"
    if isinstance(named, str) and study.seals and named not in study.seals:
        return f"the seal {named[:12]}"
    return ""


def unproved_claims(repository: Repository) -> Iterator[Drifted]:
    """D05."""
    for study in repository.studies:
        said = study.files.get(DECISION)
        if said is None or study.fault is not None or not study.seals or _foreign(study, said):
            continue
        if said.get("seal") != study.seal and study.verdict is None:
            continue  # of an earlier seal: the amended study is not decided yet
        what = _differs(study, said)
        if what:
            yield Drifted(
                study.at(DECISION), 1, "D05", study.claim, what,
                f"delete it; tollens climb {study.shell} writes what the ledger holds",
            )  # fmt: skip
    for study in repository.studies:
        what = _other_traps(study)
        if what:
            yield Drifted(
                study.at(TRAPS), 1, "D05", study.claim, what,
                f"delete it; tollens climb {study.shell} writes what the ledger holds",
            )  # fmt: skip
    for paper in repository.papers:
        for tag in paper.cites:
            claim, word = tag.options["id"], _word(tag.options)
            found = repository.study_of(claim)
            if found is not None and found.fault is not None:
                continue
            verdict = None if found is None or found.verdict is None else cited_as(found.verdict)
            if verdict == word or (verdict == "killed" and word != "killed"):
                continue  # the second is D07
            what = (
                "no study here has this claim" if found is None
                else f"cited as {word}, and it has no verdict" if verdict is None
                else f"cited as {word}, and its verdict is {verdict.upper()}"
            )  # fmt: skip
            fix = (
                f"tollens climb {found.shell}"
                if found and verdict is None
                else f"write t:cite {claim} as={EXPLORATORY}, or take it out"
                if verdict == EXPLORATORY
                else "cite it as what it is, or leave it out"
            )
            yield Drifted(paper.path, tag.place.line, "D05", claim, what, fix)
        told: set[str] = set()
        for number in paper.numbers:
            claim = number.tagged.claim
            found = repository.study_of(claim, number.source)
            if found is None or found.fault is not None or found.verdict is not None or claim in told:
                continue
            if number.source is not None or _publishes(found, number.tagged.field):
                told.add(claim)
                yield Drifted(
                    paper.path, number.line, "D05", claim, f"{number.tagged.field} of a claim without a verdict",
                    f"tollens climb {found.shell}",
                )  # fmt: skip


def _other_traps(study: StudyFolder) -> str:
    """What trap_results.json says that the ledger does not; a decision beside it without a verdict is one defect."""
    said = study.files.get(TRAPS)
    if said is None or study.fault is not None or not study.seals or _foreign(study, said):
        return ""
    if study.verdict is None:
        alone = DECISION not in study.names and said.get("seal") == study.seal
        return "traps of a run whose verdict the ledger does not hold" if alone else ""
    held = msgspec.convert(study.verdict.body["decision"], Decision)
    try:
        found = msgspec.convert(said, TrapResults)
    except msgspec.ValidationError as error:
        return f"is no list of trap results: {str(error)[:120]}"
    due = TrapResults("tollens.traps/1", held.claim, held.seal, held.traps)
    return "" if found == due else "differs from the traps in the ledger"


def _publishes(study: StudyFolder, field: str) -> bool:
    """Whether a draft or a sealed study would publish a field: the claimed quantity alone is certain."""
    claim = study.tables.get("claim")
    return isinstance(claim, Mapping) and claim.get("quantity") == field


def cited_as(verdict: Envelope) -> str:
    """The word that a text must cite a verdict as; a claim that survived an exploratory study is that alone."""
    word = str(verdict.body["verdict"]).lower()
    return EXPLORATORY if word == LIVE and verdict.body["decision"]["exploratory"] else word


def _word(options: Mapping[str, str]) -> str:
    word = options.get("as", LIVE).lower()
    return WORDS.get(word, word)


def _differs(study: StudyFolder, said: Mapping[str, Any]) -> str:
    shown = str(said.get("verdict"))[:20]
    if study.verdict is None:
        return f"says {shown}, and the ledger holds no verdict"
    held = study.verdict.body["decision"]
    if shown != held["verdict"]:
        return f"says {shown}, and the ledger says {held['verdict']}"
    try:
        same = msgspec.convert(said, Decision) == msgspec.convert(held, Decision)
    except msgspec.ValidationError as error:
        return f"is no decision: {str(error)[:120]}"
    return "" if same else "differs from the decision in the ledger"


def unclaimed_evidence(repository: Repository) -> Iterator[Drifted]:
    """D06. One line a folder, one an entry of [[evidence]]."""
    imported = {record.body.get("sha256") for study in repository.studies for record in study.ledger.of("import")}
    for study in repository.studies:
        if CLAIM not in study.names:
            left = [name for name in KNOWN if name in study.names]
            others = f" and {len(left) - 1} more" if len(left) > 1 else ""
            yield Drifted(
                study.at(left[0]), 1, "D06", study.claim, f"{left[0]}{others} in a folder without {CLAIM}",
                f"restore {CLAIM}, or take the folder away",
            )  # fmt: skip
            continue
        known = {
            row.id
            for where, tables in repository.laboratories.items()
            if above(where, study)
            for row in tables.constraint
        }
        for row, line in evidence_rows(study):
            constraint = row.get("constraint")
            source, other = row.get("imported"), row.get("study")
            if constraint not in known:
                what = f"evidence for the constraint {constraint}, which no tollens.toml has"
            elif source is not None and source not in imported:
                what = f"evidence in the import {str(source)[:12]}, which no ledger records"
            elif isinstance(other, str) and _inside(study, other) and beside(repository, study, other) is None:
                what = f"evidence in {other}, where no study is"
            else:
                continue
            yield Drifted(study.at(CLAIM), line, "D06", study.claim, what, "correct the [[evidence]], and amend")


def above(where: str, study: StudyFolder) -> bool:
    """Whether a tollens.toml, by its path relative to the root, holds for a study."""
    base = posixpath.dirname(where) or "."
    return base == "." or base.startswith("..") or study.path == base or study.path.startswith(f"{base}/")


def evidence_rows(study: StudyFolder) -> Iterator[tuple[Mapping[str, Any], int]]:
    """Every [[evidence]] of a study and its line in claim.toml; line 1 where the file was changed since."""
    rows = study.tables.get("evidence", [])
    if not isinstance(rows, list) or not rows:
        return
    try:
        text = (study.folder / CLAIM).read_text("utf-8-sig").splitlines()
    except (OSError, ValueError):
        text = []
    lines = [number for number, line in enumerate(text, 1) if line.strip().startswith("[[evidence]]")]
    for place, row in enumerate(rows):
        if isinstance(row, Mapping):
            yield row, lines[place] if len(lines) == len(rows) else 1


def beside(repository: Repository, study: StudyFolder, path: str) -> StudyFolder | None:
    """The study that an [[evidence]] names by a path relative to its own folder."""
    found = posixpath.normpath(posixpath.join(study.path, path))
    return repository.study_at(found)


def _inside(study: StudyFolder, path: str) -> bool:
    """Whether the path stays inside of the repository; what lies outside was not read."""
    return not posixpath.normpath(posixpath.join(study.path, path)).startswith(("..", "/"))
