"""What a check of a thousand studies takes beside reading and hashing the same bytes.

    python -m benchmarks.drift [--studies 1000] [--rounds 5] [--quick]

One study is made, sealed and climbed; every other is a copy with a claim id of its own whose files are sealed anew and
whose records are chained anew, by the functions that seal and record. A paper cites each of them with a number.
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.process import measure, tollens
from benchmarks.table import Line, show
from tollens.core.canonical import file_digest
from tollens.protocol import seal
from tollens.protocol.decision import Decision, TrapResults
from tollens.protocol.seal import Manifest, seal_bytes, seal_hash
from tollens.record.envelope import Envelope, line, sealed_envelope
from tollens.record.ledger import FILE, read_ledger

TARGET = 5.0  # s
CLAIM = """[claim]
id = "study"
text = "The gate costs at most ten points of accuracy"
quantity = "accuracy_diff"
subject = "gated"
reference = "base"
aggregate = "min over seed"
relation = ">="
value = "-10"
unit = "pp"
direction = "higher_is_better"
support = [-100, 100]

[rules]
finding = "min(accuracy_diff) >= -10 pp"
kill = "mean(accuracy_diff) < -10 pp"

[metric]
file = "metric.py"
seeds = [1]
axes = { seed = 1 }

[null]
generator = "null"
draws = 9
order = "max"
level = "0.1"
statistic = "accuracy_diff"

[[trap]]
arm = "coin"
must = "die"

[[trap]]
arm = "base"
must = "survive"

[[rung]]
id = "items"
kind = "cpu"
est_seconds = 0.01
kill_probability = { value = 0.5, source = "prior" }

[stopping]
rule = "fixed_n"

[reducer]
order = ["item", "seed"]

[sign_check]
margin = "0.5"
null_value = "0"
tolerance = "0.1"

