from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from tollens.subject.checkpoint import open_checkpoint
from tollens.subject.roles import Role
from tollens.subject.ties import CHUNK, Ties, ties

ROLES = {"e": Role("embedding"), "e2": Role("embedding"), "h": Role("head"), "w": Role("up")}
BIG = np.random.default_rng(0).standard_normal((CHUNK // 4 + 3, 8)).astype(np.float32)  # eight chunks and a bit


def found(folder: Path, tensors: dict[str, np.ndarray], declared: bool = False) -> Ties:
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"tie_word_embeddings": declared}))
    checkpoint = open_checkpoint(folder)
    return ties(checkpoint, checkpoint.tensors, ROLES)


@pytest.mark.parametrize("declared", [True, False])
def test_the_same_numbers_are_tied_whatever_is_declared(tmp_path: Path, declared: bool) -> None:
    assert found(tmp_path, {"e": BIG, "h": BIG}, declared) == Ties({"h": "e"}, frozenset())


@pytest.mark.parametrize("at", [(0, 0), (-1, -1)])
@pytest.mark.parametrize("declared", [True, False])
def test_one_different_number_is_enough(tmp_path: Path, at: tuple[int, int], declared: bool) -> None:
    other = BIG.copy()
    other[at] += 1
    assert found(tmp_path, {"e": BIG, "h": other}, declared) == Ties({}, frozenset({"h"} if declared else ()))


def test_only_embeddings_and_heads_of_one_shape_and_type_are_compared(tmp_path: Path) -> None:
    e = BIG[:4]
    tensors = {"e": e, "h": e.T.copy(), "w": e}
    assert found(tmp_path, tensors, declared=True) == Ties({}, frozenset())
    assert found(tmp_path, {"e": e, "h": e.astype(np.float64)}) == Ties({}, frozenset())


def test_a_second_embedding_and_its_head_share_one_original(tmp_path: Path) -> None:
    assert found(tmp_path, {"e": BIG, "e2": BIG, "h": BIG}).aliased == {"e2": "e", "h": "e"}


def test_members_of_an_archive_are_compared_as_well(tmp_path: Path) -> None:
    for order, expected in (("C", {"h": "e"}), ("F", {})):  # another order is not compared: a missed alias
        np.savez_compressed(tmp_path / "m.npz", e=BIG, h=np.asarray(BIG, order=order))  # type: ignore[call-overload]
        checkpoint = open_checkpoint(tmp_path / "m.npz")
        assert ties(checkpoint, checkpoint.tensors, ROLES).aliased == expected
