from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tollens.core.errors import Exit, TollensError
from tollens.core.expression.answer import as_float, shown
from tollens.core.expression.check import Declared, Sort
from tollens.core.expression.evaluate import evaluate
from tollens.core.expression.linear import quantile_place
from tollens.core.expression.parser import parse
from tollens.core.expression.ranges import Entry, Support
from tollens.core.reading import Undefined
from tollens.core.units import COUNT, parse_unit
from tollens.core.verdict import Verdict

GONE = Undefined("too_small")


def column(*values: float | str | Undefined, support: Support | None = None) -> list[Entry]:
    """Layers a, b, c, ... with these values; the support belongs to the undefined ones."""
    return [
        Entry(label, value, support if support is not None and isinstance(value, Undefined) else Support())
        for label, value in zip("abcdefghij", values, strict=False)
    ]


def verdict(text: str, **readings: Entry | Sequence[Entry]) -> Verdict:
    return evaluate(parse(text), readings).verdict


@pytest.mark.parametrize(
    ("level", "n", "place"),
    [
        # x_(ceil(p n)): the definition, at exact multiples and beside them. In binary 0.07 * 100 is
        # 7.000000000000001, whose ceiling would be 8.
        ("0.5", 4, 2),
        ("0.5", 5, 3),
        ("1", 7, 7),
        ("0.25", 4, 1),
        ("0.26", 4, 2),
        ("0.07", 100, 7),
        ("0.29", 100, 29),
        ("0.0001", 3, 1),
    ],
)
def test_quantile_is_an_order_statistic(level: str, n: int, place: int) -> None:
    assert quantile_place(Fraction(level), n) == place
    values = column(*map(float, range(1, 11)))[:n]
    if n <= 10:
        both = f"quantile({level}, x) >= {place} and quantile({level}, x) <= {place}"
        assert verdict(both, x=values) == "SURVIVED"


@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        ("all(x >= 8)", (9.0, 8.0), "SURVIVED"),
        ("all(x > 8)", (9.0, 8.0), "KILLED"),
        ("all(x >= 8)", (7.0, GONE), "KILLED"),
        ("all(x >= 8)", (9.0, GONE), "UNDETERMINED"),
        ("any(x >= 8)", (9.0, GONE), "SURVIVED"),
        ("any(x >= 8)", (7.0, GONE), "UNDETERMINED"),
        ("max(x) > 3", (4.0, GONE), "SURVIVED"),
        ("max(x) > 3", (2.0, GONE), "UNDETERMINED"),
        ("min(x) > 3", (2.0, GONE), "KILLED"),
        ("min(x) > 3", (4.0, GONE), "UNDETERMINED"),
        ("3 < min(x)", (2.0, GONE), "KILLED"),
        ("-min(x) > -3", (2.0, GONE), "SURVIVED"),
        ("mean(x) > 3", (100.0, GONE), "UNDETERMINED"),
        ("quantile(0.5, x) > 3", (4.0, 5.0, 6.0, GONE), "SURVIVED"),
        ("quantile(0.5, x) > 3", (1.0, 5.0, 6.0, GONE), "UNDETERMINED"),
        ("quantile(0.5, x) > 3", (1.0, 2.0, 6.0, GONE), "KILLED"),
        ("not all(x >= 8)", (7.0, GONE), "SURVIVED"),
        ("not (any(x > 8) or max(x) > 9)", (7.0, 3.0), "SURVIVED"),
        ("max(x) - max(x) >= 0", (1.0, GONE), "SURVIVED"),
        ("max(x) - max(x) > 0", (1.0, GONE), "KILLED"),
        ("max(x) - quantile(1, x) > 0", (1.0, GONE), "KILLED"),
        ("min(x) + max(x) > max(x)", (-1.0, GONE), "KILLED"),
        ("max(x) - min(x) >= 1", (1.0, 2.0, GONE), "SURVIVED"),
        ("max(x) - min(x) >= 2", (1.0, 2.0, GONE), "UNDETERMINED"),
        ("all(x >= 8) and any(x < 0)", (9.0, GONE, -1.0), "KILLED"),
        ("all(x >= 8) or any(x < 0)", (9.0, GONE, -1.0), "SURVIVED"),
        ("any(x < 0) or 1 > 0", (1.0,), "SURVIVED"),
        ("x - x > 0 or 0 > 1", None, "KILLED"),
        ("x <= 0.1", None, "SURVIVED"),  # a reading printed as 0.1 is 1/10, not its binary neighbour
        ("0.1 >= x", None, "SURVIVED"),
        ("x + 0.2 <= 0.3", None, "SURVIVED"),  # in binary 0.1 + 0.2 exceeds 0.3
        ("3*x <= 0.3", None, "SURVIVED"),
        ("mean(x) <= 0.1", (0.1, 0.1, 0.1), "SURVIVED"),  # in binary the sum is 0.30000000000000004
    ],
)
def test_known_verdicts(text: str, values: tuple[float, ...] | None, expected: str) -> None:
    readings = Entry("", 0.1) if values is None else column(*values)
    assert verdict(text, x=readings) == expected


