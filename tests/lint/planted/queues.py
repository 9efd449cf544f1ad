"""Arrivals in a window, load and service, Little's law."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import numpy as np

from .printing import Printed, corners, measure, setting, uniform_log
from .problem import Problem, form


def batch(rng: np.random.Generator) -> Problem:
    """At most rate * window arrive on average, and one more where an arrival opens the window. Rate and window are
    settings and exact, the batch is a count: the next whole number beyond the bound is the nearest miss there is.
    """
    window, unit, size = (("50", "ms", 1000), ("0.1", "s", 1), ("2", "s", 1), ("7.5", "ms", 1000), ("1", "min", None))[
        int(rng.integers(0, 5))
    ]
    span = Fraction(60) if size is None else Fraction(window) / size
    wanted = uniform_log(rng, 2, 600)
    rate = f"{wanted / float(span):.{int(rng.integers(2, 5))}g}"
    rate = f"{Decimal(rate):f}"
    fields = {"rate": setting(rate, "1/s"), "window": setting(window, unit, span / Fraction(window))}
    high = Fraction(rate) * span + 1
    made = Printed(Decimal(0), Decimal(1), str(rng.choice(["count", "request", "item"])), rounded=False)
    return Problem("queue.batch", fields, "batch", made, high=high, floor=1)


def mm1(rng: np.random.Generator) -> Problem:
    """More arrivals than services have no steady state: lambda <= mu."""
    fields = {
        "mu": measure(rng, uniform_log(rng, 0.5, 1e5), "1/s"),
        "time": measure(rng, uniform_log(rng, 1e-4, 10), "s"),
    }
    if rng.random() < 0.6:
        fields["percentile"] = str(rng.choice(["mean", "p99", "median"]))
    high = fields["mu"].box[1]
    return Problem("queue.mm1", fields, "lambda", form(rng, high, "1/s"), high=high, floor=0)


def little(rng: np.random.Generator) -> Problem:
    """L = lambda W for means, each in any unit of time."""
    rate, time = uniform_log(rng, 0.5, 1e4), uniform_log(rng, 1e-3, 20)
    fields = {"lambda": measure(rng, rate, "1/s"), "time": measure(rng, time, "s"), "percentile": "mean"}
    low, high = corners(lambda a, b: a * b, fields["lambda"].box, fields["time"].box)
    return Problem("queue.little", fields, "in_system", form(rng, rate * time, "1", (1, 5)), low, high, 0)


PROBLEMS = {"queue.batch": batch, "queue.mm1": mm1, "queue.little": little}
