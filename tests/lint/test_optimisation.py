"""Known answers of steps, rates, orthogonalisation and momentum, recomputed; and the two replays."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tollens.lint.invariants
from tollens.lint.ask import judge_one
from tollens.lint.example import example_claim
from tollens.lint.finding import Finding
from tollens.lint.invariants.optimisation import cubic, geometric
from tollens.lint.law import Example
from tollens.lint.registry import INVARIANTS, wrong_answers
from tollens.lint.replay import REPLAYS, ROSENBROCK_LIMIT, poly, replay, rosenbrock

assert tollens.lint.invariants
DIGITS = st.integers(1, 15)
MANY = settings(max_examples=400, deadline=None)


def judged(id: str, fields: dict[str, Any]) -> Finding:
    return judge_one(example_claim(INVARIANTS[id], Example(fields, "")), INVARIANTS[id])


def outcome(id: str, fields: dict[str, Any]) -> str:
    found = judged(id, fields)
    return f"{found.outcome}/{found.subtype}" if found.subtype else found.outcome


def printed(value: float, digits: int) -> str:
    return f"{value:.{digits - 1}e}"


def exact_cubic(start: str, steps: int) -> float:
    with localcontext() as context:
        context.prec = 60
        value = Decimal(start)
        for _ in range(steps):
            value = value * 3 / 2 - value**3 / 2
        return float(value)


@pytest.mark.parametrize(
    ("start", "steps", "expected"),
    [
        ("0.1", 5, 0.658719),
        ("0.05", 5, 0.365820),
        ("0.01", 5, 0.075823),
        ("0.001", 5, 0.007594),
        ("0.001", 20, 0.999936),
    ],
)
def test_singular_values_after_cubic_steps(start: str, steps: int, expected: float) -> None:
    found = judged("opt.ns", {"sigma_min": start, "steps": str(steps), "tolerance": "0.01"})
    assert found.computed == pytest.approx(expected, abs=1e-6)
    assert found.computed == pytest.approx(exact_cubic(start, steps), rel=1e-13)


def test_a_matrix_polynomial_acts_on_the_singular_values() -> None:
    generator = np.random.default_rng(7)
    matrix = generator.standard_normal((6, 4)) / 10
    start = np.linalg.svd(matrix, compute_uv=False)
    for _ in range(5):
        matrix = 1.5 * matrix - 0.5 * matrix @ matrix.T @ matrix
    assert np.linalg.svd(matrix, compute_uv=False) == pytest.approx([cubic(s, 5) for s in start], rel=1e-10)


def test_five_steps_do_not_orthogonalise_a_geometric_spectrum() -> None:
    start = np.geomspace(1, 1e-3, 32)
    start /= np.linalg.norm(start)
    assert geometric(1e-3, 32) == pytest.approx(list(start), rel=1e-12)
    after = np.array([exact_cubic(repr(float(s)), 5) for s in start])
    claim = {
        "spectrum": "geometric", "values": "32", "sigma_max": "1.000", "sigma_min": "0.001000",
        "normalise": "frobenius", "polynomial": "cubic", "steps": "5", "tolerance": "0.3",
    }  # fmt: skip
    found = judged("opt.ns", claim)
    assert (found.outcome, found.subtype) == ("refuted", "contradicted")
    assert found.computed == pytest.approx(after.min(), rel=1e-10)
    assert found.computed == pytest.approx(0.00455, abs=5e-6)
    assert np.median(after) == pytest.approx(0.1441, abs=5e-5)
    assert "median 0.144074 after 5 steps" in found.witness
    listed = {"singular_values": [f"{s:.6g}" for s in np.geomspace(1, 1e-3, 32)], "normalise": "Frobenius"}
    same = judged("opt.ns", {**listed, "steps": "5", "tolerance": "0.3"})
    assert (same.outcome, same.computed) == ("refuted", pytest.approx(after.min(), rel=1e-4))
    assert judged("opt.ns", {**claim, "steps": "30"}).outcome == "undetermined"
    assert judged("opt.ns", {k: v for k, v in claim.items() if k != "values"}).missing == ("values",)


@given(st.floats(1e-6, 1), st.integers(1, 40))
def test_the_smallest_of_a_geometric_spectrum_rises_with_its_ratio(ratio: float, count: int) -> None:
    """The range of the law rests on this: only the two ends of the ratio are computed."""
    assert geometric(min(ratio * 1.01, 1.0), count)[-1] >= geometric(ratio, count)[-1] * (1 - 1e-12)


def test_the_rates_of_a_quadratic_of_condition_100() -> None:
    """99/101 and 9/11; the first is the spectral radius of the step 2/(L + m) on curvatures 1 and 100."""
    for method, exact, known in (("gradient", 99 / 101, 0.980198), ("heavy_ball", 9 / 11, 0.818182)):
        fields = {"kappa": "100", "rate": "0.99", "method": method, "quadratic": True}
        assert judged("opt.rate", fields).bound == pytest.approx(exact, abs=1e-12)
        assert exact == pytest.approx(known, abs=1e-6)
    eta = 2 / 101
    assert max(abs(1 - eta * 1), abs(1 - eta * 100)) == pytest.approx(99 / 101)
    best, beta = 4 / (math.sqrt(100) + 1) ** 2, (9 / 11) ** 2
    radii = [
        max(abs(np.linalg.eigvals(np.array([[1 + beta - best * curve, -beta], [1.0, 0.0]])))) for curve in (1, 50, 100)
    ]
    assert max(radii) == pytest.approx(9 / 11, rel=1e-6)


def test_a_claim_that_states_no_quadratic_is_not_refuted() -> None:
    step = {"eta": "0.03", "lambda_max": "100", "stable": True}
    assert judged("opt.step", step).settle == "state quadratic = true"
    assert outcome("opt.step", {**step, "quadratic": True}) == "refuted/contradicted"
    assert outcome("opt.step", {**step, "quadratic": False}) == "unchecked"
    assert outcome("opt.rate", {"kappa": "100", "rate": "0.70"}) == "undetermined/model_based"


def test_momentum_on_rosenbrock() -> None:
    """Steps of the three, each by a second implementation that keeps vectors."""
    found = rosenbrock(0.9, 1e-3)
    assert dict(found) == {"ema": 28746, "plain": 28919, "heavy_ball": 2690}

    def steps(keep: float, add: float) -> int:
        w, v, count = np.array([-1.5, 1.5]), np.zeros(2), 0
        while np.hypot(*(w - 1)) >= 1e-5:
            x, y = w
            v = keep * v + add * np.array([-2 * (1 - x) - 400 * x * (y - x * x), 200 * (y - x * x)])
            w, count = w - 1e-3 * v, count + 1
        return count

    assert steps(0.9, 1.0) == pytest.approx(2690, abs=1)
    found = rosenbrock(0.9, 1.0)  # far too large a step
    assert set(found.values()) == {ROSENBROCK_LIMIT}


def test_an_average_does_not_lengthen_the_step() -> None:
    found = judged("opt.ema", {"form": "EMA", "beta": "0.9", "gain": "10", "eta": "0.001"})
    assert (found.outcome, found.subtype) == ("refuted", "contradicted")
    assert "28,746 steps against 28,919 without momentum, heavy ball 2,690" in found.witness
    velocity = sum(0.1 * 0.9**k for k in range(2000))
    assert velocity == pytest.approx(1.0)
    assert judged("opt.ema", {"form": "heavy-ball", "beta": "0.9", "gain": "10"}).computed == pytest.approx(10.0)


@pytest.mark.parametrize(
    ("basis", "degree", "expected", "relative"),
    [
        ("monomial", 8, 0.0265, 0.05), ("legendre", 8, 0.0265, 0.05), ("legendre", 20, 1.410, 0.05),
        ("legendre", 50, 0.0705, 0.05), ("legendre", 100, 0.0580, 0.05),
    ],
)  # fmt: skip
def test_polynomial_fits_of_a_sine(basis: str, degree: int, expected: float, relative: float) -> None:
    found = poly(30, basis, [degree], 0.3, 20)
    assert found[str(degree)] == pytest.approx(expected, rel=relative)
    assert found[f"{degree}.low"] <= found[str(degree)] <= found[f"{degree}.high"]


def test_polynomial_fits_near_and_beyond_the_number_of_points() -> None:
    """At degree 28 within a factor of 2, and in monomials of degree 100 an order of magnitude: it hangs on rounding."""
    assert 0.5 < poly(30, "legendre", [28], 0.3, 20)["28"] / 3.4e7 < 2
    assert abs(math.log10(poly(30, "monomial", [100], 0.3, 20)["100"]) - math.log10(1.4e16)) < 1.5
    for basis in ("monomial", "legendre"):
        found = poly(30, basis, [8, 100], 0.3, 20)
        assert found["100"] > found["8"]


def test_what_a_fit_depends_on_is_what_would_settle_it() -> None:
    fields = {
        "n": "30",
        "target": "sine",
        "degrees": ["8", "100"],
        "mse": [".08", ".07"],
        "basis": "polynomial features",
    }
    found = judged("replay.poly", fields)
    assert (found.outcome, found.subtype, found.settle) == ("undetermined", "not_reproduced", "basis, grid, noise")
    stated = {**fields, "basis": "legendre", "grid": "equispaced", "noise": "0.3", "mse": ["0.02", "0.05"]}
    assert judged("replay.poly", stated).subtype == "consistent"
    assert judged("replay.poly", {**stated, "degrees": ["8", "1e6"]}).witness == "replay limit"
    assert outcome("replay.poly", {**stated, "noise": "1e300"}) == "unchecked"
    assert outcome("replay.poly", {**stated, "n": "1"}) == "unchecked"


def test_replays_give_the_same_numbers_again_and_know_their_names() -> None:
    assert set(REPLAYS) == {"poly", "ppr", "rosenbrock"}
    asked = {"n": 12, "basis": "legendre", "degrees": [3, 20], "noise": 0.1, "seeds": 5}
    assert replay("poly", asked) == replay("poly", asked)


@pytest.mark.parametrize("made", [m for m in INVARIANTS.values() if m.replays], ids=lambda made: made.id)
def test_known_answers_of_laws_that_replay(made: Any) -> None:
    assert [wrong_answers(made, example) for example in made.known] == [[]] * len(made.known)


@st.composite
def claims(draw: Any) -> tuple[str, dict[str, Any], float, str, str, str]:
    """A law, its fields without the bounded one, the bound, its sense, the bounded field, and what refutes it."""
    digits = draw(DIGITS)
    id = draw(st.sampled_from(["opt.step", "opt.rate", "opt.ns", "opt.ema"]))
    if id == "opt.step":
        eta, stable = draw(st.sampled_from(["1e-3", "0.02", "0.5", "3e-4"])), draw(st.booleans())
        fields = {"eta": eta, "stable": stable, "quadratic": True}
        return id, fields, 2 / float(eta), "<=" if stable else ">=", "lambda_max", "refuted/contradicted"
    if id == "opt.rate":
        kappa, method = draw(st.floats(1.5, 1e6)), draw(st.sampled_from(["gradient", "heavy_ball"]))
        size = kappa if method == "gradient" else math.sqrt(kappa)
        fields = {"kappa": printed(kappa, max(digits, 1)), "method": method, "quadratic": True}
        return id, fields, (size - 1) / (size + 1), ">=", "rate", "refuted/impossible"
    if id == "opt.ns":
        steps, tolerance = draw(st.integers(0, 12)), draw(st.sampled_from(["0.1", "0.3", "0.01", "0.5"]))
        low, high = 0.0, 1.0
        for _ in range(100):
            middle = (low + high) / 2
            low, high = (middle, high) if exact_start(middle, steps) < 1 - float(tolerance) else (low, middle)
        return id, {"steps": str(steps), "tolerance": tolerance}, high, ">=", "sigma_min", "refuted/contradicted"
    beta = draw(st.sampled_from(["0.9", "0.99", "0.5", "0"]))
    form = draw(st.sampled_from(["ema", "heavy_ball"]))
    gain = 1.0 if form == "ema" else float(1 / (1 - Decimal(beta)))
    return id, {"beta": beta, "form": form}, gain, "=", "gain", "refuted/contradicted"


def exact_start(value: float, steps: int) -> float:
    for _ in range(steps):
        value = 1.5 * value - 0.5 * value**3
    return value


@MANY
@given(claims(), st.one_of(st.just(1.0), st.floats(1e-3, 1.0)), DIGITS)
def test_a_true_claim_is_never_refuted(made: Any, share: float, digits: int) -> None:
    id, fields, bound, relation, name, _ = made
    value = {"<=": bound * share, ">=": bound / share, "=": bound}[relation]
    if id == "opt.ns":
        value = min(value * (1 + 1e-12), 1.0)
    found = judged(id, {**fields, name: printed(value, digits)})
    assert found.outcome != "refuted", (made, value, found.witness)


@MANY
@given(claims(), st.floats(1.05, 100), st.integers(6, 12))
def test_a_value_beyond_its_bound_and_all_roundings_is_refuted(made: Any, excess: float, digits: int) -> None:
    id, fields, bound, relation, name, expected = made
    if "kappa" in fields:
        fields = {**fields, "kappa": "100"}
        bound = 99 / 101 if fields["method"] == "gradient" else 9 / 11
    value = bound / excess if relation == ">=" else bound * excess
    assert outcome(id, {**fields, name: printed(value, digits)}) == expected, (made, value)


@pytest.mark.parametrize(
    ("id", "fields"),
    [
        ("opt.step", {"eta": "0", "lambda_max": "9", "stable": True, "quadratic": True}),
        ("opt.step", {"eta": "1", "lambda_max": "-9", "stable": True, "quadratic": True}),
        ("opt.rate", {"kappa": "0.2", "rate": "0.5", "quadratic": True}),
        ("opt.rate", {"kappa": "9", "rate": "-3", "quadratic": True}),
        ("opt.ns", {"sigma_min": "1.7", "steps": "5", "tolerance": "0.1"}),
        ("opt.ns", {"sigma_min": "0.1", "steps": "-5", "tolerance": "0.1"}),
        ("opt.ns", {"sigma_min": "0.1", "steps": "5", "tolerance": "1.5"}),
        ("opt.ns", {"singular_values": [], "steps": "5", "tolerance": "0.1"}),
        ("opt.ns", {"singular_values": ["-1", "2"], "normalise": "frobenius", "steps": "5", "tolerance": "0.1"}),
        ("opt.ns", {"singular_values": ["1", "2"], "normalise": "nuclear", "steps": "5", "tolerance": "0.1"}),
        ("opt.ns", {"sigma_min": "0.1", "normalise": "frobenius", "steps": "5", "tolerance": "0.1"}),
        ("opt.ema", {"form": "EMA", "beta": "1", "gain": "10"}),
        ("opt.ema", {"form": "EMA", "beta": "-0.1", "gain": "10"}),
        ("replay.poly", {"n": "30", "target": "sine", "degrees": ["8"], "mse": ["1", "2"]}),
    ],
)
def test_what_no_law_is_defined_for_is_unchecked(id: str, fields: dict[str, Any]) -> None:
    assert outcome(id, fields) == "unchecked"


def test_units_of_a_step_and_a_gain_change_nothing() -> None:
    """1,000 % are 10, and a rate of 70 % is .70."""
    assert outcome("opt.ema", {"form": "EMA", "beta": "90 %", "gain": "1000.0 %"}) == "refuted/contradicted"
    assert outcome("opt.rate", {"kappa": "100", "rate": "70 %", "quadratic": True}) == "refuted/impossible"
    assert outcome("opt.ns", {"sigma_min": "10 %", "steps": "5", "tolerance": "10 %"}) == "refuted/contradicted"


def test_a_required_field_that_is_absent_is_named() -> None:
    assert judged("opt.ns", {"steps": "5", "tolerance": "0.1"}).missing == ("sigma_min or singular_values",)
    assert judged("opt.step", {"eta": "5", "lambda_max": "1"}).missing == ("stable",)
    assert judged("opt.ema", {"beta": "0.9", "gain": "10"}).missing == ("form",)
