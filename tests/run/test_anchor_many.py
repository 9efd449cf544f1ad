"""The scoreboard never says more of a seal than `status` of the study does: real repositories, both asked."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tollens.core.errors import TollensError
from tollens.run import anchor_many
from tollens.run.lock import amend, lock
from tollens.run.new import new
from tollens.run.scoreboard import scoreboard
from tollens.run.status import status

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")

CLEAN = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")} | {
    "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b",
}  # fmt: skip


def git(where: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=where, env=CLEAN, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that was sealed, and beside it its twin after an amendment."""
    folder = tmp_path_factory.mktemp("made") / "claim"
    new(folder)
    lock(folder)
    shutil.copytree(folder, folder.with_name("amended"))
    text = (folder.with_name("amended") / "claim.toml").read_text()
    (folder.with_name("amended") / "claim.toml").write_text(text.replace("seeds = [1, 2, 3]", "seeds = [4, 5, 6]"))
    amend(folder.with_name("amended"), reason="other seeds", access="nothing run")
    return folder


@pytest.fixture
def clone(tmp_path: Path, sealed: Path) -> Path:
    """A repository with a remote and three studies, of which nothing is committed yet."""
    top = tmp_path / "work"
    git(tmp_path, "init", "-q", "--bare", "remote.git")
    git(tmp_path, "init", "-q", "-b", "main", "work")
    git(top, "remote", "add", "origin", "../remote.git")
    for name in ("one", "two", "deep/three"):
        shutil.copytree(sealed, top / name)
    return top


def commit(top: Path, *paths: str) -> None:
    git(top, "add", "-A", *(paths or (".",)))
    git(top, "commit", "-q", "--allow-empty", "-m", "x")


def push(top: Path, *words: str) -> None:
    git(top, "push", "-q", *words, "origin", "HEAD:main")


def nothing(top: Path, _: Path) -> None:
    assert top.is_dir()


def committed(top: Path, _: Path) -> None:
    commit(top)


def one_pushed(top: Path, _: Path) -> None:
    commit(top, "one")
    push(top)


def all_pushed(top: Path, _: Path) -> None:
    for name in ("one", "two", "deep"):
        commit(top, name)
    push(top)


def amended(top: Path, sealed: Path) -> None:
    """The old seal is published, the new one is not."""
    all_pushed(top, sealed)
    shutil.rmtree(top / "one")
    shutil.copytree(sealed.with_name("amended"), top / "one")


def amended_and_pushed(top: Path, sealed: Path) -> None:
    amended(top, sealed)
    commit(top)
    push(top)


def another_seal_published(top: Path, sealed: Path) -> None:
    amended_and_pushed(top, sealed)
    shutil.rmtree(top / "one")
    shutil.copytree(sealed, top / "one")


def forced_away(top: Path, sealed: Path) -> None:
    """Another seal stood on the remote until a forced push replaced it; the reflog remembers."""
    shutil.copytree(sealed.with_name("amended"), top / "one", dirs_exist_ok=True)
    commit(top)
    push(top)
    git(top, "checkout", "-q", "--orphan", "again")
    shutil.rmtree(top / "one")
    shutil.copytree(sealed, top / "one")
    commit(top)
    push(top, "--force")


def rebased(top: Path, sealed: Path) -> None:
    """The same seals in other commits."""
    all_pushed(top, sealed)
    git(top, "commit", "-q", "--amend", "-m", "other words")
    push(top, "--force")


def moved(top: Path, sealed: Path) -> None:
    all_pushed(top, sealed)
    git(top, "mv", "one", "elsewhere")
    commit(top)
    push(top)


def copied_in_a_move(top: Path, sealed: Path) -> None:
    """A study moved to where another seal was published."""
    amended_and_pushed(top, sealed)
    git(top, "rm", "-q", "-r", "one")
    shutil.rmtree(top / "one", ignore_errors=True)
    git(top, "mv", "two", "one")
    commit(top)
    push(top)


def two_remotes(top: Path, sealed: Path) -> None:
    git(top.parent, "init", "-q", "--bare", "other.git")
    git(top, "remote", "add", "other", "../other.git")
    commit(top, "one")
    git(top, "push", "-q", "other", "HEAD:main")
    commit(top)
    push(top)


def crlf(top: Path, sealed: Path) -> None:
    """The published bytes have other line ends."""
    path = top / "one" / "seal.json"
    data = path.read_bytes()
    path.write_bytes(data.replace(b"\n", b"\r\n"))
    commit(top)
    push(top)


def merged(top: Path, sealed: Path) -> None:
    (top / "note").write_text("x")
    commit(top, "note")
    git(top, "checkout", "-q", "-b", "side")
    commit(top, "one")
    git(top, "checkout", "-q", "main")
    commit(top, "two")
    git(top, "merge", "-q", "--no-ff", "-m", "both", "side")
    commit(top)
    push(top)


