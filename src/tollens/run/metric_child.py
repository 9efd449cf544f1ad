"""The process that loads a metric once and answers every question about it in a fork of its own."""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import json
import os
import resource
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from numbers import Integral, Real
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

from tollens.core.codes import CODES
from tollens.core.errors import Exit, TollensError

ANSWER_BYTES = 64 << 20
_SPARE = 64 << 20  # address space that is opened after an error, so that a fork over its limit can still say so
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_MESSAGE_LINES, _LINE = 4, 300
_OUT_OF_MEMORY = b'{"error": {"code": "metric_memory"}}'  # written when there is no memory to build a longer one


def die_with_parent(parent: int) -> None:
    """Ask the kernel to kill this process when `parent` (a process id) ends; leave at once if it has ended."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends, so that it can be found and killed."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def encoded(value: Any) -> bytes:
    """One line of JSON without its end."""
    return json.dumps(value, allow_nan=False).encode()


def serve(file: str, mebibytes: int, questions: int, status: int, answers: int) -> None:
    """Load `file` of the working directory, then answer the JSON lines of the descriptor `questions` until its end.

    Each question is answered on the descriptor `answers` by a fork, whose life is told on `status`.
    """
    adopt_orphans()
    folder = Path.cwd()
    tell = _writer(status)
    with _Answer(tell, folder, "metric_import", leave=False) as loading:
        from tollens.core.seeding import generator

        generator(0)  # loads numpy and its generators here, so that no fork need pay for it
        _limit(mebibytes)
        module = _loaded(folder, file)
        loading.value = _described(module)
    with os.fdopen(questions, "rb") as lines:
        for line in lines:
            _fork(module, line, folder, (questions, status), answers, tell)


def _limit(mebibytes: int) -> None:
    ceiling = resource.getrlimit(resource.RLIMIT_AS)[1]
    hard = (mebibytes << 20) + _SPARE
    hard = hard if ceiling == resource.RLIM_INFINITY else min(hard, ceiling)
    resource.setrlimit(resource.RLIMIT_AS, (min(mebibytes << 20, hard), hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _writer(descriptor: int) -> Callable[[bytes], None]:
    def write(line: bytes) -> None:
        rest = memoryview(line + b"\n")
        while rest:
            rest = rest[os.write(descriptor, rest) :]

    return write


def _loaded(folder: Path, file: str) -> ModuleType:
    sys.path.insert(0, str(folder))
    _uncover(folder)
    name = Path(file).stem
    name = f"{name}_of_the_claim" if name in sys.modules else name
    specification = importlib.util.spec_from_file_location(name, folder / file)
    if specification is None or specification.loader is None:
        raise ImportError(f"{file} is not a Python source file")
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    specification.loader.exec_module(module)
    sys.stdout.flush()  # what stays in the buffer would be printed again by every fork
    return module


def _uncover(folder: Path) -> None:
    """Forget loaded modules that a file of the folder stands in front of, as it does where Python starts there."""
    local = {path.stem for path in folder.glob("*.py")} | {path.parent.name for path in folder.glob("*/__init__.py")}
    for name in [*sys.modules]:
        top = name.partition(".")[0]
        if top in local - {"tollens", "__main__"} and top not in sys.builtin_module_names:
            specification = getattr(sys.modules[name], "__spec__", None)
            if specification is None or specification.origin != "frozen":
                del sys.modules[name]


def _described(module: ModuleType) -> dict[str, Any]:
    arms = getattr(module, "ARMS", {})
    return {
        "functions": sorted(
            name for name, value in vars(module).items() if callable(value) and not name.startswith("_")
        ),
        "arms": [str(name) for name in arms] if isinstance(arms, Mapping) else [],
    }


def _fork(
    module: ModuleType,
    line: bytes,
    folder: Path,
    private: tuple[int, ...],
    answers: int,
    tell: Callable[[bytes], None],
) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # a metric that ignores it would make its exit status unreadable
    parent = os.getpid()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # threads that the metric started do not survive in the fork: intended
        child = os.fork()
    if child == 0:
        with _Answer(_writer(answers), folder, "metric_raised", leave=True) as answer:
            os.setsid()
            die_with_parent(parent)
            for descriptor in private:
                os.close(descriptor)
            answer.value = _answered(module, json.loads(line))
    tell(encoded({"pid": child}))
    ended, how = os.waitpid(-1, 0)
    while ended != child:  # an earlier orphan
        ended, how = os.waitpid(-1, 0)
    tell(encoded({"ended": how, "orphans": _orphans()}))


def _orphans() -> bool:
    """Whether a process is left that a fork had started."""
    with suppress(ChildProcessError):
        ended = 1
        while ended:
            ended, _ = os.waitpid(-1, os.WNOHANG)
        return True
    return False


class _Answer:
    """Writes the value or the error of its block as one line of JSON, and ends the process where it must."""

    def __init__(self, write: Callable[[bytes], None], folder: Path, code: str, *, leave: bool) -> None:
        self.value: Any = None
        self._write, self._folder, self._code, self._leave = write, folder, code, leave
        self._pid = os.getpid()

    def __enter__(self) -> _Answer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if os.getpid() != self._pid:  # a process that the metric forked has come back here
            os._exit(0)
        if error is None and not self._leave:
            self._write(encoded({"value": self.value}))
            return
        try:
            resource.setrlimit(resource.RLIMIT_AS, (resource.getrlimit(resource.RLIMIT_AS)[1],) * 2)
            self._tell(error, trace)
        finally:
            os._exit(0)

    def _tell(self, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if error is None:
                self._write(_json(self.value))
            else:
                self._write(encoded({"error": _told(error, trace, self._folder, self._code)}))
        except MemoryError:
            self._write(_OUT_OF_MEMORY)
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()


def _json(value: Any) -> bytes:
    try:
        line = encoded({"value": value})
    except (TypeError, ValueError, RecursionError) as error:
        return encoded({"error": _refusal("metric_answer", "a value that JSON can hold", str(error))})
    if len(line) > ANSWER_BYTES:
        return encoded({"error": _refusal("metric_answer", "at most 64 MiB", f"{len(line)} bytes")})
    return line


def _refusal(code: str, expected: str, found: str) -> dict[str, Any]:
    """Fields of a TollensError whose subject and fix the parent knows better."""
    return {"code": code, "expected": expected, "found": found}


def _told(error: BaseException, trace: TracebackType | None, folder: Path, code: str) -> dict[str, Any]:
    if isinstance(error, MemoryError):
        return _refusal("metric_memory", "", "MemoryError" + _place(trace, folder))
    if isinstance(error, TollensError) and error.code in CODES:
        fields = {"code": error.code, "subject": error.subject, "expected": error.expected, "found": error.found}
        return {**fields, "fix": error.fix, "exit": int(error.exit_code)}
    message = [line for line in f"{type(error).__qualname__}: {error}".splitlines() if line.strip()]
    shown = "\n".join(line[:_LINE] for line in message[:_MESSAGE_LINES])
    return _refusal(code, "", shown + _place(trace, folder))


def _place(trace: TracebackType | None, folder: Path) -> str:
    """The innermost line of the project's own code, by its path in the folder; empty where there is none."""
    for frame in reversed(traceback.extract_tb(trace)):
        with suppress(ValueError):
            return f"\nin {Path(frame.filename).relative_to(folder).as_posix()} line {frame.lineno} ({frame.name})"
    return ""


