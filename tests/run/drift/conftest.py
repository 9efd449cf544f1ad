"""One clean repository a session, and its twin with every defect."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.run.drift.planted import PLANTS, Twins, build


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("drift"))


@pytest.fixture(scope="session")
def twins(built: Path) -> Twins:
    planted = Path(shutil.copytree(built, built.with_name("planted")))
    return Twins(planted, built, tuple(sorted(plant(planted) for plant in PLANTS)))


@pytest.fixture
def clean(built: Path, tmp_path: Path) -> Path:
    """A copy of the clean repository."""
    return Path(shutil.copytree(built, tmp_path / "clean"))


@pytest.fixture
def planted(twins: Twins, tmp_path: Path) -> Path:
    return Path(shutil.copytree(twins.planted, tmp_path / "planted"))


@pytest.fixture
def snapshot() -> Callable[[Path], dict[str, bytes]]:
    """Every file below a folder with its bytes."""
    return lambda root: {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}
