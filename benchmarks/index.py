"""A million records: read and checked, indexed, and asked for again; each beside its floor and a peer.

    python -m benchmarks.index [--studies 1000] [--records 1000] [--rounds 3] [--quick]

The ledgers are real: chained records of started and finished cells, traps and purchases, one study sealed by nobody,
so that nothing but the ledger is read. Floors: reading the bytes, and their SHA-256. Peers: `json.loads` of every
line, and `sqlite3` inserting the same lines as text in one transaction, neither of which checks anything.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.process import Measured, measure, tollens
from benchmarks.table import Line, show

INDEX_TARGET, STATUS_TARGET = 60.0, 1.0  # s
TIME = "2026-01-01T00:00:00.000Z"
SLOW = 20_000  # records that the slow reading is timed on


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the ledgers, then time each thing in processes of their own."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--records", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="10 studies of 100 records, one round")
    given = parser.parse_args(arguments)
    studies, records, rounds = (10, 100, 1) if given.quick else (given.studies, given.records, given.rounds)
    room = Path(tempfile.mkdtemp(prefix="tollens-index-"))
    try:
        lab = room / "lab"
        size = write(lab, studies, records)
        lines = [*reading(lab, rounds), *indexing(lab, rounds, judged=not given.quick)]
    finally:
        shutil.rmtree(room)
    total = studies * records
    notes = [f"{total:,} records of {studies:,} studies, {size / 1e6:,.0f} MB; medians of {rounds}"]
    show("index: a million records" if total >= 10**6 else f"index: {total:,} records", lines, notes)


def write(lab: Path, studies: int, records: int) -> int:
    """Real ledgers, each another; returns their bytes. For these bodies msgspec writes the canonical form."""
    import msgspec

    encode = msgspec.json.Encoder(order="sorted").encode
    size = 0
    for study in range(studies):
        folder, prev, lines = lab / f"study-{study:04d}", "0" * 64, []
        folder.mkdir(parents=True)
        for seq in range(records):
            kind, body = _body(study, seq)
            fields = {
                "v": 1, "seq": seq, "id": f"{study * records + seq:032x}", "type": kind, "time": TIME, "actor": "me",
                "prev": prev, "body": body,
            }  # fmt: skip
            prev = hashlib.sha256(encode(fields)).hexdigest()
            lines.append(encode({**fields, "hash": prev}) + b"\n")
        data = b"".join(lines)
        (folder / "ledger.jsonl").write_bytes(data)
        (folder / "claim.toml").write_text("# a draft that says nothing\n")
        size += len(data)
    return size


def _body(study: int, seq: int) -> tuple[str, dict[str, object]]:
    seal = hashlib.sha256(b"%d" % study).hexdigest()
    run = seal[:32]
    key = {"seal": seal, "rung": "accuracy", "arm": "gated", "cell": f"seed={seq // 2}", "seed": seq // 2}
    if seq % 50 == 48:
        return "trap", {"seal": seal, "run": run, "rung": "accuracy", "arm": f"trap{seq}", "must": "die",
                        "observed": "died", "fired": True, "found": "min(accuracy_diff) is -31.25 pp"}  # fmt: skip
    if seq % 50 == 49:
        return "spend", {"claim": f"claim-{study}", "rung": "accuracy", "cell": "all", "attempt": 1, "kind": "actual",
                         "currency": "USD", "amount_micro": 28 * seq, "rate_id": "sealed", "quantity": seq,
                         "unit": "request", "evidence": "cell.started records", "seal": seal, "run": run}  # fmt: skip
    if seq % 2:
        return "cell.finished", {"run": run, "key": key, "attempt": 1, "readings": {"accuracy_diff": (seq + 0.37) / 7},
                                 "note": "", "seconds": 0.01 + seq / 3e5}  # fmt: skip
    return "cell.started", {"run": run, "key": key, "attempt": 1}


def reading(lab: Path, rounds: int) -> list[Line]:
    """What one record costs to read and check, in this process."""
    from tollens.record.ledger import parse_ledger, parse_slowly

    ledgers = sorted(lab.glob("*/ledger.jsonl"))
    data = [path.read_bytes() for path in ledgers[: max(1, SLOW // 1000)]]
    count = sum(text.count(b"\n") for text in data)

    def micro(what: Callable[[bytes], object]) -> tuple[float, str]:
        times = []
        for _ in range(max(3, rounds)):
            start = time.perf_counter()
            for text in data:
                what(text)
            times.append((time.perf_counter() - start) / count * 1e6)
        return statistics.median(times), f"{min(times):.1f} to {max(times):.1f}"

    fast, fast_range = micro(parse_ledger)
    slow, slow_range = micro(parse_slowly)
    floor, _ = micro(lambda text: hashlib.sha256(text).hexdigest())
    peer, _ = micro(lambda text: [json.loads(line) for line in text.splitlines()])
    return [
        Line(
            "reading one record, checked", "-", f"{fast:.1f} us", None,
            f"{fast_range}; slow reference {slow:.1f} us ({slow_range}), {slow / fast:.1f} times; "
            f"SHA-256 of its bytes {floor:.2f} us; json.loads, unchecked, {peer:.1f} us",
        )
    ]  # fmt: skip


def indexing(lab: Path, rounds: int, *, judged: bool) -> list[Line]:
    """Whole processes with a cold interpreter; the files are in the page cache for all of them alike."""
    index = lab / ".tollens" / "index.sqlite"
    first: list[Measured] = []
    for _ in range(rounds):
        shutil.rmtree(index.parent, ignore_errors=True)
        first.append(measure(tollens("status", str(lab), "--quiet"), 1))
    again = [measure(tollens("status", str(lab), "--quiet"), 1) for _ in range(max(5, rounds))]
    asked = [
        measure(tollens("record", "ask", str(lab), "SELECT state, count(*) FROM study GROUP BY 1", "--quiet"), 1)
        for _ in range(max(5, rounds))
    ]
    size = index.stat().st_size
    floor = [measure([sys.executable, "-c", FLOOR, str(lab)], 1) for _ in range(rounds)]
    loads = [measure([sys.executable, "-c", LOADS, str(lab)], 1) for _ in range(rounds)]
    bulk = [measure([sys.executable, "-c", BULK, str(lab)], 1) for _ in range(rounds)]
    bare = [measure([sys.executable, "-c", "pass"], 1) for _ in range(rounds)]
    took, later = _median(first), _median(again)
    rows = sqlite3.connect(index).execute("SELECT count(*) FROM record").fetchone()[0]
    return [
        Line(
            f"indexing {rows:,} records", f"< {INDEX_TARGET:.0f} s", f"{took:.1f} s",
            took < INDEX_TARGET if judged else None,
            f"{_range(first)}; CPU {min(one.cpu for one in first):.1f} s; peak {_peak(first):.0f} MB; "
            f"index {size / 1e6:,.0f} MB; read and hashed {_median(floor):.2f} s; json.loads alone "
            f"{_median(loads):.1f} s; sqlite3 bulk insert of the lines {_median(bulk):.1f} s",
        ),
        Line(
            "status afterwards, whole process", f"< {STATUS_TARGET:.0f} s", f"{later:.2f} s",
            later < STATUS_TARGET if judged else None,
            f"{_range(again)}; CPU {min(one.cpu for one in again):.2f} s; peak {_peak(again):.0f} MB; "
            f"a Python that does nothing {_median(bare):.2f} s",
        ),
        Line("record ask afterwards", "-", f"{_median(asked):.2f} s", None, _range(asked)),
    ]  # fmt: skip


FLOOR = """
import hashlib, pathlib, sys
for path in sorted(pathlib.Path(sys.argv[1]).glob("*/ledger.jsonl")):
    hashlib.sha256(path.read_bytes()).hexdigest()
