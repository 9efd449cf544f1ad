from __future__ import annotations

import numpy as np
import pytest

from tollens.subject.cut import Cut
from tollens.subject.fused import gates, heads, split

D, H, KV, HD = 24, 4, 2, 6  # width, query heads, key-value heads, head size
GQA = {"hidden_size": D, "num_attention_heads": H, "num_key_value_heads": KV}
RNG = np.random.default_rng(0)
Q, K, V = (RNG.standard_normal((n * HD, D)) for n in (H, KV, KV))


def taken(stored: np.ndarray, cut: Cut) -> np.ndarray:
    piece = stored.reshape(-1)[cut.start : cut.start + int(np.prod(cut.fold))].reshape(cut.fold)
    return piece[tuple(slice(*p) for p in cut.pick)].transpose(cut.axes).reshape(cut.shape)


def parts(layout: str, stored: np.ndarray, config: dict | None) -> dict[str, np.ndarray]:
    found = split(layout, stored.shape, config)
    assert found is not None
    return {name: taken(stored, cut) for name, cut in found}


def test_concatenated_rows_follow_the_declared_head_counts() -> None:
    found = parts("qkv_concat", np.concatenate([Q, K, V]), GQA)
    for name, expected in zip("qkv", (Q, K, V), strict=True):
        np.testing.assert_array_equal(found[name], expected)


def test_concatenated_columns() -> None:
    found = parts("qkv_concat_columns", np.concatenate([Q.T, K.T, V.T], axis=1), GQA)
    for name, expected in zip("qkv", (Q.T, K.T, V.T), strict=True):
        np.testing.assert_array_equal(found[name], expected)


def test_rows_interleaved_per_head_as_in_gpt_neox() -> None:
    config = {"hidden_size": D, "num_attention_heads": H}
    q, k, v = (RNG.standard_normal((H * HD, D)) for _ in range(3))
    stored = np.stack([m.reshape(H, HD, D) for m in (q, k, v)], axis=1).reshape(3 * H * HD, D)
    found = parts("qkv_interleaved", stored, config)
    for name, expected in zip("qkv", (q, k, v), strict=True):
        np.testing.assert_array_equal(found[name], expected)


def test_interleaved_groups_of_queries_share_a_key() -> None:
    groups = [np.concatenate([Q[2 * g * HD : 2 * (g + 1) * HD], K[g * HD :][:HD], V[g * HD :][:HD]]) for g in range(KV)]
    found = parts("qkv_interleaved", np.concatenate(groups), GQA)
    for name, expected in zip("qkv", (Q, K, V), strict=True):
        np.testing.assert_array_equal(found[name], expected)


def test_thirds_need_no_configuration() -> None:
    stored = RNG.standard_normal((3 * D, D))
    found = parts("qkv_concat", stored, None)
    np.testing.assert_array_equal(found["k"], stored[D : 2 * D])
    found = parts("qkv_concat_columns", stored.T.copy(), None)
    np.testing.assert_array_equal(found["v"], stored.T[:, 2 * D :])


@pytest.mark.parametrize("layout", ["gate_up_concat", "gate_up_concat_columns", "gate_up_interleaved_columns"])
def test_gate_and_up(layout: str) -> None:
    gate, up = RNG.standard_normal((2, 6, 10))
    stored = {
        "gate_up_concat": np.concatenate([gate, up]),
        "gate_up_concat_columns": np.concatenate([gate, up], axis=1),
        "gate_up_interleaved_columns": np.stack([gate, up], axis=2).reshape(6, 20),
    }[layout]
    found = parts(layout, stored, None)
    np.testing.assert_array_equal(found["gate"], gate)
    np.testing.assert_array_equal(found["up"], up)


@pytest.mark.parametrize(
    ("layout", "shape", "config"),
    [
        ("qkv_concat", (48, 24), None),  # grouped heads, and nothing says how
        ("qkv_concat", (49, 24), GQA),
        ("qkv_interleaved", (72, 24), None),  # how many heads?
        ("qkv_interleaved", (48, 24), {**GQA, "num_attention_heads": 5}),
        ("gate_up_concat", (7, 24), None),
        ("gate_up_concat_columns", (24, 7), None),
        ("gate_up_interleaved_columns", (24, 7), None),
        ("a layout nobody knows", (72, 24), GQA),
    ],
)
def test_a_layout_that_does_not_fit_is_not_followed(layout: str, shape: tuple[int, int], config: dict | None) -> None:
    assert split(layout, shape, config) is None


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (GQA, [(4, 2, 6)]),
        ({"n_head": 4, "n_embd": 24}, [(4, 4, 6)]),
        ({"num_attention_heads": 4, "head_dim": 8}, [(4, 4, 8)]),
        ({"n_head": 4, "hidden_size": 24, "multi_query": True}, [(4, 1, 6)]),
        ({"text_config": GQA, "hidden_size": "large"}, [(4, 2, 6)]),
        ({"num_attention_heads": 5, "hidden_size": 24}, []),
        ({"num_attention_heads": True, "hidden_size": 24}, []),
        ({"num_attention_heads": -4, "hidden_size": 24}, []),
        ({"num_attention_heads": 2**70, "hidden_size": 24}, []),
        (None, []),
    ],
)
def test_head_counts(config: dict | None, expected: list[tuple[int, int, int]]) -> None:
    assert heads(config) == expected


@pytest.mark.parametrize(("rows", "names"), [(5, 1), (15, 3), (20, 4)])
def test_gates(rows: int, names: int) -> None:
    stored = RNG.standard_normal((rows, 7))
    found = gates(stored.shape, 5)
    assert found is not None
    assert [name for name, _ in found] == [f"g{i}" for i in range(names)]
    np.testing.assert_array_equal(np.concatenate([taken(stored, cut) for _, cut in found]), stored)


@pytest.mark.parametrize(("rows", "hidden"), [(10, 5), (16, 5), (0, 5), (25, 5), (20, 0)])
def test_gates_that_do_not_fill_the_matrix(rows: int, hidden: int) -> None:
    assert gates((rows, 7), hidden) is None
