"""Kinship of one pair of matrices: what must be seen, what must not, and how often chance is taken for it."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray

from tollens.core.reading import Undefined
from tollens.core.seeding import generator
from tollens.instrument.kinship import Alignment, alignment, sorted_distance
from tollens.protocol.kinship import LIMITS, PERMUTED

Array = NDArray[Any]


def gaussian(rows: int, cols: int, seed: int) -> Array:
    return np.random.default_rng(seed).standard_normal((rows, cols)).astype(np.float32)


def aligned(base: Array, derived: Array, seed: int = 0, draws: int = 199) -> Alignment:
    found = alignment(base, derived, draws, generator(seed, "kinship"))
    assert isinstance(found, Alignment)
    return found


def norms(w: Array) -> Array:
    return np.sqrt((w.astype(float) ** 2).sum(axis=1))


BASE = gaussian(160, 200, 1)
LOW = (np.outer(gaussian(160, 1, 2), gaussian(200, 1, 3)) * 0.3).astype(np.float32)
KIN = {
    "itself": BASE,
    "a fine-tune": BASE + LOW,
    "pruned": np.where(np.abs(BASE) > 0.7, BASE, 0.0),
    "merged": 0.5 * BASE + 0.5 * gaussian(160, 200, 4),
    "scaled": 7.0 * BASE,
    "mostly noise": BASE + 4.0 * gaussian(160, 200, 5),
}
STRANGERS = {
    "another draw": gaussian(160, 200, 6),
    "a shared mean": gaussian(160, 200, 7) + 3.0,
    "neurons in another order": BASE[np.random.default_rng(8).permutation(160)],
    "its negative": -BASE,
}


@pytest.mark.parametrize("name", KIN)
def test_kin_are_seen(name: str) -> None:
    found = aligned(BASE, KIN[name])
    assert found.above
    assert found.cosine > 2.0 * found.null_high


@pytest.mark.parametrize("name", STRANGERS)
def test_strangers_are_not(name: str) -> None:
    assert not aligned(BASE + 3.0 * (name == "a shared mean"), STRANGERS[name]).above


def test_the_cosine_of_a_merge() -> None:
    """<b, (b + n)/2> over the norms is 1/sqrt(2) for independent b and n of one size."""
    assert aligned(BASE, KIN["merged"]).cosine == pytest.approx(2.0**-0.5, abs=0.03)


def test_what_any_two_networks_share_is_no_kinship() -> None:
    """Row means, column means and the places of large columns are common to both; the signs inside are not."""
    shared = 5.0 * gaussian(160, 1, 9) + 5.0 * gaussian(1, 200, 10)
    loud = np.where(np.arange(200) % 20 == 0, 30.0, 1.0).astype(np.float32)
    hits = 0
    for seed in range(20):
        base = gaussian(160, 200, 100 + seed) * loud + shared
        hits += aligned(base, gaussian(160, 200, 200 + seed) * loud + shared, seed, draws=99).above
    assert hits <= 2  # expected 20 times at most 1/100; three or more have probability 0.001


def test_columns_that_mean_the_same_are_no_kinship() -> None:
    """Rows of both lie in one space of four columns' patterns, as those of two first layers trained on the same images.

    The cosine is then as wide as 1/sqrt(rows * 4) instead of 1/128: orders of rows and columns at once, which forget
    the space, call 3 of 10 such pairs kin.
    """
    hits = 0
    for seed in range(30):
        shared = gaussian(4, 160, 500 + seed)
        base, derived = (gaussian(160, 4, 600 + 2 * seed + i) @ shared for i in range(2))
        hits += aligned(base, derived, seed, draws=99).above + aligned(base.T, derived.T, seed, draws=99).above
    assert hits <= 4  # 60 times at most 1/100, the pairs of one seed not independent; 5 has probability 4e-4


def test_what_both_have_by_construction_cannot_be_told_from_kinship() -> None:
    """Two layers that began as an identity are above any order of their rows, and the answer's limits say so."""
    base, derived = (np.eye(160, dtype=np.float32) + 0.05 * gaussian(160, 160, seed) for seed in (30, 31))
    found = aligned(base, derived)
    assert found.above
    assert found.diagonal == pytest.approx(1.0 / (1.0 + 160.0 * 0.05**2), abs=0.1)  # the square of the cosine with it
    assert any("identity" in limit for limit in LIMITS)


