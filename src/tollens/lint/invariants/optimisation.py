"""Step sizes, rates, momentum and orthogonalisation on quadratics and singular values."""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import median_high, median_low

from tollens.lint.check import Check, Direct, Subtype, at_least, at_most, equal, lacking, unchecked
from tollens.lint.domain import AT_LEAST_ONE, BELOW_ONE, NOT_NEGATIVE, POSITIVE, SHARE, each_inside, inside, said
from tollens.lint.fields import Fields
from tollens.lint.interval import Range, as_range, between
from tollens.lint.law import Example
from tollens.lint.registry import invariant
from tollens.lint.replay import ROSENBROCK_LIMIT
from tollens.lint.shown import number_text

__all__ = ["ema", "newton_schulz", "rate", "step"]

_MOST_STEPS = 4000
"""From the smallest float 1.5^k reaches 1 within 1,840 steps; what has not moved by then stays."""
_MOST_VALUES = 100_000


def _plain(word: str | None) -> str | None:
    return None if word is None else word.strip().lower().replace("-", "_").replace(" ", "_")


def _steps(count: float) -> str:
    return f"over {ROSENBROCK_LIMIT:,}" if count >= ROSENBROCK_LIMIT else number_text(count)


def cubic(value: float, steps: float) -> float:
    """A singular value in [0, 1] after so many cubic Newton-Schulz steps; it rises in both."""
    for _ in range(int(min(steps, _MOST_STEPS))):
        before, value = value, value * (1.5 - 0.5 * value * value)
        if value == before:
            break
    return value


def geometric(ratio: float, count: int) -> list[float]:
    """`count` values from 1 down to `ratio`, divided by the root of the sum of their squares."""
    values = [ratio ** (i / (count - 1)) for i in range(count)] if count > 1 else [1.0]
    norm = math.sqrt(math.fsum(v * v for v in values))
    return [v / norm for v in values]


def _of_list(listed: tuple[Range, ...], norm: str | None) -> tuple[Range, list[float]] | Direct:
    values = each_inside(listed, NOT_NEGATIVE)
    if values is None:
        return unchecked(f"cannot be checked: a singular value {said(NOT_NEGATIVE)}")
    largest = max(v.low for v in values), max(v.high for v in values)
    scale = Range(*largest)
    if norm == "frobenius":
        scale = between(math.hypot(*(v.low for v in values)), math.hypot(*(v.high for v in values))).widened(1e-14)
    elif norm != "spectral":
        if largest[0] > 1.0:
            return lacking("normalise")
        scale = as_range(1.0)
    if scale.high <= 0.0:
        return unchecked("cannot be checked: all singular values are 0")
    smallest = (Range(min(v.low for v in values), min(v.high for v in values)) / scale).within(*SHARE)
    assert smallest is not None
    size = scale.middle or 1.0
    return smallest, [min(v.middle / size, 1.0) for v in values]


def _of_geometric(f: Fields, norm: str | None) -> tuple[Range, list[float]] | Direct:
    """Every term of sum (s_i / s_min)^2 falls in s_min / s_max, so the smallest normalised value rises in it."""
    missing = [name for name in ("sigma_min", "sigma_max", "values") if f.maybe(name) is None]
    if missing:
        return lacking(*missing)
    parts = inside(f, sigma_min=POSITIVE, sigma_max=POSITIVE, values=(1.0, _MOST_VALUES))
    if isinstance(parts, Direct):
        return parts
    ratio = (parts["sigma_min"] / parts["sigma_max"]).within(*SHARE)
    if ratio is None or parts["values"].low != parts["values"].high or parts["values"].low % 1:
        return unchecked("cannot be checked: sigma_min exceeds sigma_max, or values is no whole number")
    if norm != "frobenius":
        if norm is None and parts["sigma_max"].low > 1.0:
            return lacking("normalise")
        smallest = ratio if norm == "spectral" else parts["sigma_min"].within(*SHARE)
        return lacking("normalise") if smallest is None else (smallest, [])
    count = int(parts["values"].low)
    low, high = (geometric(end, count)[-1] for end in (ratio.low, ratio.high))
    return between(low, min(high, 1.0)).widened(1e-12), geometric(ratio.middle, count)


