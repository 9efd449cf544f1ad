"""`tollens drift`: find every place where the record of a repository no longer agrees with itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tollens.cli.answer import json_option, quiet_option
from tollens.cli.terminal import emit, printable

if TYPE_CHECKING:
    from tollens.run.drift.finding import DriftReport


@click.command(name="drift")
@click.argument("folder", default=".")
@click.option("--since", metavar="REV", help="Show only what lies in files that changed since a git revision.")
@click.option("--fix", is_flag=True, help="Write the tagged numbers of papers anew that D08, D09 and D10 name.")
@json_option("tollens.drift/1")
@quiet_option
def command(folder: str, since: str | None, fix: bool, as_json: bool, quiet: bool) -> int:
    """Check the studies and papers below FOLDER against their own record.

    One line a defect: path:line CODE what -> fix. Exit 0 where there is none, 1 where one is shown, 2 where something
    could not be read, 21 where no ledger has a record: absence is not cleanliness.
    """
    from tollens.run.drift.check import drift

    report = drift(folder, since=since, fix=fix)
    if as_json:
        import msgspec

        emit(msgspec.json.encode(report) + b"\n")
    else:
        emit(f"{headline(report)}\n" if quiet else text(report))
    return report.exit_code


def headline(report: DriftReport) -> str:
    """The answer in one line."""
    word = {0: "CLEAN", 1: "DRIFTED", 2: "UNREADABLE"}.get(report.exit_code, "NO LEDGER")
    said = [f"{word}  {_many(len(report.findings), 'defect')} in {_many(report.studies, 'study', 'studies')}"]
    said.append(f"{_many(report.papers, 'paper')} with {_many(report.numbers, 'number')}")
    if report.since is not None:
        said.append(f"{report.not_shown} not shown, in files unchanged since {printable(report.since)}")
    if report.unread:
        said.append(f"{len(report.unread)} not read")
    return ", ".join(said)


def _many(count: int, noun: str, plural: str = "") -> str:
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def text(report: DriftReport) -> str:
    """The verdict, the defects, what could not be read, the counts, what to do next."""
    from tollens.core.codes import CODES

    lines = [headline(report)]
    for one in report.fixed:
        lines.append(f"{one.path}:{one.line} fixed {one.field} {one.before} -> {one.after}")
    for found in report.findings:
        lines.append(f"{found.path}:{found.line} {found.code} {found.what} -> {found.fix}")
    for lost in report.unread:
        lines.append(f"{lost.path} not read: {lost.why}")
    for count in report.counts:
        lines.append(f"  {count.code} {CODES[count.code.lower()].title}  {count.subject}  {count.count}")
    if report.next:
        lines.append(f"next  {report.next}")
    return "".join(f"{printable(line)}\n" for line in lines)
