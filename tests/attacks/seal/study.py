"""A study that costs nothing, for attacks on its seal: two seeds, forty answers, a metric of one line."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tollens.core.canonical import canonical, digest

CLAIM = """[claim]
id = "gate"
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
seeds = [1, 2]
axes = { seed = 2 }

[null]
generator = "null"
draws = 19
order = "max"
level = "0.05"
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
HEALTHY, ILL = 1, 20
"""How many of the forty items the gate loses: one of them is 5 points of a half, twenty are 50 of the whole."""


@dataclass(frozen=True)
class Said:
    """What a command came to."""

    exit: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """Everything printed, as one line: a terminal wraps where it likes."""
        return " ".join((self.out + self.err).split())


Cli = Callable[..., Said]


def items(lost: int = HEALTHY, count: int = 40) -> str:
    """The table of answers: the base is right on every item, the gate on all but the first `lost`."""
    rows = [f"1,{int(place >= lost)}" for place in range(count)]
    return "\n".join(["base,gated", *rows]) + "\n"


def make(folder: Path, *, lost: int = HEALTHY, claim: str = CLAIM, metric: str = METRIC) -> Path:
    """A study folder that is not sealed yet."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (("claim.toml", claim), ("metric.py", metric), ("items.csv", items(lost))):
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def copied(template: Path, to: Path) -> Path:
    shutil.copytree(template, to, symlinks=True)
    return to


def edit(path: Path, old: str, new: str) -> None:
    """Replace a text that must be there: an attack that changes nothing would prove nothing."""
    text = path.read_bytes().decode()
    assert old in text, f"{old!r} is not in {path.name}"
    path.write_bytes(text.replace(old, new).encode())


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "ledger.jsonl").read_text(encoding="utf-8").splitlines()]


def chained(bodies: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The records with places and hashes that fit, as anybody can make them who has read the format."""
    prev = "0" * 64
    for seq, record in enumerate(bodies):
        fields = {**{k: v for k, v in record.items() if k != "hash"}, "seq": seq, "prev": prev}
        prev = digest(fields)
        yield {**fields, "hash": prev}


def rewrite(folder: Path, kept: Iterable[dict[str, Any]]) -> None:
    """Put a ledger of these records in the place of the old one, its chain valid from the first line to the last."""
    (folder / "ledger.jsonl").write_bytes(b"".join(canonical(record) + b"\n" for record in chained(kept)))


def record(kind: str, body: dict[str, Any]) -> dict[str, Any]:
    """A record typed by hand; `chained` gives it its place."""
    return {
        "v": 1, "id": hashlib.sha256(repr(body).encode()).hexdigest()[:32], "type": kind,
        "time": "2026-01-01T00:00:00.000Z", "actor": "owner", "body": body,
    }  # fmt: skip


def manifest_hash(manifest: dict[str, Any]) -> str:
    """The hash of a seal made by hand."""
    return hashlib.sha256(canonical(manifest) + b"\n").hexdigest()


def git(folder: Path, *words: str) -> str:
    """git with an identity of its own and none of this account's settings."""
    who = ["-c", "user.name=owner", "-c", "user.email=owner@example.org", "-c", "init.defaultBranch=main"]
    made = subprocess.run(["git", *who, *words], cwd=folder, capture_output=True, text=True, check=True, timeout=60)
    return made.stdout.strip()


def push(folder: Path, remote: Path) -> str:
    """Commit the folder and push it to a bare repository; the commit."""
    if not remote.exists():
        remote.mkdir(parents=True)
        git(remote, "init", "--quiet", "--bare")
        git(folder, "init", "--quiet")
        git(folder, "remote", "add", "origin", str(remote))
    git(folder, "add", "-A")
    git(folder, "commit", "--quiet", "-m", "seal")
    git(folder, "push", "--quiet", "origin", "HEAD:refs/heads/main")
    return git(folder, "rev-parse", "HEAD")


def apart(*arguments: str | Path, code: str | None = None) -> Said:
    """`tollens` in a process of its own; with `code`, that program with the arguments."""
    start = ["-m", "tollens.cli.main"] if code is None else ["-c", code]
    made = subprocess.run(
        [sys.executable, *start, *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False
    )
    return Said(made.returncode, made.stdout, made.stderr)


@dataclass(frozen=True)
class Attack:
    """What is done to a copy of a template, the command that follows, and how it must be refused.

    `words` must stand in what is printed, `never` must not.
    """

    do: Callable[[Path], object]
    exit: int
    words: tuple[str, ...]
    template: str = "sealed"
    verb: tuple[str, ...] = ("status",)
    never: tuple[str, ...] = ()


def fought(attack: Attack, folder: Path, cli: Cli) -> Said:
    attack.do(folder)
    return cli(attack.verb[0], folder, *attack.verb[1:])


def held(attack: Attack, said: Said) -> bool:
    """Whether the attack was met as it must be."""
    return (
        said.exit == attack.exit
        and all(word in said.text for word in attack.words)
        and not any(word in said.text for word in attack.never)
    )
