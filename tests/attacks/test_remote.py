"""Servers that lie, stall, break off, or never end. Each makes one guard fire; what is sent is cut off, not stored."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from benchmarks.range_server import Handler, Served, Server, fixed, serving

from tollens.core.codes import CODES
from tollens.core.errors import TollensError
from tollens.run.scan import scan
from tollens.run.settings import ScanSettings
from tollens.subject import remote
from tollens.subject.checkpoint import open_checkpoint
from tollens.subject.matrices import matrices
from tollens.subject.place import Url

pytest.importorskip("aiohttp")

NAME = "m.safetensors"
W = np.arange(256.0, dtype=np.float32).reshape(16, 16)
QUICK = remote.Patience(connect=1.0, silence=0.3, answer=2.0, again=2, pause=0.01)
MIB = 1 << 20
DATA = (
    4  # requests go before the one for the data: for the first byte, what file it is, the header's length, the header
)
Answer = Callable[[Handler, Served, int, int], None]


def stored(matrix: np.ndarray = W) -> bytes:
    entry = {"w": {"dtype": "F32", "shape": list(matrix.shape), "data_offsets": [0, matrix.nbytes]}}
    header = json.dumps(entry).encode()
    return struct.pack("<Q", len(header)) + header + matrix.tobytes()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "PATIENCE", QUICK)


@contextmanager
def answering(
    answer: Answer, data: bytes | Served | None = None, first: int = 0, last: int = 10**9
) -> Iterator[Server]:
    """A server whose requests from number `first` to `last` for a file are answered by `answer`."""
    served = data if isinstance(data, Served) else fixed(stored() if data is None else data)
    count = iter(range(10**9))

    class Hostile(Handler):
        def send_file(self, status: int, served: Served, begin: int, end: int) -> None:
            if first <= next(count) <= last:
                answer(self, served, begin, end)
            else:
                super().send_file(status, served, begin, end)

    with serving(Server({NAME: served}, Hostile)) as server:
        yield server


def url(server: Server) -> str:
    return f"{server.address.replace('://', '://user:hunter2@')}/{NAME}?X-Signature=secret"


def refusal(server: Server) -> TollensError:
    """What reading the whole checkpoint ends in; it keeps to itself what the address holds of credentials."""
    with pytest.raises(TollensError) as caught:
        open_checkpoint(url(server)).read("w")
    error = caught.value
    assert error.code in CODES
    assert "hunter2" not in str(error)
    assert "secret" not in str(error)
    assert f"127.0.0.1:{server.server_address[1]}/{NAME}" in str(error)
    assert error.__cause__ is None
    return error


def part(handler: Handler, served: Served, begin: int, end: int, **changed: str) -> None:
    """An honest answer but for the headers in `changed`, `_` standing for `-`; an empty one is left out."""
    headers = {
        "Content-Length": str(end - begin),
        "Content-Range": f"bytes {begin}-{end - 1}/{served.size}",
        "ETag": served.tag,
    } | {name.replace("_", "-"): value for name, value in changed.items()}
    handler.start(206, None, {name: value for name, value in headers.items() if value})
    handler.wfile.write(served.read(begin, end))


def status(code: int) -> Answer:
    return lambda handler, served, begin, end: handler.give(code, b"")


def headers(**changed: str) -> Answer:
    return lambda handler, served, begin, end: part(handler, served, begin, end, **changed)


def moved(target: str) -> Answer:
    return lambda handler, served, begin, end: handler.give(302, b"", {"Location": target})


def chunked(handler: Handler, served: Served, begin: int, end: int, **changed: str) -> None:
    part(handler, fixed(b"", served.tag), begin, end, Content_Length="", Transfer_Encoding="chunked",
         Content_Range=f"bytes {begin}-{end - 1}/{served.size}", **changed)  # fmt: skip


def chunk(handler: Handler, data: bytes) -> None:
    handler.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))


def endless(handler: Handler, served: Served, begin: int, end: int) -> None:
    chunked(handler, served, begin, end)
    while True:
        chunk(handler, bytes(MIB))


def too_short(handler: Handler, served: Served, begin: int, end: int) -> None:
    chunked(handler, served, begin, end)
    handler.wfile.write(b"0\r\n\r\n")


def too_long(handler: Handler, served: Served, begin: int, end: int) -> None:
    chunked(handler, served, begin, end)
    chunk(handler, bytes(served.read(begin, end)) + b"!")
    handler.wfile.write(b"0\r\n\r\n")


def whole(handler: Handler, served: Served, begin: int, end: int) -> None:
    Handler.send_file(handler, 200, served, 0, served.size)


def hung_up(handler: Handler, served: Served, begin: int, end: int) -> None:
    """Half of the answer, then nothing any more."""
    part(handler, fixed(bytes(served.read(begin, end))[: (end - begin) // 2], served.tag), 0, 10**6,
         Content_Length=str(end - begin), Content_Range=f"bytes {begin}-{end - 1}/{served.size}")  # fmt: skip
    handler.wfile.flush()
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)


def silent(handler: Handler, served: Served, begin: int, end: int) -> None:
    time.sleep(3.0)


def dripping(handler: Handler, served: Served, begin: int, end: int) -> None:
    """A byte now and then, never slow enough to be silent."""
    part(handler, Served(served.size, lambda begin, end: b"", served.tag), begin, end)
    for _ in range(20):
        time.sleep(0.1)
        handler.wfile.write(b"x")
        handler.wfile.flush()


def shifted(handler: Handler, served: Served, begin: int, end: int) -> None:
    part(handler, served, begin, end, Content_Range=f"bytes {begin + 1}-{end}/{served.size}")


def nothing(handler: Handler, served: Served, begin: int, end: int) -> None:
    handler.start(206, 0, {"Content-Range": f"bytes {begin}-{end - 1}/{served.size}", "ETag": served.tag})


def endless_header(handler: Handler, served: Served, begin: int, end: int) -> None:
    handler.wfile.write(b"HTTP/1.1 206 Partial Content\r\n")
    while True:
        handler.wfile.write(b"X-Header: " + b"a" * 1000 + b"\r\n")


def garbage(handler: Handler, served: Served, begin: int, end: int) -> None:
    handler.wfile.write(b"\x00\xff" * 100)
    handler.close_connection = True


CASES: dict[str, tuple[str, Answer]] = {
    "the whole file": ("range_unsupported", whole),
    "no such file": ("path_missing", status(404)),
    "gone": ("path_missing", status(410)),
    "who are you": ("path_unreadable", status(401)),
    "not you": ("path_unreadable", status(403)),
    "always busy": ("remote_failed", status(503)),
    "a teapot": ("remote_failed", status(418)),
    "no content": ("remote_failed", status(204)),
    "compressed": ("range_unsupported", headers(Content_Encoding="gzip")),
    "no range in the answer": ("range_unsupported", headers(Content_Range="")),
    "a range in words": ("range_unsupported", headers(Content_Range="bytes all")),
    "another range": ("range_unsupported", shifted),
    "a negative range": ("range_unsupported", headers(Content_Range="bytes -5-0/1123")),
    "a size of forty digits": ("range_unsupported", headers(Content_Range=f"bytes 0-0/{10**40}")),
    "a negative length": ("remote_failed", headers(Content_Length="-5")),
    "a length that is none": ("remote_failed", headers(Content_Length="many")),
    "a length beyond the range": ("range_unsupported", headers(Content_Length="4000000000")),
    "a length of nothing": ("changed_while_reading", nothing),
    "too short": ("changed_while_reading", too_short),
    "too long": ("range_unsupported", too_long),
    "endless": ("range_unsupported", endless),
    "an endless header": ("remote_failed", endless_header),
    "no HTTP": ("remote_failed", garbage),
    "breaks off": ("remote_failed", hung_up),
    "to a file": ("remote_failed", moved("file:///etc/passwd")),
    "to another protocol": ("remote_failed", moved("ftp://127.0.0.1/m")),
    "to itself": ("remote_failed", moved(f"/{NAME}")),
    "to nowhere": ("remote_failed", moved("http://127.0.0.1:1/m")),
}


@pytest.mark.parametrize("first", [0, 3, DATA], ids=["at once", "in the header", "in the data"])
@pytest.mark.parametrize(("code", "answer"), CASES.values(), ids=CASES.keys())
def test_a_server_that_does_not_do_what_it_was_asked(code: str, answer: Answer, first: int) -> None:
    with answering(answer, first=first) as server:
        begin = time.monotonic()
        tracemalloc.start()
        found = refusal(server)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert found.code == code, str(found)
    assert time.monotonic() - begin < 8
    assert peak < 30 * MIB


def test_a_busy_server_and_a_broken_connection_are_asked_again() -> None:
    for answer in (status(503), status(429), hung_up, silent):
        with answering(answer, first=DATA, last=DATA) as server:
            np.testing.assert_array_equal(open_checkpoint(url(server)).read("w"), W)


def test_what_came_before_the_connection_broke_is_not_fetched_again() -> None:
    with answering(hung_up, first=DATA, last=DATA + 1) as server:
        np.testing.assert_array_equal(open_checkpoint(url(server)).read("w"), W)
        begins = [asked[0] for _, asked in server.asked if asked is not None]
    start = len(stored()) - W.nbytes
    assert begins[DATA:] == [start, start + 512, start + 768]


def test_a_failure_says_how_far_it_came() -> None:
    with answering(hung_up, first=DATA) as server:
        assert "after 896 of 1024 bytes" in refusal(server).found


def test_a_file_without_end_is_not_fetched() -> None:
    """A gigabyte in one answer, of which one byte was asked for."""
    giant = Served(1 << 30, lambda begin, end: bytes(min(end - begin, MIB)))
    with answering(whole, giant) as server:
        assert refusal(server).code == "range_unsupported"
        time.sleep(0.2)
        assert server.sent < 32 * MIB  # what the sockets hold


def test_a_server_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "PATIENCE", remote.Patience(silence=0.3, answer=0.5, again=1, pause=0.01))
    with answering(dripping, first=DATA) as server:
        begin = time.monotonic()
        assert refusal(server).code == "remote_failed"
        assert 0.9 < time.monotonic() - begin < 3


def test_a_server_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "PATIENCE", remote.Patience(silence=0.2, answer=30.0, again=1, pause=0.01))
    with answering(silent) as server:
        begin = time.monotonic()
        assert refusal(server).code == "remote_failed"
        assert time.monotonic() - begin < 2


def test_a_file_of_no_bytes_that_has_one() -> None:
    with answering(headers(Content_Range="bytes 0-0/0")) as server:
        assert refusal(server).code == "range_unsupported"


def test_a_file_that_claims_to_be_larger_than_the_world() -> None:
    data = struct.pack("<Q", 99_000_000) + b"{" * 64
    served = Served(10**18, lambda begin, end: data[begin:end][:64] or bytes(min(end - begin, MIB)))
    with serving(Server({NAME: served})) as server:
        found = refusal(server)
    assert found.code == "header_not_json"


@pytest.mark.parametrize("change", ["tag", "size"])
def test_a_file_that_changes_after_its_header(change: str) -> None:
    data = stored()
    with serving(Server({NAME: fixed(data)})) as server:
        checkpoint = open_checkpoint(url(server))
        server.files[NAME] = fixed(data, '"2"') if change == "tag" else fixed(data + b"\0")
        with pytest.raises(TollensError, match="changed_while_reading"):
            checkpoint.read("w")
        [view] = matrices(checkpoint).matrices
        failed: list[str] = []

        def elsewhere() -> None:
            """Another thread, as a worker, has not read the header itself."""
            try:
                view.load()
            except TollensError as error:
                failed.append(error.code)

        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        assert failed == ["changed_while_reading"]
        if change == "tag":
            np.testing.assert_array_equal(open_checkpoint(url(server)).read("w"), W)


def test_a_file_that_changes_amid_its_data() -> None:
    tags = iter(['"1"'] * 4 + ['"2"'] * 9)

    def other(handler: Handler, served: Served, begin: int, end: int) -> None:
        part(handler, served, begin, end, ETag=next(tags))

    matrix = np.zeros((3, MIB), dtype=np.float32)
    with answering(other, fixed(stored(matrix))) as server:
        assert refusal(server).code == "changed_while_reading"


def test_a_redirect_to_another_server_is_followed() -> None:
    with serving(Server({NAME: fixed(stored())})) as behind, answering(moved(f"{behind.address}/{NAME}")) as server:
        np.testing.assert_array_equal(open_checkpoint(url(server)).read("w"), W)
        assert len(behind.asked) == DATA + 1


def test_an_index_that_climbs_by_an_escape() -> None:
    for shard in ("%2e%2e/secret.safetensors", "a.safetensors?x=.safetensors", "a#.safetensors", "../a.safetensors"):
        index = json.dumps({"weight_map": {"w": shard}}).encode()
        with serving(Server({"model.safetensors.index.json": fixed(index), NAME: fixed(stored())})) as server:
            with pytest.raises(TollensError, match="index_escapes"):
                open_checkpoint(server.address)
            assert not any("secret" in path for path, _ in server.asked)


def test_a_scan_ends_with_the_error_and_not_with_a_layer_less() -> None:
    with answering(hung_up, first=DATA) as server, pytest.raises(TollensError, match="remote_failed"):
        scan(url(server), ScanSettings(only="tail"))


def test_no_one_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(TollensError, match=r"remote_failed.*3 times"):
            open_checkpoint(f"http://127.0.0.1:{taken.getsockname()[1]}/{NAME}")


@pytest.mark.parametrize("text", ["http://", "http://[::1", "http://host:port/m.safetensors", "http:///m.safetensors"])
def test_an_address_that_is_none(text: str) -> None:
    with pytest.raises(TollensError) as caught:
        open_checkpoint(text)
    assert caught.value.code in ("remote_failed", "path_missing")


def test_the_location_is_read_by_ranges_only() -> None:
    """No request goes without a range."""
    with serving(Server({NAME: fixed(stored())})) as server:
        open_checkpoint(url(server)).read("w")
        assert [asked for _, asked in server.asked if asked is None] == [None]  # the configuration, which is not there
        assert remote.exists(Url(url(server)))
