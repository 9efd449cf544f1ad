"""The command line: a group of verbs, each imported only when it is called."""

from __future__ import annotations

import importlib
import sys

import click

from tollens import __version__
from tollens.core.errors import Exit, TollensError

VERBS = {
    "demo": "Kill two claims about a small network, let one live. Offline, no extras, seconds.",
    "scan": "Judge a checkpoint from its weights alone.",
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
    Exit codes: 0 clean or survived, 1 findings, 2 bad input, 10 killed,
    11 undetermined, 70 a bug of ours. `tollens explain CODE` explains any code.
    """


def main(arguments: list[str] | None = None) -> None:
    """Run one verb and leave with the product's exit codes."""
    try:
        sys.exit(cli.main(arguments, prog_name="tollens", standalone_mode=False) or 0)
    except TollensError as error:
        print_error(error)
        sys.exit(int(error.exit_code))
    except click.ClickException as error:
        error.show()
        sys.exit(int(Exit.BAD_INPUT))
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(130)
    except BrokenPipeError:  # the reader of our output went away, such as `head`
        sys.stderr.close()
        sys.exit(0)
    except Exception as error:  # noqa: BLE001 - the last line of defence: a bug of ours, named as one
        click.echo(f"internal_error: {type(error).__name__}: {error}", err=True)
        click.echo("This is a bug of Tollens. Set TOLLENS_DEBUG=1 to see where it happened.", err=True)
        if debugging():
            raise
        sys.exit(int(Exit.INTERNAL))


def debugging() -> bool:
    import os

    return bool(os.environ.get("TOLLENS_DEBUG"))


def print_error(error: TollensError) -> None:
    """Four facts and where to read on, on stderr."""
    click.echo(f"{error.code}: {error.subject}", err=True)
    click.echo(f"  expected  {error.expected}", err=True)
    click.echo(f"  found     {error.found}", err=True)
    click.echo(f"  do        {error.fix}", err=True)
    click.echo(f"  more      tollens explain {error.code}", err=True)


if __name__ == "__main__":
    main()