def test_x_minus_x_is_zero_even_where_x_is_undefined() -> None:
    assert verdict("x - x > 0", x=Entry("", GONE)) == "KILLED"
    assert verdict("x >= x", x=Entry("", GONE)) == "SURVIVED"
    assert verdict("2*x - x <= x", x=Entry("", GONE)) == "SURVIVED"


def test_a_support_may_decide_for_an_undefined_value() -> None:
    bounded = column(9.0, GONE, support=Support(1.0, 4.0))
    assert verdict("all(x >= 1)", x=bounded) == "SURVIVED"
    assert verdict("all(x >= 5)", x=bounded) == "KILLED"
    assert verdict("mean(x) >= 5", x=bounded) == "SURVIVED"  # (9 + 1) / 2
    assert verdict("mean(x) > 6.5", x=bounded) == "KILLED"  # (9 + 4) / 2
    assert verdict("mean(x) > 6", x=bounded) == "UNDETERMINED"


@pytest.mark.parametrize("text", ["2 > 1", "1 > 2", "not 0 >= 1 or 1 < 2"])
def test_a_claim_of_numbers_alone_is_no_gate(text: str) -> None:
    with pytest.raises(TollensError) as caught:
        verdict(text, x=column(1.0))
    assert caught.value.code == "claim_constant"
    assert caught.value.exit_code is Exit.BAD_INPUT


def test_an_empty_list_is_never_vacuous_truth() -> None:
    for text in ("all(x >= 8)", "not any(x < 8)", "max(x) - max(x) >= 0", "all(x > 1) or 1 > 0"):
        answer = evaluate(parse(text), {"x": []}, {"x": Declared(listed=True)})
        assert answer.verdict == "UNDETERMINED", text
        assert answer.reason == "claim_no_layers"


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_no_value_is_ever_compared_that_is_not_finite(bad: float) -> None:
    with pytest.raises(TollensError) as caught:
        verdict("all(x > 1) or 1 > 0", x=column(3.0, bad))
    assert caught.value.code == "claim_value"
    assert caught.value.exit_code is Exit.NOT_SCORABLE


def test_a_value_outside_its_support_is_not_scorable() -> None:
    with pytest.raises(TollensError) as caught:
        verdict("all(x > 1)", x=[Entry("a", 3.0, Support(0.0, 1.0))])
    assert caught.value.code == "claim_value"
    for support in (Support(2.0, 1.0), Support(values=())):
        with pytest.raises(TollensError, match="claim_value"):
            verdict("all(x > 1)", x=[Entry("a", GONE, support)])


# Witnesses


def _witness(text: str, *values: float | Undefined) -> tuple[str | None, float, float, str]:
    answer = evaluate(parse(text), {"x": column(*values)})
    witness = answer.witness
    assert witness is not None
    assert isinstance(witness.value, Fraction)
    assert witness.margin is not None
    return witness.label, float(witness.value), float(witness.margin), str(answer.verdict)


