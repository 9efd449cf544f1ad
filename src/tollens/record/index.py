"""The index: what the ledgers of many studies say, in one SQLite file that is made anew at will. JSONL is the truth."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from tollens.core.errors import TollensError
from tollens.record.envelope import Envelope
from tollens.record.tables import APPLICATION, FILE, RECORD, STUDY, TABLES, VERSION, statements

FOLDER = ".tollens"
NAME = "index.sqlite"
BUSY = 120.0
"""Seconds that one writer waits for another."""
_ENCODER = msgspec.json.Encoder(order="sorted")
_RECORD = f"INSERT INTO record VALUES ({', '.join('?' * len(RECORD))})"


class Damaged(Exception):
    """An index that does not say what was written into it: it is made anew."""


@dataclass(slots=True)
class Index:
    """An open index. `path` is None where it is kept in memory; `notes` say why it is there or was made anew."""

    db: sqlite3.Connection
    path: Path | None
    notes: list[str] = field(default_factory=list)

    def close(self) -> None:
        self.db.close()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Everything in it or nothing; one writer at a time."""
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.db.rollback()
            raise
        self.db.commit()

    def known(self, studies: Sequence[str] | None = None) -> dict[str, dict[str, Any]]:
        """By study, its row and that of its ledger, with `ledger.` before the names of the latter; of all by default.

        Raises: Damaged where a row is not what was written.
        """
        names = [*STUDY, *(f"ledger.{name}" for name in FILE)]
        chosen = ", ".join([*(f"study.{n}" for n in STUDY), *(f"ledger.{n}" for n in FILE)])
        query = f"SELECT {chosen} FROM study JOIN ledger ON ledger.study = study.path"
        rows = self._rows(query, studies)
        found = {}
        for values in rows:
            if _proof(values[:-1]) != values[-1]:
                raise Damaged("a row that was changed")
            found[values[0]] = dict(zip(names, values, strict=True))
        return found

    def _rows(self, query: str, studies: Sequence[str] | None) -> list[tuple[Any, ...]]:
        try:
            if studies is not None:
                return [row for s in studies for row in self.db.execute(f"{query} WHERE study.path = ?", (s,))]
            rows = self.db.execute(query).fetchall()
            for table in ("study", "ledger"):
                if self.db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] != len(rows):
                    raise Damaged("a study without its ledger")
            return rows
        except UnicodeDecodeError as error:
            raise Damaged(f"bytes that are no text: {error.reason}") from None

    def forget(self, studies: Iterable[str]) -> None:
        for study in studies:
            for table, column in (("study", "path"), ("ledger", "study"), ("record", "study")):
                self.db.execute(f"DELETE FROM {table} WHERE {column} = ?", (study,))

    def add(self, study: str, records: Sequence[Envelope]) -> None:
        """Records behind those that are there."""
        encode = _ENCODER.encode
        self.db.executemany(
            _RECORD,
            [(study, r.seq, r.type, r.time, r.actor, r.id, r.hash, encode(r.body).decode()) for r in records],
        )

    def put(self, row: Mapping[str, Any], ledger: Mapping[str, Any]) -> None:
        """The row of a study and that of its ledger, in place of those that are there."""
        one, other = [row[name] for name in STUDY], [ledger[name] for name in FILE if name != "proof"]
        self.db.execute(f"INSERT OR REPLACE INTO study VALUES ({', '.join('?' * len(STUDY))})", one)
        self.db.execute(
            f"INSERT OR REPLACE INTO ledger VALUES ({', '.join('?' * len(FILE))})", [*other, _proof([*one, *other])]
        )

    def dump(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every row of every table but the times of files: two indices of the same ledgers have the same."""
        found = {}
        for name, (columns, key) in TABLES.items():
            chosen = ", ".join(column for column in columns if column not in ("stamp", "proof"))
            found[name] = self.db.execute(
                f"SELECT {chosen} FROM {name} ORDER BY {key[len('PRIMARY KEY (') : -1]}"
            ).fetchall()
        return found


def _proof(values: Sequence[Any]) -> str:
    return hashlib.sha256(repr(list(values)).encode("utf-8", "surrogatepass")).hexdigest()


def open_index(root: Path, made_by: str, path: Path | None = None) -> Index:
    """The index of the studies below `root`: in `path`, else in `.tollens/` of `root`, else in memory with a note.

    `made_by` is the version of Tollens; what another one made is made anew. Raises TollensError `index_foreign`,
    exit 2, where `path` holds something else, which is never overwritten.
    """
    given = path is not None
    notes: list[str] = []
    if path is None:
        folder = root / FOLDER
        path = folder / NAME
        try:
            if folder.is_symlink() or path.is_symlink() or path.is_dir():
                raise OSError(None, f"{FOLDER}/{NAME} is no plain file")
            folder.mkdir(exist_ok=True)
            if not (folder / ".gitignore").exists():
                (folder / ".gitignore").write_text("*\n")
        except OSError as error:
            return in_memory(root, made_by, [f"kept in memory: {error.strerror or error}"])
    try:
        return _opened(root, made_by, path, notes)
    except (sqlite3.Error, Damaged, OSError, UnicodeDecodeError) as error:
        if given and not _ours(path):
            raise TollensError(
                "index_foreign", str(path), expected="an index of Tollens, or no file", found=str(error)[:120],
                fix="Name another file with --index.",
            ) from None  # fmt: skip
    try:
        remove(path)
        return _opened(root, made_by, path, ["made anew: what lay there was no index that could be used"])
    except (sqlite3.Error, Damaged, OSError, UnicodeDecodeError) as error:
        return in_memory(root, made_by, [f"kept in memory: {getattr(error, 'strerror', None) or error}"])


def remove(path: Path) -> None:
    """Delete an index; nothing is lost. Raises: OSError."""
    for name in (path, path.with_name(f"{path.name}-journal")):
        name.unlink(missing_ok=True)


def _ours(path: Path) -> bool:
    """Whether a file is empty or begins as an index of ours does (SQLite file format, 1.3: application id at 68)."""
    try:
        with path.open("rb") as file:
            head = file.read(72)
    except OSError:
        return False
    return not head or head[68:72] == APPLICATION.to_bytes(4, "big")


def in_memory(root: Path, made_by: str, notes: list[str]) -> Index:
    """An index that is gone when it is closed."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    found = Index(db, None, notes)
    with found.writing():
        _create(db, root, made_by)
    return found


def _opened(root: Path, made_by: str, path: Path, notes: list[str]) -> Index:
    fresh = not path.exists() or path.stat().st_size == 0
    db = sqlite3.connect(path, timeout=BUSY, isolation_level=None)
    found = Index(db, path, notes)
    try:
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("PRAGMA cache_size = -65536")
        if not fresh and _current(db, root, made_by):
            return found
        with found.writing():
            if _current(db, root, made_by):  # another process was faster
                return found
            if db.execute("PRAGMA application_id").fetchone()[0] not in (0, APPLICATION):
                raise Damaged("a data base of another program")
            names = db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            if names and not fresh:
                raise Damaged("another version")
            _create(db, root, made_by)
    except BaseException:
        db.close()
        raise
    return found


def _current(db: sqlite3.Connection, root: Path, made_by: str) -> bool:
    said = db.execute("PRAGMA application_id").fetchone()[0], db.execute("PRAGMA user_version").fetchone()[0]
    if said != (APPLICATION, VERSION):
        return False
    made = {row[0] for row in db.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")}
    if made != set(statements()):  # a view or a trigger of somebody else's would run in every question
        return False
    return db.execute("SELECT tollens, root FROM meta").fetchall() == [(made_by, os.fspath(root.resolve()))]


def _create(db: sqlite3.Connection, root: Path, made_by: str) -> None:
    for statement in statements():
        db.execute(statement)
    db.execute("INSERT INTO meta VALUES (?, ?)", (made_by, os.fspath(root.resolve())))
    db.execute(f"PRAGMA application_id = {APPLICATION}")
    db.execute(f"PRAGMA user_version = {VERSION}")
