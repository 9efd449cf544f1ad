"""The engine of constraints: what is triggered goes through by evidence or a waiver, and by nothing else."""

from __future__ import annotations

import datetime
import itertools
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tollens.core.errors import TollensError
from tollens.core.units import parse_unit
from tollens.protocol.attributes import KNOWN
from tollens.protocol.constraint import Constraint, constraint_digest
from tollens.protocol.laboratory import read_laboratory
from tollens.protocol.requirement import Exhibit
from tollens.protocol.ruling import MOST_DAYS, Proposal, Waiver, rule_on

DAY = datetime.date(2026, 12, 1)
NEEDLE = Constraint(
    id="kv-needle", trigger="touches in {kv} and not metrics in {needle_retention}", mechanism="a mean dilutes it",
    citation="somebody", require=["reading:needle_retention >= 0.95"],
)  # fmt: skip
NOTHING = Proposal({}, [], frozenset(), [], DAY, {})
GOOD = Exhibit("kv-needle", "study ../needle", "a" * 64, {"cpu seed=1": {"needle_retention": 0.97}})


def waiver(**changes: object) -> Waiver:
    made = Waiver("kv-needle", constraint_digest(NEEDLE), "a toy network", DAY + datetime.timedelta(days=30))
    return replace(made, **changes)  # type: ignore[arg-type]


# A constraint is written from these parts, and the oracle below knows each part by its number, not by its text.
TRIGGERS = ["touches in {kv}", "base == frozen", "batch > 8", "not metrics in {needle}", "risky"]
REQUIRES = ["reading:needle >= 0.95", "survived:needle-claim", "numbers:ceiling.bytes", "declared:fixed_capacity"]
GIVEN: dict[str, list[object]] = {
    "touches": [["kv"], ["weights"], [], ["kvv"], 3], "base": ["frozen", "trained", "other"], "batch": [8, 9, "9"],
    "metrics": [["needle"], ["other"], "needle"], "risky": [True, False, "no"], "fixed_capacity": [True, False],
    "touchs": [["weights"]],
}  # fmt: skip
FALSE: dict[int, tuple[str, list[object]]] = {
    0: ("touches", [["weights"], []]), 1: ("base", ["trained"]), 2: ("batch", [8]),
    3: ("metrics", [["needle"], "needle"]), 4: ("risky", [False]),
}  # fmt: skip
attributes = st.fixed_dictionaries({}, optional={name: st.sampled_from(found) for name, found in GIVEN.items()})
exhibits = st.lists(
    st.builds(
        Exhibit, st.sampled_from(["c", "other"]), st.sampled_from(["study a", "study b"]),
        st.sampled_from(["1" * 64, "2" * 64]),
        st.sampled_from([{}, {"x": {"needle": 0.99}}, {"x": {"needle": 0.99}, "y": {"needle": 0.9}}, {"x": {"z": 1}}]),
        st.just({}), st.sampled_from(["", "needle-claim", "another"]), st.sampled_from(["", "", "is tampered with"]),
    ),
    max_size=2,
)  # fmt: skip
reasons = st.sampled_from(["we know", "", "  ", "TODO", "<reason>", "..."])
days = st.integers(-3, MOST_DAYS + 3).map(lambda n: DAY + datetime.timedelta(days=n))


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_nothing_triggered_goes_through_without_evidence_or_a_waiver(data: st.DataObject) -> None:
    parts = data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=3, unique=True))
    joined = data.draw(st.sampled_from([" and ", " or "]))
    required = data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=3, unique=True))
    constraint = Constraint(
        id="c", trigger=joined.join(TRIGGERS[n] for n in parts), mechanism="m", require=[REQUIRES[n] for n in required]
    )
    mine, changed = (
        constraint_digest(constraint),
        constraint_digest(Constraint(**{**asdict(constraint), "mechanism": "n"})),
    )
    declared = data.draw(attributes)
    shown = data.draw(exhibits)
    numbers = data.draw(st.sampled_from([frozenset[str](), frozenset({"ceiling.bytes"}), frozenset({"acct.sum"})]))
    waivers = data.draw(
        st.lists(
            st.builds(Waiver, st.sampled_from(["c", "d"]), st.sampled_from([mine, changed]), reasons, days), max_size=2
        )
    )
    sealed = data.draw(st.sampled_from([{}, {"study a": "1" * 64}]))
    ruling = rule_on(constraint, Proposal(declared, shown, numbers, waivers, DAY, sealed))  # type: ignore[arg-type]

    certainly_not = [name in declared and declared[name] in values for name, values in (FALSE[n] for n in parts)]
    clear = any(certainly_not) if joined == " and " else all(certainly_not)
    counted = [
        e for e in shown
        if e.constraint == "c" and not e.unusable and not (sealed and e.name == "study a" and e.pin != "1" * 64)
    ]  # fmt: skip
    read = [[row["needle"] for row in e.rows.values() if "needle" in row] for e in counted]
    satisfied = {
        0: any(read) and all(min(values) >= 0.95 for values in read if values),
        1: any(e.survived == "needle-claim" for e in counted),
        2: "ceiling.bytes" in numbers,
        3: declared.get("fixed_capacity") is True,
    }
    met = all(satisfied[n] for n in required)
    waived = any(
        w.constraint == "c" and w.digest == mine and w.reason == "we know"
        and 0 <= (w.until - DAY).days <= MOST_DAYS for w in waivers
    )  # fmt: skip
    expected = "clear" if clear else "met" if met else "waived" if waived else "blocked"
    assert ruling.state == expected
    assert (ruling.state == "blocked") == bool(ruling.lifts)
    if ruling.state == "blocked":
        assert ruling.missing
        assert all(any(said.startswith(REQUIRES[n]) for n in required) for said in ruling.missing)


