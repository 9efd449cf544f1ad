from __future__ import annotations

import math
from fractions import Fraction
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import binom, hypergeom, norm
from statsmodels.stats.power import NormalIndPower
from statsmodels.stats.proportion import proportion_confint, proportion_effectsize

import tollens.lint.invariants
from tollens.lint.ask import judge_one
from tollens.lint.example import example_claim
from tollens.lint.finding import Finding
from tollens.lint.law import Example
from tollens.lint.registry import INVARIANTS, wrong_answers

assert tollens.lint.invariants
FAMILY = [made for made in INVARIANTS.values() if made.family == "stat"]
PHI = NormalDist()
ROW_1 = {"p1": "10 %", "p2": "12 %", "n": "1000", "alpha": ".05", "sides": "2"}
CI = {"estimate": ".20", "low": ".05", "high": ".35", "level": "95 %", "ci_method": "normal"}
digits = st.integers(0, 6)


def said(kind: str, **fields: Any) -> Finding:
    made = INVARIANTS[kind]
    return judge_one(example_claim(made, Example(fields, "")), made)


def percent(value: float, d: int) -> str:
    return f"{100 * value:.{d}f} %"


def powers(p: float, q: float, n: int, alpha: float, sides: int) -> dict[str, float]:
    """Four formulas, from the textbook definitions, the far tail of a two-sided test left out."""
    z, both, mean = PHI.inv_cdf(1 - alpha / sides), p * (1 - p) + q * (1 - q), (p + q) / 2
    gap = abs(q - p) * math.sqrt(n)
    null = math.sqrt(2 * mean * (1 - mean))
    return {
        "pooled": PHI.cdf((gap - z * null) / math.sqrt(both)),
        "unpooled": PHI.cdf(gap / math.sqrt(both) - z),
        "corrected": PHI.cdf((gap - 1 / math.sqrt(n) - z * null) / math.sqrt(both)),
        "two tails": PHI.cdf(gap / math.sqrt(both) - z) + (PHI.cdf(-gap / math.sqrt(both) - z) if sides == 2 else 0),
    }


@pytest.mark.parametrize("made", FAMILY, ids=lambda made: made.id)
def test_known_answers_hold(made: Any) -> None:
    assert [wrong for example in made.known for wrong in wrong_answers(made, example)] == []


def test_a_thousand_an_arm_have_no_power_of_87_percent() -> None:
    exact = powers(0.10, 0.12, 1000, 0.05, 2)
    assert exact["pooled"] == pytest.approx(0.2977, abs=1e-4)
    assert exact["unpooled"] == pytest.approx(0.2981, abs=1e-4)
    found = said("stat.power", power="87", **ROW_1)
    assert (found.outcome, found.subtype) == ("refuted", "contradicted")
    assert found.computed == pytest.approx(100 * exact["unpooled"], abs=1e-6)
    assert found.witness.endswith(
        "pooled 29.77 %, unpooled 29.81 %; 87 % needs 4,659 (unpooled) or 4,662 (pooled) an arm; "
        "80 % needs 3,839 (unpooled) or 3,841 (pooled) an arm"
    )
    for n, name, power in (
        (4659, "unpooled", 0.87),
        (4662, "pooled", 0.87),
        (3839, "unpooled", 0.8),
        (3841, "pooled", 0.8),
    ):
        assert powers(0.10, 0.12, n - 1, 0.05, 2)[name] < power <= powers(0.10, 0.12, n, 0.05, 2)[name]


@pytest.mark.parametrize("missing", ["sides", "alpha", "n", "p1", "p2"])
def test_power_without_its_design_is_not_judged(missing: str) -> None:
    fields = {name: value for name, value in ROW_1.items() if name != missing}
    found = said("stat.power", power="87", **fields)
    assert (found.outcome, found.missing) == ("unchecked", (missing,))


def test_power_by_another_formula_is_not_refuted() -> None:
    """statsmodels goes by the difference of arcsines."""
    effect = proportion_effectsize(0.12, 0.10)
    peer = NormalIndPower().power(effect, 1000, 0.05)
    exactly = {**ROW_1, "p1": "10.0000 %", "p2": "12.0000 %"}
    assert said("stat.power", power=f"{100 * peer:.3f}", **exactly).outcome == "undetermined"
    assert said("stat.power", power="28.5", **exactly).outcome == "undetermined"
    assert said("stat.power", power="33.0", **exactly).outcome == "refuted"
    assert said("stat.power", power="25.0", **exactly).outcome == "refuted"


