"""A checkpoint: the tensors of a file or folder, opened by what it is and never by what it claims to be."""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tollens.core.errors import TollensError
from tollens.subject import adapter, file, gguf, huggingface, npz, remote, safetensors, sharded, torch_zip
from tollens.subject.adapter import AdapterConfig
from tollens.subject.contents import Contents
from tollens.subject.dtypes import Floats, decoded
from tollens.subject.formats import Format, Probe, format_of
from tollens.subject.place import Place, Url, place_of
from tollens.subject.source import Container, Source, empty
from tollens.subject.tensor import TensorInfo

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".dill", ".mar", ".nemo")
INDEX = "model" + sharded.INDEX_SUFFIX
WEIGHTS = "model" + safetensors.SUFFIX
TORCH = (".bin", ".pt", ".pth", ".ckpt")
TORCH_INDEX = "pytorch_model" + sharded.TORCH_INDEX_SUFFIX
TORCH_WEIGHTS = "pytorch_model.bin"
TRAINING = re.compile(
    r"(?i)(training_args|(.*_)?optim(izer)?(_states?)?|(lr_)?scheduler|scaler|rng_states?|random_states?|trainer_state)"
    r"([_-]\d+)*\.\w+"
)
"""Files that a training leaves beside the weights."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What was found at `path`.

    `format` is the name of a row of `formats.FORMATS`, or `sharded`. `files` make up the checkpoint (names relative
    to `source.folder`); `unindexed` are tensors that an index leaves out; `ignored` are weight files and archive
    members beside it that were not read; `metadata` is what all of its files say of themselves. `adapter`
    is the configuration of a low-rank adapter, whose weights these are. `configs` has the SHA-256, in hexadecimal,
    of each configuration that was read, by its name. `part` is number and count of a file that is named as one part of
    several, of which the others were not read.
    """

    path: Place
    format: str
    tensors: tuple[TensorInfo, ...]
    config: Mapping[str, Any] | None
    source: Source
    files: tuple[str, ...]
    unindexed: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    adapter: AdapterConfig | None = None
    configs: Mapping[str, str] = field(default_factory=dict)
    part: tuple[int, int] | None = None

    def digest(self, stop: threading.Event | None = None) -> str:
        """SHA-256, 64 hexadecimal digits: of the file, or for a folder, an index, or an adapter that its configuration
        scales, of the sorted list of (relative name, file digest) over `files`, written as compact JSON in UTF-8.

        Raises: those of `file.sha256`.
        """
        if self.path != self.source.folder and self.format != "sharded" and self.adapter is None:
            return file.sha256(self.path, stop)
        listed = sorted([name, file.sha256(self.source.folder / name, stop)] for name in self.files)
        text = json.dumps(listed, allow_nan=False, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()

    def info(self, name: str) -> TensorInfo:
        """The tensor called `name`. Raises: `tensor_missing`."""
        for tensor in self.tensors:
            if tensor.name == name:
                return tensor
        raise TollensError(
            "tensor_missing", f"{self.path}: {name!r:.80}", expected="a stored tensor", found="none",
            fix="Take a name from the list of tensors.",
        )  # fmt: skip

    def read(self, name: str) -> Floats:
        """A float tensor, C-contiguous, as f32 (stored f64: as f64); one array is allocated, of its size.

        Raises: `tensor_missing`, `dtype_unsupported`, `tensor_too_large`, `changed_while_reading`,
        `archive_invalid`.
        """
        return self.source.read(self.info(name))

    def read_into(self, name: str, out: Floats) -> None:
        """Fill `out`, a C-contiguous f32 or f64 array of the tensor's shape. Raises: as `read`."""
        tensor = self.info(name)
        if out.shape != tensor.shape or not out.flags.c_contiguous:
            raise ValueError(f"{name}: expected C-contiguous {tensor.shape}; found {out.shape}")
        with self.source.stream(tensor) as stream:
            if not stream.fortran:
                stream.elements_into(0, out.reshape(-1))
                return
        out[...] = self.source.read(tensor)

    def panels(self, name: str, rows: int) -> Iterator[Floats]:
        """The tensor in pieces of at most `rows` entries along its first side, in order; the same memory is
        filled again for every piece. Raises: as `read`.
        """
        tensor = self.info(name)
        if not tensor.shape or rows < 1:
            raise ValueError(f"{name}: panels need a first side and rows >= 1; found {tensor.shape}, {rows}")
        with self.source.stream(tensor) as stream:
            if stream.fortran:
                whole = self.source.read(tensor)
                yield from (whole[i : i + rows] for i in range(0, tensor.shape[0], rows))
                return
            buffer = empty((min(rows, tensor.shape[0]), *tensor.shape[1:]), decoded(tensor.dtype), tensor)
            step = tensor.size // max(tensor.shape[0], 1)
            for begin in range(0, tensor.shape[0], rows):
                piece = buffer[: min(rows, tensor.shape[0] - begin)]
                stream.elements_into(begin * step, piece.reshape(-1))
                yield piece


def open_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read the headers of a checkpoint: a file of one of the formats in `formats`, a shard index, or a folder, here
    or at a URL.

    Raises TollensError: `path_missing`, `path_unreadable`, `path_not_a_file`, `pickle_refused`,
    `format_unknown`, `empty_file`, `no_checkpoint`, `ambiguous_checkpoint`, `no_tensors`, and those of the
    readers in `formats`, `sharded`, `huggingface` and `remote`.
    """
    text = os.fspath(path)
    if not text:  # Path("") is the working directory, and an unset variable must not scan that
        raise TollensError(
            "path_missing", "''", expected="a checkpoint file or folder", found="an empty path",
            fix="Name the file or the folder; an unset variable reads like this.",
        )  # fmt: skip
    place = place_of(text)
    if isinstance(place, Url):
        remote.forget()
    found = _open_folder(place) if file.kind(place) == "folder" else _open_file(place)
    if not found.tensors:
        raise _error("no_tensors", place, "at least one tensor", "none", "Save the model's weights again.")
    return found


def _open_file(path: Place) -> Checkpoint:
    if path.name.endswith(tuple(sharded.SHARDS)):
        return _open_indexed(path, path.parent, path.name, ())
    return replace(_open_format(path, _format(path), path.parent, path.name), part=sharded.part_of(path.name))


def _format(path: Place) -> Format:
    """The format of a file, by its content."""
    probe = _probe(path)
    if not probe.start:
        raise _error("empty_file", path, "a checkpoint", "a file of 0 bytes", "Fetch or save the file again.")
    if torch_zip.is_legacy(probe.start):
        raise torch_zip.legacy_refused(path)
    known = format_of(probe)
    if _begins_like_a_pickle(probe.start) and (known is None or known.name != "llama2c"):  # a width of 640 is 80 02
        raise npz.pickle_refused(path, "a file that begins like a pickle")
    if known is not None:
        return known
    if path.suffix.lower() in PICKLES:
        raise npz.pickle_refused(path, f"a file named *{path.suffix} that is no zip archive")
    if path.suffix.lower() == ".npz":
        raise _error(
            "archive_invalid", path, "a zip archive", f"{probe.start[:4]!r}", "Save it with numpy.savez again."
        )
    raise _error(
        "format_unknown", path, "safetensors, an archive of torch.save, npz, GGUF, llama2.c or an index",
        f"bytes {probe.start[:8]!r}",
        "Convert the checkpoint to safetensors.",
    )  # fmt: skip


def _begins_like_a_pickle(start: bytes) -> bool:
    return start[0] == 0x80 and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05") and start[8:9] != b"{"


def _probe(path: Place) -> Probe:
    with file.opened(path) as blob:
        start = bytearray(min(32, blob.size))
        try:
            return Probe(path, bytes(start[: blob.read_into(0, memoryview(start))]), blob.size)
        except OSError as error:
            raise file.unreadable(path, error) from None


def _open_folder(path: Place) -> Checkpoint:
    names = file.listing(path)
    indices = [n for n in names if n.endswith(sharded.INDEX_SUFFIX)]
    weights = [n for n in names if n.endswith(safetensors.SUFFIX)]
    archives = [n for n in names if n.endswith(".npz")]
    ggufs = [n for n in names if n.endswith(gguf.SUFFIX)]
    pickles = [n for n in names if Path(n).suffix.lower() in PICKLES]
    others = (*archives, *ggufs, *pickles)
    if INDEX in indices or len(indices) == 1:
        index = INDEX if INDEX in indices else indices[0]
        return _open_indexed(path, path, index, (*weights, *others))
    if indices:
        raise _ambiguous(path, indices)
    if weights:
        whole = _usual(names, weights, WEIGHTS)
        chosen = tuple(weights) if whole is None else (whole,)
        if whole is None:
            sharded.is_series(path, weights)  # for what it raises: a folder that was fetched in part is no checkpoint
        contents = sharded.read_files(path, chosen)
        form = "safetensors" if len(chosen) == 1 else "sharded"
        rest = tuple(n for n in (*weights, *others) if n not in chosen)
        return _checkpoint(path, path, form, "raw", contents, chosen, ignored=rest)
    if len(archives) > 1 or (archives and ggufs) or (not sharded.is_series(path, ggufs) and len(ggufs) > 1):
        raise _ambiguous(path, [*archives, *ggufs])
    if archives:
        contents = sharded.read_files(path, tuple(archives), npz.read)
        return _checkpoint(path, path, "npz", "npz", contents, tuple(archives), ignored=tuple(pickles))
    if ggufs:
        contents = sharded.read_files(path, tuple(ggufs), gguf.read)
        return _checkpoint(path, path, "gguf", "raw", contents, tuple(ggufs), ignored=tuple(pickles))
    return _open_pickles(path, names, pickles)


def _open_pickles(path: Place, names: list[str], pickles: list[str]) -> Checkpoint:
    """A folder whose weights, if any, were saved by PyTorch; what a training leaves beside them is not read."""
    indices = [n for n in names if n.endswith(sharded.TORCH_INDEX_SUFFIX)]
    if TORCH_INDEX in indices or len(indices) == 1:
        return _open_indexed(path, path, TORCH_INDEX if TORCH_INDEX in indices else indices[0], tuple(pickles))
    if indices:
        raise _ambiguous(path, indices)
    weights = [n for n in pickles if Path(n).suffix.lower() in TORCH and not TRAINING.fullmatch(n)]
    usual = _usual(names, weights, TORCH_WEIGHTS)
    if usual is None and sharded.is_series(path, weights) and len(weights) > 1:
        raise _error(
            "ambiguous_checkpoint", path, f"an index {sharded.index_of(weights[0])!r:.80} beside the parts",
            f"{len(weights)} parts and no index", "Fetch the index from where the parts came, into the same folder.",
        )  # fmt: skip
    if len(weights) > 1 and usual is None:
        raise _ambiguous(path, weights)
    if weights:
        name = usual or weights[0]
        sharded.check_inside(path, name)
        known = _format(path / name)
        rest = tuple(n for n in pickles if n != name)
        return _checkpoint(path, path, known.name, known.container, known.read(path, name), (name,), ignored=rest)
    others = [n for n in pickles if not TRAINING.fullmatch(n)]
    if others:
        raise npz.pickle_refused(path / others[0], f"a file named *{Path(others[0]).suffix}")
    raise _error(
        "no_checkpoint", path, "a folder with *.safetensors, *.npz, *.gguf or *.bin", f"{len(names)} other entries",
        "Name the folder that holds the weights.",
    )  # fmt: skip


def _usual(names: list[str], weights: list[str], whole: str) -> str | None:
    """The file that holds the model by its name: `whole`, or the weights of an adapter that has a configuration."""
    tuned = adapter.STEM + Path(whole).suffix
    return whole if whole in weights else tuned if tuned in weights and adapter.CONFIG in names else None


def _open_format(path: Place, known: Format, folder: Place, name: str) -> Checkpoint:
    return _checkpoint(path, folder, known.name, known.container, known.read(folder, name), (name,))


def _open_indexed(path: Place, folder: Place, index: str, beside: tuple[str, ...]) -> Checkpoint:
    found = sharded.read_index(folder, index)
    rest = tuple(n for n in beside if n not in found.shards)
    made = _checkpoint(path, folder, "sharded", "raw", found.contents, (index, *found.shards), ignored=rest)
    return replace(made, unindexed=found.unindexed)


def _checkpoint(
    path: Place,
    folder: Place,
    form: str,
    container: Container,
    contents: Contents,
    files: tuple[str, ...],
    ignored: tuple[str, ...] = (),
) -> Checkpoint:
    configs: dict[str, str] = {}
    config = huggingface.read_config(folder, configs)
    tuned = adapter.read_adapter(folder, files, configs)
    return Checkpoint(
        path,
        form,
        _versioned(folder, contents.tensors),
        config if config is not None else contents.config,
        Source(folder, container),
        (*files, *configs),
        ignored=(*contents.others, *ignored),
        metadata=contents.metadata,
        adapter=tuned,
        configs=configs,
    )


def _versioned(folder: Place, tensors: tuple[TensorInfo, ...]) -> tuple[TensorInfo, ...]:
    """The tensors, each with the version of the remote file whose header spoke of it."""
    if isinstance(folder, Path):
        return tensors
    versions = {name: remote.version(folder / name) for name in {t.file for t in tensors}}
    return tuple(replace(t, version=versions[t.file]) for t in tensors)


def _ambiguous(path: Place, names: list[str]) -> TollensError:
    found = ", ".join(names)[:120]
    return _error("ambiguous_checkpoint", path, "one checkpoint in the folder", found, "Name the file to read.")


def _error(code: str, path: Place, expected: str, found: str, fix: str) -> TollensError:
    return TollensError(code, str(path), expected=expected, found=found, fix=fix)
