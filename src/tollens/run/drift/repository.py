"""A repository as it lies on disk, read once: its studies, its papers, what its laboratories say."""

from __future__ import annotations

import os
import re
import shlex
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from tollens.core.canonical import unix_text
from tollens.core.errors import Exit, TollensError
from tollens.lint.readers.paper import Paper, has_tags, read_paper
from tollens.protocol import laboratory as laboratories
from tollens.protocol import seal
from tollens.protocol.laboratory import Drift, Laboratory, read_laboratory
from tollens.protocol.registration import statistic
from tollens.protocol.seal import Manifest
from tollens.protocol.study import FILE as CLAIM
from tollens.protocol.study import from_plain
from tollens.record.envelope import Envelope
from tollens.record.ledger import FILE as LEDGER
from tollens.record.ledger import Ledger, parse_ledger
from tollens.run.drift.finding import Unread
from tollens.run.laboratory import MOST_BYTES, SKIPPED, laboratory_of
from tollens.subject import file

DECISION, TRAPS, POSTMORTEM, STAMP = "decision.json", "trap_results.json", "postmortem.toml", "seal.tsr"
"""What a climb leaves beside a ledger; `tollens.run.study` has the first two, and takes a second to import."""
KNOWN = (CLAIM, LEDGER, seal.FILE, DECISION, TRAPS, POSTMORTEM, STAMP)
SCHEMAS = {DECISION: "tollens.climb/1", TRAPS: "tollens.traps/1", seal.FILE: seal.SCHEMA}
MOST_LEDGER = 1 << 32


@dataclass(frozen=True, slots=True)
class StudyFolder:
    """One folder with a claim, a ledger, or anything that only a study leaves.

    path      relative to the repository, with slashes; "." for itself
    names     which of `KNOWN` lie in it
    ledger    its records; none where there is no ledger or where it is broken, which `fault` then says
    manifest  that of the last seal
    claims    ids that the claim of this folder has had, the present one last; those of a draft too
    tables    the claim of the last seal, or of the draft
    seals     line of the record of each seal; `seal` is the last one, `verdict` the record of what came of it
    files     `decision.json`, `trap_results.json`, `postmortem.toml` and `seal.json` as they were decoded
    """

    path: str
    folder: Path
    names: frozenset[str]
    ledger: Ledger
    fault: TollensError | None = None
    manifest: Manifest | None = None
    claims: tuple[str, ...] = ()
    tables: Mapping[str, Any] = field(default_factory=dict)
    seals: Mapping[str, int] = field(default_factory=dict)
    seal: str | None = None
    verdict: Envelope | None = None
    files: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    stored: bytes | None = None

    @property
    def claim(self) -> str:
        """The id of the claim; the name of the folder where it has none."""
        return self.claims[-1] if self.claims else PurePosixPath(self.path).name

    @property
    def shell(self) -> str:
        """Its folder as a command takes it where the check was started."""
        return shlex.quote(os.fspath(self.folder))

    def at(self, name: str) -> str:
        """The path of a file in it, relative to the repository."""
        return name if self.path == "." else f"{self.path}/{name}"


@dataclass(frozen=True, slots=True)
class Repository:
    """Everything that the checks compare.

    `laboratories` are the tollens.toml that hold, by path relative to the root; `by_claim` the studies by the ids
    that their claims have; `bound` counts the tagged numbers of the papers that are numbers of such a claim.
    """

    root: Path
    studies: tuple[StudyFolder, ...]
    papers: tuple[Paper, ...]
    laboratories: Mapping[str, Laboratory]
    unread: tuple[Unread, ...]
    by_claim: Mapping[str, tuple[StudyFolder, ...]]

    def study_of(self, claim: str, source: str | None = None) -> StudyFolder | None:
        """The study of a claim: among several the one whose verdict `source` names, or else one with a verdict."""
        found = self.by_claim.get(claim, ())
        if len(found) < 2:
            return found[0] if found else None
        decided = [study for study in found if study.verdict is not None]
        named = [study for study in decided if source and study.verdict and study.verdict.hash.startswith(source)]
        return (named or decided or list(found))[0]

    def study_at(self, path: str) -> StudyFolder | None:
        return next((study for study in self.studies if study.path == path), None)


def named(folder: str | os.PathLike[str]) -> str:
    """A folder as an argument of a command, a blank before it; nothing for the present one."""
    return "" if os.fspath(folder) == "." else f" {shlex.quote(os.fspath(folder))}"


