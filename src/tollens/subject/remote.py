"""Files at URLs, read by ranges."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Literal

from tollens.core.errors import TollensError
from tollens.subject.place import Url

if TYPE_CHECKING:
    from tollens.subject.file import Blob


def opened(url: Url) -> AbstractContextManager[Blob]:
    raise _not_yet(url)


def kind(url: Url) -> Literal["file", "folder"]:
    raise _not_yet(url)


def listing(url: Url) -> list[str]:
    raise _not_yet(url)


def exists(url: Url) -> bool:
    raise _not_yet(url)


def _not_yet(url: Url) -> TollensError:
    return TollensError(
        "path_missing", str(url), expected="a file or folder of this machine", found="a URL",
        fix="Fetch the checkpoint first.",
    )  # fmt: skip
