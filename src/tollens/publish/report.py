"""A scan as one HTML file that opens from disk: no network, no script, no font of its own."""

from __future__ import annotations

import os
from pathlib import Path

from tollens.core.errors import TollensError
from tollens.publish.page import depth, findings, layers, settings, skipped, table, top, words
from tollens.publish.style import STYLE
from tollens.publish.svg import unchecked
from tollens.publish.text import foreign
from tollens.run.result import ScanReport

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""The page itself forbids scripts and every request, should a name ever slip through unescaped."""


def report_html(report: ScanReport) -> str:
    """The page of a scan. Raises TollensError `extra_missing` without altair and vl-convert."""
    with unchecked():
        pictures = [depth(report), layers(report)]
    sections = [
        top(report),
        findings(report),
        *pictures,
        table(report),
        skipped(report),
        words(),
        settings(report),
    ]
    title = f"{report.verdict} – {Path(report.subject.path).name} – Tollens"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{foreign(title)}</title><style>{STYLE}</style></head><body><main>"
        + "\n".join(sections)
        + "</main></body></html>\n"
    )


def write_report(report: ScanReport, path: str | os.PathLike[str]) -> None:
    """Write the page to `path`: the whole file appears at once or not at all.

    Raises TollensError `output_unwritable` where the system refuses, `extra_missing` without the extra.
    """
    page = report_html(report).encode("utf-8")
    target = Path(path)
    direct = target.exists() and not target.is_file()  # a device or a pipe is written to, never replaced
    part = target if direct else target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        part.write_bytes(page)
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
