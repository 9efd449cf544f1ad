"""The command line: a group of verbs, each imported only when it is called."""

from __future__ import annotations

import importlib
import io
import sys
from typing import NoReturn

import click

from tollens import __version__
from tollens.cli.terminal import printable
from tollens.core.errors import Exit, TollensError

INTERRUPTED = 130  # 128 + SIGINT, as shells have it
VERBS = {
    "demo": "Kill five claims, let one live. Offline, no extras, seconds.",
    "scan": "Judge a checkpoint from its weights alone.",
    "diff": "Say what changed between two checkpoints, beyond rounding.",
    "lint": "Refuse reported numbers that cannot be true.",
    "new": "Make a study: a claim that can fail, its metric, its controls.",
    "lock": "Seal a study before anything is run.",
    "climb": "Attack a sealed claim, the cheapest rung first, to a verdict.",
    "amend": "Register a change of a sealed study, and what was known by then.",
    "status": "Say what a study is now, and whether it is what was sealed.",
    "drift": "Find every place where the record disagrees with itself.",
    "record": "Write into a record by hand, and ask it.",
    "stats": "Questions about experiments: ab, compare, power.",
    "selftest": "Ask every known answer on this machine, and keep a certificate.",
    "doctor": "Say what is installed, and whether it has been certified here.",
    "explain": "Say what a code in a verdict, a finding or an error means.",
}


class Verbs(click.Group):
    """Loads a verb's module on first use, so that --help stays fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command = importlib.import_module(f"tollens.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tollens")
def cli() -> None:
    """Tollens tries to kill a claim about a neural network as cheaply as it can.

    \b
    Exit codes: 0 clean or survived, 1 findings, 2 bad input, 3 refused to
    seal, 10 killed, 11 undetermined, 12 void, 13 blocked, 20 tampered,
    21 not sealed, 22 not scorable, 23 unanchored where an anchor was
    required, 70 a bug of ours. `tollens explain CODE` explains any code.
    """


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run one verb and leave with the product's exit codes."""
    sys.exit(run(arguments))


def run(arguments: list[str] | None = None) -> int:
    """Run one verb; returns its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name that the terminal's encoding lacks must not end a run
            stream.reconfigure(errors="backslashreplace")
    try:
        code = cli.main(arguments, prog_name="tollens", standalone_mode=False) or 0
        return int(code)
    except TollensError as error:
        print_error(error)
        return int(error.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return int(Exit.BAD_INPUT)
    except click.ClickException as error:
        print_usage(error)
        return int(Exit.BAD_INPUT)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except Exception as error:  # the last line of defence: a bug of ours, named as one
        click.echo(f"internal: {type(error).__name__}: {printable(str(error))}", err=True)
        click.echo("This is a bug of Tollens. Set TOLLENS_DEBUG=1 to see where it happened.", err=True)
        if debugging():
            raise
        return int(Exit.INTERNAL)


def debugging() -> bool:
    import os

    return bool(os.environ.get("TOLLENS_DEBUG"))


def print_error(error: TollensError) -> None:
    """Four facts and where to read on, on stderr."""
    lines = [
        f"{error.code}: {error.subject}",
        f"  expected  {error.expected}",
        f"  found     {error.found}",
        f"  do        {error.fix}",
        f"  more      tollens explain {error.code}",
    ]
    for line in lines:
        # only a claim or a trigger, the user's own text, is shown over several lines: an excerpt with a mark under it
        parts = line.split("\n") if error.code.startswith(("claim_", "constraint_malformed")) else [line]
        shown = [printable(parts[0]), *("            " + printable(p) for p in parts[1:])]
        click.echo("\n".join(shown if len(parts) > 1 else _fitted(shown[0])), err=True)


def _fitted(line: str) -> list[str]:
    """A line of an error in the width of the terminal; whole where a file or a program reads it."""
    if not sys.stderr.isatty():
        return [line]
    import textwrap

    from tollens.cli.facts import columns

    return textwrap.wrap(
        line, columns(), subsequent_indent=" " * 12, break_on_hyphens=False, break_long_words=False,
        drop_whitespace=True, expand_tabs=False, replace_whitespace=False,
    )  # fmt: skip


def print_usage(error: click.ClickException) -> None:
    """What is wrong with the command line, and where its options are listed, on stderr."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    click.echo(printable(f"bad_option: {error.format_message()}"), err=True)
    click.echo(f"  do        {context.command_path if context else 'tollens'} --help", err=True)
    click.echo("  more      tollens explain bad_option", err=True)


if __name__ == "__main__":
    main()
