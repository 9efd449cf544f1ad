"""A metric that a person wrote, run in processes of its own with a time and a memory limit for every question."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

from tollens.core.errors import Exit, TollensError

OUTPUT_BYTES = 64 << 10
_START = "import sys; sys.path[:] = {path!r}; from tollens.run.metric_guard import guard; guard()"
_GRACE = 15.0  # seconds beyond a limit after which the guard itself is taken for dead
_CLOSING = 10.0
_FIXES = {
    "metric_import": "Run `python {file}` in its folder and mend what it reports.",
    "metric_raised": "Mend the line that is named.",
    "metric_timeout": "Raise the time limit, or make the cell cheaper.",
    "metric_memory": "Raise the memory limit, or make the cell smaller.",
    "metric_died": "Look for native code that crashes, for os._exit, and for files that are closed but not opened.",
    "metric_answer": "Let metric return a dictionary of floats and integers.",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """`seconds` of wall clock and `mebibytes` of address space of one question; `startup_seconds` of the import."""

    seconds: float
    mebibytes: int
    startup_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class Described:
    """`functions`: what can be called, without private names. `arms`: the names in ARMS, in its order."""

    functions: tuple[str, ...]
    arms: tuple[str, ...]


def cell_names(cell: Mapping[str, str | int]) -> tuple[str, ...]:
    """`axis=value` for each axis of a cell, sorted, so that the order of writing decides nothing."""
    return tuple(sorted(f"{axis}={value}" for axis, value in cell.items()))


def cell_label(cell: Mapping[str, str | int]) -> str:
    """A cell for people: `layer=3, seed=1`; `all` for the only cell of a claim without axes."""
    return ", ".join(cell_names(cell)) or "all"


class MetricProcess:
    """The metric `file` of `folder`, loaded once; every question is answered by a fork that ends with its answer.

    A context manager, for one question at a time. The folder is the working directory and the first place of
    imports; nothing is written to it by the import. No descriptor of this process is passed on. When this process
    ends in any way, the processes of the metric end too.

    Raises TollensError `metric_import`, `metric_timeout`, `metric_memory` or `metric_died` on entering, where
    the file cannot be loaded, and on a question `metric_raised`, `metric_timeout`, `metric_memory`,
    `metric_died` or `metric_answer`.
    """

    def __init__(self, folder: Path, file: str = "metric.py", *, limits: Limits) -> None:
        self._folder, self._file, self._limits = folder.resolve(), file, limits
        self._printed = bytearray()
        self._pending = bytearray()
        self._child: subprocess.Popen[bytes] | None = None
        self._questions = self._answers = self._output = -1
        self._described = Described((), ())

    def __enter__(self) -> MetricProcess:
        self._start()
        try:
            found = self._answer("the import", self._limits.startup_seconds)
        except BaseException:
            self._close()
            raise
        self._described = Described(tuple(found["functions"]), tuple(found["arms"]))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    @property
    def output(self) -> str:
        """The last 64 KiB of what the metric printed, on stdout and stderr, while it was asked."""
        return self._printed.decode(errors="replace")

    def describe(self) -> Described:
        """What the file defines."""
        return self._described

    def measure(
        self,
        arm: str | None,
        cell: Mapping[str, str | int],
        seed: int,
        draw: int | None = None,
        *,
        names: tuple[str, ...],
    ) -> dict[str, float | int]:
        """The values called `names` of `metric(produce(arm, cell, rng))`, finite, in the order of `names`.

        With a `draw` the arm is what the function of that name (None: `null`) returns for a generator of seed and draw,
        so that all cells of one seed and draw see the same null arm. The generator of `produce` depends on the seed
        and the cell.

        Raises TollensError `not_scorable` for a value that is missing or not finite.
        """
        label = cell_label(cell)
        question = {"arm": arm, "cell": {**cell}, "label": cell_names(cell), "seed": seed, "draw": draw}
        values = self._ask(question, f"cell {label}")["values"]
        found: dict[str, float | int] = {}
        for name in names:
            value = values.get(name, "missing")
            if isinstance(value, str):
                raise _not_scorable(name, value, label)
            found[name] = value
        return found

    def call(self, function: str, arguments: Any) -> Any:
        """What `function` (`module:name`, of Tollens) returns for the loaded metric and `arguments`, all JSON.

        A TollensError that the function raises is raised here.
        """
        return self._ask({"call": function, "arguments": arguments}, f"{function.rpartition(':')[2]}")

    def _start(self) -> None:
        question_r, self._questions = os.pipe()
        self._answers, answer_w = os.pipe()
        self._output, output_w = os.pipe()
        plan = {
            "parent": os.getpid(),
            "questions": question_r,
            "answers": answer_w,
            "seconds": self._limits.seconds,
            "startup": self._limits.startup_seconds,
            "mebibytes": self._limits.mebibytes,
            "file": self._file,
        }
        start = _START.format(path=[os.path.abspath(entry) for entry in sys.path if entry])
        fixed = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        python = {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONFAULTHANDLER": "1"}
        try:
            self._child = subprocess.Popen(
                [sys.executable, "-P", "-c", start, json.dumps(plan, allow_nan=False)],
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=output_w,
                stderr=output_w,
                pass_fds=(question_r, answer_w),
                start_new_session=True,
                env={**os.environ, **fixed, **python},
            )
        finally:
            for descriptor in (question_r, answer_w, output_w):
                os.close(descriptor)
            if self._child is None:
                self._close()
        for descriptor in (self._answers, self._output):
            os.set_blocking(descriptor, False)

    def _ask(self, question: Mapping[str, Any], subject: str) -> Any:
        if self._child is None:
            raise ValueError("a MetricProcess is asked inside its with block")
        line = memoryview(json.dumps(question, allow_nan=False).encode() + b"\n")
        with suppress(BrokenPipeError):
            while line:
                line = line[os.write(self._questions, line) :]
        return self._answer(subject, self._limits.seconds)

    def _answer(self, subject: str, seconds: float) -> Any:
        """The value that comes back, or the error that says why none does."""
        deadline = time.monotonic() + seconds + _GRACE
        head: Mapping[str, Any] = {"end": "lost", "status": 0, "bytes": 0}
        size, body = -1, b""
        while size < 0 or len(self._pending) < size:
            if not self._listen(deadline):
                head, body = {**head, "end": "lost"}, b""
                self._pending.clear()
                if self._child is not None:
                    self._child.kill()  # a guard that is silent for this long must not answer a later question
                break
            if size < 0 and b"\n" in self._pending:
                line, _, self._pending = self._pending.partition(b"\n")
                head = json.loads(line)
                size = head["bytes"]
        else:
            body = bytes(self._pending[:size])
            del self._pending[:size]
        self._hear()
        return self._value(head, body, subject, seconds)

    def _listen(self, deadline: float) -> bool:
        """Take what the guard and the metric have written; False where the guard has gone or is taken for dead."""
        left = deadline - time.monotonic()
        ready, _, _ = select.select([self._answers, self._output], [], [], max(left, 0.0))
        if self._output in ready and not self._hear():
            ready, _, _ = select.select([self._answers], [], [], max(left, 0.0))  # the metric closed its output
        if self._answers in ready:
            part = os.read(self._answers, 1 << 20)
            self._pending += part
            return part != b""
        return left > 0

    def _hear(self) -> bool:
        """Keep the end of what was printed; False where nobody can print any more."""
        for _ in range(64):
            try:
                part = os.read(self._output, 1 << 18)
            except BlockingIOError:
                return True
            if part == b"":
                return False
            self._printed += part
            del self._printed[:-OUTPUT_BYTES]
        return True

    def _value(self, head: Mapping[str, Any], body: bytes, subject: str, seconds: float) -> Any:
        code = os.waitstatus_to_exitcode(head["status"])
        if head["end"] == "timeout":
            self._fail("metric_timeout", subject, f"an answer within {seconds:g} s", "none; its processes were ended")
        if head["end"] == "large":
            self._fail("metric_answer", subject, "an answer of at most 64 MiB", "a longer one")
        if head["end"] == "lost":
            self._fail("metric_died", subject, "a process that answers", "the process that had loaded the metric ended")
        if code == -signal.SIGKILL:
            self._fail("metric_memory", subject, self._room(), "the process was killed from outside")
        if code < 0:
            self._fail("metric_died", subject, "an answer", f"the process was ended by {signal.Signals(-code).name}")
        if code > 0 or not body:
            self._fail("metric_died", subject, "an answer", f"the process left with status {code} and gave none")
        try:
            reply = json.loads(body)
        except ValueError:
            self._fail("metric_died", subject, "an answer in JSON", "other bytes")
        if "error" in reply:
            self._raise(reply["error"], subject)
        return reply["value"]

    def _raise(self, error: Mapping[str, Any], subject: str) -> NoReturn:
        if "exit" in error:
            raise TollensError(
                error["code"],
                error["subject"],
                expected=error["expected"],
                found=error["found"],
                fix=error["fix"],
                exit_code=Exit(error["exit"]),
            )
        expected = {"metric_memory": self._room(), "metric_import": "a file that loads"}.get(error["code"], "a value")
        self._fail(error["code"], subject, error.get("expected") or expected, error.get("found", "MemoryError"))

    def _room(self) -> str:
        return f"a process within {self._limits.mebibytes} MiB of address space"

    def _fail(self, code: str, subject: str, expected: str, found: str) -> NoReturn:
        fix = _FIXES[code].format(file=self._file)
        raise TollensError(code, f"{self._file}, {subject}", expected=expected, found=found, fix=fix)

    def _close(self) -> None:
        """End the guard, and with it every process of the metric."""
        os.close(self._questions)
        if self._child is not None:
            deadline = time.monotonic() + _CLOSING
            while self._child.poll() is None and time.monotonic() < deadline:
                self._hear()  # a process that still prints could not be told to end while the pipe is full
                time.sleep(0.002)
            if self._child.poll() is None:
                os.killpg(self._child.pid, signal.SIGKILL)
                self._child.wait()
            self._hear()
        os.close(self._answers)
        os.close(self._output)
        self._child, self._questions, self._answers, self._output = None, -1, -1, -1


def _not_scorable(name: str, value: str, label: str) -> TollensError:
    return TollensError(
        "not_scorable",
        f"NOT SCORABLE reading {name} is {value} in cell {label}",
        expected="a finite number",
        found=value,
        fix="Find out why the metric has no value there; no rule is evaluated on it.",
        exit_code=Exit.NOT_SCORABLE,
    )
