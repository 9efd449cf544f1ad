from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollens.core.codes import CODES
from tollens.core.errors import TollensError
from tollens.core.expression.lexer import KEYWORDS, RESERVED
from tollens.core.expression.parser import MAX_DEPTH, parse
from tollens.core.expression.syntax import (
    Aggregate,
    And,
    Compare,
    Fold,
    Linear,
    Literal,
    Name,
    Not,
    Op,
    Or,
    Quantified,
    Quantifier,
    Rule,
    Term,
    show,
)
from tollens.core.units import BASE_UNITS, ONE, Unit, parse_unit

texts = st.sampled_from(["x", "stable_rank", "_", "M", "e1", "a" * 100, "allx", "android", "notx"])
units = st.sampled_from([None, ONE, *map(parse_unit, ("pp", "%", "weight^2", "B/token", "1/s", "s*B/nat^3"))])
decimals = st.builds("{}e{}".format, st.integers(0, 10**30), st.integers(-40, 40)).map(Decimal)
literals = st.builds(Literal, decimals, units)
levels = st.integers(1, 100).map(lambda percent: Decimal(percent).scaleb(-2))
aggregates = st.one_of(
    st.builds(Aggregate, st.sampled_from([Fold.MEAN, Fold.MIN, Fold.MAX]), texts),
    st.builds(Aggregate, st.just(Fold.QUANTILE), texts, levels),
)
terms = st.one_of(
    st.builds(Term, st.booleans(), literals, st.none()),
    st.builds(Term, st.booleans(), st.one_of(st.none(), literals), st.builds(Name, texts)),
    st.builds(Term, st.booleans(), st.none(), aggregates),
)
sums = st.lists(terms, min_size=1, max_size=3).map(lambda t: Linear(tuple(t)))
ops = st.sampled_from(list(Op))
atoms = st.one_of(
    st.builds(Compare, sums, ops, sums),
    st.builds(Quantified, st.sampled_from(list(Quantifier)), texts, ops, sums),
)


def _connected(rules: st.SearchStrategy[Rule]) -> st.SearchStrategy[Rule]:
    several = st.lists(rules, min_size=2, max_size=3).map(tuple)
    return st.one_of(st.builds(Not, rules), st.builds(And, several), st.builds(Or, several))


rules = st.recursive(atoms, _connected, max_leaves=5)


@given(rules)
@settings(max_examples=60, deadline=None)
def test_what_is_printed_reads_back_as_itself(rule: Rule) -> None:
    assert parse(show(rule)) == rule


def _error(text: str) -> TollensError:
    with pytest.raises(TollensError) as caught:
        parse(text)
    assert caught.value.code in CODES
    return caught.value


pieces = st.sampled_from(
    [
        *sorted(KEYWORDS | RESERVED),
        *BASE_UNITS,
        *"<>=!+-*/^()., \n\t",
        "<=",
        "==",
        "x",
        "y1",
        "0",
        "1",
        "2.5",
        "1e9",
        "²",
        "𝟙",
    ]
)


def _read(text: str) -> Rule | TollensError:
    try:
        return parse(text)
    except TollensError as error:
        return error


spaced = st.lists(pieces, max_size=15).map(" ".join)


@given(st.one_of(st.text(max_size=40), spaced, st.lists(pieces).map("".join)))
@settings(max_examples=400, deadline=None)
def test_any_text_is_a_rule_or_a_named_error(text: str) -> None:
    found = _read(text)
    if isinstance(found, TollensError):
        assert found.code in CODES
        assert found.code.startswith("claim_")
        assert "^" in found.found
    else:
        assert parse(show(found)) == found


def _bare(number: str) -> Linear:
    return Linear((Term(False, Literal(Decimal(number)), None),))


def _named(name: str) -> Linear:
    return Linear((Term(False, None, Name(name)),))


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("all(stable_rank >= 8)", Quantified(Quantifier.ALL, "stable_rank", Op.GE, _bare("8"))),
        (
            "min(accuracy_diff) >= -0.5 pp",
            Compare(
                Linear((Term(False, None, Aggregate(Fold.MIN, "accuracy_diff")),)),
                Op.GE,
                Linear((Term(True, Literal(Decimal("0.5"), Unit((("pp", 1),))), None),)),
            ),
        ),
        (
            "x - x > 0",
            Compare(Linear((Term(False, None, Name("x")), Term(True, None, Name("x")))), Op.GT, _bare("0")),
        ),
        (
            "a<1 or b<1 and not c<1",
            Or(
                (
                    Compare(_named("a"), Op.LT, _bare("1")),
                    And((Compare(_named("b"), Op.LT, _bare("1")), Not(Compare(_named("c"), Op.LT, _bare("1"))))),
                )
            ),
        ),
        (
            "2 B/token*x < .5",
            Compare(
                Linear((Term(False, Literal(Decimal(2), Unit((("token", -1), ("B", 1)))), Name("x")),)),
                Op.LT,
                _bare("0.5"),
            ),
        ),
    ],
)
def test_texts_with_known_trees(text: str, rule: Rule) -> None:
    assert parse(text) == rule


