from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollens.core.errors import Exit, TollensError
from tollens.protocol.order import (
    HEURISTIC,
    OPTIMAL,
    Priced,
    expected_cost,
    ladder_order,
    order_note,
    shown_source,
)

THREE = [Priced(id=name, cost=c, probability=q) for name, c, q in (("a", 1, 0.2), ("b", 10, 0.5), ("c", 100, 0.9))]
prices = st.tuples(st.floats(0.0, 1e6), st.floats(1e-3, 1.0))


def _ids(rungs: list[Priced]) -> str:
    return "".join(rung.id for rung in rungs)


def test_three_rungs() -> None:
    assert [float(rung.ratio) for rung in THREE] == pytest.approx([5.0, 20.0, 1000 / 9], abs=1e-9)
    assert _ids(ladder_order(THREE[::-1])) == "abc"
    assert expected_cost(THREE) == pytest.approx(49.0, abs=1e-9)  # 1 + .8*10 + .8*.5*100
    assert expected_cost(THREE[::-1]) == pytest.approx(101.05, abs=1e-9)  # 100 + .1*10 + .1*.5*1
    assert order_note(THREE) == OPTIMAL


@settings(max_examples=25, deadline=None)
@given(st.lists(prices, min_size=1, max_size=6))
def test_no_permutation_of_independent_rungs_is_cheaper(drawn: list[tuple[float, float]]) -> None:
    rungs = [Priced(id=str(i), cost=c, probability=q) for i, (c, q) in enumerate(drawn)]
    best = min(expected_cost(p) for p in itertools.permutations(rungs))
    assert expected_cost(ladder_order(rungs)) <= best * (1.0 + 1e-12)


@settings(max_examples=60, deadline=None)
@given(st.lists(prices, min_size=1, max_size=8), st.data())
def test_what_is_required_comes_first_and_nothing_is_lost(
    drawn: list[tuple[float, float]], data: st.DataObject
) -> None:
    rungs = []
    for i, (c, q) in enumerate(drawn):
        below = data.draw(st.sets(st.integers(0, i - 1)) if i else st.just(set[int]()))
        rungs.append(Priced(id=str(i), cost=c, probability=q, requires=tuple(map(str, below))))
    ordered = ladder_order(data.draw(st.permutations(rungs)))
    place = {rung.id: i for i, rung in enumerate(ordered)}
    assert sorted(place, key=int) == [str(i) for i in range(len(rungs))]
    assert all(place[name] < place[rung.id] for rung in ordered for name in rung.requires)


def test_with_precedence_the_order_is_a_heuristic_and_can_be_beaten() -> None:
    gate = Priced(id="g", cost=10, probability=0.1)
    behind = Priced(id="b", cost=1, probability=1.0, requires=("g",))
    other = Priced(id="o", cost=30, probability=0.4)
    ordered = ladder_order([gate, behind, other])
    assert _ids(ordered) == "ogb"  # 30/.4 = 75 before 10/.1 = 100
    assert expected_cost([gate, behind, other]) < expected_cost(ordered)
    assert order_note([gate, behind, other]) == HEURISTIC


def test_ties_go_to_the_cheaper_and_then_to_the_first_of_the_file() -> None:
    dear, cheap = Priced(id="d", cost=4, probability=1.0), Priced(id="c", cost=2, probability=0.5)
    assert _ids(ladder_order([dear, cheap])) == "cd"
    free = [Priced(id=name, cost=0, probability=q) for name, q in (("x", 0.1), ("y", 0.9))]
    assert _ids(ladder_order([cheap, *free])) == "xyc"
    assert expected_cost(free) == 0.0


@pytest.mark.parametrize(
    ("requires", "cycle"),
    [
        ({"a": ("a",)}, "a -> a"),
        ({"a": ("b",), "b": ("c",), "c": ("a",)}, "a -> b -> c -> a"),
        ({"a": ("b",), "b": ("c",), "c": ("b",)}, "b -> c -> b"),
    ],
)
def test_a_cycle_is_named(requires: dict[str, tuple[str, ...]], cycle: str) -> None:
    rungs = [Priced(id=n, cost=1, probability=0.5, requires=requires.get(n, ())) for n in "abc"]
    with pytest.raises(TollensError) as caught:
        ladder_order(rungs)
    assert (caught.value.code, caught.value.found) == ("ladder_cycle", cycle)
    assert caught.value.exit_code is Exit.REFUSED_TO_SEAL


def test_what_the_message_says_breaks_the_cycle() -> None:
    a, b = (Priced(id=n, cost=1, probability=0.5, requires=(m,)) for n, m in ("ab", "ba"))
    with pytest.raises(TollensError, match="Remove 'b' from the requires of 'a'"):
        ladder_order([a, b])
    assert _ids(ladder_order([Priced(id="a", cost=1, probability=0.5), b])) == "ab"


def test_a_long_chain_needs_no_recursion() -> None:
    chain = [
        Priced(id=str(i), cost=1, probability=0.5, requires=(str(i + 1),) if i < 1500 else ()) for i in range(1501)
    ]
    assert ladder_order(chain)[0].id == "1500"


def test_an_unknown_requirement_is_refused() -> None:
    with pytest.raises(TollensError) as caught:
        ladder_order([Priced(id="a", cost=1, probability=0.5, requires=("z",))])
    assert (caught.value.code, caught.value.found) == ("ladder_requires", "'z'")
    assert caught.value.exit_code is Exit.REFUSED_TO_SEAL


@pytest.mark.parametrize(
    "rung",
    [
        Priced(id="a", cost=-1, probability=0.5),
        Priced(id="a", cost=float("nan"), probability=0.5),
        Priced(id="a", cost=float("inf"), probability=0.5),
        Priced(id="a", cost=1, probability=0.0),
        Priced(id="a", cost=1, probability=1.1),
        Priced(id="a", cost=1, probability=float("nan")),
        Priced(id="a", cost=1, probability=0.5, source="I feel it"),
        Priced(id="a", cost=1, probability=0.5, source="history 3/2"),
        Priced(id="a", cost=1, probability=0.5, source="history 0/0"),
    ],
)
def test_a_rung_without_a_usable_price_is_refused(rung: Priced) -> None:
    with pytest.raises(TollensError) as caught:
        ladder_order([rung])
    assert (caught.value.code, caught.value.exit_code) == ("ladder_rung", Exit.REFUSED_TO_SEAL)


def test_two_rungs_of_one_name_are_refused() -> None:
    with pytest.raises(TollensError, match="two rungs of that name"):
        ladder_order([THREE[0], THREE[0]])


def test_history_of_fewer_than_five_cases_prints_as_prior() -> None:
    shown = [shown_source(Priced(id="a", cost=1, probability=0.5, source=s)) for s in
             ("prior", "history 2/4", "history 2/5")]  # fmt: skip
    assert shown == ["prior", "prior (2 of 4 past cases)", "history 2/5"]
