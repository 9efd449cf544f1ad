"""A replay in a child process with a time and a memory limit: its parameters come from strangers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

SECONDS = 10.0
MEBIBYTES = 512
_CHILD = "import sys; sys.path[:] = {path!r}; from tollens.run.replay import child; child()"


def replay_in_child(name: str, parameters: Mapping[str, Any]) -> Mapping[str, float] | None:
    """The numbers of the computation `name` of `tollens.lint.replay`; None when it went over a limit.

    The same computation with the same parameters is run once in a process.
    """
    question = json.dumps([name, {**parameters}], sort_keys=True, allow_nan=False)
    return _replayed(question, SECONDS, MEBIBYTES)


@lru_cache(maxsize=256)
def _replayed(question: str, seconds: float, mebibytes: int) -> Mapping[str, float] | None:
    command = [sys.executable, "-P", "-c", _CHILD.format(path=sys.path)]
    quiet = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "TOLLENS_REPLAY_MIB": str(mebibytes)}
    try:
        done = subprocess.run(
            command, input=question, capture_output=True, text=True, timeout=seconds, check=False, env=quiet
        )
    except subprocess.TimeoutExpired:
        return None
    if done.returncode != 0:
        return None
    answer: Mapping[str, float] = json.loads(done.stdout)
    return answer


def child() -> None:
    """Read one question from stdin, answer it on stdout, under the memory limit given in the environment."""
    import resource

    limit = int(os.environ["TOLLENS_REPLAY_MIB"]) << 20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    from tollens.lint.replay import REPLAYS

    name, parameters = json.loads(sys.stdin.read())
    found = {**REPLAYS[name](**parameters)}
    sys.stdout.write(json.dumps(found, allow_nan=False))
