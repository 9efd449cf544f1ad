"""`tollens status`: what a study is now, or what became of every study below a folder."""

from __future__ import annotations

from pathlib import Path

import click

from tollens.cli.answer import json_option, quiet_option


@click.command(name="status")
@click.argument("study", metavar="STUDY|FOLDER")
@click.option("--spend", "money", is_flag=True, help="What STUDY, or a folder of studies, has cost.")
@click.option("--check-remote", is_flag=True, help="Ask the git remote whether it has the commit of the seal.")
@click.option("--timestamp", metavar="URL", help="Have an RFC 3161 authority sign the seal's hash; keeps seal.tsr.")
@click.option("--html", metavar="FILE", help="Of a folder: also write an offline page.")
@click.option("--all", "show_all", is_flag=True, help="Of a folder: show every study, not the first 40.")
@click.option("--index", metavar="FILE", help="Of a folder: keep the index there, not in FOLDER/.tollens.")
@click.option("--rehash", is_flag=True, help="Of a folder: read every ledger again, whatever its size and time.")
@json_option("tollens.status/1, of a folder tollens.scoreboard/1")
@quiet_option
def command(
    study: str, money: bool, check_remote: bool, timestamp: str | None, html: str | None, show_all: bool,
    index: str | None, rehash: bool, as_json: bool, quiet: bool,
) -> int:  # fmt: skip
    """Say whether STUDY is a draft, sealed, running or decided, and whether it is what was sealed.

    Of a FOLDER with studies below it, say so of each, the worst first: the scoreboard.

    Exit as the verdict; 21 for a draft (3 for one that cannot be read), 20 where sealed content was changed. Of a
    folder 0; 20 where a ledger is broken, 2 where a study cannot be read, 21 where there is none.
    """
    from tollens.run.laboratory import is_study

    of_folder = html is not None or show_all or index is not None or rehash
    if money:
        from tollens.cli.spend_screen import status_spend

        if check_remote or timestamp is not None or of_folder:
            raise click.UsageError("--spend goes with --json and --quiet only")
        return status_spend(study, as_json=as_json, quiet=quiet)
    if Path(study).is_dir() and not is_study(Path(study)):
        if check_remote or timestamp is not None:
            raise click.UsageError("--check-remote and --timestamp are about one study.")
        return _folder(study, html, show_all=show_all, index=index, rehash=rehash, as_json=as_json, quiet=quiet)
    if of_folder:
        raise click.UsageError("--html, --all, --index and --rehash are about a folder of studies.")
    return _study(study, check_remote, timestamp, as_json=as_json, quiet=quiet)


def _study(study: str, check_remote: bool, timestamp: str | None, *, as_json: bool, quiet: bool) -> int:
    from tollens.cli.study_screen import show, status_headline, status_text
    from tollens.run.status import status

    if timestamp is not None:
        from tollens.run.stamp import stamp

        stamp(study, timestamp)
    report = status(study, check_remote=check_remote)
    show(report, lambda: status_text(report), status_headline(report), as_json=as_json, quiet=quiet)
    return report.exit_code


def _folder(
    folder: str, html: str | None, *, show_all: bool, index: str | None, rehash: bool, as_json: bool, quiet: bool
) -> int:
    from tollens.cli.answer import answer
    from tollens.cli.output import require_writable
    from tollens.cli.progress import progress_bar
    from tollens.run.scoreboard import scoreboard

    if html is not None:
        require_writable(html)
    with progress_bar(quiet) as progress:
        board = scoreboard(folder, index, rehash=rehash, progress=progress)

    def page() -> str:
        from tollens.publish.scoreboard_page import scoreboard_html

        return scoreboard_html(board)

    def shown() -> str:
        from tollens.cli.scoreboard_screen import scoreboard_text

        return scoreboard_text(board, show_all=show_all)

    answer(board, board.headline, shown, page, as_json=as_json, html=html, quiet=quiet)
    return board.exit_code
