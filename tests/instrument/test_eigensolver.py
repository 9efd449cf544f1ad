from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tollens.core.errors import TollensError
from tollens.instrument import eigensolver as module
from tollens.instrument.eigensolver import one_stage, solver_name, symmetric_eigenvalues, two_stage


@pytest.fixture(autouse=True)
def _fresh_lookup() -> Iterator[None]:
    two_stage.cache_clear()
    yield
    two_stage.cache_clear()


def lower_of(M: int, char: str) -> np.ndarray:
    w = np.random.default_rng(M).standard_normal((M, M + 7))
    return np.asfortranarray(np.tril(w @ w.T), dtype=char)


@pytest.mark.parametrize(("char", "tolerance"), [("f", 5e-6), ("d", 2e-14)])
@pytest.mark.parametrize("M", [1, 2, 3, 33, 200])
def test_both_routes_agree_with_the_reference(M: int, char: str, tolerance: float) -> None:
    lower = lower_of(M, char)
    full = lower.astype(np.float64) + np.tril(lower, -1).T
    expected = np.linalg.eigvalsh(full)
    routes = [one_stage, two_stage(char)]
    for route in routes:
        if route is None:
            continue
        values, info = route(lower.copy(order="F"))
        assert info == 0
        np.testing.assert_allclose(values, expected, rtol=0, atol=tolerance * expected[-1])


@pytest.mark.parametrize("char", ["f", "d"])
def test_the_choice_follows_the_side_and_is_announced(char: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TWO_STAGE_SIDE", 64)
    precision = "f32" if char == "f" else "f64"
    kind = "s" if char == "f" else "d"
    assert solver_name(63, precision) == f"{kind}syevd"
    expected = f"{kind}syevd_2stage" if two_stage(char) is not None else f"{kind}syevd"
    assert solver_name(64, precision) == expected
    a, b = lower_of(64, char), lower_of(63, char)
    for lower in (a, b):
        full = lower.astype(np.float64) + np.tril(lower, -1).T
        top = np.linalg.eigvalsh(full)[-1]
        assert symmetric_eigenvalues(lower)[-1] == pytest.approx(top, rel=1e-5)


def test_without_the_routine_the_other_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_openblas_of_scipy", lambda: ["/nowhere/libopenblas.so"])
    assert two_stage("d") is None
    monkeypatch.setattr(module, "TWO_STAGE_SIDE", 8)
    assert solver_name(8, "f64") == "dsyevd"
    np.testing.assert_allclose(symmetric_eigenvalues(np.asfortranarray(np.eye(8))), np.ones(8))


def test_a_routine_that_answers_wrongly_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(routine: Any) -> module.Solver:
        return lambda lower: (np.arange(lower.shape[0], dtype=lower.dtype), 0)

    monkeypatch.setattr(module, "_bound", wrong)
    assert two_stage("d") is None


def test_failure_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "one_stage", lambda lower: (np.zeros(3), 2))
    with pytest.raises(TollensError) as caught:
        symmetric_eigenvalues(np.asfortranarray(np.eye(3)))
    assert caught.value.code == "eigensolver_failed"


def test_a_matrix_in_c_order_is_refused_by_the_bound_routine() -> None:
    solver = two_stage("d")
    if solver is None:
        pytest.skip("the OpenBLAS of scipy has no two-stage routine here")
    with pytest.raises(ValueError, match="Fortran"):
        solver(np.ones((3, 4)))
