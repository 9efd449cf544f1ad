"""The private copy that a run works on: what was sealed, and nothing else of the folder."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tollens.core.canonical import sealed_bytes
from tollens.core.errors import TollensError
from tollens.protocol.seal import Entry, changes
from tollens.run.study import LARGE, alive, entry_of, read

PREFIX = "tollens-run"


@contextmanager
def snapshot(folder: Path, entries: Sequence[Entry], key: str) -> Iterator[Path]:
    """A folder with the sealed bytes of every entry, read-only; gone afterwards.

    A text has its line ends plain, whatever the checkout made of them. A file over 256 MiB is linked, not copied.
    What a run writes beside the copy goes with it, and what killed runs of the same `key` left goes first.
    Raises TollensError `copy_unwritable`, exit 2.
    """
    try:
        _sweep(key)
        outer = Path(tempfile.mkdtemp(prefix=f"{PREFIX}-{key[:12]}-{os.getpid()}-"))
    except OSError as error:
        raise _unwritable(error) from None
    private = outer / "copy"
    try:
        try:
            private.mkdir()
            _fill(private, folder, entries)
        except OSError as error:
            raise _unwritable(error) from None
        yield private
    finally:
        shutil.rmtree(outer, ignore_errors=True)


def _fill(private: Path, folder: Path, entries: Sequence[Entry]) -> None:
    for entry in entries:
        target = private / entry.path
        target.parent.mkdir(parents=True, exist_ok=True)
        if entry.mode == "binary" and entry.bytes > LARGE:
            target.symlink_to((folder / entry.path).resolve())
            continue
        target.write_bytes(sealed_bytes(read(folder, entry.path), entry.mode))
        target.chmod(0o444)


def _unwritable(error: OSError) -> TollensError:
    return TollensError(
        "copy_unwritable", "the copy to run on", expected="room for the sealed files in a folder for temporary files",
        found=error.strerror or str(error), fix="Free that disk, or name another folder in TMPDIR; nothing was run.",
    )  # fmt: skip


def rehashed(folder: Path, entries: Sequence[Entry]) -> list[str]:
    """What differs in a folder from the entries, one sentence each."""
    found = [entry_of(folder, e.path, e.role, e.mode) for e in entries if (folder / e.path).is_file()]
    return changes(entries, found)


def left(private: Path, entries: Sequence[Entry]) -> list[str]:
    """What a run left behind in its copy, one sentence each: the next cell could read there what the last one did."""
    sealed = {entry.path for entry in entries}
    found = sorted(p.relative_to(private).as_posix() for p in private.rglob("*") if not p.is_dir() or p.is_symlink())
    return [f"{path} expected no such file found one that the run left" for path in found if path not in sealed]


def _sweep(key: str) -> None:
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}-{key[:12]}-*"):
        owner = left.name.split("-")[-2]
        if owner.isdigit() and not alive(int(owner)):
            shutil.rmtree(left, ignore_errors=True)
