"""The index of a folder of studies, brought up to date: what has not changed is not read again."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from tollens import __version__
from tollens.core.errors import TollensError
from tollens.protocol.seal import FILE as SEAL
from tollens.protocol.study import FILE as CLAIM
from tollens.record.index import Damaged, Index, in_memory, open_index, remove
from tollens.record.ledger import FILE as LEDGER
from tollens.run.anchor_many import Asked, anchors_of
from tollens.run.laboratory import check_folder, studies_under

DEPENDS = (LEDGER, CLAIM, SEAL, "decision.json")
"""The files that the row of a study depends on."""
BATCH = 64
"""Studies that are written in one transaction."""
TICK = 50_000_000
"""Nanoseconds: more than any kernel lets pass between two times that it gives to files."""
SECOND = 10**9
Progress = Callable[[int, int, str], None]
Seals = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Refreshed:
    """What was done: ledgers read whole, read from their old end on, left unread; studies that are gone.

    `folders` are those of studies by the name in the index, which is another where a name is no text; `rows` what the
    index has of them, as `Index.known`. `closed` are the folders that cannot be looked into, and why: what lies in them
    is in no row.
    """

    read: int = 0
    grown: int = 0
    unchanged: int = 0
    gone: int = 0
    records: int = 0
    notes: list[str] = field(default_factory=list)
    closed: list[tuple[str, str]] = field(default_factory=list)
    folders: dict[str, Path] = field(default_factory=dict)
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)


@contextmanager
def indexed(
    root: Path, path: Path | None = None, *, rehash: bool = False, progress: Progress | None = None
) -> Iterator[tuple[Index, Refreshed]]:
    """The index of every study at or below `root`, up to date.

    A ledger of the same size, time and inode as before is not read again; with `rehash` every one is. An index that
    is damaged is made anew, which is said in the notes.

    Raises TollensError: `path_missing`, `index_foreign`, `path_unreadable` (2).
    """
    check_folder(root)
    index = open_index(root, __version__, path)
    try:
        try:
            done = _refresh(index, root, rehash, progress)
        except (Damaged, sqlite3.DatabaseError, UnicodeDecodeError) as error:
            index.close()
            index = _anew(root, index.path, error)
            done = _refresh(index, root, rehash, progress)
        done.notes = [*index.notes, *done.notes]
        yield index, done
    finally:
        index.close()


def _anew(root: Path, path: Path | None, error: Exception) -> Index:
    """Another index in place of one that gave an error. Raises TollensError `index_busy`, exit 2."""
    said = str(error)
    if isinstance(error, sqlite3.OperationalError):
        if "locked" in said:
            raise _busy(path)
        if any(word in said for word in ("readonly", "full", "unable to open")):  # the disk's fault, not the file's
            return in_memory(root, __version__, [f"kept in memory: {said}"])
    try:
        if path is not None:
            remove(path)
            index = open_index(root, __version__, path)
            index.notes.append(f"made anew: it was damaged ({said[:80]})")
            return index
    except OSError as refused:
        said = refused.strerror or said
    return in_memory(root, __version__, [f"kept in memory: {said[:80]}"])


def _busy(path: Path | None) -> TollensError:
    return TollensError(
        "index_busy", str(path), expected="an index that can be written to", found="another process holds its lock",
        fix="Wait until it has ended, or give another file with --index.",
    )  # fmt: skip


def _refresh(index: Index, root: Path, rehash: bool, progress: Progress | None) -> Refreshed:
    done = Refreshed()
    closed: list[tuple[Path, OSError]] = []
    folders = {_name(root, folder): folder for folder in studies_under(root, closed)}
    done.folders = folders
    if closed and closed[0][0] == root:
        raise _closed(*closed[0])
    done.closed = [(_name(root, folder), error.strerror or "cannot be read") for folder, error in closed]
    stamps = {name: _stamp(folder) for name, folder in folders.items()}
    known = index.known()
    gone = [name for name in known if name not in folders]
    stale = [name for name in folders if rehash or _stale(known.get(name), stamps[name])]
    done.gone, done.unchanged = len(gone), len(folders) - len(stale)
    if gone:
        with index.writing():
            index.forget(gone)
    for start in range(0, len(stale), BATCH):
        from tollens.run.entry import enter  # where nothing has changed, numpy and scipy are not loaded

        batch = stale[start : start + BATCH]
        with index.writing():
            known = index.known(batch)  # another process may have been here meanwhile
            for place, name in enumerate(batch, start):
                if progress is not None:
                    progress(place, len(stale), name)
                before, stamp = None if rehash else known.get(name), _stamp(folders[name])
                if not rehash and not _stale(before, stamp):
                    done.unchanged += 1
                    continue
                entered = enter(index, name, folders[name], before, stamp)
                done.read += not entered.grown
                done.grown += entered.grown
                done.records += entered.records
    done.rows = _anchored(index, folders, index.known() if gone or stale else known)
    return done


def _stale(known: dict[str, Any] | None, stamp: str) -> bool:
    return known is None or known["ledger.stamp"] != stamp


def _name(root: Path, folder: Path) -> str:
    return os.fsencode(folder.relative_to(root)).decode("utf-8", "backslashreplace") or "."


def _stamp(folder: Path) -> str:
    """Size, both times, mode and inode of each file that a row depends on.

    The time of change of the inode is no program's to set, so that a time set back is seen. What was changed within
    the last tick of the clock may change again without another time: its stamp fits nothing.
    """
    said = []
    now = time.time_ns()
    for name in DEPENDS:
        try:
            found = os.stat(folder / name)
        except OSError:
            said.append("-")
            continue
        still = settled(max(found.st_mtime_ns, found.st_ctime_ns), now)
        times = f"{found.st_mtime_ns}:{found.st_ctime_ns}" if still else f"fresh {time.time_ns()}"
        said.append(f"{found.st_size}:{times}:{found.st_mode:o}:{found.st_ino}")
    return "|".join(said)


def settled(changed: int, now: int) -> bool:
    """Whether a file changed at `changed` ns would get another time if it were changed `now`.

    A time of whole seconds may be of a file system that counts no parts of them, or only every other second.
    """
    return changed < now - TICK - (0 if changed % SECOND else 2 * SECOND)


def _anchored(index: Index, folders: dict[str, Path], known: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The rows with the anchor of every sealed study anew: refs move without any file of a study being touched.

    What another process has indexed meanwhile, and is in no folder that was looked into here, is left out.
    """
    known = {name: row for name, row in known.items() if name in folders}
    asked = {
        name: Asked(folders[name], msgspec.json.decode(row["ledger.seals"], type=Seals), row["kept"])
        for name, row in known.items()
        if row["seal"] and row["state"] not in ("TAMPERED", "UNREADABLE")
    }
    changed = {}
    for name, anchor in anchors_of(asked).items():
        told: dict[str, Any] = {"anchor": "unanchored"}
        if isinstance(anchor, TollensError):  # read anew the next time: no file tells when history is mended
            told |= {"state": "TAMPERED", "found": f"{anchor.subject}: {anchor.found}", "ledger.stamp": ""}
        else:
            told["anchor"] = anchor
        if any(known[name][key] != value for key, value in told.items()):
            changed[name] = known[name] | told
    if not changed:
        return known
    with index.writing():
        now = index.known([*changed])
        for name, row in changed.items():
            if name in now and now[name]["ledger.proof"] == known[name]["ledger.proof"]:  # nobody wrote it meanwhile
                index.put(row, {k.removeprefix("ledger."): v for k, v in row.items() if k.startswith("ledger.")})
    return known | changed


def _closed(folder: Path, error: OSError) -> TollensError:
    return TollensError(
        "path_unreadable", str(error.filename or folder), expected="a folder that can be read",
        found=error.strerror or str(error), fix="Mend the permissions of the folder.",
    )  # fmt: skip
