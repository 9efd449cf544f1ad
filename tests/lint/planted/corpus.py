"""The corpus: breaks and clean twins of every law, by a fixed seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tollens.core.seeding import generator
from tollens.lint.claim import Claim, Entry, Place, Quantity
from tollens.lint.number import parse_number, spanning

from . import accounting, ceilings, dependency, information, optimisation, queues, statistics
from .printing import Printed
from .problem import Problem, placed

Draw = Callable[[np.random.Generator], Problem]
PROBLEMS: dict[str, Draw] = {
    **information.PROBLEMS,
    **accounting.PROBLEMS,
    **statistics.PROBLEMS,
    **ceilings.PROBLEMS,
    **optimisation.PROBLEMS,
    **queues.PROBLEMS,
    **dependency.PROBLEMS,
}
"""One generator of claims for each invariant whose violation is impossible or contradicted."""
MOST_DRAWS = 200


@dataclass(frozen=True, slots=True)
class Case:
    """A claim and what it is: `broken` or a clean twin, `reach` near, far or edge."""

    invariant: str
    broken: bool
    reach: str
    claim: Claim

    @property
    def family(self) -> str:
        return self.invariant.partition(".")[0]


def corpus(seed: int, breaks: int) -> list[Case]:
    """So many breaks of each invariant, near and far in turn, and two twins of each as far inside.

    One twin has the numbers of the break but for the judged one; the other is drawn anew.
    """
    made = []
    for invariant, draw in PROBLEMS.items():
        for index in range(breaks):
            rng = generator(seed, invariant, str(index))
            reach = "near" if index % 2 == 0 else "far"
            outside, twin = _pair(rng, invariant, draw, reach)
            made += [outside, twin, _pair(rng, invariant, draw, reach)[1]]
    return made


def edges(seed: int, pairs: int) -> list[Case]:
    """The last printed values that each law excuses, and the first that it does not: harder than near."""
    made = []
    for invariant, draw in PROBLEMS.items():
        for index in range(pairs):
            made += _pair(generator(seed, invariant, "edge", str(index)), invariant, draw, "edge")
    return made


def _pair(rng: np.random.Generator, invariant: str, draw: Draw, reach: str) -> tuple[Case, Case]:
    """A break and its twin. A draw without room for one of them is drawn again."""
    for _ in range(MOST_DRAWS):
        problem = draw(rng)
        outside, inside = (placed(rng, problem, within, reach) for within in (False, True))
        if outside is None or inside is None:
            continue
        broken, clean = problem.filled(outside), problem.filled(inside)
        if problem.mended is not None and rng.random() < 0.5:
            clean = {**broken, **problem.mended}
        return Case(invariant, True, reach, _claim(invariant, broken)), Case(
            invariant, False, reach, _claim(invariant, clean)
        )
    raise RuntimeError(f"{invariant}: no draw has room for a break and a twin ({reach})")


def _claim(invariant: str, fields: Mapping[str, Any]) -> Claim:
    place = Place("planted.md", 1)
    return Claim("planted", "", (invariant,), place, {name: _entry(value, place) for name, value in fields.items()})


def _entry(value: Any, place: Place) -> Entry:
    if isinstance(value, Printed):
        number = parse_number(value.text, "planted")
        if value.top is not None:
            number = spanning(number, parse_number(replace(value, value=value.top).text, "planted"), "planted")
        return Quantity(number, value.unit, place, exact=value.exact, measured=value.measured)
    if isinstance(value, tuple) and value and isinstance(value[0], Printed):
        return tuple(_quantity(v, place) for v in value)
    found: Entry = value
    return found


def _quantity(value: Printed, place: Place) -> Quantity:
    made = _entry(value, place)
    assert isinstance(made, Quantity)
    return made
