"""A placeholder blocks the seal; a rule that compares twice is none."""

from __future__ import annotations

import pytest

from tollens import demo
from tollens.core.errors import TollensError
from tollens.protocol.study import read_study

EXAMPLE = next(path for path in demo.study_files() if path.name == "claim.toml").read_text(encoding="utf-8")
KILL = 'kill = "mean(accuracy_diff) < -0.5 pp"'


@pytest.mark.parametrize("rule", ["max(accuracy_diff) < -1 pp or min(accuracy_diff) > 2 pp", "1 pp<min(accuracy_diff)"])
def test_a_rule_with_two_comparisons_is_no_placeholder(rule: str) -> None:
    assert read_study(EXAMPLE.replace(KILL, f'kill = "{rule}"')).rules.kill == rule


@pytest.mark.parametrize(
    ("line", "written"),
    [(KILL, 'kill = "<rule under which it dies>"'), (KILL, 'kill = "TODO"'), (KILL, 'kill = ""'),
     ('subject = "int8"', 'subject = "the <arm> that is claimed"')],
)  # fmt: skip
def test_a_placeholder_is_refused_by_name(line: str, written: str) -> None:
    with pytest.raises(TollensError) as caught:
        read_study(EXAMPLE.replace(line, written))
    assert caught.value.code == "study_placeholder"
    assert caught.value.exit_code == 3
