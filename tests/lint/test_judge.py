from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest

import tollens.lint.invariants
from tollens.core.errors import TollensError
from tollens.lint.check import Check, Comparison, Direct, Subtype, at_least, at_most, equal, undetermined
from tollens.lint.claim import AUTO, Claim, Entry, Place, Quantity
from tollens.lint.fields import Fields
from tollens.lint.finding import Finding
from tollens.lint.judge import claim_outcome, judge, judge_claim
from tollens.lint.law import Example
from tollens.lint.number import parse_number, spanning
from tollens.lint.registry import INVARIANTS, invariant

assert tollens.lint.invariants
PLACE = Place("paper.md", 12)


@pytest.fixture(autouse=True)
def _registry() -> Iterator[None]:
    before = dict(INVARIANTS)
    INVARIANTS.clear()
    yield
    INVARIANTS.clear()
    INVARIANTS.update(before)


def number(text: str, unit: str | None = "s", **more: Any) -> Quantity:
    return Quantity(parse_number(text, "x"), unit, PLACE, **more)


def claim(kinds: tuple[str, ...] = ("test.part",), **fields: Entry) -> Claim:
    return Claim("c", "a part is at most the whole", kinds, PLACE, fields)


def at_most_whole(f: Fields) -> Check:
    """A part is at most the whole."""
    return at_most(f.part, f.whole, ("part", "whole"), unit="s", settle="measure the whole")


def register(function: Any = at_most_whole, **changes: Any) -> None:
    flags = dict.fromkeys(changes.get("states", ()), True)
    firing = Example({"part": "5", "whole": "2", **flags}, "refuted/impossible")
    silent = Example({"part": "1", "whole": "2", **flags}, "undetermined/consistent")
    declared = {
        "id": "test.part", "formula": "part <= whole", "needs": {"part": "s", "whole": "s"},
        "violation": Subtype.IMPOSSIBLE, "reference": "Euclid", "known": (firing, silent),
    } | changes  # fmt: skip
    invariant(**declared)(function)


def only(made: Claim) -> Finding:
    (found,) = judge_claim(made)
    return found


def test_a_violation_beyond_every_rounding_is_refuted_with_both_sides() -> None:
    register()
    found = only(claim(part=number("3.0"), whole=number("2.8")))
    assert (found.outcome, found.subtype) == ("refuted", "impossible")
    assert found.witness == "part = 3 [2.95, 3.05] > whole = 2.8 [2.75, 2.85] s"
    assert (found.computed, found.bound) == (3.0, 2.8)
    assert found.margin == pytest.approx(-0.2)
    assert found.margin_rounded == pytest.approx(-0.1)
    assert found.inputs == {"part": "3.0 s", "whole": "2.8 s"}
    assert (found.path, found.line, found.reference) == ("paper.md", 12, "Euclid")


def test_what_rounding_can_excuse_is_no_finding() -> None:
    """3 and 2.8 may be 2.5 and 2.85, or 2.85 and 2.85 for 2.9: an end that touches is enough."""
    register()
    for part, whole in (("3", "2.8"), ("2.9", "2.8"), ("~3", "2.9"), (">1", "2"), ("<9", "2")):
        found = only(claim(part=number(part), whole=number(whole)))
        assert (found.outcome, found.subtype) == ("undetermined", "consistent"), (part, whole)
        assert found.settle == "measure the whole"
    assert only(claim(part=number(">3"), whole=number("2"))).outcome == "refuted"


def test_exact_numbers_have_no_rounding() -> None:
    register()
    part, whole = number("2.9", exact=True), number("2.8", exact=True)
    assert only(claim(part=part, whole=whole)).outcome == "refuted"
    register(id="test.exact", exact=("part", "whole"))
    made = claim(("test.exact",), part=number("2.9"), whole=number("2.8"))
    assert only(made).outcome == "refuted"
    rounded = claim(("test.exact",), part=number("2.9", exact=False), whole=number("2.86"))
    assert only(rounded).outcome == "undetermined"  # what the claim says of its own digits stands first