@pytest.mark.parametrize(
    ("text", "n", "k"),
    [("71", 10, None), ("71", 15, None), ("71", 14, 10), ("71", 7, 5), ("71", 17, 12), ("50", 1, None), ("100", 3, 3),
     ("0", 3, 0), ("101", 50, None), ("-1", 50, None), ("33.3", 3, 1), ("33.4", 3, None), ("<5", 10, 0),
     (">95", 10, 10)],
)  # fmt: skip
def test_percentages_of_whole_numbers(text: str, n: int, k: int | None) -> None:
    found = said("stat.grim", percent=text, n=str(n))
    assert found.outcome == ("refuted" if k is None else "undetermined")
    if k is not None:
        assert f"{k} of {n} " in found.witness


def test_a_mean_over_seeds_is_no_count() -> None:
    assert said("stat.grim", percent="71", n="10").outcome == "refuted"
    made = INVARIANTS["stat.grim"]
    claim = example_claim(made, Example({"percent": "71", "n": "10"}, ""))
    averaged = type(claim)(claim.id, "", claim.kinds, claim.place, {**claim.fields, "estimator": "mean of 5 seeds"})
    assert judge_one(averaged, made).subtype == "model_based"


def test_p_from_an_interval() -> None:
    exact = 2 * PHI.cdf(-0.20 / (0.30 / (2 * PHI.inv_cdf(0.975))))
    assert exact == pytest.approx(0.00897, abs=1e-5)
    found = said("stat.p_ci", p=".40", **CI)
    assert (found.outcome, found.computed) == ("refuted", pytest.approx(exact, abs=1e-8))
    assert said("stat.p_ci", p="<.001", **CI).outcome == "refuted"
    assert said("stat.p_ci", p="<.01", **CI).outcome == "supported"
    assert said("stat.p_ci", p=".0045", sides="1", **CI).outcome == "supported"
    assert said("stat.p_ci", p=".0008", sides="2", **CI).outcome == "refuted"
    assert said("stat.p_ci", p=".40", **{**CI, "high": ".05"}).outcome != "supported"


def test_a_standard_error_that_is_too_large_for_its_interval() -> None:
    found = said("stat.se_ci", se=".0151", low="-.13", high="-.11", level="95 %", ci_method="normal")
    assert (found.outcome, found.computed) == ("refuted", pytest.approx(0.0151 * PHI.inv_cdf(0.975), abs=1e-8))
    assert found.computed == pytest.approx(0.0296, abs=1e-4)
    assert said("stat.se_ci", se=".0151", low="-.13", high="-.11", ci_method="normal").settle == "state level"


def test_seven_and_four_of_ten() -> None:
    """Given 11 successes of 20, k of the first ten has the weight C(10, k) C(10, 11 - k) of C(20, 11)."""
    weights = {k: math.comb(10, k) * math.comb(10, 11 - k) for k in range(1, 11)}
    p = Fraction(sum(w for w in weights.values() if w <= weights[7]), math.comb(20, 11))
    found = said("stat.compare", k1="7", n1="10", k2="4", n2="10")
    assert (found.outcome, found.subtype) == ("undetermined", "underpowered")
    assert found.computed == pytest.approx(float(p), abs=1e-12)
    assert found.computed == pytest.approx(0.36985, abs=1e-5)
    for k in (7, 4):
        low, high = proportion_confint(k, 10, method="wilson")
        assert f"[{low:.4f}, {high:.4f}]" in found.witness
    assert found.settle == "about 42 an arm for a power of 0.8 at this difference"
    assert powers(0.4, 0.7, 41, 0.05, 2)["pooled"] < 0.8 <= powers(0.4, 0.7, 42, 0.05, 2)["pooled"]


