"""How often a stopping rule ships the right arm, the wrong one or neither, and what that costs in users."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from tollens.core.errors import TollensError
from tollens.stats.domain import between, refuse, whole
from tollens.stats.registry import Known, statistic
from tollens.stats.schedule import PlannedLooks

Counts: TypeAlias = NDArray[np.int64]


class Decision(IntEnum):
    """What a rule says at a look."""

    CONTINUE = 0
    SHIP_A = 1
    SHIP_B = 2


# n an arm, successes of A and of B in every run that goes on, the places of those runs -> a Decision for each
StoppingRule: TypeAlias = Callable[[int, Counts, Counts, Counts], NDArray[np.int8]]
# the same -> e-values against equal rates
EqualRatesEvalue: TypeAlias = Callable[[int, Counts, Counts, Counts], NDArray[np.float64]]
# the number of runs -> a rule for them; one that keeps what it saw of each run starts anew with every truth
Start: TypeAlias = Callable[[int], StoppingRule]


@dataclass(frozen=True, slots=True)
class Truth:
    """The rates of the two arms. Raises TollensError `stats_input` outside [0, 1]."""

    a: float
    b: float

    def __post_init__(self) -> None:
        for name in ("a", "b"):
            rate = getattr(self, name)
            if not 0.0 <= rate <= 1.0:
                refuse(f"the true rate of {name.upper()}", "a fraction in [0, 1]", rate)

    @property
    def equal(self) -> bool:
        return self.a == self.b


@dataclass(frozen=True, slots=True)
class OperatingRow:
    """One truth: shares of runs that ship A, ship B, or reach the last look undecided (`third`), and users.

    Users are both arms together.
    """

    truth: Truth
    ships_a: float
    ships_b: float
    third: float
    mean_users: float
    median_users: float

    @property
    def right(self) -> float:
        """P(ships the better arm); with equal arms, P(ships neither)."""
        return self.third if self.truth.equal else self.ships_b if self.truth.b > self.truth.a else self.ships_a

    @property
    def wrong(self) -> float:
        """P(ships the worse arm); with equal arms, P(ships either), a difference that is not there."""
        return 1.0 - self.third if self.truth.equal else self.ships_a if self.truth.b > self.truth.a else self.ships_b


@dataclass(frozen=True, slots=True)
class OperatingCharacteristics:
    """The rows of one rule at its looks (n an arm, increasing), each over `runs` simulated experiments."""

    rule: str
    looks: tuple[int, ...]
    runs: int
    rows: tuple[OperatingRow, ...]

    @property
    def equal_arms(self) -> tuple[OperatingRow, ...]:
        """The A/A rows."""
        return tuple(row for row in self.rows if row.truth.equal)


@dataclass(frozen=True, slots=True)
class Simulation:
    """What is simulated: looks (n an arm, strictly increasing; the last is the cap), truths, number of runs.

    Raises: TollensError `stats_input` for a schedule that does not increase or no runs, `stats_uncalibrated`
    where no truth has equal arms.
    """

    looks: tuple[int, ...]
    truths: tuple[Truth, ...]
    runs: int = 6000

    def __post_init__(self) -> None:
        PlannedLooks(self.looks)
        whole("runs", self.runs, 1)
        if not any(truth.equal for truth in self.truths):
            raise TollensError(
                "stats_uncalibrated",
                "operating characteristics",
                expected="a row with equal arms (A/A)",
                found=f"{len(self.truths)} rows, none with equal arms",
                fix="Add a row in which both arms have the base rate.",
            )


def _ship_the_larger(n: int, a: Counts, b: Counts, going: Counts) -> NDArray[np.int8]:
    return np.where(b > a, Decision.SHIP_B, np.where(a > b, Decision.SHIP_A, Decision.CONTINUE)).astype(np.int8)


def _two_looks(f: Callable[..., OperatingCharacteristics]) -> tuple[float, ...]:
    rng = np.random.Generator(np.random.Philox(1))
    rows = f(
        "larger", lambda runs: _ship_the_larger, Simulation((1, 2), (Truth(0.5, 0.5), Truth(0.0, 1.0)), 40_000), rng
    ).rows
    return tuple(x for row in rows for x in (row.ships_b, row.third, row.mean_users))


@statistic(
    guarantee="Monte Carlo shares; their standard error is at most 1/(2 sqrt(runs))",
    references=("Wald 1945, Sequential tests of statistical hypotheses",),
    known=(
        Known(
            "the larger count ships at n = 1 or 2",
            _two_looks,
            (3 / 8, 1 / 4, 3.0, 1.0, 0.0, 2.0),
            "equal arms at 1/2 tie at the first look with probability 1/2 and, having tied, at the second with 1/2: "
            "third 1/4, each arm 3/8, users 2*1/2 + 4*1/2; rates 0 and 1 always ship B at once",
            0.0101,
        ),
    ),
)
def operating_characteristics(
    name: str, start: Start, simulation: Simulation, rng: np.random.Generator
) -> OperatingCharacteristics:
    """Simulate the rule called `name`, started for each truth, at its looks and up to its cap.

    Only runs that go on are drawn further. A run that the rule has not ended at the last look counts as `third`.
    """
    rows = tuple(_row(start(simulation.runs), truth, simulation, rng) for truth in simulation.truths)
    return OperatingCharacteristics(name, simulation.looks, simulation.runs, rows)


def _row(rule: StoppingRule, truth: Truth, simulation: Simulation, rng: np.random.Generator) -> OperatingRow:
    runs = simulation.runs
    a, b, going = np.zeros(runs, dtype=np.int64), np.zeros(runs, dtype=np.int64), np.arange(runs)
    shipped = {Decision.SHIP_A: 0, Decision.SHIP_B: 0}
    ended: list[tuple[int, int]] = []
    before = 0
    for n in simulation.looks:
        a += rng.binomial(n - before, truth.a, a.size)
        b += rng.binomial(n - before, truth.b, b.size)
        before = n
        said = rule(n, a, b, going)
        for arm in shipped:
            shipped[arm] += int((said == arm).sum())
        on = said == Decision.CONTINUE
        ended.append((n, int(a.size - on.sum())))
        a, b, going = a[on], b[on], going[on]
        if not a.size:
            break
    ended.append((before, a.size))
    users = np.repeat([2 * n for n, _ in ended], [stopped for _, stopped in ended])
    return OperatingRow(
        truth,
        shipped[Decision.SHIP_A] / runs,
        shipped[Decision.SHIP_B] / runs,
        a.size / runs,
        float(users.mean()),
        float(np.median(users)),
    )


def _decided(f: Callable[[EqualRatesEvalue, float], StoppingRule]) -> list[int]:
    a, b, going = np.array([3, 3, 4]), np.array([4, 5, 3]), np.arange(3)
    return [int(x) for x in f(lambda n, a, b, going: n * np.abs(b - a).astype(np.float64), 0.05)(10, a, b, going)]


@statistic(
    guarantee="valid at any stopping time: with equal arms it ships anything with probability at most alpha",
    references=("Ville 1939, Etude critique de la notion de collectif",),
    known=(
        Known(
            "e-values 10, 20, 10 at level .05",
            _decided,
            (Decision.CONTINUE, Decision.SHIP_B, Decision.CONTINUE),
            "only 20 reaches 1/alpha",
            0.0,
        ),
    ),
)
def e_value_rule(e_value: EqualRatesEvalue, alpha: float) -> StoppingRule:
    """Ship the arm with more successes at the first look at which the e-value against equal rates is >= 1/alpha.

    Raises: TollensError `stats_input` for alpha outside (0, 1).
    """
    threshold = 1.0 / between("alpha", alpha, 0.0, 1.0)

    def rule(n: int, a: Counts, b: Counts, going: Counts) -> NDArray[np.int8]:
        ended = e_value(n, a, b, going) >= threshold
        arm = np.where(b > a, Decision.SHIP_B, Decision.SHIP_A)
        return np.where(ended, arm, Decision.CONTINUE).astype(np.int8)

    return rule