@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        ("all(x >= 8)", (9.0, 3.0, 5.0, GONE), ("b", 3.0, -5.0, "KILLED")),  # the most violating
        ("all(x >= 8)", (19.0, 8.5, 15.0), ("b", 8.5, 0.5, "SURVIVED")),  # the tightest
        ("any(x >= 8)", (9.0, 12.0, 5.0), ("b", 12.0, 4.0, "SURVIVED")),  # the clearest
        ("any(x >= 8)", (1.0, 7.0, 5.0), ("b", 7.0, -1.0, "KILLED")),  # the nearest miss
        ("all(x <= 8)", (9.0, 12.0, 5.0), ("b", 12.0, -4.0, "KILLED")),
        ("max(x) > 3", (2.0, 4.0, GONE), ("b", 4.0, 1.0, "SURVIVED")),
        ("3 < max(x)", (2.0, 4.0), ("b", 4.0, 1.0, "SURVIVED")),
        ("mean(x) > 3", (2.0, 5.0), (None, 3.5, 0.5, "SURVIVED")),
        ("max(x) - min(x) <= 2", (2.0, 5.0), (None, 3.0, -1.0, "KILLED")),
        ("all(x > 1) and all(x < 10)", (2.0, 9.9), ("b", 9.9, 0.1, "SURVIVED")),  # 1 % from 10, 50 % from 1
        ("not any(x < 8)", (9.0, 3.0), ("b", 3.0, -5.0, "KILLED")),
    ],
)
def test_the_witness_is_the_smallest_thing_that_shows_why(
    text: str, values: tuple[float, ...], expected: tuple[str | None, float, float, str]
) -> None:
    assert _witness(text, *values) == expected


def test_the_sentence_names_layer_value_and_distance() -> None:
    answer = evaluate(parse("all(x >= 8)"), {"x": column(9.0, 3.25)})
    assert answer.expected == "all(x >= 8)"
    assert answer.found == "x = 3.25 at b, 4.75 below 8"
    bound = evaluate(parse("max(x) > 3"), {"x": column(4.0, GONE)})
    assert bound.found == "max(x) is at least 4 at a, 1 above 3, whatever the undefined values are"
    bound = evaluate(parse("min(x) >= 4"), {"x": column(3.0, GONE)})
    assert bound.found == "min(x) is at most 3 at a, 1 below 4, whatever the undefined values are"
    tight = evaluate(parse("min(x) >= 4"), {"x": column(4.0)})
    assert tight.found == "min(x) = 4 at a, exactly the threshold"


def test_only_absences_that_matter_are_named() -> None:
    entries = [
        Entry("a", 9.0),
        Entry("b", GONE, Support(10.0, 20.0)),
        Entry("c", GONE),
        Entry("d", Undefined("sparse")),
    ]
    for text in ("all(x >= 8)", "min(x) >= 8"):
        answer = evaluate(parse(text), {"x": entries})
        assert [(m.label, m.reason) for m in answer.undetermined] == [("c", "too_small"), ("d", "sparse")]
        assert "2 undefined values" in answer.found
        assert "x at c (too_small)" in answer.found


def test_a_right_side_may_be_open_too() -> None:
    y = Entry("", GONE, Support(0.0, 10.0))
    assert verdict("all(x >= y)", x=column(11.0, 12.0), y=y) == "SURVIVED"
    assert verdict("all(x >= y)", x=column(-1.0, 12.0), y=y) == "KILLED"
    answer = evaluate(parse("all(x >= y)"), {"x": column(3.0, 12.0), "y": y})
    assert answer.verdict == "UNDETERMINED"
    assert [m.name for m in answer.undetermined] == ["y"]
    killed = evaluate(parse("all(x >= y)"), {"x": column(-1.0, 12.0), "y": y})
    assert killed.witness is not None
    assert (killed.witness.label, killed.witness.threshold, killed.witness.certain) == ("a", 0, False)


def test_names_of_values() -> None:
    roles = column("q", "head", GONE)
    assert verdict("any(role == head)", role=roles) == "SURVIVED"
    assert verdict("all(role != head)", role=roles) == "KILLED"
    assert verdict("any(role == conv)", role=roles) == "UNDETERMINED"
    assert verdict("all(role != conv)", role=column("q", "head")) == "SURVIVED"
    assert verdict("any(band == over_trained)", band=column("over-trained")) == "SURVIVED"
    assert verdict("device == gpu", device=Entry("", "gpu")) == "SURVIVED"
    closed = column("q", GONE, support=Support(values=("q", "k")))
    assert verdict("any(role == conv)", role=closed) == "KILLED"
    assert verdict("all(role == q)", role=closed) == "UNDETERMINED"
    assert verdict("any(role == q)", role=column(GONE)) == "UNDETERMINED"


# Types and units