def test_a_tie_ends() -> None:
    for epsilon, n in (("0.001", 28_648), ("0.005", 1_146)):
        found = said("stat.tie", base_rate=".10", epsilon=epsilon, claim_never=True)
        assert (found.outcome, found.subtype) == ("refuted", "contradicted")
        assert found.bound == pytest.approx(2 * 0.1 * 0.9 * (PHI.pdf(0) / float(epsilon)) ** 2, rel=1e-6)
        assert found.bound == pytest.approx(n, abs=1)
        assert f"{n:,} an arm" in found.witness
    assert said("stat.tie", base_rate=".10", epsilon=".001", claim_never=True, n="20000").outcome == "undetermined"
    assert said("stat.tie", base_rate=".10", epsilon=".001", claim_never=True, n="40000").outcome == "refuted"


def test_an_interval_beside_its_estimate() -> None:
    assert said("stat.interval", estimate="52 %", low="0.41", high="0.49").outcome == "refuted"
    assert said("stat.interval", estimate="0.45", low="0.49", high="0.41").outcome == "refuted"
    assert said("stat.interval", estimate="0.52", low="0.41", high="0.49", ci_method="posterior").settle is not None


@pytest.mark.slow
@pytest.mark.parametrize(("p", "epsilon"), [(0.1, 0.005), (0.02, 0.002), (0.5, 0.02)])
def test_a_rule_that_is_watched_has_stopped_by_its_bound(p: float, epsilon: float) -> None:
    """Equal arms, a uniform prior, 60 looks: the bound holds for runs, not only for the base rate in a formula."""
    rng = np.random.default_rng(1)
    bound = int(2 * p * (1 - p) / (2 * math.pi) / epsilon**2)
    each = math.ceil(bound / 60)
    counts, going, n = np.zeros((2, 20_000)), np.ones(20_000, dtype=bool), 0
    while n < bound:
        counts += rng.binomial(each, p, counts.shape)
        n += each
        rates = (counts + 1) / (n + 2)
        spread = np.sqrt((rates * (1 - rates) / (n + 3)).sum(axis=0))
        score = abs(rates[0] - rates[1]) / spread
        going &= spread * (norm.pdf(score) - score * norm.sf(score)) >= epsilon
    print(f"p {p}, epsilon {epsilon}: {going.sum()} of {going.size} go on after {n} an arm")
    assert not going.any()


def test_a_difference_that_nobody_could_find_is_no_error() -> None:
    """60 % and 0.6 may differ in the last place of a float; 1/2 and 499,999/999,999 would need 1.6e13 an arm."""
    same = {"p1": "60.0 %", "p2": "0.6", "n": "1000", "alpha": "0.05", "sides": "2", "power": "90 %"}
    assert said("stat.power", **same).outcome == "unchecked"
    near = said("stat.compare", k1="500000", n1="1000000", k2="499999", n2="999999")
    assert (near.outcome, near.subtype, near.settle) == ("undetermined", "underpowered", None)


@settings(max_examples=300, deadline=None)
@given(st.data(), digits, digits, digits)
def test_true_power_is_never_refuted(data: st.DataObject, dp: int, dq: int, d: int) -> None:
    p, q = data.draw(st.floats(0.01, 0.99)), data.draw(st.floats(0.01, 0.99))
    n, sides = data.draw(st.integers(2, 100_000)), data.draw(st.sampled_from((1, 2)))
    alpha = data.draw(st.sampled_from((0.001, 0.01, 0.05, 0.1, 0.2)))
    design = {"p1": percent(p, dp), "p2": f"{q:.{dq + 1}f}", "n": str(n), "alpha": f"{alpha}", "sides": str(sides)}
    name, power = data.draw(st.sampled_from(list(powers(p, q, n, alpha, sides).items())))
    text = data.draw(st.sampled_from((f"{100 * power:.{d}f} %", f"{power:.{d}f} 1")))
    found = said("stat.power", power=text, **design)
    assert found.outcome != "refuted", (name, found.witness)


