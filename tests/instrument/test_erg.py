from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq

from tollens.core.reading import Status, Undefined
from tollens.instrument.erg import erg, erg_count, erg_gap
from tollens.instrument.part import Moments, Part
from tollens.instrument.spectrum import Spectrum
from tollens.instrument.tail import TailFit


def part_of(x: np.ndarray, floor: float = 0.0, tail: object = None) -> Part:
    M = x.size
    spectrum = Spectrum(np.sort(x), M, M, floor, "f64")
    return Part("w", (M, M), "F64", lambda: np.eye(M), Moments(M * M, 0.0, 1.0, 1.0, 3.0, M), spectrum, tail)  # type: ignore[arg-type]


def marchenko_pastur_quantiles(c: float, n: int) -> np.ndarray:
    """Mid-quantiles of the unit law on the edges (1 -+ sqrt c)^2, by the substitution
    x = 1 + c - 2 sqrt(c) cos(t), under which the density (2/pi) sin(t)^2 / x is smooth."""
    t = (np.arange(400_000) + 0.5) * (math.pi / 400_000)
    x = 1 + c - 2 * math.sqrt(c) * np.cos(t)
    cdf = np.cumsum(2 / math.pi * np.sin(t) ** 2 / x) * (math.pi / 400_000)
    assert cdf[-1] == pytest.approx(1.0, abs=1e-6)
    return np.interp((np.arange(n) + 0.5) / n, cdf, x)


@pytest.mark.parametrize(("c", "share"), [(1.0, 0.731065), (0.5, 0.814504), (0.25, 0.869854)])
def test_share_of_the_ideal_bulk(c: float, share: float) -> None:
    """The share p solves int_{top p} ln x dF = 0 (the mean of the unit law is 1)."""
    x = marchenko_pastur_quantiles(c, 1024)
    assert abs(erg_count(x) - share * 1024) <= 1.0  # type: ignore[operator]
    logs = np.cumsum(np.log(marchenko_pastur_quantiles(c, 200_000)[::-1]))
    assert np.argmax(logs < 0) / 200_000 == pytest.approx(share, abs=2e-5)


def test_the_shares_are_roots() -> None:
    """c = 1, another route: with x = 4 sin(t)^2 and dF = (4/pi) cos(t)^2 dt the log-sum over the top vanishes
    where int_t^{pi/2} ln(4 sin^2) cos^2 = 0."""
    nodes, weights = np.polynomial.legendre.leggauss(200)

    def total(t: float) -> float:
        half = (math.pi / 2 - t) / 2
        s = t + half * (nodes + 1)
        return float(half * weights @ (np.log(4 * np.sin(s) ** 2) * np.cos(s) ** 2))

    t = brentq(total, 0.05, 0.8)
    share = 1 - (4 / math.pi) * (t / 2 + math.sin(2 * t) / 4)
    assert share == pytest.approx(0.731065, abs=1e-5)


def test_by_hand() -> None:
    # mean 1.55: running products 2.58, 3.33, 2.15, 0.69
    assert erg_count(np.array([0.25, 0.5, 1.0, 2.0, 4.0])) == 4
    assert erg_gap(4, 7) == -3


def test_equal_eigenvalues_count_all() -> None:
    for M in (1, 7, 3000):
        assert erg_count(np.full(M, 0.1)) == M
        assert erg_count(np.full(M, 0.1) * (1 + 1e-16 * np.arange(M))) == M


def test_the_sum_of_logs_survives_where_products_underflow() -> None:
    """The tail of a wide bulk has products far below the smallest float64."""
    x = marchenko_pastur_quantiles(1.0, 4096)
    assert erg_count(x) == pytest.approx(2995, abs=2)
    assert np.prod(x) == 0.0


def test_zero_eigenvalues_end_the_sum() -> None:
    assert erg_count(np.array([0.0, 0.0, 1.0, 1.0])) == 2
    assert erg_count(np.array([0.0, 5.0])) == 1
    assert erg_count(np.zeros(4)) == Undefined("zero_matrix")


@given(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=30), st.sampled_from([-1000, -30, 7, 900]))
def test_any_scale_gives_the_same_count(values: list[float], exponent: int) -> None:
    x = np.sort(np.array(values))
    count = erg_count(x)
    assert isinstance(count, int)
    assert 1 <= count <= x.size
    assert erg_count(np.ldexp(x, exponent)) == count


@given(st.lists(st.floats(0.01, 100.0), min_size=2, max_size=30))
def test_the_count_is_the_first_negative_sum(values: list[float]) -> None:
    x = np.sort(np.array(values))
    sums = np.cumsum(np.log(x[::-1] / x.mean()))
    count = erg_count(x)
    assert isinstance(count, int)
    assert np.all(sums[: count - 1] > -1e-9)
    assert count == x.size or sums[count - 1] < 0


def test_readings() -> None:
    x = np.array([0.25, 0.5, 1.0, 2.0, 4.0])
    tail = TailFit(2.0, 0.5, 1.0, 2, 3, 0.1)
    count, gap = erg.measure(part_of(x, tail=tail))
    assert (count.value, gap.value) == (4, 1)
    count, gap = erg.measure(part_of(x, tail=Undefined("tail_too_short")))
    assert (count.value, gap.status, gap.reason) == (4, Status.UNDEFINED, "tail_too_short")
    assert erg.measure(part_of(x))[1].reason == "no_tail"


def test_a_count_into_the_blind_region_is_undefined() -> None:
    x = np.array([0.25, 0.5, 1.0, 2.0, 4.0])
    assert erg.measure(part_of(x, floor=0.4))[0].value == 4
    for reading in erg.measure(part_of(x, floor=0.6), seed=1):
        assert reading.reason == "floor_in_tail"


def test_known_answers_hold() -> None:
    assert erg.known_answers
    for known in erg.known_answers:
        found = {r.quantity: r.value for r in erg.measure(known.part())}
        assert found[known.quantity] == pytest.approx(known.value, abs=known.tolerance)