@pytest.mark.parametrize("shape", [(160, 160), (200, 130), (64, 300)])
def test_what_an_identity_in_both_gives(shape: tuple[int, int]) -> None:
    eye, noise = np.eye(*shape, dtype=np.float32), gaussian(*shape, 40)
    assert aligned(eye + 1e-3 * noise, 7.0 * eye).diagonal == pytest.approx(1.0, abs=0.02)
    assert aligned(eye, -eye).diagonal == 0.0
    assert aligned(eye, noise).diagonal < 0.05  # only one of them
    assert aligned(noise, noise + 0.1 * gaussian(*shape, 41)).diagonal < 0.01


@pytest.mark.parametrize("strength", [0.02, 0.05, 0.1, 0.2, 0.3, 0.5])
def test_without_what_the_identity_gives_nothing_is_above(strength: float) -> None:
    """However weak it is beside the noise of either."""
    hits = 0
    for seed in range(10):
        base, derived = (np.eye(160) + strength * gaussian(160, 160, 700 + 2 * seed + i) for i in range(2))
        found = aligned(base, derived, seed)
        hits += found.cosine - found.diagonal > found.null_high
    assert hits <= 1  # 10 times at most 1/200; two have probability 1e-3


def test_one_loud_element_in_the_same_place_is_no_kinship() -> None:
    """As stored the cosine of these is 0.996, and no permutation brings the two elements together."""
    base, derived = gaussian(64, 64, 11), gaussian(64, 64, 12)
    for w in (base, derived):
        w[5, 7] = 1000.0
    found = aligned(base, derived)
    assert abs(found.cosine) < 0.1
    assert not found.above


@pytest.mark.slow
def test_chance_is_taken_for_kinship_as_rarely_as_it_says() -> None:
    """2,000 independent pairs at level 1/20: at most 100 expected, 141 has probability 1e-4."""
    hits = sum(aligned(gaussian(48, 48, 2 * i), gaussian(48, 48, 2 * i + 1), i, draws=19).above for i in range(2000))
    assert hits <= 141


def test_a_matrix_without_variance_has_no_cosine() -> None:
    flat = np.full((40, 40), 0.1, np.float32)
    assert alignment(flat, BASE[:40, :40], 9, generator(0, "x")) == Undefined("no_variance")
    assert alignment(BASE[:40, :40], np.zeros((40, 40), np.float32), 9, generator(0, "x")) == Undefined("no_variance")


def test_scale_does_not_matter() -> None:
    small, large = BASE * np.float32(1e-30), KIN["a fine-tune"] * np.float32(1e30)
    assert aligned(small, large).cosine == pytest.approx(aligned(BASE, KIN["a fine-tune"]).cosine, abs=1e-5)


def test_sorted_norms_see_through_an_order_and_nothing_else() -> None:
    rng = generator(0, "spread")
    shuffled = (BASE + 0.01 * gaussian(160, 200, 20))[np.random.default_rng(1).permutation(160)]
    assert (copy := sorted_distance(norms(BASE), norms(shuffled), rng)) is not None
    assert copy < 0.1
    ratios = [sorted_distance(norms(gaussian(160, 200, s)), norms(gaussian(160, 200, s + 50)), rng) for s in range(20)]
    found = np.array([r for r in ratios if r is not None])
    assert found.size == 20
    assert found.min() > 0.3
    assert 0.6 < np.median(found) < 1.6
    assert (other := sorted_distance(norms(BASE), norms(2.0 * BASE), rng)) is not None
    assert other > 5.0


def test_a_copy_in_another_order_is_nearer_than_two_draws_of_one_profile() -> None:
    """Scales of columns from 0.1 to 10 bring sorted norms of two draws together; rounding a copy moves them less."""
    profile, copies, strangers = np.geomspace(0.1, 10.0, 160), [], []
    for seed in range(10):
        w = gaussian(160, 200, 900 + seed)
        copy = w[np.random.default_rng(seed).permutation(160)].astype(ml_dtypes.bfloat16)
        copies.append(sorted_distance(norms(w), norms(copy), generator(seed, "spread")))
        pair = ((gaussian(200, 160, 920 + 2 * seed + i) * profile).T for i in range(2))
        strangers.append(sorted_distance(*map(norms, pair), generator(seed, "spread")))
    assert max(c for c in copies if c is not None) < PERMUTED < np.median([s for s in strangers if s is not None])


def test_equal_norms_tell_no_rows_apart() -> None:
    orthogonal = np.linalg.qr(gaussian(64, 64, 1))[0]
    assert sorted_distance(norms(orthogonal), norms(orthogonal), generator(0, "x")) is None
    assert sorted_distance(np.zeros(5), np.zeros(5), generator(0, "x")) is None
    assert sorted_distance(np.ones(1), np.ones(1), generator(0, "x")) is None
