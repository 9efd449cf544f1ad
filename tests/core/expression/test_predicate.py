"""Predicates over attributes: their text, what is refused, and that nothing certain is ever said too much."""

from __future__ import annotations

import itertools
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollens.core.errors import TollensError
from tollens.core.expression.parser import Profile, parse
from tollens.core.expression.predicate import Attribute, atoms_in, attributes_of, holds, word_key
from tollens.core.expression.syntax import (
    And,
    Compare,
    Flag,
    Has,
    Linear,
    Literal,
    Member,
    Name,
    Not,
    Op,
    Or,
    Predicate,
    Term,
    show,
)

names = st.sampled_from(["a", "b", "c"])
words = st.lists(st.sampled_from(["x", "y", "z"]), min_size=1, max_size=2, unique=True).map(tuple)


def number(value: int) -> Linear:
    return Linear((Term(value < 0, Literal(Decimal(abs(value))), None),))


def named(name: str) -> Linear:
    return Linear((Term(False, None, Name(name)),))


atoms = st.one_of(
    st.builds(Flag, names),
    st.builds(Member, names, words),
    st.builds(Has, names),
    st.builds(Compare, names.map(named), st.sampled_from(list(Op)), st.integers(-1, 2).map(number)),
    st.builds(Compare, names.map(named), st.sampled_from([Op.EQ, Op.NE]), st.sampled_from("xyz").map(named)),
    st.builds(Compare, names.map(named), st.sampled_from([Op.LT, Op.GE]), names.map(named)),
)


def connected(inner: st.SearchStrategy[Predicate]) -> st.SearchStrategy[Predicate]:
    several = st.lists(inner, min_size=2, max_size=3).map(tuple)
    return st.one_of(st.builds(Not, inner), st.builds(And, several), st.builds(Or, several))


predicates = st.recursive(atoms, connected, max_leaves=6)
VALUES: list[Attribute] = [True, False, 0, 1, 2, "x", "y", [], ["x"], ["x", "z"]]
attributes = st.dictionaries(names, st.sampled_from(VALUES))


@given(predicates)
def test_the_canonical_text_reads_as_the_predicate(predicate: Predicate) -> None:
    assert parse(show(predicate), Profile.PREDICATE) == predicate


def by_hand(predicate: Predicate, world: dict[str, Attribute], declared: set[str]) -> bool | None:
    """Two-valued truth in a world where everything is declared, written without the code under test.

    None where an atom meets an attribute of the wrong kind: then nothing certain may be said by way of it.
    """
    if isinstance(predicate, Not):
        inner = by_hand(predicate.operand, world, declared)
        return None if inner is None else not inner
    if isinstance(predicate, And | Or):
        parts = [by_hand(part, world, declared) for part in predicate.operands]
        decisive = isinstance(predicate, Or)
        if decisive in parts:
            return decisive
        return None if None in parts else not decisive
    if isinstance(predicate, Has):
        return predicate.name in declared
    if isinstance(predicate, Flag):
        found = world[predicate.name]
        return found if type(found) is bool else None
    if isinstance(predicate, Member):
        found = world[predicate.name]
        if type(found) is list:
            return len(set(found) & set(predicate.words)) > 0
        return found in predicate.words if type(found) is str else None
    left = world[predicate.left.terms[0].atom.name]  # type: ignore[union-attr]
    right = predicate.right.terms[0]
    if right.atom is not None and predicate.op in (Op.EQ, Op.NE):
        if type(left) is not str:
            return None
        return (left == right.atom.name) == (predicate.op is Op.EQ)
    value = world[right.atom.name] if right.atom is not None else int(right.factor.value) * (-1) ** right.negative  # type: ignore[union-attr]
    if type(left) is not int or type(value) is not int:
        return None
    return bool(eval(f"{left} {predicate.op} {value}"))


@settings(max_examples=400)
@given(predicates, attributes)
def test_what_is_certain_holds_in_every_completion(predicate: Predicate, declared: dict[str, Attribute]) -> None:
    answer = holds(predicate, declared)
    missing = [name for name in attributes_of(predicate) if name not in declared]
    worlds = [
        by_hand(predicate, declared | dict(zip(missing, values, strict=True)), set(declared))
        for values in itertools.product(VALUES, repeat=len(missing))
    ]
    if answer.truth is not None:
        assert all(world is answer.truth for world in worlds)
    if not missing:
        assert answer.truth == worlds[0]
    assert set(answer.missing) <= set(missing)
    assert answer.truth is not None or answer.missing or answer.wrong


