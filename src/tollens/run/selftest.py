"""`selftest`: every known answer of everything installed, as a certificate for this machine."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from difflib import get_close_matches

import msgspec

from tollens.core.errors import TollensError
from tollens.run import mutation
from tollens.run.answers import answered, questions
from tollens.run.cache import store
from tollens.run.certificate import Answer, Certificate
from tollens.run.layer import blas_threads
from tollens.run.machine import this_machine
from tollens.run.plugins import installed
from tollens.run.registries import Entry, registered

Progress = Callable[[int, int, str], None]
PACKAGES = {"instrument": "instrument", "stats": "statistic", "statistic": "statistic", "lint": "invariant",
            "invariant": "invariant"}  # fmt: skip
"""What `only` may say besides a name: the kind, or the package that the kind lives in."""


def selftest(only: str | None = None, *, prove_red: bool = False, progress: Progress | None = None) -> Certificate:
    """Ask every known answer of all instruments, invariants and statistics; what `tollens selftest --json` prints.

    `only` is a kind ("instrument", "lint" or "statistic") or the name of one entry. A whole certificate is kept in
    the cache, where `scan` finds it; `kept` and `unkept` of the result say so. With `prove_red` wrong formulas are
    injected into each entry, in a child process, and `proofs` says which of them the answers noticed.
    `progress(done, total, name)` is told of each entry. Raises: TollensError `selftest_unknown`.
    """
    begin, started = time.perf_counter(), datetime.now(UTC).isoformat(timespec="seconds")
    entries = chosen(only)
    answers: list[Answer] = []
    unanswered: list[str] = []
    with blas_threads(1):
        for done, (kind, name, made) in enumerate(entries, 1):
            found = [answered(question) for question in questions(kind, made)]
            answers += found
            if not found:
                unanswered.append(name)
            if progress is not None:
                progress(done, len(entries), name)
    certificate = Certificate(
        passed=all(answer.passed for answer in answers),
        headline=headline(answers),
        machine=this_machine(),
        threads=1,
        started=started,
        seconds=round(time.perf_counter() - begin, 3),
        answers=answers,
        unanswered=unanswered,
        skipped_plugins={report.name: report.error for report in installed() if report.error is not None},
        only=only,
    )
    if only is None:
        certificate = store(certificate)
    if not prove_red:
        return certificate
    return msgspec.structs.replace(certificate, proofs=mutation.prove_red(entries, progress=progress))


def chosen(only: str | None) -> list[Entry]:
    """The entries that `only` names; all for None. Raises: TollensError `selftest_unknown` with the nearest names."""
    entries = list(registered())
    if only is None:
        return entries
    kind = PACKAGES.get(only)
    found = [entry for entry in entries if entry[0] == kind or entry[1] == only]
    if found:
        return found
    names = sorted({name for _, name, _ in entries} | PACKAGES.keys())
    near = get_close_matches(only[:80], names, n=3, cutoff=0.5)
    raise TollensError(
        "selftest_unknown",
        repr(only[:80]),
        expected="instrument, lint, statistic, or the name of one of them",
        found=f"none of {len(entries)} entries",
        fix=f"Nearest: {', '.join(near)}." if near else "`tollens selftest --json` names them all.",
    )


def headline(answers: Sequence[Answer]) -> str:
    """`N of M known answers hold: 20 of 21 instrument, ...`."""
    total, right = Counter(a.kind for a in answers), Counter(a.kind for a in answers if a.passed)
    parts = ", ".join(f"{right[kind]} of {count} {kind}" for kind, count in total.items())
    return f"{sum(right.values())} of {len(answers)} known answers hold{f': {parts}' if len(total) > 1 else ''}"
