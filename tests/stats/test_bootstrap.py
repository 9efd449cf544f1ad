from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from tollens.core.errors import TollensError
from tollens.stats.binomial_interval import ends
from tollens.stats.bootstrap import Bootstrap, bca_levels, paired_bootstrap

RNG = np.random.default_rng
BCA = Bootstrap("bca")


def skewed(n: int = 40) -> tuple[np.ndarray, np.ndarray]:
    rng = RNG(2)
    return rng.exponential(size=n), np.zeros(n)


@pytest.mark.parametrize(("params", "theirs"), [(Bootstrap(), "percentile"), (BCA, "bca")], ids=["percentile", "BCa"])
def test_against_scipy(params: Bootstrap, theirs: str) -> None:
    """Two sets of 10,000 resamples: the ends differ by a few of their standard errors, 0.3 % of the width."""
    x, y = skewed()
    expected = scipy_stats.bootstrap((x,), np.mean, n_resamples=10_000, method=theirs, rng=RNG(1)).confidence_interval
    low, high = ends(paired_bootstrap(x, y, RNG(0), params))
    tolerance = 0.04 * (high - low)
    assert (low, high) == (pytest.approx(expected.low, abs=tolerance), pytest.approx(expected.high, abs=tolerance))


def test_bca_levels_by_hand() -> None:
    """z0 = Phi^-1(.6); the jackknife of a mean gives a = skew/(6 sqrt n), here 1.1547/12."""
    means = np.concatenate([np.zeros(6000), np.full(4000, 2.0)])
    x = np.array([0.0, 0.0, 0.0, 6.0])
    left_out = (x.sum() - x) / 3.0
    a = (2.0 / math.sqrt(3.0)) / (6.0 * math.sqrt(4.0))  # skew of one in four: (1 - 2/4)/sqrt(3/16)
    z0 = scipy_stats.norm.ppf(0.6)
    expected = [scipy_stats.norm.cdf(z0 + (z0 + z) / (1.0 - a * (z0 + z))) for z in scipy_stats.norm.ppf([0.05, 0.95])]
    assert bca_levels(means, 1.0, left_out, 0.1) == (pytest.approx(expected[0]), pytest.approx(expected[1]))


def test_bca_of_a_symmetric_sample_is_the_percentile_interval() -> None:
    means = np.linspace(-1.0, 1.0, 10_001)
    assert bca_levels(means, 0.0, np.array([-1.0, 0.0, 1.0]), 0.05) == (pytest.approx(0.025), pytest.approx(0.975))


def test_bca_follows_the_skew() -> None:
    x, y = skewed()
    plain, corrected = ends(paired_bootstrap(x, y, RNG(0))), ends(paired_bootstrap(x, y, RNG(0), BCA))
    assert corrected[0] > plain[0]
    assert corrected[1] > plain[1]


def test_the_same_generator_gives_the_same_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = skewed()
    first = paired_bootstrap(x, y, RNG(7))
    assert paired_bootstrap(x, y, RNG(7)) == first
    assert paired_bootstrap(x, y, RNG(8)) != first
    assert first.estimate == pytest.approx(x.mean())
    assert first.se == pytest.approx(x.std() / math.sqrt(40), rel=0.05)
    monkeypatch.setattr("tollens.stats.bootstrap._CHUNK", 40 * 999)
    assert paired_bootstrap(x, y, RNG(7)) == first


def test_scale_and_exchange() -> None:
    x, y = skewed()
    low, high = ends(paired_bootstrap(x, y, RNG(7)))
    assert ends(paired_bootstrap(3.0 * x, y, RNG(7))) == (pytest.approx(3.0 * low), pytest.approx(3.0 * high))
    assert ends(paired_bootstrap(y, x, RNG(7))) == (pytest.approx(-high, rel=1e-9), pytest.approx(-low, rel=1e-9))


def test_clusters_are_resampled_whole() -> None:
    """Copies in clusters change nothing; resampled as rows they would shrink the interval by sqrt(5)."""
    x, y = skewed()
    plain = paired_bootstrap(x, y, RNG(7))
    copies = paired_bootstrap(np.repeat(x, 5), np.repeat(y, 5), RNG(7), cluster=np.repeat(np.arange(40), 5))
    assert ends(copies) == (pytest.approx(ends(plain)[0], rel=1e-9), pytest.approx(ends(plain)[1], rel=1e-9))
    assert copies.n == 40
    rows = paired_bootstrap(np.repeat(x, 5), np.repeat(y, 5), RNG(7))
    assert rows.se == pytest.approx(plain.se / math.sqrt(5.0), rel=0.05)
    assert plain.assumptions == rows.assumptions == ("independence assumed",)


def test_clusters_of_unequal_size_weigh_by_their_rows() -> None:
    x = np.concatenate([np.zeros(80), np.ones(20)])
    cluster = np.concatenate([np.repeat(np.arange(10), 8), np.arange(10, 30)])
    found = paired_bootstrap(x, np.zeros(100), RNG(0), cluster=cluster)
    assert found.estimate == pytest.approx(0.2)
    assert found.n == 30
    corrected = paired_bootstrap(x, np.zeros(100), RNG(0), BCA, cluster=cluster)
    assert ends(corrected)[0] < 0.2 < ends(corrected)[1]


def code(ask: object) -> str:
    with pytest.raises(TollensError) as caught:
        ask()  # type: ignore[operator]
    return caught.value.code


def test_few_units_are_refused() -> None:
    x, y = skewed(19)
    assert code(lambda: paired_bootstrap(x, y, RNG(0))) == "stats_too_few_units"
    assert paired_bootstrap(x, y, RNG(0), Bootstrap(min_units=19)).n == 19
    assert code(lambda: paired_bootstrap(x, y, RNG(0), BCA)) == "stats_too_few_units"
    x, y = skewed(40)
    assert code(lambda: paired_bootstrap(x, y, RNG(0), cluster=np.arange(40) // 3)) == "stats_too_few_units"


def test_hostile_input() -> None:
    x, y = skewed()
    assert code(lambda: paired_bootstrap([], [], RNG(0))) == "stats_input"
    assert code(lambda: paired_bootstrap(x, y[:-1], RNG(0))) == "stats_input"
    assert code(lambda: paired_bootstrap(x * math.nan, y, RNG(0))) == "stats_input"
    assert code(lambda: paired_bootstrap(x, y, RNG(0), Bootstrap(draws=9_999))) == "stats_input"
    assert code(lambda: paired_bootstrap(x, y, RNG(0), Bootstrap(alpha=0.0))) == "stats_input"
    assert code(lambda: paired_bootstrap(x, y, RNG(0), Bootstrap("basic"))) == "stats_input"  # type: ignore[arg-type]
    assert code(lambda: paired_bootstrap(x, y, RNG(0), Bootstrap(alpha=1e-5))) == "stats_level_unreachable"
    assert code(lambda: paired_bootstrap(x + 0.1, x, RNG(0))) == "stats_no_scale"
    assert code(lambda: paired_bootstrap([1.0], [0.0], RNG(0), Bootstrap("bca", min_units=1))) == "stats_no_scale"
    assert code(lambda: bca_levels(np.arange(1.0, 9.0), 0.0, np.arange(3.0), 0.05)) == "stats_too_few_units"
