"""Every law, given what nobody would report: it answers or says what is wrong, and never breaks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

import tollens.lint.invariants
from tollens.core.errors import TollensError
from tollens.lint.ask import judge_one
from tollens.lint.example import example_claim
from tollens.lint.law import Example, Invariant
from tollens.lint.registry import INVARIANTS

assert tollens.lint.invariants
NUMBERS = (
    "0",
    "-1",
    "inf",
    "1e300",
    "-1e300",
    "1e-300",
    "<0",
    ">5",
    "<1e300",
    "~0",
    "1",
    "0.5",
    "9" * 20,
)
LISTS = ([], ["1"], ["0", "0", "0"], ["inf", "1e300"], ["-1", "2"], ["1"] * 7, ["1e300"] * 3)
WORDS = ("", "x" * 500, "\x00")
EDGES = ([], [("a", "a")], [("a", "b")] * 3)
FLAGS = (True, False)
OF_KIND: dict[str, tuple[Any, ...]] = {
    "number": NUMBERS, "list": LISTS, "word": WORDS, "edges": EDGES, "flag": FLAGS,
}  # fmt: skip


def variants(made: Invariant) -> Iterator[dict[str, Any]]:
    """Each known answer with one field after the other replaced, then with all its numbers alike."""
    for example in made.known:
        for name, need in made.fields.items():
            if name in example.fields:
                for value in OF_KIND.get(need.kind, ()):
                    yield {**example.fields, name: value}
        for text in NUMBERS:
            alike = [name for name, need in made.fields.items() if need.kind == "number" and name in example.fields]
            yield {**example.fields, **dict.fromkeys(alike, text)}


def no_replay(_name: str, _parameters: Mapping[str, Any]) -> None:
    return None


@pytest.mark.parametrize("made", INVARIANTS.values(), ids=list(INVARIANTS))
def test_hostile_fields_end_in_an_outcome_or_a_message(made: Invariant) -> None:
    answered = 0
    for fields in variants(made):
        try:
            found = judge_one(example_claim(made, Example(fields, "")), made, no_replay)
        except TollensError:
            continue
        assert found.outcome in ("refuted", "undetermined", "supported", "unchecked"), fields
        answered += 1
    assert answered > 20


@pytest.mark.parametrize("made", [m for m in INVARIANTS.values() if m.replays], ids=lambda made: made.id)
def test_a_replay_over_its_limit_leaves_the_claim_unchecked(made: Invariant) -> None:
    found = judge_one(example_claim(made, made.known[0]), made, no_replay)
    assert (found.outcome, found.witness) == ("unchecked", "replay limit")
