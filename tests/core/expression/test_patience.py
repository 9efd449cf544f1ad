"""Before so many more entries are read, an open rule stays open: on rules with known answers and on any filling."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollens.core.expression.check import Declared, Sort
from tollens.core.expression.evaluate import evaluate, patience
from tollens.core.expression.parser import parse
from tollens.core.expression.ranges import Entry, Support
from tollens.core.reading import Undefined
from tollens.core.units import ONE
from tollens.core.verdict import Verdict

NOT_RUN = Undefined("not_run")
REAL = {name: Declared(True, Sort.REAL, ONE) for name in "xy"}


def readings(values: dict[str, list[float]], read: int, high: float = 10.0) -> dict[str, list[Entry]]:
    return {
        name: [
            Entry(str(place), value if place < read else NOT_RUN, Support(-high, high))
            for place, value in enumerate(row)
        ]
        for name, row in values.items()
    }


@pytest.mark.parametrize(
    ("rule", "read", "more"),
    [
        # Of 10 entries in [-10, 10] none is read: the hull is [-10, 10], and one entry moves an end by 20/10 = 2.
        ("mean(x) >= 0", 0, 5),
        ("mean(x) >= 9", 0, 1),
        ("0.5 >= mean(x)", 0, 5),  # 9.5/2 = 4.75
        ("mean(x) >= 11", 0, None),
        # Four entries of 1: the hull is [(4 - 60)/10, (4 + 60)/10] = [-5.6, 6.4], and 0 is 5.6/2 = 2.8 away.
        ("mean(x) >= 0", 4, 3),
        ("not mean(x) < 0", 4, 3),
        ("mean(x) >= 0 and mean(x) >= 6", 4, 1),  # 6.4 - 6 = 0.4
        ("mean(x) >= 0 or mean(y) > -12", 4, 3),  # the second atom is decided and stays so
        ("mean(x) - mean(y) > 0", 4, 1),
        ("min(x) >= 0", 4, 1),
        ("any(x > 9)", 4, 1),
    ],
)
def test_the_number_of_entries_that_an_answer_needs(rule: str, read: int, more: int | None) -> None:
    values = {name: [1.0] * 10 for name in "xy"}
    assert patience(parse(rule), readings(values, read), REAL) == more


def test_without_a_support_the_next_entry_may_decide() -> None:
    values = {"x": [1.0] * 10}
    assert patience(parse("mean(x) >= 0"), readings(values, 4, float("inf")), REAL) == 1


ATOMS = (
    "mean(x) >= 2", "mean(x) < -1", "2 > mean(y)", "mean(x) - mean(y) > 0", "min(x) >= -9", "any(y > 9)",
    "all(x < 10)", "quantile(0.5, y) <= 1", "mean(x) + max(y) >= 12",
)  # fmt: skip
rules = st.recursive(
    st.sampled_from(ATOMS),
    lambda inner: st.one_of(
        st.builds("({} and {})".format, inner, inner),
        st.builds("({} or {})".format, inner, inner),
        st.builds("(not {})".format, inner),
    ),
    max_leaves=4,
)
numbers = st.one_of(st.sampled_from([-10.0, 10.0, 0.0, 3.0]), st.floats(-10, 10, allow_subnormal=False))


@given(rules, st.integers(1, 7).flatmap(lambda n: st.tuples(*[st.lists(numbers, min_size=n, max_size=n)] * 2)))
def test_fewer_entries_leave_a_rule_as_it_is(rule: str, rows: tuple[list[float], list[float]]) -> None:
    parsed, values = parse(rule), dict(zip("xy", rows, strict=True))
    truths = [evaluate(parsed, readings(values, read), REAL).verdict for read in range(len(rows[0]) + 1)]
    for read, truth in enumerate(truths):
        more = patience(parsed, readings(values, read), REAL)
        assert more is None or more >= 1
        kept = truths[read:] if more is None else truths[read : read + more]
        assert set(kept) == {truth}
    assert truths[-1] is not Verdict.UNDETERMINED
