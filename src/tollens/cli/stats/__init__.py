"""`tollens stats ab|compare|power`: statistical questions, each loaded when it is asked."""

from __future__ import annotations

import importlib

import click

VERBS = {
    "ab": "Follow a sequential Bayesian A/B rule through a file of observations.",
    "compare": "Compare two systems on the same items: difference, interval, test, equivalence.",
    "power": "How many units a design needs, or what power it has.",
}


class Questions(click.Group):
    """Loads a question's module on first use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command = importlib.import_module(f"tollens.cli.stats.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Questions"):
            formatter.write_dl(list(VERBS.items()))


@click.group(name="stats", cls=Questions)
def command() -> None:
    """Exact, Bayesian and always-valid answers about experiments, each with its guarantee in words."""
