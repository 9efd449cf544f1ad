"""Two hundred kills of real processes, from outside and at every kind of moment, and what is left of each study.

After every kill: what was recorded is there byte for byte, and no process of the climb is. Then a fresh process
climbs again, itself killed up to three times, until one ends; its ledger, read with nothing of the product, holds
each cell once, the readings and the verdict of an undisturbed climb, and every attempt in what was spent. No kill
costs more than the one cell that it interrupted.
"""

from __future__ import annotations

import os
import random
import select
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from .faults.reading import Record, of, parts, records
from .faults.study import write
from .faults.trial import KILLED, Driver, Trial, driving, happens, room, trial

WORKERS, CHAIN, TRIES = 2, 4, 5
IN_CELLS, IN_APPENDS, AT_CALLS, AFTER_VERDICT, IN_LOCKS, OF_METRICS = 72, 48, 40, 16, 24, 12
SIGN, METRIC = "lock, during the sign-check", "the metric, not the climb"


@dataclass(slots=True)
class Kill:
    """Its class, the verb it strikes, and either the fault that the process is given or a blow from outside."""

    name: str
    verb: str
    fault: dict[str, Any] = field(default_factory=dict)
    blow: Callable[[Trial, int], None] | None = None
    missed: int = 0


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


@dataclass(frozen=True, slots=True)
class Calls:
    """How many calls to the system there are in a whole lock and climb, behind the seal and behind the verdict."""

    lock: int
    climb: int
    sealed: int
    decided: int


def counted(driver: Driver, root: Path, plain: Path, sealed: Path) -> Calls:
    def calls(verb: str, study: Path, **fault: Any) -> int:
        made = trial(driver, root / f"count{len(list(root.iterdir()))}", study)
        assert made.run(verb, count=str(made.root / "count"), **fault) == 0, made.said
        return int((made.root / "count").read_text())

    return Calls(
        calls("lock", plain), calls("climb", sealed), calls("lock", plain, after="seal"),
        calls("climb", sealed, after="verdict"),
    )  # fmt: skip