def asdict(constraint: Constraint) -> dict[str, object]:
    return {name: getattr(constraint, name) for name in constraint.__struct_fields__}


def test_what_is_not_declared_triggers_and_is_named() -> None:
    ruling = rule_on(NEEDLE, NOTHING)
    assert ruling.state == "blocked"
    assert "touches (of kv, routing, weights, activations, decode)" in ruling.lifts
    typo = rule_on(NEEDLE, replace(NOTHING, attributes={"touchs": ["weights"], "metrics": []}))
    assert typo.state == "blocked"
    assert "where 'touchs' is declared" in typo.lifts
    assert rule_on(NEEDLE, replace(NOTHING, attributes={"touches": []})).state == "clear"


def test_the_refusal_says_mechanism_citation_and_what_is_missing() -> None:
    said = rule_on(NEEDLE, replace(NOTHING, attributes={"touches": ["kv"], "metrics": ["ppl"]})).sentence
    for part in ("kv-needle (policy)", "touches is [kv]", "metrics is [ppl]", "a mean dilutes it (somebody)",
                 "reading:needle_retention >= 0.95"):  # fmt: skip
        assert part in said


PROPOSED = replace(NOTHING, attributes={"touches": ["kv"], "metrics": ["ppl"]})


@pytest.mark.parametrize(
    ("rule", "rows", "state"),
    [
        ("x >= 0.95", {"a": {"x": 0.95}, "b": {"x": 1}}, "met"),
        ("x >= 0.95", {"a": {"x": 0.95}, "b": {"x": 0.9499}}, "blocked"),
        ("mean(x) >= 0.95", {"a": {"x": 0.9}, "b": {"x": 1.0}}, "met"),
        ("mean(x) >= 0.95 and x >= 0.9", {"a": {"x": 0.9}, "b": {"x": 1.0}}, "met"),
        ("mean(x) >= 0.95 and x >= 0.91", {"a": {"x": 0.9}, "b": {"x": 1.0}}, "blocked"),
        ("not x < 0.95", {"a": {"x": 0.94}, "b": {"x": 1.0}}, "blocked"),
        ("x - y >= 0", {"a": {"x": 2, "y": 1}, "b": {"x": 2}}, "blocked"),
        ("x - y >= 0", {"a": {"x": 2, "y": 1}, "b": {"z": 2}}, "met"),
        ("all(x > 0) and any(x > 1)", {"a": {"x": 0.5}, "b": {"x": 2}}, "met"),
        ("quantile(0.5, x) > 0", {}, "blocked"),
        ("x >= 1 pp", {"a": {"x": 2}}, "blocked"),
        ("u >= 1 pp", {"a": {"u": 2}}, "met"),
        ("u >= 1", {"a": {"u": 2}}, "blocked"),
        ("x == head", {"a": {"x": 2}}, "blocked"),
    ],
)
def test_a_rule_over_recorded_readings(rule: str, rows: dict[str, dict[str, float]], state: str) -> None:
    constraint = Constraint(id="c", trigger="touches in {kv}", mechanism="m", require=[f"reading:{rule}"])
    exhibit = Exhibit("c", "study s", "a" * 64, rows, {"u": parse_unit("pp")})
    assert rule_on(constraint, replace(PROPOSED, exhibits=[exhibit])).state == state


def test_evidence_that_says_otherwise_is_not_outvoted() -> None:
    bad = replace(GOOD, name="study ../bad", rows={"cpu seed=1": {"needle_retention": 0.5}})
    assert rule_on(NEEDLE, replace(PROPOSED, exhibits=[GOOD])).state == "met"
    for order in itertools.permutations([GOOD, bad]):
        ruling = rule_on(NEEDLE, replace(PROPOSED, exhibits=list(order)))
        assert ruling.state == "blocked"
        assert "0.45 below 0.95" in ruling.missing[0]