@pytest.mark.parametrize(
    ("text", "code", "hint"),
    [
        ("all(sable_rank >= 8)", "claim_unknown_name", "stable_rank"),
        ("max(sable_rank) >= 8", "claim_unknown_name", "stable_rank"),
        ("stable_rank >= 8", "claim_type", "all(stable_rank >= 8)"),
        ("all(loss > 3)", "claim_type", "itself"),
        ("max(loss) > 3", "claim_type", "itself"),
        ("all(stable_rank == 8)", "claim_type", "< <= > >="),
        ("mean(n) == 8", "claim_type", "< <= > >="),
        ("0.5*steps == 8", "claim_type", "< <= > >="),
        ("max(n) == 8.5", "claim_type", "< <= > >="),
        ("all(role > 3)", "claim_type", "no order"),
        ("all(role == 3)", "claim_type", "role == head"),
        ("any(role == haed)", "claim_unknown_name", "head"),
        ("max(role) == 3", "claim_type", "== or !="),
        ("all(fro2 > 3)", "claim_unit_mismatch", "3 weight^2"),
        ("all(fro2 > 3 weight)", "claim_unit_mismatch", "weight^2"),
        ("loss < 3", "claim_unit_mismatch", "3 nat"),
        ("loss < 3 bit", "claim_unit_mismatch", "nat"),
        ("loss + 1 < 3 nat", "claim_unit_mismatch", "1 nat"),
        ("drop < 3 %", "claim_unit_mismatch", "pp"),
        ("loss < drop", "claim_unit_mismatch", "pp"),
        ("all(stable_rank > 3 pp)", "claim_unit_mismatch", "count"),
        ("2 B/token*tokens < 3", "claim_unit_mismatch", "3 B"),
    ],
)
def test_what_does_not_fit_is_refused_before_any_value_is_seen(text: str, code: str, hint: str) -> None:
    declared = {
        "stable_rank": Declared(True, Sort.REAL, COUNT),
        "n": Declared(True, Sort.INTEGER, COUNT),
        "role": Declared(True, Sort.WORD, words=frozenset({"q", "head"})),
        "fro2": Declared(True, Sort.REAL, parse_unit("weight^2")),
        "loss": Declared(False, Sort.REAL, parse_unit("nat")),
        "drop": Declared(False, Sort.REAL, parse_unit("pp")),
        "steps": Declared(False, Sort.INTEGER),
        "tokens": Declared(False, Sort.REAL, parse_unit("token")),
    }
    with pytest.raises(TollensError) as caught:
        evaluate(parse(text), {}, declared)
    assert caught.value.code == code
    assert hint in str(caught.value)


def test_units_that_fit() -> None:
    readings = {"drop": [Entry("a", -0.5), Entry("b", 0.25)], "tokens": Entry("", 2.0), "n": [Entry("a", 3)]}
    declared = {
        "drop": Declared(True, Sort.REAL, parse_unit("pp")),
        "tokens": Declared(False, Sort.REAL, parse_unit("token")),
        "n": Declared(True, Sort.INTEGER, COUNT),
    }
    assert evaluate(parse("min(drop) >= -0.5 pp"), readings, declared).verdict == "SURVIVED"
    assert evaluate(parse("max(drop) < -0.5 pp"), readings, declared).verdict == "KILLED"
    assert evaluate(parse("2 B/token*tokens <= 4 B"), readings, declared).verdict == "SURVIVED"
    assert evaluate(parse("max(n) == 3 and all(n != 4)"), readings, declared).verdict == "SURVIVED"
    witness = evaluate(parse("max(drop) - min(drop) < 1 pp"), readings, declared).witness
    assert witness is not None
    assert witness.unit == parse_unit("pp")


def test_numbers_stay_finite_on_their_way_out() -> None:
    assert math.isfinite(as_float(Fraction(10) ** 600))
    assert as_float(-(Fraction(10) ** 600)) < 0
    assert shown(Fraction(10) ** 20) == "1e+20"
    assert shown(Fraction(12345678)) == "12345678"


# Undefined values: nothing determined is ever contradicted, and nothing undetermined is idle

