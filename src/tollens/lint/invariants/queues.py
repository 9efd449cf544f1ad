"""Arrivals, waiting and service."""

from __future__ import annotations

import math
from dataclasses import replace

from scipy.special import gammainc

from tollens.lint.check import Check, Subtype, at_most, equal, unchecked, undetermined
from tollens.lint.fields import Fields
from tollens.lint.interval import INF, Range
from tollens.lint.law import Example
from tollens.lint.registry import invariant
from tollens.lint.shown import interval_text, number_text
from tollens.lint.summary import adds, quantile
from tollens.lint.unit import COUNTS

__all__ = ["batch", "little", "mm1"]


def _text(found: Range) -> str:
    return number_text(found.middle) if found.high - found.low <= 1e-9 * abs(found.middle) else interval_text(found)


@invariant(
    id="queue.batch",
    formula="batch = rate * window",
    needs={"rate": "1/s", "window": "s", "batch": "count"},
    exact=("rate", "window"),
    assumes=("arrivals in the window only",),
    violation=Subtype.CONTRADICTED,
    reference="Kingman, Poisson Processes (1993), section 2.1: the expected count of a stationary process",
    known=(
        Example({"rate": "80", "window": "50 ms", "batch": "16"}, "refuted/contradicted", {"computed": 4.0}, 1e-9),
        Example(
            {"rate": {"low": "30", "high": "80"}, "window": "0.05", "batch": "16"},
            "refuted/contradicted",
            {"margin": -12.0},
            1e-9,
            witness="needs 320 per s",
        ),
        Example(
            {"rate": {"low": "30", "high": "80"}, "window": "0.05", "batch": "16"},
            "refuted/contradicted",
            witness="P(N >= 16) = 4.9e-06 at mean 4",
            derivation="1 - sum of exp(-4) 4^k/k! for k = 0 ... 15",
        ),
        Example({"rate": "30", "window": "0.05", "batch": "16"}, "refuted/contradicted", {"computed": 1.5}, 1e-9),
        Example({"rate": "320", "window": "0.05", "batch": "16"}, "supported/recomputed", {"computed": 16.0}, 1e-9),
        Example({"rate": "400", "window": "0.05", "batch": "16"}, "undetermined/consistent", witness="fills"),
        Example(
            {"rate": "300", "window": "0.05", "batch": "16"},
            "undetermined/model_based",
            derivation="15 arrivals after the one that opens the window",
        ),
        Example({"rate": "299", "window": "0.05", "batch": "16"}, "refuted/contradicted", {"computed": 14.95}, 1e-9),
    ),
)
def batch(f: Fields) -> Check:
    """The number of arrivals in a window has the expectation rate * window, whatever their law.

    A batch that is filled in each window needs as many arrivals, on average, as it has places. A window that an
    arrival opens holds that one too, 1 + rate * window. Where more arrive than it holds it fills before the window
    ends, which contradicts nothing. The chance is that of independent arrivals, Poisson with that expectation.
    """
    if f.window.low <= 0.0 or f.rate.low < 0.0:
        return unchecked("does not apply: a window is above 0, and a rate not below it")
    expected = f.rate * f.window
    if f.batch.below(expected):
        said = f"{_text(expected)} arrive in a window: a batch of {number_text(f.batch.middle)} fills before it ends"
        return undetermined(Subtype.CONSISTENT, said, "state the time that a batch takes to fill",
                            computed=expected.middle, bound=f.batch.middle, unit="count")  # fmt: skip
    places, most = f.batch.middle, expected.high
    remark = f"a batch of {number_text(places)} needs {number_text((f.batch / f.window).middle)} per s"
    if places > most and math.isfinite(places):
        chance = float(gammainc(math.ceil(places), most))
        remark += f"; Poisson P(N >= {math.ceil(places)}) = {chance:.2g} at mean {number_text(most)}"
    opened = None if f.batch.above(expected + 1.0) else "state that no arrival opens the window"
    check = equal(f.batch, expected, ("batch", "rate * window"), unit="count", remark=remark)
    return replace(check, model=opened)