def _smallest(f: Fields) -> tuple[Range, list[float]] | Direct:
    """The smallest singular value at the start, and all of them where they are known."""
    norm, spectrum = _plain(f.word("normalise")), _plain(f.word("spectrum"))
    if norm not in (None, "none", "frobenius", "spectral") or spectrum not in (None, "geometric"):
        return unchecked("cannot be checked: normalise is frobenius, spectral or none, spectrum is geometric")
    listed = f.list("singular_values")
    if listed:
        return _of_list(listed, norm)
    if spectrum is not None:
        return _of_geometric(f, norm)
    if norm in ("frobenius", "spectral"):
        return lacking("singular_values or spectrum")
    smallest = f.sigma_min.within(*SHARE)
    return unchecked(f"cannot be checked: sigma_min {said(SHARE)}") if smallest is None else (smallest, [])


@invariant(
    id="opt.step",
    formula="stable if eta lambda_max < 2, unstable if eta lambda_max > 2",
    needs={"eta": "1", "lambda_max": "1", "stable": "flag"},
    exact=("eta",),
    states=("quadratic",),
    assumes=("gradient descent with a fixed step and without momentum",),
    violation=Subtype.CONTRADICTED,
    reference="Nesterov, Introductory Lectures on Convex Optimization (2004), section 1.2.3",
    known=(
        Example(
            {"eta": "0.03", "lambda_max": "100", "stable": True, "quadratic": True}, "refuted/contradicted",
            {"computed": 3.0, "bound": 2.0}, 1e-9, "stable needs eta < 0.02",
        ),
        Example({"eta": "0.01", "lambda_max": "100", "stable": True, "quadratic": True}, "undetermined/consistent"),
        Example({"eta": "0.02", "lambda_max": "100", "stable": True, "quadratic": True}, "undetermined/consistent"),
        Example({"eta": "0.01", "lambda_max": "100", "stable": False, "quadratic": True}, "refuted/contradicted"),
        Example({"eta": "0.03", "lambda_max": "100", "stable": False, "quadratic": True}, "undetermined/consistent"),
        Example(
            {"eta": "0.03", "lambda_max": "100", "stable": True}, "undetermined/model_based",
            derivation="a network may train where the curvature exceeds 2 / eta",
        ),
        Example({"eta": "0.021", "lambda_max": "1e2", "stable": True, "quadratic": True}, "undetermined/consistent"),
    ),
)  # fmt: skip
def step(f: Fields) -> Check:
    """On a quadratic the error along an eigenvector of curvature l is multiplied by 1 - eta l in each step.
    It shrinks if |1 - eta l| < 1, that is eta l < 2; the largest curvature decides. At 2 it keeps its size.
    Off a quadratic the curvature moves with the point, so the claim has to state quadratic = true.
    """
    parts = inside(f, eta=POSITIVE, lambda_max=POSITIVE)
    if isinstance(parts, Direct):
        return parts
    curve = parts["eta"] * parts["lambda_max"]
    compare = at_most if f.flag("stable") else at_least
    most = (as_range(2.0) / parts["lambda_max"]).middle
    remark = f"stable needs eta < {number_text(most)}"
    made = compare(curve, as_range(2.0), ("eta lambda_max", ""), remark=remark)
    return replace(made, violation=Subtype.CONTRADICTED)


@invariant(
    id="opt.rate",
    formula="rate >= (k - 1) / (k + 1), k = kappa, for gradient descent and with k = sqrt kappa for heavy ball",
    needs={"kappa": "1", "rate": "1"},
    optional={"method": "word"},
    states=("quadratic",),
    assumes=("rate is the factor of the error in one step, asymptotic, from the worst start",),
    violation=Subtype.IMPOSSIBLE,
    reference="Polyak, Some methods of speeding up the convergence of iteration methods (1964)",
    known=(
        Example(
            {"kappa": "100", "rate": "0.90", "method": "gradient", "quadratic": True}, "refuted/impossible",
            {"bound": 0.980198},
        ),
        Example(
            {"kappa": "100", "rate": "0.90", "method": "heavy_ball", "quadratic": True}, "undetermined/consistent",
            {"bound": 0.818182},
        ),
        Example({"kappa": "100", "rate": "0.70", "quadratic": True}, "refuted/impossible", {"bound": 0.818182}),
        Example({"kappa": "100", "rate": "0.98", "method": "gradient", "quadratic": True}, "undetermined/consistent"),
        Example({"kappa": "100", "rate": "0.90", "quadratic": True}, "undetermined/consistent"),
        Example({"kappa": "100", "rate": "0.70"}, "undetermined/model_based"),
        Example({"kappa": "100", "rate": "0.70!", "quadratic": True}, "undetermined/model_based"),
        Example({"kappa": "100", "rate": "0.90", "method": "newton", "quadratic": True}, "unchecked"),
    ),
)  # fmt: skip
def rate(f: Fields) -> Check:
    """With curvatures from m to L, kappa = L / m, a step eta multiplies the error by max(|1 - eta m|, |1 - eta L|).
    Its least value, at eta = 2 / (L + m), is (kappa - 1) / (kappa + 1) = 1 - 2 / (kappa + 1).
    Heavy ball has sqrt(beta) >= (sqrt kappa - 1) / (sqrt kappa + 1) at its best eta and beta, and no fixed
    first-order method is faster: without a method the claim is held against this.
    A rate that was measured is that of one start, which may be better than the worst.
    """
    parts = inside(f, kappa=AT_LEAST_ONE, rate=NOT_NEGATIVE)
    if isinstance(parts, Direct):
        return parts
    method = _plain(f.word("method"))
    if method not in (None, "gradient", "gradient_descent", "gd", "heavy_ball"):
        return unchecked(f"does not apply: method = {f.word('method')}, not gradient or heavy_ball")
    if method in (None, "heavy_ball"):
        bound = parts["kappa"].rising(lambda k: 1.0 - 2.0 / (math.sqrt(k) + 1.0))
        name = "(sqrt kappa - 1) / (sqrt kappa + 1)"
    else:
        bound = parts["kappa"].rising(lambda k: 1.0 - 2.0 / (k + 1.0))
        name = "(kappa - 1) / (kappa + 1)"
    bound = bound + Range(-1e-15, 1e-15)
    measured = f.given("rate").measured is True
    model = "a measured rate is of one start: state the worst over all" if measured else None
    return at_least(parts["rate"], bound, ("rate", name), model=model)


