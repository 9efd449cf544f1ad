"""Counting eigenvalues above an edge by inertia, against an eigensolver."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tollens.instrument.outliers import Above, Offset, count_above, count_from_top
from tollens.instrument.spectrum import Precision, gram


def reference(matrix: NDArray[np.float64], edge: float) -> int:
    return int((np.linalg.svd(matrix, compute_uv=False) ** 2 > edge).sum())


def counted(matrix: NDArray[np.float64], edge: float, mean: float, precision: Precision = "f64") -> Above | None:
    rows, cols = matrix.shape
    sums = matrix.sum(axis=1 if rows < cols else 0)
    typed = matrix.astype(np.float32 if precision == "f32" else np.float64)
    return count_above(gram(typed, precision), edge, Offset(mean, max(rows, cols), sums))


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 40),
    cols=st.integers(1, 40),
    seed=st.integers(0, 2**32 - 1),
    rank=st.integers(0, 40),
    mean=st.sampled_from([0.0, 1e-3, -0.05, 0.2, -3.0, 1e4]),
)
def test_counts_agree_with_an_svd(rows: int, cols: int, seed: int, rank: int, mean: float) -> None:
    """Edge halfway between two squared singular values, so that the reference itself is sure."""
    matrix = np.random.default_rng(seed).standard_normal((rows, cols))
    matrix -= matrix.mean()
    values = np.append(np.linalg.svd(matrix, compute_uv=False) ** 2, 1e-6)
    k = min(rank, values.size - 2)
    edge = (values[k] + values[k + 1]) / 2.0
    shifted = np.linalg.svd(matrix + mean, compute_uv=False) ** 2
    if (
        edge <= 1e-5
        or np.abs(shifted - edge).min() < 1e-9 * max(edge, 1e-5)
        or np.abs(values - edge).min() < 1e-9 * edge
    ):
        return
    assert counted(matrix, edge, mean) == Above(k + 1, int((shifted > edge).sum()))


def test_single_precision_agrees_away_from_the_edge() -> None:
    rng = np.random.default_rng(3)
    matrix = rng.standard_normal((150, 400))
    matrix[3, 5] = 300.0
    matrix -= matrix.mean()
    for edge in (500.0, 900.0, 2000.0, 1e5 + 1.0):
        for mean in (0.0, 0.01, 1.0, 1e6):
            expected = Above(reference(matrix, edge), reference(matrix + mean, edge))
            assert counted(matrix, edge, mean, "f32") == expected


def test_single_precision_leaves_a_near_edge_open() -> None:
    """An eigenvalue within rounding of the edge: f32 answers None, f64 counts; a margin away both count."""
    matrix = np.random.default_rng(4).standard_normal((200, 200)).astype(np.float32).astype(np.float64)
    top = float(np.linalg.svd(matrix, compute_uv=False)[0] ** 2)
    assert counted(matrix, top * (1 + 1e-8), 0.0, "f32") is None
    assert counted(matrix, top * (1 + 1e-8), 0.0) == Above(0, 0)
    assert counted(matrix, top * (1 - 1e-8), 0.0) == Above(1, 1)
    assert counted(matrix, top * (1 - 1e-3), 0.0, "f32") == Above(1, 1)


def test_the_gram_matrix_can_be_counted_again() -> None:
    lower = gram(np.random.default_rng(5).standard_normal((60, 90)), "f64")
    first = count_above(lower, 150.0)
    assert count_above(lower, 150.0) == first
    assert first is not None
    assert first.centred > 0


@pytest.mark.slow
def test_single_precision_error_is_inside_its_margin() -> None:
    """The top eigenvalue of an f32 Gram matrix differs from f64 by less than the margin allows (64
    roundings)."""
    rng = np.random.default_rng(6)
    for shape in ((512, 512), (1024, 1024), (512, 4096), (2048, 2048)):
        matrix = rng.standard_normal(shape, dtype=np.float32)
        tops = [
            np.linalg.eigvalsh(gram(matrix, p).astype(np.float64), UPLO="L")[-1]  # type: ignore[arg-type]
            for p in ("f32", "f64")
        ]
        assert abs(tops[0] / tops[1] - 1.0) < 8 * float(np.finfo(np.float32).eps)


def from_top(matrix: NDArray[np.float32], edge: float, mean: float, seed: int, doubt: float = 1e-6) -> Above | None:
    offset = Offset(mean, matrix.shape[0], matrix.sum(axis=0, dtype=np.float64))
    return count_from_top(matrix, edge, offset, doubt, np.random.default_rng(seed))


@pytest.mark.parametrize("shape", [(250, 250), (150, 450), (450, 150)])
def test_the_top_end_counts_as_an_svd_does(shape: tuple[int, int]) -> None:
    """Noise with elements and directions near, at and beyond their thresholds, several of one size among them; what
    is left open is left to the factorisation, which must be seldom."""
    rng = np.random.default_rng(shape)
    root, open_ = float(np.prod(shape)) ** 0.25, 0
    for trial in range(60):
        matrix = rng.standard_normal(shape)
        for _ in range(rng.integers(0, 6)):
            matrix[rng.integers(shape[0]), rng.integers(shape[1])] = rng.uniform(0.9, 2.0) * root
        if trial % 4 == 0:
            left, right = (np.linalg.qr(rng.standard_normal((n, 4)))[0] for n in shape)
            matrix += 1.6 * root * left @ right.T
        matrix -= matrix.mean()
        typed = matrix.astype(np.float32)
        edge = float((np.sqrt(shape[0]) + np.sqrt(shape[1])) ** 2 * typed.var() * rng.uniform(1.02, 1.15))
        mean = float(rng.choice([0.0, 0.3, 1.1, 3.0, 1e4])) / root
        found = from_top(typed, edge, mean, trial)
        if found is None:
            open_ += 1
            continue
        wide = typed.astype(np.float64)
        assert found == Above(reference(wide, edge), reference(wide + mean, edge))
    assert open_ <= 15


def test_the_top_end_leaves_open_what_lies_at_the_edge() -> None:
    matrix = np.random.default_rng(4).standard_normal((200, 200)).astype(np.float32)
    top = float(np.linalg.svd(matrix.astype(np.float64), compute_uv=False)[0] ** 2)
    assert from_top(matrix, top * (1 + 1e-8), 0.0, 0) is None
    assert from_top(matrix, top * (1 - 1e-8), 0.0, 0) is None
    assert from_top(matrix, top * (1 + 1e-2), 0.0, 0) == Above(0, 0)
    assert from_top(matrix, top * (1 - 1e-3), 0.0, 0) == Above(1, 1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_eigenvalue_of_high_multiplicity_is_left_open(dtype: type) -> None:
    """Twenty equal outliers: six start vectors reach six of them, and rounding a few more."""
    matrix = np.diag(np.append(np.linspace(0.0, 1.0, 280), np.full(20, 1.7))).astype(dtype)
    for seed in range(5):
        assert from_top(matrix, 1.5, 0.0, seed) is None
        assert from_top(matrix, 3.5, 0.0, seed) == Above(0, 0)


def test_a_sparse_matrix_of_ones_is_left_open() -> None:
    matrix = np.zeros((512, 512), dtype=np.float32)
    matrix.flat[np.random.default_rng(0).choice(512 * 512, 75, replace=False)] = 1.0
    matrix -= matrix.mean()
    assert from_top(matrix, 0.5, float(75 / 512**2), 0) is None


def test_more_doubt_is_sooner_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound is what decides: with so few products that it says no, nothing is counted."""
    matrix = np.random.default_rng(5).standard_normal((600, 600)).astype(np.float32)
    edge = 1.02 * float(np.linalg.svd(matrix.astype(np.float64), compute_uv=False)[0] ** 2)
    monkeypatch.setattr("tollens.instrument.outliers.STEPS", 14)
    monkeypatch.setattr("tollens.instrument.outliers.CONVERGED", 0.0)  # nothing may be set aside
    assert from_top(matrix, edge, 0.0, 0, doubt=0.5) == Above(0, 0)
    assert from_top(matrix, edge, 0.0, 0, doubt=1e-30) is None
