from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollens.core.native import _native
from tollens.core.reading import Status, Undefined
from tollens.instrument.part import Part
from tollens.instrument.spectrum import Precision, spectrum_of
from tollens.instrument.tail import (
    TailFit,
    TailParams,
    bootstrap_fits,
    bootstrap_interval,
    fit_tail,
    fit_tail_reference,
    log_ratio,
    near_best_range,
    pareto_part,
    tail,
    tail_of,
)


def pareto(n: int, alpha: float, seed: int) -> np.ndarray:
    return np.sort((1.0 - np.random.default_rng(seed).random(n)) ** (-1.0 / (alpha - 1.0)))


def fitted(x: np.ndarray, two_sided: bool = True) -> TailFit:
    fit = fit_tail(x, two_sided)
    assert isinstance(fit, TailFit)
    return fit


@pytest.mark.parametrize(
    ("alpha", "expected"),
    [(1.5, 1.5008), (2.0, 2.0017), (2.5, 2.5025), (3.0, 3.0033), (4.0, 4.0050), (6.0, 6.0083)],
)
def test_exact_mid_quantiles(alpha: float, expected: float) -> None:
    """x_j = (1 - u_j)^(-1/(alpha-1)) at u_j = (j + 1/2)/n, so (alpha-1) times the sum of ln(x_j/x_0) is

    -sum ln((k + 1/2)/n) + n ln(1 - 1/(2n)), and the product of (k + 1/2), k < n, is Gamma(n +
    1/2)/Gamma(1/2). The largest distance is 1/n, at the start, where the model is 0 and the sample already
    counts one point.
    """
    n = 512
    spectrum = pareto_part(alpha, n).spectrum
    assert spectrum is not None
    fit = fitted(spectrum.eigenvalues)
    total = n * math.log(n) - math.lgamma(n + 0.5) + math.lgamma(0.5) + n * math.log1p(-0.5 / n)
    assert fit.alpha == pytest.approx(1.0 + n * (alpha - 1.0) / total, rel=1e-12)
    assert fit.alpha == pytest.approx(expected, abs=1e-4)
    assert (fit.index, fit.n_tail, fit.D) == (0, n, pytest.approx(1.0 / n, rel=1e-12))
    assert fit.sigma == pytest.approx((fit.alpha - 1.0) / math.sqrt(n), rel=1e-15)
    one_sided = fitted(spectrum.eigenvalues, two_sided=False)
    assert pytest.approx(0.0013138, abs=1e-7) == one_sided.D
    assert one_sided.index == 0


def test_three_points_by_hand() -> None:
    """x = 1, e, e^2. From 1: m = 3, alpha 2, F = 0, 1 - 1/e, 1 - 1/e^2; against j/3 and (j+1)/3
    the largest difference is |0 - 1/3|. From e: m = 2, sum 1, alpha 3, F = 0, 1 - e^-2; largest |0 - 1/2|.
    """
    x = np.exp([0.0, 1.0, 2.0])
    fit = fitted(x)
    assert (fit.index, fit.n_tail) == (0, 3)
    assert fit.alpha == pytest.approx(2.0, rel=1e-14)
    assert pytest.approx(1.0 / 3.0, rel=1e-14) == fit.D
    assert pytest.approx(1.0 - math.exp(-1.0) - 1.0 / 3.0, rel=1e-14) == fitted(x, two_sided=False).D


def test_ties_go_to_the_longest_tail() -> None:
    """x = 1, 1, 2, 2, 4, 4 (logarithms in units of ln 2).

    From 1: m = 6, alpha - 1 = 6/(6 ln 2), F(2) = 1 - 1/e, F(4) = 1 - 1/e^2; steps 2/6 and 4/6: |F(1) - 2/6|
    = 1/3 is the largest. From 2: m = 4, alpha - 1 = 4/(2 ln 2), F(4) = 1 - e^-2, the largest is |F(2) -
    2/4| = 1/2. With x = 1, 1, 8, 8 both starts of a run of equal values would do in the one-sided variant;
    the first wins.
    """
    fit = fitted(np.array([1.0, 1.0, 2.0, 2.0, 4.0, 4.0]))
    assert (fit.index, fit.n_tail) == (0, 6)
    assert fit.alpha == pytest.approx(1.0 + 1.0 / math.log(2.0), rel=1e-14)
    assert pytest.approx(1.0 / 3.0, rel=1e-14) == fit.D