small = st.integers(-3, 3)
cells = st.one_of(
    small,
    st.frozensets(small, min_size=1, max_size=3).map(
        lambda options: Entry("?", GONE, Support(values=tuple(sorted(options))))
    ),
)
lists = st.lists(cells, min_size=1, max_size=5)
relations = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])
single_atoms = st.one_of(
    st.builds("{}(x {} {})".format, st.sampled_from(["any", "all"]), relations, st.integers(0, 3)),
    st.builds("{}(x {} -{})".format, st.sampled_from(["any", "all"]), relations, st.integers(0, 3)),
    st.builds(
        "{}{} {} {}".format,
        st.sampled_from(["", "-"]),
        st.sampled_from(["min(x)", "max(x)", "quantile(0.5, x)", "quantile(0.7, x)"]),
        relations,
        st.integers(0, 3),
    ),
    st.builds("mean(x) {} {}".format, st.sampled_from(["<", "<=", ">", ">="]), st.integers(0, 3)),
)
any_atoms = st.one_of(
    single_atoms,
    st.sampled_from(
        [
            "max(x) - min(x) > 2",
            "min(x) + max(x) == 0",
            "all(x <= mean(x))",
            "any(x == max(x))",
            "all(x >= min(x))",
            "mean(x) - min(x) < 1",
            "max(x) - max(x) == 0",
            "any(x > 1 + min(x))",
            "quantile(0.5, x) - min(x) != 1",
        ]
    ),
)
connected = st.one_of(
    any_atoms,
    st.builds("not ({})".format, any_atoms),
    st.builds("({}) {} ({})".format, any_atoms, st.sampled_from(["and", "or"]), any_atoms),
    st.builds("not (({}) and not ({}))".format, any_atoms, any_atoms),
)


def _column(values: list[int | Entry]) -> list[Entry]:
    return [
        Entry(str(place), v.value, v.support) if isinstance(v, Entry) else Entry(str(place), v)
        for place, v in enumerate(values)
    ]


def _fillings(values: list[int | Entry]) -> list[list[int]]:
    options = [v.support.values or () if isinstance(v, Entry) else (v,) for v in values]
    return [[int(v) for v in filling] for filling in itertools.product(*options)]


@given(connected, lists)
@settings(max_examples=150, deadline=None)
def test_no_filling_contradicts_a_determined_answer(text: str, values: list[int | Entry]) -> None:
    declared = {"x": Declared(True, Sort.INTEGER)}
    answer = evaluate(parse(text), {"x": _column(values)}, declared).verdict
    assume(answer is not Verdict.UNDETERMINED)
    for filling in _fillings(values):
        assert evaluate(parse(text), {"x": _column(list(filling))}, declared).verdict is answer


@given(single_atoms, lists)
@settings(max_examples=150, deadline=None)
def test_a_single_atom_is_undetermined_exactly_if_two_fillings_disagree(text: str, values: list[int | Entry]) -> None:
    declared = {"x": Declared(True, Sort.INTEGER)}
    answer = evaluate(parse(text), {"x": _column(values)}, declared)
    named = sorted(int(m.label) for m in answer.undetermined)
    by_named: dict[tuple[int, ...], set[Verdict]] = {}
    for filling in _fillings(values):
        verdict = evaluate(parse(text), {"x": _column(list(filling))}, declared).verdict
        by_named.setdefault(tuple(filling[place] for place in named), set()).add(verdict)
    found = set().union(*by_named.values())
    assert found == ({answer.verdict} if not named else {Verdict.SURVIVED, Verdict.KILLED})
    assert (answer.verdict is Verdict.UNDETERMINED) == bool(named)
    # A value that is not named cannot change the answer.
    assert all(len(verdicts) == 1 for verdicts in by_named.values())


def _truth(text: str, values: list[int]) -> bool:
    """The rule on defined values by Python itself, an independent reading of the same text."""
    n = len(values)

    def quantile(p: float, x: list[int]) -> int:
        return sorted(x)[math.ceil(Fraction(str(p)) * n) - 1]

    scope = {"x": values, "mean": lambda x: Fraction(sum(x), n), "quantile": quantile, "min": min, "max": max}
    for quantifier in ("any", "all"):
        text = text.replace(f"{quantifier}(x", f"{quantifier}_(lambda v: v")
    scope["any_"] = lambda test: any(map(test, values))
    scope["all_"] = lambda test: all(map(test, values))
    return bool(eval(text, {"__builtins__": {}, **scope}))


@given(connected, st.lists(small, min_size=1, max_size=5))
@settings(max_examples=150, deadline=None)
def test_on_defined_values_the_language_agrees_with_python(text: str, values: list[int]) -> None:
    expected = Verdict.SURVIVED if _truth(text, values) else Verdict.KILLED
    assert evaluate(parse(text), {"x": _column(list(values))}).verdict is expected
