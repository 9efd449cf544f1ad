from __future__ import annotations

from collections import Counter

import pytest
from tests.run.drift.planted import PLANTS, Twins

from tollens.run.drift.check import CHECKERS, drift, findings
from tollens.run.drift.finding import EXPLAINED
from tollens.run.drift.repository import read_repository


def test_every_planted_defect_is_found_once_and_nothing_else(twins: Twins) -> None:
    report = drift(twins.planted)
    assert [(f.path, f.line, f.code) for f in report.findings] == [*twins.expected]
    assert report.unread == []
    assert report.exit_code == 1


def test_the_repaired_twin_has_none(twins: Twins) -> None:
    report = drift(twins.clean)
    assert report.findings == []
    assert (report.exit_code, report.unread) == (0, [])
    assert (report.studies, report.ledgers, report.papers, report.numbers) == (8, 7, 1, 1)


def test_every_code_is_planted_in_three_guises(twins: Twins) -> None:
    planted = Counter(code for _, _, code in twins.expected)
    assert [*CHECKERS] == [code.upper() for code in EXPLAINED]
    assert {code: planted[code] for code in CHECKERS if planted[code] < 3} == {}
    assert len(PLANTS) == len(twins.expected)


@pytest.mark.parametrize("code", [*CHECKERS])
def test_without_its_checker_exactly_the_plants_of_a_code_go_unseen(twins: Twins, code: str) -> None:
    repository = read_repository(twins.planted)
    left = {other: check for other, check in CHECKERS.items() if other != code}
    found = {(f.path, f.line, f.code) for f in findings(repository, left)}
    assert {*twins.expected} - found == {plant for plant in twins.expected if plant[2] == code}


def test_counts_are_by_code_and_subject(twins: Twins) -> None:
    report = drift(twins.planted)
    assert sum(count.count for count in report.counts) == len(report.findings)
    assert ("D09", "cited", 3) in [(c.code, c.subject, c.count) for c in report.counts]


def test_no_refund_is_asked_of_a_sum_that_none_can_mend(twins: Twins) -> None:
    found = [f for f in drift(twins.planted).findings if f.code == "D12" and f.path.endswith("ledger.jsonl")]
    assert {f.fix for f in found} == {"restore the ledger from version control"}
    assert len(found) == 3
