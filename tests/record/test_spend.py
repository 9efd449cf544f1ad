"""Rows of money against the records they follow from, and what a row may say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tollens.core.errors import TollensError
from tollens.record.bodies import check_bodies
from tollens.record.ledger import Writer, read_ledger
from tollens.record.spend import mismatches, unpaid

from .rows import NEXT, Book, killed

ROW: dict[str, Any] = {
    "claim": "c", "rung": "r", "cell": "all", "attempt": 1, "kind": "actual", "currency": "USD", "amount_micro": 5,
    "rate_id": "sealed", "quantity": 2, "unit": "request", "evidence": "e",
}  # fmt: skip


def test_an_honest_ledger_has_none() -> None:
    assert mismatches(killed().records) == []


def row_of(book: Book, rung: str, kind: str = "actual") -> int:
    """Its line."""
    return next(
        n for n, r in enumerate(book.records, 1)
        if r.type == "spend" and r.body["rung"] == rung and r.body["kind"] == kind
    )  # fmt: skip


def changed(book: Book, line: int, **more: Any) -> Book:
    book.records[line - 1].body.update(more)
    return book


def lines(book: Book) -> list[int]:
    return [line for line, _ in mismatches(book.records)]


def test_a_cheaper_row_is_found_and_so_is_the_verdict_that_hides_it() -> None:
    book = killed()
    wrong = row_of(book, "gpu")
    changed(book, wrong, amount_micro=27)
    assert lines(book) == [wrong, len(book.records)]
    assert "4 x 7 = 28" in mismatches(book.records)[0][1]
    book.records[-1].body["decision"]["spent"]["usd_micro"] = 27
    assert lines(book) == [wrong]


def test_requests_that_nobody_started_or_nobody_paid_are_found() -> None:
    for quantity in (3, 5, "4.5"):
        book = killed()
        wrong = row_of(book, "gpu")
        changed(book, wrong, quantity=quantity, amount_micro=28)
        assert wrong in lines(book)
    book = killed()
    del book.records[row_of(book, "gpu") - 1]
    (first, second) = mismatches(book.records)
    assert "0 requests paid, 4 cells started" in first[1]
    assert "verdict states 28" in second[1]


def test_a_verdict_that_states_other_money_is_found() -> None:
    book = killed()
    book.records[-1].body["decision"]["spent"]["usd_micro"] = 29
    assert lines(book) == [len(book.records)]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"rung": "dear"}, "not sealed"),
        ({"currency": "EUR"}, "28 EUR"),
        ({"seal": NEXT}, "not sealed above"),
        ({"seal": None}, "of no seal"),
    ],
)
def test_a_row_of_another_place_is_found(more: dict[str, Any], said: str) -> None:
    book = killed()
    line = row_of(book, "gpu")
    changed(book, line, **more)
    assert any(found == line and said in what for found, what in mismatches(book.records))


def test_rows_by_hand_bind_nothing() -> None:
    book = killed()
    book.by_hand("actual", "gpu", 12_400_000)
    book.by_hand("actual", "other", 1, "USD")
    book.by_hand("refund", "gpu", -400)
    assert mismatches(book.records) == []


def test_a_run_that_goes_on_or_broke_off_is_not_counted_yet() -> None:
    book = Book()
    book.start()
    book.cells("gpu", 2)
    assert mismatches(book.records) == []
    book.finish(failed="metric_failed")
    assert mismatches(book.records) == []
    book.start()
    book.finish()
    assert lines(book) == [len(book.records)]


def test_each_seal_is_held_to_its_own_prices() -> None:
    book = killed()
    book.sealed(NEXT, {"gpu": 9}, kind="amend")
    book.start()
    book.cells("gpu", 2)
    book.row("actual", "gpu", 18, 2)
    book.finish()
    book.verdict("SURVIVED", "gpu", 18)
    assert mismatches(book.records) == []
    changed(book, len(book.records) - 2, amount_micro=14)
    assert len(book.records) - 2 in lines(book)


def test_what_a_run_that_broke_off_has_started_is_due_when_its_seal_is_amended() -> None:
    """And missing for good where the amendment did not write it."""
    book = Book()
    book.start()
    book.cells("cheap", 2)
    book.row("actual", "cheap", 0, 2)
    book.cells("gpu", 3)
    seal = book.records[0]
    (row,) = unpaid(book.records, seal)
    assert (row["rung"], row["quantity"], row["amount_micro"], row["run"]) == ("gpu", 3, 21, book.run)
    assert mismatches(book.records) == []
    silent = [*book.records]
    book.add("spend", row)
    assert unpaid(book.records, seal) == []
    book.sealed(NEXT, kind="amend", amends=book.records[0].body["seal"])
    assert mismatches(book.records) == []
    book.records = silent
    book.sealed(NEXT, kind="amend", amends=book.records[0].body["seal"])
    assert mismatches(book.records) == [(len(book.records), "spend of rung 'gpu': 0 requests paid, 3 cells started")]


def test_a_seal_of_nothing_sensible_ends_nothing() -> None:
    for study in ({}, {"rung": "x"}, {"rung": [{"id": 1}]}, {"claim": 3}):
        book = killed()
        book.records[0].body["manifest"]["study"] = study
        assert any("not sealed" in what for _, what in mismatches(book.records))


def test_a_row_as_earlier_versions_wrote_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    Writer(path).append("spend", {**ROW, "seal": "a" * 64, "run": "f" * 32})
    Writer(path).append("spend", {**ROW, "kind": "refund", "amount_micro": -5, "quantity": "3.25"})
    assert len(read_ledger(path).records) == 2


@pytest.mark.parametrize(
    "more",
    [
        {"kind": "refund"}, {"amount_micro": -1}, {"kind": "estimate", "amount_micro": -1}, {"kind": "gift"},
        {"amount_micro": 0.5}, {"amount_micro": True}, {"amount_micro": "5"}, {"currency": "usd"}, {"currency": "US"},
        {"currency": "USD\n"}, {"attempt": 0}, {"quantity": "1e3"}, {"quantity": -1}, {"quantity": 1.5},
        {"quantity": ""}, {"quantity": "1\n"}, {"seal": "a"}, {"run": 3}, {"rung": None},
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_money_breaks_the_ledger(tmp_path: Path, more: dict[str, Any]) -> None:
    path = tmp_path / "ledger.jsonl"
    Writer(path).append("spend", ROW)
    read_ledger(path)
    Writer(path).append("spend", {**ROW, **more})
    with pytest.raises(TollensError, match=r"TAMPERED ledger.jsonl:2") as broken:
        read_ledger(path)
    assert (broken.value.code, broken.value.exit_code) == ("ledger_broken", 20)


@pytest.mark.parametrize("missing", sorted(ROW))
def test_every_field_of_a_row_is_asked_for(missing: str) -> None:
    book = Book()
    book.records = []
    book.add("spend", {name: value for name, value in ROW.items() if name != missing})
    with pytest.raises(TollensError, match="ledger_broken"):
        check_bodies(book.records, "ledger.jsonl")


@pytest.mark.parametrize("amount", [2**53, -(2**53)])
def test_an_amount_that_json_does_not_keep_cannot_be_written(tmp_path: Path, amount: int) -> None:
    append: Callable[..., Any] = Writer(tmp_path / "ledger.jsonl").append
    with pytest.raises(ValueError, match=r"2\^53"):
        append("spend", {**ROW, "amount_micro": amount})
