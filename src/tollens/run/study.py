"""A study folder: what is in it, what was sealed of it, and whether the two still agree."""

from __future__ import annotations

import fcntl
import hashlib
import os
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from tollens.core.canonical import Mode, file_digest, mode_of, sealed_bytes, unix_text
from tollens.core.errors import Exit, TollensError
from tollens.core.shell import quoted
from tollens.protocol import seal
from tollens.protocol.registration import Registration, register
from tollens.protocol.seal import Entry, Manifest, changes, keys_of, study_changes, tampered
from tollens.protocol.study import FILE, OWN_FILES, Study, from_plain, plain, read_study, refused
from tollens.record import ledger as ledgers
from tollens.record.bearing import bears
from tollens.record.envelope import Envelope
from tollens.record.ledger import Ledger, Writer, read_ledger
from tollens.run.closure import import_closure
from tollens.run.laboratory import is_study
from tollens.run.plugins import installed
from tollens.subject import file
from tollens.subject.checkpoint import open_checkpoint
from tollens.subject.matrices import MatrixView, matrices

DECISION = "decision.json"
TRAPS = "trap_results.json"
LARGE = 1 << 28
"""Bytes above which a sealed file is read where it lies, hashed before and after, and not copied: 256 MiB."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A study that agrees with its seal. `before` are the hashes of the seals it amends, oldest first."""

    folder: Path
    hash: str
    manifest: Manifest
    ledger: Ledger
    before: tuple[str, ...]

    @property
    def study(self) -> Study:
        return from_plain(self.manifest.study)

    def of(self, *kinds: str) -> list[Envelope]:
        """The records of this seal: behind it in the ledger, and naming it. What names another seal counts for none."""
        start = next(r.seq for r in self.ledger.records if r.type in ("seal", "amend") and r.body["seal"] == self.hash)
        return [r for r in self.ledger.records[start:] if r.type in kinds and _seal_named(r) == self.hash]

    @property
    def exploratory(self) -> bool:
        """Whether results had been seen before the claim took its present form: by amendment, or by import.

        A verdict then says something about a hypothesis that the result may have suggested.
        """
        return self.import_older or any(r.body["access"] == "results seen" for r in self.ledger.of("amend"))

    @property
    def import_older(self) -> bool:
        """Whether an imported result that bears on the claim is older than its seal: recorded before the first one, or
        part of what is sealed.

        Who lays the file into the folder, seals it and records the import afterwards has seen it all the same.
        """
        first = next((r.seq for r in self.ledger.records if r.type in ("seal", "amend")), None)
        sealed_ = {entry.sha256 for entry in self.manifest.entries}
        return any(
            record.body["data"] in sealed_
            or (first is not None and record.seq < first and bears(record, self.manifest.study, sealed_))
            for record in self.ledger.of("import")
        )

    @property
    def kept(self) -> int:
        """How many readings of this seal are of another run than the one that came to the verdict."""
        run = self.verdict.body["run"] if self.verdict else ""
        return len({str(r.body["key"]) for r in self.of("cell.finished") if r.body["run"] != run})

    @property
    def verdict(self) -> Envelope | None:
        """The recorded verdict on this seal."""
        found = self.of("verdict")
        return found[-1] if found else None


def _seal_named(record: Envelope) -> Any:
    return record.body.get("seal", record.body.get("key", {}).get("seal"))