def test_equal_distances_go_to_the_longest_tail() -> None:
    """One-sided, a tail of k ones and one 8 has alpha - 1 = (k + 1)/ln 8, F(8) = 1 - e^-(k+1), and

    D = max((k - 1)/(k + 1), |F(8) - k/(k + 1)|): 0.3647 for k = 1, 1/3 for k = 2, 1/2 for k = 3, so of 3
    ones the second starts the tail. Both-sided, 1, 1, 2, 4 has D = |F(1) - 2/4| = 1/2 from 1 and |F(2) -
    1/2| = 1/2 from 2.
    """
    fit = fitted(np.array([1.0, 1.0, 1.0, 8.0]), two_sided=False)
    assert (fit.index, fit.n_tail) == (1, 3)
    assert pytest.approx(1.0 / 3.0, rel=1e-14) == fit.D
    assert fitted(np.array([1.0, 1.0, 1.0, 8.0])).index == 0
    x = np.array([1.0, 1.0, 2.0, 4.0])
    both = [fitted(x[i:]).D for i in (0, 2)]
    assert both[0] == both[1] == 0.5
    assert fitted(x).index == 0


@pytest.mark.parametrize("x", [[], [1.0]])
def test_no_candidate(x: list[float]) -> None:
    for fit in (fit_tail, fit_tail_reference):
        assert fit(np.array(x)) == Undefined("no_tail")


def test_no_spread() -> None:
    for fit in (fit_tail, fit_tail_reference):
        assert fit(np.full(40, 3.0)) == Undefined("no_spread")
    assert near_best_range(np.full(40, 3.0)) == Undefined("no_spread")


@pytest.mark.parametrize("x", [[0.0, 1.0], [-1.0, 1.0], [2.0, 1.0], [1.0, math.inf], [1.0, math.nan], [math.nan, 1.0]])
def test_what_is_no_sample_is_refused(x: list[float]) -> None:
    with pytest.raises(ValueError, match="ascending, positive and finite"):
        fit_tail(np.array(x))


# Grid values give ties in x and in D; floats give the generic case; the extremes give under- and overflow.
grid = st.integers(1, 12).map(float)
generic = st.floats(1e-12, 1e12)
extreme = st.floats(5e-324, 1.7e308)
samples = st.one_of(
    st.lists(grid, min_size=2, max_size=60),
    st.lists(generic, min_size=2, max_size=150),
    st.lists(extreme, min_size=2, max_size=30),
    st.builds(
        lambda seed, n, a: list(pareto(n, a, seed)), st.integers(0, 99), st.integers(2, 700), st.floats(1.1, 9.0)
    ),
)


@settings(max_examples=300, deadline=None)
@given(samples, st.booleans())
def test_pruned_scan_is_the_exhaustive_scan(values: list[float], two_sided: bool) -> None:
    """Bit for bit against the exhaustive loop on the same arithmetic, ties included."""
    x = np.sort(np.array(values))
    assert _native.tail_scan(x, two_sided, False) == _native.tail_scan(x, two_sided, True)


@settings(max_examples=200, deadline=None)
@given(samples, st.booleans())
def test_pruned_scan_agrees_with_the_numpy_reference(values: list[float], two_sided: bool) -> None:
    """The reference has its own arithmetic: D agrees to rounding, the start where D is no tie within it."""
    x = np.sort(np.array(values))
    found, expected = fit_tail(x, two_sided), fit_tail_reference(x, two_sided)
    if isinstance(expected, Undefined) or isinstance(found, Undefined):
        assert found == expected
        return
    assert pytest.approx(expected.D, abs=1e-12) == found.D
    if found.index == expected.index:
        assert found.alpha == pytest.approx(expected.alpha, rel=1e-11)
        assert (found.xmin, found.n_tail) == (expected.xmin, expected.n_tail)


