"""A product of two factors, measured without it: against the dense matrix, its invariances, its null."""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray

from tollens.core.reading import Reading, Undefined
from tollens.core.seeding import generator
from tollens.instrument import factored as module
from tollens.instrument.factored import (
    SCALE_FREE,
    factor_null,
    factored,
    left_right_spaces,
    product_of,
)
from tollens.instrument.null import shape_null
from tollens.instrument.part import FactorPart
from tollens.instrument.spectrum import singular_values, spectrum_of
from tollens.run.testing import check_instrument

Matrix = NDArray[np.float64]
SHAPES = [
    (64, 48, 8),
    (48, 64, 8),
    (300, 40, 16),
    (10, 30, 20),
    (30, 10, 16),
    (5, 7, 12),
    (1, 9, 3),
    (9, 1, 3),
    (6, 6, 1),
]


def factors(out: int, width: int, rank: int, seed: int = 0) -> tuple[Matrix, Matrix]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((out, rank)), rng.standard_normal((rank, width))


def read(
    b: Matrix, a: Matrix, gamma: float | None = 1.0, dtypes: tuple[str, str] = ("F64", "F64")
) -> dict[str, Reading]:
    return {r.quantity: r for r in factored.measure(FactorPart("x", (b, a), gamma, dtypes))}


def values(b: Matrix, a: Matrix, gamma: float | None = 1.0) -> dict[str, Any]:
    return {name: r.value for name, r in read(b, a, gamma).items()}


def test_it_keeps_what_an_instrument_promises() -> None:
    assert check_instrument(factored) == []


@pytest.mark.parametrize("gamma", [1.0, 2.5, -0.3, 16.0 / math.sqrt(8.0)])
@pytest.mark.parametrize("shape", SHAPES)
def test_it_equals_the_dense_decomposition(shape: tuple[int, int, int], gamma: float) -> None:
    """Every readings of the product is that of gamma * B @ A formed and decomposed, to 1e-12 of the largest."""
    b, a = factors(*shape)
    dense = gamma * b @ a
    s = singular_values(dense)[: min(shape)]
    found = values(b, a, gamma)
    np.testing.assert_allclose(found["singular_values"], s, rtol=0, atol=1e-12 * s[0])
    p = s**2 / (s**2).sum()
    wanted = {
        "fro2": float(np.square(dense).sum()),
        "spectral2": s[0] ** 2,
        "lambda_max": s[0] ** 2,
        "log10_fro2": math.log10(float(np.square(dense).sum())),
        "log10_spectral2": 2.0 * math.log10(s[0]),
        "stable_rank": 1.0 / p[0],
        "entropy_rank": math.exp(-float((p * np.log(p)).sum())),
        "participation_rank": 1.0 / float((p**2).sum()),
    }
    for name, value in wanted.items():
        assert found[name] == pytest.approx(value, rel=1e-12, abs=1e-12), name
    assert found["numerical_rank"] == np.linalg.matrix_rank(dense) == min(shape)


@pytest.mark.parametrize("lost", [1, 3, 8])
def test_a_lost_direction_is_seen(lost: int) -> None:
    b, a = factors(90, 60, 16)
    a[-lost:] = np.random.default_rng(1).standard_normal((lost, 16 - lost)) @ a[:-lost]
    dense = singular_values(b @ a)
    found = values(b, a)
    np.testing.assert_allclose(found["singular_values"], dense[:16], rtol=0, atol=1e-12 * dense[0])
    assert found["numerical_rank"] == 16 - lost == np.linalg.matrix_rank(b @ a)
    assert found["rcond_a"] < 1e-14 < found["rcond_b"]
    assert found["lambda_min_visible"] == pytest.approx(dense[15 - lost] ** 2, rel=1e-9)


def test_stored_rounding_sets_the_tolerance() -> None:
    """Factors of rank 4 whose elements are then rounded to bf16: the fifth direction is rounding and nothing else."""
    b, a = factors(200, 150, 8)
    b[:, 4:] = b[:, :4] @ np.random.default_rng(2).standard_normal((4, 4))
    b, a = (m.astype(ml_dtypes.bfloat16).astype(np.float64) for m in (b, a))
    assert read(b, a, 1.0, ("BF16", "BF16"))["numerical_rank"].value == 4
    assert read(b, a, 1.0, ("F64", "F64"))["numerical_rank"].value == 8  # it is there, and was not meant


