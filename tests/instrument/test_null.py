from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import lapack
from scipy.stats import ks_2samp

from tollens.core.native import _native
from tollens.core.reading import Undefined
from tollens.core.seeding import generator
from tollens.instrument import edge, norms
from tollens.instrument.erg import erg_count
from tollens.instrument.null import (
    ShapeNull,
    bidiagonal_spectra,
    bidiagonal_spectrum,
    chi_tridiagonal,
    shape_null,
)
from tollens.instrument.spectrum import STORED_EPS, blind_floor, rank_tolerance
from tollens.instrument.tail import TailFit, fit_tail

STATISTICS = {
    "lambda_max": lambda x: x[-1],
    "lambda_min": lambda x: x[0],
    "sum": lambda x: x.sum(),
    "stable_rank": lambda x: x.sum() / x[-1],
    "median": np.median,
    "logdet": lambda x: np.log(x).sum(),
}


def dense_spectrum(M: int, N: int, rng: np.random.Generator) -> np.ndarray:
    w = rng.standard_normal((M, N))
    return np.linalg.eigvalsh(w @ w.T)


@pytest.mark.parametrize(("M", "N"), [(12, 40), (25, 25)])
def test_the_chi_model_has_the_law_of_the_dense_matrix(M: int, N: int) -> None:
    """Two-sample Kolmogorov-Smirnov on six statistics, each at 0.001."""
    rng = np.random.default_rng(7)
    fast = [bidiagonal_spectrum(M, N, rng) for _ in range(1500)]
    slow = [dense_spectrum(M, N, rng) for _ in range(1500)]
    for name, statistic in STATISTICS.items():
        p = ks_2samp([statistic(x) for x in fast], [statistic(x) for x in slow]).pvalue
        assert p > 0.001, name


def test_the_two_sample_test_would_see_a_wrong_degree_of_freedom() -> None:
    rng = np.random.default_rng(7)
    right = [dense_spectrum(12, 40, rng).sum() for _ in range(1500)]
    wrong = [bidiagonal_spectrum(12, 41, rng).sum() for _ in range(1500)]
    assert ks_2samp(right, wrong).pvalue < 0.001


def test_one_row_is_chi_squared() -> None:
    rng = np.random.default_rng(0)
    x = np.array([bidiagonal_spectrum(1, 30, rng)[0] for _ in range(4000)])
    assert x.mean() == pytest.approx(30.0, abs=4 * (60 / 4000) ** 0.5)


