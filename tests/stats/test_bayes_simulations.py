"""Long simulations of the Bayesian answers and of power; each prints its figures."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import betaln, stdtrit

from tollens.core.seeding import generator
from tollens.stats.beta_bernoulli import Beta, expected_losses, probability_greater
from tollens.stats.expected_loss import Action, ExpectedLossRule, characteristics_beside, error_rate, tie_bound
from tollens.stats.gaussian import Gaussian, crossing_probability, expected_information_gain, posterior, worth_running
from tollens.stats.operating_characteristics import Counts, Simulation, Truth, operating_characteristics
from tollens.stats.power import (
    FORMULAS,
    n_eval_items,
    power_paired_t,
    power_two_proportions,
    power_two_sample_t,
)

pytestmark = pytest.mark.slow

RUNS = 6000


def four_errors(p: float, runs: int) -> float:
    """Four binomial standard errors."""
    return 4.0 * math.sqrt(max(p * (1.0 - p), 1.0 / runs) / runs)


@pytest.mark.parametrize(
    ("b", "epsilon", "mean", "median", "ships_b"),
    [
        (0.12, 0.005, (305, 20), (200, 0), (0.75, 0.03)),
        (0.12, 0.001, (1170, 70), (800, 0), (0.92, 0.015)),
        (0.10, 0.005, (320, 25), (200, 0), (0.50, 0.03)),
        (0.10, 0.001, (2400, 150), (1200, 200), (0.50, 0.03)),
    ],
)
def test_operating_characteristics_of_expected_loss(
    b: float,
    epsilon: float,
    mean: tuple[float, float],
    median: tuple[float, float],
    ships_b: tuple[float, float],
) -> None:
    """Flat prior, looks every 50 an arm, .10 against b; equal arms ship B in half of all runs and always stop.

    Every run ends before twice the tie bound, so the cap plays no part.
    """
    cap = 50 * math.ceil(2.0 * tie_bound(0.11, epsilon) / 50)
    rule = ExpectedLossRule(epsilon, tuple(range(50, cap + 1, 50)))
    simulation = Simulation(rule.looks, (Truth(0.1, b), Truth(0.1, 0.1)), RUNS)
    row = operating_characteristics(rule.name, lambda runs: rule.decisions(), simulation, generator(1, "table")).rows[0]
    print(f"\n.10 v {b:.2f}, epsilon {epsilon}: mean {row.mean_users:.0f}, median {row.median_users:.0f}, {row}")
    assert row.mean_users == pytest.approx(mean[0], abs=mean[1])
    assert row.median_users == pytest.approx(median[0], abs=median[1])
    assert row.ships_b == pytest.approx(ships_b[0], abs=ships_b[1])
    assert row.third == 0.0


def _two_arm_mixture(n: int, a: Counts, b: Counts, going: Counts) -> NDArray[np.float64]:
    """Independent uniform mixtures for the arms over the running fit of one rate, an e-value for equal rates: the
    likelihood at the maximum bounds that at the true rate."""
    both = a + b
    rate = np.clip(both / (2 * n), 1e-300, 1.0 - 1e-16)
    fit = both * np.log(rate) + (2 * n - both) * np.log1p(-rate)
    return np.asarray(np.exp(betaln(a + 1, n - a + 1) + betaln(b + 1, n - b + 1) - fit))


def test_expected_loss_beside_an_e_value() -> None:
    """With equal arms the e-value ships in at most 5 % of runs, and the expected-loss rule in all of them."""
    rule = ExpectedLossRule(0.005, tuple(range(50, 5001, 50)), third=Action.KEEP_CONTROL)
    simulation = Simulation(rule.looks, (Truth(0.1, 0.1), Truth(0.1, 0.15)), RUNS)
    own, beside = characteristics_beside(rule, lambda runs: _two_arm_mixture, 0.05, simulation, generator(2, "beside"))
    for characteristics in (own, beside):
        for row in characteristics.rows:
            print(f"\n{characteristics.rule}: {row}, right {row.right:.4f}, wrong {row.wrong:.4f}")
    assert error_rate(rule, own.rows[0]) == 1.0
    assert beside.rows[0].wrong <= 0.05 + four_errors(0.05, RUNS)
    assert beside.rows[1].right > 0.9
    assert beside.rows[1].wrong <= 0.001
    assert own.rows[1].wrong > 0.01


def test_expected_losses_and_probability_are_those_of_draws() -> None:
    rng = generator(3, "draws")
    for a, b in ((Beta(3, 8), Beta(6, 5)), (Beta(101, 901), Beta(121, 881)), (Beta(0.5, 3.5), Beta(0.5, 2.5))):
        x, y = rng.beta(a.alpha, a.beta, 1_000_000), rng.beta(b.alpha, b.beta, 1_000_000)
        losses, p = expected_losses(a, b), probability_greater(a, b)
        print(f"\n{a} v {b}: {losses}, P(B > A) {p:.6f}; drawn {np.maximum(y - x, 0).mean():.6f}, {(y > x).mean():.6f}")
        for loss, gain in ((losses.a, np.maximum(y - x, 0.0)), (losses.b, np.maximum(x - y, 0.0))):
            assert gain.mean() == pytest.approx(loss, abs=4.0 * gain.std() / 1000.0)
        assert (y > x).mean() == pytest.approx(p, abs=four_errors(p, 1_000_000))


def test_information_gain_and_crossing_are_those_of_simulated_experiments() -> None:
    """Effect from the prior, data from the effect: the gain is the mean of ln posterior/prior density there."""
    prior, sd, n, threshold, runs = Gaussian(-0.1, 0.2), 0.08, 28, -0.05, 200_000
    rng = generator(4, "gain")
    effects = rng.normal(prior.mean, prior.sd, runs)
    means = effects + rng.normal(0.0, sd / math.sqrt(n), runs)
    law = posterior(prior, 0.0, sd, n)
    share = 1.0 - (law.sd / prior.sd) ** 2
    future = prior.mean + share * (means - prior.mean)
    z, z0 = (effects - future) / law.sd, (effects - prior.mean) / prior.sd
    gains = np.log(prior.sd / law.sd) + 0.5 * (z0**2 - z**2)
    crossed = future > threshold
    decided = np.where(crossed, effects - threshold, 0.0)  # without data: the prior mean lies below, nothing is done
    worth = worth_running(prior, sd, n, threshold=threshold, cost=0.0)
    print(f"\nnats {gains.mean():.4f} v {worth.nats:.4f}; crossing {crossed.mean():.4f} v {worth.crossing:.4f}")
    print(f"gain of the decision {decided.mean():.5f} v {worth.gain:.5f}")
    assert gains.mean() == pytest.approx(expected_information_gain(prior.sd, sd, n), abs=4 * gains.std() / runs**0.5)
    p = crossing_probability(prior, sd, n, threshold)
    assert crossed.mean() == pytest.approx(p, abs=four_errors(p, runs))
    assert decided.mean() == pytest.approx(worth.gain, abs=4 * decided.std() / runs**0.5)


@pytest.mark.parametrize(("d", "n"), [(0.5, 64), (0.8, 10), (1.5, 5)])
def test_power_of_t_tests_is_that_of_simulated_samples(d: float, n: int) -> None:
    runs, rng = 100_000, generator(5, "t", str(n))
    x, y = rng.standard_normal((runs, n)), rng.standard_normal((runs, n)) + d
    pooled = np.sqrt((x.var(axis=1, ddof=1) + y.var(axis=1, ddof=1)) / n)
    two = (np.abs(y.mean(axis=1) - x.mean(axis=1)) / pooled > stdtrit(2 * n - 2, 0.975)).mean()
    paired = (np.abs(y.mean(axis=1)) / (y.std(axis=1, ddof=1) / math.sqrt(n)) > stdtrit(n - 1, 0.975)).mean()
    for name, seen, expected in (
        ("two-sample", two, power_two_sample_t(d, n)),
        ("paired", paired, power_paired_t(d, n)),
    ):
        print(f"\n{name} t, d {d}, n {n}: simulated {seen:.4f}, computed {expected:.4f}")
        assert seen == pytest.approx(expected, abs=four_errors(expected, runs))


def test_power_of_proportions_is_that_of_simulated_counts() -> None:
    """The z test with pooled variance; the approximations are within one point of it at 1,000 an arm."""
    runs, n, rng = 400_000, 1000, generator(6, "proportions")
    a, b = rng.binomial(n, 0.10, runs) / n, rng.binomial(n, 0.12, runs) / n
    mean = (a + b) / 2
    seen = float(((b - a) / np.sqrt(2 * mean * (1 - mean) / n) > 1.959964).mean())
    print(f"\n.10 v .12, 1000 an arm: simulated {seen:.4f}")
    for formula in FORMULAS:
        computed = power_two_proportions(0.10, 0.12, n, formula=formula)
        print(f"  {formula}: {computed:.4f}")
        assert computed == pytest.approx(seen, abs=0.01 if formula != "null-variance" else 0.03)


def test_items_of_an_evaluation_give_their_power() -> None:
    """Paired differences in {-1, 0, 1} with mean .03 and variance 1/9."""
    rng, runs = generator(7, "items"), 20_000
    n = math.ceil(n_eval_items(1 / 9, 0.03, 0.8))
    moved = 1 / 9 + 0.03**2
    counts = rng.multinomial(n, [(moved + 0.03) / 2, (moved - 0.03) / 2, 1 - moved], runs)
    mean = (counts[:, 0] - counts[:, 1]) / n
    variance = (counts[:, 0] + counts[:, 1]) / n - mean**2
    seen = float((mean / np.sqrt(variance / n) > 1.959964).mean())
    print(f"\nvariance 1/9, difference .03, {n} items: simulated power {seen:.4f}")
    assert seen == pytest.approx(0.8, abs=four_errors(0.8, runs) + 0.005)