def planned(calls: Calls, appends: int) -> list[Kill]:
    """All of them, in an order drawn once. `appends`: how many a whole climb makes."""
    chance = random.Random(1)
    part = [0.0, 0.2, 0.5, 0.9, 0.99, 1.0]
    made = [
        Kill("inside a cell", "climb", blow=in_a_cell(chance.randint(1, 7), chance.uniform(0, 0.012)))
        for _ in range(IN_CELLS)
    ]
    made += [
        Kill("inside an append", "climb", {"append": chance.choice([1, *range(1, appends + 1)]), "part": part[i % 6]})
        for i in range(IN_APPENDS)
    ]
    made += [
        Kill("at a call to the system", "climb", {"moment": chance.randint(1, calls.climb)}) for _ in range(AT_CALLS)
    ]
    made += [
        Kill("after the verdict was written", "climb", {"after": "verdict", "moment": 1 + i % calls.decided})
        for i in range(AFTER_VERDICT)
    ]
    behind = cycle(range(1, calls.sealed + 1))
    for i in range(IN_LOCKS // 3):
        made.append(Kill(SIGN, "lock", blow=in_the_sign_check(chance.uniform(0, 0.01))))
        made.append(Kill("lock, at a call to the system", "lock", {"moment": chance.randint(1, calls.lock)}))
        last = {"append": 1, "part": part[i % 6]} if i % 2 else {"after": "seal", "moment": next(behind)}
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
    sums: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    one: Any = field(default_factory=threading.Lock)

    def next(self, *verbs: str, fresh: bool = False) -> Kill | None:
        """A kill of the first of these verbs that has one; one that missed is for a fresh study."""
        with self.one:
            for verb in verbs:
                for place, kill in enumerate(self.left):
                    if kill.verb == verb and (fresh or not kill.missed):
                        return self.left.pop(place)
        return None

    def add(self, counts: Counter[str], **more: int) -> None:
        with self.one:
            counts.update(more)

    def work(self, _: int) -> None:
        """Study after study, until no kill is left."""
        with driving() as driver:
            while kill := self.next("lock", "climb", fresh=True):
                with self.one:
                    self.sums["studies"] += 1
                    name = f"study{self.sums['studies']}"
                made = trial(driver, self.root / name, self.plain if kill.verb == "lock" else self.sealed)
                struck: list[str] = []
                try:
                    self.chain(made, kill, struck)
                except AssertionError as error:
                    self.wrong.append(f"{name} after {', '.join(struck) or 'no kill'}: {error}")

    def chain(self, made: Trial, kill: Kill | None, struck: list[str]) -> None:
        """Some kills of one study, then the climb that ends and the look at all of it."""
        for _ in range(CHAIN):
            if kill is None:
                break
            where = self.strike(made, kill)
            struck += [f"{kill.name} {kill.fault or ''} {where}"] if where else []
            found = records(made.kept)
            if of(found, "verdict"):
                break
            kill = self.next("climb") if of(found, "seal") else self.next("lock")
        else:
            if kill is not None:
                self.left.append(kill)
        if not of(records(made.kept), "seal"):
            assert made.run("lock") == 0, made.said
        found = made.finish(self.undisturbed)
        started, finished = (of(found, kind) for kind in ("cell.started", "cell.finished"))
        again = len(started) - len(finished)
        assert again <= len(struck), f"{again} cells were started again"
        self.add(self.sums, records=len(found), cells=len(finished), again=again, torn=len(made.torn))

    def strike(self, made: Trial, kill: Kill) -> str:
        """What was found behind it; empty where it was not killed."""
        metric = kill.name == METRIC
        more = {"environment": made.hold(made.calls() + 1)} if metric else {}
        process = made.begin(kill.verb, **kill.fault, **more)
        if kill.blow is not None:
            kill.blow(made, process)
        status = made.end()
        if status == (2 if metric else KILLED):
            self.add(self.done, **{kill.name: 1})
            if metric:
                return "a metric without a climb"
            found = state(made)
            self.add(self.seen, **{found: 1})
            return found
        assert status == 0, made.said
        kill.missed += 1  # it ended before; from the start of another study there is more to strike
        assert kill.missed < TRIES, f"never struck in {TRIES} tries"
        self.left.append(kill)
        return ""


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
        calls = counted(driver, root, plain, first.folder)
    estimates = sum(record["body"]["kind"] == "estimate" for record in of(undisturbed, "spend"))
    appends = len(undisturbed) - 1 - (estimates - 1)  # the seal is there, and the estimates come in one
    campaign = Campaign(root, plain, first.folder, undisturbed, planned(calls, appends))
    begin = time.monotonic()
    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(campaign.work, range(WORKERS)))
    of_climbs = campaign.done.total() - campaign.done[METRIC]
    sums = campaign.sums
    seconds = time.monotonic() - begin
    print(f"\n{of_climbs} kills of a climb or lock, {campaign.done[METRIC]} of a metric, {seconds:.0f} s")
    for title, counts in (("struck", campaign.done), ("found", campaign.seen)):
        for name, number in sorted(counts.items()):
            print(f"  {title:<6}  {number:4}  {name}")
    print(f"  {sums['studies']} studies climbed to their end: {sums['records']} records, {sums['torn']} torn lines")
    print(f"  set aside, {sums['cells']} finished cells, {sums['again']} of them started again")
    print(f"  lost, repeated or wrong: {len(campaign.wrong) or 'none'}")
    for said in campaign.wrong:
        print(f"    {said}")
    assert not campaign.wrong
    assert of_climbs >= 200
    assert campaign.seen["between started and finished"] >= 50
    assert campaign.done["inside an append"] >= 20
    assert campaign.seen["a torn record"] >= 20
    assert campaign.seen["between verdict and its files"] >= 5
