from __future__ import annotations

import importlib.util
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollens.core.codes import CODES
from tollens.core.reading import Status, Undefined
from tollens.instrument import compatible as module
from tollens.instrument.compatible import (
    COLUMNS,
    SHUFFLED,
    TAIL,
    columns,
    compatible,
    log_determinant_count,
    one_sided_tail,
)
from tollens.instrument.part import Moments, Part
from tollens.instrument.spectrum import Spectrum, spectrum_of

GOLDEN = Path(__file__).parents[1] / "golden"
NO_TAIL_THERE = {
    "scaled_down": "all eigenvalues lie below its absolute cut of 1e-5; the exponent is printed as -1",
    "tied": "the two largest eigenvalues differ by rounding; it prints an exponent of 1.1e15",
}
TOLERANCE = 1e-9


def _matrices_module():
    spec = importlib.util.spec_from_file_location("golden_matrices", GOLDEN / "matrices.py")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


made = _matrices_module()
MATRICES = made.matrices()
PRINTED = json.loads((GOLDEN / "weightwatcher_0_7_7.json").read_text())


def spectrum(matrix: np.ndarray) -> Spectrum:
    return spectrum_of(np.array(matrix, dtype=np.float64, order="C"), "f64")


def eigenvalues(matrix: np.ndarray) -> np.ndarray:
    return np.sort(np.linalg.svd(np.asarray(matrix, dtype=np.float64), compute_uv=False) ** 2)


def close(found: object, printed: object) -> bool:
    if isinstance(printed, str):
        return found == printed
    if isinstance(found, Undefined):
        return False
    return math.isclose(found, printed, rel_tol=TOLERANCE, abs_tol=TOLERANCE * 1e-3)


@pytest.mark.parametrize("name", MATRICES)
def test_the_matrices_are_those_the_golden_file_was_made_from(name):
    assert made.checksum(MATRICES[name]) == PRINTED["cases"][name]["sha256"]


@pytest.mark.parametrize("name", MATRICES)
def test_reproduces_what_weightwatcher_printed(name):
    printed = PRINTED["cases"][name]["columns"]
    found = columns(spectrum(MATRICES[name]))
    skipped = (*TAIL, "ERG_gap") if name in NO_TAIL_THERE else ()
    compared = [c for c in COLUMNS if c not in SHUFFLED and c not in skipped]
    assert len(compared) >= 12
    wrong = {c: (found[c], printed[c]) for c in compared if not close(found[c], printed[c])}
    assert wrong == {}


@pytest.mark.parametrize("name", MATRICES)
def test_reproduces_the_shuffled_columns_from_the_same_permutations(name):
    """The two programs agree once they look at the same permutations; 5 are pooled below 100 eigenvalues."""
    matrix = MATRICES[name]
    draw = np.random.RandomState(made.SHUFFLE_SEED)

    def shuffled() -> np.ndarray:
        flat = matrix.flatten()
        draw.shuffle(flat)
        return eigenvalues(flat.reshape(matrix.shape))

    first = np.sort(np.concatenate([shuffled() for _ in range(1 if min(matrix.shape) >= 100 else 5)]))
    printed = PRINTED["cases"][name]["columns"]
    found = columns(spectrum(matrix), shuffled=first)
    for column in ("num_traps", "max_rand_eval"):
        assert close(found[column], printed[column]), column
    found = columns(spectrum(matrix), shuffled=shuffled())
    for column in ("rand_distance", "ww_softrank", "ww_maxdist"):
        assert close(found[column], printed[column]), column


def test_a_small_scale_does_not_lose_the_tail_as_it_does_there():
    printed = PRINTED["cases"]["scaled_down"]["columns"]
    assert printed["alpha"] == -1
    assert printed["alpha_weighted"] > 0  # the failed fit's -1 enters the weighted column like a value
    tiny, unit = columns(spectrum(MATRICES["scaled_down"])), columns(spectrum(MATRICES["scaled_down"] * 1e4))
    assert tiny["alpha"] == pytest.approx(unit["alpha"], rel=1e-6)


def test_the_comparison_with_the_golden_file_can_fail():
    printed = PRINTED["cases"]["spike"]["columns"]
    found = columns(spectrum(MATRICES["spike"]))
    assert close(found["alpha"], printed["alpha"])
    assert not close(found["alpha"] * (1 + 1e-8), printed["alpha"])
    assert not close(Undefined("no_spread"), printed["alpha"])


