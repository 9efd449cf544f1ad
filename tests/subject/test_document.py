from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollens.core.errors import TollensError
from tollens.subject.document import parse

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_an_honest_object_comes_back(value: dict[str, Any]) -> None:
    assert parse(json.dumps(value).encode(), "x", "config_invalid") == value


def test_the_caller_names_what_is_malformed() -> None:
    for data in (b"", b"[]", b"\xff", b"{", b'{"a": Infinity}'):
        with pytest.raises(TollensError) as caught:
            parse(data, "some file", "config_invalid")
        assert caught.value.code == "config_invalid"
        assert caught.value.subject == "some file"


def test_constants_that_python_writes_become_their_names_where_allowed() -> None:
    data = b'{"limits": [0.0, Infinity], "x": NaN, "y": -Infinity}'
    assert parse(data, "x", "config_invalid", constants=True) == {
        "limits": [0.0, "Infinity"], "x": "NaN", "y": "-Infinity",
    }  # fmt: skip


def test_a_duplicate_deep_inside_is_found() -> None:
    with pytest.raises(TollensError, match="duplicate_key"):
        parse(b'{"a": [{"b": {"c": 1, "d": 2, "c": 1}}]}', "x", "config_invalid")
