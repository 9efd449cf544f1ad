"""Mutual information: entropy, data processing, layers, a normal law."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from .printing import Box, clipped, corners, count, measure, uniform_log
from .problem import Problem, form

LN2 = math.log(2)


def _entropy(p: float, k: float = 2.0) -> float:
    """Largest entropy in nat of a label with k classes, one of them with the share p."""
    own = 0.0 if p in (0.0, 1.0) else -p * math.log(p) - (1 - p) * math.log(1 - p)
    return own + (1 - p) * math.log(k - 1)


def _peak(box: Box, k: int) -> float:
    """The largest entropy over a box: its ends, and the peak at 1/k if it lies between them."""
    low, high = (float(end) for end in clipped(box, 0, 1))
    inner = [1 / k] if low <= 1 / k <= high else []
    return max(_entropy(p, float(k)) for p in (low, high, *inner))


def _unit(rng: np.random.Generator, bare: float = 0.0) -> str | None:
    chance = rng.random()
    return None if chance < bare else "nat" if chance < (1 + bare) / 2 else "bit"


def entropy(rng: np.random.Generator) -> Problem:
    """0 <= I <= H. Without a unit the claim stands in one of two, so that only the larger number bounds it."""
    fields = {}
    classes = int(rng.integers(2, 1000)) if rng.random() < 0.4 else None
    if classes is None or rng.random() < 0.3:
        low = 0.4 if rng.random() < 0.3 else 0.005  # some around the peak at 1/2
        fields["base_rate"] = measure(rng, rng.uniform(low, 0.99 if low < 0.4 else 0.6), "share", (1, 4))
    if classes is not None:
        fields["classes"] = count(classes)
    nats = _peak(fields["base_rate"].box, classes or 2) if "base_rate" in fields else math.log(classes or 2)
    unit = _unit(rng, 0.2)
    high = nats if unit == "nat" else nats / LN2
    return Problem("info.entropy", fields, "mi", form(rng, high, unit=unit), 0, high)


def dpi(rng: np.random.Generator) -> Problem:
    """I(T;Y) <= min(I(X;T), I(X;Y)), all in one unit."""
    unit = "nat" if rng.random() < 0.5 else "bit"
    fields = {"i_xt": measure(rng, uniform_log(rng, 0.05, 12), unit)}
    if rng.random() < 0.5:
        fields["i_xy"] = measure(rng, uniform_log(rng, 0.05, 12), unit)
    if rng.random() < 0.3:
        fields["layer"] = count(int(rng.integers(1, 40)))
    high = min(fields[name].box[1] for name in fields if name != "layer")
    return Problem("info.dpi", fields, "i_ty", form(rng, high, unit=unit), high=high, floor=0)


def layers(rng: np.random.Generator) -> Problem:
    """No layer exceeds any before it, so that each lies between the least before and the largest after it."""
    unit, name = ("nat" if rng.random() < 0.5 else "bit"), ("i_xt" if rng.random() < 0.5 else "i_ty")
    depth = int(rng.integers(2, 9))
    true = sorted((uniform_log(rng, 0.2, 9) for _ in range(depth)), reverse=True)
    place = int(rng.integers(0, depth))
    others = tuple(measure(rng, v, unit, plain=True) for i, v in enumerate(true) if i != place)
    high = min((p.box[1] for p in others[:place]), default=None)
    low = max((p.box[0] for p in others[place:]), default=None)
    return Problem("info.layers", {name: others}, name, form(rng, true[place], unit=unit), low, high, 0, place=place)


def gaussian(rng: np.random.Generator) -> Problem:
    """I = -ln(1 - rho^2) / 2; |rho| rises, and it may be 0 inside the box."""
    true = float(rng.choice([-1, 1])) * rng.uniform(0.05, 0.98)
    rho = measure(rng, true, "1", (1, 4))
    ends = [abs(end) for end in clipped(rho.box, -1, 1)]
    sizes = (Fraction(0) if rho.box[0] <= 0 <= rho.box[1] else min(ends), max(ends))
    nats = corners(lambda r: math.inf if r == 1 else -math.log(1 - float(r * r)) / 2, sizes)
    unit = _unit(rng, 0.15)
    bits = (nats[0] / LN2, nats[1] / LN2)
    low, high = nats if unit == "nat" else bits
    # Without a unit it stands in one of two.
    excuses = ((nats[0], None if nats[1] == math.inf else nats[1]),) if unit is None else ()
    made = form(rng, -math.log(1 - true**2) / 2, unit=unit, digits=(1, 5))
    return Problem("info.gaussian", {"rho": rho}, "mi", made, low, None if high == math.inf else high, excuses=excuses)


PROBLEMS = {"info.entropy": entropy, "info.dpi": dpi, "info.layers": layers, "info.gaussian": gaussian}
