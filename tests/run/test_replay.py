from __future__ import annotations

import time

import pytest

from tollens.lint.replay import REPLAYS, replay
from tollens.run import replay as module
from tollens.run.replay import replay_in_child

QUESTION = ("rosenbrock", {"beta": 0.9, "eta": 1e-3})


def test_a_child_gives_what_this_process_gives() -> None:
    assert replay_in_child(*QUESTION) == replay(*QUESTION)


def test_a_replay_over_its_time_is_ended_and_says_nothing() -> None:
    begin = time.perf_counter()
    assert module._replayed('["rosenbrock", {"beta": 0.9, "eta": 1e-9}]', 0.05, 512) is None
    assert time.perf_counter() - begin < 5


def test_a_replay_over_its_memory_says_nothing() -> None:
    assert module._replayed('["poly", {}]', 10.0, 16) is None


@pytest.mark.parametrize("question", ['["no such", {}]', '["rosenbrock", {"beta": "x"}]', "not json"])
def test_a_replay_that_fails_says_nothing(question: str) -> None:
    assert module._replayed(question, 10.0, 512) is None


def test_every_replay_is_known() -> None:
    assert {"poly", "ppr", "rosenbrock"} == set(REPLAYS)
