"""Large elements: the fixed point of the cut, their removal, and whether they cluster."""

from __future__ import annotations

import numpy as np
import pytest

from tollens.core.reading import Undefined
from tollens.instrument.clipping import clip_of, clustering, remove_large


def noise(seed: int = 0, shape: tuple[int, int] = (200, 300)) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def test_gaussian_noise_of_this_size_loses_nothing() -> None:
    """kappa*(NM)^(1/4) = 5.2 at 200 x 300, beyond the largest of 60,000 normal draws (about 4.4)."""
    clip = clip_of(noise())
    assert clip.removed == 0
    assert clip.variance == pytest.approx(noise().var(), rel=1e-12)


def test_the_result_is_a_fixed_point() -> None:
    matrix = np.random.default_rng(1).standard_t(2.5, (200, 300))
    clip = clip_of(matrix)
    kept = matrix[(matrix >= clip.low) & (matrix <= clip.high)]
    assert 0 < clip.removed == matrix.size - kept.size
    cut = max(matrix.size**0.25 / 3.0, 3.0) * kept.std()
    assert (np.abs(kept - kept.mean()) <= cut).all()
    assert clip.mean == pytest.approx(kept.mean(), abs=1e-12)


def test_masked_large_elements_are_found_by_iterating() -> None:
    """A thousand at 30 hide behind the standard deviation that ten at 1e4 make; one pass would leave them."""
    matrix = noise()
    matrix.flat[:1000] = 30.0
    matrix.flat[1000:1010] = 1e4
    assert (np.abs(matrix - matrix.mean()) > 5.3 * matrix.std()).sum() == 10
    assert clip_of(matrix).removed == 1010


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_removal_centres_and_leaves_the_stated_variance(dtype: type) -> None:
    matrix = np.random.default_rng(2).standard_t(2.0, (100, 120)).astype(dtype)
    clip = clip_of(matrix)
    remove_large(matrix, clip)
    assert matrix.dtype == dtype
    assert abs(float(matrix.mean(dtype=np.float64))) < 1e-6
    assert float(np.square(matrix, dtype=np.float64).mean()) == pytest.approx(clip.variance, rel=1e-5)
    assert (matrix == 0.0).sum() == clip.removed


def test_a_matrix_whose_non_zeros_are_all_large_keeps_no_variance() -> None:
    matrix = np.zeros((200, 200))
    matrix.flat[::400] = 1.0
    clip = clip_of(matrix)
    assert (clip.removed, clip.variance) == (100, 0.0)


@pytest.mark.parametrize("count", [40, 3000])
def test_scattered_large_elements_do_not_cluster_and_a_column_does(count: int) -> None:
    """Both ways of drawing the null: by places (few) and by line counts (many)."""
    rng = np.random.default_rng(3)
    scattered = rng.standard_normal((400, 500)) * 0.1
    scattered.flat[rng.choice(scattered.size, count, replace=False)] = 50.0
    gathered = rng.standard_normal((400, 500)) * 0.1
    gathered[:, : count // 40] = np.where(np.arange(400)[:, None] < 40, 50.0, gathered[:, : count // 40])
    limits = clip_of(scattered)
    assert limits.removed == count
    p = clustering(scattered, limits, np.random.default_rng(4))
    assert isinstance(p, float)
    assert p > 0.02
    q = clustering(gathered, limits, np.random.default_rng(4))
    assert q == pytest.approx(2 / 200)


def test_p_values_are_not_smaller_than_uniform() -> None:
    """200 uniform scatters of 30: p <= 0.1 in at most 35 (mean below 20, Bonferroni)."""
    rng = np.random.default_rng(5)
    small = 0
    for _ in range(200):
        matrix = noise(1, (40, 60)) * 0.01
        matrix.flat[rng.choice(2400, 30, replace=False)] = 9.0
        p = clustering(matrix, clip_of(matrix), rng, draws=99)
        assert isinstance(p, float)
        small += p <= 0.1
    assert small <= 35


def test_one_large_element_cannot_cluster() -> None:
    matrix = noise()
    matrix[0, 0] = 100.0
    assert clustering(matrix, clip_of(matrix), np.random.default_rng(0)) == Undefined("too_few_large")
