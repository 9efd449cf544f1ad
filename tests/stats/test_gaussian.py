from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollens.core.errors import TollensError
from tollens.stats.gaussian import (
    Gaussian,
    crossing_probability,
    expected_information_gain,
    gaussian_update,
    posterior,
    worth_running,
)

PRIOR = Gaussian(-0.1, 0.2)
SCALES = st.floats(1e-3, 1e3)


def test_the_posterior_is_the_precision_weighted_mean() -> None:
    """Precisions 1/.04 = 25 and 28/.0064 = 4375: mean (-2.5 - 525)/4400, variance 1/4400."""
    law = posterior(PRIOR, -0.12, 0.08, 28)
    assert law.mean == pytest.approx(-527.5 / 4400, rel=1e-12)
    assert law.sd == pytest.approx(4400**-0.5, rel=1e-12)
    assert law.below(-0.05) == pytest.approx(0.999998, abs=1e-6)


def test_an_interval_is_never_narrower_than_its_level_allows() -> None:
    result = gaussian_update(PRIOR, -0.12, 0.08, 28)
    assert result.interval is not None
    half = (result.interval.high - result.interval.low) / 2
    assert half == pytest.approx(0.02955, abs=5e-6)  # 1.959964 * .0150756: a claimed +-.010 is impossible
    assert result.se == pytest.approx(0.0150756, abs=1e-7)
    assert "does not control the type-I error" in result.guarantee
    assert "no guarantee of an error rate" in result.guarantee


@given(st.floats(-5, 5), SCALES, st.floats(-5, 5), SCALES, st.integers(1, 50), st.integers(1, 50))
def test_two_updates_are_one(prior: float, tau: float, m: float, sigma: float, n: int, more: int) -> None:
    law = Gaussian(prior, tau)
    twice = posterior(posterior(law, m, sigma, n), m, sigma, more)
    once = posterior(law, m, sigma, n + more)
    assert twice.mean == pytest.approx(once.mean, rel=1e-9, abs=1e-9)
    assert twice.sd == pytest.approx(once.sd, rel=1e-12)


@given(SCALES, SCALES, st.integers(1, 50), st.integers(1, 50))
def test_information_is_what_the_posterior_lost_in_width_and_adds_up(tau: float, sigma: float, n: int, m: int) -> None:
    law = posterior(Gaussian(0.0, tau), 1.0, sigma, n)
    gain = expected_information_gain(tau, sigma, n)
    assert gain == pytest.approx(math.log(tau / law.sd), rel=1e-6, abs=1e-9)
    both = gain + expected_information_gain(law.sd, sigma, m)
    assert both == pytest.approx(expected_information_gain(tau, sigma, n + m), rel=1e-9)


def test_known_information() -> None:
    """n tau^2/sigma^2 = 28*.04/.0064 = 175."""
    nats = expected_information_gain(0.2, 0.08, 28)
    assert nats == pytest.approx(2.585242, abs=1e-6)
    assert nats / math.log(2) == pytest.approx(3.729716, abs=1e-6)
    assert expected_information_gain(0.2, 0.08, 0) == 0.0


@given(st.floats(-2, 2), SCALES, SCALES, st.integers(0, 10_000), st.floats(-2, 2))
def test_the_chance_to_cross_grows_with_n_and_never_passes_a_half(
    mean: float, tau: float, sigma: float, n: int, threshold: float
) -> None:
    now = crossing_probability(Gaussian(mean, tau), sigma, n, threshold)
    later = crossing_probability(Gaussian(mean, tau), sigma, 2 * n + 1, threshold)
    assert 0.0 <= now <= later <= 0.5


def test_much_information_can_be_worth_nothing() -> None:
    """5 nats, but the threshold is 50 prior standard deviations away."""
    far = worth_running(Gaussian(0.0, 1.0), 1.0, 22_100, threshold=50.0, cost=1e-6)
    assert far.nats > 5.0
    assert far.crossing == 0.0
    assert not far.run
    near = worth_running(Gaussian(0.0, 1.0), 1.0, 22_100, threshold=0.1, cost=1e-6)
    assert near.run
    assert near.crossing == pytest.approx(0.46, abs=0.01)


@pytest.mark.parametrize("given_", [{}, {"cost": 1.0}, {"threshold": 0.0}])
def test_no_recommendation_without_cost_and_threshold(given_: dict[str, float]) -> None:
    with pytest.raises(TollensError) as caught:
        worth_running(PRIOR, 0.08, 28, **given_)
    assert caught.value.code == "stats_unnamed"
    for missing in {"cost", "threshold"} - set(given_):
        assert missing in caught.value.found


@pytest.mark.parametrize(
    "ask",
    [
        lambda: Gaussian(math.nan, 1.0),
        lambda: Gaussian(0.0, 0.0),
        lambda: Gaussian(0.0, math.inf),
        lambda: posterior(PRIOR, math.inf, 1.0, 3),
        lambda: posterior(PRIOR, 0.0, -1.0, 3),
        lambda: posterior(PRIOR, 0.0, 1.0, 0),
        lambda: gaussian_update(PRIOR, 0.0, 1.0, 3, level=1.0),
        lambda: expected_information_gain(0.0, 1.0, 3),
        lambda: expected_information_gain(1.0, 1.0, -1),
        lambda: crossing_probability(PRIOR, 1.0, 3, math.nan),
        lambda: worth_running(PRIOR, 1.0, 3, threshold=0.0, cost=-1.0),
        lambda: worth_running(PRIOR, 1.0, 3, threshold=0.0, cost=math.nan),
    ],
)
def test_values_that_make_no_law_are_refused(ask: object) -> None:
    assert callable(ask)
    with pytest.raises(TollensError) as caught:
        ask()
    assert caught.value.code == "stats_input"
