"""RFC 8785 and the digests of files: known answers, and what is refused."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollens.core.canonical import canonical, digest, file_digest, mode_of, unix_text


def test_the_digest_of_a_small_object() -> None:
    # printf '{"a":1,"b":2}' | sha256sum
    assert digest({"b": 2, "a": 1}) == "43258cff783fe7036d8a43033f830adfc60ec037382473548ac742b888292777"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"), (1, "1"), (-0.0, "0"), (1e21, "1e+21"), (1e20, "100000000000000000000"), (1e-6, "0.000001"),
        (1e-7, "1e-7"), (123456.789, "123456.789"), (5e-324, "5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (333333333.33333329, "333333333.3333333"), (4.5, "4.5"), (2e-3, "0.002"), (-1.5, "-1.5"), (1e-27, "1e-27"),
        (295147905179352830000.0, "295147905179352830000"), (9007199254740991, "9007199254740991"),
        (True, "true"), (None, "null"), ([], "[]"), ({}, "{}"), ([1, [2]], "[1,[2]]"),
        ("\u20ac$\u000f\nA'B\"\\\\\"/", '"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"'),
    ],
)  # fmt: skip
def test_the_form_of_a_value(value: object, text: str) -> None:
    """Numbers and strings of RFC 8785, sections 3.2.2 and appendix B."""
    assert canonical(value).decode() == text


def test_keys_are_ordered_by_utf16_code_units() -> None:
    """RFC 8785 section 3.2.3: the emoji, a surrogate pair, comes before the private-use U+FB33."""
    keys = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"]
    assert list(json.loads(canonical(dict.fromkeys(keys, 0)))) == [
        "\r",
        "1",
        "\u0080",
        "\u00f6",
        "\u20ac",
        "\U0001f600",
        "\ufb33",
    ]


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, -math.inf, 2**53 + 1, -(2**53), "\ud800", {1: 2}, {"a": math.nan}]
)
def test_what_json_cannot_keep_is_rejected(value: object) -> None:
    with pytest.raises(ValueError):
        canonical(value)


def test_what_json_does_not_have_is_rejected() -> None:
    with pytest.raises(TypeError):
        canonical({1, 2})


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_double_reads_back_as_itself(value: float) -> None:
    assert float(canonical(value).decode()) == value


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(),
        lambda s: st.lists(s) | st.dictionaries(st.text(), s),
    )
)
def test_the_form_is_json_and_stays_itself(value: object) -> None:
    try:
        text = canonical(value)
    except ValueError:  # a lone surrogate
        return
    assert json.loads(text) == value
    assert canonical(json.loads(text)) == text


def test_a_text_has_one_digest_whatever_its_line_ends() -> None:
    # printf 'a\n' | sha256sum
    expected = "87428fc522803d31065e7bce3cf03fe475096631e5e07bbd7a0fde60c4cf25c7"
    assert file_digest(b"a\n", "text") == file_digest(b"a\r\n", "text") == expected
    assert file_digest(b"a\r\n", "binary") != expected


@pytest.mark.parametrize("data", [b"a\rb", b"\xff\xfe", b"a\r\r\n"])
def test_a_text_that_is_none(data: bytes) -> None:
    with pytest.raises(ValueError):
        unix_text(data)


def test_a_file_is_text_by_name_and_by_bytes() -> None:
    assert mode_of("a/claim.toml", b"x = 1\r\n") == "text"
    assert mode_of("a/claim.toml", b"\xff") == "binary"
    assert mode_of("weights.safetensors", b"plain") == "binary"
