"""A registration to try things on: the example of the specification of claims, as text."""

from __future__ import annotations

import pytest

GATE = """
[claim]
id = "gate-kv-01"
text = "The gate keeps accuracy within half a point"
quantity = "accuracy_diff"
subject = "gated"
reference = "base"
aggregate = "min over seed"
relation = ">="
value = "-0.5"
unit = "pp"
direction = "higher_is_better"
support = [-100, 100]
[rules]
finding = "min(accuracy_diff) >= -0.5 pp"
kill = "max(accuracy_diff) < -0.5 pp"
[metric]
file = "metric.py"
seeds = [1, 2, 3]
axes = { seed = 3 }
[null]
generator = "null"
draws = 19
order = "max"
level = "0.05"
statistic = "accuracy_diff"
budget = "equal"
[[trap]]
arm = "random_gate"
must = "die"
[[trap]]
arm = "identity"
must = "survive"
[[rung]]
id = "cpu"
kind = "cpu"
est_cost = { usd_micro = 0 }
kill_probability = { value = 0.3, source = "prior" }
cells = "all"
[stopping]
rule = "fixed_n"
[reducer]
order = ["item", "seed"]
[sign_check]
margin = "0.5"
null_value = "0"
tolerance = "0.1"
[data]
files = ["eval.jsonl"]
"""


@pytest.fixture
def gate() -> str:
    return GATE
