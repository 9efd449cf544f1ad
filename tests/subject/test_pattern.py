"""Patterns of module names: what Python's own matcher says, without its patience."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollens.core.errors import TollensError
from tollens.subject.pattern import MAX_NESTING, MAX_PATTERN, Pattern, Plain, compiled

NAMES = ("model.layers.0.self_attn.q_proj", "q_proj", "xq_proj", "model.layers.12.mlp.up", "a.b", "", ".", "aXb")


@pytest.mark.parametrize(
    "text",
    [
        "q_proj", "layers.0.self_attn.q_proj", "a.b", r"a\.b", r"^model\.layers\.(0|1|12)\..*", ".*mlp.*", ".*", "",
        r"layers\.\d+\.mlp\.up", "[qkv]_proj", "[^k]_proj", "self_attn.[a-z]_proj$", "(?:q|k)_proj", "x?q_proj",
        "(l|m)+p.up", ".+?up", "a|b", r"[\d]+", r"\w*", "[]a]", "[a-]", "^", "$", "()", r"\$?up", "layers.1[0-2].*",
    ],
)  # fmt: skip
def test_it_matches_what_the_matcher_of_python_matches(text: str) -> None:
    rule = re.compile(rf"(.*\.)?({text})$")
    assert [compiled(text, "x").ends(name) for name in NAMES] == [bool(rule.match(name)) for name in NAMES]


def test_a_name_written_out_takes_the_short_way() -> None:
    assert isinstance(compiled("layers.0.q_proj", "x"), Plain)
    assert isinstance(compiled(r"layers\.0\.q_proj", "x"), Pattern)


@given(st.text("ab.(|)*+?[]^$\\d1-w", max_size=10), st.lists(st.text("ab.1-", max_size=6), max_size=4))
def test_whatever_is_read_is_read_as_python_reads_it(text: str, names: list[str]) -> None:
    try:
        ours = compiled(text, "x")
    except TollensError:
        return  # what is refused is named in the tests below
    rule = re.compile(rf"(.*\.)?({text})$")
    assert [ours.ends(name) for name in names] == [bool(rule.match(name)) for name in names]


@pytest.mark.parametrize(
    "text",
    [
        "a{2}", "(?=a)", "(?!a)", "(?<=a)", "(?i)a", "(?P<x>a)", r"(a)\1", r"\bq", r"\Aq", r"q\Z", "a**", "*a", "a++",
        "(a", "a)", ")(", "[a", "[z-a]", "[", "\\", "^*", "$?", "a" * (MAX_PATTERN + 1),
        "(" * (MAX_NESTING + 2) + "a" + ")" * (MAX_NESTING + 2), "[[:alpha:]]", r"[\d-x]",
    ],
)  # fmt: skip
def test_other_patterns_are_refused_by_name(text: str) -> None:
    with pytest.raises(TollensError) as caught:
        compiled(text, "adapter_config.json: rank_pattern")
    assert caught.value.code == "adapter_pattern_unsupported"
    assert repr(text)[:20] in caught.value.subject
    assert len(str(caught.value)) < 500


def test_no_pattern_keeps_it_busy() -> None:
    """(a*)*b takes Python's matcher 2^n steps on a^n; here it is n times the length of the pattern."""
    begin = time.perf_counter()
    for text in ("(a*)*b", "(a|a)*b", "(a|aa)+$b", "a?" * 200 + "b", "(.*)*" * 50 + "x", "(.*.*.*)*b"):
        assert not compiled(text, "x").ends("a" * 400)
    assert time.perf_counter() - begin < 10.0
