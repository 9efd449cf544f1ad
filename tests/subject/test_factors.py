"""Pairs of factors: which tensors belong together, how they are scaled, what they change."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save_file
from tests.subject.torch_files import View, saved

from tollens.subject.adapter import parsed
from tollens.subject.checkpoint import open_checkpoint
from tollens.subject.factors import FactorView
from tollens.subject.factors import pair as paired
from tollens.subject.matrices import Inventory, account, matrices

Stored = Mapping[str, NDArray[Any]]
Q = "base_model.model.model.layers.0.self_attn.q_proj"


def block(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def pair(module: str, rank: int = 4, out: int = 12, width: int = 10) -> dict[str, NDArray[np.float32]]:
    return {f"{module}.lora_A.weight": block(rank, width), f"{module}.lora_B.weight": block(out, rank, seed=1)}


def inventory(folder: Path, tensors: Stored, config: Mapping[str, Any] | None = None) -> Inventory:
    save_file(dict(tensors), folder / "adapter_model.safetensors")
    opened = open_checkpoint(folder / "adapter_model.safetensors")
    found = matrices(opened if config is None else replace(opened, adapter=parsed(config, "x")))
    account(opened.tensors, found)
    return found


def only(found: Inventory) -> FactorView:
    assert (found.matrices, found.skipped) == ([], [])
    [view] = found.factors
    return view


def reasons(found: Inventory) -> dict[str, str]:
    return {skipped.name: skipped.reason for skipped in found.skipped}


def test_a_pair_of_peft(tmp_path: Path) -> None:
    view = only(inventory(tmp_path, pair(Q), {"r": 4, "lora_alpha": 8}))
    assert (view.name, view.target) == ("model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.q_proj.weight")
    assert (view.shape, view.rank, view.gamma, view.transposed, view.role) == ((12, 10), 4, 2.0, False, "lora")
    b, a = view.load_factors()
    assert (b.dtype, a.dtype) == (np.float64, np.float64)
    np.testing.assert_array_equal(b, block(12, 4, seed=1))
    np.testing.assert_array_equal(a, block(4, 10))


def test_patterns_are_matched_against_the_name_in_the_base(tmp_path: Path) -> None:
    config = {"r": 9, "lora_alpha": 8, "rank_pattern": {"^model.layers.0.self_attn.q_proj": 4}, "use_rslora": True}
    assert only(inventory(tmp_path, pair(Q), config)).gamma == 8 / 2.0


def test_stored_types_survive(tmp_path: Path) -> None:
    tensors = {"q.lora_A.weight": block(4, 10).astype(ml_dtypes.bfloat16), "q.lora_B.weight": block(12, 4)}
    view = only(inventory(tmp_path, tensors))
    assert view.dtype == "BF16"  # the narrower of the two
    np.testing.assert_array_equal(view.load_factors()[1], tensors["q.lora_A.weight"].astype(np.float64))


@pytest.mark.parametrize(
    ("a", "b", "name", "target"),
    [
        ("x.lora_A.weight", "x.lora_B.weight", "x", "x.weight"),
        ("x.lora_A.default.weight", "x.lora_B.default.weight", "x", "x.weight"),
        ("x.lora_A.style.weight", "x.lora_B.style.weight", "x[style]", "x.weight"),
        ("x.lora_A", "x.lora_B", "x", "x.weight"),
        ("x.y.lora_down.weight", "x.y.lora_up.weight", "x.y", "x.y.weight"),
        ("x.to_q_lora.down.weight", "x.to_q_lora.up.weight", "x.to_q", "x.to_q.weight"),
        ("lora_te_q_proj.lora_down.weight", "lora_te_q_proj.lora_up.weight", "lora_te_q_proj", None),
        ("lora_A.weight", "lora_B.weight", "weight", "weight"),
    ],
)
def test_names(tmp_path: Path, a: str, b: str, name: str, target: str | None) -> None:
    view = only(inventory(tmp_path, {a: block(4, 10), b: block(12, 4)}))
    assert (view.name, view.target, view.a.name, view.b.name) == (name, target, a, b)


def test_the_factors_of_an_embedding_are_stored_for_its_transpose(tmp_path: Path) -> None:
    """The base stores (vocabulary, width) = (50, 6); PEFT keeps A (r, vocabulary) and B (width, r)."""
    tensors = {"emb.lora_embedding_A": block(4, 50), "emb.lora_embedding_B": block(6, 4)}
    view = only(inventory(tmp_path, tensors))
    assert (view.shape, view.transposed, view.target) == ((6, 50), True, "emb.weight")


def test_transposed_storage_is_taken_from_the_configuration(tmp_path: Path) -> None:
    assert only(inventory(tmp_path, pair("c_attn"), {"r": 4, "lora_alpha": 4, "fan_in_fan_out": True})).transposed


def test_a_convolution_is_flat(tmp_path: Path) -> None:
    """Delta[o, i, x, y] = sum_r B[o, r] A[r, i, x, y], so that A is read as (r, i*x*y)."""
    a, b = block(4, 5, 3, 3), block(7, 4, 1, 1)
    view = only(inventory(tmp_path, {"conv.lora_A.weight": a, "conv.lora_B.weight": b}))
    found_b, found_a = view.load_factors()
    whole = np.einsum("or,rixy->oixy", b[:, :, 0, 0].astype(float), a.astype(float)).reshape(7, 45)
    assert view.shape == (7, 45)
    np.testing.assert_allclose(found_b @ found_a, whole, rtol=1e-12)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((4, 10), (12, 5)),
        ((4, 5, 3, 3), (7, 4, 3, 3)),
        ((4, 5, 3, 3), (7, 4)),
        ((4, 10), (12, 4, 1, 1)),
    ],
)
def test_factors_that_do_not_fit_are_skipped_together(tmp_path: Path, a: tuple[int, ...], b: tuple[int, ...]) -> None:
    found = inventory(tmp_path, {"x.lora_A.weight": block(*a), "x.lora_B.weight": block(*b)})
    assert reasons(found) == dict.fromkeys(("x.lora_A.weight", "x.lora_B.weight"), "lora_shapes_differ")


def test_a_rank_that_is_not_the_declared_one_names_both(tmp_path: Path) -> None:
    found = inventory(tmp_path, pair("x"), {"r": 8, "lora_alpha": 8})
    assert set(reasons(found).values()) == {"lora_rank_differs:8/4"}


def test_half_a_pair_is_unpaired_and_so_is_one_whose_partner_is_no_float(tmp_path: Path) -> None:
    tensors = {"x.lora_A.weight": block(4, 10), "y.lora_B.weight": block(4, 10)}
    assert set(reasons(inventory(tmp_path, tensors)).values()) == {"lora_unpaired"}
    odd = {"x.lora_A.weight": block(4, 10), "x.lora_B.weight": np.ones((12, 4), np.int8)}
    assert reasons(inventory(tmp_path, odd)) == {"x.lora_A.weight": "lora_unpaired", "x.lora_B.weight": "not_a_weight"}


def test_without_a_configuration_there_is_no_scaling(tmp_path: Path) -> None:
    view = only(inventory(tmp_path, pair("x")))
    assert (view.gamma, view.flags) == (None, ("scaling_unknown",))


@pytest.mark.parametrize(
    ("alpha", "gamma"),
    [(np.array(2.0, np.float32), 0.5), (np.array([2.0], np.float32), 0.5), (np.array(0.0, np.float32), None),
     (np.array(np.nan, np.float32), None), (np.array(2, np.int32), None), (np.ones(2, np.float32), None)],
)  # fmt: skip
def test_an_alpha_beside_the_factors_scales_them(tmp_path: Path, alpha: NDArray[Any], gamma: float | None) -> None:
    tensors = {"x.lora_down.weight": block(4, 10), "x.lora_up.weight": block(12, 4), "x.alpha": alpha}
    [view] = inventory(tmp_path, tensors).factors
    assert view.gamma == gamma


@pytest.mark.parametrize("beside", ["lora_magnitude_vector", "lora_magnitude_vector.default", "dora_scale", "lora_E"])
def test_a_pair_with_more_than_factors_is_not_measured(tmp_path: Path, beside: str) -> None:
    found = inventory(tmp_path, pair("x") | pair("y") | {f"x.{beside}": block(12, 1)}, {"r": 4, "lora_alpha": 4})
    assert [view.name for view in found.factors] == ["y"]
    assert set(reasons(found).values()) == {"adapter_unsupported"}
    assert len(found.skipped) == 3


@pytest.mark.parametrize("name", ["x.hada_w1_a", "x.lokr_w2.weight", "x.ia3_l", "x.vera_lambda_b", "prompt_embeddings"])
def test_other_kinds_are_known_by_their_names(tmp_path: Path, name: str) -> None:
    assert reasons(inventory(tmp_path, {f"base_model.model.{name}": block(4, 4)})) == {
        f"base_model.model.{name}": "adapter_unsupported"
    }


def test_another_kind_of_adapter_is_skipped_but_for_what_it_stores_whole(tmp_path: Path) -> None:
    tensors = {"base_model.model.x.hada_w1_a": block(4, 4), "base_model.model.odd": block(9, 9)}
    head = {"base_model.model.head.weight": block(10, 10)}
    found = inventory(tmp_path, tensors | head | pair("y"), {"peft_type": "LOHA", "modules_to_save": ["head"]})
    assert [view.name for view in found.matrices] == ["base_model.model.head.weight"]
    assert found.factors == []
    assert set(reasons(found).values()) == {"adapter_unsupported"}


def test_modules_that_are_stored_whole_are_matrices(tmp_path: Path) -> None:
    head = {"base_model.model.head.weight": block(10, 10)}
    found = inventory(tmp_path, pair(Q) | head, {"r": 4, "lora_alpha": 4, "modules_to_save": ["head"]})
    assert [view.name for view in found.matrices] == ["base_model.model.head.weight"]
    assert [view.name for view in found.factors] == ["model.layers.0.self_attn.q_proj"]
    assert found.analysed == {"base_model.model.head.weight", f"{Q}.lora_A.weight", f"{Q}.lora_B.weight"}


def test_pairs_in_a_whole_checkpoint_are_measured_beside_its_matrices(tmp_path: Path) -> None:
    found = inventory(tmp_path, pair("x") | {"x.weight": block(12, 10)})
    assert ([view.name for view in found.matrices], [view.name for view in found.factors]) == (["x.weight"], ["x"])


def test_names_stay_apart(tmp_path: Path) -> None:
    """Two ways of writing one pair, and a tensor that is called like the module."""
    tensors = pair("x") | {"x": block(10, 10)}
    tensors |= {"x.lora_down.weight": block(4, 10), "x.lora_up.weight": block(12, 4)}
    tensors |= {"x.lora.down.weight": block(4, 10), "x.lora.up.weight": block(12, 4)}
    found = inventory(tmp_path, tensors)
    names = [view.name for view in (*found.matrices, *found.factors)]
    assert len(names) == len(set(names)) == 4


def test_an_altered_base_is_flagged(tmp_path: Path) -> None:
    config = {"r": 4, "lora_alpha": 4, "init_lora_weights": "pissa"}
    assert only(inventory(tmp_path, pair(Q), config)).flags == ("base_altered",)


def test_an_adapter_that_torch_saved(tmp_path: Path) -> None:
    """B lies transposed in its storage; other pickles of a training beside the weights are not read."""
    a, b = block(4, 10), block(12, 4, seed=1)
    views = {
        f"{Q}.lora_A.weight": View("0", "F32", 40, (4, 10)),
        f"{Q}.lora_B.weight": View("1", "F32", 48, (12, 4), (1, 12)),
    }
    raw = {"0": a.tobytes(), "1": np.ascontiguousarray(b.T).tobytes()}
    (tmp_path / "adapter_model.bin").write_bytes(saved(views, raw))
    (tmp_path / "other.bin").write_bytes(saved({"x": View("0", "F32", 40, (4, 10))}, {"0": raw["0"]}))
    (tmp_path / "adapter_config.json").write_text(json.dumps({"r": 4, "lora_alpha": 2}, allow_nan=False))
    opened = open_checkpoint(tmp_path)
    view = only(matrices(opened))
    assert (view.gamma, opened.ignored) == (0.5, ("other.bin",))
    for found, stored in zip(view.load_factors(), (b, a), strict=True):
        np.testing.assert_array_equal(found, stored)


def test_a_tensor_that_the_index_leaves_out_has_no_partner(tmp_path: Path) -> None:
    save_file(pair("x"), tmp_path / "m.safetensors")
    opened = open_checkpoint(tmp_path / "m.safetensors")
    left_out = frozenset({"x.lora_B.weight"})
    found = paired(opened.tensors, opened.source, None, {}, unindexed=left_out)
    assert (found.views, found.reasons) == ([], {"x.lora_A.weight": "lora_unpaired"})


@pytest.mark.parametrize(("alpha", "gamma"), [(8.0, 2.0), (0.0, 1.0), (None, None)])
def test_an_adapter_of_llama_cpp(tmp_path: Path, alpha: float | None, gamma: float | None) -> None:
    """alpha/rank = 8/4, where an alpha of 0 leaves the product as it is; A is stored in blocks of eight bits."""
    a, b = block(4, 64), block(12, 4, seed=1)
    q8 = gguf.GGMLQuantizationType.Q8_0
    stored = gguf.quants.quantize(a, q8)
    writer = gguf.GGUFWriter(tmp_path / "lora.gguf", "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    if alpha is not None:
        writer.add_float32("adapter.lora.alpha", alpha)
    writer.add_tensor("blk.0.attn_q.weight.lora_a", stored, raw_dtype=q8)
    writer.add_tensor("blk.0.attn_q.weight.lora_b", b)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    view = only(matrices(open_checkpoint(tmp_path / "lora.gguf")))
    assert (view.gamma, view.target, view.shape, view.dtype) == (gamma, "blk.0.attn_q.weight", (12, 64), "Q8_0")
    assert "dequantised:q8_0" in view.flags
    found_b, found_a = view.load_factors()
    np.testing.assert_array_equal(found_b, b)
    np.testing.assert_array_equal(found_a, gguf.quants.dequantize(stored, q8))
