"""Files of llama2.c written by hand, from the order in which its exporter writes them."""

from __future__ import annotations

import struct

import numpy as np

Arrays = dict[str, np.ndarray]


def arrays(
    d: int = 8, f: int = 12, layers: int = 2, heads: int = 4, keys: int = 2, vocabulary: int = 10, context: int = 6
) -> Arrays:
    """Every block of a model, stacked over layers, in the order of the file; the head comes last."""
    rng = np.random.default_rng(0)
    hd = d // heads
    angles = np.outer(np.arange(context), 10000.0 ** (-np.arange(0, hd, 2) / hd))
    shapes: dict[str, tuple[int, ...]] = {
        "tok_embeddings.weight": (vocabulary, d),
        "attention_norm.weight": (layers, d),
        "attention.wq.weight": (layers, heads * hd, d),
        "attention.wk.weight": (layers, keys * hd, d),
        "attention.wv.weight": (layers, keys * hd, d),
        "attention.wo.weight": (layers, d, heads * hd),
        "ffn_norm.weight": (layers, d),
        "feed_forward.w1.weight": (layers, f, d),
        "feed_forward.w2.weight": (layers, d, f),
        "feed_forward.w3.weight": (layers, f, d),
        "norm.weight": (d,),
    }
    found = {name: rng.standard_normal(shape).astype("<f4") for name, shape in shapes.items()}
    found["freqs_cos"], found["freqs_sin"] = np.cos(angles).astype("<f4"), np.sin(angles).astype("<f4")
    found["output.weight"] = rng.standard_normal((vocabulary, d)).astype("<f4")
    return found


def header(*numbers: int) -> bytes:
    return struct.pack("<7i", *numbers)


def llama2c(tied: bool = True) -> bytes:
    """The model of `arrays()` as a file."""
    numbers = header(8, 12, 2, 4, 2, 10 if tied else -10, 6)
    blocks = [a.tobytes() for name, a in arrays().items() if not (tied and name == "output.weight")]
    return numbers + b"".join(blocks)


def tokenizer() -> bytes:
    pieces = [b"<unk>", b"\n<s>\n", b"a", "é".encode(), b"abc"]
    body = b"".join(struct.pack("<fi", -float(i), len(piece)) + piece for i, piece in enumerate(pieces))
    return struct.pack("<i", max(map(len, pieces))) + body
