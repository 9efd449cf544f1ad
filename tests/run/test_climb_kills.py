"""Two hundred kills of real processes, from outside and at every kind of moment, and what is left of each study.

After every kill: what was recorded is there byte for byte, and no process of the climb is. Then a fresh process
climbs again, itself killed up to three times, until one ends; its ledger, read with nothing of the product, holds
each cell once, the readings and the verdict of an undisturbed climb, and every attempt in what was spent.
"""

from __future__ import annotations

import os
import random
import select
import signal
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from .faults.reading import Record, of, parts, records
from .faults.study import write
from .faults.trial import KILLED, Trial, driving, happens, room, trial

WORKERS, CHAIN = 2, 4
IN_CELLS, IN_APPENDS, AT_CALLS, AFTER_VERDICT, IN_LOCKS, OF_METRICS = 72, 48, 40, 16, 24, 12
SIGN, METRIC = "lock, during the sign-check", "the metric, not the climb"


@dataclass(frozen=True, slots=True)
class Kill:
    """Its class, the verb it strikes, and either the fault that the process is given or a blow from outside."""

    name: str
    verb: str
    fault: dict[str, Any] = field(default_factory=dict)
    blow: Callable[[Trial, int], None] | None = None


def killed(process: int, when: Callable[[], bool], delay: float) -> None:
    """Signal 9 as soon as that is so and the delay is over; nothing if it has ended by itself."""
    handle = os.pidfd_open(process)
    try:
        happens(lambda: when() or bool(select.select([handle], [], [], 0)[0]))
        time.sleep(delay)
        signal.pidfd_send_signal(handle, signal.SIGKILL)
    except ProcessLookupError:
        pass
    finally:
        os.close(handle)


def in_a_cell(number: int, delay: float) -> Callable[[Trial, int], None]:
    def blow(made: Trial, process: int) -> None:
        mark = b'"type":"cell.started"'
        wanted = parts(made.kept)[0].count(mark) + number
        killed(process, lambda: made.ledger.count(mark) >= wanted, delay)

    return blow


def in_the_sign_check(delay: float) -> Callable[[Trial, int], None]:
    def blow(made: Trial, process: int) -> None:
        before = made.lines()
        killed(process, lambda: made.lines() > before, delay)

    return blow


def of_the_metric(which: int) -> Callable[[Trial, int], None]:
    """The process of a request, the one that loaded the metric, or their guard."""

    def blow(made: Trial, process: int) -> None:
        handle = os.pidfd_open(process)
        happens(lambda: made.calls() >= made.held or bool(select.select([handle], [], [], 0)[0]))
        os.close(handle)
        if made.calls() >= made.held:
            os.kill(made.metric()[which], signal.SIGKILL)
        made.release()

    return blow