@pytest.mark.parametrize("two_sided", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_pruning_on_large_samples(seed: int, two_sided: bool) -> None:
    rng = np.random.default_rng(seed)
    body = rng.lognormal(0.0, 1.5, 1500)
    x = np.sort(np.concatenate([body, 5.0 * pareto(548, 2.0 + seed, seed), np.repeat(body[:30], 3)]))
    assert _native.tail_scan(x, two_sided, False) == _native.tail_scan(x, two_sided, True)
    fit = fitted(x, two_sided)
    reference = fit_tail_reference(x, two_sided)
    assert isinstance(reference, TailFit)
    assert (fit.index, fit.xmin) == (reference.index, reference.xmin)
    assert pytest.approx(reference.D, abs=1e-14) == fit.D


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1000), st.integers(-900, 900))
def test_scaling_by_a_power_of_two_is_exact(seed: int, power: int) -> None:
    x = pareto(200, 3.0, seed)
    base, moved = fitted(x), fitted(np.ldexp(x, power))
    assert (moved.alpha, moved.sigma, moved.index, moved.D) == (base.alpha, base.sigma, base.index, base.D)
    assert moved.xmin == math.ldexp(base.xmin, power)


def test_scaling_by_any_factor() -> None:
    x = pareto(500, 2.7, 5)
    base, moved = fitted(x), fitted(0.3 * x)
    assert moved.index == base.index
    assert moved.alpha == pytest.approx(base.alpha, rel=1e-12)
    assert pytest.approx(base.D, rel=1e-11) == moved.D


def test_logarithms_keep_their_accuracy_next_to_the_largest_value() -> None:
    """x_j = 1 + j u exactly, so ln(x_j/x_n) = -ln1p((n - j) u / x_j); plain logarithms lose nine digits."""
    u = 2.0**-40
    x = 1.0 + u * np.arange(100)
    expected = [-math.log1p((99 - j) * u / x[j]) for j in range(100)]
    np.testing.assert_allclose(log_ratio(x), expected, rtol=1e-14)
    fit = fitted(x)
    gaps = [math.log1p((j - fit.index) * u / x[fit.index]) for j in range(fit.index, 100)]
    assert fit.alpha == pytest.approx(1.0 + len(gaps) / math.fsum(gaps), rel=1e-12)


def test_near_best_range_is_the_exhaustive_one() -> None:
    x = pareto(300, 2.5, 3)
    best = fitted(x).D
    alphas = []
    for i in range(x.size - 1):
        m = x.size - i
        gaps = np.log(x[i:] / x[i])
        alpha = 1.0 + m / gaps.sum()
        model = -np.expm1((1.0 - alpha) * gaps)
        steps = np.arange(m) / m
        if max(abs(model - steps).max(), abs(model - steps - 1.0 / m).max()) <= 1.1 * best:
            alphas.append(alpha)
    found = near_best_range(x, 1.1)
    assert found == pytest.approx((min(alphas), max(alphas)), rel=1e-12)
    assert len(alphas) > 3


def test_resamples_by_index_equal_resamples_by_value() -> None:
    rng = np.random.default_rng(4)
    x = np.sort(np.round(pareto(300, 2.2, 9), 2))
    picks = rng.integers(0, 300, (20, 250), dtype=np.uint32)
    rows = _native.tail_scan_resamples(x, picks, True)
    direct = _native.tail_scan_many(np.sort(x[picks], axis=1), True)
    np.testing.assert_allclose(rows, direct, rtol=1e-11)
    for row, pick in zip(rows, picks, strict=True):
        fit = fitted(np.sort(x[pick]))
        assert (row[1], row[3]) == (fit.xmin, fit.n_tail)
        assert row[2] == pytest.approx(fit.D, rel=1e-12)


