"""A scan as one HTML file."""

from __future__ import annotations

import os
from pathlib import Path

from tollens.publish.html import page_html, write_html
from tollens.publish.page import depth, findings, layers, settings, skipped, table, top, words
from tollens.publish.svg import unchecked
from tollens.run.result import ScanReport


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
    return page_html(f"{report.verdict} – {Path(report.subject.path).name} – Tollens", sections)


def write_report(report: ScanReport, path: str | os.PathLike[str]) -> None:
    """Write the page to `path`: the whole file appears at once or not at all.

    Raises TollensError `output_unwritable` where the system refuses, `extra_missing` without the extra.
    """
    write_html(report_html(report), path)
