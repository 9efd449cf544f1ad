"""What kinds of attack there are: a registry, so that a theorem or an engine plugs in where lint and scan do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import msgspec

from tollens.protocol.registration import Cell, Registration
from tollens.protocol.study import Rung, Trap

VIOLATIONS = "violations"
"""What an attack that measures nothing reads: how many statements it refuted."""


@dataclass(frozen=True, slots=True)
class Arm:
    """What is measured: the subject of the claim, a control by name, or draw `draw` of the null."""

    name: str
    draw: int | None = None

    @property
    def label(self) -> str:
        return self.name if self.draw is None else f"{self.name}[{self.draw}]"


class Measured(msgspec.Struct, frozen=True):
    """The readings of one request, by name, and a sentence that shows why where the number alone does not."""

    readings: dict[str, int | float]
    note: str = ""


class Attack(Protocol):
    """A rung that has been opened on the private copy of the study."""

    def __call__(self, arm: Arm, cell: Cell) -> Measured:
        """Every reading of one arm in one cell.

        Raises TollensError `not_scorable` (22) for a reading that is missing or not finite.
        """
        ...


@dataclass(frozen=True, slots=True)
class Opening:
    """What a rung is opened with: the copy of the sealed files, the registration, its own table."""

    folder: Path
    registration: Registration
    rung: Rung


class Request(msgspec.Struct, frozen=True):
    """What one request costs, before anything is run: seconds (None where nobody knows) and how that is known."""

    seconds: float | None
    source: str


@dataclass(frozen=True, slots=True)
class RungKind:
    """A kind of attack.

    judges   "claim": its readings are put through finding and kill; "itself": it reads `violations`, and any kills
    open     makes the attack ready; leaving the context gives everything back
    request  the price of one request, from shapes alone
    traps    the controls that stand in where the study declares none of that fate
    arms     the arms it brings; None where the study's own code brings them
    same     those of them that change nothing: such a control survives where it reads what the subject reads
    """

    name: str
    version: str
    judges: Literal["claim", "itself"]
    open: Callable[[Opening], AbstractContextManager[Attack]]
    request: Callable[[Opening], Request]
    traps: tuple[Trap, ...]
    arms: frozenset[str] | None
    same: frozenset[str] = frozenset()
    references: tuple[str, ...] = ()


RUNGS: dict[str, RungKind] = {}


def rung_kind(made: RungKind) -> RungKind:
    """Register a kind of rung. Raises: ValueError for a second one of that name, or one without both traps."""
    if made.name in RUNGS:
        raise ValueError(f"a kind of rung named {made.name!r} is registered already")
    if made.judges == "itself" and {trap.must for trap in made.traps} != {"die", "survive"}:
        raise ValueError(f"rung {made.name!r} judges by itself and brings no trap of each fate")
    RUNGS[made.name] = made
    return made


def traps_of(kind: RungKind, rung: Rung, declared: Sequence[Trap]) -> tuple[Trap, ...]:
    """The controls of one rung: those declared for it, and the built-in ones of a fate that none was declared for."""
    if kind.judges == "itself":
        return kind.traps
    own = [
        trap
        for trap in declared
        if trap.rung == rung.id or (trap.rung is None and (rung.traps is None or trap.arm in rung.traps))
    ]
    fates = {trap.must for trap in own}
    return (*own, *(trap for trap in kind.traps if trap.must not in fates))