@pytest.mark.parametrize("n", [40, 300, 1500])
def test_a_resample_does_not_depend_on_the_one_before(n: int) -> None:
    """The search starts from the last winner; on a grid with many ties in D that must not show."""
    rng = np.random.default_rng(n)
    for x in (np.sort(np.ceil(pareto(n, 2.0, n))), pareto(n, 3.0, n), np.sort(rng.lognormal(0.0, 1.0, n))):
        picks = rng.integers(0, n, (12, n), dtype=np.uint32)
        picks[5] = 7  # no spread, no tail
        rows = _native.tail_scan_resamples(x, picks, True)
        alone = [_native.tail_scan_resamples(x, pick[None], True)[0] for pick in picks]
        assert np.array_equal(rows, alone)
        assert not rows[5].any()


def test_resamples_refuse_what_is_no_index() -> None:
    with pytest.raises(ValueError, match="indices"):
        _native.tail_scan_resamples(np.array([1.0, 2.0, 3.0]), np.array([[0, 3, 1]], np.uint32), True)
    with pytest.raises(ValueError, match="ascending"):
        _native.tail_scan_resamples(np.array([1.0, 0.5]), np.array([[0, 1]], np.uint32), True)
    with pytest.raises(ValueError, match="ascending"):
        _native.tail_scan_many(np.array([[1.0, 2.0], [1.0, 0.5]]), True)


def test_bootstrap_is_reproducible_and_independent_of_its_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    x = pareto(200, 2.5, 0)
    first = bootstrap_fits(x, 30, np.random.default_rng(1))
    monkeypatch.setattr("tollens.instrument.tail.CHUNK", 200 * 7)
    assert np.array_equal(first, bootstrap_fits(x, 30, np.random.default_rng(1)))
    assert not np.array_equal(first, bootstrap_fits(x, 30, np.random.default_rng(2)))


def test_interval_percentiles() -> None:
    x = pareto(200, 2.5, 0)
    fits = bootstrap_fits(x, 100, np.random.default_rng(1))
    interval = bootstrap_interval(x, 100, 0.8, np.random.default_rng(1))
    assert not isinstance(interval, Undefined)
    assert (interval.low, interval.high) == pytest.approx(tuple(np.quantile(fits[:, 0], [0.1, 0.9])))
    assert bootstrap_interval(np.full(5, 1.0), 10, 0.9, np.random.default_rng(0)) == Undefined("no_tail")


def test_known_answers_of_the_instrument() -> None:
    for known in tail.known_answers:
        found = next(r for r in tail.measure(known.part()) if r.quantity == known.quantity)
        assert found.value == pytest.approx(known.value, abs=known.tolerance)


def test_no_draws_no_interval() -> None:
    part = pareto_part(2.5)
    assert tail.measure(part, TailParams(draws=0))[0].interval is None
    interval = tail.measure(part)[0].interval
    assert interval is not None
    assert interval.low < 2.5025 < interval.high
    assert interval.level == 0.9


def part_of(w: np.ndarray, precision: Precision = "f64", dtype: str = "F64") -> Part:
    spectrum = spectrum_of(w, precision)
    return dataclasses.replace(pareto_part(2.0), shape=w.shape, source_dtype=dtype, spectrum=spectrum)


