"""Files at URLs, read by byte ranges through fsspec: nothing is fetched that was not asked for."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from tollens.core.errors import TollensError
from tollens.core.extras import install_command, missing_extra
from tollens.subject import file
from tollens.subject.place import WEB, Url

if TYPE_CHECKING:
    from tollens.subject.file import Blob

T = TypeVar("T")
BLOCK = 8 << 20  # bytes of one request: a connection that breaks loses no more
PROTOCOLS: dict[str, tuple[str, ...]] = {
    "http": (),
    "https": (),
    "memory": (),
    "s3": ("botocore.exceptions:BotoCoreError", "aiohttp:ClientError"),
    "s3a": ("botocore.exceptions:BotoCoreError", "aiohttp:ClientError"),
    "gs": ("gcsfs.retry:HttpError", "google.auth.exceptions:GoogleAuthError", "aiohttp:ClientError"),
    "gcs": ("gcsfs.retry:HttpError", "google.auth.exceptions:GoogleAuthError", "aiohttp:ClientError"),
    "az": ("azure.core.exceptions:AzureError",),
    "abfs": ("azure.core.exceptions:AzureError",),
    "hf": ("requests.exceptions:RequestException", "httpx:HTTPError"),
}
"""The protocols that are opened, because their servers give a part of a file for the asking, and what their
packages raise besides the errors of the system. Left out: whatever wraps another file system (`zip`, `simplecache`),
runs commands or logs in (`ssh`, `smb`), or hands over whole files (`ftp`, `github`, `data`).
"""
BROUGHT = {"hf": "huggingface_hub"}
"""Opened only where its package is there already: a hub is not proposed to anybody."""
VERSION_FIELDS = ("ETag", "etag", "generation", "md5Hash", "LastModified", "last_modified", "mtime", "created")
NAMES = (
    "model.safetensors.index.json", "model.safetensors", "config.json", "adapter_config.json",
    "adapter_model.safetensors", "adapter_model.bin", "diffusion_pytorch_model.safetensors.index.json",
    "diffusion_pytorch_model.safetensors", "consolidated.safetensors", "pytorch_model.bin.index.json",
    "pytorch_model.bin", "model.npz", "model.gguf",
)  # fmt: skip
"""What a folder of a web server is asked for: it cannot be listed, and its pages are not to be believed."""
OPTIONAL = frozenset({"config.json", "adapter_config.json", "trainer_state.json"})
"""Files that a checkpoint may do without."""
FILES = (".safetensors", ".json", ".npz", ".gguf", ".bin", ".pt", ".pth", ".ckpt", ".pkl", ".zip", ".model")


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds that a server may take to connect, to say nothing and to answer one request; how often a request that
    broke is made again, and the pause before the first time, which doubles each time.
    """

    connect: float = 20.0
    silence: float = 30.0
    answer: float = 300.0
    again: int = 3
    pause: float = 0.5


PATIENCE = Patience()


class Declined(TollensError):
    """A web server took the request for a wrong one, with a status of 400 to 499 that says nothing of the file."""


class Versioned(Protocol):
    """A blob that knows which version of its file it reads: its size and what the server calls its content."""

    @property
    def size(self) -> int: ...

    @property
    def version(self) -> str: ...

    def read_into(self, offset: int, view: memoryview, /) -> int: ...


class _Seen(threading.local):
    """The versions of files by URL that this thread has met since it last opened a checkpoint: a file that becomes
    another one between its header and its data must not pass.
    """

    def __init__(self) -> None:
        self.versions: dict[str, str] = {}


_seen = _Seen()


def forget() -> None:
    """A checkpoint is opened afresh: what this thread knows of files is of another time."""
    _seen.versions.clear()


def version(url: Url) -> str | None:
    """The version of a file that was opened since the last `forget`."""
    return _seen.versions.get(url.text)


@contextmanager
def opened(url: Url, version: str | None = None) -> Iterator[Blob]:
    """A file at a URL; `version` is the one that it must still be.

    Raises: `extra_missing`, `protocol_unsupported`, `protocol_package_missing`, `path_missing`, `path_unreadable`,
    `path_not_a_file`, `range_unsupported`, `remote_failed`, `changed_while_reading`; so do the blob's reads.
    """
    blob = _open(url, version or _seen.versions.get(url.text))
    _seen.versions[url.text] = blob.version
    yield blob
    if isinstance(blob, _Object):
        blob.check()


