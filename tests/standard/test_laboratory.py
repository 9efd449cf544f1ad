"""The example laboratory: everything that is kept of seven claims agrees with everything else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tollens.core.errors import TollensError
from tollens.run.constraints import notes_of, rulings_of
from tollens.run.drift.check import drift
from tollens.run.lock import lock
from tollens.run.obstacles import obstacles
from tollens.run.scoreboard import scoreboard
from tollens.run.spend import spend
from tollens.run.status import status
from tollens.run.study import sealed
from tollens.standard.laboratory import PAPER, LaboratoryReport, _edit, laboratory


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> LaboratoryReport:
    seen: list[str] = []
    report = laboratory(tmp_path_factory.mktemp("laboratory") / "lab", lambda done, of, what: seen.append(what))
    assert seen == [*report.studies]
    return report


def test_every_claim_meets_the_fate_it_was_made_for(made: LaboratoryReport) -> None:
    assert made.studies == {
        "int8-accuracy": "SURVIVED", "int8-size": "KILLED", "int8-smaller": "KILLED", "int4-accuracy": "SURVIVED",
        "one-bit": "KILLED", "kv-waived": "SEALED", "kv-draft": "DRAFT",
    }  # fmt: skip
    board = scoreboard(made.folder)
    assert {one.claim: one.state for one in board.studies} == made.studies
    assert {one.claim: one.rung for one in board.studies if one.state == "KILLED"} == {
        "int8-size": "numbers", "int8-smaller": "numbers", "one-bit": "accuracy",
    }  # fmt: skip


def test_deaths_are_counted_by_what_stood_in_the_way(made: LaboratoryReport) -> None:
    found = obstacles(made.folder)
    assert {one.obstacle: one.count for one in found.classes} == {"BUDGET": 2, "OTHER": 1}
    assert not found.unexplained


def test_money_is_exact_and_a_refund_comes_off(made: LaboratoryReport) -> None:
    found = {figures.currency: figures.net_micro for figures in spend(made.folder).figures}
    assert found == {"EUR": 10_250_000, "USD": 0}


def test_the_constraint_binds_until_it_is_waived(made: LaboratoryReport) -> None:
    with pytest.raises(TollensError) as refused:
        lock(Path(made.folder) / "studies" / "kv-draft")
    assert (refused.value.code, int(refused.value.exit_code)) == ("constraint_unmet", 3)
    waived = sealed(Path(made.folder) / "studies" / "kv-waived")
    (note,) = notes_of(rulings_of(waived.folder, waived.study, waived.ledger) or [])
    assert "only short prompts" in note


def test_a_new_claim_is_told_of_deaths_that_it_resembles(made: LaboratoryReport) -> None:
    near = status(Path(made.folder) / "studies" / "kv-draft").resemblances
    assert {one.obstacle for one in near} == {"BUDGET", "OTHER"}


def test_nothing_disagrees_until_the_paper_is_edited(made: LaboratoryReport) -> None:
    assert drift(made.folder).exit_code == 0
    paper = Path(made.folder) / PAPER
    text = paper.read_text()
    assert text.count("from=") == 2
    try:
        paper.write_text(text.replace("as=killed", "as=survived"))
        assert [found.code for found in drift(made.folder).findings] == ["D07"]
    finally:
        paper.write_text(text)


def test_nothing_is_written_over_and_no_edit_is_lost(made: LaboratoryReport, tmp_path: Path) -> None:
    with pytest.raises(TollensError) as refused:
        laboratory(made.folder)
    assert refused.value.code == "study_exists"
    (tmp_path / "x").write_text("a")
    with pytest.raises(ValueError, match="has no 'b'"):
        _edit(tmp_path / "x", {"b": "c"})
