from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tollens.core.reading import Status, Undefined
from tollens.instrument import norms as module
from tollens.instrument.norms import (
    alpha_hat,
    alpha_norms,
    entropy_rank,
    fro2,
    log10_alpha_norm,
    log10_fro2,
    log10_spectral2,
    norms,
    numerical_rank,
    participation_rank,
    rank_tolerance,
    spectral2,
    stable_rank,
)
from tollens.instrument.part import Moments, Part
from tollens.instrument.spectrum import spectrum_of
from tollens.instrument.tail import TailFit

RANKS = (stable_rank, entropy_rank, participation_rank)


def eigenvalues(matrix: np.ndarray) -> np.ndarray:
    return np.sort(np.linalg.svd(matrix, compute_uv=False).astype(np.float64) ** 2)


def part_of(matrix: np.ndarray, tail: object = None, source_dtype: str = "F64") -> Part:
    deviation = matrix - matrix.mean()
    moments = Moments(
        matrix.size,
        float(matrix.mean()),
        float(matrix.std()),
        float(np.abs(deviation).max()),
        3.0,
        int(np.count_nonzero(matrix)),
    )
    spectrum = spectrum_of(np.array(matrix, dtype=np.float64), "f64")
    return Part("w", matrix.shape, source_dtype, lambda: matrix.copy(), moments, spectrum, tail)  # type: ignore[arg-type]


def test_plain_example() -> None:
    x = np.array([1.0, 1.0, 2.0])  # sum 4, max 2, squares 6, p = 1/4, 1/4, 1/2
    assert fro2(x) == 4.0
    assert spectral2(x) == 2.0
    assert log10_fro2(x) == pytest.approx(math.log10(4.0), abs=1e-15)
    assert log10_spectral2(x) == pytest.approx(math.log10(2.0), abs=1e-15)
    assert stable_rank(x) == 2.0
    assert entropy_rank(x) == pytest.approx(2.0**1.5, rel=1e-14)  # entropy = 1.5 ln 2
    assert participation_rank(x) == pytest.approx(16.0 / 6.0, rel=1e-14)
    assert log10_alpha_norm(x, 3.0) == pytest.approx(1.0, rel=1e-14)  # 1 + 1 + 8 = 10
    assert alpha_hat(x, 3.0) == pytest.approx(3.0 * math.log10(2.0), rel=1e-14)


def test_zero_matrix() -> None:
    x = np.zeros(5)
    assert fro2(x) == 0.0
    assert spectral2(x) == 0.0
    assert numerical_rank(x, rank_tolerance(0.0, 9, 5, 0.0, "f32")) == 0
    for undefined in (
        log10_fro2(x),
        log10_spectral2(x),
        stable_rank(x),
        entropy_rank(x),
        participation_rank(x),
        log10_alpha_norm(x, 2.0),
        alpha_hat(x, 2.0),
    ):
        assert undefined == Undefined("zero_matrix")


def test_constant_matrix() -> None:
    """All elements a: W = a*1*1' has the single singular value a*sqrt(NM)."""
    a, N, M = 0.25, 48, 20
    answers = {r.quantity: r for r in norms.measure(part_of(np.full((N, M), a)))}
    assert answers["spectral2"].value == pytest.approx(a**2 * N * M, rel=1e-13)
    assert answers["numerical_rank"].value == 1
    for quantity in ("stable_rank", "entropy_rank", "participation_rank"):
        assert answers[quantity].value == pytest.approx(1.0, abs=1e-11)


def test_rank_one() -> None:
    x = np.array([0.0, 0.0, 7.0])
    assert [f(x) for f in RANKS] == [1.0, 1.0, 1.0]
    assert numerical_rank(x, 1e-12) == 1


def test_one_row() -> None:
    w = np.array([[3.0, 4.0, 12.0]])
    answers = {r.quantity: r.value for r in norms.measure(part_of(w))}
    assert answers["spectral2"] == pytest.approx(169.0, rel=1e-14)
    assert answers["fro2"] == pytest.approx(169.0, rel=1e-14)
    assert answers["numerical_rank"] == 1


def test_two_by_two() -> None:
    """lambda = (f +- sqrt(f^2 - 4 d^2))/2 with f the squared Frobenius norm and d the determinant."""
    w = np.array([[1.0, 2.0], [3.0, 5.0]])
    f, d = 39.0, -1.0
    top = (f + math.sqrt(f * f - 4.0 * d * d)) / 2.0
    answers = {r.quantity: r.value for r in norms.measure(part_of(w))}
    assert answers["spectral2"] == pytest.approx(top, rel=1e-14)
    assert answers["stable_rank"] == pytest.approx(f / top, rel=1e-14)
    assert answers["participation_rank"] == pytest.approx(f * f / (f * f - 2.0 * d * d), rel=1e-14)
    assert answers["numerical_rank"] == 2


