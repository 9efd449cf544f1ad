"""What was sealed, and what lies there now: D01 to D03.

D01  a sealed file that was edited, a changed file that the metric includes, a sealed file that is gone, a ledger whose
     chain is broken, a seal.json that is not the ledger's, an imported file or a postmortem that changed since it was
     recorded
D02  runs in a ledger without a seal, a decision beside a claim that was never sealed, a run of a seal that this
     ledger never had
D03  a run before the seal it names, a result imported before the first seal or sealed as data, an imported result whose
     own time is before the seal, until an amendment declares it
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from tollens.core.canonical import Mode, file_digest
from tollens.core.errors import Exit, TollensError
from tollens.protocol import seal
from tollens.protocol.seal import Entry, seal_hash
from tollens.protocol.study import FILE as CLAIM
from tollens.protocol.study import from_plain
from tollens.record.bearing import bears
from tollens.record.envelope import Envelope
from tollens.record.ledger import FILE as LEDGER
from tollens.run.drift.finding import Drifted
from tollens.run.drift.repository import DECISION, POSTMORTEM, TRAPS, Repository, StudyFolder
from tollens.subject import file

LARGE = 1 << 28
MODES: tuple[Mode, ...] = ("text", "binary")
RUNS = ("run.started", "cell.started", "cell.finished", "run.finished", "trap")


def broken_seals(repository: Repository) -> Iterator[Drifted]:
    """D01."""
    for study in repository.studies:
        if study.fault is not None and study.fault.exit_code is not Exit.BAD_INPUT:
            line = study.fault.subject.rpartition(":")[2]
            yield Drifted(
                study.at(LEDGER), int(line) if line.isdigit() else 1, "D01", study.claim,
                f"ledger broken: expected {study.fault.expected}, found {study.fault.found}",
                "restore the ledger from version control",
            )  # fmt: skip
        if study.fault is None:
            yield from _stored(study)
        if study.manifest is not None:
            yield from _entries(study)
        yield from _pinned(repository, study)


def _stored(study: StudyFolder) -> Iterator[Drifted]:
    """seal.json against the last seal of the ledger."""
    restore = f"tollens status {study.shell} writes it again from the ledger"
    if study.manifest is None:
        if seal.FILE in study.names and CLAIM in study.names:
            yield Drifted(
                study.at(seal.FILE), 1, "D01", study.claim, "a seal that no record of the ledger holds",
                "restore the ledger from version control",
            )  # fmt: skip
        return
    assert study.seal is not None
    last, line = study.seal, study.seals[study.seal]
    stored = None if study.stored is None else _text(study.stored)
    if stored == last and study.stored is not None and _same(study.stored, study.ledger.records[line - 1].body):
        return
    found = seal_hash(study.manifest)
    if found != last:
        yield Drifted(
            study.at(LEDGER), line, "D01", study.claim, f"a manifest of hash {found[:12]} under the seal {last[:12]}",
            "restore the ledger from version control",
        )  # fmt: skip
    elif study.stored is None and seal.FILE not in study.names:
        yield Drifted(study.at(seal.FILE), 1, "D01", study.claim, "the file of the seal is gone", restore)
    elif stored is not None and stored != last:
        earlier = stored in study.seals
        yield Drifted(
            study.at(seal.FILE), 1, "D01", study.claim,
            f"expected {last[:12]} found {stored[:12]}{', an earlier seal' if earlier else ''}",
            restore if earlier else f"delete it; {restore}",
        )  # fmt: skip


def _same(stored: bytes, body: Mapping[str, Any]) -> bool:
    """Whether seal.json, whose digest is the seal, holds the manifest of the record: the seal then is of that too.

    To write the canonical form of every manifest again would take as long as all the rest.
    """
    try:
        held = msgspec.json.decode(stored)
    except msgspec.DecodeError:
        return False
    return msgspec.json.encode(held) == msgspec.json.encode(body["manifest"])


def _entries(study: StudyFolder) -> Iterator[Drifted]:
    assert study.manifest is not None
    metric = study.tables.get("metric", {}).get("file")
    for entry in study.manifest.entries:
        if entry.path == CLAIM and CLAIM not in study.names:
            continue  # a folder without its claim is one defect, and D06 names it
        found = _digest(study.folder, entry)
        if found is None:
            what = f"sealed {entry.role} expected {entry.sha256[:12]} found no file"
        elif found != entry.sha256:
            included = entry.role == "metric" and entry.path != metric
            what = f"sealed {entry.role} expected {entry.sha256[:12]} found {found[:12]}"
            what += f", included by {metric}" if included else ""
        else:
            continue
        yield Drifted(study.at(entry.path), 1, "D01", study.claim, what, _amend(study))


def _amend(study: StudyFolder) -> str:
    from tollens.run.lock import amendment

    return f"restore it, or register the change: {amendment(study.shell, study.ledger, from_plain(study.tables))}"


def _digest(folder: Path, entry: Entry) -> str | None:
    """SHA-256 of a sealed file as it is now; None where there is none inside of the folder."""
    pure = PurePosixPath(entry.path)
    if pure.is_absolute() or ".." in pure.parts:
        return None
    return digest_of(folder / entry.path, entry.mode)


def digest_of(path: Path, mode: Mode) -> str | None:
    """SHA-256 of a file in a mode, of its raw bytes where it is no text; None where there is no file."""
    try:
        if not path.is_file():
            return None
        if path.stat().st_size > LARGE:
            return file.sha256(path)
        data = path.read_bytes()
    except (OSError, TollensError):
        return None
    try:
        return file_digest(data, mode)
    except ValueError:
        return hashlib.sha256(data).hexdigest()


def _text(data: bytes) -> str:
    try:
        return file_digest(data, "text")
    except ValueError:
        return file_digest(data, "binary")


def _pinned(repository: Repository, study: StudyFolder) -> Iterator[Drifted]:
    """Files that a record names with their digest: imported results, their copies, the postmortem.

    A source outside of the repository is nobody's to look at; one that is a folder has a digest of its own kind. One
    that is gone, as results that nobody commits are in a clone, is missed by nobody while its copy is what it was. One
    that was overwritten contradicts the record all the same: whoever looks there finds another result.
    """
    sealed = {entry.path for entry in study.manifest.entries} if study.manifest else set()
    for record in study.ledger.of("import"):
        path, copy = record.body.get("path"), record.body.get("file")
        if isinstance(path, str) and (place := source_place(repository, study, path)) is not None:
            kept = _kept(study, record)
            aside = "restore it, or move it away: its copy in the study is what was recorded" if kept else "restore it"
            if place.exists() or not kept:
                yield from _differs(study, record, f"imported {path}", place, record.body.get("sha256"), aside)
        if isinstance(copy, str) and copy not in sealed and PurePosixPath(copy).name == copy:
            yield from _differs(study, record, f"imported data {copy}", study.folder / copy, record.body.get("data"))
    for record in study.ledger.of("postmortem")[-1:]:
        if record.body.get("seal") == study.seal:
            yield from _differs(study, record, POSTMORTEM, study.folder / POSTMORTEM, record.body.get("file"))


def _kept(study: StudyFolder, record: Envelope) -> bool:
    """Whether the copy of an imported result lies in its study as it was recorded."""
    copy = record.body.get("file")
    if not isinstance(copy, str) or PurePosixPath(copy).name != copy:
        return False
    return record.body.get("data") in [digest_of(study.folder / copy, mode) for mode in MODES]


def _differs(
    study: StudyFolder, record: Envelope, name: str, place: Path, pinned: Any, fix: str = "restore it"
) -> Iterator[Drifted]:
    if not isinstance(pinned, str) or place.is_dir():
        return
    found = [digest for mode in MODES if (digest := digest_of(place, mode)) is not None]
    if pinned not in found:
        what = f"{name} expected {pinned[:12]} found {found[0][:12] if found else 'no file'}"
        if name == POSTMORTEM:
            fix = f"{fix}, or record it again: tollens record postmortem {study.shell}"
        yield Drifted(study.at(LEDGER), record.seq + 1, "D01", study.claim, what, fix)


def source_place(repository: Repository, study: StudyFolder, path: str) -> Path | None:
    """Where an imported file lies, or should; None outside of the repository."""
    pure = PurePosixPath(path)
    if pure.is_absolute() or "\0" in path:
        return None
    places = [base / path for base in (study.folder, repository.root)]
    inside = [place for place in places if place.resolve().is_relative_to(repository.root.resolve())]
    return next((place for place in inside if place.exists()), inside[0] if inside else None)


def unsealed_runs(repository: Repository) -> Iterator[Drifted]:
    """D02. One line a ledger without a seal, one a seal that a ledger never had."""
    for study in repository.studies:
        if study.fault is not None:
            continue
        runs = [record for record in study.ledger.records if record.type in (*RUNS, "verdict")]
        if not study.seals:
            if runs:
                yield Drifted(
                    study.at(LEDGER), runs[0].seq + 1, "D02", study.claim,
                    f"{runs[0].type} in a ledger without any seal", "discard the run; tollens lock, then tollens climb",
                )  # fmt: skip
            elif CLAIM in study.names and seal.FILE not in study.names:
                for name in (DECISION, TRAPS):
                    if name in study.names:
                        yield Drifted(
                            study.at(name), 1, "D02", study.claim, f"{name} of a claim that was never sealed",
                            f"delete it; tollens lock {study.shell}, then tollens climb {study.shell}",
                        )  # fmt: skip
                        break  # one run left both
            continue
        told: set[str] = set()
        for record in runs:
            named = seal_named(record)
            if record.type != "verdict" and named not in study.seals and named not in told:
                told.add(named)
                yield Drifted(
                    study.at(LEDGER), record.seq + 1, "D02", study.claim,
                    f"{record.type} of the seal {named[:12]}, which this ledger never had",
                    "restore the ledger from version control",
                )  # fmt: skip


def seal_named(record: Envelope) -> str:
    """The seal that a record says it is of; empty for none."""
    named = record.body.get("seal", record.body.get("key", {}).get("seal"))
    return named if isinstance(named, str) else ""


def late_seals(repository: Repository) -> Iterator[Drifted]:
    """D03."""
    for study in repository.studies:
        told: set[str] = set()
        for record in study.ledger.records:
            named, line = seal_named(record), record.seq + 1
            sealed_at = study.seals.get(named)
            if record.type in (*RUNS, "verdict", "spend", "postmortem") and sealed_at and sealed_at > line:
                if named not in told:
                    told.add(named)
                    yield _late(
                        study, line, f"{record.type} stands before its seal, line {sealed_at}",
                        "restore the ledger from version control",
                    )  # fmt: skip
            elif record.type == "import" and bears(record, study.tables, _sealed_data(study)):
                yield from _import(study, record)


def _import(study: StudyFolder, record: Envelope) -> Iterator[Drifted]:
    first = min(study.seals.values(), default=0)
    if not first:
        return  # nothing sealed: what is read beforehand binds nobody yet
    line = record.seq + 1
    if any(amend.seq > record.seq and amend.body["access"] == "results seen" for amend in study.ledger.of("amend")):
        return  # its owner has declared it since, in the ledger, and every later verdict carries the label
    if line < first:
        yield _late(study, line, f"imported before the first seal, line {first}")
        return
    if study.manifest and any(entry.sha256 == record.body.get("data") for entry in study.manifest.entries):
        yield _late(study, line, "an imported result is part of what is sealed: it was there to be seen")
        return
    named = seal_named(record) or study.seal or ""
    if any(at > line for at in study.seals.values()):  # the seal it came under, not one that was amended later
        named = max((s for s, at in study.seals.items() if at < line), key=lambda s: study.seals[s])
    sealed_at = study.ledger.records[study.seals[named] - 1].time if named in study.seals else None
    made = record.body.get("made")
    if _before(made, sealed_at):
        yield _late(study, line, f"imported result made {made}, sealed {sealed_at}")


def _sealed_data(study: StudyFolder) -> set[str]:
    return {entry.sha256 for entry in study.manifest.entries} if study.manifest else set()


def _before(made: Any, sealed_at: str | None) -> bool:
    try:
        return datetime.fromisoformat(str(made)) < datetime.fromisoformat(str(sealed_at))
    except (ValueError, TypeError):  # TypeError: one of the two has no zone
        return False


def _late(study: StudyFolder, line: int, what: str, fix: str = "") -> Drifted:
    declare = f'note it in {CLAIM}, then tollens amend {study.shell} --reason "..." --access "results seen"'
    return Drifted(
        study.at(LEDGER), line, "D03", study.claim, f"EXPLORATORY: {what}", fix or declare
    )  # fmt: skip
