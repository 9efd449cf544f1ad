"""Known answers, and random rules against brute force and random sampling."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollens.core.errors import Exit, TollensError
from tollens.core.expression.check import Sort
from tollens.core.expression.domain import Domain, grid_of
from tollens.core.expression.evaluate import evaluate
from tollens.core.expression.parser import parse
from tollens.core.expression.ranges import Entry, Support
from tollens.core.expression.reach import Reach, Reachable, Unreachable, disjoint, plain, reach, verify
from tollens.core.expression.sorted_lists import Space
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
)
from tollens.core.seeding import generator
from tollens.core.units import parse_unit
from tollens.core.verdict import Verdict

INF = math.inf
COUNTER = Domain(Support(0, 4096), Sort.INTEGER)
WHOLE = Domain(Support(-INF, INF), Sort.INTEGER)
ANY = Domain(Support())
THREE = Domain(Support(-100, 100), count=3)
HUNDRED = Domain(Support(-100, 100), count=100)


def found(text: str, **domains: Domain) -> Reach:
    return reach(parse(text), domains)


def witness(text: str, **domains: Domain) -> Mapping[str, tuple[Fraction, ...]]:
    answer = found(text, **domains)
    assert isinstance(answer, Reachable), answer
    return answer.witness


def proof(text: str, **domains: Domain) -> str:
    answer = found(text, **domains)
    assert isinstance(answer, Unreachable), answer
    assert answer.proof.isprintable()
    return answer.proof


def test_a_counter_that_is_always_zero() -> None:
    text = proof("argmax_flips > 0", argmax_flips=Domain(Support(values=(0,)), Sort.INTEGER))
    assert text == "`argmax_flips > 0` is false everywhere: argmax_flips lies in {0}"


def test_two_counters() -> None:
    # 4097^2 assignments are more than 10^6, so that this is decided by conjuncts.
    rule = "leaked > 0 and control > 0"
    assert witness(rule, leaked=COUNTER, control=COUNTER) == {"leaked": (1,), "control": (1,)}
    assert witness(f"not ({rule})", leaked=COUNTER, control=COUNTER) == {"leaked": (0,), "control": (0,)}


@pytest.mark.parametrize(
    "text",
    [
        "x - x > 0",
        "not (2 > 1 or x > 3)",  # its negation is always true
        "x > 100",  # the end of the support is not beyond itself
        "x < 3 and x >= 3",
        "x > 3 and not x > 3",
        "x > y and y > x",
        "2*x + 3*y > 500",  # 2 * 100 + 3 * 100 = 500
        "x + y > 10 and x - y > 10 and x < 10",  # the sum of the first two is 2x > 20
    ],
)
def test_what_no_single_readings_satisfy(text: str) -> None:
    proof(text, x=Domain(Support(-100, 100)), y=Domain(Support(-100, 100)))


@pytest.mark.parametrize(
    "text",
    [
        "x >= 100",
        "x <= 3 and x >= 3",
        "x > 3 and x < 3.0000000001",
        "x > y",
        "2*x + 3*y >= 500",
        "x + y > 10 and x - y > 10 and x < 10.001",
        "1 > 2 or x > 99.9",
    ],
)
def test_what_single_readings_satisfy(text: str) -> None:
    witness(text, x=Domain(Support(-100, 100)), y=Domain(Support(-100, 100)))


@pytest.mark.parametrize(
    "text",
    [
        "0 < n and n < 1",
        "2*n == 7",
        "2*n - 2*m == 1",
        "n >= 1 and n <= 2 and n != 1 and n != 2",
        "3*n + 5*m == 7 and n >= 0 and m >= 0",  # 7 is not a sum of threes and fives
        "3*n - 2*m > 0 and 3*n - 2*m < 1",
    ],
)
def test_gaps_between_integers(text: str) -> None:
    proof(text, n=WHOLE, m=WHOLE)


def test_what_integers_satisfy_beyond_rounding() -> None:
    # 7 n - 11 m = 1 has the solutions n = 8 + 11 k, m = 5 + 7 k.
    values = witness("7*n - 11*m == 1 and n > 100", n=WHOLE, m=WHOLE)
    assert (values["n"][0] - 8) % 11 == 0
    assert witness("2*n == 8", n=WHOLE) == {"n": (4,)}
    # An integer interval with fractional ends is the integers in it: 1, 2, 3.
    assert witness("n < 2", n=Domain(Support(0.5, 3.5), Sort.INTEGER)) == {"n": (1,)}
    proof("n < 1", n=Domain(Support(0.5, 3.5), Sort.INTEGER))


@pytest.mark.parametrize("x", [THREE, HUNDRED, Domain(Support(), count=100)])
def test_aggregates_that_contradict(x: Domain) -> None:
    for text in (
        "min(x) > max(x)",
        "mean(x) > max(x)",
        "mean(x) < min(x)",
        "quantile(0.5, x) > quantile(0.9, x)",
        "min(x) >= -0.5 and max(x) < -0.5",
        "all(x > 3) and any(x <= 3)",
        "all(x > max(x))",
        "any(x < min(x))",
        "min(x) >= 0 and mean(x) > 1 and max(x) < 1",
    ):
        proof(text, x=x)


def test_a_mean_beside_order_statistics() -> None:
    # 90 entries below 1, 10 at most 50: the mean stays below (90 * 1 + 10 * 50) / 100 = 5.9.
    bounds = "quantile(0.9, x) < 1 and max(x) <= 50"
    x = Domain(Support(), count=100)
    proof(f"mean(x) >= 5.9 and {bounds}", x=x)
    values = witness(f"mean(x) > 5.89 and {bounds}", x=x)["x"]
    assert sum(values) > 589
    assert values[89] < 1
    # One of n entries at the low end pulls the mean down by at most range / n: 1 / 4 with 4 entries in [0, 1].
    unit = Domain(Support(0, 1), count=4)
    proof("mean(x) > 0.75 and min(x) <= 0", x=unit)
    assert witness("mean(x) >= 0.75 and min(x) <= 0", x=unit) == {"x": (0, 1, 1, 1)}


def test_means_of_integers() -> None:
    # Of three integers the mean is a third of an integer: none lies strictly between 0 and 1/3.
    x = Domain(Support(-9, 9), Sort.INTEGER, count=3)
    proof("mean(x) > 0 and mean(x) < 0.3", x=x)
    assert sum(witness("mean(x) > 0 and mean(x) < 0.4", x=x)["x"]) == 1
    # 100 shares of 0 and 0.1: sums in steps of 0.1, means in steps of 0.001.
    shares = Domain(Support(values=(0, 0.1)), count=100)
    proof("mean(x) > 0.05 and mean(x) < 0.051", x=shares)
    assert sum(witness("mean(x) > 0.05 and mean(x) < 0.0511", x=shares)["x"]) == Fraction(51, 10)


def test_supports_with_uneven_gaps() -> None:
    x = Domain(Support(values=(0, 0.1, 0.5, 2)), count=100)
    values = witness("mean(x) > 0.3 and mean(x) < 0.305", x=x)["x"]
    assert 30 < sum(values) < Fraction("30.5")
    proof("max(x) > 0.1 and max(x) < 0.5", x=x)
    proof("max(x) > 0.5 and max(x) < 2", x=x)
    # Sums of two of {0, 3, 10}: 0, 3, 6, 10, 13, 20; few assignments are enumerated.
    proof("mean(x) > 3 and mean(x) < 5", x=Domain(Support(values=(0, 3, 10)), count=2))


def test_a_sum_that_uneven_gaps_do_not_allow_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tollens.core.expression.reach._FEW", 0)
    # Sums of two of {0, 3, 10} strictly between 7 and 11: 10 alone, though 8 is the first tried.
    x = Domain(Support(values=(0, 3, 10)), count=2)
    assert witness("mean(x) > 3.5 and mean(x) < 5.5", x=x) == {"x": (0, 10)}
    proof("mean(x) > 3 and mean(x) < 5", x=x)


def test_any_and_all_with_equality() -> None:
    n = Domain(Support(-3, 3), Sort.INTEGER, count=40)
    assert 2 in witness("any(n == 2) and any(n == 2)", n=n)["n"]
    assert 2 in witness("any(n == 2) and any(n != 2)", n=n)["n"]
    assert set(witness("all(n == 2)", n=n)["n"]) == {2}
    proof("all(n == 2) and any(n != 2)", n=n)
    proof("all(n != 0) and any(n == 0)", n=n)
    values = witness("all(n != 0) and mean(n) > -0.01 and mean(n) < 0.01 and min(n) < 0", n=n)["n"]
    assert 0 not in values
    assert sum(values) == 0
    proof("all(n != m) and m == 1 and any(n == 1)", n=n, m=COUNTER)


def test_units_are_kept() -> None:
    pp = Domain(Support(-100, 100), count=3, unit=parse_unit("pp"))
    assert witness("min(d) >= -0.5 pp", d=pp) == {"d": (Fraction(-1, 2),) * 3}
    with pytest.raises(TollensError) as caught:
        found("min(d) >= -0.5", d=pp)
    assert caught.value.code == "claim_unit_mismatch"


def test_disjoint_is_the_conjunction() -> None:
    a, b = parse("max(x) > 0"), parse("min(x) < 0")
    assert isinstance(disjoint(a, b, {"x": THREE}), Reachable)
    assert isinstance(disjoint(a, parse("max(x) <= 0"), {"x": THREE}), Unreachable)


@pytest.mark.parametrize(
    ("domain", "code"),
    [
        (Domain(Support(0, 1), count=0), "rule_list_empty"),
        (Domain(Support(0, 1), count=-1), "rule_list_empty"),
        (Domain(Support(1, 0), count=1), "rule_support"),
        (Domain(Support(math.nan, 1), count=1), "rule_support"),
        (Domain(Support(INF, INF), count=1), "rule_support"),
        (Domain(Support(values=()), count=1), "rule_support"),
        (Domain(Support(values=(0, math.nan)), count=1), "rule_support"),
        (Domain(Support(values=(0, "head")), count=1), "rule_support"),
        (Domain(Support(0.2, 0.8), Sort.INTEGER, count=1), "rule_support"),
        (Domain(Support(0.5, 0.5), Sort.INTEGER, count=1), "rule_support"),
        (Domain(Support(values=(0, 0.5)), Sort.INTEGER, count=1), "rule_support"),
        (Domain(Support(0, 1), Sort.OPEN, count=1), "rule_support"),
    ],
)
def test_a_domain_without_values_is_refused(domain: Domain, code: str) -> None:
    with pytest.raises(TollensError) as caught:
        found("max(x) > 0", x=domain)
    assert caught.value.code == code
    assert caught.value.exit_code == Exit.REFUSED_TO_SEAL


def test_numbers_alone_and_unknown_names_are_refused() -> None:
    for text, code in (("2 > 1", "claim_constant"), ("y > 1", "claim_unknown_name")):
        with pytest.raises(TollensError) as caught:
            found(text, x=ANY)
        assert caught.value.code == code


def test_extreme_numbers() -> None:
    assert witness("x > 1e-300 and x < 2e-300", x=ANY)
    assert witness("x > 1e300", x=ANY)
    proof("x > 1e300 and x < 1e-300", x=ANY)
    assert plain(Fraction(1, 3)) == "1/3"
    assert plain(Fraction(-1, 200)) == "-0.005"
    assert plain(Fraction(1, 10**60)) == "about 1e-60"
    assert plain(Fraction(10**60)) == "about 1e+60"


def test_a_false_witness_is_never_returned() -> None:
    rule = parse("min(x) > 1")
    space = Space({"x": grid_of("x", THREE)}, {"x": 3})
    verify(rule, {"x": (Fraction(2),) * 3}, space)
    for values in ((1, 2, 3), (2, 3), (2, 3, 101)):
        with pytest.raises(AssertionError):
            verify(rule, {"x": tuple(map(Fraction, values))}, space)


# Random rules

LISTS = {"x": 3, "y": 2}
SCALARS = ("a", "b")


def literals(top: int) -> st.SearchStrategy[Literal]:
    return st.integers(0, top).map(lambda k: Literal(Decimal(k)))


def halves() -> st.SearchStrategy[Literal]:
    return st.integers(0, 8).map(lambda k: Literal(Decimal(k) / 2))


@st.composite
def terms(draw: st.DrawFn) -> Term:
    negative = draw(st.booleans())
    kind = draw(st.integers(0, 2))
    if kind == 0:
        return Term(negative, draw(halves()), None)
    if kind == 1:
        return Term(negative, draw(st.none() | literals(3)), Name(draw(st.sampled_from(SCALARS))))
    name, fold = draw(st.sampled_from(sorted(LISTS))), draw(st.sampled_from(Fold))
    level = Decimal(draw(st.integers(1, 4))) / 4 if fold is Fold.QUANTILE else None
    return Term(negative, None, Aggregate(fold, name, level))


def linears(most: int = 3) -> st.SearchStrategy[Linear]:
    return st.lists(terms(), min_size=1, max_size=most).map(lambda found: Linear(tuple(found)))


ORDERS = st.sampled_from([Op.LT, Op.LE, Op.GT, Op.GE])
WHOLE_LINEAR = st.lists(
    st.builds(Term, st.booleans(), literals(3), st.none() | st.sampled_from([Name(n) for n in SCALARS])),
    min_size=1,
    max_size=2,
).map(lambda found: Linear(tuple(found)))


def rules(whole: bool) -> st.SearchStrategy[Rule]:
    atoms: list[st.SearchStrategy[Rule]] = [
        st.builds(Compare, linears(), ORDERS, linears()),
        st.builds(Quantified, st.sampled_from(Quantifier), st.sampled_from(sorted(LISTS)), ORDERS, linears(2)),
    ]
    if whole:
        equal = st.sampled_from([Op.EQ, Op.NE])
        atoms.append(st.builds(Compare, WHOLE_LINEAR, equal, WHOLE_LINEAR))
        lists = st.sampled_from(sorted(LISTS))
        atoms.append(st.builds(Quantified, st.sampled_from(Quantifier), lists, equal, WHOLE_LINEAR))
    named = Compare(Linear((Term(False, None, Name("a")),)), Op.GE, Linear((Term(True, Literal(Decimal(9)), None),)))

    def nested(inner: st.SearchStrategy[Rule]) -> st.SearchStrategy[Rule]:
        several = st.lists(inner, min_size=2, max_size=3).map(tuple)
        return st.builds(Not, inner) | st.builds(And, several) | st.builds(Or, several)

    # A conjunct that always holds, so that no rule is one of numbers alone.
    return st.recursive(st.one_of(atoms), nested, max_leaves=5).map(lambda rule: And((rule, named)))


def holds(rule: Rule, values: Mapping[str, tuple[float, ...]]) -> bool:
    readings: dict[str, Entry | list[Entry]] = {}
    for name, entries in values.items():
        column = [Entry(str(place), value) for place, value in enumerate(entries)]
        readings[name] = column if name in LISTS else column[0]
    return evaluate(rule, readings).verdict is Verdict.SURVIVED


INTEGERS = {"a": (-1, 0, 1), "b": (0, 2), "x": (-1, 0, 1), "y": (0, 3)}


@pytest.mark.parametrize("few", [0, 500])
@settings(max_examples=40, deadline=None)
@given(rule=rules(whole=True))
def test_reach_agrees_with_brute_force_on_integers(few: int, rule: Rule) -> None:
    domains = {name: Domain(Support(values=values), Sort.INTEGER, LISTS.get(name)) for name, values in INTEGERS.items()}
    with pytest.MonkeyPatch.context() as patch:
        # 0: even few assignments are not enumerated, so that the conjuncts have to decide.
        patch.setattr("tollens.core.expression.reach._FEW", few)
        answer = reach(rule, domains)
    columns = [itertools.combinations_with_replacement(v, LISTS.get(name, 1)) for name, v in INTEGERS.items()]
    exists = any(holds(rule, dict(zip(INTEGERS, values, strict=True))) for values in itertools.product(*columns))
    assert isinstance(answer, Reachable if exists else Unreachable)


@settings(max_examples=100, deadline=None)
@given(rule=rules(whole=False), seed=st.integers(0, 999))
def test_no_sample_satisfies_what_is_called_unreachable(rule: Rule, seed: int) -> None:
    names = [*SCALARS, *LISTS]
    domains = {name: Domain(Support(-2, 2), Sort.REAL, LISTS.get(name)) for name in names}
    answer = reach(rule, domains)
    assert isinstance(answer, Reachable | Unreachable)
    if isinstance(answer, Reachable):
        return  # reach itself evaluates the rule at every witness
    rng = generator(seed, "samples")
    for _ in range(20):
        values = {name: tuple((rng.integers(-16, 17, LISTS.get(name, 1)) / 8).tolist()) for name in names}
        assert not holds(rule, values)


@settings(max_examples=60, deadline=None)
@given(rule=rules(whole=False))
def test_of_a_rule_and_its_negation_one_is_reachable(rule: Rule) -> None:
    domains = {name: Domain(Support(), Sort.REAL, LISTS.get(name)) for name in [*SCALARS, *LISTS]}
    # The conjunct of `rules` cuts a at -9 here, and its complement makes the negation reachable.
    assert isinstance(reach(Not(rule), domains), Reachable)
    assert isinstance(reach(Or((rule, Not(rule))), domains), Reachable)
    assert isinstance(reach(And((rule, Not(rule))), domains), Unreachable)