@invariant(
    id="opt.ns",
    formula="s <- 1.5 s - 0.5 s^3 for each singular value and step; all within tolerance of 1",
    needs={"steps": "count", "tolerance": "1"},
    optional={
        "sigma_min": "1", "singular_values": "1[]", "sigma_max": "1", "values": "count", "spectrum": "word",
        "normalise": "word", "polynomial": "word",
    },
    one_of=(("sigma_min", "singular_values"),),
    exact=("steps", "tolerance"),
    assumes=("the cubic polynomial 1.5 s - 0.5 s^3",),
    violation=Subtype.CONTRADICTED,
    reference="Higham, Functions of Matrices (2008), section 8.3: the Newton-Schulz iteration of the polar factor",
    known=(
        Example({"sigma_min": "0.1", "steps": "5", "tolerance": "0.1"}, "refuted/contradicted", {"computed": 0.658719}),
        Example(
            {"sigma_min": "0.05", "steps": "5", "tolerance": "0.1"},
            "refuted/contradicted", {"computed": 0.365820},
        ),
        Example(
            {"sigma_min": "0.01", "steps": "5", "tolerance": "0.1"},
            "refuted/contradicted", {"computed": 0.075823},
        ),
        Example(
            {"sigma_min": "0.001", "steps": "5", "tolerance": "0.1"},
            "refuted/contradicted", {"computed": 0.007594},
        ),
        Example(
            {"sigma_min": "0.001", "steps": "20", "tolerance": "0.01"},
            "undetermined/consistent", {"computed": 0.999936},
        ),
        Example({"sigma_min": "0.1", "steps": "5", "tolerance": "0.20"}, "undetermined/consistent"),
        Example(
            {
                "spectrum": "geometric", "values": "32", "sigma_max": "1.000", "sigma_min": "0.001000",
                "normalise": "frobenius", "steps": "5", "tolerance": "0.3",
            },
            "refuted/contradicted", {"computed": 0.00455}, 5e-6, "median 0.144074",
        ),
        Example(
            {"singular_values": ["3.00", "4.00", "0.50"], "normalise": "frobenius", "steps": "5", "tolerance": "0.1"},
            "refuted/contradicted", {"computed": 0.656318},
            derivation="the norm is sqrt(25.25), .5 / 5.02494 = .0995037",
        ),
        Example(
            {"singular_values": ["1.0", "1.0", "0.90"], "normalise": "spectral", "steps": "5", "tolerance": "0.1"},
            "undetermined/consistent",
        ),
        Example({"sigma_min": "0.1", "steps": "5", "tolerance": "0.1", "polynomial": "quintic"}, "unchecked"),
        Example(
            {"singular_values": ["3.0", "4.0"], "steps": "5", "tolerance": "0.1"},
            "unchecked", witness="normalise",
        ),
    ),
)  # fmt: skip
def newton_schulz(f: Fields) -> Check:
    """With G = U S V^T an odd polynomial in G keeps U and V: one step maps each singular value s to 1.5 s - 0.5 s^3.
    On [0, 1] this map rises, so the smallest value stays the smallest and decides. Near 0 it grows by 1.5 a step.
    sigma_min is the smallest value at the start. With normalise = frobenius or spectral, singular_values, or a
    spectrum = geometric of so many values from sigma_max to sigma_min, are divided by that norm first.
    """
    if _plain(f.word("polynomial")) not in (None, "cubic"):
        return unchecked(f"does not apply: polynomial = {f.word('polynomial')}, not cubic")
    parts = inside(f, steps=NOT_NEGATIVE, tolerance=SHARE)
    if isinstance(parts, Direct):
        return parts
    start = _smallest(f)
    if isinstance(start, Direct):
        return start
    smallest, shown = start
    steps = parts["steps"]
    few, many = math.floor(steps.low), math.ceil(steps.high)
    after = between(cubic(smallest.low, few), cubic(smallest.high, many))
    after = after.widened(1e-15 * (min(many, _MOST_STEPS) + 2))
    made = at_least(after, 1.0 - parts["tolerance"], ("smallest singular value", "1 - tolerance"))
    remark = f"start {number_text(smallest.middle)}"
    if len(shown) > 1:
        middle = (cubic(median_low(shown), steps.middle) + cubic(median_high(shown), steps.middle)) / 2
        remark += f"; median {number_text(middle)} after {number_text(steps.middle)} steps"
    return replace(made, violation=Subtype.CONTRADICTED, remark=remark)


