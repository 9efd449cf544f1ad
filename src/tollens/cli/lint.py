"""`tollens lint FILE...`: refuse reported numbers that cannot be true."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tollens.cli.terminal import emit
from tollens.core.errors import Exit, TollensError

if TYPE_CHECKING:
    from tollens.run.lint import LintReport

EXITS = {"FINDINGS": Exit.FINDINGS, "CLEAN": Exit.CLEAN, "UNDETERMINED": Exit.UNDETERMINED}


@click.command(name="lint")
@click.argument("paths", nargs=-1, metavar="FILE...")
@click.option("--draft", is_flag=True, help="Guess claims from the tables and sentences of an untagged text.")
@click.option("--save", metavar="TOML", help="With --draft: also write the guessed claims as a table to correct.")
@click.option("--explain", is_flag=True, help="Show inputs, derivation and reference of every finding.")
@click.option("--list", "show_list", is_flag=True, help="List every invariant with its fields and units.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object (schema tollens.lint/1).")
@click.option("--strict", is_flag=True, help="Exit 1 where a claim could not be checked, too.")
@click.option("--all", "show_all", is_flag=True, help="Print every finding, however many there are.")
@click.option("--quiet", is_flag=True, help="Only the verdict.")
def command(
    paths: tuple[str, ...],
    *,
    draft: bool,
    save: str | None,
    explain: bool,
    show_list: bool,
    as_json: bool,
    strict: bool,
    show_all: bool,
    quiet: bool,
) -> int:
    """Refuse reported numbers that arithmetic alone shows to be impossible.

    FILE is a claims table (.toml, .json) or a text with tagged numbers (.md, .tex); - is standard input.
    A text without tags is read with --draft. Every printed number stands for all values that round to it.
    """
    if show_list:
        emit(_catalogue(as_json))
        return int(Exit.CLEAN)
    if not paths:
        raise click.UsageError("Name a file, or ask for --list.")
    if save is not None and (not draft or len(paths) != 1):
        raise click.UsageError("--save writes what --draft guesses in one file; ask for both, and name one.")
    from tollens.run.lint import lint_files

    report = lint_files(paths, draft=draft)
    if save is not None:
        _save(paths[0], save)
    emit(_answer(report, as_json, quiet, explain, show_all, saved=save))
    if strict and report.outcomes["unchecked"] and report.verdict != "FINDINGS":
        return int(Exit.FINDINGS)
    return int(EXITS[report.verdict])


def _answer(
    report: LintReport, as_json: bool, quiet: bool, explain: bool, show_all: bool, saved: str | None
) -> str | bytes:
    if as_json:
        import msgspec

        return msgspec.json.encode(report) + b"\n"
    if quiet:
        return f"{report.verdict}  {report.headline}\n"
    from tollens.cli.lint_screen import lint_text

    return lint_text(report, explain=explain, show_all=show_all, saved=saved)


def _catalogue(as_json: bool) -> str | bytes:
    from tollens.run.lint import catalogue

    laws = catalogue()
    if as_json:
        import msgspec

        return msgspec.json.encode(laws) + b"\n"
    from tollens.cli.lint_screen import catalogue_text

    return catalogue_text(laws)


def _save(path: str, save: str) -> None:
    from tollens.run.lint import drafted

    try:
        with open(save, "x", encoding="utf-8") as out:
            out.write(drafted(path))
    except OSError as error:
        raise TollensError(
            "output_unwritable",
            save,
            expected="a file that does not exist yet, in a folder you may write to",
            found=error.strerror or type(error).__name__,
            fix="Name another file.",
        ) from None