@given(st.integers(1, 40), st.integers(0, 60), st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_spectra_are_ascending_and_not_negative(M: int, excess: int, seed: int) -> None:
    x = bidiagonal_spectrum(M, M + excess, np.random.default_rng(seed))
    assert x.shape == (M,)
    assert np.all(np.diff(x) >= 0)
    assert x[0] >= 0.0


@pytest.mark.parametrize(("M", "N"), [(2, 2), (3, 30), (40, 40), (300, 700)])
def test_the_kernel_agrees_with_lapack_at_every_width(M: int, N: int) -> None:
    rng = np.random.default_rng(3)
    pairs = [chi_tridiagonal(M, N, rng) for _ in range(11)]  # not a multiple of any vector width
    diagonals, squares = (np.array([p[i] for p in pairs]) for i in (0, 1))
    solved = {}
    for lanes in (2, 4, 8):
        solved[lanes] = diagonals.copy()
        assert _native.tridiagonal_eigenvalues(solved[lanes], squares, lanes)
    assert np.array_equal(solved[2], solved[8])
    assert np.array_equal(solved[4], solved[8])
    for k in range(11):
        expected, info = lapack.dsterf(diagonals[k], np.sqrt(squares[k]))
        assert info == 0
        assert solved[8][k] == pytest.approx(expected, abs=M * 2.3e-16 * expected[-1])


def test_the_kernel_on_matrices_that_are_not_chi() -> None:
    """Diagonal; split in the middle; negative; 2 - 2cos(k pi/(n+1)) of the second difference."""
    n = 12
    difference = 2 - 2 * np.cos(np.arange(1, n + 1) * math.pi / (n + 1))
    ones = np.ones(n - 1)
    split = ones.copy()
    split[5] = 0.0
    half = 2 - 2 * np.cos(np.arange(1, 7) * math.pi / 7)
    cases = [
        (np.full(n, 2.0), ones, difference),
        (np.full(n, 2.0), split, np.sort(np.concatenate([half, half]))),
        (np.full(n, -2.0), ones, np.sort(-difference)),
        (np.arange(n, 0.0, -1.0), np.zeros(n - 1), np.arange(1.0, n + 1)),
        (np.zeros(n), np.zeros(n - 1), np.zeros(n)),
    ]
    values = np.array([c[0] for c in cases])
    assert _native.tridiagonal_eigenvalues(values, np.array([c[1] for c in cases]))
    for found, case in zip(values, cases, strict=True):
        assert found == pytest.approx(case[2], abs=1e-14)


def awkward(n: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Diagonal and squared off-diagonal where a sweep may stall, split, vanish, overflow or lose its scale."""
    rng, k = np.random.default_rng(n), np.arange(n)
    diagonal, squares = chi_tridiagonal(n, n, rng)
    glue = np.where(k[:-1] % 7 == 6, 1e-28, 1.0)
    deficient = np.where(k < n // 2, diagonal, 0.0)
    graded = 10.0 ** (-30.0 * k / n)
    return {
        "no diagonal": (np.zeros(n), rng.random(n - 1) ** 2),
        "no diagonal, uneven": (np.zeros(n), np.where(k[:-1] % 2, 1.0, 1e-24)),
        "no diagonal, graded": (np.zeros(n), 10.0 ** rng.uniform(-36.0, 0.0, n - 1)),
        "glued blocks": (np.abs(k % 7 - 3.0), glue),
        "equal within rounding": (np.ones(n), np.full(n - 1, 1e-33)),
        "graded up": (graded[::-1].copy(), (0.01 * graded[1:] * graded[:-1])[::-1].copy()),
        "graded to the middle": (10.0 ** -np.abs(k - n / 2), 0.1 * 100.0 ** -np.abs(k - n / 2)[1:]),
        "rank deficient": (deficient, deficient[:-1] * np.where(k[1:] < n // 2, 0.1, 0.0)),
        "random signs": (rng.standard_normal(n), rng.standard_normal(n - 1) ** 2),
        "heavy tails": (rng.standard_cauchy(n), rng.standard_cauchy(n - 1) ** 2),
        "large": (diagonal * 1e140, squares * 1e280),
        "small": (diagonal * 1e-140, squares * 1e-280),
    }


@pytest.mark.parametrize("n", [2, 3, 6, 19, 150])
def test_the_kernel_on_awkward_matrices(n: int) -> None:
    """Against LAPACK, and bit for bit the same in any company and at any width."""
    cases = awkward(n)
    diagonals, squares = (np.array([c[i] for c in cases.values()]) for i in (0, 1))
    together = {}
    for lanes in (2, 4, 8):
        together[lanes] = diagonals.copy()
        assert _native.tridiagonal_eigenvalues(together[lanes], squares, lanes)
        assert np.array_equal(together[lanes], together[2])
    for k, name in enumerate(cases):
        alone = diagonals[k : k + 1].copy()
        assert _native.tridiagonal_eigenvalues(alone, squares[k : k + 1])
        assert np.array_equal(alone[0], together[8][k]), name
        top = max(np.abs(diagonals[k]).max(), math.sqrt(squares[k].max()))
        expected, info = lapack.dsterf(diagonals[k] / top, np.sqrt(squares[k]) / top)
        assert info == 0
        assert alone[0] / top == pytest.approx(expected, abs=(n + 8) * 2.3e-16), name


def test_the_kernel_refuses_shapes_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="needed"):
        _native.tridiagonal_eigenvalues(np.ones((2, 4)), np.ones((2, 4)))
    with pytest.raises(ValueError, match="needed"):
        _native.tridiagonal_eigenvalues(np.ones((2, 4)), np.ones((1, 3)))


def test_the_kernel_says_when_it_does_not_converge() -> None:
    assert not _native.tridiagonal_eigenvalues(np.full((1, 5), np.nan), np.ones((1, 4)))


def test_draws_do_not_depend_on_how_many_are_solved_together() -> None:
    together = bidiagonal_spectra(20, 33, 5, np.random.default_rng(1))
    rng = np.random.default_rng(1)
    assert np.array_equal(together, [bidiagonal_spectrum(20, 33, rng) for _ in range(5)])


def test_impossible_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="M <= N"):
        bidiagonal_spectrum(5, 4, np.random.default_rng(0))


@pytest.fixture(scope="module")
def null() -> ShapeNull:
    return shape_null(64, 128, 40, generator(0, "null", "64x128"))


def test_the_same_key_gives_the_same_null(null: ShapeNull) -> None:
    again = shape_null(64, 128, 40, generator(0, "null", "64x128"))
    other = shape_null(64, 128, 40, generator(1, "null", "64x128"))
    assert {q: v.tolist() for q, v in null.values.items()} == {q: v.tolist() for q, v in again.values.items()}
    assert null.values["alpha"].tolist() != other.values["alpha"].tolist()


def test_a_null_travels_to_workers(null: ShapeNull) -> None:
    copy = pickle.loads(pickle.dumps(null))
    assert copy.band("alpha") == null.band("alpha")
    assert len(pickle.dumps(null)) < 20_000


def test_bands_are_ordered_and_finite(null: ShapeNull) -> None:
    for quantity in null.quantities:
        band = null.band(quantity, 0.02)
        assert band is not None, quantity
        assert band.low <= band.median <= band.high
        assert band.draws == 40
        assert band.law == "iid Gaussian"


def test_bands_of_known_expectation(null: ShapeNull) -> None:
    """E sum(lambda) = NM for unit variance; the stable rank is just above pq/(sqrt p + sqrt q)^2 = 21.96."""
    fro2, stable = null.band("fro2"), null.band("stable_rank")
    assert fro2 is not None
    assert stable is not None
    assert fro2.low < 64 * 128 < fro2.high
    assert 21.96 < stable.median < 24.5
    n_outliers = null.band("n_outliers")
    assert n_outliers is not None
    assert n_outliers.high == 0.0


def test_scaling_of_a_band_is_the_band_of_the_scaled_draws() -> None:
    """The band at variance s must equal the statistics of the eigenvalues multiplied by s, draw by draw."""
    s = 0.0031
    seen: list[np.ndarray] = []

    def fit(x: np.ndarray) -> TailFit | Undefined:
        seen.append(x.copy())
        return fit_tail(x)

    null = shape_null(32, 50, 9, np.random.default_rng(4), fit)
    for i, x in enumerate(seen):
        y = s * x
        found = fit_tail(y)
        assert isinstance(found, TailFit)
        expected = {
            "alpha": found.alpha,
            "D": found.D,
            "n_tail": found.n_tail,
            "xmin": found.xmin,
            "fro2": y.sum(),
            "lambda_max": y[-1],
            "spectral2": y[-1],
            "log10_fro2": np.log10(y.sum()),
            "log10_spectral2": np.log10(y[-1]),
            "alpha_hat": found.alpha * np.log10(y[-1]),
            "log10_alpha_norm": np.log10(np.sum(y**found.alpha)),
            "stable_rank": y.sum() / y[-1],
            "participation_rank": y.sum() ** 2 / np.sum(y**2),
        }
        for quantity, value in expected.items():
            assert null.sample(quantity, s)[i] == pytest.approx(value, rel=1e-9), quantity


@pytest.mark.parametrize(("M", "N"), [(1, 3), (7, 9), (20, 20), (60, 200)])
def test_all_draws_at_once_agree_with_the_functions_of_one_matrix(M: int, N: int) -> None:
    null = shape_null(M, N, 200, np.random.default_rng(6))
    for i, x in enumerate(bidiagonal_spectra(M, N, 200, np.random.default_rng(6))):
        variance = float(x.sum()) / (M * N)
        expected: dict[str, float] = {
            "lambda_max": float(x[-1]),
            "fro2": norms.fro2(x),
            "spectral2": norms.spectral2(x),
            "log10_fro2": norms.log10_fro2(x),
            "log10_spectral2": norms.log10_spectral2(x),
            "stable_rank": norms.stable_rank(x),
            "entropy_rank": norms.entropy_rank(x),
            "participation_rank": norms.participation_rank(x),
        }
        for dtype in STORED_EPS:
            tolerance = rank_tolerance(math.sqrt(x[-1]), N, M, math.sqrt(variance), dtype)
            floor = blind_floor(float(x[-1]), M, "f64")
            expected[f"numerical_rank[{dtype}]"] = norms.numerical_rank(x, tolerance, floor)
        if M >= 8:
            expected["n_outliers"] = edge.outliers(x, edge.tw_edge(M, N, variance)).size
            expected["erg_count"] = erg_count(x)
        for quantity, value in expected.items():
            assert null.values[quantity][i] == pytest.approx(value, rel=1e-12), quantity
    if (M, N) == (20, 20):
        assert null.values["n_outliers"].any()  # so that the comparison of counts was one


def test_gap_is_count_minus_tail(null: ShapeNull) -> None:
    v = null.values
    assert (v["erg_count"] - v["n_tail"]).tolist() == v["erg_gap"].tolist()


def test_below_eight_there_are_norms_only() -> None:
    small = shape_null(7, 30, 10, np.random.default_rng(0))
    assert small.band("stable_rank") is not None
    for quantity in ("alpha", "n_outliers", "erg_count"):
        assert small.band(quantity) is None


def test_rank_depends_on_the_stored_type() -> None:
    null = shape_null(64, 64, 40, np.random.default_rng(2))
    full, rough = (null.band("numerical_rank", source_dtype=t) for t in ("F32", "F8_E5M2"))
    assert full is not None
    assert rough is not None
    assert full.low == 64.0
    assert rough.high < 64.0


def test_no_band_without_draws_or_without_variance(null: ShapeNull) -> None:
    assert shape_null(16, 20, 0, np.random.default_rng(0)).band("fro2") is None
    assert null.band("fro2", 0.0) is None
    assert null.band("alpha_hat", 0.0) is None
    assert null.band("stable_rank", 0.0) is not None
    assert null.band("no_such_quantity") is None


def test_a_quantity_missing_in_most_draws_has_no_band() -> None:
    calls = iter(range(100))

    def rarely(x: np.ndarray) -> TailFit | Undefined:
        return fit_tail(x) if next(calls) % 3 == 0 else Undefined("no_tail")

    null = shape_null(16, 20, 10, np.random.default_rng(0), rarely)
    assert null.values["alpha"].size == 4
    assert null.band("alpha") is None


def test_extra_quantities_are_drawn_too() -> None:
    extra = {"mp_distance": lambda x, M, N: x[0] / (M * N), "never": lambda x, M, N: Undefined("no_tail")}
    null = shape_null(16, 20, 5, np.random.default_rng(0), extra=extra)
    assert null.values["mp_distance"].size == 5
    assert null.band("never") is None


@pytest.mark.slow
def test_the_chi_model_at_a_larger_size() -> None:
    rng = np.random.default_rng(1)
    M, N, draws = 150, 200, 1500
    fast = [bidiagonal_spectrum(M, N, rng) for _ in range(draws)]
    slow = [dense_spectrum(M, N, rng) for _ in range(draws)]
    fits = [[fit_tail(x) for x in xs] for xs in (fast, slow)]
    samples = {n: ([s(x) for x in fast], [s(x) for x in slow]) for n, s in STATISTICS.items()}
    for field in ("alpha", "D", "n_tail"):
        samples[field] = tuple([getattr(f, field) for f in fit] for fit in fits)
    for name, (a, b) in samples.items():
        assert ks_2samp(a, b).pvalue > 0.001, name


def test_the_number_of_threads_does_not_change_a_bit() -> None:
    one, three = (bidiagonal_spectra(40, 70, 21, np.random.default_rng(5), threads) for threads in (1, 3))
    np.testing.assert_array_equal(one, three)
