"""Where a checkpoint lies: a path of this machine, or a URL that is read by ranges."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeAlias
from urllib.parse import SplitResult, urlsplit

SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+(::[^/]*)*://")  # two letters at least: C:\ is a path


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
        return Url(split._replace(path=f"{split.path.rstrip('/')}/{name}").geturl())

    def __str__(self) -> str:
        split = self._split
        host = split.netloc.rpartition("@")[2]
        return split._replace(netloc=host, query="", fragment="").geturl()


Place: TypeAlias = Path | Url


def is_url(text: str) -> bool:
    return SCHEME.match(text) is not None
