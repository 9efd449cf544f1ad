"""A process that forks one fresh process for every verb it is told, so that hundreds of climbs need no 1 s of import.

An order is one line of JSON on stdin, {"arguments", "environment", "output", and at most one fault}; the answers are
{"pid"} at once and {"status"} when the process has been waited for. The faults:

append, part     kill before the append of that number is forced to disk, `part` of its bytes written
errno, append    that append writes half its bytes and then fails with this error
moment           kill at the call to the system of that number, counted from the start or, with `after`, from the
                 record of that type on; a call is what raises an audit event below
count            a file for the number of those calls, written at the end
clock            the times of the records, one after the other
fsize            no file may grow beyond so many bytes
lawful           let permissions count, as they do not for root
shell            run this in place of a verb
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from itertools import count, cycle
from pathlib import Path
from typing import Any

EVENTS = {
    "open", "os.rename", "os.remove", "os.mkdir", "os.chmod", "os.truncate", "fcntl.flock", "tempfile.mkdtemp",
    "shutil.rmtree", "subprocess.Popen", "os.listdir", "os.scandir", "os.rmdir",
}  # fmt: skip


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def attempt(order: dict[str, Any]) -> int:
    """In the fork: set the fault, then do what the command line would do."""
    os.environ.update(order["environment"])
    os.setpgid(0, 0)
    out = os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    for descriptor in (1, 2):
        os.dup2(out, descriptor)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    if "shell" in order:
        return subprocess.run(order["shell"], shell=True, check=False).returncode
    import tempfile

    tempfile.tempdir = None
    from tollens.cli.main import run

    seen = hooked(order)
    breaking(order, seen)
    if "fsize" in order:
        resource.setrlimit(resource.RLIMIT_FSIZE, (order["fsize"], order["fsize"]))
    if "lawful" in order:
        obey_permissions()
    code = run(order["arguments"])
    sys.stdout.flush()
    if "count" in order:
        seen["on"] = False
        Path(order["count"]).write_text(str(seen["calls"]))
    return code


def obey_permissions() -> None:
    """Give up CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH, with capset(2)."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    head, held = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    if libc.capget(head, held) != 0:
        raise OSError(ctypes.get_errno(), "capget")
    for place in range(3):
        held[place] &= ~0b110
    if libc.capset(head, held) != 0:
        raise OSError(ctypes.get_errno(), "capset")


def hooked(order: dict[str, Any]) -> dict[str, Any]:
    """Count the calls to the system, and end at the one that is ordered."""
    seen = {"calls": 0, "on": "after" not in order}

    def hook(event: str, _: object) -> None:
        if seen["on"] and event in EVENTS:
            seen["calls"] += 1
            if seen["calls"] == order.get("moment"):
                die()

    sys.addaudithook(hook)
    return seen


def breaking(order: dict[str, Any], seen: dict[str, Any]) -> None:
    """Every ledger that is appended to is appended to with this `write` and this clock."""
    import tollens.run.climb
    import tollens.run.lock
    from tollens.record import ledger
    from tollens.record.envelope import now

    numbers = count(1)

    def write(handle: int, data: bytes) -> int:
        number = next(numbers)
        if "errno" in order and number == order["append"] + 1:
            raise OSError(order["errno"], os.strerror(order["errno"]))
        if number == order.get("append"):
            if "errno" in order:
                return os.write(handle, data[: len(data) // 2])
            part = data[: round(len(data) * order["part"])]
            if part:
                os.write(handle, part)
            die()
        if order.get("after") and b'"type":"' + order["after"].encode() + b'"' in data:
            seen["on"] = True
        return os.write(handle, data)

    times = cycle(order.get("clock", ()))
    clock = (lambda: next(times)) if "clock" in order else now
    for module in (tollens.run.climb, tollens.run.lock):
        module.writer = lambda folder: ledger.Writer(folder / ledger.FILE, write=write, clock=clock)  # type: ignore[attr-defined]


def main() -> None:
    import rich.table  # noqa: F401

    import tollens.cli.climb
    import tollens.cli.lock
    import tollens.cli.progress
    import tollens.cli.study_screen
    import tollens.run.climb
    import tollens.run.lock  # noqa: F401
    from tollens.run.machine import machine_lines
    from tollens.run.plugins import installed

    installed()
    machine_lines()  # hashes every source, once for all forks
    answer({"ready": os.getpid()})
    for line in sys.stdin:
        order = json.loads(line)
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            code = 70
            try:
                code = attempt(order)
            finally:
                os._exit(code)
        answer({"pid": child})
        answer({"status": os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])})


def answer(what: dict[str, int]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
