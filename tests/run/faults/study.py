"""A study that is cheap to climb: 15 requests in two rungs, 12 of them of 5 ms, readings that the seed decides."""

from __future__ import annotations

from pathlib import Path

CLAIM = """
[claim]
id = "cheap"
text = "The subject is close to the reference"
quantity = "accuracy_diff"
subject = "near"
reference = "itself"
aggregate = "min over seed"
relation = ">="
value = "-0.5"
unit = "pp"
direction = "higher_is_better"
support = [-100, 100]

[rules]
finding = "min(accuracy_diff) >= -0.5 pp"
kill = "mean(accuracy_diff) < -0.5 pp"

[metric]
file = "metric.py"
seeds = [1, 2]
axes = { seed = 2 }

[null]
generator = "null"
draws = 3
order = "max"
level = "0.25"
statistic = "accuracy_diff"

[[trap]]
arm = "broken"
must = "die"

[[trap]]
arm = "same"
must = "survive"

[[rung]]
id = "numbers"
kind = "arithmetic"
numbers = "numbers.toml"
kill_probability = { value = 0.3, source = "prior" }

[[rung]]
id = "accuracy"
kind = "cpu"
est_cost = { usd_micro = 7 }
est_seconds = 0.01
kill_probability = { value = 0.3, source = "prior" }
seconds = 30
mebibytes = 2048

[stopping]
rule = "fixed_n"

[reducer]
order = ["item", "seed"]

[sign_check]
margin = "0.5"
null_value = "0"
tolerance = "0.1"

[data]
files = ["levels.json"]
"""

METRIC = '''"""Readings that the seed decides. Every call leaves a line in the file that FAULTS_LOG names."""

import json
import os
import time

from tollens import sentinel_arms


def note(what):
    handle = os.open(os.environ["FAULTS_LOG"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(handle, (json.dumps([what, os.getpid(), os.getppid()]) + "\\n").encode())
    os.close(handle)


def wait():
    """While the file FAULTS_HOLD is there, from the request of the number FAULTS_FROM on."""
    with open(os.environ["FAULTS_LOG"]) as log:
        asked = sum(not line.startswith('["metric"') for line in log)
    while asked >= int(os.environ.get("FAULTS_FROM", "1")) and os.path.exists(os.environ.get("FAULTS_HOLD", "")):
        time.sleep(0.005)


def produce(arm, cell, rng):
    name, shift = arm if isinstance(arm, tuple) else (arm, 0.0)
    note(f"{name} {shift} {sorted(cell.items())}")
    time.sleep(0.005)
    wait()
    with open("levels.json") as levels:
        level = json.load(levels)[name]
    value = level + shift + 0.1 * rng.random()
    return {"subject": [value / 100], "reference": [0.0]}


def metric(inputs):
    note("metric")
    return {"accuracy_diff": 100 * float(sum(inputs["subject"]) - sum(inputs["reference"])) / len(inputs["subject"])}


def null(rng):
    return ("chance", float(rng.random()))


ARMS = sentinel_arms("accuracy_diff")
'''

LEVELS = '{"near": -0.2, "same": 0.0, "broken": -40.0, "chance": -30.0}\n'

NUMBERS = """
[[claim]]
id = "size"
text = "100 weights of 32 bits in 8 bits each are 4 times smaller"
kind = "ceiling.compression"
[claim.fields]
entries = { value = "100", unit = "count", exact = true }
bits = { value = "8", unit = "bit", exact = true }
scales = { value = "0", unit = "count", exact = true }
scale_bits = { value = "32", unit = "bit", exact = true }
bits_in = { value = "32", unit = "bit", exact = true }
ratio = { value = "4", unit = "1" }
"""


def write(folder: Path) -> Path:
    """The study, not sealed, in a folder that is not there yet."""
    folder.mkdir()
    for name, text in (
        ("claim.toml", CLAIM), ("metric.py", METRIC), ("levels.json", LEVELS), ("numbers.toml", NUMBERS),
    ):  # fmt: skip
        (folder / name).write_text(text)
    return folder
