"""What stands between data and a method that is valid only at sample sizes fixed beforehand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from tollens.core.errors import TollensError
from tollens.stats.domain import refuse, whole
from tollens.stats.result import ANY_TIME, at_n

PLANNED = "valid at the planned looks"


@dataclass(frozen=True, slots=True)
class FixedSize:
    """One look, at `n` units."""

    n: int

    def __post_init__(self) -> None:
        whole("the fixed sample size", self.n, 1)


@dataclass(frozen=True, slots=True)
class PlannedLooks:
    """Looks at these numbers of units, strictly increasing; the last one ends the study."""

    sizes: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.sizes:
            refuse("the planned looks", "at least one sample size", self.sizes)
        for size in self.sizes:
            whole("a planned look", size, 1)
        if any(b <= a for a, b in zip(self.sizes, self.sizes[1:], strict=False)):
            refuse("the planned looks", "strictly increasing sample sizes", self.sizes)

    @property
    def fractions(self) -> tuple[float, ...]:
        """Information fractions n_k/n_K."""
        return tuple(size / self.sizes[-1] for size in self.sizes)


@dataclass(frozen=True, slots=True)
class AnyTime:
    """A look at whatever sample size, chosen with the data in view."""


Schedule: TypeAlias = FixedSize | PlannedLooks | AnyTime


def admit(schedule: Schedule, n: int) -> str:
    """The guarantee of an answer that is given at `n` units under this schedule.

    Raises: TollensError `stats_peeking` if the schedule has no look at n; `stats_input` if n is not a positive
    integer.
    """
    whole("n", n, 1)
    match schedule:
        case AnyTime():
            return ANY_TIME
        case FixedSize():
            planned: tuple[int, ...] = (schedule.n,)
            guarantee = at_n(schedule.n)
        case PlannedLooks():
            planned, guarantee = schedule.sizes, PLANNED
    if n not in planned:
        later = [size for size in planned if size > n]
        raise TollensError(
            "stats_peeking",
            f"a look at n = {n:,}",
            expected="n = " + " or ".join(f"{size:,}" for size in planned),
            found=f"n = {n:,}" + ("" if later else ", beyond the last planned look"),
            fix=f"Wait for n = {later[0]:,}." if later else "Use a rule that is valid at any stopping time.",
        )
    return guarantee


def look_number(plan: PlannedLooks, n: int) -> int:
    """Which planned look is at `n`, from 1. Raises as `admit` does."""
    admit(plan, n)
    return plan.sizes.index(n) + 1


@dataclass(frozen=True, slots=True)
class Plan:
    """What was fixed before the results: the method by name, when it looks, and the margin of equivalence, if any."""

    method: str
    schedule: Schedule
    margin: float | None = None


def as_planned(plan: Plan, method: str, n: int, margin: float | None = None) -> str:
    """The guarantee of an answer by `method` at `n` units, if both and the `margin` are those of the plan.

    Raises: TollensError `stats_unplanned` for another method or another margin; what `admit` raises.
    """
    for name, wanted, used in (("method", plan.method, method), ("margin", plan.margin, margin)):
        if wanted != used:
            raise TollensError(
                "stats_unplanned",
                f"the {name}",
                expected=f"{wanted}, as planned",
                found=str(used),
                fix="Answer as planned, or make a new plan and collect new data.",
            )
    return admit(plan.schedule, n)
