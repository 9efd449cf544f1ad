"""What a study cost: exact for any order of rows, each currency for itself, no estimate in what was spent."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tollens.core.canonical import SAFE
from tollens.core.money import Money
from tollens.record.bodies import SpendBody
from tollens.record.cost import Sums, study_cost, sums

from .rows import NEXT, SEAL, killed

KINDS = st.sampled_from(["estimate", "actual", "refund"])


@st.composite
def body(draw: st.DrawFn) -> SpendBody:
    kind, amount = draw(KINDS), draw(st.integers(0, SAFE))
    return SpendBody(
        claim="c", rung="gpu", cell="all", attempt=1, kind=kind, currency=draw(st.sampled_from(["EUR", "USD", "CHF"])),
        amount_micro=-amount if kind == "refund" else amount, rate_id=draw(st.sampled_from(["sealed", "stated"])),
        quantity=1, unit="request", evidence="e",
    )  # fmt: skip


def counted(rows: list[SpendBody], *kinds: str) -> dict[str, int]:
    made: Counter[str] = Counter()
    for row in rows:
        if row.kind in kinds:
            made[row.currency] += row.amount_micro
    return dict(made)


def same(money: Money, expected: dict[str, int]) -> bool:
    return {c: n for c, n in money.amounts.items() if n} == {c: n for c, n in expected.items() if n}


@given(st.lists(body(), max_size=30), st.integers(0, 2**32))
def test_sums_are_exact_in_any_order_and_over_any_partition(rows: list[SpendBody], seed: int) -> None:
    chance = random.Random(seed)
    found = sums(rows)
    assert same(found.actual, counted(rows, "actual"))
    assert same(found.refunded, counted(rows, "refund"))
    assert same(found.net, counted(rows, "actual", "refund"))
    assert same(found.estimate, counted(rows, "estimate"))
    shuffled = chance.sample(rows, len(rows))
    assert sums(shuffled) == found
    parts: list[list[SpendBody]] = [[] for _ in range(4)]
    for row in rows:
        chance.choice(parts).append(row)
    added = Sums()
    for part in parts:
        added = added + sums(part)
    assert added == found


@given(st.lists(body(), max_size=30), body())
def test_an_estimate_never_enters_what_was_spent(rows: list[SpendBody], more: SpendBody) -> None:
    if more.kind == "estimate":
        assert sums([*rows, more]).net == sums(rows).net
    else:
        assert sums([*rows, more]).estimate == sums(rows).estimate


@given(st.lists(st.tuples(KINDS, st.integers(0, 10**9), st.sampled_from(["EUR", "USD"])), max_size=12))
def test_a_ledger_with_any_rows_by_hand(rows: list[tuple[str, int, str]]) -> None:
    """What is not spent is never negative and never more than the estimate."""
    book = killed()
    for kind, amount, currency in rows:
        book.by_hand(kind, "gpu", -amount if kind == "refund" else amount, currency)
    cost = study_cost(book.records)
    made = {
        c: sum(a if k == "actual" else -a for k, a, c_ in rows if k != "estimate" and c_ == c) for c in ("EUR", "USD")
    }
    assert cost.sums.net.of("USD") == 28 + made["USD"]
    assert cost.sums.net.of("EUR") == made["EUR"]
    for rung in cost.rungs:
        for currency in ("EUR", "USD"):
            estimate = rung.now.estimate.of(currency)
            assert 0 <= rung.unspent.of(currency) <= estimate
            assert rung.prior.of(currency) <= rung.unspent.of(currency)
            assert not (rung.unspent.of(currency) and rung.overrun.of(currency))


def test_what_a_kill_saved() -> None:
    cost = study_cost(killed().records)
    assert (cost.claim, cost.seal, cost.state, cost.killed) == ("c", SEAL, "KILLED", True)
    assert [(r.id, r.state, r.requests, r.seconds) for r in cost.rungs] == [
        ("cheap", "started", 3, 1.5), ("gpu", "died here", 4, 2.0), ("last", "not started", 0, 0.0),
    ]  # fmt: skip
    assert [r.unspent.of("USD") for r in cost.rungs] == [0, 42, 500]
    assert cost.prior.of("USD") == 542
    assert cost.sums.net.amounts == {"USD": 28}
    assert cost.sums.estimate.of("USD") == 570


def test_nothing_is_saved_where_nothing_died() -> None:
    book = killed()
    for field in (book.records[-1].body, book.records[-1].body["decision"]):
        field["verdict"] = "SURVIVED"
    assert study_cost(book.records).unspent == Money()
    assert not study_cost(book.records[:-1]).killed


def test_an_overrun_is_an_overrun_and_no_negative_saving() -> None:
    book = killed()
    book.by_hand("actual", "gpu", 100, "USD")
    cost = study_cost(book.records)
    assert cost.rungs[1].unspent.of("USD") == 0
    assert cost.rungs[1].overrun.of("USD") == 128 - 70
    assert cost.unspent.of("USD") == 500


def test_a_stated_estimate_is_no_prior() -> None:
    book = killed()
    book.by_hand("estimate", "last", 41_000_000, "EUR")
    cost = study_cost(book.records)
    assert cost.unspent.amounts == {"USD": 542, "EUR": 41_000_000}
    assert cost.prior.of("EUR") == 0


def test_estimates_of_an_earlier_seal_do_not_stand_and_what_was_spent_under_it_does() -> None:
    book = killed()
    book.sealed(NEXT, {"gpu": 9}, kind="amend")
    book.start()
    book.row("estimate", "gpu", 90, 10)
    book.cells("gpu", 2)
    book.row("actual", "gpu", 18, 2)
    book.finish()
    cost = study_cost(book.records)
    assert cost.state == "SEALED"
    assert cost.seals == 2
    assert cost.sums.estimate.amounts == {"USD": 90}
    assert cost.sums.net.amounts == {"USD": 46}
    assert [(r.id, r.state) for r in cost.rungs] == [
        ("gpu", "started"), ("cheap", "no rung of this seal"), ("last", "no rung of this seal"),
    ]  # fmt: skip
    book.verdict("KILLED", "gpu", 18)
    assert study_cost(book.records).unspent.amounts == {"USD": 72}


def test_rows_of_a_seal_that_is_not_there_are_in_no_sum() -> None:
    book = killed()
    before = study_cost(book.records).sums
    line = book.row("actual", "gpu", 7, seal=NEXT).seq + 1
    cost = study_cost(book.records)
    assert cost.sums == before
    assert cost.foreign == (line,)


def test_sums_beyond_what_json_keeps_are_exact() -> None:
    book = killed()
    for _ in range(3):
        book.by_hand("actual", "other", SAFE)
    assert study_cost(book.records).sums.net.of("EUR") == 3 * SAFE