def exact_powers(p: float, q: float, n: int, alpha: float, sides: int) -> dict[str, float]:
    """The chance of every table with n an arm, p < q, summed over those that each test rejects."""
    k = np.arange(n + 1)
    chance = np.outer(binom.pmf(k, n, p), binom.pmf(k, n, q))
    x, y = k[:, None] / n, k[None, :] / n
    critical = PHI.inv_cdf(1 - alpha / sides)
    made = {}
    for name, variance in (("pooled", (x + y) * (2 - x - y) / 2), ("unpooled", x * (1 - x) + y * (1 - y))):
        gap = y - x if sides == 1 else abs(y - x)
        made[name] = float(chance[(gap > 0) & (gap * math.sqrt(n) >= critical * np.sqrt(variance))].sum())
    # Fisher one-sided: at most k successes in the first arm, given both margins; twice that for two sides.
    tail = hypergeom.cdf(k[:, None], 2 * n, k[:, None] + k[None, :], n)
    made["fisher"] = float(chance[tail <= alpha / sides].sum())
    return made


@pytest.mark.parametrize("seed", range(30))
def test_the_power_of_an_exact_test_is_never_refuted(seed: int) -> None:
    """The true power of the test that was made may be that of no formula."""
    rng = np.random.default_rng(seed)
    p, gap, sides = round(rng.uniform(0.06, 0.7), 3), rng.uniform(0.05, 0.25), int(rng.integers(1, 3))
    q, n, alpha = round(p + gap, 3), int(rng.integers(6 / min(p, 0.95 - p - gap + 0.05), 250)), rng.choice([0.05, 0.01])
    design = {"p1": f"{p:.3f}", "p2": f"{q:.3f}", "n": str(n), "alpha": f"{alpha}", "sides": str(sides)}
    for name, power in exact_powers(p, q, n, float(alpha), sides).items():
        found = said("stat.power", power=f"{100 * power:.1f}", **design)
        assert found.outcome != "refuted", (name, found.witness)


@settings(max_examples=100, deadline=None)
@given(st.floats(0.1, 0.8), st.floats(0.02, 0.1), st.integers(200, 3000), st.sampled_from((1, 2)))
def test_power_beyond_every_formula_is_refuted(p: float, gap: float, n: int, sides: int) -> None:
    design = {"p1": f"{p:.9f}", "p2": f"{p + gap:.9f}", "n": str(n), "alpha": "0.05", "sides": str(sides)}
    exact = powers(p, p + gap, n, 0.05, sides)
    assume(0.1 < exact["pooled"] < 0.9)
    for power in (exact["two tails"] + 0.1, exact["corrected"] - 0.1):
        assert said("stat.power", power=f"{100 * power:.3f}", **design).outcome == "refuted"


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 5000), st.data(), digits)
def test_a_true_percentage_is_never_refuted(n: int, data: st.DataObject, d: int) -> None:
    k = data.draw(st.integers(0, n))
    exact = Fraction(100 * k, n)
    rounded = [math.floor(exact * 10**d + Fraction(1, 2)), math.ceil(exact * 10**d - Fraction(1, 2))]
    for whole in rounded:  # half up and half down
        text = f"{whole // 10**d}.{whole % 10**d:0{d}d}" if d else str(whole)
        assert said("stat.grim", percent=text, n=str(n)).outcome != "refuted", text
    written = data.draw(st.integers(0, 100 * 10**d))
    text = f"{written // 10**d}.{written % 10**d:0{d}d}" if d else str(written)
    low, high = (Fraction(2 * written + s, 200 * 10**d) * n for s in (-1, 1))
    exists = max(0, math.ceil(low)) <= min(n, math.floor(high))
    assert (said("stat.grim", percent=text, n=str(n)).outcome != "refuted") == exists


@settings(max_examples=300, deadline=None)
@given(st.floats(-5, 5), st.floats(0.01, 3), st.floats(0.5, 0.99), digits, digits, st.booleans())
def test_true_normal_intervals_are_never_refuted(
    centre: float, se: float, level: float, d: int, e: int, ratio: bool
) -> None:
    stated = f"{100 * level:.2f} %"
    z = PHI.inv_cdf(0.5 + float(Fraction(stated.removesuffix(" %"))) / 200)
    p = 2 * PHI.cdf(-abs(centre) / se)
    ends = [centre - z * se, centre, centre + z * se]
    low, middle, high = [f"{math.exp(x) if ratio else x:.{d}f}" for x in ends]
    fields = {"low": low, "high": high, "level": stated, "ci_method": "normal"}
    fields |= {"scale": "log"} if ratio else {}
    assert said("stat.p_ci", estimate=middle, p=f"{p:.{e}f}", **fields).outcome != "refuted"
    assert said("stat.se_ci", se=f"{se:.{e}f}", **fields).outcome != "refuted"
    assert said("stat.interval", estimate=middle, low=low, high=high).outcome != "refuted"
    unscaled = {name: value for name, value in fields.items() if name != "scale"}
    found = said("stat.p_ci", estimate=middle, p=f"{p / 2:.{e}f}", **unscaled)
    assert found.outcome != "refuted", found.witness
    assert said("stat.se_ci", se=f"{se:.{e}f}", **unscaled).outcome != "refuted"