ORTHOGONAL = np.linalg.qr(np.random.default_rng(0).standard_normal((256, 256)))[0]


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        (part_of(np.zeros((20, 30))), "zero_matrix"),
        (part_of(np.full((20, 30), 2.0)), "rank_one"),
        (part_of(np.eye(7, 50) + np.diag(np.arange(7.0), 43)[:7]), "too_small"),
        (part_of(np.array([[3.0, 4.0]])), "too_small"),
        (part_of(ORTHOGONAL), "no_spread"),
        (part_of(ORTHOGONAL.astype(np.float32), "f32", "F32"), "no_spread"),
        (part_of(ORTHOGONAL.astype(np.float32), "f64", "F32"), "no_spread"),
        (part_of(ORTHOGONAL.astype(np.float32), "f64", "Q4_K"), "no_spread"),
        (part_of(ORTHOGONAL.astype(np.float16).astype(np.float32), "f64", "F16"), "no_spread"),
    ],
)
def test_degenerate_matrices_have_no_exponent(part: Part, reason: str) -> None:
    for found in tail.measure(part):
        assert (found.status, found.reason, found.value) == (Status.UNDEFINED, reason, None)


def test_a_matrix_that_is_nearly_but_not_quite_orthogonal_has_a_tail() -> None:
    w = ORTHOGONAL * np.exp(1e-3 * np.arange(256) / 256)
    assert isinstance(tail_of(part_of(w)), TailFit)


def test_short_tails_are_refused_or_flagged() -> None:
    """Body uniform on a narrow range, then m Pareto points far above: the best tail has m points."""
    for m, status, flag in ((12, Status.UNDEFINED, False), (30, Status.OK, True), (80, Status.OK, False)):
        u = (np.arange(m) + 0.5) / m
        x = np.concatenate([np.linspace(1.0, 1.5, 300), 100.0 * (1.0 - u) ** -0.5])
        part = part_of(np.diag(np.sqrt(x)))
        by_name = {r.quantity: r for r in tail.measure(part, TailParams(draws=0))}
        assert by_name["n_tail"].value == m
        assert by_name["n_tail"].status is Status.OK
        assert by_name["alpha"].status is status
        assert ("short_tail" in by_name["alpha"].flags) is flag
        if status is Status.UNDEFINED:
            assert by_name["alpha"].reason == by_name["sigma"].reason == "tail_too_short"


def test_a_tail_that_starts_near_the_blind_floor_is_flagged() -> None:
    part = pareto_part(1.5)
    assert part.spectrum is not None
    blind = dataclasses.replace(part.spectrum, blind_floor=0.5)
    flags = tail.measure(dataclasses.replace(part, spectrum=blind), TailParams(draws=0))[0].flags
    assert flags == ("floor_in_tail",)


def test_unstable_exponents_are_flagged() -> None:
    """The flag is the range of the exponent among near-best starts; both outcomes occur here."""
    seen = set()
    rng = np.random.default_rng(1)
    for scale in (0.3, 0.6, 1.0, 2.0):
        x = np.sort(np.exp(scale * rng.standard_normal(400)))
        span = near_best_range(x, 1.3)
        alpha = tail.measure(part_of(np.diag(np.sqrt(x))), TailParams(draws=0, min_tail=2, near=1.3))[0]
        assert not isinstance(span, Undefined)
        unstable = span[1] - span[0] > 0.5
        assert ("xmin_unstable" in alpha.flags) == unstable
        seen.add(unstable)
    assert seen == {True, False}
    assert "xmin_unstable" not in tail.measure(pareto_part(2.0), TailParams(draws=0))[0].flags


@pytest.mark.slow
@pytest.mark.parametrize("alpha", [1.8, 2.5, 4.0])
def test_interval_covers_the_true_exponent(alpha: float) -> None:
    """300 Pareto samples of 400 points: nominal 0.90. The search for xmin widens the interval, so coverage
    may exceed the level; it must not fall below it by more than three binomial standard errors (0.052).
    """
    rng = np.random.default_rng(7)
    covered = 0
    for seed in range(300):
        interval = bootstrap_interval(pareto(400, alpha, 1000 + seed), 200, 0.9, rng)
        assert not isinstance(interval, Undefined)
        covered += interval.low <= alpha <= interval.high
    print(f"alpha {alpha}: coverage {covered / 300:.3f}")
    assert covered / 300 > 0.9 - 0.052
