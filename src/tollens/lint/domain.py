"""Where a law is defined, so that a number outside it is no case for the law rather than a contradiction."""

from __future__ import annotations

import math
import sys
from typing import TypeAlias

from tollens.lint.check import Direct, unchecked
from tollens.lint.fields import Fields
from tollens.lint.interval import Range

Limits: TypeAlias = tuple[float, float]

_LARGEST = sys.float_info.max
POSITIVE: Limits = (math.ulp(0.0), _LARGEST)
NOT_NEGATIVE: Limits = (0.0, _LARGEST)
AT_LEAST_ONE: Limits = (1.0, _LARGEST)
SHARE: Limits = (0.0, 1.0)
OPEN_SHARE: Limits = (math.ulp(0.0), math.nextafter(1.0, 0.0))
BELOW_ONE: Limits = (0.0, math.nextafter(1.0, 0.0))
_SAID = {
    POSITIVE: "is not positive and finite", NOT_NEGATIVE: "is negative or infinite",
    AT_LEAST_ONE: "is not finite and at least 1", SHARE: "is not in [0, 1]", OPEN_SHARE: "is not in (0, 1)",
    BELOW_ONE: "is not in [0, 1)",
}  # fmt: skip


def inside(f: Fields, /, **limits: Limits) -> dict[str, Range] | Direct:
    """The part of each field that lies within its limits; what was not given is left out.

    A field that has no value within them makes the check `unchecked`, and all such fields are named.
    """
    found = {name: f.maybe(name) for name in limits}
    parts = {name: value.within(*limits[name]) for name, value in found.items() if value is not None}
    wrong = [f"{name} {said(limits[name])}" for name, part in parts.items() if part is None]
    if wrong:
        return unchecked(f"cannot be checked: {'; '.join(wrong)}")
    return {name: part for name, part in parts.items() if part is not None}


def each_inside(values: tuple[Range, ...], limits: Limits) -> list[Range] | None:
    """The part of each value of a list within the limits; None if one has none."""
    parts = [part for value in values if (part := value.within(*limits)) is not None]
    return parts if len(parts) == len(values) else None


def said(limits: Limits) -> str:
    """What is wrong with a number that lies outside."""
    if limits in _SAID:
        return _SAID[limits]
    return f"is not in [{limits[0]:g}, {limits[1]:g}]"
