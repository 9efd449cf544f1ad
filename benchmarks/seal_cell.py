"""One cell of the table of attacks: steps that are really run, and what their exit code and words amount to."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["refused", "unnamed", "named", "warns", "passes", "n/a", "no control"]
KINDS: tuple[Kind, ...] = ("refused", "unnamed", "named", "warns", "passes", "n/a", "no control")
MEANING = {
    "refused": "non-zero exit, and the output names what is wrong",
    "unnamed": "non-zero exit, and the output does not name it",
    "named": "exit 0, and the output names it",
    "warns": "exit 0; the output carries a warning of this kind, with the attack and without it alike",
    "passes": "exit 0, not a word",
    "n/a": "the tool has no such notion",
    "no control": "the same steps without the attack did not pass, so that the cell says nothing",
}
LIMIT = 300.0  # s, of one command


@dataclass(frozen=True, slots=True)
class Said:
    """What steps came to: the exit code of the first that failed or 0, and every word that was printed."""

    exit: int
    text: str

    @property
    def words(self) -> str:
        """The text with single spaces: a tool breaks lines where it likes."""
        return " ".join(self.text.split())


Step: TypeAlias = Sequence[str] | Callable[[Path], Said | None]


@dataclass(frozen=True, slots=True)
class Case:
    """From a `start` of the tool, `steps`; the control is `control` from `control_start`, by default the commands
    among the steps without the functions that attack."""

    start: str
    steps: tuple[Step, ...]
    control: tuple[Step, ...] | None = None
    control_start: str | None = None

    def without_attack(self) -> Case:
        """The control as a case of its own."""
        steps = tuple(step for step in self.steps if not callable(step)) if self.control is None else self.control
        return Case(self.control_start or self.start, steps)


@dataclass(frozen=True, slots=True)
class Cell:
    kind: Kind
    exit: int | None
    said: str
    control: int | None = None

    @property
    def shown(self) -> str:
        return self.kind if self.exit is None else f"{self.kind} {self.exit}"


NOT_APPLICABLE = Cell("n/a", None, "")


def classify(attacked: Said, control: Said, names: str) -> Kind:
    """What a tool did with an attack. `names`: a pattern, the same for every tool, that a word about it matches."""
    if control.exit != 0:
        return "no control"
    told = re.search(names, attacked.words, re.IGNORECASE) is not None
    if attacked.exit != 0:
        return "refused" if told else "unnamed"
    if not told:
        return "passes"
    return "warns" if re.search(names, control.words, re.IGNORECASE) else "named"


def perform(folder: Path, steps: Sequence[Step], environment: dict[str, str]) -> Said:
    """Run steps in a folder, up to the first that fails."""
    words = []
    for step in steps:
        done = step(folder) if callable(step) else command(folder, step, environment)
        if done is None:
            continue
        words.append(done.text)
        if done.exit != 0:
            return Said(done.exit, "\n".join(words))
    return Said(0, "\n".join(words))


def command(folder: Path, words: Sequence[str], environment: dict[str, str] | None = None) -> Said:
    done = subprocess.run(
        list(words),
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        stdin=subprocess.DEVNULL,
    )
    return Said(done.returncode, done.stdout + done.stderr)


def sure(folder: Path, words: Sequence[str], environment: dict[str, str] | None = None) -> None:
    """A command that prepares: it must work. Raises: RuntimeError with what it printed."""
    done = command(folder, words, environment)
    if done.exit != 0:
        raise RuntimeError(f"{' '.join(words)} left {done.exit}: {done.words[-400:]}")


def replace(path: str, old: str, new: str) -> Callable[[Path], None]:
    """An edit of a file below the folder. Raises: ValueError where there is nothing to edit."""

    def edit(folder: Path) -> None:
        file = folder / path
        text = file.read_text()
        if old not in text:
            raise ValueError(f"{path} has no {old!r}")
        file.chmod(file.stat().st_mode | 0o200)
        file.write_text(text.replace(old, new))

    return edit


def remove(*paths: str) -> Callable[[Path], None]:
    def gone(folder: Path) -> None:
        for path in paths:
            target = folder / path
            if target.is_dir():
                shutil.rmtree(target)
            else:
                target.unlink(missing_ok=True)

    return gone


def commit(folder: Path) -> None:
    sure(folder, ["git", "add", "-A"])
    sure(folder, ["git", "-c", "core.safecrlf=false", "commit", "-q", "--allow-empty", "-m", "study"])


def new_history(folder: Path) -> None:
    """What an author does whose commits nobody else holds."""
    if (folder / ".git").exists():
        shutil.rmtree(folder / ".git")
    sure(folder, ["git", "init", "-q", "-b", "main", "."])
    commit(folder)


def publish(folder: Path) -> None:
    """Commit, and push to a repository beside the folder."""
    commit(folder)
    remote = folder.with_name(f"{folder.name}.git")
    sure(folder, ["git", "init", "-q", "--bare", "-b", "main", str(remote)])
    sure(folder, ["git", "remote", "add", "origin", str(remote)])
    sure(folder, ["git", "push", "-q", "-u", "origin", "main"])


def with_crlf(folder: Path) -> None:
    """Check the tracked files out anew as a machine with core.autocrlf does."""
    sure(folder, ["git", "config", "core.autocrlf", "true"])
    tracked = command(folder, ["git", "ls-files", "-z"]).text.split("\0")
    for name in filter(None, tracked):
        (folder / name).unlink()
    sure(folder, ["git", "checkout", "-q", "--", "."])


def quiet_environment(binaries: str) -> dict[str, str]:
    """Commands of `binaries` first, a fixed author, no network: prereg sends no digest where no calendar is named."""
    return dict(os.environ) | {
        "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
        "PROVENANCE_CALENDARS": "",
        "PYTHONDONTWRITEBYTECODE": "1",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_AUTHOR_NAME": "author",
        "GIT_AUTHOR_EMAIL": "author@example.org",
        "GIT_COMMITTER_NAME": "author",
        "GIT_COMMITTER_EMAIL": "author@example.org",
        "LC_ALL": "C.UTF-8",
    }
