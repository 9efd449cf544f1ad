"""One claim with one number left open: what the law allows for it, and where a break or a twin of it is put."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np

from .printing import STYLES, Printed, fitting, last_digit

Bound = Fraction | float | None


@dataclass(frozen=True, slots=True)
class Problem:
    """`fields` without the number `judged` (the `place`-th of a list), which is printed as `form` is.

    The law, over all roundings of the other fields, allows it from `low` to `high`, in base units; None is no
    bound. `floor` and `roof` are where the field itself is defined. `excuses` are further intervals that another
    reading of the claim allows. With the fields `mended` the law holds whatever the number is.
    """

    invariant: str
    fields: Mapping[str, Any]
    judged: str
    form: Printed
    low: Bound = None
    high: Bound = None
    floor: Bound = None
    roof: Bound = None
    place: int | None = None
    excuses: tuple[tuple[Bound, Bound], ...] = ()
    mended: Mapping[str, Any] | None = None

    def filled(self, value: Decimal) -> dict[str, Any]:
        """All fields, the number put in."""
        made = replace(self.form, value=value)
        if self.place is None:
            return {**self.fields, self.judged: made}
        listed = list(self.fields[self.judged])
        return {**self.fields, self.judged: (*listed[: self.place], made, *listed[self.place :])}


def form(
    rng: np.random.Generator, size_of: float | Fraction, dimension: str = "1", digits: tuple[int, int] = (2, 5),
    *, unit: str | None = "", measured: bool | None = None,
) -> Printed:  # fmt: skip
    """How a number of about this size is printed; `unit` fixes the unit, None leaves it unwritten."""
    name, size = fitting(rng, size_of, dimension)
    value = Fraction(size_of) / size
    step = last_digit(value, int(rng.integers(digits[0], digits[1] + 1)))
    style = str(rng.choice(STYLES))
    return Printed(Decimal(0), step, name if unit == "" else unit, size, measured=measured, style=style)


def allowed(problem: Problem, value: Decimal) -> bool:
    """Whether some value printed like this obeys the law."""
    own = Fraction(problem.form.step) / 2 if problem.form.rounded else Fraction(0)
    low, high = (Fraction(value) - own) * problem.form.size, (Fraction(value) + own) * problem.form.size
    spans = [(problem.low, problem.high), *problem.excuses]
    return any((a is None or high >= Fraction(a)) and (b is None or low <= Fraction(b)) for a, b in spans)


def defined(problem: Problem, value: Decimal) -> bool:
    """Whether the field may have this value at all, whatever the law says."""
    at = Fraction(value) * problem.form.size
    low, high = problem.floor, problem.roof
    return (low is None or at >= Fraction(low)) and (high is None or at <= Fraction(high))


def placed(rng: np.random.Generator, problem: Problem, inside: bool, reach: str) -> Decimal | None:
    """A printed value beside the last one that the law can excuse; None where this problem has no room for it.

    The last excusable value lies one half-width of its own rounding beyond the bound. `near` is 1 to 3
    half-widths from it, `far` 10 to 100 %, and `edge` is the next one that can be printed at all, up to two
    half-widths away.
    """
    step = Fraction(problem.form.step)
    half = step / 2
    sides = [(1, problem.high)] * (problem.high is not None) + [(-1, problem.low)] * (problem.low is not None)
    for turn in rng.permutation(len(sides)):
        side, bound = sides[int(turn)]
        last = Fraction(bound) / problem.form.size + side * (half if problem.form.rounded else 0)
        way = -side if inside else side
        away = half if reach == "near" else Fraction(0)
        if reach == "far":
            away = max(Fraction(float(rng.uniform(0.1, 1.0))) * abs(last), half)
        value = _on_grid(last + way * away, way, problem.form.step)
        if reach == "edge" and not inside and Fraction(value) == last:
            value += way * problem.form.step
        if inside and not allowed(problem, value) and None not in (problem.low, problem.high):
            # The law leaves less room than that: the middle is as far inside as it goes.
            middle = (Fraction(problem.low) + Fraction(problem.high)) / 2 / problem.form.size
            value = round(middle / step) * problem.form.step
        if allowed(problem, value) is inside and defined(problem, value):
            return value
    return None


def _on_grid(value: Fraction, way: int, step: Decimal) -> Decimal:
    """The first value that can be printed, from here on."""
    steps = value / Fraction(step)
    return (math.ceil(steps) if way > 0 else math.floor(steps)) * step
