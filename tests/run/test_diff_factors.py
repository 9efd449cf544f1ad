"""An adapter in place of DERIVED: the same readings as of the merged matrix, from the factors alone."""

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

from tollens.core.codes import CODES
from tollens.publish.diff_page import diff_html
from tollens.run.diff import diff
from tollens.run.diff_result import DiffReport, LayerDelta
from tollens.run.diff_settings import DiffSettings

Array = NDArray[Any]
FAST = DiffSettings(draws=99)
RANK, ALPHA = 4, 8.0
UP, DOWN = "layers.0.mlp.up_proj", "layers.0.mlp.down_proj"


def gaussian(rows: int, cols: int, seed: int = 0, scale: float = 0.05) -> Array:
    return (np.random.default_rng(seed).standard_normal((rows, cols)) * scale).astype(np.float32)


BASE = {
    f"model.{UP}.weight": gaussian(96, 64),
    f"model.{DOWN}.weight": gaussian(64, 96, 1),
    "model.norm.weight": gaussian(1, 64)[0],
}
A, B = gaussian(RANK, 64, 2), gaussian(96, RANK, 3)
DELTA = ALPHA / RANK * B.astype(float) @ A.astype(float)


def adapter(folder: Path, tensors: dict[str, Array] | None = None, **config: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    named = tensors or {f"base_model.model.model.{UP}.lora_{half}.weight": w for half, w in (("A", A), ("B", B))}
    save_file(named, folder / "adapter_model.safetensors")
    plain = {"peft_type": "LORA", "r": RANK, "lora_alpha": ALPHA, "target_modules": ["up_proj"]} | config
    (folder / "adapter_config.json").write_text(json.dumps(plain, allow_nan=False))
    return folder


def saved(path: Path, tensors: dict[str, Array]) -> Path:
    save_file(tensors, path)
    return path


def compared(tmp_path: Path, folder: Path, base: dict[str, Array] = BASE, **settings: Any) -> DiffReport:
    report = diff(saved(tmp_path / "base.safetensors", base), folder, msgspec.structs.replace(FAST, **settings))
    json.dumps(msgspec.to_builtins(report), allow_nan=False)
    for layer in report.layers:
        absent = {name for name, value in msgspec.to_builtins(layer).items() if value is None}
        assert absent == set(layer.undefined)
        assert set(layer.undefined.values()) <= CODES.keys()
    return report


def only(report: DiffReport) -> LayerDelta:
    [layer] = report.layers
    return layer


def test_the_readings_are_those_of_the_merged_matrix(tmp_path: Path) -> None:
    found = only(compared(tmp_path, adapter(tmp_path / "a")))
    merged = {**BASE, f"model.{UP}.weight": BASE[f"model.{UP}.weight"].astype(float) + DELTA}
    dense = next(
        one for one in diff(tmp_path / "base.safetensors", saved(tmp_path / "m.safetensors", merged), FAST).layers
        if one.name == found.name
    )  # fmt: skip
    for name in ("relative_change", "cosine", "base_fro2", "fro2", "spectral2", "stable_rank", "entropy_rank"):
        assert getattr(found, name) == pytest.approx(getattr(dense, name), rel=1e-4), name
    assert found.top == pytest.approx((dense.top or [])[:RANK], rel=1e-4)
    assert found.rank_delta == RANK
    for side in ("overlap_left", "overlap_right"):
        ours, theirs = getattr(found, side), getattr(dense, side)
        assert ours.side == theirs.side
        u, _, vt = np.linalg.svd(BASE[found.name].astype(float))
        du, _, dvt = np.linalg.svd(DELTA)
        first, second = (u[:, :8].T, du[:, :RANK].T) if side == "overlap_left" else (vt[:8], dvt[:RANK])
        assert ours.value == pytest.approx(float(np.square(first @ second.T).sum()) / RANK, abs=0.03)
    assert found.flags[:2] == ["factored", f"rank:{RANK}"]
    assert (found.view, found.state, found.derived_name) == ("factored", "moved", f"model.{UP}")


def test_what_the_adapter_leaves_alone_is_not_listed(tmp_path: Path) -> None:
    report = compared(tmp_path, adapter(tmp_path / "a"))
    assert report.unmatched == []
    assert "DERIVED is an adapter" in report.headline
    assert report.kinship.answer == "undetermined"
    assert report.kinship.settle == "the adapter merged into its base"


@pytest.mark.parametrize("prefix", ["", "model.", "module.model."])
def test_the_target_is_found_whatever_wraps_the_base(tmp_path: Path, prefix: str) -> None:
    base = {prefix + name.removeprefix("model."): w for name, w in BASE.items()}
    assert only(compared(tmp_path, adapter(tmp_path / "a"), base)).name == f"{prefix}{UP}.weight"


def test_a_merge_into_bf16_would_lose_a_small_step(tmp_path: Path) -> None:
    """The floor of an adapter is that of the base it would be merged into."""
    base = {name: w.astype(ml_dtypes.bfloat16) for name, w in BASE.items()}
    strong = only(compared(tmp_path, adapter(tmp_path / "a"), base))
    weak = only(compared(tmp_path, adapter(tmp_path / "b", lora_alpha=0.001), base))
    assert strong.floor is not None
    assert weak.floor is not None
    assert (strong.floor.dtype, strong.floor.above, weak.floor.above) == ("BF16", RANK, 0)
    assert "merging it into BF16" in weak.sentence


def test_transposed_storage(tmp_path: Path) -> None:
    """A base that stores (in, out), as the configuration of the adapter then says."""
    name = f"model.{UP}.weight"
    plain = only(compared(tmp_path, adapter(tmp_path / "a")))
    turned = only(
        compared(
            tmp_path, adapter(tmp_path / "b", fan_in_fan_out=True), {**BASE, name: np.ascontiguousarray(BASE[name].T)}
        )
    )
    assert turned.shape == plain.shape[::-1]
    assert turned.cosine == pytest.approx(plain.cosine, rel=1e-6)
    assert plain.overlap_left is not None
    assert turned.overlap_right is not None
    assert turned.overlap_right.value == pytest.approx(plain.overlap_left.value, abs=0.03)


def test_an_unknown_scaling_leaves_what_does_not_need_it(tmp_path: Path) -> None:
    folder = tmp_path / "a.safetensors"
    save_file({f"{UP}.lora_A.weight": A, f"{UP}.lora_B.weight": B}, folder)
    found = only(compared(tmp_path, folder))
    assert found.undefined["relative_change"] == "scaling_unknown"
    assert found.stable_rank is not None
    assert found.overlap_left is not None


def test_a_target_that_is_not_there_or_has_another_shape_is_listed(tmp_path: Path) -> None:
    def pair(module: str, rows: int, cols: int) -> dict[str, Array]:
        name = f"base_model.model.model.{module}"
        return {f"{name}.lora_A.weight": gaussian(RANK, cols), f"{name}.lora_B.weight": gaussian(rows, RANK)}

    tensors = pair("layers.7.mlp.up_proj", 96, 64) | pair(DOWN, 96, 64) | pair(UP, 96, 64)
    report = compared(tmp_path, adapter(tmp_path / "a", tensors))
    assert {(u.name, u.reason) for u in report.unmatched} == {
        ("model.layers.7.mlp.up_proj", "only_in_derived"),
        (f"model.{DOWN}", "shape_differs"),
    }
    assert only(report).name == f"model.{UP}.weight"


def test_a_module_that_is_stored_whole_is_compared_whole(tmp_path: Path) -> None:
    tensors = {f"base_model.model.model.{UP}.lora_{half}.weight": w for half, w in (("A", A), ("B", B))}
    tensors["base_model.model.model.norm.weight"] = 2.0 * BASE["model.norm.weight"]
    report = compared(tmp_path, adapter(tmp_path / "a", tensors, modules_to_save=["norm"]))
    assert [(t.name, t.state) for t in report.others] == [("model.norm.weight", "moved")]
    assert report.others[0].relative_change == pytest.approx(1.0)


def test_a_fresh_adapter_changes_nothing(tmp_path: Path) -> None:
    tensors = {f"base_model.model.model.{UP}.lora_{h}.weight": w for h, w in (("A", A), ("B", np.zeros_like(B)))}
    report = compared(tmp_path, adapter(tmp_path / "a", tensors), expect="identical")
    assert report.verdict == "SURVIVED"
    assert only(report).state == "identical"


def test_nan_in_a_factor(tmp_path: Path) -> None:
    bad = B.copy()
    bad[3, 1] = np.nan
    tensors = {f"base_model.model.model.{UP}.lora_{h}.weight": w for h, w in (("A", A), ("B", bad))}
    found = only(compared(tmp_path, adapter(tmp_path / "a", tensors)))
    assert (found.state, found.status) == ("unknown", "FAILED")
    assert found.nonfinite["derived"] == {"count": 1, "first_index": [3, 1]}


def test_two_adapters_are_compared_as_two_checkpoints(tmp_path: Path) -> None:
    report = diff(adapter(tmp_path / "a"), adapter(tmp_path / "b"), FAST)
    assert (report.verdict, report.unmatched, report.others) == ("IDENTICAL", [], [])
    assert only(report).state == "identical"


def halves(a: Array, b: Array) -> dict[str, Array]:
    return {f"base_model.model.model.{UP}.lora_{half}.weight": w for half, w in (("A", a), ("B", b))}


def test_two_adapters_of_other_ranks_differ_as_their_products_do(tmp_path: Path) -> None:
    """Against the products multiplied out: 2 of rank 4 and 3, so that the difference has rank 7."""
    a, b = gaussian(3, 64, 4), gaussian(96, 3, 5)
    other = adapter(tmp_path / "b", halves(a, b), r=3, lora_alpha=6.0)
    report = diff(adapter(tmp_path / "a"), other, FAST)
    found = only(report)
    json.dumps(msgspec.to_builtins(report), allow_nan=False)
    absent = {name for name, value in msgspec.to_builtins(found).items() if value is None}
    assert absent == set(found.undefined)
    its = 2.0 * b.astype(float) @ a.astype(float)
    values = np.linalg.svd(its - DELTA, compute_uv=False)[:7]
    assert (report.verdict, report.unmatched, report.others, found.state) == ("MOVED", [], [], "moved")
    assert found.top == pytest.approx(values, rel=1e-9)
    assert found.relative_change == pytest.approx(np.linalg.norm(its - DELTA) / np.linalg.norm(DELTA), rel=1e-9)
    assert found.cosine == pytest.approx((its * DELTA).sum() / np.linalg.norm(its) / np.linalg.norm(DELTA), abs=1e-9)
    assert found.stable_rank == pytest.approx(float(np.square(values / values[0]).sum()), rel=1e-9)
    assert report.headline == "1 of 1 matrix moved; both are adapters"
    assert found.flags == ["factored", f"rank:{RANK + 3}"]
    assert f"at most {RANK + 3}<" in diff_html(report)


def test_one_product_in_other_factors_is_only_rounded(tmp_path: Path) -> None:
    """B M and inv(M) A with a rotation M, rounded to float32 again: another file, the same change of a network."""
    turn = np.linalg.qr(gaussian(RANK, RANK, 6).astype(float))[0]
    other = halves((turn.T @ A).astype(np.float32), (B @ turn).astype(np.float32))
    report = diff(adapter(tmp_path / "a"), adapter(tmp_path / "b", other), FAST)
    assert (report.verdict, only(report).state) == ("ROUNDED", "rounded")
    twice = diff(adapter(tmp_path / "a"), adapter(tmp_path / "c", lora_alpha=2 * ALPHA), FAST)
    assert only(twice).relative_change == pytest.approx(1.0, rel=1e-12)


def test_two_adapters_of_unknown_scaling_are_undetermined_and_say_why(tmp_path: Path) -> None:
    first = saved(tmp_path / "a.safetensors", halves(A, B))
    report = diff(first, saved(tmp_path / "b.safetensors", halves(A, 2 * B)), FAST)
    assert (report.verdict, only(report).state) == ("UNDETERMINED", "unknown")
    assert "adapter_config.json" in report.headline
    assert diff(first, first, FAST).verdict == "IDENTICAL"


@pytest.mark.parametrize("half", [0, 1])
def test_a_number_that_is_not_finite_in_one_of_two_adapters(tmp_path: Path, half: int) -> None:
    pair = [A.copy(), B.copy()]
    pair[half][1, 2] = np.inf
    report = diff(adapter(tmp_path / "a"), adapter(tmp_path / "b", halves(*pair)), FAST)
    assert (report.verdict, only(report).nonfinite) == (
        "UNDETERMINED",
        {"derived": {"count": 1, "first_index": [1, 2]}},
    )
    assert f"lora_{'AB'[half]}.weight of DERIVED" in only(report).sentence


def test_two_adapters_of_other_modules_share_nothing_and_say_so(tmp_path: Path) -> None:
    other = {name.replace(UP, DOWN): w for name, w in halves(gaussian(RANK, 96), gaussian(64, RANK)).items()}
    report = diff(adapter(tmp_path / "a"), adapter(tmp_path / "b", other, target_modules=["down_proj"]), FAST)
    assert (report.verdict, len(report.unmatched)) == ("UNDETERMINED", 4)
    assert "nothing could be compared" in report.headline


def test_a_fresh_adapter_has_moved_nothing(tmp_path: Path) -> None:
    """B starts as zeros (Hu et al. 2021): the change is 0 and known to be, whatever its scaling."""
    zero = {f"base_model.model.model.{UP}.lora_{half}.weight": w for half, w in (("A", A), ("B", np.zeros_like(B)))}
    [found] = compared(tmp_path, adapter(tmp_path / "fresh", zero)).layers
    assert (found.state, found.relative_change, found.cosine, found.fro2) == ("identical", 0.0, 1.0, 0.0)
    assert found.base_fro2 == pytest.approx(float(np.square(BASE[f"model.{UP}.weight"], dtype=float).sum()), rel=1e-12)
    assert (found.undefined["stable_rank"], found.undefined["floor"]) == ("zero_matrix", "zero_matrix")


@pytest.mark.parametrize("half", ["A", "B"])
def test_a_factor_that_is_not_finite_is_named(tmp_path: Path, half: str) -> None:
    broken = {f"base_model.model.model.{UP}.lora_{h}.weight": w.copy() for h, w in (("A", A), ("B", B))}
    name = f"base_model.model.model.{UP}.lora_{half}.weight"
    broken[name][1, 2] = np.nan
    [found] = compared(tmp_path, adapter(tmp_path / "broken", broken)).layers
    assert (found.state, found.sentence) == ("unknown", f"NaN or infinite elements: 1 in {name}")
    assert found.nonfinite == {"derived": {"count": 1, "first_index": [1, 2]}}


def test_a_checkpoint_that_also_holds_factors_is_no_adapter(tmp_path: Path) -> None:
    """All of BASE but the norm, and a pair: the norm that is gone is told, and no matrix is compared twice."""
    half = {f"{UP}.lora_{half}.weight": w for half, w in (("A", A), ("B", B))}
    whole = {name: w for name, w in BASE.items() if "norm" not in name}
    report = compared(tmp_path, saved(tmp_path / "whole.safetensors", whole | half))
    assert [layer.state for layer in report.layers] == ["identical", "identical"]
    assert {(u.name, u.reason) for u in report.unmatched} >= {("model.norm.weight", "only_in_base")}
    assert "adapter" not in report.headline


def test_the_rank_of_an_adapter_bounds_that_of_its_change(tmp_path: Path) -> None:
    [found] = compared(tmp_path, adapter(tmp_path / "lora")).layers
    assert found.flags == ["factored", f"rank:{RANK}"]
    assert f"at most {RANK}<" in diff_html(compared(tmp_path, tmp_path / "lora"))
