"""The typed claim, its cells, and what does not fit together."""

from __future__ import annotations

import pytest

from tollens.core.errors import TollensError
from tollens.core.expression.syntax import show
from tollens.protocol.registration import Registration, cell_keys, register, statistic
from tollens.protocol.study import read_study


def registration(text: str) -> Registration:
    return register(read_study(text))


def refusal(text: str) -> TollensError:
    with pytest.raises(TollensError) as caught:
        registration(text)
    assert caught.value.exit_code == 3
    return caught.value


def test_the_example_becomes_three_rules_and_three_cells(gate: str) -> None:
    made = registration(gate)
    assert show(made.claim) == "min(accuracy_diff) >= -0.5 pp"
    assert [cell.label for cell in made.cells] == ["seed=1", "seed=2", "seed=3"]
    assert made.domains["accuracy_diff"].count == 3


@pytest.mark.parametrize(
    ("aggregate", "relation", "shown"),
    [
        ("mean over seed", ">=", "mean(accuracy_diff) >= -0.5 pp"),
        ("all over seed", ">", "all(accuracy_diff > -0.5 pp)"),
        ("any over seed", "<=", "any(accuracy_diff <= -0.5 pp)"),
        ("quantile(0.9) over seed", "<", "quantile(0.9, accuracy_diff) < -0.5 pp"),
    ],
)
def test_aggregate_and_relation_build_the_rule(gate: str, aggregate: str, relation: str, shown: str) -> None:
    text = gate.replace("min over seed", aggregate).replace('relation = ">="', f'relation = "{relation}"')
    assert show(registration(text).claim) == shown


def test_within_is_two_thresholds_in_exact_decimals(gate: str) -> None:
    text = gate.replace('relation = ">="', 'relation = "within"').replace(
        'value = "-0.5"', 'value = "0.3"\ntolerance = "0.1"'
    )
    assert show(registration(text).claim) == "min(accuracy_diff) >= 0.2 pp and min(accuracy_diff) <= 0.4 pp"


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("min over seed", "median over seed", "study_field"),
        ("min over seed", "min over layer", "study_field"),
        ("axes = { seed = 3 }", "axes = { seed = 4 }", "study_field"),
        ("axes = { seed = 3 }", "axes = { layer = 3 }", "study_field"),
        ("axes = { seed = 3 }", "axes = { seed = 3, item = 0 }", "study_field"),
        ("axes = { seed = 3 }", "axes = { seed = 3, layer = 99999999 }", "study_field"),
        ('order = ["item", "seed"]', 'order = ["item"]', "study_field"),
        ("support = [-100, 100]", "support = [100, -100]", "study_field"),
        ("support = [-100, 100]", "support = [1]", "study_field"),
        ("support = [-100, 100]", "support = { values = [] }", "study_field"),
        ('statistic = "accuracy_diff"', 'statistic = "other"', "study_field"),
        ('cells = "all"', 'cells = ["seed=9"]', "study_field"),
        ('cells = "all"', "cells = []", "study_field"),
        ('cells = "all"', 'requires = ["nothing"]', "study_field"),
        ('must = "die"', 'must = "die"\nrung = "gpu"', "study_field"),
        ("kill = \"max(accuracy_diff) < -0.5 pp\"", 'kill = "max(accuracy_diff) < -0.5 %"', "claim_unit_mismatch"),
        ("kill = \"max(accuracy_diff) < -0.5 pp\"", 'kill = "max(acuracy_diff) < -0.5 pp"', "claim_unknown_name"),
        ("kill = \"max(accuracy_diff) < -0.5 pp\"", 'kill = "-1 pp < max(accuracy_diff) < -0.5 pp"', "claim_chained"),
        ("kill = \"max(accuracy_diff) < -0.5 pp\"", 'kill = "accuracy falls by half a point"', "claim_prose"),
        ("kill = \"max(accuracy_diff) < -0.5 pp\"", 'kill = "1 > 2"', "claim_constant"),
        ("kill = \"max(accuracy_diff) < -0.5 pp\"", 'kill = "accuracy_diff < -0.5 pp"', "claim_type"),
        ('unit = "pp"', 'unit = "points"', "claim_unit"),
    ],
)  # fmt: skip
def test_what_does_not_fit_refuses_the_seal(gate: str, old: str, new: str, code: str) -> None:
    assert old in gate
    assert refusal(gate.replace(old, new, 1)).code == code


def test_the_hardest_cell_goes_first_and_the_others_keep_their_order(gate: str) -> None:
    made = registration(gate.replace('cells = "all"', 'hardest = ["seed=3"]'))
    assert [cell.label for cell in cell_keys(made.study, 0, made.cells)] == ["seed=3", "seed=1", "seed=2"]


def test_axes_multiply_the_last_one_fastest(gate: str) -> None:
    text = gate.replace("axes = { seed = 3 }", 'axes = { layer = ["a", "b"], seed = 3 }')
    text = text.replace("min over seed", "min over layer, seed").replace(
        '["item", "seed"]', '["item", "layer", "seed"]'
    )
    labels = [cell.label for cell in registration(text).cells]
    assert labels == [f"layer={layer} seed={seed}" for layer in "ab" for seed in (1, 2, 3)]


@pytest.mark.parametrize(
    ("aggregate", "relation", "expected"),
    [
        ("mean", ">=", 2.0), ("min", ">=", 0.5), ("max", ">=", 4.5), ("quantile(0.5)", ">=", 1.0),
        ("all", ">=", 0.5), ("any", ">=", 4.5), ("all", "<", 4.5), ("any", "<", 0.5),
    ],
)  # fmt: skip
def test_the_statistic_is_the_aggregate_and_all_is_its_worst_cell(
    gate: str, aggregate: str, relation: str, expected: float
) -> None:
    text = gate.replace("min over seed", f"{aggregate} over seed").replace(
        'relation = ">="', f'relation = "{relation}"'
    )
    assert statistic(read_study(text), [4.5, 0.5, 1.0]) == expected
