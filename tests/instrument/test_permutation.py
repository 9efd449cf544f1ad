"""Named permutations: the generator, uniformity, reproducibility, and undoing them."""

from __future__ import annotations

import hashlib
from itertools import permutations

import numpy as np
import pytest
from scipy.stats import chi2

from tollens.core.native import _native
from tollens.instrument.permutation import PermutationKey, draw_key, key_of, shuffle, unshuffle

LONG = 150_001  # above 2^16: the bucketed path


@pytest.mark.parametrize(
    ("counter", "key", "out"),
    [
        (
            [0] * 4,
            [0] * 2,
            [0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B, 0x7E68B68AEC7BA23B],
        ),
        (
            [2**64 - 1] * 4,
            [2**64 - 1] * 2,
            [0x87B092C3013FE90B, 0x438C3C67BE8D0224, 0x9CC7D7C69CD777B6, 0xA09CAEBF594F0BA0],
        ),
        (
            [0x243F6A8885A308D3, 0x13198A2E03707344, 0xA4093822299F31D0, 0x082EFA98EC4E6C89],
            [0x452821E638D01377, 0xBE5466CF34E90C6C],
            [0xA528F45403E61D95, 0x38C72DBD566E9788, 0xA5A1610E72FD18B5, 0x57BD43B5E52B7FE6],
        ),
    ],
)
def test_philox_gives_the_published_vectors(counter: list[int], key: list[int], out: list[int]) -> None:
    """Known-answer vectors published with Random123 (Salmon et al. 2011) for philox4x64, 10 rounds."""
    assert list(_native.philox4x64(counter, key)) == out


def test_philox_agrees_with_an_independent_implementation() -> None:
    rng = np.random.default_rng(5)
    for _ in range(20):
        counter, key = rng.integers(0, 2**63, 4), rng.integers(0, 2**63, 2)
        peer = np.random.Philox(counter=counter.astype(np.uint64), key=key.astype(np.uint64))
        counter[0] += 1  # numpy increments before its first block
        ours = _native.philox4x64([int(c) for c in counter], [int(k) for k in key])
        assert [int(w) for w in peer.random_raw(4)] == list(ours)


@pytest.mark.parametrize("n", [0, 1, 2, 7, 65_536, 65_537, LONG])
def test_every_element_survives(n: int) -> None:
    p = _native.permutation(3, 4, 0, n)
    assert p.dtype == np.int64
    np.testing.assert_array_equal(np.sort(p), np.arange(n))


@pytest.mark.parametrize("n", [1_000, LONG])
def test_same_permutation_for_both_widths_and_for_the_indices(n: int) -> None:
    rng = np.random.default_rng(0)
    wide = rng.standard_normal(n).astype(np.float32).astype(np.float64)
    narrow = wide.astype(np.float32)
    expected = wide[_native.permutation(11, 12, 3, n)]
    _native.shuffle(wide, 11, 12, 3)
    _native.shuffle(narrow, 11, 12, 3)
    np.testing.assert_array_equal(wide, expected)
    np.testing.assert_array_equal(narrow, expected.astype(np.float32))


def test_a_matrix_is_shuffled_over_all_its_elements() -> None:
    matrix = np.arange(300.0 * 500).reshape(300, 500)
    flat = matrix.ravel().copy()
    _native.shuffle(matrix, 1, 2, 0)
    _native.shuffle(flat, 1, 2, 0)
    np.testing.assert_array_equal(matrix.ravel(), flat)


@pytest.mark.parametrize(
    ("n", "digest"),
    [
        (1_000, "b26ffb0dc56c562f"),
        (65_536, "c40c4d3b0c5b8d42"),
        (LONG, "e7b5b91aef49a7c9"),
        (2_500_001, "dca432f7e307fc28"),
    ],
)
def test_the_permutation_is_fixed_forever(n: int, digest: str) -> None:
    """A changed digest means that every recorded permutation_id has lost its meaning.

    About one draw in a million of the longest comes to the rejection test.
    """
    p = _native.permutation(0x0123456789ABCDEF, 0xFEDCBA9876543210, 7, n)
    assert hashlib.sha256(p.astype("<i8").tobytes()).hexdigest()[:16] == digest


