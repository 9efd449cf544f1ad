"""Large elements: the fixed point of the cut, their removal, and whether they cluster."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tollens.core.native import _native
from tollens.core.reading import Undefined
from tollens.instrument.clipping import PER_LINE, _by_lines, _by_places, clip_of, clustering, remove_large


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


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1, 1), (3, 33), (70, 119)])
def test_the_kernels_agree_with_numpy(dtype: type, shape: tuple[int, int]) -> None:
    matrix = np.random.default_rng(6).standard_t(2.0, shape).astype(dtype)
    low, high = float(dtype(-0.7)), float(dtype(0.9))
    large = (matrix < low) | (matrix > high)
    count, total, squares = _native.element_kept_sums(matrix.reshape(-1), low, high)
    kept = matrix[~large].astype(np.float64)
    assert (count, total, squares) == (kept.size, pytest.approx(kept.sum()), pytest.approx(np.square(kept).sum()))
    down, across = np.zeros(shape[0], dtype=np.int64), np.zeros(shape[1], dtype=np.int64)
    _native.element_count_outside(matrix, low, high, down, across)
    assert down.tolist() == large.sum(axis=1).tolist()
    assert across.tolist() == large.sum(axis=0).tolist()
    _native.element_remove_outside(matrix.reshape(-1), low, high, 0.25)
    assert np.array_equal(matrix[~large].astype(np.float64), (kept.astype(dtype) - dtype(0.25)).astype(np.float64))
    assert not matrix[large].any()


def test_the_kernels_refuse_what_does_not_fit() -> None:
    one, two = np.zeros(1, dtype=np.int64), np.zeros(2, dtype=np.int64)
    with pytest.raises(ValueError, match="one count a row"):
        _native.element_count_outside(np.zeros((2, 1)), -1.0, 1.0, one, one)
    with pytest.raises(ValueError, match="one count a row"):
        _native.element_count_outside(np.zeros((2, 1)), -1.0, 1.0, two, two)
    statistics = np.zeros((1, 2), dtype=np.int64)
    for outside in (-1, 12):
        with pytest.raises(ValueError, match="outside the matrix"):
            _native.line_squares(np.array([[3, outside]]), 2, 3, 4, statistics)
    with pytest.raises(ValueError, match="two statistics"):
        _native.line_squares(np.array([[3, 4]]), 2, 3, 4, np.zeros((2, 2), dtype=np.int64))


def test_repeated_places_count_once() -> None:
    """Of 5, 5, 6, 1, 0 in a 3 x 4 matrix the first three: (1,1), (1,2), (0,1); two rows of 2 and 1, columns alike."""
    places = np.array([[5, 5, 6, 1, 0], [2, 2, 2, 2, 3], [0, 4, 8, 8, 8]])
    squares = np.empty((3, 2), dtype=np.int64)
    _native.line_squares(places, 3, 3, 4, squares)
    assert squares.tolist() == [[5, 5], [-1, -1], [3, 9]]


class Stuttering:
    """A generator whose first call repeats one place only in every second draw."""

    def __init__(self) -> None:
        self.rng, self.calls = np.random.default_rng(0), 0

    def integers(self, low: int, high: int, size: tuple[int, int]) -> np.ndarray:
        self.calls += 1
        places = self.rng.integers(low, high, size)
        if self.calls == 1:
            places[::2] = 7
        return places


def test_draws_with_too_many_repetitions_are_made_anew() -> None:
    rng = Stuttering()
    drawn = _by_places(40, 60, 30, 50, rng)  # type: ignore[arg-type]
    assert rng.calls == 2
    assert (drawn >= 30).all()


@pytest.mark.parametrize("draw", [_by_places, _by_lines])
def test_drawn_statistics_have_the_mean_of_the_law(draw: Callable[..., np.ndarray]) -> None:
    """A line of n of T places holds a hypergeometric number: mean m = k n/T, variance m(1 - n/T)(T - k)/(T - 1)."""
    rows, cols, k = 40, 60, 100
    drawn = draw(rows, cols, k, 2000, np.random.default_rng(8))
    for lines, found in zip((rows, cols), drawn.T, strict=True):
        mean = k / lines
        expected = lines * (mean * (1 - 1 / lines) * (rows * cols - k) / (rows * cols - 1) + mean**2)
        assert found.mean() == pytest.approx(expected, abs=4.0 * found.std() / 2000**0.5)


@pytest.mark.parametrize("seed", range(20))
def test_equal_elements_that_remain_end_the_search(seed: int) -> None:
    """In float64 the mean of equal numbers can miss them by a rounding; then none would be kept."""
    matrix = np.full((40, 60), -0.7 * 5 / 2400)
    matrix.flat[np.random.default_rng(seed).choice(2400, 5, replace=False)] += 0.7
    found = clip_of(matrix)
    assert found.removed == 5
    assert found.variance == pytest.approx(0.0, abs=1e-20)


def test_places_held_at_once_do_not_depend_on_the_number_of_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tollens.instrument.clipping.HELD", 500)
    sizes = []

    class Noted(np.random.Generator):
        def integers(self, low: int, high: int, size: tuple[int, int]) -> np.ndarray:  # type: ignore[override]
            sizes.append(size[0] * size[1])
            return super().integers(low, high, size)

    assert (_by_places(40, 60, 30, 50, Noted(np.random.PCG64(0))) >= 30).all()
    assert max(sizes) <= 500
    assert len(sizes) > 1


@pytest.mark.parametrize(("count", "per_line"), [(40, PER_LINE), (3000, PER_LINE), (3000, 1)])
def test_scattered_large_elements_do_not_cluster_and_a_column_does(
    count: int, per_line: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both ways of drawing the null: by places (few) and by line counts (many)."""
    monkeypatch.setattr("tollens.instrument.clipping.PER_LINE", per_line)
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
