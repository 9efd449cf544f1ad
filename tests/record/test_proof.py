"""The fast reading of a ledger and the slow one, which makes every canonical form again: they say the same."""

from __future__ import annotations

import hashlib
import json
import time
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tollens.core.errors import TollensError
from tollens.record import proof
from tollens.record.envelope import FIRST, Envelope, line, record_hash, sealed_envelope
from tollens.record.ledger import Ledger, parse_ledger, parse_slowly

TIME = "2026-01-01T00:00:00.000Z"
NUMBERS = (
    0.0, -0.0, 1.0, 5e-324, 1e-7, 1.5e-7, 1e-6, 1.5e-6, 1e-5, 0.0001, 0.1, 123456789.125, 2.0**53, 2.0**53 + 2, 1e15,
    1e16, 1e20, 123456789012345680000.0, 1e21, 1e22, 1.7976931348623157e308, 2**53 - 1, 1 - 2**53, 0, -1,
)  # fmt: skip
TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=8) | st.sampled_from(
    ["\x00", "\x7f", "\u2028", "\u20ac", "\ufb33", "\U0001f600", '","hash":"', '"hash":"', "\\u00e9", "/", "<", "\n"]
)
SCALARS = (
    st.none() | st.booleans() | TEXTS | st.sampled_from(NUMBERS)
    | st.floats(allow_nan=False, allow_infinity=False) | st.integers(1 - 2**53, 2**53 - 1)
)  # fmt: skip
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=8
)
BODIES = st.dictionaries(TEXTS | st.sampled_from(["hash", "body", "id"]), VALUES, max_size=4)


def _ledger(bodies: list[dict[str, Any]], actor: str = "me") -> bytes:
    data, before = [], None
    for body in bodies:
        before = sealed_envelope("anchor", body, before, actor, TIME)
        data.append(line(before))
    return b"".join(data)


def _said(read: Any, data: bytes) -> Any:
    try:
        found = read(data)
    except TollensError as error:
        return error.code, error.subject, error.expected, error.found
    assert isinstance(found, Ledger)
    return repr(found)


def _agree(data: bytes) -> Any:
    fast, slow = _said(parse_ledger, data), _said(parse_slowly, data)
    assert fast == slow
    return fast


@settings(deadline=None, max_examples=300)
@given(st.lists(BODIES, max_size=3), TEXTS)
def test_what_the_writer_writes_is_accepted_by_both(bodies: list[dict[str, Any]], actor: str) -> None:
    data = _ledger(bodies, actor)
    assert isinstance(_agree(data), str)
    assert isinstance(_agree(data.replace(b"\n", b"\r\n")), str)


@settings(deadline=None, max_examples=600)
@given(
    st.lists(BODIES, min_size=1, max_size=3),
    st.lists(st.tuples(st.integers(0, 10**6), st.binary(max_size=2), st.integers(0, 2)), min_size=1, max_size=3),
)
def test_changed_bytes_are_judged_alike(bodies: list[dict[str, Any]], changes: list[tuple[int, bytes, int]]) -> None:
    data = _ledger(bodies)
    for place, given_, taken in changes:
        place %= len(data)
        data = data[:place] + given_ + data[place + taken :]
    _agree(data)


SPELT = (
    "1.0", "1e0", "1E0", "1e21", "1e+21", "1e-7", "1e-07", "0.0000001", "0.00001", "1e-5", "-0", "-0.0", "0.0", "0.10",
    "100000000000000000000", "1e20", "9007199254740992", "9007199254740993", "123456789012345680000",
    "123456789012345683968", "1e400", "-1e999", "1" + "0" * 400, "1" + "0" * 5000, "[1.0]", "[ 1]", '{"b":1,"a":2}',
    '{"a":1,"a":1}', '{"\U0001f600":1,"\ufb33":2}', '{"\ufb33":1,"\U0001f600":2}', '"\\u0001"', '"\\u001F"',
    '"\\u001f"',
    '"\\u00e9"', '"\u00e9"', '"\\/"', '"\\n"', '"\\u000a"', '"\\ud83d\\ude00"', '"\\ud83d"', '"\x7f"', "NaN",
    "true", "null", "[]", "{}", '{"hash":"x"}', '{"x":"\\",\\"hash\\":\\""}', "12345678901234567890123",
)  # fmt: skip


@pytest.mark.parametrize("text", SPELT)
@pytest.mark.parametrize("hashed", ["the bytes", "the canonical form"])
def test_every_spelling_is_judged_alike(text: str, hashed: str) -> None:
    """A forger may hash the bytes as he wrote them, or the canonical form of what they mean."""
    head = f'{{"actor":"me","body":{{"n":{text}}},'
    tail = f'"id":"0","prev":"{FIRST}","seq":0,"time":"{TIME}","type":"anchor","v":1}}'
    stated = hashlib.sha256((head + tail).encode()).hexdigest()
    if hashed != "the bytes":
        with suppress(ValueError):  # what has no canonical form keeps the hash of its bytes
            stated = record_hash(msgspec.json.decode(f'{head}"hash":"",{tail}'.encode(), type=Envelope))
    data = f'{head}"hash":"{stated}",{tail}\n'.encode()
    _agree(data)
    _agree(data.replace(b",", b", "))


def test_white_space_is_no_difference_and_a_value_is() -> None:
    data = _ledger([{"n": 1, "x": 0.5}])
    loose = json.dumps(json.loads(data), indent=None).encode() + b"\n"
    assert loose != data
    assert isinstance(_agree(loose), str)
    assert _agree(data.replace(b"0.5", b"0.6"))[0] == "ledger_broken"


def test_a_number_without_a_canonical_form_is_a_broken_ledger() -> None:
    data = _ledger([{"n": 1}]).replace(b'"n":1', b'"n":12345678901234567890123')
    assert _agree(data)[0] == "ledger_broken"


@pytest.mark.parametrize("value", [1e20, 123456789012345680000.0, -(2.0**53), 1e16])
def test_a_large_double_is_read_back(value: float) -> None:
    found = parse_ledger(_ledger([{"n": value, "more": [value]}])).records[0].body
    assert found == {"n": value, "more": [value]}
    assert type(found["n"]) is float


def test_the_bytes_decide_and_not_the_canonical_form(monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard of the speed: plain lines never come to the slow form, a line that is not plain does."""
    asked: list[Envelope] = []

    def counted(record: Envelope) -> str:
        asked.append(record)
        return record_hash(record)

    monkeypatch.setattr(proof, "record_hash", counted)
    plain = _ledger([{"n": n, "x": n + 0.123, "text": "\u00e9\n"} for n in range(50)])
    assert len(parse_ledger(plain).records) == 50
    assert asked == []
    assert len(parse_ledger(plain.replace(b'"n":7', b'"n": 7')).records) == 50
    assert [record.seq for record in asked] == [7]


def test_the_fast_path_is_fast() -> None:
    data = _ledger([{"key": {"cell": "seed=1", "seed": 1}, "readings": {"x": n + 0.123}} for n in range(2000)])

    def seconds(read: Any) -> float:
        best = 1e9
        for _ in range(5):
            before = time.perf_counter()
            read(data)
            best = min(best, time.perf_counter() - before)
        return best

    assert seconds(parse_ledger) < 0.6 * seconds(parse_slowly)


@example(b'{"actor":"m","body":{},"hash":"","id":"","prev":"","seq":0,"time":"","type":"anchor","v":1}\n')
@example(b"\n\n")
@example(b"\xff\xfe\n")
@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_judged_alike(data: bytes) -> None:
    _agree(data)