@settings(max_examples=100, deadline=None)
@given(st.floats(-3, 3), st.floats(0.1, 3), st.integers(3, 6))
def test_what_a_normal_interval_cannot_give_is_refuted(centre: float, se: float, d: int) -> None:
    fields = {"low": f"{centre - 1.96 * se:.{d}f}", "high": f"{centre + 1.96 * se:.{d}f}", "level": "95 %"}
    fields |= {"ci_method": "normal", "scale": "linear"}
    p = 2 * PHI.cdf(-abs(centre) / se)
    claimed = p + 0.1 if p < 0.5 else p - 0.3
    assume(abs(claimed - p / 2) > 0.05)
    assert said("stat.p_ci", estimate=f"{centre:.{d}f}", p=f"{claimed:.4f}", **fields).outcome == "refuted"
    assert said("stat.se_ci", se=f"{1.1 * se:.{d}f}", **fields).outcome == "refuted"
    beyond = f"{centre + 1.96 * se + 2.01 * 10.0**-d:.{d}f}"
    assert said("stat.interval", estimate=beyond, low=fields["low"], high=fields["high"]).outcome == "refuted"


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 3000), st.integers(1, 300), st.sampled_from(("0.001", "0.01", "0.05", "0.1")), digits)
def test_true_levels_are_never_refuted(draws: int, m: int, alpha: str, d: int) -> None:
    level = 1 / (draws + 1)
    for text in (f"{level:.{d}f} 1", f"{100 * level:.{d}f} %", f"{level:.{d}e} 1"):
        assert said("stat.null_level", draws=str(draws), level=text).outcome != "refuted"
    assert said("stat.null_level", draws=str(draws), level=f"{0.9 * level:.3e}").outcome == "refuted"
    fwer = 1 - (1 - float(alpha)) ** m
    shown = {"alpha": alpha, "m": str(m), "independent": True}
    assert said("stat.fwer", fwer=f"{100 * fwer:.{d}f} %", **shown).outcome != "refuted"
    assert said("stat.fwer", fwer=f"{fwer + 1e-3:.6f}", **shown).outcome == "refuted"


@settings(max_examples=300, deadline=None)
@given(st.floats(0.01, 0.99), st.floats(1e-4, 0.1), st.floats(0, 0.999), digits)
def test_a_rule_watched_for_less_than_its_bound_is_never_refuted(
    p: float, epsilon: float, share: float, d: int
) -> None:
    setting = f"{epsilon:.5f}"
    bound = 2 * p * (1 - p) * (PHI.pdf(0) / float(setting)) ** 2 if float(setting) else math.inf
    assume(math.isfinite(bound))
    watched = {"epsilon": setting, "claim_never": True, "n": str(math.floor(share * bound))}
    assert said("stat.tie", base_rate=f"{p:.{d}f}", **watched).outcome != "refuted"
    assert said("stat.tie", base_rate=percent(p, d), **watched).outcome != "refuted"
    longer = {**watched, "n": str(math.ceil(1.02 * bound))}
    assert said("stat.tie", base_rate=f"{p:.6f}", **longer).outcome == "refuted"


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 400), st.integers(0, 400), st.integers(0, 400), st.integers(0, 400))
def test_a_comparison_never_refutes(k1: int, n1: int, k2: int, n2: int) -> None:
    found = said("stat.compare", k1=str(k1), n1=str(n1), k2=str(k2), n2=str(n2))
    assert found.outcome == ("undetermined" if k1 <= n1 and k2 <= n2 and n1 and n2 else "unchecked")


def test_tables_too_large_for_an_exact_test_say_so() -> None:
    assert "1,000,000" in said("stat.compare", k1="1", n1="2000000000", k2="0", n2="10").witness
