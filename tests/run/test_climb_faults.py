"""What a climb may meet: kills, a full disk, a folder nobody may write to, a clock set back, a second process."""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .faults.reading import Record, judged, of, records
from .faults.study import write
from .faults.trial import KILLED, Driver, driving, happens, trial


@pytest.fixture(scope="module")
def driver() -> Iterator[Driver]:
    with driving() as made:
        yield made


@pytest.fixture(scope="module")
def study(driver: Driver, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sealed study."""
    root = tmp_path_factory.mktemp("sealed")
    made = trial(driver, root / "first", write(root / "plain"))
    assert made.run("lock") == 0, made.said
    return made.folder


@pytest.fixture(scope="module")
def undisturbed(driver: Driver, study: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    """The records of a climb that nothing happens to."""
    made = trial(driver, tmp_path_factory.mktemp("undisturbed") / "trial", study)
    assert made.run("climb") == 0, made.said
    return made.finish(records(made.ledger))


# The appends of an undisturbed climb: 1 run.started; 2 to 7 the rung `numbers`, 8 and 9 its traps, 10 and 11 its spend;
# from 12 a cell.started and a cell.finished for each of the 21 requests; 54, 55 the traps, 56, 57 the spend, 58
# run.finished, 59 the verdict.
@pytest.mark.parametrize(
    ("append", "part"),
    [
        pytest.param(1, 0.5, id="run.started torn"),
        pytest.param(11, 0.7, id="spend torn"),
        pytest.param(21, 0.3, id="cell.finished torn"),
        pytest.param(21, 1.0, id="cell.finished written and not forced to disk"),
        pytest.param(58, 0.0, id="after the spend"),
        pytest.param(59, 0.9, id="verdict torn"),
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


@pytest.mark.parametrize("number", [4, 24])
def test_a_climb_killed_inside_a_cell_repeats_that_cell_only(
    driver: Driver, study: Path, undisturbed: list[Record], tmp_path: Path, number: int
) -> None:
    """From outside, while the metric works: the fourth request is the first of the metric."""
    made = trial(driver, tmp_path / "trial", study)
    process = made.begin("climb", environment={"FAULTS_SLEEP": "5" if number == 4 else "0.02"})
    assert happens(lambda: made.ledger.count(b'"type":"cell.started"') == number)
    os.kill(process, signal.SIGKILL)
    assert made.end() == KILLED
    assert records(made.ledger)[-1]["type"] == "cell.started"
    found = made.finish(undisturbed)
    assert len(of(found, "cell.started")) == len(of(undisturbed, "cell.started")) + 1


@pytest.mark.parametrize("moment", [1, 30])
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
    made.begin("climb", environment={"FAULTS_SLEEP": "5"})
    assert happens(lambda: made.calls() == 1)
    os.kill(made.metric()[0], signal.SIGKILL)
    assert made.end() == 2
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
