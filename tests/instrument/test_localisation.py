from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.linalg import ArpackNoConvergence

from tollens.core.errors import TollensError
from tollens.core.reading import Status, Undefined
from tollens.instrument.edge import EdgeParams
from tollens.instrument.eigensolver import reduce
from tollens.instrument.localisation import (
    LocalisationParams,
    arpack_top,
    effective_support,
    flatness,
    ipr,
    is_concentrated,
    krylov_top,
    label,
    localisation,
    mass_of_top,
    porter_thomas,
    porter_thomas_quantile,
    top_pairs,
)
from tollens.instrument.part import Moments, Part
from tollens.instrument.spectrum import gram, spectrum_of
from tollens.run.layer import LAYER_FAILURES


def unit(rng: np.random.Generator, n: int) -> np.ndarray:
    v = rng.standard_normal(n)
    return v / np.linalg.norm(v)


def site(n: int, i: int = 0) -> np.ndarray:
    return np.eye(n)[i]


def part_of(w: np.ndarray) -> Part:
    w = np.ascontiguousarray(w)
    moments = Moments(w.size, float(w.mean()), float(w.std()), float(np.abs(w - w.mean()).max()), 3.0, w.size)
    return Part("w", w.shape, "F64", w.copy, moments, spectrum_of(w, "f64"))


def test_ends_of_the_scale() -> None:
    flat = np.full(16, 0.25)
    assert ipr(flat) == pytest.approx(1 / 16, rel=1e-14)
    assert flatness(flat) == pytest.approx(0.0, abs=1e-14)
    assert effective_support(flat) == pytest.approx(16.0, rel=1e-14)
    assert mass_of_top(flat, 0.10, 1.0) == pytest.approx([2 / 16, 1.0])  # ceil(1.6) = 2 sites
    assert [f(site(16)) for f in (ipr, flatness, porter_thomas, effective_support)] == [1.0] * 4
    assert mass_of_top(site(16), 0.01) == [1.0]


def test_two_sites() -> None:
    v = np.array([0.6, 0.8, 0.0, 0.0])
    assert ipr(v) == pytest.approx(0.6**4 + 0.8**4)
    assert flatness(v) == pytest.approx((4 * 0.5392 - 1) / 3)
    assert porter_thomas(v) == pytest.approx((0.5392 - 0.5) / 0.5)
    assert mass_of_top(v, 0.05) == pytest.approx([0.64])


def test_random_directions_have_the_porter_thomas_mean() -> None:
    """E v^4 = 3/(n(n+2)) on the sphere, so E IPR = 3/(n+2)."""
    rng = np.random.default_rng(0)
    vectors = [unit(rng, 2000) for _ in range(200)]
    assert np.mean([ipr(v) for v in vectors]) == pytest.approx(3 / 2002, rel=0.01)
    q = [porter_thomas(v) for v in vectors]
    assert abs(np.mean(q)) < 4 * np.std(q) / math.sqrt(200)


@pytest.mark.parametrize("n", [2, 3, 8, 40, 300])
def test_the_quantile_is_exceeded_once_in_a_thousand(n: int) -> None:
    rng = np.random.default_rng(n)
    draws = 40_000
    squares = rng.standard_normal((draws, n)) ** 2
    iprs = (squares**2).sum(axis=1) / squares.sum(axis=1) ** 2
    expected = 3 / (n + 2)
    hits = int(np.sum((iprs - expected) / (1 - expected) > porter_thomas_quantile(n)))
    assert 40 - 4 * math.sqrt(40) <= hits <= 40 + 4 * math.sqrt(40)