def test_units_are_converted_exactly_and_never_beyond() -> None:
    register()
    assert only(claim(part=number("3000", "ms"), whole=number("2.8"))).outcome == "refuted"
    found = only(claim(part=number("3", "GB"), whole=number("2.8")))
    assert (found.outcome, found.witness) == ("unchecked", "cannot be checked: part has the unit GB, not s")
    found = only(claim(part=number("3", None), whole=number("2.8", None)))
    assert found.missing == ("part.unit", "whole.unit")
    assert found.witness == "cannot be checked: missing field part (its unit), whole (its unit)"


def test_every_missing_field_is_named() -> None:
    register()
    found = only(claim(part=number("1")))
    assert (found.outcome, found.missing) == ("unchecked", ("whole",))
    found = only(claim(part="x", whole=(number("1"),)))
    assert found.witness == "cannot be checked: part is not a number; whole is not a number"


def test_an_unstated_assumption_turns_refuted_into_model_based() -> None:
    register(states=("sequential",))
    fields = {"part": number("5"), "whole": number("2")}
    found = only(claim(**fields))
    assert (found.outcome, found.subtype) == ("undetermined", "model_based")
    assert found.settle == "measure the whole; state sequential = true"
    assert only(claim(sequential=True, **fields)).outcome == "refuted"
    assert only(claim(sequential=False, **fields)).witness == "does not apply: sequential = false"


@pytest.mark.parametrize("where", ["claim", "field"])
def test_an_estimate_does_not_break_a_law_of_exact_values(where: str) -> None:
    register(estimates=False)
    part = number("5", estimator="kNN" if where == "field" else None)
    more: dict[str, Entry] = {"estimator": "kNN"} if where == "claim" else {}
    found = only(claim(part=part, whole=number("2"), **more))
    assert (found.outcome, found.subtype) == ("undetermined", "model_based")
    assert found.settle == "measure the whole; bound holds for exact values; estimator kNN"


def test_a_model_named_by_the_comparison_weakens_it() -> None:
    def law(f: Fields) -> Check:
        """Under a model."""
        return at_least(f.whole, f.part, ("whole", "part"), model="measure the share" if f.flag("guess") else None)

    register(law, optional={"guess": "flag"})
    fields = {"part": number("5"), "whole": number("2")}
    assert only(claim(**fields)).outcome == "refuted"
    assert only(claim(guess=True, **fields)).settle == "measure the share"


def twice(f: Fields) -> Check:
    """The whole is twice the part."""
    return equal(f.whole, f.part * 2, ("whole", "2 * part"), unit="s")


def register_twice() -> None:
    known = (
        Example({"part": "1", "whole": "9"}, "refuted/contradicted"),
        Example({"part": "1.0", "whole": "2.0"}, "supported/recomputed"),
    )
    register(twice, violation=Subtype.CONTRADICTED, known=known)


def test_an_equality_supports_only_if_the_printed_digits_give_it() -> None:
    register_twice()
    found = only(claim(part=number("1.51"), whole=number("3.0")))
    assert (found.outcome, found.subtype, found.computed) == ("supported", "recomputed", pytest.approx(3.02))
    found = only(claim(part=number("1.4"), whole=number("2.9")))  # 2.8: only the rounding of 1.4 reaches 2.9
    assert (found.outcome, found.subtype) == ("undetermined", "consistent")
    found = only(claim(part=number("1.4"), whole=number("3.2")))
    assert (found.outcome, found.subtype) == ("refuted", "contradicted")
    assert found.witness == "whole = 3.2 [3.15, 3.25] is not 2 * part = 2.8 [2.7, 2.9] s"


def test_ranges_refute_only_as_a_whole() -> None:
    register_twice()
    low_high = Quantity(spanning(parse_number("1", "x"), parse_number("3", "x"), "x"), "s", PLACE)
    assert only(claim(part=low_high, whole=number("4"))).outcome == "supported"
    assert only(claim(part=low_high, whole=number("8"))).outcome == "refuted"


def test_of_several_comparisons_the_violated_one_is_the_witness() -> None:
    def ordered(f: Fields) -> list[Comparison]:
        """Part, middle and whole are in order."""
        return [at_most(f.part, f.middle, ("part", "middle")), at_most(f.middle, f.whole, ("middle", "whole"))]

    known = (
        Example({"part": "1", "middle": "9", "whole": "3"}, "refuted/impossible"),
        Example({"part": "1", "middle": "2", "whole": "3"}, "undetermined/consistent"),
    )
    register(ordered, needs={"part": "s", "middle": "s", "whole": "s"}, known=known)
    assert only(claim(part=number("1"), middle=number("9"), whole=number("3"))).witness.startswith("middle = 9")
    assert only(claim(part=number("9"), middle=number("2"), whole=number("3"))).witness.startswith("part = 9")


