"""The post-mortem of a real death: opened, spoilt in every way, recorded, corrected; and two at a time."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tollens.core.errors import TollensError
from tollens.protocol.postmortem import STATEMENTS, read_postmortem
from tollens.record.ledger import Writer, read_ledger
from tollens.run.climb import climb
from tollens.run.lock import amend, lock
from tollens.run.obstacles import obstacles
from tollens.run.postmortem import open_postmortem, record_postmortem
from tollens.run.status import status
from tollens.run.study import alone, sealed

from .faults.reading import records
from .faults.study import write
from .faults.trial import KILLED, Driver, driving, room, trial

FALSE_NUMBERS = ("numbers.toml", 'ratio = { value = "4"', 'ratio = { value = "9"')
FALSE_LEVELS = ("levels.json", '"near": -0.2', '"near": -30.0')
MIN_KILLS = ("claim.toml", "mean(accuracy_diff) < -0.5 pp", "min(accuracy_diff) < -0.5 pp")


@pytest.fixture(scope="module")
def memory() -> Iterator[Path]:
    with room() as made:
        yield made


@pytest.fixture(scope="module")
def deaths(memory: Path) -> dict[str, Path]:
    """Killed studies: by arithmetic, by its readings, by the first of its readings."""
    os.environ["FAULTS_LOG"] = str(memory / "log")
    made = {}
    for name, edits in {
        "numbers": [FALSE_NUMBERS], "levels": [FALSE_LEVELS], "first": [FALSE_LEVELS, MIN_KILLS],
    }.items():  # fmt: skip
        folder = write(memory / name)
        for file, old, new in edits:
            edit(folder / file, old, new)
        lock(folder)
        assert climb(folder).verdict == "KILLED"
        made[name] = folder
    return made


@pytest.fixture
def study(deaths: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of the study that arithmetic killed, alone in a folder."""
    return Path(shutil.copytree(deaths["numbers"], tmp_path / "lab" / "study"))


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def fill(folder: Path, obstacle: str = "BUDGET", lesson: str = "Count bytes first.") -> None:
    edit(folder / "postmortem.toml", 'obstacle = ""', f"obstacle = {json.dumps(obstacle)}")
    edit(folder / "postmortem.toml", 'lesson = ""', f"lesson = {json.dumps(lesson)}")


def bodies(folder: Path) -> list[dict[str, Any]]:
    return [r["body"] for r in records((folder / "ledger.jsonl").read_bytes()) if r["type"] == "postmortem"]


def refusal(folder: Path) -> TollensError:
    before = (folder / "ledger.jsonl").read_bytes()
    with pytest.raises(TollensError) as refused:
        record_postmortem(folder)
    assert (folder / "ledger.jsonl").read_bytes() == before
    assert not (folder / "postmortem.md").is_file()
    return refused.value


def test_what_arithmetic_killed_has_no_distance_but_a_number_of_statements(deaths: dict[str, Path]) -> None:
    made = read_postmortem((deaths["numbers"] / "postmortem.toml").read_text())
    found = sealed(deaths["numbers"])
    assert (made.claim, made.seal, made.rung, made.cell) == ("cheap", found.hash, "numbers", "")
    assert (made.violation.distance, made.violation.unit) == (1, STATEMENTS)
    assert made.cost.micro == {"USD": 0}


def test_what_readings_killed_has_its_exact_distance(deaths: dict[str, Path]) -> None:
    made = read_postmortem((deaths["levels"] / "postmortem.toml").read_text())
    values = {row.cell: row.values["accuracy_diff"] for row in made.readings}
    assert sorted(values) == ["seed=1", "seed=2"]
    mean = sum(values.values()) / 2
    assert made.violation.of == "mean(accuracy_diff)"
    assert made.violation.unit == "pp"
    assert made.violation.value == pytest.approx(mean, abs=1e-12)
    assert made.violation.distance == pytest.approx(-0.5 - mean, abs=1e-12)
    assert made.violation.distance > 29
    assert not made.violation.open
    spend = [r["body"] for r in records((deaths["levels"] / "ledger.jsonl").read_bytes()) if r["type"] == "spend"]
    assert made.cost.micro == {"USD": sum(row["amount_micro"] for row in spend if row["kind"] == "actual")}
    assert made.cost.micro["USD"] > 0


