"""The index of a folder of studies, brought up to date: what has not changed is not read again."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from tollens import __version__
from tollens.core.canonical import unix_text
from tollens.core.errors import TollensError
from tollens.protocol import seal
from tollens.protocol.decision import Decision
from tollens.protocol.ladder import next_command
from tollens.protocol.seal import Manifest, seal_bytes
from tollens.protocol.study import FILE as CLAIM
from tollens.protocol.study import read_study
from tollens.record import ledger as ledgers
from tollens.record.envelope import FIRST, Envelope
from tollens.record.index import Damaged, Index, open_index, remove
from tollens.record.ledger import Ledger, parse_ledger, parse_tail
from tollens.run.anchor_many import Asked, anchors_of
from tollens.run.laboratory import studies_under
from tollens.run.study import DECISION, Sealed

DEPENDS = (ledgers.FILE, CLAIM, seal.FILE, DECISION)
"""The files that the row of a study depends on."""
BATCH = 64
"""Studies that are written in one transaction."""
Progress = Callable[[int, int, str], None]
Seals = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Refreshed:
    """What was done: ledgers read whole, read from their old end on, left unread; studies that are gone."""

    read: int = 0
    grown: int = 0
    unchanged: int = 0
    gone: int = 0
    records: int = 0
    notes: list[str] = field(default_factory=list)


@contextmanager
def indexed(
    root: Path, path: Path | None = None, *, rehash: bool = False, progress: Progress | None = None
) -> Iterator[tuple[Index, Refreshed]]:
    """The index of every study at or below `root`, up to date.

    A ledger of the same size, time and inode as before is not read again; with `rehash` every one is. An index that
    is damaged is made anew, which is said in the notes. Raises TollensError: `index_foreign`, `path_unreadable` (2).
    """
    index = open_index(root, __version__, path)
    try:
        try:
            done = _refresh(index, root, rehash, progress)
        except (Damaged, sqlite3.DatabaseError) as error:
            if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
                raise _busy(index.path) from None
            index.close()
            index = _anew(root, index.path, f"made anew: it was damaged ({str(error)[:80]})")
            done = _refresh(index, root, rehash, progress)
        done.notes = [*index.notes, *done.notes]
        yield index, done
    finally:
        index.close()


def _anew(root: Path, path: Path | None, note: str) -> Index:
    if path is not None:
        try:
            remove(path)
        except OSError:
            path = Path(":memory:")
    index = open_index(root, __version__, path)
    index.notes.insert(0, note)
    return index


def _busy(path: Path | None) -> TollensError:
    return TollensError(
        "index_busy", str(path), expected="an index that can be written to", found="another process holds its lock",
        fix="Wait until it has ended, or give another file with --index.",
    )  # fmt: skip


def _refresh(index: Index, root: Path, rehash: bool, progress: Progress | None) -> Refreshed:
    done = Refreshed()
    try:
        folders = {_name(root, folder): folder for folder in studies_under(root)}
    except OSError as error:
        raise _closed(root, error) from None
    stamps = {name: _stamp(folder) for name, folder in folders.items()}
    known = index.known()
    gone = [name for name in known if name not in folders]
    stale = [name for name in folders if rehash or _stale(known.get(name), stamps[name])]
    done.gone, done.unchanged = len(gone), len(folders) - len(stale)
    if gone:
        with index.writing():
            index.forget(gone)
    for start in range(0, len(stale), BATCH):
        with index.writing():
            known = index.known() if start == 0 else known  # another process may have been here meanwhile
            for place, name in enumerate(stale[start : start + BATCH], start):
                if progress is not None:
                    progress(place, len(stale), name)
                _study(index, name, folders[name], known.get(name), rehash, done)
    _anchors(index, folders)
    return done


def _stale(known: dict[str, Any] | None, stamp: str) -> bool:
    return known is None or known["ledger.stamp"] != stamp or known["state"] == "UNREADABLE"


def _name(root: Path, folder: Path) -> str:
    return os.fsencode(folder.relative_to(root)).decode("utf-8", "backslashreplace") or "."


def _stamp(folder: Path) -> str:
    """Size, time of change and inode of each file that a row depends on."""
    said = []
    for name in DEPENDS:
        try:
            found = os.stat(folder / name)
            said.append(f"{found.st_size}:{found.st_mtime_ns}:{found.st_ino}")
        except OSError:
            said.append("-")
    return "|".join(said)


def _study(index: Index, name: str, folder: Path, known: dict[str, Any] | None, rehash: bool, done: Refreshed) -> None:
    stamp = _stamp(folder)
    if known is not None and not rehash and not _stale(known, stamp):
        done.unchanged += 1
        return
    path = folder / ledgers.FILE
    facts = {"study": name, "stamp": stamp, "records": 0, "bytes": 0, "sha256": "", "last": FIRST, "seals": "[]"}
    try:
        data = _read(path)
    except OSError as error:
        index.forget([name])
        index.put(_bare(name, "UNREADABLE", f"{path.name}: {error.strerror or error}"), facts)
        done.read += 1
        return
    grown = None
    if known is not None and not rehash and known["ledger.records"]:
        grown = _grown(index, name, known, data)
    try:
        if grown is not None:
            before, tail = grown
            index.add(name, tail.records)
            ledger = Ledger((*before, *tail.records), tail.torn)
            done.grown += 1
            done.records += len(tail.records)
        else:
            index.forget([name])
            ledger = parse_ledger(data, path.name)
            index.add(name, ledger.records)
            done.read += 1
            done.records += len(ledger.records)
    except TollensError as error:
        done.read += 1
        index.put(_bare(name, "TAMPERED", f"{error.subject}: expected {error.expected}, found {error.found}"), facts)
        return
    whole = len(data) - len(ledger.torn)
    facts |= {
        "records": len(ledger.records), "bytes": whole, "sha256": hashlib.sha256(data[:whole]).hexdigest(),
        "last": ledger.records[-1].hash if ledger.records else FIRST,
    }  # fmt: skip
    row, blobs = _row(name, folder, ledger)
    index.put(row, facts | {"seals": msgspec.json.encode(blobs).decode()})


def _read(path: Path) -> bytes:
    """All bytes of a ledger; none where there is no file. Raises: OSError."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _grown(index: Index, name: str, known: dict[str, Any], data: bytes) -> tuple[list[Envelope], Ledger] | None:
    """The records that the index has and those behind them; None where the old bytes do not stand there any more."""
    size = known["ledger.bytes"]
    if len(data) < size or hashlib.sha256(data[:size]).hexdigest() != known["ledger.sha256"]:
        return None
    tail = parse_tail(data[size:], known["ledger.last"], known["ledger.records"])
    if tail is None:
        return None
    before = index.bodies(name)
    return (before, tail) if len(before) == known["ledger.records"] else None


