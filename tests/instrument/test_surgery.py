"""Extraction, stability and removal of traps: identities at 1e-10, overlaps against their theory."""

from __future__ import annotations

import numpy as np
import pytest

from tollens.instrument.permutation import PermutationKey, draw_key
from tollens.instrument.surgery import (
    Mode,
    expected_overlap,
    extract,
    extract_sum,
    outlier_modes,
    remove,
    remove_trap,
    stability,
)

KEY = PermutationKey(123, 456)
LEVEL = 0.002


def planted(shape: tuple[int, int], theta: float, seed: int = 0) -> np.ndarray:
    """Noise of variance 1 and one element of theta*sqrt(N): theta in units where noise has variance 1/N."""
    matrix = np.random.default_rng(seed).standard_normal(shape)
    matrix[2, 3] = theta * max(shape) ** 0.5
    return matrix


@pytest.mark.parametrize("shape", [(200, 300), (300, 200), (256, 256), (600, 700)])
def test_identities_of_extraction(shape: tuple[int, int]) -> None:
    """||T||_F = s, <W,T> = s^2, ||W-T||^2 = ||W||^2 - s^2: exact for a singular triple of a rearrangement of
    W.

    The last shape takes the iterative solver."""
    W = planted(shape, 3.0) + 0.2
    before = W.copy()
    modes = outlier_modes(W, KEY, 1, LEVEL)
    assert len(modes) == 2
    assert modes[0].s > modes[1].s
    for mode in modes:
        T = extract(mode)
        assert np.linalg.norm(T) == pytest.approx(mode.s, rel=1e-10)
        assert np.vdot(W, T) == pytest.approx(mode.s**2, rel=1e-10)
        assert np.sum((W - T) ** 2) == pytest.approx(np.sum(W**2) - mode.s**2, rel=1e-10)
    assert abs(np.vdot(extract(modes[0]), extract(modes[1]))) < 1e-8 * modes[0].s * modes[1].s
    np.testing.assert_allclose(extract_sum(modes), extract(modes[0]) + extract(modes[1]), atol=1e-10)
    np.testing.assert_array_equal(W, before)


def test_iterative_and_dense_solvers_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    W = planted((600, 700), 3.0)
    iterative = outlier_modes(W, KEY, 0, LEVEL)
    monkeypatch.setattr("tollens.instrument.surgery.DENSE_SIDE", 10_000)
    dense = outlier_modes(W, KEY, 0, LEVEL)
    assert [m.s for m in iterative] == pytest.approx([m.s for m in dense], rel=1e-12)
    assert abs(np.vdot(extract(iterative[0]), extract(dense[0]))) == pytest.approx(dense[0].s ** 2, rel=1e-9)


def test_noise_has_no_modes() -> None:
    W = np.random.default_rng(1).standard_normal((150, 250))
    assert outlier_modes(W, KEY, 0, LEVEL) == []
    assert stability(W, KEY, 3, LEVEL) == []
    with pytest.raises(ValueError, match="variance"):
        outlier_modes(np.ones((9, 9)), KEY, 0, LEVEL)


def test_a_mode_is_regenerable_from_its_identifier() -> None:
    W = planted((200, 200), 2.5)
    assert outlier_modes(W, KEY, 4, LEVEL)[0].s == outlier_modes(W.copy(), KEY, 4, LEVEL)[0].s


def test_expected_overlap_known_answer() -> None:
    """c = 1, theta = 2: lambda = 6.25 N, both squared overlaps 1 - 5/20 = 0.75, product 0.5625."""
    u = np.full(400, 0.05)
    mode = Mode((6.25 * 400) ** 0.5, u, u, KEY, 0, 1.0)
    assert expected_overlap(mode, mode) == pytest.approx(0.5625, abs=1e-12)
    below = Mode((3.9 * 400) ** 0.5, u, u, KEY, 0, 1.0)
    assert expected_overlap(mode, below) == 0.0


def test_overlaps_of_one_source_match_theory() -> None:
    """Mean over 12 permutation pairs at 400 x 400, theta = 2: 0.5625 within 0.06."""
    found = stability(planted((400, 400), 2.0), KEY, 13, LEVEL)
    assert len(found) == 1
    assert found[0].stable
    assert np.mean(found[0].overlaps) == pytest.approx(0.5625, abs=0.06)
    assert np.mean(found[0].expected) == pytest.approx(0.5625, abs=0.06)


def test_a_mode_that_others_do_not_share_is_not_stable() -> None:
    """At level 0.5 the top of plain noise often counts as an outlier; its modes do not match each other."""
    W = np.random.default_rng(3).standard_normal((200, 200))
    checked = 0
    for seed in range(12):
        for found in stability(W, draw_key(np.random.default_rng(seed)), 6, 0.5):
            checked += 1
            assert max(found.overlaps) < 0.3
            assert not found.stable
    assert checked >= 2
    with pytest.raises(ValueError, match="two"):
        stability(W, KEY, 1, 0.5)


def test_removal_with_and_without_replacement() -> None:
    W = planted((256, 256), 8.0)
    modes = outlier_modes(W, KEY, 0, LEVEL)
    T = extract(modes[0])
    bare = remove(W, modes, "none", np.random.default_rng(0))
    np.testing.assert_allclose(bare, W - T, atol=1e-12)
    filled = remove(W, modes, "gaussian", np.random.default_rng(0))
    R = filled - bare
    assert R.mean() == pytest.approx(T.mean(), abs=5 * T.std() / 256)
    assert np.sum(R**2) == pytest.approx(modes[0].s ** 2, rel=5 * (2 / R.size) ** 0.5)
    assert abs(bare[2, 3]) < 0.1 * abs(W[2, 3])  # overlaps at theta 8: 1 - 1/64 each
    again = remove(W, modes, "gaussian", np.random.default_rng(0))
    np.testing.assert_array_equal(filled, again)


def test_remove_trap_leaves_no_outlier_and_noise_untouched() -> None:
    W = planted((256, 256), 8.0).astype(np.float32)
    edited = remove_trap(W, np.random.default_rng(1))
    assert edited.dtype == np.float64
    assert outlier_modes(edited, KEY, 0, LEVEL) == []
    assert np.sum((edited - W) ** 2) > 1000.0
    bare = remove_trap(W, np.random.default_rng(1), replacement="none")
    assert np.sum(bare**2) < np.sum(edited**2)
    for same in (np.random.default_rng(2).standard_normal((100, 120)), np.ones((20, 20))):
        np.testing.assert_array_equal(remove_trap(same, np.random.default_rng(3)), same)


def test_removal_refuses_what_does_not_belong_together() -> None:
    W = planted((128, 128), 6.0)
    mixed = [*outlier_modes(W, KEY, 0, LEVEL), *outlier_modes(W, KEY, 1, LEVEL)]
    for modes in (mixed, []):
        with pytest.raises(ValueError, match="permutation"):
            remove(W, modes, "none", np.random.default_rng(0))
