from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollens.core.reading import Status, Undefined
from tollens.instrument.bulk import mp_edge
from tollens.instrument.edge import (
    EdgeParams,
    edge,
    family_level,
    implied_theta,
    outliers,
    spike_eigenvalue,
    squared_overlaps,
    tw_edge,
)
from tollens.instrument.null import bidiagonal_spectrum
from tollens.instrument.part import Moments, Part
from tollens.instrument.spectrum import spectrum_of
from tollens.stats.tracy_widom import scale


def part_of(w: np.ndarray) -> Part:
    w = np.ascontiguousarray(w, dtype=np.float64)
    moments = Moments(w.size, float(w.mean()), float(w.std()), float(np.abs(w - w.mean()).max()), 3.0, w.size)
    return Part("w", w.shape, "F64", w.copy, moments, spectrum_of(w, "f64"))


def found(part: Part, **params: object) -> dict[str, object]:
    return {r.quantity: r.value for r in edge.measure(part, EdgeParams(**params))}  # type: ignore[arg-type]


def unit(n: int, rng: np.random.Generator) -> np.ndarray:
    v = rng.standard_normal(n)
    return v / np.linalg.norm(v)


@pytest.mark.parametrize(
    ("c", "theta", "value"), [(1.0, 1.2, 4.1344), (1.0, 2.0, 6.25), (1.0, 4.0, 18.0625), (0.5, 2.0, 5.625)]
)
def test_where_a_spike_sits(c: float, theta: float, value: float) -> None:
    assert spike_eigenvalue(theta, c) == pytest.approx(value, abs=5e-5)


@pytest.mark.parametrize(("M", "N", "theta"), [(600, 600, 2.0), (600, 600, 4.0), (400, 800, 2.0)])
def test_a_planted_spike_is_found_where_the_theory_puts_it(M: int, N: int, theta: float) -> None:
    rng = np.random.default_rng(3)
    w = rng.standard_normal((N, M)) / math.sqrt(N) + theta * np.outer(unit(N, rng), unit(M, rng))
    answer = found(part_of(w), sigma2=1.0 / N)
    assert answer["n_outliers"] == 1
    row = answer["outliers"][0]  # type: ignore[index]
    tau = scale(M, N) / N
    # A detached spike fluctuates like a Gaussian of order 1/sqrt(N), some tau wide.
    assert row["lambda"] == pytest.approx(spike_eigenvalue(theta, M / N), abs=8 * tau * theta)
    assert row["theta"] == pytest.approx(theta, rel=0.05)


def test_a_weak_spike_stays_in_the_bulk() -> None:
    rng = np.random.default_rng(4)
    N = M = 500
    w = rng.standard_normal((N, M)) / math.sqrt(N) + 0.7 * np.outer(unit(N, rng), unit(M, rng))
    assert found(part_of(w))["n_outliers"] == 0


def test_overlaps() -> None:
    short, long = squared_overlaps(2.5, 0.5)
    assert short == pytest.approx(0.914, abs=5e-4)
    assert long == pytest.approx(0.851, abs=5e-4)
    assert math.prod(squared_overlaps(2.0, 1.0)) == pytest.approx(0.5625, abs=1e-12)
    assert squared_overlaps(0.5**0.25, 0.5) == (0.0, 0.0)
    just_above = squared_overlaps(0.5**0.25 + 1e-9, 0.5)
    assert just_above == pytest.approx((0.0, 0.0), abs=1e-7)


def test_overlaps_of_a_planted_spike() -> None:
    """At 600 x 1200 one draw is within 0.02 of the limit; swapped sides would show."""
    rng = np.random.default_rng(8)
    M, N, theta = 600, 1200, 2.5
    a, b = unit(M, rng), unit(N, rng)
    w = rng.standard_normal((M, N)) / math.sqrt(N) + theta * np.outer(a, b)
    u, _, vt = np.linalg.svd(w, full_matrices=False)
    short, long = squared_overlaps(theta, M / N)
    assert float(u[:, 0] @ a) ** 2 == pytest.approx(short, abs=0.02)
    assert float(vt[0] @ b) ** 2 == pytest.approx(long, abs=0.02)


