"""The digest of each matrix, taken from the bytes that were measured."""

from __future__ import annotations

import hashlib
from pathlib import Path

import ml_dtypes
import numpy as np
from safetensors.numpy import save_file

from tollens.run.scan import scan
from tollens.run.settings import ScanSettings


def test_a_matrix_is_digested_as_it_is_stored(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    stored = {
        "layers.0.weight": rng.standard_normal((24, 16)).astype(np.float16),
        "h.0.attn.c_attn.weight": rng.standard_normal((16, 48)).astype(np.float32),
    }
    save_file(stored, tmp_path / "m.safetensors")
    report = scan(tmp_path / "m.safetensors", ScanSettings(only="tail"))
    by_name = {layer.name: layer for layer in report.layers}
    whole = by_name["layers.0.weight"]
    assert whole.digest == "sha256:" + hashlib.sha256(stored["layers.0.weight"].tobytes()).hexdigest()
    part = by_name["h.0.attn.c_attn.weight[q]"]  # every row of the tensor holds a piece of q, of k and of v
    assert part.digest is None
    assert part.undefined["digest"] == "bytes_shared"


def test_a_fortran_ordered_array_is_digested_in_its_stored_order(tmp_path: Path) -> None:
    matrix = np.asfortranarray(np.random.default_rng(1).standard_normal((12, 20)))
    np.savez(tmp_path / "m.npz", w=matrix)
    [layer] = scan(tmp_path / "m.npz", ScanSettings(only="tail")).layers
    assert layer.digest == "sha256:" + hashlib.sha256(matrix.tobytes(order="F")).hexdigest()


def test_the_scale_of_8_bit_floats_is_part_of_the_digest(tmp_path: Path) -> None:
    codes = np.random.default_rng(2).standard_normal((24, 16)).astype(ml_dtypes.float8_e4m3fn)
    found = []
    for factor in (1.0, 2.0):
        scale = np.array([factor], dtype=np.float32)
        save_file({"x.weight": codes, "x.weight_scale": scale}, tmp_path / "m.safetensors")
        [layer] = scan(tmp_path / "m.safetensors", ScanSettings(only="tail")).layers
        assert layer.digest == "sha256:" + hashlib.sha256(codes.tobytes() + scale.tobytes()).hexdigest()
        found.append(layer.digest)
    assert found[0] != found[1]
