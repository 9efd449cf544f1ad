from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tollens.lint.invariants
from tollens.lint.ask import judge_one
from tollens.lint.example import example_claim
from tollens.lint.finding import Finding
from tollens.lint.law import Example
from tollens.lint.registry import INVARIANTS, wrong_answers
from tollens.lint.summary import adds, is_duration, quantile

assert tollens.lint.invariants
FAMILY = [made for made in INVARIANTS.values() if made.family == "acct"]
ROW_3 = {"parts": ["85 ms", "620 ms", "680 ms", "45 ms"], "total": "380 ms"}


def said(kind: str, **fields: Any) -> Finding:
    made = INVARIANTS[kind]
    return judge_one(example_claim(made, Example(fields, "")), made)


def text(value: float | Fraction, digits: int, scientific: bool) -> str:
    return f"{float(value):.{digits}e}" if scientific else f"{float(value):.{digits}f}"


def half(number: str) -> Fraction:
    """Half a unit of the last digit, from the decimal as it stands."""
    return Fraction(Decimal(1).scaleb(int(Decimal(number).as_tuple().exponent))) / 2


sizes = st.floats(1e-3, 1e5)
digits = st.integers(0, 6)
style = st.booleans()


@pytest.mark.parametrize("made", FAMILY, ids=lambda made: made.id)
def test_known_answers_hold(made: Any) -> None:
    assert [wrong for example in made.known for wrong in wrong_answers(made, example)] == []


def test_four_stages_cannot_make_a_total_below_one_of_them() -> None:
    found = said("acct.stage_floor", sequential=True, **ROW_3)
    assert (found.outcome, found.subtype, found.bound) == ("refuted", "impossible", 680.0)
    assert found.witness == (
        "total = 380 [379.5, 380.5] < largest stage = 680 [679.5, 680.5] ms; the 4 stages sum to 1,430"
    )
    assert said("acct.stage_floor", **ROW_3).settle == "state sequential = true"
    for word in ("mean", "p50", "p99.9", "max"):
        assert said("acct.stage_floor", sequential=True, percentile=word, **ROW_3).outcome == "refuted"
    assert said("acct.stage_floor", sequential=True, percentile="standard deviation", **ROW_3).outcome == "unchecked"


def test_means_add_and_quantiles_do_not() -> None:
    assert said("acct.sum", percentile="mean", sequential=True, **ROW_3).outcome == "refuted"
    assert said("acct.sum", percentile="mean", sequential=False, **ROW_3).outcome == "unchecked"
    for word in ("p99", "median", "max", "standard deviation"):
        assert said("acct.sum", percentile=word, sequential=True, **ROW_3).outcome == "undetermined", word
    found = said("acct.sum", sequential=True, **ROW_3)
    assert (found.outcome, found.missing) == ("unchecked", ("percentile",))


def test_a_quantile_of_a_sum_lies_on_either_side_of_the_sum_of_quantiles() -> None:
    """Two stages, 0 or 1 second, 1 with chance 0.006 apiece: p99 is 0 for each.

    Where they never coincide the total is 1 with chance 0.012, so its p99 is 1 > 0 + 0. With chance 0.012
    apiece and always together, p99 is 1 for each and 2 for the total; never together it is 1 < 1 + 1.
    """

    def p99(chances: dict[int, Fraction]) -> int:
        running = Fraction(0)
        for value in sorted(chances):
            running += chances[value]
            if running >= Fraction(99, 100):
                return value
        raise AssertionError

    rare, more = Fraction(6, 1000), Fraction(12, 1000)
    assert (p99({0: 1 - rare, 1: rare}), p99({0: 1 - 2 * rare, 1: 2 * rare})) == (0, 1)
    assert (p99({0: 1 - more, 1: more}), p99({0: 1 - 2 * more, 1: 2 * more})) == (1, 1)
    for total in ("1.000 s", "0.001 s", "9 s"):
        assert said("acct.sum", parts=["0.000 s", "0.000 s"], total=total, percentile="p99").outcome == "undetermined"


