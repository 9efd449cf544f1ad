"""One rung: the fixed order of its stages, and the request after which nothing unrun could change the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from tollens.protocol.attack import Chance, RungTask, attack
from tollens.protocol.decision import RungResult
from tollens.protocol.ladder import conclude
from tollens.protocol.null import NullSpec
from tollens.protocol.registration import Cell, register
from tollens.protocol.rung import VIOLATIONS, Arm, Measured, RungKind
from tollens.protocol.stopping import read_stopping
from tollens.protocol.study import Trap, read_study
from tollens.run.pricing import RungPrice
from tollens.run.rungs.cpu import CPU

NULL = NullSpec(draws=19, order="max", level="0.05", direction="higher_is_better")
GOOD: Mapping[str, float] = {"gated": 0.2, "identity": 0.0, "random_gate": -40.0, "null": -30.0}


def climbed(
    text: str, arms: Mapping[str, float | Sequence[float]], kind: RungKind = CPU
) -> tuple[RungResult, list[str]]:
    """The rung's result where each arm reads a constant, or one value a seed; and what was asked, in order."""
    study = read_study(text)
    task = RungTask(register(study), 0, kind, Chance(NULL, read_stopping(study.stopping)))
    asked: list[str] = []

    def ask(arm: Arm, cell: Cell) -> Measured:
        asked.append(f"{arm.label} {cell.label}")
        value = arms[arm.name]
        return Measured({"accuracy_diff": value if isinstance(value, int | float) else value[cell.seed - 1]})

    return attack(task, ask), asked


def test_trivial_pass_then_the_subject_then_traps_then_the_null(gate: str) -> None:
    result, asked = climbed(gate, GOOD)
    assert result.verdict == "SURVIVED"
    stages = list(dict.fromkeys(name.split()[0].partition("[")[0] for name in asked))
    assert stages == ["identity", "gated", "random_gate", "null"]
    assert asked.count("null[18] seed=3") == 1
    assert (result.requests, result.requests_of) == (len(asked), 3 + 6 + 57)


def test_a_control_that_must_survive_and_dies_voids_before_the_subject_is_seen(gate: str) -> None:
    result, asked = climbed(gate, {**GOOD, "identity": -5.0, "gated": -50.0})
    assert (result.verdict, result.reason) == ("VOID", "trap_not_fired")
    assert not any(name.startswith("gated") for name in asked)


@pytest.mark.parametrize("lives", [0.0, -0.5, 50.0])
def test_a_control_that_must_die_and_lives_voids_whatever_the_number(gate: str, lives: float) -> None:
    result, _ = climbed(gate, {**GOOD, "random_gate": lives})
    assert result.verdict == "VOID"


def test_a_control_that_is_left_open_has_not_fired(gate: str) -> None:
    result, _ = climbed(gate, {**GOOD, "random_gate": (-40.0, 3.0, -40.0)})
    assert result.verdict == "VOID"
    assert result.traps[-1].observed == "UNDETERMINED"


def test_a_kill_comes_before_the_controls_that_must_die(gate: str) -> None:
    result, asked = climbed(gate, {**GOOD, "gated": -3.0})
    assert result.verdict == "KILLED"
    assert result.traps_not_run == ["random_gate (must die)"]
    assert not any(name.startswith(("random", "null")) for name in asked)


def test_the_first_cell_kills_where_no_other_could_undo_it(gate: str) -> None:
    text = gate.replace('kill = "max(accuracy_diff) < -0.5 pp"', 'kill = "any(accuracy_diff < -0.5 pp)"')
    result, asked = climbed(text, {**GOOD, "gated": (-3.0, 9.0, 9.0)})
    assert result.verdict == "KILLED"
    assert [name for name in asked if name.startswith("gated")] == ["gated seed=1"]
    hard = text.replace('cells = "all"', 'hardest = ["seed=3"]')
    result, asked = climbed(hard, {**GOOD, "gated": (9.0, 9.0, -3.0)})
    assert [name for name in asked if name.startswith("gated")] == ["gated seed=3"]


def test_a_cell_that_another_could_undo_kills_nothing(gate: str) -> None:
    result, asked = climbed(gate, {**GOOD, "gated": (-3.0, -3.0, 0.0)})
    assert result.verdict == "UNDETERMINED"
    assert result.reason == "neither_rule"
    assert sum(name.startswith("gated") for name in asked) == 3
    assert result.settles


@pytest.mark.parametrize("null", [0.2, 0.3])
def test_what_chance_reaches_is_undetermined_and_ties_count_against_it(gate: str, null: float) -> None:
    result, _ = climbed(gate, {**GOOD, "null": null})
    assert (result.verdict, result.reason) == ("UNDETERMINED", "null_not_exceeded")
    assert result.null is not None
    assert result.null.p == 1.0


