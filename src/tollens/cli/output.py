"""Files that a verb writes beside its answer: refused before the work rather than after it."""

from __future__ import annotations

import os

from tollens.core.errors import TollensError
from tollens.core.extras import install_command, missing_extra


def require_report(html: str) -> None:
    """Raises: `extra_missing` without the report extra, `path_missing`, `output_unwritable`."""
    missing = missing_extra()
    if missing is not None:
        raise TollensError(
            "extra_missing",
            f"--html {html}",
            expected="the report extra",
            found=f"no module {missing}",
            fix=f"Install it: {install_command('report')}",
        )
    require_writable(html)


def require_writable(path: str) -> None:
    """Raises: `path_missing`, `output_unwritable`."""
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise TollensError(
            "path_missing",
            folder,
            expected="a folder to write the report to",
            found="no such folder",
            fix="Create it, or name another file.",
        )
    if os.path.isdir(path) or not os.access(folder, os.W_OK):
        found = "a folder" if os.path.isdir(path) else "a folder that may not be written to"
        raise TollensError(
            "output_unwritable", path, expected="a file that can be written", found=found, fix="Name another file."
        )