@pytest.mark.slow
@pytest.mark.parametrize("n", [2000, 11008])
def test_the_quantile_at_real_widths(n: int) -> None:
    rng = np.random.default_rng(n)
    hits, draws = 0, 20_000
    for _ in range(draws // 500):
        squares = rng.standard_normal((500, n)) ** 2
        iprs = (squares**2).sum(axis=1) / squares.sum(axis=1) ** 2
        hits += int(np.sum((iprs - 3 / (n + 2)) / (1 - 3 / (n + 2)) > porter_thomas_quantile(n)))
    assert 20 - 4 * math.sqrt(20) <= hits <= 20 + 4 * math.sqrt(20)


def test_labels() -> None:
    rng = np.random.default_rng(1)
    random = unit(rng, 500)
    assert label(site(300), site(500, 4)) == "localised"
    assert label(unit(rng, 300), random) == "delocalised"
    assert label(site(300), random) == "mixed"
    wide = np.where(np.arange(500) < 100, 0.1, 0.0)  # concentrated, yet on a fifth of the sites
    assert is_concentrated(wide)
    assert label(site(300), wide) == "mixed"


def test_a_vector_of_length_one_has_no_measure() -> None:
    assert flatness(np.ones(1)) == Undefined("too_small")
    assert porter_thomas(np.ones(1)) == Undefined("too_small")
    assert not is_concentrated(np.ones(1))


@pytest.mark.parametrize("shape", [(90, 150), (150, 90), (20, 30), (100, 100)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_top_pairs_are_those_of_the_svd(shape: tuple[int, int], dtype: type) -> None:
    rng = np.random.default_rng(5)
    w = rng.standard_normal(shape)
    for s in (60.0, 45.0, 33.0):
        w += s * np.outer(unit(rng, shape[0]), unit(rng, shape[1]))
    w = w.astype(dtype)
    u, s, vt = np.linalg.svd(w.astype(np.float64))
    for i, (value, left, right) in enumerate(top_pairs(w, 3, np.random.default_rng(0))):
        assert value == pytest.approx(s[i], rel=1e-5)
        assert abs(left @ u[:, i]) == pytest.approx(1.0, abs=1e-5)
        assert abs(right @ vt[i]) == pytest.approx(1.0, abs=1e-5)
        assert left @ w @ right == pytest.approx(s[i], rel=1e-4)  # the signs of the two sides go together


def test_top_pairs_are_the_same_for_the_same_generator() -> None:
    w = np.random.default_rng(2).standard_normal((100, 120))
    first, again = (top_pairs(w, 2, np.random.default_rng(9)) for _ in range(2))
    for (s, u, v), (t, x, y) in zip(first, again, strict=True):
        assert s == t
        assert np.array_equal(u, x)
        assert np.array_equal(v, y)


@given(st.sampled_from([-300, -90, 90, 300]))
@settings(max_examples=8, deadline=None)
def test_pairs_survive_any_scale(exponent: int) -> None:
    w = np.random.default_rng(2).standard_normal((100, 120))
    w[3, 4] = 60.0
    ((s, u, v),) = top_pairs(w, 1, np.random.default_rng(0))
    ((t, x, y),) = top_pairs(np.ldexp(w, exponent), 1, np.random.default_rng(0))
    assert math.ldexp(t, -exponent) == pytest.approx(s, rel=1e-12)
    assert u == pytest.approx(x, abs=1e-9)
    assert v == pytest.approx(y, abs=1e-9)


@pytest.mark.parametrize("exponent", [-145, -128, -90, 90, 120])
def test_pairs_survive_the_ends_of_float32(exponent: int) -> None:
    """Below 2^-127 the inverse of the scale is no float32 number."""
    w = np.round(np.random.default_rng(2).standard_normal((100, 120)))  # integers, exact where digits are lost
    w[3, 4] = 60.0
    ((s, u, v),) = top_pairs(w, 1, np.random.default_rng(0))
    ((t, x, y),) = top_pairs(np.ldexp(w, exponent).astype(np.float32), 1, np.random.default_rng(0))
    assert math.ldexp(t, -exponent) == pytest.approx(s, rel=1e-5)
    assert u == pytest.approx(x, abs=1e-4)
    assert v == pytest.approx(y, abs=1e-4)


def planted(kind: str) -> np.ndarray:
    rng = np.random.default_rng(6)
    w = rng.standard_normal((120, 200))
    if kind == "element":
        w[5, 7] = 80.0
    if kind == "mean":
        w += 1.0
    if kind == "row":
        w[5] += 8.0
    return w


@pytest.mark.parametrize(("kind", "expected"), [("element", "localised"), ("mean", "delocalised"), ("row", "mixed")])
def test_the_kind_of_outlier_is_told(kind: str, expected: str) -> None:
    w = planted(kind)
    pairs, count = localisation.measure(part_of(w))
    assert isinstance(pairs.value, list)
    (pair,) = pairs.value
    assert pair["label"] == expected
    assert count.value == (1 if expected == "localised" else 0)
    assert (pair["rows"]["n"], pair["columns"]["n"]) == w.shape
    (turned,) = localisation.measure(part_of(w.T))[0].value  # type: ignore[misc]
    assert turned["rows"]["ipr"] == pytest.approx(pair["columns"]["ipr"], rel=1e-6)


def test_noise_has_nothing_to_show() -> None:
    pairs, count = localisation.measure(part_of(planted("none")))
    assert pairs.value == []
    assert count.value == 0


def test_only_the_first_few_are_looked_at() -> None:
    w = planted("none")
    w[np.arange(8), np.arange(8)] = 60.0 + np.arange(8)
    pairs, count = localisation.measure(part_of(w), LocalisationParams(most=3))
    assert count.value == 3
    assert [p["s"] for p in pairs.value] == sorted([p["s"] for p in pairs.value], reverse=True)  # type: ignore[union-attr, index, call-overload]


def test_degenerate_parts() -> None:
    for w, reason in ((np.eye(4, 30), "too_small"), (np.full((20, 30), 0.5), "no_variance")):
        for r in localisation.measure(part_of(w), LocalisationParams(EdgeParams())):
            assert (r.status, r.reason) == (Status.UNDEFINED, reason)


def test_known_answers_hold() -> None:
    assert localisation.known_answers
    for known in localisation.known_answers:
        values = {r.quantity: r.value for r in localisation.measure(known.part())}
        assert values[known.quantity] == pytest.approx(known.value, abs=known.tolerance)


def spiked_operator(n: int, spikes: list[float]) -> np.ndarray:
    rng = np.random.default_rng(8)
    w = rng.standard_normal((n, 2 * n))
    g = w @ w.T / (2 * n)
    for i, size in enumerate(spikes):
        v = rng.standard_normal(n)
        g += size * np.outer(v, v) / (v @ v) * (1 + 0.1 * i)
    return g


@pytest.mark.parametrize("count", [1, 5])
def test_krylov_vectors_are_the_eigenvectors(count: int) -> None:
    g = spiked_operator(150, [5.0, 9.0, 14.0, 20.0, 30.0])
    start = np.random.default_rng(1).standard_normal((4, 150))
    own, arpack = krylov_top(lambda x: x @ g, start, count), arpack_top(lambda x: x @ g, start[0], count)
    assert own is not None
    exact = np.linalg.eigh(g)[1].T[::-1][:count]
    for found in (own, arpack):
        assert np.abs(np.sum(found * exact, axis=1)) == pytest.approx(np.ones(count), abs=1e-6)


def test_a_spectrum_without_a_gap_is_left_to_the_solver_that_restarts() -> None:
    """Five neighbours in a thousand are not told apart by 128 vectors; a single one at the end still is found."""
    values = 1e6 + np.arange(1000.0) ** 2 * 1e3
    start = np.random.default_rng(0).standard_normal((4, 1000))
    assert krylov_top(lambda x: values * x, start, 5) is None
    assert abs(arpack_top(lambda x: values * x, start[0], 1)[0]).argmax() == 999


def test_vectors_that_do_not_converge_are_a_failure_of_one_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A named failure is kept to its layer; what ARPACK raises itself would end the scan."""

    def gives_up(*_: object, **__: object) -> None:
        raise ArpackNoConvergence("no convergence", np.empty(0), np.empty((0, 0)))

    monkeypatch.setattr("scipy.sparse.linalg.eigsh", gives_up)
    with pytest.raises(TollensError) as caught:
        arpack_top(lambda x: x, np.ones(40), 1)
    assert caught.value.code in LAYER_FAILURES


def test_a_start_that_cannot_reach_all_pairs_gives_none() -> None:
    """Of two equal eigenvalues a single start vector sees one, a block of two sees both."""
    values = np.r_[np.zeros(98), 1.0, 1.0]
    assert krylov_top(lambda x: values * x, np.ones((1, 100)), 2) is None
    found = krylov_top(lambda x: values * x, np.random.default_rng(0).standard_normal((2, 100)), 2)
    assert found is not None
    assert np.abs(found[:, :98]).max() < 1e-6


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(200, 90), (90, 200)])
def test_the_reduction_and_the_krylov_space_give_the_same_pairs(shape: tuple[int, int], dtype: type) -> None:
    w = np.random.default_rng(3).standard_normal(shape).astype(dtype)
    w[4, 5], w[7, 8] = 40.0, 35.0
    lower = gram(np.ldexp(w, 3), "f64" if dtype is np.float64 else "f32")  # its scale does not matter
    reduced = top_pairs(w, 2, np.random.default_rng(0), reduce(lower))
    streamed = top_pairs(w, 2, np.random.default_rng(0))
    for (s, u, v), (t, x, y) in zip(reduced, streamed, strict=True):
        assert s == pytest.approx(t, rel=1e-6)
        assert u == pytest.approx(x, abs=1e-4)
        assert v == pytest.approx(y, abs=1e-4)