def planned() -> list[Kill]:
    """All of them, in an order drawn once."""
    chance = random.Random(1)
    part = [0.0, 0.2, 0.5, 0.9, 0.99, 1.0]
    made = [
        Kill("inside a cell", "climb", blow=in_a_cell(chance.randint(1, 7), chance.uniform(0, 0.012)))
        for _ in range(IN_CELLS)
    ]
    made += [
        Kill("inside an append", "climb", {"append": chance.choice([1, 2, *range(1, 60)]), "part": part[i % 6]})
        for i in range(IN_APPENDS)
    ]
    made += [Kill("at a call to the system", "climb", {"moment": chance.randint(1, 300)}) for _ in range(AT_CALLS)]
    made += [
        Kill("after the verdict was written", "climb", {"after": "verdict", "moment": 1 + 3 * i})
        for i in range(AFTER_VERDICT)
    ]
    for i in range(IN_LOCKS // 3):
        made.append(Kill(SIGN, "lock", blow=in_the_sign_check(chance.uniform(0, 0.01))))
        made.append(Kill("lock, at a call to the system", "lock", {"moment": chance.randint(1, 500)}))
        last = {"append": 1, "part": part[i % 6]} if i % 2 else {"after": "seal", "moment": 1 + i // 2}
        made.append(Kill("lock, writing the seal", "lock", last))
    made += [Kill(METRIC, "climb", blow=of_the_metric(i % 3)) for i in range(OF_METRICS)]
    chance.shuffle(made)
    return made


def state(made: Trial) -> str:
    """What the files of a study say of where the process was when it ended."""
    whole, torn = parts(made.ledger)
    found = records(whole)
    if torn:
        return "a torn record"
    if not found:
        return "no seal"
    if of(found, "verdict"):
        there = all((made.folder / name).exists() for name in ("decision.json", "trap_results.json"))
        return "all written" if there else "between verdict and its files"
    if not (made.folder / "seal.json").exists():
        return "between seal and seal.json"
    return "between started and finished" if found[-1]["type"] == "cell.started" else "between other records"


@dataclass(slots=True)
class Campaign:
    """The kills that are left, and what became of the others."""

    root: Path
    plain: Path
    sealed: Path
    undisturbed: list[Record]
    left: list[Kill]
    done: Counter[str] = field(default_factory=Counter)
    seen: Counter[str] = field(default_factory=Counter)
    studies: int = 0

    def next(self, *verbs: str) -> Kill | None:
        """A kill of one of these verbs."""
        for place, kill in enumerate(self.left):
            if kill.verb in verbs:
                return self.left.pop(place)
        return None

    def work(self, _: int) -> None:
        """Study after study, until no kill is left."""
        with driving() as driver:
            while self.left:
                self.studies += 1
                name = f"study{self.studies}"
                locking = any(kill.verb == "lock" for kill in self.left) and self.studies % 2 == 0
                made = trial(driver, self.root / name, self.plain if locking else self.sealed)
                self.chain(made, CHAIN)

    def chain(self, made: Trial, most: int) -> None:
        """Some kills of one study, then the climb that ends and the look at all of it."""
        for _ in range(most):
            if not of(records(made.kept), "seal"):
                kill = self.next("lock") or self.next("climb")
                if kill is not None and kill.verb == "climb":
                    self.left.append(kill)
                    break
            else:
                kill = self.next("climb")
            if kill is None:
                break
            self.strike(made, kill)
            if of(records(made.kept), "verdict"):
                break
        if not of(records(made.kept), "seal"):
            assert made.run("lock") == 0, made.said
        made.finish(self.undisturbed)

    def strike(self, made: Trial, kill: Kill) -> None:
        more = {"environment": made.hold(made.calls() + 1)} if kill.name == METRIC else {}
        process = made.begin(kill.verb, **kill.fault, **more)
        if kill.blow is not None:
            kill.blow(made, process)
        status = made.end()
        if status == (2 if kill.name == METRIC else KILLED):
            self.done[kill.name] += 1
            self.seen[state(made)] += kill.name != METRIC
        else:  # it ended before; from the start of another study there is more to strike
            assert status == 0, made.said
            self.left.append(kill)


@pytest.mark.slow
def test_no_moment_of_a_climb_is_a_wrong_one_to_be_killed() -> None:
    with room() as root:
        strike_all(root)


def strike_all(root: Path) -> None:
    with driving() as driver:
        plain = write(root / "plain")
        first = trial(driver, root / "first", plain)
        assert first.run("lock") == 0, first.said
        calm = trial(driver, root / "calm", first.folder)
        assert calm.run("climb") == 0, calm.said
        undisturbed = calm.finish(records(calm.ledger))
    campaign = Campaign(root, plain, first.folder, undisturbed, planned())
    begin = time.monotonic()
    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(campaign.work, range(WORKERS)))
    of_climbs = campaign.done.total() - campaign.done[METRIC]
    print(f"\n{of_climbs} kills of a climb or lock, {campaign.studies} studies, {time.monotonic() - begin:.0f} s")
    for title, counts in (("struck", campaign.done), ("found", campaign.seen)):
        for name, number in sorted(counts.items()):
            print(f"  {title}  {number:4}  {name}")
    assert of_climbs >= 200
    assert campaign.seen["between started and finished"] >= 50
    assert campaign.done["inside an append"] >= 20
    assert campaign.seen["a torn record"] >= 20
    assert campaign.seen["between verdict and its files"] >= 5
