"""The file formats of checkpoints: how each is recognised from its bytes, and who reads it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tollens.subject import gguf, llama2c, npz, safetensors, torch_zip
from tollens.subject.contents import Contents
from tollens.subject.place import Place
from tollens.subject.source import Container


@dataclass(frozen=True, slots=True)
class Probe:
    """What a format is recognised by: where the file is, its first bytes (at most 32) and its size in bytes."""

    place: Place
    start: bytes
    size: int


@dataclass(frozen=True, slots=True)
class Format:
    """`read(folder, name)` reads the headers of the file and no tensor; `container` says how tensors lie in it."""

    name: str
    container: Container
    recognises: Callable[[Probe], bool]
    read: Callable[[Place, str], Contents]


def _is_zip(probe: Probe) -> bool:
    return probe.start[:4] in (b"PK\x03\x04", b"PK\x05\x06")


def _is_torch_zip(probe: Probe) -> bool:
    return _is_zip(probe) and torch_zip.claims(probe.place)


def _is_safetensors(probe: Probe) -> bool:
    return probe.place.suffix.lower() == safetensors.SUFFIX or probe.start[8:9] == b"{"


def _is_gguf(probe: Probe) -> bool:
    return probe.place.suffix.lower() == gguf.SUFFIX or probe.start[:4] == gguf.MAGIC


def _is_llama2c(probe: Probe) -> bool:
    return llama2c.is_known(probe.place, probe.start, probe.size)


FORMATS = (
    Format("torch", "raw", _is_torch_zip, torch_zip.read),
    Format("npz", "npz", _is_zip, npz.read),
    Format("gguf", "raw", _is_gguf, gguf.read),
    Format("llama2c", "raw", _is_llama2c, llama2c.read),
    Format("safetensors", "raw", _is_safetensors, safetensors.read),
)
"""In the order in which they are tried: a GGUF file of 123 tensors has the brace that safetensors begins with."""


def format_of(probe: Probe) -> Format | None:
    return next((known for known in FORMATS if known.recognises(probe)), None)