def evil_merge(top: Path, sealed: Path) -> None:
    """A seal that only a merge commit holds."""
    (top / "note").write_text("x")
    commit(top, "note")
    git(top, "checkout", "-q", "-b", "side")
    (top / "side").write_text("x")
    commit(top, "side")
    git(top, "checkout", "-q", "main")
    (top / "here").write_text("x")
    commit(top, "here")
    git(top, "merge", "-q", "--no-ff", "--no-commit", "side")
    commit(top)
    push(top)


def deleted_since(top: Path, sealed: Path) -> None:
    all_pushed(top, sealed)
    git(top, "rm", "-q", "-r", "--cached", "one")
    git(top, "commit", "-q", "-m", "gone")
    push(top)


def link(top: Path, sealed: Path) -> None:
    """A link named seal.json is no seal."""
    path = top / "one" / "seal.json"
    data = path.read_bytes()
    path.unlink()
    path.symlink_to("claim.toml")
    commit(top)
    push(top)
    path.unlink()
    path.write_bytes(data)


def bad_stamp(top: Path, sealed: Path) -> None:
    all_pushed(top, sealed)
    (top / "one" / "seal.tsr").write_bytes(b"no token")


def shallow(top: Path, sealed: Path) -> None:
    all_pushed(top, sealed)
    push(top)
    git(top.parent, "clone", "-q", "--branch", "main", "--depth", "1", f"file://{top.parent / 'remote.git'}", "cut")
    shutil.rmtree(top)
    (top.parent / "cut").rename(top)


def posing(top: Path, sealed: Path) -> None:
    """A study folder with a .git that is none."""
    all_pushed(top, sealed)
    (top / "one" / ".git").mkdir()


def detached(top: Path, sealed: Path) -> None:
    all_pushed(top, sealed)
    git(top, "checkout", "-q", "HEAD~1")


SITUATIONS = (
    nothing, committed, one_pushed, all_pushed, amended, amended_and_pushed, another_seal_published, forced_away,
    rebased, moved, copied_in_a_move, two_remotes, crlf, merged, evil_merge, deleted_since, link, bad_stamp, shallow,
    posing, detached,
)  # fmt: skip


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda made: made.__name__)
def test_the_scoreboard_says_what_status_says(
    clone: Path, sealed: Path, situation: Callable[[Path, Path], None]
) -> None:
    situation(clone, sealed)
    for study in scoreboard(clone).studies:
        assert (study.state, study.anchor) == _single(clone / study.path), study.path


def _single(folder: Path) -> tuple[str, str]:
    """What `status` of one study says."""
    try:
        found = status(folder)
    except TollensError as error:
        return {20: "TAMPERED"}[error.exit_code], "unanchored"
    return found.state, found.anchor


def test_something_is_anchored_and_something_is_not(clone: Path, sealed: Path) -> None:
    one_pushed(clone, sealed)
    board = {study.path: study.anchor for study in scoreboard(clone).studies}
    assert board["one"].startswith("anchored: git origin ")
    assert (board["two"], board["deep/three"]) == ("unanchored", "unanchored")


def test_a_push_is_seen_although_no_ledger_changed(clone: Path, sealed: Path) -> None:
    committed(clone, sealed)
    assert {study.anchor for study in scoreboard(clone).studies} == {"unanchored"}
    push(clone)
    assert "unanchored" not in {study.anchor for study in scoreboard(clone).studies}
    git(clone, "remote", "remove", "origin")
    assert {study.anchor for study in scoreboard(clone).studies} == {"unanchored"}


def test_a_mended_history_ends_the_accusation(clone: Path, sealed: Path) -> None:
    another_seal_published(clone, sealed)
    board = scoreboard(clone)
    assert (board.exit_code, board.studies[0].path, board.studies[0].state) == (20, "one", "TAMPERED")
    git(clone, "remote", "remove", "origin")
    assert scoreboard(clone).exit_code == 0


def test_many_studies_cost_a_few_calls_of_git(clone: Path, sealed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        shutil.copytree(sealed, clone / f"more{number}")
    commit(clone)
    push(clone)
    calls: list[tuple[str, ...]] = []

    def counted(folder: Path, deadline: float) -> anchor_many.Git:
        git_ = real(folder, deadline)

        def call(*words: str, **how: object) -> bytes:
            calls.append(words)
            return git_(*words, **how)

        return call

    real = anchor_many.git_in
    monkeypatch.setattr(anchor_many, "git_in", counted)
    board = scoreboard(clone)
    assert all(study.anchor.startswith("anchored: git origin") for study in board.studies)
    assert len(board.studies) == 23
    assert len(calls) < 12


def test_what_is_not_looked_at_is_unanchored(clone: Path, sealed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    two_remotes(clone, sealed)
    monkeypatch.setattr(anchor_many, "SINGLY", 1)
    found = sorted(study.anchor for study in scoreboard(clone).studies)
    assert found[0].startswith("anchored: git origin")
    assert found[1:] == ["unanchored", "unanchored"]
