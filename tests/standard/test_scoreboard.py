"""The arithmetic rung: what a header alone can kill, and what it cannot."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import save_file

from tollens import demo
from tollens.standard.scoreboard import BlockCode, best_ratio, forward_flops, score_compression
from tollens.subject.checkpoint import open_checkpoint


def test_bits_per_weight() -> None:
    assert BlockCode(4, 16, 32).bits_per_weight == 4.5
    assert BlockCode(8, 32, 16).bits_per_weight == 10.0


def test_best_ratio_by_hand(tmp_path) -> None:
    # 64 f32 (256 bytes) and 32 f16 (64 bytes): 320 bytes; 96 weights of 4.5 bits: 54 bytes; 320/54.
    save_file({"a": np.zeros((8, 8), np.float32), "b": np.zeros(32, np.float16)}, tmp_path / "w.safetensors")
    assert best_ratio(open_checkpoint(tmp_path / "w.safetensors").tensors, BlockCode()) == pytest.approx(320 / 54)


def test_nothing_to_compress_is_refused() -> None:
    with pytest.raises(ValueError, match="without elements"):
        best_ratio((), BlockCode())


def test_forward_flops_by_hand() -> None:
    # 64*192 + 192*192 + 192*128 + 128*10 = 12288 + 36864 + 24576 + 1280 = 75008 products, two operations each
    assert forward_flops(1) == 150_016
    assert forward_flops(10) == 1_500_160


def test_the_header_kills_eight_times_and_lets_seven_live() -> None:
    path = demo.path("good.safetensors")
    dead = score_compression(path, 8.0, BlockCode(), 599)
    assert (dead.verdict, dead.rung) == ("KILLED", "arithmetic")
    assert "7.11 < 8" in dead.witness
    assert dead.unspent.startswith("not spent because it died here: reading 302,")
    assert 0 < dead.price.bytes_read < 1000  # the header; the weights are 302 kB
    alive = score_compression(path, 7.0, BlockCode(), 599)
    assert alive.verdict == "SURVIVED"
    assert "7.11 >= 7" in alive.witness
    assert alive.unspent.startswith("still to spend")


def test_no_weight_is_read(tmp_path) -> None:
    """A copy whose weights are all NaN gets the same answer."""
    good = demo.path("good.safetensors")
    raw = good.read_bytes()
    weights = sum(tensor.nbytes for tensor in open_checkpoint(good).tensors)
    spoiled = tmp_path / "good.safetensors"
    spoiled.write_bytes(raw[: len(raw) - weights] + b"\xff" * weights)
    assert np.isnan(open_checkpoint(spoiled).read("head.weight")).all()
    first, second = (score_compression(p, 8.0, BlockCode(), 599) for p in (good, spoiled))
    assert (first.verdict, first.witness, first.price.bytes_read) == (
        second.verdict,
        second.witness,
        second.price.bytes_read,
    )
