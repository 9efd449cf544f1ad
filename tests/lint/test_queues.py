from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import tollens.lint.invariants
from tollens.lint.ask import judge_one
from tollens.lint.example import example_claim
from tollens.lint.finding import Finding
from tollens.lint.law import Example
from tollens.lint.registry import INVARIANTS, wrong_answers

assert tollens.lint.invariants
FAMILY = [made for made in INVARIANTS.values() if made.family == "queue"]


def said(kind: str, **fields: Any) -> Finding:
    made = INVARIANTS[kind]
    return judge_one(example_claim(made, Example(fields, "")), made)


rates, times, digits = st.floats(1e-2, 1e4), st.floats(1e-4, 1e3), st.integers(0, 6)


@pytest.mark.parametrize("made", FAMILY, ids=lambda made: made.id)
def test_known_answers_hold(made: Any) -> None:
    assert [wrong for example in made.known for wrong in wrong_answers(made, example)] == []


def test_sixteen_places_and_four_arrivals() -> None:
    """The tail by its own sum: 1 - exp(-4) sum of 4^k/k! for k < 16."""
    tail = 1.0 - math.exp(-4.0) * sum(4.0**k / math.factorial(k) for k in range(16))
    assert tail == pytest.approx(4.9e-6, rel=0.01)
    found = said("queue.batch", rate={"low": "30", "high": "80"}, window="50 ms", batch="16")
    assert (found.outcome, found.subtype) == ("refuted", "contradicted")
    assert found.witness == (
        "batch = 16 is not rate * window = [1.5, 4] count; a batch of 16 needs 320 per s; "
        "Poisson P(N >= 16) = 4.9e-06 at mean 4"
    )
    assert said("queue.batch", rate="30", window="50 ms", batch="16").computed == pytest.approx(1.5, abs=1e-12)


def test_a_rate_said_to_be_approximate_is_not_exact() -> None:
    assert said("queue.batch", rate="297", window="0.05 s", batch="16").outcome == "refuted"
    assert said("queue.batch", rate="~297", window="0.05 s", batch="16").outcome == "undetermined"


def test_mean_and_p99_of_one_server() -> None:
    """At 80 of 100 per s the time is exponential with rate 20: mean 50 ms, p99 ln(100)/20 = 230.3 ms."""
    assert said("queue.mm1", **{"lambda": "80", "mu": "100", "time": "5 s"}).computed == pytest.approx(0.05)
    found = said("queue.mm1", **{"lambda": "80", "mu": "100", "time": "5 s", "percentile": "p99"})
    assert found.computed == pytest.approx(0.2302585, abs=1e-7)
    assert (found.outcome, found.subtype) == ("undetermined", "model_based")


def test_as_much_arrives_as_is_served() -> None:
    """Equal rates have no mean under this model, but clockwork at the same rates has one: no refutation."""
    found = said("queue.mm1", **{"lambda": "100", "mu": "100", "time": "5 s"})
    assert (found.outcome, found.computed) == ("undetermined", None)
    assert said("queue.mm1", **{"lambda": "6000 1/min", "mu": "98 1/s", "time": "5 s"}).outcome == "refuted"


@settings(max_examples=300, deadline=None)
@given(rates, times, digits, digits)
def test_true_averages_are_never_refuted(rate: float, time: float, d: int, e: int) -> None:
    held = Fraction(rate) * Fraction(time)
    written = {"lambda": f"{rate:.{e}f}", "in_system": f"{float(held):.{d}f}", "percentile": "mean"}
    for shown in (f"{time:.{d}f} s", f"{time * 1000:.{e}f} ms"):
        assert said("queue.little", time=shown, **written).outcome != "refuted"
    whole = {**written, "in_system": f"{float(held):.0f} count"}
    assert said("queue.little", time=f"{time:.{d}f} s", **whole).outcome != "refuted"


@settings(max_examples=300, deadline=None)
@given(rates, st.floats(1e-3, 10.0), digits, st.floats(0.0, 1.0))
def test_batches_that_arrivals_fill_are_never_refuted(rate: float, window: float, d: int, share: float) -> None:
    """Settings are exact as printed, so what arrives is their product; a batch holds that much or less."""
    shown = {"rate": f"{rate:.{d}f}", "window": f"{window:.{d + 1}f} s"}
    expected = Fraction(shown["rate"]) * Fraction(shown["window"].removesuffix(" s"))
    assume(Fraction(shown["window"].removesuffix(" s")) > 0)
    for batch in (f"{float(expected):.{d}f}", str(math.floor(expected)), str(math.floor(share * expected))):
        assert said("queue.batch", batch=batch, **shown).outcome != "refuted"
    beyond = said("queue.batch", batch=str(math.floor(expected) + 2 + d), **shown)
    assert beyond.outcome == "refuted", beyond.witness
    in_ms = {**shown, "window": f"{float(Fraction(shown['window'].removesuffix(' s')) * 1000)!r} ms"}
    assert said("queue.batch", batch=str(math.floor(expected) + 2 + d), **in_ms).outcome == "refuted"


@settings(max_examples=300, deadline=None)
@given(rates, st.floats(1e-2, 1e4), digits, digits)
def test_a_queue_that_lasts_is_never_refuted(arriving: float, spare: float, d: int, e: int) -> None:
    shown = {"lambda": f"{arriving:.{d}f}", "mu": f"{arriving + spare:.{e}f}", "time": f"{1 / spare:.{d}f} s"}
    assert said("queue.mm1", **shown).outcome != "refuted"
    faster = f"{arriving + 10.0**-d + 10.0**-e + spare:.{d}f}"
    assert said("queue.mm1", **{**shown, "lambda": faster, "mu": f"{arriving:.{e}f}"}).outcome == "refuted"


@settings(max_examples=100, deadline=None)
@given(st.floats(1.0, 1e4), st.floats(0.1, 1e3), st.integers(1, 4))
def test_an_average_beyond_every_rounding_is_refuted(rate: float, time: float, d: int) -> None:
    shown = {"lambda": f"{rate:.{d}f}", "time": f"{time:.{d}f}", "percentile": "mean"}
    half = Fraction(1, 2 * 10**d)
    most = (Fraction(shown["lambda"]) + half) * (Fraction(shown["time"]) + half)
    claimed = f"{math.ceil(most) + 1}"
    assert said("queue.little", in_system=claimed, **shown).outcome == "refuted"


def test_rates_without_end() -> None:
    assert said("queue.mm1", **{"lambda": "inf", "mu": "inf", "time": "0"}).outcome == "undetermined"
    assert said("queue.mm1", **{"lambda": "inf", "mu": "5", "time": "0"}).outcome == "refuted"
