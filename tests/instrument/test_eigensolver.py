"""The two routes to the eigenvalues of a symmetric matrix, against numpy and against spectra known by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollens.core.errors import TollensError
from tollens.instrument import eigensolver as module
from tollens.instrument.eigensolver import one_stage, symmetric_eigenvalues, two_stage


def lower_of(M: int, char: str) -> np.ndarray:
    w = np.random.default_rng(M).standard_normal((M, M + 7))
    return np.asfortranarray(np.tril(w @ w.T), dtype=char)


@pytest.mark.parametrize(("char", "tolerance"), [("f", 5e-6), ("d", 2e-14)])
@pytest.mark.parametrize("M", [3, 4, 33, 95, 96, 97, 98, 191, 192, 193, 194, 200, 333])
def test_both_routes_agree_with_the_reference(M: int, char: str, tolerance: float) -> None:
    lower = lower_of(M, char)
    expected = np.linalg.eigvalsh(lower.astype(np.float64) + np.tril(lower, -1).T)
    for route in (one_stage, two_stage):
        values, info = route(lower.copy(order="F"))
        assert info == 0
        np.testing.assert_allclose(values, expected, rtol=0, atol=tolerance * expected[-1])


@pytest.mark.parametrize("char", ["f", "d"])
def test_the_number_of_threads_does_not_change_a_bit(char: str) -> None:
    lower = lower_of(300, char)
    one, _ = two_stage(lower.copy(order="F"), 1)
    for threads in (2, 3, 7):
        many, _ = two_stage(lower.copy(order="F"), threads)
        np.testing.assert_array_equal(one, many)


def test_the_second_difference_matrix_has_its_known_spectrum() -> None:
    """2 on the diagonal, -1 beside it, side n: eigenvalues 4 sin^2(k pi/(2(n+1))). Already tridiagonal."""
    n = 257
    lower = np.asfortranarray(2.0 * np.eye(n) - np.eye(n, k=-1))
    expected = 4.0 * np.sin(np.arange(1, n + 1) * np.pi / (2 * (n + 1))) ** 2
    np.testing.assert_allclose(two_stage(lower)[0], expected, rtol=0, atol=1e-13)


@settings(max_examples=30, deadline=None)
@given(st.integers(3, 150), st.integers(0, 2**32 - 1))
def test_a_planted_spectrum_is_found(side: int, seed: int) -> None:
    """Q diag(x) Q' for a random orthogonal Q, with clusters and zeros in x."""
    rng = np.random.default_rng(seed)
    x = np.sort(rng.choice([0.0, 1.0, 1.0 + 1e-9, 3.0, *rng.uniform(0, 5, 20)], side))
    q, _ = np.linalg.qr(rng.standard_normal((side, side)))
    values, info = two_stage(np.asfortranarray(np.tril((q * x) @ q.T)))
    assert info == 0
    np.testing.assert_allclose(values, x, rtol=0, atol=1e-13 * max(1.0, x[-1]) * side**0.5)


def test_the_choice_follows_the_side(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[str] = []

    def noted(name: str) -> Any:
        def route(lower: np.ndarray, threads: int) -> tuple[np.ndarray, int]:
            taken.append(name)
            return np.ones(lower.shape[0]), 0

        return route

    monkeypatch.setattr(module, "one_stage", noted("one"))
    monkeypatch.setattr(module, "two_stage", noted("two"))
    for side in (module.TWO_STAGE_SIDE - 1, module.TWO_STAGE_SIDE):
        symmetric_eigenvalues(np.eye(side, order="F"))
    assert taken == ["one", "two"]


def test_failure_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "one_stage", lambda lower, threads: (np.zeros(3), 2))
    with pytest.raises(TollensError) as caught:
        symmetric_eigenvalues(np.asfortranarray(np.eye(3)))
    assert caught.value.code == "eigensolver_failed"


def test_a_matrix_in_c_order_is_refused() -> None:
    with pytest.raises(TypeError):
        two_stage(np.ascontiguousarray(lower_of(200, "d")))


def test_wrong_sizes_are_refused_by_the_compiled_side() -> None:
    a, api = np.eye(4, order="F"), module._routines("d")
    with pytest.raises(ValueError, match="diagonal"):
        module._native.tridiagonalise_f64(a, np.empty(3), np.empty(3), 2, 1, api)
    with pytest.raises(ValueError, match="four entries"):
        module._native.tridiagonalise_f64(a, np.empty(4), np.empty(3), 2, 1, api[:3])