@pytest.mark.parametrize("require", ["reading:needle_retention >= 0.95", "survived:needle"])
def test_evidence_that_cannot_be_used_counts_for_nothing_and_says_why(require: str) -> None:
    constraint = Constraint(id="c", trigger="touches in {kv}", mechanism="m", require=[require])
    good = replace(GOOD, constraint="c", survived="needle")
    assert rule_on(constraint, replace(PROPOSED, exhibits=[good])).state == "met"
    ruling = rule_on(constraint, replace(PROPOSED, exhibits=[replace(good, unusable="is tampered with")]))
    assert ruling.state == "blocked"
    assert "study ../needle: is tampered with" in ruling.missing[0]


def test_evidence_that_is_another_record_than_was_sealed_counts_for_nothing() -> None:
    same = replace(PROPOSED, exhibits=[GOOD], sealed={GOOD.name: GOOD.pin})
    assert rule_on(NEEDLE, same).state == "met"
    ruling = rule_on(NEEDLE, replace(same, sealed={GOOD.name: "b" * 64}))
    assert ruling.state == "blocked"
    assert "has changed since the study was sealed" in ruling.missing[0]


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, "waived"),
        ({"until": DAY}, "waived"),
        ({"until": DAY - datetime.timedelta(days=1)}, "blocked"),
        ({"until": DAY + datetime.timedelta(days=366)}, "waived"),
        ({"until": DAY + datetime.timedelta(days=367)}, "blocked"),
        ({"constraint": "kv"}, "blocked"),
        ({"digest": "0" * 64}, "blocked"),
        ({"reason": " "}, "blocked"),
        ({"reason": "TODO"}, "blocked"),
    ],
)
def test_a_waiver_is_of_one_text_and_for_a_while(changes: dict[str, object], state: str) -> None:
    ruling = rule_on(NEEDLE, replace(PROPOSED, waivers=[waiver(**changes)]))
    assert ruling.state == state
    if state == "waived":
        assert "a toy network" in ruling.sentence
        assert ruling.until in ruling.sentence


def table(**changes: str) -> str:
    fields = {
        "id": '"c"',
        "trigger": '"touches in {kv}"',
        "mechanism": '"m"',
        "require": '["reading:x >= 1"]',
    } | changes
    return "[[constraint]]\n" + "".join(f"{name} = {value}\n" for name, value in fields.items())


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"trigger": '"touches in kv"'}, "a trigger that reads"),
        ({"trigger": '""'}, "a trigger that reads"),
        ({"trigger": '"1 > 2"'}, "a trigger over attributes"),
        ({"trigger": '"touches in {kvv}"'}, "Did you mean kv?"),
        ({"trigger": '"touches == kv"'}, "write `touches in {kv}`"),
        ({"trigger": '"base == frozn"'}, "Did you mean frozen?"),
        ({"trigger": '"touches > 3"'}, "holds words, not numbers"),
        ({"trigger": '"base"'}, "is no flag"),
        ({"trigger": '"batch in {many}"'}, "is a number"),
        ({"require": "[]"}, "an empty list"),
        ({"require": '["needle"]'}, "reading:RULE"),
        ({"require": '["proof:x"]'}, "reading:RULE"),
        ({"require": '["survived:"]'}, "reading:RULE"),
        ({"require": '["reading:1 > 0"]'}, "the name of a reading"),
        ({"require": '["reading:x in {a}"]'}, "one of < <="),
        ({"require": '["declared:touches in {kvv}"]'}, "Did you mean kv?"),
        ({"require": '["declared:1 > 0"]'}, "the name of an attribute"),
        ({"id": '"a b"'}, "an id of letters"),
        ({"id": r'"\u001b[31m"'}, "an id of letters"),
        ({"mechanism": '" "'}, "a mechanism"),
    ],
)
def test_a_constraint_that_cannot_bind_is_refused_by_path_and_id(changes: dict[str, str], says: str) -> None:
    read_laboratory(table(), "lab/tollens.toml")
    with pytest.raises(TollensError) as refused:
        read_laboratory(table(**changes), "lab/tollens.toml")
    assert refused.value.code == "constraint_malformed"
    assert refused.value.subject.startswith("lab/tollens.toml: constraint ")
    assert says in str(refused.value)
    assert "\x1b" not in str(refused.value)


def test_every_attribute_that_is_known_is_named_in_the_documentation_of_a_study() -> None:
    from tollens.protocol.study import Study

    assert all(name in (Study.__doc__ or "") for name in KNOWN)
