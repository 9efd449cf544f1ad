"""The legacy format of llama2.c: seven integers, then every weight in float32 (Karpathy 2023, export version 0).

It has no magic number. A file is taken for one only if the seven numbers describe a model and its size is to the
byte the size of that model.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tollens.core.errors import TollensError
from tollens.subject import file
from tollens.subject.contents import Contents
from tollens.subject.place import Place
from tollens.subject.tensor import TensorInfo

SUFFIX = ".bin"
HEADER = struct.Struct("<7i")
LATER = 0x616B3432.to_bytes(4, "little")  # "ak42", with which versions 1 and 2 begin
LIMITS = (2**20, 2**22, 2**12, 2**16, 2**16, 2**26, 2**26)
"""Above what any model has: width, hidden width, layers, heads, key-value heads, vocabulary, context."""

PIECE = struct.Struct("<fi")
LONGEST_PIECE = 1_024
SMALLEST_NORMAL = 2.0**-126
LARGEST_TOKENIZER = 8 << 20


@dataclass(frozen=True, slots=True)
class Shape:
    """The seven numbers of the header. `tied`: the head is the embedding and is not stored again."""

    width: int
    hidden: int
    layers: int
    heads: int
    key_heads: int
    vocabulary: int
    context: int
    tied: bool

    @property
    def head_size(self) -> int:
        return self.width // self.heads

    @property
    def file_size(self) -> int:
        """Bytes of the whole file."""
        return HEADER.size + 4 * sum(count * math.prod(sides) for _, count, sides in self.blocks())

    def blocks(self) -> Iterator[tuple[str, int, tuple[int, ...]]]:
        """(name, how often it lies there in a row, sides of one) in the order of the file; the names are Meta's, and
        `#` stands for the number of the layer.
        """
        d, f, n, keys = self.width, self.hidden, self.layers, self.key_heads * self.head_size
        yield "tok_embeddings.weight", 1, (self.vocabulary, d)
        yield "layers.#.attention_norm.weight", n, (d,)
        yield "layers.#.attention.wq.weight", n, (d, d)
        yield "layers.#.attention.wk.weight", n, (keys, d)
        yield "layers.#.attention.wv.weight", n, (keys, d)
        yield "layers.#.attention.wo.weight", n, (d, d)
        yield "layers.#.ffn_norm.weight", n, (d,)
        yield "layers.#.feed_forward.w1.weight", n, (f, d)
        yield "layers.#.feed_forward.w2.weight", n, (d, f)
        yield "layers.#.feed_forward.w3.weight", n, (f, d)
        yield "norm.weight", 1, (d,)
        yield "freqs_cos", 1, (self.context, self.head_size // 2)
        yield "freqs_sin", 1, (self.context, self.head_size // 2)
        if not self.tied:
            yield "output.weight", 1, (self.vocabulary, d)


def shape_of(start: bytes) -> Shape | None:
    """What the first 28 bytes of a file describe; None where they describe no model."""
    if len(start) < HEADER.size:
        return None
    width, hidden, layers, heads, keys, vocabulary, context = HEADER.unpack_from(start)
    sides = (width, hidden, layers, heads, keys, abs(vocabulary), context)
    found = Shape(*sides, tied=vocabulary > 0)
    if not all(0 < side <= limit for side, limit in zip(sides, LIMITS, strict=True)):
        return None
    if found.width % found.heads or found.head_size % 2 or found.heads % found.key_heads:
        return None
    return found


def is_known(place: Place, start: bytes, size: int) -> bool:
    """Whether `read` is to judge the file: it is of this format, or it is named *.bin and is nearly so, of a later
    version, or the tokenizer that belongs to such a model. `start`: its first 28 bytes at least; `size`: all of them.
    """
    shape = shape_of(start)
    if shape is not None and shape.file_size == size:
        return True
    named = place.suffix.lower() == SUFFIX
    return named and (shape is not None or start[:4] == LATER or _begins_like_a_tokenizer(start))


def read(folder: Place, name: str) -> Contents:
    """The tensors of `folder/name`, one for every layer, and its numbers as a configuration.

    Raises: `format_version_unsupported`, `file_size_mismatch`, `tokenizer_not_weights`, `format_unknown`, those of
    `file.opened`.
    """
    path = folder / name
    with file.opened(path) as blob:
        start = bytearray(min(HEADER.size, blob.size))
        try:
            got = blob.read_into(0, memoryview(start))
            shape, size = shape_of(bytes(start[:got])), blob.size
            if shape is None:
                raise _refused(blob, bytes(start[:got]), path)
        except OSError as error:
            raise file.unreadable(path, error) from None
    if shape.file_size != size:
        raise _error(
            "file_size_mismatch", path, f"{shape.file_size} bytes, as its first 28 bytes say", f"{size} bytes",
            "Fetch the file again: it is cut short or damaged, or it is no llama2.c checkpoint.",
        )  # fmt: skip
    return Contents(tuple(_tensors(shape, name)), config=_config(shape))


def _tensors(shape: Shape, file_name: str) -> Iterator[TensorInfo]:
    offset = HEADER.size
    for pattern, count, sides in shape.blocks():
        nbytes = 4 * math.prod(sides)
        for layer in range(count):
            yield TensorInfo(pattern.replace("#", str(layer)), sides, "F32", file_name, offset, nbytes)
            offset += nbytes


def _config(shape: Shape) -> dict[str, Any]:
    return {
        "model_type": "llama",
        "hidden_size": shape.width,
        "intermediate_size": shape.hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.key_heads,
        "head_dim": shape.head_size,
        "vocab_size": shape.vocabulary,
        "max_position_embeddings": shape.context,
        "tie_word_embeddings": shape.tied,
    }


def _refused(blob: file.Blob, start: bytes, path: Place) -> TollensError:
    if start[:4] == LATER:
        version = int.from_bytes(start[4:8], "little")
        return _error(
            "format_version_unsupported", path, "a llama2.c checkpoint of version 0", f"version {version}",
            "Export the model with --version 0, or to safetensors.",
        )  # fmt: skip
    if _is_tokenizer(blob):
        return _error(
            "tokenizer_not_weights", path, "a checkpoint", "a llama2.c tokenizer",
            "Name the model's file; the tokenizer holds no weights.",
        )  # fmt: skip
    return _error(
        "format_unknown", path, "a llama2.c checkpoint", f"bytes {start[:8]!r}",
        "Convert the checkpoint to safetensors.",
    )  # fmt: skip


def _begins_like_a_tokenizer(start: bytes | bytearray) -> bool:
    """The longest piece, then for each piece its score, its length and its bytes."""
    if len(start) < 4 + PIECE.size:
        return False
    longest = int.from_bytes(start[:4], "little")
    score, length = PIECE.unpack_from(start, 4)
    return 0 < longest <= LONGEST_PIECE and _is_score(score) and 0 < length <= longest


def _is_score(number: float) -> bool:
    """A subnormal number is none: an integer looks like one."""
    return number == 0.0 or (math.isfinite(number) and abs(number) >= SMALLEST_NORMAL)


def _is_tokenizer(blob: file.Blob) -> bool:
    """Whether the pieces end where the file does."""
    if blob.size > LARGEST_TOKENIZER:
        return False
    data = bytearray(blob.size)
    if blob.read_into(0, memoryview(data)) < len(data) or not _begins_like_a_tokenizer(data):
        return False
    longest, at = int.from_bytes(data[:4], "little"), 4
    while at + PIECE.size <= len(data):
        score, length = PIECE.unpack_from(data, at)
        if not _is_score(score) or not 0 <= length <= longest:
            return False
        at += PIECE.size + length
    return at == len(data)


def _error(code: str, path: Place, expected: str, found: str, fix: str) -> TollensError:
    return TollensError(code, str(path), expected=expected, found=found, fix=fix)
