"""What the whole rule does in simulated worlds: how often it lets a false claim live and kills a true one.

Rates come with their exact 99.9 % interval (Clopper & Pearson 1934), and beside them what they must be where that can
be derived. The slow part prints the tables; the quick part runs the same code on a few seeds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

import numpy as np
import pytest
from tests.protocol import worlds
from tests.protocol.broken import HONEST, METHODS, UNSEEN, Method, honest, sealed, verdict_of
from tests.protocol.worlds import CHANCE, PLANTED, RUINED, SAME, Law, chance_below, chance_of_survival, decided, dice

from tollens.core.seeding import generator
from tollens.protocol.attack import RungTask, attack
from tollens.protocol.decision import Decision
from tollens.stats.binomial_interval import clopper_pearson, ends

LEVEL = 0.05
SEEDS = 200
ALPHA = 0.001
TRUE = Law(0.12, 0.08)
"""A true gain of 4 pp."""
CONTROLS = {"trivial_pass": "survive", "permuted_labels": "die"}


def interval(hits: int, runs: int) -> tuple[float, float]:
    """Exact two-sided interval of confidence 99.9 %."""
    return ends(clopper_pearson(hits, runs, alpha=ALPHA))


def lowest(hits: int, runs: int) -> float:
    """One-sided lower bound of confidence 99.9 %: a rate is above a level only where this is."""
    return ends(clopper_pearson(hits, runs, alpha=ALPHA, alternative="greater"))[0]


def row(what: str, counts: Mapping[str, int], told: str = "") -> None:
    runs = sum(counts.values())
    shares = " ".join(
        f"{counts.get(verdict, 0) / runs:8.3f}" for verdict in ("SURVIVED", "KILLED", "UNDETERMINED", "VOID")
    )
    print(f"{what:<45}{runs:5} {shares}  {told}")


def head(title: str, last: str = "derived") -> None:
    print(f"\n\n{title}\n{'':<45}{'runs':>5} {'SURVIVED':>8}{'KILLED':>9}{'UNDET.':>9}{'VOID':>9}  {last}")


def thrown(
    task: RungTask, subject: Law, null: Law, runs: int, planted: Law = SAME, ruined: Law = RUINED
) -> list[Decision]:
    """The decisions on a subject of this law."""
    laws = {"method": subject, "trivial_pass": planted, "permuted_labels": ruined}
    return [decided(task, dice(run, laws, null, task.cells)) for run in range(runs)]


def verdicts(found: list[Decision]) -> Counter[str]:
    return Counter(decision.verdict for decision in found)


# A claim that any chance gain satisfies, so that only the null stands between a method without effect and survival.


def null_world(cells: int, runs: int) -> Counter[str]:
    task = worlds.study(
        cells, finding="mean(gain) >= 0 pp", kill="mean(gain) < -10 pp", value="0", traps=CONTROLS, support=(-40, 40)
    )
    counts = verdicts(thrown(task, CHANCE, CHANCE, runs))
    expected = chance_of_survival(CHANCE, CHANCE, cells, 0.0)
    row(f"{cells:3} cells", counts, f"{expected:.4f}")
    low, high = interval(counts["SURVIVED"], runs)
    assert low <= expected <= high
    assert expected <= LEVEL
    assert lowest(counts["SURVIVED"], runs) <= LEVEL
    return counts


# A claim that is true, at the very edge of what it says.


def edge(cells: int, runs: int, kind: str) -> Counter[str]:
    """The false kills of a claim whose true gain is 0 in every cell, under one way to write the rule of the kill."""
    below = {"mean": -2.0, "any": -6.0, "any, set for the cells": strict(cells)}[kind]
    if kind == "mean":
        task = worlds.study(
            cells, finding="mean(gain) >= 0 pp", kill=f"mean(gain) < {below} pp", value="0", traps=CONTROLS,
            support=(-40, 40),
        )  # fmt: skip
        expected = chance_below(CHANCE, cells, below)
    else:
        task = worlds.study(
            cells, finding="all(gain >= -4 pp)", kill=f"any(gain < {below} pp)", value="-4", traps=CONTROLS,
            support=(-40, 40), aggregate="all",
        )  # fmt: skip
        expected = 1.0 - (1.0 - chance_below(CHANCE, 1, below)) ** cells
    counts = verdicts(thrown(task, CHANCE, CHANCE, runs))
    name, _, how = kind.partition(", ")
    row(f"{cells:3} cells, {name} < {below:g} pp{f' ({how})' if how else ''}", counts, f"{expected:.4f}")
    low, high = interval(counts["KILLED"], runs)
    assert low <= expected <= high
    return counts


def strict(cells: int) -> float:
    """The highest quarter of a point below which some of so many cells reads with probability at most 0.01."""
    quarters = [q / 4 for q in range(-100, 0) if 1 - (1 - chance_below(CHANCE, 1, q / 4)) ** cells <= 0.01]
    return max(quarters)


def power(cells: int, runs: int) -> Counter[str]:
    task = worlds.study(
        cells, finding="mean(gain) >= 2 pp", kill="mean(gain) < 0 pp", value="2", traps=CONTROLS, support=(-40, 40)
    )
    counts = verdicts(thrown(task, TRUE, CHANCE, runs, planted=PLANTED))
    survives, dies = chance_of_survival(TRUE, CHANCE, cells, 2.0), chance_below(TRUE, cells, 0.0)
    row(f"{cells:3} cells", counts, f"{survives:.3f} {dies:.3f}")
    for verdict, expected in (("SURVIVED", survives), ("KILLED", dies)):
        low, high = interval(counts[verdict], runs)
        assert low <= expected <= high
    return counts


# The same claim under each stopping rule: 40 cells, at least 2 pp claimed.

CELLS, VALUE = 40, 2.0
NOTHING, AT_VALUE, CLEAR = CHANCE, Law(0.11, 0.09), Law(0.14, 0.06)
MARGIN = VALUE + 1.645 * AT_VALUE.sd / CELLS**0.5
RULES = {
    "fixed_n": ('rule = "fixed_n"', VALUE),
    "fixed_n, 1.645 se higher": ('rule = "fixed_n"', round(MARGIN, 2)),
    "group_sequential": (
        'rule = "group_sequential"\nlevel = "0.05"\nlooks = [10, 20, 30, 40]\nspending = "obrien-fleming"', VALUE
    ),
    "e_value": ('rule = "e_value"\nlevel = "0.05"', VALUE),
    "expected_loss": (
        'rule = "expected_loss"\nprior = { mean = "0", sd = "4" }\nsd = "2.24"\nloss = "0.05"', VALUE
    ),
}  # fmt: skip
HALF_RUINED, HALF_PLANTED = Law(0.05, 0.15), Law(0.12, 0.0)


def stopped(rule: str, subject: Law, runs: int) -> tuple[Counter[str], float]:
    """Verdicts, and how many cells were read on average."""
    stopping, threshold = RULES[rule]
    task = worlds.study(
        CELLS, finding=f"mean(gain) >= {threshold} pp", kill="mean(gain) < 1 pp", value=f"{VALUE:g}", traps=CONTROLS,
        support=(-25, 25), stopping=stopping,
    )  # fmt: skip
    found = thrown(task, subject, CHANCE, runs, planted=HALF_PLANTED, ruined=HALF_RUINED)
    return verdicts(found), float(np.mean([decision.rungs[0].cells for decision in found]))


def stopping_rule(rule: str, runs: int) -> None:
    shares = {}
    for what, law in (("no effect", NOTHING), ("true gain 2 pp", AT_VALUE), ("true gain 8 pp", CLEAR)):
        counts, cells = stopped(rule, law, runs)
        row(f"{rule}: {what}", counts, f"{cells:.1f}")
        shares[law] = counts["SURVIVED"]
    assert lowest(shares[NOTHING], runs) <= LEVEL
    assert lowest(shares[CLEAR], runs) > 0.5
    low, high = interval(shares[AT_VALUE], runs)
    if rule.startswith("fixed_n"):  # one look: nothing but the finding stands at its own threshold
        assert low <= 1.0 - chance_below(AT_VALUE, CELLS, RULES[rule][1]) <= high
    elif rule != "expected_loss":  # it promises a small loss, and at the value itself an error loses nothing
        assert low <= LEVEL


# Broken methods.


def caught(method: Method, runs: int) -> tuple[Counter[str], Counter[str]]:
    """What the sign-check says, and the verdicts where nothing had refused the seal."""
    seeds = range(runs) if method.metric is not honest else [0] * runs  # the same metric every time
    outcomes = Counter(str(sealed(method.metric, seed).outcome) for seed in seeds)
    return outcomes, Counter(verdict_of(method, run) for run in range(runs))


def reported(method: Method, runs: int) -> int:
    """Print one line; how many runs survived both the seal and the attack."""
    outcomes, counts = caught(method, runs)
    refused = runs - outcomes["SIGN OK"]
    print(
        f"{method.name:<36}{runs:5}{refused:8}"
        + "".join(f"{counts[verdict]:8}" for verdict in ("KILLED", "VOID", "UNDETERMINED"))
        + f"{counts['SURVIVED']:9}"
        + f"  {method.caught}"
        + (f"\n    {method.fault}" if method not in HONEST else "")
    )
    said = outcomes if method.caught.startswith("SIGN") else counts
    assert lowest(said[method.caught], runs) >= (0.9 if runs == SEEDS else 0.8)
    # What the seal refused never runs; a run that it let pass counts as survived at the rate of those behind it.
    return 0 if refused == runs else counts["SURVIVED"]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_a_broken_method_is_caught_by_what_should_catch_it(method: Method) -> None:
    outcomes, counts = caught(method, 2)
    said = outcomes if method.caught.startswith("SIGN") else counts
    assert said == {method.caught: 2}
    assert counts["SURVIVED"] == 0  # even a metric whose seal was refused would not have got through


@pytest.mark.parametrize("method", [*HONEST, *UNSEEN], ids=lambda method: method.name)
def test_honest_methods_are_told_apart_and_hidden_faults_are_not_seen(method: Method) -> None:
    assert str(sealed(method.metric, 0).outcome) == "SIGN OK"
    assert verdict_of(method, 0) == method.caught


@pytest.mark.parametrize("measured", [null_world, power], ids=["null", "power"])
def test_the_rates_on_a_few_seeds(measured: Callable[[int, int], Counter[str]]) -> None:
    measured(1, 40)


@pytest.mark.parametrize("kind", ["mean", "any", "any, set for the cells"])
def test_false_kills_on_a_few_seeds(kind: str) -> None:
    edge(5, 8, kind)


@pytest.mark.parametrize("rule", RULES)
def test_a_clear_effect_survives_each_stopping_rule(rule: str) -> None:
    counts, cells = stopped(rule, CLEAR, 2)
    assert counts["SURVIVED"] == 2
    assert (cells == CELLS) == (rule.startswith("fixed_n"))


def test_the_exact_law_of_a_mean_gain() -> None:
    """Two items are won with .5 and lost with .25 each: P(-2, ..., 2 of 2) = 1/16, 1/8, 5/16, 1/4, 1/4."""
    held = worlds.ITEMS
    law = Law(0.5, 0.25)
    values, chances = worlds.exact_law(law, 1)
    assert values[0] == -100
    assert values[-1] == 100
    assert chances.sum() == pytest.approx(1.0, abs=1e-12)
    assert values @ chances == pytest.approx(law.gain, abs=1e-9)
    assert np.sqrt(chances @ (values - law.gain) ** 2) == pytest.approx(law.sd, abs=1e-9)
    assert held * 2 + 1 == values.size


def test_rules_are_evaluated_rarely_and_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    laws = {"method": CHANCE, "trivial_pass": SAME, "permuted_labels": RUINED}
    tasks = [
        worlds.study(12, finding="mean(gain) >= 0 pp", kill=kill, value="0", traps=CONTROLS, support=(-40, 40))
        for kill in ("mean(gain) < -0.5 pp", "mean(gain) < 0 pp and any(gain < -5 pp)", "max(gain) < 0 pp")
    ]
    asks = [dice(run, laws, CHANCE, tasks[0].cells) for run in range(2)]
    rarely = [attack(task, ask) for task in tasks for ask in asks]
    monkeypatch.setattr("tollens.protocol.attack.awaited", lambda *_: 1)
    assert [attack(task, ask) for task in tasks for ask in asks] == rarely


@pytest.mark.slow
def test_false_survival_false_kill_and_power() -> None:
    head(f"No effect; the claim is that it gains anything, 19 draws of the null, level {LEVEL}. Derived: survival")
    for cells, runs in ((1, 5 * SEEDS), (10, SEEDS), (100, SEEDS // 4)):
        null_world(cells, runs)
    head("A true claim whose true gain is what it says and no more, by the rule of the kill. Derived: kills")
    for kind in ("mean", "any", "any, set for the cells"):
        for cells, runs in ((1, SEEDS), (10, SEEDS), (100, SEEDS // 4)):
            edge(cells, runs, kind)
    head("A true gain of 4 pp where 2 pp are claimed. Derived: survival and kills")
    for cells, runs in ((1, SEEDS), (10, SEEDS), (100, SEEDS // 4)):
        power(cells, runs)


@pytest.mark.slow
def test_stopping_rules() -> None:
    head(f"{CELLS} cells, at least {VALUE:g} pp claimed; level 0.05 where the rule has one", "cells read")
    for rule in RULES:
        stopping_rule(rule, SEEDS * 3 // 10)


@pytest.mark.slow
def test_the_loss_of_a_false_survival_is_on_average_what_expected_loss_says() -> None:
    """Truths from the sealed prior: what is lost by believing in a gain of 2 pp that is not there, on average."""
    stopping, _ = RULES["expected_loss"]
    task = worlds.study(
        CELLS, finding="mean(gain) >= 2 pp", kill="mean(gain) < 1 pp", value="2", traps=CONTROLS, support=(-40, 40),
        stopping=stopping,
    )  # fmt: skip
    lost = []
    for run, truth in enumerate(generator(0, "truths").normal(0.0, 4.0, SEEDS)):
        law = Law(0.1 + truth / 200.0, 0.1 - truth / 200.0)
        laws = {"method": law, "trivial_pass": PLANTED, "permuted_labels": RUINED}
        verdict = decided(task, dice(run, laws, CHANCE, task.cells)).verdict
        lost.append(max(0.0, VALUE - truth) if verdict == "SURVIVED" else 0.0)
    mean, error = float(np.mean(lost)), float(np.std(lost)) / len(lost) ** 0.5
    print(f"\n\nexpected_loss over its prior: {mean:.4f} pp lost by false survivals on average, 0.05 sealed")
    assert mean <= 0.05 + 3.0 * error


@pytest.mark.slow
def test_broken_methods() -> None:
    print("\n\nBroken methods; the claim is false. REFUSED: by the sign-check. The verdicts are those behind")
    print("the seal, had nothing been refused. At the end: what should catch it; below: what is wrong with it.")
    print(f"{'':<36}{'runs':>5}{'REFUSED':>8}{'KILLED':>8}{'VOID':>8}{'UNDET.':>8}{'SURVIVED':>9}")
    for method in METHODS:
        assert lowest(reported(method, SEEDS), SEEDS) <= LEVEL
    print("Honest ones, for comparison")
    for method in HONEST:
        reported(method, SEEDS // 4)
    print("Beyond the protocol: a fault that the study's own code hides from its controls and its null")
    for method in UNSEEN:
        reported(method, SEEDS // 4)
