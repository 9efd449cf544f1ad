from __future__ import annotations

import re

import pytest

from tollens.core.codes import CODES, Code, _merged, explain
from tollens.core.errors import Exit, TollensError


@pytest.mark.parametrize("slug", sorted(CODES))
def test_every_code_is_written_for_people(slug: str) -> None:
    code = CODES[slug]
    assert re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", slug)
    assert code.title
    assert not code.title.endswith(".")
    for text in (code.meaning, code.remedy):
        assert text == text.strip()
        assert text.endswith(".")
        assert text[0].isupper() or text[0] == "`"
    assert 1 <= len(re.findall(r"\.(?= [A-Z`]|$)", code.meaning)) <= 3
    assert len(re.findall(r"\.(?= [A-Z`]|$)", code.remedy)) == 1


def test_no_two_codes_say_the_same() -> None:
    meanings = [c.meaning for c in CODES.values()]
    assert len(set(meanings)) == len(meanings)


def test_explain_gives_the_entry_itself() -> None:
    assert explain("trap") is CODES["trap"]


def test_an_unknown_code_names_the_nearest() -> None:
    with pytest.raises(TollensError) as caught:
        explain("xmin_unstabel")
    assert caught.value.code == "unknown_code"
    assert caught.value.exit_code is Exit.BAD_INPUT
    assert "xmin_unstable" in caught.value.fix


def test_a_hopeless_code_of_any_length_still_gets_an_answer() -> None:
    with pytest.raises(TollensError) as caught:
        explain("?" * 10**6)
    assert len(str(caught.value)) < 400


def test_one_code_under_two_themes_is_refused() -> None:
    entry = Code("t", "m", "r")
    with pytest.raises(ValueError, match="trap"):
        _merged({"trap": entry}, {"trap": entry})
