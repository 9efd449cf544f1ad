"""A folder of studies: where the studies lie, and what the tollens.toml above them says."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tollens.core.canonical import unix_text
from tollens.core.errors import Exit, TollensError
from tollens.core.shell import quoted
from tollens.protocol.laboratory import FILE, Laboratory, read_laboratory
from tollens.protocol.study import FILE as CLAIM
from tollens.record import ledger as ledgers
from tollens.subject import file

MOST_BYTES = 1 << 24
SKIPPED = frozenset({"node_modules", "__pycache__", "venv", "site-packages"})


@dataclass(frozen=True, slots=True)
class Found:
    """Every tollens.toml that holds for a folder, the nearest first: its path, its SHA-256, its tables.

    `beyond` is the nearest one that does not hold, because it lies above the top of the repository.
    """

    files: tuple[tuple[Path, str, Laboratory], ...]
    beyond: Path | None = None

    @property
    def root(self) -> Path | None:
        """The folder of the outermost one: the laboratory. None where there is none."""
        return self.files[-1][0].parent if self.files else None


def laboratory_of(folder: Path) -> Found:
    """What holds for a study: the tollens.toml of its folder and of all above, up to the top of its repository.

    All of them hold, so that a file laid into the study's own folder lifts nothing; of a folder that is reached by a
    link, those above the link and those above what it leads to. Without version control every folder above counts.
    Raises TollensError `laboratory_syntax`, exit 2.
    """
    held: dict[Path, tuple[Path, str, Laboratory]] = {}
    beyond: list[Path] = []
    for here in dict.fromkeys((folder.resolve(), Path(os.path.abspath(folder)))):
        inside = True
        for place in (here, *here.parents):
            path = place / FILE
            if os.path.lexists(path):  # a link to nothing must not set free what the file binds
                if inside:
                    held.setdefault(path.resolve(), _read(path))
                else:
                    beyond.append(path)
            inside = inside and not _is_top(place)
    left = [path for path in beyond if path.resolve() not in held]
    return Found(tuple(held.values()), left[0] if left else None)


def unbound_note(folder: Path) -> list[str]:
    """What is to be said where a tollens.toml above the repository does not hold: a repository can be made anywhere."""
    beyond = laboratory_of(folder).beyond
    return [] if beyond is None else [f"{beyond} lies above the top of this repository and does not hold"]


def _is_top(place: Path) -> bool:
    """Whether a folder is the top of a working tree: an empty folder named .git makes none."""
    return (place / ".git" / "HEAD").is_file() or (place / ".git").is_file()


def _read(path: Path) -> tuple[Path, str, Laboratory]:
    data = file.read(path, MOST_BYTES)
    try:
        text = unix_text(data).decode("utf-8-sig")
    except ValueError as error:
        raise TollensError(
            "laboratory_syntax", str(path), expected="text in UTF-8", found=str(error)[:120],
            fix="Save it as UTF-8.",
        ) from None  # fmt: skip
    return path, hashlib.sha256(text.encode()).hexdigest(), read_laboratory(text, str(path))


def check_folder(path: str | os.PathLike[str]) -> None:
    """Return if `path` is a folder. Raises TollensError `path_missing`, exit 2."""
    root = Path(path)
    if not root.is_dir():
        raise TollensError(
            "path_missing", os.fspath(path), expected="a folder of studies",
            found="a file" if root.exists() else "no such folder", fix="Name the folder that the studies lie in.",
        )  # fmt: skip


def no_study(path: str | os.PathLike[str]) -> TollensError:
    """Exit 21: where nothing is registered nothing is known."""
    return TollensError(
        "no_study", os.fspath(path), expected="a study, or a folder with studies somewhere below", found="none",
        fix=f"Make one: tollens new {quoted(os.path.join(os.fspath(path), 'my-claim'))}", exit_code=Exit.NOT_SEALED,
    )  # fmt: skip


def is_study(folder: Path) -> bool:
    """Whether a folder is that of a study. Raises: PermissionError."""
    return (folder / CLAIM).is_file() or (folder / ledgers.FILE).is_file()


def studies_under(root: Path, closed: list[tuple[Path, OSError]] | None = None) -> Iterator[Path]:
    """Every folder of a study at or below `root`, sorted: one with a claim.toml or a ledger.

    Folders whose name starts with a dot, and those of packages, are passed by; links are not followed. A folder that
    cannot be looked into is added to `closed`; without that list it raises OSError.
    """
    names, folders = [], []
    try:
        entries = os.scandir(root)
    except OSError as error:
        if closed is None:
            raise
        closed.append((root, error))
        return
    with entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if not entry.name.startswith(".") and entry.name not in SKIPPED:
                    folders.append(entry.name)
            else:
                names.append(entry.name)
    if CLAIM in names or ledgers.FILE in names:
        yield root
    for name in sorted(folders):
        yield from studies_under(root / name, closed)
