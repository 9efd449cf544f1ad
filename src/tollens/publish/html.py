"""One HTML file that opens from disk: no network, no script, no font of its own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from tollens.core.errors import TollensError
from tollens.publish.style import STYLE
from tollens.publish.text import foreign

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""The page itself forbids scripts and every request, should a name ever slip through unescaped."""


def page_html(title: str, sections: Sequence[str]) -> str:
    """A whole page from its sections; the title is foreign text."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{foreign(title)}</title><style>{STYLE}</style></head><body><main>"
        + "\n".join(sections)
        + "</main></body></html>\n"
    )


def write_html(page: str, path: str | os.PathLike[str]) -> None:
    """Write a page to `path`: the whole file appears at once or not at all.

    Raises TollensError `output_unwritable` where the system refuses.
    """
    target = Path(path)
    direct = target.exists() and not target.is_file()  # a device or a pipe is written to, never replaced
    part = target if direct else target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        part.write_bytes(page.encode("utf-8"))
        if not direct:
            part.replace(target)
    except OSError as error:
        if not direct:
            part.unlink(missing_ok=True)
        raise TollensError(
            "output_unwritable",
            str(target),
            expected="a file that can be written",
            found=error.strerror or type(error).__name__,
            fix="Name a file in a folder you may write to.",
        ) from error
