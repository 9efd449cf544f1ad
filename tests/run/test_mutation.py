"""Wrong formulas: made beside the original, noticed by known answers, and survived by none that have some."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import pytest

from tollens.instrument.registry import INSTRUMENTS
from tollens.run import mutation
from tollens.run.certificate import Mutant, Proof
from tollens.run.mutant import mutated, sites
from tollens.run.mutation import Budget, Outcome, Trial, outcomes_of, prove_red
from tollens.run.registries import registered
from tollens.stats.registry import STATISTICS, Known, Statistic

FACTOR = 3.0


def area(width: float, height: float = 2.0) -> float:
    """The docstring holds 2 and 3, which are no formula."""
    if width < 0.0:
        raise ValueError(f"{width + 1} is below 0")
    return scaled(width * height)


def scaled(value: float) -> float:
    return FACTOR * value


@lru_cache(maxsize=8)
def halved(value: float) -> float:
    return area(value) / 2


def unnumbered(value: float) -> float:
    return abs(value)


def changes(function: object) -> set[str]:
    return {site.change for site in sites(function)}  # type: ignore[arg-type]


def test_the_sites_are_the_formula_and_what_it_calls() -> None:
    assert changes(area) == {
        "width * height  ->  width / height", "return scaled(width * height)  ->  return -scaled(width * height)",
        "FACTOR * value  ->  FACTOR / value",
    }  # fmt: skip
    assert changes(unnumbered) == {"return abs(value)  ->  return -abs(value)"}


def test_a_site_says_where_it_is() -> None:
    line = next(n for n, text in enumerate(Path(__file__).read_text().splitlines(), 1) if "FACTOR * value" in text)
    assert f"run/test_mutation.py:{line}" in {site.where for site in sites(area)}


@pytest.mark.parametrize(
    ("change", "value"),
    [
        ("width * height", 3.0 * (5.0 / 2.0)), ("FACTOR * value", 3.0 / 10.0), ("return scaled", -30.0),
        (None, 30.0),
    ],
)  # fmt: skip
def test_a_mutant_is_wrong_and_the_original_goes_on(change: str | None, value: float) -> None:
    site = None if change is None else next(s for s in sites(area) if s.change.startswith(change))
    assert mutated(area, site)(5.0) == pytest.approx(value)
    assert area(5.0) == 30.0
    assert scaled(10.0) == 30.0
    if site is not None and site.function is scaled:  # reached through two others
        assert mutated(halved, site)(5.0) == pytest.approx(value / 2)
        assert halved(5.0) == 15.0


def test_what_has_no_source_has_no_sites() -> None:
    assert sites(math.sqrt) == []
    assert sites(len) == []
    assert sites(lambda x: x + 1) == []


def test_every_mutant_of_the_tail_compiles() -> None:
    for site in sites(INSTRUMENTS["tail"].function):
        assert callable(mutated(INSTRUMENTS["tail"].function, site))


def answers(*known: Known, function: object = area) -> Statistic:
    return Statistic("area", function, "none", ("none",), known)  # type: ignore[arg-type]


@pytest.fixture
def trial(monkeypatch: pytest.MonkeyPatch):
    """The outcomes of all mutants of one statistic, in this process."""

    def run(made: Statistic) -> list[Outcome]:
        monkeypatch.setitem(STATISTICS, "area", made)
        mutation._entry.cache_clear()
        found = []
        for index in range(99):
            outcome = list(outcomes_of(Trial("statistic", "area", index)))[-1]
            if outcome.end:
                break
            found.append(outcome)
        mutation._entry.cache_clear()
        return found

    return run


def test_a_known_answer_notices_and_the_registry_is_as_before(trial) -> None:
    made = answers(Known("5 by 2", lambda f: f(5.0), 30.0, "3*5*2"))
    found = trial(made)
    assert len(found) == 3
    assert all(outcome.how for outcome in found)
    assert any("30.0 became -30.0" in str(outcome.how) for outcome in found)
    assert made.function is area


def test_answers_that_cannot_go_red_are_survived(trial) -> None:
    lazy = answers(Known("of nothing", lambda f: 30.0, 30.0, "does not ask"))
    assert [outcome.how for outcome in trial(lazy)] == [None] * 3
    blind = answers(Known("too wide", lambda f: f(5.0), 30.0, "none", tolerance=1e9))
    assert [outcome.how for outcome in trial(blind)] == [None] * 3


def test_a_formula_that_only_breaks_is_told_apart(trial) -> None:
    found = trial(answers(Known("0 by 2", lambda f: math.log(f(5.0)), math.log(30.0), "none")))
    assert {outcome.broken for outcome in found} == {True, False}
    assert not Mutant(where="", change="", how="ValueError: x", broken=True).wrong


class Scripted:
    """A child that says what it was told to."""

    def __init__(self, *outcomes: Outcome) -> None:
        self.outcomes = list(outcomes)

    def ask(self, trial: Trial) -> Outcome:
        return self.outcomes.pop(0)


def proof(*outcomes: Outcome, budget: Budget | None = None) -> Proof:
    child = Scripted(*outcomes, Outcome(end=True))
    return mutation._proof("statistic", "area", child, budget or Budget(), math.inf)  # type: ignore[arg-type]


GREEN, RED, BROKEN = Outcome("f:1", "a"), Outcome("f:2", "b", "1 became 2"), Outcome("f:3", "c", "KeyError", True)


def test_what_is_proved_and_what_is_not() -> None:
    shown = proof(GREEN, GREEN, BROKEN, RED)
    assert shown.proved
    assert shown.shown == Mutant(where="f:2", change="b", how="1 became 2")
    assert [m.where for m in shown.survivors] == ["f:1"]
    assert not proof(GREEN, GREEN, BROKEN).proved
    assert "unchanged copy goes red" in str(proof(RED).why)  # the control
    assert "no Python source" in str(proof(Outcome(end=True)).why)
    assert "none of 2" in str(proof(GREEN, GREEN, GREEN).why)
    assert len(proof(GREEN, *[RED] * 9, budget=Budget(at_least=2)).mutants) == 2
    assert len(proof(GREEN, *[GREEN] * 9, budget=Budget(at_most=5)).mutants) == 5


def test_time_that_is_over_proves_nothing() -> None:
    found = mutation._proof("statistic", "area", Scripted(), Budget(), 0.0)  # type: ignore[arg-type]
    assert not found.proved
    assert "were over" in str(found.why)


LOOP = """
from tollens.stats.registry import Known, statistic