def _bare(name: str, state: str, found: str) -> dict[str, Any]:
    return {
        "path": name, "claim": "", "text": "", "quantity": "", "state": state, "verdict": None, "rung": None,
        "found": found, "seal": None, "amendments": 0, "exploratory": 0, "traps": 0, "fired": 0, "kept": 0,
        "anchor": "unanchored", "cost": "{}", "seconds": 0.0, "started": 0, "finished": 0, "records": 0, "torn": 0,
        "last": None, "next": f"tollens status {name}",
    }  # fmt: skip


def _row(name: str, folder: Path, ledger: Ledger) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """The row of a study whose ledger is whole, and its seals as git blobs."""
    records = ledger.records
    finished = ledger.of("cell.finished")
    row = _bare(name, "DRAFT", "") | {
        "cost": msgspec.json.encode(_cost(ledger), order="sorted").decode(),
        "seconds": float(sum(r.body["seconds"] for r in finished)),
        "started": sum(r.type == "cell.started" for r in records), "finished": len(finished),
        "records": len(records), "torn": len(ledger.torn), "last": records[-1].time if records else None,
    }  # fmt: skip
    seals = ledger.of("seal", "amend")
    if not seals:
        return row | _draft(name, folder), []
    try:
        manifests = [msgspec.convert(r.body["manifest"], Manifest) for r in seals]
        wrong = next((r for r, m in zip(seals, manifests, strict=True) if seal.seal_hash(m) != r.body["seal"]), None)
    except (msgspec.ValidationError, ValueError) as error:
        return row | {"state": "TAMPERED", "found": f"{ledgers.FILE}: {str(error)[:120]}"}, []
    before = tuple(r.body["seal"] for r in seals[:-1])
    found = Sealed(folder, seals[-1].body["seal"], manifests[-1], ledger, before)
    claim = found.manifest.study["claim"]
    row |= {
        "claim": claim["id"], "text": claim["text"], "quantity": claim["quantity"], "seal": found.hash,
        "amendments": len(before), "exploratory": int(found.exploratory), "kept": found.kept,
    }  # fmt: skip
    said = _changed(found) if wrong is None else f"{ledgers.FILE}: a seal whose manifest has another hash"
    blobs = [
        (str(r.body["seal"]), hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest())
        for r, data in zip(seals, map(seal_bytes, manifests), strict=True)
    ]
    if said:
        return row | {"state": "TAMPERED", "found": said}, blobs
    return row | _decided(name, found), blobs


