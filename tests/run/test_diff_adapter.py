"""An adapter as DERIVED: the change it makes, from its factors, against the same change merged into the base."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save_file

from tollens.core.codes import explain
from tollens.core.errors import TollensError
from tollens.core.verdict import Verdict
from tollens.run.diff import diff
from tollens.run.diff_adapter import DENSE, SCALED
from tollens.run.diff_result import DiffReport, LayerDelta
from tollens.run.diff_settings import DiffSettings

Array = NDArray[Any]
CONFIG: dict[str, Any] = {"peft_type": "LORA", "r": 4, "lora_alpha": 8}
EXACT = DiffSettings(precision="f64", draws=9, rank=4)
Q, K = "model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.k_proj"
PEFT = "base_model.model."


def block(*shape: int, seed: int = 0, scale: float = 0.05) -> Array:
    return np.random.default_rng(seed).standard_normal(shape) * scale


def base() -> dict[str, Array]:
    """Two matrices with a few loud directions, and a norm; float64, so that a merge rounds nothing away."""
    made = {}
    for i, (name, rows, cols) in enumerate([(Q, 48, 40), (K, 24, 40)]):
        loud = sum((8.0 - k) * np.outer(block(rows, seed=50 + k), block(cols, seed=60 + k)) for k in range(6))
        made[f"{name}.weight"] = block(rows, cols, seed=i) + loud
    return made | {"model.norm.weight": np.ones(40)}


def factors(module: str, rows: int, cols: int, rank: int = 4, seed: int = 10) -> dict[str, Array]:
    a, b = block(rank, cols, seed=seed), block(rows, rank, seed=seed + 1)
    return {f"{PEFT}{module}.lora_A.weight": a, f"{PEFT}{module}.lora_B.weight": b}


def written(folder: Path, tensors: dict[str, Array], config: dict[str, Any] | None = None) -> Path:
    folder.mkdir()
    save_file(
        {n: np.ascontiguousarray(t) for n, t in tensors.items()},
        folder / ("model.safetensors" if config is None else "adapter_model.safetensors"),
    )
    if config:
        (folder / "adapter_config.json").write_text(json.dumps(config, allow_nan=False))
    return folder


def compared(
    folder: Path,
    ours: dict[str, Array],
    adapter: dict[str, Array],
    config: dict[str, Any] | None = CONFIG,
    settings: DiffSettings = EXACT,
) -> DiffReport:
    return diff(written(folder / "base", ours), written(folder / "adapter", adapter, config or {}), settings)


def one(report: DiffReport, name: str) -> LayerDelta:
    [found] = [layer for layer in report.layers if layer.name == name]
    return found


CASES: dict[str, tuple[dict[str, Any], float, bool]] = {  # configuration, gamma, whether the base stores (in, out)
    "alpha over rank": ({"lora_alpha": 8}, 2.0, False),
    "alpha over the root of the rank": ({"lora_alpha": 8, "use_rslora": True}, 4.0, False),
    "a negative scaling": ({"lora_alpha": -2}, -0.5, False),
    "a base that stores (in, out)": ({"lora_alpha": 8, "fan_in_fan_out": True}, 2.0, True),
}


@pytest.mark.parametrize("case", CASES)
def test_the_factors_give_what_the_merge_gives(tmp_path: Path, case: str) -> None:
    """Readings of W against W + gamma * B @ A, formed and decomposed whole, to 1e-10."""
    config, gamma, transposed = CASES[case]
    rows, cols = (40, 48) if transposed else (48, 40)
    adapter = factors(Q, rows, cols)
    product = gamma * adapter[f"{PEFT}{Q}.lora_B.weight"] @ adapter[f"{PEFT}{Q}.lora_A.weight"]
    ours = base()
    found = one(compared(tmp_path, ours, adapter, CONFIG | config), f"{Q}.weight")
    merged = ours | {f"{Q}.weight": ours[f"{Q}.weight"] + (product.T if transposed else product)}
    report = diff(tmp_path / "base", written(tmp_path / "merged", merged), EXACT)
    dense = one(report, f"{Q}.weight")
    for name in ("relative_change", "cosine", "base_fro2", "fro2", "spectral2", "stable_rank", "entropy_rank"):
        assert getattr(found, name) == pytest.approx(getattr(dense, name), rel=1e-10), name
    assert found.top == pytest.approx((dense.top or [])[:4], rel=1e-10)
    assert (found.rank_base, found.rank_delta) == (dense.rank_base, dense.rank_delta) == (4, 4)
    for side in ("overlap_left", "overlap_right"):
        assert getattr(found, side).value == pytest.approx(getattr(dense, side).value, abs=1e-10), side
        assert getattr(found, side).null == getattr(dense, side).null
    assert (found.state, found.flags) == ("moved", ["factored", "rank:4"])
    assert {name: found.undefined[name] for name in DENSE} == dict.fromkeys(DENSE, "factored")


def test_the_overlap_of_an_adapter_that_lies_along_its_base(tmp_path: Path) -> None:
    """Delta = u1 v1' with the first singular vectors of W: both overlaps are 1."""
    ours = base()
    u, _, v = np.linalg.svd(ours[f"{Q}.weight"])
    adapter = {f"{PEFT}{Q}.lora_A.weight": v[:1], f"{PEFT}{Q}.lora_B.weight": u[:, :1]}
    found = one(compared(tmp_path, ours, adapter, CONFIG | {"r": 1}), f"{Q}.weight")
    assert found.overlap_left is not None
    assert found.overlap_right is not None
    assert (found.overlap_left.value, found.overlap_right.value) == pytest.approx((1.0, 1.0), abs=1e-6)
    assert found.rank_delta == 1


