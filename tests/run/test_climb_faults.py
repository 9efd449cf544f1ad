"""What a climb may meet: kills, a full disk, a folder nobody may write to, a clock set back, a second process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .faults.reading import Record, records
from .faults.study import write
from .faults.trial import Driver, Trial, driving, trial


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


def test_first(undisturbed: list[Record]) -> None:
    assert len(undisturbed) > 10