def _decided(name: str, found: Sealed) -> dict[str, Any]:
    if found.verdict is None:
        runs = found.of("run.started", "run.finished")
        running = bool(runs) and runs[-1].type == "run.started"
        return {"state": "RUNNING" if running else "SEALED", "next": f"tollens climb {name}"}
    decision = msgspec.convert(found.verdict.body["decision"], Decision)
    traps = [trap for rung in decision.rungs for trap in rung.traps]
    return {
        "state": decision.verdict, "verdict": decision.verdict, "rung": decision.rung, "found": decision.found,
        "fired": sum(trap.fired for trap in traps),
        "traps": len(traps) + sum(len(rung.traps_not_run) for rung in decision.rungs),
        "next": next_command(decision.verdict, name),
    }  # fmt: skip


def _draft(name: str, folder: Path) -> dict[str, Any]:
    """A study without a seal in its ledger: what its claim.toml says."""
    if (folder / seal.FILE).is_file():
        return {"state": "TAMPERED", "found": f"{seal.FILE} lies there, and no ledger holds it"}
    try:
        claim = read_study(unix_text((folder / CLAIM).read_bytes()).decode("utf-8-sig")).claim
    except TollensError as error:
        return {"state": "UNREADABLE", "found": f"{CLAIM}: {error.subject}: {error.found}"}
    except (OSError, ValueError, tomllib.TOMLDecodeError) as error:
        return {"state": "UNREADABLE", "found": f"{CLAIM}: {getattr(error, 'strerror', None) or str(error)[:120]}"}
    return {"claim": claim.id, "text": claim.text, "quantity": claim.quantity, "next": f"tollens lock {name}"}


def _changed(found: Sealed) -> str:
    """What can be seen without hashing sealed files: seal.json and decision.json against the ledger."""
    try:
        data = (found.folder / seal.FILE).read_bytes()
        named = hashlib.sha256(data.replace(b"\r\n", b"\n")).hexdigest()
        if named not in (found.hash, *found.before):
            return f"{seal.FILE}: expected {found.hash[:12]}, found {named[:12]}"
    except FileNotFoundError:
        pass
    except OSError as error:
        return f"{seal.FILE}: {error.strerror}"
    if found.verdict is None:
        try:
            said = msgspec.json.decode((found.folder / DECISION).read_bytes(), type=dict[str, Any]).get("seal")
        except (OSError, msgspec.DecodeError):
            said = None
        if said == found.hash:
            return f"{ledgers.FILE}: the verdict that {DECISION} repeats is not in it"
    return ""


def _cost(ledger: Ledger) -> dict[str, int]:
    """Millionths by currency: what was bought, less what came back. Estimates are no spend; currencies never add."""
    total: dict[str, int] = {}
    for record in ledger.of("spend"):
        body = record.body
        amount, currency = body.get("amount_micro"), body.get("currency")
        if body.get("kind") in ("actual", "refund") and isinstance(amount, int) and isinstance(currency, str):
            total[currency] = total.get(currency, 0) + amount
    return total


def _anchors(index: Index, folders: dict[str, Path]) -> None:
    """The anchor of every sealed study anew: refs move without any file of a study being touched."""
    known = index.known()
    asked = {
        name: Asked(folders[name], msgspec.json.decode(row["ledger.seals"], type=Seals), row["kept"])
        for name, row in known.items()
        if row["seal"] and row["state"] not in ("TAMPERED", "UNREADABLE")
    }
    changed = {}
    for name, anchor in anchors_of(asked).items():
        row = known[name]
        told: dict[str, Any] = {"anchor": "unanchored"}
        if isinstance(anchor, TollensError):  # read anew the next time: no file tells when history is mended
            told |= {"state": "TAMPERED", "found": f"{anchor.subject}: {anchor.found}", "ledger.stamp": ""}
        else:
            told["anchor"] = anchor.text
        if any(row[key] != value for key, value in told.items()):
            changed[name] = row | told
    if not changed:
        return
    with index.writing():
        for row in changed.values():
            index.put(row, {k.removeprefix("ledger."): v for k, v in row.items() if k.startswith("ledger.")})


def _closed(folder: Path, error: OSError) -> TollensError:
    return TollensError(
        "path_unreadable", str(folder), expected="a folder that can be read", found=error.strerror or str(error),
        fix="Mend the permissions of the folder.",
    )  # fmt: skip
