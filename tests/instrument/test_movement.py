from __future__ import annotations

import math

import numpy as np
import pytest

from tollens.core.reading import Undefined
from tollens.core.seeding import generator
from tollens.instrument import movement
from tollens.instrument.movement import distance


def rng() -> np.random.Generator:
    return generator(0, "movement", "w")


def stable_rank_of(matrix: np.ndarray, draws: np.random.Generator) -> float | Undefined:
    """Of a copy, as the original is overwritten."""
    return movement.stable_rank_of(matrix.copy(), draws)


def test_a_distance_is_over_all_elements() -> None:
    """sqrt(3^2 + 4^2), and 3 sqrt(n) over a border of panels; float32 numbers are subtracted in float64."""
    assert distance(np.array([[4.0, 3.0]]), np.array([[1.0, -1.0]])) == 5.0
    big = np.full((1, movement.PANEL_BYTES // 8 + 5), 3.0, np.float32)
    assert distance(big, np.zeros_like(big)) == pytest.approx(3.0 * math.sqrt(big.size), rel=1e-12)
    assert distance(np.zeros((0, 4)), np.zeros((0, 4))) == 0.0
    one, other = np.float32([[1.0]]), np.float32([[2.0**-30]])
    assert distance(one, other) == 1.0 - 2.0**-30
    assert distance(np.array([[1e300]]), np.array([[-1e300]])) == math.inf


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_stable_rank_of_known_matrices(dtype: type) -> None:
    """diag(2, 1, 1): 6/4. Rank one: 1. The identity: its side."""
    assert stable_rank_of(np.diag([2.0, 1.0, 1.0]).astype(dtype), rng()) == pytest.approx(1.5, rel=1e-6)
    assert stable_rank_of(np.ones((5, 7), dtype), rng()) == pytest.approx(1.0, rel=1e-6)
    assert stable_rank_of(np.eye(6, dtype=dtype), rng()) == pytest.approx(6.0, rel=1e-6)


@pytest.mark.parametrize("shape", [(600, 700), (700, 600), (530, 2_000)])
@pytest.mark.parametrize("spike", [0.0, 3.0])
def test_large_matrices_agree_with_their_whole_spectrum(shape: tuple[int, int], spike: float) -> None:
    draw = np.random.default_rng(2)
    w = draw.standard_normal(shape) / math.sqrt(max(shape))
    u, v = draw.standard_normal(shape[0]), draw.standard_normal(shape[1])
    w += spike * np.outer(u / np.linalg.norm(u), v / np.linalg.norm(v))
    exact = float(np.sum(w * w) / np.linalg.norm(w, 2) ** 2)
    for dtype in (np.float32, np.float64):
        assert stable_rank_of(w.astype(dtype), rng()) == pytest.approx(exact, rel=2e-3)


def test_a_search_that_does_not_end_is_replaced_by_the_spectrum(monkeypatch: pytest.MonkeyPatch) -> None:
    w = np.random.default_rng(2).standard_normal((520, 520)).astype(np.float32)
    exact = float(np.sum(w.astype(np.float64) ** 2) / np.linalg.norm(w.astype(np.float64), 2) ** 2)
    monkeypatch.setattr(movement, "STEPS", 2)
    assert stable_rank_of(w, rng()) == pytest.approx(exact, rel=1e-4)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_the_scale_does_not_matter(scale: float) -> None:
    w = np.random.default_rng(2).standard_normal((20, 30)).astype(np.float32)
    assert stable_rank_of((w * scale).astype(np.float32), rng()) == pytest.approx(stable_rank_of(w, rng()), rel=1e-4)
    assert stable_rank_of(w * np.float64(scale) ** 5, rng()) == pytest.approx(stable_rank_of(w, rng()), rel=1e-4)


def test_no_movement_has_no_rank() -> None:
    assert stable_rank_of(np.zeros((4, 4)), rng()) == Undefined("no_movement")
    assert stable_rank_of(np.zeros((0, 4)), rng()) == Undefined("no_movement")
    assert stable_rank_of(np.full((2, 2), np.inf), rng()) == Undefined("scale_out_of_range")
