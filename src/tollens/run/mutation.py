"""Proof that the known answers can go red: wrong formulas in a child process, which may loop or run out of memory."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, TypeAlias

import msgspec

from tollens.run.answers import answered, questions
from tollens.run.certificate import Answer, Kind, Mutant, Proof
from tollens.run.layer import blas_threads
from tollens.run.mutant import Site, mutated, sites
from tollens.run.registries import REGISTRIES, Entry, Made, registered

AT_LEAST = 3  # wrong formulas of each entry, if it has as many
AT_MOST = 24  # as many are tried until one is caught
ANSWER_SECONDS = 10.0  # a wrong formula may loop for ever
MEMORY = 4 << 30  # bytes, or fill the machine
SHOWN, TOLD = 120, 240  # characters of a change, and of how it was noticed
Progress: TypeAlias = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class Budget:
    """`at_least` mutants an entry, `at_most` until one is caught; `seconds` in all, `answer_seconds` for one."""

    at_least: int = AT_LEAST
    at_most: int = AT_MOST
    seconds: float = 120.0
    answer_seconds: float = ANSWER_SECONDS


class Trial(msgspec.Struct, frozen=True):
    """What the child is asked: the `index`-th wrong formula of an entry, or its unchanged copy for None."""

    kind: Kind
    name: str
    index: int | None


class Outcome(msgspec.Struct, frozen=True):
    """What it says: how the answers went red, None if they stayed green; `end` if there is no such mutant."""

    where: str = ""
    change: str = ""
    how: str | None = None
    broken: bool = False
    end: bool = False


def prove_red(entries: Sequence[Entry], budget: Budget | None = None, progress: Progress | None = None) -> list[Proof]:
    """Inject wrong formulas into each entry and see whether its known answers notice.

    The entries are those of a fresh process: what this one has changed in its registries is not seen.
    """
    budget = budget if budget is not None else Budget()
    deadline = time.monotonic() + budget.seconds
    found = []
    child = _Child(budget.answer_seconds)
    try:
        for done, (kind, name, _) in enumerate(entries, 1):
            found.append(_proof(kind, name, child, budget, deadline))
            if progress is not None:
                progress(done, len(entries), name)
    finally:
        child.end()
    return found


def _proof(kind: Kind, name: str, child: _Child, budget: Budget, deadline: float) -> Proof:
    if time.monotonic() > deadline:
        return Proof(kind=kind, name=name, proved=False, mutants=[], why=f"the {budget.seconds:g} s for all were over")
    control = child.ask(Trial(kind, name, None))
    if control.end or control.how is not None:
        why = "it has no Python source to change" if control.end else f"an unchanged copy goes red: {control.how}"
        return Proof(kind=kind, name=name, proved=False, mutants=[], why=why)
    mutants: list[Mutant] = []
    for outcome in _outcomes(kind, name, child, budget.at_most):
        mutants.append(Mutant(where=outcome.where, change=outcome.change, how=outcome.how, broken=outcome.broken))
        proved = any(mutant.wrong for mutant in mutants)
        if time.monotonic() > deadline or (proved and len(mutants) >= budget.at_least):
            break
    proved = any(mutant.wrong for mutant in mutants)
    unseen = None if proved else f"none of {len(mutants)} wrong formulas gave an answer that was refused"
    return Proof(kind=kind, name=name, proved=proved, mutants=mutants, why=unseen)


def _outcomes(kind: Kind, name: str, child: _Child, most: int) -> Iterator[Outcome]:
    for index in range(most):
        outcome = child.ask(Trial(kind, name, index))
        if outcome.end:
            return
        yield outcome


class _Child:
    """The process that the wrong formulas run in; a new one takes over where one was ended."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._read = b""

    def ask(self, trial: Trial) -> Outcome:
        """What became of a trial; a process that does not answer in time, or dies, went red."""
        process = self._process or self._start()
        assert process.stdin is not None
        named = Outcome()
        try:
            process.stdin.write(msgspec.json.encode(trial) + b"\n")
            named = self._outcome()  # which one it is, before it runs
            return named if named.end else self._outcome()
        except (OSError, ValueError) as error:
            self.end()
            how = f"no answer within {self._seconds:g} s" if isinstance(error, TimeoutError) else "the process ended"
            return msgspec.structs.replace(named, how=how, broken=True)

    def end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process, self._read = None, b""

    def _start(self) -> subprocess.Popen[bytes]:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-W", "ignore", "-m", "tollens.run.mutation"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0,
        )  # fmt: skip
        self._line(60.0)  # it is ready
        return self._process

    def _outcome(self) -> Outcome:
        return msgspec.json.decode(self._line(self._seconds), type=Outcome)

    def _line(self, seconds: float) -> bytes:
        """The next line. Raises: TimeoutError after `seconds`; ConnectionError at the end of the process."""
        assert self._process is not None
        assert self._process.stdout is not None
        stream, deadline = self._process.stdout.fileno(), time.monotonic() + seconds
        while b"\n" not in self._read:
            if not select.select([stream], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise TimeoutError
            chunk = os.read(stream, 1 << 16)
            if not chunk:
                raise ConnectionError
            self._read += chunk
        line, _, self._read = self._read.partition(b"\n")
        return line


def outcomes_of(trial: Trial) -> Iterator[Outcome]:
    """Which wrong formula it is, and then what the known answers say to it."""
    made, places = _entry(trial.kind, trial.name)
    if not places or (trial.index is not None and trial.index >= len(places)):
        yield Outcome(end=True)
        return
    site = None if trial.index is None else places[trial.index]
    named = Outcome(site.where, site.change[:SHOWN]) if site else Outcome()
    yield named
    wrong: Any = {"function": mutated(made.function, site)}  # one keyword that all three kinds of entry have
    red = _red(trial.kind, replace(made, **wrong))
    if red is None:
        yield named
        return
    how = red.got if red.raised else f"{red.expected} became {red.got}"
    yield msgspec.structs.replace(named, how=f"{red.title[:80]}: {how}"[:TOLD], broken=not _valued(red))


@cache
def _entry(kind: Kind, name: str) -> tuple[Made, list[Site]]:
    made = REGISTRIES[kind][name]
    return made, sites(made.function)


def _red(kind: Kind, made: Made) -> Answer | None:
    """The first known answer that comes out wrong; where none does, the first that does not come out."""
    first: Answer | None = None
    for question in questions(kind, made):
        answer = answered(question) if question.known else None
        if answer is None or answer.passed:
            continue
        if _valued(answer):
            return answer
        first = first or answer
    return first


def _valued(answer: Answer) -> bool:
    """Whether another value came out; an error, and words in place of a number, are none."""
    return not answer.raised and (isinstance(answer.expected, str) or not isinstance(answer.got, str))


def _serve() -> None:
    """Answer trials from stdin until it ends."""
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # what a wrong formula writes is no answer
    _limit_memory()
    list(registered())
    answers.write(b"ready\n")
    with blas_threads(1):
        for line in sys.stdin.buffer:
            for outcome in outcomes_of(msgspec.json.decode(line, type=Trial)):
                answers.write(msgspec.json.encode(outcome) + b"\n")


def _limit_memory() -> None:
    import resource

    try:
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, resource.getrlimit(resource.RLIMIT_DATA)[1]))
    except (OSError, ValueError):
        return  # a system without this limit, or with a lower one


if __name__ == "__main__":
    _serve()
