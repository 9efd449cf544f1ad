"""What each sequential rule does under the null and under peeking, beside naive peeking; figures are printed."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest
from scipy.special import betaln, log_ndtr, ndtri

from tollens.core.seeding import generator
from tollens.stats.evalue import e_bh
from tollens.stats.group_sequential import Design, equal_looks, lan_demets, obrien_fleming, pocock
from tollens.stats.mixture_sequence import exact_rho
from tollens.stats.sprt import bernoulli_steps, sprt_expected_size, sprt_thresholds
from tollens.stats.two_sample_sequence import SCALE, Block, log_ratio, mixture_points

pytestmark = pytest.mark.slow
ALPHA = 0.05
LOG_20 = math.log(1.0 / ALPHA)


def error(rate: float, runs: int) -> float:
    """Four binomial standard errors."""
    return 4.0 * math.sqrt(rate * (1.0 - rate) / runs)


def at_most(what: str, hits: np.ndarray, limit: float) -> float:
    rate = float(np.mean(hits))
    print(f"\n{what}: {rate:.4f} (limit {limit:.4f}, {hits.size:,} runs)", end="")
    assert rate <= limit + error(limit, hits.size)
    return rate


def about(what: str, hits: np.ndarray, expected: float) -> None:
    rate = float(np.mean(hits))
    print(f"\n{what}: {rate:.4f} (expected {expected:.4f}, {hits.size:,} runs)", end="")
    assert abs(rate - expected) <= error(expected, hits.size)


def test_mean_of_gaussian_units_looked_at_after_each() -> None:
    runs, units = 8000, 300
    sums = np.cumsum(generator(1, "gaussian").standard_normal((runs, units)), axis=1)
    v = np.arange(1.0, units + 1.0)
    rho, one_rho = exact_rho(100.0, ALPHA), exact_rho(100.0, 2 * ALPHA)
    two = 0.5 * np.log(rho / (v + rho)) + sums**2 / (2 * (v + rho))
    one = np.log(2.0) + 0.5 * np.log(one_rho / (v + one_rho)) + sums**2 / (2 * (v + one_rho))
    one += log_ndtr(sums / np.sqrt(v + one_rho))
    naive = np.abs(sums) / np.sqrt(v) > -ndtri(ALPHA / 2)
    kept = at_most("normal mixture, two sides, every unit", (two >= LOG_20).any(axis=1), ALPHA)
    at_most("normal mixture, one side, every unit", (one >= LOG_20).any(axis=1), ALPHA)
    looks = np.arange(9, units, 10)
    assert looks.size == 30
    missed = at_most("normal mixture, two sides, 30 looks", (two[:, looks] >= LOG_20).any(axis=1), ALPHA)
    every, thirty = naive.any(axis=1).mean(), naive[:, looks].any(axis=1).mean()
    print(f"\nnaive peeking at 1.96: {every:.4f} every unit, {thirty:.4f} at 30 looks", end="")
    assert thirty > 0.25
    assert every > thirty > missed
    assert kept >= missed


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_a_rate_looked_at_after_each_unit(rate: float) -> None:
    runs, units = 8000, 400
    ones = np.cumsum(generator(2, "bernoulli", str(rate)).random((runs, units)) < rate, axis=1)
    n = np.arange(1, units + 1)
    log_e = betaln(ones + 1.0, n - ones + 1.0) - ones * math.log(rate) - (n - ones) * math.log1p(-rate)
    at_most(f"uniform mixture at rate {rate}, every unit", (log_e >= LOG_20).any(axis=1), ALPHA)
    z = (ones - n * rate) / np.sqrt(n * rate * (1 - rate))
    naive = (np.abs(z[:, 29:]) > 1.96).any(axis=1).mean()
    print(f"\nnaive peeking at 1.96, every unit from 30 on: {naive:.4f}", end="")
    assert naive > 0.2


def test_the_always_valid_p_is_larger_than_uniform() -> None:
    runs, units, tau = 8000, 200, 0.3
    sums = np.cumsum(generator(3, "msprt").standard_normal((runs, units)), axis=1)
    v, rho = np.arange(1.0, units + 1.0), 1.0 / tau**2
    best = (0.5 * np.log(rho / (v + rho)) + sums**2 / (2 * (v + rho))).max(axis=1)
    for u in (0.01, 0.05, 0.2, 0.5):
        at_most(f"mixture SPRT, p <= {u}", best >= -math.log(u), u)


def test_walds_test_keeps_its_errors_and_its_expected_size() -> None:
    alpha, beta, p0, p1, runs = 0.05, 0.2, 0.5, 0.6, 6000
    one, zero = bernoulli_steps(p0, p1)
    limits, sizes = sprt_thresholds(alpha, beta), sprt_expected_size(p0, p1, alpha, beta)
    for rate, wrong, bound, size in (
        (p0, "H1", alpha / (1 - beta), sizes.under_h0),
        (p1, "H0", beta / (1 - alpha), sizes.under_h1),
    ):
        ones = generator(4, "sprt", str(rate)).random((runs, 1500)) < rate
        path = np.cumsum(np.where(ones, one, zero), axis=1)
        out = (path >= limits.upper) | (path <= limits.lower)
        assert out.any(axis=1).all()
        first = out.argmax(axis=1)
        accepted_h1 = path[np.arange(runs), first] >= limits.upper
        at_most(f"SPRT accepts {wrong} at rate {rate}", accepted_h1 == (wrong == "H1"), bound)
        mean = float((first + 1).mean())
        print(f"\nSPRT mean size at rate {rate}: {mean:.1f} (Wald {size:.1f}, overshoot ignored)", end="")
        assert size * 0.98 < mean < size * 1.12  # the overshoot makes the test longer


def test_group_sequential_designs_at_their_planned_looks() -> None:
    runs, looks = 200_000, 5
    steps = generator(5, "group").standard_normal((runs, looks))
    z = np.cumsum(steps, axis=1) / np.sqrt(np.arange(1, looks + 1))
    times = equal_looks(looks)
    designs: list[Design] = [obrien_fleming(times, ALPHA), pocock(times, ALPHA), obrien_fleming(times, ALPHA, 1)]
    designs += [lan_demets(times, ALPHA, name) for name in ("obrien-fleming", "obrien-fleming of the total", "pocock")]
    for design in designs:
        statistic = np.abs(z) if design.sides == 2 else z
        about(f"{design.name}, {design.sides} sides", (statistic >= np.array(design.z)).any(axis=1), ALPHA)
    about("1.96 at each of five looks", (np.abs(z) >= 1.96).any(axis=1), 0.1417)


def test_a_planned_boundary_does_not_survive_peeking_between_the_looks() -> None:
    runs, units = 8000, 500
    path = np.cumsum(generator(6, "between").standard_normal((runs, units)), axis=1)
    z = np.abs(path) / np.sqrt(np.arange(1, units + 1))
    bound = pocock(equal_looks(5), ALPHA).z[0]
    about("Pocock, its five looks", (z[:, 99::100] >= bound).any(axis=1), ALPHA)
    peeking = float((z >= bound).any(axis=1).mean())
    print(f"\nthe same boundary at every unit: {peeking:.4f}", end="")
    assert peeking > 0.1


@cache
def _block(ones_a: int, ones_b: int, size: int) -> np.ndarray:
    return log_ratio(Block(ones_a, size, ones_b, size), mixture_points(SCALE))


def _paths(p_a: float, p_b: float, size: int, blocks: int, runs: int) -> tuple[np.ndarray, np.ndarray]:
    """ln e and z of the pooled test after each block, both (runs, blocks)."""
    rng = generator(7, "two", str(p_a), str(p_b), str(size))
    a, b = rng.binomial(size, p_a, (runs, blocks)), rng.binomial(size, p_b, (runs, blocks))
    log_e = np.empty((runs, blocks))
    for row, ones_a, ones_b in zip(log_e, a.tolist(), b.tolist(), strict=True):
        path = np.cumsum([_block(i, j, size) for i, j in zip(ones_a, ones_b, strict=True)], axis=0)
        top = path.max(axis=1)
        row[:] = top + np.log(np.exp(path - top[:, None]).mean(axis=1))
    n = size * np.arange(1, blocks + 1)
    pooled = np.cumsum(a + b, axis=1) / (2 * n)
    spread = np.sqrt(np.maximum(2 * pooled * (1 - pooled) / n, 1e-12))
    return log_e, (np.cumsum(b, axis=1) - np.cumsum(a, axis=1)) / n / spread


@pytest.mark.parametrize(("rate", "size", "blocks"), [(0.1, 50, 100), (0.5, 1, 500), (0.02, 20, 200)])
def test_two_equal_rates_looked_at_after_each_block(rate: float, size: int, blocks: int) -> None:
    log_e, z = _paths(rate, rate, size, blocks, 4000)
    kept = at_most(f"two rates of {rate}, blocks of {size}", (log_e >= LOG_20).any(axis=1), ALPHA)
    naive = float((np.abs(z) > 1.96)[:, -(-30 // size) :].any(axis=1).mean())
    print(f"\nnaive peeking at 1.96: {naive:.4f}", end="")
    assert naive > 0.15 > kept
    crossed = log_e >= LOG_20
    stop = np.where(crossed.any(axis=1), crossed.argmax(axis=1), blocks - 1)
    stopped = np.exp(log_e[np.arange(stop.size), stop])  # its mean is 1 by optional stopping
    print(f"\nmean of e when one stops at 20: {stopped.mean():.3f}", end="")
    assert abs(stopped.mean() - 1.0) < 4.0 * stopped.std() / math.sqrt(stopped.size)


def test_rates_that_drift_together_are_equal_rates() -> None:
    """The common rate may change from block to block, even by a factor of nine."""
    rng = generator(8, "drift")
    rates = np.where(np.arange(60) % 10 < 5, 0.1, 0.9)
    a, b = rng.binomial(20, rates, (2000, 60)), rng.binomial(20, rates, (2000, 60))
    hits = np.zeros(2000, dtype=bool)
    for i in range(2000):
        path = np.cumsum([_block(x, y, 20) for x, y in zip(a[i].tolist(), b[i].tolist(), strict=True)], axis=0)
        hits[i] = (np.exp(path).mean(axis=1) >= 1.0 / ALPHA).any()
    at_most("two rates that drift together", hits, ALPHA)


def test_power_at_ten_against_twelve_per_cent() -> None:
    """A fixed test has power .8 at 3,841 per arm; the price of looking at any time is in the figures."""
    runs, size = 600, 100
    log_e, _ = _paths(0.10, 0.12, size, 120, runs)
    crossed = log_e >= LOG_20
    by = {n: float(crossed[:, : n // size].any(axis=1).mean()) for n in (2000, 3800, 6000, 8000, 12000)}
    first = np.where(crossed.any(axis=1), crossed.argmax(axis=1) + 1, 120) * size
    told = ", ".join(f"{power:.3f} by {n:,}" for n, power in by.items())
    print(f"\n.10 v .12 per arm: {told}; mean n {first.mean():,.0f}, median {np.median(first):,.0f}", end="")
    assert 0.38 < by[3800] < 0.58
    assert by[8000] > 0.78
    assert by[12000] > 0.94


def test_false_discoveries_under_dependence() -> None:
    """40 of 50 nulls; all share one Gaussian factor, positively or with alternating signs."""
    runs, alpha, tilt = 3000, 0.1, 2.5
    signal = np.arange(50) < 10
    for sign in (np.ones(50), np.where(np.arange(50) % 2, 1.0, -1.0)):
        rng = generator(9, "e-bh", str(sign[0]))
        common, own = rng.standard_normal((runs, 1)), rng.standard_normal((runs, 50))
        z = math.sqrt(0.8) * common * sign + math.sqrt(0.2) * own + 4.0 * signal
        shares, found = np.zeros(runs), 0
        for i, e in enumerate(np.exp(tilt * z - tilt**2 / 2.0)):
            rejected = np.array(e_bh(e.tolist(), alpha), dtype=int)
            false = (~signal[rejected]).sum()
            shares[i] = false / max(1, rejected.size)
            found += rejected.size - false
        rate, spread = float(shares.mean()), float(shares.std()) / math.sqrt(runs)
        print(f"\ne-BH false discovery rate {rate:.4f} (limit .08), {found / runs:.2f} of 10 found", end="")
        assert rate <= alpha * 0.8 + 4.0 * spread
        assert found / runs > 2.0
