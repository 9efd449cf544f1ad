"""A folder of studies: what killed them, counted; and whether a new one looks like a death."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tollens.core.errors import TollensError
from tollens.record.ledger import Writer
from tollens.run.climb import climb
from tollens.run.lock import amend, lock
from tollens.run.neighbours import MOST
from tollens.run.obstacles import obstacles
from tollens.run.postmortem import record_postmortem
from tollens.run.status import status

from .faults.study import write
from .faults.trial import room


@pytest.fixture(scope="module")
def memory() -> Iterator[Path]:
    with room() as made:
        yield made


@pytest.fixture(scope="module")
def killed(memory: Path) -> Path:
    """Killed, and its post-mortem open."""
    os.environ["FAULTS_LOG"] = str(memory / "log")
    folder = write(memory / "killed")
    edit(folder / "numbers.toml", 'ratio = { value = "4"', 'ratio = { value = "9"')
    lock(folder)
    climb(folder)
    return folder


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def death(killed: Path, to: Path, obstacle: str = "BUDGET", lesson: str = "Count\nbytes.") -> Path:
    """A copy with a recorded post-mortem."""
    shutil.copytree(killed, to)
    edit(to / "postmortem.toml", 'obstacle = ""', f"obstacle = {json.dumps(obstacle)}")
    edit(to / "postmortem.toml", 'lesson = ""', f"lesson = {json.dumps(lesson)}")
    record_postmortem(to)
    return to


@pytest.fixture
def lab(killed: Path, tmp_path: Path) -> Path:
    """Two deaths of one class, one of another, and the file that makes a laboratory of the folder."""
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "tollens.toml").write_text("")
    death(killed, tmp_path / "lab" / "a" / "one")
    death(killed, tmp_path / "lab" / "b")
    death(killed, tmp_path / "lab" / "c", "MEASUREMENT", "")
    return tmp_path / "lab"


def test_classes_are_counted_with_every_death(lab: Path, killed: Path) -> None:
    shutil.copytree(killed, lab / "d")
    write(lab / "draft")
    report = obstacles(lab)
    assert (report.studies, report.killed) == (5, 4)
    assert [(one.obstacle, one.count, one.kind) for one in report.classes] == [
        ("BUDGET", 2, "arithmetic"), ("MEASUREMENT", 1, "none"),
    ]  # fmt: skip
    first = report.classes[0].deaths[0]
    assert (first.study, first.claim, first.rung, first.lesson) == ("a/one", "cheap", "numbers", "Count bytes.")
    assert first.distance == "1 refuted statement, where none may be"
    assert [(one.study, one.rung, one.amended) for one in report.unexplained] == [("d", "numbers", False)]
    assert report.unread == []
    assert report.next == f"tollens record postmortem {lab}/d"


def test_the_last_record_of_a_death_counts_and_counts_once(lab: Path) -> None:
    edit(lab / "b" / "postmortem.toml", '"BUDGET"', '"LEAKAGE"')
    record_postmortem(lab / "b")
    assert {one.obstacle: one.count for one in obstacles(lab).classes} == {"BUDGET": 1, "LEAKAGE": 1, "MEASUREMENT": 1}


def test_ledgers_that_cannot_be_read_are_listed_and_the_others_counted(lab: Path) -> None:
    for name, data in {"w": b"\x00\xff\n", "x": b"{}\n", "y": b"[" * 100_000 + b"\n", "empty": b""}.items():
        (lab / name).mkdir()
        (lab / name / "ledger.jsonl").write_bytes(data)
    (lab / "z").mkdir()
    os.mkfifo(lab / "z" / "ledger.jsonl")
    (lab / "link").mkdir()
    (lab / "link" / "ledger.jsonl").symlink_to("nowhere")
    data = (lab / "c" / "ledger.jsonl").read_bytes()
    (lab / "c" / "ledger.jsonl").write_bytes(data.replace(b'"MEASUREMENT"', b'"METRIC_REVE"'))
    report = obstacles(lab)
    assert [one.study for one in report.unread] == ["c", "link", "w", "x", "y", "z"]
    assert all(one.reason for one in report.unread)
    assert (report.killed, report.classes[0].count) == (2, 2)


def test_a_postmortem_of_another_verdict_explains_nothing(killed: Path, tmp_path: Path) -> None:
    """Anybody can append a record whose hashes fit."""
    study = death(killed, tmp_path / "s")
    body = json.loads((study / "ledger.jsonl").read_text().splitlines()[-1])["body"]
    Writer(study / "ledger.jsonl").append("postmortem", {**body, "verdict": "0" * 32, "obstacle": "LEAKAGE"})
    report = obstacles(tmp_path)
    assert report.classes == []
    assert len(report.unexplained) == 1


def test_no_folder_is_refused(tmp_path: Path) -> None:
    for name in ("nowhere", "file"):
        (tmp_path / "file").write_text("")
        with pytest.raises(TollensError, match="path_missing"):
            obstacles(tmp_path / name)
    with pytest.raises(TollensError, match="no_study") as refused:
        obstacles(tmp_path)
    assert int(refused.value.exit_code) == 21


def test_a_draft_and_a_sealed_study_that_resemble_a_death_are_told(lab: Path) -> None:
    study = write(lab / "a" / "new")
    draft = status(study)
    assert [(one.obstacle, one.deaths, one.study, one.similarity) for one in draft.resemblances] == [
        ("BUDGET", 2, "a/one", 1.0), ("MEASUREMENT", 1, "c", 1.0),
    ]  # fmt: skip
    notes = lock(study).notes
    assert [note for note in notes if note.startswith("resembles BUDGET, which killed 2 claims here: a/one (cheap)")]
    assert status(study).resemblances == draft.resemblances
    assert climb(study).verdict == "SURVIVED"
    assert status(study).resemblances == []


def test_another_matter_is_not_told(lab: Path) -> None:
    study = write(lab / "new")
    for name in ("claim.toml", "metric.py"):
        edit(study / name, "accuracy_diff", "bleu_diff")
    assert status(study).resemblances == []


def test_a_death_without_a_recorded_postmortem_and_the_study_itself_say_nothing(killed: Path, tmp_path: Path) -> None:
    shutil.copytree(killed, tmp_path / "open")
    study = write(tmp_path / "new")
    assert status(study).resemblances == []
    death(killed, tmp_path / "known")
    assert [one.study for one in status(study).resemblances] == ["known"]


def test_an_amended_study_does_not_resemble_its_own_death(lab: Path) -> None:
    edit(lab / "c" / "numbers.toml", 'ratio = { value = "9"', 'ratio = { value = "4"')
    amend(lab / "c", "corrected", "results seen")
    found = status(lab / "c")
    assert found.state == "SEALED"
    assert [one.obstacle for one in found.resemblances] == ["BUDGET"]


def test_without_a_laboratory_only_the_folders_beside_are_looked_into(killed: Path, tmp_path: Path) -> None:
    death(killed, tmp_path / "deep" / "er")
    study = write(tmp_path / "new")
    assert status(study).resemblances == []
    (tmp_path / "tollens.toml").write_text("")
    assert [one.study for one in status(study).resemblances] == ["deep/er"]


def test_broken_neighbours_do_not_break_a_status(lab: Path) -> None:
    study = write(lab / "new")
    data = (lab / "c" / "ledger.jsonl").read_bytes()
    (lab / "c" / "ledger.jsonl").write_bytes(data.replace(b'"MEASUREMENT"', b'"METRIC_REVE"'))
    (lab / "p").mkdir()
    os.mkfifo(lab / "p" / "ledger.jsonl")
    (lab / "q").mkdir()
    (lab / "q" / "ledger.jsonl").mkdir()
    report = status(study)
    assert [one.obstacle for one in report.resemblances] == ["BUDGET"]
    (note,) = report.notes
    assert "the ledger of c was passed by" in note


def test_the_search_ends_after_two_thousand_ledgers_and_says_so(killed: Path, tmp_path: Path) -> None:
    study = write(tmp_path / "a-new")
    for number in range(MOST):
        (tmp_path / f"m{number:04d}").mkdir()
        (tmp_path / f"m{number:04d}" / "ledger.jsonl").touch()
    assert status(study).notes == []
    death(killed, tmp_path / "z")
    report = status(study)
    assert report.notes == ["resemblance: stopped after 2,000 ledgers, and there are more"]
    assert report.resemblances == []
