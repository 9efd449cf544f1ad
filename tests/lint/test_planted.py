"""What share of planted impossible numbers the linter finds, and that it calls no clean twin impossible."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest

import tollens.lint.invariants
from tollens.lint.check import Check, Subtype, undetermined
from tollens.lint.claim import AUTO, Claim, Entry, Quantity
from tollens.lint.fields import Fields
from tollens.lint.judge import judge
from tollens.lint.registry import INVARIANTS
from tollens.stats.binomial_interval import clopper_pearson, ends

from .planted.corpus import PROBLEMS, Case, corpus, edges

assert tollens.lint.invariants
SEED, EACH = 20260712, 7
FOUND = 195 / 200


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return corpus(SEED, EACH)


def refuted(case: Case) -> bool:
    return any(finding.outcome == "refuted" for finding in judge([case.claim]))


def shown(title: str, found: int, of: int) -> str:
    low, high = ends(clopper_pearson(found, of))
    return f"{title:<12} {found:>5}/{of:<5} = {found / of:.4f}  95 % [{low:.4f}, {high:.4f}]"


def measured(cases: Sequence[Case]) -> tuple[int, int, list[Case], list[Case]]:
    """Breaks found, breaks planted, the misses and the false alarms; prints each family with its interval."""
    planted, found = Counter[str](), Counter[str]()
    misses, alarms = [], []
    for case in cases:
        said = refuted(case)
        if case.broken:
            planted[case.family] += 1
            found[case.family] += said
            misses += [] if said else [case]
        elif said:
            alarms.append(case)
    for family in planted:
        print(shown(family, found[family], planted[family]))
    print(shown("all", found.total(), planted.total()))
    twins = sum(not case.broken for case in cases)
    print(
        shown("false alarms", len(alarms), twins),
        f"at most {ends(clopper_pearson(len(alarms), twins, alpha=0.1))[1]:.5f}",
    )
    return found.total(), planted.total(), misses, alarms


def enough(found: int, planted: int) -> bool:
    return found >= FOUND * planted


def test_the_corpus_is_large_enough_and_stratified(cases: list[Case]) -> None:
    broken = Counter(case.family for case in cases if case.broken)
    assert broken.total() >= 240
    assert len(cases) == 3 * broken.total()
    assert len(PROBLEMS) >= 30
    assert set(broken) == {"info", "acct", "stat", "ceiling", "opt", "queue", "dep"}
    assert min(broken.values()) >= 20
    assert 2 * sum(case.broken and case.reach == "near" for case in cases) >= broken.total()


def test_every_law_that_can_refute_has_its_breaks() -> None:
    refuting = {i for i, made in INVARIANTS.items() if made.violation in (Subtype.IMPOSSIBLE, Subtype.CONTRADICTED)}
    assert refuting <= set(PROBLEMS)


def test_breaks_are_found_and_no_clean_twin_is_refuted(cases: list[Case]) -> None:
    found, planted, misses, alarms = measured(cases)
    assert enough(found, planted), misses
    assert alarms == []


def test_at_the_last_printed_value_that_is_excused_nothing_is_refuted() -> None:
    found, planted, misses, alarms = measured(edges(SEED, EACH))
    assert enough(found, planted), misses
    assert alarms == []


def test_no_other_law_refutes_a_clean_twin(cases: list[Case]) -> None:
    """A claim of no stated kind meets every law that its fields allow."""
    twins = [case for case in cases if not case.broken]
    alarms = [case for case in twins if refuted(replace(case, claim=replace(case.claim, kinds=AUTO)))]
    print(shown("any kind", len(alarms), len(twins)))
    assert alarms == []


@pytest.mark.parametrize("name", ["ceiling.srank", "acct.elapsed"])
def test_a_law_that_never_fires_is_noticed(cases: list[Case], name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The breaks of one law among all of them are more than the bound forgives."""

    def silent(_: Fields) -> Check:
        return undetermined(Subtype.CONSISTENT, "nothing to say", None)

    monkeypatch.setitem(INVARIANTS, name, replace(INVARIANTS[name], function=silent))
    found, planted, misses, _ = measured(cases)
    assert not enough(found, planted)
    assert name in {case.invariant for case in misses}


def as_printed(entry: Entry) -> Entry:
    if isinstance(entry, Quantity):
        return replace(entry, exact=True)
    if isinstance(entry, tuple):
        return tuple(replace(e, exact=True) if isinstance(e, Quantity) else e for e in entry)  # type: ignore[return-value]
    return entry


def without_rounding(claim: Claim) -> Claim:
    return replace(claim, fields={name: as_printed(entry) for name, entry in claim.fields.items()})


def test_a_linter_that_takes_digits_for_values_is_noticed(cases: list[Case]) -> None:
    twins = [replace(case, claim=without_rounding(case.claim)) for case in cases if not case.broken]
    alarms = sum(refuted(case) for case in twins)
    print(shown("no rounding", alarms, len(twins)))
    assert alarms > len(twins) / 20


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_ten_times_as_many(seed: int) -> None:
    for made in (corpus(seed, 10 * EACH), edges(seed, 10 * EACH)):
        found, planted, misses, alarms = measured(made)
        assert enough(found, planted), misses[:5]
        assert alarms == []
