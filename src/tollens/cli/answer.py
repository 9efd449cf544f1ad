"""What the statistical verbs share: --json, --html, --quiet, and how an answer leaves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click
import msgspec

from tollens.cli.terminal import emit, printable

F = TypeVar("F", bound=Callable[..., Any])

html_option = click.option("--html", metavar="FILE", help="Also write an offline page (needs the report extra).")
quiet_option = click.option("--quiet", is_flag=True, help="Only the answer in one line.")


def json_option(schema: str) -> Callable[[F], F]:
    return click.option("--json", "as_json", is_flag=True, help=f"Print one JSON object (schema {schema}).")


def answer(
    report: msgspec.Struct,
    headline: str,
    shown: Callable[[], str],
    page: Callable[[], str],
    *,
    as_json: bool,
    html: str | None,
    quiet: bool,
) -> None:
    """Write the page if one is asked for, then the answer in the form that is asked for."""
    if html is not None:
        from tollens.publish.html import write_html

        write_html(page(), html)
    if as_json:
        emit(msgspec.json.encode(report) + b"\n")
    elif quiet:
        emit(f"{printable(headline)}\n")
    else:
        emit(shown() + (f"\nreport  {printable(html)}\n" if html else ""))
