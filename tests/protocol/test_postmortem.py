"""postmortem.toml and postmortem.md, for any text that a claim or a person may hold."""

from __future__ import annotations

import tomllib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollens.core.errors import TollensError
from tollens.protocol.laboratory import read_laboratory
from tollens.protocol.obstacle import BUILT_IN
from tollens.protocol.postmortem import (
    FACTS,
    STATEMENTS,
    CellReadings,
    Cost,
    Facts,
    Postmortem,
    Told,
    Violation,
    _text,
    check_answer,
    check_facts,
    distance_text,
    facts_in,
    money_text,
    opened_text,
    read_postmortem,
    rendered,
    skeleton,
)

NUMBERS = st.one_of(st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False))
VIOLATIONS = st.builds(
    Violation, of=st.text(max_size=20), unit=st.sampled_from(["1", "pp", STATEMENTS, "\x1b[2J"]),
    distance=st.none() | NUMBERS, value=st.none() | NUMBERS | st.text(max_size=5),
    threshold=st.none() | NUMBERS | st.text(max_size=5), open=st.booleans(),
)  # fmt: skip
FACT = st.builds(
    Facts, claim=st.text(), seal=st.text(), rung=st.text(), cell=st.text(), rule=st.text(),
    readings=st.lists(
        st.builds(CellReadings, cell=st.text(), values=st.dictionaries(st.text(), NUMBERS, max_size=3)), max_size=3
    ),
    violation=VIOLATIONS,
    cost=st.builds(Cost, seconds=NUMBERS, micro=st.dictionaries(st.text(), st.integers(-(2**53), 2**53), max_size=2)),
)  # fmt: skip
NASTY = 'say "yes" \\ \x00\x1b[2J\x7f\x85\u202e\u2028 \U000e0001 é 漢 🦀\r\n\tend\'\'\' """ #'
ONE = Facts(
    claim="c", seal="0" * 64, rung="r", cell="seed=1", rule="mean(x) < 0 pp",
    readings=[CellReadings(cell="seed=1", values={"x": -1.5})],
    violation=Violation(of="mean(x)", unit="pp", distance=1.5, value=-1.5, threshold=0),
    cost=Cost(seconds=2.5, micro={"EUR": 1, "USD": 1_500_000}),
)  # fmt: skip
WORDS = Told(
    text="t", found="f", anchor="unanchored", exploratory=False, unspent=["accuracy: 22 requests"], kind="none",
    says="It is so.",
)  # fmt: skip


def filled(text: str, **fields: str) -> str:
    for name, value in fields.items():
        assert f'\n{name} = ""\n' in text
        text = text.replace(f'\n{name} = ""\n', f"\n{name} = {_text(value)}\n")
    return text


@given(FACT, st.text(), st.text(), st.text(), st.text())
def test_what_was_opened_reads_back(facts: Facts, text: str, found: str, lesson: str, constraint: str) -> None:
    made = opened_text(facts, text, found, list(BUILT_IN.values()))
    assert all(line.isprintable() for line in made.split("\n"))
    again = read_postmortem(filled(made, lesson=lesson, constraint=constraint))
    assert facts_in(again) == facts
    assert (again.obstacle, again.lesson, again.constraint) == ("", lesson, constraint)
    check_facts(again, facts)


def test_quotes_control_characters_and_every_plane_read_back() -> None:
    facts = msgspec.structs.replace(ONE, claim=NASTY, rule=NASTY)
    text = opened_text(facts, NASTY, NASTY, list(BUILT_IN.values()))
    assert all(line.isprintable() for line in text.split("\n"))
    assert tomllib.loads(filled(text, lesson=NASTY))["lesson"] == NASTY
    assert facts_in(read_postmortem(text)) == facts


def test_every_class_stands_in_the_file_in_one_line() -> None:
    own = read_laboratory('[[obstacle]]\nid = "MINE"\nsays = """two\nlines"""').obstacle
    text = opened_text(ONE, "t", "f", [*BUILT_IN.values(), *own])
    for name in (*BUILT_IN, "MINE"):
        assert sum(line.startswith(f"#   {name} ") for line in text.split("\n")) == 1
    assert "two\\nlines" in text


@given(FACT, st.builds(Told, text=st.text(), found=st.text(), anchor=st.text(), exploratory=st.booleans(),
       unspent=st.lists(st.text(), max_size=3), kind=st.sampled_from(["none", "theorem"]), says=st.text()),
       st.text(), st.text(), st.text())  # fmt: skip
def test_the_rendering_holds_for_any_text(
    facts: Facts, told: Told, obstacle: str, lesson: str, constraint: str
) -> None:
    fields = {name: getattr(facts, name) for name in FACTS}
    made = Postmortem(**fields, obstacle=obstacle, lesson=lesson, constraint=constraint)
    text = rendered(made, told)
    assert text.startswith("# KILLED ")
    assert all(line.isprintable() for line in text.split("\n"))
    assert [line for line in text.split("\n") if line.startswith("#")][1:6] == [
        "## Claimed", "## Found", "## Obstacle", "## Cost", "## Lesson",
    ]  # fmt: skip
    table = tomllib.loads(skeleton(made, "a/b"))["constraint"]
    assert [row["id"] for row in table] == [constraint.strip()]
    assert distance_text(facts.violation).isprintable()


