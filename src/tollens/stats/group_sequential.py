"""Group-sequential designs: boundaries for planned looks that share one type-I error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import ndtri

from tollens.core.errors import TollensError
from tollens.core.reading import Interval
from tollens.stats.crossing import (
    ARMITAGE,
    START,
    Continuing,
    advance,
    check_boundary,
    check_fractions,
    crossing,
    exits,
)
from tollens.stats.domain import between, positive, refuse, whole
from tollens.stats.registry import Known, statistic
from tollens.stats.result import Result
from tollens.stats.root import bracketed_root
from tollens.stats.schedule import PLANNED, PlannedLooks, admit, look_number
from tollens.stats.spending import LAN_DEMETS, SPENDING

TOLERANCE = 1e-5  # how far the total error of a stored boundary may be from alpha
_PRECISION = 1e-10
_HIGHEST = 37.0  # beyond it a normal tail underflows


@dataclass(frozen=True, slots=True)
class Design:
    """`z[k]` is the boundary of |Z| (two sides) or Z (one) at information `fractions[k]`.

    The looks together spend `spent` of the type-I error, alpha at full information. `spending` names the
    spending function, None for a design whose looks must be those that were planned.
    """

    name: str
    alpha: float
    sides: int
    fractions: tuple[float, ...]
    z: tuple[float, ...]
    spent: float
    spending: str | None = None

    @property
    def guarantee(self) -> str:
        return PLANNED


def equal_looks(looks: int) -> tuple[float, ...]:
    """The information fractions 1/K ... 1."""
    return tuple(k / whole("looks", looks, 1) for k in range(1, looks + 1))


def _one(f: object) -> float:
    assert callable(f)
    return float(f(equal_looks(5), 0.05).z[-1])


@statistic(
    guarantee=PLANNED + ": total type-I error alpha to within 1e-9",
    references=("O'Brien & Fleming, A multiple testing procedure for clinical trials, Biometrics 35 (1979)", ARMITAGE),
    known=(
        Known(
            "constants for 2, 3 and 5 looks",
            lambda f: [f(equal_looks(looks), 0.05).z[-1] for looks in (2, 3, 5)],
            (1.9774, 2.0040, 2.0401),
            "Jennison & Turnbull (2000), table 2.3, to four digits",
        ),
        Known(
            "five looks",
            lambda f: f(equal_looks(5), 0.05).z,
            (4.562, 3.226, 2.634, 2.281, 2.040),
            "2.0401 sqrt(5/k)",
            1e-3,
        ),
    ),
)
def obrien_fleming(fractions: Sequence[float], alpha: float, sides: int = 2) -> Design:
    """z_k = C/sqrt(t_k), which is C sqrt(K/k) for K equal looks (O'Brien & Fleming 1979).

    Raises: TollensError `stats_input` unless the fractions increase strictly within (0, 1] and end at 1, and
    alpha is in (0, 1), below 1/2 for one side.
    """
    return _shaped("O'Brien-Fleming", fractions, alpha, sides, -0.5)


@statistic(
    guarantee=PLANNED + ": total type-I error alpha to within 1e-9",
    references=("Pocock, Group sequential methods in clinical trials, Biometrika 64 (1977)", ARMITAGE),
    known=(
        Known(
            "constants for 2, 3 and 5 looks",
            lambda f: [f(equal_looks(looks), 0.05).z[-1] for looks in (2, 3, 5)],
            (2.1783, 2.2895, 2.4132),
            "Jennison & Turnbull (2000), table 2.1, to four digits",
        ),
        Known("nominal p of five looks", lambda f: nominal_p(_one(f)), 0.01581, "2(1 - Phi(2.4132))", 1e-5),
    ),
)
def pocock(fractions: Sequence[float], alpha: float, sides: int = 2) -> Design:
    """z_k = C at every look (Pocock 1977). Raises as `obrien_fleming`."""
    return _shaped("Pocock", fractions, alpha, sides, 0.0)


def _shaped(name: str, fractions: Sequence[float], alpha: float, sides: int, power: float) -> Design:
    """z_k = C t_k^power with the C that spends alpha.

    Bonferroni's constant spends at most alpha, that of a single look at least alpha.
    """
    times, level = check_fractions(fractions), between("alpha", alpha, 0.0, 1.0)
    if sides not in (1, 2):
        refuse("sides", "1 or 2", sides)
    if sides == 1 and level >= 0.5:
        refuse("alpha", "a number below 1/2 for one side", alpha)
    if times[-1] != 1.0:
        refuse("the last information fraction", "1", times[-1])
    shape = [t**power for t in times]
    low, high = (float(-ndtri(level / (sides * looks))) for looks in (1, len(times)))

    def excess(c: float) -> float:
        return crossing([c * s for s in shape], times, sides).total - level

    c = low if len(times) == 1 else bracketed_root(excess, low - 1e-9, high + 1e-9, _PRECISION)
    return Design(name, level, sides, times, tuple(c * s for s in shape), level)


@statistic(
    guarantee="valid at looks whose times do not depend on the data: total type-I error alpha to within 1e-9",
    references=(LAN_DEMETS, ARMITAGE),
    known=(
        Known(
            "five looks, O'Brien-Fleming type",
            lambda f: f(equal_looks(5), 0.05, "obrien-fleming").z,
            (4.8769, 3.3570, 2.6803, 2.2898, 2.0310),
            "recursive integration of 4 - 4 Phi(z_{.9875}/sqrt(k/5))",
        ),
        Known(
            "five looks, Pocock type",
            lambda f: f(equal_looks(5), 0.05, "pocock").z,
            (2.4380, 2.4268, 2.4102, 2.3966, 2.3860),
            "recursive integration of .05 ln(1 + (e - 1)k/5)",
        ),
        Known(
            "four looks, one side, O'Brien-Fleming type",
            lambda f: f(equal_looks(4), 0.05, "obrien-fleming", 1).z,
            (3.74955, 2.53994, 2.01607, 1.72018),
            "recursive integration of 2 - 2 Phi(z_{.975}/sqrt(k/4))",
        ),
        Known(
            "five looks, the one-sided form of the total",
            lambda f: f(equal_looks(5), 0.05, "obrien-fleming of the total").z,
            (4.3826, 3.0997, 2.5534, 2.2538, 2.0635),
            "recursive integration of 2 - 2 Phi(z_{.975}/sqrt(k/5)), half a side",
        ),
    ),
)
def lan_demets(fractions: Sequence[float], alpha: float, spending: str, sides: int = 2) -> Design:
    """The boundary that spends the error given by `spending`, a key of `SPENDING`, by each look.

    The fractions may stop before 1: the boundary of a look depends on no later one, so that a design can be
    continued at other times than were planned. Where nearly nothing may be spent z is at most 37. Raises:
    TollensError `stats_input` as `obrien_fleming`; `stats_unnamed` for an unknown spending function.
    """
    times, level = check_fractions(fractions), between("alpha", alpha, 0.0, 1.0)
    if spending not in SPENDING:
        raise TollensError(
            "stats_unnamed",
            "the spending function",
            expected=f"one of {', '.join(SPENDING)}",
            found=repr(spending)[:80],
            fix="Name one of them.",
        )
    cumulative = [SPENDING[spending](t, level, sides) for t in times]
    state, z = START, list[float]()
    for k, t in enumerate(times):
        z.append(_spend(cumulative[k] - (cumulative[k - 1] if k else 0.0), state, t, sides))
        if k + 1 < len(times):
            state = advance(state, z[-1], (t, times[k + 1]), sides)
    return Design(f"Lan-DeMets, {spending} type", level, sides, times, tuple(z), cumulative[-1], spending)


def _spend(due: float, state: Continuing, t: float, sides: int) -> float:
    """The boundary at t that is crossed for the first time there with probability `due`."""

    def excess(bound: float) -> float:
        return sum(exits(state, bound, t, sides)) - due

    lowest = 0.0 if sides == 2 else -_HIGHEST
    return _HIGHEST if excess(_HIGHEST) >= 0.0 else bracketed_root(excess, lowest, _HIGHEST, _PRECISION)


def nominal_p(z: float) -> float:
    """The two-sided p-value that a single look would give at |Z| = z: 2(1 - Phi(z))."""
    return math.erfc(z / math.sqrt(2.0))


@statistic(
    guarantee="exact for normal increments, absolute error below 1e-10",
    references=(ARMITAGE,),
    known=(
        Known(
            "the tabulated boundary of five looks",
            lambda f: f(
                Design(
                    "stored", 0.05, 2, equal_looks(5), (4.876885, 3.357012, 2.680280, 2.289817, 2.031032), 0.05, None
                )
            ),
            0.05,
            "the Lan-DeMets boundary of O'Brien-Fleming type, to six digits",
            1e-6,
        ),
    ),
)
def total_error(design: Design) -> float:
    """The type-I error of a design, recomputed from its boundary.

    Raises: TollensError `stats_input` if it is further than 1e-5 from what the design says it spends, if that is
    not alpha at full information, or if the boundary is not one of its fractions.
    """
    bounds, times = check_boundary(design.z, design.fractions, design.sides)
    found = crossing(bounds, times, design.sides).total
    due = design.alpha if times[-1] == 1.0 else design.spent
    if not (abs(found - design.spent) <= TOLERANCE and abs(due - design.spent) <= TOLERANCE):
        raise TollensError(
            "stats_input",
            f"the stored boundary of the {design.name} design",
            expected=f"a total type-I error of {due:.6g}",
            found=f"{found:.6g}, stated as {design.spent:.6g}",
            fix="Compute the boundary again from alpha and the looks.",
        )
    return found


def boundary_at(design: Design, look: int) -> float:
    """The boundary of look `look`, counted from 1. Raises: TollensError `stats_peeking` for a look beyond the last."""
    if whole("the look", look, 1) > len(design.z):
        raise TollensError(
            "stats_peeking",
            f"look {look}",
            expected=f"one of {len(design.z)} planned looks",
            found=f"look {look}",
            fix="End the study, or use a rule that is valid at any stopping time.",
        )
    return design.z[look - 1]


def first_crossing(design: Design, z: Sequence[float]) -> int | None:
    """The first look at which the statistics `z`, one a look so far, cross; None if none does.

    Raises: TollensError `stats_peeking` for more statistics than looks; `stats_input` for one that is not finite.
    """
    for k, value in enumerate(z, start=1):
        bound = boundary_at(design, k)
        if not math.isfinite(value):
            refuse(f"the statistic of look {k}", "a finite number", value)
        if (abs(value) if design.sides == 2 else value) >= bound:
            return k
    return None


def unplanned_look(design: Design, plan: PlannedLooks, done: int, n: int) -> tuple[Design, PlannedLooks]:
    """Design and plan with one more look, at `n` units, after the `done` looks already made.

    The boundaries of those looks stay as they were. The time of the new one must not depend on the data. Raises:
    TollensError `stats_peeking` for a design without spending function, and for an n at or before a look already
    made or beyond the last; `stats_input` if the plan is not that of the design.
    """
    _matched(design, plan)
    boundary_at(design, whole("looks already made", done, 0) + 1)
    made, left = plan.sizes[:done], plan.sizes[done:]
    if design.spending is None or not (made[-1] if made else 0) < n <= left[-1]:
        admit(PlannedLooks(left), n)
        return design, plan
    plan = PlannedLooks((*made, n, *(size for size in left if size > n)))
    return lan_demets(plan.fractions, design.alpha, design.spending, design.sides), plan


def _matched(design: Design, plan: PlannedLooks) -> None:
    if len(plan.sizes) != len(design.z) or any(
        abs(a - b) > 1e-9 for a, b in zip(plan.fractions, design.fractions, strict=True)
    ):
        refuse("the planned looks", f"the information fractions {design.fractions} of the design", plan.fractions)


@statistic(
    guarantee=PLANNED + ": the intervals of all looks cover together with probability 1 - alpha",
    references=("Jennison & Turnbull, Interim analyses: the repeated confidence interval approach, JRSS B 51 (1989)",),
    known=(
        Known(
            "second of two Pocock looks",
            lambda f: _ends(f(pocock(equal_looks(2), 0.05), PlannedLooks((50, 100)), 100, 1.0, 0.5)),
            (1.0 - 2.1783 / 2.0, 1.0 + 2.1783 / 2.0),
            "1 -+ 2.1783 se, se 1/2",
        ),
    ),
)
def repeated_interval(design: Design, plan: PlannedLooks, n: int, estimate: float, se: float) -> Result:
    """estimate -+ z_k se at the planned look of `n` units; the design rejects where it excludes the null value.

    Raises: TollensError `stats_peeking` for an n that was not planned; `stats_input` for a one-sided design, a
    plan that is not that of the design, a boundary that `total_error` refuses, or an se that is not positive.
    """
    _matched(design, plan)
    look = look_number(plan, n)
    if design.sides != 2:
        refuse("the design", "a two-sided one", design.sides)
    if not math.isfinite(estimate):
        refuse("the estimate", "a finite number", estimate)
    total_error(design)
    half = boundary_at(design, look) * positive("se", se)
    method = f"repeated confidence interval, {design.name}"
    return Result(
        rule=f"{design.name}, look {look} of {len(design.z)}",
        guarantee=design.guarantee,
        estimate=estimate,
        se=se,
        interval=Interval(estimate - half, estimate + half, 1.0 - design.alpha, method),
        n=n,
        assumptions=("independent normal increments", "one increment a cluster, not a row"),
    )


def _ends(result: Result) -> tuple[float, float]:
    assert result.interval is not None
    return result.interval.low, result.interval.high