def test_a_type_without_a_rounding_step_has_no_rank() -> None:
    found = read(*factors(20, 30, 4), 1.0, ("F32", "Q8_0"))
    assert {found[name].reason for name in ("numerical_rank", "rank_tolerance")} == {"no_rounding_step"}
    assert found["stable_rank"].value is not None


def test_the_rounding_of_the_stored_factors_is_a_bound() -> None:
    """E|E|_F^2 = (u_B^2 + u_A^2)/3 * sum_k |b_k|^2 |a_k|^2 for errors uniform in +-u|w|; measured over 40 draws."""
    b, a = factors(60, 40, 5)
    rng, u = np.random.default_rng(3), 2.0**-8
    moved = [
        (b * (1.0 + rng.uniform(-u, u, b.shape))) @ (a * (1.0 + rng.uniform(-u, u, a.shape))) - b @ a for _ in range(40)
    ]
    mean = math.sqrt(float(np.mean([np.square(m).sum() for m in moved])))
    found = product_of(b, a, ("BF16", "BF16"))
    assert found.rounding is not None
    assert found.rounding * 2.0**found.exponent == pytest.approx(mean, rel=0.02)
    assert max(float(np.linalg.norm(m, 2)) for m in moved) < mean


@pytest.mark.parametrize("seed", range(4))
def test_a_change_of_gauge_changes_nothing(seed: int) -> None:
    """B -> B M, A -> inv(M) A leaves the product, and with it every reading but those of the factors."""
    b, a = factors(50, 70, 6, seed)
    skew = np.random.default_rng(seed + 10).standard_normal((6, 6)) + 3.0 * np.eye(6)
    before, after = values(b, a, 0.7), values(b @ skew, np.linalg.inv(skew) @ a, 0.7)
    for name in (*SCALE_FREE, "fro2", "spectral2", "log10_fro2", "numerical_rank", "singular_values"):
        assert after[name] == pytest.approx(before[name], rel=1e-10), name
    assert after["rcond_b"] != pytest.approx(before["rcond_b"], rel=1e-3)


@pytest.mark.parametrize("gamma", [1e-12, 3.0, -8.0, 2.0**40])
def test_ranks_do_not_depend_on_the_scaling(gamma: float) -> None:
    b, a = factors(50, 70, 6)
    one, other = values(b, a), values(b, a, gamma)
    for name in (*SCALE_FREE, "numerical_rank", "rcond_a", "rcond_b"):
        assert other[name] == one[name]
    assert other["fro2"] == pytest.approx(gamma**2 * one["fro2"], rel=1e-13)
    assert other["log10_spectral2"] == pytest.approx(one["log10_spectral2"] + 2 * math.log10(abs(gamma)), abs=1e-12)


def test_transposed_factors_are_those_of_the_transpose() -> None:
    b, a = factors(50, 70, 6)
    one, other = values(b, a, 2.0), values(a.T.copy(), b.T.copy(), 2.0)
    assert other["fro2"] == pytest.approx(one["fro2"], rel=1e-13)
    assert other["singular_values"] == pytest.approx(one["singular_values"], rel=1e-12)
    assert (other["rcond_b"], other["rcond_a"]) == pytest.approx((one["rcond_a"], one["rcond_b"]), rel=1e-12)


def test_one_direction() -> None:
    """|u|^2 |v|^2 = 55 * 14 for u = 1..5, v = 1..3."""
    found = values(np.arange(1.0, 6.0)[:, None], np.arange(1.0, 4.0)[None, :])
    assert found["fro2"] == pytest.approx(55.0 * 14.0, rel=1e-13)
    assert [found[name] for name in SCALE_FREE] == pytest.approx([1.0, 1.0, 1.0], abs=1e-12)
    assert (found["rcond_b"], found["rcond_a"]) == (1.0, 1.0)


@pytest.mark.parametrize("which", ["b", "a", "gamma", "orthogonal"])
def test_a_product_of_zero(which: str) -> None:
    b, a = factors(20, 30, 4)
    gamma = 0.0 if which == "gamma" else 2.0
    if which == "b":
        b[:] = 0.0
    if which == "a":
        a[:] = 0.0
    if which == "orthogonal":  # neither factor is zero
        b[:, 2:], a[:2] = 0.0, 0.0
    found = read(b, a, gamma)
    for name in ("lambda_max", "fro2", "spectral2", "numerical_rank"):
        assert found[name].value == 0.0, name
    for name in (*SCALE_FREE, "log10_fro2", "log10_spectral2", "lambda_min_visible"):
        assert found[name].reason == "zero_matrix", name
    assert set(found["singular_values"].value or ()) == {0.0}  # type: ignore[arg-type]