@given(predicates, attributes)
def test_declaring_more_takes_nothing_certain_back(predicate: Predicate, declared: dict[str, Attribute]) -> None:
    if any(isinstance(test, Has) for test in atoms_in(predicate)):  # it is about the declaration itself
        return
    fewer = dict(list(declared.items())[1:])
    before = holds(predicate, fewer).truth
    assert before is None or holds(predicate, declared).truth is before


@pytest.mark.parametrize(
    ("text", "value", "truth"),
    [
        ("touches in {kv}", ["weights", "kv"], True),
        ("touches in {kv, routing}", ["weights"], False),
        ("touches in {kv}", [], False),
        ("touches in {kv}", "kv", True),
        ("touches in {needle_retention}", ["Needle-Retention"], True),
        ("touches in {kv}", 3, None),
        ("touches in {kv}", True, None),
        ("touches > 3", ["kv"], None),
        ("not touches > 3", ["kv"], None),
        ("touches > 3", True, None),
        ("touches > 3", "7", None),
        ("2*touches - 1 >= 7", 4, True),
        ("touches == kv", "kv", True),
        ("touches == kv", ["kv"], None),
        ("touches != kv", ["kv"], None),
        ("touches", True, True),
        ("not touches", False, True),
        ("touches", "true", None),
        ("has(touches)", [], True),
    ],
)
def test_one_attribute(text: str, value: Attribute, truth: bool | None) -> None:
    assert holds(parse(text, Profile.PREDICATE), {"touches": value}).truth is truth


def test_the_witness_names_what_decides() -> None:
    predicate = parse("touches in {kv} and not metrics in {needle}", Profile.PREDICATE)
    assert holds(predicate, {"touches": ["weights"]}).witness == "touches is [weights]"
    answer = holds(predicate, {"touches": ["kv"], "metric": []})
    assert (answer.truth, answer.missing, answer.witness) == (None, ("metrics",), "metrics is not declared")
    wrong = holds(predicate, {"touches": 3, "metrics": []})
    assert (wrong.truth, wrong.wrong) == (None, ("touches",))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("any(touches > 3)", "for lists of readings"),
        ("mean(batch) > 3", "for lists of readings"),
        ("batch > mean(x)", "for lists of readings"),
        ("batch > 8 pp", "without a unit"),
        ("frozen == true", "A flag stands alone"),
        ("true", "A flag stands alone"),
        ("touches in {}", "a word"),
        ("touches in kv", "`{`"),
        ("touches in {kv", "`}`"),
        ("touches in {3}", "a word"),
        ("touches in {kv,}", "a word"),
        ("has()", "the name of an attribute"),
        ("has(a", "`)`"),
        ("frozen stable", "one of < <="),
        ("a + b == c", "Only one attribute"),
        ("3 == c", "Only one attribute"),
        ("-a == c", "Only one attribute"),
        ("a == c + 1", "a - b == 0"),
        ("a == c == d", "one relation"),
        ("in {kv}", "a number or the name of an attribute"),
        ("", "a comparison"),
        ("(" * 80 + "a" + ")" * 80, "at most 50 levels"),
    ],
)
def test_what_is_no_predicate(text: str, says: str) -> None:
    with pytest.raises(TollensError) as refused:
        parse(text, Profile.PREDICATE)
    assert says in str(refused.value)


@pytest.mark.parametrize("text", ["frozen", "touches in {kv}", "has(x)", "x > 1 and frozen", "not has(x)"])
def test_a_rule_has_none_of_these_atoms(text: str) -> None:
    with pytest.raises(TollensError) as refused:
        parse(text)
    assert refused.value.code.startswith("claim_")
    if "in" in text.split() or "has" in text:
        assert "trigger of a constraint" in refused.value.fix


def test_words_differ_by_letters_and_digits_only() -> None:
    assert word_key("KV-Cache") == word_key("kv_cache") == word_key("kv cache")
    assert word_key("kv") != word_key("k_v")