def test_every_column_of_the_group_is_there_and_no_value_is_a_sentinel():
    found = columns(spectrum(MATRICES["student"]), shuffled=eigenvalues(MATRICES["student"]))
    assert tuple(found) == COLUMNS
    assert not [c for c, v in found.items() if isinstance(v, Undefined)]
    assert min(v for v in found.values() if isinstance(v, (int, float))) > -300  # ERG_gap may be negative


def test_norms_are_squared_ones():
    found = columns(spectrum(np.diag([3.0, 4.0])))
    assert found["norm"] == pytest.approx(25.0)
    assert found["spectral_norm"] == pytest.approx(16.0)


@pytest.mark.parametrize(("alpha", "warning"), [(1.9, "over-trained"), (2.0, ""), (6.0, ""), (6.1, "under-trained")])
def test_warning_is_a_label_of_the_exponent(alpha, warning):
    tail = module.TailFit(alpha, 0.1, 1.0, 0, 3, 0.1)
    assert module.tail_columns(np.array([1.0, 2.0, 3.0]), tail)["warning"] == warning


def test_the_count_by_logarithms_survives_where_a_product_underflows():
    """2,000 eigenvalues of e and as many of 1/e: in units of the mean the lower ones multiply to e^-2868."""
    values = np.exp(np.repeat([-1.0, 1.0], 2000)) + np.linspace(0.0, 1e-9, 4000)
    unit = values / values.mean()
    assert np.prod(unit[:2000]) == 0.0
    logs = np.cumsum(np.log(unit[::-1]))
    assert log_determinant_count(values, 4000) == int(np.argmax(logs < 0)) + 1
    half = log_determinant_count(values[::2], 2000)
    assert half == pytest.approx(log_determinant_count(values, 4000) / 2, abs=1)


def test_the_count_ends_at_the_first_zero_eigenvalue():
    assert log_determinant_count(np.array([0.0, 0.0, 1.0, 1.0]), 2) == 3


def test_zero_matrix():
    found = columns(spectrum(np.zeros((10, 20))))
    assert (found["norm"], found["matrix_rank"], found["rank_loss"]) == (0.0, 0, 10)
    assert found["alpha"] == found["log_norm"] == found["stable_rank"] == Undefined("zero_matrix")


def test_orthogonal_and_rank_one_matrices():
    orthogonal = columns(spectrum(np.eye(30)))
    assert orthogonal["alpha"] == Undefined("no_spread")
    assert orthogonal["ERG_gap"] == Undefined("no_spread")
    one = columns(spectrum(np.outer(np.arange(1.0, 9.0), np.ones(9))))
    assert (one["matrix_rank"], one["entropy"], one["alpha"]) == (1, Undefined("rank_one"), Undefined("tail_too_short"))


def test_small_samples_use_the_corrected_estimate():
    """Pareto mid-quantiles, n = 19 and alpha = 3: over the whole sample ln(x_j/x_1) sums to a known value."""
    n = 19
    x = (1.0 - (np.arange(n) + 0.5) / n) ** -0.5
    fit = one_sided_tail(x)
    gaps = np.log(x[fit.index :] / x[fit.index])
    assert fit.alpha == pytest.approx(1 + (fit.n_tail - 1) / gaps.sum(), rel=1e-12)
    assert fit.n_tail >= 8


@given(st.integers(2, 60), st.integers(0, 2**32 - 1))
def test_any_matrix_gives_every_column_or_a_known_reason(M, seed):
    rng = np.random.default_rng(seed)
    matrix = rng.standard_normal((M, M + int(rng.integers(0, 20)))) * 10.0 ** rng.integers(-8, 8)
    for name, value in columns(spectrum(matrix)).items():
        if isinstance(value, Undefined):
            assert value.reason in CODES, name
        elif isinstance(value, float):
            assert math.isfinite(value), name


def test_the_instrument_returns_the_group_and_skips_what_needs_a_permutation():
    matrix = MATRICES["spike"]
    moments = Moments(matrix.size, 0.0, 0.1, 1.0, 3.0, matrix.size)
    part = Part("spike", matrix.shape, "F32", lambda: matrix.copy(), moments, spectrum(matrix))
    found = {r.quantity: r for r in compatible.measure(part)}
    assert set(found) == {f"ww.{name}" for name in COLUMNS}
    assert {q for q, r in found.items() if r.status is Status.SKIPPED} == {f"ww.{n}" for n in SHUFFLED}
    assert found["ww.alpha"].value == columns(spectrum(matrix))["alpha"]