@invariant(
    id="opt.ema",
    formula="gain of the effective step: 1 for v <- beta v + (1-beta) g, 1 / (1-beta) for v <- beta v + g",
    needs={"form": "word", "beta": "1", "gain": "1"},
    optional={"eta": "1"},
    exact=("beta", "eta"),
    replays=True,
    assumes=("gradients that change little over 1 / (1-beta) steps",),
    violation=Subtype.CONTRADICTED,
    reference="Polyak, Some methods of speeding up the convergence of iteration methods (1964); "
    "Rosenbrock, An automatic method for finding the greatest or least value of a function (1960)",
    known=(
        Example(
            {"form": "EMA", "beta": "0.9", "gain": "10", "eta": "0.001"},
            "refuted/contradicted", {"computed": 1.0}, 1e-9,
            "28,746 steps against 28,919 without momentum, heavy ball 2,690",
        ),
        Example({"form": "heavy ball", "beta": "0.9", "gain": "10"}, "supported/recomputed", {"computed": 10.0}, 1e-9),
        Example({"form": "EMA", "beta": "0.9", "gain": "1.0"}, "supported/recomputed", {"computed": 1.0}, 1e-9),
        Example({"form": "EMA", "beta": "0.9", "gain": "10"}, "refuted/contradicted", {"computed": 1.0}, 1e-9),
        Example(
            {"form": "heavy ball", "beta": "0.99", "gain": "10"},
            "refuted/contradicted", {"computed": 100.0}, 1e-9,
        ),
        Example({"form": "nesterov", "beta": "0.9", "gain": "10"}, "unchecked"),
        Example({"form": "EMA", "beta": "1.0", "gain": "10"}, "unchecked"),
    ),
)  # fmt: skip
def ema(f: Fields) -> Check:
    """Under a gradient g that stays the same, v tends to (1-beta) g (1 + beta + ...) = g for the average, and to
    g / (1-beta) for heavy ball. A step is eta v: the average keeps the effective step, heavy ball multiplies it.
    With eta the three are run on Rosenbrock's function, and the steps that each takes are shown.
    """
    form = _plain(f.word("form"))
    if form not in ("ema", "heavy_ball"):
        return unchecked(f"does not apply: form = {f.word('form')}, not EMA or heavy_ball")
    parts = inside(f, beta=BELOW_ONE, gain=NOT_NEGATIVE, eta=POSITIVE)
    if isinstance(parts, Direct):
        return parts
    heavy = form == "heavy_ball"
    expected = 1.0 / (1.0 - parts["beta"]) if heavy else as_range(1.0)
    remark = ""
    if "eta" in parts:
        found = f.replay("rosenbrock", {"beta": parts["beta"].middle, "eta": parts["eta"].middle})
        if found is None:
            return unchecked("replay limit")
        average, plain, ball = (_steps(found[name]) for name in ("ema", "plain", "heavy_ball"))
        remark = f"Rosenbrock: {average} steps against {plain} without momentum, heavy ball {ball}"
    return equal(parts["gain"], expected, ("gain", "1 / (1 - beta)" if heavy else "gain of an average"), remark=remark)