def test_a_claim_takes_the_worst_of_its_findings() -> None:
    register()
    register_second = Example({"part": "1", "whole": "2"}, "undetermined/underpowered")

    def weak(f: Fields) -> Direct:
        """A small sample shows nothing."""
        return undetermined(Subtype.UNDERPOWERED, "small", "n = 42") if f.part.low < 3 else undetermined(
            Subtype.CONSISTENT, "larger", None
        )  # fmt: skip

    known = (register_second, Example({"part": "9", "whole": "2"}, "undetermined/consistent"))
    register(weak, id="test.weak", violation=Subtype.UNDERPOWERED, known=known)
    made = claim(("test.part", "test.weak"), part=number("5"), whole=number("2"))
    found = judge_claim(made)
    assert [f.outcome for f in found] == ["refuted", "undetermined"]
    assert claim_outcome(found) == "refuted"


def test_auto_takes_every_invariant_whose_fields_are_there_and_is_never_silent() -> None:
    register()
    register(id="test.other", needs={"part": "s", "whole": "s"}, optional={"n": "count"})
    found = judge_claim(claim(("auto",), part=number("5"), whole=number("2")))
    assert [f.invariant for f in found] == ["test.part", "test.other"]
    lonely = only(claim(("auto",), part=number("5")))
    assert (lonely.outcome, lonely.invariant) == ("unchecked", None)
    assert lonely.witness == "no invariant for kind auto: test.other lacks whole; test.part lacks whole"


def test_unknown_names_and_kinds_are_errors_with_the_nearest() -> None:
    register()
    with pytest.raises(TollensError) as caught:
        judge_claim(claim(part=number("1"), whole=number("2"), wole=number("3")))
    assert (caught.value.code, "whole" in caught.value.fix) == ("lint_unknown_field", True)
    with pytest.raises(TollensError) as caught:
        judge_claim(claim(("test.prat",), part=number("1"), whole=number("2")))
    assert (caught.value.code, "test.part" in caught.value.fix) == ("lint_unknown_kind", True)
    with pytest.raises(TollensError):
        judge_claim(claim(("auto",), nothing_known=number("1")))


def test_findings_are_sorted_and_the_same_every_time() -> None:
    register()
    fields: dict[str, Entry] = {"part": number("5"), "whole": number("2")}
    claims = [
        Claim("b", "", ("test.part",), Place("b.md", 2), fields),
        Claim("a", "", ("test.part",), Place("b.md", 1), fields),
        Claim("z", "", ("test.part",), Place("a.md", 9), fields),
    ]
    first = judge(claims)
    assert [(f.path, f.line) for f in first] == [("a.md", 9), ("b.md", 1), ("b.md", 2)]
    assert judge(reversed(claims)) == first


def test_a_remark_holds_the_numbers_as_printed() -> None:
    def law(f: Fields) -> Check:
        """A part is at most the whole."""
        return at_most(f.part, f.whole, ("part", "whole"), remark=f"ratio {f.part.high / f.whole.high:g}")

    register(law)
    assert only(claim(part=number("8"), whole=number("2"))).witness.endswith("; ratio 4")


def test_a_replay_runs_once_for_each_set_of_parameters() -> None:
    asked: list[tuple[str, dict[str, Any]]] = []

    def count(name: str, parameters: Any) -> dict[str, float]:
        asked.append((name, dict(parameters)))
        return {"steps": 7.0}

    def law(f: Fields) -> Check:
        """A part is at most the whole."""
        found = [f.replay("walk", {"seed": seed, "length": 3}) for seed in (0, 1)]
        return at_most(f.part, f.whole, ("part", "whole"), remark=f"{found[0]}")

    register(law, replays=True)
    assert "7.0" in judge_claim(claim(part=number("5"), whole=number("2")), count)[0].witness
    assert asked == [("walk", {"seed": 0, "length": 3}), ("walk", {"seed": 1, "length": 3})]