[data]
files = ["items.csv"]
"""
METRIC = '''"""Points of accuracy that an arm keeps of the base, on half of the items, drawn by the seed."""

import numpy as np
from tollens import sentinel_arms


def produce(arm, cell, rng):
    with open("items.csv", encoding="utf-8") as text:
        names, *rows = [line.split(",") for line in text.read().split()]
    right = {name: np.array(column, dtype=float) for name, column in zip(names, zip(*rows))}
    chosen = rng.permutation(len(rows))[: len(rows) // 2]
    if arm in ("coin", "dice"):
        right[arm] = (rng.random(len(rows)) < 0.1).astype(float)
    if arm == "twin":
        right["twin"] = right["gated"]
    if isinstance(arm, tuple):
        name, seed = arm
        right[arm] = (np.random.default_rng(seed).random(len(rows)) < 0.2).astype(float)
    return {"subject": right[arm][chosen], "reference": right["base"][chosen]}


def metric(inputs):
    return {"accuracy_diff": 100 * float(np.mean(inputs["subject"]) - np.mean(inputs["reference"]))}


def null(rng):
    return ("guess", int(rng.integers(2**32)))


ARMS = sentinel_arms("accuracy_diff")
'''


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args(arguments)
    count, rounds = (20, 2) if given.quick else (given.studies, given.rounds)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "repository"
        one = Path(folder) / "study"
        original(one)
        records = many(one, root, count)
        command = tollens("drift", str(root), "--quiet")
        said = subprocess.run(command, capture_output=True, text=True, check=False)
        if said.returncode != 0:
            sys.exit(f"the generated repository is not clean: {said.stdout}{said.stderr}")
        runs = [measure(command, 1) for _ in range(rounds)]
        floors = [floor(root) for _ in range(rounds)]
    seconds, least = statistics.median(run.wall for run in runs), statistics.median(f[0] for f in floors)
    files, size = floors[0][1], floors[0][2]
    contended = sum(run.contended for run in runs)
    lines = [
        Line(
            f"tollens drift, {count:,} studies", f"< {TARGET:g} s", f"{seconds:.2f} s",
            None if given.quick else seconds < TARGET,
            f"whole process, {records:,} records, {max(run.peak_mb for run in runs):.0f} MB; {said.stdout.strip()}; "
            f"{contended} of {rounds} runs contended",
        ),
        Line(
            "the floor: read and SHA-256", "-", f"{least:.2f} s", None,
            f"{files:,} files, {size / 1e6:.1f} MB, in one process; drift takes {seconds / least:.1f} times as long",
        ),
    ]  # fmt: skip
    show("drift: a repository of studies", lines, [f"medians of {rounds}"])


def original(folder: Path) -> None:
    """One real study, sealed and climbed, in a process of its own: this one stays small."""
    folder.mkdir()
    (folder / "claim.toml").write_text(CLAIM)
    (folder / "metric.py").write_text(METRIC)
    (folder / "items.csv").write_text("base,gated\n" + "1,0\n" + "1,1\n" * 39)
    for verb in ("lock", "climb"):
        subprocess.run(tollens(verb, str(folder), "--quiet"), check=True, capture_output=True)


def many(one: Path, root: Path, count: int) -> int:
    """`count` studies below `root`, and a paper that cites them; the number of their records."""
    kept = {name: (one / name).read_bytes() for name in ("metric.py", "items.csv", ".gitattributes")}
    ledger = read_ledger(one / FILE).records
    said = ["# What held", ""]
    for place in range(count):
        claim = f"study-{place:04}"
        folder = root / "studies" / claim
        folder.mkdir(parents=True)
        for name, data in kept.items():
            (folder / name).write_bytes(data)
        made = sealed_anew(ledger, claim, folder)
        decision = msgspec.convert(made[-1].body["decision"], Decision)
        traps = TrapResults("tollens.traps/1", decision.claim, decision.seal, decision.traps)
        for name, answer in (("decision.json", decision), ("trap_results.json", traps)):
            (folder / name).write_bytes(msgspec.json.format(msgspec.json.encode(answer), indent=1) + b"\n")
        source = made[-1].hash[:12]
        value = min(cell["accuracy_diff"] for cell in decision.rungs[0].readings.values())
        said.append(f"- {value:.1f}<!--t:{claim}.accuracy_diff unit=pp from={source}-->, <!--t:cite {claim}-->held")
    (root / "paper.md").write_text("\n".join(said) + "\n")
    return count * len(ledger)


def sealed_anew(ledger: Sequence[Envelope], claim: str, folder: Path) -> list[Envelope]:
    """Write claim.toml, seal.json and the ledger of a copy whose claim has another id."""
    text = CLAIM.replace('id = "study"', f'id = "{claim}"').encode()
    (folder / "claim.toml").write_bytes(text)
    old = msgspec.convert(ledger[0].body["manifest"], Manifest)
    entries = [
        msgspec.structs.replace(entry, bytes=len(text), sha256=file_digest(text, "text"))
        if entry.path == "claim.toml"
        else entry
        for entry in old.entries
    ]
    study = {**old.study, "claim": {**old.study["claim"], "id": claim}}
    manifest = msgspec.structs.replace(old, study=study, entries=entries)
    named = seal_hash(manifest)
    (folder / seal.FILE).write_bytes(seal_bytes(manifest))
    made: list[Envelope] = []
    for record in ledger:
        body: dict[str, Any] = _renamed(record.body, ledger[0].body["seal"], named, claim)
        if record.type == "seal":
            body["manifest"] = msgspec.to_builtins(manifest)
        made.append(sealed_envelope(record.type, body, made[-1] if made else None, record.actor, record.time))
    (folder / FILE).write_bytes(b"".join(line(record) for record in made))
    return made


def _renamed(value: Any, old: str, new: str, claim: str) -> Any:
    """The seal and the claim of a body, wherever they stand in it."""
    if isinstance(value, dict):
        return {
            key: claim if key == "claim" and item == "study" else _renamed(item, old, new, claim)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_renamed(item, old, new, claim) for item in value]
    return new if value == old else value


def floor(root: Path) -> tuple[float, int, int]:
    """(seconds, files, bytes) of reading every file once and hashing it."""
    start, files, size = time.perf_counter(), 0, 0
    for path in root.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            hashlib.sha256(data).digest()
            files, size = files + 1, size + len(data)
    return time.perf_counter() - start, files, size


if __name__ == "__main__":
    main()
