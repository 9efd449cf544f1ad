"""Power, percentages of counts, intervals with p-values and standard errors, ties and levels."""

from __future__ import annotations

import itertools
import math
from decimal import Decimal
from fractions import Fraction

import numpy as np

from .normal import upper, upper_quantile
from .printing import Box, Printed, clipped, corners, count, grid, measure, setting, uniform_log
from .problem import Problem, form


def _alpha(rng: np.random.Generator) -> tuple[Printed, float]:
    text = str(rng.choice(["0.05", "0.01", "0.10", "0.001", "0.025"]))
    if rng.random() < 0.3:
        return setting(f"{Decimal(text) * 100}", "%", Fraction(1, 100)), float(text)
    return setting(text), float(text)


def _powers(p1: float, p2: float, n: int, alpha: float, sides: int) -> list[float]:
    """What the usual formulas give: unpooled, pooled and arcsine, and with the far tail of a two-sided test (Fleiss,
    Levin and Paik 2003, chapter 4; Cohen 1988, chapter 6). Exact tests are granted one success of the difference
    above these and one and a half below, where a continuity correction takes one."""
    z, d = upper_quantile(alpha / sides), abs(p1 - p2)
    s1 = math.sqrt(p1 * (1 - p1) + p2 * (1 - p2))
    mean = (p1 + p2) / 2
    s0 = math.sqrt(2 * mean * (1 - mean))
    h = abs(2 * math.asin(math.sqrt(p1)) - 2 * math.asin(math.sqrt(p2)))
    scores = [(d * math.sqrt(n) - z * s) / s1 for s in (s1, s0)] + [h * math.sqrt(n / 2) - z]
    made = [upper(-(x + successes / (math.sqrt(n) * s1))) for x in scores for successes in (-1.5, 0, 1)]
    far = upper(d * math.sqrt(n) / s1 + z) if sides == 2 else 0.0
    return made + [x + far for x in made]


def power(rng: np.random.Generator) -> Problem:
    """Between the least and the largest power that any usual formula gives over the rounding of the rates."""
    alpha, level = _alpha(rng)
    sides = int(rng.integers(1, 3))
    p1 = rng.uniform(0.05, 0.85)
    p2 = p1 + rng.uniform(0.02, 0.1)
    # n for a power from 20 to 95 %, and at least 10 events expected in each arm.
    score = upper_quantile(level / sides) + rng.uniform(-0.8, 1.6)
    n = max(int(2 * p1 * (1 - p1) * (score / (p2 - p1)) ** 2), int(10 / min(p1, 1 - p2)), 20)
    rates = [measure(rng, p, "share", (3, 5), plain=True) for p in ((p1, p2) if rng.random() < 0.5 else (p2, p1))]
    boxes = [[float(end) for end in r.box] for r in rates]
    every = [x for a, b in itertools.product(*boxes) for x in _powers(a, b, n, level, sides)]
    fields = {"p1": rates[0], "p2": rates[1], "n": count(n), "alpha": alpha, "sides": count(sides)}
    made = form(rng, (min(every) + max(every)) / 2, "share", (1, 4))
    return Problem("stat.power", fields, "power", made, min(every), max(every), 0, 1)


def grim(rng: np.random.Generator) -> Problem:
    """Discrete: a percentage of n is one of n + 1 values. One share k/n is chosen; the nearest misses lie 1 to 3
    half-widths beyond what rounds to it, and the half-widths are so small that k - 1 and k + 1 stay out of reach."""
    n = int(rng.integers(3, 60))
    k = int(rng.integers(1, n))
    decimals = int(rng.integers(0 if n < 11 else 1 if n < 110 else 2, 4))
    unit, size = ("%", Fraction(1, 100)) if rng.random() < 0.7 else ("1", Fraction(1))
    step = Decimal(1).scaleb(-decimals - (2 if unit == "1" else 0))
    made = Printed(Decimal(0), step, unit, size)
    shares = tuple((Fraction(i, n), Fraction(i, n)) for i in range(n + 1) if i != k)
    fields = {"n": count(n, str(rng.choice(["count", "item", "user"])))}
    return Problem("stat.grim", fields, "percent", made, Fraction(k, n), Fraction(k, n), 0, 1, excuses=shares)


def interval(rng: np.random.Generator) -> Problem:
    """low <= estimate <= high; any of the three is left open."""
    dimension = str(rng.choice(["1", "share", "s", "USD"]))
    middle = rng.uniform(0.2, 0.8) * {"1": 1, "share": 1, "s": 0.05, "USD": 300}[dimension]
    spread = middle * uniform_log(rng, 0.02, 0.9)
    true = {"low": middle - spread, "estimate": middle, "high": middle + spread * rng.uniform(0.5, 2)}
    judged = str(rng.choice(["low", "estimate", "estimate", "high"]))
    fields = {name: measure(rng, true[name], dimension, plain=True) for name in true if name != judged}
    boxes = {name: fields[name].box for name in fields}
    low = max((boxes[n][0] for n in _BELOW[judged]), default=None)
    high = min((boxes[n][1] for n in _ABOVE[judged]), default=None)
    if rng.random() < 0.3:
        fields["ci_method"] = str(rng.choice(["normal", "wilson", "t"]))
    return Problem("stat.interval", fields, judged, form(rng, true[judged], dimension), low, high)


