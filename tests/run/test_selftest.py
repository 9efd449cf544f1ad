"""The selftest: everything installed is asked, and one wrong answer of any kind makes it fail with its numbers."""

from __future__ import annotations

import dataclasses
import importlib
import math
import pkgutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

import tollens
from tollens.core.errors import TollensError
from tollens.instrument.registry import INSTRUMENTS
from tollens.lint.law import Example
from tollens.lint.registry import INVARIANTS
from tollens.run import registries
from tollens.run.answers import agrees, answered, instrument_questions, plain, questions
from tollens.run.cache import VARIABLE, find
from tollens.run.certificate import Certificate
from tollens.run.layer import blas_threads
from tollens.run.machine import this_machine
from tollens.run.plugins import OURS
from tollens.run.registries import registered
from tollens.run.selftest import chosen, selftest
from tollens.stats.registry import STATISTICS, Known


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))


@pytest.fixture(autouse=True)
def _registries() -> Iterator[None]:
    list(registered())
    kept = [(r, dict(r)) for r in (INSTRUMENTS, INVARIANTS, STATISTICS)]
    yield
    for registry, entries in kept:
        registry.clear()
        registry.update(entries)  # type: ignore[arg-type]


def failing(certificate: Certificate) -> list[str]:
    return [f"{a.kind} {a.name}: {a.title}: expected {a.expected}, got {a.got}" for a in certificate.failed]


def test_everything_installed_holds_in_under_a_minute_and_is_kept() -> None:
    begin = time.perf_counter()
    found = selftest()
    assert time.perf_counter() - begin < 60.0
    assert failing(found) == []
    assert found.passed
    assert found.unanswered == []
    assert found.kept is not None
    assert find(this_machine()) == msgspec.structs.replace(found, kept=None)
    asked = {(a.kind, a.name) for a in found.answers}
    assert asked == {(kind, name) for kind, name, _ in registered()}
    assert {kind for kind, _ in asked} == {"instrument", "invariant", "statistic"}


def test_no_module_that_registers_something_is_forgotten() -> None:
    for package in OURS:
        for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
            source = Path(str(importlib.import_module(f"{package}.{module.name}").__file__)).read_text()
            named = {made.function.__module__ for _, _, made in registered()}
            if any(line.startswith(("@instrument(", "@invariant(", "@statistic(")) for line in source.splitlines()):
                assert f"{package}.{module.name}" in named


def test_every_instrument_has_a_quick_answer_and_all_take_less_than_a_second() -> None:
    quick = [q for made in INSTRUMENTS.values() for q in instrument_questions(made) if q.quick]
    assert {q.name for q in quick} == INSTRUMENTS.keys()

    def once() -> float:
        begin = time.process_time()
        with blas_threads(1):
            assert all(answered(question).passed for question in quick)
        return time.process_time() - begin

    assert min(once() for _ in range(3)) < 1.0


def test_a_wrong_answer_of_an_instrument_is_found_with_its_numbers() -> None:
    made = INSTRUMENTS["norms"]
    answer = next(a for a in made.known_answers if a.quantity == "stable_rank")
    wrong = dataclasses.replace(answer, value=2.25)
    INSTRUMENTS["norms"] = dataclasses.replace(made, known_answers=(*made.known_answers, wrong))
    found = selftest("norms")
    assert not found.passed
    [failed] = found.failed
    assert (failed.kind, failed.name, failed.expected, failed.got, failed.tolerance) == (
        "instrument", "norms", 2.25, 2.0, 1e-12,
    )  # fmt: skip
    assert found.kept is None  # a part is no certificate


def test_a_wrong_answer_of_a_statistic_is_found_with_its_numbers() -> None:
    made = STATISTICS["wilson"]
    wrong = Known("none of ten", lambda f: f(0, 10).low, 0.5, "made up", 1e-3)
    STATISTICS["wilson"] = dataclasses.replace(made, known=(*made.known, wrong))
    [failed] = selftest("wilson").failed
    assert (failed.expected, failed.tolerance) == (0.5, 1e-3)
    assert failed.got == 0.0 or failed.raised


def test_a_wrong_answer_of_an_invariant_is_found_with_its_numbers() -> None:
    made = INVARIANTS["queue.batch"]
    wrong = Example({"rate": "80", "window": "0.05", "batch": "16"}, "supported/recomputed", {"computed": 16.0})
    INVARIANTS["queue.batch"] = dataclasses.replace(made, known=(*made.known, wrong))
    [failed] = selftest("queue.batch").failed
    assert failed.expected == {"outcome": "supported/recomputed", "computed": 16.0}
    assert failed.got == {"outcome": "refuted/contradicted", "computed": 4.0}