def _answered(module: ModuleType, question: Mapping[str, Any]) -> Any:
    if "call" in question:
        home, _, name = question["call"].partition(":")
        return getattr(importlib.import_module(home), name)(module, question["arguments"])
    return _measured(module, question)


def _measured(module: ModuleType, question: Mapping[str, Any]) -> dict[str, Any]:
    from tollens.core.seeding import generator

    seed, draw, arm = question["seed"], question["draw"], question["arm"]
    if draw is not None:
        name = arm or "null"
        arm = _function(module, name, f"{name}(rng)")(generator(seed, "null", str(draw)))
    rng = generator(seed, "produce", *question["label"])
    inputs = _function(module, "produce", "produce(arm, cell, rng)")(arm, question["cell"], rng)
    values = _function(module, "metric", "metric(inputs)")(inputs)
    if not isinstance(values, Mapping):
        raise _wrong("a mapping from names to real numbers", f"{type(values).__qualname__} returned by metric")
    return {"values": {_name(name): _number(name, value) for name, value in values.items()}}


def _function(module: ModuleType, name: str, signature: str) -> Callable[..., Any]:
    found = getattr(module, name, None)
    if not callable(found):
        raise _wrong(f"a function {signature}", f"{name} is {'missing' if found is None else 'not callable'}")
    return found  # type: ignore[no-any-return]


def _name(name: Any) -> str:
    if not isinstance(name, str):
        raise _wrong("names that are strings", f"a name of type {type(name).__qualname__}")
    return name


def _number(name: str, value: Any) -> float | int | str:
    """A float or an integer as JSON holds it; what is not finite as its name: `nan`, `inf`, `-inf`."""
    import numpy as np

    if isinstance(value, np.generic) and not isinstance(value, np.bool_):
        plain = value.item()
        value = float(value) if isinstance(plain, np.generic) else plain  # longdouble has no plain counterpart
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
        raise _wrong("real numbers", f"{name[:80]} of type {type(value).__qualname__}")
    if isinstance(value, Integral):
        return int(value)
    try:
        number = float(value)
    except OverflowError:
        number = float("inf")
    return number if abs(number) < float("inf") else str(number)


def _wrong(expected: str, found: str) -> TollensError:
    return TollensError(
        "metric_answer",
        "the metric",
        expected=expected,
        found=found,
        fix="Let metric return a dictionary of floats and integers.",
        exit_code=Exit.BAD_INPUT,
    )
