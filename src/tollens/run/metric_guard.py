"""The process between Tollens and a metric: it runs none of the metric's code and ends all of its processes."""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tollens.run.metric_child import ANSWER_BYTES, adopt_orphans, die_with_parent, encoded, serve

_TICK = 0.5  # seconds between two looks at whether the parent is alive, for the case that a copy of its pipe is
_PATIENCE = 5.0  # seconds in which a killed process must be gone
_SLACK = 4096


@dataclass(frozen=True, slots=True)
class _Plan:
    parent: int
    questions: int
    answers: int
    seconds: float
    startup: float
    mebibytes: int
    file: str


@dataclass(slots=True)
class _Round:
    """What is known of one question: the answer's bytes, how the fork ended, what made the guard end it."""

    deadline: float
    loading: bool = False
    end: str = "done"
    status: int = 0
    over: bool = False
    orphans: bool = False
    answer: bytearray = field(default_factory=bytearray)


def guard() -> None:
    """Start the metric's process, pass questions to it one at a time, and end every process of it that is left.

    The plan is the first argument of the command line, as JSON. Returns never.
    """
    plan = _Plan(**json.loads(sys.argv[1]))
    adopt_orphans()
    question_r, question_w = os.pipe()
    status_r, status_w = os.pipe()
    answer_r, answer_w = os.pipe()
    me = os.getpid()
    child = os.fork()
    if child == 0:
        for descriptor in (plan.questions, plan.answers, question_w, status_r, answer_r):
            os.close(descriptor)
        die_with_parent(me)
        serve(plan.file, plan.mebibytes, question_r, status_w, answer_w)
        os._exit(0)
    for descriptor in (question_r, status_w, answer_w):
        os.close(descriptor)
    for descriptor in (answer_r, status_r):
        os.set_blocking(descriptor, False)
    Guard(plan, child, question_w, status_r, answer_r).run()


class Guard:
    """The loop of the guard: waits for the parent, for the metric's process and for the clock."""

    def __init__(self, plan: _Plan, child: int, questions: int, status: int, answers: int) -> None:
        self._plan, self._child = plan, child
        self._questions, self._status, self._answers = questions, status, answers
        self._asked = bytearray()
        self._told = bytearray()

    def run(self) -> None:
        self._reply(self._round(_Round(time.monotonic() + self._plan.startup, loading=True)))
        while True:
            while b"\n" not in self._asked:
                self._wait([], time.monotonic() + _TICK)
            line, _, self._asked = self._asked.partition(b"\n")
            self._drain(bytearray())
            try:
                _write(self._questions, line + b"\n")
            except BrokenPipeError:
                self._reply(_Round(0.0, end="lost"))
                continue
            self._reply(self._round(_Round(time.monotonic() + self._plan.seconds)))

    def _round(self, now: _Round) -> _Round:
        """One question from its start to the end of the last process that it had started."""
        while not now.over:
            ready = self._wait([self._answers, self._status], now.deadline)
            if self._answers in ready:
                self._drain(now.answer)
            if self._status in ready:
                self._follow(now)
            if len(now.answer) > ANSWER_BYTES + _SLACK:
                self._abort(now, "large")
            elif time.monotonic() > now.deadline and not now.over:
                self._abort(now, "timeout")
        if now.orphans:
            end_all(self._child)
        if now.end == "done":
            self._drain(now.answer)
        return now

    def _abort(self, now: _Round, why: str) -> None:
        if now.loading or now.end != "done":  # the second time, the metric's process does not tell that its fork ended
            now.over = True
            end_all(os.getpid())
        else:
            end_all(self._child)
        now.end, now.deadline, now.answer = why, time.monotonic() + _PATIENCE, bytearray()

    def _follow(self, now: _Round) -> None:
        """Take what the metric's process says of its fork."""
        part = _read(self._status)
        if part is None:
            return
        if not part:
            now.over, now.end = True, ("lost" if now.end == "done" else now.end)
            end_all(os.getpid())
            return
        self._told += part
        while b"\n" in self._told:
            line, _, self._told = self._told.partition(b"\n")
            news: Mapping[str, Any] = json.loads(line)
            if "ended" in news:
                now.over, now.status, now.orphans = True, news["ended"], news["orphans"]
            elif "pid" not in news:  # the description of the module, or why it could not be loaded
                now.over, now.answer = True, bytearray(line)

    def _wait(self, descriptors: list[int], deadline: float) -> list[int]:
        timeout = max(0.0, min(_TICK, deadline - time.monotonic()))
        ready, _, _ = select.select([self._plan.questions, *descriptors], [], [], timeout)
        if self._plan.questions in ready:
            part = os.read(self._plan.questions, 1 << 16)
            if part == b"":
                _leave()
            self._asked += part
        if os.getppid() != self._plan.parent:
            _leave()
        return ready

    def _drain(self, answer: bytearray) -> None:
        while part := _read(self._answers):
            answer += part
            if len(answer) > ANSWER_BYTES + _SLACK:
                return

    def _reply(self, now: _Round) -> None:
        head = {"end": now.end, "status": now.status, "bytes": len(now.answer)}
        try:
            _write(self._plan.answers, encoded(head) + b"\n" + now.answer)
        except BrokenPipeError:
            _leave()


def _leave() -> None:
    end_all(os.getpid())
    os._exit(0)


def end_all(root: int) -> None:
    """Kill the descendants of the process `root`, and wait at most 5 s until they are gone."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        left = _descendants(root)
        if not left:
            return
        for process in left:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process, signal.SIGKILL)  # a whole group at once, so that a fork bomb has no time between
            with suppress(ProcessLookupError, PermissionError):
                os.kill(process, signal.SIGKILL)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(0.001)


def _descendants(root: int) -> list[int]:
    """The living processes below `root`, from the process table."""
    below: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        with suppress(OSError, ValueError):
            process = int(entry)
            state, parent = Path(f"/proc/{entry}/stat").read_text(errors="replace").rpartition(")")[2].split()[:2]
            below.setdefault(int(parent), []).append(process if state != "Z" else -process)
    found, frontier = [], [root]
    while frontier:
        for process in below.get(frontier.pop(), []):
            if process > 0:
                found.append(process)
            frontier.append(abs(process))
    return found


def _read(descriptor: int) -> bytes | None:
    """What is there to read; empty at the end of the pipe; None where nothing is there now."""
    try:
        return os.read(descriptor, 1 << 20)
    except BlockingIOError:
        return None


def _write(descriptor: int, line: bytes | bytearray) -> None:
    rest = memoryview(line)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
