"""Linear feasibility: strictness at the edges, whole variables, and agreement with a grid."""

from __future__ import annotations

import itertools
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollens.core.expression import feasible
from tollens.core.expression.feasible import Inequality, Solution, Variable, inside, solve

REAL = Variable()
WHOLE = Variable(whole=True)


def row(*coefficients: int, at_most: int | Fraction, strict: bool = False) -> Inequality:
    """coefficients . x <= at_most, or < if strict."""
    return Inequality({i: Fraction(c) for i, c in enumerate(coefficients)}, -Fraction(at_most), strict)


def holds(found: Inequality, values: tuple[Fraction, ...]) -> bool:
    total = found.constant + sum(c * values[i] for i, c in found.coefficients.items())
    return total < 0 or (total == 0 and not found.strict)


@pytest.mark.parametrize(("strict", "values"), [(False, (Fraction(2), Fraction(1))), (True, None)])
def test_strictness_at_a_vertex(strict: bool, values: tuple[Fraction, ...] | None) -> None:
    # x + y <= 3, x >= 2, y >= 1 meet in (2, 1) alone; the strict sum excludes it.
    rows = [row(1, 1, at_most=3, strict=strict), row(-1, 0, at_most=-2), row(0, -1, at_most=-1)]
    assert solve([REAL, REAL], rows) == Solution(values)


def test_a_triangle_of_strict_inequalities() -> None:
    # x < y < z < x contradicts itself; without the last one it does not.
    chain = [row(1, -1, 0, at_most=0, strict=True), row(0, 1, -1, at_most=0, strict=True)]
    assert solve([REAL] * 3, [*chain, row(-1, 0, 1, at_most=0, strict=True)]) == Solution(None)
    x, y, z = solve([REAL] * 3, chain).values or ()
    assert x < y < z


def test_bounds_do_not_imply_a_strict_row_that_they_touch() -> None:
    square = [Variable(Fraction(0), Fraction(2))] * 2
    corner = [row(-1, 0, at_most=-2), row(0, -1, at_most=-2)]
    assert solve(square, [row(1, 1, at_most=4), *corner]) == Solution((Fraction(2), Fraction(2)))
    assert solve(square, [row(1, 1, at_most=4, strict=True), *corner]) == Solution(None)


def test_constants_alone() -> None:
    assert solve([], [row(at_most=0)]) == Solution(())
    assert solve([], [row(at_most=0, strict=True)]) == Solution(None)
    assert solve([REAL], [row(0, at_most=-1)]) == Solution(None)


def test_rounding_and_branching_on_whole_variables() -> None:
    # 4 x - 4 y = 2 has no whole solution, which rounding shows though the variables are unbounded.
    assert solve([WHOLE, WHOLE], [row(4, -4, at_most=2), row(-4, 4, at_most=-2)]) == Solution(None)
    # A whole x beside a real y cannot be rounded: 2 x + y = 1, 0 < y < 1 leaves x in (0, 1/2); branching shows it.
    rows = [row(2, 1, at_most=1), row(-2, -1, at_most=-1), row(0, -1, at_most=0, strict=True)]
    assert solve(
        [Variable(Fraction(-5), Fraction(5), whole=True), REAL], [*rows, row(0, 1, at_most=1, strict=True)]
    ) == (Solution(None))
    assert solve([WHOLE, REAL], [*rows, row(0, 1, at_most=1)]) == Solution((Fraction(0), Fraction(1)))


def test_allowed_values() -> None:
    gaps = Variable(Fraction(0), Fraction(9), whole=True, allowed=(0, 4, 9))
    assert solve([gaps], [row(-1, at_most=-1), row(1, at_most=3)]) == Solution(None)
    assert solve([gaps, gaps], [row(-1, -1, at_most=-13), row(1, 1, at_most=13)]).values in ((4, 9), (9, 4))
    assert solve([gaps, gaps], [row(-1, -1, at_most=-10), row(1, 1, at_most=12)]) == Solution(None)


def test_limits_are_said_to_prove_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [row(2, 1, at_most=1), row(-2, -1, at_most=-1), row(0, -1, at_most=0, strict=True)]
    rows.append(row(0, 1, at_most=1, strict=True))
    monkeypatch.setattr(feasible, "MAX_BRANCHES", 1)
    assert solve([WHOLE, REAL], rows) == Solution(None, proven=False)
    monkeypatch.setattr(feasible, "MAX_ROWS", 0)
    assert solve([REAL, REAL], [row(1, 1, at_most=3), row(-1, -2, at_most=-2)]) == Solution(None, proven=False)


@pytest.mark.parametrize(
    ("interval", "value"),
    [
        ((Fraction(1, 3), False, None, False), Fraction(1, 3)),
        ((Fraction(1, 3), True, None, False), Fraction(1)),
        ((Fraction(1, 3), True, Fraction(1), True), Fraction(2, 5)),
        ((Fraction(0), True, Fraction(1, 10), False), Fraction(1, 10)),
        ((Fraction(0), True, Fraction(1, 10), True), Fraction(1, 100)),
        ((None, False, None, False), Fraction(0)),
        ((None, False, Fraction(-1, 2), False), Fraction(-1, 2)),
        ((None, False, Fraction(-3), True), Fraction(-4)),
        ((None, False, Fraction(0), True), Fraction(-1)),
    ],
)
def test_short_values(interval: tuple[Fraction | None, bool, Fraction | None, bool], value: Fraction) -> None:
    assert inside(*interval) == value


COEFFICIENTS = st.tuples(st.integers(-3, 3), st.integers(-3, 3), st.integers(-3, 3))
ROWS = st.lists(
    st.builds(lambda c, b, strict: row(*c, at_most=b, strict=strict), COEFFICIENTS, st.integers(-4, 4), st.booleans()),
    max_size=6,
)


@settings(max_examples=150, deadline=None)
@given(rows=ROWS, whole=st.tuples(st.booleans(), st.booleans(), st.booleans()))
def test_agreement_with_a_grid(rows: list[Inequality], whole: tuple[bool, bool, bool]) -> None:
    variables = [Variable(Fraction(-2), Fraction(2), whole=w) for w in whole]
    solution = solve(variables, rows)
    if solution.values is not None:
        assert all(holds(found, solution.values) for found in rows)
        assert all(-2 <= v <= 2 and (not w or v.denominator == 1) for v, w in zip(solution.values, whole, strict=True))
    else:
        assert solution.proven
        for point in itertools.product(*([Fraction(k, 1 if w else 2) for k in range(-2, 3)] for w in whole)):
            assert not all(holds(found, point) for found in rows)


@settings(max_examples=100, deadline=None)
@given(rows=ROWS, strict=st.booleans(), weights=st.lists(st.integers(1, 3), min_size=6, max_size=6))
def test_a_certificate_of_emptiness_is_found(rows: list[Inequality], strict: bool, weights: list[int]) -> None:
    # Farkas (1902): the weighted sum of the rows turned round, with its end moved past it, excludes them all.
    weighted = list(zip(weights, rows, strict=False))
    total = [sum((w * r.coefficients[i] for w, r in weighted), Fraction(0)) for i in range(3)]
    constant = sum((w * r.constant for w, r in weighted), Fraction(0))
    opposite = Inequality({i: -c for i, c in enumerate(total)}, -constant + (0 if strict else 1), strict)
    assert solve([REAL] * 3, [*rows, opposite]) == Solution(None)
