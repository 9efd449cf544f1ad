"""A ledger read with nothing of the product: what its lines say, and that they are chained."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

Record = dict[str, Any]


def parts(data: bytes) -> tuple[bytes, bytes]:
    """The whole lines, and what follows the last line feed."""
    cut = data.rfind(b"\n") + 1
    return data[:cut], data[cut:]


def records(data: bytes) -> list[Record]:
    """Every whole line; its hash is that of the line without the hash, which the canonical form makes possible."""
    found: list[Record] = []
    for number, line in enumerate(parts(data)[0].splitlines()):
        record = json.loads(line)
        member = b'"hash":"' + record["hash"].encode() + b'",'
        assert line.count(member) == 1
        assert hashlib.sha256(line.replace(member, b"")).hexdigest() == record["hash"]
        assert record["seq"] == number
        assert record["prev"] == (found[-1]["hash"] if found else "0" * 64)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record["time"])
        found.append(record)
    return found


def of(found: list[Record], kind: str) -> list[Record]:
    return [record for record in found if record["type"] == kind]


def key(record: Record) -> tuple[str, str, str, int, str]:
    body = record["body"]["key"]
    return (body["rung"], body["arm"], body["cell"], body["seed"], body["seal"])


def judged(found: list[Record]) -> Record:
    """The one verdict, without what another attempt may change: its time, its cost, and what is said of it."""
    (verdict,) = of(found, "verdict")
    decision = json.loads(json.dumps(verdict["body"]["decision"]))
    decision.pop("notes")  # they say that an earlier run failed
    for part in (decision["spent"], *decision["rungs"]):
        for name in ("seconds", "usd_micro"):
            part.pop(name)
    return decision  # type: ignore[no-any-return]


def readings(found: list[Record]) -> dict[tuple[str, str, str, int, str], Any]:
    """What every cell reads. No cell is finished twice, none before it was started."""
    made: dict[tuple[str, str, str, int, str], Any] = {}
    started: Counter[tuple[str, str, str, int, str]] = Counter()
    for record in found:
        if record["type"] == "cell.started":
            started[key(record)] += 1
            assert record["body"]["attempt"] == started[key(record)]
            assert key(record) not in made, "a finished cell was started again"
        if record["type"] == "cell.finished":
            assert started[key(record)] > 0
            assert key(record) not in made, "a cell was finished twice"
            made[key(record)] = (record["body"]["readings"], record["body"]["note"])
    return made


def differing(found: Any, undisturbed: Any, where: str = "") -> list[str]:
    """Where two values of JSON are not the same."""
    if isinstance(found, dict) and isinstance(undisturbed, dict):
        names = sorted({*found, *undisturbed})
        return [d for name in names for d in differing(found.get(name), undisturbed.get(name), f"{where}.{name}")]
    if isinstance(found, list) and isinstance(undisturbed, list) and len(found) == len(undisturbed):
        pairs = enumerate(zip(found, undisturbed, strict=True))
        return [d for place, (one, other) in pairs for d in differing(one, other, f"{where}[{place}]")]
    return [] if found == undisturbed else [f"{where}: {found!r}, undisturbed {undisturbed!r}"]


def check_ended(folder: Path, undisturbed: list[Record]) -> list[Record]:
    """A climb that ended says what an undisturbed one says, and has counted every attempt."""
    found = records((folder / "ledger.jsonl").read_bytes())
    assert readings(found) == readings(undisturbed)
    others = differing(judged(found), judged(undisturbed))
    assert not others, others
    (verdict,) = of(found, "verdict")
    assert json.loads((folder / "decision.json").read_text()) == verdict["body"]["decision"]
    assert json.loads((folder / "trap_results.json").read_text())["traps"] == verdict["body"]["decision"]["traps"]
    traps = [{k: v for k, v in r["body"].items() if k != "run"} for r in of(found, "trap")]
    assert traps == [{k: v for k, v in r["body"].items() if k != "run"} for r in of(undisturbed, "trap")]
    attempts = Counter(r["body"]["key"]["rung"] for r in of(found, "cell.started"))
    actual: Counter[str] = Counter()
    paid: Counter[str] = Counter()
    for row in of(found, "spend"):
        if row["body"]["kind"] == "actual":
            actual[row["body"]["rung"]] += row["body"]["quantity"]
            paid[row["body"]["rung"]] += row["body"]["amount_micro"]
    assert actual == attempts, "an attempt was not counted once in what was spent"
    assert +paid == {"accuracy": 7 * attempts["accuracy"]}
    estimates = [r["body"]["rung"] for r in of(found, "spend") if r["body"]["kind"] == "estimate"]
    assert sorted(estimates) == sorted(attempts)
    for rung in verdict["body"]["decision"]["rungs"]:
        assert rung["usd_micro"] == paid[rung["id"]]
    return found
