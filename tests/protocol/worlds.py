"""Simulated worlds to put the whole rule to: their studies, and what each arm reads in each cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tollens.core.seeding import generator
from tollens.protocol.attack import Ask, RungTask, attack
from tollens.protocol.decision import Decision
from tollens.protocol.ladder import conclude
from tollens.protocol.readings import scored
from tollens.protocol.registration import Cell, register
from tollens.protocol.rung import RUNGS, Arm, Measured
from tollens.protocol.study import read_study
from tollens.run.rungs import cpu
from tollens.run.sealable import chance_of

Floats = NDArray[np.float64]
DRAWS = 19
GAIN = "gain"


def study(
    cells: int, *, finding: str, kill: str, value: str, traps: Mapping[str, str], aggregate: str = "mean",
    support: tuple[int, int] = (-100, 100), stopping: str = 'rule = "fixed_n"',
) -> RungTask:  # fmt: skip
    """The one rung of a claim `aggregate over seed of the gain in pp >= value`; `traps` names each arm's fate."""
    seeds = list(range(cells))
    text = f"""
[claim]
id = "gain"
text = "The method answers more items rightly than the reference"
quantity = "{GAIN}"
subject = "method"
reference = "base"
aggregate = "{aggregate} over seed"
relation = ">="
value = "{value}"
unit = "pp"
direction = "higher_is_better"
support = {list(support)}
[rules]
finding = "{finding}"
kill = "{kill}"
[metric]
file = "metric.py"
seeds = {seeds}
axes = {{ seed = {cells} }}
[null]
generator = "null"
draws = {DRAWS}
order = "max"
level = "0.05"
statistic = "{GAIN}"
[[rung]]
id = "cpu"
kind = "cpu"
kill_probability = {{ value = 0.5 }}
[stopping]
{stopping}
[reducer]
order = ["item", "seed"]
[sign_check]
margin = "0.5"
null_value = "0"
tolerance = "0.1"
"""
    text += "".join(f'[[trap]]\narm = "{arm}"\nmust = "{must}"\n' for arm, must in traps.items())
    registration = register(read_study(text))
    return RungTask(registration, 0, RUNGS[cpu.CPU.name], chance_of(registration))


@dataclass(frozen=True)
class Price:
    """Nothing is paid in a simulated world."""

    id: str = "cpu"
    requests: int = 0
    seconds: float | None = 0.0
    usd_micro: int = 0


def decided(task: RungTask, ask: Ask) -> Decision:
    """The verdict of the whole rule: every reading is scored as a climb scores it, and one rung is the ladder."""

    def checked(arm: Arm, cell: Cell) -> Measured:
        return scored(ask(arm, cell), task.registration, f"{arm.label} {cell.label}")

    result = attack(task, checked)
    return conclude(
        task.registration.study, [result], [Price()], order="", seal="0" * 64, anchor="unanchored",
        exploratory=False, notes=[],
    )  # fmt: skip


# Dice: an item is won with probability `won` and lost with `lost` against the reference, whatever the item.

ITEMS = 400


@dataclass(frozen=True)
class Law:
    """Chances that the method is right where the reference is wrong (`won`), and the other way round (`lost`)."""

    won: float
    lost: float

    @property
    def gain(self) -> float:
        """True gain, pp."""
        return 100.0 * (self.won - self.lost)

    @property
    def sd(self) -> float:
        """Standard deviation of the gain of one cell, pp."""
        return 100.0 * float(np.sqrt((self.won + self.lost - (self.won - self.lost) ** 2) / ITEMS))


SAME = Law(0.0, 0.0)
CHANCE = Law(0.1, 0.1)
"""A method of the same form without an effect: as many answers turn right as turn wrong."""
RUINED = Law(0.05, 0.25)
"""Answers given to other items: what a control that must die reads."""
PLANTED = Law(0.2, 0.0)
"""One answer in five put right by hand."""


def dice(run: int, laws: Mapping[str, Law], null: Law, cells: Sequence[Cell]) -> Ask:
    """What every arm reads in every cell, independent of each other; the draws of the null are `null`."""
    rng = generator(run, "dice")

    def drawn(law: Law, arms: int) -> Floats:
        counts = rng.multinomial(ITEMS, (law.won, law.lost, 1 - law.won - law.lost), (arms, len(cells)))
        return 100.0 * (counts[..., 0] - counts[..., 1]) / ITEMS

    table = {name: drawn(law, 1)[0].tolist() for name, law in laws.items()}
    draws, places = drawn(null, DRAWS).tolist(), {cell.label: place for place, cell in enumerate(cells)}

    def ask(arm: Arm, cell: Cell) -> Measured:
        row = table[arm.name] if arm.draw is None else draws[arm.draw]
        return Measured({GAIN: row[places[cell.label]]})

    return ask


@lru_cache(maxsize=64)
def exact_law(law: Law, cells: int) -> tuple[Floats, Floats]:
    """(values in pp, their chances) of the mean gain over so many cells, each (2 n + 1,) for n items in all.

    The sum of n independent steps of -1, 0, 1, by the inverse transform of the n-th power of the transform of one.
    """
    n = cells * ITEMS
    turn = np.exp(2j * np.pi * np.arange(2 * n + 1) / (2 * n + 1))
    one = 1 - law.won - law.lost + law.won / turn + law.lost * turn
    chances = np.fft.ifft(one**n).real
    return 100.0 * np.arange(-n, n + 1) / n, np.maximum(np.roll(chances, n), 0.0)


def chance_below(law: Law, cells: int, threshold: float) -> float:
    """P(mean gain < threshold), pp; a mean within 1e-9 of the threshold is not below it."""
    values, chances = exact_law(law, cells)
    return min(1.0, float(chances[values < threshold - 1e-9].sum()))


def chance_of_survival(subject: Law, null: Law, cells: int, threshold: float) -> float:
    """P(mean gain >= threshold and above every one of the draws of the null); ties count against the subject."""
    values, chances = exact_law(subject, cells)
    _, nulls = exact_law(null, cells)
    below = np.concatenate([[0.0], np.cumsum(nulls)[:-1]])
    return min(1.0, float((chances * below**DRAWS)[values >= threshold - 1e-9].sum()))
