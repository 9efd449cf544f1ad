"""Where a checkpoint lies: a path of this machine, or a URL that is read by ranges."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeAlias
from urllib.parse import SplitResult, quote, unquote, urlsplit

from tollens.core.errors import TollensError

SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+(::[^/]*)*://")  # two letters at least: C:\ is a path
LOCAL = re.compile(r"(file|local)://(localhost)?(?=/)", re.IGNORECASE)
WEB = ("http", "https")
PLAIN = "/%!$&'()*+,;=:@~"  # what a name may hold as it is: one that is taken out of a URL is quoted already


@dataclass(frozen=True, slots=True)
class Url:
    """A file or folder at a URL. `text` is what is opened; `str()` is what is shown: without user, password
    and query, which may hold credentials. A child keeps the query of its folder.
    """

    text: str

    @property
    def _split(self) -> SplitResult:
        return urlsplit(self.text)

    @property
    def protocol(self) -> str:
        return self.text.partition("://")[0].lower()

    @property
    def is_chained(self) -> bool:
        """Whether fsspec would read several addresses out of it."""
        return "::" in self.text and self.protocol not in WEB

    @property
    def name(self) -> str:
        return PurePosixPath(self._split.path).name

    @property
    def suffix(self) -> str:
        return PurePosixPath(self._split.path).suffix

    @property
    def parent(self) -> Url:
        split = self._split
        return Url(split._replace(path=split.path.rstrip("/").rpartition("/")[0]).geturl())

    def __truediv__(self, name: str) -> Url:
        split = self._split
        below = quote(name, safe=PLAIN) if self.protocol in WEB else name
        return Url(split._replace(path=f"{split.path.rstrip('/')}/{below}").geturl())

    @property
    def secrets(self) -> tuple[str, ...]:
        """The parts that `str()` leaves out."""
        split = self._split
        parts = (split.query, split.fragment, split.netloc.rpartition("@")[0], split.password)
        return tuple(sorted((p for p in parts if p), key=len, reverse=True))

    def __repr__(self) -> str:
        return f"Url({str(self)!r})"

    def __str__(self) -> str:
        if self.is_chained:  # the addresses within may hold the same
            return f"{self.protocol}://..."
        split = self._split
        host = split.netloc.rpartition("@")[2]
        return split._replace(netloc=host, query="", fragment="").geturl()


Place: TypeAlias = Path | Url


def is_url(text: str) -> bool:
    return SCHEME.match(text) is not None


def place_of(text: str) -> Place:
    """A path, or what a URL names: `file:///a%20b` is the path `/a b`. Raises: `path_missing` if it is malformed."""
    if here := LOCAL.match(text):
        return Path(unquote(text[here.end() :]))
    if not is_url(text):
        return Path(text)
    try:
        split = urlsplit(text)
        _ = split.port if split.scheme in WEB else None
    except ValueError as error:
        raise TollensError(
            "path_missing", f"{text.partition('://')[0]}://...", expected="a URL", found=str(error)[:60].split("'")[0],
            fix="Check the spelling of the address.",
        ) from None  # fmt: skip
    return Url(text)


def shown(path: str | os.PathLike[str] | Url) -> str:
    """A path or URL as reports show it: a path as it was given, with what is no UTF-8 escaped; a URL without user,
    password and query. Raises: as `place_of`.
    """
    place = path if isinstance(path, Url) else place_of(os.fspath(path))
    text = str(place) if isinstance(place, Url) else os.fspath(path)  # type: ignore[arg-type]  # a Url is its own place
    return os.fsencode(text).decode("utf-8", "backslashreplace")