def test_without_a_scaling_there_are_ranks_and_no_norms() -> None:
    b, a = factors(20, 30, 4)
    found, scaled = read(b, a, None), read(b, a)
    for name in (*SCALE_FREE, "numerical_rank", "rcond_b"):
        assert found[name].value == scaled[name].value
    for name in ("lambda_max", "fro2", "spectral2", "log10_fro2", "rank_tolerance", "singular_values", "blind_floor"):
        assert found[name].reason == "scaling_unknown"
    assert read(b * 0.0, a, None)["fro2"].value == 0.0  # whatever the scaling is


@pytest.mark.parametrize("exponent", [-1000, -600, -300, 300, 511, 1000])
def test_scales_beyond_float64_lose_their_norms_and_nothing_else(exponent: int) -> None:
    b, a = factors(20, 30, 4)
    plain, found = read(b, a), read(np.ldexp(b, exponent), a)
    for name in (*SCALE_FREE, "numerical_rank"):
        assert found[name].value == plain[name].value
    shift = 2.0 * exponent * math.log10(2.0)
    assert found["log10_fro2"].value == pytest.approx(plain["log10_fro2"].value + shift, rel=1e-12)  # type: ignore[operator]
    assert (found["fro2"].reason == "scale_out_of_range") is (abs(exponent) > 508)


@pytest.mark.parametrize("gamma", [1e308, -1e308, 5e-324, 1e-200])
def test_a_scaling_beyond_reason_is_no_infinity(gamma: float) -> None:
    found = read(*factors(20, 30, 4), gamma)
    assert found["fro2"].reason == "scale_out_of_range"
    assert found["log10_fro2"].value is not None


@pytest.mark.parametrize("shape", SHAPES)
def test_the_spaces_give_the_product_back(shape: tuple[int, int, int]) -> None:
    b, a = factors(*shape)
    u, s, v = left_right_spaces(b, a, -1.5)
    k = min(shape)
    assert (u.shape, s.shape, v.shape) == ((shape[0], k), (k,), (shape[1], k))
    np.testing.assert_allclose((u * s) @ v.T, -1.5 * b @ a, atol=1e-13 * s[0])
    for side in (u, v):
        np.testing.assert_allclose(side.T @ side, np.eye(k), atol=1e-13)


def test_only_the_triangular_factor_is_drawn_and_its_law_is_that_of_the_matrix() -> None:
    """Stable ranks of 400 products by Bartlett's factors and by whole Gaussian factors have one mean."""
    rng = np.random.default_rng(5)
    whole = [values(*factors(40, 30, 8, seed))["stable_rank"] for seed in range(400)]
    drawn = factor_null(40, 30, 8, 400, rng).values["stable_rank"]
    error = math.hypot(np.std(whole), np.std(drawn)) / math.sqrt(400.0)
    assert abs(np.mean(whole) - np.mean(drawn)) < 4.0 * error
    assert np.std(whole) == pytest.approx(np.std(drawn), rel=0.2)


def test_the_triangular_factor_has_the_moments_of_bartlett() -> None:
    """E R_ii^2 = n - i and E R_ij^2 = 1 above the diagonal (Bartlett 1933), over 4,000 draws."""
    rng = np.random.default_rng(6)
    squares = np.mean([np.square(module._bartlett(10, 3, rng)) for _ in range(4_000)], axis=0)
    np.testing.assert_allclose(squares, [[10, 1, 1], [0, 9, 1], [0, 0, 8]], rtol=0.08, atol=1e-12)
    assert module._bartlett(2, 5, rng).shape == (2, 5)  # more columns than rows: a trapezium


def gaussian_stable_rank(out: int, width: int, rank: int) -> float:
    """The stable rank of B @ A for large Gaussian B (out, rank) and A (rank, width).

    rank / min over z > 0 of (1+z)(1+cz)(1+dz)/z, c = rank/out, d = rank/width: the upper edge of the free product
    of two Marchenko-Pastur laws, whose S-transforms are 1/(1+cz) and 1/(1+dz) (Voiculescu 1987). For d -> 0 it is
    rank/(1+sqrt(c))^2, the value of one factor; for out = width = rank it is rank*4/27.
    """
    c, d = rank / out, rank / width
    place = max(np.roots([2.0 * c * d, c + d + c * d, 0.0, -1.0]).real)  # the one positive root of the derivative
    return float(rank * place / ((1.0 + place) * (1.0 + c * place) * (1.0 + d * place)))