def test_where_cells_were_not_run_the_distance_is_the_least_it_can_be(deaths: dict[str, Path]) -> None:
    made = read_postmortem((deaths["first"] / "postmortem.toml").read_text())
    assert len(made.readings) == 1
    (row,) = made.readings
    assert made.violation.open
    assert made.violation.distance == pytest.approx(-0.5 - row.values["accuracy_diff"], abs=1e-12)


def test_from_open_to_recorded_to_corrected(study: Path) -> None:
    (study.parent / "tollens.toml").write_text("")
    assert status(study).postmortem.state == "incomplete"  # type: ignore[union-attr]
    assert status(study).next == f"edit {study}/postmortem.toml, then tollens record postmortem {study}"
    fill(study)
    assert status(study).postmortem.state == "not recorded"  # type: ignore[union-attr]
    assert status(study).next == f"tollens record postmortem {study}"
    report = record_postmortem(study)
    assert (report.verdict, report.obstacle, report.kind) == ("RECORDED", "BUDGET", "arithmetic")
    text = (study / "postmortem.toml").read_bytes()
    (body,) = bodies(study)
    (verdict,) = [r for r in records((study / "ledger.jsonl").read_bytes()) if r["type"] == "verdict"]
    assert body["file"] == hashlib.sha256(text).hexdigest()
    assert body["verdict"] == verdict["id"]
    assert body["lesson"] == "Count bytes first."
    assert body.get("constraint") is None
    found = status(study)
    assert found.postmortem is not None
    assert (found.postmortem.state, found.postmortem.lesson) == ("recorded", "Count bytes first.")
    rendered = (study / "postmortem.md").read_text()
    assert rendered.startswith("# KILLED cheap\n")
    assert "not spent because it died here: accuracy: 12 requests" in rendered

    again = record_postmortem(study)
    assert (again.verdict, again.recorded) == ("ALREADY RECORDED", False)
    assert len(bodies(study)) == 1
    edit(study / "postmortem.toml", "Count bytes first.", "Count scales too.")
    assert status(study).postmortem.state == "edited"  # type: ignore[union-attr]
    assert "record it again" in status(study).postmortem.says  # type: ignore[union-attr]
    assert status(study).next == f"tollens record postmortem {study}"
    assert record_postmortem(study).recorded
    assert [body["lesson"] for body in bodies(study)] == ["Count bytes first.", "Count scales too."]
    assert "Count scales too." in (study / "postmortem.md").read_text()
    assert sealed(study).verdict is not None  # neither file is a sealed one


def test_a_checkout_with_other_line_ends_is_the_same_file(study: Path) -> None:
    fill(study)
    record_postmortem(study)
    path = study / "postmortem.toml"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert status(study).postmortem.state == "recorded"  # type: ignore[union-attr]
    assert not record_postmortem(study).recorded


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ('claim = "cheap"', 'claim = "dear"', "claim"),
        ('rung = "numbers"', 'rung = "accuracy"', "rung"),
        ("violations = 1", "violations = 2", "readings"),
        ("distance = 1", "distance = 0", "violation"),
        ("USD = 0", "USD = 1", "cost"),
        ('rule = "', 'rule = "not ', "rule"),
        ('seal = "', 'seal = "0', "seal"),
    ],
)
def test_a_fact_that_was_edited_by_hand_is_refused_by_name(study: Path, old: str, new: str, field: str) -> None:
    fill(study)
    edit(study / "postmortem.toml", old, new)
    error = refusal(study)
    assert (error.code, error.subject) == ("postmortem_differs", f"postmortem.toml {field}")


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "missing required field"),
        (b"\x00\xff\xfe binary", "can't decode byte"),
        (b"a = [" * 5000, "]"),
        (b"obstacle = 3", "Expected `str`"),
        (b"\xef\xbb\xbfobstacle = 3", "Expected `str`"),
        (b"a\rb", "carriage return"),
    ],
)
def test_what_is_no_postmortem_is_refused(study: Path, data: bytes, told: str) -> None:
    (study / "postmortem.toml").write_bytes(data)
    error = refusal(study)
    assert error.code == "postmortem_syntax"
    assert told in error.found or error.found
    state = status(study).postmortem
    assert state is not None
    assert state.state == "unreadable"