def test_one_wrong_answer_fails_the_whole_certificate_which_is_kept() -> None:
    made = STATISTICS["wilson"]
    STATISTICS["wilson"] = dataclasses.replace(made, known=(Known("made up", lambda f: 1.0, 2.0, "none"),))
    found = selftest()
    assert not found.passed
    assert failing(found) == ["statistic wilson: made up: expected 2.0, got 1.0"]
    again = find(this_machine())
    assert isinstance(again, Certificate)
    assert not again.passed


def test_an_answer_that_raises_fails_and_says_what_it_raised() -> None:
    def broken(function: Any) -> float:
        raise ZeroDivisionError("by zero")

    STATISTICS["wilson"] = dataclasses.replace(STATISTICS["wilson"], known=(Known("x", broken, 1.0, "none"),))
    [failed] = selftest("wilson").failed
    assert failed.raised
    assert failed.got == "ZeroDivisionError: by zero"


def test_each_field_of_an_invariant_is_deleted_in_turn() -> None:
    found = [a for a in selftest("queue.batch").answers if a.title.startswith("without ")]
    assert [a.title for a in found] == ["without rate", "without window", "without batch"]
    assert [a.got for a in found] == [f"unchecked, missing {name}" for name in ("rate", "window", "batch")]


def test_a_law_that_does_not_name_the_field_that_it_lacks_is_found() -> None:
    made = INVARIANTS["queue.batch"]
    needs = {name: need for name, need in made.needs.items() if name != "window"}
    careless = dataclasses.replace(made, needs=needs, optional={"window": made.needs["window"]}, one_of=(("window",),))
    assert all(answered(q).passed for q in questions("invariant", careless))
    careless = dataclasses.replace(careless, one_of=())
    lost = dataclasses.replace(careless.known[0], fields={"rate": "80", "batch": "16"}, outcome="unchecked", numbers={})
    careless = dataclasses.replace(careless, known=(*careless.known, lost))
    assert [a.raised for a in map(answered, questions("invariant", careless)) if not a.passed] == [True]


def test_a_field_that_no_known_answer_has_is_found() -> None:
    made = INVARIANTS["queue.batch"]
    bare = dataclasses.replace(made, known=tuple(e for e in made.known if "batch" not in e.fields))
    assert [a.passed for a in map(answered, questions("invariant", bare))] == [False] * 3


@pytest.mark.parametrize(
    ("only", "kinds"),
    [
        ("lint", {"invariant"}), ("invariant", {"invariant"}), ("instrument", {"instrument"}),
        ("statistic", {"statistic"}), ("stats", {"statistic"}), ("tail", {"instrument"}),
    ],
)  # fmt: skip
def test_a_part_can_be_asked(only: str, kinds: set[str]) -> None:
    assert {kind for kind, _, _ in chosen(only)} == kinds


def test_an_unknown_part_names_the_nearest() -> None:
    with pytest.raises(TollensError, match="wilson") as caught:
        selftest("wilsn")
    assert caught.value.code == "selftest_unknown"


def test_progress_tells_of_every_entry() -> None:
    told: list[tuple[int, int, str]] = []
    selftest("lint", progress=lambda *step: told.append(step))
    assert [name for _, _, name in told] == sorted(INVARIANTS)
    assert [done for done, _, _ in told] == list(range(1, len(INVARIANTS) + 1))


def test_the_public_name_is_this_function() -> None:
    assert tollens.selftest is selftest


def test_an_unwritable_cache_does_not_end_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "file"))
    few = [entry for entry in registered() if entry[1] == "queue.batch"]
    monkeypatch.setattr("tollens.run.selftest.registered", lambda: few)
    found = selftest()
    assert found.passed
    assert found.kept is None
    assert "file" in str(found.unkept)


@pytest.mark.parametrize(
    ("got", "expected", "agree"),
    [
        (1.0, 1.05, True), (1.0, 1.2, False), (math.nan, 1.0, False), (math.nan, math.nan, False),
        (math.inf, math.inf, True), (-math.inf, math.inf, False), (np.float64(1.0), 1, True), (True, 1, False),
        (1, True, False), (True, True, True), ("a", "a", True), ("a", "b", False), (np.array([1.0, 2.0]), (1, 2), True),
        ([1.0], [1.0, 2.0], False), (None, 1.0, False), ("1", 1.0, False), ([1.0, "x"], [1.0, "x"], True),
    ],
)  # fmt: skip
def test_what_agrees(got: Any, expected: Any, agree: bool) -> None:
    assert agrees(got, expected, 0.1) is agree


def test_what_json_cannot_hold_is_written_as_text() -> None:
    value = {"a": math.nan, "b": np.arange(20), "c": {1}, 3: (None, True)}
    found = plain(value)
    assert found["a"] == "nan"
    assert found["b"][-1] == "and 8 more"
    assert found["c"] == "{1}"
    assert found["3"] == [None, True]
    assert b"null" in msgspec.json.encode(found)


def test_the_registries_are_those_that_register() -> None:
    assert [*registries.REGISTRIES.values()] == [INSTRUMENTS, INVARIANTS, STATISTICS]