@statistic(guarantee="none", references=("none",), known=(Known("of 3", lambda f: f(3), 3, "1+1+1"),))
def plug_count(n):
    \"\"\"Counts to n; a wrong sign makes it count for ever.\"\"\"
    k = 0
    while k != n:
        k = k + 1
    return k

@statistic(guarantee="none", references=("none",), known=(Known("of 3", lambda f: f(3), 3, "the same"),))
def plug_dies(n):
    \"\"\"A wrong comparison ends the process.\"\"\"
    import os
    return n if n > 0 else os._exit(3)
"""


def test_a_mutant_that_loops_or_dies_is_ended_and_the_next_one_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "plug_loop.py").write_text(LOOP)
    (tmp_path / "plug_loop-1.0.dist-info").mkdir()
    info = tmp_path / "plug_loop-1.0.dist-info"
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plug_loop\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[tollens.plugins]\nplug_loop = plug_loop\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    entries = [("statistic", name, answers()) for name in ("plug_count", "plug_dies")]  # the child has its own
    count, dies = prove_red(entries, Budget(at_least=9, answer_seconds=2.0))  # type: ignore[arg-type]
    assert {m.how for m in count.mutants if m.broken} >= {"no answer within 2 s"}
    assert count.proved
    assert "the process ended" in {m.how for m in dies.mutants}
    assert None in {m.how for m in dies.mutants}  # others were tried in a new process, and survived
    assert not dies.proved
    assert sys.modules.get("plug_loop") is None


def test_a_mutant_that_fills_the_memory_is_refused_it() -> None:
    code = (
        "from tollens.run.mutation import MEMORY, _limit_memory\n_limit_memory()\n"
        "try:\n    bytearray(MEMORY + (1 << 20))\nexcept MemoryError:\n    print('refused')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "refused\n"


@pytest.mark.parametrize("name", ["norms", "queue.batch", "wilson"])
def test_one_of_each_kind_is_proved_red(name: str) -> None:
    [entry] = [entry for entry in registered() if entry[1] == name]
    [found] = prove_red([entry])
    assert found.proved, found.why
    assert found.shown is not None
    assert replace(entry[2]) == entry[2]


@pytest.mark.slow
def test_everything_is_proved_red() -> None:
    found = prove_red(list(registered()))
    tried, lived = sum(len(p.mutants) for p in found), sum(len(p.survivors) for p in found)
    print(f"{len(found)} entries, {tried} wrong formulas, {lived} survived")
    assert [(p.name, p.why) for p in found if not p.proved] == []
