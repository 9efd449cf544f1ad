"""A web server of byte ranges that counts what it sends: of files in memory, or of files made up while they are read.

    python -m benchmarks.range_server TENSORS ROWS COLS SHARDS     a synthetic checkpoint; prints the port, serves on

`GET /-/sent` answers with the bytes of all bodies sent so far, and with the number of requests.
"""

from __future__ import annotations

import json
import re
import struct
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PIECE = 1 << 20
RANGE = re.compile(r"bytes=(\d+)-(\d*)")


@dataclass(frozen=True)
class Served:
    """A file: `read(begin, end)` gives some of the bytes from `begin` on, at least one and none from `end` on."""

    size: int
    read: Callable[[int, int], bytes | memoryview]
    tag: str = '"1"'


def fixed(data: bytes, tag: str = '"1"') -> Served:
    view = memoryview(data)
    return Served(len(data), lambda begin, end: view[begin : min(end, begin + PIECE)], tag)


class Server(ThreadingHTTPServer):
    """`files` by path. `sent` counts bytes of bodies, `asked` holds every request's path and range."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, files: Mapping[str, Served], handler: type[Handler] | None = None) -> None:
        super().__init__(("127.0.0.1", 0), handler or Handler)
        self.files = dict(files)
        self.sent = 0
        self.asked: list[tuple[str, tuple[int, int] | None]] = []
        self.lock = threading.Lock()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A reader that has enough hangs up; that is its right."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16
    server: Server

    def do_GET(self) -> None:
        if self.path == "/-/sent":
            found = json.dumps({"sent": self.server.sent, "requests": len(self.server.asked)}, allow_nan=False)
            self.give(200, found.encode())
            return
        path = self.path.partition("?")[0]
        served = self.server.files.get(path.lstrip("/"))
        asked = self.range_of(served)
        with self.server.lock:
            self.server.asked.append((path, asked))
        if served is None:
            self.give(404, b"")
        elif asked is None:
            self.send_file(200, served, 0, served.size)
        elif asked[0] >= served.size:
            self.give(416, b"", {"Content-Range": f"bytes */{served.size}"})
        else:
            self.send_file(206, served, *asked)

    def range_of(self, served: Served | None) -> tuple[int, int] | None:
        """The half-open range that was asked for, clipped to the file."""
        match = RANGE.fullmatch(self.headers.get("Range", ""))
        if match is None or served is None:
            return None
        last = int(match[2]) + 1 if match[2] else served.size
        return int(match[1]), min(last, served.size)

    def send_file(self, status: int, served: Served, begin: int, end: int) -> None:
        headers = {"ETag": served.tag, "Accept-Ranges": "bytes"}
        if status == 206:
            headers["Content-Range"] = f"bytes {begin}-{end - 1}/{served.size}"
        self.start(status, end - begin, headers)
        while begin < end:
            data = served.read(begin, end)
            with self.server.lock:  # before it is sent: who has it all may ask for the count at once
                self.server.sent += len(data)
            self.wfile.write(data)
            begin += len(data)

    def give(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.start(status, len(body), headers or {})
        self.wfile.write(body)

    def start(self, status: int, length: int | None, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Silent: what was asked is in `server.asked`."""


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    """A server that answers, in threads of this process, until the context ends."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def synthetic(tensors: int, rows: int, cols: int, shards: int) -> dict[str, Served]:
    """A bf16 checkpoint that exists nowhere: the numbers of every shard are one Gaussian block, repeated from a place
    of its own on. The block's length is no multiple of a tensor's, so that no two tensors are the same.
    """
    import ml_dtypes
    import numpy as np

    rng = np.random.default_rng(0)
    values = (0.02 * rng.standard_normal((64 << 19) - 12_345, dtype=np.float32)).astype(ml_dtypes.bfloat16)
    block = memoryview(values.view(np.uint8)).cast("B")
    files: dict[str, Served] = {}
    index: dict[str, str] = {}
    for shard in range(shards):
        file = f"model-{shard + 1:05d}-of-{shards:05d}.safetensors"
        names = [f"model.layers.{i}.mlp.up_proj.weight" for i in range(shard, tensors, shards)]
        files[file] = _shard(names, rows, cols, block, 2 * 1_000_003 * shard)
        index |= dict.fromkeys(names, file)
    text = json.dumps({"metadata": {"total_size": 2 * tensors * rows * cols}, "weight_map": index}, allow_nan=False)
    files["model.safetensors.index.json"] = fixed(text.encode())
    return files


def _shard(names: list[str], rows: int, cols: int, block: memoryview, shift: int) -> Served:
    entries, end = {}, 0
    for name in names:
        begin, end = end, end + 2 * rows * cols
        entries[name] = {"dtype": "BF16", "shape": [rows, cols], "data_offsets": [begin, end]}
    text = json.dumps(entries, allow_nan=False).encode()
    head = memoryview(struct.pack("<Q", len(text)) + text)

    def read(begin: int, end: int) -> memoryview:
        if begin < len(head):
            return head[begin:end]
        at = (begin - len(head) + shift) % len(block)
        return block[at : at + min(end - begin, PIECE)]

    return Served(len(head) + end, read, f'"{shift}"')


def main() -> None:
    tensors, rows, cols, shards = (int(text) for text in sys.argv[1:5])
    server = Server(synthetic(tensors, rows, cols, shards))
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
