from __future__ import annotations

import json

import pytest

from tollens.core.errors import TollensError
from tollens.lint.claim import Quantity
from tollens.lint.readers.document import Document
from tollens.lint.readers.reader import read_claims

FULL = """\
# [[claim]] in a comment is none
[[claim]]
id = "latency-sum"
kind = ["acct.sum", "acct.stage_floor"]
text = '''
[[claim]]
of text'''
source = "blog.md:40"
expect = "refuted"
percentile = "mean"
[claim.fields]
parts = { values = ["85", "620", "0.680e3"], unit = "ms" }
mixed = [{ value = "85", unit = "ms" }, { value = "1.5", unit = "s", exact = true }]
total = { value = "380", unit = "ms", measured = true, estimator = "median of 5" }
rate = { low = "30", high = "80", unit = "1/s" }
sequential = true
seeds = ["paper", "trial"]
edges = [["paper", "mechanism"], ["trial", "paper"]]
n = "40"

  [[ claim ]]
  id = "second"
"""


def nothing(path: str) -> bytes:
    raise AssertionError(path)


def read(text: str, name: str = "c.toml") -> Document:
    return read_claims(name, text, nothing)


def test_every_form_of_a_field_is_read() -> None:
    document = read(FULL)
    first, second = document.claims
    assert (first.id, first.kinds, first.place.line) == ("latency-sum", ("acct.sum", "acct.stage_floor"), 2)
    assert (second.id, second.kinds, second.place.line) == ("second", ("auto",), 21)
    assert (first.source, first.expect, first.draft) == ("blog.md:40", "refuted", False)
    parts, mixed, total, rate, n = (first.fields[name] for name in ("parts", "mixed", "total", "rate", "n"))
    assert isinstance(parts, tuple)
    assert [(q.number.text, q.unit) for q in parts if isinstance(q, Quantity)] == [
        ("85", "ms"), ("620", "ms"), ("0.680e3", "ms"),
    ]  # fmt: skip
    assert isinstance(mixed, tuple)
    assert [(q.number.text, q.unit, q.exact) for q in mixed if isinstance(q, Quantity)] == [
        ("85", "ms", None), ("1.5", "s", True),
    ]  # fmt: skip
    assert isinstance(total, Quantity)
    assert (total.measured, total.estimator, total.exact) == (True, "median of 5", None)
    assert isinstance(rate, Quantity)
    assert rate.number.range().low == 29.5
    assert rate.number.range().high == 80.5
    assert isinstance(n, Quantity)
    assert (n.number.text, n.unit) == ("40", None)
    assert first.fields["sequential"] is True
    assert first.fields["percentile"] == "mean"
    assert first.fields["seeds"] == ("paper", "trial")
    assert first.fields["edges"] == (("paper", "mechanism"), ("trial", "paper"))
    assert document.counted == "found 8 tagged of 8 numbers"
    assert [use.field for use in document.uses] == ["parts"] * 3 + ["mixed"] * 2 + ["total", "rate", "n"]


def test_json_has_the_same_shape() -> None:
    table = {
        "claim": [
            {"id": "a", "fields": {"total": {"value": "0.10", "unit": "1"}}},
            {"id": "b", "kind": "acct.sum", "fields": {"parts": {"values": ["1", "2"], "unit": "ms"}}},
        ]
    }
    document = read(json.dumps(table, indent=1, allow_nan=False), "c.JSON")
    assert [(c.id, c.kinds, c.place.line) for c in document.claims] == [("a", ("auto",), 4), ("b", ("acct.sum",), 13)]


def test_a_mark_of_byte_order_and_other_line_ends_change_nothing() -> None:
    plain = read(FULL)
    for text in ("\ufeff" + FULL, FULL.replace("\n", "\r\n")):
        document = read(text)
        assert [(c.id, c.place.line, c.fields) for c in document.claims] == [
            (c.id, c.place.line, c.fields) for c in plain.claims
        ]


@pytest.mark.parametrize("text", ["", "# nothing\n", "claim = []\n"])
def test_a_table_without_claims_has_none(text: str) -> None:
    assert read(text).claims == ()