def test_what_the_adapter_leaves_alone_is_no_tensor_without_a_partner(tmp_path: Path) -> None:
    report = compared(tmp_path, base(), factors(Q, 48, 40))
    assert (report.verdict, report.unmatched, report.skipped, report.others) == ("MOVED", [], [], [])
    assert report.headline == "1 of 1 matrix moved; DERIVED is a low-rank adapter"
    assert [note.code for note in report.notes] == ["factored"]
    assert report.kinship.answer == "undetermined"


def test_modules_stored_whole_are_compared_with_those_of_the_base(tmp_path: Path) -> None:
    saved = {f"{PEFT}{K}.weight": base()[f"{K}.weight"], f"{PEFT}model.norm.weight": np.full(40, 2.0)}
    report = compared(tmp_path, base(), factors(Q, 48, 40) | saved, CONFIG | {"modules_to_save": ["k_proj", "norm"]})
    assert {layer.name: layer.state for layer in report.layers} == {f"{Q}.weight": "moved", f"{K}.weight": "identical"}
    assert {tensor.name: tensor.state for tensor in report.others} == {"model.norm.weight": "moved"}
    assert report.unmatched == []


def test_a_base_without_the_wrapper_of_the_model_the_adapter_was_made_for(tmp_path: Path) -> None:
    bare = {name.removeprefix("model."): tensor for name, tensor in base().items()}
    report = compared(tmp_path, bare, factors(Q, 48, 40))
    assert [layer.name for layer in report.layers] == [f"{Q}.weight".removeprefix("model.")]
    assert report.renamed is not None
    assert report.renamed.derived_prefix == "model."


def test_factors_that_change_nothing_here_are_listed(tmp_path: Path) -> None:
    absent, wide = factors("model.layers.9.q_proj", 48, 40), factors(K, 24, 41)
    lone = {f"{PEFT}{Q}.lora_A.weight": block(4, 40)}
    report = compared(tmp_path, base(), absent | wide | lone)
    assert {(u.name, u.reason, tuple(u.derived_shape or ())) for u in report.unmatched} == {
        ("model.layers.9.q_proj", "only_in_derived", (48, 40)),
        (f"{K}.weight", "shape_differs", (24, 41)),
    }
    assert [(s.name, s.reason) for s in report.skipped] == [(f"{PEFT}{Q}.lora_A.weight", "lora_unpaired")]
    assert report.verdict == "UNDETERMINED"


def test_a_scaling_nobody_gives_leaves_ranks_and_overlaps(tmp_path: Path) -> None:
    found = one(compared(tmp_path, base(), factors(Q, 48, 40), None), f"{Q}.weight")
    assert {name: found.undefined[name] for name in SCALED} == dict.fromkeys(SCALED, "scaling_unknown")
    assert found.stable_rank is not None
    assert found.overlap_left is not None
    assert found.sentence == "4 directions by factors of rank 4, scaling unknown"
    for reason in set(found.undefined.values()):
        explain(reason)


def test_a_fresh_adapter_changes_nothing(tmp_path: Path) -> None:
    """B starts as zeros (Hu et al. 2021), so that the product is zero."""
    adapter = factors(Q, 48, 40)
    adapter[f"{PEFT}{Q}.lora_B.weight"][:] = 0.0
    report = compared(tmp_path, base(), adapter, CONFIG, DiffSettings(expect="identical"))
    found = one(report, f"{Q}.weight")
    assert (found.state, found.relative_change, found.fro2) == ("identical", 0.0, 0.0)
    assert report.verdict == Verdict.SURVIVED


def test_an_adapter_is_held_to_what_is_expected(tmp_path: Path) -> None:
    report = compared(tmp_path, base(), factors(Q, 48, 40), CONFIG, DiffSettings(expect="rounded"))
    assert (report.verdict, getattr(report.expectation, "witness", None)) == (Verdict.KILLED, f"{Q}.weight")


@pytest.mark.parametrize("half", ["A", "B"])
def test_a_factor_that_is_not_finite_is_named(tmp_path: Path, half: str) -> None:
    adapter = factors(Q, 48, 40)
    adapter[f"{PEFT}{Q}.lora_{half}.weight"][1, 2] = np.nan
    found = one(compared(tmp_path, base(), adapter), f"{Q}.weight")
    assert (found.state, found.status) == ("unknown", "FAILED")
    assert found.sentence == f"NaN or infinite elements: 1 in {PEFT}{Q}.lora_{half}.weight"


def test_layers_are_chosen_by_a_pattern(tmp_path: Path) -> None:
    adapter = factors(Q, 48, 40) | factors(K, 24, 40, seed=20)
    chosen = compared(tmp_path, base(), adapter, CONFIG, DiffSettings(layers="*k_proj*"))
    assert [layer.name for layer in chosen.layers] == [f"{K}.weight"]
    with pytest.raises(TollensError) as refused:
        diff(tmp_path / "base", tmp_path / "adapter", DiffSettings(layers="nothing"))
    assert (refused.value.code, refused.value.found.startswith("none of 2")) == ("no_such_layer", True)


def test_a_checkpoint_that_also_holds_factors_is_no_adapter(tmp_path: Path) -> None:
    report = compared(tmp_path, base(), base() | factors(Q, 48, 40), None)
    assert {layer.state for layer in report.layers} == {"identical"}
    assert {alone.reason for alone in report.unmatched} == {"only_in_derived"}
