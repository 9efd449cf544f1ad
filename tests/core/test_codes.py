from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import tollens
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


@pytest.mark.parametrize("asked", ["TRAP", "Trap", "dequantised:fp8"])
def test_a_code_is_found_as_it_is_printed_or_typed(asked: str) -> None:
    assert explain(asked) is CODES[asked.lower().partition(":")[0]]


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


def _codes_in(source: str) -> set[str]:
    """The codes that stand literally in calls that carry one."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call) and node.args]
    carriers = ("TollensError", "Undefined", "fault")
    first = [call.args[0] for call in calls if isinstance(call.func, ast.Name) and call.func.id in carriers]
    return {str(argument.value) for argument in first if isinstance(argument, ast.Constant)}


def test_every_code_that_the_sources_use_is_explained() -> None:
    used = {path.name: _codes_in(path.read_text()) for path in Path(tollens.__file__).parent.rglob("*.py")}
    assert sum(map(len, used.values())) > 20
    assert {name: codes - CODES.keys() for name, codes in used.items() if codes - CODES.keys()} == {}


def _unused(sources: str) -> set[str]:
    """The codes that no string of `sources` begins with."""
    return {slug for slug in CODES if not re.search(rf"[\"'`]{slug}\b", sources)}


def test_every_code_that_is_explained_can_occur() -> None:
    package = Path(tollens.__file__).parent
    themes = package / "core" / "codes"
    sources = [
        path.read_text() for path in package.rglob("*.py") if path.parent != themes or path.name == "__init__.py"
    ]
    assert _unused("\n".join(sources)) == set()


def test_a_code_that_nothing_uses_would_be_noticed() -> None:
    assert CODES.keys() - _unused('x = Undefined("trap")') == {"trap"}


def test_every_option_that_a_remedy_names_exists() -> None:
    package = Path(tollens.__file__).parent
    offered = set(re.findall(r"\"(--[a-z-]+)\"", "".join(f.read_text() for f in (package / "cli").rglob("*.py"))))
    named = {option for c in CODES.values() for option in re.findall(r"--[a-z-]+", c.meaning + c.remedy)}
    assert "--precision" in named & offered
    assert named <= offered


def test_a_code_without_an_explanation_would_be_noticed() -> None:
    assert _codes_in('raise TollensError("no_such_code_anywhere", "x")\ny = Undefined("made_up")') == {
        "no_such_code_anywhere",
        "made_up",
    }
