from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from tollens.core.codes import CODES
from tollens.core.errors import Exit, TollensError
from tollens.subject import matrices as module
from tollens.subject.checkpoint import Checkpoint, open_checkpoint
from tollens.subject.matrices import Alias, Inventory, Skipped, account, matrices
from tollens.subject.source import Source
from tollens.subject.tensor import TensorInfo
from tollens.subject.ties import Ties

RNG = np.random.default_rng(0)


def w(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    return RNG.standard_normal(shape).astype(dtype)


def checkpoint(folder: Path, tensors: dict[str, np.ndarray], config: dict[str, Any] | None = None) -> Checkpoint:
    save_file(tensors, folder / "model.safetensors")
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    return open_checkpoint(folder)


def by_name(found: Inventory) -> dict[str, np.ndarray]:
    return {m.name: m.load(np.float64) for m in found.matrices}


def same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert list(found) == list(expected)
    for name, matrix in expected.items():
        np.testing.assert_array_equal(found[name], matrix.astype(np.float64), err_msg=name)


GPT2 = {
    "transformer.h.0.attn.c_attn.weight": w(8, 24),
    "transformer.h.0.attn.c_attn.bias": w(24),
    "transformer.h.0.attn.bias": np.tri(4, dtype=np.float32).reshape(1, 1, 4, 4),
    "transformer.h.0.ln_1.weight": w(8),
    "transformer.wpe.weight": w(4, 8),
    "transformer.wte.weight": w(16, 8),
}


def test_gpt2_projections_are_split_along_columns(tmp_path: Path) -> None:
    found = matrices(checkpoint(tmp_path, {**GPT2, "lm_head.weight": GPT2["transformer.wte.weight"]}))
    fused = GPT2["transformer.h.0.attn.c_attn.weight"]
    name = "transformer.h.0.attn.c_attn.weight"
    held = by_name(found)
    for i, part in enumerate("qkv"):
        np.testing.assert_array_equal(held[f"{name}[{part}]"], fused[:, 8 * i : 8 * (i + 1)])
    roles = {m.name: (m.role.kind, m.role.layer, m.view) for m in found.matrices}
    assert roles[f"{name}[k]"] == ("k", 0, "part")
    embedding, head = ("transformer.wte.weight", "lm_head.weight")
    assert found.aliases == [Alias(head, embedding, (16, 8), "F32")]
    assert {s.name: s.reason for s in found.skipped} == {
        "transformer.h.0.attn.c_attn.bias": "not_a_matrix",
        "transformer.h.0.attn.bias": "not_a_weight",
        "transformer.h.0.ln_1.weight": "not_a_matrix",
    }
    assert account(found_tensors(tmp_path), found) == (3, 3, 1)


def found_tensors(folder: Path) -> tuple[Any, ...]:
    return open_checkpoint(folder).tensors


def llama(**extra: np.ndarray) -> dict[str, np.ndarray]:
    return {
        "model.embed_tokens.weight": w(16, 8),
        "model.layers.0.self_attn.q_proj.weight": w(8, 8, dtype=ml_dtypes.bfloat16),
        **{name.replace("__", "."): tensor for name, tensor in extra.items()},
    }


def test_a_head_declared_tied_but_stored_differently_is_a_matrix_of_its_own(tmp_path: Path) -> None:
    config = {"model_type": "llama", "tie_word_embeddings": True}
    found = matrices(checkpoint(tmp_path, llama(lm_head__weight=w(16, 8)), config))
    flags = {m.name: m.flags for m in found.matrices}
    assert flags["lm_head.weight"] == ("tie_differs",)
    assert not found.aliases
    assert flags["model.embed_tokens.weight"] == ()


def test_an_untied_head_is_a_matrix_of_its_own(tmp_path: Path) -> None:
    found = matrices(checkpoint(tmp_path, llama(lm_head__weight=w(16, 8))))
    assert {m.name: (m.role.kind, m.flags) for m in found.matrices}["lm_head.weight"] == ("head", ())


def test_bf16_is_read_exactly(tmp_path: Path) -> None:
    tensors = llama()
    found = matrices(checkpoint(tmp_path, tensors))
    view = found.matrices[-1]
    assert view.dtype == "BF16"
    np.testing.assert_array_equal(view.load(), tensors[view.name].astype(np.float32))


def neox(folder: Path, config: dict[str, Any] | None) -> Inventory:
    tensors = {
        "gpt_neox.layers.0.attention.query_key_value.weight": w(24, 8),
        "gpt_neox.layers.0.attention.dense.weight": w(8, 8),
        "gpt_neox.layers.0.mlp.dense_h_to_4h.weight": w(32, 8),
    }
    return matrices(checkpoint(folder, tensors, config))


def test_an_interleaved_projection_is_split_where_the_heads_are_declared(tmp_path: Path) -> None:
    found = neox(tmp_path, {"model_type": "gpt_neox", "num_attention_heads": 2, "hidden_size": 8})
    names = [m.name for m in found.matrices if m.role.kind in "qkv"]
    assert names == [f"gpt_neox.layers.0.attention.query_key_value.weight[{p}]" for p in "qkv"]
    whole = open_checkpoint(tmp_path).read("gpt_neox.layers.0.attention.query_key_value.weight")
    np.testing.assert_array_equal(by_name(found)[names[1]], whole.reshape(2, 3, 4, 8)[:, 1].reshape(8, 8))


def test_without_the_heads_it_stays_whole_and_says_so(tmp_path: Path) -> None:
    found = neox(tmp_path, None)
    [view] = [m for m in found.matrices if m.role.kind == "qkv"]
    assert view.flags == ("fused_unsplit",)
    assert (view.name, view.shape) == ("gpt_neox.layers.0.attention.query_key_value.weight", (24, 8))


def test_stacked_experts(tmp_path: Path) -> None:
    gate_up, down = w(3, 4, 10), w(3, 5, 4)
    tensors = llama(
        model__layers__0__mlp__experts__gate_up_proj=gate_up,
        model__layers__0__mlp__experts__down_proj=down,
        model__layers__0__mlp__experts__gate_up_proj_bias=w(3, 10),
    )
    found = matrices(checkpoint(tmp_path, tensors, {"model_type": "gpt_oss"}))
    held = by_name(found)
    name = "model.layers.0.mlp.experts.gate_up_proj"
    np.testing.assert_array_equal(held[f"{name}[2,gate]"], gate_up[2, :, ::2])
    np.testing.assert_array_equal(held[f"{name}[1,up]"], gate_up[1, :, 1::2])
    np.testing.assert_array_equal(held["model.layers.0.mlp.experts.down_proj[1]"], down[1])
    roles = {m.name: (m.role.kind, m.role.expert) for m in found.matrices}
    assert roles[f"{name}[2,gate]"] == ("gate", 2)
    assert roles["model.layers.0.mlp.experts.down_proj[1]"] == ("down", 1)
    assert [s.reason for s in found.skipped] == ["not_a_matrix"]


def test_unmatched_experts_are_split_and_not_guessed(tmp_path: Path) -> None:
    experts = w(2, 3, 4)
    found = matrices(checkpoint(tmp_path, {"block.experts.w": experts}))
    same(by_name(found), {"block.experts.w[0]": experts[0], "block.experts.w[1]": experts[1]})
    assert {m.role.kind for m in found.matrices} == {"unmatched"}


@pytest.mark.parametrize(("rows", "gates"), [(12, 4), (9, 3)])
def test_recurrent_gates(tmp_path: Path, rows: int, gates: int) -> None:
    ih, hh = w(rows, 5), w(rows, 3)
    found = matrices(checkpoint(tmp_path, {"rnn.weight_hh_l0": hh, "rnn.weight_ih_l0": ih}))
    expected = {}
    for name, stored in (("hh", hh), ("ih", ih)):
        expected |= {f"rnn.weight_{name}_l0[g{i}]": stored[3 * i : 3 * i + 3] for i in range(gates)}
    held = by_name(found)
    same(dict(sorted(held.items())), dict(sorted(expected.items())))


def test_recurrent_layers_that_do_not_add_up_stay_whole(tmp_path: Path) -> None:
    plain = matrices(checkpoint(tmp_path, {"rnn.weight_hh_l0": w(3, 3), "rnn.weight_ih_l0": w(3, 5)}))
    assert [(m.name, m.flags) for m in plain.matrices] == [("rnn.weight_hh_l0", ()), ("rnn.weight_ih_l0", ())]
    alone = matrices(checkpoint(tmp_path, {"rnn.weight_ih_l0": w(12, 5)}))
    assert [(m.shape, m.flags) for m in alone.matrices] == [((12, 5), ("fused_unsplit",))]


def test_a_projected_recurrent_layer(tmp_path: Path) -> None:
    tensors = {"r.weight_hh_l0": w(16, 2), "r.weight_hr_l0": w(2, 4), "r.weight_ih_l0": w(16, 5)}
    found = matrices(checkpoint(tmp_path, tensors))
    assert [m.shape for m in found.matrices if "ih" in m.name] == [(4, 5)] * 4


def test_convolutions(tmp_path: Path) -> None:
    kernel = w(4, 3, 2, 2)
    tensors = {"conv1.weight": kernel, "features.0.weight": kernel, "block.dwconv.weight": w(3, 1, 5)}
    c = checkpoint(tmp_path, tensors)
    flat = matrices(c)
    held = by_name(flat)
    np.testing.assert_array_equal(held["conv1.weight"], kernel.reshape(4, 12))
    assert {m.view for m in flat.matrices} == {"flat"}
    assert {m.role.kind for m in flat.matrices} == {"conv"}
    assert [n for n in held if "dwconv" in n] == [f"block.dwconv.weight[g{i}]" for i in range(3)]
    slices = matrices(c, conv_view="slices")
    np.testing.assert_array_equal(by_name(slices)["conv1.weight[s1]"], kernel[:, :, 0, 1])
    assert len([m for m in slices.matrices if m.tensor.name == "conv1.weight"]) == 4


@pytest.mark.parametrize(
    ("name", "shape", "reason"),
    [
        ("something", (2, 3, 4), "stacked_unsupported"),
        ("something", (2, 3, 4, 5), "stacked_unsupported"),
        ("token", (1, 1, 8), "not_a_matrix"),
        ("vector", (8,), "not_a_matrix"),
    ],
)
def test_what_has_no_meaning_as_a_matrix_is_listed(
    tmp_path: Path, name: str, shape: tuple[int, ...], reason: str
) -> None:
    found = matrices(checkpoint(tmp_path, {name: w(*shape)}))
    assert found.skipped == [Skipped(name, shape, "F32", reason)]


def test_sides_of_one_do_not_hide_a_matrix(tmp_path: Path) -> None:
    table = w(1, 5, 8)
    [view] = matrices(checkpoint(tmp_path, {"pos": table})).matrices
    assert (view.shape, view.view) == ((5, 8), "stored")
    np.testing.assert_array_equal(view.load(), table[0])


def test_an_unmatched_matrix_is_analysed_and_not_guessed(tmp_path: Path) -> None:
    [view] = matrices(checkpoint(tmp_path, {"mystery": w(3, 4)})).matrices
    assert view.role.kind == "unmatched"


def test_tensors_that_the_index_leaves_out_are_listed(tmp_path: Path) -> None:
    save_file({"a": w(3, 4), "b": w(3, 4)}, tmp_path / "s.safetensors")
    index = {"weight_map": {"a": "s.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    found = matrices(open_checkpoint(tmp_path))
    assert [m.name for m in found.matrices] == ["a"]
    assert found.skipped == [Skipped("b", (3, 4), "F32", "not_in_index")]


def test_every_reason_and_flag_can_be_explained(tmp_path: Path) -> None:
    for code in (
        "fused_unsplit",
        "tie_differs",
        "not_in_index",
        "stacked_unsupported",
        "not_a_matrix",
        "not_a_weight",
    ):
        assert code in CODES


def test_a_view_travels_cheaply_and_reads_by_itself(tmp_path: Path) -> None:
    tensors = {f"layer.{i}": w(4, 4) for i in range(500)}
    found = matrices(checkpoint(tmp_path, tensors))
    sent = pickle.dumps(found.matrices[7])
    assert len(sent) < 2_000
    view = pickle.loads(sent)
    np.testing.assert_array_equal(view.load(), tensors[view.name])


def test_a_tensor_lost_or_counted_twice_is_noticed(tmp_path: Path) -> None:
    c = checkpoint(tmp_path, {"a": w(3, 4), "b": w(4)})
    found = matrices(c)
    assert account(c.tensors, found) == (1, 1, 0)
    broken = [
        Inventory(found.matrices, [], [], []),
        Inventory(found.matrices, found.skipped * 2, [], []),
        Inventory(found.matrices, found.skipped, [Alias("a", "b", (3, 4), "F32")], []),
        Inventory(found.matrices, [*found.skipped, Skipped("c", (), "F32", "not_a_matrix")], [], []),
    ]
    for inventory in broken:
        with pytest.raises(TollensError) as caught:
            account(c.tensors, inventory)
        assert caught.value.code == "tensors_unaccounted"
        assert caught.value.exit_code is Exit.INTERNAL


def golden() -> list[tuple[str, str, tuple[TensorInfo, ...]]]:
    """(checkpoint, model type, tensors) of the parameter lists that the roles are tested with."""
    found: list[tuple[str, str, tuple[TensorInfo, ...]]] = []
    for path in sorted((Path(__file__).parent / "golden").glob("*.txt")):
        for block in path.read_text().split("\n[")[1:]:
            head, *lines = block.splitlines()
            name, rest = head.split("]", 1)
            tensors = []
            for line in filter(None, lines):
                tensor, shape, dtype, *_ = line.split("  ")
                sides = tuple(int(n) for n in shape.split("x")) if shape[0].isdigit() else ()
                tensors.append(TensorInfo(tensor, sides, dtype, "model.safetensors", 0, 1))
            found.append((name, rest.split()[0], tuple(tensors)))
    return found


@pytest.mark.parametrize(("name", "model_type", "tensors"), golden())
def test_no_tensor_of_a_known_family_is_lost(
    monkeypatch: pytest.MonkeyPatch, name: str, model_type: str, tensors: tuple[TensorInfo, ...]
) -> None:
    monkeypatch.setattr(module, "ties", lambda *_: Ties({}, frozenset()))  # there is no file to compare in
    config = {"model_type": model_type}
    source = Source(Path("nowhere"), "raw")
    found = matrices(Checkpoint(Path("nowhere"), "safetensors", tensors, config, source, ()))
    assert sum(account(tensors, found)) == len(tensors)
    by_reason: dict[str, list[str]] = {}
    for s in found.skipped:
        by_reason.setdefault(s.reason, []).append(s.name)
    assert set(by_reason) <= {"not_a_matrix", "not_a_weight", "packed_unsupported"}
    lost = [t.name for t in tensors if t.name in by_reason.get("not_a_matrix", []) and len(t.shape) == 2]
    assert all("bias" in name for name in lost)
    numbers = {t.name: 0 for t in tensors}
    for m in found.matrices:
        assert min(m.shape) > 0
        numbers[m.tensor.name] += m.shape[0] * m.shape[1]
    for t in tensors:
        assert numbers[t.name] in (0, t.size)  # the parts of a tensor are the whole of it
