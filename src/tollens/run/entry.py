"""A study read for the index: its ledger from the bytes, its row from the ledger and the files beside it."""

from __future__ import annotations

import hashlib
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from tollens.core.errors import TollensError
from tollens.protocol import seal
from tollens.protocol.decision import Decision
from tollens.protocol.ladder import next_command
from tollens.protocol.seal import Manifest, seal_bytes
from tollens.protocol.study import from_plain, read_study
from tollens.record import ledger as ledgers
from tollens.record.cost import spent
from tollens.record.envelope import FIRST, Envelope, read_line
from tollens.record.index import Index
from tollens.record.ledger import Ledger, parse_ledger, parse_tail, read_ledger
from tollens.run.postmortem import last_recorded
from tollens.run.study import DECISION, Sealed, claim_text


@dataclass(frozen=True, slots=True)
class Entered:
    """How many records were read, and whether only behind those that the index had."""

    records: int
    grown: bool


def enter(index: Index, name: str, folder: Path, known: dict[str, Any] | None, stamp: str) -> Entered:
    """Write a study into the index, within a transaction of the caller.

    `known` is what the index has of it, None to believe nothing of that; `stamp` was taken before this call.
    """
    path = folder / ledgers.FILE
    facts = {"study": name, "stamp": stamp, "records": 0, "bytes": 0, "sha256": "", "last": FIRST, "seals": "[]"}
    try:
        data = ledgers.ledger_bytes(path)
    except OSError as error:  # looked at again the next time: mended permissions change no time
        index.forget([name])
        index.put(_bare(name, "UNREADABLE", f"{path.name}: {error.strerror or error}"), facts | {"stamp": ""})
        return Entered(0, False)
    grown = _grown(known, data) if known is not None and known["ledger.records"] else None
    try:
        if grown is None:
            index.forget([name])
            ledger = parse_ledger(data, path.name)
            added = ledger.records
        else:
            before, tail = grown
            ledger, added = Ledger((*before, *tail.records), tail.torn), tail.records
    except TollensError as error:
        said = f"{error.subject.removeprefix('TAMPERED ')}: expected {error.expected}, found {error.found}"
        index.put(_bare(name, "TAMPERED", said), facts)
        return Entered(0, False)
    index.add(name, added)
    whole = len(data) - len(ledger.torn)
    row, blobs = _row(name, folder, ledger)
    facts |= {
        "records": len(ledger.records), "bytes": whole, "sha256": hashlib.sha256(data[:whole]).hexdigest(),
        "last": ledger.records[-1].hash if ledger.records else FIRST, "seals": msgspec.json.encode(blobs).decode(),
    }  # fmt: skip
    index.put(row, facts)
    return Entered(len(added), grown is not None)


def blocking(folder: Path) -> list[str]:
    """The constraints that hold up a sealed study today, by id. Raises what reading the tollens.toml above raises."""
    from tollens.run.constraints import pinned, rulings_of

    ledger = read_ledger(folder / ledgers.FILE)
    last = ledger.of("seal", "amend")[-1]
    manifest = msgspec.convert(last.body["manifest"], Manifest)
    rulings = rulings_of(folder, from_plain(manifest.study), ledger, pinned(manifest.constraints)) or []
    return [ruling.id for ruling in rulings if ruling.state == "blocked"]


def _grown(known: dict[str, Any], data: bytes) -> tuple[list[Envelope], Ledger] | None:
    """The records that the index has and those behind them; None where the old bytes do not stand there any more.

    The old records are read from their bytes, whose SHA-256 is known, and so need no proof of their own.
    """
    size = known["ledger.bytes"]
    old = data[:size]
    if len(old) < size or hashlib.sha256(old).hexdigest() != known["ledger.sha256"]:
        return None
    tail = parse_tail(data[size:], known["ledger.last"], known["ledger.records"])
    if tail is None:
        return None
    return [read_line(text.removesuffix(b"\r")) for text in old.split(b"\n")[:-1]], tail


def _bare(name: str, state: str, found: str) -> dict[str, Any]:
    return {
        "path": name, "claim": "", "text": "", "quantity": "", "state": state, "verdict": None, "rung": None,
        "obstacle": None, "found": found, "seal": None, "amendments": 0, "exploratory": 0, "traps": 0, "fired": 0,
        "kept": 0, "anchor": "unanchored", "cost": "{}", "seconds": 0.0, "started": 0, "finished": 0, "records": 0,
        "torn": 0, "last": None, "next": f"tollens status {shlex.quote(name)}",
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
        return {"state": "RUNNING" if running else "SEALED", "next": f"tollens climb {shlex.quote(name)}"}
    decision = msgspec.convert(found.verdict.body["decision"], Decision)
    told = last_recorded(found) if decision.verdict == "KILLED" else None
    traps = [trap for rung in decision.rungs for trap in rung.traps]
    return {
        "state": decision.verdict, "verdict": decision.verdict, "rung": decision.rung, "found": decision.found,
        "obstacle": told.obstacle if told else None,
        "fired": sum(trap.fired for trap in traps),
        "traps": len(traps) + sum(len(rung.traps_not_run) for rung in decision.rungs),
        "next": next_command(decision.verdict, shlex.quote(name)),
    }  # fmt: skip


def _draft(name: str, folder: Path) -> dict[str, Any]:
    """A study without a seal in its ledger: what its claim.toml says."""
    if (folder / seal.FILE).is_file():
        return {"state": "TAMPERED", "found": f"{seal.FILE} lies there, and no ledger holds it"}
    try:
        claim = read_study(claim_text(folder)).claim
    except TollensError as error:
        return {"state": "UNREADABLE", "found": f"{error.subject}: {error.found}"}
    return {
        "claim": claim.id,
        "text": claim.text,
        "quantity": claim.quantity,
        "next": f"tollens lock {shlex.quote(name)}",
    }


def _changed(found: Sealed) -> str:
    """What can be seen without hashing sealed files: seal.json and decision.json against the ledger."""
    try:
        data = _plain_bytes(found.folder / seal.FILE)
        named = hashlib.sha256(data.replace(b"\r\n", b"\n")).hexdigest()
        if named not in (found.hash, *found.before):
            return f"{seal.FILE}: expected {found.hash[:12]}, found {named[:12]}"
    except FileNotFoundError:
        pass
    except OSError as error:
        return f"{seal.FILE}: {error.strerror}"
    if found.verdict is None:
        try:
            said = msgspec.json.decode(_plain_bytes(found.folder / DECISION), type=dict[str, Any]).get("seal")
        except (OSError, msgspec.DecodeError):
            said = None
        if said == found.hash:
            return f"{ledgers.FILE}: the verdict that {DECISION} repeats is not in it"
    return ""


def _plain_bytes(path: Path) -> bytes:
    """Raises: OSError, also for a pipe, which would never end."""
    if path.exists() and not path.is_file():
        raise OSError(None, "not a plain file")
    return path.read_bytes()


def _cost(ledger: Ledger) -> dict[str, int]:
    """Millionths by currency, as `status --spend` counts them: what was bought under any seal, less what came back."""
    return dict(spent(ledger.records).amounts)