def test_key_and_replicate_both_matter() -> None:
    base = _native.permutation(1, 2, 0, LONG)
    for other in [(2, 2, 0), (1, 3, 0), (1, 2, 1)]:
        assert (_native.permutation(*other, LONG) == base).mean() < 1e-4


def test_all_orders_are_equally_likely() -> None:
    """n = 4: 24 orders, 24,000 draws; chi-square with 23 degrees of freedom below its 0.9999 quantile."""
    index = {order: i for i, order in enumerate(permutations(range(4)))}
    counts = np.zeros(24)
    for replicate in range(24_000):
        counts[index[tuple(_native.permutation(8, 9, replicate, 4).tolist())]] += 1
    assert ((counts - 1_000) ** 2 / 1_000).sum() < chi2.ppf(0.9999, 23)


def test_bucketed_places_are_uniform() -> None:
    """Where 40 tracked elements of a bucketed shuffle go, in 64 equal zones; and pairs of them, in 8 x 8."""
    tracked = np.linspace(0, LONG - 1, 40).astype(np.int64)
    places = np.array([np.argsort(_native.permutation(21, 22, r, LONG))[tracked] for r in range(100)])
    zones = np.bincount((places * 64 // LONG).ravel(), minlength=64)
    assert ((zones - 62.5) ** 2 / 62.5).sum() < chi2.ppf(0.9999, 63)
    pairs = (places[:, :-1] * 8 // LONG) * 8 + places[:, 1:] * 8 // LONG
    counts = np.bincount(pairs.ravel(), minlength=64)
    expected = pairs.size / 64
    assert ((counts - expected) ** 2 / expected).sum() < chi2.ppf(0.9999, 63)


def test_fixed_points_are_poisson() -> None:
    """A uniform permutation has Poisson(1) fixed points: 200 draws sum to 200 within 5 s.d.."""
    identity = np.arange(LONG)
    total = sum(int((_native.permutation(31, 32, r, LONG) == identity).sum()) for r in range(200))
    assert abs(total - 200) < 5 * 200**0.5


def test_other_buffers_are_refused() -> None:
    with pytest.raises(TypeError):
        _native.shuffle(np.arange(10), 1, 2, 0)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        _native.shuffle(np.zeros((10, 10))[:, ::2], 1, 2, 0)


def test_the_uniformity_check_fires_on_a_biased_shuffle() -> None:
    """Swapping every place with any place is the classic error; the same statistic rejects it."""
    rng = np.random.default_rng(1)
    index = {order: i for i, order in enumerate(permutations(range(4)))}
    counts = np.zeros(24)
    for targets in rng.integers(0, 4, (24_000, 4)):
        order = [0, 1, 2, 3]
        for i, j in enumerate(targets):
            order[i], order[j] = order[j], order[i]
        counts[index[tuple(order)]] += 1
    assert ((counts - 1_000) ** 2 / 1_000).sum() > chi2.ppf(0.9999, 23)


@pytest.mark.parametrize("shape", [(20, 30), (300, 500)])
def test_unshuffle_undoes_shuffle(shape: tuple[int, int]) -> None:
    matrix = np.random.default_rng(2).standard_normal(shape)
    key = draw_key(np.random.default_rng(3))
    shuffled = matrix.copy()
    shuffle(shuffled, key, 4)
    assert not np.array_equal(shuffled, matrix)
    np.testing.assert_array_equal(unshuffle(shuffled, key, 4), matrix)


def test_an_identifier_gives_its_key_back() -> None:
    for key in (PermutationKey(0, 0), PermutationKey(2**64 - 1, 1), draw_key(np.random.default_rng(9))):
        assert key_of(key.id) == key
    assert PermutationKey(0xAB, 0x1).id == "philox4x64-10:000000000000000100000000000000ab"


@pytest.mark.parametrize("text", ["", "philox4x64-10:12", "mt19937:" + "0" * 32, "philox4x64-10:" + "g" * 32])
def test_other_identifiers_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        key_of(text)