def read_repository(root: Path) -> Repository:
    """Walk a folder and read what its studies, papers and laboratories say. Links to folders are not followed.

    Hidden folders and those of packages are passed by. What cannot be read is listed. Raises TollensError
    `path_unreadable` where the folder itself cannot be listed; `laboratory_syntax` for a tollens.toml above it.
    """
    unread: list[Unread] = []
    studies, texts, found = [], [], _above(root)
    for path, folder, names in _folders(root, "", unread):
        known = frozenset(names.intersection(KNOWN))
        if known and _of_a_study(folder, known):
            studies.append(_study(path or ".", folder, known, unread))
        if laboratories.FILE in names:
            where = f"{path}/{laboratories.FILE}" if path else laboratories.FILE
            try:
                found[where] = read_laboratory(_text(folder / laboratories.FILE), laboratories.FILE)
            except (TollensError, ValueError) as error:
                unread.append(Unread(where, _why(error)))
        texts += [(f"{path}/{name}" if path else name, folder / name) for name in names - frozenset(KNOWN)]
    papers = _papers(sorted(texts), found, unread)
    by_claim: dict[str, tuple[StudyFolder, ...]] = {}
    for study in studies:
        if study.claims:
            by_claim[study.claim] = (*by_claim.get(study.claim, ()), study)
    return Repository(root, tuple(studies), papers, found, tuple(sorted(unread)), by_claim)


def _above(root: Path) -> dict[str, Laboratory]:
    """The tollens.toml of the folders above, up to the top of the repository; its own is read in the walk."""
    here = root.resolve()
    if (here / ".git").exists() or here.parent == here:
        return {}
    above = laboratory_of(here.parent).files
    return {os.path.relpath(path, here).replace(os.sep, "/"): tables for path, _, tables in above}


def _folders(folder: Path, path: str, unread: list[Unread]) -> Iterator[tuple[str, Path, set[str]]]:
    """(path, folder, names of its files) of every folder, sorted."""
    names, inner = set(), []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not _encodes(entry.name):
                    if entry.is_dir(follow_symlinks=False) or entry.name.lower().endswith((".md", ".tex")):
                        shown = os.fsencode(entry.name).decode("utf-8", "backslashreplace")
                        unread.append(Unread(f"{path}/{shown}" if path else shown, "a name that is no UTF-8"))
                elif not entry.is_dir(follow_symlinks=False):
                    names.add(entry.name)
                elif entry.name in KNOWN or entry.name == laboratories.FILE:
                    unread.append(Unread(f"{path}/{entry.name}" if path else entry.name, "a folder, not a file"))
                elif not entry.name.startswith(".") and entry.name not in SKIPPED:
                    inner.append(entry.name)
    except OSError as error:
        if not path:
            raise file.unreadable(folder, error) from None
        unread.append(Unread(path, error.strerror or "cannot be listed"))
        return
    yield path, folder, names
    for name in sorted(inner):
        yield from _folders(folder / name, f"{path}/{name}" if path else name, unread)


