"""`record import`: a result of another tool becomes data of a study, with its digest and the file it came from."""

from __future__ import annotations

import hashlib
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from tollens.core.canonical import SAFE, file_digest
from tollens.core.errors import Exit, TollensError
from tollens.core.shell import quoted
from tollens.protocol.seal import Entry
from tollens.protocol.study import FILE
from tollens.record import ledger as ledgers
from tollens.record.bodies import ImportBody
from tollens.record.envelope import Envelope
from tollens.record.ledger import read_ledger
from tollens.run.study import Sealed, alone, read, study_folder, write_whole, writer
from tollens.subject.results.imported import LONGEST, Imported, Source, Wanted
from tollens.subject.results.inspect_log import other_reducer
from tollens.subject.results.source import imported

SCHEMA = "tollens.imported/1"
SUFFIX = ".imported.json"
MARK = b"tollens.imported/"
LABEL = "values not produced by the runner"
OLDER = "result older than its seal"
LARGEST = 1 << 28
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}", re.ASCII)


@dataclass(frozen=True, slots=True)
class ImportQuestion:
    """Which result is taken, from which samples, and the name of its reading; None where there is no choice."""

    wanted: Wanted = field(default_factory=Wanted)
    source: Source | None = None
    samples: str | None = None
    name: str | None = None


class ImportedData(msgspec.Struct, frozen=True, kw_only=True):
    """NAME.imported.json: what a metric of a study reads. `sha256` is that of the source, `samples` of its samples."""

    schema: str = SCHEMA
    name: str
    sha256: str
    samples: str | None = None
    result: Imported


class ImportReport(msgspec.Struct, frozen=True, kw_only=True):
    """What `tollens record import --json` prints.

    `label` says that no runner of Tollens produced the value; `file` is the copy in the study, `recorded` whether a
    record was appended: not without a study, nor where the same import stands there already.
    """

    schema: str = "tollens.record.import/1"
    verdict: str = "IMPORTED"
    label: str = LABEL
    name: str
    path: str
    sha256: str
    samples: str | None = None
    result: Imported
    study: str | None = None
    file: str | None = None
    recorded: bool = False
    notes: list[str] = []
    next: str


def import_result(
    path: str | os.PathLike[str], question: ImportQuestion | None = None, study: str | os.PathLike[str] | None = None
) -> ImportReport:
    """Read one result of another tool; with a study, append it to its ledger and write the copy that a metric reads.

    Raises TollensError: what reading raises (`import_*` 2, `not_scorable` 22); `import_reducer` where the study
    declares another reducer; `import_exists` where the name is taken by another import; `study_busy`.
    """
    question = question or ImportQuestion()
    check_question(question)
    samples = None if question.samples is None else Path(question.samples)
    if study is None:
        result, sha256, beside = imported(Path(path), question.wanted, question.source, samples)
        name = _name(question.name, result)
        return ImportReport(
            name=name, path=os.fspath(path), sha256=sha256, samples=beside, result=result, notes=result.notes,
            next=again(path, question, result) + " --study STUDY",
        )  # fmt: skip
    folder = study_folder(study)
    with alone(folder):
        return _recorded(folder, os.fspath(study), Path(path), question, samples)


def _recorded(folder: Path, study: str, path: Path, question: ImportQuestion, samples: Path | None) -> ImportReport:
    declared = declared_reducer(_tables(folder))
    wanted = question.wanted
    if declared is not None and wanted.reducer is not None and wanted.reducer != declared:
        raise other_reducer(f"{FILE} [sign_check] reducer", declared, [wanted.reducer])
    result, sha256, beside = imported(path, wanted, question.source, samples)
    if declared is not None and result.reducer is not None and result.reducer != declared:
        raise other_reducer(f"{FILE} [sign_check] reducer", declared, [result.reducer])
    name = _name(question.name, result)
    data = data_bytes(ImportedData(name=name, sha256=sha256, samples=beside, result=result))
    body = ImportBody(
        source=result.source, version=result.version, path=_relative(path, folder), sha256=sha256,
        samples=beside, name=name,
        file=name + SUFFIX, data=file_digest(data, "text"), task=result.task, metric=result.metric,
        filter=result.filter, reducer=result.reducer, step=result.step, value=result.value, stderr=result.stderr,
        n=result.n, scored=result.scored, unscored=result.unscored, made=result.made, run=result.run,
        readings={name: result.value},
    )  # fmt: skip
    ledger = read_ledger(folder / ledgers.FILE)
    known = [r for r in ledger.of("import") if r.body["name"] == name]
    same = [r for r in known if (r.body["sha256"], r.body["data"]) == (body.sha256, body.data)]
    target = folder / body.file
    if known and not same:
        raise _taken(name, f"{known[-1].body['path']}, sha256 {known[-1].body['sha256'][:12]}", sha256)
    if target.exists() and hashlib.sha256(read(folder, body.file)).hexdigest() != hashlib.sha256(data).hexdigest():
        raise _taken(name, f"{body.file} in the study, which holds something else", sha256)
    if not target.exists():
        write_whole(target, data)
    if not same:
        writer(folder).append("import", msgspec.to_builtins(body))
    notes = [*result.notes]
    if same:
        notes.append("the same import stands in the ledger already; nothing was appended")
    if not ledger.of("seal", "amend"):
        notes.append(
            "imported before the seal: every later verdict of this study is EXPLORATORY, unless [[evidence]] in "
            f'{FILE} has imported = "{sha256}" and the claim does not read it'
        )
    return ImportReport(
        name=name, path=os.fspath(path), sha256=sha256, samples=beside, result=result, study=study, file=body.file,
        recorded=not same, notes=notes, next=f"tollens status {quoted(study)}",
    )  # fmt: skip