def test_the_rendering_says_verdict_distance_cost_and_what_was_not_spent() -> None:
    made = Postmortem(
        **{n: getattr(ONE, n) for n in FACTS}, obstacle="OTHER", lesson="<b>one</b>\n# two", constraint="C"
    )
    text = rendered(made, msgspec.structs.replace(WORDS, exploratory=True))
    assert text.startswith("# KILLED c EXPLORATORY (amended after results)\n\nunanchored, seal 0000")
    assert "- distance: 1.5 pp beyond the threshold: mean(x) is -1.5 pp, killed at 0 pp" in text
    assert "**OTHER** (no law: one case): It is so." in text
    assert "- spent: 2.5 s, 0.000001 EUR, 1.50 USD\n- not spent because it died here: accuracy: 22 requests" in text
    assert "> \\<b\\>one\\</b\\>\n> \\# two" in text
    assert text.endswith("## Constraint\n\nC\n")
    assert "None was written." in rendered(msgspec.structs.replace(made, lesson=" "), WORDS)


def test_distances_in_words() -> None:
    assert distance_text(Violation(of="violations", unit=STATEMENTS, distance=1)).startswith("1 refuted statement,")
    assert distance_text(Violation(of="violations", unit=STATEMENTS, distance=2)).startswith("2 refuted statements,")
    least = Violation(of="min(x)", unit="pp", distance=29, value=-29.5, threshold=-0.5, open=True)
    assert distance_text(least).startswith("at least 29 pp beyond the threshold: min(x) no nearer than -29.5 pp")
    assert distance_text(Violation(of="x", unit="1")) == "none"
    assert money_text({}) == "no money"
    assert money_text({"USD": -28}) == "-0.000028 USD"


def made_of(**fields: str) -> Postmortem:
    return Postmortem(**{name: getattr(ONE, name) for name in FACTS}, **fields)


@pytest.mark.parametrize(
    ("fields", "code", "told"),
    [
        ({}, "postmortem_incomplete", "SOURCE_ORTHOGONAL"),
        ({"obstacle": "  "}, "postmortem_incomplete", "SOURCE_ORTHOGONAL"),
        ({"obstacle": "BUDGT"}, "obstacle_unknown", "Did you mean BUDGET?"),
        ({"obstacle": "budget"}, "obstacle_unknown", "Did you mean BUDGET or"),
        ({"obstacle": "?" * 10**6}, "obstacle_unknown", "Name one of them"),
        ({"obstacle": "OTHER"}, "postmortem_incomplete", "in words"),
        ({"obstacle": "OTHER", "lesson": "... 12 !"}, "postmortem_incomplete", "in words"),
    ],
)
def test_an_answer_that_says_nothing_is_refused(fields: dict[str, str], code: str, told: str) -> None:
    with pytest.raises(TollensError) as refused:
        check_answer(made_of(**fields), BUILT_IN)
    assert refused.value.code == code
    assert told in f"{refused.value.expected} {refused.value.fix}"
    assert len(str(refused.value)) < 700


def test_an_answer_that_says_something() -> None:
    assert check_answer(made_of(obstacle=" OTHER ", lesson="drift"), BUILT_IN).id == "OTHER"
    assert check_answer(made_of(obstacle="DEPTH"), BUILT_IN).kind == "model-based"


@pytest.mark.parametrize(
    ("field", "value", "expected", "found"),
    [
        ("claim", "d", "c", "d"),
        ("seal", "0" * 63 + "1", "0" * 20 + "0", "0" * 20 + "1"),
        ("rung", "", "r", "nothing"),
        ("cell", "seed=2", "seed=1", "seed=2"),
        ("rule", "mean(x) < 9 pp", "0 pp", "9 pp"),
        ("readings", [], "'x': -1.5", "[]"),
        ("violation", Violation(of="mean(x)", unit="pp", distance=1.25, value=-1.5, threshold=0), "1.5", "1.25"),
        ("cost", Cost(seconds=2.5, micro={"EUR": 1}), "1500000", "{'EUR': 1}"),
    ],
)
def test_a_fact_that_was_edited_is_named(field: str, value: object, expected: str, found: str) -> None:
    with pytest.raises(TollensError) as refused:
        check_facts(msgspec.structs.replace(made_of(), **{field: value}), ONE)
    assert refused.value.code == "postmortem_differs"
    assert refused.value.subject == f"postmortem.toml {field}"
    assert expected in refused.value.expected
    assert found in refused.value.found


@pytest.mark.parametrize(
    "text", ["", "x", "a = " + "[" * 3000, "more = 1", "claim = 1", "\x00", "seal = " + "9" * 5000]
)
def test_what_is_no_postmortem_is_refused(text: str) -> None:
    whole = opened_text(ONE, "t", "f", list(BUILT_IN.values()))
    with pytest.raises(TollensError) as refused:
        read_postmortem(text if text != "more = 1" else f"{text}\n{whole}")
    assert refused.value.code == "postmortem_syntax"
    assert len(str(refused.value)) < 500