@given(st.floats(1e-6, 1.0), st.floats(1.001, 50.0))
def test_theta_inverts_the_spike(c: float, times: float) -> None:
    theta = c**0.25 * times
    back = implied_theta(spike_eigenvalue(theta, c), c)
    assert isinstance(back, float)
    assert back == pytest.approx(theta, rel=1e-5)


@given(st.floats(1e-6, 1.0), st.floats(0.0, 0.999))
def test_no_theta_inside_the_bulk(c: float, share: float) -> None:
    assert implied_theta(share * (1 + math.sqrt(c)) ** 2, c) == Undefined("inside_bulk")


def test_bulk_edges() -> None:
    """sigma2 * (sqrt N + sqrt M)^2; a spike at threshold theta = c^(1/4) sits exactly on the upper one."""
    assert mp_edge(0.5, 64, 256) == 0.5 * 576.0
    c = 0.25
    assert spike_eigenvalue(c**0.25, c) == pytest.approx((1 + math.sqrt(c)) ** 2, rel=1e-14)


def test_the_edge_lies_above_the_bulk_and_scales() -> None:
    assert tw_edge(512, 512) > mp_edge(1.0, 512, 512)
    assert tw_edge(512, 512, 3.0) == pytest.approx(3.0 * tw_edge(512, 512), rel=1e-14)
    assert tw_edge(512, 512, level=1e-6) > tw_edge(512, 512, level=1e-2)
    assert family_level(0.01, 39, 5) == pytest.approx(0.01 / 195)


def test_one_large_element_and_one_mean_offset() -> None:
    """In units of sigma an element f*(NM)^(1/4) and a mean f*(NM)^(-1/4) are detected from f = 1 on."""
    rng = np.random.default_rng(21)
    n = 512
    noise = rng.standard_normal((n, n))
    noise -= noise.mean()
    for f, expected in ((0.8, 0), (1.5, 1)):
        element = noise.copy()
        element[10, 20] = f * math.sqrt(n)
        assert found(part_of(element))["n_outliers"] == expected
        assert found(part_of(noise + f / math.sqrt(n)))["n_outliers"] == expected


def test_outliers_are_strictly_above_and_descending() -> None:
    assert outliers(np.array([1.0, 2.0, 3.0, 4.0]), 2.0).tolist() == [4.0, 3.0]
    assert outliers(np.array([1.0]), 2.0).tolist() == []


def test_degenerate_parts() -> None:
    for w, reason in ((np.ones((3, 40)), "too_small"), (np.full((20, 30), 0.5), "no_variance")):
        for r in edge.measure(part_of(w)):
            assert (r.status, r.reason) == (Status.UNDEFINED, reason)


@given(st.sampled_from([-400, -60, 30, 400]), st.integers(0, 100))
def test_counts_do_not_depend_on_scale_or_orientation(exponent: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    w = rng.standard_normal((60, 90))
    w[0, 0] = 40.0
    reference = found(part_of(w))
    assert reference["n_outliers"] == 1
    for other in (np.ldexp(w, exponent), w.T):
        answer = found(part_of(other))
        assert answer["n_outliers"] == 1
        theta = answer["outliers"][0]["theta"]  # type: ignore[index]
        assert theta == pytest.approx(reference["outliers"][0]["theta"], rel=1e-9)  # type: ignore[index]


def test_known_answers_hold() -> None:
    assert edge.known_answers
    for known in edge.known_answers:
        values = {r.quantity: r.value for r in edge.measure(known.part())}
        assert values[known.quantity] == pytest.approx(known.value, abs=known.tolerance)


@pytest.mark.slow
@pytest.mark.parametrize(("M", "N"), [(200, 200), (100, 400), (30, 500)])
def test_gaussian_matrices_have_outliers_at_the_nominal_rate(M: int, N: int) -> None:
    """The variance is taken from each matrix: exact rates 0.0082 and 0.0080 from M = 50 on, 0.01 below."""
    rng = np.random.default_rng(M)
    trials = 6000
    hits = 0
    for _ in range(trials):
        x = bidiagonal_spectrum(M, N, rng)
        hits += outliers(x, tw_edge(M, N, float(x.sum()) / (M * N))).size > 0
    rate = 0.0081 if M >= 50 else 0.01
    assert abs(hits - rate * trials) <= 2.5 * math.sqrt(rate * trials)
