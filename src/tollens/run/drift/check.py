"""`tollens drift`: every check over one repository, read once."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

from tollens.core.errors import Exit, TollensError
from tollens.run.drift.bindings import unbound_results, unclaimed_evidence, unproved_claims
from tollens.run.drift.citations import killed_but_cited
from tollens.run.drift.figures import old_figures
from tollens.run.drift.finding import Count, Drifted, DriftReport
from tollens.run.drift.fix import fix as rewrite
from tollens.run.drift.numbers import misprinted_numbers, stale_numbers, typed_numbers
from tollens.run.drift.repository import Repository, read_repository
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
    shown = [one for one in found if changed is None or one.path in changed]
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
        next=_next(repository, shown, ledgers),
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


def _next(repository: Repository, shown: list[Drifted], ledgers: int) -> str:
    if repository.unread:
        return "mend what could not be read, and run tollens drift again"
    if any(one.fix == "tollens drift --fix" for one in shown):
        return "tollens drift --fix"
    if shown:
        return f"tollens explain {shown[0].code}"
    return "" if ledgers else "tollens new my-claim"


def _changed(root: Path, revision: str) -> set[str]:
    """Files that differ from a revision, and those that git does not know yet, relative to `root`."""
    if revision.startswith("-"):
        raise _unknown(revision, "an option")
    listed = _git(root, revision, "diff", "--name-only", "--relative", "-z", revision, "--")
    return {*listed, *_git(root, revision, "ls-files", "--others", "--exclude-standard", "-z")}


def _git(root: Path, revision: str, *words: str) -> list[str]:
    try:
        made = subprocess.run(["git", *words], cwd=root, capture_output=True, check=False)
    except OSError as error:
        raise _unknown(revision, f"no git: {error.strerror}") from None
    if made.returncode:
        said = made.stderr.decode("utf-8", "replace").strip().split("\n")[0]
        raise _unknown(revision, said[:200] or "an error of git")
    return [os.fsdecode(name) for name in made.stdout.split(b"\0") if name]


def _unknown(revision: str, found: str) -> TollensError:
    return TollensError(
        "drift_revision", f"--since {revision}"[:120], expected="a revision of the git repository of the folder",
        found=found, fix="Name a commit, a branch or a tag of it, such as HEAD~1 or origin/main.",
    )  # fmt: skip
