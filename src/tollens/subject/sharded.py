"""A folder of several files of one format: with an index that says which tensor is where, or without one."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tollens.core.errors import TollensError
from tollens.subject import document, file, safetensors, torch_zip
from tollens.subject.contents import Contents
from tollens.subject.place import Place
from tollens.subject.tensor import TensorInfo

INDEX_SUFFIX = ".safetensors.index.json"
TORCH_INDEX_SUFFIX = ".bin.index.json"
SHARDS = {
    INDEX_SUFFIX: (safetensors.SUFFIX, safetensors.read),
    TORCH_INDEX_SUFFIX: (".bin", torch_zip.read),
}
"""By the ending of an index: that of its shards, and who reads them."""
MAX_INDEX = 100_000_000
NUMBERED = re.compile(r"(.*)-(\d{5})-of-(\d{5})(\.[a-z]+)", re.ASCII | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Indexed:
    """`contents` of an indexed checkpoint in the order of shard and data, the names of the tensors that the index
    leaves out, and the shards.
    """

    contents: Contents
    unindexed: tuple[str, ...]
    shards: tuple[str, ...]


def read_index(folder: Place, index: str) -> Indexed:
    """The checkpoint that `folder/index` describes; its name ends with one of the keys of `SHARDS`.

    Raises: `index_invalid`, `index_escapes`, `index_shard_missing`, `index_mismatch`, `duplicate_key`,
    `header_too_deep`, those of the reader of the shards.
    """
    path = folder / index
    suffix, read = next(shard for ending, shard in SHARDS.items() if index.endswith(ending))
    data = file.read(path, MAX_INDEX + 1)
    if len(data) > MAX_INDEX:
        raise _error("index_invalid", str(path), f"at most {MAX_INDEX} bytes", "more")
    weight_map = document.parse(data, str(path), "index_invalid").get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(v, str) for v in weight_map.values()):
        raise _error("index_invalid", f"{path}: weight_map", "a map of tensor names to file names", "another type")
    shards = tuple(sorted(set(weight_map.values())))
    for shard in shards:
        if not shard.endswith(suffix):
            raise _error("index_invalid", str(path), f"shards named *{suffix}", f"{shard!r:.80}")
        check_inside(folder, shard)
        if isinstance(folder, Path) and not file.exists(folder, shard):
            raise _error("index_shard_missing", str(path), f"a file {shard!r:.80} beside the index", "none")
    contents = read_files(folder, shards, read)
    held = {t.name: t.file for t in contents.tensors}
    for name, shard in weight_map.items():
        if held.get(name) != shard:
            found = "it is in no shard" if name not in held else f"it is in {held[name]}"
            raise _error("index_mismatch", f"{path}: {name!r:.80}", f"this tensor in {shard}", found)
    return Indexed(contents, tuple(t.name for t in contents.tensors if t.name not in weight_map), shards)


def read_files(
    folder: Place, names: tuple[str, ...], read: Callable[[Place, str], Contents] = safetensors.read
) -> Contents:
    """The tensors of several files, in the order given; no name may occur in two of them. `metadata` holds what
    all files agree on; `config` is that of the first file that has one.

    Raises: `index_mismatch`, `index_escapes`, those of `read`.
    """
    tensors: list[TensorInfo] = []
    held: dict[str, str] = {}
    found: list[Contents] = []
    for name in names:
        check_inside(folder, name)
        found.append(read(folder, name))
        for tensor in found[-1].tensors:
            if tensor.name in held:
                where = f"{folder}: {tensor.name!r:.80}"
                raise _error("index_mismatch", where, "every tensor once", f"{held[tensor.name]} and {name} hold it")
            held[tensor.name] = name
            tensors.append(tensor)
    told = [contents.metadata for contents in found]
    agreed = {key: text for key, text in told[0].items() if all(m.get(key) == text for m in told)} if told else {}
    config = next((contents.config for contents in found if contents.config is not None), None)
    return Contents(tuple(tensors), tuple(other for c in found for other in c.others), agreed, config)


def part_of(name: str) -> tuple[int, int] | None:
    """Number and count of a file that is named as one part of several, -00001-of-00003; None of any other."""
    match = NUMBERED.fullmatch(name)
    return (int(match[2]), int(match[3])) if match is not None and int(match[3]) > 1 else None


def index_of(name: str) -> str:
    """The usual name of the index of a numbered part of a checkpoint."""
    match = NUMBERED.fullmatch(name)
    assert match is not None
    return f"{match[1]}{match[4]}.index.json"


def is_series(folder: Place, names: list[str]) -> bool:
    """Whether files are the parts of one checkpoint, numbered -00001-of-00003 and so on.

    Raises: `index_shard_missing` where they are and a part is not there.
    """
    matches = [NUMBERED.fullmatch(name) for name in names]
    parts = {(m[1], m[3], m[4]) for m in matches if m is not None}
    if None in matches or len(parts) != 1:
        return False
    [(stem, count, suffix)] = parts
    if int(count) > len(names):
        wanted = (f"{stem}-{i:05}-of-{count}{suffix}" for i in range(1, int(count) + 1))
        absent = next(name for name in wanted if name not in names)
        raise _error("index_shard_missing", str(folder), f"all {int(count)} parts", f"no {absent!r:.80}")
    return True


def check_inside(folder: Place, name: str) -> None:
    """A file of a checkpoint lies in its folder. A link may lead to the `blobs` of the download cache that
    the folder is a snapshot of, and nowhere else.

    Raises: `index_escapes`.
    """
    parts = name.split("/")
    if not isinstance(folder, Path) and set(name) & set("%?#"):  # `%2e%2e` climbs too
        raise _error("index_escapes", f"{folder}: {name!r:.80}", "a plain file name", "a part of an address")
    if name.startswith("/") or "\\" in name or "\0" in name or ".." in parts or "" in parts:
        raise _error("index_escapes", f"{folder}: {name!r:.80}", "a plain file name", "a path out of the folder")
    if not isinstance(folder, Path):
        return  # what a server's links lead to is its own affair
    root = folder.resolve()
    try:
        target = (root / name).resolve()
    except (OSError, RuntimeError):  # a ring of links
        raise _error("index_escapes", f"{folder}: {name!r:.80}", "a file", "a ring of links") from None
    blobs = root.parent.parent / "blobs" if root.parent.name == "snapshots" else root
    if not (target.is_relative_to(root) or target.is_relative_to(blobs)):
        raise _error("index_escapes", f"{folder}: {name!r:.80}", "a file of this folder", "a link that leaves it")


def _error(code: str, subject: str, expected: str, found: str) -> TollensError:
    fix = "Fetch the index and all of its shards from one revision, into one folder."
    return TollensError(code, subject, expected=expected, found=found, fix=fix)
