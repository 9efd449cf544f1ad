"""What every law must bear: a field that is missing, another unit of the same value, and values nobody expects."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tollens.lint.invariants
from tollens.core.errors import TollensError
from tollens.lint.ask import judge_one
from tollens.lint.claim import Claim, Quantity
from tollens.lint.example import example_claim
from tollens.lint.fields import Need
from tollens.lint.law import Example, Invariant
from tollens.lint.registry import INVARIANTS

assert tollens.lint.invariants
LAWS = [made for made in INVARIANTS.values() if made.family in ("acct", "stat", "queue", "dep")]
HOSTILE = (
    "0",
    "-1",
    "1",
    "0.5",
    "-0.0",
    "1e300",
    "-1e300",
    "1e-300",
    "inf",
    "~3",
    "<0",
    ">1e9",
    "99999999999999999999",
)
EQUAL = {"ms": ("1e-3", "s"), "s": ("1e3", "ms"), "GB": ("1e3", "MB"), "%": ("1e-2", "1"), "1": ("1e2", "%")}


@pytest.mark.parametrize("made", LAWS, ids=lambda made: made.id)
def test_a_missing_field_is_named(made: Invariant) -> None:
    for example in made.known:
        claim = example_claim(made, example)
        if judge_one(claim, made).outcome == "unchecked":
            continue
        for name in made.needs:
            left = {key: value for key, value in claim.fields.items() if key != name}
            found = judge_one(Claim("c", "", (made.id,), claim.place, left), made)
            assert (found.outcome, found.missing) == ("unchecked", (name,)), (made.id, name)


@pytest.mark.parametrize("made", LAWS, ids=lambda made: made.id)
def test_another_unit_of_the_same_values_changes_nothing(made: Invariant) -> None:
    """Shifts the decimal point and names the other unit, of one field after another; improvements in percent
    and in factors mean different things."""
    for example in made.known:
        before = judge_one(example_claim(made, example), made)
        for name, value in example.fields.items():
            need = made.fields.get(name)
            if need is None or need.kind != "number" or not isinstance(value, str) or name == "improvement":
                continue
            digits, _, unit = value.partition(" ")
            unit = unit or (need.units[0].text if need.units else "1")
            if unit not in EQUAL or not digits.replace(".", "").replace("-", "").isdigit() or unit == "count":
                continue
            power, other = EQUAL[unit]
            moved = f"{digits}e{power.removeprefix('1e')} {other}"
            after = judge_one(example_claim(made, Example({**example.fields, name: moved}, "")), made)
            assert (after.outcome, after.subtype) == (before.outcome, before.subtype), (made.id, name, moved)


def hostile(need: Need) -> st.SearchStrategy[Any]:
    if need.kind == "flag":
        return st.booleans()
    if need.kind == "word":
        return st.sampled_from(("mean", "p99", "", "x" * 300, "normal", "log", "p100", "p0", "min"))
    if need.kind == "words":
        return st.lists(st.sampled_from("abc"), max_size=3)
    if need.kind == "edges":
        return st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), max_size=4)
    units = tuple(unit.text for unit in need.units) or ("s", "ms", "USD", "%", "1", "count", "GB")
    number = st.tuples(st.sampled_from(HOSTILE), st.sampled_from((*units, "?"))).map(" ".join)
    return number if need.kind == "number" else st.lists(number, max_size=4)


@pytest.mark.parametrize("made", LAWS, ids=lambda made: made.id)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_hostile_values_raise_nothing_of_their_own(made: Invariant, data: st.DataObject) -> None:
    fields = {name: data.draw(hostile(need), label=name) for name, need in made.fields.items()}
    for name in made.optional:
        if name in fields and data.draw(st.booleans()):
            del fields[name]
    try:
        found = judge_one(example_claim(made, Example(fields, "")), made)
    except TollensError:
        return
    json.dumps([found.computed, found.bound, found.margin, found.margin_rounded], allow_nan=False)
    assert found.outcome in ("refuted", "undetermined", "supported", "unchecked")
    assert "nan" not in found.witness.lower().replace("name", "").replace("finance", "")


@pytest.mark.parametrize("made", LAWS, ids=lambda made: made.id)
def test_fields_that_say_nothing_refute_nothing(made: Invariant) -> None:
    """Every number somewhere between minus one and plus one billion: nothing can be refuted."""
    claim = example_claim(made, made.known[0])
    wide = {"low": "-1000000000", "high": "1000000000"}
    fields: dict[str, Any] = dict(made.known[0].fields)
    for name, entry in claim.fields.items():
        if isinstance(entry, Quantity) and made.fields[name].kind == "number":
            fields[name] = wide
    if any(isinstance(entry, Quantity) for entry in claim.fields.values()):
        changed = example_claim(made, Example(fields, ""))
        units = {n: e.unit for n, e in claim.fields.items() if isinstance(e, Quantity)}
        kept = {n: Quantity(e.number, units[n], e.place) if n in units and isinstance(e, Quantity) else e
                for n, e in changed.fields.items()}  # fmt: skip
        found = judge_one(Claim("c", "", (made.id,), claim.place, kept), made)
        assert found.outcome != "refuted" or made.id == "dep.reach", found.witness
