"""Step sizes, rates, momentum and Newton-Schulz steps."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np

from .printing import count, measure, setting, uniform_log
from .problem import Problem, form


def step(rng: np.random.Generator) -> Problem:
    """Gradient descent on a quadratic is stable iff eta lambda_max < 2, and at 2 it neither shrinks nor grows.

    The claim is a flag and eta a setting; the curvature is left open, so that the nearest miss of the flag is a
    curvature just beyond 2 / eta for a run that is called stable, just below it for one that is called unstable.
    """
    eta = Decimal(f"{uniform_log(rng, 1e-4, 0.5):.{int(rng.integers(0, 3))}e}")
    bound = 2 / Fraction(eta)
    stable = bool(rng.random() < 0.5)
    fields = {"eta": setting(f"{eta:f}"), "stable": stable, "quadratic": True}
    low, high = (None, bound) if stable else (bound, None)
    return Problem("opt.step", fields, "lambda_max", form(rng, bound), low, high, Fraction(1, 100))


def rate(rng: np.random.Generator) -> Problem:
    """No fixed step is faster than (k - 1) / (k + 1), heavy ball and anything else of first order than with sqrt k."""
    kappa = measure(rng, uniform_log(rng, 1.5, 1e4), "1", (1, 4))
    least = max(float(kappa.box[0]), 1.0)
    method = str(rng.choice(["gradient", "heavy_ball", ""]))
    root = least if method == "gradient" else math.sqrt(least)
    fields = {"kappa": kappa, "quadratic": True} | ({"method": method} if method else {})
    low = (root - 1) / (root + 1)
    return Problem("opt.rate", fields, "rate", form(rng, max(low, 0.01)), low=low, floor=0)


def _cubic(value: float, steps: int) -> float:
    for _ in range(steps):
        value = 1.5 * value - 0.5 * value**3
    return value


def newton_schulz(rng: np.random.Generator) -> Problem:
    """All singular values end within the tolerance of 1 only if the smallest starts high enough: s <- 1.5 s - .5 s^3
    rises on [0, 1], so that the least start is found by bisection. Steps and tolerance are exact."""
    steps, tolerance = int(rng.integers(2, 16)), str(rng.choice(["0.3", "0.1", "0.05", "0.01", "0.001"]))
    low, high = 0.0, 1.0
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if _cubic(middle, steps) < 1 - float(tolerance) else (low, middle)
    fields = {"steps": count(steps, str(rng.choice(["count", "step"]))), "tolerance": setting(tolerance)}
    if rng.random() < 0.4:
        others = tuple(measure(rng, v, "1", plain=True) for v in rng.uniform(high, 0.999, int(rng.integers(1, 5))))
        others = tuple(p for p in others if p.box[0] >= high and p.box[1] <= 1)
        place = int(rng.integers(0, len(others) + 1))
        listed = fields | {"singular_values": others}
        return Problem("opt.ns", listed, "singular_values", form(rng, high), high, None, 0, 1, place=place)
    return Problem("opt.ns", fields, "sigma_min", form(rng, high), low=high, floor=0, roof=1)


def ema(rng: np.random.Generator) -> Problem:
    """An average of gradients keeps the effective step, heavy ball makes it 1 / (1 - beta) times larger."""
    beta = str(rng.choice(["0.9", "0.95", "0.99", "0.5", "0.8", "0.999"]))
    form_ = str(rng.choice(["EMA", "heavy ball", "heavy_ball"]))
    gain = Fraction(1) if form_ == "EMA" else 1 / (1 - Fraction(beta))
    fields = {"form": form_, "beta": setting(beta)}
    return Problem("opt.ema", fields, "gain", form(rng, gain, "1", (1, 4)), gain, gain, 0)


PROBLEMS = {"opt.step": step, "opt.rate": rate, "opt.ns": newton_schulz, "opt.ema": ema}
