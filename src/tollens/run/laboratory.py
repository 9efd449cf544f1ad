"""A folder of studies: where the studies lie, and what the tollens.toml above them says."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tollens.core.canonical import unix_text
from tollens.core.errors import TollensError
from tollens.protocol.laboratory import FILE, Laboratory, read_laboratory
from tollens.protocol.study import FILE as CLAIM
from tollens.record import ledger as ledgers
from tollens.subject import file

MOST_BYTES = 1 << 24
SKIPPED = frozenset({"node_modules", "__pycache__", "venv", "site-packages"})


@dataclass(frozen=True, slots=True)
class Found:
    """Every tollens.toml that holds for a folder, the nearest first: its path, its SHA-256, its tables."""

    files: tuple[tuple[Path, str, Laboratory], ...]

    @property
    def root(self) -> Path | None:
        """The folder of the outermost one: the laboratory. None where there is none."""
        return self.files[-1][0].parent if self.files else None


def laboratory_of(folder: Path) -> Found:
    """What holds for a study: the tollens.toml of its folder and of all above, up to the top of its repository.

    All of them hold, so that a file laid into the study's own folder lifts nothing. Without version control every
    folder above counts. Raises TollensError `laboratory_syntax`, exit 2.
    """
    found = []
    here = folder.resolve()
    for place in (here, *here.parents):
        path = place / FILE
        if os.path.lexists(path):  # a link to nothing must not set free what the file binds
            data = file.read(path, MOST_BYTES)
            try:
                text = unix_text(data).decode("utf-8-sig")
            except ValueError as error:
                raise TollensError(
                    "laboratory_syntax", str(path), expected="text in UTF-8", found=str(error)[:120],
                    fix="Save it as UTF-8.",
                ) from None  # fmt: skip
            found.append((path, hashlib.sha256(text.encode()).hexdigest(), read_laboratory(text, str(path))))
        if (place / ".git").exists():
            break
    return Found(tuple(found))


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