@pytest.mark.parametrize(
    ("shape", "value"),
    [
        ((64, 64, 64), 64.0 * 4.0 / 27.0),  # both square: the edge is 27/4 (Penson, Zyczkowski 2011)
        ((10**9, 10**9, 16), 16.0),  # thin factors are as good as isometries
        ((10**9, 100, 100), 25.0),  # one factor alone: rank/(1+sqrt(rank/k))^2
    ],
)
def test_the_edge_of_the_free_product(shape: tuple[int, int, int], value: float) -> None:
    assert gaussian_stable_rank(*shape) == pytest.approx(value, rel=1e-3)


@pytest.mark.parametrize("shape", [(4096, 4096, 64), (768, 3072, 64), (120, 120, 60), (50, 60, 200)])
def test_the_formula_holds_for_the_product_and_the_one_of_one_factor_does_not(shape: tuple[int, int, int]) -> None:
    """At finite rank the top eigenvalue stays below the edge, so the stable rank comes out up to 10 % higher."""
    drawn = float(factor_null(*shape, 60, np.random.default_rng(7)).values["stable_rank"].mean())
    out, width, rank = shape
    assert 1.0 < drawn / gaussian_stable_rank(*shape) < 1.1
    assert drawn < rank / (1.0 + math.sqrt(rank / min(out, width))) ** 2 - 0.5


def test_a_square_factor_is_a_gaussian_matrix() -> None:
    """An isometry for B leaves A alone: the null of a product with rank = out -> infinity is that of one matrix."""
    one = shape_null(12, 400, 200, np.random.default_rng(8)).values["stable_rank"].mean()
    product = factor_null(10**8, 400, 12, 200, np.random.default_rng(9)).values["stable_rank"].mean()
    assert product == pytest.approx(one, rel=0.02)


def test_the_band_holds_nine_in_ten_and_is_reproducible() -> None:
    drawn = factor_null(60, 50, 8, 400, generator(0, "factor_null", "x"))
    band = drawn.band("stable_rank")
    assert band is not None
    assert np.mean((drawn.values["stable_rank"] >= band.low) & (drawn.values["stable_rank"] <= band.high)) == 0.9
    assert (band.draws, band.law) == (400, "Gaussian factors")
    assert factor_null(60, 50, 8, 400, generator(0, "factor_null", "x")).band("stable_rank") == band
    assert factor_null(60, 50, 8, 0, generator(0, "x")).band("stable_rank") is None
    assert drawn.band("fro2") is None


@pytest.mark.parametrize(
    ("rank", "asked", "made"),
    [
        (512, 40, 40),
        (600, 40, 24),  # 40 * (512/600)^3 = 24.9
        (1024, 12, 10),
        (1024, 4, 4),  # never more than were asked for
    ],
)
def test_a_large_core_is_drawn_less_often(monkeypatch: pytest.MonkeyPatch, rank: int, asked: int, made: int) -> None:
    """The spectrum is replaced, since the number of draws is asked for and not their values."""
    monkeypatch.setattr(module, "_bartlett", lambda n, r, rng: np.diag(rng.uniform(1.0, 2.0, 4)))
    drawn = factor_null(2000, 3000, rank, asked, np.random.default_rng(0))
    band = drawn.band("stable_rank")
    assert band is not None
    assert (drawn.draws, band.draws, drawn.values["stable_rank"].size) == (made, made, made)
    assert factor_null(64, 3000, rank, asked, np.random.default_rng(0)).draws == asked  # a thin product, whatever r


def test_the_dense_path_agrees() -> None:
    b, a = factors(40, 30, 8)
    dense = spectrum_of(np.ascontiguousarray(b @ a), "f64")
    assert values(b, a)["lambda_max"] == pytest.approx(dense.lambda_max, rel=1e-12)


def test_a_solver_that_fails_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> Any:
        raise np.linalg.LinAlgError

    monkeypatch.setattr(np.linalg, "svd", fails)
    for call in (product_of, left_right_spaces):
        with pytest.raises(Exception, match="eigensolver_failed"):
            call(*factors(5, 5, 2))


def test_undefined_is_never_a_number() -> None:
    assert isinstance(product_of(np.zeros((3, 2)), np.ones((2, 3))).rcond[0], Undefined)
