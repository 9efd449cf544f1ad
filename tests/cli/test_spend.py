"""`tollens status --spend` and `tollens record spend` at the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.record.rows import Book, killed

from tollens.cli.main import run
from tollens.record.envelope import line

Said = pytest.CaptureFixture[str]


def full(book: Book) -> bytes:
    """The ledger of a book, with manifests and decisions that hold every field."""
    made = Book.__new__(Book)
    made.records = []
    for record in book.records:
        body = json.loads(json.dumps(record.body))
        if record.type in ("seal", "amend"):
            rows = {name: list[str]() for name in ("keys", "cells", "traps", "entries")}
            words = dict.fromkeys(("claim", "finding", "kill", "guarantee", "null", "sign_check", "sign_sentence"), "")
            body["manifest"] |= {"schema": "x", "witnesses": {}, "outside": {}, "environment": {}, **rows, **words}
            body |= {"amends": "0" * 64, "reason": "r", "access": "results seen", "floor": "results seen"}
        if record.type == "verdict":
            words = dict.fromkeys(("claim", "text", "anchor", "rule", "expected", "found", "order"), "")
            rows = {name: list[str]() for name in ("survived", "unspent", "rungs", "traps")}
            spent = {"estimate_usd_micro": 0, "seconds": 0, "estimate_seconds": None, "requests": 0}
            nothing = dict.fromkeys(("cell", "reason", "settles", "null"))
            decision = body["decision"]
            body["decision"] = {**words, **rows, **nothing, "exploratory": False, **decision}
            body["decision"]["spent"] |= spent
        made.add(record.type, body)
    return b"".join(line(record) for record in made.records)


def place(folder: Path, book: Book) -> None:
    folder.mkdir(parents=True)
    (folder / "ledger.jsonl").write_bytes(full(book))


@pytest.fixture
def studies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two killed studies with money of two currencies, in a folder of the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("one", "two"):
        book = killed()
        book.by_hand("actual", "gpu", 6_200_000)
        book.by_hand("refund", "gpu", -1)
        place(tmp_path / "lab" / name, book)
    return tmp_path / "lab"


def test_the_verdict_comes_first(studies: Path, capfd: Said) -> None:
    assert run(["status", "--spend", "lab", "--quiet"]) == 0
    assert capfd.readouterr().out == (
        "SPENT  12.399998 EUR, 0.000056 USD on 2 claims, 2 killed: 6.199999 EUR and 0.000028 USD per killed claim; "
        "0.001084 USD not spent\n"
    )


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("path", ["lab", "lab/one"])
def test_the_screen_fits(studies: Path, capfd: Said, monkeypatch: pytest.MonkeyPatch, width: int, path: str) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    assert run(["status", "--spend", path]) == 0
    shown = capfd.readouterr().out
    assert max(map(len, shown.split("\n"))) <= width
    assert "killed and on surviving claims alike" in " ".join(shown.split())
    assert "a prior" in shown
    for number in ("0.000542", "6.199999", "KILLED"):
        assert number in shown
    assert ("died here" in shown) == (path != "lab")


def test_a_study_without_a_kill_has_no_cost_of_one(studies: Path, capfd: Said) -> None:
    book = killed()
    book.records.pop()
    place(studies.parent / "open" / "study", book)
    assert run(["status", "--spend", "open"]) == 0
    assert "0 killed: n/a per killed claim" in capfd.readouterr().out


def test_json_is_one_object_with_the_exact_fraction(studies: Path, capfd: Said) -> None:
    assert run(["status", "--spend", "lab", "--json"]) == 0
    report = json.loads(capfd.readouterr().out)
    assert (report["schema"], report["exit_code"]) == ("tollens.spend/1", 0)
    assert report["per_kill"][0] == {"currency": "EUR", "net_micro": 12_399_998, "killed": 2, "micro": 6_199_999}
    assert [rung["id"] for rung in report["studies"][0]["rungs"]] == ["cheap", "gpu", "last"]


def test_what_cannot_be_read_is_said_and_leaves_2(studies: Path, capfd: Said) -> None:
    (studies / "one" / "ledger.jsonl").write_bytes(b"\x00\n")
    assert run(["status", "--spend", "lab"]) == 2
    shown = capfd.readouterr().out
    assert "1 NOT READ" in " ".join(shown.split("\n\n")[0].split())
    assert "one: ledger_broken" in shown
    assert run(["status", "--spend", "lab", "--quiet"]) == 2


def test_where_no_ledger_is_leaves_21(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Said) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["status", "--spend", "."]) == 21
    assert "not_sealed" in capfd.readouterr().err


def test_names_do_not_reach_the_terminal_as_they_are(studies: Path, capfd: Said) -> None:
    book = killed()
    book.by_hand("actual", "\x1b[2Jr", 1)
    place(studies / "\x1b[31mred\nSPENT", book)
    for path in ("lab", "lab/\x1b[31mred\nSPENT"):
        assert run(["status", "--spend", path]) == 0
        shown = capfd.readouterr().out
        assert "\x1b" not in shown
        assert sum(text.startswith("SPENT") for text in shown.split("\n")) == 1


def test_money_and_anchors_are_asked_apart(studies: Path, capfd: Said) -> None:
    assert run(["status", "--spend", "lab", "--check-remote"]) == 2
    assert "bad_option" in capfd.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["--amount", "1 EUR", "--rate", "x", "--quantity", "1"], ["--rate", "x"], ["--quantity", "1"], [],
        ["--amount", "1 EUR", "--on", "yesterday"], ["--amount", "1 EUR", "--kind", "gift"],
    ],
)  # fmt: skip
def test_options_that_do_not_fit_are_refused(studies: Path, capfd: Said, words: list[str]) -> None:
    assert run(["record", "spend", "lab/one", "--rung", "gpu", "--evidence", "e", *words]) == 2
    assert "bad_option" in capfd.readouterr().err


def test_a_purchase_is_written_and_shown(studies: Path, capfd: Said) -> None:
    words = ["record", "spend", "lab/one", "--rung", "gpu", "--amount", "3 EUR", "--evidence", "in\x1b[2Jvoice"]
    assert run([*words, "--json"]) == 0
    report = json.loads(capfd.readouterr().out)
    assert (report["schema"], report["amount_micro"]) == ("tollens.record.spend/1", 3_000_000)
    assert run(words) == 0
    shown = capfd.readouterr().out
    assert shown.startswith("RECORDED  3.00 EUR  actual of gpu of c\n")
    assert "\x1b" not in shown
    assert f"line {report['line']} already" in shown
    assert run([*words, "--quiet", "--kind", "refund"]) == 0
    assert capfd.readouterr().out == "RECORDED  -3.00 EUR  refund of gpu of c\n"
