"""`tollens drift`: every check over one repository, read once."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from tollens.core.errors import Exit, TollensError
from tollens.protocol.study import FILE as CLAIM
from tollens.run.drift.bindings import unbound_results, unclaimed_evidence, unproved_claims
from tollens.run.drift.citations import killed_but_cited
from tollens.run.drift.figures import old_figures
from tollens.run.drift.finding import Count, Drifted, DriftReport
from tollens.run.drift.fix import fix as rewrite
from tollens.run.drift.numbers import fix_command, misprinted_numbers, stale_numbers, typed_numbers
from tollens.run.drift.repository import Repository, named, read_repository
from tollens.run.drift.seals import broken_seals, late_seals, unsealed_runs
from tollens.run.drift.sums import wrong_sums

Checker: TypeAlias = Callable[[Repository], Iterable[Drifted]]
CHECKERS: Mapping[str, Checker] = {
    "D01": broken_seals,
    "D02": unsealed_runs,
    "D03": late_seals,
    "D04": unbound_results,
    "D05": unproved_claims,
    "D06": unclaimed_evidence,
    "D07": killed_but_cited,
    "D08": stale_numbers,
    "D09": typed_numbers,
    "D10": misprinted_numbers,
    "D11": old_figures,
    "D12": wrong_sums,
}


def drift(path: str | os.PathLike[str] = ".", *, since: str | None = None, fix: bool = False) -> DriftReport:
    """Every defect of the repository at `path`; the object that `tollens drift --json` prints.

    `since` shows only what lies in files that changed since a git revision; everything is checked all the same, and
    the report says how many are not shown. `fix` first writes the tagged numbers anew that D08 to D10 name.

    Raises TollensError, exit 2: `path_missing`, `path_unreadable`, `drift_revision` for a revision that git does not
    know, `laboratory_syntax` for a tollens.toml above the folder, `ledger_unwritable` where a paper cannot be written.
    """
    root = Path(path)
    if not root.is_dir():
        raise TollensError(
            "path_missing", os.fspath(path), expected="a folder of studies and papers",
            found="a file" if root.exists() else "nothing of that name", fix="Name the folder.",
        )  # fmt: skip
    changed = None if since is None else _changed(root, since)
    repository = read_repository(root)
    fixed = rewrite(repository) if fix else []
    if fixed:
        repository = read_repository(root)
    found = sorted(set(findings(repository)))
    shown = [one for one in found if changed is None or _lies_in(one.path, changed)]
    ledgers = sum(bool(study.ledger.records) or study.fault is not None for study in repository.studies)
    counts = Counter((one.code, one.subject) for one in shown)
    return DriftReport(
        studies=len(repository.studies),
        ledgers=ledgers,
        papers=len(repository.papers),
        numbers=sum(n.tagged.claim in repository.by_claim for paper in repository.papers for n in paper.numbers),
        findings=shown,
        counts=[Count(code, subject, count) for (code, subject), count in sorted(counts.items())],
        not_shown=len(found) - len(shown),
        since=since,
        unread=list(repository.unread),
        fixed=fixed,
        exit_code=int(_exit(repository, shown, ledgers)),
        next=_next(os.fspath(path), repository, shown, ledgers),
    )


def findings(repository: Repository, checkers: Mapping[str, Checker] = CHECKERS) -> Iterator[Drifted]:
    """What each of the checkers finds, unsorted."""
    for check in checkers.values():
        yield from check(repository)


def _exit(repository: Repository, shown: list[Drifted], ledgers: int) -> Exit:
    if repository.unread:
        return Exit.BAD_INPUT
    if shown:
        return Exit.FINDINGS
    return Exit.CLEAN if ledgers else Exit.NOT_SEALED


def _next(path: str, repository: Repository, shown: list[Drifted], ledgers: int) -> str:
    folder = named(path)
    if repository.unread:
        return f"tollens drift{folder}, once what was not read is mended"
    if any(one.fix == fix_command(repository) for one in shown):
        return fix_command(repository)
    if shown:
        return f"tollens explain {shown[0].code}"
    drafts = [study for study in repository.studies if CLAIM in study.names]
    if ledgers:
        return ""
    return f"tollens lock {drafts[0].shell}" if drafts else "tollens new my-claim"


def _changed(root: Path, revision: str) -> set[str]:
    """Files that differ from a revision, and those that git does not know yet, relative to `root`."""
    from tollens.run.anchor_git import SECONDS, GitFailed, git_in

    git = git_in(root.resolve(), time.monotonic() + SECONDS)
    try:
        told = git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}", may_fail=True)
        if not told:
            git("rev-parse", "--git-dir")
            raise _unknown(revision, "no commit of that name")
        commit = told.decode().strip()
        listed = git(
            "diff", "--name-only", "--relative", "--no-renames", "--ignore-submodules=none", "-z", commit, "--"
        )
        listed += git("ls-files", "--others", "--exclude-standard", "-z")
    except (GitFailed, ValueError) as failed:  # ValueError: a NUL in the name
        raise _unknown(revision, str(failed)) from None
    return {os.fsdecode(name.rstrip(b"/")) for name in listed.split(b"\0") if name}


def _lies_in(path: str, changed: set[str]) -> bool:
    """Whether a file changed, or the submodule that holds it, of which git names only the folder."""
    return path in changed or any(parent.as_posix() in changed for parent in PurePosixPath(path).parents)


def _unknown(revision: str, found: str) -> TollensError:
    return TollensError(
        "drift_revision", f"--since {revision}"[:120], expected="a revision of the git repository of the folder",
        found=found, fix="Name a commit, a branch or a tag of it, such as HEAD~1 or origin/main.",
    )  # fmt: skip
