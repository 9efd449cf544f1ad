"""True values as a report prints them, and the box of values that each print stands for."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np

Box = tuple[Fraction, Fraction]
_PREFIX = {"": 0, "k": 3, "M": 6, "G": 9, "T": 12}
_SECONDS = {"s": "1", "ms": "1/1000", "us": "1/1000000", "µs": "1/1000000", "min": "60", "h": "3600", "d": "86400"}

UNITS: dict[str, dict[str, Fraction]] = {
    "1": {"1": Fraction(1), "x": Fraction(1)},
    "share": {"1": Fraction(1), "%": Fraction(1, 100), "percent": Fraction(1, 100)},
    "s": {name: Fraction(size) for name, size in _SECONDS.items()},
    "1/s": {f"1/{name}": 1 / Fraction(_SECONDS[name]) for name in ("s", "ms", "min", "h")},
    "B": {f"{p}B": Fraction(10**n) for p, n in _PREFIX.items()}
    | {f"{p}iB": Fraction(1024**n) for n, p in enumerate("KMGT", 1)},
    "B/s": {f"{p}B/s": Fraction(10**n) for p, n in _PREFIX.items() if n >= 6} | {"GiB/s": Fraction(1024**3)},
    "FLOP": {f"{p}FLOP": Fraction(10**n) for p, n in _PREFIX.items()},
    "FLOP/s": {f"{p}FLOP/s": Fraction(10**n) for p, n in _PREFIX.items() if n >= 6},
    "nat": {"nat": Fraction(1)},
    "bit": {"bit": Fraction(1)},
    "USD": {"USD": Fraction(1), "$": Fraction(1)},
    "EUR": {"EUR": Fraction(1), "€": Fraction(1)},
}
"""Units of one dimension, by the size of each in the first."""


@dataclass(frozen=True, slots=True)
class Printed:
    """`value` as printed in units of `size` base units; `step` is the unit of its last digit; `top` ends a range.

    `rounded` False for a count, a design setting or a format, which stand for themselves alone.
    """

    value: Decimal
    step: Decimal
    unit: str | None = "1"
    size: Fraction = Fraction(1)
    rounded: bool = True
    mark: str = ""
    exact: bool | None = None
    measured: bool | None = None
    style: str = ""
    top: Decimal | None = None

    @property
    def box(self) -> Box:
        """The least and the largest value that may have been printed like this, in base units."""
        half = Fraction(self.step) / 2 if self.rounded else Fraction(0)
        if self.mark == "~":
            half = max(half, abs(Fraction(self.value)) / 20)
        value, top = Fraction(self.value), Fraction(self.value if self.top is None else self.top)
        return (value - half) * self.size, (top + half) * self.size

    @property
    def text(self) -> str:
        """The digits: 1234.50, 1,234.50, 1.23450E+3, or .50 for 0.50, with either sign for minus."""
        if self.step > 1:
            power = self.step.adjusted()
            said = f"{int(self.value.scaleb(-power))}e{power}"
        elif self.style == "scientific":
            said = f"{self.value.quantize(self.step):E}"
        else:
            digits = max(0, -self.step.adjusted())
            said = f"{self.value:{',' if self.style == 'commas' else ''}.{digits}f}"
        if self.style == "bare":
            said = said.replace("-", "−")
            said = said.removeprefix("0") if said.startswith("0.") else said
        return self.mark + said


STYLES = ("", "", "commas", "scientific", "bare")


def grid(value: float | Fraction, step: Decimal) -> Decimal:
    """The multiple of `step` nearest to `value`."""
    return round(Fraction(value) / Fraction(step)) * step


def last_digit(value: float | Fraction, digits: int) -> Decimal:
    """The step of a value with so many significant digits."""
    return Decimal(1).scaleb(math.floor(math.log10(abs(float(value)))) - digits + 1)


def fitting(rng: np.random.Generator, value: float | Fraction, dimension: str) -> tuple[str, Fraction]:
    """A unit in which the value is no monster to read, and its size."""
    named = UNITS[dimension]
    fit = [u for u, size in named.items() if 0.005 <= abs(float(value / Fraction(size))) < 5e4] or list(named)
    unit = str(rng.choice(sorted(fit)))
    return unit, named[unit]


def measure(
    rng: np.random.Generator, value: float | Fraction, dimension: str = "1", digits: tuple[int, int] = (2, 5),
    *, plain: bool = False, measured: bool | None = None,
) -> Printed:  # fmt: skip
    """A true value as printed: in a random unit, with a random number of digits, now and then exact, about
    or as a range that holds it. `plain` leaves the last three out.
    """
    unit, size = fitting(rng, value, dimension)
    step = last_digit(Fraction(value) / size, int(rng.integers(digits[0], digits[1] + 1)))
    shown, top = grid(Fraction(value) / size, step), None
    chance = 1.0 if plain else rng.random()
    mark = "~" if chance < 0.04 else ""
    exact = True if 0.04 <= chance < 0.08 else None
    if 0.08 <= chance < 0.12 and shown > 0:
        top = shown + step * int(rng.integers(0, 4))
        shown = max(step, shown - step * int(rng.integers(0, 4)))
    return Printed(
        shown,
        step,
        unit,
        size,
        rounded=exact is None,
        mark=mark,
        exact=exact,
        measured=measured,
        style=str(rng.choice(STYLES)),
        top=top,
    )


def count(value: int, unit: str = "count") -> Printed:
    """A whole number of things."""
    return Printed(Decimal(value), Decimal(1), unit, rounded=False, style="commas" if value % 2 else "")


def setting(text: str, unit: str = "1", size: Fraction = Fraction(1)) -> Printed:
    """A design setting or a format, taken as printed."""
    value = Decimal(text)
    return Printed(value, Decimal(1).scaleb(min(0, int(value.as_tuple().exponent))), unit, size, rounded=False)


def corners(law: Callable[..., Any], *boxes: Iterable[Any]) -> tuple[Any, Any]:
    """The least and the largest value of a law that is monotone in each variable, from the corners of the boxes."""
    values = [law(*corner) for corner in itertools.product(*boxes)]
    return min(values), max(values)


def clipped(box: Box, low: float | Fraction, high: float | Fraction) -> Box:
    """The part of a box where a law is defined."""
    return max(box[0], Fraction(low)), min(box[1], Fraction(high))


def uniform_log(rng: np.random.Generator, low: float, high: float) -> float:
    """A value whose logarithm is uniform."""
    return float(math.exp(rng.uniform(math.log(low), math.log(high))))