def kind(url: Url) -> Literal["file", "folder"]:
    """What lies at a URL. On a web server a name with the suffix of a file of a checkpoint is a file, what can be
    read is one, and a folder holds one of `NAMES`.

    Raises: those of `opened`.
    """
    fs = filesystem(url)
    if url.protocol not in WEB:
        found = _asked(url, lambda: fs.info(_inside(fs, url)))
        return "folder" if found["type"] == "directory" else "file"
    if url.suffix.lower() in FILES:
        return "file"
    try:
        if not url.text.partition("?")[0].endswith("/"):
            with opened(url):
                return "file"
        reason = file.missing(url)
    except TollensError as error:
        if error.code not in ("path_missing", "path_unreadable", "range_unsupported"):
            raise
        reason = error
    if any(exists(url / name) for name in NAMES):
        return "folder"
    raise reason


def listing(url: Url) -> list[str]:
    """Names of what a folder holds; of a web server, which of `NAMES` it has. Raises: those of `opened`."""
    if url.protocol in WEB:
        return [name for name in NAMES if exists(url / name)]
    fs = filesystem(url)
    found = _asked(url, lambda: fs.ls(_inside(fs, url), detail=False))
    return sorted({str(name).rstrip("/").rpartition("/")[2] for name in found})


def exists(url: Url) -> bool:
    """Whether there is a file that may be read: many servers answer 403 for what is not there, and a signed URL
    is good for one file only. One of `OPTIONAL` is not there either where the server declines to answer for it.

    Raises: those of `opened` but `path_missing` and `path_unreadable`.
    """
    if url.text in _seen.versions:
        return True
    try:
        with opened(url):
            return True
    except Declined:
        if url.name not in OPTIONAL:
            raise
        return False
    except TollensError as error:
        if error.code not in ("path_missing", "path_unreadable", "path_not_a_file"):
            raise
        return False


def filesystem(url: Url) -> Any:
    """The fsspec file system of a URL: one a process, since its connections do not survive a fork.

    Raises: `extra_missing`, `protocol_unsupported`, `protocol_package_missing`.
    """
    protocol = url.protocol
    known = [name for name in PROTOCOLS if name not in BROUGHT or missing_extra((BROUGHT[name],)) is None]
    if protocol not in known or url.is_chained:
        raise TollensError(
            "protocol_unsupported", str(url), expected=f"a URL of {', '.join(known)} or file",
            found="a chain of addresses" if url.is_chained else f"{protocol}://",
            fix="Copy the checkpoint to one of these, or to this machine.",
        )  # fmt: skip
    missing = missing_extra(("fsspec", "aiohttp") if protocol in WEB else ("fsspec",))
    if missing is not None:
        raise TollensError(
            "extra_missing", str(url), expected="the remote extra", found=f"no module {missing}",
            fix=f"Install it: {install_command('remote')}",
        )  # fmt: skip
    import fsspec
    from fsspec.core import url_to_fs
    from fsspec.registry import known_implementations

    try:
        return fsspec.filesystem(protocol) if protocol in WEB else url_to_fs(url.text)[0]
    except ImportError as error:
        package = str(known_implementations[protocol]["class"]).partition(".")[0]
        raise TollensError(
            "protocol_package_missing", str(url), expected=f"the package {package}", found=told(url, error),
            fix=f"Install it: {sys.executable} -m pip install {package}",
        ) from None  # fmt: skip
    except _failures(url) as error:
        raise failed(url, told(url, error)) from None


def told(url: Url, error: BaseException) -> str:
    """What went wrong, in at most 120 characters and without what the URL may hold of credentials."""
    text = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    for secret in url.secrets:
        text = text.replace(secret, "...")
    return " ".join(text.split())[:120]


def failed(url: Url, found: str, expected: str = "an answer from the server") -> TollensError:
    return TollensError(
        "remote_failed", str(url), expected=expected, found=found, fix="Check the address and the network; run again."
    )


