from __future__ import annotations

import hashlib

import pytest

from tollens.core.errors import TollensError
from tollens.lint.claim import Quantity
from tollens.lint.readers.pointer import Results
from tollens.lint.readers.reader import read_claims

DATA = b'{"acc": 0.50, "rows": [{"k": 12}, {"k": -1e-3}], "a/b": {"m~n": "0.10"}, "parts": [1.0, 2], "t": true, "": 7}'


def results(data: bytes = DATA) -> tuple[Results, list[str]]:
    asked: list[str] = []

    def read(path: str) -> bytes:
        asked.append(path)
        return data

    return Results(read), asked


@pytest.mark.parametrize(
    ("pointer", "digits"),
    [
        ("/acc", "0.50"),
        ("/rows/0/k", "12"),
        ("/rows/1/k", "-1e-3"),
        ("/a~1b/m~0n", "0.10"),
        ("/parts", ("1.0", "2")),
        ("/parts/1", "2"),
        ("/", "7"),
    ],
)
def test_the_digits_are_those_of_the_file(pointer: str, digits: object) -> None:
    assert results()[0].digits(f"r.json#{pointer}", "x") == (digits, hashlib.sha256(DATA).hexdigest())


@pytest.mark.parametrize(
    "target",
    ["r.json", "#/acc", "r.json#acc", "r.json#/none", "r.json#/rows/2/k", "r.json#/rows/01/k", "r.json#/rows/-/k",
     "r.json#/rows/٠/k", "r.json#/t", "r.json#/rows", "r.json#", "r.json#/acc/0", "r.json#/rows/99999999999999999999"],
)  # fmt: skip
def test_a_pointer_that_leads_nowhere_is_named(target: str) -> None:
    with pytest.raises(TollensError) as caught:
        results()[0].digits(target, "c.toml:1")
    assert caught.value.code == "lint_pointer"


@pytest.mark.parametrize(
    "data", [b"", b"{", b"\xff", b"[" * 10**5, b'{"a": NaN}', b'{"a": 1, "a": 2}', b'{"a": Infinity}']
)
def test_a_file_that_is_no_json_is_named(data: bytes) -> None:
    with pytest.raises(TollensError) as caught:
        results(data)[0].digits("r.json#/a", "c.toml:1")
    assert caught.value.code == "lint_pointer"


def test_a_number_of_a_million_digits_is_only_text_until_it_is_read() -> None:
    long = b'{"a": ' + b"9" * 10**6 + b"}"
    assert len(results(long)[0].digits("r.json#/a", "x")[0]) == 10**6


def test_a_file_is_read_once_and_named_as_it_was_written() -> None:
    found, asked = results()
    for _ in range(3):
        found.digits("../../etc/../r.json#/acc", "x")
        found.digits("/abs/a#b.json#/acc", "x")
    assert asked == ["../../etc/../r.json", "/abs/a#b.json"]


def test_a_claim_keeps_the_digest_of_the_file() -> None:
    table = (
        '[[claim]]\nid = "a"\n[claim.fields]\nx = { from = "r.json#/acc", unit = "1" }\ny = { from = "r.json#/parts" }'
    )
    (claim,) = read_claims("c.toml", table, lambda path: DATA).claims
    x, y = claim.fields["x"], claim.fields["y"]
    assert isinstance(x, Quantity)
    assert (x.number.text, x.unit, x.digest) == ("0.50", "1", hashlib.sha256(DATA).hexdigest())
    assert isinstance(y, tuple)
    assert [q.number.text for q in y if isinstance(q, Quantity)] == ["1.0", "2"]


def test_what_the_reading_raises_is_passed_on() -> None:
    def refuse(path: str) -> bytes:
        raise TollensError("lint_pointer", path, expected="a file below", found="..", fix="Move it.")

    with pytest.raises(TollensError, match="Move it"):
        Results(refuse).digits("../r.json#/a", "x")
