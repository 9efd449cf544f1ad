"""The decorator that makes a pure function an instrument, and the registry that finds it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, TypeAlias

import msgspec
import numpy as np

from tollens.core.reading import Cost, Reading, Status
from tollens.core.seeding import generator
from tollens.instrument.part import FactorPart, Part

Measure: TypeAlias = Callable[[Any, Any, np.random.Generator], Sequence[Reading]]
"""Of a part, parameters and a generator; the part is a FactorPart where `factors` are needed, else a Part."""


class Tier(IntEnum):
    """What an instrument must have before it can run, cheapest first."""

    HEADER = 0
    WEIGHTS = 1
    FORWARD = 2
    TRAIN = 3


@dataclass(frozen=True, slots=True)
class KnownAnswer:
    """An input with a derived answer: `part()` is measured and `quantity` must be `value` within `tolerance`.

    A quantity that is a list or an object has its numbers taken out by `pick`; of a plain list each number has to
    be the answer. The `quick` answers of all instruments together take less than a second: a scan asks them on a
    machine that has no certificate.
    """

    title: str
    part: Callable[[], Part | FactorPart]
    quantity: str
    value: float
    tolerance: float
    derivation: str
    quick: bool = True
    pick: Callable[[Any], Any] | None = None


@dataclass(frozen=True, slots=True)
class Instrument:
    """A measurement with everything needed to price, check and cite it before it is run.

    `quantities` maps each quantity the function returns to its unit. `needs` names the fields of Part that must be
    filled. `invariances` are among "scale", "transpose", "permutation", "rotation" and hold for the quantities in
    `scale_invariant` (scale) or for all (the others); the conformance suite checks them.
    """

    name: str
    version: str
    quantities: Mapping[str, str]
    tier: Tier
    cost: Callable[[tuple[int, int]], Cost]
    needs: tuple[str, ...]
    invariances: tuple[str, ...]
    scale_invariant: frozenset[str]
    known_answers: tuple[KnownAnswer, ...]
    references: tuple[str, ...]
    function: Measure
    default_params: Any

    def measure(self, part: Part | FactorPart, params: Any = None, *, seed: int = 0) -> tuple[Reading, ...]:
        """Run on one part; every declared quantity comes back exactly once, stamped with its provenance."""
        params = self.default_params if params is None else params
        missing = [field for field in self.needs if getattr(part, field, None) is None]
        if missing:
            raise ValueError(f"instrument {self.name} needs {missing} of {part.name!r} to be measured first")
        readings = tuple(self.function(part, params, generator(seed, self.name, part.name)))
        found = [r.quantity for r in readings]
        if sorted(found) != sorted(self.quantities):
            raise ValueError(f"instrument {self.name} declares {sorted(self.quantities)} and returned {sorted(found)}")
        parameters = msgspec.to_builtins(params) if params is not None else {}
        stamp = {
            "target": part.name,
            "instrument": self.name,
            "version": self.version,
            "parameters": parameters,
            "seed": seed,
            "cost": self.cost(part.shape),
        }
        return tuple(
            _stamped(r, unit=self.quantities[r.quantity], scale_invariant=r.quantity in self.scale_invariant, **stamp)
            for r in readings
        )

    def skipped(self, part_name: str, reason: str, status: Status = Status.SKIPPED) -> tuple[Reading, ...]:
        """The readings of an instrument that was not run."""
        return tuple(
            Reading(
                quantity=q,
                unit=u,
                status=status,
                reason=reason,
                target=part_name,
                instrument=self.name,
                version=self.version,
                scale_invariant=q in self.scale_invariant,
            )
            for q, u in self.quantities.items()
        )


def _stamped(found: Reading, **fields: Any) -> Reading:
    """A copy with its provenance; the value was checked when the reading was made and is not checked again."""
    made = copy(found)
    for name, value in fields.items():
        msgspec.structs.force_setattr(made, name, value)
    return made


INSTRUMENTS: dict[str, Instrument] = {}


def instrument(
    *,
    name: str,
    version: str,
    quantities: Mapping[str, str],
    cost: Callable[[tuple[int, int]], Cost],
    needs: tuple[str, ...],
    references: tuple[str, ...],
    tier: Tier = Tier.WEIGHTS,
    invariances: tuple[str, ...] = (),
    scale_invariant: Sequence[str] = (),
    known_answers: Sequence[KnownAnswer] = (),
    default_params: Any = None,
) -> Callable[[Measure], Instrument]:
    """Register `f(part, params, rng) -> readings` under `name`; a second instrument of that name is refused."""

    def register(function: Measure) -> Instrument:
        if name in INSTRUMENTS:
            raise ValueError(f"an instrument named {name!r} is registered already")
        made = Instrument(
            name,
            version,
            dict(quantities),
            tier,
            cost,
            needs,
            invariances,
            frozenset(scale_invariant),
            tuple(known_answers),
            references,
            function,
            default_params,
        )
        INSTRUMENTS[name] = made
        return made

    return register
