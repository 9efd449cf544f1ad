"""The attacks on a seal of Tollens, on its example study."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.process import tollens as verb
from benchmarks.seal_cell import LIMIT, Case, Said, command, commit, new_history, publish, remove, replace, sure
from benchmarks.seal_cell import with_crlf as checked_out
from tollens.core.canonical import canonical, digest

STUDY = "s"


def tollens(*words: str) -> tuple[str, ...]:
    return tuple(verb(*words))


RECORDS = tuple(f"{STUDY}/{name}" for name in ("ledger.jsonl", "seal.json", "decision.json", "trap_results.json"))
ARM = 'right(changed(weights, arm)), "reference"'
NAN = ARM.replace("),", ') * (np.nan if arm == "int8" else 1),')
TRIPLED = ARM.replace("),", ') * (3 if arm == "int8" else 1),')
STATUS = tollens("status", STUDY)
LOCK = tollens("lock", STUDY)
CLIMB = tollens("climb", STUDY)
LOOSER = replace(f"{STUDY}/claim.toml", '"-0.5"', '"-5"'), replace(f"{STUDY}/claim.toml", "-0.5 pp", "-5 pp")


def start(state: str, folder: Path, before: Callable[[str], Path]) -> None:
    """Make the state of a study in an empty folder. `before`: the folder of another state."""
    if state == "fresh":
        sure(folder, tollens("new", STUDY))
        new_history(folder)
        return
    earlier = {"sealed": "fresh", "decided": "sealed", "published": "decided"}[state]
    shutil.copytree(before(earlier), folder, dirs_exist_ok=True)
    if state == "sealed":
        sure(folder, LOCK)
    elif state == "decided":
        sure(folder, CLIMB)
    else:
        publish(folder)


def rewritten(folder: Path) -> None:
    """Another claim, and every record of the ledger with the hashes that belong to it."""
    old = [json.loads(text) for text in (folder / RECORDS[0]).read_text().splitlines()]
    for edit in LOOSER:
        edit(folder)
    with tempfile.TemporaryDirectory() as aside:
        shutil.copytree(folder / STUDY, Path(aside) / STUDY)
        remove(*RECORDS)(Path(aside))
        sure(Path(aside), LOCK)
        sealed = json.loads((Path(aside) / RECORDS[0]).read_text().splitlines()[0])
        shutil.copy(Path(aside) / RECORDS[1], folder / RECORDS[1])
    was, now = old[0]["body"]["seal"], sealed["body"]["seal"]
    records: list[dict[str, Any]] = [sealed]
    for record in old[1:]:
        made = json.loads(json.dumps(record).replace(was, now).replace("-0.5 pp", "-5 pp"))
        made["prev"] = records[-1]["hash"]
        del made["hash"]
        records.append(made | {"hash": digest(made)})
    (folder / RECORDS[0]).write_bytes(b"".join(canonical(record) + b"\n" for record in records))
    decision = folder / RECORDS[2]
    decision.write_text(decision.read_text().replace(was, now).replace("-0.5 pp", "-5 pp"))


def edited_meanwhile(folder: Path) -> Said:
    """Climb, and change the metric's file as soon as the ledger says that a run has started."""
    with tempfile.TemporaryFile("w+") as sink:
        child = subprocess.Popen(CLIMB, cwd=folder, stdout=sink, stderr=sink, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + LIMIT
        while child.poll() is None and time.monotonic() < deadline:
            if "cell.started" in (folder / RECORDS[0]).read_text():
                with open(folder / STUDY / "metric.py", "a") as handle:
                    handle.write("# one line more\n")
                break
            time.sleep(0.02)
        child.wait(LIMIT)
        sink.seek(0)
        return Said(child.returncode, sink.read())


def swapped_data(folder: Path) -> None:
    path = folder / STUDY / "digits_test.npz"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _commits(folder: Path) -> None:
    commit(folder)


SEAL_AGAIN = (*LOOSER, remove(*RECORDS), LOCK, STATUS)
SEALING = (LOCK, STATUS)
CASES: dict[str, Case | None] = {
    "edit": Case("sealed", (*LOOSER, STATUS)),
    "again": Case("sealed", (*LOOSER, LOCK), (*LOOSER, LOCK), "fresh"),
    "deleted": Case("sealed", SEAL_AGAIN, (STATUS,)),
    "rewritten": Case("decided", (rewritten, new_history, STATUS), (STATUS,)),
    "deleted, published": Case("published", (*SEAL_AGAIN[:-1], _commits, STATUS), (STATUS,)),
    "rewritten, published": Case("published", (rewritten, _commits, STATUS), (STATUS,)),
    "reversed": Case("fresh", (replace(f"{STUDY}/metric.py", "diff\": 100 *", "diff\": -100 *"), LOCK)),
    "code": Case("sealed", (edited_meanwhile,), (CLIMB,)),
    "seed": Case("sealed", (replace(f"{STUDY}/claim.toml", "seeds = [1, 2, 3]", "seeds = [1, 2]"), STATUS)),
    "key": Case("sealed", (replace(f"{STUDY}/claim.toml", "support = [-100, 100]", "#"), STATUS)),
    "nan": Case(
        "fresh", (replace(f"{STUDY}/metric.py", ARM, NAN), LOCK, CLIMB)
    ),
    "support": Case(
        "fresh", (replace(f"{STUDY}/metric.py", ARM, TRIPLED), LOCK, CLIMB)
    ),
    "data": Case("sealed", (swapped_data, STATUS)),
    "reducer": Case("sealed", (replace(f"{STUDY}/claim.toml", '["item", "seed"]', '["seed", "item"]'), STATUS)),
    "access": Case(
        "decided",
        (*LOOSER, tollens("amend", STUDY, "--reason", "a looser bound", "--access", "nothing run")),
        (*LOOSER, tollens("amend", STUDY, "--reason", "a looser bound", "--access", "results seen")),
    ),
    "typed": Case("sealed", (tollens("climb", STUDY, "--observed", "0.99"),), (CLIMB,)),
    "crlf": Case("published", (checked_out, STATUS)),
}  # fmt: skip


def version(folder: Path) -> str:
    return command(folder, tollens("--version")).words.split()[-1]
