"""Long simulations: what is promised for a fixed sample size is what happens.

Every band is four binomial standard errors, sqrt(p(1 - p)/runs), about the promised rate.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from tollens.core.seeding import generator
from tollens.stats.binomial_interval import clopper_pearson, ends, wilson
from tollens.stats.bootstrap import Bootstrap, paired_bootstrap
from tollens.stats.clustered import clustered_mean
from tollens.stats.domain import Array
from tollens.stats.equivalence import Outcome, paired_equivalence, tost_paired_binary, tost_power
from tollens.stats.multiplicity import benjamini_hochberg, benjamini_yekutieli, bonferroni, holm
from tollens.stats.paired import paired_test
from tollens.stats.permutation import sign_flip, two_sample_permutation
from tollens.stats.student import paired_t, student_t, welch_t
from tollens.stats.tables import fisher_exact, mcnemar_exact

pytestmark = pytest.mark.slow


def band(rate: float, runs: int) -> float:
    return 4.0 * math.sqrt(rate * (1.0 - rate) / runs)


def super_uniform(name: str, ps: list[float]) -> None:
    """No level is undershot too often: P(p <= a) <= a at each of four levels."""
    found = {a: float(np.mean(np.array(ps) <= a + 1e-12)) for a in (0.01, 0.05, 0.2, 0.5)}
    print(f"{name}, {len(ps)} runs under the null: " + ", ".join(f"P(p <= {a}) = {v:.4f}" for a, v in found.items()))
    assert all(v <= a + band(a, len(ps)) for a, v in found.items())
    assert found[0.5] > 0.2  # a p that is always 1 would pass the line above


def test_exact_p_values_are_super_uniform() -> None:
    rng, runs = generator(1, "exact p"), 3000
    super_uniform("sign flip, n = 10", [sign_flip(rng.standard_t(2, size=10)).p for _ in range(runs)])
    ties = [sign_flip(rng.integers(-2, 3, size=9)).p for _ in range(runs)]
    super_uniform("sign flip with ties, n = 9", ties)
    two = [two_sample_permutation(*np.split(rng.exponential(size=11), [5])).p for _ in range(runs)]
    super_uniform("permutation, 5 and 6", two)
    super_uniform("McNemar, 12 discordant", [mcnemar_exact(b, 12 - b).p for b in rng.binomial(12, 0.5, runs).tolist()])
    tables = zip(rng.binomial(15, 0.3, runs).tolist(), rng.binomial(20, 0.3, runs).tolist(), strict=True)
    super_uniform("Fisher, 15 and 20", [fisher_exact(a, 15 - a, c, 20 - c).p for a, c in tables])


def test_the_sign_flip_is_uniform_on_its_lattice() -> None:
    """Continuous data have no ties: the p-value is 2k/2^9 with equal probability for each k."""
    rng, runs = generator(2, "lattice"), 6000
    steps = np.array([sign_flip(rng.normal(size=9)).p for _ in range(runs)]) * 256.0
    assert np.array_equal(steps, np.round(steps))
    counts = np.bincount(steps.astype(int), minlength=257)[1:].reshape(32, 8).sum(axis=1)
    p = scipy_stats.chisquare(counts).pvalue
    print(f"sign flip on 32 classes of its lattice: chi-squared p = {p:.3f}")
    assert p > 1e-4


def test_monte_carlo_p_values_are_super_uniform() -> None:
    rng = generator(3, "monte carlo p")
    super_uniform("sign flip, 99 draws", [sign_flip(rng.normal(size=24), rng=rng, draws=99).p for _ in range(3000)])
    halves = (np.split(rng.normal(size=40), 2) for _ in range(2000))
    super_uniform("permutation, 99 draws", [two_sample_permutation(x, y, rng=rng, draws=99).p for x, y in halves])


def test_clusters_keep_the_level_and_rows_do_not() -> None:
    """Twelve documents of five equal rows: flipping rows rejects a true null several times too often."""
    rng, runs = generator(4, "clusters"), 2000
    cluster = np.repeat(np.arange(12), 5)
    whole, rows = [], []
    for _ in range(runs):
        x = np.repeat(rng.normal(size=12), 5)
        whole.append(sign_flip(x, cluster=cluster).p)
        rows.append(sign_flip(x, rng=rng, draws=99).p)
    super_uniform("sign flip of 12 clusters", whole)
    share = float(np.mean(np.array(rows) <= 0.05))
    print(f"the same by rows: P(p <= 0.05) = {share:.3f}")
    assert share > 0.2


def test_t_p_values_are_uniform() -> None:
    rng, runs = generator(5, "t"), 4000
    found = {
        "paired t": [paired_t(rng.normal(size=6), rng.normal(size=6)).p for _ in range(runs)],
        "Student t": [student_t(rng.normal(size=5), rng.normal(size=8)).p for _ in range(runs)],
        "Welch t": [welch_t(rng.normal(size=20), rng.normal(0, 3, size=30)).p for _ in range(runs)],
    }
    for name, ps in found.items():
        p = scipy_stats.kstest(ps, "uniform").pvalue
        print(f"{name}: Kolmogorov-Smirnov p = {p:.3f}")
        assert p > 1e-4


def test_coverage_of_rate_intervals() -> None:
    """Summed over the binomial law, not sampled: Clopper-Pearson never below 0.95, Wilson on average 0.95."""
    grid, n = np.linspace(0.01, 0.99, 197), 40
    weights = scipy_stats.binom.pmf(np.arange(n + 1)[:, None], n, grid[None, :])
    coverage = {}
    for interval in (wilson, clopper_pearson):
        bounds = np.array([ends(interval(k, n)) for k in range(n + 1)])
        inside = (bounds[:, :1] <= grid) & (grid <= bounds[:, 1:])
        coverage[interval.__name__] = (weights * inside).sum(axis=0)
    for name, c in coverage.items():
        print(f"{name}, n = 40, 197 rates: least {c.min():.4f}, mean {c.mean():.4f}")
    assert coverage["clopper_pearson"].min() >= 0.95
    assert coverage["wilson"].mean() == pytest.approx(0.95, abs=0.01)
    assert coverage["wilson"].min() > 0.83


def covers(interval: tuple[float, float], truth: float) -> bool:
    return interval[0] <= truth <= interval[1]


def test_coverage_of_the_bootstrap() -> None:
    """With 30 normal differences it covers P(|t_29| < 1.96 sqrt(29/30)) = 0.936, not 0.95."""
    rng, runs, n = generator(6, "bootstrap"), 800, 30
    expected = 1.0 - 2.0 * float(scipy_stats.t.sf(1.959964 * math.sqrt((n - 1) / n), n - 1))
    for method in ("percentile", "bca"):
        params = Bootstrap(method)
        hits = [covers(ends(paired_bootstrap(rng.normal(size=n), np.zeros(n), rng, params)), 0.0) for _ in range(runs)]
        print(f"bootstrap, {method}, n = {n}, {runs} runs: coverage {np.mean(hits):.4f}, expected {expected:.4f}")
        assert np.mean(hits) == pytest.approx(expected, abs=band(expected, runs))


def test_a_bootstrap_of_ten_misses_twice_as_often_as_it_says() -> None:
    """Why fewer than 20 units are refused: each side misses with about 0.05 in place of 0.025."""
    rng, runs, n = generator(7, "bootstrap of ten"), 800, 10
    for method in ("percentile", "bca"):
        params = Bootstrap(method, min_units=n)
        found = [ends(paired_bootstrap(rng.normal(size=n), np.zeros(n), rng, params)) for _ in range(runs)]
        above, below = np.mean([low > 0.0 for low, _ in found]), np.mean([high < 0.0 for _, high in found])
        print(f"bootstrap, {method}, n = {n}, {runs} runs: one-sided errors {above:.4f} and {below:.4f}")
        assert (above + below) / 2.0 > 0.025 + band(0.025, 2 * runs)


def rows_of(rng: np.random.Generator, clusters: int, size: int) -> Array:
    shared = rng.normal(size=clusters).repeat(size)
    return shared + rng.normal(size=clusters * size)


def test_coverage_of_clustered_errors() -> None:
    rng, runs = generator(8, "clustered"), 4000
    for clusters in (8, 30):
        label = np.repeat(np.arange(clusters), 6)
        found = [clustered_mean(rows_of(rng, clusters, 6), label) for _ in range(runs)]
        hits = np.mean([covers(ends(r), 0.0) for r in found])
        bare = np.mean([abs(r.estimate) <= 1.959964 * r.se for r in found])
        naive = np.mean([abs(r.estimate) <= 1.959964 * r.se * math.sqrt(r.n_eff / label.size) for r in found])
        print(
            f"{clusters} clusters of 6: t interval covers {hits:.4f}, z on the same error {bare:.4f}, rows {naive:.4f}"
        )
        assert hits == pytest.approx(0.95, abs=band(0.95, runs))
        assert bare < hits
        assert naive < 0.8


def test_size_and_power_of_equivalence() -> None:
    """At the margin equivalence is declared with probability alpha; at zero with the power of the formula."""
    rng, runs = generator(9, "equivalence"), 4000
    wrong = [paired_equivalence(rng.normal(0.8, 1.0, 30), np.zeros(30), 0.8).outcome for _ in range(runs)]
    label = np.repeat(np.arange(15), 4)
    clustered = [
        paired_equivalence(rows_of(rng, 15, 4) + 1.5, np.zeros(60), 1.5, cluster=label).outcome for _ in range(runs)
    ]
    for name, outcomes in (("30 pairs", wrong), ("15 clusters of 4", clustered)):
        size = np.mean([o is Outcome.EQUIVALENT for o in outcomes])
        print(f"equivalence at the margin, {name}: {size:.4f}")
        assert size == pytest.approx(0.05, abs=band(0.05, runs))
    psi, margin, n = 0.1, 0.01, 10_823
    size, different, power = (binary_outcomes(rng, psi, d, n, margin) for d in (margin, 0.0, 0.0))
    print(f"paired binary, psi {psi}, n {n}: equivalent at the margin {size[0]:.4f}, at zero {power[0]:.4f}")
    print(f"  different at zero {different[1]:.4f}")
    assert size[0] == pytest.approx(0.05, abs=band(0.05, 4000))
    assert power[0] == pytest.approx(tost_power(psi, margin, n), abs=band(0.9, 4000))
    assert different[1] <= 0.05 + band(0.05, 4000)


def binary_outcomes(
    rng: np.random.Generator, psi: float, d: float, n: int, margin: float, runs: int = 4000
) -> tuple[float, float]:
    """The shares of `equivalent` and `different`; draws without a discordant pair are refused and count as neither."""
    counts = rng.multinomial(n, [(psi + d) / 2.0, (psi - d) / 2.0, 1.0 - psi], size=runs)
    found = [tost_paired_binary(int(b), int(c), n, margin).outcome for b, c, _ in counts if b + c]
    return (
        sum(o is Outcome.EQUIVALENT for o in found) / runs,
        sum(o is Outcome.DIFFERENT for o in found) / runs,
    )


def test_few_discordant_pairs_make_equivalence_too_easy() -> None:
    """The figures behind the guarantee of `tost_paired_binary`."""
    rng = generator(10, "few discordant")
    for n, psi, margin, least, most in ((200, 0.1, 0.05, 0.03, 0.08), (100, 0.05, 0.05, 0.08, 0.13)):
        size, _ = binary_outcomes(rng, psi, margin, n, margin)
        print(f"paired binary, {psi * n:.0f} discordant pairs expected: equivalent at the margin {size:.4f}")
        assert least < size < most


def test_a_difference_of_nothing_is_called_different_at_alpha() -> None:
    rng, runs = generator(11, "different"), 4000
    found = [paired_equivalence(rng.normal(size=20), np.zeros(20), 0.1) for _ in range(runs)]
    share = np.mean([e.outcome is Outcome.DIFFERENT for e in found])
    short = np.mean([not covers(ends(e.result), 0.0) for e in found])
    print(f"true difference zero: called different {share:.4f}; the interval of level 0.90 excludes zero {short:.4f}")
    assert share == pytest.approx(0.05, abs=band(0.05, runs))
    assert short == pytest.approx(0.10, abs=band(0.10, runs))


def test_paired_test_of_scores_keeps_its_level() -> None:
    rng, runs = generator(12, "scores"), 2000
    rates = rng.uniform(0.2, 0.9, size=(runs, 40))
    x, y = rng.random(rates.shape) < rates, rng.random(rates.shape) < rates
    super_uniform("paired 0/1 scores of equal systems", [paired_test(a, b).p for a, b in zip(x, y, strict=True)])


def errors(adjust: object, p: Array, null: Array) -> tuple[float, float]:
    """The family-wise error and the false discovery rate over rows of p (runs, m)."""
    rejected = np.array([adjust(row, sealed=row.size) <= 0.1 for row in p])
    false = (rejected & null).sum(axis=1)
    return float(np.mean(false > 0)), float(np.mean(false / np.maximum(1, rejected.sum(axis=1))))


def test_family_wise_error_and_false_discovery_rate() -> None:
    """Twenty claims at level 0.1, fifteen of them null.

    Independent: Holm and Bonferroni stay at or below 0.1, and BH is at 0.1 x 15/20 exactly. Dependent: one
    common factor, of opposite sign in half of the claims, which neither independence nor positive dependence
    covers; Holm and BY promise their rate there too.
    """
    rng, runs, m = generator(13, "families"), 8000, 20
    null = np.arange(m) < 15
    shift = np.where(null, 0.0, 3.0)
    noise = rng.normal(size=(runs, m))
    signs = np.where(np.arange(m) % 2 == 0, 1.0, -1.0)
    common = math.sqrt(0.8) * rng.normal(size=(runs, 1)) * signs + math.sqrt(0.2) * rng.normal(size=(runs, m))
    for name, z in (("independent", noise), ("dependent", common)):
        p = 2.0 * scipy_stats.norm.sf(np.abs(z + shift))
        fwer = {f.__name__: errors(f, p, null)[0] for f in (bonferroni, holm)}
        fdr = {f.__name__: errors(f, p, null)[1] for f in (benjamini_hochberg, benjamini_yekutieli)}
        print(f"{name}, {runs} families: family-wise error {fwer}, false discovery rate {fdr}")
        assert all(v <= 0.1 + band(0.1, runs) for v in fwer.values())
        assert fwer["bonferroni"] <= fwer["holm"]
        assert fdr["benjamini_yekutieli"] <= 0.1 + band(0.1, runs)
        assert fdr["benjamini_yekutieli"] < fdr["benjamini_hochberg"]
        if name == "independent":
            assert fdr["benjamini_hochberg"] == pytest.approx(0.075, abs=band(0.075, runs))
            naive = float(np.mean((p[:, null] <= 0.1).any(axis=1)))
            print(f"  without correction the family-wise error is {naive:.3f}, 1 - 0.9^15 = {1.0 - 0.9**15:.3f}")
            assert naive == pytest.approx(1.0 - 0.9**15, abs=band(0.79, runs))
