"""claim.toml: what is read, what is missing by name, and what nobody would read."""

from __future__ import annotations

import re
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollens.core.errors import TollensError
from tollens.protocol.study import from_plain, plain, read_study


def refusal(text: str) -> TollensError:
    with pytest.raises(TollensError) as caught:
        read_study(text)
    assert caught.value.exit_code == 3
    return caught.value


def test_the_example_reads_and_comes_back(gate: str) -> None:
    study = read_study(gate)
    assert (study.claim.value, study.null.draws, study.rung[0].kill_probability.value) == ("-0.5", 19, 0.3)
    assert from_plain(plain(study)) == study


def test_an_infinite_support_comes_back(gate: str) -> None:
    study = read_study(gate.replace("support = [-100, 100]", "support = [-inf, inf]"))
    assert plain(study)["claim"]["support"] == ["-inf", "inf"]
    assert from_plain(plain(study)) == study


def test_every_missing_field_is_named_at_once() -> None:
    said = refusal("").subject
    for table in ("[claim]", "[rules]", "[metric]", "[null]", "[[rung]]", "[stopping]", "[reducer]"):
        assert table in said
    assert "claim.quantity" in refusal('[claim]\nid = "a"\n').subject


REQUIRED = (
    "id", "text", "quantity", "subject", "aggregate", "relation", "value", "unit", "direction", "support", "finding",
    "kill", "seeds", "axes", "generator", "draws", "order", "level", "statistic", "arm", "must", "kind",
    "kill_probability", "margin", "null_value", "tolerance",
)  # fmt: skip


@pytest.mark.parametrize("field", REQUIRED)
def test_a_field_left_out_is_named(gate: str, field: str) -> None:
    error = refusal(re.sub(rf"^{field} = .*\n", "", gate, count=1, flags=re.M))
    assert error.code == "study_missing"
    assert field in error.subject


@pytest.mark.parametrize("text", ["<arm>", "TODO", "", "  ", "...", "to be filled in: TBD", "???", "my <claim> here"])
def test_a_placeholder_is_not_sealed(gate: str, text: str) -> None:
    assert refusal(gate.replace('"gated"', f'"{text}"')).code == "study_placeholder"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('cells = "all"', 'cels = "all"', "rung[0]"),
        ("[rules]", "[rulez]", "[rules]"),
        ('relation = ">="', 'relation = "=="', "claim.relation"),
        ('value = "-0.5"', "value = -0.5", "claim.value"),
        ('value = "-0.5"', 'value = "about half"', "claim.value"),
        ('value = "-0.5"', 'value = "1e9999"', "claim.value"),
        ('level = "0.05"', 'level = "five"', "null.level"),
        ('relation = ">="', 'relation = "within"', "claim.tolerance"),
        ('unit = "pp"', 'unit = "pp"\ntolerance = "1"', "claim.tolerance"),
        ("seeds = [1, 2, 3]", "seeds = []", "metric.seeds"),
        ("seeds = [1, 2, 3]", "seeds = [1, 1, 3]", "metric.seeds"),
        ("seeds = [1, 2, 3]", "seeds = [1, -2, 3]", "metric.seeds"),
        ("value = 0.3, source", "value = 0.0, source", "kill_probability"),
        ("value = 0.3, source", "value = nan, source", "kill_probability"),
        ('file = "metric.py"', 'file = "metric.py"\ninstrument = "norms"', "metric"),
        ('file = "metric.py"\n', "", "metric"),
        ('file = "metric.py"', 'instrument = "norms"', "metric.checkpoint"),
        ('id = "gate-kv-01"', 'id = "Gate KV"', "claim.id"),
        ('id = "gate-kv-01"', 'id = "gаte"', "claim.id"),  # a Cyrillic letter that looks like a
        ("usd_micro = 0", "usd_micro = -5", "rung[0]"),
    ],
)
def test_a_field_that_is_not_right_is_named(gate: str, old: str, new: str, said: str) -> None:
    assert old in gate
    assert said in refusal(gate.replace(old, new, 1)).subject


def test_a_key_twice_is_no_toml(gate: str) -> None:
    assert refusal(gate.replace('unit = "pp"', 'unit = "pp"\nunit = "%"')).code == "study_syntax"


@given(st.text(max_size=200))
def test_any_text_is_a_study_or_a_named_refusal(text: str) -> None:
    code = "study_"
    try:
        read_study(text)
    except TollensError as error:
        code = error.code
    assert code.startswith("study_")


@given(
    st.sampled_from(["claim", "rules", "metric", "null", "rung", "trap", "stopping"]),
    st.integers() | st.text() | st.none(),
)
def test_a_table_that_is_something_else_is_a_named_refusal(table: str, value: object) -> None:
    text = (
        ""
        if value is None
        else f"{table} = {value!r}".replace("'", '"')
        if isinstance(value, int)
        else f'{table} = "x"'
    )
    tomllib.loads(text)
    assert refusal(text).code.startswith("study_")
