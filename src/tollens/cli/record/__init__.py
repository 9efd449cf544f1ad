"""`tollens record ...`: what is written into a record by hand, and what is asked of it; each loaded when called."""

from __future__ import annotations

import importlib

import click

VERBS: dict[str, str] = {
    "obstacles": "What killed the claims of a folder: classes counted, with every death.",
    "postmortem": "Why a killed claim died, into its ledger.",
    "spend": "Write a purchase, a refund or an estimate into the ledger of a study.",
    "waive": "Take the risk of a constraint, for a while.",
    "ask": "Answer a question in SQL over the ledgers of every study below a folder.",
    "import": "Take over a result of lm-evaluation-harness, inspect_ai or MLflow as data.",
}


class Entries(click.Group):
    """Loads a verb's module on first use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command = importlib.import_module(f"tollens.cli.record.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


@click.group(name="record", cls=Entries)
def command() -> None:
    """What a ledger is told by hand, and what is asked of a folder of studies."""
