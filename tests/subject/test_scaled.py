from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from tollens.subject.checkpoint import open_checkpoint
from tollens.subject.matrices import Inventory, matrices

RNG = np.random.default_rng(0)
FP8 = RNG.standard_normal((5, 7)).astype(ml_dtypes.float8_e4m3fn)
PLAIN = FP8.astype(np.float64)
BLOCKS = {"quantization_config": {"weight_block_size": [2, 3]}}


def found(
    folder: Path, scale: np.ndarray, config: dict[str, Any] | None = None, suffix: str = "_scale_inv"
) -> Inventory:
    save_file({"x.weight": FP8, f"x.weight{suffix}": scale}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config or {}))
    return matrices(open_checkpoint(folder))


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("suffix", ["_scale", "_scale_inv"])
def test_blocks_share_a_factor_and_the_last_ones_are_cut_short(tmp_path: Path, suffix: str, dtype: str) -> None:
    scale = RNG.standard_normal((3, 3)).astype(np.float32)  # 5 rows in blocks of 2, 7 columns in blocks of 3
    inventory = found(tmp_path, scale, BLOCKS, suffix)
    [view] = inventory.matrices
    assert view.flags == ("dequantised:fp8",)
    assert [(s.name, s.reason) for s in inventory.skipped] == [(f"x.weight{suffix}", "not_a_weight")]
    # element by element, as the definition says
    expected = [[PLAIN[i, j] * scale[i // 2, j // 3] for j in range(7)] for i in range(5)]
    np.testing.assert_allclose(view.load(dtype), expected, rtol=1e-6 if dtype == "f4" else 0)


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_one_factor_for_all(tmp_path: Path, shape: tuple[int, ...]) -> None:
    [view] = found(tmp_path, np.full(shape, 0.25, dtype=np.float32)).matrices
    np.testing.assert_array_equal(view.load(), PLAIN / 4)


@pytest.mark.parametrize("shape", [(5,), (5, 1)])
def test_one_factor_per_row(tmp_path: Path, shape: tuple[int, ...]) -> None:
    scale = np.arange(1, 6, dtype=np.float32).reshape(shape)
    [view] = found(tmp_path, scale).matrices
    np.testing.assert_array_equal(view.load(), PLAIN * scale.reshape(5, 1))


@pytest.mark.parametrize(
    ("shape", "config"),
    [
        ((3, 3), None),  # no block size declared
        ((3, 2), BLOCKS),
        ((7,), None),
        ((3, 3), {"quantization_config": {"weight_block_size": [2, 0]}}),
        ((3, 3), {"quantization_config": {"weight_block_size": "2x3"}}),
        ((3, 3), {"quantization_config": "fp8"}),
    ],
)
def test_a_layout_that_nothing_settles_is_not_guessed(tmp_path: Path, shape: tuple[int, ...], config: Any) -> None:
    inventory = found(tmp_path, np.ones(shape, dtype=np.float32), config)
    assert not inventory.matrices
    assert {s.reason for s in inventory.skipped} == {"packed_unsupported"}


def test_8_bit_floats_without_a_scale_are_numbers_by_themselves(tmp_path: Path) -> None:
    save_file({"x.weight": FP8}, tmp_path / "m.safetensors")
    [view] = matrices(open_checkpoint(tmp_path / "m.safetensors")).matrices
    assert view.flags == ()
    np.testing.assert_array_equal(view.load(), PLAIN)


def test_a_factor_that_overflows_gives_an_infinity_and_no_warning(tmp_path: Path) -> None:
    [view] = found(tmp_path, np.full((1,), np.inf, dtype=np.float32)).matrices
    assert not np.isfinite(view.load()).all()
