from __future__ import annotations

import dataclasses
import math
import tracemalloc

import numpy as np
import pytest

from tollens.core.errors import TollensError
from tollens.core.reading import Status, Undefined
from tollens.instrument import eigensolver
from tollens.instrument import spectrum as module
from tollens.instrument.spectrum import (
    Spectrum,
    blind_floor,
    gram,
    needs_f64,
    singular_values,
    spectrum,
    spectrum_of,
)

SHAPES = [(30, 50), (50, 30), (1, 7), (7, 1), (2, 2), (64, 64), (3, 1000)]


def draw(shape: tuple[int, int], dtype: type = np.float64, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("shape", SHAPES)
def test_eigenvalues_are_squared_singular_values(shape: tuple[int, int]) -> None:
    w = draw(shape)
    expected = np.linalg.svd(w, compute_uv=False)[::-1] ** 2
    exact = spectrum_of(w, "f64")
    fast = spectrum_of(w.astype(np.float32), "f32")
    assert (exact.M, exact.N, exact.precision) == (min(shape), max(shape), "f64")
    np.testing.assert_allclose(exact.eigenvalues, expected, rtol=0, atol=1e-15 * 10 * expected[-1])
    np.testing.assert_allclose(fast.eigenvalues, expected, rtol=0, atol=1e-6 * expected[-1])
    np.testing.assert_allclose(singular_values(w) ** 2, expected[::-1], rtol=1e-12)


def test_two_by_two_by_hand() -> None:
    """lambda = (f +- sqrt(f^2 - 4 d^2))/2 with f the squared Frobenius norm and d the determinant."""
    a, b, c, d = 3.0, 1.0, -2.0, 5.0
    f, det = a * a + b * b + c * c + d * d, a * d - b * c
    root = math.sqrt(f * f - 4 * det * det)
    found = spectrum_of(np.array([[a, b], [c, d]]), "f64").eigenvalues
    np.testing.assert_allclose(found, [(f - root) / 2, (f + root) / 2], rtol=1e-14)


@pytest.mark.parametrize("precision", ["f32", "f64"])
def test_scaling_by_a_power_of_two_is_exact(precision: module.Precision) -> None:
    """Down to subnormal elements and up to the largest: the spectrum is rescaled before squaring."""
    w = np.ldexp(np.round(np.ldexp(np.clip(draw((12, 20)) / 8, -0.9, 0.9), 8)), -8).astype(np.float32)
    assert abs(w).max() > 0.25
    base = spectrum_of(w, precision)
    for k in (-140, -126, -60, -1, 3, 90, 127):
        scaled = np.ldexp(w, k)
        assert np.array_equal(np.ldexp(scaled.astype(np.float64), -k), w)  # the input itself lost nothing
        found = spectrum_of(scaled, precision)  # type: ignore[misc]
        assert np.array_equal(found.eigenvalues, np.ldexp(base.eigenvalues, 2 * k))
        assert found.blind_floor == base.blind_floor * 4.0**k


def test_float64_weights_beyond_float32_are_scaled_before_they_are_cast() -> None:
    w = draw((10, 14))
    base = spectrum_of(w, "f32").eigenvalues
    found = spectrum_of(np.ldexp(w, 400), "f32").eigenvalues
    assert np.array_equal(found, np.ldexp(base, 800))


@pytest.mark.parametrize("power", [600, -600])
def test_eigenvalues_outside_float64_are_refused(power: int) -> None:
    with pytest.raises(TollensError) as caught:
        spectrum_of(np.ldexp(draw((10, 14)), power), "f64")
    assert caught.value.code == "scale_out_of_range"


def test_eigensolver_failure_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stuck:
        tridiagonal_eigenvalues = staticmethod(lambda *_: False)

    monkeypatch.setattr(eigensolver, "_native", Stuck)
    with pytest.raises(TollensError) as caught:
        spectrum_of(draw((10, 14)), "f64")
    assert caught.value.code == "eigensolver_failed"


@pytest.mark.parametrize("shape", [(40, 9), (9, 40)])
def test_gram_by_panels_equals_the_whole(shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    w = draw(shape, np.float32)
    full = w.astype(np.float64)
    expected = full @ full.T if shape[0] < shape[1] else full.T @ full
    monkeypatch.setattr(module, "PANEL_BYTES", 8 * 9 * 7)  # seven lines a panel, the last one short
    found = gram(w, "f64")
    np.testing.assert_allclose(np.tril(found), np.tril(expected), rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(np.tril(gram(full, "f64")), np.tril(expected), rtol=1e-13, atol=1e-14)


def test_gram_refuses_a_silent_copy_to_float32() -> None:
    with pytest.raises(ValueError, match="float32"):
        gram(draw((4, 4)), "f32")


@pytest.mark.parametrize("shape", [(64, 40_000), (40_000, 64)])
@pytest.mark.parametrize("precision", ["f32", "f64"])
def test_no_copy_of_the_matrix_is_made(shape: tuple[int, int], precision: module.Precision) -> None:
    """The matrix takes 10 MB in float32 and 20 MB in float64; a panel is held to 2 MB."""
    w = draw(shape, np.float32)
    tracemalloc.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PANEL_BYTES", 2 << 20)
        gram(w, precision)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < (6 << 20 if precision == "f64" else 1 << 20)


def test_transpose_and_permutation_change_nothing() -> None:
    w = draw((40, 25))
    rng = np.random.default_rng(1)
    base = spectrum_of(w, "f64")
    for other in (w.T.copy(), w[rng.permutation(40)], w[:, rng.permutation(25)].copy()):
        found = spectrum_of(other, "f64")  # type: ignore[misc]
        np.testing.assert_allclose(found.eigenvalues, base.eigenvalues, rtol=1e-12, atol=1e-13)


def test_zero_constant_and_single_row() -> None:
    zero = spectrum_of(np.zeros((3, 5), np.float32))
    assert zero.lambda_max == 0.0
    assert zero.visible.size == 0
    constant = spectrum_of(np.full((20, 30), -0.5), "f64")  # rank 1 with lambda = a^2 N M
    assert constant.lambda_max == pytest.approx(0.25 * 600, rel=1e-14)
    assert constant.visible.size == 1
    row = spectrum_of(np.array([[3.0, 0.0, 4.0]], np.float32))
    np.testing.assert_allclose(row.eigenvalues, [25.0], rtol=1e-6)


@pytest.mark.parametrize("M", [64, 512])
@pytest.mark.parametrize("precision", ["f32", "f64"])
def test_rounding_of_a_deficient_matrix_is_below_the_floor(M: int, precision: module.Precision) -> None:
    rng = np.random.default_rng(2)
    w = rng.standard_normal((M, M // 2)) @ rng.standard_normal((M // 2, M))
    if precision == "f32":
        w = w.astype(np.float32)
    found = spectrum_of(w, precision)
    assert found.eigenvalues[M // 2 - 1] <= found.blind_floor < found.eigenvalues[M // 2]
    assert found.visible.size == M // 2


def test_blind_floor_follows_the_precision() -> None:
    assert blind_floor(2.0, 100, "f32") == 2e-6
    assert blind_floor(2.0, 100, "f64") == 2e-15
    assert blind_floor(1.0, 1 << 14, "f64") == 2.0**-52 * 128 / 4


def test_escalation_where_f32_is_blind() -> None:
    x = np.linspace(1.0, 100.0, 50)
    seen = Spectrum(x, 50, 60, 1e-4, "f32")
    assert not needs_f64(seen)
    assert not needs_f64(seen, 1e-3)
    assert needs_f64(seen, 0.99e-3)
    assert not needs_f64(seen, Undefined("no_spread"))
    assert needs_f64(Spectrum(x, 50, 60, float(x[26]), "f32"))  # 23 of 50 visible
    assert not needs_f64(Spectrum(x, 50, 60, float(x[24]), "f32"))  # 25 of 50
    assert not needs_f64(Spectrum(x, 50, 60, float(x[26]), "f64"))
    assert not needs_f64(Spectrum(np.zeros(5), 5, 6, 0.0, "f32"))


def test_the_instrument() -> None:
    for known in spectrum.known_answers:
        found = next(r for r in spectrum.measure(known.part()) if r.quantity == known.quantity)
        assert found.value == pytest.approx(known.value, abs=known.tolerance)
    part = spectrum.known_answers[0].part()
    w = part.load()
    deviation = w - w.mean()
    assert part.moments.std == pytest.approx(w.std(), rel=1e-14)
    assert part.moments.kurtosis == pytest.approx(float(np.mean(deviation**4)) / w.std() ** 4, rel=1e-13)
    assert part.moments.max_abs_deviation == pytest.approx(abs(deviation).max(), rel=1e-14)
    empty = dataclasses.replace(part, spectrum=Spectrum(np.zeros(10), 10, 10, 0.0, "f64"))
    top, least, floor = spectrum.measure(empty)
    assert (top.value, floor.value) == (0.0, 0.0)
    assert (least.status, least.reason) == (Status.UNDEFINED, "zero_matrix")