def test_a_rung_of_some_cells_can_kill_and_not_confirm(gate: str) -> None:
    """Its controls are judged as its subject is: with the cells it leaves out open."""
    some = gate.replace('cells = "all"', 'cells = ["seed=2"]')
    assert climbed(some, GOOD)[0].verdict == "VOID"  # two cells could still undo the death of its control
    any_kills = some.replace('kill = "max(accuracy_diff) < -0.5 pp"', 'kill = "any(accuracy_diff < -0.5 pp)"')
    assert climbed(any_kills, GOOD)[0].verdict == "PASSED"
    assert climbed(any_kills, {**GOOD, "gated": -3.0})[0].verdict == "KILLED"
    assert climbed(any_kills, {**GOOD, "identity": -3.0})[0].verdict == "VOID"


def test_an_interim_look_ends_a_sequential_rule_and_not_a_fixed_one(gate: str) -> None:
    text = gate.replace("seeds = [1, 2, 3]", f"seeds = {[*range(1, 41)]}").replace("seed = 3 }", "seed = 40 }")
    text = text.replace("min over seed", "mean over seed").replace("min(accuracy_diff) >=", "mean(accuracy_diff) >=")
    fixed, _ = climbed(text, GOOD)
    assert fixed.cells == 40
    sequential = text.replace('rule = "fixed_n"', 'rule = "e_value"\nlevel = "0.05"')
    values = [60.0 + seed % 3 for seed in range(40)]
    early, asked = climbed(sequential, {**GOOD, "gated": values})
    assert early.verdict == "SURVIVED"
    assert early.look is not None
    assert early.look.crossed == "for"
    assert early.cells < 40
    assert sum(name.startswith("null[0]") for name in asked) == early.cells  # chance is given no more cells
    below = {**GOOD, "gated": [-60.0 - seed % 3 for seed in range(40)]}
    dead = sequential.replace('kill = "max(accuracy_diff) < -0.5 pp"', 'kill = "mean(accuracy_diff) < -0.5 pp"')
    killed, _ = climbed(dead, below)
    assert killed.verdict == "KILLED"
    assert killed.look is not None
    assert killed.look.crossed == "against"
    noise = {**GOOD, "gated": [-0.6 + 8 * (-1.0) ** seed for seed in range(40)]}  # its mean is below, by chance
    spared, _ = climbed(dead, noise)
    assert (spared.verdict, spared.reason) == ("UNDETERMINED", "boundary_not_crossed")
    undecided, _ = climbed(sequential, {**GOOD, "gated": [(-1.0) ** seed for seed in range(40)]})
    assert (undecided.verdict, undecided.reason) == ("UNDETERMINED", "boundary_not_crossed")


PRICE = RungPrice(
    id="cpu", kind="cpu", requires=[], cells=3, requests=66, seconds_each=1.0, seconds=66.0, usd_micro=660, cost=1.0,
    kill_probability=0.3, source="prior", ratio=3.3, priced_by="test",
)  # fmt: skip


def test_the_conclusion_names_what_was_survived_and_what_was_not_spent(gate: str) -> None:
    study = read_study(gate)
    free = RungResult(
        id="free", kind="arithmetic", verdict="PASSED", found="nothing refuted", requests=3, requests_of=3
    )
    price = [RungPrice(**{**{f: getattr(PRICE, f) for f in PRICE.__struct_fields__}, "id": "free"}), PRICE]

    def decided(*results: RungResult) -> str:
        made = conclude(
            study, results, price, order="", seal="0" * 64, anchor="unanchored", exploratory=False, notes=[]
        )
        return f"{made.verdict} {made.rung} {len(made.survived)} {len(made.unspent)}"

    killed, _ = climbed(gate, {**GOOD, "gated": -3.0})
    lived, _ = climbed(gate, GOOD)
    void, _ = climbed(gate, {**GOOD, "random_gate": 0.0})
    open_, _ = climbed(gate, {**GOOD, "null": 9.0})
    blocked = RungResult(id="cpu", kind="cpu", verdict="BLOCKED", found="requires free", confirms=True)
    assert decided(free, lived) == "SURVIVED cpu 2 0"
    assert decided(free, killed) == "KILLED cpu 1 1"
    assert decided(free, void) == "VOID cpu 1 1"
    assert decided(free, open_) == "UNDETERMINED cpu 1 0"
    assert decided(free, blocked) == "BLOCKED cpu 1 1"
    dead = RungResult(id="free", kind="arithmetic", verdict="KILLED", found="x", requests=2, requests_of=3)
    assert decided(dead) == "KILLED free 0 2"


@pytest.mark.parametrize(("subject", "verdict"), [(0, "PASSED"), (2, "KILLED")])
def test_an_attack_that_judges_by_itself_counts_what_it_refuted(gate: str, subject: int, verdict: str) -> None:
    study = read_study(gate)
    traps = (Trap(arm="fine", must="survive"), Trap(arm="wrong", must="die"))
    kind = RungKind("own", "1", "itself", CPU.open, CPU.request, traps, frozenset({"fine", "wrong"}))
    task = RungTask(register(study), 0, kind, Chance(NULL, read_stopping(study.stopping)))
    found = {"gated": subject, "fine": 0, "wrong": 1}
    result = attack(task, lambda arm, cell: Measured({VIOLATIONS: found[arm.name]}, f"{found[arm.name]} refuted"))
    assert result.verdict == verdict
    blind = attack(task, lambda arm, cell: Measured({VIOLATIONS: 0}))
    assert blind.verdict == "VOID"