def test_orthogonal_matrix() -> None:
    q = np.linalg.qr(np.random.default_rng(1).standard_normal((40, 40)))[0]
    answers = {r.quantity: r.value for r in norms.measure(part_of(q))}
    for quantity in ("stable_rank", "entropy_rank", "participation_rank"):
        assert answers[quantity] == pytest.approx(40.0, rel=1e-12)
    assert answers["numerical_rank"] == 40


def test_gaussian_stable_rank() -> None:
    """pq/(sqrt p + sqrt q)^2 = 56.9 at 512 x 128; a finite one has a smaller top eigenvalue: about 58.3."""
    limit = 512 * 128 / (math.sqrt(512) + math.sqrt(128)) ** 2
    assert limit == pytest.approx(56.889, abs=1e-3)
    rng = np.random.default_rng(3)
    found = np.mean([stable_rank(eigenvalues(rng.standard_normal((512, 128)))) for _ in range(10)])
    assert found == pytest.approx(limit, rel=0.04)
    assert found == pytest.approx(58.3, abs=0.7)


def test_rank_tolerance_is_the_noise_of_the_stored_type() -> None:
    """Storing a rank-8 matrix in bf16 adds noise of full rank; the tolerance lies just above that noise."""
    import ml_dtypes

    rng = np.random.default_rng(5)
    exact = rng.standard_normal((300, 8)) @ rng.standard_normal((8, 100))
    stored = exact.astype(ml_dtypes.bfloat16).astype(np.float64)
    x = eigenvalues(stored)
    rms = float(np.sqrt(np.mean(stored**2)))
    tolerance = rank_tolerance(math.sqrt(x[-1]), 300, 100, rms, "BF16")
    assert numerical_rank(x, tolerance) == 8
    assert numerical_rank(x, rank_tolerance(math.sqrt(x[-1]), 300, 100, rms, "F64")) == 100
    assert tolerance < 2.0 * math.sqrt(x[-9])


def test_rank_tolerance_by_hand() -> None:
    # f32: u = 2^-24; (u/sqrt 3)*2*(3 + 2) against 1*9*2^-52
    assert rank_tolerance(1.0, 9, 4, 2.0, "F32") == pytest.approx(2.0**-24 / math.sqrt(3) * 10.0, rel=1e-14)
    assert rank_tolerance(1e9, 9, 4, 0.0, "f32") == pytest.approx(9e9 * 2.0**-52, rel=1e-14)
    with pytest.raises(KeyError):
        rank_tolerance(1.0, 9, 4, 1.0, "I8")


def test_rank_respects_the_blind_floor() -> None:
    x = np.array([1e-9, 1e-5, 1.0])
    assert numerical_rank(x, 1e-6) == 3
    assert numerical_rank(x, 1e-6, blind_floor=1e-6) == 2


def test_a_rank_limited_by_the_floor_says_so() -> None:
    w = np.diag([1.0, 1e-4, 1e-5]).astype(np.float32)
    spectrum = spectrum_of(w, "f32")  # floor 1e-6 in lambda hides 1e-8 and 1e-10
    part = Part("w", (3, 3), "F32", w.copy, Moments(9, 0.0, 0.34, 1.0, 3.0, 3), spectrum)
    rank = next(r for r in norms.measure(part) if r.quantity == "numerical_rank")
    assert rank.value == 1
    assert rank.flags == ("lower_bound",)
    full = next(r for r in norms.measure(part_of(w)) if r.quantity == "numerical_rank")
    assert full.value == 3
    assert full.flags == ()


@pytest.mark.parametrize("dtype", ["Q4_K", "F8_E4M3FNUZ"])
def test_a_type_without_eps_has_norms_and_no_rank(dtype: str) -> None:
    w = np.diag([1.0, 1e-4, 1e-5])
    part = Part("w", (3, 3), dtype, w.copy, Moments(9, 0.0, 0.34, 1.0, 3.0, 3), spectrum_of(w, "f64"))
    found = {r.quantity: r for r in norms.measure(part)}
    for quantity in ("numerical_rank", "rank_tolerance"):
        assert (found[quantity].status, found[quantity].reason) == (Status.UNDEFINED, "no_rounding_step")
    assert found["fro2"].value == pytest.approx(1.0 + 1e-8 + 1e-10)


def test_alpha_norms_give_the_reason_of_the_tail() -> None:
    w = np.random.default_rng(0).standard_normal((30, 20))
    missing = alpha_norms.measure(part_of(w, Undefined("tail_too_short")))
    assert [(r.status, r.reason) for r in missing] == [(Status.UNDEFINED, "tail_too_short")] * 2
    found = {r.quantity: r.value for r in alpha_norms.measure(part_of(w, TailFit(2.5, 0.1, 1.0, 0, 20, 0.1)))}
    x = eigenvalues(w)
    assert found["alpha_hat"] == pytest.approx(2.5 * math.log10(x[-1]), rel=1e-12)
    assert found["log10_alpha_norm"] == pytest.approx(math.log10(np.sum(x**2.5)), rel=1e-12)