HEAD = '[[claim]]\nid = "a"\n[claim.fields]\n'
WRONG = {
    "float": (HEAD + "x = { value = 0.10, unit = '1' }", "lint_float", "c.toml:1: claim a: x"),
    "integer": (HEAD + "x = { value = 3, unit = '1' }", "lint_float", "string"),
    "bare float": (HEAD + "x = 0.10", "lint_float", "string"),
    "bare list": (HEAD + "x = [1, 2]", "lint_float", "string"),
    "values": (HEAD + "x = { values = [1.0], unit = '1' }", "lint_float", "string"),
    "low": (HEAD + "x = { low = 1, high = '2', unit = '1' }", "lint_float", "string"),
    "unknown key": (HEAD + "x = { vlaue = '1', unit = '1' }", "lint_unknown_field", "value"),
    "unknown key of a claim": ('[[claim]]\nid = "a"\nkinds = "acct.sum"', "lint_unknown_field", "kind"),
    "unknown table": ('[[claims]]\nid = "a"', "lint_unknown_field", "claim"),
    "unit": (HEAD + "x = { value = '1', unit = 'gb' }", "lint_unit", "GB"),
    "unit that is a number": (HEAD + "x = { value = '1', unit = 1 }", "lint_syntax", "unit"),
    "digits": (HEAD + "x = { value = 'three', unit = '1' }", "lint_number", "claim a: x"),
    "no form": (HEAD + "x = { unit = '1' }", "lint_syntax", "value"),
    "two forms": (HEAD + "x = { value = '1', values = ['1'], unit = '1' }", "lint_syntax", "value"),
    "half a range": (HEAD + "x = { low = '1', unit = '1' }", "lint_syntax", "low"),
    "range upside down": (HEAD + "x = { low = '2', high = '1', unit = '1' }", "lint_number", "low"),
    "empty list": (HEAD + "x = []", "lint_syntax", "claim a: x"),
    "no values": (HEAD + "x = { values = [], unit = '1' }", "lint_syntax", "claim a: x"),
    "date": (HEAD + "x = 2024-01-01", "lint_syntax", "claim a: x"),
    "exact": (HEAD + "x = { value = '1', unit = '1', exact = 'yes' }", "lint_syntax", "exact"),
    "no id": ("[[claim]]\ntext = 'x'", "lint_syntax", "id"),
    "id of two lines": ('[[claim]]\nid = "a\\nb"', "lint_syntax", "id"),
    "same id": ('[[claim]]\nid = "a"\n[[claim]]\nid = "a"', "lint_duplicate", "c.toml:3"),
    "n twice": ('[[claim]]\nid = "a"\nn = "1"\n[claim.fields]\nn = "2"', "lint_duplicate", "n in the claim"),
    "kind": ('[[claim]]\nid = "a"\nkind = 3', "lint_syntax", "kind"),
    "fields": ('[[claim]]\nid = "a"\nfields = 3', "lint_syntax", "fields"),
    "one table": ('[claim]\nid = "a"', "lint_syntax", "[[claim]]"),
    "no toml": ("claim = ", "lint_syntax", "TOML"),
    "key twice": (HEAD + "x = 'a'\nx = 'b'", "lint_syntax", "TOML"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_read_is_named(name: str) -> None:
    text, code, said = WRONG[name]
    with pytest.raises(TollensError) as caught:
        read(text)
    assert caught.value.code == code
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('{"claim": [{"id": "a", "fields": {"x": 1}}]}', "lint_float"),
        ('{"claim": [{"id": "a", "fields": {"x": {"value": 0.1, "unit": "1"}}}]}', "lint_float"),
        ('{"claim": [{"id": "a", "fields": {"x": NaN}}]}', "lint_float"),
        ('{"claim": [{"id": "a", "id": "b"}]}', "lint_syntax"),
        ("[1]", "lint_syntax"),
        ("{", "lint_syntax"),
        ("[" * 10**5, "lint_syntax"),
    ],
)
def test_what_cannot_be_read_of_json_is_named(text: str, code: str) -> None:
    with pytest.raises(TollensError) as caught:
        read(text, "c.json")
    assert caught.value.code == code


def test_an_ending_that_nobody_reads_is_named() -> None:
    with pytest.raises(TollensError) as caught:
        read("", "c.yaml")
    assert "yaml" in str(caught.value)