_BELOW = {"low": (), "estimate": ("low",), "high": ("low", "estimate")}
_ABOVE = {"low": ("estimate", "high"), "estimate": ("high",), "high": ()}


def _level(rng: np.random.Generator) -> tuple[Printed, float]:
    text = str(rng.choice(["95", "99", "90", "99.9"]))
    z = upper_quantile((1 - float(text) / 100) / 2)
    if rng.random() < 0.5:
        return setting(text, "%", Fraction(1, 100)), z
    return setting(f"{Decimal(text) / 100}"), z


def _interval(rng: np.random.Generator, score: float, z: float, log: bool) -> dict[str, Printed]:
    """An estimate of this z score with its interval, on the log scale for ratios."""
    if log:
        error = uniform_log(rng, 0.05, 0.5)
        at = [math.exp(score * error + k * z * error) for k in (-1, 0, 1)]
    else:
        error = uniform_log(rng, 0.01, 10)
        at = [score * error + k * z * error for k in (-1, 0, 1)]
    names = ("low", "estimate", "high")
    if log:
        return {n: measure(rng, v, "1", (3, 5), plain=True) for n, v in zip(names, at, strict=True)}
    step = Decimal(1).scaleb(math.floor(math.log10(error)) - int(rng.integers(0, 4)))
    return {n: Printed(grid(v, step), step) for n, v in zip(names, at, strict=True)}


def _ends(fields: dict[str, Printed], names: tuple[str, ...], log: bool) -> list[list[float]]:
    return [[math.log(end) if log else float(end) for end in fields[n].box] for n in names]


def p_ci(rng: np.random.Generator) -> Problem:
    """p = 2 P(Z > |estimate| / SE), SE = (high - low) / (2 z); |estimate| may pass through 0 inside its box."""
    level, z = _level(rng)
    score, log = float(rng.choice([-1, 1])) * rng.uniform(0.1, 4.0), bool(rng.random() < 0.4)
    fields = _interval(rng, score, z, log)
    estimate, low, high = _ends(fields, ("estimate", "low", "high"), log)
    sizes = [abs(e) for e in estimate] + [0.0] * (estimate[0] <= 0 <= estimate[1])
    span = corners(lambda e, a, b: 2 * upper(e * 2 * z / max(b - a, 1e-300)), sizes, low, high)
    settings = {"level": level, "ci_method": "normal", "scale": "log" if log else "linear", "sides": count(2)}
    made = form(rng, 2 * upper(abs(score)), "1", (1, 4))
    return Problem("stat.p_ci", fields | settings, "p", made, *span, 0, 1)


def se_ci(rng: np.random.Generator) -> Problem:
    """SE = (high - low) / (2 z)."""
    level, z = _level(rng)
    log = bool(rng.random() < 0.4)
    fields = _interval(rng, rng.uniform(-4, 4), z, log)
    del fields["estimate"]
    low, high = corners(lambda a, b: (b - a) / (2 * z), *_ends(fields, ("low", "high"), log))
    settings = {"level": level, "ci_method": "normal", "scale": "log" if log else "linear"}
    made = form(rng, (low + high) / 2, "1", (2, 4))
    return Problem("stat.se_ci", fields | settings, "se", made, low, high, 0)


def _variance(box: Box) -> float:
    low, high = (float(end) for end in clipped(box, 0, 1))
    return max(p * (1 - p) for p in (low, high, *([0.5] if low <= 0.5 <= high else [])))


def tie(rng: np.random.Generator) -> Problem:
    """A rule of the expected loss that has not stopped after n an arm: n <= 2 p (1 - p) (phi(0) / epsilon)^2,
    the largest over the rounding of p, which has its peak at 1/2."""
    rate = measure(rng, rng.uniform(0.02, 0.9), "share", (1, 4))
    epsilon = str(rng.choice(["0.001", "0.005", "0.01", "0.0005", "0.002"]))
    high = 2 * _variance(rate.box) / (2 * math.pi) / float(epsilon) ** 2
    made = form(rng, high, "1", (2, 5))
    if rng.random() < 0.5:
        made = Printed(Decimal(0), Decimal(1), "count", rounded=False)
    fields = {"base_rate": rate, "epsilon": setting(epsilon), "claim_never": True}
    return Problem("stat.tie", fields, "n", made, high=high, floor=1)


def null_level(rng: np.random.Generator) -> Problem:
    """S draws of a null reach the level 1 / (S + 1) and no smaller one. A larger one is kept too."""
    draws = int(uniform_log(rng, 2, 5000))
    low = Fraction(1, draws + 1)
    return Problem(
        "stat.null_level", {"draws": count(draws)}, "level", form(rng, low, "share", (1, 5)), low, None, 0, 1
    )


def fwer(rng: np.random.Generator) -> Problem:
    """1 - (1 - alpha)^m, alpha and m exact."""
    alpha, level = _alpha(rng)
    m = int(uniform_log(rng, 2, 60))
    value = 1 - (1 - Fraction(str(level))) ** m
    fields = {"alpha": alpha, "m": count(m), "independent": True}
    return Problem("stat.fwer", fields, "fwer", form(rng, value, "share"), value, value, 0, 1)


PROBLEMS = {
    "stat.power": power, "stat.grim": grim, "stat.interval": interval, "stat.p_ci": p_ci, "stat.se_ci": se_ci,
    "stat.tie": tie, "stat.null_level": null_level, "stat.fwer": fwer,
}  # fmt: skip
