from __future__ import annotations

import hashlib
import json
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from tollens.core.errors import TollensError
from tollens.run import extrapolate
from tollens.run.extrapolate import MADE_BY, extrapolated
from tollens.run.series_result import Forecast
from tollens.subject.matrices import matrices
from tollens.subject.safetensors import read
from tollens.subject.series import LAST_STEP, open_series

STEPS = (10, 20, 40, 50, 70)
Tensors = dict[str, np.ndarray]


def straight(dtype: type, shape: tuple[int, ...] = (6, 8), e: float = 3.0) -> list[Tensors]:
    """theta_t = theta_0 + (t + e) d, with numbers that every type of 8 bits of mantissa holds exactly."""
    rng = np.random.default_rng(4)
    base = rng.integers(-8, 9, shape).astype(np.float64)
    d = rng.integers(-1, 2, shape).astype(np.float64)
    return [{"w": (base + (step + e) * d * (place > 0)).astype(dtype)} for place, step in enumerate(STEPS)]


def saved(folder: Path, members: Sequence[Tensors], steps: Sequence[int] = STEPS) -> list[Path]:
    folder.mkdir(exist_ok=True)
    paths = [folder / f"step-{step}.safetensors" for step in steps]
    for path, tensors in zip(paths, members, strict=True):
        save_file(tensors, path, metadata={"format": "pt"})
    return paths


def forecast(paths: Sequence[Path], target: int, out: Path) -> Forecast:
    opened = open_series(paths)
    inventories = [matrices(member.checkpoint) for member in opened.members]
    digests = ["sha256:" + member.checkpoint.digest() for member in opened.members]
    return extrapolated(opened, inventories, digests, target, out)


def refused(paths: Sequence[Path], target: int, out: Path) -> TollensError:
    before = sorted(out.parent.iterdir()) if out.parent.is_dir() else []
    with pytest.raises(TollensError) as caught:
        forecast(paths, target, out)
    assert (sorted(out.parent.iterdir()) if out.parent.is_dir() else []) == before  # and nothing half-written is left
    return caught.value


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, ml_dtypes.bfloat16])
def test_a_straight_path_arrives_exactly(tmp_path: Path, dtype: type) -> None:
    """(100 + 3) d: at most 111, which all four types hold; the errors are those of the arithmetic."""
    made = straight(dtype)
    found = forecast(saved(tmp_path, made), 100, tmp_path / "out.safetensors")
    d = (made[1]["w"].astype(np.float64) - made[0]["w"].astype(np.float64)) / 23.0
    written = load_file(tmp_path / "out.safetensors")["w"]
    assert written.dtype == dtype
    np.testing.assert_allclose(written.astype(np.float64), made[0]["w"].astype(np.float64) + 103.0 * d, rtol=1e-12)
    assert found.exact
    assert found.explained_variance == pytest.approx(1.0, abs=1e-10)
    (tensor,) = found.tensors
    assert tensor.r2 == pytest.approx(1.0, abs=1e-10)
    assert tensor.error < 1e-10
    assert tensor.last_error == pytest.approx(20.0 / 73.0)  # from step 50 to 70, of 70 + 3
    assert tensor.average_error == pytest.approx((73.0 - (23.0 + 43.0 + 53.0) / 3.0) / 73.0)
    assert (found.error, found.last_error) == pytest.approx((tensor.error, tensor.last_error))
    assert found.nearest == "extrapolation"
    assert "training on" in found.settles