@invariant(
    id="queue.mm1",
    formula="lambda < mu; mean time = 1 / (mu - lambda), q-quantile = -ln(1 - q) / (mu - lambda)",
    needs={"lambda": "1/s", "mu": "1/s", "time": "s"},
    optional={"percentile": "word"},
    assumes=("one server that loses no request", "steady state"),
    violation=Subtype.IMPOSSIBLE,
    reference="Kleinrock, Queueing Systems I (1975), sections 3.2 and 5.7",
    known=(
        Example(
            {"lambda": "120", "mu": "100", "time": "50 ms"},
            "refuted/impossible",
            {"computed": 120.0, "bound": 100.0, "margin": -20.0, "margin_rounded": -19.0},
            1e-9,
        ),
        Example(
            {"lambda": "80", "mu": "100", "time": "50 ms", "percentile": "mean"},
            "undetermined/model_based",
            {"computed": 0.05},
            1e-9,
            derivation="1/20 s",
        ),
        Example(
            {"lambda": "80", "mu": "100", "time": "50 ms", "percentile": "p99"},
            "undetermined/model_based",
            {"computed": math.log(100.0) / 20.0},
            1e-9,
            witness="p99 = 0.230259",
            derivation="ln 100 / 20 s",
        ),
        Example({"lambda": "100", "mu": "100", "time": "50 ms"}, "undetermined/model_based"),
        Example({"lambda": "101", "mu": "100", "time": "50 ms"}, "undetermined/model_based"),
        Example({"lambda": "102", "mu": "100", "time": "50 ms"}, "refuted/impossible"),
    ),
)
def mm1(f: Fields) -> Check:
    """More work that arrives than is served grows without bound: no time in the system lasts, under any law.

    Below that, Poisson arrivals and exponential services make the time in the system exponential with rate
    mu - lambda. Its mean and quantiles say what this model expects, not what must be.
    """
    arriving, serving = f.values["lambda"], f.mu
    if arriving.low < 0.0 or serving.high <= 0.0:
        return unchecked("does not apply: lambda and mu are rates above 0")
    if arriving.above(serving):
        return at_most(arriving, serving, ("lambda", "mu"), unit="1/s", remark="there is no steady state")
    spare, word = (serving - arriving).middle, f.word("percentile")
    level = quantile(word)
    if word is not None and not adds(word) and level is None:
        return unchecked(f"does not apply: {word} is neither a mean nor a quantile")
    name = word if level is not None else "mean"
    factor = 1.0 if level is None else INF if level == 1.0 else -math.log1p(-level)
    made = factor / spare if spare > 0.0 else INF
    said = f"{name} = {number_text(made)} s at mu - lambda = {number_text(spare)} per s, claimed {_text(f.time)} s"
    settle = "measure the time" if word is not None else "name the statistic as percentile, and measure it"
    computed = made if math.isfinite(made) else None
    return undetermined(Subtype.MODEL_BASED, said, settle, computed=computed, bound=f.time.middle, unit="s")


@invariant(
    id="queue.little",
    formula="in_system = lambda * time",
    needs={"in_system": "1", "lambda": "1/s", "time": "s"},
    optional={"percentile": "word"},
    assumes=("long-run averages over the same boundary",),
    violation=Subtype.CONTRADICTED,
    reference="Little, Operations Research 9 (1961), 383",
    known=(
        Example(
            {"in_system": "40", "lambda": "80", "time": "0.50", "percentile": "mean"},
            "supported/recomputed",
            {"computed": 40.0},
            1e-9,
        ),
        Example(
            {"in_system": "16", "lambda": "80", "time": "500 ms", "percentile": "mean"},
            "refuted/contradicted",
            {"computed": 40.0, "margin": -24.0},
            1.0,
        ),
        Example({"in_system": "16", "lambda": "80", "time": "500 ms"}, "undetermined/model_based"),
        Example({"in_system": "16", "lambda": "80", "time": "500 ms", "percentile": "p99"}, "unchecked"),
        Example(
            {"in_system": "4 count", "lambda": "2.0", "time": "1.9", "percentile": "mean"},
            "supported/recomputed",
            derivation="an average of 3.8 is printed as 4",
        ),
    ),
)
def little(f: Fields) -> Check:
    """In the long run the mean number in a system is the rate of arrivals times the mean time spent in it.

    It needs no law of arrivals or service, only that both averages exist. It says nothing of quantiles. The
    mean of a count is rounded like any other number.
    """
    word = f.word("percentile")
    if word is not None and not adds(word):
        return unchecked(f"does not apply: the {word} of the time is no mean")
    given = f.given("in_system")
    held = given.number.range(exact=given.exact is True) if given.unit in COUNTS else f.rounded("in_system")
    check = equal(held, f.values["lambda"] * f.time, ("in_system", "lambda * time"))
    return replace(check, model=None if word is not None else "state percentile = mean")