def test_a_huge_file_is_refused_unread(study: Path) -> None:
    with open(study / "postmortem.toml", "r+b") as handle:
        handle.truncate(1 << 40)  # a hole
    assert refusal(study).code == "postmortem_syntax"


def test_a_folder_a_link_and_a_pipe_are_refused_and_stay(study: Path) -> None:
    path = study / "postmortem.toml"
    path.rename(study / "mine.toml")
    path.mkdir()
    assert refusal(study).found == "a folder"
    path.rmdir()
    for target in ("mine.toml", "nowhere"):
        path.symlink_to(target)
        assert refusal(study).found == "a link"
        assert path.is_symlink()
        path.unlink()
    os.mkfifo(path)
    assert refusal(study).found == "no plain file"
    assert status(study).state == "KILLED"


def test_a_folder_in_the_place_of_the_rendering_is_refused_before_anything_is_recorded(study: Path) -> None:
    fill(study)
    (study / "postmortem.md").mkdir()
    assert refusal(study).expected == "a place for postmortem.md"


@pytest.mark.parametrize("after", [False, True])
def test_one_that_was_deleted_is_opened_again(study: Path, after: bool) -> None:
    if after:
        fill(study)
        record_postmortem(study)
    before = read_postmortem((study / "postmortem.toml").read_text())
    (study / "postmortem.toml").unlink()
    found = status(study).postmortem
    assert found is not None
    assert found.state == ("edited" if after else "incomplete")
    assert found.obstacle == ("BUDGET" if after else "")
    again = read_postmortem((study / "postmortem.toml").read_text())
    assert again.obstacle == ""
    assert again.violation == before.violation
    with pytest.raises(TollensError, match="postmortem_incomplete"):
        record_postmortem(study)


def test_one_that_is_there_is_never_overwritten(study: Path) -> None:
    (study / "postmortem.toml").write_text("mine")
    with pytest.raises(TollensError, match="already_decided"):
        climb(study)
    status(study)
    assert not open_postmortem(sealed(study))
    assert (study / "postmortem.toml").read_text() == "mine"


def test_a_climb_of_a_decided_study_opens_a_missing_one(study: Path) -> None:
    before = (study / "postmortem.toml").read_bytes()
    (study / "postmortem.toml").unlink()
    with pytest.raises(TollensError, match="already_decided"):
        climb(study)
    assert (study / "postmortem.toml").read_bytes() == before


def test_where_nothing_can_be_written_the_status_says_so(study: Path) -> None:
    (study / "postmortem.toml").unlink()
    with driving() as driver:
        made = trial(driver, study.parent / "trial", study)
        made.folder.chmod(0o555)
        try:
            assert made.run("status", "--quiet", lawful=True) == 10
            assert made.run("status", lawful=True) == 10
            assert "postmortem.toml was not opened: Permission denied" in " ".join(made.said.split())
        finally:
            made.folder.chmod(0o755)


def test_a_study_that_was_not_killed_has_none(tmp_path: Path, memory: Path) -> None:
    os.environ["FAULTS_LOG"] = str(memory / "log")
    folder = write(tmp_path / "s")
    assert refusal_code(folder) == "not_sealed"
    lock(folder)
    assert refusal_code(folder) == "postmortem_not_killed"
    climb(folder)
    assert refusal_code(folder) == "postmortem_not_killed"
    assert not (folder / "postmortem.toml").exists()
    assert status(folder).postmortem is None


def refusal_code(folder: Path) -> str:
    with pytest.raises(TollensError) as refused:
        record_postmortem(folder)
    return refused.value.code


@pytest.mark.parametrize("name", ["postmortem.toml", "./postmortem.toml", "postmortem.md"])
def test_a_postmortem_cannot_be_sealed(tmp_path: Path, name: str) -> None:
    folder = write(tmp_path / "s")
    (folder / name).write_text("")
    edit(folder / "claim.toml", 'files = ["levels.json"]', f'files = ["levels.json", "{name}"]')
    with pytest.raises(TollensError) as refused:
        lock(folder)
    assert refused.value.code == "study_field"
    assert "which Tollens writes" in refused.value.found


