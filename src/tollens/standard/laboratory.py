"""An example laboratory: seven claims about the bundled network, really sealed and climbed, and what is kept of them.

Two die by arithmetic, one by measurement, two survive, one waits under a waiver and one is not sealed, because a
constraint of the laboratory forbids it until its evidence is there. Beside them a paper whose numbers Tollens wrote.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tollens import demo
from tollens.protocol.laboratory import FILE as LABORATORY
from tollens.protocol.postmortem import FILE as POSTMORTEM
from tollens.protocol.study import FILE as CLAIM
from tollens.run.climb import climb
from tollens.run.drift.check import drift
from tollens.run.lock import lock
from tollens.run.new import new, refuse_taken
from tollens.run.postmortem import record_postmortem
from tollens.run.purchase import PurchaseQuestion, record_spend
from tollens.run.waive import waive

PAPER = "paper.md"
NUMBERS, METRIC = "numbers.toml", "metric.py"
SHORT = {CLAIM: {"seeds = [1, 2, 3]": "seeds = [1]", "axes = { seed = 3 }": "axes = { seed = 1 }"}}
"""One seed in place of three: the laboratory is made in seconds."""
EXAMPLE = "Rounding every weight matrix to 8 bits costs at most half a point of accuracy"
WEIGHTS = (
    '\n[proposal]\ntouches = ["weights"]\ncalibration = "none"\nbase = "frozen"\nmetrics = ["accuracy"]\nclaims = []\n'
)
CACHE = WEIGHTS.replace('"weights"', '"kv"')
TEXT = """# Digits in few bits

Eight bits cost 0.0<!--t:int8-accuracy.accuracy_diff unit=pp--> points of accuracy, which
<!--t:cite int8-accuracy as=survived-->held up; one bit costs 0.0<!--t:one-bit.accuracy_diff unit=pp--> points,
<!--t:cite one-bit as=killed-->and that claim is dead.
"""


@dataclass(frozen=True, slots=True)
class Death:
    """What a person writes into a post-mortem."""

    obstacle: str
    lesson: str


@dataclass(frozen=True, slots=True)
class Plan:
    """One study: the texts that are replaced in its files, what it proposes, and what is done with it."""

    text: str
    edits: Mapping[str, Mapping[str, str]]
    proposal: str = WEIGHTS
    waived: str | None = None
    sealed: bool = True
    climbed: bool = True
    death: Death | None = None


def _levels(bits: int) -> dict[str, dict[str, str]]:
    """A metric whose codes have so many bits, and an arm of that name."""
    return {METRIC: {"/ 127": f"/ {max(1, 2 ** (bits - 1) - 1)}", '"int8"': f'"int{bits}"'},
            CLAIM: {'subject = "int8"': f'subject = "int{bits}"'}}  # fmt: skip


def _ratio(claimed: str) -> dict[str, dict[str, str]]:
    return {NUMBERS: {'ratio = { value = "3.8"': f'ratio = {{ value = "{claimed}"', "3.8 times": f"{claimed} times"}}


PLANS: Mapping[str, Plan] = {
    "int8-accuracy": Plan("Eight bits cost at most half a point of accuracy", {}),
    "int8-size": Plan(
        "Eight bits are 4.5 times smaller, at half a point of accuracy at most",
        _ratio("4.5"),
        death=Death("BUDGET", "Scales and everything that is not coded count too: count them before the ratio."),
    ),
    "int8-smaller": Plan(
        "Eight bits and shared scales are 6 times smaller",
        _ratio("6"),
        death=Death("BUDGET", "32 bits in 8 cannot be more than 4 times smaller, whatever is shared."),
    ),
    "int4-accuracy": Plan("Four bits cost at most half a point of accuracy", _levels(4)),
    "one-bit": Plan(
        "A sign and a scale a row cost at most half a point of accuracy",
        _levels(1),
        death=Death("OTHER", "One step a row rounds most weights to zero: let the scale follow the mean, not the top."),
    ),
    "kv-waived": Plan(
        "Eight bits for what is cached cost at most half a point of accuracy", {}, CACHE,
        waived="only short prompts are served until the long ones are measured", climbed=False,
    ),
    "kv-draft": Plan("Four bits for what is cached cost at most half a point", _levels(4), CACHE, sealed=False),
}  # fmt: skip


class LaboratoryReport(msgspec.Struct, frozen=True, kw_only=True):
    """What `tollens new --laboratory --json` prints: each study and its verdict, or what it is without one."""

    schema: str = "tollens.new-laboratory/1"
    folder: str
    studies: dict[str, str]
    next: str


def laboratory(
    path: str | os.PathLike[str], progress: Callable[[int, int, str], None] | None = None
) -> LaboratoryReport:
    """Make the example laboratory in `path`, in about 15 s; the object that `tollens new --laboratory --json` prints.

    `progress(done, of, what)` is called before each study. Raises TollensError: `study_exists` where the folder holds
    anything, `ledger_unwritable`.
    """
    folder = Path(path)
    refuse_taken(folder, os.fspath(path))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / LABORATORY).write_text(demo.laboratory_text(), encoding="utf-8")
    made = {}
    for place, (name, plan) in enumerate(PLANS.items()):
        if progress is not None:
            progress(place + 1, len(PLANS), name)
        made[name] = _study(folder / "studies" / name, plan)
    bought = PurchaseQuestion(rung="other", evidence="invoice 17", amount="12.40 EUR")
    record_spend(folder / "studies" / "int4-accuracy", bought)
    back = PurchaseQuestion(rung="other", evidence="credit note 3", kind="refund", amount="2.15 EUR")
    record_spend(folder / "studies" / "int4-accuracy", back)
    (folder / PAPER).write_text(TEXT, encoding="utf-8")
    drift(folder, fix=True)
    return LaboratoryReport(folder=os.fspath(path), studies=made, next=f"tollens status {os.fspath(path)}")


def _study(folder: Path, plan: Plan) -> str:
    new(folder)
    for edits in (SHORT, {CLAIM: {EXAMPLE: plan.text}}, plan.edits):
        for name, changes in edits.items():
            _edit(folder / name, changes)
    with open(folder / CLAIM, "a", encoding="utf-8") as text:
        text.write(plan.proposal)
    if plan.waived is not None:
        until = datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days=90)
        waive(folder, "kv-needle", plan.waived, until.isoformat())
    if not plan.sealed:
        return "DRAFT"
    lock(folder)
    if not plan.climbed:
        return "SEALED"
    verdict = climb(folder).verdict
    if plan.death is not None:
        _edit(folder / POSTMORTEM, {
            'obstacle = ""': f'obstacle = "{plan.death.obstacle}"', 'lesson = ""': f'lesson = "{plan.death.lesson}"',
        })  # fmt: skip
        record_postmortem(folder)
    return verdict


def _edit(path: Path, changes: Mapping[str, str]) -> None:
    text = path.read_text(encoding="utf-8")
    for old, new_text in changes.items():
        if old not in text:
            raise ValueError(f"{path.name} has no {old!r}")
        text = text.replace(old, new_text)
    path.write_text(text, encoding="utf-8")
