"""`new`: a study that works as it is, to be edited; or a blank one, which cannot be sealed until it is filled in."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import msgspec

from tollens import demo
from tollens.core.errors import TollensError
from tollens.protocol.study import FILE
from tollens.record.ledger import unwritable


class NewReport(msgspec.Struct, frozen=True):
    """What `tollens new --json` prints."""

    schema: str
    folder: str
    files: list[str]
    next: str


def new(path: str | os.PathLike[str], *, blank: bool = False) -> NewReport:
    """Make a study folder; the object that `tollens new --json` prints.

    The example is a true claim about a bundled network. A `blank` study has placeholders where yours goes. Raises
    TollensError: `study_exists` where the folder holds anything, `ledger_unwritable`.
    """
    folder = Path(path)
    refuse_taken(folder, os.fspath(path))
    name = slug(folder.resolve().name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for source in demo.study_files():
            if source.name == FILE:
                text = source.read_text(encoding="utf-8").replace('id = "int8-digits"', f'id = "{name}"')
                (folder / FILE).write_text(blanked(text) if blank else text, encoding="utf-8")
            else:
                shutil.copyfile(source, folder / source.name)
    except OSError as error:
        raise unwritable("ledger_unwritable", folder, error) from None
    files = sorted(found.name for found in folder.iterdir())
    following = f"tollens lock {path}" if not blank else f"edit {Path(path) / FILE}"
    return NewReport("tollens.new/1", os.fspath(path), files, following)


def refuse_taken(folder: Path, path: str) -> None:
    """Return if nothing would be written over. Raises TollensError `study_exists`."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise TollensError(
            "study_exists", path, expected="a folder that is not there yet, or an empty one",
            found="files in it" if folder.is_dir() else "a file", fix="Choose another name.",
        )  # fmt: skip


def slug(name: str) -> str:
    """The name as an id of a claim: lower-case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:64].strip("-") or "my-claim"


def blanked(text: str) -> str:
    """The example with a placeholder for everything that is yours to say."""
    yours = {
        "text": "<what you claim, in one sentence>",
        "quantity": "<what metric.py returns>",
        "subject": "<arm>",
        "reference": "<arm, or none>",
        "value": "<decimal>",
        "finding": "<rule under which it survives>",
        "kill": "<rule under which it dies>",
        "statistic": "<what metric.py returns>",
    }
    for key, placeholder in yours.items():
        text = re.sub(rf'^{key} = "[^"]*"', f'{key} = "{placeholder}"', text, flags=re.M)
    return text