def test_known_answers_hold() -> None:
    for instrument in (norms, alpha_norms):
        assert instrument.known_answers
        for known in instrument.known_answers:
            found = {r.quantity: r.value for r in instrument.measure(known.part())}[known.quantity]
            assert found == pytest.approx(known.value, abs=known.tolerance)


def test_every_stored_float_type_has_its_eps() -> None:
    """Derived from the types themselves: the distance from 1 to the next number."""
    import ml_dtypes

    types = {
        "f64": np.float64,
        "f32": np.float32,
        "f16": np.float16,
        "bf16": ml_dtypes.bfloat16,
        "f8_e4m3": ml_dtypes.float8_e4m3fn,
        "f8_e5m2": ml_dtypes.float8_e5m2,
    }
    derived = {k: float(ml_dtypes.finfo(t).eps) for k, t in types.items()}
    assert derived == module.STORED_EPS


spectra = arrays(np.float64, st.integers(1, 40), elements=st.floats(0.0, 1.0, allow_subnormal=False)).map(np.sort)


@given(spectra)
def test_ranks_lie_between_one_and_M(x: np.ndarray) -> None:
    for rank in RANKS:
        value = rank(x)
        if x[-1] == 0.0:
            assert value == Undefined("zero_matrix")
        else:
            assert 1.0 - 1e-12 <= value <= x.size * (1.0 + 1e-12)
    assert 0 <= numerical_rank(x, 1e-3) <= x.size


@given(spectra)
def test_stable_rank_is_the_smallest(x: np.ndarray) -> None:
    """Renyi entropies fall with their order: order 1 >= order 2 >= order infinity."""
    if x[-1] > 0.0:
        assert entropy_rank(x) >= participation_rank(x) * (1 - 1e-12)  # type: ignore[operator]
        assert participation_rank(x) >= stable_rank(x) * (1 - 1e-12)  # type: ignore[operator]


@given(spectra, st.sampled_from([-1000, -800, -40, 3, 40, 800]))
def test_scaling_laws(x: np.ndarray, exponent: int) -> None:
    """W -> 2^(e/2)*W multiplies eigenvalues by 2^e: W*2^-500 and W*2^400 are e = -1000 and 800."""
    x = np.where(x < 1e-6, 0.0, x)  # those that would become subnormal lose bits in the input itself
    scaled = np.ldexp(x, exponent)
    if x[-1] == 0.0:
        return
    for rank in RANKS:
        assert rank(scaled) == rank(x)
    decades = exponent * math.log10(2.0)
    assert fro2(scaled) == pytest.approx(math.ldexp(fro2(x), exponent), rel=1e-12)  # type: ignore[arg-type]
    assert log10_fro2(scaled) == pytest.approx(log10_fro2(x) + decades, abs=1e-9)  # type: ignore[operator]
    assert log10_spectral2(scaled) == pytest.approx(log10_spectral2(x) + decades, abs=1e-9)  # type: ignore[operator]
    for alpha in (1.3, 4.0, 12.0):
        shifted = log10_alpha_norm(x, alpha) + alpha * decades  # type: ignore[operator]
        assert log10_alpha_norm(scaled, alpha) == pytest.approx(shifted, rel=1e-12, abs=1e-9)
        shifted = alpha_hat(x, alpha) + alpha * decades  # type: ignore[operator]
        assert alpha_hat(scaled, alpha) == pytest.approx(shifted, rel=1e-12, abs=1e-9)


def test_a_subnormal_spectrum_still_has_its_ranks() -> None:
    x = np.array([1.0, 2.0, 4.0]) * 2.0**-1073
    assert stable_rank(x) == 1.75
    assert participation_rank(x) == pytest.approx(49.0 / 21.0, rel=1e-14)
    assert log10_alpha_norm(x, 10.0) == pytest.approx(
        10 * -1071 * math.log10(2.0) + math.log10(1 + 2.0**-10 + 4.0**-10), rel=1e-12
    )


def test_a_sum_beyond_float64_is_undefined_and_its_logarithm_is_not() -> None:
    x = np.full(4, 1.5e308)
    assert fro2(x) == Undefined("scale_out_of_range")
    assert log10_fro2(x) == pytest.approx(math.log10(1.5) + 308 + math.log10(4.0), rel=1e-14)


@given(st.integers(0, 10_000))
def test_transposition_and_permutation_change_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    w = rng.standard_normal((7, 12))
    reference = [r.value for r in norms.measure(part_of(w))]
    for other in (np.ascontiguousarray(w.T), w[rng.permutation(7)][:, rng.permutation(12)]):
        assert [r.value for r in norms.measure(part_of(other))] == pytest.approx(reference, rel=1e-10)