def test_the_gap_is_named() -> None:
    found = said("acct.sum", parts=["3.0 GB", "4.0 GB"], total="9.0 GB")
    assert (found.outcome, found.settle) == ("undetermined", "name the rest as unattributed")
    assert found.witness == "the parts leave 2 GB of the total 9"
    assert said("acct.sum", parts=["3.0 GB", "4.0 GB"], total="9000 MB", unattributed="2.0 GB").outcome == "supported"
    assert said("acct.sum", parts=["3.0 GB", "4.0 ms"], total="9.0 GB").outcome == "unchecked"


def test_money_adds_in_decimals() -> None:
    """Ten dimes are a dollar; ten times the float 0.1 is not 1."""
    assert sum([0.1] * 10) != 1.0
    found = said("acct.money", amounts=["0.10 USD"] * 10, total="1.00 $")
    assert (found.outcome, found.subtype) == ("supported", "identity")
    assert found.witness.endswith("the amounts add to 1.00 USD") or found.witness.endswith("the amounts add to 1.00 $")
    off = said("acct.money", amounts=["0.000001 USD", "12,345.67 USD"], total="12,345.80 USD")
    assert "12,345.670001 USD, 0.129999 less" in off.witness


@pytest.mark.parametrize(
    ("improvement", "outcome"),
    [("4.0", "supported"), ("75 %", "supported"), ("300 %", "undetermined"), ("-75 %", "undetermined"),
     ("0.25", "undetermined"), ("5.0", "refuted"), ("60 %", "refuted"), (">3", "supported"), (">5", "refuted")],
)  # fmt: skip
def test_every_reading_of_an_improvement(improvement: str, outcome: str) -> None:
    """400 to 100 ms is 4 times as fast, 75 % saved, 300 % faster, -75 % of change."""
    assert said("acct.ratio", before="400.0 ms", after="0.1000 s", improvement=improvement).outcome == outcome


def test_the_witness_has_the_numbers_as_printed() -> None:
    """64/16 is 4, though the middle of all that 64 and 16 can be is 4.005; the last place of a float is no gap."""
    other = said("acct.ratio", before="64 s", after="16 s", improvement="3")
    assert other.witness == "before / after = 4, but before / after - 1 = 3"
    assert "leave" not in said("acct.sum", parts=["0.1 GB", "0.2 GB"], total="0.30000000000000004 GB").witness


def test_percent_and_points() -> None:
    assert said("acct.ratio", before="50 %", after="60 %", improvement="10 %").outcome == "undetermined"
    assert said("acct.ratio", before="50.0 %", after="60.0 %", improvement="15.0 %").outcome == "refuted"


@pytest.mark.parametrize(
    ("word", "level"),
    [("p99", 0.99), ("P50", 0.5), ("p99.9", 0.999), ("p999", 0.999), ("95th percentile", 0.95), ("median", 0.5),
     ("max", 1.0), ("p100", 1.0), ("99", 0.99), ("mean", None), ("spread", None), ("p", None), ("", None)],
)  # fmt: skip
def test_words_for_quantiles(word: str, level: float | None) -> None:
    found = quantile(word)
    assert found == (level if level is None else pytest.approx(level))
    assert adds(word) is (word == "mean")


def test_durations() -> None:
    assert is_duration("ms")
    assert is_duration("h")
    assert not any(is_duration(unit) for unit in ("GB", "1/s", "1", None))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(sizes, digits, style), min_size=1, max_size=6), digits, style, st.booleans())
def test_true_parts_and_their_true_total_are_never_refuted(
    parts: list[tuple[float, int, bool]], d: int, scientific: bool, thousandths: bool
) -> None:
    exact = sum((Fraction(value) for value, _, _ in parts), Fraction(0))
    written = [f"{text(value, n, s)} s" for value, n, s in parts]
    total = f"{text(exact * 1000, d, scientific)} ms" if thousandths else f"{text(exact, d, scientific)} s"
    for percentile in ("mean", "p99"):
        found = said("acct.sum", parts=written, total=total, percentile=percentile, sequential=True)
        assert found.outcome != "refuted", found.witness
        assert said("acct.stage_floor", parts=written, total=total, sequential=True).outcome != "refuted"
    amounts = [part.replace(" s", " USD") for part in written]
    assert said("acct.money", amounts=amounts, total=f"{text(exact, d, scientific)} USD").outcome != "refuted"


