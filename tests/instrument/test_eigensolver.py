"""The two routes to the eigenvalues of a symmetric matrix, against numpy and against spectra known by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollens.core.errors import TollensError
from tollens.instrument import eigensolver as module
from tollens.instrument.eigensolver import Reduction, one_stage, reduce, two_stage


def lower_of(M: int, char: str) -> np.ndarray:
    w = np.random.default_rng(M).standard_normal((M, M + 7))
    return np.asfortranarray(np.tril(w @ w.T), dtype=char)


@pytest.mark.parametrize(("char", "tolerance"), [("f", 5e-6), ("d", 2e-14)])
@pytest.mark.parametrize("M", [3, 4, 33, 95, 96, 97, 98, 191, 192, 193, 194, 200, 333])
def test_both_routes_agree_with_the_reference(M: int, char: str, tolerance: float) -> None:
    lower = lower_of(M, char)
    expected = np.linalg.eigvalsh(lower.astype(np.float64) + np.tril(lower, -1).T)
    for route in (one_stage, two_stage):
        values = route(lower.copy(order="F")).eigenvalues()
        np.testing.assert_allclose(values, expected, rtol=0, atol=tolerance * expected[-1])


@pytest.mark.parametrize("char", ["f", "d"])
def test_the_number_of_threads_does_not_change_a_bit(char: str) -> None:
    lower = lower_of(300, char)
    one = two_stage(lower.copy(order="F"), 1)
    for threads in (2, 3, 7):
        many = two_stage(lower.copy(order="F"), threads)
        np.testing.assert_array_equal(one.diagonal, many.diagonal)
        np.testing.assert_array_equal(one.below, many.below)


def test_the_second_difference_matrix_has_its_known_spectrum() -> None:
    """2 on the diagonal, -1 beside it, side n: eigenvalues 4 sin^2(k pi/(2(n+1))). Already tridiagonal."""
    n = 257
    lower = np.asfortranarray(2.0 * np.eye(n) - np.eye(n, k=-1))
    expected = 4.0 * np.sin(np.arange(1, n + 1) * np.pi / (2 * (n + 1))) ** 2
    np.testing.assert_allclose(two_stage(lower).eigenvalues(), expected, rtol=0, atol=1e-13)


@settings(max_examples=30, deadline=None)
@given(st.integers(3, 150), st.integers(0, 2**32 - 1))
def test_a_planted_spectrum_is_found(side: int, seed: int) -> None:
    """Q diag(x) Q' for a random orthogonal Q, with clusters and zeros in x."""
    rng = np.random.default_rng(seed)
    x = np.sort(rng.choice([0.0, 1.0, 1.0 + 1e-9, 3.0, *rng.uniform(0, 5, 20)], side))
    q, _ = np.linalg.qr(rng.standard_normal((side, side)))
    values = two_stage(np.asfortranarray(np.tril((q * x) @ q.T))).eigenvalues()
    np.testing.assert_allclose(values, x, rtol=0, atol=1e-13 * max(1.0, x[-1]) * side**0.5)


def test_the_choice_follows_the_side(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[str] = []

    def noted(name: str) -> Any:
        def route(lower: np.ndarray, threads: int = 1) -> Reduction:
            taken.append(name)
            return Reduction(np.ones(lower.shape[0]), np.zeros(lower.shape[0] - 1))

        return route

    monkeypatch.setattr(module, "one_stage", noted("one"))
    monkeypatch.setattr(module, "two_stage", noted("two"))
    for side in (module.TWO_STAGE_SIDE - 1, module.TWO_STAGE_SIDE):
        reduce(np.eye(side, order="F"))
    assert taken == ["one", "two"]


class Stuck:
    """A native solver that gives up."""

    @staticmethod
    def tridiagonal_eigenvalues(*_: object) -> bool:
        return False


def test_failure_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_native", Stuck)
    with pytest.raises(TollensError) as caught:
        reduce(np.asfortranarray(np.eye(3))).eigenvalues()
    assert caught.value.code == "eigensolver_failed"


@pytest.mark.parametrize(("char", "tolerance"), [("f", 3e-6), ("d", 1e-13)])
@pytest.mark.parametrize("side", [1, 2, 9, 64, 150])
def test_top_vectors_are_eigenvectors(side: int, char: str, tolerance: float) -> None:
    lower = lower_of(side, char)
    full = lower.astype(np.float64) + np.tril(lower, -1).T
    count = min(5, side)
    found = reduce(lower.copy(order="F"))
    vectors, values = found.top_vectors(count), found.eigenvalues()[::-1][:count]
    assert np.abs(vectors @ vectors.T - np.eye(count)).max() < 10 * tolerance
    assert np.abs(vectors @ full - values[:, None] * vectors).max() < 10 * tolerance * values[0]


def test_equal_eigenvalues_have_orthogonal_vectors() -> None:
    q, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((40, 40)))
    x = np.r_[np.ones(36), 5.0, 5.0, 5.0, 9.0]
    vectors = reduce(np.asfortranarray(np.tril((q * x) @ q.T))).top_vectors(4)
    assert np.abs(vectors @ vectors.T - np.eye(4)).max() < 1e-12
    assert np.abs((vectors @ q)[:, :36]).max() < 1e-12


def test_vectors_that_do_not_converge_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def gives_up(*_: object, **__: object) -> None:
        raise np.linalg.LinAlgError("no convergence")

    monkeypatch.setattr(module, "eigh_tridiagonal", gives_up)
    with pytest.raises(TollensError) as caught:
        reduce(lower_of(20, "d")).top_vectors(2)
    assert caught.value.code == "did_not_converge"


def test_two_stages_keep_no_vectors() -> None:
    with pytest.raises(ValueError, match="no vectors"):
        two_stage(lower_of(40, "d")).top_vectors(1)


def test_a_matrix_in_c_order_is_refused() -> None:
    with pytest.raises(TypeError):
        two_stage(np.ascontiguousarray(lower_of(200, "d")))


def test_wrong_sizes_are_refused_by_the_compiled_side() -> None:
    a, api = np.eye(4, order="F"), module._routines("d")
    with pytest.raises(ValueError, match="diagonal"):
        module._native.tridiagonalise_f64(a, np.empty(3), np.empty(3), 2, 1, api)
    with pytest.raises(ValueError, match="four entries"):
        module._native.tridiagonalise_f64(a, np.empty(4), np.empty(3), 2, 1, api[:3])