@pytest.mark.parametrize(
    ("text", "code", "hint"),
    [
        ("0 < x < 1", "claim_chained", "a < b and b < c"),
        ("all(x > 0 < 1)", "claim_chained", "and"),
        ("x > 0 == 1", "claim_chained", "and"),
        ("the gate keeps accuracy within half a point", "claim_prose", "stable_rank"),
        ("It doesn't forget.", "claim_prose", "stable_rank"),
        ("", "claim_empty", "stable_rank"),
        (" \n", "claim_empty", "stable_rank"),
        ("all(stable_rank) >= 8", "claim_syntax", "all(stable_rank >= 8)"),
        ("min(x > 3)", "claim_syntax", "min(x) > 1"),
        ("all(8 <= x)", "claim_syntax", "list comes first"),
        ("all(x > 1 and x < 2)", "claim_syntax", "all(x > 1) and all(x < 2)"),
        ("(x + 1) > 2", "claim_syntax", "not sums"),
        ("(x > 1) + 2", "claim_syntax", "not sums"),
        ("x / 2 > 1", "claim_syntax", "no division"),
        ("x * 2 > 1", "claim_syntax", "`2*x`"),
        ("2*3 > 1", "claim_syntax", "number multiplies"),
        ("2*max(x) > 1", "claim_syntax", "number multiplies"),
        ("x = 2", "claim_character", "=="),
        ("x ≥ 8", "claim_character", ">="),
        ("x >= 8 && y", "claim_character", "and"),
        ("model.alpha > 2", "claim_character", "attributes"),
        ("x > 3 weights", "claim_unit", "weight"),
        ("x > 3 percent", "claim_unit", "one of 1 %"),
        ("sum(x) > 3", "claim_function", "any, all, mean"),
        ("avg(x) > 3", "claim_function", ""),
        ("maximum(x) > 3", "claim_function", "max"),
        ("quantile(x) > 3", "claim_syntax", "quantile(0.95, x)"),
        ("quantile(0, x) > 3", "claim_quantile", "0.95"),
        ("quantile(1.01, x) > 3", "claim_quantile", "0.95"),
        ("quantile(0.5 %, x) > 3", "claim_syntax", ""),
        ("x > nan", "claim_syntax", "reserved"),
        ("flag > 1", "claim_syntax", "reserved"),
        ("count > 1", "claim_syntax", "is a unit"),
        ("x > 1e999", "claim_number", "finite"),
        ("x > 1e-999", "claim_number", "finite"),
        ("x > 0e999", "claim_number", "finite"),
        ("x > 0x10", "claim_number", "finite"),
        ("x > 1_000", "claim_number", "finite"),
        ("x > 1.2.3", "claim_number", "finite"),
        ("x >", "claim_syntax", ""),
        ("x", "claim_syntax", ""),
        ("x > 1 y > 2", "claim_unit", ""),
        ("x > y z", "claim_syntax", ""),
        ("not", "claim_syntax", ""),
        ("(x > 1", "claim_syntax", "closing"),
        ("x > 1)", "claim_syntax", ""),
        ("x > 3 weight^0", "claim_syntax", ""),
        ("x > + 3", "claim_syntax", ""),
    ],
)
def test_what_is_refused_and_what_is_offered_instead(text: str, code: str, hint: str) -> None:
    error = _error(text)
    assert error.code == code
    assert hint in f"{error.expected} {error.fix}"


def test_the_caret_stands_under_the_place() -> None:
    error = _error("all(x > 1) und all(y < 2)")
    lines = error.found.split("\n")
    assert lines[1][lines[2].index("^")] == "u"
    assert "column 12" in lines[2]


def test_the_caret_stands_under_the_place_in_a_long_claim() -> None:
    error = _error("x > 1 and " * 500 + "y ! 2")
    lines = error.found.split("\n")
    assert lines[1][lines[2].index("^")] == "!"
    assert len(lines[1]) < 100


@pytest.mark.parametrize("opening", ["(", "not ", "not ("])
def test_depth_is_bounded_by_a_named_error(opening: str) -> None:
    assert _error(opening * (MAX_DEPTH + 1) + "x > 1").code == "claim_too_deep"


def test_nesting_within_the_bound_is_read() -> None:
    depth = MAX_DEPTH - 1
    assert parse("(" * depth + "x > 1" + ")" * depth) == parse("x > 1")


@pytest.mark.parametrize(
    "make",
    [
        lambda: Literal(Decimal("-1")),
        lambda: Literal(Decimal("NaN")),
        lambda: Aggregate(Fold.QUANTILE, "x"),
        lambda: Aggregate(Fold.MAX, "x", Decimal(1)),
        lambda: Aggregate(Fold.QUANTILE, "x", Decimal(2)),
        lambda: Term(False, None, None),
        lambda: Term(False, Literal(Decimal(2)), Aggregate(Fold.MAX, "x")),
        lambda: Linear(()),
        lambda: And((parse("x > 1"),)),
        lambda: Or((parse("x > 1"),)),
    ],
)
def test_trees_without_a_text_cannot_be_made(make: Any) -> None:
    with pytest.raises(ValueError):
        make()
