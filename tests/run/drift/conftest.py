"""One clean repository a session, and its twin with every defect."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.run.drift.planted import PLANTS, Twins, build


@pytest.fixture(scope="session")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Twins:
    base = tmp_path_factory.mktemp("drift")
    clean = build(base)
    planted = Path(shutil.copytree(clean, base / "planted"))
    return Twins(planted, clean, tuple(sorted(plant(planted) for plant in PLANTS)))


@pytest.fixture
def clean(twins: Twins, tmp_path: Path) -> Path:
    """A copy of the clean repository."""
    return Path(shutil.copytree(twins.clean, tmp_path / "clean"))


@pytest.fixture
def planted(twins: Twins, tmp_path: Path) -> Path:
    return Path(shutil.copytree(twins.planted, tmp_path / "planted"))


@pytest.fixture
def snapshot() -> Callable[[Path], dict[str, bytes]]:
    """Every file below a folder with its bytes."""
    return lambda root: {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}
