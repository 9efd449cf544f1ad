"""One sealed and one climbed study a session; every attack works on a copy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.attacks.seal.study import ILL, Cli, Said, copied, make

from tollens.cli.main import run
from tollens.run.climb import climb
from tollens.run.lock import lock


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """`tollens` in this process: exit code and everything printed."""

    def called(*arguments: str | Path) -> Said:
        capsys.readouterr()
        code = run([str(a) for a in arguments])
        return Said(code, *capsys.readouterr())

    return called


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """`draft`: a true claim. `sealed`: the same, sealed. `false`: a false one. `survived`, `killed`: with verdicts."""
    base = tmp_path_factory.mktemp("templates")
    made = {name: make(base / name / "s", lost=lost) for name, lost in (("sealed", 1), ("false", ILL))}
    made["draft"] = make(base / "draft" / "s")
    for name, climbed in (("sealed", "survived"), ("false", "killed")):
        lock(made[name])
        made[climbed] = copied(made[name], base / climbed / "s")
        climb(made[climbed])
    return made


@pytest.fixture
def study(templates: dict[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    """A copy of a template, in a folder of its own."""

    def taken(name: str) -> Path:
        place = tmp_path / f"{name}-{len(list(tmp_path.iterdir()))}"
        place.mkdir()
        return copied(templates[name], place / "s")

    return taken


@pytest.fixture
def sealed(study: Callable[[str], Path]) -> Path:
    return study("sealed")


@pytest.fixture
def survived(study: Callable[[str], Path]) -> Path:
    return study("survived")


@pytest.fixture
def false(study: Callable[[str], Path]) -> Path:
    """A claim that is false, sealed and not climbed."""
    return study("false")


@pytest.fixture
def killed(study: Callable[[str], Path]) -> Path:
    return study("killed")
