"""What a climb may meet: kills, a full disk, a folder nobody may write to, a clock set back, a second process."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tollens.record.ledger import read_ledger
from tollens.record.spend import mismatches
from tollens.run.drift.check import drift
from tollens.run.index import indexed
from tollens.run.scoreboard import scoreboard
from tollens.run.spend import spend

from .faults.reading import Record, check_ended, judged, of, parts, records
from .faults.study import write
from .faults.trial import KILLED, Driver, Trial, driving, happens, room, trial


@pytest.fixture(scope="module")
def memory() -> Iterator[Path]:
    with room() as made:
        yield made


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """In memory too."""
    with room() as made:
        yield made


@pytest.fixture(scope="module")
def driver() -> Iterator[Driver]:
    with driving() as made:
        yield made


@pytest.fixture(scope="module")
def second() -> Iterator[Driver]:
    with driving() as made:
        yield made


@pytest.fixture(scope="module")
def study(driver: Driver, memory: Path) -> Path:
    """A sealed study."""
    made = trial(driver, memory / "first", write(memory / "plain"))
    assert made.run("lock") == 0, made.said
    return made.folder


@pytest.fixture(scope="module")
def undisturbed(driver: Driver, study: Path, memory: Path) -> list[Record]:
    """The records of a climb that nothing happens to."""
    made = trial(driver, memory / "undisturbed", study)
    assert made.run("climb") == 0, made.said
    return made.finish(records(made.ledger))


# The appends of an undisturbed climb: 1 run.started; 2 the two estimates; 3 to 8 the rung `numbers`, 9 and 10 its
# traps, 11 its spend; from 12 a cell.started and a cell.finished for each of the 12 requests; 36, 37 the traps, 38 the
# spend, 39 run.finished, 40 the verdict.
@pytest.mark.parametrize(
    ("append", "part"),
    [
        pytest.param(1, 0.5, id="run.started torn"),
        pytest.param(2, 0.3, id="first estimate torn"),
        pytest.param(2, 0.7, id="second estimate torn"),
        pytest.param(11, 0.7, id="spend torn"),
        pytest.param(21, 0.3, id="cell.finished torn"),
        pytest.param(21, 1.0, id="cell.finished written and not forced to disk"),
        pytest.param(39, 0.0, id="after the spend"),
        pytest.param(40, 0.9, id="verdict torn"),
    ],
)
def test_a_climb_killed_inside_an_append_goes_on(
    driver: Driver, study: Path, undisturbed: list[Record], tmp_path: Path, append: int, part: float
) -> None:
    made = trial(driver, tmp_path / "trial", study)
    assert made.run("climb", append=append, part=part) == KILLED
    assert bool(made.torn) == (0 < part < 1)
    found = made.finish(undisturbed)
    again = len(of(found, "cell.started")) - len(of(undisturbed, "cell.started"))
    assert again == (1 if append == 21 and part < 1 else 0)


@pytest.mark.parametrize("number", [1, 12])
def test_a_climb_killed_inside_a_cell_repeats_that_cell_only(
    driver: Driver, study: Path, undisturbed: list[Record], tmp_path: Path, number: int
) -> None:
    """From outside, while the metric works on its first and on its last request."""
    made = trial(driver, tmp_path / "trial", study)
    process = made.begin("climb", environment=made.hold(number))
    assert happens(lambda: made.calls() == number)
    os.kill(process, signal.SIGKILL)
    assert made.end() == KILLED
    made.release()
    assert records(made.ledger)[-1]["type"] == "cell.started"
    found = made.finish(undisturbed)
    assert len(of(found, "cell.started")) == len(of(undisturbed, "cell.started")) + 1


def test_a_control_that_a_killed_climb_wrote_does_not_stay(
    driver: Driver, study: Path, undisturbed: list[Record], tmp_path: Path
) -> None:
    """The table of the control `true` is written beside the copy, and read."""
    made = trial(driver, tmp_path / "trial", study)
    assert made.run("climb", after="cell.started", moment=3) == KILLED
    assert list(made.temporary.rglob("*-true.toml"))
    made.finish(undisturbed)


@pytest.mark.parametrize("moment", [1, 4, 16])
def test_a_climb_killed_after_its_verdict_keeps_it(
    driver: Driver, study: Path, undisturbed: list[Record], tmp_path: Path, moment: int
) -> None:
    """Before decision.json, and half way: the next climb writes what is missing and measures nothing."""
    made = trial(driver, tmp_path / "trial", study)
    assert made.run("climb", after="verdict", moment=moment) == KILLED
    before = made.ledger
    made.finish(undisturbed)
    assert made.ledger == before


def test_a_metric_that_is_killed_is_no_reading(
    driver: Driver, study: Path, undisturbed: list[Record], tmp_path: Path
) -> None:
    made = trial(driver, tmp_path / "trial", study)
    made.begin("climb", environment=made.hold(2))
    assert happens(lambda: made.calls() == 2)
    os.kill(made.metric()[0], signal.SIGKILL)
    assert made.end() == 2
    made.release()
    assert "killed from outside" in made.said
    made.finish(undisturbed)


# Sealing: 1 the only append. The audit events after it are those of seal.json.
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"append": 1, "part": 0.5}, id="record torn"),
        pytest.param({"append": 1, "part": 1.0}, id="before seal.json"),
        pytest.param({"after": "seal", "moment": 2}, id="seal.json not in place"),
    ],
)
def test_a_lock_that_is_killed_is_a_seal_or_none(
    driver: Driver, undisturbed: list[Record], tmp_path: Path, fault: dict[str, Any]
) -> None:
    made = trial(driver, tmp_path / "trial", write(tmp_path / "plain"))
    assert made.run("lock", **fault) == KILLED
    sealed = bool(of(records(made.ledger), "seal"))
    assert made.run("lock") == (3 if sealed else 0), made.said
    assert not sealed or "already_sealed" in made.said
    made.finish(undisturbed)


def test_a_lock_killed_during_the_sign_check_seals_nothing(
    driver: Driver, undisturbed: list[Record], tmp_path: Path
) -> None:
    made = trial(driver, tmp_path / "trial", write(tmp_path / "plain"))
    process = made.begin("lock")
    assert happens(lambda: (made.root / "log").exists())
    os.kill(process, signal.SIGKILL)
    assert made.end() == KILLED
    assert made.ledger == b""
    assert made.run("lock") == 0
    made.finish(undisturbed)


@pytest.mark.parametrize("fault", [{"append": 1, "part": 0.0}, {"append": 1, "part": 1.0}])
def test_an_amendment_that_is_killed_is_no_tampering(
    driver: Driver, study: Path, tmp_path: Path, fault: dict[str, Any]
) -> None:
    """With the record of the amendment and the old seal.json beside it, the study is as the ledger says."""
    made = trial(driver, tmp_path / "trial", study)
    claim = made.folder / "claim.toml"
    claim.write_text(claim.read_text().replace("is close to", "is near"))
    amend = ("amend", "--reason", "a word", "--access", "nothing run")
    assert made.run(*amend, **fault) == KILLED
    amended = bool(of(records(made.ledger), "amend"))
    assert made.run(*amend) == (3 if amended else 0), made.said
    assert made.run("climb") == 0, made.said
    assert judged(records(made.ledger))["text"] == "The subject is near the reference"
    (record,) = of(records(made.ledger), "amend")
    assert hashlib.sha256((made.folder / "seal.json").read_bytes()).hexdigest() == record["body"]["seal"]


@pytest.mark.parametrize("append", [1, 2, 12, 21, 38, 40])
def test_a_disk_that_is_full_ends_the_climb_with_a_sentence(
    driver: Driver, study: Path, undisturbed: list[Record], tmp_path: Path, append: int
) -> None:
    """Half a record is written and the rest fails: the half does not stay, and what fails to be said is not lost."""
    made = trial(driver, tmp_path / "trial", study)
    assert made.run("climb", append=append, errno=errno.ENOSPC) == 2
    assert "No space left on device" in made.said
    assert made.torn == []
    made.finish(undisturbed)


def test_a_limit_on_the_size_of_files_is_a_full_disk(
    driver: Driver, study: Path, undisturbed: list[Record], tmp_path: Path
) -> None:
    """RLIMIT_FSIZE: the kernel itself cuts the write short in the middle of a record, then refuses the rest."""
    made = trial(driver, tmp_path / "trial", study)
    assert made.run("climb", fsize=len(made.ledger) + 8000) == 2
    assert "ledger_unwritable" in made.said
    assert "File too large" in made.said
    assert made.torn == []
    assert 8 < len(records(made.ledger)) < 30
    made.finish(undisturbed)


def test_no_room_for_the_copy_is_said_and_nothing_starts(driver: Driver, study: Path, tmp_path: Path) -> None:
    made = trial(driver, tmp_path / "trial", study)
    before = made.ledger
    assert made.run("climb", fsize=1000) == 2, made.said
    assert "File too large" in made.said
    assert made.ledger == before
    assert list(made.temporary.iterdir()) == []


def test_a_file_system_that_is_full(study: Path, undisturbed: list[Record], tmp_path: Path) -> None:
    """A real one, of memory: filled up to the last page, so that the ledger fits until its page ends."""
    if subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True).returncode != 0:
        pytest.skip("no right to mount a file system")
    with driving("unshare", "-m") as driver:
        made = trial(driver, tmp_path / "trial", study)
        inside = Path(f"/proc/{driver.process.pid}/root{made.folder}")
        fill = f"mount -t tmpfs -o size=1m none {made.folder} && cp {study}/* {made.folder} && cd {made.folder}"
        assert made.shell(f"{fill} && ! cat /dev/zero > filler") == 0, made.said
        assert made.run("climb") == 2, made.said
        assert "No space left on device" in made.said
        kept = (inside / "ledger.jsonl").read_bytes()
        assert kept.startswith(made.ledger)
        assert kept.endswith(b"\n")
        assert made.shell(f"cd {made.folder} && mount -o remount,ro none . ") == 0, made.said
        assert made.run("climb") == 2, made.said
        assert "Read-only file system" in made.said
        assert (inside / "ledger.jsonl").read_bytes() == kept
        assert made.shell(f"cd {made.folder} && mount -o remount,rw none . && rm filler") == 0, made.said
        assert made.run("climb") == 0, made.said
        after = (inside / "ledger.jsonl").read_bytes()
        assert after.startswith(kept)
        check_ended(inside, undisturbed)


def test_a_folder_that_nobody_may_write_to(
    driver: Driver, study: Path, undisturbed: list[Record], tmp_path: Path
) -> None:
    made = trial(driver, tmp_path / "trial", study)
    before = made.ledger
    made.folder.chmod(0o555)
    (made.folder / "ledger.jsonl").chmod(0o444)
    assert made.run("climb", lawful=True) == 2, made.said
    assert "ledger_unwritable" in made.said
    assert "Permission denied" in made.said
    made.folder.chmod(0o000)
    made.begin("climb", lawful=True)
    said = made.driver.status()
    made.folder.chmod(0o755)
    assert said == 2, made.said
    assert "Permission denied" in made.said
    (made.folder / "ledger.jsonl").chmod(0o644)
    assert made.ledger == before
    made.finish(undisturbed)


def test_a_clock_that_goes_backwards_decides_nothing(
    driver: Driver, study: Path, undisturbed: list[Record], tmp_path: Path
) -> None:
    times = [f"{year}-01-01T00:00:00.000Z" for year in range(2040, 1990, -1)]
    made = trial(driver, tmp_path / "trial", study)
    assert made.run("climb", clock=times, append=30, part=0.5) == KILLED
    found = records(made.ledger)[1:]
    assert [r["time"] for r in found] == times[: len(found)]
    made.finish(undisturbed)


def test_a_verdict_of_a_clock_set_back_is_kept(
    driver: Driver, study: Path, undisturbed: list[Record], tmp_path: Path
) -> None:
    made = trial(driver, tmp_path / "trial", study)
    assert made.run("climb", clock=["1980-01-01T00:00:00.000Z"]) == 0
    before = made.ledger
    made.finish(undisturbed)
    assert made.ledger == before


def test_the_second_of_two_climbs_is_refused(
    driver: Driver, second: Driver, study: Path, undisturbed: list[Record], tmp_path: Path
) -> None:
    made, other = trial(driver, tmp_path / "trial", study), Trial(second, tmp_path / "other")
    other.temporary.mkdir(parents=True)
    other.folder.symlink_to(made.folder)
    made.begin("climb", environment=made.hold(2))
    assert happens(lambda: made.calls() == 2)
    for verb in (["climb"], ["lock"], ["amend", "--reason", "a word", "--access", "results seen"]):
        other.begin(*verb)
        assert second.status() == 2, other.said
        assert other.said.startswith("study_busy")
    made.release()
    assert made.end() == 0
    made.finish(undisturbed)
    assert other.calls() == 0


def test_climbs_of_copies_leave_each_other_alone(
    driver: Driver, second: Driver, study: Path, undisturbed: list[Record], tmp_path: Path
) -> None:
    """The same seal, the same place for temporary files: each sweeps what the dead left, not what the other runs on."""
    one, two = trial(driver, tmp_path / "one", study), trial(second, tmp_path / "two", study)
    shared = {"TMPDIR": str(one.temporary)}
    assert one.run("climb", append=20, part=1.0, environment=shared) == KILLED
    (left,) = one.temporary.iterdir()
    before = one.calls()
    one.begin("climb", environment={**shared, **one.hold(before + 1)})
    assert happens(lambda: one.calls() > before)
    assert not left.exists()
    (used,) = one.temporary.iterdir()
    two.begin("climb", environment={**shared, **two.hold(2)})
    assert happens(lambda: two.calls() == 2)
    assert used in one.temporary.iterdir()
    one.release()
    two.release()
    assert (one.end(), two.end()) == (0, 0), one.said + two.said
    one.finish(undisturbed)
    two.finish(undisturbed)


@pytest.mark.parametrize("cut", [1, 150])
def test_a_torn_last_line_is_set_aside(
    driver: Driver, study: Path, undisturbed: list[Record], tmp_path: Path, cut: int
) -> None:
    """As a machine that lost its power may leave it: a reading that is not whole is no reading."""
    made = trial(driver, tmp_path / "trial", study)
    assert made.run("climb", append=22, part=0.0) == KILLED
    path = made.folder / "ledger.jsonl"
    path.write_bytes(path.read_bytes()[:-cut])
    made.kept = parts(path.read_bytes())[0]
    made.check_kept()
    assert made.run("status") == 0
    assert "never finished" in made.said
    made.finish(undisturbed)
    assert (made.folder / "ledger.torn").read_bytes() == made.torn[0] + b"\n"


def test_nothing_of_a_run_whose_inputs_changed_is_judged(
    driver: Driver, study: Path, undisturbed: list[Record], tmp_path: Path
) -> None:
    """After the files are restored every cell is measured again: who knows what that run has read."""
    made = trial(driver, tmp_path / "trial", study)
    levels = made.folder / "levels.json"
    before = levels.read_bytes()
    made.begin("climb", environment=made.hold(12))
    assert happens(lambda: made.calls() == 12)
    levels.write_bytes(before.replace(b"-40", b"-41"))
    made.release()
    assert made.end() == 20, made.said
    assert "inputs changed during run" in made.said
    levels.write_bytes(before)
    assert made.run("climb") == 0, made.said
    found = records(made.ledger)
    assert made.calls() == 2 * 12
    assert judged(found) == judged(undisturbed)
    assert len(of(found, "cell.started")) == len(of(found, "cell.finished")) == 2 * 15
    actual = [r["body"]["quantity"] for r in of(found, "spend") if r["body"]["kind"] == "actual"]
    assert sum(actual) == 2 * 15


@pytest.mark.parametrize("append", [21, 23])
def test_what_a_killed_climb_has_started_is_paid_though_the_seal_is_amended(
    driver: Driver, study: Path, tmp_path: Path, append: int
) -> None:
    """No climb of the old seal will come to count it."""
    made = trial(driver, tmp_path / "trial", study)
    assert made.run("climb", append=append, part=1.0) == KILLED
    old = [r for r in of(records(made.ledger), "cell.started") if r["body"]["key"]["rung"] == "accuracy"]
    claim = made.folder / "claim.toml"
    claim.write_text(claim.read_text().replace("usd_micro = 7", "usd_micro = 9"))
    amend = ("amend", "--reason", "dearer", "--access", "results seen")
    assert made.run(*amend, append=1, part=0.3) == KILLED
    assert made.run(*amend) == 0, made.said
    assert made.run("climb") == 0, made.said
    (found,) = spend(made.folder).studies
    (usd,) = found.figures
    stated = judged_spent(made.folder)
    assert (usd.net_micro, stated) == (7 * len(old) + 9 * 12, 9 * 12)
    assert len(old) > 3
    assert [f.code for f in drift(made.root).findings if f.code == "D12"] == []
    assert mismatches(read_ledger(made.folder / "ledger.jsonl").records) == []


def judged_spent(folder: Path) -> int:
    return int(json.loads((folder / "decision.json").read_text())["spent"]["usd_micro"])


def test_the_scoreboard_of_a_climb_that_goes_on(driver: Driver, study: Path, tmp_path: Path) -> None:
    """Looked at while it runs, by this process and by others: half a record is never a broken one."""
    made = trial(driver, tmp_path / "trial", study)
    index = tmp_path / "index.sqlite"
    made.begin("climb", environment=made.hold(2))
    assert happens(lambda: made.calls() == 2)
    states = [scoreboard(made.root, index).studies[0].state]
    assert states == ["RUNNING"]
    command = [sys.executable, "-m", "tollens.cli.main", "status", str(made.root), "--index", str(index), "--json"]
    other = subprocess.Popen(command, stdout=subprocess.PIPE)
    made.release()
    while states[-1] != "SURVIVED" and len(states) < 5000:
        states.append(scoreboard(made.root, index).studies[0].state)
    assert set(states) <= {"RUNNING", "SEALED", "SURVIVED"}  # it is SEALED for a moment, before its verdict
    assert json.loads(other.communicate(timeout=60)[0])["studies"][0]["state"] in states
    assert other.returncode == 0
    assert made.end() == 0
    with indexed(made.root, index) as (grown, _), indexed(made.root, tmp_path / "new.sqlite") as (new, _):
        assert grown.dump() == new.dump()


def test_the_scoreboard_of_every_half_of_a_ledger(driver: Driver, study: Path, tmp_path: Path) -> None:
    """As it lies there when a write is cut anywhere; the index grows from one to the next."""
    made = trial(driver, tmp_path / "trial", study)
    assert made.run("climb") == 0
    data = made.ledger
    sealed_ = data.index(b"\n") + 1
    (made.folder / "decision.json").unlink()
    ends = [place + 1 for place in range(sealed_, len(data)) if data[place : place + 1] == b"\n"]
    cuts = sorted({*ends, *(e - 1 for e in ends), *(e + 40 for e in ends[:-1]), *range(sealed_, len(data), 4001)})
    with indexed(made.root, tmp_path / "index.sqlite"):
        pass
    for cut in cuts:
        (made.folder / "ledger.jsonl").write_bytes(data[:cut])
        (found,) = scoreboard(made.root, tmp_path / "index.sqlite").studies
        assert found.state in ("RUNNING", "SEALED") if cut < len(data) else found.state == "SURVIVED", cut
        assert (found.torn > 0) == (cut not in (*ends, sealed_))
