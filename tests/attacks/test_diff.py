"""Two checkpoints that do not belong together, or are no checkpoints: named, never broadcast, never a crash."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ml_dtypes
import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save_file

from tollens.core.errors import TollensError
from tollens.run.diff import diff
from tollens.run.diff_result import DiffReport
from tollens.run.diff_settings import DiffSettings

Array = NDArray[Any]
FAST = DiffSettings(draws=99)


def gaussian(rows: int, cols: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal((rows, cols)).astype(np.float32)


def saved(folder: Path, name: str, tensors: dict[str, Array]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / name)
    return folder / name


def compared(tmp_path: Path, base: dict[str, Array], derived: dict[str, Array]) -> DiffReport:
    report = diff(saved(tmp_path, "b.safetensors", base), saved(tmp_path, "d.safetensors", derived), FAST)
    json.dumps(msgspec.to_builtins(report), allow_nan=False)
    return report


def test_a_file_against_itself(tmp_path: Path) -> None:
    path = saved(tmp_path, "m.safetensors", {"w": gaussian(40, 40)})
    assert diff(path, path, FAST).verdict == "IDENTICAL"


def test_a_folder_against_a_file_and_an_archive(tmp_path: Path) -> None:
    tensors = {"w": gaussian(40, 40), "b": gaussian(1, 40)[0]}
    folder = saved(tmp_path / "folder", "model.safetensors", tensors).parent
    np.savez(tmp_path / "m.npz", w=np.asfortranarray(tensors["w"]), b=tensors["b"])
    file = saved(tmp_path, "m.safetensors", tensors)
    for other in (file, tmp_path / "m.npz"):
        assert diff(folder, other, FAST).verdict == "IDENTICAL"
        assert diff(other, folder, FAST).verdict == "IDENTICAL"


@pytest.mark.parametrize("side", ["base", "derived"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_on_one_side_fails_its_layer_and_no_other(tmp_path: Path, side: str, value: float) -> None:
    base = {"w": gaussian(40, 40), "v": gaussian(40, 40, 1), "b": gaussian(1, 40)[0]}
    bad = {name: w.copy() for name, w in base.items()}
    bad["w"][2, 3] = value
    bad["b"][7] = value
    report = compared(tmp_path, *((bad, base) if side == "base" else (base, bad)))
    found = {one.name: one for one in report.layers}
    assert (found["w"].state, found["w"].status) == ("unknown", "FAILED")
    assert found["w"].nonfinite == {side: {"count": 1, "first_index": [2, 3]}}
    assert found["v"].state == "identical"
    assert report.others[0].state == "unknown"
    assert set(report.others[0].nonfinite) == {side}


def test_the_same_nan_on_both_sides_is_the_same(tmp_path: Path) -> None:
    w = gaussian(40, 40)
    w[0, 0] = np.nan
    report = compared(tmp_path, {"w": w}, {"w": w})
    assert report.verdict == "IDENTICAL"
    assert "NaN" in report.layers[0].sentence


@pytest.mark.parametrize("zero", ["base", "derived", "both"])
def test_zeros(tmp_path: Path, zero: str) -> None:
    full, empty = (
        {"w": gaussian(40, 40), "b": gaussian(1, 40)[0]},
        {"w": np.zeros((40, 40), np.float32), "b": np.zeros(40, np.float32)},
    )
    report = compared(tmp_path, full if zero == "derived" else empty, full if zero == "base" else empty)
    found = report.layers[0]
    assert found.state == ("identical" if zero == "both" else "moved")
    assert (found.relative_change is None) == (zero != "derived")
    assert found.cosine is None


def test_signed_zeros_are_equal_values(tmp_path: Path) -> None:
    report = compared(tmp_path, {"w": np.zeros((40, 40), np.float32)}, {"w": -np.zeros((40, 40), np.float32)})
    assert report.verdict == "IDENTICAL"
    assert report.layers[0].equal_share == 0.0


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0,)])
def test_tensors_without_elements(tmp_path: Path, shape: tuple[int, ...]) -> None:
    empty = {"e": np.zeros(shape, np.float32), "w": gaussian(40, 40)}
    report = compared(tmp_path, empty, empty)
    assert report.verdict == "IDENTICAL"
    assert report.unmatched == []


@pytest.mark.parametrize("shape", [(1, 300), (300, 1), (1, 1), (2, 2), (7, 9), (8, 8), ()])
def test_thin_and_small_shapes(tmp_path: Path, shape: tuple[int, ...]) -> None:
    base = np.asarray(np.random.default_rng(0).standard_normal(shape), np.float32)
    report = compared(tmp_path, {"w": base}, {"w": np.asarray(base + np.float32(1.0))})
    assert report.verdict == "MOVED"
    [found] = [*report.layers, *report.others]
    assert found.max_abs == pytest.approx(1.0, abs=1e-6)


def test_transposed_shapes_are_not_compared(tmp_path: Path) -> None:
    w = gaussian(40, 50)
    report = compared(tmp_path, {"w": w}, {"w": np.ascontiguousarray(w.T)})
    assert [u.reason for u in report.unmatched] == ["shape_differs"]
    assert report.verdict == "UNDETERMINED"
    square = gaussian(40, 40)
    assert compared(tmp_path, {"w": square}, {"w": np.ascontiguousarray(square.T)}).verdict == "MOVED"


KINDS = (np.float64, np.float32, np.float16, ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2)


@pytest.mark.parametrize("first", KINDS)
@pytest.mark.parametrize("second", KINDS)
def test_every_pair_of_types(tmp_path: Path, first: Any, second: Any) -> None:
    """From one set of float8 numbers every type holds exactly, so that only the types differ."""
    w = np.random.default_rng(0).integers(-8, 8, (40, 40)).astype(np.float32)
    report = compared(tmp_path, {"w": w.astype(first)}, {"w": w.astype(second)})
    assert report.verdict == ("IDENTICAL" if first == second else "ROUNDED")
    stepped = compared(tmp_path, {"w": w.astype(first)}, {"w": (2 * w).astype(second)})
    assert stepped.verdict == "MOVED"


def test_integers_are_no_weights(tmp_path: Path) -> None:
    report = compared(tmp_path, {"w": gaussian(40, 40)}, {"w": gaussian(40, 40).astype(np.int32)})
    assert [s.name for s in report.skipped] == ["w"]
    assert report.verdict == "UNDETERMINED"


@pytest.mark.parametrize("scale", [1e-44, 1e-30, 1e30, 3e38])
def test_extreme_scales(tmp_path: Path, scale: float) -> None:
    base = np.clip(gaussian(40, 40), -1, 1) * np.float32(scale)
    other = np.clip(gaussian(40, 40, 1), -1, 1) * np.float32(scale)
    found = compared(tmp_path, {"w": base}, {"w": other}).layers[0]
    assert found.state == "moved"
    assert found.relative_change == pytest.approx(2**0.5, rel=0.1)


def test_numbers_beyond_squares_fail_with_a_name(tmp_path: Path) -> None:
    report = compared(tmp_path, {"w": np.full((40, 40), 1e200)}, {"w": np.full((40, 40), -1e200)})
    assert report.layers[0].status == "FAILED"
    assert report.layers[0].undefined["fro2"] == "scale_out_of_range"


@pytest.mark.parametrize(
    "name", ["[bold]x[/bold].weight", "w" * 1000, "=1+1", "ünï.weight", "a b.weight", "w[0]", "*.weight"]
)
def test_hostile_names(tmp_path: Path, name: str) -> None:
    base = {name: gaussian(40, 40)}
    report = compared(tmp_path, base, {name: gaussian(40, 40, 1)})
    assert report.witness == name


@pytest.mark.parametrize("names", [("model.model.w", "w"), ("model.", "w"), ("module.module.w", "module.w"), ("", "w")])
def test_hostile_prefixes(tmp_path: Path, names: tuple[str, str]) -> None:
    """A name that is nothing but a prefix, and prefixes twice: whatever matches does so once."""
    base, derived = ({f"{name}": gaussian(40, 40)} if name else {"v": gaussian(40, 40)} for name in names)
    report = compared(tmp_path, base, derived)
    assert len(report.layers) + len(report.unmatched) in (1, 2)


def test_what_is_no_checkpoint_raises_what_opening_it_raises(tmp_path: Path) -> None:
    good = saved(tmp_path, "m.safetensors", {"w": gaussian(40, 40)})
    (tmp_path / "empty.safetensors").write_bytes(b"")
    (tmp_path / "x.bin").write_bytes(b"\x80\x04x")
    for bad in (tmp_path / "absent", tmp_path / "empty.safetensors", tmp_path / "x.bin", tmp_path / ""):
        for pair in ((good, bad), (bad, good)):
            if bad == tmp_path:
                continue
            with pytest.raises(TollensError):
                diff(*pair, FAST)


def test_a_cut_file_is_not_half_compared(tmp_path: Path) -> None:
    good = saved(tmp_path, "m.safetensors", {"w": gaussian(40, 40)})
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(good.read_bytes()[:-100])
    with pytest.raises(TollensError):
        diff(good, cut, FAST)


def test_a_config_on_one_side_changes_no_cut(tmp_path: Path) -> None:
    """With its heads declared a fused tensor is split, without it is whole: a diff cuts both alike."""
    w = {
        "transformer.h.0.attn.c_attn.weight": gaussian(48, 144),
        "transformer.h.0.attn.c_proj.weight": gaussian(48, 48, 1),
    }
    with_config = saved(tmp_path / "a", "model.safetensors", w).parent
    (with_config / "config.json").write_text('{"model_type": "gpt2", "n_head": 4, "n_embd": 48}')
    without = saved(tmp_path / "b", "model.safetensors", w).parent
    for pair in ((with_config, without), (without, with_config)):
        report = diff(*pair, FAST)
        assert report.verdict == "IDENTICAL"
        assert report.unmatched == []


def test_tied_on_one_side_only(tmp_path: Path) -> None:
    """BASE stores one matrix under two names; DERIVED has trained one of them on its own."""
    names = {f"model.layers.0.self_attn.{p}_proj.weight": gaussian(64, 64, i) for i, p in enumerate("qkvo")}
    shared = gaussian(200, 64, 9)
    base = {**names, "model.embed_tokens.weight": shared, "lm_head.weight": shared}
    derived = {**base, "lm_head.weight": shared + gaussian(200, 64, 10)}
    report = compared(tmp_path, base, derived)
    states = {one.name: one.state for one in report.layers}
    assert states["lm_head.weight"] == "moved"
    assert states["model.embed_tokens.weight"] == "identical"
    same = compared(tmp_path, base, base)
    assert same.verdict == "IDENTICAL"
    assert [s.reason for s in same.skipped] == ["tied_on_both_sides"]