def test_a_second_death_of_an_amended_study_sets_the_first_file_aside(study: Path) -> None:
    fill(study, lesson="first")
    record_postmortem(study)
    old = sealed(study).hash
    edit(study / "numbers.toml", 'ratio = { value = "9"', 'ratio = { value = "7"')
    amend(study, "bolder", "results seen")
    assert climb(study).verdict == "KILLED"
    assert read_postmortem((study / f"postmortem.{old[:12]}.toml").read_text()).lesson == "first"
    assert read_postmortem((study / "postmortem.toml").read_text()).seal == sealed(study).hash
    assert status(study).postmortem.state == "incomplete"  # type: ignore[union-attr]
    report = obstacles(study.parent)
    assert (report.killed, len(report.unexplained), report.classes[0].count) == (2, 1, 1)
    assert report.next == f"tollens record postmortem {study}"


def test_a_constraint_that_is_nowhere_comes_as_a_table_to_paste(study: Path) -> None:
    fill(study)
    edit(study / "postmortem.toml", 'constraint = ""', 'constraint = "SIZE-1"')
    report = record_postmortem(study)
    assert report.constraint is not None
    assert 'id = "SIZE-1"' in report.constraint
    assert any("SIZE-1" in note for note in report.notes)
    (study.parent / "tollens.toml").write_text(report.constraint)
    again = record_postmortem(study)
    assert again.constraint is None
    assert bodies(study)[0]["constraint"] == "SIZE-1"


def test_a_class_of_the_laboratory_is_one(study: Path) -> None:
    fill(study, "CARELESS")
    assert refusal(study).code == "obstacle_unknown"
    (study.parent / "tollens.toml").write_text('[[obstacle]]\nid = "CARELESS"\nsays = "Nobody counted."\n')
    assert record_postmortem(study).says == "Nobody counted."
    (study.parent / "tollens.toml").write_text("[[obstacle]]\nid = 1")
    assert status(study).postmortem.says == "CARELESS (one case, no law): Nobody counted."  # type: ignore[union-attr]
    with pytest.raises(TollensError, match="laboratory_syntax"):
        record_postmortem(study)


def test_a_record_that_is_none_breaks_the_ledger(study: Path) -> None:
    Writer(study / "ledger.jsonl").append("postmortem", {"seal": sealed(study).hash, "obstacle": 3})
    with pytest.raises(TollensError, match="ledger_broken"):
        read_ledger(study / "ledger.jsonl")


def test_two_at_once(study: Path) -> None:
    fill(study)
    command = [sys.executable, "-m", "tollens.cli.main", "record", "postmortem", str(study)]
    with alone(study):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert "study_busy" in done.stderr
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    assert len(bodies(study)) == 1


# After its verdict is written a climb opens, in order, decision.json and trap_results.json, then postmortem.toml.
def test_a_climb_killed_between_its_verdict_and_the_postmortem(tmp_path: Path) -> None:
    with driving() as driver:
        made = lethal(driver, tmp_path / "count")
        assert made.run("climb", after="verdict", count=str(tmp_path / "calls")) == 10
        calls = int((tmp_path / "calls").read_text())
        whole = (made.folder / "postmortem.toml").read_text()
        states = []
        for moment in range(1, calls + 1):
            made = lethal(driver, tmp_path / f"at-{moment}")
            assert made.run("climb", after="verdict", moment=moment) == KILLED
            ledger = made.ledger
            states.append((made.folder / "postmortem.toml").exists())
            if states[-1]:  # all of it or nothing
                assert same(read_text(made.folder), whole)
            verb = "status" if moment % 2 else "climb"
            assert made.run(verb) == (10 if verb == "status" else 2)
            assert same(read_text(made.folder), whole)
            assert made.ledger == ledger
            left = [p.name for p in made.folder.iterdir() if p.name.startswith(".postmortem")]
            assert not left or states[-1]
        assert {False, True} <= set(states)


def lethal(driver: Driver, root: Path) -> Any:
    plain = root.parent / f"{root.name}-plain"
    edit(write(plain) / FALSE_NUMBERS[0], *FALSE_NUMBERS[1:])
    made = trial(driver, root, plain)
    assert made.run("lock") == 0, made.said
    return made


def read_text(folder: Path) -> str:
    return (folder / "postmortem.toml").read_text()


def same(one: str, other: str) -> bool:
    """But for the seconds, which differ from run to run."""
    parts = [[line for line in text.split("\n") if not line.startswith("cost =")] for text in (one, other)]
    return parts[0] == parts[1]