def study_folder(path: str | os.PathLike[str]) -> Path:
    """The folder of a study. Raises TollensError `study_not_found` or `path_unreadable`, exit 2."""
    folder = Path(path)
    try:
        if folder.name == FILE and folder.is_file():
            folder = folder.parent
        found_one = is_study(folder)
    except PermissionError as error:
        raise _closed(folder, error) from None
    if not found_one:
        found = "no such folder" if not folder.exists() else f"no {FILE} in it" if folder.is_dir() else "a file"
        raise TollensError(
            "study_not_found", os.fspath(path), expected=f"a folder with a {FILE}", found=found,
            fix="Make one: tollens new my-claim",
        )  # fmt: skip
    return folder


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Nobody else seals, amends or climbs this study meanwhile; the lock goes with the process.

    Raises TollensError `study_busy` or `path_unreadable`, exit 2.
    """
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise _closed(folder, error) from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TollensError(
                "study_busy", str(folder), expected="no other process at work on it", found="one that holds its lock",
                fix="Wait until it has ended; the ledger keeps what it finished.",
            ) from None  # fmt: skip
        yield
    finally:
        os.close(handle)


def _closed(folder: Path, error: OSError) -> TollensError:
    return TollensError(
        "path_unreadable", str(folder), expected="a folder that can be read", found=error.strerror or str(error),
        fix="Mend the permissions of the folder.",
    )  # fmt: skip


def writer(folder: Path) -> Writer:
    return Writer(folder / ledgers.FILE)


def claim_text(folder: Path) -> str:
    """The text of claim.toml with plain line ends. Raises TollensError, exit 3, for bytes that are no text."""
    data = read(folder, FILE)
    try:
        return unix_text(data).decode("utf-8-sig")
    except ValueError as error:
        raise refused("study_syntax", FILE, "text in UTF-8", str(error)[:120], "Save it as UTF-8.") from None


def read(folder: Path, path: str) -> bytes:
    """Raises TollensError `data_unreadable`, exit 3."""
    try:
        return file.read(folder / path, 1 << 62)
    except TollensError as error:
        raise refused("data_unreadable", path, "a file that can be read", error.found, "Restore the file.") from None


def checkpoint_views(folder: Path, study: Study) -> list[MatrixView]:
    """The matrices that the metric of a study looks at, in file order. Raises what opening a checkpoint raises."""
    import fnmatch

    assert study.metric.checkpoint is not None
    found = matrices(open_checkpoint(folder / study.metric.checkpoint)).matrices
    pattern = study.metric.layers
    return [view for view in found if pattern is None or fnmatch.fnmatchcase(view.name, pattern)]


def registered(folder: Path, study: Study) -> Registration:
    """The registration of a study; the header of its checkpoint is read where an instrument measures."""
    installed()
    if study.metric.instrument is None:
        return register(study)
    from tollens.run.scan import layer_units

    return register(study, [view.name for view in checkpoint_views(folder, study)], layer_units())


def entries_of(folder: Path, study: Study) -> tuple[list[Entry], Mapping[str, str]]:
    """Every file that decides the verdict, hashed, and the versions of the packages that the metric imports.

    Raises TollensError, exit 3: `data_unreadable`, `path_outside`, `metric_unpinned`, `metric_dynamic`.
    """
    roles = {FILE: "claim"}
    outside: Mapping[str, str] = {}
    if study.metric.file is not None:
        closure = import_closure(folder, _inside(folder, study.metric.file))
        roles |= dict.fromkeys(closure.files, "metric")
        outside = closure.outside
        if closure.unpinned:
            raise refused(
                "metric_unpinned", study.metric.file, "imports from the study or from installed packages",
                f"{closure.unpinned[0]}, which is neither", "Copy the module into the study folder.",
            )  # fmt: skip
        if closure.dynamic:
            raise refused(
                "metric_dynamic", study.metric.file, "imports that can be read off the text",
                f"{closure.dynamic[0]}", "Import by name.",
            )  # fmt: skip
    if study.metric.checkpoint is not None:
        roles |= dict.fromkeys(_files(folder, study.metric.checkpoint), "checkpoint")
    for rung in study.rung:
        if rung.numbers is not None:
            roles.setdefault(_inside(folder, rung.numbers), "numbers")
    for path in study.data.files:
        for found in _files(folder, path):
            roles.setdefault(found, "data")
    for path in roles:
        if path in OWN_FILES:
            raise refused("study_field", path, "files that decide", f"{path}, which Tollens writes", "Leave it out.")
    return [entry_of(folder, path, role) for path, role in roles.items()], outside


def entry_of(folder: Path, path: str, role: str, mode: Mode | None = None) -> Entry:
    """One file, hashed; a large binary one in pieces. Raises TollensError `data_unreadable`, exit 3."""
    try:
        size = (folder / path).stat().st_size
        if size > LARGE:
            with open(folder / path, "rb") as handle:
                return Entry(role, path, "binary", size, hashlib.file_digest(handle, "sha256").hexdigest())
    except OSError as error:
        raise refused("data_unreadable", path, "a file", error.strerror or "an error", "Restore the file.") from None
    data = read(folder, path)
    mode = mode or mode_of(path, data)
    try:
        return Entry(role, path, mode, len(sealed_bytes(data, mode)), file_digest(data, mode))
    except ValueError:  # sealed as text, and no text any more
        return Entry(role, path, "binary", len(data), file_digest(data, "binary"))


def _files(folder: Path, path: str) -> list[str]:
    inside = _inside(folder, path)
    if not (folder / inside).is_dir():
        return [inside]
    found = sorted(p.relative_to(folder).as_posix() for p in (folder / inside).rglob("*") if p.is_file())
    for name in found:
        if not name.isprintable():
            raise refused("data_unreadable", repr(name), "a name that prints", "another", "Rename the file.")
    return found


def _inside(folder: Path, path: str) -> str:
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or "\\" in path or not pure.parts:
        raise refused(
            "path_outside", path, "a path inside the study folder", "one that leads out of it",
            f"Copy or link it: ln -s {path} {pure.name}",
        )  # fmt: skip
    return pure.as_posix()


def sealed(folder: Path) -> Sealed:
    """The study as it was sealed, after every sealed file has been hashed again; writes nothing.

    A `seal.json` that is missing, or is that of a seal before, is no tampering: the ledger holds it, and `restored`
    writes it. Raises TollensError: `not_sealed` (21); `tampered` or `ledger_broken` (20).
    """
    ledger = read_ledger(folder / ledgers.FILE)
    seals = ledger.of("seal", "amend")
    stored = (folder / seal.FILE).read_bytes() if (folder / seal.FILE).is_file() else None
    if not seals:
        if stored is not None:
            raise tampered(
                ledgers.FILE, f"the record of {seal.FILE}", "none",
                "Restore the ledger from version control; without it nobody knows what was run.",
            )  # fmt: skip
        raise TollensError(
            "not_sealed", str(folder), expected="a sealed study", found=f"no {seal.FILE}",
            fix=f"Seal it: tollens lock {quoted(folder)}", exit_code=Exit.NOT_SEALED,
        )  # fmt: skip
    last = seals[-1]
    manifest = msgspec.convert(last.body["manifest"], Manifest)
    if seal.seal_hash(manifest) != last.body["seal"]:
        raise tampered(ledgers.FILE, f"a manifest of hash {last.body['seal'][:12]}", "another", "Restore the ledger.")
    before = tuple(r.body["seal"] for r in seals[:-1])
    named = last.body["seal"] if stored is None else _text_digest(stored)
    if named not in (last.body["seal"], *before):  # the ledger is ahead where an amendment was killed
        raise tampered(f"seal {seal.FILE}", last.body["seal"][:12], named[:12], "Restore it: delete seal.json.")
    said = departures(folder, manifest)
    if said:
        raise tampered(
            said[0], "the sealed bytes", "; ".join(said[1:]) or "others",
            f"Restore the files, or register the change: tollens amend {quoted(folder)}",
        )  # fmt: skip
    found = Sealed(folder, last.body["seal"], manifest, ledger, before)
    _check_decision(found)
    return found


def restored(found: Sealed) -> Sealed:
    """The same study with its own `seal.json` in place, written from the ledger where it is missing or an older one.

    Only under `alone`: an amendment of somebody else could else be undone. Raises TollensError `ledger_unwritable`, 2.
    """
    if behind(found):
        write_whole(found.folder / seal.FILE, seal.seal_bytes(found.manifest))
    return found


def behind(found: Sealed) -> bool:
    """Whether `seal.json` is missing, or is not that of the last seal of the ledger."""
    path = found.folder / seal.FILE
    return not path.is_file() or _text_digest(path.read_bytes()) != found.hash


def _check_decision(found: Sealed) -> None:
    """A decision that lies there was written after its verdict: without that the ledger has lost its end.

    One that only differs is not believed, and `climb` writes it again from the ledger.
    """
    path = found.folder / DECISION
    if found.verdict is not None or not path.is_file():
        return
    try:
        seal_named = msgspec.json.decode(path.read_bytes(), type=dict[str, Any]).get("seal")
    except msgspec.DecodeError:
        return
    if seal_named == found.hash:
        raise tampered(
            ledgers.FILE, f"the verdict that {DECISION} repeats", "none", "Restore the ledger from version control."
        )


def departures(folder: Path, manifest: Manifest) -> list[str]:
    """What differs between a folder and its manifest, one sentence each."""
    found = [
        entry_of(folder, entry.path, entry.role, entry.mode)
        for entry in manifest.entries
        if (folder / entry.path).is_file()
    ]
    said = changes(manifest.entries, found)
    if any(sentence.startswith("claim ") for sentence in said) and (folder / FILE).is_file():
        try:
            text = claim_text(folder)
            said += study_changes(manifest, plain(read_study(text)), [*keys_of(tomllib.loads(text))])
        except TollensError as error:
            said.append(f"{error.subject}: {error.found}" if error.code != "study_missing" else _missing(error))
    return said


def _missing(error: TollensError) -> str:
    return f"sealed key missing: {error.subject}"


def _text_digest(data: bytes) -> str:
    try:
        return file_digest(data, "text")
    except ValueError:
        return file_digest(data, "binary")


def write_whole(path: Path, data: bytes) -> None:
    """All of a file or nothing of it. Raises TollensError `ledger_unwritable`, exit 2."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        _write_aside(aside, path, data)
        os.replace(aside, path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise ledgers.unwritable("ledger_unwritable", path, error) from None


def write_new(path: Path, data: bytes) -> bool:
    """The same where nothing of that name is; False, and nothing written, where anything is.

    Raises TollensError `ledger_unwritable`, exit 2.
    """
    if os.path.lexists(path):
        return False
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        _write_aside(aside, path, data)
        os.link(aside, path)  # unlike a rename it replaces nothing
    except FileExistsError:
        return False
    except OSError as error:
        raise ledgers.unwritable("ledger_unwritable", path, error) from None
    finally:
        aside.unlink(missing_ok=True)
    return True


def _write_aside(aside: Path, path: Path, data: bytes) -> None:
    for left in path.parent.glob(f".{path.name}.*"):  # by a process that was killed here
        if left.suffix[1:].isdigit() and not alive(int(left.suffix[1:])):
            left.unlink(missing_ok=True)
    with open(aside, "wb") as handle:
        handle.write(data)
        handle.flush()
        os.fsync(handle.fileno())


def alive(process: int) -> bool:
    """Whether a process of this number runs, whoever's it is."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
