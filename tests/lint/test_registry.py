"""An invariant that could not go red is refused at registration; each reason is seen once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import tollens.lint.invariants
from tollens.lint.ask import judge_one
from tollens.lint.check import Check, Subtype, at_most
from tollens.lint.example import example_claim
from tollens.lint.fields import Fields
from tollens.lint.law import Example, Invariant
from tollens.lint.registry import INVARIANTS, invariant, wrong_answers

assert tollens.lint.invariants

FIRING = Example({"part": "5", "whole": "2"}, "refuted/impossible", {"margin": -3.0, "margin_rounded": -2.0})
SILENT = Example({"part": "1", "whole": "2"}, "undetermined/consistent")


@pytest.fixture(autouse=True)
def _registry() -> Iterator[None]:
    before = dict(INVARIANTS)
    yield
    INVARIANTS.clear()
    INVARIANTS.update(before)


def law(f: Fields) -> Check:
    """A part is at most the whole."""
    return at_most(f.part, f.whole, ("part", "whole"))


def declared(**changes: Any) -> dict[str, Any]:
    return {
        "id": "test.part", "formula": "part <= whole", "needs": {"part": "1", "whole": "1"},
        "violation": Subtype.IMPOSSIBLE, "reference": "Euclid, Elements, common notion 5", "known": (FIRING, SILENT),
    } | changes  # fmt: skip


def test_a_law_with_both_examples_is_registered() -> None:
    made = invariant(**declared())(law)
    assert INVARIANTS["test.part"] is made
    assert made.family == "test"
    assert made.derivation == "A part is at most the whole."


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"known": ()}, "fewer than two"),
        ({"known": (FIRING,)}, "fewer than two"),
        ({"known": (SILENT, SILENT)}, "cannot go red"),
        ({"known": (FIRING, Example({"part": "9", "whole": "2"}, "refuted/contradicted"))}, "never stays silent"),
        ({"known": (SILENT, Example({"whole": "2"}, "unchecked"))}, "no known answer is refuted"),
        ({"known": (Example({"part": "1", "whole": "2"}, "refuted/impossible"), SILENT)}, "known to be refuted"),
        ({"known": (Example(FIRING.fields, FIRING.outcome, {"margin": -7.0}), SILENT)}, "known to be -7.0"),
        ({"known": (Example(FIRING.fields, FIRING.outcome, witness="whole = 7"), SILENT)}, "should hold"),
        ({"reference": " "}, "a reference"),
        ({"formula": ""}, "a formula"),
        ({"id": "part"}, "family.name"),
        ({"one_of": (("a", "b"),)}, "does not declare"),
        ({"exact": ("alpha",)}, "does not declare"),
    ],
)
def test_each_fault_is_refused_at_registration(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        invariant(**declared(**changes))(law)
    assert "test.part" not in INVARIANTS


def test_a_second_law_of_one_id_and_one_without_derivation_are_refused() -> None:
    invariant(**declared())(law)
    with pytest.raises(ValueError, match="registered already"):
        invariant(**declared())(law)
    with pytest.raises(ValueError, match="derivation"):
        invariant(**declared(id="test.other"))(lambda f: at_most(f.part, f.whole, ("a", "b")))


def every_example() -> list[tuple[Invariant, Example]]:
    return [(made, example) for made in INVARIANTS.values() for example in made.known]


@pytest.mark.parametrize(
    ("made", "example"), every_example(), ids=[f"{m.id}-{m.known.index(e)}" for m, e in every_example()]
)
def test_every_known_answer_of_every_invariant_holds(made: Invariant, example: Example) -> None:
    assert wrong_answers(made, example) == []


@pytest.mark.parametrize("made", INVARIANTS.values(), ids=list(INVARIANTS))
def test_without_one_of_its_fields_an_invariant_says_which(made: Invariant) -> None:
    tried = 0
    for example in made.known:
        claim = example_claim(made, example)
        if judge_one(claim, made).outcome == "unchecked":
            continue
        for name in made.needs:
            left = {key: value for key, value in example.fields.items() if key != name}
            found = judge_one(example_claim(made, Example(left, "")), made)
            assert (found.outcome, found.missing) == ("unchecked", (name,))
            tried += 1
    assert tried >= len(made.needs)