def declined(url: Url, status: int) -> Declined:
    return Declined(
        "remote_failed", str(url), expected="an answer from the server", found=f"status {status}",
        fix="Check the address and the network; run again.",
    )  # fmt: skip


def unsupported(url: Url, found: str, expected: str = "the range of bytes that was asked for") -> TollensError:
    return TollensError(
        "range_unsupported", str(url), expected=expected, found=found,
        fix="Fetch the checkpoint first, or serve it from where ranges are answered.",
    )  # fmt: skip


def altered(url: Url, expected: str, found: str) -> TollensError:
    return TollensError(
        "changed_while_reading", str(url), expected=expected, found=found,
        fix="Let nothing write to the file while it is read, and run again.",
    )  # fmt: skip


def _open(url: Url, version: str | None) -> Versioned:
    fs = filesystem(url)
    if url.protocol in WEB:
        from tollens.subject.web import open_web

        return open_web(url, fs, version)
    found = _Object(url, fs, _inside(fs, url))
    if version is not None and version != found.version:
        raise altered(url, f"version {version}", f"version {found.version}")
    return found


class _Object:
    """A file of an object store, as fsspec reads it."""

    def __init__(self, url: Url, fs: Any, path: str) -> None:
        self._url, self._fs, self._path = url, fs, path
        self.size, self.version = self._facts()

    def _facts(self) -> tuple[int, str]:
        found = _asked(self._url, lambda: self._fs.info(self._path))
        if found["type"] == "directory":
            raise file.not_regular(self._url)
        size = found.get("size")
        if not isinstance(size, int) or size < 0:
            raise unsupported(self._url, f"a size of {size!r:.20}", "a file of known size")
        tag = next((str(found[name]) for name in VERSION_FIELDS if found.get(name)), "")
        return size, f"{size} {tag}"

    def check(self) -> None:
        """Raises: `changed_while_reading` if it is another file than when it was opened."""
        self._fs.invalidate_cache(self._fs._parent(self._path))
        _, now = self._facts()
        if now != self.version:
            raise altered(self._url, f"version {self.version}", f"version {now}")

    def read_into(self, offset: int, view: memoryview, /) -> int:
        wanted = max(0, min(len(view), self.size - offset))
        for begin in range(0, wanted, BLOCK):
            start = offset + begin
            end = offset + min(begin + BLOCK, wanted)
            data = _asked(self._url, partial(self._piece, start, end))
            if len(data) != end - start:
                raise altered(self._url, f"{end - start} bytes from byte {start} on", f"{len(data)} bytes")
            view[begin : begin + len(data)] = data
        return wanted

    def _piece(self, start: int, end: int) -> bytes:
        if self._fs.async_impl:
            return bytes(self._fs.cat_file(self._path, start=start, end=end))
        with self._fs.open(self._path, "rb", cache_type="none") as stream:
            stream.seek(start)
            return bytes(stream.read(end - start))


def _inside(fs: Any, url: Url) -> str:
    return str(fs._strip_protocol(url.text))


def _asked(url: Url, question: Callable[[], T]) -> T:
    """The answer of a server that may be asked several times."""
    for attempt in range(PATIENCE.again + 1):
        if attempt:
            time.sleep(PATIENCE.pause * 2 ** (attempt - 1))
        try:
            return question()
        except FileNotFoundError:
            raise file.missing(url) from None
        except IsADirectoryError:
            raise file.not_regular(url) from None
        except PermissionError as error:
            raise file.unreadable(url, PermissionError(told(url, error))) from None
        except ValueError as error:  # an address that its package cannot read
            raise failed(url, told(url, error)) from None
        except _failures(url) as error:
            last = told(url, error)
    raise failed(url, f"{last}, {PATIENCE.again + 1} times")


def _failures(url: Url) -> tuple[type[Exception], ...]:
    """What a protocol's package raises where its server fails; a package that is not loaded raises nothing."""
    found: list[type[Exception]] = [OSError, ValueError]
    for place in PROTOCOLS[url.protocol]:
        module, _, name = place.partition(":")
        kind = getattr(sys.modules.get(module), name, None)
        if isinstance(kind, type) and issubclass(kind, Exception):
            found.append(kind)
    return tuple(found)
