"""What is hashed beside the work: there at the end, and given up where the work is."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from pathlib import Path
from typing import Any

import pytest

from tollens.run.diff import diff
from tollens.run.hashing import hashing
from tollens.run.scan import scan
from tollens.run.series import series
from tollens.subject.checkpoint import open_checkpoint

SIDES = (1 << 16, 1 << 17)
BYTES = 4 * SIDES[0] * SIDES[1]  # 32 GiB of zeros that take no room, and half a minute or so of hashing


def sparse(folder: Path, shape: tuple[int, int] = SIDES) -> Path:
    size = 4 * shape[0] * shape[1]
    header = json.dumps({"w": {"dtype": "F32", "shape": shape, "data_offsets": [0, size]}}, allow_nan=False).encode()
    folder.mkdir()
    path = folder / "model.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    os.truncate(path, 8 + len(header) + size)
    return path


RUNS: dict[str, Callable[[Path, Any], object]] = {
    "scan": lambda folder, map_fn: scan(sparse(folder / "checkpoint-1"), map_fn=map_fn),
    "diff": lambda folder, map_fn: diff(
        sparse(folder / "checkpoint-1"), sparse(folder / "checkpoint-2"), map_fn=map_fn
    ),
    "series": lambda folder, map_fn: series(
        [sparse(folder / "checkpoint-1").parent, sparse(folder / "checkpoint-2").parent], map_fn=map_fn
    ),
}


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("name", RUNS)
def test_a_run_that_breaks_off_does_not_wait_for_the_hash(
    tmp_path: Path, name: str, error: type[BaseException]
) -> None:
    broke: list[float] = []

    def breaks(*_: Any, **__: Any) -> Any:
        time.sleep(0.05)  # hashing has begun
        broke.append(time.monotonic())
        raise error("broke off")

    with pytest.raises(error, match="broke off"):
        RUNS[name](tmp_path, breaks)
    assert time.monotonic() - broke[0] < 3.0


def test_the_digest_is_there_at_the_end(tmp_path: Path) -> None:
    path = sparse(tmp_path / "a", (1 << 10, 1 << 11))
    with hashing() as digest_of:
        found = digest_of(open_checkpoint(path))
    assert found.done()
    assert found.result() == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_digest_that_was_given_up_has_no_value(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(sparse(tmp_path / "a"))
    begun: list[Future[str]] = []

    def breaks() -> None:
        with hashing() as digest_of:
            begun.extend((digest_of(checkpoint), digest_of(checkpoint)))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        breaks()
    for digest in begun:
        with pytest.raises(CancelledError):
            digest.result()