@settings(max_examples=300, deadline=None)
@given(sizes, sizes, digits, digits, digits, style)
def test_true_quotients_and_products_are_never_refuted(
    a: float, b: float, da: int, db: int, d: int, scientific: bool
) -> None:
    x, y = Fraction(a), Fraction(b)
    first, second = text(x, da, scientific), text(y, db, scientific)
    share = {"elapsed": f"{first} s", "total": f"{second} s"}
    for fraction in (f"{text(x / y, d, scientific)} 1", f"{text(100 * x / y, d, scientific)} %"):
        assert said("acct.elapsed", fraction=fraction, **share).outcome != "refuted"
    pair = {"before": f"{first} ms", "after": f"{second} ms"}
    for gained in (f"{text(x / y, d, scientific)} 1", f"{text(100 - 100 * y / x, d, scientific)} %"):
        assert said("acct.ratio", improvement=gained, **pair).outcome != "refuted"
    requests = 1 + int(b)
    made = {"requests": str(requests), "time_per_request": f"{first} s", "sequential": True}
    assert said("acct.product", total=f"{text(requests * x / 60, d, scientific)} min", **made).outcome != "refuted"


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(sizes, digits), min_size=1, max_size=6), digits, st.integers(1, 100))
def test_a_total_beyond_every_rounding_is_refuted(parts: list[tuple[float, int]], d: int, beyond: int) -> None:
    written = [text(value, n, False) for value, n in parts]
    made = sum((Fraction(Decimal(part)) for part in written), Fraction(0))
    slack = sum((half(part) for part in written), Fraction(0))
    step = Fraction(1, 10**d)
    low = Fraction(math.floor((made - slack) / step) - beyond) * step
    found = said("acct.sum", parts=[f"{p} GB" for p in written], total=f"{Decimal(text(low, d, False))} GB")
    assert found.outcome == "refuted", found.witness
    assert found.margin_rounded is not None
    assert found.margin_rounded < 0
    high = Fraction(int((made + slack) / step) + 1 + beyond) * step
    found = said("acct.money", amounts=[f"{p} USD" for p in written], total=f"{text(high, d, False)} USD")
    assert found.outcome == "refuted", found.witness
    stage = {"parts": [f"{p} s" for p in written], "total": f"{text(low, d, False)} s", "sequential": True}
    floor = max(Fraction(Decimal(p)) - half(p) for p in written)
    assert (said("acct.stage_floor", **stage).outcome == "refuted") == (
        Fraction(Decimal(text(low, d, False))) + step / 2 < floor
    )


@settings(max_examples=100, deadline=None)
@given(sizes, sizes, st.integers(2, 5))
def test_a_fraction_beyond_every_rounding_is_refuted(a: float, b: float, d: int) -> None:
    first, second = text(a, d, True), text(b, d, True)
    high = (Fraction(Decimal(first)) + half(first)) / (Fraction(Decimal(second)) - half(second))
    claimed = text(high * Fraction(1001, 1000), 5, True)
    assert Fraction(Decimal(claimed)) - half(claimed) > high
    found = said("acct.elapsed", elapsed=f"{first} s", total=f"{second} s", fraction=f"{claimed} 1")
    assert found.outcome == "refuted"
    total = {"requests": "7", "time_per_request": f"{first} s", "sequential": True}
    most = 7 * (Fraction(Decimal(first)) + half(first))
    assert said("acct.product", total=f"{text(most * Fraction(1001, 1000), 5, True)} s", **total).outcome == "refuted"


def test_many_parts() -> None:
    parts = ["0.01 USD"] * 5_000
    assert said("acct.money", amounts=parts, total="50.00 USD").outcome == "supported"
    assert said("acct.money", amounts=parts, total="150.00 USD").outcome == "refuted"


def test_amounts_without_end() -> None:
    assert said("acct.sum", parts=["inf GB", "1 GB"], total="inf GB").outcome == "undetermined"
    assert said("acct.sum", parts=["inf GB", "1 GB"], total="5 GB").outcome == "refuted"
    assert said("acct.money", amounts=["1.00 USD"], total="inf USD").outcome == "refuted"
    assert said("acct.money", amounts=["1.00 USD", ">3.00 USD"], total="9.00 USD").outcome == "undetermined"