def _encodes(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _of_a_study(folder: Path, known: frozenset[str]) -> bool:
    """Whether these are files of a study: their names alone say so of three, the others must say it themselves."""
    if known & {CLAIM, LEDGER, STAMP}:
        return True
    for name in known:
        try:
            data = file.read(folder / name, MOST_BYTES)
        except TollensError:
            continue
        if name == POSTMORTEM:
            if all(key in data for key in (b"claim", b"seal", b"obstacle")):
                return True
        elif SCHEMAS[name].encode() in data:
            return True
    return False


def _study(path: str, folder: Path, names: frozenset[str], unread: list[Unread]) -> StudyFolder:
    def where(name: str) -> str:
        return name if path == "." else f"{path}/{name}"

    ledger, fault, manifest, last, seals = Ledger(()), None, None, None, dict[str, int]()
    claims: list[str] = []
    tables: Mapping[str, Any] = {}
    if LEDGER in names:
        try:
            ledger = parse_ledger(file.read(folder / LEDGER, MOST_LEDGER), LEDGER)
        except TollensError as error:
            if error.exit_code is Exit.BAD_INPUT:
                unread.append(Unread(where(LEDGER), error.found))
            fault = error
    for record in ledger.of("seal", "amend"):
        last = record.body["seal"]
        seals.setdefault(last, record.seq + 1)
        tables = record.body["manifest"]["study"]
        claims.append(_id(tables))
        manifest = record.body["manifest"]
    if last is not None and (wrong := _unlike_a_lock(tables)):
        fault = TollensError(
            "ledger_broken", f"{LEDGER}:{seals[last]}", expected="the manifest of a claim that lock accepts",
            found=wrong, fix="Restore the ledger from version control.", exit_code=Exit.TAMPERED,
        )  # fmt: skip
        manifest, tables = None, {}
    elif CLAIM in names and manifest is None:  # of a sealed study the manifest says what claim.toml said
        try:
            tables = tomllib.loads(_text(folder / CLAIM))
            claims.append(_id(tables))
        except (TollensError, ValueError, RecursionError) as error:
            unread.append(Unread(where(CLAIM), _why(error)))
    files: dict[str, Mapping[str, Any]] = {}
    for name in (DECISION, TRAPS):
        if name in names:
            try:
                files[name] = msgspec.json.decode(file.read(folder / name, MOST_BYTES), type=dict[str, Any])
            except (TollensError, msgspec.DecodeError, RecursionError) as error:
                unread.append(Unread(where(name), _why(error)))
    if POSTMORTEM in names:
        try:
            files[POSTMORTEM] = tomllib.loads(_text(folder / POSTMORTEM))
        except (TollensError, ValueError, RecursionError) as error:
            unread.append(Unread(where(POSTMORTEM), _why(error)))
    stored = None
    if seal.FILE in names:
        try:
            stored = file.read(folder / seal.FILE, MOST_BYTES)
        except TollensError as error:
            unread.append(Unread(where(seal.FILE), _why(error)))
    return StudyFolder(
        path,
        folder,
        names,
        ledger,
        fault,
        None if manifest is None else msgspec.convert(manifest, Manifest),
        tuple(claim for claim in claims if claim),
        tables,
        seals,
        last,
        next((record for record in reversed(ledger.of("verdict")) if record.body["seal"] == last), None),
        files,
        stored,
    )


def _unlike_a_lock(tables: Mapping[str, Any]) -> str:
    """What of the sealed tables no lock has written, in one line; empty where the checks can read them."""
    try:
        study = from_plain(tables)
        statistic(study, [0.0])
        float(study.claim.value)
    except (TollensError, ValueError, TypeError, LookupError) as error:  # a ValidationError is a ValueError
        return _why(error)
    return ""


def _id(tables: Mapping[str, Any]) -> str:
    claim = tables.get("claim")
    found = claim.get("id") if isinstance(claim, Mapping) else None
    return found if isinstance(found, str) else ""


def _text(path: Path) -> str:
    return unix_text(file.read(path, MOST_BYTES)).decode("utf-8-sig")


def _why(error: Exception) -> str:
    return error.found if isinstance(error, TollensError) else str(error)[:200] or type(error).__name__


def _papers(
    texts: Sequence[tuple[str, Path]], found: Mapping[str, Laboratory], unread: list[Unread]
) -> tuple[Paper, ...]:
    """Every text with a tag that the patterns of the nearest tollens.toml name."""
    rules = sorted(
        ((PurePosixPath(where).parent.as_posix(), _pattern(tables.drift.papers)) for where, tables in found.items()),
        key=lambda rule: -len(PurePosixPath(rule[0]).parts) if not rule[0].startswith("..") else len(rule[0]),
    )
    default = _pattern(Drift().papers)
    papers = []
    for path, place in texts:
        if not _chosen(path, rules, default, place):
            continue
        try:
            data = file.read(place, MOST_BYTES + 1)
        except TollensError as error:
            if error.code != "path_missing":  # a link that leads nowhere is no text
                unread.append(Unread(path, error.found))
            continue
        if not has_tags(data):
            continue
        if len(data) > MOST_BYTES:
            unread.append(Unread(path, f"more than {MOST_BYTES:,} bytes"))
            continue
        try:
            papers.append(read_paper(path, data.decode("utf-8")))
        except (TollensError, UnicodeDecodeError) as error:
            where = f"line {error.subject.rpartition(':')[2]}: " if isinstance(error, TollensError) else ""
            unread.append(Unread(path, where + _why(error)))
    return tuple(papers)


def _chosen(path: str, rules: Sequence[tuple[str, re.Pattern[str]]], default: re.Pattern[str], place: Path) -> bool:
    for base, pattern in rules:
        if base == ".":
            return pattern.fullmatch(path) is not None
        if base.startswith(".."):
            up = len(PurePosixPath(base).parts)
            above = place.resolve().parents[path.count("/") :][: up + 1]
            return pattern.fullmatch(place.resolve().relative_to(above[-1]).as_posix()) is not None
        if path.startswith(f"{base}/"):
            return pattern.fullmatch(path.removeprefix(f"{base}/")) is not None
    return default.fullmatch(path) is not None


def _pattern(patterns: Sequence[str]) -> re.Pattern[str]:
    """Glob patterns with `**` for any number of folders, as one expression."""
    parts = []
    for pattern in patterns:
        made = re.escape(pattern).replace(r"\*\*/", "(?:[^/]+/)*").replace(r"\*\*", ".*")
        parts.append(made.replace(r"\*", "[^/]*").replace(r"\?", "[^/]"))
    return re.compile("|".join(parts) or "(?!)", re.S)