def check_question(question: ImportQuestion) -> None:
    """Raises TollensError `import_absent` for a name that no reading can have and for an n that is none."""
    if question.name is not None and not _NAME.fullmatch(question.name):
        raise TollensError(
            "import_absent", "--name", expected="a name of a-z, 0-9 and _, at most 63 characters",
            found=repr(question.name[:70]), fix=f"Write --name {_slug(question.name)}",
        )  # fmt: skip
    wanted = question.wanted
    if wanted.n is not None and not 1 <= wanted.n <= SAFE:
        raise TollensError("import_n", "--n", expected="a whole number from 1", found=str(wanted.n)[:40], fix="Give n.")
    if wanted.n is not None and wanted.n_from is not None:
        raise TollensError(
            "import_n", "--n and --n-from", expected="one of them", found="both", fix="Leave out one of them."
        )


def again(path: str | os.PathLike[str], question: ImportQuestion, result: Imported) -> str:
    """The command that takes this very result."""
    wanted = question.wanted
    options = {
        "--source": question.source, "--task": result.task if wanted.task else None, "--metric": wanted.metric,
        "--filter": wanted.filter, "--reducer": wanted.reducer, "--step": wanted.step, "--run": wanted.run,
        "--n": wanted.n, "--n-from": wanted.n_from, "--samples": question.samples, "--name": question.name,
    }  # fmt: skip
    words = [f"{option} {quoted(str(value))}" for option, value in options.items() if value is not None]
    return " ".join(["tollens record import", quoted(path), *words])


def data_bytes(data: ImportedData) -> bytes:
    """The bytes of NAME.imported.json: the same for the same import."""
    return msgspec.json.format(msgspec.json.encode(data), indent=1) + b"\n"


def _name(given: str | None, result: Imported) -> str:
    return given or _slug(f"{'' if result.source == 'mlflow' else result.task + '_'}{result.metric}")


def _slug(text: str) -> str:
    made = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:63].strip("_") or "imported"
    return made if not made[0].isdigit() else f"r{made}"[:63]


def _taken(name: str, by: str, sha256: str) -> TollensError:
    return TollensError(
        "import_exists", name, expected=f"the import of {by}"[:LONGEST], found=f"another, of sha256 {sha256[:12]}",
        fix=f"Give this one a name of its own: --name {name[:60]}_2",
    )  # fmt: skip


def _relative(path: Path, folder: Path) -> str:
    """The path from the study to the source, so that a folder of both can be moved; its name alone across volumes."""
    try:
        return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
    except ValueError:
        return path.name


def _tables(folder: Path) -> Mapping[str, Any]:
    """claim.toml as far as it is TOML yet: an import may come before the claim is written."""
    try:
        return tomllib.loads(read(folder, FILE).decode("utf-8-sig"))
    except (TollensError, ValueError, RecursionError):
        return {}


def declared_reducer(tables: Mapping[str, Any]) -> str | None:
    """`[sign_check] reducer` where claim.toml writes it; the default promises nothing."""
    table = tables.get("sign_check")
    found = table.get("reducer") if isinstance(table, Mapping) else None
    return found if isinstance(found, str) else None


def imported_entries(folder: Path, entries: Sequence[Entry]) -> list[tuple[Entry, ImportedData]]:
    """The sealed data files that are imported results, told by their schema and not by their names."""
    found = []
    for entry in entries:
        if entry.role != "data" or entry.mode != "text" or entry.bytes > LARGEST:
            continue
        data = read(folder, entry.path)
        if MARK not in data:
            continue
        try:
            made = msgspec.json.decode(data, type=ImportedData)
        except (msgspec.DecodeError, RecursionError):
            continue
        if made.schema == SCHEMA:
            found.append((entry, made))
    return found


def sealed_imports(study: Sealed) -> list[str]:
    """A note for each imported result that a verdict on this seal rests on; empty where there is none.

    Raises TollensError, exit 13: `import_unrecorded` where the ledger has no import of these bytes, `import_reducer`
    where they were reduced in another way than is sealed.
    """
    declared = study.manifest.study.get("sign_check") or {}
    reducer = declared.get("reducer") if "sign_check.reducer" in study.manifest.keys else None
    records = study.ledger.of("import")
    notes = []
    for entry, data in imported_entries(study.folder, study.manifest.entries):
        if not any(_matches(record, entry, data) for record in records):
            raise TollensError(
                "import_unrecorded", entry.path, expected=f"an import record of sha256 {entry.sha256[:12]}",
                found=f"{len(records)} import records, none of this file",
                fix=f"Import it: tollens record import FILE --study {quoted(study.folder)} --name {data.name[:63]}",
                exit_code=Exit.BLOCKED,
            )  # fmt: skip
        if reducer is not None and data.result.reducer is not None and data.result.reducer != reducer:
            error = other_reducer(entry.path, reducer, [data.result.reducer])
            raise TollensError(
                error.code, error.subject, expected=error.expected, found=error.found, fix=error.fix,
                exit_code=Exit.BLOCKED,
            )  # fmt: skip
        result = data.result
        notes.append(f"{LABEL}: {data.name} ({result.source} {result.version}, sha256 {data.sha256[:12]})")
    if study.import_older:
        notes.append(f"{OLDER}: it was there to be seen when the claim was sealed")
    return notes


def _matches(record: Envelope, entry: Entry, data: ImportedData) -> bool:
    return (record.body["data"], record.body["sha256"]) == (entry.sha256, data.sha256)
