"""A checkpoint at a URL: bytes that cross the network beside the bytes analysed, and memory beside a local scan.

    python -m benchmarks.remote [--quick]

A server of this machine makes up a sharded bf16 checkpoint of 20 GiB while it is read, so that no disk is measured.
It is scanned with `--only tail`; one of its shards, fetched to the disk first, is scanned locally beside it.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.process import Measured, measure, tollens
from benchmarks.table import OUT, Line, show

MIB = 1 << 20
SHARE = 1.02  # bytes sent for each byte analysed: the headers, the index and what is asked to find them
MORE = 96.0  # MB: asyncio, aiohttp, a block of 8 MiB and the buffers of one answer


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="half a GiB")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args(arguments)
    tensors, rows, cols, shards = (8, 512, 65_536, 2) if given.quick else (320, 512, 65_536, 20)
    analysed = 2 * tensors * rows * cols
    first = f"model-00001-of-{shards:05d}.safetensors"
    OUT.mkdir(parents=True, exist_ok=True)
    with serving(tensors, rows, cols, shards) as address, tempfile.TemporaryDirectory(dir=OUT) as folder:
        with urllib.request.urlopen(f"{address}/{first}") as answer, open(Path(folder) / first, "wb") as kept:
            shutil.copyfileobj(answer, kept, MIB)
        before, _ = sent(address)
        far, layers = scanned(address, given.threads, Path(folder))
        after, requests = sent(address)
        near, _ = scanned(str(Path(folder) / first), given.threads, Path(folder))
    share = (after - before) / analysed
    lines = [
        Line(
            f"bytes sent of {analysed / 2**30:.2f} GiB in {shards} shards",
            f"<= {SHARE:.2f}",
            f"{share:.5f}",
            share <= SHARE and layers == tensors,
            f"{layers} of {tensors} matrices {rows}x{cols} bf16, {requests} requests",
        ),
        Line(
            "peak memory, remote",
            f"<= {near.peak_mb + MORE:.0f} MB",
            f"{far.peak_mb:.0f} MB",
            far.peak_mb <= near.peak_mb + MORE,
            f"a local scan of one shard: {near.peak_mb:.0f} MB",
        ),
        Line(
            "time, remote",
            "-",
            f"{far.wall:.0f} s",
            None,
            f"{far.cpu:.0f} s cpu, {analysed / MIB / far.wall:.0f} MiB/s; "
            f"one shard of {shards} locally {near.wall:.1f} s, {near.cpu:.1f} s cpu",
        ),
    ]
    notes = [f"{given.threads} threads, one process; the server runs beside it on the same cores; --only tail"]
    show("remote: a scan by ranges", lines, notes)


def scanned(place: str, threads: int, folder: Path) -> tuple[Measured, int]:
    """The run, and how many matrices it reports."""
    output = folder / "scan.json"
    run = measure(tollens("scan", place, "--json", "--quiet", "--only", "tail"), threads, output)
    if run.status not in (0, 1, 11):
        raise RuntimeError(f"exit status {run.status}: {place}")
    return run, json.loads(output.read_bytes())["summary"]["layers"]


@contextmanager
def serving(*sizes: int) -> Iterator[str]:
    """The address of a server in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.range_server", *map(str, sizes)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.terminate()


def sent(address: str) -> tuple[int, int]:
    """Bytes of all bodies so far, and requests."""
    with urllib.request.urlopen(f"{address}/-/sent") as answer:
        found = json.load(answer)
    return found["sent"], found["requests"]


if __name__ == "__main__":
    main()