"""
LOADS = """
import json, pathlib, sys
for path in sorted(pathlib.Path(sys.argv[1]).glob("*/ledger.jsonl")):
    for line in path.read_bytes().splitlines():
        json.loads(line)
"""
BULK = """
import pathlib, sqlite3, sys, tempfile
with tempfile.TemporaryDirectory(dir=sys.argv[1]) as folder:
    db = sqlite3.connect(folder + "/peer.sqlite")
    db.execute("CREATE TABLE record (study TEXT, seq INTEGER, line TEXT, PRIMARY KEY (study, seq)) WITHOUT ROWID")
    for path in sorted(pathlib.Path(sys.argv[1]).glob("*/ledger.jsonl")):
        lines = path.read_text().splitlines()
        db.executemany("INSERT INTO record VALUES (?, ?, ?)", [(path.parent.name, n, t) for n, t in enumerate(lines)])
    db.commit()
"""


def _median(found: Sequence[Measured]) -> float:
    assert all(one.status in (0, 2) for one in found)
    return statistics.median(one.wall for one in found)


def _peak(found: Sequence[Measured]) -> float:
    return max(one.peak_mb for one in found)


def _range(found: Sequence[Measured]) -> str:
    contended = sum(one.contended for one in found)
    said = f"{min(one.wall for one in found):.2f} to {max(one.wall for one in found):.2f} s"
    return said + (f", {contended} of {len(found)} contended" if contended else "")


if __name__ == "__main__":
    main()
