"""Parts and totals, shares, products, money and ratios: all rational, all in fractions."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np

from .printing import Printed, corners, count, measure, uniform_log
from .problem import Problem, form

_WHOLES = ("s", "B", "FLOP", "USD", "share", "count")


def _parts(rng: np.random.Generator, dimension: str) -> tuple[tuple[Printed, ...], float]:
    scale = {"s": uniform_log(rng, 1e-3, 1e4), "B": uniform_log(rng, 1e4, 1e12), "FLOP": uniform_log(rng, 1e6, 1e14),
             "USD": uniform_log(rng, 1, 1e5), "share": 0.3, "count": 1e4}[dimension]  # fmt: skip
    true = [scale * uniform_log(rng, 0.05, 1.0) for _ in range(int(rng.integers(2, 9)))]
    if dimension == "count":
        return tuple(count(int(value), "request") for value in true), sum(true)
    return tuple(measure(rng, value, dimension) for value in true), sum(true)


def sum_of_parts(rng: np.random.Generator) -> Problem:
    """parts + unattributed = total; without an unattributed rest the parts may leave a gap, but not exceed it."""
    dimension = str(rng.choice(_WHOLES))
    parts, whole = _parts(rng, dimension)
    fields: dict[str, Any] = {"parts": parts}
    if dimension == "s":
        fields |= {"percentile": str(rng.choice(["mean", "one run", "average"])), "sequential": True}
    low, high = sum(p.box[0] for p in parts), None
    if rng.random() < 0.5:
        true = whole * uniform_log(rng, 0.01, 0.5)
        rest = count(int(true), "request") if dimension == "count" else measure(rng, true, dimension)
        fields["unattributed"], whole = rest, whole + true
        low, high = low + rest.box[0], sum(p.box[1] for p in parts) + rest.box[1]
    if dimension == "count":  # exact: the nearest miss is off by one
        made = Printed(Decimal(0), Decimal(1), "request", rounded=False)
    else:
        made = form(rng, whole, dimension)
    return Problem("acct.sum", fields, "total", made, low, high, 0)


def stage_floor(rng: np.random.Generator) -> Problem:
    """A total of sequential stages is at least each stage, and so is each quantile of it."""
    parts, _ = _parts(rng, "s")
    fields: dict[str, Any] = {"parts": parts, "sequential": True}
    if rng.random() < 0.6:
        fields["percentile"] = str(rng.choice(["max", "p50", "p99", "p99.9", "median"]))
    low = max(p.box[0] for p in parts)
    return Problem("acct.stage_floor", fields, "total", form(rng, low, "s"), low, None, 0)


def elapsed(rng: np.random.Generator) -> Problem:
    """fraction = elapsed / total, each in its own unit."""
    dimension = str(rng.choice(["s", "B", "FLOP", "USD"]))
    whole = uniform_log(rng, 1e2, 1e6)
    fields = {"elapsed": measure(rng, whole * uniform_log(rng, 0.01, 1.0), dimension),
              "total": measure(rng, whole, dimension)}  # fmt: skip
    low, high = corners(lambda part, all_: part / all_, fields["elapsed"].box, fields["total"].box)
    return Problem("acct.elapsed", fields, "fraction", form(rng, (low + high) / 2, "share", (1, 5)), low, high)


def product(rng: np.random.Generator) -> Problem:
    """requests * time per request = total, one after another. The number of requests may itself be rounded."""
    requests, each = int(uniform_log(rng, 2, 1e6)), uniform_log(rng, 1e-4, 100)
    number = count(requests) if rng.random() < 0.6 else measure(rng, requests, "1")
    fields = {"requests": number, "time_per_request": measure(rng, each, "s"), "sequential": True}
    low, high = corners(lambda n, t: n * t, number.box, fields["time_per_request"].box)
    return Problem("acct.product", fields, "total", form(rng, (low + high) / 2, "s"), low, high, 0)


def money(rng: np.random.Generator) -> Problem:
    """Amounts of one currency add up to the total; each that was rounded may be off by half its last digit."""
    currency = str(rng.choice(["USD", "EUR"]))
    amounts = []
    for _ in range(int(rng.integers(2, 12))):
        value = uniform_log(rng, 0.5, 2e4)
        digits = 3 + max(0, len(str(int(value))) - 1) if rng.random() < 0.7 else int(rng.integers(1, 5))
        amounts.append(measure(rng, value, currency, (digits, digits)))
    low, high = (sum((a.box[end] for a in amounts), Fraction(0)) for end in (0, 1))
    whole = (low + high) / 2
    cents = len(str(int(whole))) + 2
    return Problem(
        "acct.money", {"amounts": tuple(amounts)}, "total", form(rng, whole, currency, (2, cents)), low, high
    )


def ratio(rng: np.random.Generator) -> Problem:
    """A factor is before / after, a percentage 1 - after / before.

    Other readings are in use: after / before where more is better, either less 1, and for shares the difference.
    A break has to lie outside all of them, a twin inside the one that is meant.
    """
    dimension = str(rng.choice(["s", "B", "USD", "share"]))
    scale = {"s": 1e-2, "B": 1e9, "USD": 1e3, "share": 0.2}[dimension] * uniform_log(rng, 0.5, 2)
    factor = uniform_log(rng, 1.1, 8)
    before, after = measure(rng, scale * factor, dimension), measure(rng, scale, dimension)
    if dimension == "share":
        before, after = measure(rng, scale, "share"), measure(rng, scale / factor, "share")
    both = (before.box, after.box)
    percent = bool(rng.random() < 0.5)
    factors = corners(lambda b, a: b / a, *both)
    saved = corners(lambda b, a: 1 - a / b, *both)
    others = [factors, saved, corners(lambda b, a: a / b, *both), corners(lambda b, a: a / b - 1, *both),
              corners(lambda b, a: b / a - 1, *both)]  # fmt: skip
    if dimension == "share":
        others += [corners(lambda b, a: a - b, *both), corners(lambda b, a: b - a, *both)]
    low, high = saved if percent else factors
    middle = 1 - 1 / factor if percent else factor
    unit, size = (str(rng.choice(["%", "percent"])), Fraction(1, 100)) if percent else ("x", Fraction(1))
    made = form(rng, Fraction(middle) / size, "1", (2, 5), unit=unit)
    made = Printed(made.value, made.step, unit, size)
    fields = {"before": before, "after": after}
    return Problem("acct.ratio", fields, "improvement", made, low, high, excuses=tuple(others))


PROBLEMS = {
    "acct.sum": sum_of_parts, "acct.stage_floor": stage_floor, "acct.elapsed": elapsed, "acct.product": product,
    "acct.money": money, "acct.ratio": ratio,
}  # fmt: skip
