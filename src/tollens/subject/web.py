"""A file of a web server, by requests for ranges (RFC 9110, section 14). Every answer is checked before its body is
read, and no body is read beyond what was asked for: the server may be anybody's.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from tollens.core.errors import TollensError
from tollens.subject import file, remote
from tollens.subject.place import Url

if TYPE_CHECKING:
    from collections.abc import Mapping

RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})", re.ASCII)
EMPTY = re.compile(r"bytes \*/0", re.ASCII)
BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})
REDIRECTS = 10


class _Stopped(NamedTuple):
    """A request that broke off: how many bytes had come, and why no more."""

    done: int
    why: str


def open_web(url: Url, fs: Any, version: str | None) -> WebFile:
    """Ask for the first byte, which tells size and version and whether ranges are served; a file whose version is
    known is not asked anything. Raises: those of `remote.opened`.
    """
    if version is not None:
        return WebFile(url, fs, version)
    found = WebFile(url, fs, "")
    found.read_into(0, memoryview(bytearray(1)))
    return found


class WebFile:
    """`version` is the size and the validator that the server sends with every answer: its strong `ETag`, or else
    when the file was last modified.
    """

    def __init__(self, url: Url, fs: Any, version: str) -> None:
        self._url, self._fs = url, fs
        self.version = version

    @property
    def size(self) -> int:
        return int(self.version.partition(" ")[0])

    def read_into(self, offset: int, view: memoryview, /) -> int:
        wanted = len(view) if not self.version else max(0, min(len(view), self.size - offset))
        for begin in range(0, wanted, remote.BLOCK):
            piece = view[begin : min(begin + remote.BLOCK, wanted)]
            if not self._fill(offset + begin, piece):
                return 0
        return wanted

    def _fill(self, offset: int, view: memoryview) -> bool:
        """Fill all of `view`, going on where a connection broke; False if the file is empty."""
        from fsspec.asyn import sync

        patience, done, why = remote.PATIENCE, 0, ""
        for attempt in range(patience.again + 1):
            if attempt:
                time.sleep(patience.pause * 2 ** (attempt - 1))
            stopped = sync(self._fs.loop, self._request, offset + done, view[done:])
            if stopped is None:
                return self.size > 0
            done, why = done + stopped.done, stopped.why
        found = f"{why} after {done} of {len(view)} bytes from byte {offset} on, {patience.again + 1} times"
        raise remote.failed(self._url, found)

    async def _request(self, offset: int, view: memoryview) -> _Stopped | None:
        """One request. None when all has come, a reason where asking again may help.

        Raises: `path_missing`, `path_unreadable`, `range_unsupported`, `changed_while_reading`, `remote_failed`.
        """
        import aiohttp
        import yarl

        patience = remote.PATIENCE
        limits = aiohttp.ClientTimeout(total=patience.answer, sock_connect=patience.connect, sock_read=patience.silence)
        settings = dict(self._fs.kwargs)
        headers = {**settings.pop("headers", {}), "Accept-Encoding": "identity"}
        headers["Range"] = f"bytes={offset}-{offset + len(view) - 1}"
        done = 0
        try:
            # a signed URL is good only as it was signed
            address = yarl.URL(self._url.text, encoded=self._url.text.isascii() and " " not in self._url.text)
            session = await self._fs.set_session()
            async with session.get(
                address, **{**settings, "headers": headers, "timeout": limits, "max_redirects": REDIRECTS},
                auto_decompress=False, read_bufsize=1 << 20,
            ) as answer:  # fmt: skip
                if answer.status in BUSY:
                    return _Stopped(0, f"status {answer.status}")
                if not self._check(answer.status, answer.headers, offset, len(view)):
                    return None
                while done < len(view):
                    data = await answer.content.readany()
                    if not data:
                        expected = f"{len(view)} bytes from byte {offset} on"
                        raise remote.altered(self._url, expected, f"an answer of {done}")
                    if done + len(data) > len(view):
                        raise remote.unsupported(self._url, "more bytes than that")
                    view[done : done + len(data)] = data
                    done += len(data)
                if answer.content_length is None and await answer.content.read(1):
                    raise remote.unsupported(self._url, "more bytes than that")
                return None
        except (aiohttp.ClientResponseError, aiohttp.InvalidURL) as error:  # malformed, or a ring of redirects
            raise remote.failed(self._url, _named(error), "a well-formed answer") from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return _Stopped(done, _named(error))
        except ValueError as error:  # an address that is none
            raise remote.failed(self._url, _named(error), "a well-formed address") from None

    def _check(self, status: int, headers: Mapping[str, str], offset: int, count: int) -> bool:
        """Whether a body of `count` bytes follows; False if the file is empty."""
        if status in (404, 410):
            raise file.missing(self._url)
        if status in (401, 403, 407):
            raise file.unreadable(self._url, PermissionError(f"the server answers {status}"))
        if status == 416 and not self.version and EMPTY.fullmatch(headers.get("Content-Range", "")):
            self.version = f"0 {_tag(headers)}"
            return False
        if status == 416:
            raise remote.altered(self._url, f"bytes from {offset} on", "a file that ends before")
        if status == 200 and headers.get("Content-Type", "").startswith("text/html"):
            raise TollensError(
                "path_missing", str(self._url), expected="a file of a checkpoint", found="a web page",
                fix="Check the spelling of the address, and name the file itself.",
            )  # fmt: skip
        if status == 200:
            raise remote.unsupported(self._url, "the whole file")
        if 400 <= status < 500:
            raise remote.declined(self._url, status)
        if status != 206:
            raise remote.failed(self._url, f"status {status}")
        coding = headers.get("Content-Encoding", "identity")
        if coding.lower() not in ("identity", ""):
            raise remote.unsupported(self._url, f"bytes that are encoded: {coding!r:.20}")
        given = headers.get("Content-Range", "")
        match = RANGE.fullmatch(given.strip())
        if match is None:
            raise remote.unsupported(self._url, f"Content-Range {given!r:.60}")
        first, last, size = (int(n) for n in match.groups())
        now = f"{size} {_tag(headers)}"
        if self.version and now != self.version:
            raise remote.altered(self._url, f"version {self.version}", f"version {now:.80}")
        length = headers.get("Content-Length", str(count))
        if length.isdecimal() and int(length) < count:
            raise remote.altered(self._url, f"{count} bytes from byte {offset} on", f"an answer of {length:.20}")
        if (first, last) != (offset, offset + count - 1) or last >= size or length != str(count):
            raise remote.unsupported(self._url, f"Content-Range {given!r:.60} of {length!r:.20} bytes")
        self.version = now
        return True


def _tag(headers: Mapping[str, str]) -> str:
    tag = headers.get("ETag", "")
    if not tag or tag.startswith("W/"):  # a weak one may stay when bytes change
        tag = headers.get("Last-Modified", tag)
    return tag[:200]


def _named(error: BaseException) -> str:
    """The kind of an error; its text may repeat the address."""
    if isinstance(error, TollensError):
        return error.code
    reason = error.strerror if isinstance(error, OSError) else None
    status = getattr(error, "status", None)
    return f"{type(error).__name__}" + (f" ({reason})" if reason else f" ({status})" if status else "")
