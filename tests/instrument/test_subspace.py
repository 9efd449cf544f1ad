"""Overlap of leading singular subspaces, and what two independent ones overlap by."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tollens.core.seeding import generator
from tollens.instrument.spectrum import spectrum_of
from tollens.instrument.subspace import HaarOverlap, into_range, largest_eigenvalue, leading, overlap, usable_rank

Array = NDArray[Any]


def haar(k: int, d: int, rng: np.random.Generator) -> Array:
    """k orthonormal rows, uniformly distributed."""
    return np.linalg.qr(rng.standard_normal((d, k)))[0].T


def spiked(rows: int, cols: int, rank: int, seed: int = 0) -> Array:
    """Well separated directions above Gaussian noise."""
    rng = np.random.default_rng(seed)
    strong = (haar(rank, rows, rng).T * np.geomspace(8.0, 4.0, rank)) @ haar(rank, cols, rng) * np.sqrt(max(rows, cols))
    return (strong + 0.5 * rng.standard_normal((rows, cols))).astype(np.float32)


@pytest.mark.parametrize(("k", "other", "d"), [(1, 1, 40), (8, 8, 128), (4, 8, 60), (3, 20, 50), (8, 8, 20)])
def test_the_overlap_of_independent_subspaces_has_its_mean_variance_and_band(k: int, other: int, d: int) -> None:
    """20,000 draws: mean within 0.5 %, variance within 3 % (2 % where it is estimated well), band within 1 % a side.

    One of the two may stand still: the law does not depend on where.
    """
    rng = np.random.default_rng(k * d)
    fixed = haar(k, d, rng)
    draws = np.linalg.qr(rng.standard_normal((20_000, d, other)))[0]
    cosines = np.einsum("kd,ndj->nkj", fixed, draws)
    values = np.square(cosines).sum(axis=(1, 2)) / min(k, other)
    law = HaarOverlap(k, other, d)
    assert values.mean() == pytest.approx(law.mean, rel=0.02)
    assert values.var() == pytest.approx(law.variance, rel=0.05)
    for level in (0.05, 0.95):
        assert (values < law.quantile(level)).mean() == pytest.approx(level, abs=0.01)


def test_the_known_values_of_the_law() -> None:
    """Lines in R^d: cos^2 is Beta(1/2, (d-1)/2), of mean 1/d and variance 2(d-1)/(d^2(d+2)); in R^2 that is the
    arcsine law with quartile sin^2(pi/8). A subspace and the whole space overlap fully, without spread.
    """
    assert HaarOverlap(1, 1, 10).mean == pytest.approx(0.1)
    assert HaarOverlap(1, 1, 10).variance == pytest.approx(2 * 9 / (100 * 12))
    assert HaarOverlap(1, 1, 2).quantile(0.25) == pytest.approx(np.sin(np.pi / 8) ** 2)
    full = HaarOverlap(3, 5, 5)
    assert (full.mean, full.variance, full.quantile(0.95)) == (1.0, 0.0, 1.0)
    assert HaarOverlap(1, 1, 1).quantile(0.5) == 1.0


def test_an_overlap_is_the_share_of_shared_directions() -> None:
    eye = np.eye(10)
    assert overlap(eye[:4], eye[:4]) == 1.0
    assert overlap(eye[:4], eye[4:8]) == 0.0
    assert overlap(eye[:4], eye[2:6]) == 0.5
    assert overlap(eye[:2], eye[:6]) == 1.0  # of the smaller one


@pytest.mark.parametrize("shape", [(300, 200), (200, 300), (64, 700)])
def test_leading_directions_are_those_of_the_svd(shape: tuple[int, int]) -> None:
    w = spiked(*shape, 6)
    found = leading(w, 6, generator(0, "test"))
    u, s, vt = np.linalg.svd(w.astype(float))
    assert found.values == pytest.approx(s[:6], rel=1e-5)
    assert overlap(found.left, u.T[:6]) == pytest.approx(1.0, abs=1e-4)
    assert overlap(found.right, vt[:6]) == pytest.approx(1.0, abs=1e-4)
    assert np.abs(found.left @ found.left.T - np.eye(6)).max() < 1e-9
    assert np.abs(found.right @ found.right.T - np.eye(6)).max() < 1e-9
    assert found.doubt <= 0.02
    assert found.first(2).left.shape == (2, shape[0])


def test_the_angle_is_within_the_doubt() -> None:
    """The bound must cover what it bounds: sine of the largest angle to the true subspace, over weak gaps."""
    for seed in range(5):
        rng = np.random.default_rng(seed)
        values = np.r_[np.linspace(2.0, 1.5, 8), np.linspace(1.45, 0.1, 92)]
        w = ((haar(100, 150, rng).T * values) @ haar(100, 120, rng)).astype(np.float32)
        found = leading(w, 8, generator(seed, "angle"))
        vt = np.linalg.svd(w.astype(float))[2]
        sine = np.sqrt(max(0.0, 1.0 - np.linalg.svd(found.right @ vt[:8].T, compute_uv=False)[-1] ** 2))
        assert sine <= found.doubt + 1e-4


def test_a_subspace_that_is_none_is_in_doubt() -> None:
    """Equal singular values: any directions are as good, and the residual test must say so."""
    w = np.linalg.qr(np.random.default_rng(0).standard_normal((60, 60)))[0].astype(np.float32)
    assert leading(w, 8, generator(0, "flat")).doubt > 0.5


def test_the_same_seed_finds_the_same_bits() -> None:
    w = spiked(200, 100, 4)
    first, again = (leading(w, 8, generator(3, "x")) for _ in range(2))
    assert first.left.tobytes() == again.left.tobytes()


@pytest.mark.parametrize("shape", [(200, 200), (100, 400), (400, 100), (3, 50), (50, 3)])
def test_the_largest_eigenvalue_is_reached_and_hardly_exceeded(shape: tuple[int, int]) -> None:
    for seed in range(5):
        w = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
        top = spectrum_of(w, "f32").lambda_max
        assert top <= largest_eigenvalue(w, generator(seed, "top")) < 1.2 * top


def test_subspaces_leave_room() -> None:
    assert usable_rank(8, 1000) == 8
    assert usable_rank(8, 16) == 4
    assert usable_rank(8, 3) == 0


def test_powers_of_two_bring_squares_into_range() -> None:
    tiny = np.array([[3e-30, 1e-31]], dtype=np.float32)
    kept = tiny.copy()
    unit = into_range(tiny)
    assert 0.5 <= tiny.max() < 1.0
    assert (tiny.astype(float) * unit == kept).all()
    ordinary = np.array([[0.02]], dtype=np.float32)
    assert into_range(ordinary) == 1.0