def test_noise_beside_the_path_is_said(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    made = [{"w": t["w"] + 0.5 * rng.standard_normal(t["w"].shape)} for t in straight(np.float64)]
    found = forecast(saved(tmp_path, made), 100, tmp_path / "out.safetensors")
    assert not found.exact
    assert found.explained_variance < 1.0 - 1e-4
    assert found.error > 1e-3


def test_what_has_no_path_is_copied_from_the_last(tmp_path: Path) -> None:
    made = straight(np.float32)
    for place, tensors in enumerate(made):
        tensors["steps"] = np.array([place, 2**40 + place])
        tensors["mask"] = np.array([True, place % 2 == 0])
        tensors["codes"] = np.full((2, 3), place, np.uint8)
        tensors["scalar"] = np.array(1.0 + STEPS[place], np.float32)
        tensors["none"] = np.zeros((0, 4), np.float32)
        tensors["grown"] = np.full(2 + place, 7.0, np.float32)
        tensors["still"] = np.arange(5.0, dtype=np.float16)
        if place == 4:
            tensors["late"] = np.ones(3, np.float32)
    found = forecast(saved(tmp_path, made), 100, tmp_path / "out.safetensors")
    written = load_file(tmp_path / "out.safetensors")
    for name in ("steps", "mask", "codes", "grown", "still", "late", "none"):
        np.testing.assert_array_equal(written[name], made[-1][name])
        assert written[name].dtype == made[-1][name].dtype
    assert float(written["scalar"]) == pytest.approx(101.0)
    assert {t.name: t.reason for t in found.copied} == {
        "steps": "not_a_weight", "mask": "not_a_weight", "codes": "not_a_weight", "grown": "not_in_all",
        "late": "not_in_all",
    }  # fmt: skip
    still = next(t for t in found.tensors if t.name == "still")
    assert set(still.undefined.values()) == {"no_movement"}
    assert found.exact  # what does not move has no line to leave


def test_the_file_says_what_it_is(tmp_path: Path) -> None:
    paths = saved(tmp_path, straight(np.float32))
    found = forecast(paths, 100, tmp_path / "out.safetensors")
    with safe_open(tmp_path / "out.safetensors", "np") as file:
        metadata = file.metadata()
    assert metadata["step"] == "100"
    assert metadata["made_by"] == MADE_BY == "made by tollens extrapolation, not trained"
    assert metadata["format"] == "pt"
    for path, step in zip(paths, STEPS, strict=True):
        assert f"step {step}: sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}" in metadata["sources"]
    assert found.digest == "sha256:" + hashlib.sha256((tmp_path / "out.safetensors").read_bytes()).hexdigest()
    assert (found.step, found.origin, found.left_out) == (100, 10, 70)
    assert found.fitted_steps == [20, 40, 50, 70]
    opened = open_series([*paths, tmp_path / "out.safetensors"])
    assert opened.steps == (*STEPS, 100)


def test_tensors_of_every_width_lie_aligned(tmp_path: Path) -> None:
    made = straight(np.float32)
    for tensors in made:
        tensors |= {"a": np.ones(3, np.uint8), "b": np.ones(3, np.float16), "c": np.ones(3), "d": np.ones(1, np.int16)}
    forecast(saved(tmp_path, made), 100, tmp_path / "out.safetensors")
    for tensor in read(tmp_path, "out.safetensors").tensors:
        assert tensor.offset % (tensor.nbytes // tensor.size) == 0


def test_pieces_of_any_size_give_the_same_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    made = [{"w": rng.standard_normal((50, 7)), "b": rng.standard_normal(33)} for _ in STEPS]
    paths = saved(tmp_path / "run", made)
    whole = forecast(paths, 100, tmp_path / "whole.safetensors")
    monkeypatch.setattr(extrapolate, "PIECES_BYTES", 5_000)
    pieces = forecast(paths, 100, tmp_path / "pieces.safetensors")
    assert pieces.error == pytest.approx(whole.error, rel=1e-12)
    one, other = load_file(tmp_path / "whole.safetensors"), load_file(tmp_path / "pieces.safetensors")
    for name in made[0]:
        np.testing.assert_allclose(one[name], other[name], rtol=1e-12)


def test_memory_does_not_grow_with_the_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight tensors of 2 MB in five checkpoints, 80 MB in all; a piece of all five with what is made of it is 1 MB."""
    rng = np.random.default_rng(2)
    made = [{f"w{i}": rng.standard_normal((500, 1_000), np.float32) for i in range(8)} for _ in STEPS]
    paths = saved(tmp_path / "run", made)
    del made
    monkeypatch.setattr(extrapolate, "PIECES_BYTES", 1 << 20)
    tracemalloc.start()
    try:
        forecast(paths, 100, tmp_path / "out.safetensors")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20


def test_archives_are_continued_too(tmp_path: Path) -> None:
    """Big-endian, Fortran-ordered integers are copied as what they mean, not as they lie."""
    codes = np.asfortranarray(np.arange(12, dtype=">i4").reshape(3, 4))
    for tensors, step in zip(straight(np.float32), STEPS, strict=True):
        np.savez(tmp_path / f"step-{step}.npz", w=np.asfortranarray(tensors["w"]), codes=codes)
    paths = [tmp_path / f"step-{step}.npz" for step in STEPS]
    found = forecast(paths, 100, tmp_path / "out.safetensors")
    written = load_file(tmp_path / "out.safetensors")
    np.testing.assert_array_equal(written["codes"], codes)
    assert found.exact
    first, second = (tensors["w"] for tensors in straight(np.float32)[:2])
    np.testing.assert_allclose(written["w"], first + 103.0 * (second - first) / 23.0, rtol=1e-6)


@pytest.mark.parametrize("what", ["file", "folder", "dangling link", "source"])
def test_nothing_is_ever_written_over(tmp_path: Path, what: str) -> None:
    paths = saved(tmp_path / "run", straight(np.float32))
    out = paths[0] if what == "source" else tmp_path / "out.safetensors"
    if what == "file":
        out.write_text("trained for a month")
    elif what == "folder":
        out.mkdir()
    elif what == "dangling link":
        out.symlink_to(tmp_path / "elsewhere")
    kept = out.read_bytes() if out.is_file() else None
    with pytest.raises(TollensError) as caught:
        extrapolated(open_series(paths), [], [], 100, out)  # before the work, so that nothing of it is needed
    assert caught.value.code == "output_exists"
    assert (out.read_bytes() if out.is_file() else None) == kept


def test_what_appears_meanwhile_is_not_written_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths, out = saved(tmp_path / "run", straight(np.float32)), tmp_path / "out.safetensors"
    real = extrapolate._write_tensor

    def slow(*arguments):
        out.write_text("another process")
        return real(*arguments)

    monkeypatch.setattr(extrapolate, "_write_tensor", slow)
    with pytest.raises(TollensError) as caught:
        forecast(paths, 100, out)
    assert caught.value.code == "output_exists"
    assert out.read_text() == "another process"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.safetensors", "run"]


def test_a_file_system_without_links_gets_the_file_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths, out = saved(tmp_path / "run", straight(np.float32)), tmp_path / "out.safetensors"

    def no_links(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", no_links)
    forecast(paths, 100, out)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.safetensors", "run"]
    assert load_file(out)["w"].shape == (6, 8)


@pytest.mark.parametrize(
    ("out", "code"),
    [
        ("out.npz", "bad_option"),
        ("s3://bucket/out.safetensors", "bad_option"),
        ("no/out.safetensors", "output_unwritable"),
    ],
)
def test_a_place_that_cannot_be_written_is_refused_before_the_work(tmp_path: Path, out: str, code: str) -> None:
    paths = saved(tmp_path / "run", straight(np.float32))
    opened = open_series(paths)
    with pytest.raises(TollensError) as caught:
        extrapolated(opened, [], [], 100, out if "://" in out else tmp_path / out)
    assert caught.value.code == code


@pytest.mark.parametrize("target", [-1, LAST_STEP + 1])
def test_a_step_that_is_none_is_refused(tmp_path: Path, target: int) -> None:
    assert (
        refused(saved(tmp_path / "run", straight(np.float32)), target, tmp_path / "o.safetensors").code == "bad_option"
    )


def test_three_checkpoints_are_no_path(tmp_path: Path) -> None:
    paths = saved(tmp_path / "run", straight(np.float32)[:4], STEPS[:4])
    assert refused(paths[:3], 100, tmp_path / "out.safetensors").code == "series_too_short"
    assert forecast(paths, 100, tmp_path / "out.safetensors").exact


@pytest.mark.parametrize(("bad", "code"), [(np.nan, "nonfinite"), (np.inf, "nonfinite"), (1e200, "scale_out_of_range")])
def test_numbers_without_a_path_are_named_with_their_tensor(tmp_path: Path, bad: float, code: str) -> None:
    made = straight(np.float64)
    made[2]["w"][1, 2] = bad
    error = refused(saved(tmp_path / "run", made), 100, tmp_path / "out.safetensors")
    assert error.code == code
    assert "'w'" in error.subject


def test_a_forecast_beyond_the_range_of_its_type_is_refused(tmp_path: Path) -> None:
    error = refused(saved(tmp_path / "run", straight(np.float16)), 10**6, tmp_path / "out.safetensors")
    assert error.code == "scale_out_of_range"
    assert "F16" in error.expected


def test_codes_with_scales_do_not_move_along_a_line(tmp_path: Path) -> None:
    """A matrix of 8-bit floats with its factors beside it: neither moves alone."""
    made = []
    for tensors in straight(np.float32, (128, 128)):
        made.append({
            "w.weight": tensors["w"].astype(ml_dtypes.float8_e4m3fn), "w.weight_scale_inv": np.ones((1, 1), np.float32),
        })  # fmt: skip
    folder = tmp_path / "run"
    paths = saved(folder, made)
    config = {"quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}}
    (folder / "config.json").write_text(json.dumps(config))
    assert refused(paths, 100, tmp_path / "out.safetensors").code == "dtype_unsupported"


def test_what_safetensors_cannot_hold_is_refused_by_name(tmp_path: Path) -> None:
    paths = [tmp_path / f"step-{step}.npz" for step in STEPS]
    for path, tensors in zip(paths, straight(np.float32), strict=True):
        np.savez(path, w=tensors["w"], labels=np.array(["cat", "dog"]))
    error = refused(paths, 100, tmp_path / "out.safetensors")
    assert error.code == "dtype_unsupported"
    assert "'labels'" in error.subject
    assert "<U3" in error.found


def test_blocks_of_quantised_numbers_do_not_move_along_a_line(tmp_path: Path) -> None:
    """Five files of 32 numbers in one block: a factor 2^-3 and 32 codes."""
    gguf = pytest.importorskip("gguf", reason="the gguf extra is not installed")
    paths = [tmp_path / f"step-{step}.gguf" for step in STEPS]
    for place, path in enumerate(paths):
        writer = gguf.GGUFWriter(path, "llama")
        values = np.arange(32, dtype=np.float32)[None].repeat(8, 0) + place
        coded = gguf.quants.quantize(values, gguf.GGMLQuantizationType.Q8_0)
        writer.add_tensor("blk.0.attn_q.weight", coded, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
    error = refused(paths, 100, tmp_path / "out.safetensors")
    assert error.code == "dtype_unsupported"
    assert "blk.0.attn_q.weight" in error.subject or "q_proj" in error.subject