def test_a_design_setting_that_is_said_to_be_approximate_is_not_exact() -> None:
    register(id="test.exact", exact=("whole",))
    assert only(claim(("test.exact",), part=number("2.9", exact=True), whole=number("2.8"))).outcome == "refuted"
    assert only(claim(("test.exact",), part=number("2.9", exact=True), whole=number("~2.8"))).outcome == "undetermined"


def twice_is_whole(f: Fields) -> Check:
    """Two parts make the whole."""
    twice = f.part * 2
    if f.part.low == f.part.high == 1.0:
        return undetermined(Subtype.CONSISTENT, "a part of exactly 1", None)
    return equal(f.whole, twice, ("whole", "2 part"), unit="s")


def test_nothing_is_supported_that_the_printed_digits_do_not_give() -> None:
    """1 rounds to [0.5, 1.5], which could give 2; a half-line could give anything above it."""
    known = (
        Example({"part": "5", "whole": "2"}, "refuted/contradicted"),
        Example({"part": "3", "whole": "6"}, "supported/recomputed"),
    )
    register(twice_is_whole, violation=Subtype.CONTRADICTED, known=known)
    assert only(claim(part=number("1"), whole=number("2"))).outcome == "undetermined"
    assert only(claim(part=number(">1"), whole=number("4"))).outcome == "undetermined"


def test_a_single_number_is_a_list_of_one() -> None:
    def largest(f: Fields) -> Check:
        """No part exceeds the whole."""
        return at_most(f.list("part")[0], f.whole, ("part", "whole"), unit="s")

    register(largest, needs={"part": "s[]", "whole": "s"}, known=(
        Example({"part": ["5"], "whole": "2"}, "refuted/impossible"),
        Example({"part": ["1"], "whole": "2"}, "undetermined/consistent"),
    ))  # fmt: skip
    assert only(claim(part=number("5"), whole=number("2"))).outcome == "refuted"


def test_a_violation_that_rests_on_no_model_stands_before_one_that_does() -> None:
    def both(f: Fields) -> Check:
        """Two bounds, the wider violation under an assumption."""
        return [
            at_most(f.part, f.whole, ("part", "whole"), unit="s"),
            at_most(f.part * 2, f.whole, ("2 part", "whole"), unit="s", model="state that parts come in pairs"),
        ]

    register(both)
    found = only(claim(part=number("5.0"), whole=number("2.0")))
    assert (found.subtype, found.margin) == ("impossible", -3.0)
    assert only(claim(part=number("1.5"), whole=number("2.0"))).subtype == "model_based"


def test_a_count_is_one_whole_number_or_none() -> None:
    register(same_count, needs={"part": "count", "whole": "count"}, violation=Subtype.CONTRADICTED, known=(
        Example({"part": "5", "whole": "2"}, "refuted/contradicted"),
        Example({"part": "2", "whole": "2"}, "supported/recomputed"),
    ))  # fmt: skip
    for text in ("2.5", "~2", "<3", "-1", "inf"):
        assert only(claim(part=number(text, "count"), whole=number("2", "count"))).outcome == "undetermined", text


def same_count(f: Fields) -> Check:
    """Both are the same count."""
    if f.count("part") is None or f.count("absent") is not None:
        return undetermined(Subtype.CONSISTENT, "no count", None)
    return equal(f.part, f.whole, ("part", "whole"))


def test_no_infinite_number_is_stored() -> None:
    def unbounded(f: Fields) -> Check:
        """Nothing but a value without end."""
        if f.part.low > 4.0:
            return at_most(f.part, f.whole, ("part", "whole"))
        return undetermined(Subtype.CONSISTENT, "no end", None, computed=math.inf, bound=-math.inf)

    register(unbounded)
    found = only(claim(part=number("1"), whole=number("2")))
    assert (found.computed, found.bound) == (None, None)


def test_the_fields_of_all_invariants_are_not_listed_for_one_that_is_misspelt() -> None:
    with pytest.raises(TollensError) as caught:
        judge_claim(Claim("a", "", AUTO, Place("a.md", 1), {"percnt": True}))
    assert caught.value.expected == "a field of any invariant"
    assert "percent" in str(caught.value)
