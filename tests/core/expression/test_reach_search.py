"""What is done beyond 4,096 conjuncts: the search finds only real witnesses and proves only what is so."""

from __future__ import annotations

import itertools
from fractions import Fraction

import pytest

from tollens.core.expression import conjuncts, search
from tollens.core.expression import reach as reach_module
from tollens.core.expression.check import Sort
from tollens.core.expression.domain import Domain, grid_of
from tollens.core.expression.parser import parse
from tollens.core.expression.ranges import Support
from tollens.core.expression.reach import Reachable, Undecided, Unreachable, reach
from tollens.core.expression.sorted_lists import Space

INF = float("inf")
DOMAINS = {
    "x": Domain(Support(-10, 10), count=4),
    "y": Domain(Support(), count=3),
    "n": Domain(Support(-1000, 1000), Sort.INTEGER, count=3),
    "a": Domain(Support(-10, 10)),
    "b": Domain(Support(0, INF)),
    "u": Domain(Support(values=(0, 1, 5, 6)), count=9),
}


@pytest.fixture(autouse=True)
def _no_conjuncts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conjuncts, "MAX_CONJUNCTS", 0)
    monkeypatch.setattr(search, "MAX_POINTS", 0)
    monkeypatch.setattr(reach_module, "_FEW", 0)


@pytest.mark.parametrize(
    "text",
    [
        "min(x) >= -0.5 and mean(x) > 3",
        "max(y) < -0.5 and mean(y) < -100",
        "quantile(0.5, n) == 7 and min(n) < -900",
        "a + b > 12 and a < 3",
        "a > 3 and a < 3.001",
        "b > 1000000",
        "mean(u) > 2 and mean(u) < 2.4",
        "any(n == 5) and all(n != 6)",
        "mean(n) > 0.3 and mean(n) < 0.4",
    ],
)
def test_witnesses_are_found(text: str) -> None:
    assert isinstance(reach(parse(text), DOMAINS), Reachable)


@pytest.mark.parametrize(
    "text",
    [
        "a > 3 and a < 2",
        "a + a > 20.5 or a - b > 10.5",
        "min(x) > 3 and max(x) < 2",
        "quantile(0.5, n) > 7 and quantile(0.5, n) < 8",
        "max(u) > 1 and max(u) < 5",
    ],
)
def test_emptiness_is_proved_by_boxes(text: str) -> None:
    assert isinstance(reach(parse(text), DOMAINS), Unreachable)


def test_touching_boxes_stay_undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    # a > b and a < b excludes the line a = b, which boxes cover ever more finely and never leave.
    monkeypatch.setattr(search, "MAX_BOXES", 300)
    monkeypatch.setattr(search, "MAX_CANDIDATES", 100)
    answer = reach(parse("a > b and a < b"), DOMAINS)
    assert isinstance(answer, Undecided)
    assert "a > b and a < b" in answer.why


def test_sums_between_order_statistics_are_exactly_those_that_occur() -> None:
    grid = [Fraction(k) for k in range(3)]
    lists = list(itertools.combinations_with_replacement(grid, 5))
    for places in ((), (1,), (5,), (2, 4), (1, 3, 5)):
        keys = [search.Order("x", place) for place in places]
        for values in {tuple(entries[p - 1] for p in places) for entries in lists}:
            sums = {sum(e) for e in lists if all(e[p - 1] == v for p, v in zip(places, values, strict=True))}
            low, high = search._sums(keys, values, 5, Fraction(0), Fraction(2))
            assert low is not None
            assert high is not None
            assert sums == {Fraction(s) for s in range(int(low), int(high) + 1)}


def test_only_what_can_be_listed_is_enumerated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()

    def count(size: int, n: int | None) -> int | None:
        domain = Domain(Support(1, size), Sort.INTEGER, n)
        return search.assignments(Space({"n": grid_of("n", domain)}, {"n": n}))

    assert count(10**6, None) == 10**6
    assert count(10**6 + 1, None) is None
    assert count(2, 19) == 20  # 2^19 sequences, 20 multisets
    assert count(3, 10) == 66  # C(12, 2)
    assert count(3, 1000) is None  # 501501 multisets of 1000 entries would fill the memory
    assert count(1, 10**5) == 1
    assert count(10**9, 10**9) is None
