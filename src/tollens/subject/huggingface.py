"""The configuration that Hugging Face repositories keep beside their weights."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from tollens.core.errors import TollensError
from tollens.subject import document, file
from tollens.subject.place import Place
from tollens.subject.sharded import check_inside

CONFIG = "config.json"
MAX_CONFIG = 10_000_000
PARTS = ("text_config", "llm_config", "language_config", "vision_config", "encoder", "decoder")


def read_config(folder: Place, digests: dict[str, str] | None = None) -> Mapping[str, Any] | None:
    """`config.json` of a folder, or None where there is none; `digests` takes the SHA-256 of what was read.

    Raises: `config_invalid`, `header_too_deep`, `duplicate_key`, `index_escapes`, those of `file.opened`.
    """
    if not file.exists(folder, CONFIG):
        return None
    path = folder / CONFIG
    check_inside(folder, CONFIG)
    data = file.read(path, MAX_CONFIG + 1)
    if len(data) > MAX_CONFIG:
        raise TollensError(
            "config_invalid", str(path), expected=f"at most {MAX_CONFIG} bytes", found="more",
            fix="Replace the file by the model's configuration.",
        )  # fmt: skip
    if digests is not None:
        digests[CONFIG] = hashlib.sha256(data).hexdigest()
    return document.parse(data, str(path), "config_invalid", constants=True)


def scopes(config: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    """The configuration and the parts of it that describe one model each, the outermost first."""
    if config is None:
        return []
    return [config, *(config[part] for part in PARTS if isinstance(config.get(part), Mapping))]


def integer(scope: Mapping[str, Any], *names: str) -> int | None:
    """The first of `names` that holds a positive integer below 2^31."""
    for name in names:
        value = scope.get(name)
        if type(value) is int and 0 < value < 2**31:
            return value
    return None
